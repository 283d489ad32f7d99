//! The growth report as plain text.

use super::*;

const DAY: i64 = 86_400_000;

/// Events by name, person and days ago.
fn played(events: &[(&str, u8, i64)]) -> Value {
    let event = |(number, (name, person, days_ago)): (usize, &(&str, u8, i64))| {
        let event = with(event(number as u64 + 1), "at", NOW - days_ago * DAY);
        with(with(event, "name", *name), "device", format!("{person:02x}").repeat(32))
    };
    events.iter().enumerate().map(event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_has_its_lines_and_its_figures() {
    let service = service().await;
    let events = played(&[
        // New on 18 November, back on the next day and on the third after.
        ("expense_logged", 1, 4),
        ("expense_logged", 1, 3),
        ("expense_logged", 1, 1),
        // New on the same day, never back.
        ("expense_logged", 2, 4),
        // Not in the seven days.
        ("expense_logged", 3, 7),
        // Today, twice, and somebody who only edits.
        ("expense_logged", 4, 0),
        ("expense_logged", 4, 0),
        ("expense_edited", 5, 0),
        ("report_requested", 4, 0),
        ("challenge_started", 4, 2),
        ("challenge_started", 1, 2),
    ]);
    assert_eq!(service.batch(events).await.json()["ok"], 11);
    let report = service.get("/metrics?format=text", Some(&service.secret_key)).await;
    assert_eq!(report.status, 200);
    let want = "\
Growth Metrics
==============
Generated: 2026-11-22 12:30:00 UTC

Daily Active Users
- Today: 1 users
- 7-day: 3 users

Retention (Last 7 Cohorts)
Cohort       D0 Users      D1      D3
2026-11-22          1       -       -
2026-11-21          0       -       -
2026-11-20          0       -       -
2026-11-19          0       -       -
2026-11-18          2   50.0%   50.0%
2026-11-17          0       -       -
2026-11-16          0       -       -

Running Totals
- Total Expenses: 7
- Total Reports: 1
- Challenges Started: 2
";
    assert_eq!(String::from_utf8(report.bytes).unwrap(), want);
    let other = "/metrics?format=text&active=expense_edited&totals=expense_edited,nothing";
    let other = service.get(other, Some(&service.secret_key)).await;
    let text = String::from_utf8(other.bytes).unwrap();
    assert!(text.contains("- Today: 1 users\n"), "{text}");
    assert!(text.ends_with("Running Totals\n- expense_edited: 1\n- nothing: 0\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_needs_a_key_and_the_metrics_of_the_service_do_not() {
    let service = service().await;
    let refused = service.get("/metrics?format=text", None).await;
    assert_eq!(refused.problem(), (401, "sign_in_needed".into()));
    for open in ["/metrics", "/metrics?format=prometheus", "/metrics?format=json"] {
        assert_eq!(service.get(open, None).await.status, 200, "{open}");
    }
    let unknown = service.get("/metrics?format=xml", None).await;
    assert_eq!(unknown.problem(), (422, "parameter_invalid".into()));
}
