//! Flushes and merges: what is on disk, and what a failure in between leaves.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tallymark_store::{
    Append, Catalog, CatalogChange, CatalogError, CatalogState, MemoryCatalog, OpenError,
    RefusedRow, Row, Schema, Store, StoreOptions, UsageDelta, UsageKind,
};

use crate::support::{all_rows, append, append_rows, open, options, row, sorted, temp_dir};

/// A catalog that fails when told to, before or after the change.
#[derive(Default)]
struct Flaky {
    inner: MemoryCatalog,
    next: AtomicU8,
    /// Learns of every flush whose change is there; the store learns of it a little later.
    first: Option<mpsc::SyncSender<()>>,
}

const FAIL_BEFORE: u8 = 1;
const FAIL_AFTER: u8 = 2;

impl Catalog for Flaky {
    fn load(&self) -> Result<CatalogState, CatalogError> {
        self.inner.load()
    }
    fn commit(&self, change: &CatalogChange) -> Result<(), CatalogError> {
        match self.next.swap(0, Ordering::Relaxed) {
            FAIL_BEFORE => Err(CatalogError("told to fail before".into())),
            FAIL_AFTER => {
                self.inner.commit(change)?;
                Err(CatalogError("told to fail after".into()))
            }
            _ => {
                self.inner.commit(change)?;
                if let Some(first) = self.first.as_ref().filter(|_| change.flushed_seq > 0) {
                    first.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            }
        }
    }
    fn refused(&self, project: u32, limit: usize) -> Result<Vec<RefusedRow>, CatalogError> {
        self.inner.refused(project, limit)
    }
    fn schema(&self, project: u32) -> Result<Schema, CatalogError> {
        self.inner.schema(project)
    }
    fn restated(&self, project: u32, days: Range<i32>) -> Result<BTreeSet<i32>, CatalogError> {
        self.inner.restated(project, days)
    }
    fn used(
        &self,
        project: Option<u32>,
        hours: Range<i64>,
    ) -> Result<Vec<UsageDelta>, CatalogError> {
        self.inner.used(project, hours)
    }
}

#[test]
fn lists_of_memory_and_catalog_together_name_nothing_twice_while_a_flush_commits() {
    let dir = temp_dir();
    let (first, commits) = mpsc::sync_channel(1);
    let store = open(dir.path(), &Arc::new(Flaky { first: Some(first), ..Flaky::default() }));
    let refused = |n: i64| RefusedRow {
        project: 1,
        received_ms: n,
        code: "at_invalid".into(),
        raw: "{}".into(),
    };
    let refused_rows = |store: &Store| -> Vec<i64> {
        store.refused(1, 9).unwrap().iter().map(|row| row.received_ms).collect()
    };
    let events = |store: &Store| -> u64 {
        store.schema(1).unwrap().events.values().map(|event| event.count).sum()
    };
    for n in 1..=6 {
        let rows = vec![row(1, 7, 0, n as u64)];
        append(&store, Append { rows, refused: vec![refused(n)] }).unwrap();
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| store.flush());
            commits.recv().unwrap();
            // Each is the first to look at the moment in between.
            if n % 2 == 0 {
                assert_eq!(refused_rows(&store), (1..=n).rev().collect::<Vec<_>>());
            } else {
                assert_eq!(events(&store), n as u64);
            }
            flush.join().unwrap().unwrap();
        });
    }
}

/// Files in a folder, without those that are made beside segments when there is time.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_none_or(|extension| extension != "presence") {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_commit_that_failed_is_made_again_and_one_that_only_seemed_to_is_not() {
    let dir = temp_dir();
    let catalog = Arc::new(Flaky::default());
    let store = open(dir.path(), &catalog);
    let all: Vec<_> = (0..20).map(|n| row(1, n % 3, 1_700_000_000_000, n)).collect();
    append_rows(&store, all[..10].to_vec());
    catalog.next.store(FAIL_BEFORE, Ordering::Relaxed);
    assert!(store.flush().is_err());
    assert_eq!(store.stats().segments, 0);
    assert!(store.stats().last_error.is_some());
    assert_eq!(all_rows(&store, 1), sorted(1, &all[..10]));
    append_rows(&store, all[10..].to_vec());
    assert_eq!(all_rows(&store, 1), sorted(1, &all));
    store.flush().unwrap();
    store.flush().unwrap();
    assert_eq!((store.stats().memtable_rows, store.stats().rows), (0, 20));

    append_rows(&store, vec![row(1, 9, 1_700_000_000_000, 99)]);
    catalog.next.store(FAIL_AFTER, Ordering::Relaxed);
    store.flush().unwrap();
    let want = [all, vec![row(1, 9, 1_700_000_000_000, 99)]].concat();
    assert_eq!(all_rows(&store, 1), sorted(1, &want));
    drop(store);
    assert_eq!(all_rows(&open(dir.path(), &catalog), 1), sorted(1, &want));
}

