//! What the verdict and the figures beside it say, and when.

use rstest::rstest;
use serde_json::{Value, json};

use super::super::answer::{ArmLoss, Code, Reason};
use super::super::loss;
use super::{T0, ask, exposed, population};
use crate::stats::calculate;
use crate::testing::{Event, Memory};
use crate::{AnswerBody, Context};

/// Met by both identities of a person, or by one.
fn met(person: u64, at: i64, variant: &str, identity: &str) -> Event {
    exposed(person, at, variant).with("identity", identity)
}

#[rstest]
#[case::joined("user", Some(30), Reason::MergedIdentities)]
#[case::assigned_anew("device", Some(0), Reason::MultipleExposure)]
fn who_met_several_variants_because_identities_were_joined_is_told_apart(
    #[case] identity: &str,
    #[case] joined: Option<u64>,
    #[case] reason: Reason,
    #[values(false, true)] daily: bool,
) {
    let mut events = Vec::new();
    for person in 0..230 {
        events.push(met(person, 0, ["control", "test"][person as usize % 2], "device"));
        if person < 30 {
            events.push(met(person, 9, ["test", "control"][person as usize % 2], identity));
        }
        events.push(Event::new(person, T0 + 20, "bought").with("value", person as f64));
    }
    let answer = ask(events, json!({ "metrics": [{ "event": "bought" }], "daily": daily }));
    assert_eq!(answer.checks.multiple_exposure.joined, joined);
    assert_eq!((answer.verdict.code, answer.verdict.reason), (Code::Invalid, reason));
}

#[test]
fn few_people_of_several_variants_are_not_looked_at_twice() {
    let mut events: Vec<Event> = (0..200)
        .map(|person| met(person, 0, ["control", "test"][person as usize % 2], "user"))
        .collect();
    events.push(met(0, 5, "test", "device"));
    let answer = ask(events, json!({ "metrics": [{ "event": "bought" }] }));
    assert_eq!(answer.excluded.multi_variant, 1);
    assert_eq!(answer.checks.multiple_exposure.joined, None);
}

#[rstest]
fn goals_share_the_error_as_the_question_says(
    #[values("holm", "bonferroni", "benjamini_hochberg", "preferential_bonferroni")] adjust: &str,
) {
    let events = population(&[("control", 400, 80), ("test", 400, 110)]);
    let question = json!({ "adjust": adjust, "metrics": [
        { "event": "bought" }, { "event": "bought", "kind": "mean" },
        { "event": "bought", "kind": "count" },
        { "event": "bought", "kind": "count", "role": "guardrail", "margin": 0.1 } ] });
    let answer = ask(events, question);
    let p: Vec<f64> = (0..3).map(|m| answer.metrics[m].effects[0].p_value.unwrap()).collect();
    let got: Vec<f64> =
        (0..3).map(|m| answer.metrics[m].effects[0].adjusted_p_value.unwrap()).collect();
    let reference = |method: &str| -> Vec<f64> {
        let found = calculate("p_adjust", &json!({ "p_values": p, "method": method }));
        serde_json::from_value(found.unwrap()["adjusted"].clone()).unwrap()
    };
    let want = match adjust {
        "benjamini_hochberg" => reference("fdr_bh"),
        // Half of the error for the first of three goals, a quarter for each of the others.
        "preferential_bonferroni" => vec![2.0 * p[0], 4.0 * p[1], 4.0 * p[2]],
        other => reference(other),
    };
    for (got, want) in got.iter().zip(&want) {
        assert!((got - want.min(1.0)).abs() < 1e-12, "{adjust}: {got} {want}");
    }
    assert_eq!(answer.metrics[3].effects[0].adjusted_p_value, None, "a guardrail is in no family");
    for metric in &answer.metrics[..3] {
        let effect = &metric.effects[0];
        let bounds = effect.adjusted_interval.unwrap();
        let excludes_zero = bounds.low > 0.0 || bounds.high < 0.0;
        assert_eq!(excludes_zero, effect.adjusted_p_value < Some(0.05));
    }
}

