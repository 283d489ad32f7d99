//! Whether the writers of a test write: a test says it, its threads ask.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where a test is; at first at its end.
#[derive(Debug)]
pub struct Phase(AtomicU8);

/// What a writer is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Now {
    /// Write.
    Running,
    /// Begin nothing new for now.
    Paused,
    /// Begin nothing new.
    Ending,
    /// The test has failed: wait for no answer.
    Failed,
}

const ALL: [Now; 4] = [Now::Running, Now::Paused, Now::Ending, Now::Failed];

impl Default for Phase {
    fn default() -> Phase {
        Phase(AtomicU8::new(Now::Ending as u8))
    }
}

impl Phase {
    /// What to do now.
    pub fn now(&self) -> Now {
        ALL[usize::from(self.0.load(Ordering::Relaxed))]
    }

    /// Writers write until the value is dropped, also by a panic.
    pub fn begin(&self) -> EndOnDrop<'_> {
        self.set(Now::Running);
        EndOnDrop(self)
    }

    /// Begin nothing new, or go on.
    pub fn pause(&self, paused: bool) {
        self.set(if paused { Now::Paused } else { Now::Running });
    }

    fn set(&self, now: Now) {
        self.0.store(now as u8, Ordering::Relaxed);
    }
}

/// See [`Phase::begin`].
#[derive(Debug)]
#[must_use]
pub struct EndOnDrop<'a>(&'a Phase);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(if std::thread::panicking() { Now::Failed } else { Now::Ending });
    }
}
