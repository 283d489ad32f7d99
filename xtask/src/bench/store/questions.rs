//! The questions, as our HTTP API takes them, and the figures of our answers as plain lists.
//!
//! `bench/peers` has the same questions in SQL, by the same names, and gives the same lists.

use serde_json::{Value, json};

/// Days of the events.
const DAYS: usize = 30;
/// What is compared of a list of the most frequent.
const RANKED: usize = 50;

/// One question.
pub(super) struct Question {
    /// As in `bench/peers`.
    pub name: &'static str,
    /// As people read it.
    pub title: &'static str,
    /// Kind in the path.
    pub kind: &'static str,
    /// What is asked beside the range.
    pub asked: fn() -> Value,
    /// The figures of our answer.
    pub figures: fn(&Value) -> Value,
    /// Whether it follows what each person does.
    pub follows_persons: bool,
}

impl Question {
    /// The body of the question: always the whole of the generated events. `busiest` is the name of the person
    /// with most of them.
    pub fn body(&self, busiest: &str) -> Value {
        let mut body = (self.asked)();
        if self.kind == "person" {
            body["person"] = busiest.into();
        }
        for (field, value) in [("from", "2026-09-01"), ("to", "2026-10-01"), ("tz", "UTC")] {
            body[field] = value.into();
        }
        body
    }

    /// Whether a peer's answer is ours. Where many are equally frequent a list of the most frequent
    /// may end in any of them: those that are as frequent as the last one are left out.
    pub fn agrees(&self, ours: &Value, theirs: &Value) -> bool {
        let figures = (self.figures)(ours);
        match self.name {
            "pages" | "transitions" => settled(&figures) == settled(theirs),
            _ => figures == *theirs,
        }
    }

    /// The figures of our answer, to show.
    pub fn figures(&self, ours: &Value) -> Value {
        (self.figures)(ours)
    }
}

/// All of them, in the order of the table.
pub(super) const QUESTIONS: &[Question] = &[
    Question {
        name: "trend",
        title: "trend: persons by day",
        kind: "trend",
        asked: || json!({ "bucket": "day", "series": [view("persons")] }),
        figures: |answer| numbers(&answer["series"][0]["data"]),
        follows_persons: false,
    },
    Question {
        name: "countries",
        title: "persons by country and day",
        kind: "trend",
        asked: || {
            json!({ "bucket": "day", "series": [view("persons")],
                    "breakdown": { "prop": "country", "limit": 100 } })
        },
        figures: |answer| {
            by_text(list(&answer["series"]), |series| {
                json!([series["value"], numbers(&series["data"])])
            })
        },
        follows_persons: false,
    },
    Question {
        name: "active",
        title: "active: day, week, month",
        kind: "active",
        asked: || json!({}),
        figures: active,
        follows_persons: true,
    },
    Question {
        name: "stickiness",
        title: "stickiness",
        kind: "stickiness",
        asked: || json!({}),
        figures: |answer| numbers(&answer["exactly"]),
        follows_persons: true,
    },
    Question {
        name: "lifecycle",
        title: "lifecycle",
        kind: "lifecycle",
        asked: || json!({}),
        figures: |answer| {
            ["new", "returning", "resurrected", "dormant"]
                .map(|field| numbers(&answer[field]))
                .into_iter()
                .collect()
        },
        follows_persons: true,
    },
    Question {
        name: "retention",
        title: "retention: 30 × 30 days",
        kind: "retention",
        asked: || json!({ "bucket": "day", "periods": 30 }),
        figures: |answer| {
            // Days that have not come yet are null here and left out there.
            let cohorts = list(&answer["cohorts"]).into_iter().zip((1..=DAYS).rev());
            let cohorts = cohorts.filter(|(cohort, _)| cohort["size"].as_f64() > Some(0.0));
            cohorts
                .map(|(cohort, days)| {
                    numbers(&list(&cohort["returned"]).into_iter().take(days).collect())
                })
                .collect()
        },
        follows_persons: true,
    },
    Question {
        name: "active_mobile",
        title: "active, on one device",
        kind: "active",
        asked: || json!({ "where": [{ "prop": "device_type", "value": "mobile" }] }),
        figures: active,
        follows_persons: true,
    },
    Question {
        name: "funnel_3",
        title: "funnel: 3 steps in a day",
        kind: "funnel",
        asked: || {
            json!({ "window": "1d", "compat": "clickhouse",
                    "steps": named(&["page_view", "add_to_cart", "purchase"]) })
        },
        figures: |answer| steps(&answer["steps"]),
        follows_persons: true,
    },
    Question {
        name: "funnel_5",
        title: "funnel: 5 steps in 7 days, by device",
        kind: "funnel",
        asked: || {
            let events = ["session_start", "page_view", "add_to_cart", "checkout", "purchase"];
            json!({ "window": "7d", "compat": "clickhouse", "steps": named(&events),
                    "breakdown": { "prop": "device_type", "limit": 10 } })
        },
        figures: |answer| {
            by_text(list(&answer["breakdown"]), |group| {
                json!([group["value"], steps(&group["steps"])])
            })
        },
        follows_persons: true,
    },
    Question {
        name: "experiment",
        title: "experiment: revenue in 7 days",
        kind: "experiment",
        asked: || {
            json!({ "experiment": "button", "window": "7d", "control": "control", "metrics": [
                { "name": "bought", "event": "purchase" },
                { "name": "revenue", "event": "purchase", "kind": "mean", "prop": "revenue" },
            ] })
        },
        figures: experiment,
        follows_persons: true,
    },
    Question {
        name: "pages",
        title: "top pages: views and persons",
        kind: "trend",
        asked: || {
            json!({ "bucket": "month", "series": [view("count"), view("persons")],
                    "breakdown": { "prop": "path", "limit": 2 * RANKED } })
        },
        figures: pages,
        follows_persons: false,
    },
    Question {
        name: "transitions",
        title: "page transitions within sessions",
        kind: "paths",
        asked: || json!({ "event": "page_view", "by": "path", "limit": RANKED }),
        figures: |answer| {
            list(&answer["edges"])
                .iter()
                .map(|edge| json!([edge["from"], edge["to"], edge["count"]]))
                .collect()
        },
        follows_persons: true,
    },
    Question {
        name: "three_filters",
        title: "three filters: events by day",
        kind: "trend",
        asked: || {
            json!({ "bucket": "day", "series": [{ "measure": "count" }], "where": [
                { "prop": "path", "op": "starts_with", "value": "/p/000" },
                { "prop": "source", "value": "google" },
                { "prop": "device_type", "value": "mobile" },
            ] })
        },
        figures: |answer| numbers(&answer["series"][0]["data"]),
        follows_persons: false,
    },
    Question {
        name: "needle",
        title: "needle: one rare page by day",
        kind: "trend",
        asked: || {
            json!({ "bucket": "day", "series": [{ "measure": "count" }],
                    "where": [{ "prop": "path", "value": "/p/05000" }] })
        },
        figures: |answer| numbers(&answer["series"][0]["data"]),
        follows_persons: false,
    },
];

