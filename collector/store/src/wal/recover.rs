//! Reading the log back when a store opens.
//!
//! In: the files of the log folder and the number of the last frame that is in segments. Out: the
//! contents of every later frame, in order.
//!
//! Invariant: whatever was acknowledged is either given out or stops us with an error that names
//! the file and the byte. Only what can be the rest of an unfinished write is cut: bytes at the
//! end of the last file with no later group behind them.
//!
//! After a write error the writer gives a file up and begins a new one with the number of the
//! first frame that was not acknowledged. So where the next file begins, this one ends, whatever
//! is behind that point.

use std::io;
use std::path::{Path, PathBuf};

use super::file::file_name;
use super::frame::{FILE_HEADER_LEN, FileHeader, Found, HeaderError, Kind, LOG_VERSION, Place};
use super::payload::{PayloadError, ROWS_VERSION, decode_command, decode_refused, decode_rows};
use crate::catalog::RefusedRow;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::open::Folders;
use crate::people::PeopleCommand;
use crate::row::Row;

/// The contents of one frame.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry {
    Rows(Vec<Row>),
    Refused(Vec<RefusedRow>),
    Command(PeopleCommand),
}

/// What recovery found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The number the next frame gets.
    pub next_seq: u64,
    /// Files that are still needed, oldest first.
    pub files: Vec<SealedFile>,
    /// Bytes of an unfinished write that were cut off.
    pub cut_bytes: u64,
}

/// A log file that is no longer written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedFile {
    pub path: PathBuf,
    pub first_seq: u64,
    /// Number of the last frame in it.
    pub last_seq: u64,
    /// Bytes of it that are used.
    pub bytes: u64,
}

/// Read the log. `each` gets the frames after `flushed_seq`, in order.
pub(crate) fn recover(
    folders: &Folders,
    flushed_seq: u64,
    each: &mut dyn FnMut(u64, Entry),
) -> Result<Recovered, OpenError> {
    let disk = &folders.disk;
    let mut out = Recovered { next_seq: flushed_seq + 1, ..Recovered::default() };
    walk(folders, flushed_seq, each, &mut |extent, end| {
        let (path, end) = (&extent.path, end?);
        if extent.stop.is_none() {
            out.cut_bytes = end.torn_bytes;
            // What was replayed may have been only in the page cache. It must be on disk before
            // a resend of it is called a duplicate.
            disk.cut(path, end.offset).map_err(|source| io_error(path, source))?;
            disk.reached("start: log cut");
        }
        out.next_seq = out.next_seq.max(end.next_seq);
        if end.next_seq <= flushed_seq + 1 || end.next_seq == extent.first_seq {
            disk.remove(path).map_err(|source| io_error(path, source))?;
        } else {
            let (first_seq, last_seq) = (extent.first_seq, end.next_seq - 1);
            let path = path.clone();
            out.files.push(SealedFile { path, first_seq, last_seq, bytes: end.offset });
        }
        Ok(())
    })?;
    disk.sync_dir(&folders.wal).map_err(|source| io_error(&folders.wal, source))?;
    Ok(out)
}

/// A log file, and where the next one says that it ends.
#[derive(Debug)]
pub(crate) struct Extent {
    pub path: PathBuf,
    pub first_seq: u64,
    /// The first frame of the next file; `None` for the last file.
    pub stop: Option<u64>,
}

/// What became of a file: where its frames end, or why they cannot be read.
pub(crate) type Read<'a> = dyn FnMut(&Extent, Result<End, OpenError>) -> Result<(), OpenError> + 'a;

/// Read all files in order and change nothing. `each` gets the frames after `flushed_seq`; `done`
/// gets each file, and ends the walk with an error of its own.
pub(crate) fn walk(
    folders: &Folders,
    flushed_seq: u64,
    each: &mut dyn FnMut(u64, Entry),
    done: &mut Read<'_>,
) -> Result<(), OpenError> {
    let (dir, disk) = (&folders.wal, &*folders.disk);
    let mut names = list(disk, dir)?;
    names.sort_unstable();
    // Frames before this one are not needed.
    let mut expected = flushed_seq + 1;
    for (i, &first_seq) in names.iter().enumerate() {
        let extent = Extent {
            path: dir.join(file_name(first_seq)),
            first_seq,
            stop: names.get(i + 1).copied(),
        };
        let end = match extent.stop {
            // All of it is in segments. It was about to be deleted, and so may its neighbours have
            // been, in any order.
            Some(stop) if stop <= flushed_seq + 1 => {
                Ok(End { next_seq: stop, offset: 0, torn_bytes: 0 })
            }
            _ if first_seq > expected => {
                Err(corrupt(&extent.path, 0, "the frames before its first one are missing"))
            }
            _ => read_file(disk, &extent, None, flushed_seq, each),
        };
        expected = match &end {
            Ok(end) => expected.max(end.next_seq),
            Err(_) => extent.stop.unwrap_or(expected),
        };
        done(&extent, end)?;
    }
    Ok(())
}

