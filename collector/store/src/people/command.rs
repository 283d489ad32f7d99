//! What can be asked about people besides sending events. Each is one frame of the log.

use super::link::{Ends, Erasure, MergeRefused};
use super::{Merge, People};

/// A change of who is who, on its way into the log and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeopleCommand {
    /// Two ids are one person: that of the target.
    Alias {
        /// The tenant.
        project: u32,
        /// The ids.
        ends: Ends,
        /// Our clock, Unix milliseconds.
        at_ms: i64,
    },
    /// Take a link back.
    Undo {
        /// The tenant.
        project: u32,
        /// The link's number.
        link: u64,
        /// Our clock, Unix milliseconds.
        at_ms: i64,
    },
    /// Erase the person of an id.
    Erase {
        /// The tenant.
        project: u32,
        /// The id.
        id: u64,
        /// Our clock, Unix milliseconds.
        at_ms: i64,
    },
}

/// What became of a command. It is on disk, and questions know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeopleDone {
    /// The number of the link that was made.
    Linked(u64),
    /// The number of the link that was taken back.
    Undone(u64),
    /// The receipt.
    Erased(Erasure),
}

impl People {
    /// Whether a command makes sense now, with so many links at most.
    pub(crate) fn check(
        &self,
        command: &PeopleCommand,
        links_max: usize,
    ) -> Result<Option<Merge>, MergeRefused> {
        match *command {
            PeopleCommand::Alias { .. } if self.room(links_max) == 0 => Err(MergeRefused::NoRoom),
            PeopleCommand::Alias { project, ends, .. } => self.try_alias(project, ends).map(Some),
            PeopleCommand::Undo { project, link, .. } => self.try_undo(project, link).map(Some),
            PeopleCommand::Erase { .. } => Ok(None),
        }
    }

    /// Carry a command out. `epoch` is the number of its frame.
    pub(crate) fn run(
        &mut self,
        epoch: u64,
        command: &PeopleCommand,
    ) -> Result<PeopleDone, MergeRefused> {
        match *command {
            PeopleCommand::Alias { project, ends, at_ms } => {
                self.alias(epoch, project, ends, at_ms).map(PeopleDone::Linked)
            }
            PeopleCommand::Undo { project, link, at_ms } => {
                self.undo(epoch, project, link, at_ms).map(PeopleDone::Undone)
            }
            PeopleCommand::Erase { project, id, at_ms } => {
                Ok(PeopleDone::Erased(self.erase(epoch, project, id, at_ms).clone()))
            }
        }
    }
}
