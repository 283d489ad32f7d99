//! Who is who, over HTTP: a login joins device and user, `alias` joins users, both can be taken back, and
//! nobody can do it to another project.

pub mod crowd;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use serde_json::{Value, json};
use tallymark_tests::event::{hex, now_ms};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, Reply, TestCollector, TestProject};

#[test]
fn a_funnel_across_the_login_counts_one_person_before_and_after_a_restart() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("people");
    let mut visitor = Visitor::new(&mut random);
    collector.send(&project, &[visitor.event("viewed", 50)]);
    // What was sent before is in a file by now.
    collector.kill();
    collector.restart();
    let login = visitor.signed_in("$identify", 40);
    assert_eq!(collector.send(&project, &[login]).json()["ok"], 1);
    assert_eq!(reached(&collector, &project, &["viewed", "$identify"]), [1, 1]);
    collector.send(&project, &[visitor.event("added", 30), visitor.signed_in("paid", 20)]);

    for restarts in [false, true, true] {
        if restarts {
            collector.kill();
            collector.restart();
        }
        assert_eq!(
            reached(&collector, &project, &["viewed", "$identify", "added", "paid"]),
            [1; 4]
        );
        assert_eq!(active(&collector, &project), 1);
        let events = collector.get(&project, "/v1/events").json();
        let persons: Vec<&Value> =
            events["events"].as_array().unwrap().iter().map(|event| &event["person"]).collect();
        assert!(persons.len() == 4 && persons.windows(2).all(|two| two[0] == two[1]), "{events}");
    }
}

#[test]
fn the_first_user_of_a_device_wins_and_after_a_reset_it_is_another_device() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("people");
    let mut first = Visitor::new(&mut random);
    let mut second = Visitor { device: first.device.clone(), ..Visitor::new(&mut random) };
    let mut after_reset = Visitor { user: second.user.clone(), ..Visitor::new(&mut random) };
    let events = [
        first.event("viewed", 50),
        first.signed_in("$identify", 40),
        second.signed_in("$identify", 30),
        second.event("viewed", 20),
        after_reset.event("viewed", 10),
        after_reset.signed_in("$identify", 5),
    ];
    assert_eq!(collector.send(&project, &events).json()["ok"], 6);

    let listed = collector.get(&project, "/v1/events").json();
    let person = |event: &Event| {
        let events = listed["events"].as_array().unwrap();
        let found = events.iter().find(|listed| listed["id"] == event.id());
        found.expect("it is listed")["person"].clone()
    };
    let of_first = person(&events[1]);
    assert_eq!([&events[0], &events[3]].map(person), [of_first.clone(), of_first.clone()]);
    let of_second = person(&events[2]);
    assert_ne!(of_first, of_second);
    assert_eq!([&events[4], &events[5]].map(person), [of_second.clone(), of_second]);
    assert_eq!(active(&collector, &project), 2);
}

#[test]
fn an_export_has_the_same_people_where_it_is_imported() {
    let collector = TestCollector::start();
    let (project, copy) = (collector.project("shop"), collector.project("copy"));
    let (_, mut random) = seeded("people");
    // Two users of one device, whichever of them an export names first, and a user with two names.
    for n in 0..8 {
        let mut first = Visitor::new(&mut random);
        let mut second = Visitor { device: first.device.clone(), ..Visitor::new(&mut random) };
        let user = if n % 2 == 0 { "old" } else { "new" };
        let server = Event::new("paid", &mut random).without("device").with("user_id", user);
        let events = [
            first.event("viewed", 50),
            first.signed_in("$identify", 40),
            second.signed_in("$identify", 30),
            second.event("viewed", 20),
        ];
        assert_eq!(collector.send(&project, &events).json()["ok"], 4);
        collector.send_as_server(&project, &[server]);
    }
    let alias = json!({ "from": { "user_id": "old" }, "to": { "user_id": "new" } });
    assert_eq!(collector.say(&project, "/v1/alias", &alias).status, 200);

    let file = collector.scratch().join("export.jsonl");
    std::fs::write(&file, collector.export_all(&project)).expect("a file can be written");
    let file = file.to_string_lossy();
    collector.command_ok(&["import", "--project", "copy", "--format", "jsonl", &file]);

    for project in [&project, &copy] {
        assert_eq!(active(&collector, project), 8);
        assert_eq!(reached(&collector, project, &["viewed", "$identify"]), [8, 8]);
        assert_eq!(reached(&collector, project, &["$identify", "viewed"]), [16, 8]);
        assert_eq!(reached(&collector, project, &["paid"]), [1]);
        assert_eq!(reached(&collector, project, &["$identify"]), [16]);
    }
}

