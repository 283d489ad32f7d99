//! Imports that are killed, and imports beside live events.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};
use tallymark_tests::collector::binary;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject};

const ROWS: u64 = 120_000;

#[test]
fn a_killed_import_left_everything_or_nothing_and_can_be_repeated() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let file = history(collector.scratch());
    collector.stop();
    let (_, mut random) = seeded("import");
    let mut stored = 0;
    for _ in 0..12 {
        let mut import = Command::new(binary());
        import.arg("--data").arg(collector.data()).args(arguments(&file));
        let mut running =
            import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(random.random_range(1..700)));
        // It may be done already.
        let _ = running.kill();
        running.wait().expect("it ends");
        collector.restart();
        let count = total(&collector, &project, "purchase");
        assert!(count == stored || count == ROWS, "{count} of {ROWS} events are there");
        assert!(count >= stored, "what is stored stays");
        stored = count;
        collector.stop();
    }
    let summary = summary(&collector.command_ok(&arguments(&file)));
    assert_eq!(summary["stored"], json!(ROWS - stored), "{summary}");
    assert_eq!(summary["duplicate"], json!(stored), "{summary}");
    collector.restart();
    assert_eq!(total(&collector, &project, "purchase"), ROWS);
}

#[test]
fn events_that_come_in_during_an_import_are_counted_once_beside_it() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let file = history(collector.scratch());
    let (_, mut random) = seeded("import");
    let sent = std::thread::scope(|scope| {
        let import = scope.spawn(|| summary(&collector.command_ok(&arguments(&file))));
        let mut sent = 0;
        while !import.is_finished() || sent == 0 {
            let events: Vec<Event> = (0..20).map(|_| Event::new("view", &mut random)).collect();
            // A resend is answered like the first send.
            for _ in 0..2 {
                assert_eq!(collector.send(&project, &events).status, 200);
            }
            sent += events.len() as u64;
        }
        let summary = import.join().expect("the import's thread ends");
        assert_eq!(summary["stored"], json!(ROWS), "{summary}");
        sent
    });
    assert_eq!(total(&collector, &project, "view"), sent);
    assert_eq!(total(&collector, &project, "purchase"), ROWS);
    let again = summary(&collector.command_ok(&arguments(&file)));
    assert_eq!((&again["stored"], &again["duplicate"]), (&json!(0), &json!(ROWS)));
}

/// Purchases of four weeks.
fn history(folder: &Path) -> std::path::PathBuf {
    let mut text = String::from("at,user,amount\n");
    for row in 0..ROWS {
        let at = 1_788_220_800_000 + row * 20_000;
        text.push_str(&format!("{at},{},{}\n", row * row % 9_973, row % 50));
    }
    let file = folder.join("history.csv");
    std::fs::write(&file, text).expect("the scratch folder takes a file");
    file
}

fn arguments(file: &Path) -> [&str; 9] {
    let file = file.to_str().expect("a temporary path is UTF-8");
    ["import", "--project", "shop", "--format", "csv", "--map", "name==purchase", "--json", file]
}

fn summary(printed: &str) -> Value {
    let line = printed.trim().lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no summary in {printed}"))
}

fn total(collector: &TestCollector, project: &TestProject, event: &str) -> u64 {
    let series = json!([{ "event": event, "measure": "count" }]);
    let question = json!({ "from": "2026-09-01", "to": "2027-01-01", "series": series });
    let answer = collector.query(project, "trend", &question);
    answer["series"][0]["total"].as_f64().expect("a total") as u64
}
