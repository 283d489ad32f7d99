//! Wrong clocks and late events (semantics.md section 3, delivery.md 9.4): the time an event gets, what
//! is kept of the client's claim, and that nothing is refused without a name for it.

use std::collections::HashMap;

use serde_json::{Value, json};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject, batch, event};

/// Claims at the limits of what is accepted fall on their other side while the batch travels: these
/// cases are tested without a network.
const LIMITS_MS: [i64; 2] = [-30 * 86_400_000, 300_000];

#[test]
fn every_clock_of_the_vectors_gives_the_right_time_or_a_reason() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("clock");
    let vectors: Value =
        serde_json::from_str(include_str!("../../vectors/clock.json")).expect("vectors are JSON");

    let mut stored = HashMap::new();
    for case in vectors["cases"].as_array().expect("cases") {
        let (at, sent_at) = (case["at"].as_i64().expect("a claim"), case["sent_at"].as_i64());
        let at_limit = |limit: &i64| (at - sent_at.unwrap_or(0) - limit).abs() <= 1;
        if LIMITS_MS.iter().any(at_limit) {
            continue;
        }
        let now_ms = i64::try_from(event::now_ms()).expect("now fits");
        let mut event = Event::new("clocked", &mut random).with("at", now_ms + at);
        if !case["mono"].is_null() {
            event = event.with("mono", case["mono"].clone());
        }
        let id = event.id().to_owned();
        let mut sent = batch(&project.write_key, &[event]);
        sent["sent_at"] = json!(sent_at.map(|sent| now_ms + sent));
        sent["sent_mono"] = case["sent_mono"].clone();

        let reply = collector.post("/v1/batch", &[], sent.to_string().as_bytes());
        let receipt = reply.json();

        let name = &case["name"];
        if case["want"]["code"].is_null() {
            assert_eq!(receipt["ok"], 1, "{name}: {receipt}");
            let travel_ms = i64::try_from(event::now_ms()).expect("now fits") - now_ms;
            stored.insert(id, (case, now_ms, travel_ms));
        } else {
            assert_eq!(receipt["rejected"][0]["code"], case["want"]["code"], "{name}: {receipt}");
        }
    }

    assert!(stored.len() > 10, "most cases are accepted");
    for event in events(&collector, &project) {
        let id = event["id"].as_str().expect("an id");
        let (case, sent_ms, travel_ms) = stored.remove(id).expect("one row per accepted event");
        let (name, want) = (&case["name"], &case["want"]);
        let want_ms = sent_ms + want["ts"].as_i64().expect("a time");
        let late_ms = event["at"].as_i64().expect("a time") - want_ms;
        assert!((0..=travel_ms).contains(&late_ms), "{name}: {late_ms} ms off, {event}");
        let claimed_ms = sent_ms + case["at"].as_i64().expect("a claim");
        assert_eq!(event["claimed_at"], claimed_ms, "{name}: what was claimed is kept");
        assert_eq!(event["clock_suspect"], want["suspect"], "{name}");
    }
    assert!(stored.is_empty(), "every accepted event is listed");
}

fn events(collector: &TestCollector, project: &TestProject) -> Vec<Value> {
    let page = collector.get(project, "/v1/events?limit=1000");
    page.json()["events"].as_array().expect("a list").clone()
}
