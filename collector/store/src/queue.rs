//! The bounded queue in front of the writer thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::AppendError;
use crate::memtable::{refused_bytes, rows_bytes};
use crate::store::{Append, Appended};

/// Called once with what became of a batch.
pub(crate) type Done = Box<dyn FnOnce(Result<Appended, AppendError>) + Send>;

/// A batch that waits.
pub(crate) struct Waiting {
    pub batch: Append,
    pub done: Done,
    pub bytes: usize,
}

/// Batches in order of arrival.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    arrived: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

/// A group is one write and one sync. It takes this much when little waits …
const GROUP_BYTES: usize = 1 << 20;
/// … and this much when more does: a slow disk is used best with large writes.
const GROUP_BYTES_MAX: usize = 4 << 20;

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), arrived: Condvar::new(), bytes_max }
    }

    /// Add a batch. A batch larger than the whole queue is taken when the queue is empty.
    ///
    /// # Errors
    /// Gives the callback back with the reason.
    pub(crate) fn push(&self, batch: Append, done: Done) -> Result<(), (Done, AppendError)> {
        let bytes =
            rows_bytes(&batch.rows) + batch.refused.iter().map(refused_bytes).sum::<usize>();
        let mut inner = self.lock();
        if inner.closed {
            return Err((done, AppendError::Closed));
        }
        if !inner.waiting.is_empty() && inner.bytes + bytes > self.bytes_max {
            return Err((done, AppendError::Busy));
        }
        inner.bytes += bytes;
        inner.waiting.push_back(Waiting { batch, done, bytes });
        drop(inner);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next group: at least one batch. `None` when the queue is closed and empty.
    pub(crate) fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut inner = self.lock();
        while inner.waiting.is_empty() {
            if inner.closed {
                return None;
            }
            inner = self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let limit = if inner.bytes > GROUP_BYTES { GROUP_BYTES_MAX } else { GROUP_BYTES };
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = inner.waiting.front()
            && (group.is_empty() || bytes + next.bytes <= limit)
        {
            bytes += next.bytes;
            group.extend(inner.waiting.pop_front());
        }
        inner.bytes -= bytes;
        Some(group)
    }

    /// Take no more batches.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