#[test]
fn many_flushes_leave_few_files_and_only_those_the_catalog_names() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let all: Vec<_> = (0..40).map(|n| row(1, n % 7, 1_700_000_000_000 + n as i64, n)).collect();
    for chunk in all.chunks(2) {
        append_rows(&store, chunk.to_vec());
        store.flush().unwrap();
        store.merge().unwrap();
    }
    // Base 3: 20 segments are two of level 2, none of level 1, two of level 0.
    assert_eq!(store.stats().segments, 4);
    assert_eq!(files(&dir.path().join("seg")).len(), 4);
    // The next log file is made there ahead of time.
    let unfinished = files(&dir.path().join("tmp"));
    assert!(unfinished.iter().all(|file| file.ends_with("next.wal")), "{unfinished:?}");
    assert_eq!(all_rows(&store, 1), sorted(1, &all));
    assert_eq!(append_rows(&store, all.clone()), vec![true; 40]);
    assert_eq!(catalog.usage(1, UsageKind::Events).0, 40);

    // A file that no catalog names is the rest of a crash.
    let week = files(&dir.path().join("seg"))[0].parent().unwrap().to_owned();
    fs::write(week.join("999.parquet"), "unfinished").unwrap();
    fs::write(dir.path().join("tmp").join("999.parquet"), "unfinished").unwrap();
    drop(store);
    let store = open(dir.path(), &catalog);
    assert_eq!(files(&dir.path().join("seg")).len(), 4);
    assert!(files(&dir.path().join("tmp")).is_empty());
    assert_eq!(all_rows(&store, 1), sorted(1, &all));
}

#[test]
fn a_week_that_settles_becomes_one_file_by_itself_and_late_events_leave_it_alone() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let options = StoreOptions { merge_fan_in: 8, merge_idle_ms: 50, ..options(dir.path()) };
    let store = Store::open(options, Arc::clone(&catalog) as Arc<dyn Catalog>).unwrap();
    let all: Vec<_> = (0..41).map(|n| row(1, n % 7, 1_700_000_000_000 + n as i64, n)).collect();
    let settled = || {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while store.stats().segments > 1 && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        store.stats().segments
    };
    for chunk in all[..40].chunks(8) {
        append_rows(&store, chunk.to_vec());
        store.flush().unwrap();
    }
    assert_eq!(settled(), 1);
    assert_eq!(all_rows(&store, 1), sorted(1, &all[..40]));

    append_rows(&store, all[40..].to_vec());
    store.flush().unwrap();
    store.settle().unwrap();
    assert_eq!(store.stats().segments, 2, "one row does not rewrite forty");
    assert_eq!(all_rows(&store, 1), sorted(1, &all));
    assert_eq!(append_rows(&store, all), vec![true; 41]);
}

#[test]
fn log_files_go_when_their_rows_are_in_segments() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    for n in 0..300 {
        append_rows(&store, (0..5).map(|i| row(1, i, 1_700_000_000_000, 5 * n + i)).collect());
    }
    assert!(store.stats().wal_files > 2);
    store.flush().unwrap();
    assert!(store.stats().wal_files <= 1, "{:?}", store.stats());
    append_rows(&store, vec![row(1, 1, 1_700_000_000_000, 9_999)]);
    store.flush().unwrap();
    drop(store);
    let store = open(dir.path(), &catalog);
    assert_eq!((store.stats().rows, store.stats().wal_files), (1_501, 0));
    assert_eq!(append_rows(&store, vec![row(1, 1, 1_700_000_000_000, 9_999)]), [true]);
}

#[test]
fn a_crash_between_catalog_and_log_does_not_store_rows_twice() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let all: Vec<_> = (0..9).map(|n| row(1, n, 1_700_000_000_000, n)).collect();
    append_rows(&store, all.clone());
    // The log as it is before the flush deletes it.
    let log: Vec<_> = files(&dir.path().join("wal"));
    let kept: Vec<_> = log.iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    store.flush().unwrap();
    drop(store);
    for (file, bytes) in kept {
        fs::write(file, bytes).unwrap();
    }
    let store = open(dir.path(), &catalog);
    assert_eq!(all_rows(&store, 1), sorted(1, &all));
    assert_eq!(store.stats().rows, 9);
}

