//! What time alone does to stored events, with a clock that the test moves.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tallymark_store::{
    Append, Catalog, MemoryCatalog, PeopleCommand, PeopleDone, Row, SegmentMeta, Store,
    StoreOptions,
};

use crate::support::{
    all_rows, append, append_rows, options, row, sorted, temp_dir, within_seconds,
};

const DAY_MS: i64 = 86_400_000;
/// 2026-09-07, a Monday.
const MONDAY_MS: i64 = 1_788_739_200_000;

/// A store whose clock stands where it is put.
struct Aged {
    store: Store,
    catalog: Arc<MemoryCatalog>,
    now_ms: Arc<AtomicI64>,
}

impl Aged {
    fn open(dir: &Path, now_ms: i64) -> Self {
        Self::open_with(dir, now_ms, Arc::new(MemoryCatalog::new()))
    }

    fn open_with(dir: &Path, now_ms: i64, catalog: Arc<MemoryCatalog>) -> Self {
        let now_ms = Arc::new(AtomicI64::new(now_ms));
        let clock = Arc::clone(&now_ms);
        let options = StoreOptions {
            merge_fan_in: 100,
            now_ms: Arc::new(move || clock.load(Ordering::SeqCst)),
            ..options(dir)
        };
        let store = Store::open(options, Arc::clone(&catalog) as _).unwrap();
        Self { store, catalog, now_ms }
    }

    /// One person erased out of two: too few of its rows to write the file again at once. Gives the receipt's number.
    fn erased(dir: &Path) -> (Self, u64) {
        let aged = Self::open(dir, MONDAY_MS);
        let rows: Vec<Row> = (0..300).map(|n| row(1, 1 + n / 299, MONDAY_MS, n)).collect();
        aged.flush(&rows);
        let erase = PeopleCommand::Erase { project: 1, id: 2, at_ms: MONDAY_MS };
        let PeopleDone::Erased(receipt) = aged.store.people(erase).unwrap() else { panic!() };
        aged.store.flush().unwrap();
        aged.store.merge().unwrap();
        (aged, receipt.id)
    }

    fn flush(&self, rows: &[Row]) {
        append(&self.store, Append { rows: rows.to_vec(), refused: Vec::new() }).unwrap();
        self.store.flush().unwrap();
    }

    fn settle_at(&self, now_ms: i64) -> Vec<SegmentMeta> {
        self.now_ms.store(now_ms, Ordering::SeqCst);
        self.store.settle().unwrap();
        self.segments()
    }

    fn segments(&self) -> Vec<SegmentMeta> {
        let mut segments = self.catalog.load().unwrap().segments;
        segments.sort_by_key(|segment| segment.ts_min_ms);
        segments
    }
}

fn received(received_ms: i64, n: u64) -> Row {
    Row { received_ms, ..row(1, n % 3, MONDAY_MS + n as i64, n) }
}

#[test]
fn ids_go_when_the_last_row_of_a_merge_was_received_long_enough_ago() {
    let dir = temp_dir();
    let aged = Aged::open(dir.path(), MONDAY_MS);
    // The events are old, as in an import; what counts is when they came.
    let came_ms = MONDAY_MS + 100 * DAY_MS;
    let rows: Vec<Row> = (0..9).map(|n| received(came_ms + i64::from(n == 8), n)).collect();
    aged.flush(&rows[..4]);
    aged.flush(&rows[4..]);

    assert_eq!(aged.settle_at(came_ms).len(), 1);

    let merged = aged.settle_at(came_ms + 31 * DAY_MS + 1);
    assert!(merged.len() == 1 && merged[0].has_ids, "{merged:?}");
    assert_eq!(append_rows(&aged.store, rows.clone()), [true; 9]);

    let merged = aged.settle_at(came_ms + 31 * DAY_MS + 2);
    assert!(merged.len() == 1 && !merged[0].has_ids, "{merged:?}");
    let without_ids: Vec<Row> = rows.into_iter().map(|row| Row { event_id: 0, ..row }).collect();
    assert_eq!(all_rows(&aged.store, 1), sorted(1, &without_ids));
}

