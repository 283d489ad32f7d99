//! The writer on a disk that fails: what is acknowledged stays, and nothing else is.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use rstest::rstest;

use crate::catalog::MemoryCatalog;
use crate::error::AppendError;
use crate::open::{Folders, open_on};
use crate::options::StoreOptions;
use crate::row::{Dim, Row};
use crate::stats::WriteState;
use crate::store::{Append, Appended, RowRange, Store};
use crate::wal::{FileHeader, LogDisk, LogFile, RealDisk};

/// What fails, and how.
#[derive(Debug, Default)]
struct Faults {
    calls: AtomicU32,
    /// The first call that fails, counted from 1, and how many fail from there.
    first: u32,
    count: u32,
    /// While set, making and writing files fails because there is no space.
    is_full: AtomicBool,
}

impl Faults {
    fn check(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let is_chosen = self.first != 0 && (self.first..self.first + self.count).contains(&call);
        if is_chosen { Err(io::Error::other("told to fail")) } else { Ok(()) }
    }

    fn check_space(&self) -> io::Result<()> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

struct FaultyDisk(RealDisk, Arc<Faults>);

impl LogDisk for FaultyDisk {
    fn create(&mut self, header: FileHeader, len: u64) -> io::Result<Box<dyn LogFile>> {
        self.1.check_space()?;
        self.1.check()?;
        Ok(Box::new(FaultyFile(self.0.create(header, len)?, Arc::clone(&self.1))))
    }
}

struct FaultyFile(Box<dyn LogFile>, Arc<Faults>);

impl LogFile for FaultyFile {
    /// A failing write leaves half of the bytes.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let checked = self.1.check_space().and_then(|()| self.1.check());
        let len = if checked.is_ok() { bytes.len() } else { bytes.len() / 2 };
        self.0.write_all_at(&bytes[..len], offset)?;
        checked
    }
    fn sync_data(&mut self) -> io::Result<()> {
        self.1.check()?;
        self.0.sync_data()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.1.check()?;
        self.0.truncate(len)
    }
}

fn open(dir: &Path, faults: &Arc<Faults>) -> Store {
    let options =
        StoreOptions { wal_file_bytes: 2_000, min_free_bytes: 0, ..StoreOptions::new(dir) };
    let folders = Folders::new(dir);
    let disk = RealDisk { wal: folders.wal, tmp: folders.tmp, min_free_bytes: 0 };
    let disk = Box::new(FaultyDisk(disk, Arc::clone(faults)));
    open_on(options, Arc::new(MemoryCatalog::new()), disk).unwrap()
}

fn append(store: &Store, rows: &[Row]) -> Result<Appended, AppendError> {
    let (sender, receiver) = mpsc::channel();
    let batch = Append { rows: rows.to_vec(), refused: Vec::new() };
    store.append(batch, move |result| sender.send(result).unwrap());
    receiver.recv().unwrap()
}

fn batch(n: u128) -> Vec<Row> {
    let row = |id| Row {
        project: 1,
        person: 7,
        actor: 7,
        ts_ms: 5,
        seq: 0,
        event_id: id,
        received_ms: 6,
        claimed_ms: 5,
        flags: 0,
        event: "view".into(),
        session: 0,
        dims: [const { None }; Dim::ALL.len()],
        props: "{}".into(),
    };
    (0..10).map(|i| row(n * 10 + i)).collect()
}

