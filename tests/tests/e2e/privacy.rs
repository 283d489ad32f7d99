//! What a thief of the files learns, what the log says, and what a person is given: the real binary.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use tallymark_protocol::hashing::{Namespace, ServerHasher, h1, to_hex};
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Event, TestCollector, TestProject};

use crate::identity::files;

/// Words that people may have as ids; a thief knows all of them.
fn word(number: usize) -> String {
    format!("user-{number}@example.org")
}

/// Who wrote which event, as answers name them.
fn persons(collector: &TestCollector, project: &TestProject) -> BTreeMap<String, u64> {
    let page = collector.get(project, "/v1/events?limit=1000").json();
    let events = page["events"].as_array().expect("a page has events").clone();
    let person = |event: &Value| u64::from_str_radix(event["person"].as_str()?, 16).ok();
    events
        .iter()
        .map(|event| {
            let name = event["name"].as_str().expect("an event has a name").to_owned();
            (name, person(event).expect("a person is a number"))
        })
        .collect()
}

/// Reliability test 58. Shows S4-03 and S4-04.
#[test]
fn whoever_steals_the_files_recognises_nobody_without_the_secret_and_everybody_with_it() {
    let (_, mut random) = seeded("stolen");
    let mut collector = TestCollector::start_with(&[("TALLYMARK_MEMTABLE_BYTES", "1048576")]);
    let project = collector.project("shop");
    let known = 400;
    let events: Vec<Event> = (0..known)
        .map(|number| {
            let hash = to_hex(&h1(project.salt.as_bytes(), Namespace::User, word(number)));
            Event::new(&format!("of_{number}"), &mut random).with("user", hash)
        })
        .collect();
    let receipt = collector.send(&project, &events).json();
    assert_eq!(receipt["ok"], json!(known), "{receipt}");
    let stored = persons(&collector, &project);
    assert_eq!(stored.len(), known);
    // Events in the log and in segments both.
    collector.stop();
    collector.restart();
    let last = Event::new("last", &mut random)
        .with("user", to_hex(&h1(project.salt.as_bytes(), Namespace::User, word(0))));
    assert_eq!(collector.send(&project, &[last]).json()["ok"], json!(1));
    collector.kill();

    let pepper = std::fs::read(collector.data().join("pepper")).expect("there is a secret");
    let pepper: [u8; 32] = pepper.try_into().expect("of 32 bytes");
    // What can be made of a word with all that is in the files, the secret left out: the public salt, and keys that a
    // careless program would have used.
    let zero = ServerHasher::new(&[0; 32], 1);
    let salted = ServerHasher::new(&h1(project.salt.as_bytes(), Namespace::User, ""), 1);
    let words = amount("TALLYMARK_TEST_WORDS", 50_000).max(known);
    let mut guesses = HashSet::new();
    let mut recognised = 0;
    let holder = ServerHasher::new(&pepper, 1);
    for number in 0..words {
        let first = h1(project.salt.as_bytes(), Namespace::User, word(number));
        let plain = h1(b"", Namespace::User, word(number));
        for hash in [&first, &plain] {
            let [a, b, c, d, e, f, g, h, ..] = *hash;
            guesses.insert(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
            guesses.insert(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        }
        guesses.insert(zero.person(&first));
        guesses.insert(salted.person(&first));
        recognised +=
            usize::from(stored.get(&format!("of_{number}")) == Some(&holder.person(&first)));
    }
    // With the secret it is a look-up: that is why ids are called pseudonyms.
    assert_eq!(recognised, known, "whoever holds the secret recognises everybody");
    let found = stored.values().filter(|person| guesses.contains(person)).count();
    assert_eq!(found, 0, "persons are guessed from the files alone");
    let mut searched = 0;
    for file in files(&collector.data()) {
        if file.ends_with("pepper") {
            continue;
        }
        let bytes = std::fs::read(&file).expect("a data file is readable");
        for eight in bytes.windows(8) {
            let eight: [u8; 8] = eight.try_into().expect("windows of eight");
            let hit = guesses.contains(&u64::from_be_bytes(eight));
            assert!(!hit, "{} holds something that the salt alone gives", file.display());
        }
        searched += bytes.len();
    }
    println!(
        "figure: {words} words tried on {searched} bytes: 0 persons recognised, with the secret {recognised} of {known}"
    );
}

/// Reliability test 40. Shows S4-69 and S4-71.
#[test]
fn logs_are_json_and_name_nobody_whatever_is_sent() {
    const MAIL: &str = "marie.curie@example.org";
    const ADDRESS: &str = "203.0.113.77";
    let settings = [
        ("TALLYMARK_LOG", "debug"),
        ("TALLYMARK_LOG_FORMAT", "json"),
        ("TALLYMARK_TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let collector = TestCollector::start_with(&settings);
    let project = collector.project("shop");
    let (_, mut random) = seeded("log");
    let mut event = || Event::new("viewed", &mut random);
    let events = [
        event().with("user", MAIL),
        event().with("props", json!({ "mail": MAIL, "ip": ADDRESS })),
        event().with("name", MAIL.repeat(20)),
        event().with("props", json!({ MAIL: { MAIL: MAIL } })),
    ];
    collector.send(&project, &events);
    collector.send_as_server(&project, &[event().without("device").with("user_id", MAIL)]);
    let from =
        [("x-forwarded-for", ADDRESS), ("user-agent", MAIL), ("referer", MAIL), ("cookie", MAIL)];
    let bodies = [
        tallymark_tests::batch(&project.write_key, &[event()]).to_string(),
        format!("{{\"key\":\"{MAIL}\",\"events\":[]}}"),
        format!("{{\"key\":\"{}\",\"events\":\"{MAIL}\"}}", project.write_key),
        format!("not JSON {MAIL}"),
    ];
    for body in &bodies {
        for path in [
            "/v1/batch".to_owned(),
            format!("/v1/batch?z={MAIL}"),
            format!("/{MAIL}"),
            format!("/v1/alias?project={MAIL}"),
        ] {
            collector.post(&path, &from, body.as_bytes());
        }
    }
    for path in [
        format!("/v1/events?person={MAIL}"),
        format!("/v1/events?where={MAIL}"),
        format!("/v1/erase/{MAIL}"),
        format!("/p/{MAIL}"),
    ] {
        collector.get(&project, &path);
    }
    let key = [("authorization", format!("Bearer {}", project.secret_key))];
    let key = [(key[0].0, key[0].1.as_str())];
    for path in ["/v1/alias", "/v1/erase", "/v1/persons/report", "/v1/query/trend", "/v1/stats/x"] {
        let body =
            json!({ "user_id": MAIL, "from": { "user_id": MAIL }, "to": { "user_id": ADDRESS } })
                .to_string();
        collector.post(path, &key, body.as_bytes());
    }
    collector.command(&["erase", "--project", "shop", "--user", MAIL]);

    let log = collector.log();
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.len() > 20, "a debug log says much: {log}");
    for line in &lines {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line["level"].is_string()), "not a line of JSON: {line}");
        for secret in [MAIL, ADDRESS, project.secret_key.as_str(), project.write_key.as_str()] {
            assert!(!line.contains(secret), "the log names {secret}: {line}");
        }
    }
    let metrics = collector.get(&project, "/metrics").text;
    assert!(metrics.contains("tallymark_batches_total"), "{metrics}");
    for secret in [MAIL, ADDRESS, "viewed", "shop"] {
        assert!(!metrics.contains(secret), "the metrics name {secret}");
    }
}

#[test]
fn the_command_line_gives_out_a_person_and_the_sheet_beside_a_running_server() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("person");
    let mut of =
        |user: &str| Event::new("paid", &mut random).without("device").with("user_id", user);
    let sent = collector.send_as_server(&project, &[of("ann"), of("ann"), of("bob")]).json();
    assert_eq!(sent["ok"], json!(3), "{sent}");

    let report = collector.command_ok(&["privacy", "person", "--project", "shop", "--user", "ann"]);
    let lines: Vec<Value> =
        report.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    assert_eq!((lines.len(), &lines[0]["events"]), (3, &json!(2)), "{report}");
    let changed = collector.command_ok(&[
        "project",
        "set",
        "shop",
        "--preset",
        "cnil",
        "--origins",
        "https://shop.example",
    ]);
    assert!(changed.contains("cnil"), "{changed}");
    let money = collector.command_ok(&["project", "set", "shop", "--currency", "EUR"]);
    assert!(money.contains("cnil") && money.contains("\"EUR\""), "the rest stays: {money}");
    let wrong = collector.command(&["project", "set", "shop", "--currency", "euro"]);
    assert!(
        !wrong.status.success()
            && String::from_utf8_lossy(&wrong.stderr).contains("write three capital letters")
    );
    let none = collector.command_ok(&["project", "set", "shop", "--currency", "none"]);
    assert!(none.contains("cnil") && !none.contains("EUR"), "{none}");
    let sheet = collector.command_ok(&["privacy", "evidence", "--project", "shop"]);
    assert!(
        sheet.contains("preset: cnil") && sheet.contains("3 events with an id that lasts"),
        "{sheet}"
    );
    assert!(sheet.contains("DOES NOT HOLD"), "what came before is said: {sheet}");
    let longer = collector.command(&["project", "keep", "shop", "--days", "900"]);
    assert!(
        !longer.status.success() && String::from_utf8_lossy(&longer.stderr).contains("760 days"),
        "{longer:?}"
    );
    let trail = collector.command_ok(&["audit", "list"]);
    assert!(trail.contains("report") && !trail.contains("ann"), "{trail}");
}
