//! Names never arrive raw and never stay: hashed in the page, hashed again on arrival.

use serde_json::json;
use tallymark_protocol::hashing::{Namespace, h1, to_hex};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector};

const USER: &str = "marie.curie@example.org";

#[test]
fn a_page_and_a_server_that_know_the_same_user_mean_one_person() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("identity");
    let hashed = to_hex(&h1(project.salt.as_bytes(), Namespace::User, USER));
    let seconds_ago = |seconds: u64| tallymark_tests::event::now_ms() - seconds * 1_000;
    let page = Event::new("viewed", &mut random).with("user", hashed).with("at", seconds_ago(20));
    let paid = Event::new("paid", &mut random).without("device").with("at", seconds_ago(10));
    let server = paid.with("user_id", format!("  {USER} "));

    let (page, server) =
        (collector.send(&project, &[page]), collector.send_as_server(&project, &[server]));

    assert_eq!(page.json()["ok"], json!(1), "{}", page.text);
    assert_eq!(server.json()["ok"], json!(1), "{}", server.text);
    let funnel = json!({ "from": "2026-01-01", "to": "2032-01-01", "window": "1d",
        "steps": [{ "event": "viewed" }, { "event": "paid" }] });
    let reached = collector.query(&project, "funnel", &funnel);
    assert_eq!(reached["steps"][1]["persons"], json!(1), "{reached}");
}

/// Shows S1-27 and S1-28.
#[test]
fn a_page_that_sends_a_raw_user_id_is_refused_and_the_id_is_nowhere_on_disk() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("identity");
    let mut event = || Event::new("viewed", &mut random);
    let raw =
        [event().with("user", USER), event().with("user_id", USER), event().with("device", USER)];

    let receipt = collector.send(&project, &raw).json();
    let kept =
        collector.send_as_server(&project, &[event().without("device").with("user_id", USER)]);
    collector.stop();

    assert_eq!(receipt["rejected"].as_array().map(Vec::len), Some(3), "{receipt}");
    assert_eq!(kept.json()["ok"], json!(1), "{}", kept.text);
    let log = collector.log();
    assert!(!log.contains(USER), "the log names a user");
    for file in files(&collector.data()) {
        let bytes = std::fs::read(&file).expect("a data file is readable");
        let found = bytes.windows(USER.len()).any(|window| window == USER.as_bytes());
        assert!(!found, "{} holds a raw user id", file.display());
    }
    collector.restart();
    let listed = collector.get(&project, "/v1/events").text;
    assert!(listed.contains("viewed") && !listed.contains(USER), "{listed}");
}

pub fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the data folder is readable") {
        let path = entry.expect("a folder entry is readable").path();
        let kind = std::fs::metadata(&path).map(|meta| meta.file_type());
        match kind {
            Ok(kind) if kind.is_dir() => files.extend(self::files(&path)),
            Ok(kind) if kind.is_file() => files.push(path),
            // A socket of the stopped process.
            _ => {}
        }
    }
    files
}
