//! Writers that behave like the SDK, and the ledger of what they sent and what was acknowledged.
//!
//! A batch whose answer never came is sent again, the same bytes, until it has a receipt. Every
//! event carries a text made of its id, so that an event which comes back changed is noticed.
//!
//! Invariant to check ([`Load::assert_exact`]): acknowledged ⊆ stored ⊆ sent, each once, unchanged.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::http::Client;
use crate::phase::{Now, Phase};
use crate::{Event, Reply, TestCollector, TestProject, batch};

/// How hard the writers work.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Threads, each with one batch on its way.
    pub writers: u64,
    /// Events of a batch.
    pub batch: RangeInclusive<usize>,
    /// Between two batches of a writer.
    pub pause: Duration,
    /// What becomes of batches without a receipt when the load ends.
    pub end: End,
}

/// What a writer does with its last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Sends it until it has a receipt.
    Finish,
    /// Leaves it: it may be stored or not.
    Leave,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { writers: 8, batch: 1..=10, pause: Duration::ZERO, end: End::Finish }
    }
}

/// An answer that was no receipt.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What came back.
    pub reply: Reply,
    /// From sending to the answer.
    pub took: Duration,
}

/// What the writers share.
#[derive(Debug)]
pub struct Load {
    project: TestProject,
    client: Client,
    address: RwLock<SocketAddr>,
    ledger: Mutex<Ledger>,
    unanswered: AtomicUsize,
    phase: Phase,
}

/// What was sent, and what became of it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Ids that were ever on their way.
    pub sent: HashSet<String>,
    /// Ids with a receipt, in the order of the receipts.
    pub acknowledged: Vec<String>,
    /// How many receipts there were.
    pub receipts: usize,
    /// Answers that were no receipts, in order.
    pub refusals: Vec<Refusal>,
}

/// What a store holds of the events of a load.
#[derive(Debug, Default)]
pub struct Stored {
    /// How often each id is there.
    pub ids: HashMap<String, usize>,
    /// Ids of events that are not as they were sent.
    pub changed: Vec<String>,
}

impl Load {
    /// A load for this project.
    pub fn new(collector: &TestCollector, project: &TestProject) -> Load {
        Load {
            project: project.clone(),
            client: collector.client(),
            address: RwLock::new(collector.address()),
            ledger: Mutex::default(),
            unanswered: AtomicUsize::new(0),
            phase: Phase::default(),
        }
    }

