//! Who imported rows belong to.
//!
//! In: claimed rows in the order of the file. Out: the same under the person that their id belongs to
//! by now; those of erased persons out; and apart, the first row of each device that joins it to a
//! person. Links come from the log and nowhere else, so that a replay makes the same ones: those rows
//! are appended when the segments are real.

use std::sync::mpsc::channel;
use std::time::Duration;

use hashbrown::HashSet;

use super::{Claim, Loaded};
use crate::columns::Columns;
use crate::error::AppendError;
use crate::people::People;
use crate::row::{Row, flags};
use crate::store::{Append, Store};

/// Devices that get a person by this import.
#[derive(Default)]
pub(super) struct Newcomers {
    devices: HashSet<u64>,
    rows: Vec<Row>,
}

/// Rows appended at once.
const BATCH_ROWS: usize = 4096;
/// Wait before a busy store is tried again.
const BUSY: Duration = Duration::from_millis(20);

impl Newcomers {
    /// Give new rows their person, take those out that join a device, and find those of erased persons.
    /// Gives how many would join a device beyond `links_max`.
    pub(super) fn meet(
        &mut self,
        people: &People,
        columns: &mut Columns,
        rows: &[u32],
        claims: &mut [Claim],
        links_max: usize,
    ) -> u64 {
        let room = people.room(links_max);
        let mut unjoined = 0;
        for (&row, claim) in rows.iter().zip(claims).filter(|(_, claim)| **claim == Claim::New) {
            let row = row as usize;
            let project = columns.project[row];
            let (person, actor) = (columns.person[row], columns.actor[row]);
            let is_user = columns.flags[row] & flags::IDENTIFIED != 0;
            let joins = people.links(project, person, actor, columns.flags[row])
                && !self.devices.contains(&actor);
            unjoined += u64::from(joins && self.devices.len() >= room);
            if people.is_erased(project, if is_user { person } else { actor }) {
                *claim = Claim::Erased;
            } else if joins && self.devices.len() < room {
                self.devices.insert(actor);
                *claim = Claim::Taken;
                let mut props = String::new();
                columns.push_props(row, &mut props);
                self.rows.push(columns.row(row, &props).to_row());
            } else if is_user {
                let now = people.person(project, person);
                if now != person {
                    columns.origin.resize(columns.person.len(), 0);
                    (columns.person[row], columns.origin[row]) = (now, person);
                }
            } else if people.knows(project, actor) {
                columns.person[row] = people.person(project, actor);
            }
        }
        unjoined
    }

    /// Store what was taken.
    pub(super) fn append(self, store: &Store) -> Result<Loaded, AppendError> {
        let mut loaded = Loaded::default();
        for rows in self.rows.chunks(BATCH_ROWS) {
            let appended = loop {
                let (sender, receiver) = channel();
                let batch = Append { rows: rows.to_vec(), refused: Vec::new() };
                // Nobody else holds the other end.
                store.append(batch, move |outcome| drop(sender.send(outcome)));
                match receiver.recv().unwrap_or(Err(AppendError::Closed)) {
                    Err(AppendError::Busy) => std::thread::sleep(BUSY),
                    outcome => break outcome?,
                }
            };
            let duplicate = appended.duplicate.iter().filter(|duplicate| **duplicate).count();
            let erased = appended.erased.len();
            loaded.duplicate += duplicate as u64;
            loaded.erased += erased as u64;
            loaded.stored += (rows.len() - duplicate - erased) as u64;
        }
        Ok(loaded)
    }
}