/// Read the frames of one file, of which only `len` bytes count.
pub(crate) fn read_file(
    disk: &dyn Disk,
    extent: &Extent,
    len: Option<u64>,
    flushed_seq: u64,
    each: &mut dyn FnMut(u64, Entry),
) -> Result<End, OpenError> {
    let path = &extent.path;
    let mut bytes = disk.read(path).map_err(|source| io_error(path, source))?;
    bytes.truncate(len.and_then(|len| usize::try_from(len).ok()).unwrap_or(usize::MAX));
    let mut reader = FileReader { path, bytes: &bytes, flushed_seq, each };
    reader.read(extent.first_seq, extent.stop)
}

struct FileReader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    flushed_seq: u64,
    each: &'a mut dyn FnMut(u64, Entry),
}

/// Where the frames of a file end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// The number after the last one.
    pub next_seq: u64,
    /// In bytes.
    pub offset: u64,
    /// Bytes behind that which are no frame: a write that was not finished.
    pub torn_bytes: u64,
}

impl FileReader<'_> {
    fn read(&mut self, first_seq: u64, stop: Option<u64>) -> Result<End, OpenError> {
        let header = FileHeader::decode(self.bytes).map_err(|error| match error {
            HeaderError::Newer(found) => self.newer(found, LOG_VERSION),
            HeaderError::Damaged => corrupt(self.path, 0, "its header is not one of ours"),
        })?;
        if header.first_seq != first_seq {
            return Err(corrupt(self.path, 16, "its name and its header disagree"));
        }
        let mut seq = first_seq;
        let mut offset = FILE_HEADER_LEN;
        while stop != Some(seq) {
            let rest = &self.bytes[offset..];
            let Some(found) = Found::parse(rest, header.salt) else {
                return self.end(rest, header.salt, seq, offset, stop);
            };
            if found.seq != seq {
                return Err(corrupt(self.path, offset as u64, "a frame is out of order"));
            }
            if seq > self.flushed_seq {
                let entry = self.entry(&found, offset)?;
                (self.each)(seq, entry);
            }
            offset += found.len();
            seq += 1;
        }
        Ok(End { next_seq: seq, offset: offset as u64, torn_bytes: 0 })
    }

    /// No frame here: the end, or damage?
    fn end(
        &self,
        rest: &[u8],
        salt: u64,
        seq: u64,
        offset: usize,
        stop: Option<u64>,
    ) -> Result<End, OpenError> {
        if stop.is_some() {
            return Err(corrupt(self.path, offset as u64, "frames are missing or changed"));
        }
        let torn = without_zeros(rest);
        let proves_damage = |at: usize| {
            Found::parse(&rest[at..], salt).is_some_and(|found| found.place() == Place::First)
        };
        if (1..torn).any(proves_damage) {
            return Err(corrupt(self.path, offset as u64, "a frame was changed"));
        }
        Ok(End { next_seq: seq, offset: offset as u64, torn_bytes: torn as u64 })
    }

    fn entry(&self, found: &Found<'_>, offset: usize) -> Result<Entry, OpenError> {
        let malformed = || corrupt(self.path, offset as u64, "a frame does not decode");
        let payload = found.payload().ok_or_else(malformed)?;
        let decoded = match found.kind {
            kind if kind == Kind::Events as u8 => decode_rows(&payload).map(Entry::Rows),
            kind if kind == Kind::Bad as u8 => decode_refused(&payload).map(Entry::Refused),
            kind if kind == Kind::Link as u8 || kind == Kind::Erase as u8 => {
                decode_command(&payload).map(Entry::Command)
            }
            _ => return Err(self.newer(LOG_VERSION + 1, LOG_VERSION)),
        };
        decoded.map_err(|error| match error {
            PayloadError::Newer(version) => self.newer(u32::from(version), u32::from(ROWS_VERSION)),
            PayloadError::Malformed => malformed(),
        })
    }

    fn newer(&self, found: u32, known: u32) -> OpenError {
        OpenError::NewerVersion { file: self.path.to_owned(), found, known }
    }
}

/// Length without the zeros at the end: tens of megabytes of them, so a block at a time.
fn without_zeros(bytes: &[u8]) -> usize {
    let zero_blocks = bytes.rchunks(4096).take_while(|block| block.iter().all(|&byte| byte == 0));
    let zeros: usize = zero_blocks.map(<[u8]>::len).sum();
    let rest = &bytes[..bytes.len() - zeros];
    rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, OpenError> {
    let mut names = Vec::new();
    for found in disk.list(dir).map_err(|source| io_error(dir, source))? {
        let name = found.path.file_name().and_then(|name| name.to_str());
        let seq = name.and_then(|name| name.strip_suffix(".wal")?.parse().ok());
        match seq {
            Some(seq) if name == Some(&file_name(seq)) => names.push(seq),
            _ => tracing::warn!(file = %found.path.display(), "not a log file; left alone"),
        }
    }
    Ok(names)
}

fn corrupt(file: &Path, offset: u64, what: &'static str) -> OpenError {
    OpenError::CorruptLog { file: file.to_owned(), offset, what }
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}
