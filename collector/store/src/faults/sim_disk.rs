//! A disk in memory that can lose power, fail and stop.
//!
//! It keeps two states of everything: what a program sees, and what is certain to be there after a
//! loss of power. In between are the changes that no sync has made certain. [`SimDisk::cut_power`]
//! gives the disk that the next start finds: of the uncertain changes any part is there, in any
//! order, writes torn at 512 bytes, names and contents independent of each other. That is weaker
//! than any file system we know; what holds here holds there.
//!
//! A sync that fails does what Linux does: the changes stay visible, and no later sync makes them
//! durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::random::Random;
use crate::disk::{Disk, DiskFile, Listed, Lock};

const SECTOR: usize = 512;

/// Called at points of the store's work, to do something in the middle of it.
pub(crate) type Hook = Box<dyn FnMut(&str) + Send>;

/// Cloning gives another handle to the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    files: Vec<File>,
    dirs: BTreeMap<PathBuf, Dir>,
    /// Calls that change something, so far.
    calls: u64,
    /// Calls that fail, by number from 1.
    failing: BTreeSet<u64>,
    /// The call in which everything stops.
    stop_at_call: Option<u64>,
    /// The point, and the how-manieth time, at which everything stops.
    stop_at_point: Option<(&'static str, u64)>,
    is_stopped: bool,
    /// Nothing that needs space succeeds.
    is_full: bool,
    /// How often each point was reached.
    points: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone, Default)]
struct File {
    seen: Vec<u8>,
    certain: Vec<u8>,
    uncertain: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Len(usize),
}

