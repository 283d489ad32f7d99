//! What is read from a store: answers, rows, lists.
//!
//! In: questions. Out: what was stored at one moment. What is partly in memory and partly in the catalog
//! is read while the catalog stands still, so that nothing is named twice.
//!
//! Deliberately elsewhere: counting (`driver`, `presence`), putting rows in order (`rows`).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use tallymark_analysis::kernel::{Analysis, Partial};

use super::Store;
use crate::catalog::{RefusedRow, day_of};
use crate::driver::{self, Limits};
use crate::error::ScanError;
use crate::memtable::MemRun;
use crate::people::Apart;
use crate::presence;
use crate::progress::Progress;
use crate::row::Row;
use crate::schema::{Schema, SchemaCounter};
use crate::segment::Segment;
use crate::shared::{Shared, View};

/// The result of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The merged table.
    pub partial: Partial,
    /// Rows looked at, before any filter; where days were enough, the persons' entries in lists of
    /// days.
    pub rows_scanned: u64,
}

/// A store as it was at one moment. It keeps files from being deleted as long as it lives.
pub struct Snapshot<'a> {
    shared: &'a Shared,
    segments: Arc<Vec<Arc<Segment>>>,
    runs: Vec<Arc<MemRun>>,
    sources: Vec<driver::Source>,
    apart: Arc<Apart>,
}

impl Snapshot<'_> {
    /// Ask a question about one project.
    ///
    /// # Errors
    /// [`ScanError`] when a segment cannot be read.
    pub fn ask(&self, project: u32, analysis: &dyn Analysis) -> Result<Asked, ScanError> {
        self.ask_watched(project, analysis, &Progress::default())
    }

    /// The same for somebody who wants to know how far it is, and may not wait for the end.
    ///
    /// # Errors
    /// [`ScanError`] when a segment cannot be read; [`ScanError::Stopped`] when nobody waits any more.
    pub fn ask_watched(
        &self,
        project: u32,
        analysis: &dyn Analysis,
        progress: &Progress,
    ) -> Result<Asked, ScanError> {
        let options = &self.shared.options;
        let limits =
            Limits { threads: options.query_threads, bytes: options.question_bytes, progress };
        let apart = self.apart.of(project).map(|apart| &**apart);
        if let Some(presence) = analysis.presence() {
            let (segments, runs) = (&self.segments, &self.runs);
            let aside = apart.map_or(&[][..], |apart| &apart.skip);
            let most =
                presence::ask(self.shared, segments, runs, project, presence, (aside, progress))?;
            if let Some(mut asked) = most {
                if let Some(apart) = apart {
                    let rest = driver::ask_apart(project, analysis, &self.sources, apart, limits)?;
                    asked.partial.merge(rest.partial);
                    asked.rows_scanned += rest.rows_scanned;
                }
                return Ok(asked);
            }
        }
        driver::ask(project, analysis, &self.sources, apart, limits)
    }
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
    /// Everything stored, at this moment: for questions that belong together.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let mut view = self.shared.view();
        let runs = self.shared.runs(&mut view);
        let sources = self.shared.sources(&view, &runs);
        let View { segments, apart, .. } = view;
        Snapshot { shared: &self.shared, segments, runs, sources, apart }
    }

    /// Ask a question about one project, on one snapshot of it.
    ///
    /// # Errors
    /// [`ScanError`] when a segment cannot be read.
    pub fn ask(&self, project: u32, analysis: &dyn Analysis) -> Result<Asked, ScanError> {
        self.snapshot().ask(project, analysis)
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
        self.rows_watched(project, range, &Progress::default(), each)
    }

    /// The same for somebody who watches how far it is and may stop it.
    ///
    /// # Errors
    /// As [`rows`](Self::rows); [`ScanError::Stopped`] when nobody waits any more.
    pub fn rows_watched(
        &self,
        project: u32,
        range: RowRange,
        progress: &Progress,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), ScanError> {
        let mut view = self.shared.view();
        // After the view: somebody joined in between is looked for under the new name.
        let person = range.person.map(|id| self.shared.live().people.person(project, id));
        crate::rows::scan(&mut view, project, RowRange { person, ..range }, progress, each)
    }

    /// Event names and properties seen in a project, the newest rows included.
    ///
    /// # Errors
    /// [`ScanError`] when the catalog cannot be read.
    pub fn schema(&self, project: u32) -> Result<Schema, ScanError> {
        let held = self.shared.hold_catalog();
        let mut view = self.shared.view();
        let mut schema = self.shared.catalog.schema(project)?;
        drop(held);
        let tail = view.active.sorted_tail();
        let mut counter = SchemaCounter::default();
        let mut frozen = view.frozen.map(|frozen| frozen.rows.clone()).unwrap_or_default();
        let frozen_tail = frozen.sorted_tail();
        let frozen = frozen.runs.iter().chain(&frozen_tail);
        for run in frozen.chain(&view.active.runs).chain(&tail) {
            counter.merge(run.schema());
        }
        let deltas = counter.deltas();
        deltas.iter().filter(|delta| delta.project == project).for_each(|delta| schema.add(delta));
        Ok(schema)
    }

    /// The days (since 1970-01-01, UTC) that overlap a range of event times, `to_ms` excluded, and
    /// got events more than 72 hours after they had ended.
    ///
    /// # Errors
    /// [`ScanError`] when the catalog cannot be read.
    pub fn restated(
        &self,
        project: u32,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<BTreeSet<i32>, ScanError> {
        if from_ms >= to_ms {
            return Ok(BTreeSet::new());
        }
        let days = day_of(from_ms)..day_of(to_ms - 1).saturating_add(1);
        // What is in memory first: it can only move to the catalog meanwhile.
        let view = self.shared.view();
        let frozen = view.frozen.as_ref().map(|frozen| &*frozen.rows.restated);
        let in_memory = frozen.into_iter().chain([&*view.active.restated]).flatten();
        let in_memory = in_memory.filter(|day| day.project == project && days.contains(&day.day));
        let mut restated: BTreeSet<i32> = in_memory.map(|day| day.day).collect();
        restated.extend(self.shared.catalog.restated(project, days)?);
        Ok(restated)
    }

    /// The newest refused rows of a project, newest first.
    ///
    /// # Errors
    /// [`ScanError`] when the catalog cannot be read.
    pub fn refused(&self, project: u32, limit: usize) -> Result<Vec<RefusedRow>, ScanError> {
        // Rows move from memory to the catalog in one step as long as both are read under this.
        let _held = self.shared.hold_catalog();
        let live = self.shared.live();
        let frozen = live.frozen.iter().flat_map(|frozen| &frozen.refused);
        let newest_first = live.active.refused().iter().rev().chain(frozen.rev());
        let of_project =
            newest_first.filter(|row| row.project == project && !live.people.names_erased(row));
        let mut rows: Vec<RefusedRow> = of_project.take(limit).cloned().collect();
        drop(live);
        if rows.len() < limit {
            rows.extend(self.shared.catalog.refused(project, limit - rows.len())?);
        }
        Ok(rows)
    }
}
