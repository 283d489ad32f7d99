//! The bounded queue in front of the writer thread.
//!
//! In: batches, from any thread. Out: groups of them, each for one write and one sync.
//!
//! A sync costs the same for one batch and for fifty, and whoever was just answered often sends the
//! next batch at once. So a group waits a little for them ([`Gather`]): for as many batches as came last
//! time, and no longer than the last sync took. Somebody who sends one batch after the other waits for
//! nobody. Where syncs are quick the processor is what is scarce, and every group takes some of it for
//! the sync and for threads that go to sleep and are woken: there a group waits a part of a millisecond.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{AppendError, PeopleError};
use crate::memtable::{refused_bytes, rows_bytes};
use crate::people::{PeopleCommand, PeopleDone};
use crate::store::{Append, Appended};

/// Called once with what became of a batch.
pub(crate) type Done = Box<dyn FnOnce(Result<Appended, AppendError>) + Send>;

/// Called once with what became of a command.
pub(crate) type CommandDone = Box<dyn FnOnce(Result<PeopleDone, PeopleError>) + Send>;

/// A batch that waits.
pub(crate) struct Waiting {
    pub batch: Append,
    pub done: Done,
    pub bytes: usize,
}

/// Batches in order of arrival.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    arrived: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    commands: Vec<(PeopleCommand, CommandDone)>,
    bytes: usize,
    closed: bool,
    /// Batches that must wait before the writer is told; it looks by itself when there are fewer.
    wanted: usize,
    /// The writer was told and has not looked yet. Telling costs a call of the system, also when nobody sleeps.
    is_told: bool,
}

/// What a group waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gather {
    batches: usize,
    until: Instant,
}

/// A group may wait so long where syncs are quicker: with single events of 64 senders a tenth of the
/// processor less, and nobody's answer is later, as the processor has other batches to read meanwhile.
const GATHER_MIN: Duration = Duration::from_micros(500);
/// No group waits longer: a disk that takes a long time now may be quick next time.
const GATHER_MAX: Duration = Duration::from_millis(2);