    /// Write while `during` works; the load ends with it, also when it panics.
    pub fn run<T>(&self, seed: u64, shape: &Shape, during: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let _end = self.phase.begin();
            for writer in 0..shape.writers {
                let random = StdRng::seed_from_u64(seed ^ (writer + 1) << 32);
                scope.spawn(move || self.write(shape, random));
            }
            during()
        })
    }

    /// Where the collector listens after a restart.
    pub fn moved_to(&self, address: SocketAddr) {
        *self.address.write().expect("no writer panics with the lock") = address;
    }

    /// Stop sending new batches, or go on.
    pub fn pause(&self, paused: bool) {
        self.phase.pause(paused);
    }

    /// What was sent and answered so far.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no writer panics with the lock")
    }

    /// How many events have a receipt.
    pub fn acknowledged(&self) -> usize {
        self.ledger().acknowledged.len()
    }

    /// How many requests had no answer at all.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Wait until `done` says so, for at most so long.
    ///
    /// # Panics
    /// When it takes longer, with `what` was waited for.
    pub fn wait_until(&self, what: &str, at_most: Duration, mut done: impl FnMut(&Ledger) -> bool) {
        let from = Instant::now();
        while !done(&self.ledger()) {
            assert!(from.elapsed() < at_most, "{what}: not within {at_most:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What the collector holds.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn stored(&self, collector: &TestCollector) -> Stored {
        let path = "/v1/export?from=2020-01-01&to=2035-01-01";
        let export = collector.get(&self.project, path);
        assert_eq!(export.status, 200, "{}", export.text);
        let mut stored = Stored::default();
        for line in export.text.lines() {
            let event: Value = serde_json::from_str(line).expect("an exported line is JSON");
            let id = event["id"].as_str().expect("an exported event has its id").to_owned();
            if event["props"]["check"] != check(&id) || event["name"] != NAME {
                stored.changed.push(id.clone());
            }
            *stored.ids.entry(id).or_default() += 1;
        }
        stored
    }

    /// Acknowledged ⊆ stored ⊆ sent, each once, unchanged; gives how many are stored.
    ///
    /// # Panics
    /// When one of it does not hold, with the ids.
    pub fn assert_exact(&self, collector: &TestCollector) -> usize {
        self.assert_exact_or(collector, &|_| String::new())
    }

    /// The same; `explain` says more about the acknowledged events that are gone.
    ///
    /// # Panics
    /// When one of it does not hold, with the ids.
    pub fn assert_exact_or(
        &self,
        collector: &TestCollector,
        explain: &dyn Fn(&[&String]) -> String,
    ) -> usize {
        let stored = self.stored(collector);
        let ledger = self.ledger();
        let twice: Vec<_> = stored.ids.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "stored more than once: {twice:?}");
        assert!(stored.changed.is_empty(), "changed: {:?}", stored.changed);
        let lost = ledger.acknowledged.iter().filter(|id| !stored.ids.contains_key(*id));
        let lost: Vec<_> = lost.collect();
        assert!(
            lost.is_empty(),
            "{} acknowledged events are gone{}: {lost:?}",
            lost.len(),
            explain(&lost)
        );
        let invented: Vec<_> = stored.ids.keys().filter(|id| !ledger.sent.contains(*id)).collect();
        assert!(invented.is_empty(), "never sent, and there all the same: {invented:?}");
        stored.ids.len()
    }

    /// How many events a question counts.
    pub fn counted(&self, collector: &TestCollector) -> u64 {
        let answer = collector.query(&self.project, "trend", &question());
        answer["series"][0]["total"].as_f64().expect("a total is a number") as u64
    }

    /// Batches of new events, each until its receipt is there.
    fn write(&self, shape: &Shape, mut random: StdRng) {
        loop {
            match self.phase.now() {
                Now::Running => {}
                Now::Paused => {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                }
                Now::Ending | Now::Failed => return,
            }
            let count = random.random_range(shape.batch.clone());
            let events: Vec<_> = (0..count).map(|_| event(&mut random)).collect();
            let ids = events.iter().map(|event| event.id().to_owned());
            self.ledger().sent.extend(ids);
            self.deliver(&events, shape.end);
            thread::sleep(shape.pause);
        }
    }

    fn deliver(&self, events: &[Event], end: End) {
        let body = batch(&self.project.write_key, events).to_string();
        loop {
            let address = *self.address.read().expect("no writer panics with the lock");
            let headers = [("content-type", "text/plain")];
            let from = Instant::now();
            match self.client.post(address, "/v1/batch", &headers, body.as_bytes()) {
                Ok(reply) if reply.status == 200 => {
                    let receipt = reply.json();
                    let told = receipt["ok"].as_u64().zip(receipt["dup"].as_u64());
                    let (ok, dup) = told.unwrap_or_else(|| panic!("no receipt: {}", reply.text));
                    assert_eq!(ok + dup, events.len() as u64, "valid events: {}", reply.text);
                    let ids = events.iter().map(|event| event.id().to_owned());
                    let mut ledger = self.ledger();
                    ledger.receipts += 1;
                    ledger.acknowledged.extend(ids);
                    return;
                }
                Ok(reply) => {
                    let took = from.elapsed();
                    self.ledger().refusals.push(Refusal { reply, took });
                }
                Err(_) => drop(self.unanswered.fetch_add(1, Ordering::Relaxed)),
            }
            match self.phase.now() {
                Now::Failed => return,
                Now::Ending if end == End::Leave => return,
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

const NAME: &str = "step_done";

/// The question that [`Load::counted`] asks.
pub fn question() -> Value {
    json!({
        "from": "2020-01-01", "to": "2035-01-01", "bucket": "month",
        "series": [{ "event": NAME, "measure": "count" }],
    })
}

/// A new event of a load.
pub fn event(random: &mut StdRng) -> Event {
    let event = Event::new(NAME, random);
    let check = check(event.id());
    event.with("props", json!({ "plan": "team", "check": check }))
}

/// What an event says about itself: the marks of its id, so that a changed event is noticed.
pub fn check(id: &str) -> String {
    marks(id).join(".")
}

/// Four texts of 16 characters that follow from an id, or from a nonce, which is an id without
/// hyphens. They occur nowhere else, and look random: a compressor may find four equal bytes by
/// chance and cut a few letters, but leaves most of them. So the write that holds an event is known. There is no j in
/// them, because the property guard takes what begins with `eyj` for a token.
pub fn marks(id: &str) -> [String; 4] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHI~KLMNOPQRSTUVWXYZabcdefghi!klmnopqrstuvwxyz0123456789-_";
    // FNV-1a, then SplitMix64.
    let digits = id.bytes().filter(|byte| *byte != b'-');
    let mut state = digits.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        char::from(LETTERS[(mixed >> 58) as usize])
    };
    std::array::from_fn(|_| (0..16).map(|_| next()).collect())
}
