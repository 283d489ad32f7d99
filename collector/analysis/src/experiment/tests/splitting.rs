//! Slices by cohorts, and effects that are put together from strata.

use rstest::rstest;
use serde_json::{Value, json};

use super::super::answer::{ExperimentAnswer, SliceResult};
use super::{T0, ask, exposed};
use crate::filter::Properties;
use crate::stats::calculate;
use crate::testing::Event;

const DAY: i64 = 86_400_000;

/// People of three countries; every fourth bought before the range, and who did is easier to win.
fn people() -> Vec<Event> {
    let mut events = Vec::new();
    for person in 0..600u64 {
        let variant = ["control", "test"][(person / 3 % 2) as usize];
        let country = ["de", "fr", "it"][(person % 3) as usize];
        events.push(exposed(person, DAY, variant).with("country", country));
        let was_here = person / 6 % 4 == 0;
        if was_here {
            events.push(Event::new(person, T0 - DAY, "bought").with("value", 1));
        }
        if was_here || person % 7 == 0 {
            let value = (10 * (person % 3) + person / 6 % 5) as f64;
            events.push(Event::new(person, T0 + 2 * DAY, "bought").with("value", value));
        }
    }
    events
}

fn slice<'a>(answer: &'a ExperimentAnswer, value: &[&str]) -> &'a SliceResult {
    let has = |slice: &&SliceResult| slice.value.iter().flatten().eq(value.iter().copied());
    answer.slices.iter().find(has).unwrap()
}

fn bought() -> Value {
    json!({ "cohort": { "did": { "event": "bought" } }, "name": "customers" })
}

#[test]
fn a_slice_by_a_cohort_is_the_question_asked_of_it() {
    let metrics = json!([{ "event": "bought" }, { "event": "bought", "kind": "mean" }]);
    let answer = ask(people(), json!({ "metrics": metrics, "slices": [bought()] }));
    assert_eq!(answer.slices.len(), 2);
    let start = "2026-09-01";
    let rule = json!({ "did": { "event": "bought", "to": start } });
    for (value, cohort) in [("yes", rule.clone()), ("no", json!({ "not": rule }))] {
        let alone = ask(people(), json!({ "metrics": metrics, "cohort": cohort }));
        let own = slice(&answer, &[value]);
        assert_eq!(own.slice, ["customers"]);
        for (own, alone) in own.metrics.iter().zip(&alone.metrics) {
            assert_eq!(own.arms, alone.arms);
            assert_eq!(own.effects[0].p_value, alone.effects[0].p_value);
        }
        assert_eq!(own.persons.iter().sum::<u64>(), [450, 150][usize::from(value == "yes")]);
    }
}

#[test]
fn who_came_into_a_cohort_after_the_start_is_not_in_it() {
    // Everybody buys in the range, nobody before: the rule ends where the range begins.
    let events: Vec<Event> = (0..200u64)
        .flat_map(|person| {
            let variant = ["control", "test"][person as usize % 2];
            [exposed(person, 0, variant), Event::new(person, T0 + 5, "bought")]
        })
        .collect();
    let answer = ask(events, json!({ "metrics": [{ "event": "bought" }], "slices": [bought()] }));
    assert_eq!(answer.slices.len(), 1);
    assert_eq!(slice(&answer, &["no"]).persons, [100, 100]);
}

#[test]
fn the_rules_of_a_cohort_that_is_asked_of_end_where_the_experiment_begins() {
    let ask_of = |rule: Value| {
        let question = json!({ "metrics": [{ "event": "bought" }], "cohort": rule });
        ask(people(), question).arms.iter().map(|arm| arm.persons).sum::<u64>()
    };
    let bought = json!({ "did": { "event": "bought" } });
    assert_eq!(ask_of(bought.clone()), 150, "those who bought before, not in it");
    assert_eq!(ask_of(json!({ "not": bought })), 450, "also who did nothing before");
    assert_eq!(ask_of(json!({ "has": { "prop": "value", "value": 1 } })), 150);
}

#[test]
fn a_cohort_and_a_property_split_together() {
    let answer = ask(
        people(),
        json!({ "metrics": [{ "event": "bought" }], "slices": [["country", bought()], [bought(), bought()]] }),
    );
    let of_both = |country: &str, is_customer: &str| {
        slice(&answer, &[country, is_customer]).persons.iter().sum::<u64>()
    };
    for country in ["de", "fr", "it"] {
        assert_eq!((of_both(country, "yes"), of_both(country, "no")), (50, 150));
    }
    assert_eq!(slice(&answer, &["yes", "yes"]).persons.iter().sum::<u64>(), 150);
    assert_eq!(answer.slices.len(), 6 + 2);
}

