//! What holds for every answer: conditional requests, packing, request ids; the API as a page; lists that are read while
//! they grow.

use super::*;

impl Service {
    async fn get_as(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request =
            Request::get(path).header("authorization", format!("Bearer {}", self.secret_key));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

#[rstest]
#[case::schema("/v1/schema")]
#[case::usage("/v1/usage")]
#[case::saved("/v1/saved/cohorts")]
#[case::project("/v1/project")]
#[case::document("/openapi.json")]
#[case::page("/docs")]
#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_answer_already_is_told_so(#[case] path: &str) {
    let service = service().await;
    let first = service.get_as(path, &[]).await;
    let tag = first.headers["etag"].to_str().unwrap();
    let again = service.get_as(path, &[("if-none-match", tag)]).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    assert_eq!(again.headers["etag"], tag);
    assert!(again.headers.contains_key("x-request-id"));
    let other = service.get_as(path, &[("if-none-match", "W/\"other\"")]).await;
    assert_eq!((other.status.as_u16(), &other.bytes), (200, &first.bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_changed_is_sent_and_refusals_have_no_tag() {
    let service = service().await;
    let first = service.get_as("/v1/schema", &[]).await;
    service.batch(json!([event(1)])).await;
    let tag = first.headers["etag"].to_str().unwrap();
    let now = service.get_as("/v1/schema", &[("if-none-match", tag)]).await;
    assert_eq!(now.status, 200);
    assert_ne!(now.headers["etag"], tag);
    let refused = service.get("/v1/schema", None).await;
    assert_eq!(refused.status, 401);
    assert!(!refused.headers.contains_key("etag"));
    let all = service.get_as("/v1/schema", &[("if-none-match", "*")]).await;
    assert_eq!(all.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_are_packed_for_who_can_unpack_them() {
    let service = service().await;
    let plain = service.get_as("/openapi.json", &[]).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let packed = service.get_as("/openapi.json", &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.bytes.len() < plain.bytes.len() / 4, "{}", packed.bytes.len());
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&packed.bytes[..]);
    std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.bytes);
    let short = service.get_as("/healthz", &[("accept-encoding", "gzip")]).await;
    assert!(!short.headers.contains_key("content-encoding"));
    let tag = packed.headers["etag"].to_str().unwrap();
    let headers = [("accept-encoding", "gzip"), ("if-none-match", tag)];
    assert_eq!(service.get_as("/openapi.json", &headers).await.status, 304);
}

#[rstest]
#[case::plain("a-word_1", true)]
#[case::longest(&"a".repeat(64), true)]
#[case::too_long(&"a".repeat(65), false)]
#[case::empty("", false)]
#[case::forged("a b", false)]
#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_the_id_it_came_with_when_it_is_a_plain_word(
    #[case] given: &str,
    #[case] kept: bool,
) {
    let service = service().await;
    let reply = service.get_as("/healthz", &[("x-request-id", given)]).await;
    let id = reply.headers["x-request-id"].to_str().unwrap();
    assert_eq!(id == given, kept);
    assert!(kept || id.len() == 16, "{id}");
    let batch = service.post("/v1/batch", &[("x-request-id", given)], "{}").await;
    assert_eq!(batch.headers["x-request-id"] == given, kept, "batches go another way");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_10_turning_pages_while_events_come_shows_each_old_one_once() {
    let service = service().await;
    let at = |n: u64, ms: i64| with(event(n), "at", NOW - ms);
    service.batch((0..45).map(|n| at(n + 1, n as i64 * 1_000)).collect()).await;
    let mut seen: Vec<String> = Vec::new();
    let (mut cursor, mut number) = (String::new(), 1_000);
    loop {
        let page = service.get_as(&format!("/v1/events?limit=10{cursor}"), &[]).await.json();
        let ids = page["events"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
        seen.extend(ids.map(str::to_owned));
        // New ones, before and after the place that was reached.
        service.batch(json!([at(number, 0), at(number + 1, 100_000)])).await;
        number += 2;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert!(seen.len() < 100, "it comes to an end");
    }
    let old = |id: &&String| u64::from_str_radix(&id[24..], 16).unwrap() <= 45;
    let old: Vec<_> = seen.iter().filter(old).collect();
    assert_eq!(old.len(), 45);
    assert_eq!(old.iter().collect::<std::collections::HashSet<_>>().len(), 45, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_a_page_that_needs_nothing_from_elsewhere() {
    let service = service().await;
    let reply = service.get("/docs", None).await;
    assert_eq!(reply.status, 200);
    let policy = reply.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    let page = String::from_utf8(reply.bytes).unwrap();
    assert!(page.contains("<code><b>POST</b> /v1/batch</code>"));
    assert!(page.contains("<details id=\"show_usage\">"));
    assert!(!page.contains("<style") && !page.contains(" style="));
    assert_eq!(page.matches("<script").count(), page.matches("<script defer src=\"/").count());
    assert_eq!(page.matches("src=").count(), page.matches("src=\"/").count());
    let links = page.match_indices("href=\"").map(|(at, _)| &page[at + 6..at + 7]);
    assert!(links.into_iter().all(|first| ["/", "#", "d"].contains(&first)), "links stay here");
}
