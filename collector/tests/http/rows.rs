//! Rows of the product's checklist that no other test meets on its way: what is stored, counters, what a host
//! reports of itself, the first moments of the service.

use super::access::session_of;
use super::*;
use tallymark::config::{Sources, load};

impl Service {
    /// The stored events, oldest first, as this key lists them.
    async fn stored(&self, key: &str) -> Vec<Value> {
        let mut events = self.get("/v1/events", Some(key)).await.json()["events"].take();
        let mut events = std::mem::take(events.as_array_mut().unwrap());
        events.reverse();
        events
    }
}

/// Shows S1-01 and S3-01, and of S3-64 the tracking.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_kept_as_it_was_sent_beside_the_time_it_came() {
    let service = service().await;
    let props = json!({ "amount": 12.5, "category": "food", "shared": true });
    let bare = with(event(1), "at", NOW - 5_000);
    let full = with(with(event(2), "name", "expense_logged"), "props", props.clone());
    let full = with(full, "at", NOW - 1);
    assert_eq!(service.batch(json!([bare, full])).await.json()["ok"], 2);
    let mut known = with(event(3), "user_id", "ann");
    known.as_object_mut().unwrap().remove("device");
    assert_eq!(service.as_server(&service.secret_key, json!([known])).await.json()["ok"], 1);

    let stored = service.stored(&service.secret_key).await;
    let fields = |event: &Value| {
        ["name", "at", "received_at", "source", "props", "identified"]
            .map(|name| event[name].clone())
    };
    let want = [
        json!(["opened", NOW - 5_000, NOW, "web", {}, false]),
        json!(["expense_logged", NOW - 1, NOW, "web", props, false]),
        json!(["opened", NOW, NOW, "server", {}, true]),
    ];
    assert_eq!(stored.iter().map(|event| json!(fields(event))).collect::<Vec<_>>(), want);
    assert_eq!(stored[0]["person"], stored[1]["person"]);
    assert_ne!(stored[0]["person"], stored[2]["person"]);

    // It has a name and belongs to a project: without either it is not stored.
    let nameless = service.batch(json!([with(event(4), "name", Value::Null)])).await;
    assert_eq!(nameless.json()["rejected"][0]["code"], "event_name_invalid", "{nameless:?}");
    let body = json!({ "events": [event(5)] }).to_string();
    assert_eq!(service.post("/v1/batch", &[], body).await.status, 401);
    assert_eq!(service.stored(&service.secret_key).await.len(), 3);
    let other = project(&service.app, "other").await;
    let other = key(&service.app, &other, KeyKind::Secret, Scopes::all()).await;
    assert_eq!(service.stored(&other).await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_02_a_hundred_increments_at_once_are_a_hundred_of_one_counter() {
    let service = std::sync::Arc::new(service().await);
    let mut tellers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let service = std::sync::Arc::clone(&service);
        tellers.spawn(async move {
            assert_eq!(service.tell(json!({ "metric": "mails_daily" })).await.status, 200);
        });
    }
    tellers.join_all().await;
    assert_eq!(service.quota("mails_daily").await["current"], 100);
    let counters = service.read("/v1/quotas").await;
    let of_that_name = counters["quotas"].as_array().unwrap().iter();
    assert_eq!(of_that_name.filter(|quota| quota["metric"] == "mails_daily").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_03_a_question_looks_at_rows_of_its_project_and_its_days_only() {
    const WEEKS: i64 = 21 * 86_400_000;
    let service = service().await;
    let at = |numbers: std::ops::Range<u64>, at: i64| -> Value {
        numbers.map(|number| with(event(number), "at", at)).collect()
    };
    let other = project(&service.app, "other").await;
    let other = key(&service.app, &other, KeyKind::Secret, Scopes::all()).await;
    for (key, events) in
        [(&other, at(0..400, NOW)), (&service.secret_key, at(400..800, NOW - WEEKS))]
    {
        assert_eq!(service.as_server(key, events).await.json()["ok"], 400);
    }
    service.batch(at(800..803, NOW)).await;
    service.app.blocking(|app| Ok(app.store.flush())).await.unwrap().unwrap();
    let days = json!({ "from": "2026-11-22", "to": "2026-11-23" });
    for (kind, more) in [
        ("trend", json!({ "series": [{ "event": "opened" }] })),
        ("funnel", json!({ "steps": [{ "event": "opened" }, { "event": "opened" }] })),
        ("active", json!({ "event": "opened" })),
        ("retention", json!({ "start": { "event": "opened" } })),
    ] {
        let mut question = days.clone();
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = service.ask(kind, question).await;
        // Three of the 803 that are stored are meant.
        let looked_at = answer["rows_scanned"].as_u64().unwrap();
        assert!((1..=4).contains(&looked_at), "{kind} looked at {looked_at} rows");
    }
}

/// Shows S1-34.
#[rstest]
#[case::a_letter("x".to_owned())]
#[case::fifty_characters("e".repeat(50))]
#[case::fifty_beyond_ascii("ü".repeat(50))]
#[case::with_dots("a.name.of.our.own".to_owned())]
#[case::with_spaces("A name of our own".to_owned())]
#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_ones_own_is_taken_and_can_be_asked_for(#[case] name: String) {
    let service = service().await;
    let receipt = service.batch(json!([with(event(1), "name", name.as_str())])).await.json();
    assert_eq!(receipt["ok"], 1, "{receipt}");
    assert_eq!(service.count(&name).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_35_metrics_and_their_page_answer_right_after_the_start() {
    let service = service().await;
    assert_eq!(service.get("/metrics", None).await.status, 200);
    let cookie = session_of(&service.app, None).await;
    let request = Request::get("/admin/metrics?project=shop").header("cookie", cookie);
    assert_eq!(service.send(request.body(Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_05_a_name_with_dots_is_stored_and_its_amounts_are_added_up() {
    let service = service().await;
    let order = |number: u64, amount: f64| {
        let event = with(event(number), "name", "business.order.completed");
        with(event, "props", json!({ "amount": amount, "currency": "EUR" }))
    };
    service.batch(json!([order(1, 19.5), order(2, 0.5), order(3, 100.0)])).await;
    let series =
        json!([{ "event": "business.order.completed", "measure": "sum", "prop": "amount" }]);
    assert_eq!(
        service.ask("trend", json!({ "series": series })).await["series"][0]["total"],
        120.0
    );
}

/// Shows S3-28, S3-29, S3-30, S3-31, S3-33, S3-34 and S3-35: the host reports them by a secret key, each is an event of its project.
#[rstest]
#[case::a_registration("auth.user.registered", json!({ "method": "email" }))]
#[case::a_login("auth.user.login", json!({ "method": "password" }))]
#[case::a_build("builder.generate.completed", json!({ "project": "site-7", "duration_ms": 5_210 }))]
#[case::an_upload("files.uploaded", json!({ "size": 4, "type": "text/plain" }))]
#[case::a_webhook("webhook.received", json!({ "from": "stripe", "type": "invoice.paid", "status": 200 }))]
#[case::a_mail("email.sent", json!({ "template": "welcome", "bounced": false }))]
#[case::a_payment("payment.succeeded", json!({ "amount": 29.99, "currency": "EUR" }))]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_reports_is_an_event_of_its_tenant_with_all_it_said(
    #[case] name: &str,
    #[case] props: Value,
) {
    let service = service().await;
    let reported = json!([{ "id": "01a2020f-5b40-7000-8000-000000000001", "name": name, "at": NOW,
        "user_id": "ann", "props": props }]);
    assert_eq!(service.as_server(&service.secret_key, reported).await.json()["ok"], 1);
    let stored = service.stored(&service.secret_key).await;
    assert_eq!((&stored[0]["name"], &stored[0]["props"]), (&json!(name), &props));
    assert_eq!((&stored[0]["source"], &stored[0]["identified"]), (&json!("server"), &json!(true)));
    let other = project(&service.app, "other").await;
    let other = key(&service.app, &other, KeyKind::Secret, Scopes::all()).await;
    assert_eq!(service.stored(&other).await, [] as [Value; 0], "another tenant has no such event");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_40_default_quotas_are_json_and_bad_json_stops_the_start_and_says_why() {
    let start = |text: &str| {
        let env = vec![("TALLYMARK_QUOTA_DEFAULTS".to_owned(), text.to_owned())];
        load(&Sources { env, ..Sources::default() })
    };
    let config = start(r#"{"api_requests_daily": 100000, "builds_daily": 200}"#).unwrap().config;
    let service = service_with(config).await;
    for (metric, limit) in [("api_requests_daily", 100_000), ("builds_daily", 200)] {
        service.tell(json!({ "metric": metric })).await;
        assert_eq!(service.quota(metric).await["limit"], limit);
    }
    for bad in ["", "{", "[]", r#"{"builds_daily": -1}"#, r#"{"builds_daily": "many"}"#] {
        let Err(error) = start(bad) else { panic!("{bad:?} was taken") };
        let error = error.to_string();
        let begin = "quota_defaults (environment TALLYMARK_QUOTA_DEFAULTS): ";
        assert!(error.starts_with(begin), "{bad:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_33_a_scraper_with_the_bearer_gets_text_in_which_every_sample_has_its_family() {
    let mut config = Config::default();
    config.set("metrics_token", "a-token-of-scrapers").unwrap();
    let service = service_with(config).await;
    service.batch(json!([event(1), with(event(2), "name", "")])).await;
    let path = "/api/metrics?format=prometheus";
    assert_eq!(service.get(path, None).await.status, 401);
    let reply = service.get(path, Some("a-token-of-scrapers")).await;
    let text = String::from_utf8(reply.bytes).unwrap();
    let mut family = ("", "");
    let mut samples = 0;
    for line in text.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            family = of.split_once(' ').unwrap();
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().unwrap();
            let end = name.strip_prefix(family.0).unwrap_or_else(|| panic!("{line} of {family:?}"));
            let ends: &[&str] = match family.1 {
                "counter" => &["_total", "_created"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count", "_created"],
                "info" => &["_info"],
                other => panic!("{other}: {line}"),
            };
            assert!(ends.contains(&end), "{line} of {family:?}");
            samples += 1;
        }
    }
    assert!(samples > 20, "{text}");
}

/// Shows of S3-64 what is tracked by itself.
#[tokio::test(flavor = "multi_thread")]
async fn s3_32_each_use_of_a_hosts_key_is_one_more_of_the_day_and_an_event() {
    let service = service().await;
    let bearer = format!("Bearer {}", service.secret_key);
    for calls in 1..=3 {
        let used = json!({ "metric": "api_requests_daily", "amount": 1 }).to_string();
        let told = service.post("/v1/usage", &[("authorization", &bearer)], used).await;
        assert_eq!(told.json()["recorded"], 1, "{told:?}");
        let path = "/v1/usage?metric=api_requests_daily";
        let usage = service.get(path, Some(&service.secret_key)).await.json();
        assert_eq!(usage["metrics"]["api_requests_daily"]["total"], calls, "{usage}");
        let stored = service.stored(&service.secret_key).await;
        let uses = stored.iter().filter(|event| event["name"] == "usage_recorded").count();
        assert_eq!(uses, calls, "{stored:?}");
    }
}

/// Shows S3-68: each step of a tenant's story, over HTTP only, with all that is to be seen of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_made_sends_is_read_is_metered_and_takes_its_data_along() {
    let service = service().await;
    let operator = session_of(&service.app, None).await;

    // 1. The tenant and its key.
    let acme = json!({ "name": "Acme", "slug": "acme" });
    let made = service.as_session(Method::POST, "/api/tenants", &operator, acme).await;
    assert_eq!(made.status, 201, "{made:?}");
    let scopes = ["ingest", "analytics:read", "analytics:export", "usage:write"];
    let wanted = json!({ "name": "host", "kind": "secret", "scopes": scopes });
    let path = "/v1/keys?project=acme";
    let made = service.as_session(Method::POST, path, &operator, wanted).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {key}");
    let read = async |path: &str| {
        let reply = service.get(path, Some(&key)).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply
    };

    // 2. What its host reports: events, and the use of its API.
    let names = ["auth.user.registered", "auth.user.login", "builder.generate.completed"];
    let report = |(number, name): (usize, &&str)| {
        json!({ "id": format!("01a2020f-5b40-7000-8000-{number:012x}"), "name": name, "at": NOW,
            "user_id": "ann" })
    };
    let reports: Value = names.iter().enumerate().map(report).collect();
    assert_eq!(service.as_server(&key, reports).await.json()["ok"], 3);
    let used = json!({ "metric": "api_requests_daily", "amount": 7 }).to_string();
    let told = service.post("/v1/usage", &[("authorization", &bearer)], used).await;
    assert_eq!(told.json()["recorded"], 1, "{told:?}");

    // 3. Its events and key figures.
    let listed = read("/api/analytics/events?event=auth.user.login&user=ann").await.json();
    assert_eq!(listed["events"].as_array().unwrap().len(), 1);
    let figures = read("/api/analytics/metrics").await.json();
    let figure = |name: &str| figures[name].as_u64();
    let want = [Some(1), Some(1), Some(1), Some(7)];
    assert_eq!(["signups", "logins", "builds", "api_calls"].map(figure), want, "{figures}");

    // 4. Quotas at once; the rollup changes nothing that was to be read before.
    let quotas = read("/api/analytics/quotas").await.json();
    let mut quotas = quotas["quotas"].as_array().unwrap().iter();
    let used = quotas.find(|quota| quota["metric"] == "api_requests_daily").unwrap();
    assert_eq!((&used["current"], &used["exceeded"]), (&json!(7), &json!(false)));
    let usage = "/api/analytics/usage?from=2026-11-22&to=2026-11-23&metric=api_requests_daily";
    let before = read(usage).await.json();
    assert_eq!(before["metrics"]["api_requests_daily"]["data"], json!([7]));
    for _ in 0..2 {
        let path = "/api/analytics/rollup";
        let done = service.post(path, &[("authorization", &bearer)], "").await;
        assert_eq!(done.status, 200, "{done:?}");
        assert_eq!(read(usage).await.json(), before);
    }

    // 5. Its table has its own events only, and the service is well.
    let table = read("/api/analytics/export.csv?from=2026-11-22&to=2026-11-22").await;
    let table = String::from_utf8(table.bytes).unwrap();
    for name in names {
        assert_eq!(table.matches(name).count(), 1, "{name} in {table}");
    }
    let others = service.admin("/api/analytics/events").await.json();
    assert_eq!(others["events"], json!([]), "another tenant saw nothing of it");
    let analytics = service.get("/readiness", None).await.json()["analytics"].clone();
    assert_eq!((&analytics["ok"], &analytics["configured"]), (&json!(true), &json!(true)));
}
