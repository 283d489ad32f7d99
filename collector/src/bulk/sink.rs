//! Rows on their way into the store, thousands at a time, a few such batches ahead of the disk.
//!
//! Invariant: when [`Sink::finish`] returns `Ok`, every row handed over is on disk and counted as
//! new, as a duplicate or as an erased person's.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hashbrown::HashMap;
use tallymark_store::{Append, AppendError, Appended, Row, Store};

/// Rows of one append: a group commit of about 1 MiB.
const BATCH_ROWS: usize = 4_096;
/// Appends that may be on their way: parsing goes on while the disk works.
const IN_FLIGHT: usize = 4;
/// Wait before a busy store is tried again.
const BUSY: Duration = Duration::from_millis(20);

/// What became of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Rows that are new.
    pub new: u64,
    /// Rows that were there.
    pub duplicate: u64,
    /// Rows of persons who were erased: they are not stored.
    pub erased: u64,
}

/// Takes rows, stores them in batches.
pub struct Sink<'a> {
    store: &'a Store,
    rows: Vec<Row>,
    /// Kept until they are on disk: a busy store gives them back to nobody.
    in_flight: HashMap<u64, Append>,
    next: u64,
    done: Sender<(u64, Result<Appended, AppendError>)>,
    outcomes: Receiver<(u64, Result<Appended, AppendError>)>,
    stored: Stored,
}

impl<'a> Sink<'a> {
    /// Into this store.
    pub fn new(store: &'a Store) -> Self {
        let (done, outcomes) = channel();
        Self {
            store,
            rows: Vec::with_capacity(BATCH_ROWS),
            in_flight: HashMap::new(),
            next: 0,
            done,
            outcomes,
            stored: Stored::default(),
        }
    }

    /// Hand a row over. Waits when too much is on its way.
    ///
    /// # Errors
    /// When the store cannot write; rows handed over before may or may not be stored.
    pub fn push(&mut self, row: Row) -> Result<(), AppendError> {
        self.rows.push(row);
        if self.rows.len() == BATCH_ROWS { self.submit() } else { Ok(()) }
    }

    /// Store what is left and wait for everything.
    ///
    /// # Errors
    /// As [`Sink::push`].
    pub fn finish(mut self) -> Result<Stored, AppendError> {
        if !self.rows.is_empty() {
            self.submit()?;
        }
        while !self.in_flight.is_empty() {
            self.settle()?;
        }
        Ok(self.stored)
    }

    fn submit(&mut self) -> Result<(), AppendError> {
        while self.in_flight.len() >= IN_FLIGHT {
            self.settle()?;
        }
        let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(BATCH_ROWS));
        let number = self.next;
        self.next += 1;
        self.in_flight.insert(number, Append { rows, refused: Vec::new() });
        self.send(number);
        Ok(())
    }

    fn send(&self, number: u64) {
        let Some(append) = self.in_flight.get(&number) else { return };
        let done = self.done.clone();
        self.store.append(append.clone(), move |outcome| {
            // Nobody listens after an error ended the import.
            let _ = done.send((number, outcome));
        });
    }

    /// Wait for one append.
    fn settle(&mut self) -> Result<(), AppendError> {
        // We hold a sender, so there is always one: this waits for the store's answer.
        let Ok((number, outcome)) = self.outcomes.recv() else { return Err(AppendError::Closed) };
        match outcome {
            Ok(appended) => {
                self.in_flight.remove(&number);
                let duplicate = appended.duplicate.iter().filter(|dup| **dup).count() as u64;
                let erased = appended.erased.len() as u64;
                self.stored.duplicate += duplicate;
                self.stored.erased += erased;
                self.stored.new += appended.duplicate.len() as u64 - duplicate - erased;
                Ok(())
            }
            Err(AppendError::Busy) => {
                std::thread::sleep(BUSY);
                self.send(number);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
