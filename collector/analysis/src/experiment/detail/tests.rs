//! What the detailed kernel counts, against the reference and against plain models.

use std::collections::HashSet;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::super::answer::{CheckStatus, Code, ExperimentAnswer, Reason};
use crate::stats::calculate;
use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn ask_at(events: Vec<Event>, question: &Value, now_ms: i64, scan: Scan) -> ExperimentAnswer {
    let mut full = json!({ "experiment": "button", "from": "2026-09-01", "to": "2026-09-15" });
    full.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    let context = Context::utc(now_ms);
    match Memory::new(events).answer_by("experiment", full, &context, scan).unwrap().body {
        AnswerBody::Experiment(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, question: Value) -> ExperimentAnswer {
    ask_at(events, &question, T0 + 60 * DAY, Scan::default())
}

fn exposed(person: u64, at: i64, variant: &str) -> Event {
    Event::new(person, T0 + at, "$exposure").with("experiment", "button").with("variant", variant)
}

fn bought(person: u64, at: i64, value: f64) -> Event {
    Event::new(person, T0 + at, "bought").with("value", value)
}

/// The figure of each arm, control first.
fn values(answer: &ExperimentAnswer, metric: usize) -> Vec<Option<f64>> {
    answer.metrics[metric].arms.iter().map(|arm| arm.value).collect()
}

fn near(got: Option<f64>, want: &Value) {
    let (got, want) = (got.expect("a figure"), want.as_f64().expect("a number"));
    assert!((got - want).abs() <= 1e-9 * want.abs().max(1e-3), "{got} {want}");
}

/// Every case of the attribution reference, asked as a question: people, sums, and what follows from
/// the squares and products that are not shown.
#[test]
fn all_cases_of_the_attribution_reference_hold() {
    let file: Value =
        serde_json::from_str(include_str!("../../../../../tests/vectors/stats-attribution.json"))
            .unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let (input, want) = (&case["input"], &case["expected"]);
        let metric = &input["metric"];
        let seconds = |value: &Value| value.as_i64();
        let span = |value: &Value| seconds(value).filter(|s| *s != 0).map(|s| format!("{s}s"));
        let as_of = seconds(&input["as_of"]).unwrap();
        let mut people = crate::events::Dictionary::new();
        let mut person = |unit: &Value| u64::from(people.intern(unit.as_str().unwrap()));
        let mut seen = HashSet::new();
        let mut events = Vec::new();
        let mut exposures: Vec<&Value> = input["exposures"].as_array().unwrap().iter().collect();
        // Exposures of one instant are in the order of their ids; events come after them.
        exposures.sort_by_key(|exposure| exposure["id"].as_str().unwrap().to_owned());
        for exposure in exposures {
            if seen.insert(exposure["id"].clone()) {
                let at = seconds(&exposure["ts"]).unwrap() * 1000;
                let event = Event::new(person(&exposure["unit"]), at, "$exposure")
                    .with("experiment", exposure["experiment"].clone())
                    .with("variant", exposure["variant"].clone());
                events.push(event);
            }
        }
        for event in input["events"].as_array().unwrap() {
            let at = seconds(&event["ts"]).unwrap();
            // What happens after the moment of asking is not there.
            if at <= as_of && seen.insert(event["id"].clone()) {
                let name = event["name"].as_str().unwrap();
                let event = Event::new(person(&event["unit"]), at * 1000, name)
                    .with("cents", event["cents"].clone())
                    .seq(1);
                events.push(event);
            }
        }
        let at = |ts: &Value, more_ms: i64| {
            let ms = seconds(ts).unwrap() * 1000 + more_ms;
            jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
        };
        let kind = metric["kind"].as_str().unwrap();
        let is_money = kind == "revenue" || kind == "ratio";
        let variants: Vec<Value> = input["experiment"]["variants"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| json!({ "key": key }))
            .collect();
        let mut in_progress = input["policy"]["in_progress"].clone();
        if metric["window"].is_null() {
            in_progress = json!("include");
        }
        let question = json!({
            "experiment": input["experiment"]["id"],
            "from": at(&input["experiment"]["start"], 0),
            "to": at(&input["experiment"]["end"], 1),
            "variants": variants,
            "window": span(&metric["window"]),
            "delay": span(&metric["delay"]),
            "covariate": span(&input["covariate_seconds"]),
            "multiple_exposure": input["policy"]["multiple_exposure"],
            "in_progress": in_progress,
            "daily": true,
            "metrics": [{
                "event": metric["event"], "kind": kind, "prop": is_money.then_some("cents"),
                "denominator": metric["denominator"].as_str().map(|event| json!({ "event": event })),
                "cap": metric["cap"].as_f64().map(|upper| json!({ "kind": "absolute", "upper": upper })),
            }],
        });
        let answer = ask_at(events, &question, as_of * 1000, Scan::default());
        let id = &case["id"];
        for arm in &answer.metrics[0].arms {
            let want = &want["arms"][&arm.variant];
            assert_eq!(Some(arm.persons), want["n"].as_u64(), "{id}");
            let sum = if kind == "proportion" { Some(arm.conversions as f64) } else { arm.sum };
            assert_eq!(sum, want["sum"].as_f64(), "{id}");
        }
        let excluded = answer.excluded;
        assert_eq!(Some(excluded.multi_variant), want["multiple_exposed_units"].as_u64(), "{id}");
        assert_eq!(Some(excluded.in_progress), want["in_progress_units"].as_u64(), "{id}");

        // The same comparison of the reference's sums.
        let arm = |variant: &str| want["arms"][variant].clone();
        let (mut control, mut treatment) = (arm("control"), arm("treatment"));
        let (function, field) = match (kind, input["covariate_seconds"].as_i64()) {
            (_, Some(_)) => ("cuped", "mean"),
            ("proportion", None) => ("two_sample_t", "proportion"),
            ("ratio", None) => ("two_sample_t", "ratio"),
            _ => ("two_sample_t", "mean"),
        };
        for sums in [&mut control, &mut treatment] {
            let sums = sums.as_object_mut().unwrap();
            if field == "proportion" {
                sums.remove("sum_squares");
            }
            if field == "ratio" {
                for name in ["sum", "sum_squares"] {
                    let value = sums.remove(name).unwrap();
                    sums.insert(format!("num_{name}"), value);
                }
            }
        }
        let reference = calculate(
            function,
            &json!({ "metric": field, "control": control,
            "treatment": treatment, "difference": "absolute" }),
        );
        let effect = &answer.metrics[0].effects[0];
        match reference {
            Ok(reference) => {
                near(effect.p_value, &reference["p_value"]);
                near(effect.absolute_interval.map(|bounds| bounds.low), &reference["ci_low"]);
            }
            Err(error) => assert_eq!((effect.p_value, &*effect.status), (None, error.code), "{id}"),
        }
    }
}

/// Two arms with known values per person, by the list's place.
fn with_values(arms: [&[f64]; 2]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut person = 0;
    for (variant, values) in ["control", "test"].into_iter().zip(arms) {
        for value in values {
            person += 1;
            events.push(exposed(person, 0, variant));
            if *value != 0.0 {
                events.push(bought(person, 5, *value));
            }
        }
    }
    events
}

#[test]
fn caps_by_percentile_equal_the_reference() {
    let file: Value =
        serde_json::from_str(include_str!("../../../../../tests/vectors/stats-winsorized.json"))
            .unwrap();
    for case in file["cases"].as_array().unwrap() {
        let input = &case["input"];
        let list =
            |name: &str| -> Vec<f64> { serde_json::from_value(input[name].clone()).unwrap() };
        let events = with_values([&list("control_values"), &list("treatment_values")]);
        let answer = ask(
            events,
            json!({ "metrics": [
            { "event": "bought", "kind": "revenue", "cap": input["capping"] }] }),
        );
        let (metric, want) = (&answer.metrics[0], &case["expected"]);
        near(metric.capped_at.unwrap().high, &want["cap_upper"]);
        near(metric.effects[0].absolute, &want["estimate"]);
        near(metric.effects[0].p_value, &want["p_value"]);
    }
}

#[rstest]
#[case::too_early(HOUR - 1, 0.0)]
#[case::when_it_opens(HOUR, 1.0)]
#[case::when_it_closes(3 * HOUR, 1.0)]
#[case::too_late(3 * HOUR + 1, 0.0)]
fn a_delay_moves_the_window_and_both_ends_count(#[case] at: i64, #[case] want: f64) {
    let events = vec![exposed(1, 0, "test"), bought(1, at, 9.0)];
    let question = json!({ "delay": "1h", "window": "2h", "metrics": [{ "event": "bought" }] });
    assert_eq!(values(&ask(events, question), 0), [Some(want)]);
}

#[rstest]
#[case::before_day_two(2 * DAY - 1, 0.0)]
#[case::day_two_begins(2 * DAY, 1.0)]
#[case::day_three_ends(4 * DAY - 1, 1.0)]
#[case::day_four(4 * DAY, 0.0)]
fn a_retention_counts_days_of_24_hours_from_the_exposure(#[case] at: i64, #[case] want: f64) {
    let events = vec![exposed(1, 5, "test"), bought(1, 5 + at, 9.0)];
    let metric = json!({ "event": "bought", "kind": "retention", "days": [2, 3] });
    // The window is about other metrics.
    let question = json!({ "window": "1h", "metrics": [metric] });
    assert_eq!(values(&ask(events, question), 0), [Some(want)]);
}

#[rstest]
#[case::in_order(&["a", "b", "c"], 1.0)]
#[case::with_others_between(&["a", "x", "a", "b", "a", "c"], 1.0)]
#[case::out_of_order(&["b", "a", "c"], 0.0)]
#[case::not_all(&["a", "b"], 0.0)]
fn a_funnel_needs_all_steps_in_order(#[case] names: &[&str], #[case] want: f64) {
    let mut events = vec![exposed(1, 0, "test")];
    // Before the exposure nothing counts.
    events.extend(["a", "b", "c"].map(|name| Event::new(1, T0 - 5, name)));
    events.extend((1..).zip(names).map(|(at, name)| Event::new(1, T0 + at, name)));
    let steps = ["a", "b", "c"].map(|event| json!({ "event": event }));
    let question = json!({ "metrics": [{ "name": "order", "kind": "funnel", "steps": steps }] });
    let answer = ask(events, question);
    assert_eq!(values(&answer, 0), [Some(want)]);
    assert_eq!(answer.metrics[0].name, "order");
}

#[test]
fn a_ratio_divides_sums_and_its_error_is_that_of_the_calculator() {
    let mut events = Vec::new();
    let orders = |person: u64| 1 + person % 3;
    for person in 0..400 {
        events.push(exposed(person, 0, if person % 2 == 0 { "control" } else { "test" }));
        for order in 0..orders(person) {
            events.push(bought(person, 1 + order as i64, (10 + person % 7 + order) as f64));
        }
    }
    let answer = ask(
        events,
        json!({ "metrics": [{ "name": "order value", "event": "bought",
        "kind": "ratio", "prop": "value", "denominator": { "event": "bought" } }] }),
    );
    let sums = |rest: u64| {
        let mut s = [0.0; 6];
        for person in (0..400u64).filter(|person| person % 2 == rest) {
            let n: f64 = (0..orders(person)).map(|o| (10 + person % 7 + o) as f64).sum();
            let d = orders(person) as f64;
            for (sum, add) in s.iter_mut().zip([1.0, n, n * n, d, d * d, n * d]) {
                *sum += add;
            }
        }
        json!({ "n": s[0], "num_sum": s[1], "num_sum_squares": s[2], "den_sum": s[3],
            "den_sum_squares": s[4], "num_den_sum_products": s[5] })
    };
    let want = calculate(
        "two_sample_t",
        &json!({ "metric": "ratio", "difference": "relative",
        "control": sums(0), "treatment": sums(1) }),
    )
    .unwrap();
    let effect = &answer.metrics[0].effects[0];
    near(effect.lift, &want["estimate"]);
    near(effect.lift_interval.map(|bounds| bounds.low), &want["ci_low"]);
}

#[test]
fn a_quantile_of_events_takes_people_as_clusters() {
    let mut events = Vec::new();
    let mut state = 7u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    let mut persons: [Vec<Vec<f64>>; 2] = [Vec::new(), Vec::new()];
    for person in 0..600u64 {
        let arm = (person % 2) as usize;
        events.push(exposed(person, 0, ["control", "test"][arm]));
        // Slow people are slow each time.
        let own = 100.0 * next();
        let times: Vec<f64> = (0..1 + person % 4).map(|_| own + 10.0 * next()).collect();
        events.extend((1..).zip(&times).map(|(at, value)| bought(person, at, *value)));
        persons[arm].push(times);
    }
    let answer = ask(
        events,
        json!({ "metrics": [{ "name": "p90", "event": "bought",
        "kind": "quantile", "quantile": 0.9, "preferred": "decrease" }] }),
    );
    let arm = |persons: &[Vec<f64>]| -> (f64, f64) {
        let mut all: Vec<f64> = persons.concat();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| crate::quantile::of_sorted(&all, share).unwrap();
        let n = all.len() as f64;
        let star = if n >= 800.0 { 400.0 } else { 200.0 };
        let star = star * if n >= 2.0 * star { 2.0 } else { 1.0 };
        let half = 1.959_963_984_540_054 * (0.09f64 / star).sqrt();
        let q = at(0.9);
        let mut s = [0.0; 5];
        for person in persons {
            let below = person.iter().filter(|value| **value <= q).count() as f64;
            let d = person.len() as f64;
            for (sum, add) in s.iter_mut().zip([below, below * below, d, d * d, below * d]) {
                *sum += add;
            }
        }
        let got = calculate(
            "quantile_clustered_variance",
            &json!({ "n": n, "n_star": star,
            "nu": 0.9, "quantile": q, "quantile_lower": at(0.9 - half),
            "quantile_upper": at(0.9 + half), "clusters": persons.len(), "main_sum": s[0],
            "main_sum_squares": s[1], "denominator_sum": s[2], "denominator_sum_squares": s[3],
            "main_denominator_sum_product": s[4] }),
        )
        .unwrap();
        let (clustered, plain) =
            (got["variance"].as_f64().unwrap(), got["variance_iid"].as_f64().unwrap());
        assert!(clustered > 1.3 * plain, "people matter: {clustered} {plain}");
        (q, clustered / n)
    };
    let (control, test) = (arm(&persons[0]), arm(&persons[1]));
    let effect = &answer.metrics[0].effects[0];
    near(effect.absolute, &json!(test.0 - control.0));
    let interval = effect.absolute_interval.unwrap();
    let half = 0.5 * (interval.high - interval.low);
    // The normal quantile: 700 degrees of freedom and more.
    let want = 1.96 * (control.1 + test.1).sqrt();
    assert!((half / want - 1.0).abs() < 0.01, "{half} {want}");
}

#[test]
fn the_past_takes_noise_away_and_ends_at_the_exposure() {
    let mut events = Vec::new();
    for person in 0..2_000u64 {
        let habit = (person % 50) as f64;
        let luck = (person * 7919 % 13) as f64;
        let is_test = person * 104_729 % 17 < 8;
        events.push(exposed(person, 0, if is_test { "test" } else { "control" }));
        events.push(bought(person, -DAY, habit + 1.0));
        // Older than the covariate reaches, and the exposure itself is no past.
        events.push(bought(person, -9 * DAY, 1e6));
        events.push(bought(person, 1, habit + luck + if is_test { 1.0 } else { 0.0 }));
    }
    let metric = json!([{ "event": "bought", "kind": "revenue" }]);
    let plain = ask(events.clone(), json!({ "metrics": metric }));
    let adjusted = ask(events, json!({ "metrics": metric, "covariate": "7d" }));
    let (plain, effect) = (&plain.metrics[0].effects[0], &adjusted.metrics[0].effects[0]);
    let width = |effect: &super::super::answer::Effect| {
        let bounds = effect.absolute_interval.unwrap();
        bounds.high - bounds.low
    };
    let cuped = effect.cuped.as_ref().unwrap();
    assert!((cuped.theta - 1.0).abs() < 0.05, "{cuped:?}");
    assert!(cuped.variance_reduction.unwrap() > 0.9, "{cuped:?}");
    assert!(width(effect) < 0.3 * width(plain));
    assert!((effect.absolute.unwrap() - 1.0).abs() < 0.5);
    near(plain.absolute, &json!(cuped.unadjusted));
    let checks = &adjusted.checks.before;
    assert_eq!(checks.len(), 1);
    assert_eq!(checks[0].status, CheckStatus::Ok);
}

#[test]
fn arms_that_differed_before_the_exposure_make_it_invalid() {
    let mut events = Vec::new();
    for person in 0..400u64 {
        let is_test = person % 2 == 1;
        events.push(exposed(person, 0, if is_test { "test" } else { "control" }));
        events.push(bought(person, -HOUR, (person % 5) as f64 + if is_test { 3.0 } else { 0.0 }));
        events.push(bought(person, HOUR, (person % 11) as f64));
    }
    let question = json!({ "covariate": "7d", "metrics": [{ "event": "bought", "kind": "mean" }] });
    let answer = ask(events, question);
    assert_eq!(answer.checks.before[0].status, CheckStatus::Failed);
    assert_eq!((answer.verdict.code, answer.verdict.reason), (Code::Invalid, Reason::BiasBefore));
}

#[rstest]
#[case::few(1, CheckStatus::Ok)]
#[case::one_percent(2, CheckStatus::Warning)]
#[case::ten_percent(20, CheckStatus::Failed)]
fn many_people_of_several_variants_make_it_invalid(
    #[case] several: u64,
    #[case] want: CheckStatus,
) {
    let mut events = Vec::new();
    for person in 0..200 {
        events.push(exposed(person, 0, if person % 2 == 0 { "control" } else { "test" }));
        if person < several {
            events.push(exposed(person, 1, if person % 2 == 0 { "test" } else { "control" }));
        }
        events.push(bought(person, 2, (person % 9) as f64));
    }
    let metrics = json!([{ "event": "bought", "kind": "mean" }]);
    let answer = ask(events.clone(), json!({ "metrics": metrics }));
    assert_eq!(answer.checks.multiple_exposure.status, want);
    assert_eq!(answer.verdict.code == Code::Invalid, want == CheckStatus::Failed);
    assert_eq!(answer.excluded.multi_variant, several);
    // Kept where they were first, they are counted all the same.
    let answer = ask(events, json!({ "metrics": metrics, "multiple_exposure": "first_seen" }));
    assert_eq!(answer.arms.iter().map(|arm| arm.persons).sum::<u64>(), 200);
    assert_eq!(answer.excluded.multi_variant, several);
}

#[test]
fn who_is_in_progress_can_be_left_out() {
    let events = vec![exposed(1, 0, "test"), exposed(2, 2, "test"), bought(2, 3, 1.0)];
    let question =
        json!({ "window": "1h", "in_progress": "exclude", "metrics": [{ "event": "bought" }] });
    let at = |now_ms: i64| {
        let answer = ask_at(events.clone(), &question, T0 + now_ms, Scan::default());
        (answer.arms.iter().map(|arm| arm.persons).sum::<u64>(), answer.excluded.in_progress)
    };
    assert_eq!(at(HOUR - 1), (0, 2));
    assert_eq!(at(HOUR), (1, 1));
    assert_eq!(at(HOUR + 2), (2, 0));
}

#[test]
fn slices_are_by_the_first_exposure_one_property_or_two() {
    let mut events = Vec::new();
    for person in 0..300u64 {
        let country = ["de", "fr", "it"][(person % 3) as usize];
        let variant = if person / 3 % 2 == 0 { "control" } else { "test" };
        let first = exposed(person, 0, variant).with("country", country);
        events.push(if person < 100 { first } else { first.with("device", "phone") });
        // A later exposure says something else.
        events.push(exposed(person, 5, variant).with("country", "xx").with("device", "desk"));
        events.push(bought(person, 6, (person % 10) as f64));
    }
    let answer = ask(
        events,
        json!({ "slices": ["country", ["country", "device"]],
        "metrics": [{ "event": "bought", "kind": "mean" }] }),
    );
    let of = |slice: &[&str]| -> Vec<(Vec<Option<&str>>, u64)> {
        let wanted = answer.slices.iter().filter(|result| result.slice == slice);
        wanted
            .map(|result| {
                let value = result.value.iter().map(Option::as_deref).collect();
                (value, result.persons.iter().sum())
            })
            .collect()
    };
    let one = |text| vec![Some(text)];
    assert_eq!(of(&["country"]), [(one("de"), 100), (one("fr"), 100), (one("it"), 100)]);
    let both = of(&["country", "device"]);
    assert_eq!(both.len(), 6);
    assert_eq!(both.iter().map(|(_, persons)| persons).sum::<u64>(), 300);
    assert!(both.iter().any(|(value, _)| *value == [Some("de"), None]), "{both:?}");
    let effects = answer.slices.iter().flat_map(|slice| &slice.metrics[0].effects);
    assert!(effects.clone().all(|effect| effect.p_value.is_some()));
    assert!(effects.clone().all(|effect| effect.adjusted_p_value >= effect.p_value));
}

#[test]
fn the_last_day_of_the_cumulative_effect_is_the_whole() {
    let mut events = Vec::new();
    for person in 0..400u64 {
        let at = (person % 5) as i64 * DAY + 3;
        events.push(exposed(person, at, if person / 5 % 2 == 0 { "control" } else { "test" }));
        events.push(bought(person, at + 1, (person % 10) as f64));
    }
    let answer =
        ask(events, json!({ "daily": true, "metrics": [{ "event": "bought", "kind": "mean" }] }));
    let days: Vec<&str> = answer.days.iter().map(|day| day.day.as_str()).collect();
    assert_eq!(days, ["2026-09-01", "2026-09-02", "2026-09-03", "2026-09-04", "2026-09-05"]);
    let persons = |metrics: &[super::super::answer::MetricResult]| metrics[0].arms[0].persons;
    assert!(answer.days.iter().all(|day| persons(&day.metrics) == 40));
    let last = &answer.days[4].cumulative[0];
    assert_eq!(persons(&answer.days[4].cumulative), 200);
    let (got, want) = (&last.effects[0], &answer.metrics[0].effects[0]);
    near(got.absolute, &json!(want.absolute));
    near(got.p_value, &json!(want.p_value));
}

#[test]
fn a_fixed_test_may_be_read_at_its_planned_end_only() {
    let mut events = Vec::new();
    for person in 0..2_000 {
        let is_test = person % 2 == 1;
        events.push(exposed(person, 0, if is_test { "test" } else { "control" }));
        if person % 10 < if is_test { 6 } else { 3 } {
            events.push(bought(person, 1, 1.0));
        }
    }
    let verdict = |method: &str, ends: &str, now: i64| {
        let question = json!({ "method": method, "plan": { "ends": ends },
            "metrics": [{ "event": "bought" }] });
        ask_at(events.clone(), &question, now, Scan::default()).verdict
    };
    let (early, late) = (T0 + 5 * DAY, T0 + 60 * DAY);
    assert_eq!(verdict("fixed", "2026-09-15", early).reason, Reason::BeforeTheEnd);
    assert_eq!(verdict("fixed", "2026-09-15", late).code, Code::Ship);
    // Another end than the planned one is a look.
    assert_eq!(verdict("fixed", "2026-09-20", late).reason, Reason::BeforeTheEnd);
    assert_eq!(verdict("sequential", "2026-09-15", early).code, Code::Ship);
    assert_eq!(verdict("hybrid", "2026-09-15", early).code, Code::Ship);
}

#[test]
fn keep_running_says_how_many_people_and_days_more() {
    let mut events = Vec::new();
    for person in 0..2_000 {
        let is_test = person % 2 == 1;
        events.push(exposed(person, 0, if is_test { "test" } else { "control" }));
        if person / 2 % 100 < if is_test { 34 } else { 30 } {
            events.push(bought(person, 1, 1.0));
        }
    }
    let question = json!({ "metrics": [{ "event": "bought" }], "plan": { "lift": 0.1 } });
    let verdict = ask_at(events, &question, T0 + 10 * DAY, Scan::default()).verdict;
    assert_eq!((verdict.code, verdict.reason), (Code::KeepRunning, Reason::NotClearYet));
    let (persons, days) = (verdict.persons_more.unwrap(), verdict.days_more.unwrap());
    // 2000 people in ten days.
    assert_eq!(days, persons.div_ceil(200), "{verdict:?}");
    assert!((10_000..40_000).contains(&persons), "{verdict:?}");
    assert!(verdict.text.contains(&persons.to_string()), "{verdict:?}");
}

#[test]
fn a_guardrail_that_suffers_stops_a_winner() {
    let mut events = Vec::new();
    for person in 0..4_000u64 {
        let is_test = person % 2 == 1;
        events.push(exposed(person, 0, if is_test { "test" } else { "control" }));
        if person / 2 % 10 < if is_test { 5 } else { 3 } {
            events.push(bought(person, 1, 1.0));
        }
        let slow = if is_test { 40.0 } else { 0.0 };
        events.push(
            Event::new(person, T0 + 2, "loaded").with("value", 100.0 + (person % 17) as f64 + slow),
        );
    }
    let with_margin = |margin: f64| {
        let question = json!({ "metrics": [{ "name": "bought", "event": "bought" },
            { "name": "loading time", "event": "loaded", "kind": "mean", "role": "guardrail",
              "preferred": "decrease", "margin": margin }] });
        ask(events.clone(), question)
    };
    let answer = with_margin(0.02);
    assert_eq!(answer.verdict.reason, Reason::GuardrailHurt);
    assert!(answer.verdict.text.contains("loading time"), "{:?}", answer.verdict);
    assert!(!answer.metrics[1].effects[0].guardrail.as_ref().unwrap().is_non_inferior);
    // Guardrails are not in the family of tests.
    assert_eq!(answer.metrics[1].effects[0].adjusted_p_value, None);
    assert_eq!(with_margin(0.6).verdict.code, Code::Ship);
}

#[test]
fn more_events_than_a_matcher_takes_are_refused() {
    let steps: Vec<Value> = (0..20).map(|step| json!({ "event": format!("s{step}") })).collect();
    let metrics: Vec<Value> =
        (0..4).map(|_| json!({ "name": "f", "kind": "funnel", "steps": steps })).collect();
    let question = json!({ "experiment": "button", "metrics": metrics });
    let context = Context::utc(T0);
    let error = crate::compile("experiment", question, &context).unwrap_err();
    assert_eq!(error.code(), "count_invalid");
}

/// Anything may happen to a person.
fn happenings() -> impl Strategy<Value = Vec<Event>> {
    let event = (0u64..30, -30i64..60, 0usize..5, -1e6f64..1e6);
    prop::collection::vec(event, 0..90).prop_map(|events| {
        let of = |(person, at, kind, value): (u64, i64, usize, f64)| match kind {
            0 => exposed(person, at * HOUR, if person % 7 < 3 { "control" } else { "test" })
                .with("country", ["de", "fr"][(person % 2) as usize]),
            1 if person % 5 == 0 => exposed(person, at * HOUR, "control"),
            2 => Event::new(person, T0 + at * HOUR, "seen"),
            _ => bought(person, at * HOUR, value),
        };
        events.into_iter().map(of).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn how_it_was_scanned_does_not_show(
        events in happenings(),
        kernels in 1usize..5,
        reverse_codes in any::<bool>(),
        keep in any::<bool>(),
    ) {
        let question = json!({
            "window": "10h", "covariate": "20h", "daily": true, "slices": ["country"],
            "multiple_exposure": if keep { "first_seen" } else { "exclude" },
            "metrics": [
                { "event": "bought" },
                { "event": "bought", "kind": "mean", "cap": { "kind": "percentile", "upper": 0.9, "lower": 0.1 } },
                { "event": "bought", "kind": "ratio", "prop": "value", "denominator": { "event": "seen" } },
                { "event": "bought", "kind": "quantile", "quantile": 0.5 },
                { "event": "bought", "kind": "retention", "days": [0, 1] },
                { "name": "f", "kind": "funnel", "steps": [{ "event": "seen" }, { "event": "bought" }] },
            ],
        });
        let one = ask_at(events.clone(), &question, T0 + 60 * DAY, Scan::default());
        let other = ask_at(events, &question, T0 + 60 * DAY, Scan { kernels, reverse_codes });
        prop_assert_eq!(other, one);
    }

    #[test]
    fn both_kernels_agree_on_what_both_count(events in happenings(), window in any::<bool>()) {
        let mut question = json!({ "metrics": [{ "event": "bought" },
            { "event": "bought", "kind": "mean" }, { "event": "seen", "kind": "revenue" }] });
        if window {
            question["window"] = json!("12h");
        }
        let plain = ask(events.clone(), question.clone());
        question["daily"] = json!(true);
        let mut detailed = ask(events, question);
        detailed.days.clear();
        // Watched day by day, the sizes may only look worse.
        let watched = |answer: &ExperimentAnswer| answer.srm.sequential_p_value;
        let (day_by_day, at_once) = (watched(&detailed), watched(&plain));
        prop_assert!(day_by_day.zip(at_once).is_none_or(|(days, once)| days <= once + 1e-9));
        (detailed.srm.sequential_p_value, detailed.srm.alarm) = (at_once, plain.srm.alarm);
        prop_assert_eq!(detailed, plain);
    }
}
