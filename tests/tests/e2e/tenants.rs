//! The tenant comes only from the credential: nothing in a header, a body or an id changes it.

use rstest::rstest;
use serde_json::json;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, batch};

const CANARY: &str = "canary_of_b";

/// Shows S3-45.
#[test]
fn a_secret_key_reads_its_own_project_only() {
    let collector = TestCollector::start();
    let (a, b) = (collector.project("a"), collector.project("b"));
    let (_, mut random) = seeded("tenants");
    collector.send(&b, &[Event::new(CANARY, &mut random)]);

    let paths = ["/v1/events", "/v1/events?project=b", "/v1/schema", "/v1/schema?project=b"];
    for path in paths {
        let reply = collector.get(&a, path);
        assert!(!reply.text.contains(CANARY), "{path} shows another tenant: {}", reply.text);
        assert!(reply.status < 500, "{path}: {} {}", reply.status, reply.text);
    }
    let question = json!({ "from": "2020-01-01", "to": "2035-01-01", "bucket": "month",
        "series": [{ "event": CANARY, "measure": "count" }] });
    let (own, other) =
        (collector.query(&b, "trend", &question), collector.query(&a, "trend", &question));
    assert_eq!(own["series"][0]["total"].as_f64(), Some(1.0), "{own}");
    assert_eq!(other["series"][0]["total"].as_f64(), Some(0.0), "{other}");
    assert!(collector.get(&b, "/v1/events").text.contains(CANARY), "its owner does see it");
}

#[test]
fn a_project_named_in_the_body_or_a_header_is_not_believed() {
    let collector = TestCollector::start();
    let (a, b) = (collector.project("a"), collector.project("b"));
    let (_, mut random) = seeded("tenants");
    let mut body = batch(&a.write_key, &[Event::new(CANARY, &mut random).with("project", "b")]);
    body["project"] = json!("b");
    body["tenant"] = json!(b.slug);
    let headers = [("content-type", "text/plain"), ("x-project", "b"), ("x-tenant-id", "b")];

    collector.post("/v1/batch", &headers, body.to_string().as_bytes());

    assert!(!collector.get(&b, "/v1/events").text.contains(CANARY));
}

#[rstest]
#[case::write_key(true)]
#[case::made_up(false)]
fn a_question_needs_a_secret_key(#[case] write_key: bool) {
    let collector = TestCollector::start();
    let mut project = collector.project("a");
    project.secret_key =
        if write_key { project.write_key.clone() } else { "tm_sk_live_made_up".to_owned() };
    let question = json!({ "from": "2026-01-01", "to": "2026-02-01" });

    for reply in
        [collector.ask(&project, "active", &question), collector.get(&project, "/v1/events")]
    {
        assert!([401, 403].contains(&reply.status), "{} {}", reply.status, reply.text);
        assert!(!reply.code().is_empty(), "{}", reply.text);
    }
}

#[test]
fn the_same_event_id_in_two_projects_is_two_events() {
    let collector = TestCollector::start();
    let (a, b) = (collector.project("a"), collector.project("b"));
    let (_, mut random) = seeded("tenants");
    let event = [Event::new("viewed", &mut random)];

    let receipts = [&a, &b].map(|project| collector.send(project, &event).json());

    for receipt in receipts {
        assert_eq!(
            (receipt["ok"].as_u64(), receipt["dup"].as_u64()),
            (Some(1), Some(0)),
            "{receipt}"
        );
    }
}
