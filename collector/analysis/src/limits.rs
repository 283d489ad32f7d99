//! Questions at their limits: a clear answer or a clear error, for every kind.

use std::convert::Infallible;

use rstest::rstest;
use serde_json::{Value, json};

use crate::answer::Group;
use crate::events::{EventSet, ScanPlan};
use crate::filter::Columns;
use crate::kernel::{Analysis, Kernel, Key, Partial};
use crate::persons::PersonsAnswer;
use crate::question::{Compiled, LOOKS_MAX};
use crate::registry::kinds;
use crate::testing::{Event, Memory, Scan};
use crate::{Answer, AnswerBody, Context, Facts, compile};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn context() -> Context {
    Context::utc(T0 + 30 * DAY)
}

/// The least that a kind wants to know.
fn least(kind: &str) -> Value {
    let steps = json!([{ "event": "a" }, { "event": "b" }]);
    match kind {
        "funnel" => json!({ "steps": steps }),
        "explain" => json!({ "steps": steps, "rules": ["tallymark", "posthog"] }),
        "experiment" => json!({ "experiment": "x", "metrics": [{ "name": "m", "event": "a" }] }),
        "person" => json!({ "person": "00f3a1b2c4d5e6f7" }),
        "attribution" => json!({ "conversion": { "event": "a" } }),
        _ => json!({}),
    }
}

fn with(kind: &str, fields: Value) -> Value {
    let mut question = least(kind);
    question.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    question
}

fn code(kind: &str, fields: Value) -> &'static str {
    compile(kind, with(kind, fields), &context())
        .map_or_else(|error| error.code(), |_| "understood")
}

#[test]
fn every_kind_refuses_an_empty_range_and_an_unknown_field() {
    for kind in kinds() {
        let empty = json!({ "from": "2026-09-02", "to": "2026-09-02" });
        assert_eq!(code(kind, empty), "range_empty", "{kind}");
        assert_eq!(
            code(kind, json!({ "from": "2026-09-03", "to": "2026-09-02" })),
            "range_empty",
            "{kind}"
        );
        assert_eq!(code(kind, json!({ "colour": "red" })), "question_malformed", "{kind}");
    }
}

#[test]
fn every_kind_answers_about_a_property_that_nobody_has() {
    let memory = Memory::new([Event::new(1, T0, "a"), Event::new(1, T0 + 1, "b")]);
    for kind in kinds() {
        let question = with(
            kind,
            json!({ "where": [{ "prop": "nothing", "value": "x" }],
            "from": "2026-09-01", "to": "2026-09-02" }),
        );
        let answer = memory.answer(kind, question, &context());
        // What pages lost had no properties.
        assert_eq!(answer.is_ok(), kind != "completeness", "{kind}: {answer:?}");
    }
    let question = json!({ "breakdown": "nothing", "from": "2026-09-01", "to": "2026-09-02" });
    let AnswerBody::Trend(trend) = memory.answer("trend", question, &context()).unwrap().body
    else {
        panic!("a trend answers a trend")
    };
    assert_eq!(trend.series.len(), 1);
    assert_eq!((trend.series[0].group, trend.series[0].total.0), (Group::Absent, Some(2.0)));
}

#[test]
fn every_kind_takes_ten_years_or_says_how_many_buckets_are_too_many() {
    let memory = Memory::new([Event::new(1, T0, "a"), Event::new(1, T0 + 1, "b")]);
    for kind in kinds() {
        let question = with(kind, json!({ "from": "2016-10-01", "to": "2026-10-01" }));
        match memory.answer(kind, question, &context()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.code(), "too_many_buckets", "{kind}: {error}"),
        }
    }
    assert_eq!(
        code("trend", json!({ "from": "2016-10-01", "bucket": "hour" })),
        "too_many_buckets"
    );
}

#[rstest]
#[case::grows_too_large("(a{1000}){1000}", "filter_invalid")]
#[case::nested_too_deeply(&"(".repeat(200), "filter_invalid")]
#[case::too_long(&"a".repeat(501), "filter_invalid")]
#[case::no_expression("(", "filter_invalid")]
#[case::would_go_back_and_forth("(a+)+$", "understood")]
fn a_regular_expression_is_bounded(#[case] pattern: &str, #[case] want: &str) {
    let filter = json!({ "where": [{ "prop": "text", "op": "regex", "value": pattern }] });
    assert_eq!(code("trend", filter), want);
}

/// Engines that go back and forth would need longer than the universe has.
#[test]
fn a_regular_expression_that_explodes_elsewhere_is_answered() {
    let text = format!("{}b", "a".repeat(50_000));
    let memory = Memory::new([Event::new(1, T0, "a").with("text", text)]);
    let question = json!({ "from": "2026-09-01", "to": "2026-09-02",
        "where": [{ "prop": "text", "op": "regex", "value": "(a+)+$" }] });
    let AnswerBody::Trend(trend) = memory.answer("trend", question, &context()).unwrap().body
    else {
        panic!("a trend answers a trend")
    };
    assert_eq!(trend.series[0].total.0, Some(0.0));
}

