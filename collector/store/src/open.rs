//! Opening a store: one owner, no leftovers, the log replayed.
//!
//! In: a data folder and its catalog. Out: a running store whose state is what was acknowledged.
//!
//! Invariant: replay uses no clock and no randomness: the same files give the same state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hashbrown::HashSet;

use crate::catalog::{Catalog, CatalogState, SegmentMeta};
use crate::dedupe::{Dedupe, Room};
use crate::disk::{Disk, Lock, RealDisk};
use crate::error::OpenError;
use crate::keeper::{Keeper, urgent};
use crate::memtable::{MemRun, Memtable};
use crate::options::StoreOptions;
use crate::people::People;
use crate::recall;
use crate::segment::{ColumnCache, Segment};
use crate::shared::{Live, Shared};
use crate::sorter;
use crate::store::Store;
use crate::usage::{UsageTable, recent_hours};
use crate::wal::{self, Entry, Log};
use crate::warm;
use crate::writer::Writer;

/// The folders inside the data folder, and the disk they are on.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub data: PathBuf,
    pub wal: PathBuf,
    pub seg: PathBuf,
    pub tmp: PathBuf,
    pub disk: Arc<dyn Disk>,
}

impl Folders {
    pub(crate) fn new(data: &Path, disk: Arc<dyn Disk>) -> Self {
        Self {
            data: data.to_owned(),
            wal: data.join("wal"),
            seg: data.join("seg"),
            tmp: data.join("tmp"),
            disk,
        }
    }
}

/// See [`Store::open`].
pub(crate) fn open(options: StoreOptions, catalog: Arc<dyn Catalog>) -> Result<Store, OpenError> {
    open_on(Arc::new(RealDisk), options, catalog)?.start()
}

/// A store whose log is replayed and whose threads do not run yet.
pub(crate) struct Stopped {
    pub shared: Arc<Shared>,
    pub writer: Writer,
    pub keeper: Keeper,
    pub lock: Lock,
}

/// Open on any disk.
pub(crate) fn open_on(
    disk: Arc<dyn Disk>,
    options: StoreOptions,
    catalog: Arc<dyn Catalog>,
) -> Result<Stopped, OpenError> {
    let folders = Folders::new(&options.dir, disk);
    make_folders(&folders)?;
    let lock = lock(&folders)?;
    empty(&folders)?;

    let CatalogState { segments, flushed_seq, people } = catalog.load()?;
    remove_unknown(
        &folders,
        &segments.iter().map(|meta| folders.data.join(meta.path())).collect(),
    )?;
    let cache = Arc::new(ColumnCache::new(options.cache_bytes));
    let next_segment = segments.iter().map(|meta| meta.id.0 + 1).max().unwrap_or(1);
    let (mut opened, mut aside) = (Vec::new(), Vec::new());
    for meta in segments {
        if is_aside(&folders, &meta) {
            let (file, rows) = (meta.path(), meta.rows);
            tracing::warn!(file, rows, "a segment was set aside; its rows are in no answer");
            aside.push(meta);
        } else {
            opened.push(Arc::new(Segment::open(&folders, meta, &cache)?));
        }
    }

    let metas = opened.iter().map(|segment| segment.meta()).chain(&aside);
    let oldest = metas.map(|meta| meta.link_epoch).min();
    let oldest = oldest.unwrap_or(flushed_seq);
    let mut people = People::new(people, oldest);
    let settled = (people.apart(), flushed_seq);
    let mut replay = Replay { memtable: Memtable::default(), people };
    let recovered =
        wal::recover(&folders, flushed_seq, &mut |seq, entry| replay.apply(seq, entry))?;
    if recovered.cut_bytes > 0 {
        tracing::warn!(
            bytes = recovered.cut_bytes,
            "cut an unfinished write off the log; it was not acknowledged"
        );
    }
    let Replay { memtable: active, people } = replay;
    let mut recent_usage = UsageTable::default();
    recent_usage.add_deltas(&catalog.used(None, recent_hours((options.now_ms)()))?);
    let live = Live {
        recent_usage,
        segments: Arc::new(opened),
        aside,
        active_since: (!active.is_empty()).then(Instant::now),
        // What was replayed is flushed at once, so that no start replays it again: the next one is
        // quick, and a collector that is killed over and over does not get slower each time.
        flush_wanted: u64::from(!active.is_empty() || people.has_news()),
        active,
        people,
        active_epoch: flushed_seq,
        settled,
        applied_seq: recovered.next_seq - 1,
        wal_files: recovered.files,
        ..Live::default()
    };
    let log = Log::new(folders.clone(), &options, recovered.next_seq);
    let dedupe = Dedupe::new(Room {
        ids_max: options.dedupe_ids,
        disk: Arc::clone(&folders.disk),
        tmp: folders.tmp.clone(),
        shared: None,
    });
    let shared = Arc::new(Shared::new(options, catalog, cache, live));
    shared.counters.wal_cut_bytes.store(recovered.cut_bytes, Ordering::Relaxed);

    let writer = Writer { shared: Arc::clone(&shared), log, dedupe, failures: 0 };
    let keeper = Keeper {
        shared: Arc::clone(&shared),
        folders,
        next_segment: Arc::new(AtomicU64::new(next_segment)),
    };
    Ok(Stopped { shared, writer, keeper, lock })
}