/// A group is one write and one sync. It takes this much when little waits …
const GROUP_BYTES: usize = 1 << 20;
/// … and this much when more does: a slow disk is used best with large writes.
const GROUP_BYTES_MAX: usize = 4 << 20;

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), arrived: Condvar::new(), bytes_max }
    }

    /// Add a batch. A batch larger than the whole queue is taken when the queue is empty.
    ///
    /// # Errors
    /// Gives the callback back with the reason.
    pub(crate) fn push(&self, batch: Append, done: Done) -> Result<(), (Done, AppendError)> {
        let bytes =
            rows_bytes(&batch.rows) + batch.refused.iter().map(refused_bytes).sum::<usize>();
        let mut inner = self.lock();
        if inner.closed {
            return Err((done, AppendError::Closed));
        }
        if !inner.waiting.is_empty() && inner.bytes + bytes > self.bytes_max {
            return Err((done, AppendError::Busy));
        }
        inner.bytes += bytes;
        inner.waiting.push_back(Waiting { batch, done, bytes });
        let tells = inner.is_full_group() && !inner.is_told;
        inner.is_told |= tells;
        drop(inner);
        if tells {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Add a command. Those who may ask are few, and each waits for the answer.
    ///
    /// # Errors
    /// Gives the callback back when the queue is closed.
    pub(crate) fn push_command(
        &self,
        command: PeopleCommand,
        done: CommandDone,
    ) -> Result<(), CommandDone> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(done);
        }
        inner.commands.push((command, done));
        drop(inner);
        self.arrived.notify_one();
        Ok(())
    }

    /// The commands that wait.
    pub(crate) fn take_commands(&self) -> Vec<(PeopleCommand, CommandDone)> {
        std::mem::take(&mut self.lock().commands)
    }

    /// What the next group waits for, when so many batches have just been answered after a sync
    /// that took so long.
    pub(crate) fn gather(&self, answered: usize, sync: Duration) -> Gather {
        let batches = answered + self.lock().waiting.len();
        Gather { batches, until: Instant::now() + sync.clamp(GATHER_MIN, GATHER_MAX) }
    }

    /// The next group; without a batch when only commands wait. `None` when the queue is closed and
    /// empty.
    pub(crate) fn next_group(&self, gather: Gather) -> Option<Vec<Waiting>> {
        let mut inner = self.lock();
        inner.wanted = 1;
        while inner.waiting.is_empty() && inner.commands.is_empty() {
            if inner.closed {
                return None;
            }
            inner.is_told = false;
            inner = self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.wanted = gather.batches;
        while !inner.is_full_group() {
            let left = gather.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner.is_told = false;
            let waited = self.arrived.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let limit = if inner.bytes > GROUP_BYTES { GROUP_BYTES_MAX } else { GROUP_BYTES };
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = inner.waiting.front()
            && (group.is_empty() || bytes + next.bytes <= limit)
        {
            bytes += next.bytes;
            group.extend(inner.waiting.pop_front());
        }
        inner.bytes -= bytes;
        // Until the next call nobody is to be told, and telling costs a call of the system.
        inner.wanted = usize::MAX;
        Some(group)
    }

    /// Take no more batches.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether nothing more is to be waited for.
    fn is_full_group(&self) -> bool {
        let is_due = !self.commands.is_empty() || self.closed;
        self.waiting.len() >= self.wanted || self.bytes >= GROUP_BYTES || is_due
    }
}

impl Gather {
    /// Wait for nobody.
    pub(crate) fn nothing() -> Self {
        Self { batches: 1, until: Instant::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn push(queue: &Queue) {
        let pushed = queue.push(Append::default(), Box::new(|_| ()));
        assert!(pushed.is_ok());
    }

    fn gather(batches: usize, wait: Duration) -> Gather {
        Gather { batches, until: Instant::now() + wait }
    }

    #[test]
    fn a_group_waits_for_those_that_were_just_answered() {
        const LONG: Duration = Duration::from_secs(60);
        let queue = Arc::new(Queue::new(1 << 20));
        push(&queue);
        let sender = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || (0..2).for_each(|_| push(&queue))
        });
        let group = queue.next_group(gather(3, LONG)).unwrap();
        sender.join().unwrap();
        assert_eq!(group.len(), 3, "and not until the time is over");
    }

    #[test]
    fn a_group_does_not_wait_longer_than_it_was_told() {
        let queue = Queue::new(1 << 20);
        push(&queue);
        let group = queue.next_group(gather(3, Duration::from_millis(5))).unwrap();
        assert_eq!(group.len(), 1);
    }

    #[test]
    fn what_waits_when_the_queue_closes_is_the_last_group() {
        let queue = Queue::new(1 << 20);
        push(&queue);
        queue.close();
        let group = queue.next_group(gather(3, Duration::from_secs(60))).unwrap();
        assert_eq!(group.len(), 1);
        assert!(queue.next_group(Gather::nothing()).is_none());
    }

    #[test]
    fn what_is_waited_for_is_what_was_answered_and_what_came_meanwhile() {
        let queue = Queue::new(1 << 20);
        let batches = |answered| queue.gather(answered, Duration::ZERO).batches;
        assert_eq!(batches(1), 1, "one after the other waits for nobody");
        push(&queue);
        assert_eq!(batches(3), 4);
    }

    #[test]
    fn a_group_waits_as_long_as_a_sync_takes_within_bounds() {
        let queue = Queue::new(1 << 20);
        let [quick, slow] = [Duration::ZERO, Duration::from_secs(9)]
            .map(|sync| (Instant::now(), queue.gather(3, sync).until, Instant::now()));
        for ((before, until, after), want) in [(quick, GATHER_MIN), (slow, GATHER_MAX)] {
            assert!((before + want..=after + want).contains(&until));
        }
    }

    /// Who pushes tells the writer once; it must hear of what comes after it looked all the same.
    #[test]
    fn whoever_sleeps_is_told_every_time() {
        let queue = Arc::new(Queue::new(1 << 20));
        let (answered, wait) = std::sync::mpsc::channel();
        let writer = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let mut gather = Gather::nothing();
                while let Some(group) = queue.next_group(gather) {
                    gather = queue.gather(group.len(), Duration::ZERO);
                    answered.send(group.len()).expect("somebody counts");
                }
            }
        });
        for burst in 1..=200 {
            (0..burst % 3 + 1).for_each(|_| push(&queue));
            let mut left = burst % 3 + 1;
            while left > 0 {
                let count = wait.recv_timeout(Duration::from_secs(10));
                left -= count.expect("the writer was told");
            }
        }
        queue.close();
        writer.join().expect("the writer ended");
    }
}
