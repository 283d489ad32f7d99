//! What the threads of a store share: the live state, and the counters.
//!
//! Invariant: a [`View`] is taken under one lock, so it holds exactly the frames up to one number:
//! rows go from the memtable to `frozen` and from there to `segments` in single steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::catalog::{Catalog, RefusedRow, SegmentMeta};
use crate::dedupe::Bucket;
use crate::driver::Source;
use crate::error::{AppendError, FlushError};
use crate::memtable::{MemRun, MemView, Memtable};
use crate::options::StoreOptions;
use crate::people::{Apart, People, PeopleDelta};
use crate::presence::Rosters;
use crate::queue::Queue;
use crate::segment::{ColumnCache, Segment};
use crate::stats::WriteState;
use crate::usage::UsageTable;
use crate::wal::SealedFile;

/// Held by every thread of a store.
pub(crate) struct Shared {
    pub options: StoreOptions,
    pub catalog: Arc<dyn Catalog>,
    pub queue: Queue,
    pub cache: Arc<ColumnCache>,
    pub rosters: Rosters,
    pub counters: Counters,
    live: Mutex<Live>,
    /// Held while a group is written, and while an import becomes real: neither finds ids that the
    /// other is about to store. In it: days whose ids the writer has to read again.
    ids_gate: Mutex<BTreeSet<Bucket>>,
    /// Held while the catalog changes, and while a backup copies it.
    catalog_gate: Mutex<()>,
    /// Signalled when a flush is wanted, done or failed, and on closing.
    changed: Condvar,
}

/// The state that changes with every group, flush and merge.
#[derive(Default)]
pub(crate) struct Live {
    pub segments: Arc<Vec<Arc<Segment>>>,
    /// Segments that others took the place of: their files go with the last reader.
    pub replaced: Vec<Weak<Segment>>,
    pub frozen: Option<Arc<Frozen>>,
    pub active: Memtable,
    /// When the oldest row of `active` came; decides only when to flush.
    pub active_since: Option<Instant>,
    /// What the catalog has of the last days' usage.
    pub recent_usage: UsageTable,
    /// Who is who, and who was erased.
    pub people: People,
    /// Rows of `active` know what frames up to this one say about people.
    pub active_epoch: u64,
    /// Whom to set apart as of a frame that the catalog knows, and that frame: what files are written
    /// with.
    pub settled: (Arc<Apart>, u64),
    /// Counts how often `active` was taken away.
    pub generation: u64,
    /// Frames up to this one are in `segments`, `frozen` or `active`.
    pub applied_seq: u64,
    /// Closed log files that still hold frames which are not in segments.
    pub wal_files: Vec<SealedFile>,
    /// The log file that is being written, up to its last good group.
    pub wal_open: Option<SealedFile>,
    /// Segments that the operator set aside: the catalog names them, and they are not read.
    pub aside: Vec<SegmentMeta>,
    /// The writer should begin a new log file, so that the old one can go.
    pub want_roll: bool,
    pub write_state: WriteState,
    pub last_error: Option<String>,
    /// The last flush failed, and it is not known that the next one will not: what batches are told that
    /// find memory full.
    pub flush_failing: Option<AppendError>,
    /// Flushes asked for and finished, counted.
    pub flush_wanted: u64,
    pub flush_finished: u64,
    pub flush_result: Option<FlushError>,
    /// Looks at what to merge asked for and finished, counted.
    pub merge_wanted: u64,
    /// Whether the merge that is wanted treats every week as settled.
    pub merge_settles: bool,
    /// Whether segments with rows of erased persons are written again now and not in their time.
    pub erase_now: bool,
    pub merge_finished: u64,
    /// What [`left_behind`](Live::left_behind) said when erasures were last looked at.
    pub left_behind_then: u64,
    pub merge_result: Option<FlushError>,
    /// Frames at which the imports that are on their way began.
    pub imports: Vec<u64>,
    pub closing: bool,
}

/// A memtable that is being written to segments.
pub(crate) struct Frozen {
    /// Its rows.
    pub rows: MemView,
    pub refused: Vec<RefusedRow>,
    /// Frames up to this one are in it or before it.
    pub seq: u64,
    /// What these frames say about people.
    pub people: PeopleDelta,
    /// Its rows know what frames up to this one say about people.
    pub epoch: u64,
    /// Whom to set apart as of `seq`.
    pub apart: Arc<Apart>,
    /// What its rows are counted as.
    pub usage: Arc<UsageTable>,
}

impl Live {
    /// What is known about people up to this frame is written down everywhere: in every segment, also
    /// one that was set aside, and in memory.
    pub(crate) fn people_known(&self) -> u64 {
        let segments = self.segments.iter().map(|segment| segment.link_epoch());
        let aside = self.aside.iter().map(|meta| meta.link_epoch);
        let in_memory = self.frozen.iter().map(|frozen| frozen.epoch).chain([self.active_epoch]);
        let imports = self.imports.iter().copied();
        segments.chain(aside).chain(in_memory).chain(imports).min().unwrap_or(0)
    }

    /// An import begins: what is known about people now is what its rows will know.
    pub(crate) fn begin_import(&mut self) -> u64 {
        self.imports.push(self.applied_seq);
        self.applied_seq
    }

