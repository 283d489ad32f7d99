//! Routes under the names of other systems, and who may read the metrics of the service.

use super::access::{member, session_of};
use super::*;
use tallymark::access::Role;

const DAY: i64 = 86_400_000;
const TOKEN: &str = "a-token-of-scrapers";

impl Service {
    pub(super) async fn admin(&self, path: &str) -> Reply {
        self.get(path, Some(&self.secret_key)).await
    }

    pub(super) async fn as_session(
        &self,
        method: Method,
        path: &str,
        cookie: &str,
        body: Value,
    ) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("cookie", cookie)
            .header("sec-fetch-site", "same-origin")
            .body(body.to_string().into());
        self.send(request.unwrap()).await
    }

    async fn told(&self, events: &[(&str, &str, i64, Value)]) {
        let event =
            |(number, (name, user, days_ago, props)): (usize, &(&str, &str, i64, Value))| {
                json!({ "id": format!("01a2020f-5b40-7000-8000-{number:012x}"), "name": name,
                "at": NOW - days_ago * DAY, "user_id": user, "props": props })
            };
        let events: Value = events.iter().enumerate().map(event).collect();
        let sent = self.as_server(&self.secret_key, events.clone()).await.json();
        assert_eq!(sent["ok"], events.as_array().unwrap().len(), "{sent}");
    }
}

/// Shows of S3-64 the filters.
#[tokio::test(flavor = "multi_thread")]
async fn s3_09_events_are_listed_by_each_filter() {
    let service = service().await;
    service
        .told(&[
            ("auth.user.login", "ann", 0, json!({})),
            ("auth.user.login", "ben", 1, json!({})),
            ("files.uploaded", "ann", 2, json!({ "size": 4 })),
        ])
        .await;
    service.batch(json!([event(99)])).await;
    for (filter, count) in [
        ("", 4),
        ("event=auth.user.login", 2),
        ("source=server", 3),
        ("source=web", 1),
        ("user=ann", 2),
        ("user=nobody", 0),
        ("from=2026-11-22", 2),
        ("to=2026-11-21", 1),
        ("user=ann&event=files.uploaded&to=2026-11-22", 1),
    ] {
        for path in ["/v1/events", "/api/analytics/events"] {
            let listed = service.admin(&format!("{path}?{filter}")).await.json();
            assert_eq!(listed["events"].as_array().unwrap().len(), count, "{path} {filter}");
        }
    }
    let both = service.admin("/v1/events?user=ann&person=0000000000000001").await;
    assert_eq!(both.problem(), (422, "parameter_invalid".into()));
}

/// Shows S3-15 and S3-16.
#[tokio::test(flavor = "multi_thread")]
async fn s3_11_and_15_usage_and_quotas_are_what_the_first_names_answer() {
    let service = service().await;
    service.batch(json!([event(1)])).await;
    let bearer = format!("Bearer {}", service.secret_key);
    let rolled_up = service.post("/api/analytics/rollup", &[("authorization", &bearer)], "").await;
    assert_eq!(rolled_up.json()["rows"], 2, "s3_16");
    for name in ["usage", "quotas"] {
        let alias = service.admin(&format!("/api/analytics/{name}")).await;
        let first = service.admin(&format!("/v1/{name}")).await;
        assert_eq!((alias.status.as_u16(), &alias.bytes), (200, &first.bytes));
    }
}

/// Shows of S3-64 the key figures.
#[tokio::test(flavor = "multi_thread")]
async fn s3_12_the_figures_of_a_dashboard_are_counts_of_events_and_of_a_metric() {
    let service = service().await;
    service
        .told(&[
            ("auth.user.registered", "ann", 0, json!({})),
            ("auth.user.login", "ann", 0, json!({})),
            ("auth.user.login", "ben", 3, json!({})),
            ("builder.generate.completed", "ann", 1, json!({ "duration": 3 })),
            ("usage_recorded", "ann", 0, json!({ "metric": "api_requests_daily", "amount": 7 })),
            ("usage_recorded", "ann", 0, json!({ "metric": "builds_daily", "amount": 9 })),
        ])
        .await;
    let kpis = service.admin("/api/analytics/metrics").await.json();
    let figure = |name: &str| kpis[name].as_u64().unwrap();
    assert_eq!(["signups", "logins", "builds", "api_calls"].map(figure), [1, 2, 1, 7], "{kpis}");
    let other = "/api/analytics/metrics?from=2026-11-22&to=2026-11-23&signups=auth.user.login&api_calls=builds_daily";
    let kpis = service.admin(other).await.json();
    assert_eq!((&kpis["signups"], &kpis["api_calls"]), (&json!(1), &json!(9)), "{kpis}");
}

