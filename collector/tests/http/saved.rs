//! Cohorts, questions and annotations under a name, over HTTP: their life, their scopes, and questions that name them.

use super::activity::days;
use super::*;

impl Service {
    async fn saved(&self, method: Method, path: &str, body: Value) -> Reply {
        self.saved_as(&self.secret_key, method, path, body).await
    }

    pub async fn saved_as(&self, key: &str, method: Method, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder().method(method).uri(format!("/v1/saved/{path}"));
        let request = request.header("authorization", format!("Bearer {key}"));
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn put(&self, path: &str, body: Value) -> Reply {
        self.saved(Method::PUT, path, body).await
    }

    async fn persons(&self, cohort: Value) -> Value {
        let question = json!({ "from": "2026-11-01", "to": "2026-12-01", "cohort": cohort,
            "series": [{ "measure": "persons" }] });
        self.ask("trend", question).await
    }
}

/// Who did it so often.
fn often(at_least: u64) -> Value {
    json!({ "cohort": { "did": { "event": "opened", "at_least": at_least } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_cohort_is_asked_by_its_name_and_a_version_of_it_for_ever() {
    let service = service().await;
    service.batch(days(&[(1, 3), (1, 2), (1, 1), (2, 2), (2, 1), (3, 1)])).await;
    let made = service.put("cohorts/regulars", often(2)).await;
    assert_eq!((made.status.as_u16(), &made.json()["version"]), (201, &json!(1)));
    let first = service.persons(json!("regulars")).await;
    assert_eq!(first["series"][0]["total"], 2);
    let definition = first["definition"]["cohort"].clone();
    assert_eq!(definition["saved"]["version"], 1);
    assert_eq!(definition["saved"]["rules"], often(2)["cohort"]);

    let mut stricter = often(3);
    stricter["version"] = json!(1);
    assert_eq!(service.put("cohorts/regulars", stricter.clone()).await.json()["version"], 2);
    let again = service.put("cohorts/regulars", stricter).await;
    assert_eq!(again.problem(), (409, "saved_changed".into()));
    let taken = service.put("cohorts/regulars", often(1)).await;
    assert_eq!(taken.problem(), (409, "saved_key_taken".into()));

    // The newest by its name, an old one by its version, also as an answer's definition names it.
    let others = json!([{ "not": { "saved": "regulars" } }]);
    assert_eq!(service.persons(json!("regulars")).await["series"][0]["total"], 1);
    assert_eq!(service.persons(others).await["series"][0]["total"], 2);
    assert_eq!(service.persons(definition.clone()).await["series"][0]["total"], 2);

    let gone = service.saved(Method::DELETE, "cohorts/regulars?version=2", Value::Null).await;
    assert_eq!(gone.json()["version"], 3);
    let bearer = format!("Bearer {}", service.secret_key);
    let body = json!({ "cohort": "regulars" }).to_string();
    let refused = service.post("/v1/query/trend", &[("authorization", &bearer)], body).await;
    assert_eq!(refused.problem(), (404, "saved_unknown".into()));
    assert_eq!(service.persons(definition).await["series"][0]["total"], 2);

    // A name that was free again does not take old numbers.
    assert_eq!(service.put("cohorts/regulars", often(1)).await.json()["version"], 4);
    let trail = service.saved(Method::GET, "cohorts/regulars/audit", Value::Null).await.json();
    let actions: Vec<_> =
        trail["changes"].as_array().unwrap().iter().map(|c| &c["action"]).collect();
    assert_eq!(actions, ["create", "remove", "update", "create"]);
    assert!(trail["changes"][0]["by"].as_str().unwrap().starts_with("key "));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_takes_a_saved_cohort() {
    let service = service().await;
    service.batch(days(&[(1, 3), (1, 2), (2, 2)])).await;
    service.put("cohorts/regulars", often(2)).await;
    let steps = json!([{ "event": "opened" }, { "event": "opened" }]);
    for (kind, mut question) in [
        ("trend", json!({})),
        ("active", json!({})),
        ("funnel", json!({ "steps": steps })),
        ("retention", json!({})),
        ("lifecycle", json!({})),
        ("stickiness", json!({})),
        (
            "experiment",
            json!({ "experiment": "x", "metrics": [{ "name": "n", "event": "opened" }] }),
        ),
        ("content", json!({})),
        ("pwa", json!({})),
        ("paths", json!({ "by": "event" })),
        ("sessions", json!({})),
        ("attribution", json!({ "conversion": { "event": "opened" } })),
        ("revenue", json!({})),
        ("persons", json!({})),
        ("person", json!({ "person": "00f3a1b2c4d5e6f7" })),
        ("explain", json!({ "steps": steps, "rules": ["tallymark", "posthog"] })),
    ] {
        question["cohort"] = json!("regulars");
        let answer = service.ask(kind, question).await;
        assert_eq!(answer["definition"]["cohort"]["saved"]["key"], "regulars", "{kind}");
        if kind == "persons" {
            assert_eq!(answer["count"], 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cohort_cannot_stand_in_itself_and_makes_sense_when_it_is_saved() {
    let service = service().await;
    let saved = |key: &str| json!({ "cohort": { "saved": key } });
    assert_eq!(service.put("cohorts/a", often(1)).await.status, 201);
    assert_eq!(service.put("cohorts/b", saved("a")).await.status, 201);
    let mut turned = saved("b");
    turned["version"] = json!(1);
    for (path, body, want) in [
        ("cohorts/a", turned, (422, "saved_invalid")),
        ("cohorts/c", saved("c"), (422, "saved_invalid")),
        ("cohorts/c", saved("nobody"), (404, "saved_unknown")),
        (
            "cohorts/c",
            json!({ "cohort": { "saved": { "key": "a", "version": 9 } } }),
            (404, "saved_version_unknown"),
        ),
        ("cohorts/c", json!({ "cohort": { "knows": "x" } }), (422, "saved_invalid")),
        ("cohorts/C", often(1), (422, "saved_invalid")),
        ("flags/c", often(1), (404, "saved_kind_unknown")),
        (
            "questions/q",
            json!({ "kind": "trend", "question": { "bucket": "year" } }),
            (422, "saved_invalid"),
        ),
        ("questions/q", json!({ "kind": "guess" }), (422, "saved_invalid")),
        ("cohorts/b", json!({ "cohort": [], "version": "1" }), (422, "saved_invalid")),
    ] {
        let refused = service.put(path, body.clone()).await;
        assert_eq!(refused.problem(), (want.0, want.1.to_owned()), "{path} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_question_is_asked_again_with_other_dates() {
    let service = service().await;
    service.batch(days(&[(1, 3), (2, 1)])).await;
    let question =
        json!({ "from": "2026-11-01", "to": "2026-12-01", "series": [{ "event": "opened" }] });
    let body = json!({ "name": "Opened", "kind": "trend", "question": question });
    assert_eq!(service.put("questions/opened", body).await.status, 201);
    let ask = async |fields: Value| {
        service.saved(Method::POST, "questions/opened/ask", fields).await.json()["series"][0]["total"].clone()
    };
    assert_eq!(ask(Value::Null).await, 2);
    assert_eq!(ask(json!({ "from": "2026-11-21" })).await, 1);
    let missing = service.saved(Method::POST, "questions/closed/ask", Value::Null).await;
    assert_eq!(missing.problem(), (404, "saved_unknown".into()));
    let wrong =
        service.saved(Method::POST, "questions/opened/ask", json!({ "bucket": "year" })).await;
    assert_eq!(wrong.problem(), (422, "question_malformed".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_are_listed_by_time() {
    let service = service().await;
    for (key, at, to) in
        [("release", "2026-11-02", Value::Null), ("sale", "2026-11-10", json!("2026-11-20"))]
    {
        let body = json!({ "text": key, "at": at, "to": to });
        assert_eq!(service.put(&format!("annotations/{key}"), body).await.status, 201);
    }
    let list = async |times: &str| {
        let path = format!("annotations{times}");
        let all = service.saved(Method::GET, &path, Value::Null).await.json();
        let keys = all["saved"].as_array().unwrap().iter();
        keys.map(|saved| saved["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, ["release", "sale"]);
    assert_eq!(list("?from=2026-11-15").await, ["sale"]);
    assert_eq!(list("?to=2026-11-10").await, ["release"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn saving_needs_its_scope_and_stays_in_its_project() {
    let service = service().await;
    let app = &service.app;
    let other = project(app, "other").await;
    let scopes = |scope| [scope].into_iter().collect();
    let reader = key(app, &service.project, KeyKind::Secret, scopes(Scope::AnalyticsRead)).await;
    let stranger = key(app, &other, KeyKind::Secret, Scopes::all()).await;
    service.put("cohorts/regulars", often(2)).await;
    let refused = service.saved_as(&reader, Method::PUT, "cohorts/more", often(1)).await;
    assert_eq!(refused.problem(), (403, "scope_missing".into()));
    let removed =
        service.saved_as(&reader, Method::DELETE, "cohorts/regulars?version=1", Value::Null);
    assert_eq!(removed.await.problem().0, 403);
    assert_eq!(
        service.saved_as(&reader, Method::GET, "cohorts/regulars", Value::Null).await.status,
        200
    );
    let foreign = service.saved_as(&stranger, Method::GET, "cohorts/regulars", Value::Null).await;
    assert_eq!(foreign.problem(), (404, "saved_unknown".into()));
    let own = service.saved_as(&stranger, Method::GET, "cohorts", Value::Null).await;
    assert_eq!(own.json(), json!({ "saved": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_is_split_by_saved_cohorts() {
    let service = service().await;
    service.batch(days(&[(1, 3), (2, 2)])).await;
    service.put("cohorts/regulars", often(2)).await;
    let ask = async |slices: Value| {
        service.ask("experiment", json!({ "experiment": "none", "slices": slices })).await
    };
    let one = ask(json!([{ "cohort": "regulars" }])).await;
    let slice = &one["definition"]["slices"][0];
    assert_eq!(
        (&slice["name"], &slice["cohort"]["saved"]["version"]),
        (&json!("regulars"), &json!(1))
    );
    let own = json!([["country", { "cohort": { "saved": "regulars" }, "name": "often here" }]]);
    let two = ask(own).await;
    assert_eq!(two["definition"]["slices"][0][1]["name"], "often here");
    let bearer = format!("Bearer {}", service.secret_key);
    let unknown = json!({ "experiment": "none", "slices": [{ "cohort": "nobody" }] }).to_string();
    let refused =
        service.post("/v1/query/experiment", &[("authorization", &bearer)], unknown).await;
    assert_eq!(refused.problem(), (404, "saved_unknown".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_read_with_saved_cohorts_and_refuses_those_that_nobody_saved() {
    let service = service().await;
    service.put("cohorts/regulars", often(2)).await;
    let define = async |key: &str, analysis: Value| {
        let definition = json!({ "kind": "experiment", "key": key, "analysis": analysis,
            "variants": [{ "key": "control" }, { "key": "green" }] });
        let bearer = format!("Bearer {}", service.secret_key);
        let headers = [("authorization", bearer.as_str())];
        service.post("/v1/experiments", &headers, definition.to_string()).await
    };
    let named = json!({ "cohort": "regulars", "slices": [{ "cohort": "regulars" }, "country"] });
    let made = define("button", named.clone()).await;
    assert_eq!(made.status, 201, "{}", made.json());
    assert_eq!(
        made.json()["definition"]["analysis"],
        named,
        "a name stays a name until it is asked"
    );
    let asked = service.ask("experiment", json!({ "experiment": "button" })).await;
    assert_eq!(asked["definition"]["cohort"]["saved"]["rules"], often(2)["cohort"]);
    assert_eq!(asked["definition"]["slices"][0]["name"], "regulars");
    for unknown in [json!({ "cohort": "nobody" }), json!({ "slices": [{ "cohort": "nobody" }] })] {
        let refused = define("other", unknown).await;
        assert_eq!(refused.problem(), (422, "definition_invalid".into()));
        assert!(refused.json()["detail"].as_str().unwrap().contains("nobody"));
    }
    let nonsense = define("other", json!({ "cohort": { "did": 1 } })).await;
    assert_eq!(nonsense.problem(), (422, "definition_invalid".into()));
}
