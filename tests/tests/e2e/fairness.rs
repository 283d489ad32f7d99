//! A project that sends far too much stops itself and nobody else (reliability test 19), and many of them no server.
//!
//! `TALLYMARK_TEST_SECONDS` says how long each half lasts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tallymark_tests::rounds::figure;
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Event, TestCollector, TestProject, batch};

/// Batches per second that the loud project may send, and by how much it sends more.
const MAY_PER_S: u64 = 10;
const TIMES: u64 = 20;
const LOUD_SENDERS: u64 = 4;
const LOUD_BATCH: u64 = 100;
/// `flooded` and `{}`: what an event of the loud project is counted as.
const EVENT_BYTES: u64 = 9;
/// Less than what it may send in the time, so both bounds are met.
const STORED_BYTES: u64 = 30_000;
/// Below this, a longest answer is as good as any: syncs of a shared disk take as long.
const FLOOR: Duration = Duration::from_millis(40);

#[test]
fn a_project_at_twenty_times_its_limit_slows_nobody_and_stores_no_more_than_it_may() {
    let half = Duration::from_secs(amount("TALLYMARK_TEST_SECONDS", 5) as u64);
    let collector = TestCollector::start();
    let loud = collector.project("loud");
    let quiet = [collector.project("quiet"), collector.project("calm")];
    let body = json!({ "settings": { "batches_per_s": MAY_PER_S, "stored_bytes": STORED_BYTES } });
    let bearer = format!("Bearer {}", loud.secret_key);
    let headers = [("authorization", bearer.as_str())];
    let set = collector.client().send(
        "PATCH",
        collector.address(),
        "/v1/project",
        &headers,
        body.to_string().as_bytes(),
    );
    assert_eq!(set.expect("the server answers").status, 200);

    let alone = quiet_for(&collector, &quiet, half);
    let done = AtomicBool::new(false);
    let (stored, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let beside = thread::scope(|scope| {
        for sender in 0..LOUD_SENDERS {
            let (collector, loud, done) = (&collector, &loud, &done);
            let (stored, refused) = (&stored, &refused);
            scope.spawn(move || flood(collector, loud, sender, done, stored, refused));
        }
        let beside = quiet_for(&collector, &quiet, half);
        done.store(true, Ordering::Relaxed);
        beside
    });

    let (stored, refused) = (stored.into_inner(), refused.into_inner());
    let (alone_p99, beside_p99) = (p99(&alone.took), p99(&beside.took));
    figure(&format!(
        "a project at {TIMES} times its limit for {} s: {refused} of its batches refused, {} bytes of it stored of {STORED_BYTES}; \
         two others: {} batches, none refused, p99 {alone_p99:.1?} alone and {beside_p99:.1?} beside it",
        half.as_secs(),
        stored * EVENT_BYTES,
        beside.took.len(),
    ));
    assert!(
        refused > stored / LOUD_BATCH,
        "it was not stopped: {stored} events, {refused} refused"
    );
    let most = STORED_BYTES + LOUD_SENDERS * LOUD_BATCH * EVENT_BYTES;
    assert!(stored * EVENT_BYTES <= most, "{} bytes of {most}", stored * EVENT_BYTES);
    assert!(stored > 0, "it may send something");
    assert!(beside_p99 <= alone_p99.max(FLOOR).mul_f64(1.5), "{beside_p99:?} after {alone_p99:?}");
    for project in &quiet {
        let question = json!({ "series": [{ "event": "worked", "measure": "count" }] });
        let total = collector.query(project, "trend", &question)["series"][0]["total"].as_u64();
        assert_eq!(total, Some((alone.events + beside.events) / 2), "{}", project.slug);
    }
}

/// Shows S3-55.
#[test]
fn a_flood_is_refused_before_memory_is_short_and_what_was_taken_is_there() {
    const SENDERS: u64 = 24;
    const BATCH: u64 = 400;
    /// Bodies in memory (64 MiB at most, packed and not), a queue, memtables being filled and written, ids.
    const MAY_GROW_BYTES: u64 = 224 << 20;
    let settings = [
        ("TALLYMARK_INGEST_CONCURRENCY", "8"),
        ("TALLYMARK_QUEUE_BYTES", "2097152"),
        ("TALLYMARK_MEMTABLE_BYTES", "16777216"),
        ("TALLYMARK_DEDUPE_BYTES", "8000000"),
        ("TALLYMARK_CACHE_BYTES", "0"),
    ];
    let collector = TestCollector::start_with(&settings);
    let project = collector.project("flooded");
    let idle = collector.memory_bytes();
    let until = Instant::now() + Duration::from_secs(amount("TALLYMARK_TEST_SECONDS", 5) as u64);
    let (stored, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (collector, project) = (&collector, &project);
            let (stored, refused) = (&stored, &refused);
            scope.spawn(move || {
                let client = collector.client();
                let (_, mut random) = seeded(&format!("flood {sender}"));
                while Instant::now() < until {
                    let props = json!({ "text": "x".repeat(1_000) });
                    let event = |_| Event::new("flooded", &mut random).with("props", props.clone());
                    let events: Vec<_> = (0..BATCH).map(event).collect();
                    let body = batch(&project.write_key, &events).to_string();
                    let reply = client.post(collector.address(), "/v1/batch", &[], body.as_bytes());
                    let reply = reply.expect("the server answers");
                    match reply.status {
                        200 => stored
                            .fetch_add(reply.json()["ok"].as_u64().unwrap(), Ordering::Relaxed),
                        429 | 503 => {
                            assert!(reply.retry_after.is_some(), "{}", reply.text);
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("{other}: {}", reply.text),
                    };
                }
            });
        }
    });
    let (stored, refused) = (stored.into_inner(), refused.into_inner());
    let grown = collector.peak_memory_bytes().saturating_sub(idle);
    figure(&format!(
        "a flood: {stored} events taken, {refused} batches refused, memory grew by {} MiB at most",
        grown >> 20
    ));
    assert!(refused > 0, "it was no flood");
    assert!(grown <= MAY_GROW_BYTES, "{} MiB", grown >> 20);
    let question = json!({ "series": [{ "event": "flooded", "measure": "count" }] });
    let total = collector.query(&project, "trend", &question)["series"][0]["total"].as_u64();
    assert_eq!(total, Some(stored), "what was acknowledged is there");
}

