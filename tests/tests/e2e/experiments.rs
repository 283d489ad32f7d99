//! An experiment from its events to its verdict, by the real binary: every kind of metric at once, and the
//! figures of its effects as the calculator gives them for the same arms.

use serde_json::{Value, json};
use tallymark_tests::event::now_ms;
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector};

const PEOPLE: usize = 600;
const DAY_MS: u64 = 86_400_000;

/// People in two arms. Of the control every third bought, of the treatment every second; what they
/// spend depends on what they spent the day before they met the experiment.
fn events(random: &mut impl rand::Rng) -> Vec<Event> {
    let exposed_ms = now_ms() - 3 * DAY_MS;
    let mut events = Vec::new();
    for person in 0..PEOPLE {
        let at =
            |event: Event, ms: u64| event.with("device", format!("{person:064x}")).with("at", ms);
        let variant = ["control", "green"][person % 2];
        let country = ["DE", "FR", "IT"][person % 3];
        let props = json!({ "experiment": "button", "variant": variant, "land": country });
        events.push(at(Event::new("$exposure", random), exposed_ms).with("props", props));
        let habit = (person / 6 % 10) as f64;
        let before = json!({ "value": habit });
        events.push(at(Event::new("order", random), exposed_ms - DAY_MS).with("props", before));
        for look in 0..=(person / 6 % 3) as u64 {
            events.push(at(Event::new("seen", random), exposed_ms + 1_000 + look));
        }
        let buys = person / 6 % (3 - person % 2) == 0;
        if buys {
            let luck = (person * 7 % 5) as f64;
            let props = json!({ "value": habit + luck + 1.0 });
            events.push(at(Event::new("order", random), exposed_ms + 5_000).with("props", props));
        }
    }
    events
}

#[test]
fn an_experiment_is_answered_with_figures_checks_and_a_verdict() {
    let (_, mut random) = seeded("experiments");
    let collector = TestCollector::start();
    let project = collector.project("experiments");
    for batch in events(&mut random).chunks(500) {
        let receipt = collector.send(&project, batch).json();
        assert_eq!(receipt["ok"].as_u64(), Some(batch.len() as u64), "{receipt}");
    }
    let question = json!({
        "experiment": "button", "window": "2d", "covariate": "7d", "slices": ["land"], "daily": true,
        "metrics": [
            { "name": "bought", "event": "order" },
            { "name": "revenue", "event": "order", "kind": "revenue",
              "cap": { "kind": "percentile", "upper": 0.99 } },
            { "name": "order value", "event": "order", "kind": "ratio", "prop": "value",
              "denominator": { "event": "order" } },
            { "name": "median", "event": "order", "kind": "quantile", "quantile": 0.5 },
            { "name": "back", "event": "order", "kind": "retention", "days": [0, 1] },
            { "name": "seen, then bought", "kind": "funnel",
              "steps": [{ "event": "seen" }, { "event": "order" }] },
            { "name": "looks", "event": "seen", "kind": "count", "role": "guardrail", "margin": 0.3 },
        ],
    });
    let answer = collector.query(&project, "experiment", &question);
    assert_eq!(answer["verdict"]["code"], "ship", "{answer:#}");
    assert_eq!(answer["verdict"]["variant"], "green");
    assert_eq!(answer["srm"]["status"], "ok");
    assert_eq!(answer["checks"]["multiple_exposure"]["status"], "ok");
    assert_eq!(
        answer["checks"]["before"].as_array().map(Vec::len),
        Some(5),
        "{}",
        answer["checks"]
    );
    assert_eq!(answer["slices"].as_array().map(Vec::len), Some(3));
    assert_eq!(answer["days"].as_array().map(Vec::len), Some(1));
    let bought = &answer["metrics"][0];
    let arms = bought["arms"].as_array().expect("arms");
    let count = |arm: &Value| (arm["persons"].as_u64(), arm["conversions"].as_u64());
    assert_eq!(count(&arms[0]), (Some(300), Some(102)));
    assert_eq!(count(&arms[1]), (Some(300), Some(150)));
    for metric in answer["metrics"].as_array().expect("metrics") {
        let effect = &metric["effects"][0];
        assert!(effect["p_value"].is_number(), "{metric:#}");
        assert!(effect["always_valid"]["p_value"].is_number(), "{metric:#}");
    }
    assert_eq!(answer["metrics"][6]["effects"][0]["guardrail"]["is_non_inferior"], true);

    // The same arms without an adjustment, compared by the calculator.
    let plain =
        json!({ "experiment": "button", "window": "2d", "metrics": [{ "event": "order" }] });
    let effect =
        collector.query(&project, "experiment", &plain)["metrics"][0]["effects"][0].clone();
    let input = json!({ "metric": "proportion", "difference": "absolute",
        "control": { "n": 300, "sum": 102 }, "treatment": { "n": 300, "sum": 150 } });
    let calculated = |function: &str| {
        let headers = [("content-type", "application/json")];
        let path = format!("/v1/stats/{function}");
        collector.post(&path, &headers, input.to_string().as_bytes()).json()["got"].clone()
    };
    let (welch, watched) = (calculated("two_sample_t"), calculated("sequential_two_sided"));
    assert_eq!(effect["p_value"], welch["p_value"]);
    assert_eq!(effect["absolute_interval"]["low"], welch["ci_low"]);
    assert_eq!(effect["always_valid"]["p_value"], watched["p_value"]);
    assert_eq!(effect["always_valid"]["absolute_interval"]["high"], watched["ci_high"]);
}

