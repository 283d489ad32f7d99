//! A backup under load is one moment: restored, it holds exactly what the log held up to the frame it
//! names. Reliability test 15. Files of old versions: golden files in the store's own tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use serde_json::Value;
use tallymark_tests::load::{Load, Shape};
use tallymark_tests::rounds::{Rounds, figure};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, Launch, TestCollector};

/// Small tables and files: flushes and merges go on while the backup is made.
const SMALL: [(&str, &str); 3] = [
    ("TALLYMARK_MEMTABLE_BYTES", "1048576"),
    ("TALLYMARK_FLUSH_INTERVAL_MS", "1000"),
    ("TALLYMARK_LOG_FILE_BYTES", "1048576"),
];

#[test]
fn a_backup_under_load_restores_to_all_that_was_acknowledged_before_it() {
    let (seed, mut random) = seeded("backup");
    let mut backups = Rounds::of("backups", "TALLYMARK_TEST_BACKUPS", 4);
    let collector = TestCollector::start_with(&SMALL);
    let project = collector.project("shop");
    let load = Load::new(&collector, &project);
    // About 1,000 events per second and more.
    let shape =
        Shape { writers: 4, batch: 1..=20, pause: Duration::from_millis(20), ..Shape::default() };
    let mut made = Vec::new();
    load.run(seed, &shape, || {
        for at in &mut backups {
            thread::sleep(Duration::from_millis(random.random_range(200..=2_000)));
            let to = collector.scratch().join(format!("backup-{at}"));
            let before = load.ledger().acknowledged.clone();
            let facts = backup(&collector, &to);
            let after = load.ledger().sent.clone();
            made.push((
                to,
                before,
                after,
                facts["seq"].as_u64().expect("a backup names its frame"),
            ));
        }
    });
    load.assert_exact(&collector);
    let (mut held, mut last_seq, mut last_ids) = (0, 0, BTreeSet::new());
    for (to, before, after, seq) in made {
        let restored = restore(&to);
        let stored = load.stored(&restored);
        assert!(stored.changed.is_empty() && stored.ids.values().all(|count| *count == 1));
        let lost: Vec<_> = before.iter().filter(|id| !stored.ids.contains_key(*id)).collect();
        assert!(lost.is_empty(), "acknowledged before the backup, and not in it: {lost:?}");
        let later: Vec<_> = stored.ids.keys().filter(|id| !after.contains(*id)).collect();
        assert!(later.is_empty(), "sent after the backup was made, and in it: {later:?}");
        // A prefix: what one backup holds, every later one holds.
        let ids: BTreeSet<String> = stored.ids.into_keys().collect();
        assert!(seq > last_seq && ids.is_superset(&last_ids), "frame {seq} after {last_seq}");
        assert_eq!(load.counted(&restored), ids.len() as u64);
        (held, last_seq, last_ids) = (held + ids.len(), seq, ids);
        fs::remove_dir_all(&to).expect("a backup can be removed");
    }
    figure(&format!(
        "{} under load restored, {held} events in them, each one moment",
        backups.made()
    ));
}

