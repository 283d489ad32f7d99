//! The next log file, made before it is needed, and every byte of it written.
//!
//! In: a length. Out: a file of zeros in `tmp/`, synced, which the writer gives a header and a name.
//!
//! Why zeros, and not only space that is set aside: a file system notes of such space that it was
//! never written, and the first sync of every new block has to change the note as well, a second
//! write in another place. And on ext4 a sync may answer well when the journal fails in just that
//! moment: then the bytes are on the disk, the note is not, and the file reads as zeros. A write over
//! what was written needs no note.
//!
//! Invariant: at most one file waits. It is in `tmp/`, so it is never taken for a log and does not
//! outlive a start. Nobody waits for it: as long as there is none, the writer makes a short one.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::disk::DiskFile;
use crate::open::Folders;

/// A log file is at least so long, if the options allow it. Making one takes the writer no longer
/// than a few syncs.
const LEAST_BYTES: u64 = 1 << 20;
/// Synced after so many zeros, so that a sync of the log beside it does not wait for all of them.
const ZEROS: usize = 1 << 20;

/// How long log files are, and how much they must leave free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub file_bytes: u64,
    pub min_free_bytes: u64,
}

impl Room {
    /// The length of the file after one of which so much was used: twice as much. A store with little
    /// to write does not write 64 MiB of zeros at every flush.
    pub(super) fn len_after(self, used: u64) -> u64 {
        used.saturating_mul(2).clamp(LEAST_BYTES.min(self.file_bytes), self.file_bytes)
    }
}

/// A file of zeros.
#[derive(Debug)]
pub(super) struct Blank {
    pub file: Arc<dyn DiskFile>,
    pub path: PathBuf,
    pub len: u64,
}

impl Blank {
    /// Make one, of this name in `tmp/`.
    ///
    /// # Errors
    /// `StorageFull` when it would leave less free than must stay free; then there is no file.
    pub(super) fn create(folders: &Folders, name: &str, len: u64, room: Room) -> io::Result<Self> {
        let disk = &folders.disk;
        if disk.free_bytes(&folders.wal)? < len.saturating_add(room.min_free_bytes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let path = folders.tmp.join(name);
        let make = || {
            let file = disk.create(&path)?;
            file.allocate(len)?;
            let zeros = vec![0; ZEROS.min(usize::try_from(len).unwrap_or(ZEROS))];
            let mut at = 0;
            while at < len {
                let count = zeros.len().min(usize::try_from(len - at).unwrap_or(zeros.len()));
                file.write_all_at(&zeros[..count], at)?;
                file.sync_data()?;
                at += count as u64;
            }
            disk.reached("log: blank made");
            Ok(file)
        };
        match make() {
            Ok(file) => Ok(Self { file, path, len }),
            Err(error) => {
                let _ = disk.remove(&path);
                Err(error)
            }
        }
    }
}

/// Makes one file ahead. Shared by the writer and the thread that makes it.
pub(crate) struct Ahead {
    folders: Folders,
    room: Room,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wanted: Option<u64>,
    ready: Option<Blank>,
    closed: bool,
}

impl Ahead {
    pub(super) fn new(folders: Folders, room: Room) -> Self {
        Self { folders, room, state: Mutex::default(), changed: Condvar::new() }
    }

    /// The file that is ready, if it is long enough.
    pub(super) fn take(&self, len: u64) -> Option<Blank> {
        self.state().ready.take_if(|blank| blank.len >= len)
    }

    /// Let a file of this length be made, unless there is one.
    pub(super) fn want(&self, len: u64) {
        let mut state = self.state();
        if state.ready.is_none() {
            state.wanted = Some(len);
            self.changed.notify_one();
        }
    }

    /// Make what is wanted, until [`Ahead::close`].
    pub(crate) fn run(&self) {
        loop {
            let mut state = self.state();
            while state.wanted.is_none() && !state.closed {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return;
            }
            drop(state);
            self.make();
        }
    }

