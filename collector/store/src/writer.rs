//! The writer thread: the one place where a batch becomes durable.
//!
//! In: waiting batches. Out: each batch's callback, after its group is on disk and visible.
//!
//! Order, for every group: find duplicates, write the rest, sync, apply to the memtable, make the
//! ids known, answer. Check and append are one step because nobody else does either.
//!
//! Invariant: nothing of a group that could not be written is applied, known or answered `Ok`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tallymark_protocol::codes::EventCode;

use crate::catalog::RefusedRow;
use crate::dedupe::{Bucket, Dedupe, Staged};
use crate::error::{AppendError, PeopleError, ScanError};
use crate::memtable::{RUN_ROWS, row_bytes};
use crate::people::{PeopleCommand, PeopleDone};
use crate::queue::{Done, Gather, Waiting};
use crate::row::Row;
use crate::shared::{Counters, Shared};
use crate::stats::WriteState;
use crate::store::{Append, Appended};
use crate::wal::{Frame, Kind, Log, LogError, encode_command, encode_refused, encode_rows};

/// Rows of more bytes than this are spread over several frames: a frame is built in memory.
const FRAME_BYTES: usize = 4 << 20;

/// Under which events of erased persons are counted.
const PERSON_ERASED: &str = EventCode::PersonErased.as_str();

/// Runs on its own thread until the queue is closed and empty.
pub(crate) struct Writer {
    pub shared: Arc<Shared>,
    pub log: Log,
    pub dedupe: Dedupe,
    /// Writes or syncs that failed since the store opened.
    pub failures: u32,
}

/// A batch whose duplicates are known.
struct Checked {
    done: Done,
    duplicate: Vec<bool>,
    /// Places in the batch of rows of erased persons.
    erased: Vec<usize>,
}

impl Writer {
    pub(crate) fn run(mut self) {
        let mut gather = Gather::nothing();
        while let Some(group) = self.shared.queue.next_group(gather) {
            let batches = group.len();
            self.take(group);
            for (command, done) in self.shared.queue.take_commands() {
                done(self.command(&command));
            }
            gather = self.shared.queue.gather(batches, self.log.last_sync());
        }
        if let Err(error) = self.log.sync() {
            tracing::error!(?error, "the log could not be synced on closing");
        }
    }

    /// Make a group durable and answer it.
    pub(crate) fn take(&mut self, group: Vec<Waiting>) {
        match self.wait_for_room() {
            Ok(()) if group.is_empty() => {}
            Ok(()) => {
                let shared = Arc::clone(&self.shared);
                let mut gate = shared.ids_gate();
                self.dedupe.forget(&std::mem::take(&mut *gate));
                self.write(group);
            }
            Err(error) => answer_all(group, &error),
        }
    }

    /// While the last memtable is being flushed and the next is full: wait. If flushing does not
    /// work, turn batches away instead; they come back.
    fn wait_for_room(&self) -> Result<(), AppendError> {
        let options = &self.shared.options;
        let mut live = self.shared.live();
        if live.write_state == WriteState::ReadOnly {
            return Err(AppendError::ReadOnly);
        }
        while live.frozen.is_some() && live.active.bytes() >= options.memtable_bytes {
            if let Some(error) = live.flush_failing.clone() {
                match error {
                    AppendError::DiskFull => live.write_state = WriteState::DiskFull,
                    _ => Counters::add(&self.shared.counters.busy, 1),
                }
                return Err(error);
            }
            live = self.shared.wait(live, Duration::from_millis(200));
        }
        Ok(())
    }