    /// An import that began at this frame has ended; its segments, if any, are in the list.
    pub(crate) fn end_import(&mut self, epoch: u64) {
        if let Some(at) = self.imports.iter().position(|import| *import == epoch) {
            self.imports.swap_remove(at);
        }
    }

    /// Whether a file that an erasure waits for has gone since erasures were last looked at: the last reader of a segment
    /// that was replaced has left it.
    pub(crate) fn is_left(&mut self) -> bool {
        self.people.waiting_since().1.is_some() && self.left_behind() > self.left_behind_then
    }

    /// No other file has anything that an erasure up to this frame took: no log file, and no segment
    /// that was replaced and still has a reader.
    pub(crate) fn left_behind(&mut self) -> u64 {
        self.replaced.retain(|segment| segment.strong_count() > 0);
        let log = self.wal_files.iter().chain(&self.wal_open);
        let log = log.map(|file| file.first_seq.saturating_sub(1));
        let replaced = self.replaced.iter().filter_map(Weak::upgrade);
        let replaced = replaced.map(|segment| segment.link_epoch());
        log.chain(replaced).chain(self.imports.iter().copied()).min().unwrap_or(u64::MAX)
    }
}

impl Frozen {
    /// Whether the catalog is about to learn of refused rows, or to forget some.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refused.is_empty() || !self.people.erasing.is_empty()
    }
}

/// Counters since the store opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub appended: AtomicU64,
    pub duplicates: AtomicU64,
    pub groups: AtomicU64,
    pub busy: AtomicU64,
    pub flushes: AtomicU64,
    pub merges: AtomicU64,
    pub expired: AtomicU64,
    pub unjoined: AtomicU64,
    pub dedupe_ids: AtomicU64,
    pub wal_cut_bytes: AtomicU64,
    pub refused: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn add_unjoined(&self, rows: u64) {
        if rows > 0 && self.unjoined.fetch_add(rows, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "there is no memory for more links: who signs in on a new device counts as somebody \
                 else there until links_bytes is raised"
            );
        }
    }

    pub(crate) fn add_refused<'a>(&self, codes: impl Iterator<Item = &'a str>) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for code in codes {
            match refused.get_mut(code) {
                Some(count) => *count += 1,
                None => {
                    refused.insert(code.to_owned(), 1);
                }
            }
        }
    }
}

/// The store at one moment.
pub(crate) struct View {
    pub segments: Arc<Vec<Arc<Segment>>>,
    pub frozen: Option<Arc<Frozen>>,
    pub active: MemView,
    /// Who must not be answered from where the rows are.
    pub apart: Arc<Apart>,
    generation: u64,
}

impl Shared {
    pub(crate) fn new(
        options: StoreOptions,
        catalog: Arc<dyn Catalog>,
        cache: Arc<ColumnCache>,
        live: Live,
    ) -> Self {
        Self {
            queue: Queue::new(options.queue_bytes),
            rosters: Rosters::new(options.cache_bytes / 4),
            cache,
            options,
            catalog,
            counters: Counters::default(),
            live: Mutex::new(live),
            ids_gate: Mutex::default(),
            catalog_gate: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ids_gate(&self) -> MutexGuard<'_, BTreeSet<Bucket>> {
        self.ids_gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While this is held, the catalog and the list of segments stay as they are.
    pub(crate) fn hold_catalog(&self) -> MutexGuard<'_, ()> {
        self.catalog_gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait until somebody calls [`Shared::signal`], or for at most so long.
    pub(crate) fn wait<'a>(
        &self,
        live: MutexGuard<'a, Live>,
        at_most: std::time::Duration,
    ) -> MutexGuard<'a, Live> {
        self.changed.wait_timeout(live, at_most).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn signal(&self) {
        self.changed.notify_all();
    }

    /// Everything stored, at this moment.
    pub(crate) fn view(&self) -> View {
        let mut live = self.live();
        View {
            apart: live.people.apart(),
            segments: Arc::clone(&live.segments),
            frozen: live.frozen.clone(),
            active: live.active.view(),
            generation: live.generation,
        }
    }

    /// What a view has in memory, sorted.
    pub(crate) fn runs(&self, view: &mut View) -> Vec<Arc<MemRun>> {
        let unsorted = view.active.sorted.is_none();
        let tail = view.active.sorted_tail();
        if let (Some(run), true) = (&tail, unsorted) {
            let mut live = self.live();
            if live.generation == view.generation {
                live.active.keep_sorted(view.active.tail.len(), run);
            }
        }
        let mut frozen = view.frozen.as_ref().map(|frozen| frozen.rows.clone()).unwrap_or_default();
        let frozen_tail = frozen.sorted_tail();
        let frozen = frozen.runs.iter().chain(&frozen_tail);
        frozen.chain(&view.active.runs).chain(&tail).cloned().collect()
    }

    /// A view's parts as the driver reads them.
    pub(crate) fn sources(&self, view: &View, runs: &[Arc<MemRun>]) -> Vec<Source> {
        let in_memory = runs.iter().map(|run| Source { blocks: vec![Arc::clone(run) as _] });
        let reading = self.cache.reading();
        let in_segments = view.segments.iter().map(|segment| segment.source(reading));
        in_segments.chain(in_memory).collect()
    }
}
