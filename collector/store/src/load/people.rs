//! Who imported rows belong to.
//!
//! In: claimed rows in the order of the file. Out: the same under the person that their id belongs to
//! by now; those of erased persons out; and apart, the first row of each device that joins it to a
//! person. Links come from the log and nowhere else, so that a replay makes the same ones: those rows
//! are appended when the segments are real.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use hashbrown::HashSet;

use super::{Claim, Loaded};
use crate::columns::Columns;
use crate::error::AppendError;
use crate::people::People;
use crate::row::{Row, flags};
use crate::runs::{Blocks, Run, RunFile};
use crate::store::{Append, Store};

/// Devices that get a person by this import, and the rows that join them, which wait in its file.
#[derive(Default)]
pub(super) struct Newcomers {
    devices: HashSet<u64>,
    rows: Run,
}

/// What [`Newcomers::meet`] found.
#[derive(Default)]
pub(super) struct Met {
    /// Rows that join a device, to be given to [`Newcomers::keep`].
    pub taken: Vec<(u32, u32)>,
    /// How many would join a device beyond the links that there is room for.
    pub unjoined: u64,
}

/// Rows appended at once, about.
const BATCH_ROWS: usize = 4096;
/// Wait before a busy store is tried again.
const BUSY: Duration = Duration::from_millis(20);

impl Newcomers {
    /// Give new rows their person, find those that join a device, and those of erased persons.
    pub(super) fn meet(
        &mut self,
        people: &People,
        columns: &mut Columns,
        rows: &[u32],
        claims: &mut [Claim],
        links_max: usize,
    ) -> Met {
        let room = people.room(links_max);
        let mut met = Met::default();
        for (&row, claim) in rows.iter().zip(claims).filter(|(_, claim)| **claim == Claim::New) {
            let row = row as usize;
            let project = columns.project[row];
            let (person, actor) = (columns.person[row], columns.actor[row]);
            let is_user = columns.flags[row] & flags::IDENTIFIED != 0;
            let joins = people.links(project, person, actor, columns.flags[row])
                && !self.devices.contains(&actor);
            met.unjoined += u64::from(joins && self.devices.len() >= room);
            if people.is_erased(project, if is_user { person } else { actor }) {
                *claim = Claim::Erased;
            } else if joins && self.devices.len() < room {
                self.devices.insert(actor);
                *claim = Claim::Taken;
                met.taken.push((0, row as u32));
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
        met
    }

    /// Keep those of them that were taken until the segments are real.
    pub(super) fn keep(
        &mut self,
        file: &RunFile,
        columns: &Columns,
        taken: &[(u32, u32)],
    ) -> io::Result<()> {
        if taken.is_empty() {
            return Ok(());
        }
        Blocks::new(file, Vec::new()).write(&mut self.rows, taken, &[columns])
    }

    /// Store what was taken.
    pub(super) fn append(self, store: &Store, file: &Arc<RunFile>) -> Result<Loaded, AppendError> {
        let failed = |error| AppendError::Io(Arc::new(error));
        let mut next = file.blocks(self.rows);
        let (mut loaded, mut rows) = (Loaded::default(), Vec::new());
        loop {
            let columns = next().map_err(failed)?;
            let is_end = columns.is_none();
            if let Some(columns) = columns {
                let row = |row| {
                    let mut props = String::new();
                    columns.push_props(row, &mut props);
                    columns.row(row, &props).to_row()
                };
                rows.extend((0..columns.len()).map(row));
            }
            if !rows.is_empty() && (is_end || rows.len() >= BATCH_ROWS) {
                append(store, std::mem::take(&mut rows), &mut loaded)?;
            }
            if is_end {
                return Ok(loaded);
            }
        }
    }
}

/// Store rows as any others, until it is done.
fn append(store: &Store, rows: Vec<Row>, loaded: &mut Loaded) -> Result<(), AppendError> {
    let appended = loop {
        let (sender, receiver) = channel();
        let batch = Append { rows: rows.clone(), refused: Vec::new() };
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
    Ok(())
}