fn stored_ids(store: &Store) -> Vec<u128> {
    let mut ids = Vec::new();
    let all = RowRange::between(i64::MIN, i64::MAX);
    store
        .rows(1, all, &mut |row| {
            ids.push(row.event_id);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    ids.sort_unstable();
    ids
}

fn ids(batches: impl IntoIterator<Item = u128>) -> Vec<u128> {
    batches.into_iter().flat_map(|n| batch(n).into_iter().map(|row| row.event_id)).collect()
}

/// Every call that writes, syncs, makes or cuts a file fails once: that batch is not acknowledged,
/// and sending it again stores it once, now and after a restart.
#[test]
fn one_failure_anywhere_loses_and_doubles_nothing() {
    for first in 1..60 {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults { first, count: 1, ..Faults::default() });
        let store = open(dir.path(), &faults);
        let mut acknowledged = Vec::new();
        for n in 0..16 {
            match append(&store, &batch(n)) {
                Ok(appended) => {
                    assert_eq!(appended.duplicate, [false; 10]);
                    acknowledged.push(n);
                }
                Err(AppendError::Io(_)) => {
                    assert_eq!(stored_ids(&store), ids(acknowledged.clone()))
                }
                Err(other) => panic!("call {first}: {other}"),
            }
        }
        assert!(acknowledged.len() >= 15, "call {first}");
        assert_eq!(stored_ids(&store), ids(acknowledged.clone()), "call {first}");
        drop(store);

        let store = open(dir.path(), &Arc::new(Faults::default()));
        assert_eq!(stored_ids(&store), ids(acknowledged), "call {first}, after a restart");
        for n in 0..16 {
            append(&store, &batch(n)).unwrap();
        }
        assert_eq!(stored_ids(&store), ids(0..16), "call {first}, after resending");
    }
}

#[rstest]
#[case::sync_and_then_making_a_file(3, 3)]
#[case::write_and_all_after_it(4, 1_000)]
fn a_second_failure_makes_the_store_read_only_and_questions_go_on(
    #[case] first: u32,
    #[case] count: u32,
) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &Arc::new(Faults { first, count, ..Faults::default() }));
    let results: Vec<_> = (0..6).map(|n| append(&store, &batch(n))).collect();
    let acknowledged: Vec<u128> = (0..6).filter(|n| results[*n as usize].is_ok()).collect();
    let failed = results.iter().filter(|result| matches!(result, Err(AppendError::Io(_)))).count();
    assert_eq!(failed, 2, "{results:?}");
    assert!(matches!(results[5], Err(AppendError::ReadOnly)), "{results:?}");
    assert_eq!(store.stats().state, WriteState::ReadOnly);
    assert_eq!(stored_ids(&store), ids(acknowledged.clone()));
    drop(store);
    // A group whose sync failed may be there all the same when cutting it off failed too. It was
    // sent, and it is found as a duplicate when it is sent again.
    let store = open(dir.path(), &Arc::new(Faults::default()));
    let stored = stored_ids(&store);
    assert!(ids(acknowledged).iter().all(|id| stored.contains(id)));
    for n in 0..6 {
        append(&store, &batch(n)).unwrap();
    }
    assert_eq!(stored_ids(&store), ids(0..6));
}

#[test]
fn a_full_disk_is_said_and_appending_works_again_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let store = open(dir.path(), &faults);
    for round in 0..20 {
        append(&store, &batch(2 * round)).unwrap();
        faults.is_full.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            let result = append(&store, &batch(2 * round + 1));
            assert!(matches!(result, Err(AppendError::DiskFull)), "{result:?}");
        }
        assert_eq!(store.stats().state, WriteState::DiskFull);
        assert_eq!(stored_ids(&store), ids(0..=2 * round));
        faults.is_full.store(false, Ordering::Relaxed);
        assert_eq!(append(&store, &batch(2 * round + 1)).unwrap().duplicate, [false; 10]);
        assert_eq!(store.stats().state, WriteState::Open);
    }
    drop(store);
    let store = open(dir.path(), &Arc::new(Faults::default()));
    assert_eq!(stored_ids(&store), ids(0..40));
}

/// Replay uses nothing but the files.
#[test]
fn replaying_twice_gives_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &Arc::new(Faults::default()));
    for n in 0..12 {
        append(&store, &batch(n)).unwrap();
    }
    drop(store);
    let state = || {
        let mut entries = Vec::new();
        let wal = dir.path().join("wal");
        let recovered =
            crate::wal::recover(&wal, 0, &mut |seq, entry| entries.push((seq, entry))).unwrap();
        (entries, recovered.next_seq, recovered.files, recovered.cut_bytes)
    };
    let first = state();
    assert_eq!(first.0.len(), 12);
    assert_eq!(state(), first);
}