    fn write(&mut self, group: Vec<Waiting>) {
        let mut staged = Staged::default();
        let mut checked = Vec::with_capacity(group.len());
        let mut rows: Vec<Row> =
            Vec::with_capacity(group.iter().map(|waiting| waiting.batch.rows.len()).sum());
        let mut refused: Vec<RefusedRow> = Vec::new();
        for Waiting { mut batch, done, .. } in group {
            let erased = self.drop_erased(&mut batch);
            let duplicate = match self.duplicates(&mut staged, &batch.rows) {
                Ok(duplicate) => duplicate,
                Err(error) => {
                    done(Err(error));
                    continue;
                }
            };
            if duplicate.contains(&true) {
                let mut is_duplicate = duplicate.iter();
                batch.rows.retain(|_| is_duplicate.next() == Some(&false));
            }
            rows.append(&mut batch.rows);
            refused.extend(batch.refused);
            checked.push(Checked { done, duplicate, erased });
        }
        let links_max = self.shared.options.links_max;
        let unjoined = self.shared.live().people.leave_unjoined(&mut rows, links_max);
        match self.log(&rows, &refused) {
            Ok(()) => {
                self.shared.counters.add_unjoined(unjoined);
                self.apply(rows, refused, &checked);
                self.dedupe.commit(staged);
                let ids = self.dedupe.len() as u64;
                self.shared.counters.dedupe_ids.store(ids, Ordering::Relaxed);
                for Checked { done, mut duplicate, erased } in checked {
                    erased.iter().for_each(|place| duplicate.insert(*place, false));
                    done(Ok(Appended { duplicate, erased }));
                }
            }
            Err(error) => {
                for Checked { done, .. } in checked {
                    done(Err(error.clone()));
                }
            }
        }
    }

    /// Take the rows of erased persons out of a batch: their places. What was refused for another
    /// reason is not kept either.
    fn drop_erased(&self, batch: &mut Append) -> Vec<usize> {
        let Append { rows, refused } = batch;
        // Only this thread erases anybody.
        let live = self.shared.live();
        if !live.people.has_erased() {
            return Vec::new();
        }
        let before = refused.len();
        refused.retain(|row| !live.people.names_erased(row));
        let counters = &self.shared.counters;
        counters.add_refused(std::iter::repeat_n(PERSON_ERASED, before - refused.len()));
        let mut place = 0..;
        let is_erased = |row: &Row| place.next().filter(|_| live.people.drops(row));
        let erased: Vec<usize> = rows.iter().filter_map(is_erased).collect();
        drop(live);
        if !erased.is_empty() {
            let mut place = 0..;
            rows.retain(|_| place.next().is_none_or(|at| erased.binary_search(&at).is_err()));
        }
        erased
    }

    /// Which rows of a batch were stored before, or are in this group already. The others are staged.
    fn duplicates(&mut self, staged: &mut Staged, rows: &[Row]) -> Result<Vec<bool>, AppendError> {
        let failed = |error: io::Error| AppendError::Io(Arc::new(error));
        self.load_buckets(rows).map_err(|error| failed(io::Error::other(error)))?;
        let known = rows.iter().map(|row| self.dedupe.knows(row.project, row.event_id));
        let mut duplicate = known.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        // From here on nothing fails: what is staged is in the group.
        for (row, duplicate) in rows.iter().zip(&mut duplicate) {
            *duplicate = *duplicate || !staged.add(row.project, row.event_id);
        }
        Ok(duplicate)
    }

    /// See to it that the ids of every day in the batch are in memory.
    fn load_buckets(&mut self, rows: &[Row]) -> Result<(), ScanError> {
        let missing = self.dedupe.missing(rows.iter().map(|row| Bucket::of(row.event_id)));
        if missing.is_empty() {
            return Ok(());
        }
        let view = self.shared.view();
        self.dedupe.load(&missing, |each| {
            for segment in view.segments.iter().filter(|segment| segment.may_hold_ids(&missing)) {
                segment.ids(each)?;
            }
            if let Some(frozen) = &view.frozen {
                frozen.rows.ids(each);
            }
            view.active.ids(each);
            Ok(())
        })
    }

    /// Write and sync. A group that holds nothing new needs neither.
    fn log(&mut self, rows: &[Row], refused: &[RefusedRow]) -> Result<(), AppendError> {
        let mut frames = Vec::new();
        for rows in frames_of(rows) {
            frames.push(Frame::new(Kind::Events, encode_rows(rows)));
        }
        if !refused.is_empty() {
            frames.push(Frame::new(Kind::Bad, encode_refused(refused)));
        }
        if frames.is_empty() {
            return Ok(());
        }
        self.write_frames(&frames)
    }

