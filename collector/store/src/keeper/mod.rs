//! The keepers: two threads, one turns memtables into segments, the other many small segments into
//! fewer. Two, because a long merge must never keep the next memtable from being flushed. A third does in place of
//! the second what has become urgent.
//!
//! In: a memtable that is full, old or asked for. Out: segments that the catalog names, and log
//! files deleted.
//!
//! Order, for flush and merge alike: write to `tmp/`, sync, rename, sync the folder, one catalog
//! transaction, show it to readers, delete what it replaces. A crash before the transaction leaves
//! files that nobody names; a crash after it leaves files and frames that the next start drops.
//!
//! Deliberately elsewhere: the log (`writer`), the file format (`segment`).

mod aside;
mod expire;
mod flush;
mod merge;
pub(crate) mod ordered;
mod people;
pub(crate) mod rewrite;
mod settling;
mod urgent;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::catalog::{CatalogChange, SegmentId, SegmentMeta};
use crate::error::{AppendError, FlushError, OpenError};
use crate::open::Folders;
use crate::priority::{FLUSH_NICE, MERGE_NICE, let_others_go_first};
use crate::segment::Segment;
use crate::shared::{Counters, Shared};
use settling::Settling;
pub(crate) use urgent::{Urgent, urgent};

/// How long to wait before a flush that failed is tried again by itself.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How often time alone is looked at, first at the start: events get too old, months end, ids are
/// needed no longer, links and erasures are due.
const LOOK_FOR_OLD_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often the age of the memtable is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What both threads need.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub shared: Arc<Shared>,
    pub folders: Folders,
    pub next_segment: Arc<AtomicU64>,
}

impl Keeper {
    /// Flush until the store closes.
    pub(crate) fn run_flushes(self) {
        let_others_go_first(FLUSH_NICE);
        while let Some(ticket) = self.wait() {
            self.flush_as(ticket);
        }
    }

    /// Flush, and let everybody know how it went.
    pub(crate) fn flush_as(&self, ticket: u64) {
        let result = self.flush();
        let no_room = self.why_no_room();
        let mut live = self.shared.live();
        live.flush_finished = live.flush_finished.max(ticket);
        live.flush_failing = live.frozen.is_some().then_some(no_room);
        live.merge_wanted += 1;
        if let Err(error) = &result {
            tracing::error!(%error, "flushing failed; the log keeps the events");
            live.last_error = Some(error.to_string());
        }
        live.flush_result = result.err();
        self.shared.signal();
    }

    /// Why memory stays full when flushing fails. Whatever failed, segment or catalog: a disk on which
    /// the log would begin no file is full.
    fn why_no_room(&self) -> AppendError {
        let free = self.folders.disk.free_bytes(&self.folders.data);
        let is_full = free.is_ok_and(|free| free < self.shared.options.min_free_bytes);
        if is_full { AppendError::DiskFull } else { AppendError::Busy }
    }

    /// Merge after each flush, where a week has settled, what time alone makes due, and what an erasure
    /// waited for, until the store closes.
    pub(crate) fn run_merges(self, urgent: &Urgent) {
        let_others_go_first(MERGE_NICE);
        let idle = Duration::from_millis(self.shared.options.merge_idle_ms);
        let mut settling = Settling::default();
        self.prepare_presence();
        let mut looked_for_old: Option<Instant> = None;
        loop {
            let mut live = self.shared.live();
            let (mut settled, mut looks_for_old);
            loop {
                if live.closing {
                    return;
                }
                settling.look(&live.segments, (self.shared.options.now_ms)());
                // A start cannot know when that was last done.
                looks_for_old = looked_for_old.is_none_or(|at| at.elapsed() >= LOOK_FOR_OLD_EVERY);
                settled = if looks_for_old {
                    looked_for_old = Some(Instant::now());
                    settling.idle(idle)
                } else {
                    settling.settled(idle)
                };
                let is_wanted = live.merge_wanted > live.merge_finished;
                if is_wanted || !settled.is_empty() || looks_for_old || live.is_left() {
                    break;
                }
                live = self.shared.wait(live, LOOK_EVERY);
            }
            let settles = std::mem::take(&mut live.merge_settles);
            if settles {
                settled = settling.all();
            }
            let ticket = live.merge_wanted;
            // Also where settling fails: then it is for the next time.
            live.left_behind_then = live.left_behind();
            drop(live);
            // A file that cannot be read keeps nothing from what needs others only.
            let mut result = self.settle_people();
            result = result.and(self.merge_all(&settled, Some(urgent)));
            if looks_for_old || settles {
                result = result.and(self.expire());
            }
            settling.done(&settled);
            let mut live = self.shared.live();
            live.merge_finished = ticket;
            if let Err(error) = &result
                && !live.closing
            {
                tracing::error!(%error, "merging failed; the segments stay as they are");
                live.last_error = Some(error.to_string());
            }
            live.merge_result = result.err();
            self.shared.signal();
            drop(live);
            self.prepare_presence();
        }
    }

    /// Make what is missing of presence, so that no question waits for it.
    pub(crate) fn prepare_presence(&self) {
        let segments = Arc::clone(&self.shared.live().segments);
        let lack = |segment: &&Arc<Segment>| !segment.has_presence();
        let lacking: Vec<Arc<Segment>> = segments.iter().filter(lack).cloned().collect();
        drop(segments);
        for segment in lacking {
            let closing = || self.shared.live().closing;
            if closing() {
                return;
            }
            if let Err(error) = segment.presence(&self.shared.options.zones, &closing) {
                // A question that needs the segment says so to whoever asks.
                tracing::error!(%error, "cannot read a segment for its presence");
            }
        }
    }

