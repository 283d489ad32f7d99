//! A disk whose n-th write or sync fails: the batches of that group are refused, the file is given
//! up, and nothing acknowledged is lost. Reliability test 7.
//!
//! `strace` makes the n-th call of every thread fail, so SQLite's threads meet the error as well as
//! the log's. The trace is judged like that of `order`: an answer without a sync that *succeeded*
//! shows there, although the page cache would hide it from every later look at the files.

use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use tallymark_tests::load::{End, Load, Shape};
use tallymark_tests::rounds::{Rounds, figure};
use tallymark_tests::seed::seeded;
use tallymark_tests::trace::{self, OPTIONS, injected_so_far, judge};
use tallymark_tests::{Launch, TestCollector};

use crate::order::SMALL;

/// What fails.
#[derive(Debug, Clone, Copy)]
struct Failure {
    call: &'static str,
    error: &'static str,
    /// `+`: the n-th and all that follow; the disk stays broken.
    repeat: &'static str,
    /// Which call at most; there are few syncs of folders in a few seconds.
    at_most: usize,
}

const FAILURES: [Failure; 7] = [
    Failure { call: "fdatasync", error: "EIO", repeat: "", at_most: 200 },
    Failure { call: "fdatasync", error: "EIO", repeat: "+", at_most: 200 },
    Failure { call: "pwrite64", error: "ENOSPC", repeat: "", at_most: 200 },
    Failure { call: "pwrite64", error: "EINTR", repeat: "", at_most: 200 },
    Failure { call: "pwrite64", error: "EIO", repeat: "", at_most: 200 },
    Failure { call: "fsync", error: "EIO", repeat: "", at_most: 8 },
    Failure { call: "fallocate", error: "ENOSPC", repeat: "", at_most: 4 },
];
/// Each failure at each place.
const ALL: usize = FAILURES.len() * 200;
/// An error that does not come in this time does not come.
const ERROR_WITHIN: Duration = Duration::from_secs(4);
/// Runs on one data folder.
const RUNS_OF_ONE_FOLDER: usize = 20;

#[test]
fn no_batch_is_acknowledged_whose_write_or_sync_failed() {
    let (seed, mut random) = seeded("disk_errors");
    let mut runs = Rounds::of("disk errors", "TALLYMARK_TEST_DISK_ERRORS", 14);
    let is_full = runs.wanted() >= ALL;
    let mut sums = Sums::default();
    while let Some(run) = runs.next() {
        let mut collector = TestCollector::start_with(&SMALL);
        let project = collector.project("errors");
        let load = Load::new(&collector, &project);
        let more = std::iter::once(run).chain(runs.by_ref().take(RUNS_OF_ONE_FOLDER - 1));
        for run in more {
            let failure = FAILURES[run % FAILURES.len()];
            let place = if is_full { run / FAILURES.len() } else { random.random_range(0..40) };
            let at = place % failure.at_most + 1;
            collector.stop();
            fail_once(&mut collector, &load, seed ^ run as u64, failure, at, &mut sums);
        }
        sums.acknowledged += load.acknowledged();
    }
    assert!(sums.injected > 0 && sums.refused > 0, "no error came to anything: {sums:?}");
    let Sums { injected, acknowledged, refused, starts_refused } = sums;
    figure(&format!(
        "{} ({injected} failed calls), {acknowledged} events acknowledged, {refused} batches and \
         {starts_refused} starts refused, 0 acknowledged without a sync, 0 events lost",
        runs.made()
    ));
}

#[derive(Debug, Default)]
struct Sums {
    injected: usize,
    acknowledged: usize,
    refused: usize,
    starts_refused: usize,
}

/// A start with one failing call, a load, a kill; then a start without.
fn fail_once(
    collector: &mut TestCollector,
    load: &Load,
    seed: u64,
    failure: Failure,
    at: usize,
    sums: &mut Sums,
) {
    let Failure { call, error, repeat, .. } = failure;
    let what = format!("{call} {error} at {at}{repeat}");
    let log = collector.scratch().join("trace");
    let inject = format!("inject={call}:error={error}:when={at}{repeat}");
    let options = [&OPTIONS[..], &["-e", &inject]].concat();
    let before = load.ledger().refusals.len();
    let pid = match collector.restart_as(Launch::with(&SMALL).traced(&log, &options)) {
        Ok(()) => {
            load.moved_to(collector.address());
            let shape = Shape { writers: 4, end: End::Leave, ..Shape::default() };
            load.run(seed, &shape, || {
                let from = Instant::now();
                while injected_so_far(&log) == 0 && from.elapsed() < ERROR_WITHIN {
                    thread::sleep(Duration::from_millis(50));
                }
                thread::sleep(Duration::from_millis(200));
            });
            collector.kill();
            collector.pid()
        }
        // An error while the store opens may end the start; the next one has to work.
        Err(end) => {
            sums.starts_refused += 1;
            end.pid
        }
    };
    trace::wait_for_end(&log, pid);
    let verdict = judge(&log);
    assert!(verdict.violations.is_empty(), "{what}: {:#?}", verdict.violations);
    sums.injected += verdict.injected;
    {
        let ledger = load.ledger();
        let refusals = &ledger.refusals[before..];
        let other = refusals.iter().find(|refusal| refusal.reply.status != 503);
        assert!(other.is_none(), "{what}: {other:?}");
        let is_interrupted_only = error == "EINTR" && verdict.injected > 0;
        assert!(!is_interrupted_only || refusals.is_empty(), "{what}: {refusals:?}");
        sums.refused += refusals.len();
    }
    collector.restart_as(Launch::with(&SMALL)).unwrap_or_else(|end| panic!("{what}: {end}"));
    load.moved_to(collector.address());
    load.assert_exact(collector);
}