fn view(measure: &str) -> Value {
    json!({ "event": "page_view", "measure": measure })
}

fn named(events: &[&str]) -> Value {
    events.iter().map(|event| json!({ "event": event })).collect()
}

pub(super) fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Whole numbers; what is no number shows as -1.
pub(super) fn numbers(value: &Value) -> Value {
    list(value).iter().map(|number| json!(number.as_f64().unwrap_or(-1.0) as i64)).collect()
}

fn steps(value: &Value) -> Value {
    numbers(&list(value).iter().map(|step| step["persons"].clone()).collect())
}

fn active(answer: &Value) -> Value {
    ["dau", "wau", "mau"].map(|field| numbers(&answer[field])).into_iter().collect()
}

/// Groups that have a value, in the order of their values.
fn by_text(groups: Vec<Value>, shown: impl Fn(&Value) -> Value) -> Value {
    let mut groups = groups;
    groups.retain(|group| group["value"].is_string());
    groups.sort_by(|a, b| a["value"].as_str().cmp(&b["value"].as_str()));
    groups.iter().map(shown).collect()
}

/// Variant, persons, converted persons, revenue in cents.
fn experiment(answer: &Value) -> Value {
    let (bought, revenue) =
        (list(&answer["metrics"][0]["arms"]), list(&answer["metrics"][1]["arms"]));
    let arms = bought.iter().zip(&revenue).map(|(bought, revenue)| {
        let cents = (revenue["sum"].as_f64().unwrap_or(-1.0) * 100.0).round() as i64;
        json!([bought["variant"], bought["persons"], bought["conversions"], cents])
    });
    arms.collect()
}

/// Path, views, persons; most views first. Each series has its own top: that of persons is asked so
/// long that it holds the pages of the other.
fn pages(answer: &Value) -> Value {
    let series = list(&answer["series"]);
    let of = |at: usize| {
        let mine = series.iter().filter(move |line| line["index"] == json!(at));
        mine.filter(|line| line["value"].is_string())
    };
    let mut pages: Vec<Value> = of(0)
        .map(|views| {
            let persons = of(1).find(|persons| persons["value"] == views["value"]);
            let total = |line: &Value| line["total"].as_f64().unwrap_or(-1.0) as i64;
            json!([views["value"], total(views), persons.map_or(-1, total)])
        })
        .collect();
    pages.sort_by(|a, b| {
        b[1].as_i64().cmp(&a[1].as_i64()).then_with(|| a[0].as_str().cmp(&b[0].as_str()))
    });
    pages.truncate(RANKED);
    pages.into()
}

/// A ranking without its last place; the count is the first number of a row.
fn settled(ranking: &Value) -> Vec<Value> {
    let rows = list(ranking);
    let count = |row: &Value| list(row).iter().find_map(Value::as_i64);
    let last = rows.last().and_then(count).filter(|_| rows.len() >= RANKED);
    rows.into_iter().filter(|row| count(row) != last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ranking_is_compared_without_those_that_share_the_last_place() {
        let ranking = |last: &str| -> Value {
            let first = (0..RANKED - 1).map(|at| json!([format!("/{at}"), 1000 - at, 3]));
            first.chain([json!([last, 1000 - RANKED + 2, 1])]).collect()
        };
        assert_eq!(settled(&ranking("/x")), settled(&ranking("/y")));
        assert_eq!(settled(&ranking("/x")).len(), RANKED - 2);
        let short = json!([["/a", 5, 1]]);
        assert_eq!(settled(&short).len(), 1, "a short list ends with all there is");
    }
}
