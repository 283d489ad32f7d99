//! Rules of trends, one named test each; and the kernel against plain counting.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::answer::TrendAnswer;
use crate::answer::{Figure, Group, GroupValue};
use crate::kernel::Partial;
use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context, Facts};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn context() -> Context {
    Context::utc(T0 + 30 * DAY)
}

fn full(question: Value) -> Value {
    let mut full = json!({ "from": "2026-09-01", "to": "2026-09-04" });
    full.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    full
}

fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> TrendAnswer {
    let answer = Memory::new(events).answer_by("trend", full(question), &context(), scan).unwrap();
    match answer.body {
        AnswerBody::Trend(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, question: Value) -> TrendAnswer {
    ask_by(events, question, Scan::default())
}

fn buy(person: u64, at: i64, value: f64) -> Event {
    Event::new(person, T0 + at, "purchase").with("value", value)
}

fn purchases() -> Vec<Event> {
    vec![
        buy(1, 0, 10.0),
        buy(1, 5, 30.0),
        buy(2, DAY - 1, 20.5),
        buy(1, DAY, 5.0),
        Event::new(2, T0 + DAY + 1, "purchase").with("value", "free"),
        buy(3, -1, 99.0),
        buy(3, 3 * DAY, 99.0),
        Event::new(3, T0, "refund").with("value", 1),
    ]
}

#[rstest]
#[case::count("count", false, [Some(3.0), Some(2.0), Some(0.0)], Some(5.0))]
#[case::persons("persons", false, [Some(2.0), Some(2.0), Some(0.0)], Some(2.0))]
#[case::sum("sum", true, [Some(60.5), Some(5.0), Some(0.0)], Some(65.5))]
#[case::avg("avg", true, [Some(60.5 / 3.0), Some(5.0), None], Some(65.5 / 4.0))]
#[case::min("min", true, [Some(10.0), Some(5.0), None], Some(5.0))]
#[case::max("max", true, [Some(30.0), Some(5.0), None], Some(30.0))]
#[case::p50("p50", true, [Some(20.5), Some(5.0), None], Some(15.25))]
#[case::p90("p90", true, [Some(28.1), Some(5.0), None], Some(27.15))]
#[case::events_per_person("per_person", false, [Some(1.5), Some(1.0), None], Some(2.5))]
#[case::sum_per_person("per_person", true, [Some(30.25), Some(5.0), None], Some(32.75))]
fn a_measure_is(
    #[case] measure: &str,
    #[case] of_value: bool,
    #[case] days: [Option<f64>; 3],
    #[case] total: Option<f64>,
) {
    let prop = of_value.then_some("value");
    let answer = ask(
        purchases(),
        json!({ "series": [{ "event": "purchase", "measure": measure, "prop": prop }] }),
    );
    assert_eq!(answer.buckets, ["2026-09-01", "2026-09-02", "2026-09-03"]);
    let near = |got: Figure, want: Option<f64>| match (got.0, want) {
        (Some(got), Some(want)) => assert!((got - want).abs() < 1e-12, "{got} {want}"),
        (got, want) => assert_eq!(got, want),
    };
    for (got, want) in answer.series[0].data.iter().zip(days) {
        near(*got, want);
    }
    near(answer.series[0].total, total);
}

#[test]
fn whole_figures_are_written_as_whole_numbers() {
    let answer = ask(
        purchases(),
        json!({ "series": [{ "event": "purchase", "measure": "sum", "prop": "value" }] }),
    );
    let json = serde_json::to_string(&answer.series[0].data).unwrap();
    assert_eq!(json, "[60.5,5,0]");
}

#[test]
fn series_have_filters_of_their_own_and_a_formula_joins_them() {
    let question = json!({ "series": [
        { "event": "purchase", "where": [{ "prop": "value", "op": "gte", "value": 20 }] },
        { "event": "purchase" } ], "formula": "A / B * 100" });
    let answer = ask(purchases(), question);
    assert_eq!(answer.series.len(), 1);
    let data: Vec<_> = answer.series[0].data.iter().map(|figure| figure.0).collect();
    assert_eq!(data, [Some(2.0 / 3.0 * 100.0), Some(0.0), None]);
    assert_eq!(answer.series[0].total, Figure(Some(40.0)));
}

#[rstest]
fn a_range_has_as_many_buckets_as_it_has_days(#[values(1, 2, 31, 32, 33, 63, 64, 84)] days: i64) {
    let last = buy(7, (days - 1) * DAY, 2.0);
    let to = "2026-09-01".parse::<jiff::civil::Date>().unwrap() + jiff::Span::new().days(days);
    let question = json!({ "to": to.to_string(), "series": [{ "event": "purchase" }] });
    let series = ask(vec![last], question).series.remove(0);
    assert_eq!((series.data.len() as i64, series.total), (days, Figure(Some(1.0))));
    assert_eq!(series.data.last(), Some(&Figure(Some(1.0))));
}

#[test]
fn the_period_before_has_as_many_local_days() {
    // Three days before the range a clock change lies in between.
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let events = vec![
        Event::new(1, at("2025-03-28T00:00:00+01:00"), "a"),
        Event::new(2, at("2025-03-27T23:59:59+01:00"), "a"),
        Event::new(2, at("2025-03-30T23:59:59+02:00"), "a"),
        Event::new(1, at("2025-03-31T00:00:00+02:00"), "a"),
    ];
    let question = json!({ "tz": "Europe/Berlin", "from": "2025-03-31", "to": "2025-04-03",
        "series": [{ "event": "a", "measure": "persons" }], "compare": "previous" });
    let answer = ask(events, question);
    let series = &answer.series[0];
    assert_eq!(series.total, Figure(Some(1.0)));
    let previous = series.previous.as_ref().unwrap();
    assert_eq!(previous.buckets, ["2025-03-28", "2025-03-29", "2025-03-30"]);
    assert_eq!(previous.data, [1.0, 0.0, 1.0].map(|n| Figure(Some(n))));
    assert_eq!(previous.total, Figure(Some(2.0)));
}

/// Person 1 uses both of the values that end up in `other`.
fn by_device() -> Vec<Event> {
    let seen = |person, device: &str| Event::new(person, T0, "a").with("device", device);
    vec![
        seen(1, "phone"),
        seen(2, "phone"),
        seen(3, "phone"),
        seen(1, "desktop"),
        seen(2, "desktop"),
        seen(1, "tablet"),
        seen(1, "watch"),
        seen(4, "watch"),
        Event::new(4, T0, "a"),
    ]
}

#[test]
fn persons_of_other_are_counted_once() {
    let question = json!({ "series": [{ "event": "a", "measure": "persons" }],
        "breakdown": { "prop": "device", "limit": 1 } });
    let answer = ask(by_device(), question);
    let lines: Vec<_> = answer
        .series
        .iter()
        .map(|line| (line.group, line.value.as_ref().and_then(GroupValue::text), line.total.0))
        .collect();
    assert_eq!(
        lines,
        [
            (Group::Value, Some("phone"), Some(3.0)),
            (Group::Absent, None, Some(1.0)),
            (Group::Other, None, Some(3.0)),
        ]
    );
}

#[test]
fn without_the_second_pass_persons_of_other_are_not_known() {
    let question =
        full(json!({ "series": [{ "event": "a", "measure": "persons" }, { "event": "a" }],
        "breakdown": { "prop": "device", "limit": 1 } }));
    let compiled = crate::compile("trend", question, &context()).unwrap();
    let partial = Memory::new(by_device()).ask(&*compiled.analysis, Scan::default());
    assert!(compiled.analysis.refine(&partial).is_some());
    let facts = Facts { now_ms: context().now_ms };
    let AnswerBody::Trend(answer) = compiled.analysis.answer(&partial, &facts).body else {
        panic!("a trend answers a trend");
    };
    let others: Vec<_> = answer
        .series
        .iter()
        .filter(|line| line.group == Group::Other)
        .map(|line| line.total.0)
        .collect();
    assert_eq!(others, [None, Some(5.0)]);
}

#[test]
fn nobody_at_all_is_a_line_of_zeros() {
    let compiled = crate::compile("trend", full(json!({})), &context()).unwrap();
    let answer = compiled.analysis.answer(&Partial::default(), &Facts { now_ms: 0 });
    assert!(!answer.complete);
    let AnswerBody::Trend(answer) = answer.body else { panic!("a trend answers a trend") };
    assert_eq!(answer.series[0].data, [Figure(Some(0.0)); 3]);
}

#[test]
fn the_definition_fills_defaults_in() {
    let compiled = crate::compile("trend", json!({}), &context()).unwrap();
    assert_eq!(
        compiled.definition,
        json!({ "tz": "UTC", "from": "2026-09-02T00:00:00+00:00", "to": "2026-10-02T00:00:00+00:00",
            "bucket": "day", "compare": null, "formula": null,
            "series": [{ "event": null, "measure": "count", "prop": null }] })
    );
}

#[rstest]
#[case(json!({ "series": [] }), "count_invalid")]
#[case(json!({ "series": [{ "event": "a", "measure": "sum" }] }), "field_invalid")]
#[case(json!({ "series": [{ "event": "a", "prop": "value" }] }), "field_invalid")]
#[case(json!({ "series": [{ "event": "a", "measure": "mode" }] }), "question_malformed")]
#[case(json!({ "bucket": "year" }), "question_malformed")]
#[case(json!({ "compare": "yesterday" }), "field_invalid")]
#[case(json!({ "formula": "A/B" }), "field_invalid")]
#[case(json!({ "breakdown": { "prop": "x", "limit": 0 } }), "field_invalid")]
#[case(json!({ "breakdown": { "prop": "x", "top": 3 } }), "question_malformed")]
#[case(json!({ "breakdown": ["x", "y", "z"] }), "question_malformed")]
#[case(json!({ "from": "2016-09-01", "bucket": "hour" }), "too_many_buckets")]
#[case(json!({ "from": "yesterday" }), "time_invalid")]
#[case(json!({ "from": "2026-09-05" }), "range_empty")]
#[case(json!({ "tz": "Europe/Atlantis" }), "tz_unknown")]
#[case(json!({ "colour": "red" }), "question_malformed")]
fn what_cannot_be_honoured_is_refused(#[case] question: Value, #[case] code: &str) {
    assert_eq!(crate::compile("trend", full(question), &context()).unwrap_err().code(), code);
}

#[test]
fn an_unknown_kind_names_the_known_ones() {
    let error = crate::compile("trends", json!({}), &context()).unwrap_err();
    assert_eq!(error.code(), "question_unknown");
    assert!(error.to_string().contains("trend, active, funnel"), "{error}");
}

/// What a measure of some numbers is, said plainly; the numbers are whole, so that sums are exact.
fn plainly(measure: &str, mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let sum: f64 = numbers.iter().sum();
    match measure {
        "sum" => Some(sum),
        "avg" => (!numbers.is_empty()).then(|| sum / numbers.len() as f64),
        "min" => numbers.first().copied(),
        "max" => numbers.last().copied(),
        _ => {
            let (low, high) = (numbers.len().checked_sub(1)? / 2, numbers.len() / 2);
            Some((numbers[low] + numbers[high]) / 2.0)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Alone and beside a series that counts people, which goes another way; many and few rows with a number; with the
    /// days before.
    #[test]
    fn figures_of_numbers_are_those_of_plain_counting(
        events in prop::collection::vec((0u64..6, -3 * DAY..3 * DAY, prop::option::weighted(0.4, 0i32..50), any::<bool>()), 0..60),
        measures in prop::collection::vec(prop::sample::select(vec!["sum", "avg", "min", "max", "p50"]), 1..4),
        with_persons in any::<bool>(),
        kernels in 1usize..4,
    ) {
        let name = |is_buy: bool| if is_buy { "buy" } else { "look" };
        let stored = events.iter().map(|(person, at, value, is_buy)| {
            let event = Event::new(*person, T0 + at, name(*is_buy));
            match value { Some(value) => event.with("value", *value), None => event }
        });
        let mut series: Vec<Value> = measures.iter()
            .map(|measure| json!({ "event": "buy", "measure": measure, "prop": "value" })).collect();
        if with_persons {
            series.push(json!({ "event": "buy", "measure": "persons" }));
        }
        let scan = Scan { kernels, reverse_codes: true };
        let answer = ask_by(stored.collect(), json!({ "series": series, "compare": "previous" }), scan);
        for (measure, line) in measures.iter().zip(&answer.series) {
            let of = |from: i64, to: i64| {
                let here = events.iter().filter(|(_, at, _, is_buy)| *is_buy && (from..to).contains(at));
                Figure(plainly(measure, here.filter_map(|event| event.2.map(f64::from)).collect()))
            };
            for (day, figure) in (0..3).zip(&line.data) {
                prop_assert_eq!(*figure, of(day * DAY, (day + 1) * DAY), "{} {}", measure, day);
            }
            prop_assert_eq!(line.total, of(0, 3 * DAY), "{}", measure);
            let before = line.previous.as_ref().unwrap();
            prop_assert_eq!(before.data[0], of(-3 * DAY, -2 * DAY), "{}", measure);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_trend_is_what_plain_counting_finds(
        events in prop::collection::vec((0u64..8, 0i64..3 * DAY, prop::option::of(0usize..6)), 0..80),
        limit in 1usize..4,
        kernels in 1usize..4,
        reverse_codes in any::<bool>(),
    ) {
        let value = |index: usize| format!("v{index}");
        let stored = events.iter().map(|(person, at, index)| {
            let event = Event::new(*person, T0 + at, "a");
            match index { Some(index) => event.with("p", value(*index)), None => event }
        }).collect();
        let question = json!({ "series": [{ "event": "a", "measure": "persons" }, { "event": "a" }],
            "breakdown": { "prop": "p", "limit": limit } });
        let answer = ask_by(stored, question, Scan { kernels, reverse_codes });

        for series in 0..2 {
            let mut totals: BTreeMap<String, (BTreeSet<u64>, usize)> = BTreeMap::new();
            for (person, _, index) in &events {
                if let Some(index) = index {
                    let total = totals.entry(value(*index)).or_default();
                    total.0.insert(*person);
                    total.1 += 1;
                }
            }
            let mut order: Vec<(usize, String)> = totals.into_iter()
                .map(|(value, (people, count))| (if series == 0 { people.len() } else { count }, value)).collect();
            order.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            let listed: Vec<String> = order.into_iter().take(limit).map(|(_, value)| value).collect();
            for line in answer.series.iter().filter(|line| line.index == series) {
                let belongs = |index: &Option<usize>| match line.group {
                    Group::Absent => index.is_none(),
                    Group::Value => index.map(|index| GroupValue::One(value(index))) == line.value,
                    _ => index.is_some_and(|index| !listed.contains(&value(index))),
                };
                let mut people = vec![BTreeSet::new(); 3];
                let mut counts = [0; 3];
                for (person, at, _) in events.iter().filter(|event| belongs(&event.2)) {
                    people[(at / DAY) as usize].insert(*person);
                    counts[(at / DAY) as usize] += 1;
                }
                let want: Vec<Figure> = (0..3).map(|day| {
                    let figure = if series == 0 { people[day].len() } else { counts[day] };
                    Figure(Some(figure as f64))
                }).collect();
                prop_assert_eq!(&line.data, &want);
                let everybody: BTreeSet<u64> = people.into_iter().flatten().collect();
                let total = if series == 0 { everybody.len() } else { counts.into_iter().sum() };
                prop_assert_eq!(line.total, Figure(Some(total as f64)));
            }
            let lines = answer.series.iter().filter(|line| line.index == series);
            let values: Vec<_> = lines.filter_map(|line| Some(line.value.as_ref()?.text()?.to_owned())).collect();
            prop_assert_eq!(values, listed);
        }
    }

    /// Every row of a formula is the formula of what the rows stand for.
    #[test]
    fn a_formula_of_a_breakdown_is_one_of_each_value(
        events in prop::collection::vec(
            (0u64..6, 0i64..3 * DAY, prop::option::of(0u8..5), any::<bool>()), 0..60),
        limit in 1usize..4, measure in prop::sample::select(vec!["count", "persons"]),
        form in prop::sample::select(vec![None, Some("cumulative")]),
    ) {
        let stored: Vec<Event> = events.into_iter().map(|(person, at, value, is_a)| {
            let event = Event::new(person, T0 + at, if is_a { "a" } else { "b" });
            match value { Some(value) => event.with("p", format!("v{value}")), None => event }
        }).collect();
        let mut question = json!({ "formula": "A / (A + B)", "form": form, "series": [
            { "event": "a", "measure": measure }, { "event": "b", "measure": measure }] });
        let whole = question.clone();
        question["breakdown"] = json!({ "prop": "p", "limit": limit });
        let answer = ask_by(stored.clone(), question, Scan { kernels: 2, reverse_codes: true });
        let listed: Vec<String> = answer.series.iter()
            .filter_map(|line| Some(line.value.as_ref()?.text()?.to_owned())).collect();
        prop_assert!(listed.len() <= limit);
        for line in answer.series {
            let only = match line.group {
                Group::Value => json!([{ "prop": "p", "value": line.value.as_ref().and_then(GroupValue::text) }]),
                Group::Absent => json!([{ "prop": "p", "op": "not_set" }]),
                _ if listed.is_empty() => json!([{ "prop": "p", "op": "set" }]),
                _ => json!([{ "prop": "p", "op": "set" }, { "prop": "p", "op": "not_in", "value": listed }]),
            };
            // People of several values were counted with each: how many they are is not known.
            if form.is_some() && measure == "persons" && line.group == Group::Other {
                prop_assert_eq!(line.total, Figure(None));
                continue;
            }
            let mut of = whole.clone();
            of["where"] = only;
            let want = ask(stored.clone(), of);
            prop_assert_eq!((&line.data, line.total), (&want.series[0].data, want.series[0].total));
        }
    }

    #[test]
    fn how_it_was_scanned_does_not_show(
        events in prop::collection::vec((0u64..8, 0i64..3 * DAY, -1e9f64..1e9, 0u8..4), 0..60),
        kernels in 1usize..5,
        measure in prop::sample::select(vec!["sum", "avg", "min", "max", "p50", "p95", "per_person"]),
    ) {
        let events: Vec<Event> = events.into_iter()
            .map(|(person, at, value, device)| buy(person, at, value).with("device", device)).collect();
        let question = json!({ "series": [{ "event": "purchase", "measure": measure, "prop": "value" }],
            "breakdown": { "prop": "device", "limit": 2 } });
        let answer = ask(events.clone(), question.clone());
        prop_assert_eq!(ask_by(events, question, Scan { kernels, reverse_codes: true }), answer);
    }
}

#[rstest]
#[case::people_by_day(json!({ "series": [{ "measure": "persons" }] }), true)]
#[case::by_week(json!({ "series": [{ "measure": "persons" }], "bucket": "week" }), true)]
#[case::with_the_days_before(json!({ "series": [{ "measure": "persons" }], "compare": "previous" }), true)]
#[case::with_the_weeks_before(json!({ "series": [{ "measure": "persons" }], "bucket": "week", "compare": "previous" }), false)]
#[case::by_hour(json!({ "series": [{ "measure": "persons" }], "bucket": "hour" }), false)]
#[case::of_half_a_day(json!({ "series": [{ "measure": "persons" }], "to": "2026-09-03T12:00:00Z" }), false)]
#[case::filtered(json!({ "series": [{ "measure": "persons" }], "where": [{ "prop": "a", "value": 1 }] }), false)]
#[case::by_value(json!({ "series": [{ "measure": "persons" }], "breakdown": { "prop": "a" } }), false)]
#[case::events_too(json!({ "series": [{ "measure": "persons" }, { "measure": "count" }] }), false)]
fn people_over_whole_days_need_no_rows(#[case] question: Value, #[case] want: bool) {
    let compiled = crate::compile("trend", full(question), &context()).unwrap();
    assert_eq!(compiled.analysis.presence().is_some(), want);
}

/// Only what each series asks for: a row that counts in one of them must not be left out.
#[rstest]
#[case::of_the_question(json!(null), json!(null), json!({ "prop": "a", "value": "x" }), &["a"])]
#[case::of_all_series(json!({ "prop": "b", "value": "y" }), json!({ "prop": "b", "value": "y" }), json!(null), &["b"])]
#[case::of_one_series(json!({ "prop": "b", "value": "y" }), json!(null), json!(null), &[])]
#[case::of_another_value(json!({ "prop": "b", "value": "y" }), json!({ "prop": "b", "value": "z" }), json!(null), &[])]
fn a_trend_needs_what_all_its_series_need(
    #[case] first: Value,
    #[case] second: Value,
    #[case] of_all: Value,
    #[case] want: &[&str],
) {
    let question = json!({ "where": of_all, "series": [
        { "event": "e", "where": first, "measure": "count" },
        { "event": "f", "where": second, "measure": "count" },
    ] });
    let compiled = crate::compile("trend", full(question), &context()).unwrap();
    let mut needs = Vec::new();
    let asked = compiled.ask(&Facts { now_ms: 0 }, |analysis| {
        needs.extend(analysis.scan().needs.iter().map(|need| need.prop.clone()));
        Ok::<_, std::convert::Infallible>(Partial::default())
    });
    assert!(asked.is_ok());
    assert_eq!(needs, want);
}
