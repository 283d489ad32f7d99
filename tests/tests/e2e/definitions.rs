//! Experiments and flags are defined, started and stopped over HTTP and the command line; pages get
//! what is running and nothing else of it.

use serde_json::{Value, json};
use tallymark_tests::{Reply, TestCollector, TestProject};

/// Somebody with all scopes at one collector.
struct Team<'a> {
    collector: &'a TestCollector,
    project: &'a TestProject,
}

impl Team<'_> {
    fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send_as(&self.project.secret_key, method, path, body)
    }

    fn send_as(&self, key: &str, method: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        let client = self.collector.client();
        let address = self.collector.address();
        let reply = client.send(method, address, path, &headers, body.to_string().as_bytes());
        reply.expect("the server answers")
    }

    fn get(&self, path: &str) -> Value {
        self.collector.get(self.project, path).json()
    }

    fn make(&self, definition: &Value) -> Reply {
        self.send("POST", "/v1/experiments", definition)
    }

    fn go(&self, key: &str, to: &str) -> Reply {
        let body = json!({ "to": to, "note": format!("it is {to}") });
        self.send("POST", &format!("/v1/experiments/{key}/transition"), &body)
    }

    /// The document as a page asks for it, perhaps with the tag of the one it has.
    fn document(&self, tag: Option<&str>) -> Reply {
        let path = format!("/v1/flags/{}", self.project.write_key);
        let headers: Vec<_> = tag.map(|tag| ("if-none-match", tag)).into_iter().collect();
        let client = self.collector.client();
        client.send("GET", self.collector.address(), &path, &headers, b"").expect("an answer")
    }

    fn features(&self) -> Vec<String> {
        let features = self.document(None).json()["features"].clone();
        features.as_object().expect("features").keys().cloned().collect()
    }
}

fn button() -> Value {
    json!({
        "kind": "experiment", "key": "buy-button", "hypothesis": "HYPOTHESIS-stays",
        "variants": [{ "key": "control", "weight": 0.5 }, { "key": "green", "weight": 0.5 }],
        "targeting": { "country": "DE" }, "holdout": "q4", "coverage": 0.5,
        "namespace": { "name": "checkout", "from": 0, "to": 0.5 },
        "primary": { "event": "METRIC-stays" }, "secondary": [{ "event": "viewed" }],
        "guardrails": [{ "metric": { "event": "refund" }, "margin": 0.01 }], "mde": 0.02,
    })
}

#[test]
fn a_definition_lives_from_draft_to_conclusion_and_the_trail_tells_all_of_it() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let team = Team { collector: &collector, project: &project };

    let early = team.make(&button());
    assert_eq!((early.status, early.code().as_str()), (422, "definition_invalid"));
    assert!(early.text.contains("make it first"), "the holdout: {}", early.text);
    let holdout = json!({ "kind": "holdout", "key": "q4", "share": 0.1 });
    assert_eq!(team.make(&holdout).status, 201);
    let made = team.make(&button());
    assert_eq!((made.status, &made.json()["state"]), (201, &json!("draft")));
    assert_eq!(team.make(&button()).code(), "definition_key_taken");
    assert_eq!(team.get("/v1/experiments/buy-button")["definition"]["mde"], 0.02);

    for illegal in ["paused", "concluded", "draft"] {
        let refused = team.go("buy-button", illegal);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (409, "definition_transition_refused")
        );
        assert!(refused.text.contains("running"), "says where it may go: {}", refused.text);
    }
    let mut changed = button();
    changed["variants"][1]["key"] = json!("blue");
    let update = |version: u32, definition: &Value| {
        let body = json!({ "version": version, "definition": definition, "note": "better" });
        team.send("PUT", "/v1/experiments/buy-button", &body)
    };
    assert_eq!(update(1, &changed).json()["version"], 2);
    assert_eq!(update(1, &changed).code(), "definition_changed", "somebody was quicker");

    for (to, version) in [("running", 3), ("paused", 4), ("running", 5)] {
        let moved = team.go("buy-button", to).json();
        assert_eq!((&moved["state"], &moved["version"]), (&json!(to), &json!(version)));
    }
    let frozen = update(5, &button());
    assert_eq!((frozen.status, frozen.code().as_str()), (409, "definition_frozen"));
    assert!(frozen.text.contains("variants"), "{}", frozen.text);
    changed["coverage"] = json!(1);
    assert_eq!(update(5, &changed).status, 200, "more may take part");
    let concluded = team.go("buy-button", "concluded").json();
    assert!(concluded["started_at"].as_i64() < concluded["concluded_at"].as_i64());
    assert_eq!(team.go("buy-button", "running").code(), "definition_transition_refused");
    assert_eq!(update(7, &changed).status, 200, "what changes nothing is no change");
    changed["coverage"] = json!(0.5);
    assert_eq!(update(8, &changed).code(), "definition_frozen");

    let trail = team.get("/v1/experiments/buy-button/audit")["changes"].clone();
    let trail = trail.as_array().expect("changes");
    let actions: Vec<_> = trail.iter().map(|change| change["action"].as_str().unwrap()).collect();
    let want =
        ["update", "concluded", "update", "running", "paused", "running", "update", "create"];
    assert_eq!(actions, want);
    assert_eq!(trail[1]["note"], "it is concluded");
    assert!(trail.iter().all(|change| change["by"].as_str().unwrap().starts_with("key ")));
    assert!(trail.iter().all(|change| change["at"].as_i64().is_some()));
    assert!(trail.windows(2).all(|pair| pair[0]["before"] == pair[1]["after"]), "without gaps");
    assert_eq!(trail.last().unwrap()["before"], Value::Null);
    assert_eq!(trail[0]["after"], team.get("/v1/experiments/buy-button"));
}

