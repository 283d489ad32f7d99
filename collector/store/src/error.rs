//! What can go wrong, one enum per operation.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::people::MergeRefused;

/// Why a store could not be opened. Nothing was changed on disk, except that a torn tail of the
/// log may have been cut.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has this folder.
    #[error("{} is in use by process {pid}: stop it, or talk to it instead", dir.display())]
    Locked {
        /// The data folder.
        dir: PathBuf,
        /// Who holds it, as far as the lock file says; 0 if it does not.
        pid: u32,
    },
    /// A file was written by a later version.
    #[error(
        "{} has format version {found}, this program reads up to {known}: \
         use a newer tallymark, or restore a backup made by this version", file.display()
    )]
    NewerVersion {
        /// The file.
        file: PathBuf,
        /// Version found in it.
        found: u32,
        /// Newest version we know.
        known: u32,
    },
    /// The log is damaged in a place that held acknowledged events. We never skip such a place
    /// by ourselves.
    #[error(
        "log file {} is damaged at byte {offset}: {what}. Acknowledged events are behind it, so \
         we do not start. Restore the file from a backup; or, to accept the loss, move this file \
         and the later ones away", file.display()
    )]
    CorruptLog {
        /// The file.
        file: PathBuf,
        /// Where, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A segment is missing or cannot be read.
    #[error(
        "segment {} cannot be read: {what}. Restore it from a backup; or, to go on without its \
         rows, give it this name with `.aside` at its end", file.display()
    )]
    CorruptSegment {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The catalog could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// What we wanted to use.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Why a batch was not stored. Nothing of it counts; sending it again, later, is right.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Too much is waiting. Try again shortly.
    #[error("the store is busy: try again shortly")]
    Busy,
    /// Writing failed twice; the store answers questions only until it is opened again.
    #[error("the store is read-only after write errors: check the disk and restart")]
    ReadOnly,
    /// No space. Appending works again by itself when there is some.
    #[error("the disk is full: free some space, nothing else is needed")]
    DiskFull,
    /// Writing failed, or a segment needed for finding duplicates could not be read.
    #[error("writing failed: {0}")]
    Io(Arc<io::Error>),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// Why a command about people was not carried out. Nothing changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PeopleError {
    /// It makes no sense.
    #[error(transparent)]
    Refused(#[from] MergeRefused),
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] AppendError),
}

impl AppendError {
    /// As the error of a file.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Io(error) => io::Error::new(error.kind(), error),
            Self::DiskFull => io::Error::new(io::ErrorKind::StorageFull, self),
            other => io::Error::other(other),
        }
    }
}

/// Why a flush or a merge did not happen. No event is lost: the log still holds them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FlushError {
    /// A file could not be written or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A segment could not be encoded or decoded.
    #[error("segment {}: {what}", file.display())]
    Segment {
        /// Which.
        file: PathBuf,
        /// What the library said.
        what: String,
    },
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// Why a question has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ScanError {
    /// A segment could not be read.
    #[error(
        "segment {} cannot be read: {what}. Restore it from a backup; or, to go on without its \
         rows, give it this name with `.aside` at its end and restart", file.display()
    )]
    Segment {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Answering would take more memory than a question may have.
    #[error(
        "the question needs more memory than one may have: ask for a shorter time, filter, or break \
         it down by a property with fewer values"
    )]
    TooLarge,
    /// The catalog could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Whoever asked does not wait any more.
    #[error("the question was stopped before it had an answer")]
    Stopped,
    /// A kernel panicked: a mistake of ours, logged where it happened.
    #[error("a scan thread stopped unexpectedly")]
    Panicked,
}

/// The catalog could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("catalog: {0}")]
pub struct CatalogError(pub String);
