//! Rows from a reader to the store, on as many threads as there are cores.
//!
//! In: batches of rows, one after the other, from the thread that calls. Out: stored rows and a
//! [`Summary`].
//!
//! ```text
//! reader ─▶ batch 1, 2, 3 … ─▶ threads: draft ─▶ in turn: claim ids ─▶ chunk ─▶ store
//! ```
//!
//! Drafting is most of the work and needs no order. Ids are claimed in the order of the batches, so the
//! same file gives the same rows on any number of threads.
//!
//! Invariant: `read = stored + duplicate + refused`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use tallymark_protocol::codes::EventCode;
use tallymark_store::{Claim, Load, Store};

use super::cell::Cell;
use super::draft::{Drafted, Drafter};
use super::mapping::{Mapping, Target};
use super::table::{Cells, Rows};
use crate::console::{Console, Progress};

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows in the files.
    pub read: u64,
    /// Rows that are new.
    pub stored: u64,
    /// Rows that were there.
    pub duplicate: u64,
    /// Rows that are no events.
    pub refused: u64,
    /// The same, by code.
    pub refused_by: BTreeMap<&'static str, u64>,
    /// From the first byte to the last row on disk.
    pub elapsed_ms: u64,
}

/// Rows that were read together.
pub struct Batch {
    /// The file.
    pub path: Arc<Path>,
    /// What was read.
    pub rows: Box<dyn Rows>,
    /// How much of all files is behind us with it, in any unit.
    pub done: u64,
}

/// Where the rows go.
pub struct Job<'a> {
    /// The store.
    pub store: &'a Store,
    /// The project's number.
    pub project: u32,
    /// Drafts rows; each thread has its own.
    pub drafter: Drafter<'a>,
    /// Which column becomes what.
    pub mapping: &'a Mapping,
    /// When [`Batch::done`] is everything.
    pub total: u64,
}

/// Takes batches from a reader.
pub type Give<'a> = &'a mut dyn FnMut(Batch) -> anyhow::Result<()>;

/// Refused rows that are named one by one; the rest is only counted.
const NAMED: u64 = 20;

