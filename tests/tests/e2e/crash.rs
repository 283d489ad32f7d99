//! Killed at random moments under load: nothing acknowledged is lost, nothing counts twice.
//!
//! Writers behave like the SDK: a batch whose answer never came is sent again, the same bytes,
//! until it is acknowledged. The test keeps the ledger: the ids whose receipt it has read.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tallymark_tests::http::Client;
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Event, TestCollector, TestProject, batch};

const WRITERS: u64 = 8;
const READY_WITHIN: Duration = Duration::from_secs(2);

/// What the writers share.
struct Load<'a> {
    project: &'a TestProject,
    address: RwLock<SocketAddr>,
    /// Ids with a receipt, in the order of the receipts.
    ledger: Mutex<Vec<String>>,
    unanswered: AtomicUsize,
    ended: AtomicBool,
}

#[test]
fn no_acknowledged_event_is_lost_or_counted_twice_over_fifty_kills() {
    let (seed, mut random) = seeded("crash");
    let kills = amount("TALLYMARK_TEST_KILLS", 50);
    let mut collector = TestCollector::start();
    let project = collector.project("crash");
    let load = Load {
        project: &project,
        address: RwLock::new(collector.address()),
        ledger: Mutex::default(),
        unanswered: AtomicUsize::new(0),
        ended: AtomicBool::new(false),
    };
    let mut ready = Vec::new();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (load, client) = (&load, collector.client());
            scope.spawn(move || write(load, &client, StdRng::seed_from_u64(seed ^ writer << 32)));
        }
        // A failed assertion below must end the writers too, or the scope would wait for ever.
        let _end = EndOnDrop(&load.ended);
        for _ in 0..kills {
            thread::sleep(Duration::from_millis(random.random_range(5..=500)));
            collector.kill();
            ready.push(collector.restart());
            *load.address.write().expect("no writer panics with the lock") = collector.address();
        }
    });
    ready.sort();
    let ledger = load.ledger.into_inner().expect("no writer panics with the lock");
    let acknowledged: BTreeSet<_> = ledger.iter().cloned().collect();
    println!(
        "{kills} kills, {} events acknowledged, {} answers lost on the way, ready in {:?} at most",
        ledger.len(),
        load.unanswered.into_inner(),
        ready.last().expect("there was a restart"),
    );
    assert_eq!(acknowledged.len(), ledger.len(), "writers make new ids");
    assert!(ledger.len() > kills * 20, "too little load to mean anything: {}", ledger.len());
    assert!(ready.last() <= Some(&READY_WITHIN), "slow restarts: {ready:?}");

    let stored = exported_ids(&collector, &project);
    let twice: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !stored.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} acknowledged events are gone: {lost:?}", lost.len());
    assert_eq!(stored.len(), acknowledged.len(), "every batch was sent until it had a receipt");
    assert_eq!(counted(&collector, &project), stored.len() as u64);

    resend_everything(&collector, &project, &ledger);
    assert_eq!(counted(&collector, &project), stored.len() as u64, "a resend counted again");
}

/// One writer: batches of 1 to 10 events, each sent until its receipt arrives.
fn write(load: &Load<'_>, client: &Client, mut random: StdRng) {
    while !load.ended.load(Ordering::Relaxed) {
        let events: Vec<_> = (0..random.random_range(1..=10))
            .map(|_| Event::new("step_done", &mut random).with("props", json!({ "plan": "team" })))
            .collect();
        let body = batch(&load.project.write_key, &events).to_string();
        loop {
            let address = *load.address.read().expect("no writer panics with the lock");
            let headers = [("content-type", "text/plain")];
            let reply = client.post(address, "/v1/batch", &headers, body.as_bytes());
            if let Ok(reply) = reply
                && reply.status == 200
            {
                let receipt = reply.json();
                let told = receipt["ok"].as_u64().zip(receipt["dup"].as_u64());
                let (ok, dup) = told.unwrap_or_else(|| panic!("no receipt: {}", reply.text));
                assert_eq!(ok + dup, events.len() as u64, "valid events: {}", reply.text);
                let ids = events.iter().map(|event| event.id().to_owned());
                load.ledger.lock().expect("no writer panics with the lock").extend(ids);
                break;
            }
            load.unanswered.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// All ids the store holds, with how often.
fn exported_ids(collector: &TestCollector, project: &TestProject) -> HashMap<String, usize> {
    let export = collector.export_all(project);
    let mut ids = HashMap::new();
    for line in export.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).expect("an exported line is JSON");
        let id = event["id"].as_str().expect("an exported event has its id").to_owned();
        *ids.entry(id).or_default() += 1;
    }
    ids
}

/// How many events the dashboard would show.
fn counted(collector: &TestCollector, project: &TestProject) -> u64 {
    let question = json!({
        "from": "2020-01-01", "to": "2035-01-01", "bucket": "month",
        "series": [{ "event": "step_done", "measure": "count" }],
    });
    let answer = collector.query(project, "trend", &question);
    answer["series"][0]["total"].as_f64().expect("a total is a number") as u64
}

/// Every acknowledged event once more, as a client does that never saw its receipts.
fn resend_everything(collector: &TestCollector, project: &TestProject, ledger: &[String]) {
    let (_, mut random) = seeded("resend");
    for ids in ledger.chunks(500) {
        let again: Vec<_> = ids
            .iter()
            .map(|id| Event::new("step_done", &mut random).with("id", id.as_str()))
            .collect();
        let receipt = collector.send(project, &again).json();
        assert_eq!(
            (receipt["ok"].as_u64(), receipt["dup"].as_u64()),
            (Some(0), Some(ids.len() as u64))
        );
    }
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
