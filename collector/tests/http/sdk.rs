//! Files for pages without a bundler. Which files there are depends on how the binary was built, so
//! these tests bring their own; the real ones are met in a browser (`tests/browser`).

use tallymark::sdk::File;

use super::*;

const KEPT: File = File { name: "tallymark.js", bytes: b"old();", brotli: None };

impl Service {
    async fn get_with(&self, path: &str, header: (&str, &str)) -> Reply {
        let request = Request::get(path).header(header.0, header.1);
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

#[tokio::test]
async fn a_build_of_an_earlier_version_is_still_served_for_ever_and_to_any_page() {
    let service = service().await;
    service.app.meta.sdk_files().keep("0123456789abcdef", &[KEPT]).await.unwrap();
    let path = "/sdk/0123456789abcdef/tallymark.js";
    let reply = service.get(path, None).await;
    assert_eq!((reply.status.as_u16(), &reply.bytes[..]), (200, KEPT.bytes));
    assert_eq!(reply.headers["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(reply.headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    assert_eq!(reply.headers["cross-origin-resource-policy"], "cross-origin");
    let etag = reply.headers["etag"].to_str().unwrap();
    let again = service.get_with(path, ("if-none-match", etag)).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    assert_eq!(service.get_with(path, ("if-none-match", "\"x\"")).await.status, 200);
}

#[rstest]
#[case::another_build("/sdk/fedcba9876543210/tallymark.js")]
#[case::another_file("/sdk/0123456789abcdef/other.js")]
#[case::no_such_name("/sdk/other.js")]
#[case::a_way_out("/sdk/0123456789abcdef/..%2Fmeta.sqlite")]
#[tokio::test]
async fn what_there_is_not_is_a_problem_that_any_page_may_read(#[case] path: &str) {
    let service = service().await;
    service.app.meta.sdk_files().keep("0123456789abcdef", &[KEPT]).await.unwrap();
    let reply = service.get(path, None).await;
    assert_eq!(reply.problem(), (404, "not_found".into()));
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
}
