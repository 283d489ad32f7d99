//! Laws of all questions at once: a range cut in two adds up where it must, and the time of asking does not show.
//!
//! Deliberately elsewhere: laws of one question (its own tests), and those of the store: batches, the order of
//! arrival, flushes and merges (`tallymark-store` and the end-to-end tests).

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::answer::{LATENESS_MS, ratio};
use crate::testing::{Event, Memory, Scan};
use crate::{Answer, Context};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Days of a range.
const DAYS: i64 = 10;

/// How the answers about two halves make that about the whole.
#[derive(Debug, Clone, Copy)]
enum Law {
    /// Lists follow each other.
    Follow(&'static str),
    /// The later half comes first.
    FollowBackwards(&'static str),
    /// Numbers add up.
    Add(&'static str),
    /// Numbers of a list add up for each of what they are about: the list, what, the number.
    AddBy(&'static str, &'static [&'static str], &'static str),
    /// Somebody may be counted in both halves: no more than the sum, no less than either.
    Overlap(&'static str),
}

use Law::{Add, AddBy, Follow, FollowBackwards, Overlap};

/// What must hold when a range is cut between two days.
fn laws_of_days() -> Vec<(&'static str, Value, Vec<Law>)> {
    let series = json!([
        { "event": "b" }, { "event": "b", "measure": "sum", "prop": "value" }, { "measure": "persons" },
        { "event": "b", "measure": "p90", "prop": "value" } ]);
    let steps = json!([{ "event": "$pageview" }, { "event": "b" }]);
    let start =
        json!({ "start": { "event": "$pageview" }, "return": { "event": "b" }, "periods": 4 });
    let recurring = {
        let mut question = start.clone();
        question["cohort_by"] = json!("recurring");
        question["mode"] = json!("on_or_after");
        question
    };
    vec![
        (
            "trend",
            json!({ "series": series }),
            vec![
                Follow("/buckets"),
                Follow("/series/0/data"),
                Follow("/series/1/data"),
                Follow("/series/2/data"),
                Follow("/series/3/data"),
                Overlap("/series/2/total"),
            ],
        ),
        (
            "trend",
            json!({ "bucket": "hour", "series": [{ "measure": "persons" }] }),
            vec![Follow("/buckets"), Follow("/series/0/data")],
        ),
        (
            "active",
            json!({}),
            vec![
                Follow("/days"),
                Follow("/dau"),
                Follow("/wau"),
                Follow("/mau"),
                Follow("/stickiness"),
            ],
        ),
        (
            "lifecycle",
            json!({}),
            vec![Follow("/new"), Follow("/returning"), Follow("/resurrected"), Follow("/dormant")],
        ),
        ("retention", start, vec![Follow("/cohorts")]),
        ("retention", recurring, vec![Follow("/cohorts")]),
        (
            "funnel",
            json!({ "steps": steps, "window": "2d", "bucket": "day" }),
            vec![Follow("/over_time"), Overlap("/steps/0/persons"), Overlap("/steps/1/persons")],
        ),
        ("sessions", json!({ "conversions": ["b"] }), vec![Follow("/buckets")]),
        ("content", json!({}), vec![Follow("/buckets")]),
        ("completeness", json!({}), vec![Follow("/days")]),
    ]
}

/// What must hold wherever a range is cut.
fn laws_of_moments() -> Vec<(&'static str, Value, Vec<Law>)> {
    let series = json!([
        { "event": "b" }, { "event": "b", "measure": "sum", "prop": "value" }, { "measure": "persons" } ]);
    let conversion = json!({ "event": "b", "value": "value", "currency": "currency" });
    vec![
        (
            "trend",
            json!({ "series": series }),
            vec![Add("/series/0/total"), Add("/series/1/total"), Overlap("/series/2/total")],
        ),
        (
            "trend",
            json!({ "series": [{}], "breakdown": "path" }),
            vec![AddBy("/series", &["group", "value"], "total")],
        ),
        (
            "sessions",
            json!({ "conversions": ["b"], "breakdown": "utm_source" }),
            vec![
                Add("/total/sessions"),
                Add("/total/bounces"),
                Add("/total/views"),
                AddBy("/entry_pages", &["path"], "sessions"),
                AddBy("/exit_pages", &["path"], "sessions"),
                AddBy("/breakdown", &["group", "value"], "sessions"),
                AddBy("/breakdown", &["group", "value"], "converted"),
            ],
        ),
        (
            "content",
            json!({}),
            vec![
                Add("/total/views"),
                Add("/total/engaged_ms"),
                Overlap("/total/viewers"),
                AddBy("/items", &["id"], "views"),
            ],
        ),
        (
            "attribution",
            json!({ "by": "utm_source", "conversion": conversion, "models": ["linear"] }),
            vec![
                Add("/conversions"),
                Overlap("/persons"),
                AddBy("/touches", &["group", "value"], "models/0/conversions"),
                AddBy("/touches", &["group", "value"], "models/0/amounts/0/value"),
            ],
        ),
        ("persons", json!({}), vec![AddBy("/persons", &["person"], "events"), Overlap("/count")]),
        (
            "person",
            json!({ "person": "0000000000000001", "limit": 1000 }),
            vec![Add("/count"), FollowBackwards("/events")],
        ),
    ]
}

/// What people do: visits of a few pages, purchases, contents.
fn played() -> impl Strategy<Value = Vec<Event>> {
    let event = (1u64..6, -2 * DAY..(DAYS + 2) * DAY, 0u8..6, 0u64..4);
    prop::collection::vec(event, 0..120).prop_map(|played| {
        let mut events: Vec<Event> = (0..)
            .zip(played)
            .map(|(seq, (person, at, what, value))| {
                // Mostly in visits: the hours of a day that end in the same minutes.
                let at =
                    if what < 5 { at - at.rem_euclid(DAY) + at.rem_euclid(2 * HOUR) } else { at };
                let event = Event::new(
                    person,
                    T0 + at,
                    ["$pageview", "b", "$content_view"][what as usize % 3],
                );
                let event =
                    event.seq(seq).with("path", format!("/{value}")).with("value", value * 25);
                let event = event
                    .with("utm_source", ["news", "ad"][value as usize % 2])
                    .with("currency", "EUR");
                let event =
                    event.with("content_id", format!("c{value}")).with("engaged_ms", 100 * value);
                event
                    .with("$writer", 10 * person + value)
                    .with("$n", seq)
                    .with("browser", "Firefox")
            })
            .collect();
        events.sort_by_key(|event| (event.person, event.ts_ms, event.seq));
        events
    })
}

fn ask(events: &[Event], kind: &str, question: &Value, range: [i64; 2], now_ms: i64) -> Answer {
    let instant = |at: i64| crate::time_bucket::rfc3339(at, &jiff::tz::TimeZone::UTC);
    let mut full = question.clone();
    let range = Map::from_iter([
        ("from".to_owned(), instant(range[0]).into()),
        ("to".to_owned(), instant(range[1]).into()),
    ]);
    full.as_object_mut().unwrap().extend(range);
    let context = Context::utc(now_ms);
    let scan = Scan { kernels: 2, reverse_codes: true };
    Memory::new(events.to_vec()).answer_by(kind, full, &context, scan).unwrap()
}

fn list<'a>(answer: &'a Value, path: &str) -> &'a [Value] {
    answer.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is not known of nothing is nothing.
fn number(answer: &Value, path: &str) -> f64 {
    answer.pointer(path).and_then(Value::as_f64).unwrap_or(0.0)
}

fn by(answer: &Value, path: &str, what: &[&str], figure: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for one in list(answer, path) {
        let key: Vec<&Value> = what.iter().map(|field| &one[*field]).collect();
        *sums.entry(json!(key).to_string()).or_default() += number(one, &format!("/{figure}"));
    }
    sums.retain(|_, sum| *sum != 0.0);
    sums
}

impl Law {
    fn holds(self, [whole, left, right]: [&Value; 3]) -> Result<(), TestCaseError> {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(1.0);
        match self {
            Follow(path) => {
                let parts = [list(left, path), list(right, path)].concat();
                prop_assert_eq!(list(whole, path), &parts[..], "{}", path);
            }
            FollowBackwards(path) => {
                // Sessions are numbered from the beginning of a range.
                let plain = |answer| {
                    let mut list = list(answer, path).to_vec();
                    list.iter_mut().for_each(|one| one["session"] = Value::Null);
                    list
                };
                prop_assert_eq!(plain(whole), [plain(right), plain(left)].concat(), "{}", path);
            }
            Add(path) => {
                let [whole, left, right] = [whole, left, right].map(|answer| number(answer, path));
                prop_assert!(near(whole, left + right), "{path}: {whole} {left} {right}");
            }
            AddBy(path, what, figure) => {
                let [whole, left, right] =
                    [whole, left, right].map(|answer| by(answer, path, what, figure));
                let mut parts = left;
                right.into_iter().for_each(|(key, sum)| *parts.entry(key).or_default() += sum);
                prop_assert_eq!(whole.keys().collect::<Vec<_>>(), parts.keys().collect::<Vec<_>>());
                let is_equal = whole.values().zip(parts.values()).all(|(a, b)| near(*a, *b));
                prop_assert!(is_equal, "{path} {figure}: {whole:?} {parts:?}");
            }
            Overlap(path) => {
                let [whole, left, right] = [whole, left, right].map(|answer| number(answer, path));
                let fits = left.max(right) <= whole && whole <= left + right;
                prop_assert!(fits, "{path}: {whole} {left} {right}");
            }
        }
        Ok(())
    }
}

fn check(
    laws: Vec<(&'static str, Value, Vec<Law>)>,
    events: &[Event],
    cut: i64,
) -> Result<(), TestCaseError> {
    let (from, to, now_ms) = (T0, T0 + DAYS * DAY, T0 + 20 * DAY);
    for (kind, question, laws) in laws {
        let answers = [[from, to], [from, cut], [cut, to]].map(|range| {
            let answer = ask(events, kind, &question, range, now_ms);
            serde_json::to_value(answer.body).unwrap()
        });
        let [whole, left, right] = &answers;
        for law in laws {
            law.holds([whole, left, right])
                .map_err(|error| TestCaseError::fail(format!("{kind} {law:?}: {error}")))?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_range_that_is_cut_between_two_days_adds_up(events in played(), day in 1..DAYS) {
        check(laws_of_days(), &events, T0 + day * DAY)?;
    }

    #[test]
    fn a_range_that_is_cut_at_any_moment_adds_up(events in played(), cut in 1..DAYS * DAY) {
        check(laws_of_moments(), &events, T0 + cut)?;
    }

    /// Once nothing can come any more, a day later is as good as now.
    #[test]
    fn the_time_of_asking_does_not_show(events in played(), later in 1i64..5 * DAY) {
        let now_ms = T0 + DAYS * DAY + 2 * DAY + LATENESS_MS;
        let questions = laws_of_days().into_iter().chain(laws_of_moments());
        // Of old page loads the numbers are forgotten.
        for (kind, question, _) in questions.filter(|(kind, ..)| *kind != "completeness") {
            let ask = |now_ms: i64| ask(&events, kind, &question, [T0, T0 + 4 * DAY], now_ms);
            let answer = ask(now_ms);
            prop_assert!(answer.complete, "{}", kind);
            prop_assert_eq!(ask(now_ms + later), answer, "{}", kind);
        }
    }

    /// What leaves a page came to it, and nobody comes from nowhere on the way.
    #[test]
    fn edges_of_paths_conserve_flow(events in played(), is_backwards: bool) {
        let anchor = if is_backwards { "to_event" } else { "from_event" };
        let question = json!({ anchor: "$pageview", "depth": 5, "limit": 1000 });
        let answer = ask(&events, "paths", &question, [T0, T0 + DAYS * DAY], T0 + 20 * DAY);
        let answer = serde_json::to_value(answer.body).unwrap();
        let (near, far) = if is_backwards { ("to", "from") } else { ("from", "to") };
        let flow = |depth: u64, end: &str| {
            let at_depth: Vec<&Value> =
                list(&answer, "/edges").iter().filter(|edge| edge["depth"] == depth).collect();
            by(&json!({ "edges": at_depth }), "/edges", &[end], "count")
        };
        for depth in 1..5 {
            let (reached, went_on) = (flow(depth, far), flow(depth + 1, near));
            for (node, count) in went_on {
                prop_assert!(reached.get(&node).is_some_and(|came| *came >= count), "{} {}", depth, node);
            }
            let of_depth = list(&answer, "/depths").iter().find(|of| of["depth"] == depth);
            let whole = of_depth.map_or(0.0, |of| number(of, "/count"));
            prop_assert_eq!(flow(depth, far).values().sum::<f64>(), whole);
        }
    }

    #[test]
    fn returns_on_or_after_never_rise(events in played(), is_recurring: bool) {
        let by = if is_recurring { "recurring" } else { "first_ever" };
        let question = json!({ "start": { "event": "$pageview" }, "periods": 6, "mode": "on_or_after",
            "cohort_by": by });
        let answer = ask(&events, "retention", &question, [T0, T0 + DAYS * DAY], T0 + 40 * DAY);
        let answer = serde_json::to_value(answer.body).unwrap();
        for cohort in list(&answer, "/cohorts") {
            let (size, returned) = (cohort["size"].as_u64().unwrap(), list(cohort, "/returned"));
            for pair in returned.windows(2) {
                prop_assert!(pair[0].as_u64() >= pair[1].as_u64(), "{}", cohort);
            }
            // The start itself is a return on its own day.
            prop_assert_eq!(returned[0].as_u64(), Some(size));
            prop_assert_eq!(cohort["ratio"][0].as_f64(), ratio(size, size));
        }
    }

    #[test]
    fn new_returning_and_resurrected_are_all_who_are_active(events in played()) {
        let range = [T0, T0 + DAYS * DAY];
        let ask = |kind: &str| {
            let answer = ask(&events, kind, &json!({}), range, T0 + 20 * DAY);
            serde_json::to_value(answer.body).unwrap()
        };
        let (life, active) = (ask("lifecycle"), ask("active"));
        let at = |answer: &Value, part: &str, day: usize| answer[part][day].as_u64().unwrap();
        for day in 0..DAYS as usize {
            let parts = ["new", "returning", "resurrected"].map(|part| at(&life, part, day));
            prop_assert_eq!(parts.iter().sum::<u64>(), at(&active, "dau", day));
            if day > 0 {
                let gone = at(&active, "dau", day - 1) - at(&life, "returning", day);
                prop_assert_eq!(at(&life, "dormant", day), gone);
            }
        }
    }
}
