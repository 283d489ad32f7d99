//! A person is erased: out of answers at once, out of every file on demand. Reliability test 59.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tallymark_protocol::hashing::{Namespace, h1, to_hex};
use tallymark_tests::event::{hex, now_ms};
use tallymark_tests::load::event;
use tallymark_tests::rounds::figure;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, Load, TestCollector, TestProject};

use crate::identity::files;
use crate::people::{Say, active};

/// A user whose events say things that nothing else does.
struct Canary {
    user: String,
    device: String,
    texts: [String; 3],
}

impl Canary {
    fn new(random: &mut StdRng) -> Canary {
        let mut text = |len: usize| hex(&(0..len).map(|_| random.random()).collect::<Vec<u8>>());
        let user = format!("user-{}", text(8));
        Canary { user, device: text(32), texts: [(); 3].map(|()| text(12)) }
    }

    /// Send something of everything that is kept: anonymous, signed in, from a server, refused.
    fn live(&self, collector: &TestCollector, project: &TestProject, random: &mut StdRng) {
        let hashed = to_hex(&h1(project.salt.as_bytes(), Namespace::User, &self.user));
        let mut event = |name: &str| {
            let [note, plan, more] = &self.texts;
            let props = json!({ "note": note, "plan": plan, "list": [{ "more": more }] });
            Event::new(name, random).with("device", self.device.clone()).with("props", props)
        };
        let anonymous = event("viewed");
        let signed_in = event("$identify").with("user", hashed.clone());
        let refused = event("").with("user", hashed);
        let receipt = collector.send(project, &[anonymous, signed_in, refused]).json();
        assert_eq!(
            (&receipt["ok"], receipt["rejected"].as_array().map(Vec::len)),
            (&json!(2), Some(1))
        );
        let server = event("paid").without("device").with("user_id", self.user.clone());
        assert_eq!(collector.send_as_server(project, &[server]).json()["ok"], 1);
    }

    /// Files in which something of it is, by the first thing found.
    fn found(&self, data: &Path, person: &str, device: &str) -> Vec<String> {
        let mut needles: Vec<(&str, Vec<u8>)> =
            self.texts.iter().map(|text| ("a property", text.clone().into_bytes())).collect();
        needles.push(("the raw id", self.user.clone().into_bytes()));
        needles.push(("the page's hash", self.device.clone().into_bytes()));
        for id in [person, device] {
            let number = u64::from_str_radix(id, 16).expect("a person is a number");
            needles.push(("the pseudonym as text", id.as_bytes().to_vec()));
            needles.push(("the pseudonym", number.to_le_bytes().to_vec()));
            needles.push(("the pseudonym in a database", number.to_be_bytes().to_vec()));
        }
        // Files come and go while the collector works: one that is gone may be there under another name.
        loop {
            let read = |file: PathBuf| std::fs::read(&file).map(|bytes| (file, bytes));
            match files(data).into_iter().map(read).collect::<Result<Vec<_>, _>>() {
                Ok(all) => break found_in(&all, &needles),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            }
        }
    }
}

/// The files in which something is, each with the first of it.
fn found_in(files: &[(PathBuf, Vec<u8>)], needles: &[(&str, Vec<u8>)]) -> Vec<String> {
    let mut found = Vec::new();
    for (file, bytes) in files {
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        let needle = needles.iter().find(|(_, needle)| holds(needle));
        found.extend(needle.map(|(what, _)| format!("{what} in {}", file.display())));
    }
    found
}