#[test]
fn pages_get_what_is_running_and_only_its_public_part() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let other = collector.project("other");
    let team = Team { collector: &collector, project: &project };
    let flag = json!({ "kind": "flag", "key": "new-menu", "value": false,
        "rules": [{ "value": true, "coverage": 0.2 }], "description": "DESCRIPTION-stays" });
    for definition in [json!({ "kind": "holdout", "key": "q4", "share": 0.1 }), button(), flag] {
        assert_eq!(team.make(&definition).status, 201);
    }
    let empty = team.document(None);
    assert_eq!((empty.status, empty.text.as_str()), (200, r#"{"features":{}}"#), "drafts only");

    for key in ["q4", "buy-button", "new-menu"] {
        team.go(key, "running");
    }
    let full = team.document(None);
    assert_eq!(team.features(), ["buy-button", "new-menu"]);
    for kept in ["HYPOTHESIS", "METRIC", "DESCRIPTION", "mde", "margin", "refund", "started_at"] {
        assert!(!full.text.contains(kept), "{kept} in {}", full.text);
    }
    let cache = &full.headers["cache-control"];
    assert!(cache.contains("public") && cache.contains("stale-while-revalidate="), "{cache}");
    assert_eq!(full.headers["access-control-allow-origin"], "*");
    assert_eq!(full.headers["cross-origin-resource-policy"], "cross-origin");
    let tag = full.headers["etag"].clone();
    assert_ne!(tag, empty.headers["etag"]);

    let known = team.document(Some(&tag));
    assert_eq!((known.status, known.text.as_str()), (304, ""));
    assert_eq!(known.headers["etag"], tag);
    assert_eq!(known.headers["access-control-allow-origin"], "*");
    assert_eq!(team.document(Some(&empty.headers["etag"])).status, 200, "another one");

    team.go("buy-button", "paused");
    let fewer = team.document(Some(&tag));
    assert_eq!(fewer.status, 200, "the tag is out of date");
    assert_eq!(team.features(), ["new-menu"]);
    team.go("buy-button", "running");
    assert_eq!(team.document(Some(&tag)).status, 304, "the document of before");

    let theirs = Team { collector: &collector, project: &other };
    assert_eq!(theirs.features(), Vec::<String>::new(), "another project's");
}

#[test]
fn who_may_do_what_is_a_matter_of_scopes() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let team = Team { collector: &collector, project: &project };
    let key = |scope: &str| {
        let made = collector.command_ok(&[
            "key",
            "create",
            "--project",
            "shop",
            "--scope",
            scope,
            "--json",
        ]);
        let made: Value = serde_json::from_str(&made).expect("it is JSON");
        made["key"].as_str().or(made["secret_key"].as_str()).expect("a key").to_owned()
    };
    let (reader, writer) = (key("analytics:read"), key("experiments:write"));
    let flag = json!({ "kind": "flag", "key": "f", "value": 1 });
    let refused = team.send_as(&reader, "POST", "/v1/experiments", &flag);
    assert_eq!((refused.status, refused.code().as_str()), (403, "scope_missing"));
    assert!(refused.text.contains("experiments:write"));
    assert_eq!(team.send_as(&writer, "POST", "/v1/experiments", &flag).status, 201);
    assert_eq!(team.send_as(&reader, "GET", "/v1/experiments/f", &Value::Null).status, 200);
    assert_eq!(
        team.send_as(&writer, "GET", "/v1/experiments", &Value::Null).code(),
        "scope_missing"
    );

    let at = collector.address();
    let page = |key: &str| {
        collector.client().get(at, &format!("/v1/flags/{key}"), None).expect("an answer")
    };
    assert_eq!(page(&project.secret_key).code(), "secret_key_in_browser");
    assert_eq!(page("tm_pk_live_nonsense").code(), "key_malformed");
    assert_eq!(page("tm_pk_live_nonsense").headers["access-control-allow-origin"], "*");
}

#[test]
fn the_command_line_does_the_same_beside_a_running_server() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let team = Team { collector: &collector, project: &project };
    let file = collector.scratch().join("flag.json");
    std::fs::write(&file, r#"{ "kind": "flag", "key": "menu", "value": 1 }"#).expect("a file");
    let file = file.to_string_lossy();
    let run = |words: &[&str]| {
        let all = [&["experiment"], words, &["--project", "shop", "--json"]].concat();
        let lines = collector.command_ok(&all);
        let parse = |line: &str| serde_json::from_str(line).expect("JSON lines");
        lines.lines().map(parse).collect::<Vec<Value>>()
    };
    assert_eq!(run(&["create", &file])[0]["state"], "draft");
    assert_eq!(run(&["start", "menu", "--note", "launch"])[0]["state"], "running");
    // The server looks twice a second for what others wrote.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while team.features().is_empty() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(team.features(), ["menu"]);
    assert_eq!(run(&["list"])[0]["key"], "menu");
    let trail = run(&["audit", "menu"]);
    assert_eq!((&trail[0]["by"], &trail[0]["note"]), (&json!("command line"), &json!("launch")));
    let wrong = collector.command(&["experiment", "pause", "nothing", "--project", "shop"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no definition"));
}
