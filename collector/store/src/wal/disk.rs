//! The few things a log does with a disk, behind a trait so that tests can make each one fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::FileHeader;

/// Makes log files.
pub(crate) trait LogDisk: Send {
    /// A new file that holds a header and room for `len` bytes in all, durably linked into the
    /// log folder. `StorageFull` when that would leave less free than must stay free.
    fn create(&mut self, header: FileHeader, len: u64) -> io::Result<Box<dyn LogFile>>;
}

/// One log file that is being written.
pub(crate) trait LogFile: Send {
    /// Write all bytes at an offset.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Wait until everything written is on the disk.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Cut the file, durably. Used when a file is given up after an error.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// The real one.
#[derive(Debug)]
pub(crate) struct RealDisk {
    /// Folder of the log.
    pub wal: PathBuf,
    /// Folder for unfinished files, on the same file system.
    pub tmp: PathBuf,
    /// What must stay free.
    pub min_free_bytes: u64,
}

/// The name of the log file that starts with this frame.
pub(crate) fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.wal")
}

impl LogDisk for RealDisk {
    fn create(&mut self, header: FileHeader, len: u64) -> io::Result<Box<dyn LogFile>> {
        let free = free_bytes(&self.wal)?;
        if free < len.saturating_add(self.min_free_bytes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let name = file_name(header.first_seq);
        let unfinished = self.tmp.join(&name);
        let made = (|| {
            let mut file =
                File::options().write(true).create(true).truncate(true).open(&unfinished)?;
            allocate(&file, len)?;
            file.write_all(&header.encode())?;
            file.sync_all()?;
            fs::rename(&unfinished, self.wal.join(&name))?;
            sync_dir(&self.wal)?;
            Ok(file)
        })();
        match made {
            Ok(file) => Ok(Box::new(RealFile { file })),
            Err(error) => {
                let _ = fs::remove_file(&unfinished);
                Err(error)
            }
        }
    }
}

struct RealFile {
    file: File,
}

impl LogFile for RealFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(&self.file, bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.file.sync_all()
    }
}

/// Make the names in a folder durable: a file's own sync does not cover its name.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Bytes that an unprivileged process may still use on the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Set space aside, so that a full disk shows now and not in the middle of a group. File systems
/// without that ability get a file of the same length with a hole.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(len),
        Err(error) => Err(error.into()),
    }
}
