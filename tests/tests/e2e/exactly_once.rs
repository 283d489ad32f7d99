//! What is sent again counts once: in another order, in other batches, after restarts, and when only
//! the answers were lost. Reliability tests 12 and 13.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tallymark_tests::load::{Load, check};
use tallymark_tests::proxy::Proxy;
use tallymark_tests::rounds::figure;
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Event, TestCollector, TestProject, batch, event};

const DAY_MS: u64 = 86_400_000;
/// Batches on their way at the same time.
const WRITERS: usize = 4;

#[test]
fn events_sent_three_times_in_any_order_across_restarts_are_stored_once() {
    let (seed, mut random) = seeded("duplicates");
    let count = amount("TALLYMARK_TEST_DUPLICATES", 100_000);
    // Small tables: most first sends are in segments when the second one comes.
    let mut collector = TestCollector::start_with(&[("TALLYMARK_MEMTABLE_BYTES", "4194304")]);
    let project = collector.project("duplicates");
    let now_ms = event::now_ms();
    let mut sends: Vec<String> = (0..count)
        .map(|_| event::uuid7(now_ms - random.random_range(0..30 * DAY_MS), &mut random))
        .flat_map(|id| [id.clone(), id.clone(), id])
        .collect();
    sends.shuffle(&mut random);

    let (mut ok, mut dup) = (0, 0);
    let parts = 8;
    for (at, part) in sends.chunks(sends.len().div_ceil(parts)).enumerate() {
        let receipts = Mutex::new((0, 0));
        thread::scope(|scope| {
            for share in part.chunks(part.len().div_ceil(WRITERS)) {
                let (collector, project, receipts) = (&collector, &project, &receipts);
                let mut random = StdRng::seed_from_u64(seed ^ at as u64);
                scope.spawn(move || {
                    let mut rest = share;
                    while !rest.is_empty() {
                        let (now, later) =
                            rest.split_at(rest.len().min(random.random_range(1..=500)));
                        rest = later;
                        let receipt = send(collector, project, now, &mut random);
                        let mut sums = receipts.lock().expect("no panic with the lock");
                        *sums = (sums.0 + receipt.0, sums.1 + receipt.1);
                    }
                });
            }
        });
        let sums = receipts.into_inner().expect("no panic with the lock");
        (ok, dup) = (ok + sums.0, dup + sums.1);
        if at % 2 == 0 {
            collector.kill()
        } else {
            collector.stop()
        }
        collector.restart();
    }
    assert_eq!((ok, dup), (count as u64, 2 * count as u64), "receipts");
    let load = Load::new(&collector, &project);
    {
        let mut ledger = load.ledger();
        ledger.sent.extend(sends.iter().cloned());
        ledger.acknowledged.extend(sends.iter().cloned());
    }
    assert_eq!(load.assert_exact(&collector), count);
    assert_eq!(load.counted(&collector), count as u64);
    figure(&format!("{count} events sent 3 times over {parts} restarts: {count} stored"));
}

#[test]
fn answers_that_get_lost_after_the_commit_count_nothing_twice() {
    let (seed, _) = seeded("lost_answers");
    let count = amount("TALLYMARK_TEST_LOST_ANSWERS", 100_000);
    let collector = TestCollector::start();
    let project = collector.project("lost");
    let proxy = Proxy::start(collector.address(), seed, 10);
    let left = AtomicUsize::new(count);
    let load = Load::new(&collector, &project);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (left, load, proxy, project) = (&left, &load, &proxy, &project);
            let client = collector.client();
            let mut random = StdRng::seed_from_u64(seed ^ (writer as u64 + 1) << 32);
            scope.spawn(move || {
                loop {
                    let size = random.random_range(1..=40);
                    let take = |left: usize| Some(left.saturating_sub(size));
                    let before = left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                        .expect("it always takes");
                    let events: Vec<_> = (0..size.min(before))
                        .map(|_| tallymark_tests::load::event(&mut random))
                        .collect();
                    if events.is_empty() {
                        return;
                    }
                    let ids: Vec<_> = events.iter().map(|event| event.id().to_owned()).collect();
                    load.ledger().sent.extend(ids.iter().cloned());
                    let body = batch(&project.write_key, &events).to_string();
                    let headers = [("content-type", "text/plain")];
                    while client
                        .post(proxy.address(), "/v1/batch", &headers, body.as_bytes())
                        .map_or(true, |reply| reply.status != 200)
                    {}
                    load.ledger().acknowledged.extend(ids);
                }
            });
        }
    });
    let dropped = proxy.dropped();
    assert!(dropped > 0, "no answer was lost: nothing was tested");
    assert_eq!(load.assert_exact(&collector), count);
    assert_eq!(load.counted(&collector), count as u64);
    figure(&format!("{count} events, {dropped} answers lost after the commit: {count} stored"));
}

/// These ids in one batch; how many were new and how many were not.
fn send(
    collector: &TestCollector,
    project: &TestProject,
    ids: &[String],
    random: &mut StdRng,
) -> (u64, u64) {
    let of = |id: &String| {
        let props = serde_json::json!({ "plan": "team", "check": check(id) });
        Event::new("step_done", random).with("id", id.as_str()).with("props", props)
    };
    let events: Vec<_> = ids.iter().map(of).collect();
    let receipt = collector.send(project, &events).json();
    let told = receipt["ok"].as_u64().zip(receipt["dup"].as_u64());
    let (ok, dup) = told.unwrap_or_else(|| panic!("no receipt: {receipt}"));
    assert_eq!(ok + dup, ids.len() as u64, "{receipt}");
    (ok, dup)
}