    /// Wait until there is something to do: the number of the last flush that was asked for, or
    /// `None` when the store closes.
    fn wait(&self) -> Option<u64> {
        let options = &self.shared.options;
        let mut live = self.shared.live();
        let mut wait = if live.frozen.is_some() { RETRY_AFTER } else { Duration::ZERO };
        loop {
            if live.closing {
                return None;
            }
            let is_asked = live.flush_wanted > live.flush_finished;
            let is_full = live.active.bytes() >= options.memtable_bytes
                || live.active.rows() >= options.memtable_rows;
            let age = live.active_since.map_or(Duration::ZERO, |since| since.elapsed());
            let is_old = age >= Duration::from_millis(options.flush_after_ms);
            // After a failure the clock decides, or somebody who asks.
            let is_due = is_full || is_old || live.frozen.is_some();
            if is_asked || is_due && wait.is_zero() {
                return Some(live.flush_wanted);
            }
            let before = Instant::now();
            live = self.shared.wait(live, if wait.is_zero() { LOOK_EVERY } else { wait });
            wait = wait.saturating_sub(before.elapsed());
        }
    }

    /// One catalog transaction, then show the new list of segments. `also` changes the live state
    /// in the same step that readers see.
    pub(crate) fn commit(
        &self,
        change: CatalogChange,
        also: impl FnOnce(&mut crate::shared::Live),
    ) -> Result<(), FlushError> {
        self.commit_without(change, &[], &BTreeMap::new(), also)
    }

    /// The same, for files that were written again without so many rows of erased ids.
    fn commit_without(
        &self,
        mut change: CatalogChange,
        files: &[String],
        erased: &BTreeMap<(u32, u64), u64>,
        also: impl FnOnce(&mut crate::shared::Live),
    ) -> Result<(), FlushError> {
        let opened =
            change.add.iter().map(|meta| self.open(meta)).collect::<Result<Vec<_>, _>>()?;
        let disk = &self.folders.disk;
        disk.reached("keeper: before the catalog");
        let held = self.shared.hold_catalog();
        debug_assert!(
            change.remove.iter().all(|id| self.has(*id)),
            "what was written again is gone, so its rows would be there twice"
        );
        // While it is held nobody else adds to them.
        let erasures = self.receipts(files, erased);
        change.people.put_erasures(&erasures);
        if let Err(error) = self.shared.catalog.commit(&change) {
            // It may have happened all the same: only the catalog knows.
            let state = self.shared.catalog.load()?;
            let shows = change.flushed_seq > 0 || !change.remove.is_empty();
            let is_done = shows
                && state.flushed_seq >= change.flushed_seq
                && change.add.iter().all(|meta| state.segments.contains(meta))
                && state.segments.iter().all(|meta| !change.remove.contains(&meta.id));
            if !is_done {
                opened.iter().for_each(|segment| segment.doom());
                return Err(error.into());
            }
        }
        disk.reached("keeper: catalog committed");
        let mut live = self.shared.live();
        let (gone, mut kept): (Vec<_>, Vec<_>) = live
            .segments
            .iter()
            .cloned()
            .partition(|segment| change.remove.contains(&segment.meta().id));
        kept.extend(opened);
        live.segments = Arc::new(kept);
        live.replaced.extend(gone.iter().map(Arc::downgrade));
        live.people.put_erasures(erasures);
        live.recent_usage.add_deltas(&change.usage);
        live.recent_usage.forget((self.shared.options.now_ms)());
        also(&mut live);
        drop(live);
        drop(held);
        gone.iter().for_each(|segment| segment.doom());
        disk.reached("keeper: shown to readers");
        Ok(())
    }

    /// Those of all segments, sorted.
    #[cfg(test)]
    fn levels(&self) -> Vec<u8> {
        let live = self.shared.live();
        let mut levels: Vec<u8> =
            live.segments.iter().map(|segment| segment.meta().level).collect();
        levels.sort_unstable();
        levels
    }

    fn has(&self, id: SegmentId) -> bool {
        self.shared.live().segments.iter().any(|segment| segment.meta().id == id)
    }

    pub(crate) fn open(&self, meta: &SegmentMeta) -> Result<Arc<Segment>, FlushError> {
        let segment = Segment::open(&self.folders, meta.clone(), &self.shared.cache);
        segment.map(Arc::new).map_err(|error: OpenError| FlushError::Segment {
            file: self.folders.data.join(meta.path()),
            what: error.to_string(),
        })
    }

    /// Weeks that have a segment.
    #[cfg(test)]
    pub(crate) fn weeks(&self) -> std::collections::BTreeSet<String> {
        self.shared.live().segments.iter().map(|segment| segment.meta().week.clone()).collect()
    }

    fn new_segment_id(&self) -> SegmentId {
        SegmentId(self.next_segment.fetch_add(1, Ordering::Relaxed))
    }

    fn count_expired(&self, rows: u64) {
        if rows > 0 {
            tracing::info!(rows, "events that were too old are gone");
            Counters::add(&self.shared.counters.expired, rows);
        }
    }

    fn count(&self, counter: impl FnOnce(&Counters) -> &AtomicU64) {
        Counters::add(counter(&self.shared.counters), 1);
    }
}
