//! Events go when they are too old, and not before, with a clock that the test moves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rstest::rstest;
use tallymark_store::{
    Catalog, Keep, MemoryCatalog, Retention, Row, Store, StoreOptions, UsageKind,
};

use crate::support::{
    ShowAll, all_rows, append_rows, options, row, sorted, temp_dir, within_seconds,
};

const DAY_MS: i64 = 86_400_000;
/// 2026-09-07, a Monday.
const MONDAY_MS: i64 = 1_788_739_200_000;

fn open(dir: &Path, now_ms: &Arc<AtomicI64>) -> (Store, Arc<MemoryCatalog>) {
    let catalog = Arc::new(MemoryCatalog::new());
    (open_with(dir, now_ms, &catalog), catalog)
}

/// Project 1 keeps `view` for 10 days, `buy` for ever and all else for 30 days; others keep all.
fn open_with(dir: &Path, now_ms: &Arc<AtomicI64>, catalog: &Arc<MemoryCatalog>) -> Store {
    let rule = |name: &str, days| (name.to_owned(), days);
    let events = BTreeMap::from([rule("view", Some(10)), rule("buy", None)]);
    let keep = Keep { days: Some(30), events };
    let retention =
        Retention::new(move |project| if project == 1 { keep.clone() } else { Keep::default() });
    let clock = Arc::clone(now_ms);
    let options = StoreOptions {
        retention,
        merge_fan_in: 100,
        now_ms: Arc::new(move || clock.load(Ordering::SeqCst)),
        ..options(dir)
    };
    Store::open(options, Arc::clone(catalog) as Arc<dyn Catalog>).unwrap()
}

/// A day of events of every kind, on Monday.
fn rows() -> Vec<Row> {
    let names = ["view", "buy", "add"];
    let event = |n: u64| Row {
        event: names[n as usize % 3].into(),
        received_ms: MONDAY_MS,
        ..row(1 + (n / 3 % 2) as u32, n % 5, MONDAY_MS + n as i64, n)
    };
    (0..30).map(event).collect()
}

fn left(store: &Store, project: u32) -> Vec<Row> {
    let rows = all_rows(store, project);
    let question = ShowAll::everything();
    assert_eq!(store.ask(project, &question).unwrap().partial, question.of_rows(project, &rows));
    rows
}

#[rstest]
#[case::in_one_file(false)]
#[case::in_memory_until_then(true)]
fn events_go_by_the_rule_of_their_name_and_are_counted(#[case] is_in_memory: bool) {
    let dir = temp_dir();
    let now_ms = Arc::new(AtomicI64::new(MONDAY_MS));
    let (store, catalog) = open(dir.path(), &now_ms);
    let rows = rows();
    append_rows(&store, rows.clone());
    let last_ms = |name: &str| {
        let of = rows.iter().filter(|row| row.project == 1 && &*row.event == name);
        of.map(|row| row.ts_ms).max().unwrap()
    };
    let mut gone = 0;
    // The last moment at which all is there, and the first one at which all of it is gone.
    for (name, days) in [("view", 10), ("add", 30)] {
        let first_ms = rows.iter().filter(|row| row.project == 1 && &*row.event == name);
        let first_ms = first_ms.map(|row| row.ts_ms).min().unwrap();
        for (at_ms, is_gone) in [(first_ms, false), (last_ms(name) + 1, true)] {
            now_ms.store(at_ms + days * DAY_MS, Ordering::SeqCst);
            if !is_in_memory || is_gone {
                store.flush().unwrap();
            }
            store.settle().unwrap();
            let count = left(&store, 1).iter().filter(|row| &*row.event == name).count();
            assert_eq!(count, if is_gone { 0 } else { 5 }, "{name} after {days} days");
        }
        gone += 5;
        assert_eq!(store.stats().expired, gone);
        assert_eq!(catalog.usage(1, UsageKind::Expired).0, gone);
    }
    now_ms.store(MONDAY_MS + 3_000 * DAY_MS, Ordering::SeqCst);
    store.settle().unwrap();
    assert!(left(&store, 1).iter().all(|row| &*row.event == "buy"));
    let others = |rows: &[Row]| -> Vec<u64> { rows.iter().map(|row| row.person).collect() };
    assert_eq!(others(&left(&store, 2)), others(&sorted(2, &rows)));
    assert_eq!(catalog.usage(2, UsageKind::Expired), (0, 0));
}

#[test]
fn a_file_of_which_all_is_too_old_goes_whole() {
    let dir = temp_dir();
    let now_ms = Arc::new(AtomicI64::new(MONDAY_MS));
    let (store, catalog) = open(dir.path(), &now_ms);
    let of_one = |week: i64| -> Vec<Row> {
        let adds = rows().into_iter().filter(|row| row.project == 1 && &*row.event == "add");
        let later = |row: Row| Row {
            ts_ms: row.ts_ms + week * 7 * DAY_MS,
            event_id: row.event_id + week as u128 * 100,
            ..row
        };
        adds.map(later).collect()
    };
    append_rows(&store, [of_one(0), of_one(1)].concat());
    store.flush().unwrap();
    assert_eq!(store.stats().segments, 2);
    let merges = store.stats().merges;
    now_ms.store(MONDAY_MS + 31 * DAY_MS, Ordering::SeqCst);
    store.settle().unwrap();
    assert_eq!((store.stats().segments, store.stats().rows), (1, 5));
    assert_eq!(store.stats().merges, merges, "nothing was written for it");
    assert_eq!(catalog.usage(1, UsageKind::Expired).0, 5);
    assert_eq!(left(&store, 1).len(), 5);
}

#[test]
fn what_got_too_old_while_nothing_ran_goes_at_the_start() {
    let dir = temp_dir();
    let now_ms = Arc::new(AtomicI64::new(MONDAY_MS));
    let (store, catalog) = open(dir.path(), &now_ms);
    append_rows(&store, rows());
    store.flush().unwrap();
    drop(store);
    now_ms.store(MONDAY_MS + 31 * DAY_MS, Ordering::SeqCst);
    let store = open_with(dir.path(), &now_ms, &catalog);
    within_seconds(|| store.stats().expired == 10);
    assert!(left(&store, 1).iter().all(|row| &*row.event == "buy"));
}

#[test]
fn a_few_old_events_are_left_in_a_file_for_a_month_at_most() {
    let dir = temp_dir();
    let now_ms = Arc::new(AtomicI64::new(MONDAY_MS));
    let (store, _) = open(dir.path(), &now_ms);
    let mut rows: Vec<Row> = (0..300).map(|n| row(1, n % 7, MONDAY_MS, n)).collect();
    // Received late: nothing else is a reason to write the file again.
    let received_ms = MONDAY_MS + 100 * DAY_MS;
    rows.iter_mut().for_each(|row| (row.event, row.received_ms) = ("buy".into(), received_ms));
    rows[0].event = "view".into();
    append_rows(&store, rows);
    store.flush().unwrap();
    for (days, want) in [(11, 300), (40, 300), (41, 299)] {
        now_ms.store(MONDAY_MS + days * DAY_MS, Ordering::SeqCst);
        store.settle().unwrap();
        assert_eq!(left(&store, 1).len(), want, "after {days} days");
    }
}
