//! Figures about the store itself, for metrics, `doctor` and tests.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Store;

/// A reading of the store's counters. Counters start at 0 when the store opens; the rest are levels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreStats {
    /// Rows stored, in segments and memtables.
    pub rows: u64,
    /// Bytes of all segment files.
    pub segment_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Rows not yet in segments.
    pub memtable_rows: u64,
    /// Links between ids, those that were taken back among them; see `links_max`.
    pub links: u64,
    /// Counter: events that did not join their device to their person, because there were as many links
    /// as there may be.
    pub unjoined: u64,
    /// Persons that questions set apart because some file does not know their links yet.
    pub apart: u64,
    /// Bytes held by those rows.
    pub memtable_bytes: u64,
    /// Log files.
    pub wal_files: u64,
    /// Bytes of frames in the log files (not what was set aside for more).
    pub wal_bytes: u64,
    /// Bytes that wait for the writer thread.
    pub queue_bytes: u64,
    /// Event ids held in memory for finding duplicates.
    pub dedupe_ids: u64,
    /// Bytes of decoded columns held.
    pub cache_bytes: u64,
    /// Counter: rows appended (duplicates not among them).
    pub appended: u64,
    /// Counter: duplicates found.
    pub duplicates: u64,
    /// Counter: refused rows stored, by code.
    pub refused: BTreeMap<String, u64>,
    /// Counter: group commits.
    pub groups: u64,
    /// Counter: batches turned away because too much was waiting.
    pub busy: u64,
    /// Counter: flushes that added segments.
    pub flushes: u64,
    /// Counter: merges of segments.
    pub merges: u64,
    /// Counter: rows that were too old, and are gone.
    pub expired: u64,
    /// Bytes of a torn tail that were cut off the log when the store opened.
    pub wal_cut_bytes: u64,
    /// Segments that were set aside: the catalog names them, and their rows are in no answer.
    pub segments_aside: u64,
    /// Rows in them.
    pub rows_aside: u64,
    /// Why the last flush, merge or write failed, if it did.
    pub last_error: Option<String>,
    /// Whether the store takes events.
    pub state: WriteState,
}

/// Whether events can be appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteState {
    /// Yes.
    #[default]
    Open,
    /// Not until there is space; tried again with every batch.
    DiskFull,
    /// Not before a restart.
    ReadOnly,
}

impl Store {
    /// Counters and levels.
    pub fn stats(&self) -> StoreStats {
        let shared = &self.shared;
        let counters = &shared.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = counters.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue_bytes = shared.queue.bytes() as u64;
        let live = shared.live();
        let frozen_rows = live.frozen.as_ref().map_or(0, |frozen| frozen.rows.rows());
        let memtable_rows = (live.active.rows() + frozen_rows) as u64;
        let (links, apart) = live.people.counts();
        let closed_bytes: u64 = live.wal_files.iter().map(|file| file.bytes).sum();
        StoreStats {
            rows: live.segments.iter().map(|segment| segment.meta().rows).sum::<u64>()
                + memtable_rows,
            segment_bytes: live.segments.iter().map(|segment| segment.meta().bytes).sum(),
            segments: live.segments.len() as u64,
            memtable_rows,
            links,
            unjoined: count(&counters.unjoined),
            apart,
            memtable_bytes: live.active.bytes() as u64,
            wal_files: live.wal_files.len() as u64 + u64::from(live.wal_open.is_some()),
            wal_bytes: closed_bytes + live.wal_open.as_ref().map_or(0, |file| file.bytes),
            segments_aside: live.aside.len() as u64,
            rows_aside: live.aside.iter().map(|meta| meta.rows).sum(),
            queue_bytes,
            dedupe_ids: count(&counters.dedupe_ids),
            cache_bytes: shared.cache.bytes(),
            appended: count(&counters.appended),
            duplicates: count(&counters.duplicates),
            refused,
            groups: count(&counters.groups),
            busy: count(&counters.busy),
            flushes: count(&counters.flushes),
            merges: count(&counters.merges),
            expired: count(&counters.expired),
            wal_cut_bytes: count(&counters.wal_cut_bytes),
            last_error: live.last_error.clone(),
            state: live.write_state,
        }
    }
}
