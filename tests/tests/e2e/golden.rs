//! Data of earlier versions: every build opens it, answers as the one that wrote it, and goes on from there.
//!
//! `tests/golden/` has a data folder and answers for each version that was kept; its README says how the next one is made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tallymark_tests::launch::Launch;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject, batch};

use super::backup::{backup, restore};
use super::restart::{answers, visits};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Names of versions, from the names of their answers.
fn versions() -> Vec<String> {
    let files = fs::read_dir(golden()).expect("there is a folder of golden data");
    let names = files.filter_map(|file| Some(file.ok()?.file_name().to_str()?.to_owned()));
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    names.sort();
    names
}

fn tar(arguments: &[&str], archive: &Path, folder: &Path) {
    let mut command = Command::new("tar");
    command.args(arguments).arg(archive).arg("-C").arg(folder);
    if arguments.contains(&"-czSf") {
        command.arg(Launch::default().data);
    }
    assert!(command.status().expect("tar is installed").success(), "{}", archive.display());
}

#[test]
fn data_of_every_kept_version_answers_as_it_did_and_goes_on() {
    let versions = versions();
    assert!(!versions.is_empty(), "there is no golden data");
    for version in versions {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        tar(&["-xzSf"], &golden().join(format!("{version}.tar.gz")), folder.path());
        let told = fs::read_to_string(golden().join(format!("{version}.json"))).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        let text = |field: &str| told["project"][field].as_str().unwrap().to_owned();
        let project = TestProject {
            slug: text("slug"),
            write_key: text("write_key"),
            secret_key: text("secret_key"),
            salt: text("salt"),
        };

        let mut collector = TestCollector::launch(folder, Launch::default());
        let check = |collector: &TestCollector, when: &str| {
            for (kind, got) in answers(collector, &project) {
                let want = &told["answers"][kind];
                assert!(want.is_object(), "{version}: no answer to {kind}");
                holds(want, &got, &format!("{version}, {when}: {kind}"));
            }
        };
        check(&collector, "as it is");
        let exported = collector.export_all(&project).lines().count();
        assert_eq!(told["events"], exported, "{version}");
        let verified = collector.command_ok(&["audit", "verify"]);
        assert!(verified.contains("unbroken"), "{version}: {verified}");

        // What was sent then is known, and new events find their place beside it.
        let again = told["last_batch"].to_string();
        let receipt = collector.post("/v1/batch", &[], again.as_bytes()).json();
        let count = told["last_batch"]["events"].as_array().unwrap().len();
        assert_eq!(
            (receipt["ok"].as_u64(), receipt["dup"].as_u64()),
            (Some(0), Some(count as u64))
        );
        let (_, mut random) = seeded("golden");
        let new = [Event::new("later", &mut random)];
        assert_eq!(collector.send(&project, &new).json()["ok"], 1);
        collector.stop();
        collector.restart();
        check(&collector, "after a stop");
        let question = json!({ "series": [{ "event": "later", "measure": "count" }] });
        let later = collector.query(&project, "trend", &question);
        assert_eq!(later["series"][0]["total"], 1, "{version}");

        // And it can be backed up, restored and read to the last byte.
        let copy = collector.scratch().join("backup");
        backup(&collector, &copy);
        let restored = restore(&copy);
        check(&restored, "restored");
        let later = restored.query(&project, "trend", &question);
        assert_eq!(later["series"][0]["total"], 1, "{version}");
        restored.command_ok(&["verify"]);
    }
}

/// Everything in `want` is in `got`: later versions may say more.
fn holds(want: &Value, got: &Value, at: &str) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for (field, want) in want {
                holds(want, got.get(field).unwrap_or(&Value::Null), &format!("{at}.{field}"));
            }
        }
        (Value::Array(want), Value::Array(got)) => {
            assert_eq!(want.len(), got.len(), "{at}");
            for (index, (want, got)) in want.iter().zip(got).enumerate() {
                holds(want, got, &format!("{at}[{index}]"));
            }
        }
        _ => assert_eq!(want, got, "{at}"),
    }
}

/// Makes the data of this build: `TALLYMARK_GOLDEN` names the version.
#[test]
#[ignore = "writes tests/golden, once for each release"]
fn make() {
    let version = std::env::var("TALLYMARK_GOLDEN").expect("TALLYMARK_GOLDEN names the version");
    let mut collector = TestCollector::start_with(&[("TALLYMARK_LOG_FILE_BYTES", "1048576")]);
    let project = collector.project_in("shop", "Europe/Berlin");
    let (_, mut random) = seeded("golden");
    // Some in segments, of two flushes; some in the log only.
    for _ in 0..2 {
        for _ in 0..5 {
            assert_eq!(collector.send(&project, &visits(&mut random)).status, 200);
        }
        collector.stop();
        collector.restart();
    }
    let last_batch = batch(&project.write_key, &visits(&mut random));
    let sent = collector.post("/v1/batch", &[], last_batch.to_string().as_bytes());
    assert_eq!(sent.status, 200, "{}", sent.text);
    let told = json!({
        "project": { "slug": project.slug, "write_key": project.write_key,
            "secret_key": project.secret_key, "salt": project.salt },
        "answers": answers(&collector, &project).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "events": collector.export_all(&project).lines().count(),
        "last_batch": last_batch,
    });
    collector.kill();
    tar(&["-czSf"], &golden().join(format!("{version}.tar.gz")), collector.scratch());
    let text = serde_json::to_string_pretty(&told).unwrap();
    fs::write(golden().join(format!("{version}.json")), format!("{text}\n")).unwrap();
}
