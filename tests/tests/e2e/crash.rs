//! Killed at random moments under load: nothing acknowledged is lost, nothing counts twice, and who is
//! who stays so.
//! Reliability test 1.

use std::thread;
use std::time::Duration;

use rand::RngExt;
use tallymark_tests::load::{Load, Shape};
use tallymark_tests::rounds::{Rounds, figure, p99};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject};

use crate::people::crowd::Crowd;

/// Ready again, for 99 of 100 starts.
const READY_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn no_acknowledged_event_is_lost_or_counted_twice_over_fifty_kills() {
    let (seed, mut random) = seeded("crash");
    let mut kills = Rounds::of("kills", "TALLYMARK_TEST_KILLS", 50);
    let mut collector = TestCollector::start();
    let project = collector.project("crash");
    let load = Load::new(&collector, &project);
    let mut ready = Vec::new();
    // A pause, so that a thousand kills end with a store that can still be read in a minute.
    let shape = Shape { pause: Duration::from_millis(4), ..Shape::default() };
    let crowd = Crowd::new(&collector);
    crowd.run(seed, || {
        load.run(seed, &shape, || {
            for _ in &mut kills {
                thread::sleep(Duration::from_millis(random.random_range(5..=500)));
                collector.kill();
                ready.push(collector.restart());
                load.moved_to(collector.address());
                crowd.check(&collector);
            }
        });
    });
    let acknowledged = load.acknowledged();
    assert!(acknowledged > ready.len() * 20, "too little load to mean anything: {acknowledged}");
    // Of fewer than a hundred starts one may be slower: a machine can be busy with other things.
    let slow = ready.iter().filter(|took| **took > READY_WITHIN).count();
    let machine = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    assert!(
        slow <= ready.len().div_ceil(100),
        "{slow} of {} starts took more than {READY_WITHIN:?}, the machine's load being {}: {ready:?}",
        ready.len(),
        machine.trim()
    );
    let ready_p99 = p99(&mut ready);

    let stored = load.assert_exact(&collector);
    assert_eq!(stored, acknowledged, "every batch was sent until it had a receipt");
    assert_eq!(load.counted(&collector), stored as u64, "a question counts what the export lists");

    resend_everything(&collector, &project, &load.ledger().acknowledged);
    assert_eq!(load.counted(&collector), stored as u64, "a resend counted again");
    figure(&format!(
        "{}, {acknowledged} events acknowledged, {} answers lost on the way, 0 events lost, 0 twice, \
         {} logins, merges and erasures in force after every kill, ready in {ready_p99:.2?} (p99)",
        kills.made(),
        load.unanswered(),
        crowd.said(),
    ));
}

/// Every acknowledged event once more, as a client does that never saw its receipts.
fn resend_everything(collector: &TestCollector, project: &TestProject, ledger: &[String]) {
    let (_, mut random) = seeded("resend");
    for ids in ledger.chunks(500) {
        let again: Vec<_> = ids
            .iter()
            .map(|id| Event::new("step_done", &mut random).with("id", id.as_str()))
            .collect();
        let receipt = collector.send(project, &again).json();
        assert_eq!(
            (receipt["ok"].as_u64(), receipt["dup"].as_u64()),
            (Some(0), Some(ids.len() as u64)),
            "of a resend nothing is new: {receipt}"
        );
    }
}
