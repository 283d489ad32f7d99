//! The pages of experiments: planned, made, started, looked at, decided; and the code to paste.

use tallymark::access::Role;

use super::access::{member, session_of};
use super::settings::HOSTILE;
use super::*;

async fn analyst(service: &Service) -> String {
    let account = member(&service.app, MAIN, Role::Analyst, "ann@a.example").await;
    session_of(&service.app, Some(account)).await
}

const NEW: &str = "/p/shop/new-experiment";
const FORM: [(&str, &str); 9] = [
    ("key", "buy-button"),
    ("hypothesis", HOSTILE),
    ("variant", "control"),
    ("variant", "green"),
    ("event", "bought"),
    ("kind", "conversion"),
    ("guardrail", "refunded"),
    ("margin", "5"),
    ("method", "fixed"),
];

/// People who met a variant, some of whom bought.
async fn met(service: &Service, people: std::ops::Range<u64>) {
    let mut events = Vec::new();
    for n in people {
        let variant = if n % 2 == 0 { "control" } else { "green" };
        let id = |kind: u64| format!("01a2020f-5b40-7000-8000-{:012x}", n * 4 + kind);
        let who = format!("person-{n}");
        events.push(json!({ "id": id(0), "name": "$exposure", "at": NOW + 500, "user_id": who,
            "props": { "experiment": "buy-button", "variant": variant } }));
        if n % 4 == 1 || n % 12 == 0 {
            events
                .push(json!({ "id": id(1), "name": "bought", "at": NOW + 1_000, "user_id": who }));
        }
    }
    for part in events.chunks(400) {
        let reply = service.as_server(&service.secret_key, json!(part)).await;
        assert_eq!(reply.json()["rejected"], json!([]), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_is_planned_made_started_read_and_concluded() {
    let service = service().await;
    let cookie = analyst(&service).await;
    let (_, page) = service.page(&cookie, "/p/shop/experiments").await;
    assert!(page.contains("Nothing is being tried yet") && page.contains(NEW), "{page}");
    let (status, page) = service.page(&cookie, NEW).await;
    assert_eq!((status, page.contains("What you expect")), (200, true));

    let mut fields = FORM.to_vec();
    fields.extend([("lift", "10"), ("baseline", "4"), ("per_day", "8000"), ("act", "plan")]);
    let (status, _, page) = service.fill(&cookie, NEW, &fields).await;
    assert_eq!(status, 200);
    assert!(page.contains("<dd>78,950</dd>") && page.contains("<dd>39,475</dd>"), "{page}");
    assert!(page.contains("14\u{a0}days") && page.contains("name=\"days\" value=\"14\""), "{page}");
    assert!(!page.contains("<script>alert"));
    fields.pop();
    fields.push(("act", "create"));
    let (status, to, page) = service.fill(&cookie, NEW, &fields).await;
    assert_eq!((status, &*to), (303, "/p/shop/experiments/buy-button?done=saved"), "{page}");
    let stored = service.app.meta.definitions().find(service.project.id, "buy-button").await;
    let definition = serde_json::Value::Object(stored.unwrap().unwrap().definition.json());
    assert_eq!(definition["mde"], 0.1);
    assert_eq!(definition["analysis"], json!({ "method": "fixed", "plan": { "persons": 78950 } }));
    assert_eq!(definition["guardrails"][0]["metric"]["preferred"], "decrease");
    assert_eq!(definition["ends_at"], "2026-12-06T12:30:00Z");

    let (_, page) = service.page(&cookie, &to).await;
    assert!(page.contains("It has not begun") && page.contains(">Start now</button>"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("<img src=x"));
    let transition = "/p/shop/experiments/buy-button/transition";
    let step = |to: &'static str| [("to", to), ("note", HOSTILE)];
    let (status, _, page) = service.fill(&cookie, transition, &step("paused")).await;
    assert_eq!((status, page.contains("role=\"alert\"")), (409, true));
    let (status, to, _) = service.fill(&cookie, transition, &step("running")).await;
    assert_eq!((status, &*to), (303, "/p/shop/experiments/buy-button?done=state"));
    let (_, page) = service.page(&cookie, &to).await;
    assert!(page.contains("Nobody is in its arms yet"), "{page}");
    assert!(page.contains("started it") && !page.contains("<script>alert"), "{page}");

    service.app.clock.advance(2_000);
    met(&service, 0..400).await;
    service.app.clock.advance(60_000);
    let (_, page) = service.page(&cookie, "/p/shop/experiments/buy-button?slice=country").await;
    for part in ["All metrics", "decides", "guardrail", "Sample ratio", "How much is still to come"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("<svg class=\"whisker"), "{page}");
    let (_, page) = service.page(&cookie, "/p/shop/experiments?state=running").await;
    assert!(page.contains("400\u{a0}people") && !page.contains("<script>alert"), "{page}");
    let (_, page) = service.page(&cookie, "/p/shop/experiments?state=draft").await;
    assert!(page.contains("None is in this state"));

    service.fill(&cookie, transition, &step("concluded")).await;
    let (_, page) = service.page(&cookie, "/p/shop/experiments/buy-button").await;
    assert!(
        page.contains("concluded it") && !page.contains("action=\"/p/shop/experiments"),
        "{page}"
    );
    let (_, page) = service.page(&cookie, "/p/shop/experiments/buy-button/code").await;
    assert!(
        page.contains("case &#34;green&#34;") && page.contains("track(&#34;bought&#34;)"),
        "{page}"
    );
    let (status, page) = service.page(&cookie, "/p/shop/experiments/nothing").await;
    assert_eq!((status, page.contains("There is nothing here")), (404, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_takes_what_it_is_not_told_from_what_was_seen() {
    let service = service().await;
    let cookie = analyst(&service).await;
    let fields = [("event", "bought"), ("lift", "20"), ("act", "plan")];
    let (status, _, page) = service.fill(&cookie, NEW, &fields).await;
    assert_eq!((status, page.contains("Nobody did this event in the last weeks")), (422, true));
    met(&service, 0..120).await;
    service.app.clock.advance(60_000);
    let (status, _, page) = service.fill(&cookie, NEW, &fields).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("In the last 28 days 40 of 120 people did it."), "{page}");
    assert!(
        page.contains("name=\"baseline\" value=\"33.33\"")
            && page.contains("name=\"per_day\" value=\"4\"")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_comes_back_as_it_was_typed() {
    let service = service().await;
    let cookie = analyst(&service).await;
    let flag = r#"{ "kind": "flag", "key": "menu", "value": false }"#;
    for (fields, status) in [
        (vec![("act", "create"), ("key", HOSTILE)], 422),
        (vec![("act", "create"), ("key", "a"), ("lift", "much")], 422),
        (vec![("act", "plan")], 422),
        (vec![("act", "json"), ("json", HOSTILE)], 422),
        (vec![("act", "json"), ("json", "{}")], 422),
        (vec![("act", "json"), ("json", flag)], 303),
        (vec![("act", "json"), ("json", flag)], 409),
    ] {
        let (got, _, page) = service.fill(&cookie, NEW, &fields).await;
        assert_eq!(got, status, "{fields:?}: {page}");
        assert_eq!(status == 303, !page.contains("role=\"alert\""), "{fields:?}");
        assert!(!page.contains("<script>alert"), "{fields:?}");
    }
    let (_, page) = service.page(&cookie, "/p/shop/experiments/menu/code").await;
    assert!(page.contains("value(&#34;menu&#34;, false)"), "{page}");
    let viewer = member(&service.app, MAIN, Role::Viewer, "v@a.example").await;
    let viewer = session_of(&service.app, Some(viewer)).await;
    let (_, page) = service.page(&viewer, "/p/shop/experiments/menu").await;
    assert!(!page.contains("/transition"), "no buttons for who may not: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_that_is_assigned_elsewhere_is_listed_and_read() {
    let service = service().await;
    let cookie = analyst(&service).await;
    met(&service, 0..200).await;
    let events = json!([{ "id": "01a2020f-5b40-7000-8000-ffffffffffff", "name": "$exposure", "at": NOW, "user_id": "anna",
        "props": { "experiment": HOSTILE, "variant": HOSTILE } }]);
    service.as_server(&service.secret_key, events).await;
    service.app.clock.advance(60_000);
    let (_, page) = service.page(&cookie, "/p/shop/experiments").await;
    assert!(page.contains("assigned elsewhere") && page.contains("200\u{a0}people"), "{page}");
    assert!(
        page.contains("/p/shop/experiments/%22%3E%3Cscript") && !page.contains("<script>alert")
    );
    let (status, page) = service.page(&cookie, "/p/shop/experiments/buy-button").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("success is bought") && page.contains("All metrics"), "{page}");
    assert!(!page.contains("/transition") && !page.contains("Decision log"), "{page}");
}
