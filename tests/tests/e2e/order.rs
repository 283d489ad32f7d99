//! The order of writes, syncs, renames and answers, as the kernel saw them. Reliability test 8.
//!
//! The collector runs under `strace`; the events of a load carry texts that occur nowhere else, so
//! the write that holds a batch is known. `tallymark_tests::trace` has the laws.

use std::time::Duration;

use tallymark_tests::load::{Load, Shape};
use tallymark_tests::rounds::figure;
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::trace::{self, OPTIONS, judge};
use tallymark_tests::{Launch, TestCollector};

/// Small tables and files: flushes, merges and new log files are to be in the trace as well.
pub const SMALL: [(&str, &str); 3] = [
    ("TALLYMARK_MEMTABLE_BYTES", "1048576"),
    ("TALLYMARK_FLUSH_INTERVAL_MS", "1000"),
    ("TALLYMARK_LOG_FILE_BYTES", "1048576"),
];

#[test]
fn every_answer_follows_a_sync_of_its_bytes_and_every_rename_a_sync_of_its_folder() {
    let (seed, _) = seeded("order");
    let wanted = amount("TALLYMARK_TEST_TRACED_ACKS", 1_500);
    let mut collector = TestCollector::start();
    let project = collector.project("order");
    collector.stop();
    let log = collector.scratch().join("trace");
    let launch = Launch::with(&SMALL).traced(&log, &OPTIONS);
    collector.restart_as(launch).unwrap_or_else(|end| panic!("{end}"));

    let load = Load::new(&collector, &project);
    load.run(seed, &Shape { batch: 1..=20, ..Shape::default() }, || {
        load.wait_until("enough answers", Duration::from_secs(600), |ledger| {
            ledger.receipts >= wanted
        });
    });
    collector.stop();
    trace::wait_for_end(&log, collector.pid());

    let verdict = judge(&log);
    assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
    assert_eq!(verdict.acknowledged, load.ledger().receipts, "every answer is in the trace");
    assert!(verdict.renames > 2, "no flush in the trace: {verdict:?}");
    figure(&format!(
        "{} acknowledgements and {} renames traced, 0 out of order",
        verdict.acknowledged, verdict.renames
    ));
}