#[test]
fn a_fixed_test_is_not_read_before_its_planned_end() {
    let (_, mut random) = seeded("experiments");
    let collector = TestCollector::start();
    let project = collector.project("experiments");
    for batch in events(&mut random).chunks(500) {
        collector.send(&project, batch);
    }
    let ask = |method: &str| {
        let question = json!({ "experiment": "button", "method": method,
            "plan": { "ends": "2035-01-01", "lift": 0.1 }, "metrics": [{ "event": "order" }] });
        collector.query(&project, "experiment", &question)["verdict"].clone()
    };
    let verdict = ask("fixed");
    assert_eq!(
        (&verdict["code"], &verdict["reason"]),
        (&json!("keep_running"), &json!("before_the_end"))
    );
    assert!(verdict["persons_more"].as_u64() > Some(0), "{verdict}");
    assert_eq!(ask("sequential")["code"], "ship");
}

#[test]
fn an_experiment_comes_as_a_table_and_as_a_page_to_print() {
    let (_, mut random) = seeded("experiments");
    let collector = TestCollector::start();
    let project = collector.project("experiments");
    for batch in events(&mut random).chunks(500) {
        collector.send(&project, batch);
    }
    let question =
        json!({ "experiment": "button", "slices": ["land"], "metrics": [{ "event": "order" }] });
    let bearer = format!("Bearer {}", project.secret_key);
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let ask = |kind: &str, format: &str| {
        let path = format!("/v1/query/{kind}?format={format}");
        collector.post(&path, &headers, question.to_string().as_bytes())
    };
    let table = ask("experiment", "csv");
    assert_eq!(table.status, 200, "{}", table.text);
    let rows: Vec<&str> = table.text.trim_end().lines().collect();
    assert_eq!(rows.len(), 5, "a head, everybody, three countries: {}", table.text);
    assert!(
        rows[1].starts_with("button,all,order,conversion,goal,green,control,300,300,"),
        "{}",
        rows[1]
    );
    let page = ask("experiment", "html");
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(
        page.text.starts_with("<!doctype html>") && page.text.contains("land=DE"),
        "{}",
        page.text
    );
    let refused = ask("active", "csv");
    assert_eq!((refused.status, refused.code().as_str()), (422, "parameter_invalid"));
    assert_eq!(ask("experiment", "xls").status, 422);
}

