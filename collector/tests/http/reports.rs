//! Dashboards that are sent: to a mail server that writes down what it hears, and to a webhook that checks where a request comes from.
//! The PDFs are read by poppler's `pdftotext`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tallymark::access::Role;
use tallymark::reports::send::run_due;

use super::access::{member, session_of};
use super::mail::{Heard, MailServer, Mood};
use super::settings::{HOSTILE, between};
use super::*;

const HOUR: i64 = 3_600_000;
const PATH: &str = "/p/shop/boards/growth/reports";
const CYRILLIC: &str = "Регистрация";

/// A dashboard of what fifteen people did and of what three did, yesterday.
async fn with_board(config: Config) -> (Service, String) {
    let service = service_with(config).await;
    let event = |number: usize, name: &str, person: usize| {
        json!({ "id": format!("01a2020f-5b40-7000-8000-{number:012x}"), "name": name,
            "at": NOW - 24 * HOUR, "user_id": format!("person-{person}"), "props": {} })
    };
    let many = (0..15).map(|n| event(n, CYRILLIC, n));
    let few = (0..3).map(|n| event(100 + n, HOSTILE, n));
    let body = many.chain(few).collect::<Vec<_>>();
    service.as_server(&service.secret_key, body.into()).await;
    let account = member(&service.app, MAIN, Role::Analyst, "ann@shop.example").await;
    let cookie = session_of(&service.app, Some(account)).await;
    let made = service.fill(&cookie, "/p/shop/boards", &[("name", "Growth")]).await;
    assert_eq!(made.1, "/p/shop/boards/growth");
    let kept = |kind: &'static str, query: String, name: &'static str| {
        let (service, cookie) = (&service, cookie.clone());
        async move {
            let fields = [("query", query.as_str()), ("name", name), ("board", "growth")];
            let (status, ..) = service.fill(&cookie, &format!("/p/shop/ask/{kind}"), &fields).await;
            assert_eq!(status, 303, "{name}");
        }
    };
    let named =
        |name: &str| -> String { url::form_urlencoded::byte_serialize(name.as_bytes()).collect() };
    kept("trend", format!("event={}&measure=count", named(CYRILLIC)), "Many").await;
    kept("trend", format!("event={}&measure=count", named(HOSTILE)), HOSTILE).await;
    let steps = format!("step={0}&step={0}", named(CYRILLIC));
    kept("funnel", steps, "Steps").await;
    (service, cookie)
}