#[test]
fn what_still_needs_its_ids_is_not_merged_with_what_has_none() {
    let dir = temp_dir();
    let aged = Aged::open(dir.path(), MONDAY_MS);
    let early: Vec<Row> = (0..5).map(|n| received(MONDAY_MS, n)).collect();
    aged.flush(&early);
    let now_ms = MONDAY_MS + 60 * DAY_MS;
    aged.settle_at(now_ms);
    let late: Vec<Row> = (5..9).map(|n| received(now_ms, n)).collect();
    aged.flush(&late);
    let merged = aged.settle_at(now_ms);
    let has_ids: Vec<bool> = merged.iter().map(|segment| segment.has_ids).collect();
    assert_eq!(has_ids, [false, true]);
    assert_eq!(append_rows(&aged.store, late), [true; 4]);
}

#[test]
fn the_weeks_of_a_month_become_one_segment_when_it_is_over_for_long_enough() {
    let dir = temp_dir();
    let aged = Aged::open(dir.path(), MONDAY_MS);
    let rows: Vec<Row> = (0..12)
        .map(|n| row(1, n % 2, MONDAY_MS + n as i64 * 2 * DAY_MS, n))
        .map(|row| Row { received_ms: row.ts_ms, ..row })
        .collect();
    aged.flush(&rows);
    let last_ms = rows[11].ts_ms;
    let weeks = |segments: &[SegmentMeta]| -> Vec<String> {
        segments.iter().map(|segment| segment.week.clone()).collect()
    };
    // The last row is on September 29th, in the week of the first of October.
    let split = ["2026-W37", "2026-W38", "2026-W39", "2026-W40"];
    assert_eq!(weeks(&aged.settle_at(last_ms - 2 * DAY_MS + 35 * DAY_MS)), split);
    let month = ["2026-09", "2026-W40"];
    assert_eq!(weeks(&aged.settle_at(last_ms - DAY_MS + 35 * DAY_MS)), month);
    assert_eq!(all_rows(&aged.store, 1).len(), 12);
}

#[test]
fn a_start_merges_what_was_quiet_for_long_enough_and_nothing_else() {
    let dir = temp_dir();
    let aged = Aged::open(dir.path(), MONDAY_MS);
    let idle_ms = options(dir.path()).merge_idle_ms as i64;
    let is_there = |n| received(MONDAY_MS + 7, n);
    aged.flush(&[is_there(0)]);
    aged.flush(&[is_there(1)]);
    let mut catalog = aged.catalog;
    drop(aged.store);
    for (quiet_ms, want) in [(idle_ms - 60_000, 2), (idle_ms, 1)] {
        let aged = Aged::open_with(dir.path(), MONDAY_MS + 7 + quiet_ms, catalog);
        // The first look is over when something that was asked for after it is done.
        aged.store.merge().unwrap();
        assert_eq!(aged.segments().len(), want, "after {quiet_ms} ms");
        catalog = aged.catalog;
    }
}

#[test]
fn erased_events_that_are_due_go_with_the_next_start() {
    let dir = temp_dir();
    let (aged, receipt) = Aged::erased(dir.path());
    let mut catalog = aged.catalog;
    drop(aged.store);
    for (hours, is_done) in [(11, false), (13, true)] {
        let aged = Aged::open_with(dir.path(), MONDAY_MS + hours * 3_600_000, catalog);
        let now = || aged.store.erasure(1, receipt).unwrap();
        if is_done {
            within_seconds(|| now().done_ms.is_some());
        } else {
            aged.store.merge().unwrap();
        }
        assert_eq!((now().rows, now().done_ms.is_some()), (u64::from(is_done), is_done));
        catalog = aged.catalog;
    }
}

/// A reader keeps the file that it reads. With the last one the erased rows are gone, and the receipt says so.
#[test]
fn an_erasure_is_done_when_the_last_reader_of_the_old_file_has_left() {
    let dir = temp_dir();
    let (aged, receipt) = Aged::erased(dir.path());
    let reader = aged.store.snapshot();
    aged.now_ms.store(MONDAY_MS + 13 * 3_600_000, Ordering::SeqCst);
    aged.store.merge().unwrap();
    let now = || aged.store.erasure(1, receipt).unwrap();
    assert_eq!((now().rows, now().done_ms), (1, None), "somebody reads the old file");
    drop(reader);
    within_seconds(|| now().done_ms.is_some());
}
