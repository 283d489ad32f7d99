//! Working for long, and stopping: memory and files do not grow, and a signal to stop under load
//! loses nothing. Reliability test 16.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tallymark_tests::launch::compile;
use tallymark_tests::load::{Load, Shape};
use tallymark_tests::rounds::{Rounds, figure, p99};
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Launch, TestCollector, TestProject};

/// From the signal to the end of the process.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn a_signal_to_stop_under_load_loses_nothing_that_was_acknowledged() {
    let (seed, mut random) = seeded("stop");
    let mut stops = Rounds::of("stops", "TALLYMARK_TEST_STOPS", 5);
    let mut collector = TestCollector::start();
    let project = collector.project("stop");
    let load = Load::new(&collector, &project);
    let mut took = Vec::new();
    load.run(seed, &Shape { pause: Duration::from_millis(2), ..Shape::default() }, || {
        for _ in &mut stops {
            thread::sleep(Duration::from_millis(random.random_range(50..=1_000)));
            let from = Instant::now();
            collector.stop();
            took.push(from.elapsed());
            collector.restart();
            load.moved_to(collector.address());
        }
    });
    let stored = load.assert_exact(&collector);
    assert_eq!(stored, load.acknowledged(), "every batch was sent until it had a receipt");
    assert!(took.iter().max() <= Some(&STOPPED_WITHIN), "{took:?}");
    figure(&format!(
        "{} by SIGTERM under load, {stored} events acknowledged, 0 events lost, drained in {:.2?} (p99)",
        stops.made(),
        p99(&mut took)
    ));
}

/// Events before memory is looked at: more ids than are kept in memory, more columns than are cached,
/// and enough for a merge whose row groups are full, which is the largest that a merge holds at once.
const WARM_EVENTS: usize = 600_000;
/// How much memory may grow after that, from one half of the run to the other. What merges hold for a
/// moment comes and goes by half of it: in less than ten minutes only more than that shows.
fn growth_max_ratio(seconds: usize) -> f64 {
    if seconds >= 600 { 0.05 } else { 0.15 }
}

#[test]
fn memory_and_open_files_do_not_grow_under_ingest_questions_and_merges() {
    let (seed, _) = seeded("endurance");
    let seconds = amount("TALLYMARK_TEST_ENDURANCE_SECONDS", 40);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let shim = compile("trim.c", folder.path(), &["-shared", "-fPIC", "-pthread"]);
    // Small tables and a small cache: what a day does with the defaults happens in minutes.
    let launch = Launch::with(&[
        ("LD_PRELOAD", shim.to_str().expect("UTF-8")),
        ("TALLYMARK_DEDUPE_BYTES", "1000000"),
        ("TALLYMARK_MEMTABLE_BYTES", "4194304"),
        ("TALLYMARK_FLUSH_INTERVAL_MS", "2000"),
        ("TALLYMARK_LOG_FILE_BYTES", "4194304"),
        ("TALLYMARK_CACHE_BYTES", "8388608"),
    ]);
    let collector = TestCollector::launch(folder, launch);
    let project = collector.project("endurance");
    let load = Load::new(&collector, &project);
    let warming = Shape { batch: 500..=500, ..Shape::default() };
    load.run(seed, &warming, || {
        load.wait_until("a store with a past", Duration::from_secs(300), |ledger| {
            ledger.acknowledged.len() >= WARM_EVENTS
        });
    });
    let shape =
        Shape { writers: 4, batch: 1..=100, pause: Duration::from_millis(200), ..Shape::default() };
    let ended = AtomicBool::new(false);
    let samples = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut random = StdRng::seed_from_u64(seed);
            let mut samples = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(200));
                // Between two questions: what one holds for a moment grows with the store, and the
                // slower the machine, the more of the time one is asked.
                samples.push((collector.memory_bytes(), steady_files(&collector)));
                ask(&collector, &project, &mut random);
            }
            samples
        });
        let end = SetOnDrop(&ended);
        load.run(seed, &shape, || {
            let from = Instant::now();
            let mut said = from;
            while from.elapsed() < Duration::from_secs(seconds as u64) {
                thread::sleep(Duration::from_millis(500));
                if said.elapsed() > Duration::from_secs(60) {
                    said = Instant::now();
                    println!(
                        "… {} of {seconds} s, {} MiB, {} files, {} events",
                        from.elapsed().as_secs(),
                        collector.memory_bytes() >> 20,
                        steady_files(&collector),
                        load.acknowledged()
                    );
                }
            }
        });
        drop(end);
        asking.join().expect("questions are answered")
    });
    let flushes = metric(&collector, "flushes");
    assert!(flushes > 2.0, "nothing was flushed: nothing was tested");
    let stored = load.assert_exact(&collector);

    // The first half against the second: what is held in the quieter moments, because what grows is
    // there in every moment.
    let (before, after) = samples.split_at(samples.len() / 2);
    let held = |part: &[(u64, usize)]| {
        let (mut bytes, mut files): (Vec<_>, Vec<_>) = part.iter().copied().unzip();
        bytes.sort_unstable();
        files.sort_unstable();
        (bytes[bytes.len() / 4], files[files.len() / 2])
    };
    let ((bytes_before, files_before), (bytes_after, files_after)) = (held(before), held(after));
    let growth = bytes_after.saturating_sub(bytes_before);
    figure(&format!(
        "{seconds} s, {stored} events, {} questions, {flushes} flushes: memory {} to {} \
         MiB, open files {files_before} to {files_after}",
        samples.len(),
        bytes_before >> 20,
        bytes_after >> 20,
    ));
    let may_grow = (bytes_before as f64 * growth_max_ratio(seconds)) as u64;
    assert!(growth <= may_grow, "memory grew by {growth} bytes: {samples:?}");
    let open = collector.open_files();
    assert!(files_after <= files_before, "{files_before} to {files_after} open files: {open:?}");
}

