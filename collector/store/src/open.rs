//! Opening a store: one owner, no leftovers, the log replayed.
//!
//! In: a data folder and its catalog. Out: a running store whose state is what was acknowledged.
//!
//! Invariant: replay uses no clock and no randomness: the same files give the same state.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hashbrown::HashSet;

use crate::catalog::{Catalog, CatalogState};
use crate::dedupe::Dedupe;
use crate::error::OpenError;
use crate::keeper::Keeper;
use crate::memtable::{MemRun, Memtable};
use crate::options::StoreOptions;
use crate::segment::{ColumnCache, Segment};
use crate::shared::{Live, Shared};
use crate::store::Store;
use crate::wal::{self, Entry, Log, LogDisk, RealDisk};
use crate::writer::Writer;

/// The right to be the only one in a data folder; given back when dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

/// The folders inside the data folder.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub data: PathBuf,
    pub wal: PathBuf,
    pub seg: PathBuf,
    pub tmp: PathBuf,
}

impl Folders {
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            wal: data.join("wal"),
            seg: data.join("seg"),
            tmp: data.join("tmp"),
        }
    }
}

/// See [`Store::open`].
pub(crate) fn open(options: StoreOptions, catalog: Arc<dyn Catalog>) -> Result<Store, OpenError> {
    let folders = Folders::new(&options.dir);
    let disk = RealDisk {
        wal: folders.wal.clone(),
        tmp: folders.tmp.clone(),
        min_free_bytes: options.min_free_bytes,
    };
    open_on(options, catalog, Box::new(disk))
}

/// Open with a log disk of the caller's making.
pub(crate) fn open_on(
    options: StoreOptions,
    catalog: Arc<dyn Catalog>,
    disk: Box<dyn LogDisk>,
) -> Result<Store, OpenError> {
    let folders = Folders::new(&options.dir);
    for dir in [&folders.data, &folders.wal, &folders.seg, &folders.tmp] {
        fs::create_dir_all(dir).map_err(|source| at(dir, source))?;
    }
    wal::sync_dir(&folders.data).map_err(|source| at(&folders.data, source))?;
    let lock = lock(&folders.data)?;
    empty(&folders.tmp)?;

    let CatalogState { segments, flushed_seq } = catalog.load()?;
    remove_unknown(
        &folders,
        &segments.iter().map(|meta| folders.data.join(meta.path())).collect(),
    )?;
    let cache = Arc::new(ColumnCache::new(options.cache_bytes));
    let next_segment = segments.iter().map(|meta| meta.id.0 + 1).max().unwrap_or(1);
    let segments = segments
        .into_iter()
        .map(|meta| Segment::open(&folders.data, meta, &cache).map(Arc::new))
        .collect::<Result<Vec<_>, OpenError>>()?;

    let mut replay = Replay::default();
    let recovered = wal::recover(&folders.wal, flushed_seq, &mut |_, entry| replay.apply(entry))?;
    if recovered.cut_bytes > 0 {
        tracing::warn!(
            bytes = recovered.cut_bytes,
            "cut an unfinished write off the log; it was not acknowledged"
        );
    }
    let active = replay.memtable;
    let live = Live {
        segments: Arc::new(segments),
        active_since: (!active.is_empty()).then(Instant::now),
        // What was replayed is flushed at once, so that no start replays it again: the next one is
        // quick, and a collector that is killed over and over does not get slower each time.
        flush_wanted: u64::from(!active.is_empty()),
        active,
        applied_seq: recovered.next_seq - 1,
        wal_files: recovered.files,
        ..Live::default()
    };
    let log = Log::new(
        folders.wal.clone(),
        disk,
        options.durability,
        options.wal_file_bytes,
        recovered.next_seq,
    );
    let dedupe = Dedupe::new(options.dedupe_ids);
    let shared = Arc::new(Shared::new(options, catalog, cache, live));
    shared.counters.wal_cut_bytes.store(recovered.cut_bytes, Ordering::Relaxed);

    let writer = Writer { shared: Arc::clone(&shared), log, dedupe, failures: 0 };
    let keeper = Keeper {
        shared: Arc::clone(&shared),
        folders: folders.clone(),
        next_segment: Arc::new(AtomicU64::new(next_segment)),
    };
    let merger = keeper.clone();
    let threads = vec![
        spawn("store-writer", &folders, move || writer.run())?,
        spawn("store-flush", &folders, move || keeper.run_flushes())?,
        spawn("store-merge", &folders, move || merger.run_merges())?,
    ];
    Ok(Store { shared, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) })
}

/// Puts log frames back into a memtable.
#[derive(Default)]
struct Replay {
    memtable: Memtable,
}

impl Replay {
    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Rows(rows) => self.memtable.push(rows, Vec::new()),
            Entry::Refused(refused) => self.memtable.push(Vec::new(), refused),
        }
        if let Some(chunks) = self.memtable.full_tail() {
            let run = Arc::new(MemRun::sort(&chunks));
            self.memtable.replace_tail(chunks.len(), run);
        }
    }
}

/// Take the lock file. The kernel gives it back when the process is gone, however it went.
fn lock(dir: &Path) -> Result<FolderLock, OpenError> {
    let path = dir.join("lock");
    let io = |source| at(&path, source);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            let pid = owner.trim().parse().unwrap_or(0);
            return Err(OpenError::Locked { dir: dir.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0).map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(FolderLock { _file: file })
}

/// Remove what is left of files that were being written.
fn empty(dir: &Path) -> Result<(), OpenError> {
    for entry in fs::read_dir(dir).map_err(|source| at(dir, source))? {
        let path = entry.map_err(|source| at(dir, source))?.path();
        if path.is_file() {
            fs::remove_file(&path).map_err(|source| at(&path, source))?;
        }
    }
    Ok(())
}

/// Remove segment files that no catalog names: flushes and merges that were not finished.
fn remove_unknown(folders: &Folders, known: &HashSet<PathBuf>) -> Result<(), OpenError> {
    let seg = &folders.seg;
    for week in fs::read_dir(seg).map_err(|source| at(seg, source))? {
        let week = week.map_err(|source| at(seg, source))?.path();
        if !week.is_dir() {
            continue;
        }
        for file in fs::read_dir(&week).map_err(|source| at(&week, source))? {
            let file = file.map_err(|source| at(&week, source))?.path();
            let is_segment = file.extension().is_some_and(|extension| extension == "parquet");
            if is_segment && !known.contains(&file) {
                tracing::info!(file = %file.display(), "removing a segment that was never finished");
                fs::remove_file(&file).map_err(|source| at(&file, source))?;
            }
        }
    }
    Ok(())
}

fn spawn(
    name: &str,
    folders: &Folders,
    work: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| at(&folders.data, source))
}

fn at(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}
