//! Refused events are kept with the reason, listed, and sent again once it is mended; together with the
//! others they are then all that was sent, each once. Reliability test 14.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use tallymark_tests::load::event;
use tallymark_tests::rounds::figure;
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Event, Reply, TestCollector, TestProject};

/// How events are broken, the code that says so, and the fix.
const FAULTS: [(&str, &str); 3] =
    [("name", "event_name_invalid"), ("session", "session_invalid"), ("writer", "writer_invalid")];

#[test]
fn refused_events_are_listed_mended_and_sent_again_and_none_counts_twice() {
    let (_, mut random) = seeded("quarantine");
    let count = amount("TALLYMARK_TEST_QUARANTINE", 100_000);
    let invalid = count / 10;
    let mut collector = TestCollector::start();
    let project = collector.project("quarantine");
    let mut good: Vec<Event> = (0..count).map(|_| event(&mut random)).collect();
    let mut sent = good.clone();
    let mut broken = BTreeMap::new();
    for (n, event) in sent.iter_mut().take(invalid).enumerate() {
        let (field, code) = FAULTS[n % FAULTS.len()];
        let wrong = if field == "name" { "" } else { "not one" };
        *event = event.clone().with(field, wrong);
        broken.insert(event.id().to_owned(), code);
    }
    sent.shuffle(&mut random);
    let (mut ok, mut refused) = (0, BTreeMap::new());
    for batch in sent.chunks(500) {
        let receipt = collector.send(&project, batch).json();
        ok += receipt["ok"].as_u64().expect("a receipt counts");
        for rejected in receipt["rejected"].as_array().expect("a receipt names what it refused") {
            let event = &batch[rejected["i"].as_u64().expect("a place") as usize];
            let code = rejected["code"].as_str().expect("a code").to_owned();
            refused.insert(event.id().to_owned(), code);
        }
    }
    assert_eq!(ok as usize, count - invalid);
    assert!(refused.iter().all(|(id, code)| broken[id] == code) && refused.len() == invalid);

    // What is listed is what was refused, after a kill too.
    collector.kill();
    collector.restart();
    let listed = listed(&collector, &project);
    assert_eq!(listed.len(), invalid);
    for refused in &listed {
        let id = refused["event"]["id"].as_str().expect("the event has its id");
        assert_eq!(refused["code"], broken[id], "{refused}");
        assert_eq!(refused["event"]["device"], "redacted", "{refused}");
    }

    // The fix; one call of each is made twice, as by somebody who saw no answer.
    let (mut sent_again, mut dup) = (0, 0);
    for (field, code) in FAULTS {
        let fix = match field {
            "name" => json!({ "code": code, "set": { "name": "step_done" } }),
            _ => json!({ "code": code, "unset": [field] }),
        };
        loop {
            let done = resubmit(&collector, &project, &fix);
            assert_eq!(done.status, 200, "{}", done.text);
            let done = done.json();
            assert_eq!(done["rejected"], json!([]), "{done}");
            sent_again += done["ok"].as_u64().expect("a count");
            dup += done["dup"].as_u64().expect("a count");
            if done["next"].is_null() {
                break;
            }
        }
    }
    assert_eq!((sent_again as usize, dup), (invalid, 0));
    let left: Value = collector.get(&project, "/v1/quarantine").json();
    assert_eq!((&left["events"], &left["kept"]), (&json!([]), &json!({})), "{left}");
    assert_eq!((&left["refused"], &left["dropped"]), (&json!(invalid), &json!(0)), "{left}");

    // Everything once more, mended, by its sender: it is all there.
    good.shuffle(&mut random);
    for batch in good.chunks(500) {
        let receipt = collector.send(&project, batch).json();
        assert_eq!(receipt["dup"], json!(batch.len()), "{receipt}");
    }
    let persons: u64 = measured(&collector, &project, "persons");
    assert_eq!(measured(&collector, &project, "count"), count as u64);
    assert_eq!(persons, count as u64, "each event has a device of its own, refused ones too");
    figure(&format!(
        "{invalid} of {count} events refused, listed with their codes, sent again: {count} stored"
    ));
}

#[test]
fn more_refused_events_than_are_kept_are_counted() {
    let (_, mut random) = seeded("quarantine");
    let collector = TestCollector::start();
    let project = collector.project("quarantine");
    let more = random.random_range(1..=500);
    let bad: Vec<Event> = (0..10_000 + more).map(|_| event(&mut random).with("name", "")).collect();
    for batch in bad.chunks(500) {
        assert_eq!(collector.send(&project, batch).status, 200);
    }
    let answer = collector.get(&project, "/v1/quarantine?limit=1").json();
    assert_eq!(answer["kept"]["event_name_invalid"], 10_000, "{answer}");
    assert_eq!(answer["dropped"], json!(more), "{answer}");
    assert_eq!(answer["refused"], json!(10_000 + more), "{answer}");
    let oldest_kept = answer["events"][0]["event"]["id"].as_str().expect("it has its id");
    assert_eq!(oldest_kept, bad[more].id(), "the oldest go first");
}

#[test]
fn what_is_still_wrong_after_the_fix_stays_and_says_why() {
    let (_, mut random) = seeded("quarantine");
    let collector = TestCollector::start();
    let project = collector.project("quarantine");
    let bad = event(&mut random).with("name", "").with("session", "not one");
    assert_eq!(collector.send(&project, &[bad]).status, 200);
    let number = listed(&collector, &project)[0]["number"].clone();

    let half =
        resubmit(&collector, &project, &json!({ "numbers": [number], "set": { "name": "a" } }));
    assert_eq!(half.json()["rejected"][0]["code"], "session_invalid", "{}", half.text);
    assert_eq!(listed(&collector, &project).len(), 1);
    let whole = json!({ "numbers": [number], "set": { "name": "a" }, "unset": ["session"] });
    assert_eq!(resubmit(&collector, &project, &whole).json()["ok"], 1);
    assert!(listed(&collector, &project).is_empty());

    assert_eq!(resubmit(&collector, &project, &json!({})).status, 422, "which ones?");
    let other = collector.project("other");
    assert!(listed(&collector, &other).is_empty());
    let headers = [("content-type", "application/json")];
    let nobody = collector.post("/v1/quarantine/resubmit", &headers, br#"{"code":"a"}"#);
    assert_eq!(nobody.status, 401, "{}", nobody.text);
}

/// Every page of the list.
fn listed(collector: &TestCollector, project: &TestProject) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let reply = collector.get(project, &format!("/v1/quarantine?limit=500&after={after}"));
        assert_eq!(reply.status, 200, "{}", reply.text);
        let page = reply.json();
        all.extend(page["events"].as_array().expect("a page has events").iter().cloned());
        match page["next"].as_i64() {
            Some(next) => after = next,
            None => return all,
        }
    }
}

fn resubmit(collector: &TestCollector, project: &TestProject, fix: &Value) -> Reply {
    let bearer = format!("Bearer {}", project.secret_key);
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    collector.post("/v1/quarantine/resubmit", &headers, fix.to_string().as_bytes())
}

fn measured(collector: &TestCollector, project: &TestProject, measure: &str) -> u64 {
    let question = json!({ "from": "2020-01-01", "to": "2035-01-01", "bucket": "month",
        "series": [{ "event": "step_done", "measure": measure }] });
    let answer = collector.query(project, "trend", &question);
    answer["series"][0]["total"].as_f64().expect("a total is a number") as u64
}
