//! Visits: sessions, and where people go in them, over HTTP.

use serde_json::{Value, json};
use tallymark_tests::event::now_ms;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject, batch};

const MINUTE_MS: u64 = 60_000;
const SESSION: &str = "01a20217-218f-7da0-9d12-b3f82d8397c8";

/// Minutes since three hours ago, and the page; a word without a slash is an event that is none.
fn visit(
    collector: &TestCollector,
    project: &TestProject,
    steps: &[(u64, &str)],
    dress: impl Fn(Event) -> Event,
) {
    let (_, mut random) = seeded("visits");
    let begin = now_ms() - 180 * MINUTE_MS;
    for (minute, step) in steps {
        let name = if step.starts_with('/') { "$pageview" } else { *step };
        let event = Event::new(name, &mut random).with("at", begin + minute * MINUTE_MS);
        let event = dress(event.with("device", "d".repeat(64)));
        let mut body = batch(&project.write_key, &[event]);
        if step.starts_with('/') {
            body["context"] = json!({ "url": format!("https://shop.example{step}") });
        }
        let headers = [("content-type", "text/plain")];
        let reply = collector.post("/v1/batch", &headers, body.to_string().as_bytes());
        assert_eq!(reply.json()["ok"], json!(1), "{}", reply.text);
    }
}

fn asked(collector: &TestCollector, project: &TestProject, kind: &str, mut body: Value) -> Value {
    body["from"] = json!("2026-01-01");
    body["to"] = json!("2032-01-01");
    collector.query(project, kind, &body)
}

/// Times are corrected by how long each batch was on its way.
fn is_about(got: &Value, want_ms: u64) -> bool {
    got.as_f64().is_some_and(|got| (got - want_ms as f64).abs() < 10_000.0)
}

#[test]
fn silence_of_more_than_half_an_hour_ends_a_visit_also_after_a_restart() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let steps = [(0, "/a"), (29, "/b"), (60, "/a"), (61, "clicked")];
    visit(&collector, &project, &steps, |event| event);
    for again in [false, true] {
        if again {
            collector.stop();
            collector.restart();
        }
        let month = json!({ "bucket": "month" });
        let answer = asked(&collector, &project, "sessions", month);
        let total = &answer["total"];
        assert_eq!(total["sessions"], json!(2), "{answer}");
        assert_eq!(total["bounces"], json!(1), "one view and a click: {answer}");
        assert!(is_about(&total["median_duration_ms"], (29 + 1) * MINUTE_MS / 2), "{answer}");
        assert_eq!(total["pages_per_session"], json!(1.5), "{answer}");
        let pages = &answer["entry_pages"][0];
        assert_eq!((&pages["path"], &pages["sessions"]), (&json!("/a"), &json!(2)), "{answer}");
        let paths = asked(&collector, &project, "paths", json!({}));
        let edge = json!({ "depth": 1, "from": "/a", "to": "/b", "count": 1, "persons": 1 });
        assert_eq!(paths["edges"], json!([edge]), "{paths}");
    }
}

#[test]
fn a_named_visit_goes_by_its_name_and_a_path_begins_and_ends_at_an_event() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let steps = [(0, "/a"), (50, "$conversion"), (100, "/b")];
    visit(&collector, &project, &steps, |event| event.with("session", SESSION));

    let sessions = asked(&collector, &project, "sessions", json!({ "bucket": "month" }));
    assert_eq!(sessions["total"]["sessions"], json!(1), "{sessions}");
    assert!(is_about(&sessions["total"]["median_duration_ms"], 100 * MINUTE_MS), "{sessions}");
    let edge = |question| {
        let answer = asked(&collector, &project, "paths", question);
        (answer["edges"][0]["from"].clone(), answer["edges"][0]["to"].clone())
    };
    assert_eq!(edge(json!({ "to_event": "$conversion" })), (json!("/a"), json!("$conversion")));
    assert_eq!(edge(json!({ "from_event": "$conversion" })), (json!("$conversion"), json!("/b")));
    // As often as the way back, and before it by name.
    assert_eq!(edge(json!({ "by": "event" })), (json!("$conversion"), json!("$pageview")));
}

#[test]
fn a_server_has_no_visits_of_its_own() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("visits");
    let event = Event::new("paid", &mut random).without("device").with("user_id", "marie");
    let reply = collector.send_as_server(&project, &[event]);
    assert_eq!(reply.json()["ok"], json!(1), "{}", reply.text);
    let answer = asked(&collector, &project, "sessions", json!({ "bucket": "month" }));
    assert_eq!(answer["total"]["sessions"], json!(0), "{answer}");
    assert_eq!(answer["total"]["bounce_ratio"], Value::Null, "{answer}");
}
