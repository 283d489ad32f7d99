//! The disk: the few things the store does with files and folders, and nothing else.
//!
//! In: paths, bytes. Out: bytes, and the promise that what was synced is there after a loss of
//! power. [`RealDisk`] is the operating system. The other implementation is in memory and belongs
//! to the proofs (`faults`): it fails when told to, and forgets what was not synced. So the code of
//! log, flush, merge and start that is proved is the code that runs.
//!
//! Rules that callers keep: a file is durable after its own sync, its *name* after a sync of the
//! folder, a folder's name after a sync of the folder above.
//!
//! Invariant: nothing outside this file uses `std::fs` to change the data folder.

use std::fmt::Debug;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Advice;

/// Files and folders.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Make a folder and those above it. It may be there already.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// What is in a folder, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>>;
    /// Make an empty file, or empty the one that is there, for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// A file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Shorten a file, durably.
    fn cut(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Give a file another name, in the place of the file that has it now.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Remove a file. Readers that have it open keep it.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Make the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that may still be used on the file system of a folder.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Take a lock file, until the value is dropped; `None` when another process has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// A place in the store's work where a crash is worth a test. Does nothing but in the proofs,
    /// which find all of these names in the source and stop the store at each.
    fn reached(&self, _point: &'static str) {}

    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// An open file. Every call names its place, so threads share one.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Fill the buffer from a place.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Somebody reads these bytes soon: the disk may begin.
    fn will_read(&self, _offset: u64, _len: u64) {}
    /// Write all bytes at a place.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Make it so long, with the space set aside, so that a full disk shows now and not later.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Cut it, or lengthen it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Wait until everything written is on the disk, and the length with it.
    fn sync_data(&self) -> io::Result<()>;
    /// The same for everything about the file but its name.
    fn sync_all(&self) -> io::Result<()>;
}

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub path: PathBuf,
    pub is_dir: bool,
}

/// The right to be the only one; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: Box<dyn Debug + Send>,
}

impl Lock {
    pub(crate) fn holding(held: impl Debug + Send + 'static) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// Synced after so many bytes, so that a sync of the log beside it does not wait for all of them.
const STRETCH_BYTES: u64 = 2 << 20;

/// Writes a file from its start to its end, and lets the disk have it little by little.
#[derive(Debug)]
pub(crate) struct Appender {
    pub file: Arc<dyn DiskFile>,
    pub at: u64,
    synced: u64,
}

impl Appender {
    pub(crate) fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { file, at: 0, synced: 0 }
    }
}

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        if self.at - self.synced >= STRETCH_BYTES {
            self.file.sync_data()?;
            self.synced = self.at;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The operating system's.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let path = entry?.path();
                Ok(Listed { is_dir: path.is_dir(), path })
            })
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::open(path)?;
        // Readers want columns here and there: what lies behind one is read for nothing.
        let advised = rustix::fs::fadvise(&file, 0, None, Advice::Random);
        advised
            .unwrap_or_else(|error| tracing::debug!(file = %path.display(), %error, "no advice"));
        Ok(Arc::new(RealFile(file)))
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The kernel gives the lock back when the process is gone, however it went. The file's text is
    /// the owner's process id.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut options = File::options();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Lock::holding(file)))
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(&self.0, buffer, offset)
    }

    fn will_read(&self, offset: u64, len: u64) {
        // Without it, the disk begins later.
        let _ = rustix::fs::fadvise(&self.0, offset, NonZero::new(len), Advice::WillNeed);
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(&self.0, bytes, offset)
    }

    /// File systems without that ability get a file of the same length with a hole.
    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(len),
            Err(error) => Err(error.into()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
