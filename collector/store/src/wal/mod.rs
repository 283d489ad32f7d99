//! The log: what makes "acknowledged" true.
//!
//! In: groups of rows and refused rows. Out, after a restart: the same groups.
//!
//! Invariant: [`Log::write_group`] returns `Ok` only when the group's bytes are as durable as was
//! asked for, and a group that was not written whole is never found again as a part of the log.
//!
//! A file in which a write or a sync failed is never used again: what the operating system did
//! with the failed pages is unknown, and asking a second time may answer "fine" for bytes that
//! are gone. It is cut at the last good byte, and a new file begins with the next number.
//!
//! Deliberately elsewhere: who is answered what (`writer`), what is a duplicate (`dedupe`).

mod ahead;
mod codec;
mod file;
mod frame;
#[cfg(test)]
mod fuzz;
mod payload;
mod recover;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use ahead::Ahead;
use ahead::{Blank, Room};
use file::{OpenFile, file_name};
use frame::{FILE_HEADER_LEN, FileHeader, Place};
pub(crate) use frame::{Frame, Kind};
pub(crate) use payload::{encode_command, encode_refused, encode_rows};
#[cfg(test)]
pub(crate) use recover::{End, Recovered};
pub(crate) use recover::{Entry, Extent, SealedFile, read_file, recover, walk};

use crate::open::Folders;
use crate::options::{Durability, StoreOptions};

/// The writing end of the log.
pub(crate) struct Log {
    folders: Folders,
    durability: Durability,
    room: Room,
    ahead: Arc<Ahead>,
    /// How long the next file is to be.
    next_len: u64,
    next_seq: u64,
    file: Option<OpenFile>,
    /// Files given up or full, not yet handed to whoever deletes them after a flush.
    sealed: Vec<SealedFile>,
    buffer: Vec<u8>,
    last_sync: Duration,
}

/// Why a group is not in the log.
#[derive(Debug)]
pub(crate) enum LogError {
    /// No space; nothing is wrong with the disk.
    Full,
    /// Anything else.
    Io(io::Error),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

impl Log {
    pub(crate) fn new(folders: Folders, options: &StoreOptions, next_seq: u64) -> Self {
        let room =
            Room { file_bytes: options.wal_file_bytes, min_free_bytes: options.min_free_bytes };
        Self {
            ahead: Arc::new(Ahead::new(folders.clone(), room)),
            folders,
            durability: options.durability,
            room,
            next_len: room.len_after(0),
            next_seq,
            file: None,
            sealed: Vec::new(),
            buffer: Vec::new(),
            last_sync: Duration::ZERO,
        }
    }

    /// Number of the last frame written.
    pub(crate) fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// How long the last group's write and sync took.
    pub(crate) fn last_sync(&self) -> Duration {
        self.last_sync
    }

    /// The file that is being written, as far as it is good.
    pub(crate) fn open_file(&self) -> Option<SealedFile> {
        self.file.as_ref().map(|file| file.as_sealed(self.last_seq()))
    }

    /// Files that have been sealed since the last call.
    pub(crate) fn take_sealed(&mut self) -> Vec<SealedFile> {
        std::mem::take(&mut self.sealed)
    }

    /// Write a group: one write, one sync.
    ///
    /// # Errors
    /// [`LogError`]; then nothing of the group is in the log.
    pub(crate) fn write_group(&mut self, frames: &[Frame]) -> Result<(), LogError> {
        let bytes: usize = frames.iter().map(Frame::len).sum();
        let has_room = |file: &OpenFile| file.good + bytes as u64 <= file.len;
        if !self.file.as_ref().is_some_and(has_room) {
            self.roll()?;
            self.begin_file((FILE_HEADER_LEN + bytes) as u64)?;
        }
        let file = self.file.as_mut().expect("made above when there was none");
        let disk = &self.folders.disk;
        self.buffer.clear();
        for (i, frame) in frames.iter().enumerate() {
            let place = if i == 0 { Place::First } else { Place::Later };
            frame.write(self.next_seq + i as u64, file.header.salt, place, &mut self.buffer);
        }
        let began = Instant::now();
        let written = file.file.write_all_at(&self.buffer, file.good).and_then(|()| {
            disk.reached("log: group written");
            match self.durability {
                Durability::Power => file.file.sync_data(),
                Durability::Process => Ok(()),
            }
        });
        self.last_sync = began.elapsed();
        match written {
            Ok(()) => {
                disk.reached("log: group synced");
                file.good += bytes as u64;
                self.next_seq += frames.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.seal();
                Err(error.into())
            }
        }
    }

    /// Begin a file with room for so many bytes, and let the one after it be made meanwhile.
    fn begin_file(&mut self, len: u64) -> io::Result<()> {
        let (folders, room) = (&self.folders, self.room);
        let blank = match self.ahead.take(len) {
            Some(blank) => blank,
            None => {
                let name = file_name(self.next_seq);
                Blank::create(folders, &name, len.max(room.len_after(0)), room)?
            }
        };
        let header = FileHeader { first_seq: self.next_seq, salt: salt() };
        self.file = Some(OpenFile::begin(folders, blank, header)?);
        self.ahead.want(self.next_len);
        Ok(())
    }

    /// What makes log files ahead, for a thread of its own.
    pub(crate) fn ahead(&self) -> Arc<Ahead> {
        Arc::clone(&self.ahead)
    }

    /// Let the next group begin a new file, so that this one can go after a flush.
    ///
    /// # Errors
    /// With [`Durability::Process`], when what was written cannot be synced.
    pub(crate) fn roll(&mut self) -> Result<(), LogError> {
        self.sync()?;
        self.seal();
        Ok(())
    }

    /// Make everything written durable, whatever the setting.
    pub(crate) fn sync(&mut self) -> Result<(), LogError> {
        if let (Some(file), Durability::Process) = (&mut self.file, self.durability)
            && let Err(error) = file.file.sync_data()
        {
            self.seal();
            return Err(error.into());
        }
        Ok(())
    }

    fn seal(&mut self) {
        let Some(file) = self.file.take() else { return };
        self.next_len = self.room.len_after(file.good);
        if file.is_empty() {
            // The next file gets the same number, and takes its place.
            return;
        }
        self.sealed.push(file.seal(self.next_seq - 1));
        self.folders.disk.reached("log roll: file sealed");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.ahead.close();
    }
}

/// A number nobody outside can know. Not used by anything that is replayed.
fn salt() -> u64 {
    RandomState::new().build_hasher().finish()
}
