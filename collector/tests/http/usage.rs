//! Usage by day, quotas, the rollup.

use super::*;
use tallymark::usage::rollup;

const HOUR: i64 = 3_600_000;
/// From [`NOW`] to the next midnight, UTC.
const TO_MIDNIGHT: i64 = 11 * HOUR + HOUR / 2;

impl Service {
    pub(super) async fn tell(&self, body: Value) -> Reply {
        let bearer = format!("Bearer {}", self.secret_key);
        self.post("/v1/usage", &[("authorization", &bearer)], body.to_string()).await
    }

    pub(super) async fn read(&self, path: &str) -> Value {
        let reply = self.get(path, Some(&self.secret_key)).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    async fn roll_up(&self, path: &str) -> Value {
        let bearer = format!("Bearer {}", self.secret_key);
        let reply = self.post(path, &[("authorization", &bearer)], "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub(super) async fn quota(&self, metric: &str) -> Value {
        self.read(&format!("/v1/quotas?metric={metric}")).await["quotas"][0].clone()
    }

    async fn set_quotas(&self, quotas: Value) -> Reply {
        let body = json!({ "settings": { "quotas": quotas } });
        let request = Request::patch("/v1/project")
            .header("authorization", format!("Bearer {}", self.secret_key))
            .body(body.to_string().into());
        self.send(request.unwrap()).await
    }

    pub(super) async fn metrics(&self) -> String {
        String::from_utf8(self.get("/metrics", None).await.bytes).unwrap()
    }

    /// Wait for a line of the metrics that is written behind the answer.
    async fn settles(&self, line: &str) {
        for _ in 0..100 {
            if self.metrics().await.contains(&format!("{line}\n")) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("no {line}: {}", self.metrics().await);
    }
}

/// A service with a setting.
async fn with_setting(key: &str, text: &str) -> Service {
    let mut config = Config::default();
    config.set(key, text).unwrap();
    service_with(config).await
}

/// Shows S3-02 and S3-16, and of S3-64 the aggregation.
#[tokio::test(flavor = "multi_thread")]
async fn s3_06_three_increments_are_three_at_once_and_after_the_rollup() {
    let service = service().await;
    for amount in [json!({}), json!({ "amount": 1 }), json!({ "amount": 1 })] {
        let body = json!({ "metric": "builds_daily", "amount": amount.get("amount").unwrap_or(&json!(1)) });
        let told = service.tell(body).await;
        assert_eq!((told.status.as_u16(), &told.json()["recorded"]), (200, &json!(1)));
    }
    assert_eq!(service.quota("builds_daily").await["current"], 3);
    let usage = "/v1/usage?from=2026-11-21&to=2026-11-23&metric=builds_daily";
    let want = json!({ "days": ["2026-11-21", "2026-11-22"], "complete": false,
        "metrics": { "builds_daily": { "data": [0, 3], "total": 3 } } });
    assert_eq!(service.read(usage).await, want);
    for _ in 0..2 {
        let done = service.roll_up("/v1/usage/rollup").await;
        // Events and their bytes are figures too.
        assert_eq!(done["rows"], 3);
        assert!(done["duration_ms"].is_u64());
        assert_eq!(service.read(usage).await, want, "however often");
    }
    let table = service.app.meta.daily_usage().list(service.project.id, 0..i32::MAX).await.unwrap();
    let builds = table.iter().find(|day| day.metric == "builds_daily").unwrap();
    assert_eq!((table.len(), builds.amount), (3, 3), "one row for each metric and day");
}

/// Shows S3-62.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_again_counts_once_and_many_can_be_told_at_once() {
    let service = service().await;
    let id = "01a2020f-5b40-7000-8000-000000000001";
    let told = json!({ "metric": "builds_daily", "amount": 4, "id": id });
    assert_eq!(service.tell(told.clone()).await.json()["recorded"], 1);
    let again = service.tell(json!({ "usage": [told, { "metric": "mails:sent" }] })).await.json();
    assert_eq!((&again["recorded"], &again["duplicate"]), (&json!(1), &json!(1)));
    let current = |at: usize| again["quotas"][at]["current"].clone();
    assert_eq!((current(0), current(1)), (json!(4), json!(1)), "{again}");

    // The same as an event among others, from a server; from a page it is an event like any other.
    let event = with(
        with(event(2), "name", "usage_recorded"),
        "props",
        json!({ "metric": "builds_daily" }),
    );
    assert_eq!(service.as_server(&service.secret_key, json!([event])).await.json()["ok"], 1);
    let page = with(event.clone(), "id", "01a2020f-5b40-7000-8000-000000000003");
    assert_eq!(service.batch(json!([page])).await.json()["ok"], 1);
    assert_eq!(service.quota("builds_daily").await["current"], 5);
    let bad = with(
        with(event, "id", "01a2020f-5b40-7000-8000-000000000004"),
        "props",
        json!({ "metric": "A" }),
    );
    let receipt = service.as_server(&service.secret_key, json!([bad])).await.json();
    assert_eq!(
        receipt["rejected"][0]["code"], "props_invalid",
        "a typing mistake is not lost silently"
    );
}

#[rstest]
#[case::no_metric(json!({ "amount": 1 }), "json_invalid")]
#[case::upper_case(json!({ "metric": "Builds" }), "parameter_invalid")]
#[case::ours(json!({ "metric": "events_daily" }), "parameter_invalid")]
#[case::negative(json!({ "metric": "a", "amount": -1 }), "json_invalid")]
#[case::a_part(json!({ "metric": "a", "amount": 0.5 }), "json_invalid")]
#[case::too_much(json!({ "metric": "a", "amount": 9_007_199_254_740_993_u64 }), "parameter_invalid")]
#[case::no_uuid7(json!({ "metric": "a", "id": "1" }), "parameter_invalid")]
#[case::unknown_field(json!({ "metric": "a", "user": "ann" }), "json_invalid")]
#[case::too_many(json!({ "usage": vec![json!({ "metric": "a" }); 501] }), "parameter_invalid")]
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_counted_is_refused_whole(#[case] body: Value, #[case] code: &str) {
    let service = service().await;
    assert_eq!(service.tell(body).await.problem().1, code);
    assert_eq!(service.read("/v1/quotas").await["quotas"], json!([]));
}

/// Shows S3-15.
#[tokio::test(flavor = "multi_thread")]
async fn stored_events_their_bytes_and_refused_ones_are_counted_for_every_project() {
    let service = service().await;
    service.batch(json!([event(1), event(2), with(event(3), "name", "")])).await;
    service.batch(json!([event(1)])).await;
    // `opened` and `{}`.
    let want = [("event_bytes_daily", 16), ("events_daily", 2), ("refused_daily", 1)];
    let standings = service.read("/v1/quotas").await;
    let got = standings["quotas"].as_array().unwrap().iter();
    let got: Vec<_> = got
        .map(|quota| (quota["metric"].as_str().unwrap(), quota["current"].as_i64().unwrap()))
        .collect();
    assert_eq!(got, want);
    assert_eq!(
        (&standings["day"], &standings["quotas"][0]["limit"]),
        (&json!("2026-11-22"), &Value::Null)
    );
}

/// Shows S3-43, and of S3-64 the quotas.
#[tokio::test(flavor = "multi_thread")]
async fn s3_07_a_quota_is_exceeded_by_one_more_than_it_allows_and_s3_42_stops_nothing() {
    let service = with_setting("quota_defaults", r#"{"builds_daily":2}"#).await;
    for (current, exceeded) in [(1, false), (2, false), (3, true)] {
        let told = service.tell(json!({ "metric": "builds_daily" })).await;
        assert_eq!(told.status, 200);
        let quota = &told.json()["quotas"][0];
        let want = json!({ "metric": "builds_daily", "current": current, "limit": 2,
            "exceeded": exceeded, "policy": "soft", "allowed": true });
        assert_eq!(*quota, want);
        assert_eq!(service.quota("builds_daily").await, want, "s3_43: at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_44_the_counter_rises_once_for_each_day_on_which_a_quota_is_exceeded() {
    let service = with_setting("quota_defaults", r#"{"builds_daily":1}"#).await;
    let line = r#"tallymark_quota_exceeded_total{tenant="",metric="builds_daily"}"#;
    service.tell(json!({ "metric": "builds_daily" })).await;
    assert!(!service.metrics().await.contains(line));
    for _ in 0..3 {
        service.tell(json!({ "metric": "builds_daily" })).await;
    }
    service.settles(&format!("{line} 1")).await;
    service.app.clock.advance(24 * HOUR);
    service.tell(json!({ "metric": "builds_daily", "amount": 2 })).await;
    service.settles(&format!("{line} 2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_41_a_projects_own_quota_stands_before_the_default_and_s3_39_none_where_they_are_off() {
    let service = with_setting("quota_defaults", r#"{"builds_daily":100,"mails_daily":5}"#).await;
    assert_eq!(
        service.set_quotas(json!({ "builds_daily": 1, "mails_daily": null })).await.status,
        200
    );
    let told = json!({ "usage": [{ "metric": "builds_daily", "amount": 2 }, { "metric": "mails_daily", "amount": 9 }] });
    let quotas = service.tell(told.clone()).await.json()["quotas"].clone();
    assert_eq!((&quotas[0]["limit"], &quotas[0]["exceeded"]), (&json!(1), &json!(true)));
    assert_eq!((&quotas[1]["limit"], &quotas[1]["exceeded"]), (&Value::Null, &json!(false)));
    let bad = service.set_quotas(json!({ "Builds": 1 })).await;
    assert_eq!(bad.problem(), (422, "setting_invalid".into()));

    let service = with_setting("quotas_enabled", "false").await;
    service
        .set_quotas(json!({ "builds_daily": { "limit": 0, "policy": "throttle" },
        "events_daily": { "limit": 0, "policy": "throttle" } }))
        .await;
    let quotas = service.tell(told).await.json()["quotas"].clone();
    assert_eq!((&quotas[0]["exceeded"], &quotas[0]["allowed"]), (&json!(false), &json!(true)));
    assert_eq!(service.batch(json!([event(1)])).await.status, 200);
    assert_eq!(service.read("/v1/quotas").await["enabled"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_throttles_refuses_batches_until_it_is_raised_or_the_day_is_over() {
    let service = service().await;
    let quota = |limit: u64| json!({ "events_daily": { "limit": limit, "policy": "throttle" } });
    service.set_quotas(quota(2)).await;
    assert_eq!(service.batch(json!([event(1), event(2)])).await.status, 200);
    let refused = service.batch(json!([event(3)])).await;
    assert_eq!(refused.problem(), (429, "quota_exceeded".into()));
    assert_eq!(refused.headers["retry-after"], "300");
    assert_eq!(refused.headers["access-control-expose-headers"], "retry-after");
    service.set_quotas(quota(3)).await;
    assert_eq!(service.batch(json!([event(3)])).await.json()["ok"], 1, "what was refused arrives");
    assert_eq!(service.batch(json!([event(4)])).await.status, 429);
    service.app.clock.advance(TO_MIDNIGHT - 1);
    assert_eq!(service.batch(json!([event(4)])).await.headers["retry-after"], "1");
    service.app.clock.advance(1);
    assert_eq!(service.batch(json!([event(4)])).await.json()["ok"], 1);
    let usage = service.read("/v1/usage?from=2026-11-22&to=2026-11-24&metric=events_daily").await;
    assert_eq!(usage["metrics"]["events_daily"]["data"], json!([3, 1]));
    // Others are not concerned.
    let other = project(&service.app, "other").await;
    let key =
        key(&service.app, &other, KeyKind::Public, [Scope::Ingest].into_iter().collect()).await;
    let body = json!({ "key": key, "sent_at": NOW, "events": [event(9)] });
    service.set_quotas(quota(0)).await;
    assert_eq!(service.batch(json!([event(5)])).await.status, 429);
    assert_eq!(service.post("/v1/batch", &[], body.to_string()).await.json()["ok"], 1);
}

/// Shows S3-18, S3-60 and S3-61.
#[tokio::test(flavor = "multi_thread")]
async fn s3_17_the_rollup_runs_once_at_ten_past_midnight_and_catches_up_what_was_missed() {
    let service = service().await;
    let app = &service.app;
    service.batch(json!([event(1)])).await;
    assert!(rollup::run_if_due(app).await.unwrap(), "there was none yet");
    assert!(!rollup::run_if_due(app).await.unwrap());
    app.clock.advance(TO_MIDNIGHT + 10 * 60_000 - 1);
    assert!(!rollup::run_if_due(app).await.unwrap(), "00:09:59.999");
    app.clock.advance(1);
    assert!(rollup::run_if_due(app).await.unwrap(), "00:10:00.000");
    assert!(!rollup::run_if_due(app).await.unwrap(), "once");
    let last = app.meta.daily_usage().last().await.unwrap().unwrap();
    assert_eq!(last.ended_ms, app.clock.now_ms());

    service.batch(json!([event(2), event(3)])).await;
    app.clock.advance(3 * 24 * HOUR);
    assert!(rollup::run_if_due(app).await.unwrap());
    let usage = service.read("/v1/usage?from=2026-11-22&to=2026-11-26&metric=events_daily").await;
    let want = json!({ "data": [1, 2, 0, 0], "total": 3 });
    assert_eq!((&usage["metrics"]["events_daily"], &usage["complete"]), (&want, &json!(true)));
    let metrics = service.metrics().await;
    assert!(
        metrics.contains("tallymark_analytics_rollup_duration_seconds_count 3\n"),
        "s3_18: {metrics}"
    );
    let all = r#"tallymark_analytics_rollup_duration_seconds_bucket{le="+Inf"} 3"#;
    assert!(metrics.contains(all), "a histogram: {metrics}");
    let at = format!(
        "tallymark_analytics_rollup_last_run_seconds {:?}\n",
        app.clock.now_ms() as f64 / 1e3
    );
    assert!(metrics.contains(&at), "{at} in {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_19_a_rollup_that_fails_changes_nothing_and_is_made_later() {
    let service = service().await;
    service.batch(json!([event(1)])).await;
    let database = sqlx::sqlite::SqliteConnectOptions::new().filename(service.app.folder.meta_db());
    let mut database = sqlx::ConnectOptions::connect(&database).await.unwrap();
    sqlx::query("ALTER TABLE rollup RENAME TO gone").execute(&mut database).await.unwrap();
    assert!(rollup::run(&service.app, i32::MIN, None).await.is_err());
    sqlx::query("ALTER TABLE gone RENAME TO rollup").execute(&mut database).await.unwrap();
    let table = service.app.meta.daily_usage();
    assert_eq!(table.list(service.project.id, 0..i32::MAX).await.unwrap(), []);
    assert!(rollup::run_if_due(&service.app).await.unwrap());
    let days = table.list(service.project.id, 0..i32::MAX).await.unwrap();
    let events: Vec<_> = days.iter().filter(|day| day.metric == "events_daily").collect();
    assert_eq!((events.len(), events[0].amount), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_49_a_rollup_by_hand_is_in_the_audit_trail_and_needs_its_scope() {
    let service = service().await;
    service.roll_up("/v1/usage/rollup").await;
    let cookie = access::session_of(&service.app, None).await;
    let request = Request::get("/v1/organisations/main/audit").header("cookie", cookie);
    let audit = service.send(request.body(Body::empty()).unwrap()).await.json();
    let entry = &audit["acts"][0];
    assert_eq!(
        (&entry["action"], &entry["subject"]),
        (&json!("rollup"), &json!("usage")),
        "{audit}"
    );
    let reads = [Scope::AnalyticsRead].into_iter().collect();
    let reader = key(&service.app, &service.project, KeyKind::Secret, reads).await;
    for path in ["/v1/usage/rollup", "/v1/usage"] {
        let bearer = format!("Bearer {reader}");
        let refused = service.post(path, &[("authorization", &bearer)], "{}").await;
        assert_eq!(refused.problem(), (403, "scope_missing".into()), "s3_47");
        assert_eq!(service.get("/v1/usage", Some(&reader)).await.status, 200);
    }
}

/// Shows S4-01.
#[tokio::test(flavor = "multi_thread")]
async fn s3_37_where_analytics_are_off_batches_are_taken_and_dropped() {
    let service = with_setting("analytics_enabled", "false").await;
    let reply = service.batch(json!([event(1)])).await;
    assert_eq!(reply.status, 202);
    assert_eq!(reply.json(), json!({ "nonce": "n1", "ok": 0, "dup": 0, "rejected": [] }));
    assert_eq!(service.tell(json!({ "metric": "a" })).await.status, 202);
    assert_eq!(service.count("opened").await, 0);
    let counted = r#"tallymark_events_refused_total{code="analytics_disabled"} 1"#;
    assert!(service.metrics().await.contains(counted), "every loss is counted");
    let said = service.get("/readiness", None).await.json();
    assert_eq!(said["analytics"]["configured"], false);
}

/// Shows S3-58 and S3-59.
#[tokio::test(flavor = "multi_thread")]
async fn s3_57_metrics_by_project_have_their_labels_where_they_are_wanted() {
    let mut config = Config::default();
    for (key, text) in [
        ("metrics_by_project", "true"),
        ("metrics_prefix", "sbh"),
        ("quota_defaults", r#"{"builds_daily":2}"#),
    ] {
        config.set(key, text).unwrap();
    }
    let service = service_with(config).await;
    service.batch(json!([event(1), event(2)])).await;
    service.batch(json!([event(1)])).await;
    service.tell(json!({ "metric": "builds_daily", "amount": 3 })).await;
    let metrics = service.metrics().await;
    for line in [
        r#"sbh_analytics_events_total{tenant="shop",event="opened",source="web"} 2"#,
        r#"sbh_analytics_events_total{tenant="shop",event="usage_recorded",source="server"} 1"#,
        r#"sbh_usage_count_total{tenant="shop",metric="builds_daily"} 3"#,
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} in {metrics}");
    }
    service.settles(r#"sbh_quota_exceeded_total{tenant="shop",metric="builds_daily"} 1"#).await;
}

#[rstest]
#[case::backwards("from=2026-11-02&to=2026-11-01")]
#[case::eleven_years("from=2016-11-01&to=2026-11-30")]
#[case::an_instant("from=yesterday")]
#[tokio::test(flavor = "multi_thread")]
async fn days_that_make_no_sense_are_named(#[case] range: &str) {
    let service = service().await;
    let reply = service.get(&format!("/v1/usage?{range}"), Some(&service.secret_key)).await;
    assert_eq!(reply.problem(), (422, "parameter_invalid".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_stores_no_more_bytes_than_its_setting_and_a_batch() {
    let service = service().await;
    let set = async |settings: Value| {
        let body = json!({ "settings": settings }).to_string();
        let request = Request::patch("/v1/project")
            .header("authorization", format!("Bearer {}", service.secret_key))
            .body(body.into());
        service.send(request.unwrap()).await
    };
    // An event is `opened` and `{}`: eight bytes.
    assert_eq!(set(json!({ "stored_bytes": 20 })).await.status, 200);
    assert_eq!(service.batch(json!([event(1), event(2)])).await.status, 200);
    service.app.clock.advance(3 * 24 * HOUR);
    assert_eq!(service.batch(json!([event(3), event(4)])).await.json()["ok"], 2, "16 bytes so far");
    let full = service.batch(json!([event(5)])).await;
    assert_eq!(full.problem(), (429, "stored_bytes_full".into()));
    assert_eq!(full.headers["retry-after"], "300");
    service.app.blocking(|app| Ok(app.store.flush())).await.unwrap().unwrap();
    assert_eq!(service.batch(json!([event(5)])).await.status, 429);
    set(json!({ "stored_bytes": null })).await;
    assert_eq!(service.batch(json!([event(5)])).await.json()["ok"], 1, "what was refused arrives");
}

/// Shows S3-54.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_and_a_network_have_budgets_beside_the_keys() {
    let service = with_setting("network_burst", "6").await;
    let other =
        key(&service.app, &service.project, KeyKind::Public, [Scope::Ingest].into_iter().collect());
    let other = other.await;
    let body = json!({ "settings": { "batches_per_s": 1 } }).to_string();
    let request = Request::patch("/v1/project")
        .header("authorization", format!("Bearer {}", service.secret_key))
        .body(body.into());
    assert_eq!(service.send(request.unwrap()).await.status, 200);
    let send = async |key: &str| {
        let body = json!({ "key": key, "events": [] }).to_string();
        service.post("/v1/batch", &[], body).await.status.as_u16()
    };
    // Five at once, whatever the key.
    for key in [&service.write_key, &other, &service.write_key, &other, &service.write_key] {
        assert_eq!(send(key).await, 200);
    }
    assert_eq!(send(&other).await, 429);
    // Another project of the same network has one token left of the network's six.
    let quiet = project(&service.app, "quiet").await;
    let theirs =
        key(&service.app, &quiet, KeyKind::Public, [Scope::Ingest].into_iter().collect()).await;
    assert_eq!(send(&theirs).await, 200);
    assert_eq!(send(&theirs).await, 429);
    let elsewhere = Request::post("/v1/batch")
        .body(Body::from(json!({ "key": theirs, "events": [] }).to_string()));
    let elsewhere = service.front.answer(([203, 0, 113, 7], 1).into(), elsewhere.unwrap()).await;
    assert_eq!(elsewhere.status(), 200, "another network has its own");
    assert_eq!(
        service.as_server(&service.secret_key, json!([])).await.status,
        429,
        "of the project"
    );
}
