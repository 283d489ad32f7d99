//! The page of imports and exports: what its forms take and refuse, who may, and what is left on the disk.

use tallymark::access::Role;
use tallymark::bulk::under_way::What;

use super::access::{member, session_of};
use super::*;

const PATH: &str = "/p/shop/settings/files";
const MARK: &str = "----tallymark";

async fn signed_in(service: &Service, role: Role, email: &str) -> String {
    let account = member(&service.app, MAIN, role, email).await;
    session_of(&service.app, Some(account)).await
}

/// A form as browsers send it: fields, and files by their names.
fn form(fields: &[(&str, &str)], files: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, text) in fields {
        body += &format!(
            "--{MARK}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"
        );
    }
    for (name, text) in files {
        body += &format!(
            "--{MARK}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: text/csv\r\n\r\n{text}\r\n"
        );
    }
    body + &format!("--{MARK}--\r\n")
}

impl Service {
    /// Send files; gives the status and, of a page, its text.
    async fn bring(&self, cookie: &str, body: String) -> (u16, String) {
        let request = Request::post(PATH)
            .header("cookie", cookie)
            .header("accept", "text/html")
            .header("content-type", format!("multipart/form-data; boundary={MARK}"))
            .header("sec-fetch-site", "same-origin");
        let reply = self.send(request.body(body.into()).unwrap()).await;
        (reply.status.as_u16(), String::from_utf8(reply.bytes).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_imported_as_the_form_says_and_what_became_of_them_is_said() {
    let service = service().await;
    let cookie = signed_in(&service, Role::Admin, "admin@a.example").await;
    let fields = [
        ("map", "user=customer, name==bought"),
        ("delimiter", ";"),
        ("columns", "customer,at,amount"),
    ];
    let files = [
        ("a.csv", "ann;2026-11-20;5\nben;2026-11-20;6\n"),
        ("b.csv", "cat;2026-11-21;7\nbad;never;1\n"),
    ];
    assert_eq!(service.bring(&cookie, form(&fields, &files)).await.0, 303);
    let (_, page) = service.page(&cookie, PATH).await;
    assert!(page.contains("3 stored, 0 were stored before, 1 refused"), "{page}");
    let refused =
        "b.csv:2: at_invalid: at is the time of the event: Unix milliseconds, Unix seconds, a date";
    assert!(page.contains("a.csv, b.csv") && page.contains(refused), "{page}");
    assert!(page.contains("admin@a.example"));
    assert_eq!(service.names(&[]).await, ["bought"; 3]);
    // Its form is told by its name, and there is nothing to say besides.
    let lines = "{\"user\":\"dan\",\"at\":\"2026-11-20\",\"name\":\"came\"}\n";
    assert_eq!(service.bring(&cookie, form(&[], &[("c.JSONL", lines)])).await.0, 303);
    assert!(
        service.page(&cookie, PATH).await.1.contains("1 stored, 0 were stored before, 0 refused")
    );
    // A file that is none says so, and stores nothing.
    assert_eq!(service.bring(&cookie, form(&[("format", "parquet")], &files[..1])).await.0, 303);
    let (_, page) = service.page(&cookie, PATH).await;
    assert!(page.contains("<td class=\"bad\">a.csv: "), "{page}");
    assert_eq!(service.names(&[]).await.len(), 4);
    let (_, trail) = service.page(&cookie, "/p/shop/settings/audit").await;
    assert!(trail.contains("import"), "{trail}");
    // Nothing of it lies in the folder.
    let mut left = std::fs::read_dir(service.app.folder.root()).unwrap();
    assert!(left.all(|entry| !entry.unwrap().file_name().to_string_lossy().starts_with(".tmp")));
}

#[rstest]
#[case::no_file(&[("map", "user=customer")], &[("", "")], "choose a file")]
#[case::no_form(&[], &[("events.xml", "<a/>")], "choose one")]
#[case::no_field(&[("map", "nobody=customer")], &[("a.csv", "at\n")], "is not a field")]
#[case::no_delimiter(&[("delimiter", "::")], &[("a.csv", "at\n")], "is not one character")]
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_cannot_be_used_says_why_and_begins_nothing(
    #[case] fields: &[(&str, &str)],
    #[case] files: &[(&str, &str)],
    #[case] why: &str,
) {
    let service = service().await;
    let cookie = signed_in(&service, Role::Admin, "admin@a.example").await;
    let (status, page) = service.bring(&cookie, form(fields, files)).await;
    let alert = page.split("role=\"alert\">").nth(1).unwrap_or(&page);
    assert!(status == 422 && alert.split("</p>").next().unwrap().contains(why), "{status} {alert}");
    assert!(fields.iter().all(|(_, text)| page.contains(text) || *text == "::"), "as it was typed");
    assert_eq!(service.app.works.begun(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_is_refused_with_the_way_out_and_a_form_that_breaks_off_stores_nothing() {
    let service = service_with(Config { import_bytes: 4096, ..Config::default() }).await;
    let cookie = signed_in(&service, Role::Admin, "admin@a.example").await;
    let row = "ann,2026-11-20,came\n";
    let of = |rows: usize| "user,at,name\n".to_owned() + &row.repeat(rows);
    let (status, page) = service.bring(&cookie, form(&[], &[("a.csv", &of(300))])).await;
    assert!(status == 422 && page.contains("larger than 4096 bytes; `tallymark import`"), "{page}");
    let whole = form(&[], &[("a.csv", &of(100))]);
    let (status, _) = service.bring(&cookie, whole[..whole.len() - 40].to_owned()).await;
    assert_eq!((status, service.app.works.begun()), (400, 0));
    assert_eq!(service.bring(&cookie, whole).await.0, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn analysts_export_and_stop_what_is_theirs_and_import_nothing() {
    let service = service().await;
    let cookie = signed_in(&service, Role::Analyst, "analyst@a.example").await;
    let (status, page) = service.page(&cookie, PATH).await;
    assert!(status == 200 && !page.contains("type=\"file\"") && page.contains("name=\"export\""));
    assert_eq!(service.bring(&cookie, form(&[], &[("a.csv", "at\n")])).await.0, 403);
    let begin =
        |who: &str| service.app.works.begin(service.project.id, What::Export, who, "csv", NOW);
    let (own, other) = (begin("analyst@a.example"), begin("ben@a.example"));
    let stop = |number: u64| {
        let (service, cookie) = (&service, &cookie);
        async move { service.fill(cookie, &format!("{PATH}/{number}/stop"), &[]).await.0 }
    };
    assert_eq!((stop(own.number).await, stop(other.number).await), (303, 403));
    assert!(own.scan().is_stopped() && !other.scan().is_stopped());
    assert_eq!(stop(99).await, 303, "it ended meanwhile");
    drop((own, other));
    let (status, page) = service.page(&cookie, &format!("{PATH}?export=1&from=yesterday")).await;
    assert!(
        status == 422 && page.contains("neither a date") && !page.contains("<iframe"),
        "{page}"
    );
}
