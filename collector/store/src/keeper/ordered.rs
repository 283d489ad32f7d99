//! Several sorted places to one sorted stream: the heart of flush, import and merge.
//!
//! In: [`Cursor`]s, each over sorted rows. Out: batches of (source, row), in order of
//! [`Columns::sort_key`], to be gathered column by column. Rows with equal keys, which only happens
//! where ids were dropped, keep the order of the cursors.
//!
//! Invariant: one batch of rows per cursor is in memory, so memory does not grow with the rows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::rewrite::Rewrite;
use crate::columns::{Columns, Dictionary};
use crate::error::{FlushError, ScanError};
use crate::memtable::{MemRun, SortKey};
use crate::segment::SegmentBatches;

/// Rows given at once, at most.
const ORDER_ROWS: usize = 16 * 1024;
/// Rows of a memtable's run turned into columns at once.
const RUN_BATCH_ROWS: usize = 8 * 1024;

/// A place in sorted rows.
pub(crate) struct Cursor {
    columns: Arc<Columns>,
    /// The rows that count, in order; `None`: all of them.
    rows: Option<Vec<u32>>,
    at: usize,
    feed: Feed,
}

/// Where the next rows come from.
enum Feed {
    Nothing,
    Segment(SegmentBatches),
    Run { run: Arc<MemRun>, rows: std::vec::IntoIter<u32>, dictionaries: Vec<Dictionary> },
    Batches(Batches),
}

/// Gives batch after batch of sorted rows, and which of them count; `None`: all of them.
pub(crate) type Batches =
    Box<dyn FnMut() -> Result<Option<(Columns, Option<Vec<u32>>)>, FlushError>>;

impl Cursor {
    /// Some rows of columns, in this order.
    pub(crate) fn of_columns(columns: Arc<Columns>, rows: Vec<u32>) -> Self {
        Self { columns, rows: Some(rows), at: 0, feed: Feed::Nothing }
    }

    /// Some rows of a run of the memtable.
    pub(crate) fn of_run(run: &Arc<MemRun>, rows: Vec<u32>) -> Self {
        let (run, dictionaries) = (Arc::clone(run), run.dictionaries());
        Self::fed(Feed::Run { run, rows: rows.into_iter(), dictionaries })
    }

    /// A segment.
    pub(crate) fn of_segment(batches: SegmentBatches) -> Self {
        Self::fed(Feed::Segment(batches))
    }

    /// Rows from elsewhere, that no rule concerns.
    pub(crate) fn of_batches(batches: Batches) -> Self {
        Self::fed(Feed::Batches(batches))
    }

    fn fed(feed: Feed) -> Self {
        Self { columns: Arc::default(), rows: None, at: 0, feed }
    }

    fn row(&self) -> Option<usize> {
        match &self.rows {
            Some(rows) => rows.get(self.at).map(|&row| row as usize),
            None => (self.at < self.columns.len()).then_some(self.at),
        }
    }

    fn key(&self) -> Option<SortKey> {
        self.row().map(|row| self.columns.sort_key(row))
    }

    /// Fetch rows until there is one that the rewrite keeps. Returns its key.
    fn load(&mut self, rewrite: &Rewrite) -> Result<Option<SortKey>, FlushError> {
        loop {
            if let Some(key) = self.key() {
                return Ok(Some(key));
            }
            let next = match &mut self.feed {
                Feed::Batches(next) => {
                    let Some((columns, rows)) = next()? else { return Ok(None) };
                    (self.columns, self.rows, self.at) = (Arc::new(columns), rows, 0);
                    continue;
                }
                Feed::Nothing => None,
                Feed::Segment(batches) => batches.next_batch().map_err(damaged)?,
                Feed::Run { run, rows, dictionaries } => {
                    let some: Vec<u32> = rows.take(RUN_BATCH_ROWS).collect();
                    (!some.is_empty()).then(|| run.columns(&some, dictionaries))
                }
            };
            let Some(columns) = next else { return Ok(None) };
            self.rows = rewrite.kept(&columns);
            self.columns = Arc::new(columns);
            self.at = 0;
        }
    }
}

/// What takes the rows.
pub(crate) type Emit<'a> = &'a mut dyn FnMut(&[(u32, u32)], &[&Columns]) -> Result<(), FlushError>;

/// Give all rows of all cursors in order.
///
/// # Errors
/// When a segment cannot be read, or those of `emit`.
pub(crate) fn merge(
    mut cursors: Vec<Cursor>,
    rewrite: &Rewrite,
    emit: Emit<'_>,
) -> Result<(), FlushError> {
    let mut heap = BinaryHeap::with_capacity(cursors.len());
    for (i, cursor) in cursors.iter_mut().enumerate() {
        if let Some(key) = cursor.load(rewrite)? {
            heap.push(Reverse((key, i)));
        }
    }
    let mut order: Vec<(u32, u32)> = Vec::with_capacity(ORDER_ROWS);
    while let Some(Reverse((_, i))) = heap.pop() {
        // Rows of one cursor often follow each other: they need no heap.
        let limit = heap.peek().map(|Reverse(next)| *next);
        let cursor = &mut cursors[i];
        let mut next = None;
        while let Some(row) = cursor.row() {
            order.push((i as u32, row as u32));
            cursor.at += 1;
            next = cursor.key();
            let goes_on = next.is_some_and(|key| limit.is_none_or(|limit| (key, i) < limit));
            if !goes_on || order.len() >= ORDER_ROWS {
                break;
            }
        }
        if next.is_none() || order.len() >= ORDER_ROWS {
            give(&mut order, &cursors, emit)?;
        }
        let next = match next {
            Some(key) => Some(key),
            None => cursors[i].load(rewrite)?,
        };
        if let Some(key) = next {
            heap.push(Reverse((key, i)));
        }
    }
    give(&mut order, &cursors, emit)
}

fn give(order: &mut Vec<(u32, u32)>, cursors: &[Cursor], emit: Emit<'_>) -> Result<(), FlushError> {
    if order.is_empty() {
        return Ok(());
    }
    let sources: Vec<&Columns> = cursors.iter().map(|cursor| &*cursor.columns).collect();
    emit(order, &sources)?;
    order.clear();
    Ok(())
}

pub(crate) fn damaged(error: ScanError) -> FlushError {
    let what = error.to_string();
    match error {
        ScanError::Segment { file, what } => FlushError::Segment { file, what },
        _ => FlushError::Segment { file: Default::default(), what },
    }
}
