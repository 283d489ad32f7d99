//! A snapshot while everything else goes on: batches, logins, erasures, flushes and merges, each on
//! threads of their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tallymark_analysis::answer::{Answer, Facts};
use tallymark_analysis::events::{Actors, Dictionaries, EventSet, Run, ScanPlan};
use tallymark_analysis::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use tallymark_analysis::{Context, compile};
use tallymark_store::row::flags;
use tallymark_store::{MemoryCatalog, PeopleCommand, Row, Store, StoreOptions};

use crate::support::{append_rows, options, row, temp_dir};

/// Rows of one batch: a snapshot has all of them or none.
const BATCH: u64 = 4;
/// Users; each has one device.
const USERS: u64 = 12;
const DEVICE: u64 = 1_000;
const SNAPSHOTS: u64 = 50;
const PAUSE: Duration = Duration::from_millis(3);

/// Rows per person.
struct Count(ScanPlan);

impl Analysis for Count {
    fn scan(&self) -> &ScanPlan {
        &self.0
    }
    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(ByRun::new(&self.0, Counting(Partial::default())))
    }
    fn answer(&self, _: &Partial, _: &Facts) -> Answer {
        unreachable!("the store never reads answers")
    }
}

struct Counting(Partial);

impl RunKernel for Counting {
    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        self.0.add(vec![Key::Int(run.person as i64)], &[run.len() as f64]);
    }
    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        self.0
    }
}

fn count() -> Count {
    Count(ScanPlan {
        from_ms: i64::MIN,
        to_ms: i64::MAX,
        events: EventSet::All,
        needs: Vec::new(),
        only: None,
        texts: Vec::new(),
        numbers: Vec::new(),
        actors: Actors::Never,
        sessions: false,
    })
}

/// A batch of a user's device: before the login, at it and after it.
fn batch(user: u64, n: u64) -> Vec<Row> {
    let event = |i: u64| {
        let is_login = i == 1;
        let person = if is_login { user } else { DEVICE + user };
        // Half a year, however many batches a slow machine takes: each week more is more to merge.
        let hour = (n * BATCH + i) % 4_000;
        let ts_ms = 1_700_000_000_000 + hour as i64 * 3_600_000;
        let mut row = row(1, person, ts_ms, n * BATCH + i + 1);
        row.actor = DEVICE + user;
        row.flags = if is_login { flags::IDENTIFIED } else { 0 };
        row
    };
    (0..BATCH).map(event).collect()
}

#[test]
fn a_snapshot_answers_the_same_twice_and_whole_while_everything_goes_on() {
    let dir = temp_dir();
    let options = StoreOptions { merge_fan_in: 2, cache_bytes: 1 << 16, ..options(dir.path()) };
    let store = Store::open(options, Arc::new(MemoryCatalog::new())).unwrap();
    let (is_over, batches) = (AtomicBool::new(false), AtomicU64::new(0));
    // Batches acknowledged per user, and users erased: both as known before a snapshot is taken.
    let acknowledged: Mutex<BTreeMap<u64, u64>> = Mutex::default();
    let erased: Mutex<Vec<u64>> = Mutex::default();
    let go_on = || !is_over.load(Ordering::Relaxed);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (store, batches, acknowledged, go_on) = (&store, &batches, &acknowledged, &go_on);
            scope.spawn(move || {
                while go_on() {
                    let n = batches.fetch_add(1, Ordering::Relaxed);
                    let user = 1 + (n + writer) % USERS;
                    append_rows(store, batch(user, n));
                    *acknowledged.lock().unwrap().entry(user).or_default() += 1;
                    // A question must not have more and more to read.
                    thread::sleep(PAUSE);
                }
            });
        }
        scope.spawn(|| {
            while go_on() {
                store.flush().unwrap();
                thread::sleep(PAUSE);
            }
        });
        scope.spawn(|| {
            while go_on() {
                store.settle().unwrap();
                thread::sleep(PAUSE);
            }
        });
        scope.spawn(|| {
            for user in 1..USERS {
                // Who is erased before a login was seen has no device that is known.
                let has_logged_in = || acknowledged.lock().unwrap().contains_key(&user);
                let taken = batches.load(Ordering::Relaxed);
                let is_early = || batches.load(Ordering::Relaxed) < taken + 20 || !has_logged_in();
                while go_on() && is_early() {
                    thread::yield_now();
                }
                store.people(PeopleCommand::Erase { project: 1, id: user, at_ms: 0 }).unwrap();
                erased.lock().unwrap().push(user);
                if user % 3 == 0 {
                    store.erase_files().unwrap();
                }
            }
        });
        // Also when a check fails: the others go on until they are told.
        let _over = OnDrop(|| is_over.store(true, Ordering::Relaxed));
        for _ in 0..SNAPSHOTS {
            let before = acknowledged.lock().unwrap().clone();
            let gone = erased.lock().unwrap().clone();
            let snapshot = store.snapshot();
            let first = snapshot.ask(1, &count()).unwrap().partial;
            check(&first, &before, &gone);
            let days = json!({ "from": "2023-11-01", "to": "2024-06-01" });
            let context = Context::utc(1_800_000_000_000);
            let days = compile("active", days, &context).unwrap().analysis;
            let by_days = snapshot.ask(1, &*days).unwrap().partial;
            thread::sleep(PAUSE);
            assert!(snapshot.ask(1, &count()).unwrap().partial == first, "another answer");
            assert!(snapshot.ask(1, &*days).unwrap().partial == by_days, "other days");
        }
    });
    assert!(store.stats().flushes > 5 && store.stats().merges > 5, "{:?}", store.stats());
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Whole batches, each person once under the user's name, nothing that was acknowledged missing, and
/// nobody who was erased before.
fn check(partial: &Partial, acknowledged: &BTreeMap<u64, u64>, erased: &[u64]) {
    let rows = |person: u64| partial.cell(&[Key::Int(person as i64)], 0) as u64;
    let mut found = BTreeMap::new();
    for user in 1..=USERS {
        assert_eq!(rows(DEVICE + user), 0, "the device of {user} is nobody of its own");
        assert!(rows(user).is_multiple_of(BATCH), "half a batch of {user}");
        found.extend((rows(user) > 0).then(|| (user, rows(user) / BATCH)));
    }
    for user in erased {
        assert_eq!(found.get(user), None, "user {user} was erased");
    }
    // Whoever is erased only now is gone whole.
    for (user, count) in acknowledged.iter().filter(|(user, _)| found.contains_key(user)) {
        assert!(found[user] >= *count, "user {user}: {} of {count} batches", found[user]);
    }
    assert!(acknowledged.get(&USERS).is_none_or(|count| found[&USERS] >= *count));
}
