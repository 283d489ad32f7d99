//! Questions at their limits: a clear answer or a clear error, for every kind.

use rstest::rstest;
use serde_json::{Value, json};

use crate::answer::Group;
use crate::registry::kinds;
use crate::testing::{Event, Memory};
use crate::{AnswerBody, Context, compile};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn context() -> Context {
    Context { tz: "UTC".into(), now_ms: T0 + 30 * DAY }
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