impl Stopped {
    /// Start the threads.
    pub(crate) fn start(self) -> Result<Store, OpenError> {
        let Self { shared, writer, keeper, lock } = self;
        let folders = keeper.folders.clone();
        let (merger, loader) = (keeper.clone(), keeper.clone());
        let sorted = Arc::clone(&shared);
        let (ahead, asked) = (writer.log.ahead(), Arc::clone(&shared));
        let remembered = folders.clone();
        let (hurried, (urgent, to_hurry)) = (merger.clone(), urgent());
        let threads = vec![
            spawn("store-writer", &folders, move || writer.run())?,
            spawn("store-log", &folders, move || ahead.run())?,
            spawn("store-sort", &folders, move || sorter::run(&sorted))?,
            spawn("store-flush", &folders, move || keeper.run_flushes())?,
            spawn("store-merge", &folders, move || merger.run_merges(&urgent))?,
            spawn("store-urgent", &folders, move || hurried.run_urgent(to_hurry))?,
            spawn("store-warm", &folders, move || {
                let known = recall::load(&remembered);
                warm::run(&asked, &known);
                recall::keep(&asked, &remembered, known);
            })?,
        ];
        let (threads, lock) = (Mutex::new(threads), Mutex::new(Some(lock)));
        Ok(Store { folders, shared, keeper: loader, threads, lock })
    }
}

/// Make what is missing, durably. What is there may have been made by a start that did not live
/// long enough to sync it, so the names are synced every time.
fn make_folders(folders: &Folders) -> Result<(), OpenError> {
    let Folders { data, wal, seg, tmp, disk } = folders;
    for dir in [data, wal, seg, tmp] {
        disk.create_dir(dir).map_err(|source| at(dir, source))?;
    }
    for dir in [seg, data] {
        disk.sync_dir(dir).map_err(|source| at(dir, source))?;
    }
    let above = data.parent().filter(|above| !above.as_os_str().is_empty());
    match disk.sync_dir(above.unwrap_or(Path::new("."))) {
        // A folder that we may enter but not read was not made by us.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(at(data, error)),
        _ => Ok(()),
    }
}

/// Puts log frames back into a memtable.
struct Replay {
    memtable: Memtable,
    people: People,
}

impl Replay {
    fn apply(&mut self, seq: u64, entry: Entry) {
        match entry {
            Entry::Rows(mut rows) => {
                rows.iter_mut().for_each(|row| self.people.observe(seq, row));
                self.memtable.push(rows, Vec::new());
            }
            // It made sense when it was written.
            Entry::Command(command) => drop(self.people.run(seq, &command)),
            Entry::Refused(refused) => self.memtable.push(Vec::new(), refused),
        }
        if let Some(chunks) = self.memtable.full_tail() {
            let run = Arc::new(MemRun::sort(&chunks));
            self.memtable.replace_tail(chunks.len(), run);
        }
    }
}

/// Take the lock file.
pub(crate) fn lock(folders: &Folders) -> Result<Lock, OpenError> {
    let path = folders.data.join("lock");
    let disk = &folders.disk;
    let lock = disk.lock(&path).map_err(|source| at(&path, source))?;
    lock.ok_or_else(|| {
        let owner = disk.read(&path).unwrap_or_default();
        let pid = String::from_utf8_lossy(&owner).trim().parse().unwrap_or(0);
        OpenError::Locked { dir: folders.data.clone(), pid }
    })
}

/// Whether the operator gave a damaged segment another name, to go on without it. The catalog keeps
/// it, so that a good copy under the old name brings its rows back.
pub(crate) fn is_aside(folders: &Folders, meta: &SegmentMeta) -> bool {
    let is_there = |path: String| folders.disk.open(&folders.data.join(path)).is_ok();
    !is_there(meta.path()) && is_there(format!("{}.aside", meta.path()))
}

/// Remove what is left of files that were being written.
fn empty(folders: &Folders) -> Result<(), OpenError> {
    let (dir, disk) = (&folders.tmp, &folders.disk);
    for found in disk.list(dir).map_err(|source| at(dir, source))? {
        if !found.is_dir {
            disk.remove(&found.path).map_err(|source| at(&found.path, source))?;
        }
    }
    Ok(())
}

/// Remove segment files that no catalog names: flushes and merges that were not finished.
fn remove_unknown(folders: &Folders, known: &HashSet<PathBuf>) -> Result<(), OpenError> {
    let (seg, disk) = (&folders.seg, &folders.disk);
    for week in disk.list(seg).map_err(|source| at(seg, source))? {
        if !week.is_dir {
            continue;
        }
        let week = week.path;
        for file in disk.list(&week).map_err(|source| at(&week, source))? {
            let file = file.path;
            let is_ours =
                file.extension().is_some_and(|kind| kind == "parquet" || kind == "presence");
            if is_ours && !known.contains(&file.with_extension("parquet")) {
                tracing::info!(file = %file.display(), "removing a segment that was never finished");
                disk.remove(&file).map_err(|source| at(&file, source))?;
                disk.reached("start: leftover removed");
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
