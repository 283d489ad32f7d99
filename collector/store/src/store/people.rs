//! Who is who, as callers ask and change it.
//!
//! In: commands. Out: what became of them, what they would do, receipts and the log of merges.
//!
//! Deliberately elsewhere: what a person is (`people`), how a command becomes durable (`writer`).

use std::ops::ControlFlow;

use super::{RowRange, Store};
use crate::error::{AppendError, FlushError, PeopleError, ScanError};
use crate::people::{Erasure, Link, MergeRefused, PeopleCommand, PeopleDone};
use crate::progress::Progress;

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

impl Store {
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
        crate::rows::scan_refs(&mut view, project, everything, &Progress::default(), &mut |row| {
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
}
