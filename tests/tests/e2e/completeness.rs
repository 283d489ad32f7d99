//! The loss meter: what pages numbered, and how much of it is here.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde_json::{Value, json};
use tallymark_tests::event::hex;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject, batch};

/// A page load, as the SDK makes one: a writer of its own, and numbers from 0.
fn page_load(events: u32, random: &mut impl Rng) -> Vec<Event> {
    let writer = hex(&random.random::<[u8; 16]>());
    let numbered = |n| Event::new("viewed", random).with("writer", writer.clone()).with("n", n);
    (0..events).map(numbered).collect()
}

fn ask(collector: &TestCollector, project: &TestProject) -> Value {
    collector.query(project, "completeness", &json!({}))
}

/// Page loads, issued, received, missing.
fn figures(all: &Value) -> [u64; 4] {
    ["page_loads", "issued", "received", "missing"]
        .map(|name| all[name].as_u64().unwrap_or_else(|| panic!("{name} of {all}")))
}

fn send(collector: &TestCollector, project: &TestProject, events: &[Event]) {
    for some in events.chunks(50) {
        assert_eq!(collector.send(project, some).status, 200);
    }
}

#[test]
fn exactly_what_was_lost_is_missing_whatever_is_sent_again_and_after_any_stop() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("completeness");
    let (mut here, mut lost, mut page_loads) = (Vec::new(), 0, 0);
    for _ in 0..100 {
        let mut load = page_load(random.random_range(2..30), &mut random);
        // The last one stays: what nothing follows cannot be missed.
        let last = load.pop().expect("two events at least");
        let before = load.len();
        load.retain(|_| random.random_bool(0.9));
        lost += (before - load.len()) as u64;
        here.extend(load);
        here.push(last);
        page_loads += 1;
    }
    here.shuffle(&mut random);
    send(&collector, &project, &here);
    let received = here.len() as u64;
    let want = [page_loads, received + lost, received, lost];
    assert_eq!(figures(&ask(&collector, &project)["total"]), want);

    here.shuffle(&mut random);
    send(&collector, &project, &here);
    assert_eq!(figures(&ask(&collector, &project)["total"]), want, "all of it sent again");

    collector.kill();
    collector.restart();
    assert_eq!(figures(&ask(&collector, &project)["total"]), want, "after a kill");

    collector.stop();
    collector.restart();
    let answer = ask(&collector, &project);
    assert_eq!(figures(&answer["total"]), want, "after a clean stop");
    assert_eq!(answer["total"]["unexplained"], lost);
    assert_eq!(answer["total"]["completeness_ratio"], received as f64 / (received + lost) as f64);
    let days: Vec<_> = answer["days"].as_array().expect("days").iter().map(figures).collect();
    assert_eq!(days.iter().map(|day| day[3]).sum::<u64>(), lost, "days add up");
}

#[test]
fn what_pages_say_of_losses_is_kept_with_their_events() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("completeness");
    let mut load = page_load(10, &mut random);
    load.drain(2..6);
    let tell = |events: &[Event], lost: Value| {
        let mut body = batch(&project.write_key, events);
        body["writer"] = events[0].json()["writer"].clone();
        body["lost"] = lost;
        let headers = [("content-type", "text/plain")];
        assert_eq!(collector.post("/v1/batch", &headers, body.to_string().as_bytes()).status, 200);
    };
    let other = page_load(1, &mut random);
    tell(&load[..2], json!({ "queue_full": 1 }));
    tell(&load[2..4], json!({ "queue_full": 3, "no_such_reason": 7, "refused": 0 }));
    // An earlier word that comes late, and one that is none.
    tell(&load[4..5], json!({ "queue_full": 2 }));
    tell(&load[5..], json!("what?"));
    send(&collector, &project, &other);
    let total = &ask(&collector, &project)["total"];
    assert_eq!(figures(total), [2, 11, 7, 4]);
    assert_eq!((&total["lost"], &total["unexplained"]), (&json!({ "queue_full": 3 }), &json!(1)));
}

#[test]
fn each_browser_has_its_own_figure() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("completeness");
    let agents = [
        ("Firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (
            "Safari",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
        ),
    ];
    for (lost, (_, agent)) in (1..).zip(agents) {
        let mut load = page_load(10, &mut random);
        load.drain(..lost);
        let headers = [("content-type", "text/plain"), ("user-agent", agent)];
        let body = batch(&project.write_key, &load).to_string();
        assert_eq!(collector.post("/v1/batch", &headers, body.as_bytes()).status, 200);
    }
    let answer = ask(&collector, &project);
    for (lost, (browser, _)) in (1..).zip(agents) {
        let list = answer["browsers"].as_array().expect("browsers");
        let found = list.iter().find(|one| one["browser"] == browser).expect(browser);
        assert_eq!(figures(found), [1, 10, 10 - lost, lost], "{browser}");
    }
}

#[test]
fn a_refused_event_is_missing_until_it_was_mended() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("completeness");
    let mut load = page_load(3, &mut random);
    load[1] = load[1].clone().with("name", " spaced ");
    send(&collector, &project, &load);
    assert_eq!(figures(&ask(&collector, &project)["total"]), [1, 3, 2, 1]);
    let bearer = format!("Bearer {}", project.secret_key);
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let fix = json!({ "code": "event_name_invalid", "set": { "name": "viewed" } }).to_string();
    assert_eq!(collector.post("/v1/quarantine/resubmit", &headers, fix.as_bytes()).status, 200);
    assert_eq!(figures(&ask(&collector, &project)["total"]), [1, 3, 3, 0]);
}

#[test]
fn an_export_has_the_figure_and_an_erased_person_leaves_none() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("completeness");
    let mut nobody = page_load(10, &mut random);
    nobody.drain(..3);
    send(&collector, &project, &nobody);
    let mut named = page_load(8, &mut random);
    named.drain(..2);
    let named: Vec<_> =
        named.into_iter().map(|event| event.without("device").with("user_id", "ann")).collect();
    assert_eq!(collector.send_as_server(&project, &named).status, 200);
    let want = [2, 18, 13, 5];
    assert_eq!(figures(&ask(&collector, &project)["total"]), want);

    let file = collector.scratch().join("events.jsonl");
    std::fs::write(&file, collector.export_all(&project)).expect("the scratch folder takes a file");
    let copy = collector.project("copy");
    let file = file.to_str().expect("a temporary path is UTF-8");
    collector.command_ok(&["import", "--project", "copy", "--format", "jsonl", file]);
    assert_eq!(figures(&ask(&collector, &copy)["total"]), want, "an export imported again");

    collector.command_ok(&["erase", "--project", "shop", "--user", "ann", "--now"]);
    assert_eq!(figures(&ask(&collector, &project)["total"]), [1, 10, 7, 3], "after an erasure");
}