#[test]
fn a_preferred_goal_is_decided_with_its_own_share_of_the_error() {
    let events = population(&[("control", 4000, 400), ("test", 4000, 520)]);
    let level = |question: Value| {
        let answer = ask(events.clone(), question);
        answer.verdict.text.contains("Ship test")
    };
    // The always-valid p-value lies between half of the error and all of it.
    let metrics = json!([{ "event": "bought" }, { "event": "bought", "kind": "mean" }]);
    let p = ask(events.clone(), json!({ "metrics": metrics })).metrics[0].effects[0]
        .always_valid
        .as_ref()
        .unwrap()
        .p_value;
    let plan = json!({ "alpha": 1.5 * p });
    assert!(level(json!({ "metrics": metrics, "plan": plan })));
    let preferred =
        json!({ "metrics": metrics, "plan": plan, "adjust": "preferential_bonferroni" });
    let deciding = ask(events.clone(), preferred).metrics[0].effects[0].deciding.clone().unwrap();
    assert!((deciding.level - 0.75 * p).abs() < 1e-15 && deciding.p_value >= deciding.level);
    assert!(!level(
        json!({ "metrics": metrics, "plan": plan, "adjust": "preferential_bonferroni" })
    ));
}

#[test]
fn what_comes_next_is_suggested_by_the_chance_to_be_the_best() {
    let answer = ask(
        population(&[("control", 400, 80), ("test", 400, 120), ("other", 400, 20)]),
        json!({ "metrics": [{ "event": "bought" }] }),
    );
    let shares: Vec<(&str, f64)> =
        answer.arms.iter().map(|arm| (&*arm.variant, arm.suggested_ratio.unwrap())).collect();
    assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-12);
    let best = answer.arms.iter().find(|arm| arm.variant == "test").unwrap();
    assert!(best.suggested_ratio > Some(0.95), "{shares:?}");
    assert!(shares.iter().all(|(_, share)| *share >= 0.01), "a floor: {shares:?}");
    let less = ask(
        population(&[("control", 400, 80), ("test", 400, 120)]),
        json!({ "metrics": [{ "event": "bought", "preferred": "decrease" }] }),
    );
    assert!(less.arms[0].suggested_ratio > Some(0.95));
    let nobody = ask(vec![exposed(1, 0, "test")], json!({}));
    assert_eq!(nobody.arms[0].suggested_ratio, None);
}

#[test]
fn the_outlook_says_what_can_be_found_and_how_long_it_takes() {
    let events = population(&[("control", 2000, 200), ("test", 2000, 210)]);
    let ask = |lift: f64| {
        let question = json!({ "metrics": [{ "event": "bought" }], "method": "fixed",
            "plan": { "lift": lift, "ends": "2035-01-01" } });
        ask(events.clone(), question).outlook[0].clone()
    };
    let smallest = ask(0.05).smallest_lift.unwrap();
    // (1.96 + 0.84) standard errors of 0.0096, relative to a rate of 10 %.
    assert!((smallest - 0.2687).abs() < 0.002, "{smallest}");
    let at_it = ask(smallest);
    assert!((at_it.power.unwrap() - 0.8).abs() < 1e-4, "{at_it:?}");
    assert_eq!(at_it.persons_more, Some(0));
    let smaller = ask(smallest / 2.0);
    assert!(smaller.power < Some(0.5), "{smaller:?}");
    // A quarter of the variance takes four times as many people: three times more.
    let more = smaller.persons_more.unwrap() as f64;
    assert!(
        (more - 12_000.0).abs() < 10.0 && smaller.persons == Some(4000 + more as u64),
        "{smaller:?}"
    );
    // 4000 people in 14 days.
    assert_eq!(smaller.days_more, Some((more / (4000.0 / 14.0)).ceil() as u64));
}

