//! Rows of the product's checklist that are about figures and text output: one test each, named by its row.

use super::*;

const DAY: i64 = 86_400_000;
/// 2026-11-22T00:00:00Z.
const TODAY: i64 = NOW - 45_000_000;

/// Who did what, when (days before now), with which properties.
type Did<'a> = (&'a str, u8, i64, Value);

fn did(name: &str, person: u8, days_ago: i64) -> Did<'_> {
    (name, person, NOW - days_ago * DAY, json!({}))
}

async fn played(events: &[Did<'_>]) -> Service {
    let service = service().await;
    for (part, events) in events.chunks(500).enumerate() {
        let event = |(number, (name, person, at, props)): (usize, &Did<'_>)| {
            let event = with(event((part * 500 + number) as u64 + 1), "at", *at);
            let event = with(with(event, "name", *name), "props", props.clone());
            with(event, "device", format!("{person:02x}").repeat(32))
        };
        let receipt = service.batch(events.iter().enumerate().map(event).collect()).await.json();
        assert_eq!(receipt["ok"], events.len(), "{receipt}");
    }
    service
}

impl Service {
    async fn report(&self, more: &str) -> String {
        let reply = self.get(&format!("/metrics?format=text{more}"), Some(&self.secret_key)).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
        String::from_utf8(reply.bytes).unwrap()
    }
}

/// The figure behind a line's title.
fn line<'a>(report: &'a str, title: &str) -> &'a str {
    let mut lines = report.lines().filter_map(|line| line.strip_prefix(title));
    lines.next().unwrap_or_else(|| panic!("no {title:?} in {report}"))
}