#[test]
fn an_alias_is_tried_made_listed_and_undone_with_a_restart_in_between() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("people");
    for (user, name) in [("old", "viewed"), ("new", "paid")] {
        let event = Event::new(name, &mut random).without("device").with("user_id", user);
        let at = now_ms() - if user == "old" { 50_000 } else { 40_000 };
        collector.send_as_server(&project, &[event.with("at", at)]);
    }
    let steps = ["viewed", "paid"];
    let alias = |dry_run| json!({ "from": { "user_id": "old" }, "to": { "user_id": " new" }, "dry_run": dry_run });

    let tried = collector.say(&project, "/v1/alias", &alias(true)).json();
    assert_eq!(
        (&tried["events"], &tried["ids"], &tried["dry_run"]),
        (&json!(1), &json!(1), &json!(true))
    );
    assert_eq!(reached(&collector, &project, &steps), [1, 0], "a dry run changes nothing");

    let made = collector.say(&project, "/v1/alias", &alias(false)).json();
    assert_eq!((&made["merge"], &made["from"]), (&json!(1), &tried["from"]), "{made}");
    assert_eq!(reached(&collector, &project, &steps), [1, 1]);
    let again = collector.say(&project, "/v1/alias", &alias(false));
    assert_eq!((again.status, again.code()), (409, "same_person".into()), "{}", again.text);

    collector.kill();
    collector.restart();
    assert_eq!(reached(&collector, &project, &steps), [1, 1]);
    let merges = collector.get(&project, "/v1/merges").json();
    let merge = &merges["merges"][0];
    assert_eq!(
        (&merge["by"], &merge["source"], &merge["target"]),
        (&json!("alias"), &made["from"], &made["to"])
    );
    assert_eq!(merge["undone_at"], Value::Null);

    let undo = "/v1/merges/1/undo";
    let tried = collector.say(&project, undo, &json!({ "dry_run": true })).json();
    assert_eq!((&tried["events"], &tried["to"]), (&json!(1), &made["from"]), "{tried}");
    assert_eq!(reached(&collector, &project, &steps), [1, 1]);
    assert_eq!(collector.say(&project, undo, &json!({})).status, 200);
    assert_eq!(reached(&collector, &project, &steps), [1, 0]);
    let again = collector.say(&project, undo, &json!({}));
    assert_eq!((again.status, again.code()), (409, "merge_undone".into()), "{}", again.text);
    collector.kill();
    collector.restart();
    assert_eq!(reached(&collector, &project, &steps), [1, 0]);
    assert_ne!(collector.get(&project, "/v1/merges").json()["merges"][0]["undone_at"], Value::Null);

    let slug = project.slug.as_str();
    let command = ["alias", "--project", slug, "--from", "old", "--to", "new"];
    let done: Value = serde_json::from_str(&collector.command_ok(&command)).expect("it is JSON");
    assert_eq!(done["merge"], json!(2), "{done}");
    assert_eq!(reached(&collector, &project, &steps), [1, 1]);
}

