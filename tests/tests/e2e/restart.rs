//! The same question gives the same answer: from the log or from segments, after any restart.

use serde_json::{Value, json};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject};

use rand::{Rng, RngExt};

#[test]
fn answers_are_equal_before_and_after_a_kill_a_clean_stop_and_a_flush() {
    let mut collector = TestCollector::start();
    let project = collector.project_in("shop", "Europe/Berlin");
    let (_, mut random) = seeded("restart");
    for _ in 0..20 {
        let events = visits(&mut random);
        assert_eq!(collector.send(&project, &events).status, 200);
    }
    let fresh = answers(&collector, &project);
    assert!(fresh.iter().all(|(_, answer)| answer.is_object()));
    assert_ne!(fresh[0].1["series"][0]["total"], json!(0), "the questions see the events");

    collector.kill();
    collector.restart();
    compare("a kill", &fresh, &answers(&collector, &project));

    collector.stop();
    collector.restart();
    compare("a clean stop", &fresh, &answers(&collector, &project));

    collector.stop();
    let offline = collector.export_all(&project);
    collector.restart();
    compare("an export by the stopped binary", &fresh, &answers(&collector, &project));
    assert_eq!(offline.lines().count() as u64, events_total(&fresh), "the export is whole");
}

#[test]
fn an_export_can_be_imported_elsewhere_with_equal_answers_and_again_without_change() {
    let from = TestCollector::start();
    let project = from.project("shop");
    let (_, mut random) = seeded("restart");
    let events: Vec<_> = (0..10).flat_map(|_| visits(&mut random)).collect();
    for chunk in events.chunks(500) {
        assert_eq!(from.send(&project, chunk).status, 200);
    }
    let export = from.export_all(&project);
    let file = from.scratch().join("events.jsonl");
    std::fs::write(&file, export).expect("the scratch folder takes a file");
    let to = TestCollector::start();
    let copy = to.project("copy");
    let import = [
        "import",
        "--project",
        "copy",
        "--format",
        "jsonl",
        "--json",
        file.to_str().expect("a temporary path is UTF-8"),
    ];

    let first: Value = last_json(&to.command_ok(&import));
    compare("an import", &answers(&from, &project), &answers(&to, &copy));
    let second: Value = last_json(&to.command_ok(&import));
    compare("a second import", &answers(&from, &project), &answers(&to, &copy));

    let count = events.len() as u64;
    assert_eq!((first["stored"].as_u64(), first["duplicate"].as_u64()), (Some(count), Some(0)));
    assert_eq!((second["stored"].as_u64(), second["duplicate"].as_u64()), (Some(0), Some(count)));
}

/// One visitor a call: some of view, add, buy, in order, over the last minutes.
pub fn visits(random: &mut impl Rng) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..10 {
        let depth = random.random_range(1..=3);
        let first = Event::new("viewed", random);
        let (device, at) = (first.json()["device"].clone(), first.json()["at"].as_u64());
        let start_ms = at.expect("an event has a time") - 600_000;
        for (step, name) in ["viewed", "added", "bought"].into_iter().take(depth).enumerate() {
            events.push(
                Event::new(name, random)
                    .with("device", device.clone())
                    .with("at", start_ms + step as u64 * 1_000)
                    .with("props", json!({ "price": random.random_range(1..100), "plan": "team" })),
            );
        }
    }
    events
}

/// One answer of each kind, without what may differ: how long it took and how much was read.
pub fn answers(collector: &TestCollector, project: &TestProject) -> Vec<(&'static str, Value)> {
    let range = |extra: Value| {
        let mut question = json!({ "from": "2026-01-01", "to": "2032-01-01" });
        let fields = question.as_object_mut().expect("an object");
        fields.extend(extra.as_object().expect("an object").clone());
        question
    };
    let questions = [
        (
            "trend",
            range(json!({ "bucket": "month", "series": [
            { "event": "viewed", "measure": "count" },
            { "event": "viewed", "measure": "persons" },
            { "event": "bought", "measure": "sum", "prop": "price" },
        ] })),
        ),
        (
            "funnel",
            range(json!({ "window": "1d", "steps": [
            { "event": "viewed" }, { "event": "added" }, { "event": "bought" },
        ], "breakdown": { "prop": "plan", "limit": 5 } })),
        ),
        (
            "retention",
            range(json!({ "bucket": "month", "periods": 3,
            "start": { "event": "viewed" }, "return": { "event": "bought" } })),
        ),
    ];
    let mut answers = Vec::new();
    for (kind, question) in questions {
        let mut answer = collector.query(project, kind, &question);
        let fields = answer.as_object_mut().expect("an answer is an object");
        fields.remove("elapsed_ms");
        fields.remove("rows_scanned");
        answers.push((kind, answer));
    }
    answers
}

fn events_total(answers: &[(&'static str, Value)]) -> u64 {
    let steps = answers[0].1["series"].as_array().expect("a trend has series");
    let viewed = steps[0]["total"].as_f64().expect("a total is a number") as u64;
    // Every view began one visit; added and bought follow from the funnel over single chains.
    let funnel = answers[1].1["steps"].as_array().expect("a funnel has steps");
    viewed + funnel[1..].iter().filter_map(|step| step["persons"].as_u64()).sum::<u64>()
}

fn compare(after: &str, want: &[(&'static str, Value)], got: &[(&'static str, Value)]) {
    for ((kind, want), (_, got)) in want.iter().zip(got) {
        assert_eq!(want, got, "{kind} changed after {after}");
    }
}

/// The summary a command prints last.
fn last_json(printed: &str) -> Value {
    let line = printed.trim().lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no summary in {printed}"))
}