/// Values of a breakdown and their totals.
fn rows(trend: &Value) -> Vec<(Option<&str>, Option<u64>)> {
    let series = trend["series"].as_array().unwrap().iter();
    series.map(|row| (row["value"].as_str(), row["total"].as_u64())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_05_an_expense_makes_active_and_is_counted() {
    let props = json!({ "amount": 12.5, "category": "food", "source": "form" });
    let service = played(&[("expense_logged", 1, NOW, props)]).await;
    let report = service.report("").await;
    assert_eq!((line(&report, "- Today: "), line(&report, "- Total Expenses: ")), ("1 users", "1"));
    let sum =
        json!({ "series": [{ "event": "expense_logged", "measure": "sum", "prop": "amount" }] });
    assert_eq!(service.ask("trend", sum).await["series"][0]["total"], 12.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_06_an_edited_expense_is_stored_and_counts_nowhere() {
    let props = json!({ "expense_id": "7" });
    let service = played(&[("expense_edited", 1, NOW, props)]).await;
    let report = service.report("").await;
    assert_eq!((line(&report, "- Today: "), line(&report, "- Total Expenses: ")), ("0 users", "0"));
    assert_eq!(service.count("expense_edited").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_07_a_requested_report_is_counted_and_makes_nobody_active() {
    let service = played(&[did("report_requested", 1, 0)]).await;
    let report = service.report("").await;
    assert_eq!((line(&report, "- Today: "), line(&report, "- Total Reports: ")), ("0 users", "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_08_reports_are_told_apart_by_type() {
    let of = |report_type: &str| json!({ "report_type": report_type });
    let service = played(&[
        ("report_requested", 1, NOW, of("summary_week")),
        ("report_requested", 1, NOW, of("summary_month")),
        ("report_requested", 2, NOW, of("summary_week")),
    ])
    .await;
    let question =
        json!({ "series": [{ "event": "report_requested" }], "breakdown": "report_type" });
    let answer = service.ask("trend", question).await;
    assert_eq!(rows(&answer), [(Some("summary_week"), Some(2)), (Some("summary_month"), Some(1))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_10_sources_add_up_to_all_events_and_rare_ones_are_other() {
    let from = |source: &str| json!({ "source": source });
    let mut events = Vec::new();
    for (source, count) in [("messenger", 4), ("form", 3), ("PWA", 2), ("fax", 1), ("pigeon", 1)] {
        events.extend((0..count).map(|_| ("expense_logged", 1, NOW, from(source))));
    }
    let service = played(&events).await;
    let question = json!({ "series": [{ "event": "expense_logged" }],
        "breakdown": { "prop": "source", "limit": 3 } });
    let answer = service.ask("trend", question).await;
    let want = [
        (Some("messenger"), Some(4)),
        (Some("form"), Some(3)),
        (Some("PWA"), Some(2)),
        (None, Some(2)),
    ];
    assert_eq!(rows(&answer), want);
    assert_eq!(answer["series"][3]["group"], "other");
    assert_eq!(service.count("expense_logged").await, 11);
}

/// Shows S1-30.
#[tokio::test(flavor = "multi_thread")]
async fn s1_11_who_logs_five_expenses_today_is_one_active_user_of_the_utc_day() {
    let mut events: Vec<Did<'_>> = (0..5).map(|_| did("expense_logged", 1, 0)).collect();
    events.push(did("expense_edited", 2, 0));
    events.push(("expense_logged", 3, TODAY, json!({})));
    events.push(("expense_logged", 4, TODAY - 1, json!({})));
    let service = played(&events).await;
    assert_eq!(line(&service.report("").await, "- Today: "), "2 users");
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_12_seven_days_are_today_and_the_six_before_it() {
    let (first, before) = (TODAY - 6 * DAY, TODAY - 6 * DAY - 1);
    let service = played(&[
        did("expense_logged", 1, 0),
        did("expense_logged", 1, 2),
        ("expense_logged", 2, first, json!({})),
        ("expense_logged", 3, before, json!({})),
    ])
    .await;
    assert_eq!(line(&service.report("").await, "- 7-day: "), "2 users");
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_13_retention_is_of_the_first_day_ever_and_exactly_one_and_three_days_after() {
    let service = played(&[
        // Of four who are new on 18 November one is back on day 1 only, one on day 3 only, one on day 2.
        did("expense_logged", 1, 4),
        did("expense_logged", 1, 3),
        did("expense_logged", 2, 4),
        did("expense_logged", 2, 1),
        did("expense_logged", 3, 4),
        did("expense_logged", 3, 2),
        did("expense_logged", 4, 4),
        // Somebody who was new long before is in no cohort of the week.
        did("expense_logged", 5, 20),
        did("expense_logged", 5, 4),
    ])
    .await;
    let report = service.report("").await;
    let cohort: Vec<&str> = line(&report, "2026-11-18").split_whitespace().collect();
    assert_eq!(cohort, ["4", "25.0%", "25.0%"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_14_the_last_seven_cohorts_are_there_newest_first_also_those_of_nobody() {
    let service = played(&[did("expense_logged", 1, 2)]).await;
    let report = service.report("").await;
    let days: Vec<&str> =
        report.lines().filter(|line| line.starts_with("2026-")).map(|line| &line[8..10]).collect();
    assert_eq!(days, ["22", "21", "20", "19", "18", "17", "16"]);
    assert_eq!(line(&report, "2026-11-20").split_whitespace().next(), Some("1"));
    assert_eq!(line(&report, "2026-11-21").split_whitespace().next(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_15_running_totals_are_the_counts_of_the_events_themselves() {
    let mut events = Vec::new();
    for (name, count) in [("expense_logged", 7), ("report_requested", 4), ("challenge_started", 2)]
    {
        events.extend((0..count).map(|number| did(name, number as u8, i64::from(number))));
    }
    let service = played(&events).await;
    let report = service.report("").await;
    for (title, name) in [
        ("- Total Expenses: ", "expense_logged"),
        ("- Total Reports: ", "report_requested"),
        ("- Challenges Started: ", "challenge_started"),
    ] {
        let raw = service.get(&format!("/v1/events?event={name}"), Some(&service.secret_key)).await;
        let raw = raw.json()["events"].as_array().unwrap().len();
        assert_eq!(line(&report, title), raw.to_string(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_16_the_report_is_the_same_byte_for_byte_but_for_its_numbers() {
    let report = service().await.report("").await;
    let cohort = |day: u32| format!("2026-11-{day}          0       -       -\n");
    let want = "Growth Metrics\n==============\nGenerated: 2026-11-22 12:30:00 UTC\n\nDaily Active Users\n\
                - Today: 0 users\n- 7-day: 0 users\n\nRetention (Last 7 Cohorts)\n\
                Cohort       D0 Users      D1      D3\n";
    let cohorts: String = (16..=22).rev().map(cohort).collect();
    let totals =
        "\nRunning Totals\n- Total Expenses: 0\n- Total Reports: 0\n- Challenges Started: 0\n";
    assert_eq!(report, [want, &cohorts, totals].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_17_the_block_of_active_users_has_two_lines() {
    let service = played(&[did("expense_logged", 1, 0), did("expense_logged", 2, 3)]).await;
    let report = service.report("").await;
    assert!(
        report.contains("\nDaily Active Users\n- Today: 1 users\n- 7-day: 2 users\n\n"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_18_shares_have_one_decimal_and_unknown_ones_a_dash_or_zero_as_asked() {
    let service = played(&[
        did("expense_logged", 1, 4),
        did("expense_logged", 2, 4),
        did("expense_logged", 3, 4),
        did("expense_logged", 3, 3),
        did("expense_logged", 4, 1),
    ])
    .await;
    let report = service.report("").await;
    assert!(report.contains("\nCohort       D0 Users      D1      D3\n"), "{report}");
    assert!(report.contains("\n2026-11-18          3   33.3%    0.0%\n"), "{report}");
    assert!(report.contains("\n2026-11-21          1       -       -\n"), "{report}");
    let older = service.report("&unknown=zero").await;
    assert!(older.contains("\n2026-11-21          1    0.0%    0.0%\n"), "{older}");
    let refused = "/metrics?format=text&unknown=maybe";
    let refused = service.get(refused, Some(&service.secret_key)).await;
    assert_eq!(refused.problem(), (422, "parameter_invalid".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_37_a_scrape_gets_metrics_in_its_own_format() {
    let reply = service().await.get("/metrics", None).await;
    let kind = reply.headers["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let text = String::from_utf8(reply.bytes).unwrap();
    assert!(text.ends_with("# EOF\n"));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

/// The questions that the documentation gives for the figures of the report, in their order.
#[tokio::test(flavor = "multi_thread")]
async fn s1_38_every_figure_of_the_report_is_the_question_that_its_definition_says() {
    let service = played(&[
        did("expense_logged", 1, 0),
        did("expense_logged", 2, 3),
        did("expense_logged", 2, 2),
        did("expense_logged", 3, 9),
        did("report_requested", 3, 9),
        did("challenge_started", 3, 9),
    ])
    .await;
    let page = include_str!("../../../docs/questions.md");
    let (_, part) = page.split_once("## The growth report").expect("the report is documented");
    let part = part.split("\n## ").next().unwrap();
    let mut figures = Vec::new();
    for block in part.split("```json ").skip(1) {
        let (kind, rest) = block.split_once('\n').unwrap();
        let (body, _) = rest.split_once("```").unwrap();
        figures.push(service.ask(kind, serde_json::from_str(body).unwrap()).await);
    }
    let [active, retention, totals] = &figures[..] else { panic!("three questions: {figures:?}") };
    let report = service.report("").await;
    let last = |list: &Value| list.as_array().unwrap().last().unwrap().to_string();
    assert_eq!(line(&report, "- Today: "), format!("{} users", last(&active["dau"])));
    assert_eq!(line(&report, "- 7-day: "), format!("{} users", last(&active["wau"])));
    let total = |index: usize| totals["series"][index]["total"].to_string();
    assert_eq!(line(&report, "- Total Expenses: "), total(0));
    assert_eq!(line(&report, "- Total Reports: "), total(1));
    assert_eq!(line(&report, "- Challenges Started: "), total(2));
    for cohort in retention["cohorts"].as_array().unwrap().iter().rev().take(7) {
        let shown = line(&report, cohort["from"].as_str().unwrap());
        let size = shown.split_whitespace().next().unwrap();
        assert_eq!(size, cohort["size"].to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_39_challenges_have_a_completion_rate() {
    let mut events: Vec<Did<'_>> =
        (1..=4).map(|person| did("challenge_started", person, 1)).collect();
    events.push(did("challenge_completed", 1, 0));
    let service = played(&events).await;
    assert_eq!(line(&service.report("").await, "- Challenges Started: "), "4");
    let series = json!([{ "event": "challenge_started" }, { "event": "challenge_completed" }]);
    let answer = service.ask("trend", json!({ "series": series, "formula": "B / A" })).await;
    assert_eq!(answer["series"][0]["total"], 0.25);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_40_installs_and_what_became_of_their_prompts_are_counted() {
    let outcome = |outcome: &str| json!({ "outcome": outcome });
    let service = played(&[
        ("$pwa_prompt", 1, NOW - 3, outcome("shown")),
        ("$pwa_prompt", 1, NOW - 2, outcome("accepted")),
        ("$pwa_install", 1, NOW - 1, json!({})),
        ("$pwa_prompt", 2, NOW - 3, outcome("shown")),
        ("$pwa_prompt", 2, NOW - 2, outcome("dismissed")),
    ])
    .await;
    let answer = service.ask("pwa", json!({})).await;
    let stage = |at: usize| {
        (answer["stages"][at]["stage"].as_str(), answer["stages"][at]["persons"].as_u64())
    };
    let want = [
        (Some("prompt_shown"), Some(2)),
        (Some("prompt_accepted"), Some(1)),
        (Some("installed"), Some(1)),
    ];
    assert_eq!([stage(0), stage(1), stage(2)], want);
    let outcomes = json!({ "series": [{ "event": "$pwa_prompt" }], "breakdown": "outcome" });
    let outcomes = service.ask("trend", outcomes).await;
    let want =
        [(Some("shown"), Some(2)), (Some("accepted"), Some(1)), (Some("dismissed"), Some(1))];
    assert_eq!(rows(&outcomes), want);
}

fn used(feature: &str, tips: f64) -> Value {
    json!({ "feature": feature, "duration": 60, "viewers": 12, "tips_received": tips, "currency": "EUR" })
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_41_features_are_counted_by_use_and_by_users() {
    let service = played(&[
        ("feature_usage", 1, NOW, used("live", 1.0)),
        ("feature_usage", 1, NOW, used("live", 1.0)),
        ("feature_usage", 2, NOW, used("polls", 1.0)),
    ])
    .await;
    let by = |measure: &str| json!({ "series": [{ "event": "feature_usage", "measure": measure }], "breakdown": "feature" });
    let uses = service.ask("trend", by("count")).await;
    assert_eq!(rows(&uses), [(Some("live"), Some(2)), (Some("polls"), Some(1))]);
    let users = service.ask("trend", by("persons")).await;
    assert_eq!(rows(&users), [(Some("live"), Some(1)), (Some("polls"), Some(1))]);
}

fn met(experiment: &str, variant: &str) -> Value {
    json!({ "experiment": experiment, "variant": variant, "feature": "buy" })
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_42_any_event_of_who_met_a_variant_belongs_to_that_variant() {
    let service = played(&[
        ("experiment_exposure", 1, NOW - 9, met("button", "green")),
        ("experiment_exposure", 2, NOW - 9, met("button", "red")),
        did("expense_logged", 1, 0),
        did("expense_logged", 1, 0),
        did("expense_logged", 2, 0),
        did("expense_logged", 3, 0),
    ])
    .await;
    let metrics = json!([{ "event": "expense_logged", "kind": "count" }]);
    let question = json!({ "experiment": "button", "metrics": metrics });
    let arms = service.ask("experiment", question).await["metrics"][0]["arms"].clone();
    let sums = [&arms[0], &arms[1]].map(|arm| (arm["variant"].as_str(), arm["sum"].as_f64()));
    assert_eq!(sums, [(Some("green"), Some(2.0)), (Some("red"), Some(1.0))]);
    // Also in questions that know nothing of experiments.
    let variant = json!({ "prop": "variant", "value": "green" });
    let cohort = json!({ "did": { "event": "experiment_exposure", "where": variant } });
    let question = json!({ "series": [{ "event": "expense_logged" }], "cohort": cohort });
    assert_eq!(service.ask("trend", question).await["series"][0]["total"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_60_tips_are_added_up_by_feature() {
    let service = played(&[
        ("feature_usage", 1, NOW, used("live", 2.5)),
        ("feature_usage", 2, NOW, used("live", 0.1)),
        ("feature_usage", 2, NOW, used("polls", 0.2)),
    ])
    .await;
    let series = json!([{ "event": "feature_usage", "measure": "sum", "prop": "tips_received" }]);
    let answer = service
        .ask("trend", json!({ "series": series, "breakdown": ["feature", "currency"] }))
        .await;
    let sums =
        [0, 1].map(|at| (&answer["series"][at]["value"], answer["series"][at]["total"].as_f64()));
    let want = [(&json!(["live", "EUR"]), Some(2.6)), (&json!(["polls", "EUR"]), Some(0.2))];
    assert_eq!(sums, want);
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_61_a_funnel_is_made_of_its_steps_events_and_their_time_is_averaged() {
    let step = |number: u64, name: &str, time_spent: f64| {
        json!({ "funnel": "signup", "step": name, "step_number": number, "completed": true,
            "time_spent": time_spent })
    };
    let service = played(&[
        ("funnel_step", 1, NOW - 30, step(1, "email", 10.0)),
        ("funnel_step", 1, NOW - 20, step(2, "profile", 40.0)),
        ("funnel_step", 1, NOW - 10, step(3, "done", 1.0)),
        ("funnel_step", 2, NOW - 30, step(1, "email", 20.0)),
        ("funnel_step", 2, NOW - 20, step(2, "profile", 60.0)),
        ("funnel_step", 3, NOW - 30, step(1, "email", 30.0)),
        (
            "funnel_step",
            4,
            NOW - 30,
            json!({ "funnel": "other", "step": "email", "step_number": 1 }),
        ),
    ])
    .await;
    let of = |number: u64| {
        json!({ "event": "funnel_step", "where": [{ "prop": "step_number", "value": number },
            { "prop": "completed", "value": "true" }] })
    };
    let steps = json!([of(1), of(2), of(3)]);
    let only = json!([{ "prop": "funnel", "value": "signup" }]);
    let answer = service.ask("funnel", json!({ "steps": steps, "where": only })).await;
    let persons = [0, 1, 2].map(|at| answer["steps"][at]["persons"].as_u64());
    assert_eq!(persons, [Some(3), Some(2), Some(1)]);
    let series = json!([{ "event": "funnel_step", "measure": "avg", "prop": "time_spent" }]);
    let question = json!({ "series": series, "where": only, "breakdown": "step" });
    let answer = service.ask("trend", question).await;
    let mut spent: Vec<_> = answer["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["value"].as_str().unwrap(), row["total"].as_f64().unwrap()))
        .collect();
    spent.sort_by(|a, b| a.0.cmp(b.0));
    assert_eq!(spent, [("done", 1.0), ("email", 20.0), ("profile", 50.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_62_the_first_exposure_decides_the_variant_and_the_feature_is_kept() {
    let service = played(&[
        ("experiment_exposure", 1, NOW - 9, met("button", "green")),
        ("experiment_exposure", 1, NOW - 8, met("button", "red")),
        ("experiment_exposure", 2, NOW - 9, met("button", "red")),
    ])
    .await;
    let ask = |policy: &'static str| {
        service.ask(
            "experiment",
            json!({ "experiment": "button", "multiple_exposure": policy, "slices": ["feature"] }),
        )
    };
    let persons = |answer: &Value| {
        let arms = answer["arms"].as_array().unwrap().iter();
        arms.map(|arm| {
            (arm["variant"].as_str().unwrap().to_owned(), arm["persons"].as_u64().unwrap())
        })
        .collect::<Vec<_>>()
    };
    let first = ask("first_seen").await;
    assert_eq!(persons(&first), [("green".to_owned(), 1), ("red".to_owned(), 1)]);
    assert_eq!(first["slices"][0]["value"], json!(["buy"]));
    let excluded = ask("exclude").await;
    assert_eq!(excluded["excluded"]["multi_variant"], 1);
}

/// Two arms of a hundred, of whom so many convert with so much each.
fn converting(converted: [u8; 2]) -> Vec<Did<'static>> {
    let mut events = Vec::new();
    for person in 0..200u8 {
        let (arm, place) = (usize::from(person % 2), person / 2);
        let variant = ["control", "green"][arm];
        events.push(("experiment_exposure", person, NOW - 9, met("button", variant)));
        let mut props = met("button", variant);
        props["converted"] = (place < converted[arm]).into();
        props["conversion_value"] = 2.5.into();
        events.push(("experiment_conversion", person, NOW - 5, props));
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_63_conversions_after_the_exposure_have_rate_and_value_with_intervals() {
    let mut events = converting([20, 30]);
    // Converted, and only then met it.
    events.push(("experiment_exposure", 200, NOW - 4, met("button", "green")));
    events.push((
        "experiment_conversion",
        200,
        NOW - 5,
        json!({ "experiment": "button", "variant": "green", "converted": true }),
    ));
    let service = played(&events).await;
    let metrics = json!([{ "name": "rate" }, { "name": "value", "kind": "mean", "prop": "conversion_value" }]);
    let answer =
        service.ask("experiment", json!({ "experiment": "button", "metrics": metrics })).await;
    let [rate, value] = [0, 1].map(|metric| &answer["metrics"][metric]["arms"]);
    assert_eq!((&rate[0]["conversions"], &rate[0]["rate"]), (&json!(20), &json!(0.2)));
    assert_eq!((&rate[1]["persons"], &rate[1]["conversions"]), (&json!(101), &json!(30)));
    assert_eq!(value[0]["sum"], 50.0);
    assert_eq!(value[1]["sum"], 75.0);
    for arm in [&rate[0], &rate[1]] {
        let (low, high) = (&arm["rate_interval"]["low"], &arm["rate_interval"]["high"]);
        assert!(low.as_f64() < arm["rate"].as_f64() && arm["rate"].as_f64() < high.as_f64());
    }
    for metric in [0, 1] {
        let effect = &answer["metrics"][metric]["effects"][0];
        assert!(effect["absolute_interval"]["low"].is_number(), "{effect}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_77_cohorts_have_retention_and_what_each_person_brought_by_then() {
    let paid = |amount: f64| json!({ "amount": amount });
    let service = played(&[
        ("paid", 1, NOW - 10 * DAY, paid(10.0)),
        ("paid", 1, NOW - 9 * DAY, paid(5.0)),
        ("paid", 2, NOW - 10 * DAY, paid(20.0)),
        ("paid", 2, NOW - 8 * DAY, paid(1.0)),
    ])
    .await;
    let event = json!({ "event": "paid" });
    let ask = |mode: &'static str| {
        service.ask(
            "retention",
            json!({ "from": "2026-11-12", "to": "2026-11-13", "start": event,
            "return": event, "periods": 3, "mode": mode, "sum": "amount" }),
        )
    };
    let retention = ask("on").await["cohorts"][0].clone();
    assert_eq!((&retention["size"], &retention["returned"]), (&json!(2), &json!([2, 1, 1, 0])));
    let worth = ask("on_or_before").await["cohorts"][0].clone();
    assert_eq!(worth["sums"], json!([30.0, 35.0, 36.0, 36.0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_78_an_ab_test_by_events_shows_its_sizes_check_and_its_interval() {
    let service = played(&converting([10, 60])).await;
    let answer = service.ask("experiment", json!({ "experiment": "button" })).await;
    assert_eq!(answer["srm"]["status"], "ok");
    let effect = &answer["metrics"][0]["effects"][0];
    assert!(effect["always_valid"]["absolute_interval"]["low"].as_f64() > Some(0.0), "{effect}");
    // Clear, and ten seconds old.
    assert_eq!(answer["verdict"]["reason"], "minimum_run");
}