    /// Make what is wanted now, if anything is.
    pub(crate) fn make(&self) {
        let Some(len) = self.state().wanted.take() else { return };
        match Blank::create(&self.folders, "next.wal", len, self.room) {
            Ok(blank) => {
                let mut state = self.state();
                state.ready = Some(blank);
                // Wanted again in the meantime: this is it, and its name is taken.
                state.wanted = None;
                if state.closed {
                    self.discard(&mut state);
                }
            }
            // The writer meets the same, and answers for it.
            Err(error) => tracing::debug!(%error, "no log file was made ahead"),
        }
    }

    /// Make no more, and remove what is ready.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.changed.notify_all();
        self.discard(&mut state);
    }

    fn discard(&self, state: &mut State) {
        if let Some(blank) = state.ready.take() {
            let _ = self.folders.disk.remove(&blank.path);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Disk;
    use crate::faults::SimDisk;
    use rstest::rstest;

    const ROOM: Room = Room { file_bytes: 4096, min_free_bytes: 0 };

    fn ahead() -> (SimDisk, Arc<Ahead>) {
        let disk = SimDisk::new();
        let folders = Folders::new(Path::new("/disk/data"), Arc::new(disk.clone()));
        for dir in [&folders.wal, &folders.tmp] {
            disk.create_dir(dir).unwrap();
        }
        (disk, Arc::new(Ahead::new(folders, ROOM)))
    }

    fn files(disk: &SimDisk) -> usize {
        disk.list(Path::new("/disk/data/tmp")).unwrap().len()
    }

    #[test]
    fn only_a_file_that_is_long_enough_is_taken_and_only_once() {
        let (_, ahead) = ahead();
        assert!(ahead.take(1).is_none(), "nothing was wanted");
        ahead.want(1000);
        assert!(ahead.take(1).is_none(), "nothing was made");
        ahead.make();
        assert!(ahead.take(1001).is_none());
        let blank = ahead.take(1000).unwrap();
        assert_eq!((blank.len, blank.file.len().unwrap()), (1000, 1000));
        assert!(ahead.take(1).is_none());
    }

    /// A second file of the same name would empty the one that waits.
    #[test]
    fn what_is_wanted_while_one_is_made_is_the_one_that_is_made() {
        let (disk, ahead) = ahead();
        ahead.want(1000);
        let again = Arc::clone(&ahead);
        disk.at_points(Some(Box::new(move |_| again.want(2000))));
        ahead.make();
        disk.at_points(None);
        let blank = ahead.take(1000).unwrap();
        ahead.make();
        assert_eq!(blank.file.len().unwrap(), 1000);
        assert!(ahead.take(1).is_none(), "nothing was wanted after it");
    }

    #[test]
    fn no_file_is_left_by_a_full_disk_or_a_close() {
        let (disk, ahead) = ahead();
        disk.set_full(true);
        ahead.want(1000);
        ahead.make();
        assert!(ahead.take(1).is_none());
        assert_eq!(files(&disk), 0);
        disk.set_full(false);
        ahead.want(1000);
        ahead.make();
        assert_eq!(files(&disk), 1);
        ahead.close();
        assert_eq!(files(&disk), 0);
        ahead.want(1000);
        ahead.make();
        assert_eq!(files(&disk), 0, "closed while it was made");
    }

    #[rstest]
    #[case::nothing_used(64 << 20, 0, 1 << 20)]
    #[case::half_of_the_least(64 << 20, 1 << 19, 1 << 20)]
    #[case::more_than_that(64 << 20, (1 << 19) + 1, (1 << 20) + 2)]
    #[case::half_of_the_most(64 << 20, 32 << 20, 64 << 20)]
    #[case::all_of_it(64 << 20, 64 << 20, 64 << 20)]
    #[case::files_shorter_than_the_least(4096, 0, 4096)]
    fn a_file_is_twice_what_the_last_one_got(
        #[case] file_bytes: u64,
        #[case] used: u64,
        #[case] len: u64,
    ) {
        assert_eq!(Room { file_bytes, min_free_bytes: 0 }.len_after(used), len);
    }
}