#[derive(Debug, Clone, Default)]
struct Dir {
    seen: BTreeMap<OsString, Entry>,
    certain: BTreeMap<OsString, Entry>,
    uncertain: Vec<(OsString, Option<Entry>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(usize),
    Dir,
}

impl SimDisk {
    /// An empty disk, mounted at `/disk`.
    pub(crate) fn new() -> Self {
        let dirs = BTreeMap::from([(PathBuf::from("/disk"), Dir::default())]);
        let state = State { dirs, ..State::default() };
        Self::of(state)
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), hook: Arc::default() }
    }

    /// Do this at every point from now on, until it is replaced. Points inside it do not count.
    pub(crate) fn at_points(&self, hook: Option<Hook>) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = hook;
    }

    /// A change of the catalog, which is not on this disk but stops with it: whether it happens,
    /// and what is answered.
    pub(crate) fn catalog_call(&self) -> (bool, io::Result<()>) {
        let mut state = self.state();
        match state.call() {
            Ok(Course::Whole) => (true, Ok(())),
            // By turns: it happened and was not answered, or it did not happen.
            Ok(Course::Partly) => (state.calls.is_multiple_of(2), Course::Partly.result()),
            Err(error) => (false, Err(error)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that changed something, or tried to.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Let these calls fail, once each; the next call has the number [`SimDisk::calls`] + 1.
    pub(crate) fn fail(&self, calls: impl IntoIterator<Item = u64>) {
        self.state().failing = calls.into_iter().collect();
    }

    /// Let no more than what is there be written.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Stop in the middle of this call: nothing works from then on.
    pub(crate) fn stop_at_call(&self, call: u64) {
        self.state().stop_at_call = Some(call);
    }

    /// Stop when a point is reached for the `time`th time from now.
    pub(crate) fn stop_at_point(&self, point: &'static str, time: u64) {
        let mut state = self.state();
        let before = state.points.get(point).copied().unwrap_or(0);
        state.stop_at_point = Some((point, before + time));
    }

    /// Stop nowhere.
    pub(crate) fn run_on(&self) {
        self.state().stop_at_call = None;
    }

    pub(crate) fn stop(&self) {
        self.state().is_stopped = true;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// What the next start finds when only the process died: everything it wrote, none of it more
    /// certain than before.
    pub(crate) fn kill(&self) -> SimDisk {
        let mut state = self.state().clone();
        state.restart();
        Self::of(state)
    }

    /// What the next start finds when power was lost.
    pub(crate) fn cut_power(&self, random: &mut Random) -> SimDisk {
        let old = self.state();
        let mut state = State { points: old.points.clone(), ..State::default() };
        // How much of the uncertain is there: nothing, everything, or each part by chance.
        let percent = *random.pick(&[0, 100, 50, 50, 10, 90]);
        for file in &old.files {
            let mut bytes = file.certain.clone();
            let mut pieces = Vec::new();
            for change in &file.uncertain {
                match change {
                    Change::Len(len) => pieces.push(Change::Len(*len)),
                    Change::Write { offset, bytes } => split(*offset, bytes, &mut pieces),
                }
            }
            pieces.retain(|_| random.percent(percent));
            if random.percent(30) {
                random.shuffle(&mut pieces);
            }
            pieces.iter().for_each(|piece| piece.apply(&mut bytes));
            state.files.push(File { seen: bytes.clone(), certain: bytes, uncertain: Vec::new() });
        }
        for (path, dir) in &old.dirs {
            let mut names = dir.certain.clone();
            let mut given_up = BTreeSet::new();
            for (name, entry) in &dir.uncertain {
                if given_up.contains(name) || !random.percent(percent) {
                    // Later changes of the same name are not there either.
                    given_up.insert(name);
                    continue;
                }
                set(&mut names, name, *entry);
            }
            let dir = Dir { seen: names.clone(), certain: names, uncertain: Vec::new() };
            state.dirs.insert(path.clone(), dir);
        }
        // Folders whose name is not there are not there.
        let mut lost: Vec<PathBuf> = Vec::new();
        for path in state.dirs.keys() {
            let above = path.parent().and_then(|above| state.dirs.get(above));
            let (Some(above), Some(name)) = (above, path.file_name()) else { continue };
            let is_named = above.seen.get(name) == Some(&Entry::Dir);
            if !is_named || lost.iter().any(|lost| path.starts_with(lost)) {
                lost.push(path.clone());
            }
        }
        lost.iter().for_each(|path| {
            state.dirs.remove(path);
        });
        Self::of(state)
    }

    /// The bytes of a file, to be damaged.
    pub(crate) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let at = state.find(path).ok()?;
        Some(state.files[at].seen.clone())
    }

    /// Put a file there, durably, as somebody else would.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let file = File { seen: bytes.clone(), certain: bytes, uncertain: Vec::new() };
        if let Ok(at) = state.find(path) {
            state.files[at] = file;
            return;
        }
        state.files.push(file);
        let entry = Entry::File(state.files.len() - 1);
        let dir = state.dirs.get_mut(path.parent().expect("a file is in a folder"));
        let dir = dir.expect("the folder is there");
        let name = path.file_name().expect("a file has a name");
        dir.seen.insert(name.to_owned(), entry);
        dir.certain.insert(name.to_owned(), entry);
    }
}

impl State {
    fn restart(&mut self) {
        self.failing.clear();
        self.stop_at_call = None;
        self.stop_at_point = None;
        self.is_stopped = false;
        self.is_full = false;
    }

    fn is_up(&self) -> io::Result<()> {
        if self.is_stopped { Err(io::Error::other("the machine has stopped")) } else { Ok(()) }
    }

    /// Begin a call that changes something. `Partly` when it must fail half-way.
    fn call(&mut self) -> io::Result<Course> {
        self.is_up()?;
        self.calls += 1;
        if self.stop_at_call == Some(self.calls) {
            self.is_stopped = true;
            return Ok(Course::Partly);
        }
        Ok(if self.failing.remove(&self.calls) { Course::Partly } else { Course::Whole })
    }

    fn needs_space(&self) -> io::Result<()> {
        if self.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let dir = path.parent().and_then(|dir| self.dirs.get(dir));
        match dir.and_then(|dir| dir.seen.get(path.file_name()?)) {
            Some(Entry::File(at)) => Ok(*at),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn name(&mut self, path: &Path, entry: Option<Entry>) -> io::Result<()> {
        let dir = path.parent().and_then(|dir| self.dirs.get_mut(dir));
        let (Some(dir), Some(name)) = (dir, path.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        set(&mut dir.seen, name, entry);
        dir.uncertain.push((name.to_owned(), entry));
        Ok(())
    }

    fn sync(&mut self, at: usize) -> io::Result<()> {
        let course = self.call()?;
        let file = &mut self.files[at];
        let changes = std::mem::take(&mut file.uncertain);
        match course {
            Course::Whole => changes.iter().for_each(|change| change.apply(&mut file.certain)),
            // Stopped: any part may be there. Failed: they will never be.
            Course::Partly if self.is_stopped => file.uncertain = changes,
            Course::Partly => {}
        }
        course.result()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Whole,
    Partly,
}

impl Course {
    fn result(self) -> io::Result<()> {
        match self {
            Self::Whole => Ok(()),
            Self::Partly => Err(io::Error::other("told to fail")),
        }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Len(len) => to.resize(*len, 0),
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

/// A write as the sectors it touches.
fn split(offset: usize, bytes: &[u8], pieces: &mut Vec<Change>) {
    let mut at = 0;
    while at < bytes.len() {
        let end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
        let piece = &bytes[at..end.min(bytes.len())];
        pieces.push(Change::Write { offset: offset + at, bytes: piece.to_vec() });
        at += piece.len();
    }
}

fn set(names: &mut BTreeMap<OsString, Entry>, name: &std::ffi::OsStr, entry: Option<Entry>) {
    match entry {
        Some(entry) => names.insert(name.to_owned(), entry),
        None => names.remove(name),
    };
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.dirs.contains_key(dir) {
            return state.is_up();
        }
        let missing: Vec<&Path> =
            dir.ancestors().take_while(|dir| !state.dirs.contains_key(*dir)).collect();
        for dir in missing.into_iter().rev() {
            state.call()?.result()?;
            state.needs_space()?;
            state.name(dir, Some(Entry::Dir))?;
            state.dirs.insert(dir.to_owned(), Dir::default());
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let state = self.state();
        state.is_up()?;
        let found = state.dirs.get(dir).ok_or(io::ErrorKind::NotFound)?;
        let listed = found
            .seen
            .iter()
            .map(|(name, entry)| Listed { path: dir.join(name), is_dir: *entry == Entry::Dir });
        Ok(listed.collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.call()?.result()?;
        state.needs_space()?;
        let at = match state.find(path) {
            Ok(at) => {
                let file = &mut state.files[at];
                file.seen.clear();
                file.uncertain.push(Change::Len(0));
                at
            }
            Err(_) => {
                state.files.push(File::default());
                let at = state.files.len() - 1;
                state.name(path, Some(Entry::File(at)))?;
                at
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), at }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        state.is_up()?;
        Ok(Arc::new(SimFile { disk: self.clone(), at: state.find(path)? }))
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = self.open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call()?.result()?;
        let at = state.find(from)?;
        state.name(to, Some(Entry::File(at)))?;
        state.name(from, None)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call()?.result()?;
        state.find(path)?;
        state.name(path, None)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let course = state.call()?;
        let is_stopped = state.is_stopped;
        let dir = state.dirs.get_mut(dir).ok_or(io::ErrorKind::NotFound)?;
        match course {
            Course::Whole => {
                for (name, entry) in std::mem::take(&mut dir.uncertain) {
                    set(&mut dir.certain, &name, entry);
                }
            }
            Course::Partly if is_stopped => {}
            // A folder is not a file: a later sync writes its names, as the journal does.
            Course::Partly => {}
        }
        course.result()
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state();
        state.is_up()?;
        Ok(if state.is_full { 0 } else { u64::MAX })
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Lock>> {
        self.state().is_up()?;
        Ok(Some(Lock::holding(())))
    }

    fn reached(&self, point: &'static str) {
        let mut state = self.state();
        if state.is_stopped {
            return;
        }
        let times = state.points.entry(point).or_default();
        *times += 1;
        let now = (point, *times);
        if state.stop_at_point == Some(now) {
            state.is_stopped = true;
            return;
        }
        drop(state);
        let hook = || self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = hook().take();
        if let Some(mut taken) = taken {
            taken(point);
            *hook() = Some(taken);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    at: usize,
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.is_up()?;
        Ok(state.files[self.at].seen.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        state.is_up()?;
        let start = offset as usize;
        let bytes = state.files[self.at].seen.get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// A failing write leaves half of the bytes.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let course = state.call()?;
        let end = offset as usize + bytes.len();
        if end > state.files[self.at].seen.len() {
            state.needs_space()?;
        }
        let len = if course == Course::Whole { bytes.len() } else { bytes.len() / 2 };
        let change = Change::Write { offset: offset as usize, bytes: bytes[..len].to_vec() };
        let file = &mut state.files[self.at];
        change.apply(&mut file.seen);
        file.uncertain.push(change);
        course.result()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.state().needs_space()?;
        self.set_len(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?.result()?;
        let change = Change::Len(len as usize);
        let file = &mut state.files[self.at];
        change.apply(&mut file.seen);
        file.uncertain.push(change);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().sync(self.at)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.disk.state().sync(self.at)
    }
}
