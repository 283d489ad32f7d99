//! The store: what the collector holds.
//!
//! In: batches, questions, commands. Out: receipts, partial tables, rows.
//!
//! Here: taking batches, flushes and merges on demand, closing; in `ask` what is read, in `people` who is
//! who.
//!
//! Deliberately elsewhere: opening (`open`), the threads (`writer`, `keeper`), reading (`driver`), figures
//! about the store itself (`stats`).

mod ask;
mod people;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::catalog::{Catalog, RefusedRow};
use crate::disk::Lock;
use crate::error::{AppendError, FlushError, OpenError};
use crate::keeper::Keeper;
use crate::open::{self, Folders};
use crate::options::StoreOptions;
use crate::row::Row;
use crate::shared::{Counters, Live, Shared};
pub use ask::{Asked, RowRange, Snapshot};
pub use people::Tried;

/// An open event store. Methods may be called from any thread; share it by `Arc`. Dropping it
/// closes it.
pub struct Store {
    pub(crate) folders: Folders,
    pub(crate) shared: Arc<Shared>,
    pub(crate) keeper: Keeper,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) lock: Mutex<Option<Lock>>,
}

/// One batch on its way in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Append {
    /// Events to store.
    pub rows: Vec<Row>,
    /// Events that were refused, for the quarantine list.
    pub refused: Vec<RefusedRow>,
}

/// What became of a batch. It is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// For each row of the batch, in order: whether it was stored before and is dropped.
    pub duplicate: Vec<bool>,
    /// Places in the batch of rows that were dropped because their person was erased.
    pub erased: Vec<usize>,
}

impl Store {
    /// Open or make the store in `options.dir`: take the lock, delete what no catalog names,
    /// replay the log, start the threads.
    ///
    /// # Errors
    /// [`OpenError`]: in use, damaged, of a newer version, or the disk refuses.
    pub fn open(options: StoreOptions, catalog: Arc<dyn Catalog>) -> Result<Self, OpenError> {
        open::open(options, catalog)
    }

    /// Store a batch. `done` is called exactly once, from another thread or from this one, and
    /// must not block: `Ok` means the batch is durable and visible to questions.
    pub fn append(
        &self,
        batch: Append,
        done: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) {
        if let Err((done, error)) = self.shared.queue.push(batch, Box::new(done)) {
            Counters::add(&self.shared.counters.busy, 1);
            done(Err(error));
        }
    }

    /// See to it that every refused row is in the catalog, where it has a number, and none of an erased
    /// person.
    ///
    /// # Errors
    /// [`FlushError`]; nothing is lost, the log still holds the rows.
    pub fn flush_refused(&self) -> Result<(), FlushError> {
        let live = self.shared.live();
        let in_memory = !live.active.refused().is_empty()
            || live.people.has_new_erasures()
            || live.frozen.as_ref().is_some_and(|frozen| frozen.has_refused());
        drop(live);
        if in_memory { self.flush() } else { Ok(()) }
    }

    /// Write everything that is in memory to segments, and wait for it.
    ///
    /// # Errors
    /// [`FlushError`]; nothing is lost, the log still holds the rows.
    pub fn flush(&self) -> Result<(), FlushError> {
        let mut live = self.shared.live();
        live.flush_wanted += 1;
        let ticket = live.flush_wanted;
        self.shared.signal();
        while live.flush_finished < ticket {
            if live.closing {
                return Err(FlushError::Closed);
            }
            live = self.shared.wait(live, Duration::from_millis(200));
        }
        live.flush_result.clone().map_or(Ok(()), Err)
    }

    /// Merge small segments until no week has too many of one size, and wait for it. Happens by
    /// itself after every flush.
    ///
    /// # Errors
    /// [`FlushError`]; nothing is lost, the segments stay as they were.
    pub fn merge(&self) -> Result<(), FlushError> {
        self.merge_after(|_| ())
    }

    /// Merge until no week has segments that are worth a rewrite, take out what is too old, and wait for
    /// it. Happens by itself to a week that got nothing new for `merge_idle_ms`, and every hour; asking
    /// is for the end of a large import.
    ///
    /// # Errors
    /// [`FlushError`]; nothing is lost, the segments stay as they were.
    pub fn settle(&self) -> Result<(), FlushError> {
        self.merge_after(|live| live.merge_settles = true)
    }

    fn merge_after(&self, ask: impl FnOnce(&mut Live)) -> Result<(), FlushError> {
        let mut live = self.shared.live();
        ask(&mut live);
        live.merge_wanted += 1;
        let ticket = live.merge_wanted;
        self.shared.signal();
        while live.merge_finished < ticket {
            if live.closing {
                return Err(FlushError::Closed);
            }
            live = self.shared.wait(live, Duration::from_millis(200));
        }
        live.merge_result.clone().map_or(Ok(()), Err)
    }

    /// Whether the disk has more room than is kept for events.
    pub fn has_room(&self) -> bool {
        let free = self.folders.disk.free_bytes(&self.folders.data);
        free.is_ok_and(|free| free >= self.shared.options.min_free_bytes)
    }

    /// Stop taking batches, finish those that wait, sync the log and stop the threads. What is in
    /// memory stays in the log and is replayed at the next start. A second call does nothing.
    pub fn close(&self) {
        self.shared.queue.close();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // The writer first: it may wait for a flush.
        for (i, thread) in threads.drain(..).enumerate() {
            if i > 0 {
                self.shared.live().closing = true;
                self.shared.signal();
            }
            if thread.join().is_err() {
                tracing::error!("a thread of the store stopped unexpectedly");
            }
        }
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