    /// Carry out a command: check, write, sync, apply.
    pub(crate) fn command(&mut self, command: &PeopleCommand) -> Result<PeopleDone, PeopleError> {
        if self.shared.live().write_state == WriteState::ReadOnly {
            return Err(AppendError::ReadOnly.into());
        }
        // Only this thread changes who is who, so what makes sense now will when it is written.
        let links_max = self.shared.options.links_max;
        self.shared.live().people.check(command, links_max)?;
        let kind = match command {
            PeopleCommand::Erase { .. } => Kind::Erase,
            PeopleCommand::Alias { .. } | PeopleCommand::Undo { .. } => Kind::Link,
        };
        self.write_frames(&[Frame::new(kind, encode_command(command))])?;
        let seq = self.log.last_seq();
        let mut live = self.shared.live();
        live.active_since.get_or_insert_with(Instant::now);
        live.applied_seq = seq;
        let done = live.people.run(seq, command)?;
        drop(live);
        if kind == Kind::Erase {
            self.seal_log();
        }
        Ok(done)
    }

    /// End the log file, so that the next flush can delete every file with an erased person in it. If
    /// that fails it is tried again with the next write.
    fn seal_log(&mut self) {
        let rolled = self.log.roll();
        let mut live = self.shared.live();
        live.wal_files.extend(self.log.take_sealed());
        live.wal_open = self.log.open_file();
        if let Err(error) = rolled {
            tracing::warn!(?error, "the log could not begin a new file");
            live.want_roll = true;
        }
    }

    fn write_frames(&mut self, frames: &[Frame]) -> Result<(), AppendError> {
        let want_roll = std::mem::take(&mut self.shared.live().want_roll);
        let rolled = if want_roll { self.log.roll() } else { Ok(()) };
        let written = rolled.and_then(|()| self.log.write_group(frames));
        let mut live = self.shared.live();
        live.wal_files.extend(self.log.take_sealed());
        live.wal_open = self.log.open_file();
        match written {
            Ok(()) => {
                live.write_state = WriteState::Open;
                Ok(())
            }
            Err(LogError::Full) => {
                live.write_state = WriteState::DiskFull;
                live.last_error = Some("the disk is full".into());
                Err(AppendError::DiskFull)
            }
            Err(LogError::Io(error)) => {
                self.failures += 1;
                tracing::error!(%error, failures = self.failures, "writing the log failed");
                live.last_error = Some(format!("writing the log failed: {error}"));
                if self.failures >= 2 {
                    live.write_state = WriteState::ReadOnly;
                }
                Err(AppendError::Io(Arc::new(error)))
            }
        }
    }

    /// Make a durable group visible. No clock and no randomness decides anything here.
    fn apply(&mut self, mut rows: Vec<Row>, refused: Vec<RefusedRow>, checked: &[Checked]) {
        let counters = &self.shared.counters;
        let duplicates = checked.iter().flat_map(|batch| &batch.duplicate).filter(|dup| **dup);
        Counters::add(&counters.duplicates, duplicates.count() as u64);
        Counters::add(&counters.appended, rows.len() as u64);
        Counters::add(&counters.groups, 1);
        counters.add_refused(refused.iter().map(|row| &*row.code));
        let erased = checked.iter().map(|batch| batch.erased.len()).sum();
        counters.add_refused(std::iter::repeat_n(PERSON_ERASED, erased));
        let options = &self.shared.options;
        let mut live = self.shared.live();
        let seq = self.log.last_seq();
        rows.iter_mut().for_each(|row| live.people.observe(seq, row));
        live.active.push(rows, refused);
        live.active_since.get_or_insert_with(Instant::now);
        live.applied_seq = seq;
        let is_full = live.active.bytes() >= options.memtable_bytes
            || live.active.rows() >= options.memtable_rows;
        let has_full_tail = live.active.tail_rows() >= RUN_ROWS;
        drop(live);
        if is_full || has_full_tail {
            self.shared.signal();
        }
    }
}

/// The rows of a group, cut where a frame would get too large.
fn frames_of(mut rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |&i: &usize| {
            bytes += row_bytes(&rows[i], i.checked_sub(1).map(|before| &rows[before]));
            i == 0 || bytes <= FRAME_BYTES
        };
        let (frame, rest) = rows.split_at((0..rows.len()).take_while(fits).count());
        rows = rest;
        (!frame.is_empty()).then_some(frame)
    })
}

fn answer_all(group: Vec<Waiting>, error: &AppendError) {
    for waiting in group {
        (waiting.done)(Err(error.clone()));
    }
}
