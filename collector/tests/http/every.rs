//! What holds for every operation there is, whoever adds one: headers, bounds of bodies, fields that nobody knows (reliability
//! tests 26, 29 and 37), and that what runs by itself keeps tenants apart (30).

use tallymark::access::rules::{RULES, Rule};

use super::access::{filled, session_of};
use super::*;

impl Service {
    /// What an operation answers somebody with this cookie, who sends a body from our own pages.
    async fn send_body(&self, cookie: &str, method: &str, path: &str, body: &[u8]) -> Reply {
        let form = if path.starts_with("/v1/") || path.starts_with("/api/") {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("cookie", cookie)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", form);
        self.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }
}

fn takes_a_body(rule: &&Rule) -> bool {
    ["POST", "PUT", "PATCH"].contains(&rule.method)
}

/// What pages of any site may ask; nothing secret is in their answers.
fn is_for_pages(path: &str) -> bool {
    path == "/v1/batch" || path.starts_with("/v1/flags/") || path.starts_with("/sdk/")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_security_headers_and_only_what_pages_need_is_open_to_other_origins() {
    let service = service().await;
    let operator = session_of(&service.app, None).await;
    for rule in RULES {
        let path = filled(rule.path, "shop", "main");
        for (method, cookie) in
            [(rule.method, ""), (rule.method, operator.as_str()), ("OPTIONS", "")]
        {
            let reply = service.send_body(cookie, method, &path, b"").await;
            let what = format!("{method} {path}: {} {:?}", reply.status, reply.headers);
            for name in ["x-content-type-options", "content-security-policy", "x-request-id"] {
                assert_eq!(reply.headers.get_all(name).iter().count(), 1, "{name}: {what}");
            }
            let open = reply.headers.get("access-control-allow-origin");
            assert!(open.is_none_or(|_| is_for_pages(rule.path)), "{what}");
            assert!(!reply.headers.contains_key("access-control-allow-credentials"), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_takes_more_of_a_body_than_four_mebibytes() {
    let service = service().await;
    let operator = session_of(&service.app, None).await;
    let body = vec![b' '; 5 << 20];
    let mut refused = 0;
    for rule in RULES.iter().filter(takes_a_body) {
        let path = filled(rule.path, "shop", "main");
        // Each is new: some of them sign out.
        let reply = service.send_body(&operator, rule.method, &path, &body).await;
        assert!(reply.status.as_u16() < 500, "{path}: {reply:?}");
        refused += usize::from(reply.status == 413);
    }
    assert!(refused > 20, "only {refused}");
}

/// Operations that look at nothing of a body, or change nothing; and batches, in which newer pages may say more than we know.
const OPEN: [&str; 5] = [
    "/v1/batch",
    "/v1/stats/{fn}",
    "/v1/usage/rollup",
    "/api/analytics/rollup",
    "/v1/organisations/{organisation}/members/{account}/reset",
];

/// Refused for another reason first.
const NOT_NAMED: [&str; 2] = ["/v1/usage", "/v1/experiments"];

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_that_changes_something_takes_a_field_that_it_does_not_know() {
    let service = service().await;
    let operator = session_of(&service.app, None).await;
    let ours = |rule: &&Rule| rule.path.starts_with("/v1/") || rule.path.starts_with("/api/");
    let mut wrong = Vec::new();
    for rule in RULES.iter().filter(takes_a_body).filter(ours) {
        if OPEN.contains(&rule.path) {
            continue;
        }
        let path = filled(rule.path, "shop", "main");
        let body = br#"{"canary_field":1}"#;
        let reply = service.send_body(&operator, rule.method, &path, body).await;
        let text = String::from_utf8_lossy(&reply.bytes);
        let (is_refused, is_named) =
            (reply.status.is_client_error(), text.contains("canary_field"));
        // What is not there is not there, whatever was to be changed of it.
        let is_known = is_named || reply.status == 404 || NOT_NAMED.contains(&rule.path);
        if !(is_refused && is_known) {
            wrong.push(format!("{} {path}: {} {text}", rule.method, reply.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let before = service.send_body(&operator, "GET", "/v1/project?project=shop", b"").await.json();
    for field in ["id", "slug", "salt", "organisation", "created_at"] {
        let body = json!({ field: "changed" }).to_string();
        let path = "/v1/project?project=shop";
        let reply = service.send_body(&operator, "PATCH", path, body.as_bytes()).await;
        assert!(reply.status.is_client_error(), "{field}: {reply:?}");
    }
    let after = service.send_body(&operator, "GET", "/v1/project?project=shop", b"").await.json();
    assert_eq!(before, after);
}

/// Fifty tenants at once: answers, the rollup, and files of the daily export have each one's own, and all of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_by_itself_keeps_fifty_tenants_apart() {
    const TENANTS: u64 = 50;
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.set("export_folder", folder.path().to_str().unwrap()).unwrap();
    config.set("export_format", "jsonl").unwrap();
    let service = service_with(config).await;
    let canary = |tenant: u64| format!("canary_{tenant:02}_");
    let mut keys = Vec::new();
    for tenant in 0..TENANTS {
        let made = project(&service.app, &format!("tenant-{tenant:02}")).await;
        keys.push(key(&service.app, &made, KeyKind::Secret, Scopes::all()).await);
    }
    // Each tenant's number of events is its own, and they come one after the other.
    for round in 0..TENANTS {
        for tenant in (0..TENANTS).filter(|tenant| *tenant >= round) {
            let mut sent = with(event(round * 100 + tenant + 1), "name", canary(tenant));
            sent.as_object_mut().unwrap().remove("device");
            let sent = with(
                with(sent, "user_id", canary(tenant)),
                "props",
                json!({ "c": canary(tenant) }),
            );
            let receipt = service.as_server(&keys[tenant as usize], json!([sent])).await.json();
            assert_eq!(receipt["ok"], 1, "{receipt}");
        }
    }
    let ask = async |tenant: u64| {
        let bearer = format!("Bearer {}", keys[tenant as usize]);
        let headers = [("authorization", bearer.as_str())];
        let question = json!({ "from": "2026-11-22", "to": "2026-11-23",
            "series": [{ "measure": "count" }], "breakdown": "event" });
        let reply = service.post("/v1/query/trend", &headers, question.to_string()).await;
        let usage = service.get("/v1/usage", Some(&keys[tenant as usize])).await;
        assert_eq!(usage.json()["metrics"]["events_daily"]["total"], tenant + 1, "{usage:?}");
        let text = String::from_utf8(reply.bytes).unwrap();
        own(&text, tenant);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["series"][0]["total"], tenant + 1);
    };
    for tenant in 0..TENANTS {
        ask(tenant).await;
    }
    service.app.clock.advance(86_400_000);
    tallymark::usage::rollup::run(&service.app, i32::MIN, None).await.unwrap();
    assert_eq!(tallymark::bulk::schedule::run(&service.app).await.unwrap(), TENANTS + 1);
    for tenant in 0..TENANTS {
        let file = folder.path().join(format!("tenant-{tenant:02}/2026-11-22.jsonl"));
        let text = std::fs::read_to_string(file).unwrap();
        own(&text, tenant);
        assert_eq!(text.lines().count() as u64, tenant + 1);
    }
}

/// A text names this tenant's canary and nobody else's.
fn own(text: &str, tenant: u64) {
    let found = text.match_indices("canary_").map(|(at, _)| text.get(at + 7..at + 9));
    let numbers: std::collections::BTreeSet<_> = found.flatten().collect();
    assert_eq!(numbers, [format!("{tenant:02}").as_str()].into(), "{text}");
}