/// What the quiet projects met.
struct Met {
    took: Vec<Duration>,
    events: u64,
}

/// Both quiet projects send the same at an easy pace, and everything is taken.
fn quiet_for(collector: &TestCollector, projects: &[TestProject; 2], time: Duration) -> Met {
    const BATCHES_PER_S: u64 = 40;
    const BATCH: u64 = 5;
    let count = time.as_secs() * BATCHES_PER_S;
    let took = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for project in projects {
            let took = &took;
            scope.spawn(move || {
                let client = collector.client();
                let (_, mut random) = seeded(&format!("fairness {}", project.slug));
                let mut next = Instant::now();
                for _ in 0..count {
                    let events: Vec<_> =
                        (0..BATCH).map(|_| Event::new("worked", &mut random)).collect();
                    let body = batch(&project.write_key, &events).to_string();
                    let began = Instant::now();
                    let reply = client.post(collector.address(), "/v1/batch", &[], body.as_bytes());
                    let reply = reply.expect("the server answers");
                    took.lock().unwrap().push(began.elapsed());
                    assert_eq!((reply.status, reply.json()["ok"].as_u64()), (200, Some(BATCH)));
                    next += Duration::from_secs(1) / BATCHES_PER_S as u32;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            });
        }
    });
    Met { took: took.into_inner().unwrap(), events: 2 * count * BATCH }
}

/// Send without minding any answer.
fn flood(
    collector: &TestCollector,
    loud: &TestProject,
    sender: u64,
    done: &AtomicBool,
    stored: &AtomicU64,
    refused: &AtomicU64,
) {
    let client = collector.client();
    let (_, mut random) = seeded(&format!("fairness loud {sender}"));
    let mut next = Instant::now();
    while !done.load(Ordering::Relaxed) {
        let events: Vec<_> = (0..LOUD_BATCH).map(|_| Event::new("flooded", &mut random)).collect();
        let body = batch(&loud.write_key, &events).to_string();
        let reply = client.post(collector.address(), "/v1/batch", &[], body.as_bytes());
        let reply = reply.expect("the server answers");
        match reply.status {
            200 => stored.fetch_add(reply.json()["ok"].as_u64().unwrap(), Ordering::Relaxed),
            429 => {
                assert!(
                    ["rate_limited", "stored_bytes_full"].contains(&reply.code().as_str()),
                    "{}",
                    reply.text
                );
                assert!(reply.retry_after.is_some(), "it says when to come again");
                refused.fetch_add(1, Ordering::Relaxed)
            }
            other => panic!("{other}: {}", reply.text),
        };
        next += Duration::from_secs(LOUD_SENDERS) / (MAY_PER_S * TIMES) as u32;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn p99(took: &[Duration]) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * 99 / 100).min(sorted.len() - 1)]
}