#[test]
fn a_segment_that_is_missing_or_changed_is_named() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    append_rows(&store, vec![row(1, 1, 1_700_000_000_000, 1)]);
    store.flush().unwrap();
    drop(store);
    let file = files(&dir.path().join("seg")).remove(0);
    let bytes = fs::read(&file).unwrap();
    let damages: [(&str, Option<Vec<u8>>); 3] = [
        ("missing", None),
        ("cut", Some(bytes[..bytes.len() - 9].to_vec())),
        ("not ours", Some(b"PAR1PAR1".to_vec())),
    ];
    for (name, damage) in damages {
        match damage {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        let error = Store::open(options(dir.path()), Arc::clone(&catalog) as _).unwrap_err();
        assert!(
            matches!(&error, OpenError::CorruptSegment { file: named, .. } if *named == file),
            "{name}: {error}"
        );
    }
    fs::write(&file, bytes).unwrap();
    assert_eq!(open(dir.path(), &catalog).stats().rows, 1);
}

/// A day that alone is larger than the bound on ids: the bound holds, and every resend is found.
#[test]
fn a_day_of_more_ids_than_fit_is_exact_and_bounded() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let all: Vec<_> = (0..600).map(|n| row(1, n % 3, 20_000 * 86_400_000, n)).collect();
    let mut store = open(dir.path(), &catalog);
    let bound = options(dir.path()).dedupe_ids as u64;
    for (i, chunk) in all.chunks(7).enumerate() {
        assert_eq!(append_rows(&store, chunk.to_vec()), vec![false; chunk.len()]);
        assert!(store.stats().dedupe_ids <= bound);
        if i % 20 == 19 {
            store.flush().unwrap();
        }
    }
    for _ in 0..2 {
        for chunk in all.rchunks(9) {
            assert_eq!(append_rows(&store, chunk.to_vec()), vec![true; chunk.len()]);
            assert!(store.stats().dedupe_ids <= bound);
        }
        drop(store);
        store = open(dir.path(), &catalog);
    }
    assert_eq!(store.stats().rows, 600);
}

/// Rows that come after their day was closed name it, from memory and from the catalog alike.
#[test]
fn a_day_that_gets_rows_after_it_was_closed_is_restated() {
    const DAY_MS: i64 = 86_400_000;
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let late = |day: i64, n| Row { received_ms: (day + 5) * DAY_MS, ..row(1, 1, day * DAY_MS, n) };
    let store = open(dir.path(), &catalog);
    append_rows(&store, vec![late(20_000, 1), row(1, 1, 20_001 * DAY_MS, 2), late(20_003, 3)]);
    let restated = |store: &Store, from: i64, to: i64| store.restated(1, from, to).unwrap();
    let all = BTreeSet::from([20_000, 20_003]);
    assert_eq!(restated(&store, 0, i64::MAX), all);
    assert!(store.restated(2, 0, i64::MAX).unwrap().is_empty(), "another project");
    store.flush().unwrap();
    append_rows(&store, vec![late(20_000, 4)]);
    assert_eq!(restated(&store, 0, i64::MAX), all);
    // The end of a range is not in it, and one that ends within a day has the day.
    assert!(restated(&store, 20_001 * DAY_MS, 20_003 * DAY_MS).is_empty());
    assert_eq!(
        restated(&store, 20_003 * DAY_MS - 1, 20_003 * DAY_MS + 1),
        BTreeSet::from([20_003])
    );
    drop(store);
    assert_eq!(restated(&open(dir.path(), &catalog), 0, i64::MAX), all, "replayed");
}

#[test]
fn ids_of_any_age_are_found_again_after_restarts() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    // 1997 to 2026, one id per 100 days; more days than fit the bound on memory.
    let all: Vec<_> =
        (0..100).map(|n| row(1, n % 3, (10_000 + 100 * n as i64) * 86_400_000, n)).collect();
    let store = open(dir.path(), &catalog);
    for chunk in all.chunks(7) {
        assert_eq!(append_rows(&store, chunk.to_vec()), vec![false; chunk.len()]);
        assert!(store.stats().dedupe_ids <= 27);
    }
    store.flush().unwrap();
    for _ in 0..2 {
        let mut resent = all.clone();
        resent.reverse();
        for chunk in resent.chunks(9) {
            assert_eq!(append_rows(&store, chunk.to_vec()), vec![true; chunk.len()]);
        }
    }
    drop(store);
    let store = open(dir.path(), &catalog);
    assert_eq!(append_rows(&store, all.clone()), vec![true; 100]);
    assert_eq!((store.stats().rows, store.stats().duplicates), (100, 100));
    // The same id in another project is another event.
    let mut other = all[0].clone();
    other.project = 2;
    assert_eq!(
        append(&store, Append { rows: vec![other], refused: vec![] }).unwrap().duplicate,
        [false]
    );
}
