//! Usage equals what servers were told is counted, over kills; quotas hold at their edge; labels stay few.
//! Reliability tests 20 and 21.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::{Value, json};
use tallymark_tests::event::{now_ms, uuid7};
use tallymark_tests::rounds::{Rounds, figure};
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Event, TestCollector, TestProject, batch};

fn total(collector: &TestCollector, project: &TestProject, metric: &str) -> u64 {
    let reply = collector.get(project, &format!("/v1/usage?metric={metric}"));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["metrics"][metric]["total"].as_u64().unwrap_or(0)
}

#[test]
fn s3_08_usage_equals_the_raw_count_over_kills_under_load() {
    const SENDERS: usize = 4;
    const PATIENCE: Duration = Duration::from_secs(60);
    let (seed, mut random) = seeded("usage");
    let mut kills = Rounds::of("kills", "TALLYMARK_TEST_KILLS", 10);
    let mut collector = TestCollector::start();
    let project = collector.project("metered");
    let address = Mutex::new(collector.address());
    let (done, amount, calls) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let tell = |sender: usize| {
        let client = tallymark_tests::http::Client::default();
        let (_, mut random) = seeded(&format!("usage {seed} {sender}"));
        let bearer = format!("Bearer {}", project.secret_key);
        while !done.load(Ordering::Relaxed) {
            let more = random.random_range(0..10);
            let told = json!({ "metric": "builds_daily", "amount": more,
                "id": uuid7(now_ms(), &mut random) });
            // Until it was heard to be on disk, whatever became of the answers before.
            let from = Instant::now();
            loop {
                let at: SocketAddr = *address.lock().unwrap();
                let body = told.to_string();
                let headers = [("authorization", bearer.as_str())];
                match client.post(at, "/v1/usage", &headers, body.as_bytes()) {
                    Ok(reply) if reply.status == 200 => break,
                    other => assert!(from.elapsed() < PATIENCE, "never stored: {other:?}"),
                }
                thread::sleep(Duration::from_millis(5));
            }
            amount.fetch_add(more, Ordering::Relaxed);
            calls.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let tell = &tell;
            scope.spawn(move || tell(sender));
        }
        for _ in &mut kills {
            thread::sleep(Duration::from_millis(random.random_range(50..=400)));
            collector.kill();
            collector.restart();
            *address.lock().unwrap() = collector.address();
        }
        thread::sleep(Duration::from_millis(100));
        done.store(true, Ordering::Relaxed);
    });
    let (amount, calls) = (amount.into_inner(), calls.into_inner());
    assert!(calls > 40, "too little to mean anything: {calls}");
    let check = |collector: &TestCollector, when: &str| {
        assert_eq!(total(collector, &project, "builds_daily"), amount, "{when}");
        assert_eq!(total(collector, &project, "events_daily"), calls, "{when}");
        let raw = collector.query(
            &project,
            "trend",
            &json!({ "series": [
            { "event": "usage_recorded" },
            { "event": "usage_recorded", "measure": "sum", "prop": "amount" } ] }),
        );
        let raw = |at: usize| raw["series"][at]["total"].as_f64().unwrap() as u64;
        assert_eq!((raw(0), raw(1)), (calls, amount), "{when}");
    };
    check(&collector, "under load");
    let rollup = || {
        let bearer = format!("Bearer {}", project.secret_key);
        collector.post("/v1/usage/rollup", &[("authorization", &bearer)], b"").json()
    };
    rollup();
    rollup();
    check(&collector, "rolled up");
    collector.kill();
    collector.restart();
    check(&collector, "after the last kill");
    figure(&format!("{} kills, {calls} calls told {amount}: the figures are equal", kills.made()));
}

/// A rollup reads the hours that were counted with the segments, not the events. `TALLYMARK_TEST_EVENTS=10000000` is the row's number.
#[test]
fn s3_63_a_rollup_takes_less_than_a_second_however_many_events_there_are() {
    let collector = TestCollector::start();
    let project = collector.project("many");
    let events = amount("TALLYMARK_TEST_EVENTS", 200_000).to_string();
    let made = collector.command_ok(&["demo", "--slug", "many", "--events", &events, "--json"]);
    let made: Value = serde_json::from_str(made.trim().lines().last().unwrap()).unwrap();
    let counted = total(&collector, &project, "events_daily");
    assert_eq!(Some(counted), made["stored"].as_u64(), "the demo makes about {events}");
    let bearer = format!("Bearer {}", project.secret_key);
    let took = Instant::now();
    let reply = collector.post("/v1/usage/rollup", &[("authorization", &bearer)], b"");
    let took = took.elapsed();
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.json()["rows"].as_u64() >= Some(1), "{}", reply.text);
    figure(&format!("a rollup of {counted} events took {took:.1?}"));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(total(&collector, &project, "events_daily"), counted, "the same as before");
}