/// Counts, sums and squares of an arm's values, from the events.
fn sums(events: &[Event], of: impl Fn(u64) -> bool) -> Value {
    let mut values = std::collections::BTreeMap::new();
    for event in events {
        if &*event.name == "$exposure" && of(event.person) {
            values.entry(event.person).or_insert(0.0);
        }
    }
    for event in events {
        let counts = &*event.name == "bought" && event.ts_ms > T0;
        if let Some(value) = values.get_mut(&event.person).filter(|_| counts) {
            *value += event.number("value");
        }
    }
    let sum: f64 = values.values().sum();
    let squares: f64 = values.values().map(|value| value * value).sum();
    json!({ "n": values.len(), "sum": sum, "sum_squares": squares })
}

#[rstest]
#[case::absolute("absolute")]
#[case::relative("relative")]
fn strata_are_put_together_as_the_calculator_does(#[case] difference: &str) {
    let events = people();
    let question =
        json!({ "metrics": [{ "event": "bought", "kind": "mean" }], "strata": "country" });
    let answer = ask(events.clone(), question);
    let effect = &answer.metrics[0].effects[0];
    let arm = |arm: u64, country: u64| {
        sums(&events, |person| person / 3 % 2 == arm && person % 3 == country)
    };
    let strata: Vec<Value> =
        (0..3).map(|c| json!({ "control": arm(0, c), "treatment": arm(1, c) })).collect();
    let input = json!({ "metric": "mean", "difference": difference, "strata": strata });
    let want = calculate("post_stratify", &input).unwrap();
    let (estimate, interval) = match difference {
        "absolute" => (effect.absolute, effect.absolute_interval),
        _ => (effect.lift, effect.lift_interval),
    };
    let near = |got: f64, want: &Value| {
        let want = want.as_f64().unwrap();
        assert!((got - want).abs() <= 1e-9 * want.abs().max(1e-3), "{got} {want}");
    };
    near(estimate.unwrap(), &want["estimate"]);
    near(interval.unwrap().low, &want["ci_low"]);
    assert_eq!(effect.stratified.as_ref().map(|found| found.strata), Some(3));
    assert!(answer.slices.is_empty(), "strata are not shown one by one");
}

#[test]
fn a_stratum_of_one_counts_with_the_smallest() {
    let mut events = people();
    events.push(exposed(9_999, DAY, "test").with("country", "va"));
    events.push(Event::new(9_999, T0 + 2 * DAY, "bought").with("value", 500));
    let answer = ask(events, json!({ "metrics": [{ "event": "bought" }], "strata": "country" }));
    let effect = &answer.metrics[0].effects[0];
    assert_eq!(effect.stratified.as_ref().map(|found| found.strata), Some(3));
    assert_eq!(answer.arms[1].persons, 301);
}

#[test]
fn the_verdict_goes_by_the_stratified_effect() {
    // Countries differ by much more than the variants do: without strata that is all noise.
    let mut events = Vec::new();
    for person in 0..2_000u64 {
        let variant = ["control", "test"][(person % 2) as usize];
        let country = person / 2 % 2;
        let exposure = exposed(person, 0, variant).with("country", ["de", "fr"][country as usize]);
        events.push(exposure);
        let value = 200 * country + person / 4 % 5 + person % 2;
        events.push(Event::new(person, T0 + 9, "bought").with("value", value as f64));
    }
    let ask = |strata: Value| {
        let metrics = json!([{ "event": "bought", "kind": "mean" }]);
        let question = json!({ "metrics": metrics, "strata": strata });
        ask(events.clone(), question).verdict.text
    };
    assert!(ask(Value::Null).starts_with("Keep running"));
    assert!(ask(json!("country")).starts_with("Ship test"));
}

#[test]
fn a_mismatch_is_found_in_the_slice_that_it_comes_from() {
    // Of those with one browser, half of the treatment is missing.
    let mut events = Vec::new();
    for person in 0..2_000u64 {
        let variant = ["control", "test"][(person % 2) as usize];
        let browser = ["Firefox", "Chrome", "Safari", "rare"][(person / 2 % 4) as usize];
        let is_rare = browser == "rare" && person > 150;
        let is_lost = browser == "Safari" && variant == "test" && person % 3 > 0;
        if !is_rare && !is_lost {
            events.push(exposed(person, 0, variant).with("browser", browser));
        }
    }
    let answer = ask(events, json!({ "slices": ["browser"] }));
    let p = |browser: &str| slice(&answer, &[browser]).srm_p_value;
    assert!(p("Safari") < Some(0.001), "{:?}", p("Safari"));
    assert!(p("Firefox") > Some(0.1) && p("Chrome") > Some(0.1));
    assert_eq!(p("rare"), None, "too few people say nothing");
}
