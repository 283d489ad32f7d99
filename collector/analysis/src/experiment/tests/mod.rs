//! Rules of experiments, one named test each.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::answer::{Code, ExperimentAnswer, ExperimentStatus, Reason, SrmStatus};
use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context};

mod beside;
mod judging;
mod splitting;

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;

fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> ExperimentAnswer {
    let mut full = json!({ "experiment": "button", "from": "2026-09-01", "to": "2026-09-15" });
    full.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    let context = Context::utc(T0 + 60 * 86_400_000);
    match Memory::new(events).answer_by("experiment", full, &context, scan).unwrap().body {
        AnswerBody::Experiment(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, question: Value) -> ExperimentAnswer {
    ask_by(events, question, Scan::default())
}

fn exposed(person: u64, at: i64, variant: &str) -> Event {
    Event::new(person, T0 + at, "$exposure").with("experiment", "button").with("variant", variant)
}

fn conversions(answer: &ExperimentAnswer) -> Vec<(&str, u64, u64)> {
    let arms = answer.metrics[0].arms.iter();
    arms.map(|arm| (arm.variant.as_str(), arm.persons, arm.conversions)).collect()
}

#[rstest]
#[case::before(99, 0)]
#[case::after(101, 1)]
fn only_what_follows_the_exposure_counts(#[case] at: i64, #[case] want: u64) {
    let events = vec![exposed(1, 100, "test"), Event::new(1, T0 + at, "bought")];
    let answer = ask(events, json!({ "metrics": [{ "event": "bought" }] }));
    assert_eq!(conversions(&answer), [("test", 1, want)]);
}

#[test]
fn within_one_millisecond_the_counter_decides() {
    let events = vec![
        Event::new(1, T0 + 100, "bought").seq(1),
        exposed(1, 100, "test").seq(2),
        exposed(2, 100, "test").seq(1),
        Event::new(2, T0 + 100, "bought").seq(2),
    ];
    let answer = ask(events, json!({ "metrics": [{ "event": "bought" }] }));
    assert_eq!(conversions(&answer), [("test", 2, 1)]);
}

#[test]
fn who_met_two_variants_is_in_no_arm_and_counted() {
    let events = vec![
        exposed(1, 0, "control"),
        exposed(1, 10, "test"),
        exposed(2, 0, "test"),
        exposed(2, 5, "test"),
    ];
    let answer = ask(events, json!({}));
    assert_eq!(conversions(&answer), [("test", 1, 0)]);
    assert_eq!(answer.excluded.multi_variant, 1);
}

#[test]
fn a_window_includes_its_last_millisecond_and_reaches_beyond_the_range() {
    let end = 14 * 86_400_000;
    let hour = 3_600_000;
    let events = vec![
        exposed(1, end - 1, "test"),
        Event::new(1, T0 + end - 1 + hour, "bought"),
        exposed(2, end - 1, "test"),
        Event::new(2, T0 + end + hour, "bought"),
        exposed(3, end, "test"),
        Event::new(3, T0 + end + 1, "bought"),
    ];
    let question = json!({ "metrics": [{ "event": "bought" }], "window": "1h" });
    assert_eq!(conversions(&ask(events.clone(), question)), [("test", 2, 1)]);
    let question = json!({ "metrics": [{ "event": "bought" }] });
    assert_eq!(conversions(&ask(events, question)), [("test", 2, 0)]);
}

#[test]
fn plain_experiment_events_mean_the_same() {
    let plain = |person, at, name: &str| {
        Event::new(person, T0 + at, name).with("experiment", "button").with("variant", "test")
    };
    let events = vec![
        plain(1, 0, "experiment_exposure").with("feature", "buy"),
        plain(1, 1, "experiment_conversion").with("converted", true).with("conversion_value", 9.5),
        plain(2, 0, "experiment_exposure"),
        plain(2, 1, "experiment_conversion").with("converted", false).with("conversion_value", 7),
        plain(3, 0, "experiment_exposure"),
        plain(3, 1, "experiment_conversion").with("experiment", "other"),
        plain(4, 0, "experiment_exposure"),
        plain(4, 1, "$conversion").with("variant", "control").with("value", 2),
    ];
    let answer = ask(events, json!({ "metrics": [{}, { "kind": "mean", "name": "revenue" }] }));
    assert_eq!(conversions(&answer), [("test", 4, 2)]);
    assert_eq!(answer.metrics[1].arms[0].sum, Some(11.5));
    assert_eq!(answer.metrics[1].arms[0].mean, Some(11.5 / 4.0));
    assert_eq!(answer.excluded.variant_mismatch, 1);
}

#[test]
fn a_product_of_another_variant_is_no_mismatch() {
    let bought = Event::new(1, T0 + 5, "bought").with("variant", "xl");
    let answer =
        ask(vec![exposed(1, 0, "test"), bought], json!({ "metrics": [{ "event": "bought" }] }));
    assert_eq!(answer.excluded.variant_mismatch, 0);
    assert_eq!(conversions(&answer), [("test", 1, 1)]);
}

#[test]
fn an_exposure_to_an_unknown_variant_is_counted_apart() {
    let events = vec![
        exposed(1, 0, "purple"),
        exposed(2, 0, "purple"),
        exposed(2, 5, "b"),
        exposed(3, 0, "a"),
    ];
    let question =
        json!({ "variants": [{ "key": "a" }, { "key": "b" }, { "key": "c" }], "control": "b" });
    let answer = ask(events, question);
    assert_eq!(conversions(&answer), [("b", 1, 0), ("a", 1, 0), ("c", 0, 0)]);
    assert_eq!(answer.excluded.unknown_variant, 1);
    assert_eq!(answer.excluded.multi_variant, 0);
}

/// `persons` people per arm, of whom `converted` bought.
fn population(arms: &[(&str, u64, u64)]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut person = 0;
    for (variant, persons, converted) in arms {
        for i in 0..*persons {
            person += 1;
            events.push(exposed(person, 0, variant));
            if i < *converted {
                events.push(Event::new(person, T0 + 9, "bought").with("value", 10 + i % 3));
            }
        }
    }
    events
}

#[test]
fn an_effect_agrees_with_the_reference() {
    // The arms of tests/vectors/stats-proportions.json, proportions-001 and 002 (gbstats 0.8.0).
    let events = population(&[("control", 1451, 452), ("test", 1451, 477)]);
    let answer = ask(events, json!({ "metrics": [{ "event": "bought" }] }));
    let effect = &answer.metrics[0].effects[0];
    let near = |got: Option<f64>, want: f64| assert!((got.unwrap() - want).abs() < 1e-9, "{got:?}");
    near(effect.absolute, 0.01722949689869056);
    near(effect.p_value, 0.31985462281540916);
    near(effect.lift, 0.05530973451327434);
    near(effect.lift_interval.map(|bounds| bounds.low), -0.05670565390139396);
    near(answer.metrics[0].arms[0].rate_interval.map(|bounds| bounds.low), 0.2882046609108988);
    assert_eq!(answer.status, ExperimentStatus::Readable);
    assert_eq!(answer.verdict.code, Code::KeepRunning);
}

#[rstest]
#[case::better(600, Code::Ship, Reason::Better)]
#[case::worse(300, Code::DoNotShip, Reason::Worse)]
fn a_clear_difference_has_a_direction(
    #[case] converted: u64,
    #[case] code: Code,
    #[case] reason: Reason,
) {
    let events = population(&[("control", 1451, 452), ("test", 1451, converted)]);
    let answer = ask(events, json!({ "metrics": [{ "event": "bought" }] }));
    assert_eq!((answer.verdict.code, answer.verdict.reason), (code, reason));
}

#[test]
fn the_srm_vectors_hold_and_a_mismatch_blocks_the_verdict() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../../tests/vectors/semantics.json")).unwrap();
    let cases = vectors["srm"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let users = |arm: usize| case["users"][arm].as_u64().unwrap();
        let events = population(&[("control", users(0), 100), ("test", users(1), 700)]);
        let answer = ask(events, json!({ "metrics": [{ "event": "bought" }] }));
        let near = |got: Option<f64>, want: &Value| {
            let want = want.as_f64().unwrap();
            assert!((got.unwrap() - want).abs() < 1e-9 * want, "{got:?} {want}");
        };
        near(answer.srm.statistic, &case["statistic"]);
        near(answer.srm.p_value, &case["p_value"]);
        let mismatch = case["mismatch"].as_bool().unwrap();
        assert_eq!(answer.srm.status == SrmStatus::Mismatch, mismatch);
        assert_eq!(answer.verdict.code, if mismatch { Code::Invalid } else { Code::Ship });
    }
}

#[rstest]
#[case::ninety_nine(98, 1, SrmStatus::NotEnoughData)]
#[case::a_hundred(99, 1, SrmStatus::Mismatch)]
fn sizes_say_nothing_below_a_hundred_people(
    #[case] control: u64,
    #[case] test: u64,
    #[case] want: SrmStatus,
) {
    let answer = ask(population(&[("control", control, 0), ("test", test, 0)]), json!({}));
    assert_eq!(answer.srm.status, want);
}

#[test]
fn weights_decide_what_is_even() {
    let events = population(&[("control", 900, 10), ("test", 100, 5)]);
    let question =
        json!({ "variants": [{ "key": "control", "weight": 9 }, { "key": "test", "weight": 1 }] });
    let answer = ask(events, question);
    assert_eq!(answer.srm.statistic, Some(0.0));
    assert_eq!(answer.arms[0].expected_ratio, Some(0.9));
}

#[rstest]
#[case::nobody(&[])]
#[case::one_arm(&[("control", 5, 2)])]
#[case::nobody_converted(&[("control", 50, 0), ("test", 50, 0)])]
#[case::everybody_converted(&[("control", 50, 50), ("test", 50, 50)])]
fn not_enough_data_is_an_answer_of_its_own(#[case] arms: &[(&str, u64, u64)]) {
    let answer = ask(population(arms), json!({ "metrics": [{ "event": "bought" }] }));
    assert_eq!(answer.status, ExperimentStatus::NotEnoughData);
    assert_eq!(answer.verdict.code, Code::NotEnoughData);
    for effect in &answer.metrics[0].effects {
        assert_eq!((effect.p_value, effect.absolute_interval), (None, None));
    }
}

#[rstest]
#[case(json!({ "experiment": "" }), "field_invalid")]
#[case(json!({ "method": "bayes" }), "question_malformed")]
#[case(json!({ "method": "fixed" }), "field_invalid")]
#[case(json!({ "plan": { "alpha": 0 } }), "field_invalid")]
#[case(json!({ "in_progress": "exclude" }), "field_invalid")]
#[case(json!({ "slices": [""] }), "field_invalid")]
#[case(json!({ "metrics": [{ "event": "x", "role": "guardrail" }] }), "field_invalid")]
#[case(json!({ "metrics": [{ "event": "x", "kind": "quantile" }] }), "field_invalid")]
#[case(json!({ "metrics": [{ "event": "x", "kind": "quantile", "quantile": 1 }] }), "field_invalid")]
#[case(json!({ "metrics": [{ "event": "x", "kind": "retention", "days": [3, 2] }] }), "field_invalid")]
#[case(json!({ "metrics": [{ "kind": "funnel", "steps": [] }] }), "field_invalid")]
#[case(json!({ "metrics": [{ "event": "x", "cap": { "kind": "absolute", "upper": 3 } }] }), "field_invalid")]
#[case(json!({ "metrics": [{ "event": "x", "kind": "mean", "cap": { "kind": "percentile", "upper": 2 } }] }), "field_invalid")]
#[case(json!({ "metrics": [{ "event": "x", "margin": 0.1 }] }), "field_invalid")]
#[case(json!({ "variants": [{ "key": "a" }] }), "count_invalid")]
#[case(json!({ "variants": [{ "key": "a" }, { "key": "a" }] }), "field_invalid")]
#[case(json!({ "variants": [{ "key": "a" }, { "key": "b", "weight": -1 }] }), "field_invalid")]
#[case(json!({ "variants": [{ "key": "a", "weight": 0 }, { "key": "b", "weight": 0 }] }), "field_invalid")]
#[case(json!({ "slices": [["a", "b", "c"]] }), "question_malformed")]
#[case(json!({ "slices": [{ "cohort": { "did": {} }, "name": "" }] }), "field_invalid")]
#[case(json!({ "slices": [{ "cohort": "nobody knows" }] }), "field_invalid")]
#[case(json!({ "strata": "country", "covariate": "7d" }), "field_invalid")]
#[case(json!({ "adjust": "tukey" }), "question_malformed")]
#[case(json!({ "method": "group_sequential" }), "field_invalid")]
#[case(json!({ "method": "group_sequential", "plan": { "looks": ["2030-01-01"] } }), "field_invalid")]
#[case(json!({ "method": "group_sequential",
    "plan": { "ends": "2035-01-01", "looks": ["2036-01-01"] } }), "field_invalid")]
