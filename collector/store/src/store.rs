//! The store: what the collector holds.

use std::ops::ControlFlow;
use std::sync::Arc;

use tallymark_analysis::kernel::{Analysis, Partial};

use crate::catalog::{Catalog, RefusedRow};
use crate::error::{AppendError, FlushError, OpenError, ScanError};
use crate::options::StoreOptions;
use crate::row::Row;
use crate::schema::Schema;
use crate::stats::StoreStats;

/// An open event store. Methods may be called from any thread; share it by `Arc`.
#[derive(Debug)]
pub struct Store {
    options: StoreOptions,
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
}

/// The result of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The merged table.
    pub partial: Partial,
    /// Rows looked at, before any filter.
    pub rows_scanned: u64,
}

/// Which rows [`Store::rows`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRange {
    /// First event time, Unix milliseconds, included.
    pub from_ms: i64,
    /// End of event times, Unix milliseconds, excluded.
    pub to_ms: i64,
    /// Only this person.
    pub person: Option<u64>,
}

impl RowRange {
    /// Everyone's rows from `from_ms` (included) to `to_ms` (excluded).
    pub fn between(from_ms: i64, to_ms: i64) -> Self {
        Self { from_ms, to_ms, person: None }
    }
}

impl Store {
    /// Open or make the store in `options.dir`: take the lock, delete what no catalog names,
    /// replay the log, start the writer and the keeper thread.
    ///
    /// # Errors
    /// [`OpenError`]: in use, damaged, of a newer version, or the disk refuses.
    pub fn open(options: StoreOptions, catalog: Arc<dyn Catalog>) -> Result<Self, OpenError> {
        let _ = catalog;
        Ok(Self { options })
    }

    /// Store a batch. `done` is called exactly once, from another thread or from this one, and
    /// must not block: `Ok` means the batch is durable and visible to questions.
    pub fn append(
        &self,
        batch: Append,
        done: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) {
        let _ = batch;
        done(Err(AppendError::Closed));
    }

    /// Ask a question about one project, on one snapshot of it.
    ///
    /// # Errors
    /// [`ScanError`] when a segment cannot be read.
    pub fn ask(&self, project: u32, analysis: &dyn Analysis) -> Result<Asked, ScanError> {
        let _ = (project, analysis, &self.options);
        Err(ScanError::Panicked)
    }

    /// Give full rows, one after the other, until `each` breaks: persons in order, and each
    /// person's rows in order of time.
    ///
    /// # Errors
    /// [`ScanError`] when a segment cannot be read.
    pub fn rows(
        &self,
        project: u32,
        range: RowRange,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), ScanError> {
        let _ = (project, range, each);
        Err(ScanError::Panicked)
    }

    /// Event names and properties seen in a project, the newest rows included.
    ///
    /// # Errors
    /// [`ScanError`] when the catalog cannot be read.
    pub fn schema(&self, project: u32) -> Result<Schema, ScanError> {
        let _ = project;
        Err(ScanError::Panicked)
    }

    /// The newest refused rows of a project, newest first.
    ///
    /// # Errors
    /// [`ScanError`] when the catalog cannot be read.
    pub fn refused(&self, project: u32, limit: usize) -> Result<Vec<RefusedRow>, ScanError> {
        let _ = (project, limit);
        Err(ScanError::Panicked)
    }

    /// Write everything that is in memory to segments, and wait for it.
    ///
    /// # Errors
    /// [`FlushError`]; nothing is lost, the log still holds the rows.
    pub fn flush(&self) -> Result<(), FlushError> {
        Err(FlushError::Closed)
    }

    /// Counters and levels.
    pub fn stats(&self) -> StoreStats {
        StoreStats::default()
    }

    /// Stop taking batches, finish those that wait, sync the log and stop the threads. What is in
    /// memory stays in the log and is replayed at the next start. A second call does nothing.
    pub fn close(&self) {}
}