#[test]
fn a_key_of_another_project_can_neither_link_nor_undo_nor_list_nor_erase() {
    let collector = TestCollector::start();
    let (a, b) = (collector.project("a"), collector.project("b"));
    let (_, mut random) = seeded("people");
    for user in ["old", "new"] {
        let event = Event::new("viewed", &mut random).without("device").with("user_id", user);
        assert_eq!(collector.send_as_server(&a, &[event]).json()["ok"], 1);
    }
    let alias = json!({ "from": { "user_id": "old" }, "to": { "user_id": "new" } });
    assert_eq!(collector.say(&b, "/v1/alias", &alias).status, 200, "its own users of that name");
    assert_eq!(active(&collector, &a), 2);
    let merge = collector.say(&a, "/v1/alias", &alias).json()["merge"].clone();
    assert_eq!(active(&collector, &a), 1);

    let undo = collector.say(&b, &format!("/v1/merges/{merge}/undo"), &json!({}));
    assert_eq!((undo.status, undo.code()), (404, "merge_unknown".into()), "{}", undo.text);
    let merges = collector.get(&b, "/v1/merges").json();
    assert_eq!(merges["merges"].as_array().map(Vec::len), Some(1), "{merges}");
    assert_ne!(merges["merges"][0]["merge"], merge);

    // Also by the name that answers give a person.
    let person = collector.get(&a, "/v1/events").json()["events"][0]["person"].clone();
    for who in [json!({ "person": person }), json!({ "user_id": "new" })] {
        let receipt = collector.say(&b, "/v1/erase", &who).json();
        assert_eq!(receipt["rows"], json!(0), "{receipt}");
    }
    assert_eq!(active(&collector, &a), 1);
    let receipt = collector.say(&a, "/v1/erase", &json!({ "user_id": "new" })).json();
    assert_eq!(active(&collector, &a), 0);
    let path = format!("/v1/erase/{}", receipt["id"].as_str().expect("a receipt has a number"));
    assert_eq!(collector.get(&a, &path).status, 200);
    assert_eq!(collector.get(&b, &path).status, 404, "{path}");
}

#[rstest]
#[case::alias("/v1/alias", r#"{"from":{"user_id":"a"},"to":{"user_id":"b"}}"#)]
#[case::undo("/v1/merges/1/undo", "{}")]
#[case::erase("/v1/erase", r#"{"user_id":"a"}"#)]
fn who_is_who_is_said_with_a_secret_key_that_may(#[case] path: &str, #[case] body: &str) {
    let collector = TestCollector::start();
    let project = collector.project("a");
    let made = collector.command_ok(&[
        "key",
        "create",
        "--project",
        "a",
        "--scope",
        "analytics:read,ingest",
        "--json",
    ]);
    let reader: Value = serde_json::from_str(&made).expect("--json prints JSON");
    let reader = reader["secret_key"].as_str().expect("it has a key");
    for (key, want) in [("", 401), (&*project.write_key, 403), (reader, 403)] {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("content-type", "application/json")];
        headers.extend((!key.is_empty()).then_some(("authorization", bearer.as_str())));
        let reply = collector.post(path, &headers, body.as_bytes());
        assert_eq!(reply.status, want, "{key}: {}", reply.text);
        assert!(!reply.code().is_empty(), "{}", reply.text);
    }
}

#[rstest]
#[case::nothing("/v1/alias", "", 400)]
#[case::no_json("/v1/alias", "{", 400)]
#[case::one_id("/v1/alias", r#"{"from":{"user_id":"a"}}"#, 400)]
#[case::no_id("/v1/alias", r#"{"from":{},"to":{"user_id":"b"}}"#, 422)]
#[case::two_ids(
    "/v1/alias",
    r#"{"from":{"user_id":"a","device_id":"a"},"to":{"user_id":"b"}}"#,
    422
)]
#[case::empty_id("/v1/alias", r#"{"from":{"user_id":"  "},"to":{"user_id":"b"}}"#, 422)]
#[case::not_hexadecimal(
    "/v1/alias",
    r#"{"from":{"person":"zz00000000000000"},"to":{"user_id":"b"}}"#,
    422
)]
#[case::signed_digits("/v1/erase", r#"{"person":"+000000000000001"}"#, 422)]
#[case::the_same("/v1/alias", r#"{"from":{"user_id":"b"},"to":{"user_id":" b "}}"#, 409)]
#[case::unknown_field(
    "/v1/alias",
    r#"{"from":{"user_id":"a"},"to":{"user_id":"b"},"dry-run":true}"#,
    400
)]
#[case::a_list("/v1/erase", "[]", 400)]
#[case::wrong_type("/v1/erase", r#"{"user_id":7}"#, 400)]
#[case::nobody("/v1/erase", "{}", 422)]
#[case::misspelt("/v1/erase", r#"{"user_id":"a","dry_rum":true}"#, 400)]
#[case::deep("/v1/erase", DEEP, 400)]
#[case::no_such_merge("/v1/merges/7/undo", "{}", 404)]
#[case::merge_zero("/v1/merges/0/undo", "", 404)]
#[case::no_number("/v1/merges/seven/undo", "{}", 404)]
#[case::undo_no_json("/v1/merges/1/undo", "nothing", 400)]
fn a_body_that_makes_no_sense_changes_nothing(
    #[case] path: &str,
    #[case] body: &str,
    #[case] want: u16,
) {
    let collector = TestCollector::start();
    let project = collector.project("a");
    let (_, mut random) = seeded("people");
    let event = Event::new("viewed", &mut random).without("device").with("user_id", "b");
    assert_eq!(collector.send_as_server(&project, &[event]).json()["ok"], 1);

    let reply = collector.say_text(&project, path, body);

    assert_eq!(reply.status, want, "{}", reply.text);
    assert!(!reply.code().is_empty() && !reply.text.contains("internal"), "{}", reply.text);
    assert_eq!(active(&collector, &project), 1);
    assert_eq!(collector.get(&project, "/v1/merges").json()["merges"], json!([]));
}