#[case(json!({ "plan": { "ends": "2035-01-01", "looks": ["2034-01-01"] } }), "field_invalid")]
#[case(json!({ "variants": [{ "key": "a" }, { "key": "b" }], "control": "c" }), "field_invalid")]
#[case(json!({ "metrics": [{ "event": "x", "kind": "ratio" }] }), "field_invalid")]
#[case(json!({ "interactions": ["button"] }), "field_invalid")]
#[case(json!({ "interactions": ["other", "other"] }), "field_invalid")]
#[case(json!({ "interactions": vec!["x"; 51] }), "count_invalid")]
fn what_cannot_be_honoured_is_refused(#[case] extra: Value, #[case] code: &str) {
    let mut question = json!({ "experiment": "button" });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let context = Context::utc(T0);
    assert_eq!(crate::compile("experiment", question, &context).unwrap_err().code(), code);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn how_it_was_scanned_does_not_show(
        events in prop::collection::vec((0u64..30, 0i64..50, 0usize..3, -1e6f64..1e6), 0..80),
        kernels in 1usize..5,
        reverse_codes in any::<bool>(),
    ) {
        let events: Vec<Event> = events.into_iter().map(|(person, at, kind, value)| match kind {
            0 => exposed(person, at, if person % 7 < 3 { "control" } else { "test" }),
            1 => exposed(person, at, "third"),
            _ => Event::new(person, T0 + at, "bought").with("value", value),
        }).collect();
        let question = json!({ "metrics": [{ "event": "bought" }, { "event": "bought", "kind": "mean" }] });
        let answer = ask(events.clone(), question.clone());
        prop_assert_eq!(ask_by(events, question, Scan { kernels, reverse_codes }), answer);
    }
}