/// Asked by its key, an experiment that is defined is the question that was written down.
#[test]
fn a_defined_experiment_is_asked_by_its_key_through_its_whole_life() {
    let (_, mut random) = seeded("experiments");
    let collector = TestCollector::start();
    let project = collector.project("defined");
    let bearer = format!("Bearer {}", project.secret_key);
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let post = |path: &str, body: &Value| {
        let reply = collector.post(path, &headers, body.to_string().as_bytes());
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply
    };
    let definition = json!({
        "kind": "experiment", "key": "button", "hypothesis": "Green is seen <earlier>.",
        "variants": [{ "key": "control", "weight": 0.25 }, { "key": "green", "weight": 0.75 }],
        "primary": { "name": "bought", "event": "order" },
        "secondary": [{ "name": "looks", "event": "seen", "kind": "count" }],
        "guardrails": [{ "metric": { "name": "refunds", "event": "refund", "preferred": "decrease" },
            "margin": 0.1 }],
        "mde": 0.2, "ends_at": "2035-01-01T00:00:00Z", "analysis": { "window": "2d" },
    });
    post("/v1/experiments", &definition);
    let ask = |extra: Value| {
        let mut question = json!({ "experiment": "button" });
        question
            .as_object_mut()
            .expect("an object")
            .extend(extra.as_object().expect("one").clone());
        collector.query(&project, "experiment", &question)
    };
    let draft = ask(json!({}));
    assert_eq!(
        (&draft["defined"]["state"], &draft["verdict"]["code"]),
        (&json!("draft"), &json!("not_enough_data"))
    );

    post("/v1/experiments/button/transition", &json!({ "to": "running" }));
    let mut events = Vec::new();
    for person in 0..400 {
        let event = |name: &str, random: &mut _| {
            Event::new(name, random).with("device", format!("{person:064x}"))
        };
        let variant = if person % 4 == 0 { "control" } else { "green" };
        let props = json!({ "experiment": "button", "variant": variant });
        events.push(event("$exposure", &mut random).with("at", now_ms()).with("props", props));
        if person % 8 == 0 || person % 2 == 1 {
            events.push(event("order", &mut random).with("at", now_ms() + 1));
        }
    }
    for batch in events.chunks(500) {
        let receipt = collector.send(&project, batch).json();
        assert_eq!(receipt["ok"].as_u64(), Some(batch.len() as u64), "{receipt}");
    }
    let running = ask(json!({}));
    assert_eq!(running["srm"]["status"], "ok", "a quarter is what was planned: {running:#}");
    let arms: Vec<_> = running["arms"]
        .as_array()
        .expect("arms")
        .iter()
        .map(|arm| {
            (arm["variant"].as_str(), arm["persons"].as_u64(), arm["expected_ratio"].as_f64())
        })
        .collect();
    let want = [(Some("control"), Some(100), Some(0.25)), (Some("green"), Some(300), Some(0.75))];
    assert_eq!(arms, want);
    let metrics: Vec<_> = running["metrics"]
        .as_array()
        .expect("metrics")
        .iter()
        .map(|metric| (metric["name"].as_str(), metric["role"].as_str()))
        .collect();
    let want = [
        (Some("bought"), Some("goal")),
        (Some("looks"), Some("goal")),
        (Some("refunds"), Some("guardrail")),
    ];
    assert_eq!(metrics, want);
    assert_eq!(running["definition"]["plan"]["lift"], 0.2);
    assert_eq!(running["definition"]["window"], "2d");
    assert_eq!(running["outlook"][0]["lift"], 0.2);
    assert_eq!(running["defined"]["hypothesis"], "Green is seen <earlier>.");
    assert!(running["defined"]["replaced"].as_array().is_some_and(Vec::is_empty));

    let other = ask(json!({ "window": "1d", "metrics": [{ "event": "seen" }] }));
    assert_eq!(other["defined"]["replaced"], json!(["metrics", "window"]));
    assert_eq!(other["definition"]["window"], "1d");

    post("/v1/experiments/button/transition", &json!({ "to": "concluded" }));
    let over = ask(json!({ "metrics": [{ "event": "seen" }] }));
    assert!(over["definition"]["plan"]["concluded"].is_string(), "{}", over["definition"]);
    assert_eq!(over["arms"][1]["persons"], 300, "for its dates");
    let page = post("/v1/query/experiment?format=html", &json!({ "experiment": "button" }));
    assert!(
        page.text.contains("Green is seen &lt;earlier&gt;.")
            && page.text.contains("It is concluded")
    );
    let table = post("/v1/query/experiment?format=csv", &json!({ "experiment": "button" }));
    assert!(table.text.lines().nth(1).is_some_and(|row| row.starts_with("button,all,bought,")));
    let file = collector.scratch().join("question.json");
    std::fs::write(&file, r#"{ "experiment": "button" }"#).expect("a file");
    let printed = collector.command_ok(&[
        "query",
        "experiment",
        "--project",
        "defined",
        &file.to_string_lossy(),
    ]);
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed["defined"]["state"], "concluded", "{printed:#}");
}

