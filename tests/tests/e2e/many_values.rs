//! A property with as many values as events: every question about it is answered, in memory that grows with
//! the values and no faster, and in time that nobody waits for long; or refused, where a question may not have
//! so much (`question_bytes`).
//!
//! `TALLYMARK_TEST_VALUES` says how many there are.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallymark_tests::rounds::figure;
use tallymark_tests::seed::amount;
use tallymark_tests::{Launch, TestCollector, TestProject};

/// What a question may add for each value, and whatever it is about.
const BYTES_A_VALUE: u64 = 1 << 10;
const BYTES: u64 = 64 << 20;
/// What questions may have: enough for a million values, and the least that can be set.
const ENOUGH: &[(&str, &str)] = &[("TALLYMARK_QUESTION_BYTES", "1073741824")];
const LEAST: &[(&str, &str)] = &[("TALLYMARK_QUESTION_BYTES", "16777216")];
/// How long one may take, a slow machine included.
const MOST: Duration = Duration::from_secs(30);
/// Who has them.
const PEOPLE: usize = 1_000;

#[test]
fn as_many_values_as_events_are_answered_in_bounded_memory_and_time() {
    let values = amount("TALLYMARK_TEST_VALUES", 1_000_000);
    let mut collector = TestCollector::start_with(ENOUGH);
    let project = collector.project("values");
    import(&collector, values);
    // The memory of the import is not that of a question.
    collector.stop();
    collector.restart();

    let by_path = json!({ "prop": "path", "limit": 10 });
    let series = |measure: &str| json!([{ "event": "seen", "measure": measure }]);
    let ask = |kind: &str, body: Value| asked(&collector, &project, kind, body, values);
    let trend = ask("trend", json!({ "series": series("count"), "breakdown": by_path }));
    let total = |line: &Value| line["total"].as_u64().expect("a count");
    let lines = trend["series"].as_array().expect("a list");
    assert_eq!(lines.len(), 11, "ten values and the others");
    assert_eq!(lines.iter().map(total).sum::<u64>(), values as u64, "nothing is lost");

    let trend = ask("trend", json!({ "series": series("persons"), "breakdown": by_path }));
    let other = trend["series"].as_array().and_then(|lines| lines.last()).expect("the others");
    assert_eq!((&other["group"], total(other)), (&json!("other"), PEOPLE as u64), "{other}");

    let pairs = json!({ "prop": ["path", "half"], "limit": 10 });
    let trend = ask("trend", json!({ "series": series("count"), "breakdown": pairs }));
    let lines = trend["series"].as_array().expect("a list");
    assert_eq!(lines.iter().map(total).sum::<u64>(), values as u64, "nothing is lost");

    let steps = json!([{ "event": "seen" }, { "event": "seen" }]);
    let funnel = ask("funnel", json!({ "steps": steps, "window": "30d", "breakdown": by_path }));
    assert_eq!(funnel["steps"][1]["persons"], json!(PEOPLE), "{}", funnel["steps"]);

    let paths = ask("paths", json!({ "event": "seen", "by": "path", "limit": 10 }));
    assert_eq!(paths["edges"].as_array().map(Vec::len), Some(10));
    assert_eq!(paths["depths"][0]["count"], json!(values - PEOPLE), "{}", paths["depths"]);

    collector.stop();
    collector.restart_as(Launch::with(LEAST)).expect("it starts with another setting");
    let before = collector.memory_bytes();
    let body = json!({ "series": series("persons"), "breakdown": by_path,
        "from": "2026-09-01", "to": "2026-09-02" });
    let refused = collector.ask(&project, "trend", &body);
    let added = collector.peak_memory_bytes().saturating_sub(before);
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("question_too_large")));
    assert!(added < 2 * BYTES, "refusing took {added} bytes");
}

/// Everybody does the same number of events, one a second in turn: each is one session.
fn import(collector: &TestCollector, values: usize) {
    let mut rows = String::from("user,at,name,path,half\n");
    for value in 0..values {
        let (person, second) = (value % PEOPLE, value / PEOPLE);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let at = format!("2026-09-01T{hour:02}:{minute:02}:{:02}Z", second % 60);
        let half = if 2 * value < values { "first" } else { "second" };
        writeln!(rows, "u{person},{at},seen,/a/rather/long/path/{value:08},{half}")
            .expect("a text takes everything");
    }
    let file = collector.scratch().join("values.csv");
    std::fs::write(&file, rows).expect("the scratch folder is writable");
    let file = file.to_str().expect("its path is UTF-8");
    let imported =
        collector.command_ok(&["import", "--project", "values", "--format", "csv", "--json", file]);
    let summary = imported.trim().lines().last().expect("an import prints its summary");
    let summary: Value = serde_json::from_str(summary).expect("as JSON");
    assert_eq!(summary["stored"], json!(values), "{summary}");
}

fn asked(
    collector: &TestCollector,
    project: &TestProject,
    kind: &str,
    mut body: Value,
    values: usize,
) -> Value {
    body["from"] = json!("2026-09-01");
    body["to"] = json!("2026-09-02");
    let before = collector.memory_bytes();
    let from = Instant::now();
    let answer = collector.query(project, kind, &body);
    let (took, most) = (from.elapsed(), collector.peak_memory_bytes());
    let added = most.saturating_sub(before);
    figure(&format!("{kind} by {values} values: {} ms, {} MiB", took.as_millis(), added >> 20));
    assert!(added < BYTES + values as u64 * BYTES_A_VALUE, "{kind}: {added} bytes for {values}");
    assert!(took < MOST, "{kind}: {took:?} for {values}");
    answer
}