/// Shows of S3-64 CSV.
#[tokio::test(flavor = "multi_thread")]
async fn s3_13_the_table_includes_its_last_day_and_takes_filters() {
    let service = service().await;
    let events: Vec<_> = [("ann", 0), ("ann", 1), ("ben", 1), ("ann", 2)]
        .map(|(user, days)| ("auth.user.login", user, days, json!({ "note": "=1+1" })))
        .into();
    service.told(&events).await;
    let lines = async |query: &str| {
        let reply = service.admin(&format!("/api/analytics/export.csv?{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {reply:?}");
        assert_eq!(reply.headers["content-type"], "text/csv; charset=utf-8");
        assert!(!reply.headers.contains_key("x-truncated"));
        String::from_utf8(reply.bytes).unwrap().lines().count() - 1
    };
    for (query, count) in [
        ("", 4),
        ("from=2026-11-20&to=2026-11-21", 3),
        ("from=2026-11-21&to=2026-11-21", 2),
        ("from=2026-11-21&to=2026-11-21&user=ben", 1),
        ("to=2026-11-21T00:00:00Z", 1),
        ("event=other", 0),
    ] {
        assert_eq!(lines(query).await, count, "{query}");
    }
}

/// Shows S3-38.
#[rstest]
#[case::fewer(2, false)]
#[case::as_many(3, false)]
#[case::one_more(4, true)]
#[tokio::test(flavor = "multi_thread")]
async fn s3_14_and_38_more_rows_than_the_setting_are_cut_and_said_so(
    #[case] events: u64,
    #[case] is_cut: bool,
) {
    let mut config = Config::default();
    config.set("max_export_rows", "3").unwrap();
    let service = service_with(config).await;
    service.batch((1..=events).map(event).collect()).await;
    let reply = service.admin("/api/analytics/export.csv").await;
    assert_eq!(reply.headers.get("x-truncated").is_some_and(|said| said == "true"), is_cut);
    let lines = String::from_utf8(reply.bytes).unwrap().lines().count();
    assert_eq!(lines as u64, 1 + events.min(3));
    // The export proper has no such limit.
    let all = service.admin("/v1/export?format=csv&source=web").await;
    assert_eq!(String::from_utf8(all.bytes).unwrap().lines().count() as u64, 1 + events);

    let cookie = session_of(&service.app, None).await;
    let trail = service.as_session(Method::GET, "/v1/organisations/main/audit", &cookie, json!({}));
    let trail = trail.await.json();
    let exports = trail["acts"].as_array().unwrap().iter().filter(|act| act["action"] == "export");
    let noted: Vec<_> = exports.map(|act| act["after"]["events"].clone()).collect();
    assert_eq!(noted, [json!(events), json!(events.min(3))], "s3_49: {trail}");
    assert_eq!(trail["acts"][0]["after"]["filter"], json!({ "source": "web" }));
}

/// Shows of S3-64 the roles.
#[tokio::test(flavor = "multi_thread")]
async fn s3_46_members_who_are_no_admins_have_no_part_in_the_analytics_of_other_names() {
    let service = service().await;
    let account = member(&service.app, MAIN, Role::Analyst, "ann@a.example").await;
    let cookie = session_of(&service.app, Some(account)).await;
    for name in ["events", "usage", "metrics", "export.csv", "quotas"] {
        let path = format!("/api/analytics/{name}?project=shop");
        let reply = service.as_session(Method::GET, &path, &cookie, json!({})).await;
        assert_eq!(reply.problem(), (403, "role_missing".into()), "{path}");
    }
    let operator = session_of(&service.app, None).await;
    let path = "/api/analytics/quotas?project=shop";
    assert_eq!(service.as_session(Method::GET, path, &operator, json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_66_a_tenant_is_made_once_and_by_admins_only() {
    let service = service().await;
    let cookie = session_of(&service.app, None).await;
    let new = json!({ "name": "Acme", "slug": "acme" });
    let made = service.as_session(Method::POST, "/api/tenants", &cookie, new.clone()).await;
    assert_eq!((made.status.as_u16(), &made.json()["slug"]), (201, &json!("acme")), "{made:?}");
    let again = service.as_session(Method::POST, "/api/tenants", &cookie, new.clone()).await;
    assert_eq!(again.problem(), (409, "slug_taken".into()));
    let account = member(&service.app, MAIN, Role::Analyst, "ann@a.example").await;
    let cookie = session_of(&service.app, Some(account)).await;
    let refused = service.as_session(Method::POST, "/api/tenants", &cookie, new).await;
    assert_eq!(refused.problem(), (403, "role_missing".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_56_readiness_says_how_taking_events_is_going() {
    let service = service().await;
    service.batch(json!([event(1), event(2)])).await;
    let before = service.get("/readiness", None).await.json();
    let want =
        json!({ "configured": true, "ok": true, "events_today": 2, "rollup_last_run": null });
    assert_eq!(before["analytics"], want);
    tallymark::usage::rollup::run_if_due(&service.app).await.unwrap();
    let after = service.get("/readiness", None).await.json();
    assert_eq!(after["analytics"]["rollup_last_run"], "2026-11-22T12:30:00Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_05_metrics_need_the_token_where_there_is_one() {
    let mut config = Config::default();
    config.set("metrics_token", TOKEN).unwrap();
    let service = service_with(config).await;
    let scopes = [Scope::MetricsRead].into_iter().collect();
    let scraper = key(&service.app, &service.project, KeyKind::Secret, scopes).await;
    let reads = [Scope::AnalyticsRead].into_iter().collect();
    let reader = key(&service.app, &service.project, KeyKind::Secret, reads).await;
    for path in ["/metrics", "/api/metrics?format=prometheus", "/api/metrics?format=json"] {
        assert_eq!(service.get(path, None).await.problem(), (401, "metrics_token_needed".into()));
        let wrong = service.get(path, Some("another-token-of-scrapers")).await;
        assert_eq!(wrong.problem(), (401, "metrics_token_needed".into()));
        assert_eq!(service.get(path, Some(TOKEN)).await.status, 200, "{path}");
        assert_eq!(service.get(path, Some(&scraper)).await.status, 200, "{path}");
        assert_eq!(service.get(path, Some(&reader)).await.problem().1, "scope_missing");
        let public = service.get(path, Some(&service.write_key)).await;
        assert_eq!(public.problem().1, "metrics_token_needed");
    }
    // The report is about a project, and no matter of the token.
    let report = service.get("/api/metrics?format=text", Some(&reader)).await;
    assert!(String::from_utf8(report.bytes).unwrap().starts_with("Growth Metrics\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_05_without_a_token_metrics_are_for_this_machine() {
    let service = service().await;
    let ask = async |peer: [u8; 4], forwarded: Option<&str>| {
        let mut request = Request::get("/api/metrics");
        if let Some(by) = forwarded {
            request = request.header("x-forwarded-for", by);
        }
        let request = request.body(Body::empty()).unwrap();
        service.front.answer((peer, 1).into(), request).await.status().as_u16()
    };
    assert_eq!(ask([127, 0, 0, 1], None).await, 200);
    assert_eq!(
        ask([127, 0, 0, 1], Some("203.0.113.7")).await,
        401,
        "a proxy asks for somebody else"
    );
    assert_eq!(ask([10, 0, 0, 7], None).await, 401);
}

fn paid(
    user: &'static str,
    days_ago: i64,
    amount: f64,
) -> (&'static str, &'static str, i64, Value) {
    let props = json!({ "amount": amount, "currency": "EUR" });
    ("payment.completed", user, days_ago, props)
}

/// Shows S4-30, S4-31 and S4-32.
#[tokio::test(flavor = "multi_thread")]
async fn s4_29_to_32_the_business_is_summed_up_for_a_range() {
    let service = service().await;
    let month =
        json!({ "amount": 10, "currency": "EUR", "interval": "month", "subscription": "a" });
    service
        .told(&[
            ("user_registered", "ann", 20, json!({})),
            ("user_registered", "ben", 2, json!({})),
            ("user_registered", "ben", 1, json!({})),
            ("subscription.created", "ann", 2, month),
            paid("ann", 2, 10.0),
            paid("cem", 10, 8.0),
            ("opened", "dan", 0, json!({})),
        ])
        .await;
    let week = service.admin("/api/admin/metrics?range=7d").await.json();
    let want = json!({ "totalUsers": 2.0, "activeUsers": 3, "monthlyRecurringRevenue": 10.0,
        "conversionRate": 100.0 / 3.0, "revenue": 10.0, "revenueGrowth": 0.25, "currency": "EUR" });
    assert_eq!(week["summary"], want, "{week}");
    assert_eq!((&week["from"], &week["to"]), (&json!("2026-11-16"), &json!("2026-11-23")));
    let month = service.admin("/api/admin/metrics").await.json();
    assert_eq!((&month["range"], &month["summary"]["revenue"]), (&json!("30d"), &json!(18.0)));
    assert_eq!(month["summary"]["conversionRate"], 50.0, "ann and cem of four");
    assert_eq!(month["summary"]["revenueGrowth"], Value::Null, "there was nothing before");
    assert_eq!(service.admin("/api/admin/metrics?range=90d").await.status, 200);
    for bad in ["1d", "30", ""] {
        let reply = service.admin(&format!("/api/admin/metrics?range={bad}")).await;
        assert_eq!(reply.problem(), (400, "range_unknown".into()));
    }
    assert_eq!(service.get("/api/admin/metrics", None).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_currencies_are_never_added_up() {
    let service = service().await;
    let dollars = json!({ "amount": 5, "currency": "USD" });
    service.told(&[paid("ann", 0, 10.0), ("payment.completed", "ben", 0, dollars)]).await;
    let sums = service.admin("/api/admin/metrics").await.json();
    assert_eq!(sums["summary"]["revenue"], Value::Null);
    let revenue = |at: usize| sums["currencies"][at]["revenue"].as_f64().unwrap();
    assert_eq!((revenue(0), revenue(1)), (10.0, 5.0), "{sums}");
}

/// Shows S1-20, S1-22 and S1-24.
#[tokio::test(flavor = "multi_thread")]
async fn s1_19_the_growth_page_is_for_admins_and_shows_what_the_text_says() {
    let service = service().await;
    service
        .told(&[
            ("expense_logged", "ann", 4, json!({})),
            ("expense_logged", "ben", 4, json!({})),
            ("expense_logged", "ann", 3, json!({})),
            ("expense_logged", "cem", 0, json!({})),
            ("report_requested", "cem", 0, json!({})),
        ])
        .await;
    let path = "/admin/metrics?project=shop&unknown=zero";
    let nobody = service.get(path, None).await;
    assert_eq!(nobody.status, 401);
    assert!(String::from_utf8(nobody.bytes).unwrap().contains("<form"), "the way in");
    let account = member(&service.app, MAIN, Role::Viewer, "ann@a.example").await;
    let viewer = session_of(&service.app, Some(account)).await;
    assert_eq!(service.as_session(Method::GET, path, &viewer, json!({})).await.status, 403);

    let cookie = session_of(&service.app, None).await;
    let page = service.as_session(Method::GET, path, &cookie, json!({})).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let page = String::from_utf8(page.bytes).unwrap();
    for part in [
        r#"<div id="today"><span>Today</span><b>1</b></div>"#,
        r#"<div id="week"><span>7 days</span><b>3</b></div>"#,
        r#"<th scope="row">2026-11-18</th><td>2</td><td class="good">50.0%</td><td class="poor">0.0%</td>"#,
        r#"<span aria-hidden="true">💶</span> Total Expenses<b>4</b>"#,
        r#"<span aria-hidden="true">📄</span> Total Reports<b>1</b>"#,
        r#"<span aria-hidden="true">🏁</span> Challenges Started<b>0</b>"#,
        r#"<a href="/metrics?format=text&amp;project=shop&#38;unknown=zero" download="metrics.txt">"#,
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let elsewhere = page.replace("http://www.w3.org", "");
    assert!(
        !elsewhere.contains("http") || !elsewhere.contains("://"),
        "s1_20: nothing from elsewhere"
    );
    assert!(!page.contains("<style"), "the policy would not take it");
    let style = service.get("/admin/metrics.css", None).await;
    let style = String::from_utf8(style.bytes).unwrap();
    assert!(style.contains("@media print"), "s1_26");
    assert!(style.contains("gradient") && !style.contains("url("), "s1_22, s1_20: {style}");
    let script = service.get("/admin/metrics.js", None).await;
    assert_eq!(script.headers["content-type"], "text/javascript; charset=utf-8");
    assert!(String::from_utf8(script.bytes).unwrap().contains("EVERY_MS = 300_000"));
}