#[test]
fn after_erasing_now_no_file_of_the_data_folder_holds_anything_of_the_person() {
    let (_, mut random) = seeded("erase");
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let canary = Canary::new(&mut random);
    let others: Vec<Event> = (0..200).map(|_| event(&mut random)).collect();
    collector.send(&project, &others);
    canary.live(&collector, &project, &mut random);
    let listed = collector.get(&project, "/v1/events?event=paid").json();
    let person = listed["events"][0]["person"].as_str().expect("an event has a person").to_owned();
    // Into segments, once before the login is known and once after it.
    for _ in 0..2 {
        collector.kill();
        collector.restart();
        canary.live(&collector, &project, &mut random);
    }
    let quarantine = collector.get(&project, "/v1/quarantine").json();
    assert_eq!(quarantine["events"].as_array().map(Vec::len), Some(3), "{quarantine}");
    let who = &quarantine["events"][0]["event"]["$kept"]["who"];
    let device = who["actor"].as_str().expect("the device is known").to_owned();
    assert!(!canary.found(&collector.data(), &person, &device).is_empty(), "the search finds");

    let tried =
        collector.say(&project, "/v1/erase", &json!({ "user_id": canary.user, "dry_run": true }));
    assert_eq!(tried.json()["events"], json!(9), "{}", tried.text);
    assert_eq!(
        collector.get(&project, "/v1/events?event=paid").json()["events"].as_array().map(Vec::len),
        Some(3)
    );
    let erase = ["erase", "--project", "shop", "--user", &canary.user, "--now"];
    let receipt: Value = serde_json::from_str(&collector.command_ok(&erase)).expect("it is JSON");

    assert_eq!(
        canary.found(&collector.data(), &person, &device),
        Vec::<String>::new(),
        "{receipt}"
    );
    assert_eq!(
        (&receipt["rows"], &receipt["ids"], &receipt["links"]),
        (&json!(9), &json!(2), &json!(1)),
        "{receipt}"
    );
    assert!(receipt["done_at"].is_u64(), "{receipt}");
    let rewritten = receipt["segments"].as_array().expect("a receipt lists files");
    assert!(!rewritten.is_empty(), "{receipt}");
    for file in rewritten {
        assert!(!collector.data().join(file.as_str().expect("a name")).exists(), "{file}");
    }
    for restarts in [false, true] {
        if restarts {
            collector.kill();
            collector.restart();
        }
        let left = collector.export_all(&project);
        assert_eq!(left.lines().count(), others.len(), "everybody else is there");
        let quarantine = collector.get(&project, "/v1/quarantine").json();
        assert_eq!(quarantine["events"], json!([]));
        let path = format!("/v1/erase/{}", receipt["id"].as_str().expect("it has a number"));
        assert_eq!(collector.get(&project, &path).json(), receipt);
        // The policy: who was erased stays out, under every name that was theirs.
        let again = [
            Event::new("viewed", &mut random).with("device", canary.device.clone()),
            event(&mut random),
        ];
        let again = collector.send(&project, &again).json();
        assert_eq!((&again["ok"], &again["rejected"][0]["i"]), (&json!(1), &json!(0)), "{again}");
        assert_eq!(again["rejected"][0]["code"], "person_erased", "{again}");
        let erased = Event::new("", &mut random).with("device", canary.device.clone());
        collector.send(&project, &[erased]);
        assert_eq!(collector.get(&project, "/v1/quarantine").json()["events"], json!([]));
        assert!(collector.export_all(&project).lines().count() == left.lines().count() + 1);
        // Back to what it was, for the second round.
        let extra = collector.get(&project, "/v1/events?limit=1").json();
        let extra = extra["events"][0]["person"].clone();
        let receipt =
            collector.say(&project, "/v1/erase", &json!({ "person": extra, "now": true }));
        assert_eq!(receipt.json()["ids"], json!(1), "{}", receipt.text);
        assert_eq!(canary.found(&collector.data(), &person, &device), Vec::<String>::new());
    }
}

#[test]
fn an_erased_person_is_in_no_answer_a_second_later_while_events_keep_coming() {
    let (seed, mut random) = seeded("erase");
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let busy = collector.project("busy");
    for n in 0..20 {
        let user = format!("user-{n}");
        let event =
            Event::new("viewed", &mut random).with("at", now_ms() - 1_000).without("device");
        collector.send_as_server(&project, &[event.with("user_id", user)]);
    }
    let load = Load::new(&collector, &busy);
    let slowest = load.run(seed, &tallymark_tests::load::Shape::default(), || {
        thread::sleep(Duration::from_millis(300));
        let mut slowest = Duration::ZERO;
        for n in 0..20 {
            let began = Instant::now();
            let body = json!({ "user_id": format!("user-{n}") });
            let receipt = collector.say(&project, "/v1/erase", &body).json();
            assert!(receipt["due_by"].is_u64() || receipt["done_at"].is_u64(), "{receipt}");
            assert_eq!(active(&collector, &project), 19 - n);
            slowest = slowest.max(began.elapsed());
        }
        slowest
    });
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    figure(&format!("20 persons erased under load, each out of answers within {slowest:?}"));
}
