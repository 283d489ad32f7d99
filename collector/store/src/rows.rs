//! Whole rows, in the order of (project, person, time): for exports and event lists.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::ScanError;
use crate::memtable::{MemRun, RowRef};
use crate::row::Row;
use crate::segment::SegmentRows;
use crate::shared::View;
use crate::store::RowRange;

/// Give the rows of a project in a range.
///
/// # Errors
/// [`ScanError`] when a segment cannot be read.
pub(crate) fn scan(
    view: &mut View,
    project: u32,
    range: RowRange,
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), ScanError> {
    let persons = range.person.map_or(0..=u64::MAX, |person| person..=person);
    let times = range.from_ms..range.to_ms;
    let is_wanted = |row: &RowRef<'_>| {
        row.project == project && times.contains(&row.ts_ms) && persons.contains(&row.person)
    };
    let mut cursors = Vec::new();
    for segment in view.segments.iter() {
        let groups = segment.groups_holding(project, &persons, &times);
        if !groups.is_empty() {
            cursors.push(Cursor::Segment(Box::new(SegmentRows::open(segment, groups)?)));
        }
    }
    let tail = view.active.sorted_tail();
    let frozen = view.frozen.clone();
    let mut frozen = frozen.map(|frozen| frozen.rows.clone()).unwrap_or_default();
    let frozen_tail = frozen.sorted_tail();
    let runs = frozen.runs.iter().chain(&frozen_tail).chain(&view.active.runs).chain(&tail);
    cursors.extend(runs.map(|run| Cursor::Memory(Arc::clone(run), 0)));

    let mut heap = BinaryHeap::new();
    for (i, cursor) in cursors.iter_mut().enumerate() {
        if let Some(row) = cursor.seek(&is_wanted)? {
            heap.push(Reverse((row.sort_key(), i)));
        }
    }
    while let Some(Reverse((_, i))) = heap.pop() {
        let cursor = &mut cursors[i];
        if cursor.row().is_some_and(|row| each(row.to_row()).is_break()) {
            return Ok(());
        }
        cursor.advance()?;
        if let Some(row) = cursor.seek(&is_wanted)? {
            heap.push(Reverse((row.sort_key(), i)));
        }
    }
    Ok(())
}

/// A place in a sorted list of rows.
enum Cursor {
    Segment(Box<SegmentRows>),
    Memory(Arc<MemRun>, usize),
}

impl Cursor {
    fn row(&self) -> Option<RowRef<'_>> {
        match self {
            Self::Segment(rows) => rows.row(),
            Self::Memory(run, at) => (*at < run.len()).then(|| run.row(*at)),
        }
    }

    fn advance(&mut self) -> Result<(), ScanError> {
        match self {
            Self::Segment(rows) => rows.advance(),
            Self::Memory(_, at) => {
                *at += 1;
                Ok(())
            }
        }
    }

    /// Go to the next row that is wanted, which may be this one.
    fn seek(
        &mut self,
        is_wanted: &dyn Fn(&RowRef<'_>) -> bool,
    ) -> Result<Option<RowRef<'_>>, ScanError> {
        while let Some(row) = self.row() {
            if is_wanted(&row) {
                break;
            }
            self.advance()?;
        }
        Ok(self.row())
    }
}