/// One that is never content.
struct Insatiable(ScanPlan);

impl Analysis for Insatiable {
    fn scan(&self) -> &ScanPlan {
        &self.0
    }
    fn kernel(&self) -> Box<dyn Kernel> {
        unreachable!("nobody scans")
    }
    fn refine(&self, _: &Partial) -> Option<Box<dyn Analysis>> {
        Some(Box::new(Self(self.0.clone())))
    }
    fn answer(&self, partial: &Partial, _: &Facts) -> Answer {
        let looks = partial.count(&[Key::Int(0)], 0);
        let body = PersonsAnswer { count: looks, persons: Vec::new(), next: None };
        Answer { complete: false, body: AnswerBody::Persons(body) }
    }
}

#[test]
fn a_question_that_would_ask_for_ever_is_answered_after_the_last_look() {
    let plan = ScanPlan::with(Columns::default(), 0, 1, EventSet::All);
    let mut looks = 0;
    let compiled = Compiled::new(Value::Null, Insatiable(plan));
    let Ok(answer) = compiled.ask(&Facts { now_ms: 0 }, |_| {
        looks += 1;
        let mut partial = Partial::default();
        partial.add(vec![Key::Int(0)], &[1.0]);
        Ok::<_, Infallible>(partial)
    });
    assert_eq!(looks, LOOKS_MAX);
    let AnswerBody::Persons(persons) = answer.body else { panic!("it answers with its looks") };
    assert_eq!(persons.count, LOOKS_MAX as u64, "and has seen all of them");
}

/// Capped by a percentile, with a quantile, and so many people of several variants that it is asked why.
#[test]
fn the_question_that_looks_most_often_is_content_by_itself() {
    let person = |person: u64| {
        let met = |variant: &str, identity: &str, at_ms: i64| {
            let met = Event::new(person, at_ms, "$exposure").with("experiment", "x");
            met.with("variant", variant).with("identity", identity)
        };
        let bought = Event::new(person, T0 + 10, "a").with("value", person as f64);
        let both = met("b", "user", T0 + 1);
        let first = met(if person.is_multiple_of(2) { "a" } else { "b" }, "device", T0);
        [Some(first), person.is_multiple_of(4).then_some(both), Some(bought)]
    };
    let memory = Memory::new((1..400).flat_map(person).flatten());
    let question = json!({ "from": "2026-09-01", "to": "2026-09-03", "experiment": "x",
        "variants": [{ "key": "a" }, { "key": "b" }], "metrics": [
            { "name": "capped", "event": "a", "kind": "mean", "prop": "value", "cap": { "kind": "percentile", "upper": 0.9 } },
            { "name": "middle", "event": "a", "kind": "quantile", "prop": "value", "quantile": 0.5 },
        ] });
    let compiled = compile("experiment", question, &context()).unwrap();
    let mut looks = 0;
    let mut last = None;
    let Ok(_) = compiled.ask(&Facts { now_ms: T0 + 9 * DAY }, |analysis| {
        looks += 1;
        let partial = memory.ask(analysis, Scan::default());
        last = Some(analysis.scan().clone());
        Ok::<_, Infallible>(partial)
    });
    assert_eq!(looks, LOOKS_MAX);
    assert_eq!(compiled.looks() as usize, looks, "and it was foreseen");
    assert!(last.unwrap().texts.contains(&"identity".to_owned()), "the last look was the last one");
}

/// Each event its own value: ten are listed, and nobody is lost.
#[rstest]
#[case::events("count")]
#[case::persons("persons")]
fn a_breakdown_with_very_many_values_lists_some_and_adds_up(#[case] measure: &str) {
    const VALUES: u64 = 100_000;
    let events =
        (0..VALUES).map(|n| Event::new(n % 1_000, T0 + n as i64, "a").with("id", format!("v{n}")));
    let memory = Memory::new(events);
    let question = json!({ "from": "2026-09-01", "to": "2026-09-02", "breakdown": "id",
        "series": [{ "event": "a", "measure": measure }] });
    let AnswerBody::Trend(trend) = memory.answer("trend", question, &context()).unwrap().body
    else {
        panic!("a trend answers a trend")
    };
    assert_eq!(trend.series.len(), 11);
    let other = trend.series.last().unwrap();
    let want = if measure == "count" { VALUES - 10 } else { 1_000 };
    assert_eq!((other.group, other.total.0), (Group::Other, Some(want as f64)));
}
