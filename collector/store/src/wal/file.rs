//! The log file that is being written.
//!
//! In: bytes of groups. Out: a file that begins with a header and holds the groups one after the
//! other; behind them are the zeros that it was made with.
//!
//! Invariant: `good` is the end of the last group that was written and, where that was asked for,
//! synced.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::ahead::Blank;
use super::frame::{FILE_HEADER_LEN, FileHeader};
use super::recover::SealedFile;
use crate::disk::DiskFile;
use crate::open::Folders;

pub(super) struct OpenFile {
    pub file: Arc<dyn DiskFile>,
    pub header: FileHeader,
    pub good: u64,
    pub len: u64,
    path: PathBuf,
}

/// The name of the log file that starts with this frame.
pub(crate) fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.wal")
}

impl OpenFile {
    /// Begin a log file in a blank one: its header, then its name, both durable.
    ///
    /// # Errors
    /// Those of the disk; then there is no file.
    pub(super) fn begin(folders: &Folders, blank: Blank, header: FileHeader) -> io::Result<Self> {
        let disk = &folders.disk;
        let Blank { file, path: unfinished, len } = blank;
        let path = folders.wal.join(file_name(header.first_seq));
        let name = || {
            file.write_all_at(&header.encode(), 0)?;
            file.sync_all()?;
            disk.reached("log roll: file made");
            disk.rename(&unfinished, &path)?;
            disk.reached("log roll: file named");
            disk.sync_dir(&folders.wal)
        };
        match name() {
            Ok(()) => Ok(Self { file, header, good: FILE_HEADER_LEN as u64, len, path }),
            Err(error) => {
                let _ = disk.remove(&unfinished);
                Err(error)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.good == FILE_HEADER_LEN as u64
    }

    /// Cut it behind the last good group; it is not written any more.
    pub(super) fn seal(self, last_seq: u64) -> SealedFile {
        // If this fails, recovery still ends this file where the next one begins.
        if let Err(error) = self.file.set_len(self.good).and_then(|()| self.file.sync_all()) {
            let first_seq = self.header.first_seq;
            tracing::warn!(first_seq, %error, "cannot cut a log file");
        }
        self.as_sealed(last_seq)
    }

    /// The file as it is now, its last good frame being this one.
    pub(super) fn as_sealed(&self, last_seq: u64) -> SealedFile {
        let (path, first_seq) = (self.path.clone(), self.header.first_seq);
        SealedFile { path, first_seq, last_seq, bytes: self.good }
    }
}