fn text_of(pdf: &[u8]) -> String {
    let mut reader = Command::new("pdftotext")
        .args(["-layout", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pdftotext of poppler-utils");
    reader.stdin.take().unwrap().write_all(pdf).unwrap();
    let said = reader.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let complaints = String::from_utf8_lossy(&said.stderr);
    assert!(complaints.is_empty(), "{complaints}");
    String::from_utf8(said.stdout).unwrap()
}

/// Text and attached PDF of a mail.
fn parts(mail: &Heard) -> (String, Vec<u8>) {
    let text = mail.data.split_once("text/plain").expect("a text").1;
    let text = text.split_once("\n\n").unwrap().1.split("\n--").next().unwrap();
    let text = match mail.data.contains("Content-Transfer-Encoding: base64\n\n") {
        _ if text.lines().all(|line| !line.contains(' ')) => {
            String::from_utf8(STANDARD.decode(text.split_whitespace().collect::<String>()).unwrap())
                .unwrap()
        }
        _ => unquoted(text),
    };
    let file = mail.data.split_once("application/pdf").expect("a PDF").1;
    let file = file.split_once("\n\n").unwrap().1.split("\n--").next().unwrap();
    (text, STANDARD.decode(file.split_whitespace().collect::<String>()).unwrap())
}

/// Quoted-printable, undone.
fn unquoted(text: &str) -> String {
    let text = text.replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('=') {
        bytes.extend(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
        rest = &after[2..];
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}

fn header<'a>(mail: &'a Heard, name: &str) -> &'a str {
    let line = mail.data.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {}", mail.data))
}

const DAILY: [(&str, &str); 5] = [
    ("what", "create"),
    ("every", "day"),
    ("hour", "13"),
    ("way", "mail"),
    ("to", "ann@shop.example, eve@elsewhere.example"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_is_mailed_each_day_and_strangers_get_no_small_group() {
    let server = MailServer::start(Mood::Takes).await;
    let (service, cookie) = with_board(server.settings()).await;
    let (status, to, page) = service.fill(&cookie, PATH, &DAILY).await;
    assert_eq!((status, to), (303, format!("{PATH}?done=report")), "{page}");
    assert_eq!(run_due(&service.app).await.unwrap(), 0, "it is half past twelve");
    service.app.clock.advance(HOUR / 2);
    assert_eq!(run_due(&service.app).await.unwrap(), 1);
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    for mail in &mails {
        let (text, file) = parts(mail);
        let read = text_of(&file);
        assert!(
            read.contains("Growth") && read.contains(CYRILLIC) && read.contains("15"),
            "{read}"
        );
        assert!(
            text.contains("Growth") && text.contains("  15") || text.contains(" 15\n"),
            "{text}"
        );
        let is_member = mail.to.contains("<ann@shop.example>");
        assert_eq!(text.contains("/p/shop/boards/growth"), is_member, "{text}");
        assert_eq!(read.contains("Of fewer than ten people"), !is_member, "{read}");
        assert!(read.contains("Sun 15 Nov 2026 to Sat 21 Nov 2026"), "{read}");
        let plain = String::from_utf8_lossy(&file);
        assert!(!plain.contains("/JavaScript") && !plain.contains("/OpenAction"));
    }
    let (_, page) = service.page(&cookie, PATH).await;
    assert!(page.contains("sent on") && page.contains("next on 23"), "{page}");
    assert_eq!(run_due(&service.app).await.unwrap(), 0, "once a day");
    // Three days without a server: one report, not three.
    service.app.clock.advance(3 * 24 * HOUR + 1);
    assert_eq!(run_due(&service.app).await.unwrap(), 1);
    assert_eq!(run_due(&service.app).await.unwrap(), 0);
    assert_eq!(server.mails().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_between_a_mail_and_its_line_sends_that_one_once_more() {
    let server = MailServer::start(Mood::Takes).await;
    let (service, cookie) = with_board(server.settings()).await;
    service.fill(&cookie, PATH, &DAILY).await;
    let table = service.app.meta.reports();
    let only = async || table.list(service.project.id, None).await.unwrap().remove(0);
    service.app.clock.advance(HOUR / 2);
    run_due(&service.app).await.unwrap();
    let before = only().await;
    // As the table was when the second mail had left and nobody knew of it yet.
    service.app.clock.advance(24 * HOUR);
    let due = only().await.due_ms;
    let mut state = before.begun();
    state.tries = 1;
    state.occasion_ms = due;
    state.done = vec!["ann@shop.example".into()];
    run_due(&service.app).await.unwrap();
    table.end(&before, due, NOW).await.unwrap();
    table.keep(before.id, &state).await.unwrap();
    run_due(&service.app).await.unwrap();
    let mails = server.mails();
    assert_eq!(mails.len(), 5, "one more and not two");
    assert_eq!(mails[3].to, mails[4].to);
    assert_eq!(header(&mails[3], "Message-ID: "), header(&mails[4], "Message-ID: "));
    let ids: std::collections::BTreeSet<_> =
        mails[..4].iter().map(|mail| header(mail, "Message-ID: ")).collect();
    assert_eq!(ids.len(), 4, "other mails have other names");
}

#[rstest]
#[case::never(Mood::Never, "nobody here by this name", false)]
#[case::later(Mood::Later, "come back later", true)]
#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_said_and_tried_again_only_where_that_may_help(
    #[case] mood: Mood,
    #[case] why: &str,
    #[case] is_tried_again: bool,
) {
    let server = MailServer::start(mood).await;
    let (service, cookie) = with_board(server.settings()).await;
    service.fill(&cookie, PATH, &DAILY).await;
    service.app.clock.advance(HOUR / 2);
    run_due(&service.app).await.unwrap();
    let (_, page) = service.page(&cookie, PATH).await;
    assert_eq!(page.contains("tried again on"), is_tried_again, "{page}");
    let mut tries = 1;
    for _ in 0..10 {
        service.app.clock.advance(HOUR * 2);
        tries += run_due(&service.app).await.unwrap();
    }
    assert_eq!(tries, if is_tried_again { 5 } else { 1 });
    let (_, page) = service.page(&cookie, PATH).await;
    assert!(page.contains("not sent to everybody") && page.contains(why), "{page}");
    assert!(page.contains("eve@elsewhere.example: "), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_waits_goes_at_once_and_ends_with_its_dashboard() {
    let server = MailServer::start(Mood::Takes).await;
    let (service, cookie) = with_board(server.settings()).await;
    service.fill(&cookie, PATH, &DAILY).await;
    let id = service.app.meta.reports().list(service.project.id, None).await.unwrap()[0].id;
    let id = id.to_string();
    let press = async |what| service.fill(&cookie, PATH, &[("what", what), ("report", &id)]).await;
    assert_eq!(press("pause").await.0, 303);
    service.app.clock.advance(48 * HOUR);
    assert_eq!(run_due(&service.app).await.unwrap(), 0, "it is paused");
    assert_eq!(press("now").await.1, format!("{PATH}?done=report-asked"));
    assert_eq!(run_due(&service.app).await.unwrap(), 1);
    assert_eq!((server.mails().len(), run_due(&service.app).await.unwrap()), (2, 0));
    press("resume").await;
    assert_eq!(
        run_due(&service.app).await.unwrap(),
        0,
        "what was missed while it was paused is not made up for"
    );

    let (_, page) = service.page(&cookie, "/p/shop/boards/growth").await;
    let version = between(&page, "name=\"version\" value=\"", "\"");
    let gone = [("what", "remove_board"), ("version", version)];
    assert_eq!(service.fill(&cookie, "/p/shop/boards/growth", &gone).await.1, "/p/shop/boards");
    service.app.clock.advance(48 * HOUR);
    assert_eq!(run_due(&service.app).await.unwrap(), 0);
    assert_eq!(service.page(&cookie, PATH).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_with_a_reason() {
    let (service, cookie) = with_board(Config::default()).await;
    let form =
        |way, to| [("what", "create"), ("every", "day"), ("hour", "24"), ("way", way), ("to", to)];
    let later = |mut form: [(&'static str, &'static str); 5]| {
        form[2].1 = "7";
        form
    };
    for (fields, why) in [
        (form("webhook", "https://hooks.example.org/"), "hour is 0 to 23"),
        (later(form("mail", "ann@shop.example")), "no mail server is set"),
        (later(form("webhook", "http://hooks.example.org/")), "not an address on the internet"),
        (later(form("webhook", "https://169.254.169.254/")), "not an address on the internet"),
        (later(form("pigeon", "x")), "mail or webhook"),
    ] {
        let (status, _, page) = service.fill(&cookie, PATH, &fields).await;
        assert_eq!(status, 422, "{why}");
        let said = between(&page, "role=\"alert\">", "</p>").to_lowercase();
        assert!(said.contains(why), "{said}");
    }
    let viewer = member(&service.app, MAIN, Role::Viewer, "vic@shop.example").await;
    let viewer = session_of(&service.app, Some(viewer)).await;
    assert_eq!(service.page(&viewer, PATH).await.0, 403);
    assert_eq!(service.fill(&viewer, PATH, &DAILY).await.0, 403);
    let (status, file) = {
        let request = Request::get("/p/shop/boards/growth/pdf?range=7d").header("cookie", &viewer);
        let reply = service.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.headers["content-type"], "application/pdf");
        (reply.status, reply.bytes)
    };
    assert_eq!(status, 200);
    assert!(text_of(&file).contains("Steps"));
}

type Got = Arc<Mutex<Vec<(HeaderMap, String)>>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_the_figures_and_the_file_and_can_check_where_they_come_from() {
    let got = Got::default();
    let take = async |State(got): State<Got>, headers: HeaderMap, body: String| {
        let mut got = got.lock().unwrap();
        got.push((headers, body));
        if got.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let receiver = Router::new().route("/hook", axum::routing::post(take)).with_state(got.clone());
    tokio::spawn(async move { axum::serve(listener, receiver).await });
    let mut config = Config::default();
    config.set("webhook_private", "true").unwrap();
    let (service, cookie) = with_board(config).await;
    let mut fields = DAILY;
    (fields[3].1, fields[4].1) = ("webhook", &address);
    let (status, ..) = service.fill(&cookie, PATH, &fields).await;
    assert_eq!(status, 303);
    service.app.clock.advance(HOUR / 2);
    run_due(&service.app).await.unwrap();
    service.app.clock.advance(HOUR);
    run_due(&service.app).await.unwrap();
    let (_, page) = service.page(&cookie, PATH).await;
    assert!(page.contains("sent on"), "{page}");
    let secret =
        between(&page, "<code>whsec_", "</code>").replace("&#43;", "+").replace("&#61;", "=");
    let secret = STANDARD.decode(secret).unwrap();
    let got = got.lock().unwrap().clone();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].0["webhook-id"], got[1].0["webhook-id"], "the same again");
    for (headers, body) in &got {
        let of = |name: &str| headers[name].to_str().unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(format!("{}.{}.{body}", of("webhook-id"), of("webhook-timestamp")).as_bytes());
        let want = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(of("webhook-signature"), want);
        let said: Value = serde_json::from_str(body).unwrap();
        let figures = &said["data"]["tiles"][0]["figures"][0];
        assert!(
            figures["value"] == "15" && figures["name"].as_str().unwrap().contains(CYRILLIC),
            "{said}"
        );
        let file = STANDARD.decode(said["data"]["file"]["base64"].as_str().unwrap()).unwrap();
        assert!(text_of(&file).contains("Of fewer than ten people"), "a webhook is a stranger");
    }
}