#[rstest]
#[case::at_the_look("2026-09-08", Code::Ship, Some(true))]
#[case::between("2026-09-09", Code::KeepRunning, None)]
#[case::at_the_end("2026-09-15", Code::Ship, Some(true))]
fn planned_looks_decide_and_no_others(
    #[case] to: &str,
    #[case] code: Code,
    #[case] decides: Option<bool>,
) {
    let events = population(&[("control", 2000, 200), ("test", 2000, 290)]);
    let question = json!({ "to": to, "metrics": [{ "event": "bought" }], "method": "group_sequential",
        "plan": { "ends": "2026-09-15", "looks": ["2026-09-08"] } });
    let answer = ask(events, question);
    assert_eq!(answer.verdict.code, code, "{}", answer.verdict.text);
    let deciding = &answer.metrics[0].effects[0].deciding;
    assert_eq!(deciding.as_ref().map(|found| found.p_value < found.level), decides);
}

#[test]
fn a_look_waits_for_its_late_events() {
    let question = json!({ "experiment": "button", "from": "2026-09-01", "to": "2026-09-08",
        "metrics": [{ "event": "bought" }], "method": "group_sequential",
        "plan": { "ends": "2026-09-15", "looks": ["2026-09-08"] } });
    let at = |days: i64| {
        let context = Context::utc(T0 + days * 86_400_000);
        let events = population(&[("control", 2000, 200), ("test", 2000, 200)]);
        let answer = Memory::new(events).answer("experiment", question.clone(), &context).unwrap();
        let AnswerBody::Experiment(answer) = answer.body else { panic!("an experiment") };
        answer.verdict.reason
    };
    assert_eq!(at(6), Reason::BeforeTheEnd);
    assert_eq!(at(7), Reason::EventsMayStillCome);
    assert_eq!(at(10), Reason::NotClearYet);
}

#[rstest]
#[case::running(None, 10, Code::KeepRunning, Reason::NotClearYet)]
#[case::settling(Some("2026-09-15"), 15, Code::KeepRunning, Reason::EventsMayStillCome)]
#[case::over(Some("2026-09-15"), 60, Code::DoNotShip, Reason::StoppedEarly)]
fn what_was_ended_is_not_kept_running(
    #[case] concluded: Option<&str>,
    #[case] now_days: i64,
    #[case] code: Code,
    #[case] reason: Reason,
) {
    let mut question = json!({ "experiment": "button", "from": "2026-09-01", "to": "2026-09-15",
        "metrics": [{ "event": "bought" }], "plan": { "ends": "2026-10-01" } });
    question["plan"]["concluded"] = json!(concluded);
    let context = Context::utc(T0 + now_days * 86_400_000);
    let events = population(&[("control", 200, 20), ("test", 200, 22)]);
    let answer = Memory::new(events).answer("experiment", question, &context).unwrap();
    let AnswerBody::Experiment(answer) = answer.body else { panic!("an experiment") };
    assert_eq!((answer.verdict.code, answer.verdict.reason), (code, reason));
    if reason == Reason::EventsMayStillCome {
        // The range ended a day ago, events are awaited for three.
        assert_eq!(answer.verdict.days_more, Some(2), "{}", answer.verdict.text);
        assert!(answer.verdict.text.starts_with("Wait for about 2 days"));
    }
}

#[test]
fn arms_that_lose_differently_are_not_believed() {
    let mut answer = ask(
        population(&[("control", 2000, 200), ("test", 2000, 300)]),
        json!({ "metrics": [{ "event": "bought" }] }),
    );
    assert_eq!(answer.verdict.code, Code::Ship);
    let loss = |variant: &str, page_loads_with_gaps: u64| ArmLoss {
        variant: variant.into(),
        page_loads: 2000,
        page_loads_with_gaps,
        completeness_ratio: Some(0.99),
    };
    loss::judge(&mut answer, vec![loss("test", 42), loss("control", 40)]);
    assert_eq!(answer.verdict.code, Code::Ship);
    let arms = &answer.checks.loss.as_ref().unwrap().arms;
    assert_eq!(
        arms.iter().map(|arm| arm.page_loads_with_gaps).collect::<Vec<_>>(),
        [40, 42],
        "in their order"
    );
    loss::judge(&mut answer, vec![loss("control", 40), loss("test", 120)]);
    assert_eq!((answer.verdict.code, answer.verdict.reason), (Code::Invalid, Reason::LossDiffers));
}
