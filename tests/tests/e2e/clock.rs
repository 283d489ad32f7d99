//! A wall clock that jumps under load: nothing is lost, nothing counts twice, nobody is locked out.
//! Reliability test 11.
//!
//! A small library in front of the C library's moves the collector's clock, and only its; the
//! writers keep the right time.

use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use tallymark_tests::launch::compile;
use tallymark_tests::load::{Load, Shape};
use tallymark_tests::rounds::{Rounds, figure};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Launch, TestCollector, TestProject};

/// Seconds, one jump after the other; they add up.
const JUMPS: [i64; 5] = [3_600, -3_600, 86_400, -86_400, -5];
/// How far the clock is from the truth at most.
const FAR: i64 = 2 * 86_400;

#[test]
fn a_clock_that_jumps_loses_no_event_and_counts_none_twice() {
    let (seed, mut random) = seeded("clock");
    let mut jumps = Rounds::of("jumps of the clock", "TALLYMARK_TEST_CLOCK_JUMPS", 10);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let offset = folder.path().join("offset");
    std::fs::write(&offset, 0i64.to_ne_bytes()).expect("the offset can be written");
    let shim = compile("clock.c", folder.path(), &["-shared", "-fPIC"]);
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let launch = Launch::with(&[
        ("LD_PRELOAD", &path(&shim)),
        ("CLOCK_OFFSET", &path(&offset)),
        ("TALLYMARK_MEMTABLE_BYTES", "1048576"),
        ("TALLYMARK_FLUSH_INTERVAL_MS", "1000"),
        ("TALLYMARK_INGEST_BURST", "1000"),
    ]);
    let mut collector = TestCollector::launch(folder, launch);
    let project = collector.project("clock");
    let load = Load::new(&collector, &project);
    let file = std::fs::File::options().write(true).open(&offset).expect("the offset is there");
    let mut now = 0i64;
    let shape = Shape { pause: Duration::from_millis(4), ..Shape::default() };
    load.run(seed, &shape, || {
        for jump in &mut jumps {
            let by = JUMPS[random.random_range(0..JUMPS.len())];
            now = if (now + by).abs() > FAR { 0 } else { now + by };
            file.write_all_at(&now.to_ne_bytes(), 0).expect("the offset can be written");
            let before = load.acknowledged();
            thread::sleep(Duration::from_secs(1));
            load.wait_until("events are taken after a jump", Duration::from_secs(5), |ledger| {
                ledger.acknowledged.len() > before
            });
            // Now and then the collector starts with the wrong time.
            if jump % 5 == 4 {
                collector.kill();
                collector.restart();
                load.moved_to(collector.address());
            }
        }
    });
    let refused =
        load.ledger().refusals.iter().find(|refusal| refusal.reply.status != 503).cloned();
    assert!(refused.is_none(), "{refused:?}");
    let stored = load.assert_exact(&collector);
    assert_eq!(stored, load.acknowledged(), "every batch was sent until it had a receipt");
    assert_eq!(load.counted(&collector), stored as u64);
    assert!(strayed(&collector, &project) > 3_000_000, "the clock did not move");
    figure(&format!("{}, {stored} events acknowledged, 0 events lost, 0 twice", jumps.made()));
}

/// How far, in milliseconds, a receipt is at most from the time that a writer put on its event.
fn strayed(collector: &TestCollector, project: &TestProject) -> i64 {
    let of = |line: &str| -> Option<i64> {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        Some((event["received_at"].as_i64()? - event["claimed_at"].as_i64()?).abs())
    };
    collector.export_all(project).lines().filter_map(of).max().unwrap_or(0)
}
