//! The files of a running store at one moment, for a backup.
//!
//! In: nothing; flushes and merges wait while the catalog is held. Out: [`StoreFiles`]: segments that
//! stay as long as it lives, and the log up to one frame.
//!
//! Invariant: the catalog as it was while it was held, the segments and the log of that moment are a
//! store: opened, it holds exactly the frames up to [`StoreFiles::seq`].
//!
//! Deliberately elsewhere: where the files are copied to, and the other files of a data folder.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};

use crate::disk::DiskFile;
use crate::segment::Segment;
use crate::store::Store;

/// While this lives, no segment becomes real and none ceases to be. Batches go on being taken.
pub struct HeldCatalog<'a> {
    store: &'a Store,
    _held: MutexGuard<'a, ()>,
}

/// The files of a store at one moment.
pub struct StoreFiles {
    /// The last log frame in it. What was acknowledged before is in it.
    pub seq: u64,
    /// The files. Those of segments never change; those of the log go on being written behind what
    /// belongs here.
    pub files: Vec<StoreFile>,
    /// The last reader keeps a replaced segment's file.
    _segments: Arc<Vec<Arc<Segment>>>,
}

/// One file of a store.
pub struct StoreFile {
    /// Its name below the data folder, with `/` between folders.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How much of it belongs here, from its start.
    pub bytes: u64,
    /// Whether it is never changed again, so that a hard link is as good as a copy.
    pub is_final: bool,
    file: Arc<dyn DiskFile>,
}

impl Store {
    /// Keep flushes and merges from changing the catalog, so that it can be copied.
    pub fn hold_catalog(&self) -> HeldCatalog<'_> {
        HeldCatalog { store: self, _held: self.shared.hold_catalog() }
    }
}

impl HeldCatalog<'_> {
    /// What belongs to the catalog as it is now.
    ///
    /// # Errors
    /// When a file of the store cannot be opened.
    pub fn files(self) -> io::Result<StoreFiles> {
        let folders = &self.store.folders;
        let (segments, aside, log, seq) = {
            let live = self.store.shared.live();
            let log: Vec<_> = live.wal_files.iter().chain(&live.wal_open).cloned().collect();
            let logged = log.iter().map(|file| file.last_seq).max();
            let seq = logged.unwrap_or(live.applied_seq).max(live.applied_seq);
            (Arc::clone(&live.segments), live.aside.clone(), log, seq)
        };
        let mut files = Vec::new();
        let mut add = |name: String, bytes: Option<u64>| -> io::Result<()> {
            let path = folders.data.join(&name);
            let file = folders.disk.open(&path)?;
            let (is_final, bytes) = (bytes.is_none(), bytes.map_or_else(|| file.len(), Ok)?);
            files.push(StoreFile { name, path, bytes, is_final, file });
            Ok(())
        };
        for segment in segments.iter() {
            add(segment.meta().path(), None)?;
        }
        for meta in &aside {
            add(format!("{}.aside", meta.path()), None)?;
        }
        for file in log {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            add(format!("wal/{name}"), Some(file.bytes))?;
        }
        Ok(StoreFiles { seq, files, _segments: segments })
    }
}

impl StoreFile {
    /// Write what belongs here to `out`.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn copy_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        let mut at = 0;
        while at < self.bytes {
            let count = usize::try_from(self.bytes - at).unwrap_or(usize::MAX).min(buffer.len());
            self.file.read_exact_at(&mut buffer[..count], at)?;
            out.write_all(&buffer[..count])?;
            at += count as u64;
        }
        Ok(())
    }
}