#[test]
fn keys_persons_and_duplicates_go_on_in_a_restored_folder() {
    let (_, mut random) = seeded("backup");
    let collector = TestCollector::start_with(&SMALL);
    let project = collector.project("shop");
    let events: Vec<_> =
        (0..50).map(|n| Event::new("viewed", &mut random).with("user", hash(n % 5))).collect();
    assert_eq!(collector.send(&project, &events).json()["ok"], 50);
    let to = collector.scratch().join("backup");
    backup(&collector, &to);
    let restored = restore(&to);

    assert_eq!(restored.send(&project, &events).json()["dup"], 50, "a resend is known");
    let more = Event::new("viewed", &mut random).with("user", hash(1));
    assert_eq!(restored.send(&project, &[more]).json()["ok"], 1);
    let question = serde_json::json!({ "from": "2020-01-01", "to": "2035-01-01", "bucket": "month",
        "series": [{ "event": "viewed", "measure": "persons" }] });
    let answer = restored.query(&project, "trend", &question);
    assert_eq!(answer["series"][0]["total"], 5.0, "a known person is met again: {answer}");
    let verified = restored.command_ok(&["verify", "--json"]);
    assert!(verified.contains(r#""problems":[]"#), "{verified}");
}

#[test]
fn a_backup_refuses_places_where_it_would_do_harm() {
    let collector = TestCollector::start();
    collector.project("shop");
    let inside = collector.data().join("backup");
    assert_refused(&collector.command(&["backup", text(&inside)]), "inside the data folder");
    let full = collector.scratch().join("full");
    fs::create_dir(&full).expect("a folder can be made");
    fs::write(full.join("mine"), "x").expect("a file can be made");
    assert_refused(&collector.command(&["backup", text(&full)]), "is not empty");
}

#[test]
fn a_restore_refuses_a_folder_in_use_and_every_backup_that_is_not_whole() {
    let (_, mut random) = seeded("backup");
    let mut collector = TestCollector::start_with(&SMALL);
    let project = collector.project("shop");
    for _ in 0..3 {
        let events: Vec<_> = (0..200).map(|_| Event::new("viewed", &mut random)).collect();
        assert_eq!(collector.send(&project, &events).status, 200);
        thread::sleep(Duration::from_millis(1_100));
    }
    let to = collector.scratch().join("backup");
    backup(&collector, &to);
    collector.stop();
    let restore = ["restore", text(&to)];
    assert_refused(&collector.command(&restore), "is not empty");

    // From here on the collector's data folder is an empty one.
    fs::rename(collector.data(), collector.scratch().join("old")).expect("it can be moved");
    let files = files(&to);
    assert!(files.iter().any(|file| file.extension().is_some_and(|e| e == "parquet")), "{files:?}");
    for file in &files {
        let whole = fs::read(file).expect("a backup can be read");
        if whole.is_empty() {
            continue;
        }
        let mut changed = whole.clone();
        let at = random.random_range(0..whole.len());
        changed[at] ^= 1 << random.random_range(0..8);
        // Not through the link: the data folder has the same file.
        fs::remove_file(file).expect("a backup can be changed");
        assert_refused(&collector.command(&restore), "backup");
        fs::write(file, changed).expect("a backup can be changed");
        assert_refused(&collector.command(&restore), "another backup");
        assert_refused(&collector.command(&["verify", text(&to)]), "another backup");
        assert!(!collector.data().exists() || is_empty(&collector.data()), "half a restore");
        fs::write(file, whole).expect("a backup can be changed");
    }
    let pepper = to.join("pepper");
    fs::set_permissions(&pepper, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("the mode can be set");
    collector.command_ok(&restore);
}

#[test]
fn a_backup_without_the_pepper_needs_the_pepper_it_was_made_with() {
    let mut collector = TestCollector::start();
    collector.project("shop");
    let to = collector.scratch().join("backup");
    collector.command_ok(&["backup", text(&to), "--without-pepper"]);
    assert!(!to.join("pepper").exists() && !to.join("day-salts").exists());
    collector.stop();
    let old = collector.scratch().join("old");
    fs::rename(collector.data(), &old).expect("it can be moved");

    assert_refused(&collector.command(&["restore", text(&to)]), "--pepper FILE");
    let other = collector.scratch().join("other");
    fs::write(&other, [7; 32]).expect("a file can be made");
    let with_other = ["restore", text(&to), "--pepper", text(&other)];
    assert_refused(&collector.command(&with_other), "not the one");
    let pepper = old.join("pepper");
    collector.command_ok(&["restore", text(&to), "--pepper", text(&pepper)]);
    collector.restart();
}

#[test]
fn verify_names_a_file_that_was_changed_and_fails() {
    let (_, mut random) = seeded("verify");
    let mut collector = TestCollector::start_with(&SMALL);
    let project = collector.project("shop");
    let events: Vec<_> = (0..500).map(|_| Event::new("viewed", &mut random)).collect();
    assert_eq!(collector.send(&project, &events).status, 200);
    thread::sleep(Duration::from_millis(2_500));
    let whole = collector.command_ok(&["verify"]);
    assert!(whole.contains("all as they were written"), "{whole}");
    collector.stop();
    collector.command_ok(&["verify"]);

    let segment = files(&collector.data().join("seg"))
        .into_iter()
        .find(|file| file.extension().is_some_and(|extension| extension == "parquet"))
        .expect("there is a segment");
    let mut bytes = fs::read(&segment).expect("a segment can be read");
    let at = random.random_range(0..bytes.len());
    bytes[at] ^= 1 << random.random_range(0..8);
    fs::write(&segment, bytes).expect("a segment can be written");
    let output = collector.command(&["verify"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let name = segment.file_name().expect("it has a name").to_string_lossy();
    assert!(printed.contains("WRONG") && printed.contains(&*name), "byte {at}: {printed}");
}

/// Make a backup with the command; what it says.
/// Runs the two lines of docs/operating.md as they are printed there; only their folders are others.
#[test]
fn s3_51_a_backup_is_encrypted_on_its_way_as_the_documentation_says_and_comes_back_whole() {
    const CANARY: &str = "canary_in_the_backup";
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let docs = fs::read_to_string(docs).expect("the documentation is there");
    let lines: Vec<&str> = docs.lines().filter(|line| line.contains("gpg --batch")).collect();
    let [there, back] = lines[..] else { panic!("two lines with gpg: {lines:?}") };

    let collector = TestCollector::start_with(&SMALL);
    let project = collector.project("shop");
    let (_, mut random) = seeded("encrypted");
    collector.send(&project, &[Event::new(CANARY, &mut random)]);
    let scratch = collector.scratch();
    let backups = scratch.join("backups");
    fs::create_dir(&backups).unwrap();
    fs::create_dir(scratch.join("restored")).unwrap();
    fs::write(scratch.join("pass"), "correct horse battery staple\n").unwrap();
    backup(&collector, &backups.join("2026-11-26"));
    for line in [there, back] {
        let line = line
            .replace("/backups", text(&backups))
            .replace("/restored", text(&scratch.join("restored")))
            .replace("FILE", text(&scratch.join("pass")));
        let home = tempfile::tempdir().unwrap();
        let output = std::process::Command::new("sh")
            .args(["-c", &line])
            .current_dir(scratch)
            .env("GNUPGHOME", home.path())
            .output()
            .expect("a shell starts");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let has = |bytes: Vec<u8>| bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes());
    assert!(!has(fs::read(scratch.join("2026-11-26.tar.gpg")).unwrap()), "it can be read");
    let restored = restore(&scratch.join("restored/2026-11-26"));
    assert!(restored.export_all(&project).contains(CANARY));
}

pub(super) fn backup(collector: &TestCollector, to: &Path) -> Value {
    let printed = collector.command_ok(&["backup", text(to), "--json"]);
    serde_json::from_str(&printed).unwrap_or_else(|_| panic!("no facts: {printed}"))
}

/// A new collector on what a backup holds.
pub(super) fn restore(from: &Path) -> TestCollector {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let output = std::process::Command::new(tallymark_tests::collector::binary())
        .args(["restore", text(from), "--data", text(&data)])
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    TestCollector::launch(folder, Launch::with(&SMALL))
}

fn assert_refused(output: &Output, says: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(says), "{says:?} is not in {error}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder can be listed").next().is_none()
}

fn hash(number: usize) -> String {
    format!("{number:064x}")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}