/// One question of some kind.
fn ask(collector: &TestCollector, project: &TestProject, random: &mut StdRng) {
    let range = json!({ "from": "2020-01-01", "to": "2035-01-01" });
    let (kind, more) = match random.random_range(0..4) {
        0 => (
            "trend",
            json!({ "bucket": "month", "series": [{ "event": "step_done", "measure": "persons" }],
            "breakdown": { "prop": "plan", "limit": 5 } }),
        ),
        1 => (
            "funnel",
            json!({ "window": "1d", "steps": [{ "event": "step_done" }, { "event": "step_done" }] }),
        ),
        2 => (
            "retention",
            json!({ "bucket": "month", "periods": 2,
            "start": { "event": "step_done" }, "return": { "event": "step_done" } }),
        ),
        _ => ("active", json!({})),
    };
    let mut question = range;
    let fields = question.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    if kind == "active" {
        // Days, of which there may not be fifteen years.
        fields.insert("from".into(), json!("2026-11-01"));
        fields.insert("to".into(), json!("2026-12-15"));
    }
    collector.query(project, kind, &question);
}

/// Files that are open all the time. Segments come with every flush and go with merges, each with its
/// presence beside it; one that stays open when it is gone is deleted, and counts. Connections to the
/// databases come when several are needed and go when they are idle for minutes; pools bound them.
fn steady_files(collector: &TestCollector) -> usize {
    let comes_and_goes = |file: &PathBuf| {
        let is_segment =
            file.extension().is_some_and(|kind| kind == "parquet" || kind == "presence");
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        is_segment
            || [".sqlite", ".sqlite-wal", ".sqlite-shm"].iter().any(|end| name.ends_with(end))
    };
    collector.open_files().iter().filter(|file| !comes_and_goes(file)).count()
}

/// One metric of the service, by the end of its name.
fn metric(collector: &TestCollector, name: &str) -> f64 {
    let reply = collector.client().get(collector.address(), "/metrics?format=json", None);
    let metrics: Value = reply.expect("the server answers").json();
    let found = find(&metrics, name);
    found.unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

fn find(value: &Value, name: &str) -> Option<f64> {
    let fields = value.as_object()?;
    fields.iter().find_map(|(key, value)| {
        if key.contains(name) {
            value.as_f64().or_else(|| find(value, "value"))
        } else {
            find(value, name)
        }
    })
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