/// A page load of somebody who met a variant: three events, numbered; perhaps the middle one is lost.
fn page_load(
    person: u32,
    variant: &str,
    is_whole: bool,
    random: &mut impl rand::Rng,
) -> Vec<Event> {
    let event = |name: &str, n: u32, random: &mut _| {
        let writer = format!("{person:032x}");
        let event = Event::new(name, random).with("device", format!("{person:064x}"));
        event.with("writer", writer).with("n", n)
    };
    let props = json!({ "experiment": "button", "variant": variant });
    let mut load = vec![event("$exposure", 0, random).with("props", props)];
    if is_whole {
        load.push(event("seen", 1, random));
    }
    load.push(event("seen", 2, random));
    load
}

#[test]
fn arms_that_lose_differently_are_shown_and_not_believed() {
    let (_, mut random) = seeded("experiments");
    let collector = TestCollector::start();
    let project = collector.project("losses");
    let events: Vec<Event> = (1..=400)
        .flat_map(|person| {
            let variant = ["control", "green"][person as usize % 2];
            // Of green every fourth page load lacks an event, of control every twentieth.
            let is_whole = person / 2 % if variant == "green" { 4 } else { 20 } > 0;
            page_load(person, variant, is_whole, &mut random)
        })
        .collect();
    for batch in events.chunks(500) {
        let receipt = collector.send(&project, batch).json();
        assert_eq!(receipt["ok"].as_u64(), Some(batch.len() as u64), "{receipt}");
    }
    let ask = |loss: bool| {
        let question =
            json!({ "experiment": "button", "loss": loss, "metrics": [{ "event": "seen" }] });
        collector.query(&project, "experiment", &question)
    };
    assert_eq!(ask(false)["checks"]["loss"], Value::Null);
    let answer = ask(true);
    let loss = &answer["checks"]["loss"];
    let figures = |arm: &Value| (arm["page_loads"].as_u64(), arm["page_loads_with_gaps"].as_u64());
    assert_eq!(loss["arms"][0]["variant"], "control", "{loss:#}");
    assert_eq!(figures(&loss["arms"][0]), (Some(200), Some(10)), "{loss:#}");
    assert_eq!(figures(&loss["arms"][1]), (Some(200), Some(50)), "{loss:#}");
    assert_eq!(loss["arms"][1]["completeness_ratio"], 550.0 / 600.0);
    assert_eq!(loss["status"], "failed");
    assert_eq!(
        (&answer["verdict"]["code"], &answer["verdict"]["reason"]),
        (&json!("invalid"), &json!("loss_differs"))
    );
}
