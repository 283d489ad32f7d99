//! A disk that fills up under load, again and again: refused with a time to come back, questions are
//! answered all the while, and when there is room again the collector goes on by itself.
//! Reliability test 6.
//!
//! The disk is a memory file system of 64 MiB, mounted for this process alone; needs root.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use tallymark_tests::load::{End, Load, Refusal, Shape, question};
use tallymark_tests::rounds::{Rounds, figure, p99};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Launch, TestCollector, TestProject};

const DISK_MIB: u32 = 64;
/// How often one disk is filled before a new one is made: what is stored must leave room on it.
const CYCLES_OF_ONE_DISK: usize = 20;
const REFUSED_WITHIN: Duration = Duration::from_millis(100);
const SETTINGS: [(&str, &str); 4] = [
    ("TALLYMARK_LOG_FILE_BYTES", "2097152"),
    ("TALLYMARK_MIN_FREE_BYTES", "8388608"),
    ("TALLYMARK_MEMTABLE_BYTES", "1048576"),
    ("TALLYMARK_FLUSH_INTERVAL_MS", "1000"),
];

#[test]
fn a_full_disk_refuses_events_answers_questions_and_recovers_without_a_restart() {
    let (seed, mut random) = seeded("disk_full");
    let mut cycles = Rounds::of("full disks", "TALLYMARK_TEST_FULL_DISKS", 20);
    let (mut stored, mut refused) = (0, Vec::new());
    while let Some(cycle) = cycles.next() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let launch = Launch::with(&SETTINGS).on_memory(folder.path(), DISK_MIB);
        let mut collector = TestCollector::launch(folder, launch);
        let project = collector.project("full");
        let load = Load::new(&collector, &project);
        let shape =
            Shape { pause: Duration::from_millis(10), end: End::Finish, ..Shape::default() };
        load.run(seed ^ cycle as u64, &shape, || {
            let more = std::iter::once(cycle).chain(cycles.by_ref().take(CYCLES_OF_ONE_DISK - 1));
            more.for_each(|_| {
                refused.extend(fill_and_empty(&collector, &project, &load, &mut random));
            });
        });
        assert!(collector.is_alive());
        let exact = load.assert_exact(&collector);
        assert_eq!(exact, load.acknowledged(), "every batch was sent until it had a receipt");
        assert_eq!(load.unanswered(), 0, "every request was answered");
        stored += exact;
    }
    let (count, slow) = (refused.len(), p99(&mut refused));
    assert!(slow <= REFUSED_WITHIN, "refusals took {slow:?}");
    figure(&format!(
        "{}, {stored} events acknowledged, {count} batches refused in {slow:.1?} (p99), 0 events lost, \
         no restart",
        cycles.made()
    ));
}

/// A disk that is full for a moment; how long each refusal took.
fn fill_and_empty(
    collector: &TestCollector,
    project: &TestProject,
    load: &Load,
    random: &mut StdRng,
) -> Vec<Duration> {
    let known = load.acknowledged();
    load.wait_until("events are taken", Duration::from_secs(20), |ledger| {
        ledger.acknowledged.len() > known + 100
    });
    thread::sleep(Duration::from_millis(random.random_range(0..=200)));
    let ballast = collector.data_inside().with_file_name("ballast");
    fill(&ballast, random.random_range(0..=6) << 20);

    let before = load.ledger().refusals.len();
    load.wait_until("a full disk shows", Duration::from_secs(30), |ledger| {
        ledger.refusals.len() >= before + 20
    });
    let answer = collector.query(project, "trend", &question());
    assert!(answer["series"][0]["total"].as_f64() > Some(0.0), "reads go on: {answer}");
    // A merge may give room back for a moment: the load takes it at once.
    let from = Instant::now();
    while collector.get(project, "/readiness").status != 503 {
        assert!(from.elapsed() < Duration::from_secs(5), "a full disk is not ready");
        thread::sleep(Duration::from_millis(20));
    }

    std::fs::remove_file(&ballast).expect("the ballast can be removed");
    let stopped = load.acknowledged();
    load.wait_until("events are taken again", Duration::from_secs(10), |ledger| {
        ledger.acknowledged.len() > stopped + 20
    });
    let refusals = load.ledger().refusals[before..].to_vec();
    let took = |Refusal { reply, took }: Refusal| {
        assert_eq!((reply.status, &*reply.code()), (503, "disk_full"), "{}", reply.text);
        assert!(reply.retry_after.is_some(), "no Retry-After: {}", reply.text);
        took
    };
    refusals.into_iter().map(took).collect()
}

/// Fill the disk but for so many bytes.
fn fill(ballast: &Path, but: u64) {
    let mut file = File::create(ballast).expect("the ballast can be made");
    let block = vec![0; 256 << 10];
    while file.write_all(&block).is_ok() {}
    let len = file.metadata().expect("the ballast has a length").len();
    file.set_len(len.saturating_sub(but)).expect("the ballast can be cut");
}