const DEEP: &str =
    concat!("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "[[[[[[[[");

#[test]
fn a_body_that_is_too_large_is_refused() {
    let collector = TestCollector::start();
    let project = collector.project("a");
    let body = format!(r#"{{"user_id":"{}"}}"#, "x".repeat(64 * 1024));
    let reply = collector.say_text(&project, "/v1/erase", &body);
    assert_eq!(reply.status, 413, "{}", reply.text);
}

/// Somebody with a device, and a user id that the page hashed.
pub struct Visitor {
    pub device: String,
    pub user: String,
    random: StdRng,
}

impl Visitor {
    pub fn new(random: &mut StdRng) -> Visitor {
        let mut own = StdRng::seed_from_u64(random.random());
        let mut hash = || hex(&own.random::<[u8; 32]>());
        Visitor { device: hash(), user: hash(), random: own }
    }

    /// An event before signing in, or after signing out.
    pub fn event(&mut self, name: &str, seconds_ago: u64) -> Event {
        let at = now_ms() - seconds_ago * 1_000;
        Event::new(name, &mut self.random).with("at", at).with("device", self.device.clone())
    }

    pub fn signed_in(&mut self, name: &str, seconds_ago: u64) -> Event {
        let user = self.user.clone();
        self.event(name, seconds_ago).with("user", user)
    }
}

/// What customers' servers say about people.
pub trait Say {
    /// `POST` JSON with the project's secret key.
    fn say(&self, project: &TestProject, path: &str, body: &Value) -> Reply;
    /// The same with any text.
    fn say_text(&self, project: &TestProject, path: &str, body: &str) -> Reply;
}

impl Say for TestCollector {
    fn say(&self, project: &TestProject, path: &str, body: &Value) -> Reply {
        self.say_text(project, path, &body.to_string())
    }

    fn say_text(&self, project: &TestProject, path: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {}", project.secret_key);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.post(path, &headers, body.as_bytes())
    }
}

/// Persons at each step of a funnel.
pub fn reached(collector: &TestCollector, project: &TestProject, steps: &[&str]) -> Vec<u64> {
    let steps: Vec<Value> = steps.iter().map(|event| json!({ "event": event })).collect();
    let funnel =
        json!({ "from": "2026-01-01", "to": "2032-01-01", "window": "1d", "steps": steps });
    let answer = collector.query(project, "funnel", &funnel);
    let persons = |step: &Value| step["persons"].as_u64().expect("a step counts persons");
    answer["steps"].as_array().expect("a funnel has steps").iter().map(persons).collect()
}

/// Persons that ever did `viewed`: as rows say, and as the rollup of days does.
pub fn active(collector: &TestCollector, project: &TestProject) -> u64 {
    let series = json!([{ "event": "viewed", "measure": "persons" }]);
    let (from, to) = ("2025-01-01", "2032-01-01");
    let rows = json!({ "from": from, "to": to, "bucket": "month", "series": series });
    let by_rows = collector.query(project, "trend", &rows)["series"][0]["total"].as_f64();
    let days = json!({ "from": from, "to": to, "bucket": "month", "event": "viewed" });
    let answer = collector.query(project, "lifecycle", &days);
    // Everybody is new once.
    let new = answer["new"].as_array().expect("a bucket has its new persons");
    let by_days = new.iter().filter_map(Value::as_u64).sum();
    assert_eq!(by_rows, Some(by_days as f64), "{answer}");
    by_days
}