#[test]
fn a_quota_is_overshot_by_a_batch_of_each_sender_at_most_and_what_was_refused_arrives_later() {
    const SENDERS: u64 = 64;
    const BATCH: u64 = 10;
    const QUOTA: u64 = 1_000;
    let collector = TestCollector::start();
    let project = collector.project("quota");
    let set = |limit: u64| {
        let body = json!({ "settings": { "quotas": {
            "events_daily": { "limit": limit, "policy": "throttle" } } } });
        let bearer = format!("Bearer {}", project.secret_key);
        let headers = [("authorization", bearer.as_str())];
        let client = collector.client();
        let body = body.to_string();
        let reply =
            client.send("PATCH", collector.address(), "/v1/project", &headers, body.as_bytes());
        assert_eq!(reply.expect("the server answers").status, 200);
    };
    set(QUOTA);
    let refused: Mutex<Vec<Value>> = Mutex::default();
    let start = Barrier::new(SENDERS as usize);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (refused, start, collector, project) = (&refused, &start, &collector, &project);
            scope.spawn(move || {
                let client = collector.client();
                let (_, mut random) = seeded(&format!("quota {sender}"));
                start.wait();
                for _ in 0..4 {
                    let events: Vec<_> =
                        (0..BATCH).map(|_| Event::new("step_done", &mut random)).collect();
                    let body = batch(&project.write_key, &events);
                    let text = body.to_string();
                    let reply = client.post(collector.address(), "/v1/batch", &[], text.as_bytes());
                    let reply = reply.expect("the server answers");
                    match reply.status {
                        200 => assert_eq!(reply.json()["ok"], BATCH, "{}", reply.text),
                        429 => {
                            assert_eq!(reply.code(), "quota_exceeded", "{}", reply.text);
                            assert!(reply.retry_after.is_some(), "it says when to come again");
                            refused.lock().unwrap().push(body);
                        }
                        other => panic!("{other}: {}", reply.text),
                    }
                }
            });
        }
    });
    let stored = total(&collector, &project, "events_daily");
    assert!((QUOTA..=QUOTA + SENDERS * BATCH).contains(&stored), "{stored} of {QUOTA}");
    let refused = refused.into_inner().unwrap();
    assert_eq!(stored + refused.len() as u64 * BATCH, SENDERS * 4 * BATCH, "each has an answer");

    set(1_000_000);
    for body in &refused {
        let reply = collector.post("/v1/batch", &[], body.to_string().as_bytes());
        assert_eq!(reply.json()["ok"], BATCH, "{}", reply.text);
    }
    assert_eq!(total(&collector, &project, "events_daily"), SENDERS * 4 * BATCH);
    figure(&format!(
        "{SENDERS} senders of batches of {BATCH}: {stored} stored of a quota of {QUOTA}, {} batches \
         refused and stored after it was raised",
        refused.len()
    ));
}

/// Shows S3-57.
#[test]
fn metrics_stay_short_whatever_names_clients_make_up() {
    const NAMES: u64 = 100_000;
    let environment = [("TALLYMARK_METRICS_BY_PROJECT", "true")];
    let collector = TestCollector::start_with(&environment);
    let project = collector.project("labels");
    let (_, mut random) = seeded("labels");
    let mut memory = 0;
    for first in (0..NAMES).step_by(500) {
        let events: Vec<_> = (first..first + 500)
            .map(|n| {
                let event = Event::new(&format!("made_up_{n}"), &mut random);
                event.with("props", json!({ format!("prop_{n}"): n }))
            })
            .collect();
        assert_eq!(collector.send(&project, &events).json()["ok"], 500);
        let bad = json!({ "key": format!("tm_pk_live_{first:028}"), "events": [] }).to_string();
        assert_eq!(collector.post("/v1/batch", &[], bad.as_bytes()).status, 401);
        let path = format!("/made/up/{first}");
        assert_eq!(collector.get(&project, &path).status, 404);
        if first == 10_000 {
            memory = collector.memory_bytes();
        }
    }
    let metrics = collector.get(&project, "/metrics").text;
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    assert!(
        series <= 2_000 && metrics.len() <= 1 << 20,
        "{series} series, {} bytes",
        metrics.len()
    );
    let other = r#"tallymark_analytics_events_total{tenant="other",event="other",source="other"} "#;
    let other = metrics.lines().find_map(|line| line.strip_prefix(other));
    let named = metrics.lines().filter(|line| line.contains("event=\"made_up_")).count() as u64;
    assert_eq!(other.and_then(|count| count.parse().ok()), Some(NAMES - named), "no count is lost");
    let grown = collector.memory_bytes().saturating_sub(memory) >> 20;
    figure(&format!(
        "{NAMES} event names, properties, keys and paths: {series} series, {} KiB of metrics, {grown} MiB more memory",
        metrics.len() >> 10
    ));
}
