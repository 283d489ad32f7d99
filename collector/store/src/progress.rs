//! How far a question has come, and whether anybody still waits for it.
//!
//! In: rows that were read, block by block, and a word to stop. Out: the share that is done.
//!
//! A question may be asked of several scans, one after the other. Each counts for the same share of the
//! whole, so the share never goes back, whatever one of them finds to read.
//!
//! Invariant: threads touch it once a block, so it costs nothing that can be measured.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Shared by whoever waits and by the threads that work.
#[derive(Debug, Default)]
pub struct Progress {
    is_stopped: AtomicBool,
    /// Rows read by all scans.
    read: AtomicU64,
    scans: Mutex<Scans>,
}

#[derive(Debug, Default)]
struct Scans {
    /// How many there may be.
    expected: u32,
    begun: u32,
    /// Rows that the last one has to read.
    rows: u64,
    /// Rows read before it began.
    before: u64,
    is_over: bool,
}

impl Progress {
    /// Say how many scans there may be.
    pub fn expect(&self, scans: u32) {
        self.scans().expected = scans;
    }

    /// Nobody waits any more: what is at work ends within a block, with
    /// [`ScanError::Stopped`](crate::ScanError::Stopped).
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits any more.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Say that there is an answer.
    pub fn end(&self) {
        self.scans().is_over = true;
    }

    /// What is done, from 0 to 1. It never goes back.
    pub fn share(&self) -> f64 {
        let scans = self.scans();
        if scans.is_over {
            return 1.0;
        }
        let read = self.read().saturating_sub(scans.before).min(scans.rows);
        let of_this = if scans.rows == 0 { 0.0 } else { read as f64 / scans.rows as f64 };
        let whole = f64::from(scans.begun.saturating_sub(1)) + of_this;
        (whole / f64::from(scans.expected.max(1))).min(1.0)
    }

    /// Rows read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// A scan begins that has about as many rows to read.
    pub(crate) fn begin(&self, rows: u64) {
        let mut scans = self.scans();
        scans.begun += 1;
        scans.rows = rows;
        scans.before = self.read();
    }

    /// Rows of a block were read.
    pub(crate) fn add(&self, rows: u64) {
        self.read.fetch_add(rows, Ordering::Relaxed);
    }

    fn scans(&self) -> std::sync::MutexGuard<'_, Scans> {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scan_is_the_same_share_and_none_goes_back() {
        let progress = Progress::default();
        progress.expect(2);
        let mut shares = vec![progress.share()];
        for (rows, read) in [(100, [0, 50, 50]), (10, [1, 4, 5])] {
            progress.begin(rows);
            for rows in read {
                progress.add(rows);
                shares.push(progress.share());
            }
        }
        assert_eq!(shares, [0.0, 0.0, 0.25, 0.5, 0.55, 0.75, 1.0]);
    }

    #[test]
    fn more_than_was_expected_is_never_more_than_all() {
        let progress = Progress::default();
        progress.begin(10);
        progress.add(25);
        assert_eq!((progress.share(), progress.read()), (1.0, 25));
        progress.begin(10);
        assert_eq!(progress.share(), 1.0, "a scan that nobody expected");
    }

    #[test]
    fn an_answer_is_all_of_it() {
        let progress = Progress::default();
        progress.expect(3);
        progress.begin(0);
        assert_eq!(progress.share(), 0.0, "nothing is known to read");
        progress.end();
        assert_eq!(progress.share(), 1.0);
    }
}
