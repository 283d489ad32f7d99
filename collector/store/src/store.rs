//! The store: what the collector holds.
//!
//! In: batches, questions. Out: receipts, partial tables, rows, figures about the store itself.
//!
//! Deliberately elsewhere: opening (`open`), the threads (`writer`, `keeper`), reading (`driver`).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tallymark_analysis::kernel::{Analysis, Partial};

use crate::catalog::{Catalog, RefusedRow, day_of};
use crate::disk::Lock;
use crate::driver::{self, Limits};
use crate::error::{AppendError, FlushError, OpenError, PeopleError, ScanError};
use crate::keeper::Keeper;
use crate::memtable::MemRun;
use crate::open::{self, Folders};
use crate::options::StoreOptions;
use crate::people::{Apart, Erasure, Link, MergeRefused, PeopleCommand, PeopleDone};
use crate::presence;
use crate::row::Row;
use crate::schema::{Schema, SchemaCounter};
use crate::segment::Segment;
use crate::shared::{Counters, Live, Shared, View};
use crate::stats::StoreStats;

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
        let options = &self.shared.options;
        let limits = Limits { threads: options.query_threads, bytes: options.question_bytes };
        let apart = self.apart.of(project).map(|apart| &**apart);
        if let Some(presence) = analysis.presence() {
            let (segments, runs) = (&self.segments, &self.runs);
            let aside = apart.map_or(&[][..], |apart| &apart.skip);
            let most = presence::ask(self.shared, segments, runs, project, presence, aside)?;
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

/// What a command about people would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    /// The person that goes, or that is taken apart.
    pub from: u64,
    /// The person that stays, or that comes back.
    pub to: u64,
    /// Ids that change hands.
    pub ids: u64,
    /// Events that change hands.
    pub events: u64,
    /// Why it would not be done.
    pub refused: Option<MergeRefused>,
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

    /// Change who is who, and wait until it is durable and questions know it.
    ///
    /// # Errors
    /// [`PeopleError`]: it makes no sense, or cannot be written.
    pub fn people(&self, command: PeopleCommand) -> Result<PeopleDone, PeopleError> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = Box::new(move |result| drop(sender.send(result)));
        let queued = self.shared.queue.push_command(command, done);
        queued.map_err(|_| AppendError::Closed)?;
        let done = receiver.recv().unwrap_or(Err(AppendError::Closed.into()))?;
        if let PeopleDone::Erased(_) = done {
            // Out of log and quarantine soon, not when memory is full.
            self.shared.live().flush_wanted += 1;
            self.shared.signal();
        }
        Ok(done)
    }

    /// What a command would do: the person that goes or is taken apart, the one that stays or comes
    /// back, and how many events change hands. Changes nothing.
    ///
    /// # Errors
    /// As [`Store::people`]; nothing is written, so only what makes no sense is refused.
    pub fn try_people(&self, command: &PeopleCommand) -> Result<Tried, ScanError> {
        let mut live = self.shared.live();
        let (project, merge) = match *command {
            PeopleCommand::Erase { project, id, .. } => {
                let person = live.people.person(project, id);
                (project, Ok(Some((person, person))))
            }
            PeopleCommand::Alias { project, .. } | PeopleCommand::Undo { project, .. } => {
                let merge = live.people.check(command, self.shared.options.links_max);
                (project, merge.map(|merge| merge.map(|merge| (merge.from, merge.to))))
            }
        };
        let (from, to) = match merge {
            Ok(Some(merge)) => merge,
            Ok(None) => return Ok(Tried::default()),
            Err(refused) => return Ok(Tried { refused: Some(refused), ..Tried::default() }),
        };
        // The part that leaves: for an undo those ids that are not the person's any more.
        let leaves = match command {
            PeopleCommand::Undo { link, .. } => live.people.part_of(project, *link, to),
            _ => live.people.ids_of(project, from),
        };
        let apart = live.people.apart();
        drop(live);
        let mut view = self.shared.view();
        let mut events = 0;
        let everything = RowRange { person: Some(from), ..RowRange::between(i64::MIN, i64::MAX) };
        view.apart = apart;
        crate::rows::scan_refs(&mut view, project, everything, &mut |row| {
            events += u64::from(leaves.contains(&row.base));
            ControlFlow::Continue(())
        })?;
        let ids = leaves.len() as u64;
        Ok(Tried { from, to, ids, events, refused: None })
    }

    /// The receipt of an erasure.
    pub fn erasure(&self, project: u32, id: u64) -> Option<Erasure> {
        self.shared.live().people.erasure(project, id).cloned()
    }

    /// The log of merges of a project, newest first: at most `limit` with numbers below `before`.
    pub fn merges(&self, project: u32, before: u64, limit: usize) -> Vec<Link> {
        let live = self.shared.live();
        live.people.merges(project, before).take(limit).cloned().collect()
    }

    /// Who an id is now.
    pub fn person(&self, project: u32, id: u64) -> u64 {
        self.shared.live().people.person(project, id)
    }

    /// Write every file that holds an erased person again, and wait for it: what is in memory is
    /// flushed, log files go, segments are replaced.
    ///
    /// # Errors
    /// [`FlushError`]: the erasure holds all the same, and is tried again by itself.
    pub fn erase_files(&self) -> Result<(), FlushError> {
        self.flush()?;
        self.merge_after(|live| live.erase_now = true)
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
        let mut view = self.shared.view();
        // After the view: somebody joined in between is looked for under the new name.
        let person = range.person.map(|id| self.shared.live().people.person(project, id));
        crate::rows::scan(&mut view, project, RowRange { person, ..range }, each)
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

    /// Counters and levels.
    pub fn stats(&self) -> StoreStats {
        let shared = &self.shared;
        let counters = &shared.counters;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
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
