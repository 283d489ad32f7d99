//! Events are kept as long as the project says, by name, and what goes is counted.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallymark_tests::event::now_ms;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject};

const DAY_MS: u64 = 86_400_000;

#[test]
fn events_that_are_too_old_go_by_the_rule_of_their_name_and_are_counted() {
    let (_, mut random) = seeded("retention");
    let mut collector = TestCollector::start();
    let (project, other) = (collector.project("shop"), collector.project("other"));
    let rules = ["project", "keep", "shop", "--days", "2", "--event", "paid=ever", "--json"];
    let said: Value = serde_json::from_str(&collector.command_ok(&rules)).expect("it is JSON");
    assert_eq!(said, json!({ "slug": "shop", "days": 2, "events": { "paid": null } }));
    let wrong = collector.command(&["project", "keep", "shop", "--days", "0"]);
    assert!(!wrong.status.success(), "no days at all is a mistake");
    collector.kill();
    collector.restart();

    let event = |name: &str, days: u64| {
        let at = now_ms() - days * DAY_MS - 1_000;
        format!("{}\n", json!({ "name": name, "at": at, "user": "ann" }))
    };
    let events = [event("viewed", 1), event("viewed", 2), event("paid", 2), event("viewed", 300)];
    let file = collector.scratch().join("events.jsonl");
    std::fs::write(&file, events.concat()).expect("a file can be written");
    let file = file.to_string_lossy();
    for slug in ["shop", "other"] {
        collector.command_ok(&["import", "--project", slug, "--format", "jsonl", &file]);
    }

    // A file of which all is too old goes as it is; beside others a row waits for the next write.
    wait_for(&collector, &project, 3);
    assert_eq!(expired(&collector), 1);

    let old = Event::new("viewed", &mut random).with("at", now_ms() - 2 * DAY_MS - 1_000);
    assert_eq!(collector.send(&project, &[old]).json()["ok"], 1);
    assert_eq!(collector.export_all(&project).lines().count(), 4, "not written to a segment yet");
    // A start writes what the log had, and looks at every file.
    collector.kill();
    collector.restart();
    wait_for(&collector, &project, 2);
    assert_eq!(expired(&collector), 2);
    assert_eq!(collector.export_all(&other).lines().count(), 4, "it has no rules");
}

/// Wait until so many events are left.
fn wait_for(collector: &TestCollector, project: &TestProject, left: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    while collector.export_all(project).lines().count() > left && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(collector.export_all(project).lines().count(), left);
}

/// Events that are gone since the start, by the metrics.
fn expired(collector: &TestCollector) -> u64 {
    let reply = collector.client().get(collector.address(), "/metrics", None);
    let metrics = reply.expect("the server answers").text;
    let line = metrics.lines().find_map(|line| line.strip_prefix("tallymark_store_expired "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{metrics}"))
}
