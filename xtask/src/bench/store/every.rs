//! The questions beyond the usual ones, so that every kind is measured: `cargo xtask bench questions`.
//!
//! Left out is the explanation of rules: it tries a person again with each difference between two rules taken away, and
//! no query language has the rules, let alone their differences.

use serde_json::{Value, json};

use super::questions::{Question, list, numbers};

/// All of them, in the order of the table.
pub(super) const EVERY: &[Question] = &[
    Question {
        name: "revenue",
        title: "revenue: sum and median by day",
        kind: "trend",
        asked: || {
            let series = |measure: &str| json!({ "event": "purchase", "measure": measure, "prop": "revenue" });
            json!({ "bucket": "day", "series": [series("sum"), series("p50")] })
        },
        figures: |answer| {
            let mills = |series: usize| -> Value {
                let data = list(&answer["series"][series]["data"]);
                data.iter()
                    .map(|figure| (figure.as_f64().unwrap_or(-1.0) * 1000.0).round() as i64)
                    .collect()
            };
            json!([mills(0), mills(1)])
        },
        follows_persons: false,
    },
    Question {
        name: "pairs",
        title: "persons by country and device",
        kind: "trend",
        asked: || {
            json!({ "bucket": "month", "series": [{ "event": "page_view", "measure": "persons" }],
                    "breakdown": { "prop": ["country", "device_type"], "limit": 1000 } })
        },
        figures: |answer| {
            let mut pairs: Vec<(String, String, u64)> = list(&answer["series"])
                .iter()
                .map(|line| {
                    let text =
                        |at: usize| line["value"][at].as_str().unwrap_or_default().to_owned();
                    (text(0), text(1), line["total"].as_u64().unwrap_or_default())
                })
                .collect();
            pairs.sort();
            json!(pairs)
        },
        follows_persons: false,
    },
    Question {
        name: "cohort",
        title: "persons by day, of those who bought twice",
        kind: "trend",
        asked: || {
            json!({ "bucket": "day", "series": [{ "event": "page_view", "measure": "persons" }],
                    "cohort": { "did": { "event": "purchase", "at_least": 2 } } })
        },
        figures: |answer| numbers(&answer["series"][0]["data"]),
        follows_persons: true,
    },
    Question {
        name: "funnel_any",
        title: "funnel: 3 steps in any order in a day",
        kind: "funnel",
        asked: || funnel(&["search", "add_to_cart", "checkout"], json!({ "order": "any" })),
        figures: reached,
        follows_persons: true,
    },
    Question {
        name: "funnel_strict",
        title: "funnel: 3 steps with nothing in between",
        kind: "funnel",
        asked: || funnel(&["page_view", "click", "scroll"], json!({ "order": "strict" })),
        figures: reached,
        follows_persons: true,
    },
    Question {
        name: "funnel_days",
        title: "funnel: 3 steps in a day, by day of the start",
        kind: "funnel",
        asked: || funnel(&["page_view", "add_to_cart", "purchase"], json!({ "bucket": "day" })),
        figures: |answer| {
            list(&answer["over_time"]).iter().map(|day| numbers(&day["persons"])).collect()
        },
        follows_persons: true,
    },
    Question {
        name: "totals",
        title: "funnel: 3 steps in a day, every attempt",
        kind: "funnel",
        asked: || funnel(&["page_view", "add_to_cart", "purchase"], json!({ "count": "totals" })),
        figures: reached,
        follows_persons: true,
    },
    Question {
        name: "rolling",
        title: "retention: 14 times 24 hours",
        kind: "retention",
        asked: || json!({ "clock": "rolling24h", "periods": 14 }),
        figures: returned,
        follows_persons: true,
    },
    Question {
        name: "brackets",
        title: "retention: twice in days 1 to 7 and 8 to 14",
        kind: "retention",
        asked: || json!({ "brackets": [[1, 7], [8, 14]], "minimum": 2 }),
        figures: returned,
        follows_persons: true,
    },
    Question {
        name: "sessions",
        title: "sessions: bounces, views, median duration",
        kind: "sessions",
        asked: || json!({ "bucket": "day", "event": "page_view", "conversions": ["purchase"] }),
        figures: |answer| {
            let days = list(&answer["buckets"]);
            let of = |field: &str| numbers(&days.iter().map(|day| day[field].clone()).collect());
            let median = answer["total"]["median_duration_ms"].as_f64().unwrap_or(-1.0);
            json!([of("sessions"), of("bounces"), of("views"), (median * 2.0) as i64])
        },
        follows_persons: true,
    },
    Question {
        name: "attribution",
        title: "attribution: purchases by last source",
        kind: "attribution",
        asked: || {
            json!({ "by": "source", "models": ["last"], "lookback": "30d",
                    "conversion": { "event": "purchase", "value": "revenue" } })
        },
        figures: |answer| {
            let row = |touch: &Value| {
                let last = &touch["models"][0];
                let cents = last["amounts"][0]["value"].as_f64().unwrap_or(-1.0) * 100.0;
                let count = last["conversions"].as_f64().unwrap_or(-1.0).round() as i64;
                (
                    touch["value"].as_str().unwrap_or_default().to_owned(),
                    count,
                    cents.round() as i64,
                )
            };
            let mut rows: Vec<_> = list(&answer["touches"]).iter().map(row).collect();
            rows.sort();
            json!(rows)
        },
        follows_persons: true,
    },
    Question {
        name: "persons",
        title: "persons: the fifty with most events",
        kind: "persons",
        asked: || json!({ "sort": "events", "limit": 50, "columns": [] }),
        figures: |answer| {
            numbers(
                &list(&answer["persons"]).iter().map(|person| person["events"].clone()).collect(),
            )
        },
        follows_persons: true,
    },
    Question {
        name: "person",
        title: "person: the newest events of the busiest",
        kind: "person",
        asked: || json!({ "columns": [], "limit": 100 }),
        figures: |answer| {
            let whole = ["count", "first_seen", "last_seen"].map(|field| answer[field].clone());
            let events = list(&answer["events"]);
            let events = events.iter().map(|event| json!([event["event"], event["at"]]));
            json!([whole, events.collect::<Vec<_>>()])
        },
        follows_persons: true,
    },
    Question {
        name: "content",
        title: "content: views, time and how far, by content and day",
        kind: "content",
        asked: || json!({ "bucket": "day", "limit": 50 }),
        figures: |answer| {
            let item = |item: &Value| {
                let fields = ["views", "viewers", "engaged_ms"].map(|field| item[field].clone());
                let reached = list(&item["reached"]);
                list(&numbers(&fields.into_iter().chain(reached).collect()))
            };
            let items = list(&answer["items"]);
            let items = items.iter().map(|one| [vec![one["id"].clone()], item(one)].concat());
            let days = list(&answer["buckets"]);
            let days = days.iter().map(|day| json!([day["views"], day["viewers"]]));
            json!([item(&answer["total"]), items.collect::<Vec<_>>(), days.collect::<Vec<_>>()])
        },
        follows_persons: false,
    },
    Question {
        name: "pwa",
        title: "installs, launches after them, who came back by display mode",
        kind: "pwa",
        asked: || json!({}),
        figures: |answer| {
            let stage = |at: usize, field: &str| answer["stages"][at][field].clone();
            let (installed, launched) = (2, 3);
            let stages = [
                stage(installed, "count"),
                stage(installed, "persons"),
                stage(launched, "count"),
                stage(launched, "persons"),
                stage(launched, "persons_after_previous"),
            ];
            let mut modes: Vec<(String, Value)> = list(&answer["display_modes"])
                .iter()
                .map(|mode| {
                    let name = mode["display_mode"].as_str().unwrap_or_default();
                    let row = json!([name, mode["events"], mode["persons"], mode["returned"]]);
                    (name.to_owned(), row)
                })
                .collect();
            modes.sort_by(|a, b| a.0.cmp(&b.0));
            let modes: Vec<Value> = modes.into_iter().map(|(_, row)| row).collect();
            json!([stages, modes, answer["persons"]])
        },
        follows_persons: true,
    },
];

fn funnel(steps: &[&str], more: Value) -> Value {
    let mut question = more;
    question["steps"] = steps.iter().map(|event| json!({ "event": event })).collect();
    question["window"] = "1d".into();
    question
}

fn reached(answer: &Value) -> Value {
    numbers(&list(&answer["steps"]).iter().map(|step| step["persons"].clone()).collect())
}

/// Cohorts in which somebody started: size, then who returned.
fn returned(answer: &Value) -> Value {
    let cohorts = list(&answer["cohorts"]);
    cohorts.iter().map(|cohort| numbers(&cohort["returned"])).collect()
}
