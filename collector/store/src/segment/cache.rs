//! Decoded columns, kept between questions.
//!
//! In: which column of which row group, and how to decode it. Out: the column. Two threads that
//! want the same one at the same time decode it once.
//!
//! Invariant: what is kept is at most the bound, apart from what questions hold at that moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use crate::block::{Column, ColumnKey};
use crate::catalog::SegmentId;

/// A column of a row group of a segment.
type Key = (SegmentId, u32, ColumnKey);

/// Least recently used columns go first.
#[derive(Debug)]
pub(crate) struct ColumnCache {
    slots: Mutex<HashMap<Key, Slot>>,
    bytes: AtomicU64,
    bytes_max: u64,
    turn: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    column: Arc<Mutex<Option<Arc<Column>>>>,
    bytes: u64,
    used: u64,
}

impl ColumnCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            slots: Mutex::default(),
            bytes: AtomicU64::new(0),
            bytes_max: bytes_max as u64,
            turn: AtomicU64::new(0),
        }
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The column, decoded if it is not here.
    ///
    /// # Errors
    /// Those of `decode`; then nothing is kept.
    pub(crate) fn get<E>(
        &self,
        segment: SegmentId,
        group: u32,
        key: &ColumnKey,
        decode: impl FnOnce() -> Result<Column, E>,
    ) -> Result<Arc<Column>, E> {
        if self.bytes_max == 0 {
            return decode().map(Arc::new);
        }
        let key = (segment, group, key.clone());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let column = {
            let mut slots = self.lock();
            let slot = slots.entry(key.clone()).or_default();
            slot.used = turn;
            Arc::clone(&slot.column)
        };
        let mut column = column.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(column) = &*column {
            return Ok(Arc::clone(column));
        }
        let decoded = Arc::new(decode()?);
        *column = Some(Arc::clone(&decoded));
        drop(column);
        self.count(&key, decoded.bytes() as u64);
        Ok(decoded)
    }

    /// Forget the columns of a segment that is gone.
    pub(crate) fn forget(&self, segment: SegmentId) {
        let gone =
            self.lock().extract_if(|key, _| key.0 == segment).map(|(_, slot)| slot.bytes).sum();
        self.bytes.fetch_sub(gone, Ordering::Relaxed);
    }

    fn count(&self, key: &Key, bytes: u64) {
        let mut slots = self.lock();
        let Some(slot) = slots.get_mut(key) else { return };
        slot.bytes = bytes;
        let mut held = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held <= self.bytes_max {
            return;
        }
        // Make room for a while, so that this walk over all slots is rare.
        let mut by_use: Vec<(u64, Key)> =
            slots.iter().map(|(key, slot)| (slot.used, key.clone())).collect();
        by_use.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in by_use {
            if held <= self.bytes_max / 8 * 7 {
                break;
            }
            let gone = slots.remove(&key).map_or(0, |slot| slot.bytes);
            self.bytes.fetch_sub(gone, Ordering::Relaxed);
            held -= gone;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
