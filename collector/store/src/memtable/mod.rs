//! Rows that are in the log but not yet in a segment.
//!
//! In: the rows of each group, after it is durable. Out: sorted blocks for questions and for the
//! flush.
//!
//! A table is a list of sorted runs and a short unsorted tail. When the tail reaches
//! [`RUN_ROWS`] it becomes a run (`sorter`); a question that meets a tail gets it sorted, and the sorted form
//! is kept until rows are added. Chunks of rows are shared, never changed, so a reader holds what
//! it saw while the writer goes on.
//!
//! Invariant: a reader sees whole groups, and all groups up to one moment.
//!
//! Here: the table; in `run` sorted rows as columns, in `row_ref` one row of any block.

mod row_ref;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::{RefusedRow, RestatedDay};
use crate::row::{Dims, Row};
use crate::usage::UsageTable;
pub(crate) use row_ref::{Aside, RowRef, SortKey};
pub(crate) use run::{MemRun, identity_texts, session_texts};

/// Rows at which a tail is sorted for good: sorting stays a matter of milliseconds.
pub(crate) const RUN_ROWS: usize = 64 * 1024;

/// Rows of some groups, up to one moment.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    runs: Vec<Arc<MemRun>>,
    tail: Vec<Arc<Vec<Row>>>,
    tail_rows: usize,
    /// The first so many chunks of the tail, sorted for a question.
    tail_sorted: Option<(usize, Arc<MemRun>)>,
    refused: Vec<RefusedRow>,
    restated: Arc<BTreeSet<RestatedDay>>,
    usage: UsageTable,
    rows: usize,
    bytes: usize,
}

impl Memtable {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0 && self.refused.is_empty()
    }

    pub(crate) fn refused(&self) -> &[RefusedRow] {
        &self.refused
    }

    pub(crate) fn usage(&self) -> &UsageTable {
        &self.usage
    }

    /// The sums of a table that takes no more rows.
    pub(crate) fn take_usage(&mut self) -> UsageTable {
        std::mem::take(&mut self.usage)
    }

    /// Add a group.
    pub(crate) fn push(&mut self, rows: Vec<Row>, refused: Vec<RefusedRow>) {
        self.bytes += rows_bytes(&rows);
        self.bytes += refused.iter().map(refused_bytes).sum::<usize>();
        self.rows += rows.len();
        self.usage.add_rows(&rows);
        self.usage.add_refused(&refused);
        let restated = rows.iter().filter_map(RestatedDay::of);
        restated.for_each(|day| {
            if !self.restated.contains(&day) {
                Arc::make_mut(&mut self.restated).insert(day);
            }
        });
        self.refused.extend(refused);
        if !rows.is_empty() {
            self.tail_rows += rows.len();
            self.tail.push(Arc::new(rows));
        }
    }

    /// Rows that are not sorted yet.
    pub(crate) fn tail_rows(&self) -> usize {
        self.tail_rows
    }

    /// The tail, when it is long enough to be sorted for good.
    pub(crate) fn full_tail(&self) -> Option<Vec<Arc<Vec<Row>>>> {
        (self.tail_rows >= RUN_ROWS).then(|| self.tail.clone())
    }

    /// Put the sorted form in the place of the chunks it was made of, the oldest ones.
    pub(crate) fn replace_tail(&mut self, chunks: usize, run: Arc<MemRun>) {
        self.tail.drain(..chunks);
        self.tail_rows -= run.len();
        self.tail_sorted = None;
        self.runs.push(run);
    }

    /// Everything in it at this moment.
    pub(crate) fn view(&self) -> MemView {
        let sorted = self.tail_sorted.clone().filter(|(chunks, _)| *chunks == self.tail.len());
        MemView {
            runs: self.runs.clone(),
            tail: self.tail.clone(),
            sorted: sorted.map(|(_, run)| run),
            restated: Arc::clone(&self.restated),
        }
    }

    /// Remember the sorted tail of a view for the next question.
    pub(crate) fn keep_sorted(&mut self, chunks: usize, run: &Arc<MemRun>) {
        if self.tail.len() == chunks && self.tail_rows == run.len() {
            self.tail_sorted = Some((chunks, Arc::clone(run)));
        }
    }
}

/// A memtable as it was at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemView {
    pub runs: Vec<Arc<MemRun>>,
    pub tail: Vec<Arc<Vec<Row>>>,
    /// The tail as a run, if somebody made it before.
    pub sorted: Option<Arc<MemRun>>,
    /// Days that its rows change after they were closed.
    pub restated: Arc<BTreeSet<RestatedDay>>,
}

impl MemView {
    pub(crate) fn rows(&self) -> usize {
        let tail: usize = self.tail.iter().map(|chunk| chunk.len()).sum();
        self.runs.iter().map(|run| run.len()).sum::<usize>() + tail
    }

    /// The tail as a run, made now if need be; `None` when there is no tail.
    pub(crate) fn sorted_tail(&mut self) -> Option<Arc<MemRun>> {
        if self.tail.is_empty() {
            return None;
        }
        Some(Arc::clone(self.sorted.get_or_insert_with(|| Arc::new(MemRun::sort(&self.tail)))))
    }

    /// Project and event id of every row.
    pub(crate) fn ids(&self, each: &mut dyn FnMut(u32, u128)) {
        for run in &self.runs {
            run.ids(each);
        }
        for row in self.tail.iter().flat_map(|chunk| chunk.iter()) {
            each(row.project, row.event_id);
        }
    }
}

/// Memory that rows take, about: what bounds on memory are counted in. Dimensions that neighbours
/// share count once.
pub(crate) fn rows_bytes(rows: &[Row]) -> usize {
    let each =
        rows.iter().enumerate().map(|(i, row)| row_bytes(row, i.checked_sub(1).map(|i| &rows[i])));
    each.sum()
}

/// Memory that a row takes in addition to what it shares with the one before it.
pub(crate) fn row_bytes(row: &Row, before: Option<&Row>) -> usize {
    /// A [`Row`] on its own, or its parts in the columns of a run.
    const FIXED: usize = 200;
    let shares = before.is_some_and(|before| Arc::ptr_eq(&before.dims, &row.dims));
    let dims =
        |dims: &Dims| size_of::<Dims>() + dims.iter().flatten().map(|dim| dim.len()).sum::<usize>();
    FIXED + row.props.len() + if shares { 0 } else { dims(&row.dims) }
}

/// Memory that a refused row takes, about.
pub(crate) fn refused_bytes(row: &RefusedRow) -> usize {
    64 + row.code.len() + row.raw.len()
}
