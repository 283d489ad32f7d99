//! Whole rows, in the order of (project, person, time): for exports and event lists.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::ScanError;
use crate::memtable::{Aside, MemRun, RowRef};
use crate::progress::Progress;
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
    progress: &Progress,
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), ScanError> {
    scan_refs(view, project, range, progress, &mut |row| each(row.to_row()))
}

/// The same, without making rows of their own of them.
///
/// # Errors
/// [`ScanError`] when a segment cannot be read, or nobody waits any more.
pub(crate) fn scan_refs(
    view: &mut View,
    project: u32,
    range: RowRange,
    progress: &Progress,
    each: &mut dyn FnMut(RowRef<'_>) -> ControlFlow<()>,
) -> Result<(), ScanError> {
    let mut passed = Passed { progress, rows: 0 };
    let mut rows_to_pass = 0;
    let persons = range.person.map_or(0..=u64::MAX, |person| person..=person);
    let times = range.from_ms..range.to_ms;
    let apart = view.apart.of(project).cloned();
    let apart = apart.as_deref();
    let is_in_time = |row: &RowRef<'_>| row.project == project && times.contains(&row.ts_ms);
    let is_apart =
        |person: u64| apart.is_some_and(|apart| apart.skip.binary_search(&person).is_ok());
    let is_wanted = |row: &RowRef<'_>| {
        is_in_time(row) && persons.contains(&row.person) && !is_apart(row.person)
    };
    let mut cursors = Vec::new();
    for segment in view.segments.iter() {
        let groups = segment.groups_holding(project, &persons, &times);
        if !groups.is_empty() {
            rows_to_pass += segment.rows_of(&groups);
            cursors.push(Cursor::Segment(Box::new(SegmentRows::open(segment, groups)?)));
        }
    }
    let tail = view.active.sorted_tail();
    let frozen = view.frozen.clone();
    let mut frozen = frozen.map(|frozen| frozen.rows.clone()).unwrap_or_default();
    let frozen_tail = frozen.sorted_tail();
    let runs = frozen.runs.iter().chain(&frozen_tail).chain(&view.active.runs).chain(&tail);
    let runs: Vec<&Arc<MemRun>> = runs.collect();
    cursors.extend(runs.iter().map(|run| Cursor::Memory(Arc::clone(run), 0)));
    progress.begin(rows_to_pass + runs.iter().map(|run| run.len() as u64).sum::<u64>());
    if let Some(apart) = apart {
        let moved = match range.person {
            Some(person) => apart.stored_as(person),
            None => apart.moved.iter().map(|(stored, _)| *stored).collect(),
        };
        let mut lane = Vec::new();
        let mut take = |cursor: &mut Cursor| -> Result<(), ScanError> {
            let is_moved =
                |row: &RowRef<'_>| is_in_time(row) && moved.binary_search(&row.person).is_ok();
            while let Some(row) = cursor.seek(&mut passed, &is_moved)? {
                let person = apart.person(row.person, || Ok::<_, ScanError>(row.base))?;
                if let Some(person) = person.filter(|person| persons.contains(person)) {
                    lane.push(Aside { base: row.base, row: Row { person, ..row.to_row() } });
                }
                cursor.advance()?;
                passed.one()?;
            }
            Ok(())
        };
        if let (Some(first), Some(last)) = (moved.first(), moved.last()) {
            for segment in view.segments.iter() {
                let mut groups = segment.groups_holding(project, &(*first..=*last), &times);
                let with = segment.groups_with(project, &moved)?;
                groups.retain(|group| with.contains(group));
                if !groups.is_empty() {
                    take(&mut Cursor::Segment(Box::new(SegmentRows::open(segment, groups)?)))?;
                }
            }
            for run in &runs {
                take(&mut Cursor::Memory(Arc::clone(run), 0))?;
            }
        }
        lane.sort_unstable_by_key(|aside| aside.row_ref().sort_key());
        cursors.push(Cursor::Lane(lane, 0));
    }

    let mut heap = BinaryHeap::new();
    for (i, cursor) in cursors.iter_mut().enumerate() {
        if let Some(row) = cursor.seek_main(&mut passed, &is_wanted)? {
            heap.push(Reverse((row.sort_key(), i)));
        }
    }
    while let Some(Reverse((_, i))) = heap.pop() {
        let cursor = &mut cursors[i];
        if cursor.row().is_some_and(|row| each(row).is_break()) {
            return Ok(());
        }
        cursor.advance()?;
        passed.one()?;
        if let Some(row) = cursor.seek_main(&mut passed, &is_wanted)? {
            heap.push(Reverse((row.sort_key(), i)));
        }
    }
    passed.tell()
}

/// Rows that were passed, wanted or not: said a few thousand at a time.
struct Passed<'a> {
    progress: &'a Progress,
    rows: u64,
}

impl Passed<'_> {
    const TOLD_EVERY: u64 = 8_192;

    fn one(&mut self) -> Result<(), ScanError> {
        self.rows += 1;
        if self.rows < Self::TOLD_EVERY { Ok(()) } else { self.tell() }
    }

    fn tell(&mut self) -> Result<(), ScanError> {
        self.progress.add(std::mem::take(&mut self.rows));
        if self.progress.is_stopped() { Err(ScanError::Stopped) } else { Ok(()) }
    }
}

/// A place in a sorted list of rows.
enum Cursor {
    Segment(Box<SegmentRows>),
    Memory(Arc<MemRun>, usize),
    /// Rows of persons set apart, under those they belong to.
    Lane(Vec<Aside>, usize),
}

impl Cursor {
    fn row(&self) -> Option<RowRef<'_>> {
        match self {
            Self::Segment(rows) => rows.row(),
            Self::Memory(run, at) => (*at < run.len()).then(|| run.row(*at)),
            Self::Lane(rows, at) => rows.get(*at).map(Aside::row_ref),
        }
    }

    fn advance(&mut self) -> Result<(), ScanError> {
        match self {
            Self::Segment(rows) => rows.advance(),
            Self::Memory(_, at) | Self::Lane(_, at) => {
                *at += 1;
                Ok(())
            }
        }
    }

    /// The same, but the lane holds only rows that are wanted.
    fn seek_main(
        &mut self,
        passed: &mut Passed<'_>,
        is_wanted: &dyn Fn(&RowRef<'_>) -> bool,
    ) -> Result<Option<RowRef<'_>>, ScanError> {
        match self {
            Self::Lane(..) => Ok(self.row()),
            _ => self.seek(passed, is_wanted),
        }
    }

    /// Go to the next row that is wanted, which may be this one.
    fn seek(
        &mut self,
        passed: &mut Passed<'_>,
        is_wanted: &dyn Fn(&RowRef<'_>) -> bool,
    ) -> Result<Option<RowRef<'_>>, ScanError> {
        while let Some(row) = self.row() {
            if is_wanted(&row) {
                break;
            }
            self.advance()?;
            passed.one()?;
        }
        Ok(self.row())
    }
}