/// Store what `read` gives.
///
/// # Errors
/// Those of `read` and of the store, and when nobody reads what we print. Then nothing is stored, and
/// doing it again is safe.
pub fn run(
    job: &Job<'_>,
    console: &mut dyn Console,
    read: impl FnOnce(Give<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Summary> {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let load = job.store.load(job.project, threads)?;
    let mut told = Told { console, summary: Summary::default(), done: 0, total: job.total };
    std::thread::scope(|scope| {
        let turns = Arc::new(Turns::default());
        let (batches, waiting) = sync_channel(threads);
        let waiting = Arc::new(Mutex::new(waiting));
        let (done, outcomes) = channel();
        for _ in 0..threads {
            let worker = Worker {
                drafter: job.drafter.clone(),
                mapping: job.mapping,
                load: &load,
                turns: Arc::clone(&turns),
                waiting: Arc::clone(&waiting),
                done: done.clone(),
            };
            scope.spawn(move || worker.run());
        }
        drop((done, waiting));
        let given = give_all(read, batches, &outcomes, &mut told);
        // The threads end with the batches; what they say is heard to the end.
        let heard = outcomes.iter().try_for_each(|outcome| told.hear(outcome));
        // A reader that found nobody to take its rows says less than those who were gone.
        heard.and(given)
    })?;
    let rows = told.summary.read;
    let mut unheard = None;
    let loaded = load.finish(&mut |written, of| {
        let done = job.total + share(job.total, written, of);
        match told.console.progress(Progress { done, total: 2 * job.total, rows }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                unheard = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let loaded = match (loaded, unheard) {
        (Err(_), Some(error)) => return Err(error.into()),
        (loaded, _) => loaded?,
    };
    let mut summary = told.summary;
    (summary.stored, summary.duplicate) = (loaded.stored, summary.duplicate + loaded.duplicate);
    if loaded.erased > 0 {
        summary.refused += loaded.erased;
        *summary.refused_by.entry(EventCode::PersonErased.as_str()).or_default() += loaded.erased;
    }
    summary.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(summary)
}

fn share(total: u64, part: u64, of: u64) -> u64 {
    let share = u128::from(total) * u128::from(part) / u128::from(of.max(1));
    u64::try_from(share).unwrap_or(total)
}

type Numbered = (u64, Batch);

fn give_all(
    read: impl FnOnce(Give<'_>) -> anyhow::Result<()>,
    batches: SyncSender<Numbered>,
    outcomes: &Receiver<anyhow::Result<Outcome>>,
    told: &mut Told<'_>,
) -> anyhow::Result<()> {
    let mut number = 0;
    read(&mut |batch| {
        outcomes.try_iter().try_for_each(|outcome| told.hear(outcome))?;
        batches.send((number, batch)).ok().context("the import was stopped")?;
        number += 1;
        Ok(())
    })
}

/// What became of a batch.
struct Outcome {
    path: Arc<Path>,
    read: u64,
    duplicate: u64,
    /// Place and reason of every row that is no event.
    refused: Vec<(u64, EventCode)>,
    done: u64,
}

/// Adds up and prints.
struct Told<'a> {
    console: &'a mut dyn Console,
    summary: Summary,
    done: u64,
    total: u64,
}

/// What is wrong with a row: a file may say times in more ways than a batch.
const fn detail(code: EventCode) -> &'static str {
    match code {
        EventCode::AtInvalid => {
            "at is the time of the event: Unix milliseconds, Unix seconds, a date or a time by RFC 3339, whichever the import is told to expect"
        }
        _ => code.detail(),
    }
}

impl Told<'_> {
    fn hear(&mut self, outcome: anyhow::Result<Outcome>) -> anyhow::Result<()> {
        let Outcome { path, read, duplicate, refused, done } = outcome?;
        let summary = &mut self.summary;
        summary.read += read;
        summary.duplicate += duplicate;
        for (place, code) in refused {
            summary.refused += 1;
            *summary.refused_by.entry(code.as_str()).or_default() += 1;
            if summary.refused <= NAMED {
                let (path, detail) = (path.display(), detail(code));
                self.console.note(&format!("{path}:{place}: {}: {detail}", code.as_str()))?;
            } else if summary.refused == NAMED + 1 {
                self.console.note("more rows are refused; the summary counts them")?;
            }
        }
        self.done = done.clamp(self.done, self.total.max(self.done));
        // Reading is the first half, writing segments the second.
        let progress = Progress { done: self.done, total: 2 * self.total, rows: summary.read };
        Ok(self.console.progress(progress)?)
    }
}

/// One of the threads.
struct Worker<'a> {
    drafter: Drafter<'a>,
    mapping: &'a Mapping,
    load: &'a Load<'a>,
    turns: Arc<Turns>,
    waiting: Arc<Mutex<Receiver<Numbered>>>,
    done: Sender<anyhow::Result<Outcome>>,
}

impl Worker<'_> {
    fn run(mut self) {
        if let Err(error) = self.work() {
            self.turns.stop();
            // Whoever listened has an error of its own.
            let _ = self.done.send(Err(error));
        }
    }

    fn work(&mut self) -> anyhow::Result<()> {
        let mut chunk = self.load.chunk();
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((number, batch)) = next else { break };
            let turn = self.turns.ticket(number);
            let mut table =
                batch.rows.table(self.mapping).with_context(|| batch.path.display().to_string())?;
            let same = self
                .mapping
                .constants
                .iter()
                .map(|(field, text)| (Target::Field(*field), Cells::same(Cell::Untyped(text))));
            table.columns.splice(0..0, same.collect::<Vec<(Target, Cells<'_>)>>());
            let read = table.rows as u64;
            let Drafted { mut columns, rows, refused, contents } = self.drafter.draft(&table);
            drop(table);
            let again = |row, count| self.drafter.again(&contents, row, count);
            let Some(turn) = turn.take() else { return Ok(()) };
            let claims = self.load.claim(&mut columns, &rows, &again)?;
            let claimed = |as_what| {
                let rows = rows.iter().zip(&claims);
                rows.filter(move |(_, claim)| **claim == as_what).map(|(row, _)| *row)
            };
            let erased = claimed(Claim::Erased).map(|row| (row, EventCode::PersonErased));
            let refused = refused.into_iter().chain(erased);
            let refused = refused.map(|(row, code)| (batch.rows.place(row as usize), code));
            let outcome = Outcome {
                path: Arc::clone(&batch.path),
                read,
                duplicate: claimed(Claim::Duplicate).count() as u64,
                refused: refused.collect(),
                done: batch.done,
            };
            // Nobody listens after an error ended the import.
            let _ = self.done.send(Ok(outcome));
            turn.done();
            let new = claimed(Claim::New).collect();
            drop(batch);
            chunk.push(columns, new)?;
        }
        Ok(chunk.finish()?)
    }
}

/// Whose turn it is.
#[derive(Default)]
struct Turns {
    state: Mutex<TurnState>,
    changed: Condvar,
}

#[derive(Default)]
struct TurnState {
    next: u64,
    is_over: bool,
}

/// The right to a turn. Losing it ends all turns, because nobody else can take it.
struct Ticket<'a> {
    turns: &'a Turns,
    number: u64,
    is_done: bool,
}

impl Turns {
    fn state(&self) -> MutexGuard<'_, TurnState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticket(&self, number: u64) -> Ticket<'_> {
        Ticket { turns: self, number, is_done: false }
    }

    fn stop(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }
}

impl Ticket<'_> {
    /// Wait for the turn; `None` when there will be none.
    fn take(self) -> Option<Self> {
        let mut state = self.turns.state();
        while state.next != self.number && !state.is_over {
            state = self.turns.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let is_over = state.is_over;
        drop(state);
        (!is_over).then_some(self)
    }

    /// Let the next one go.
    fn done(mut self) {
        self.is_done = true;
        self.turns.state().next += 1;
        self.turns.changed.notify_all();
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.turns.stop();
        }
    }
}
