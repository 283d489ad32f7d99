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

mod codec;
mod disk;
mod frame;
mod payload;
mod recover;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;

pub(crate) use disk::{LogDisk, LogFile, RealDisk, file_name, sync_dir};
use frame::{FILE_HEADER_LEN, Place};
pub(crate) use frame::{FileHeader, Frame, Kind};
pub(crate) use payload::{encode_refused, encode_rows};
pub(crate) use recover::{Entry, SealedFile, recover};

use crate::options::Durability;

/// The writing end of the log.
pub(crate) struct Log {
    dir: PathBuf,
    disk: Box<dyn LogDisk>,
    durability: Durability,
    file_bytes: u64,
    next_seq: u64,
    file: Option<OpenFile>,
    /// Files given up or full, not yet handed to whoever deletes them after a flush.
    sealed: Vec<SealedFile>,
    buffer: Vec<u8>,
}

struct OpenFile {
    file: Box<dyn LogFile>,
    header: FileHeader,
    /// End of the last group that was written and synced.
    good: u64,
    len: u64,
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
    pub(crate) fn new(
        dir: PathBuf,
        disk: Box<dyn LogDisk>,
        durability: Durability,
        file_bytes: u64,
        next_seq: u64,
    ) -> Self {
        Self {
            dir,
            disk,
            durability,
            file_bytes,
            next_seq,
            file: None,
            sealed: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Number of the last frame written.
    pub(crate) fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// Bytes used in the file that is being written.
    pub(crate) fn file_used_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.good)
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
            let len = self.file_bytes.max((FILE_HEADER_LEN + bytes) as u64);
            let header = FileHeader { first_seq: self.next_seq, salt: salt() };
            let file = self.disk.create(header, len)?;
            self.file = Some(OpenFile { file, header, good: FILE_HEADER_LEN as u64, len });
        }
        let file = self.file.as_mut().expect("made above when there was none");
        self.buffer.clear();
        for (i, frame) in frames.iter().enumerate() {
            let place = if i == 0 { Place::First } else { Place::Later };
            frame.write(self.next_seq + i as u64, file.header.salt, place, &mut self.buffer);
        }
        let written =
            file.file.write_all_at(&self.buffer, file.good).and_then(|()| match self.durability {
                Durability::Power => file.file.sync_data(),
                Durability::Process => Ok(()),
            });
        match written {
            Ok(()) => {
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
        let Some(mut file) = self.file.take() else { return };
        if file.good == FILE_HEADER_LEN as u64 {
            // Empty: the next file gets the same number, and takes its place.
            return;
        }
        // If this fails too, recovery still ends this file where the next one begins.
        if let Err(error) = file.file.truncate(file.good) {
            tracing::warn!(first_seq = file.header.first_seq, %error, "cannot cut a log file");
        }
        self.sealed.push(SealedFile {
            path: self.dir.join(file_name(file.header.first_seq)),
            first_seq: file.header.first_seq,
            last_seq: self.next_seq - 1,
            bytes: file.good,
        });
    }
}

/// A number nobody outside can know. Not used by anything that is replayed.
fn salt() -> u64 {
    RandomState::new().build_hasher().finish()
}
