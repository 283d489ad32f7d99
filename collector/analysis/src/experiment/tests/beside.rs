//! What stands beside an effect: the shortest run, what leaving people out does, other experiments, slices by day.

use rstest::rstest;
use serde_json::{Value, json};

use super::super::answer::{CheckStatus, Code, ExperimentAnswer, Reason};
use super::{T0, ask, exposed, population};
use crate::testing::{Event, Memory};
use crate::{AnswerBody, Context};

const DAY: i64 = 86_400_000;

fn bought() -> Value {
    json!([{ "event": "bought" }])
}

/// Asked some milliseconds after the first exposure, of a range that goes on.
fn asked_after(elapsed: i64, extra: Value, converted: u64) -> ExperimentAnswer {
    let mut question = json!({ "experiment": "button", "from": "2026-08-20", "to": "2026-09-15", "metrics": bought() });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let events = population(&[("control", 1451, 452), ("test", 1451, converted)]);
    let context = Context::utc(T0 + elapsed);
    match Memory::new(events).answer("experiment", question, &context).unwrap().body {
        AnswerBody::Experiment(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::at_once(DAY, json!({}), Code::KeepRunning, Reason::MinimumRun, Some(2))]
#[case::one_millisecond_before(3 * DAY - 1, json!({}), Code::KeepRunning, Reason::MinimumRun, Some(1))]
#[case::after_three_days(3 * DAY, json!({}), Code::Ship, Reason::Better, None)]
#[case::by_the_other_kernel(DAY, json!({ "daily": true }), Code::KeepRunning, Reason::MinimumRun, Some(2))]
#[case::shorter_by_plan(DAY, json!({ "plan": { "min_days": 1 } }), Code::Ship, Reason::Better, None)]
#[case::longer_by_plan(6 * DAY, json!({ "plan": { "min_days": 7 } }), Code::KeepRunning, Reason::MinimumRun, Some(1))]
fn nothing_ships_before_the_shortest_run_is_over(
    #[case] elapsed: i64,
    #[case] extra: Value,
    #[case] code: Code,
    #[case] reason: Reason,
    #[case] days_more: Option<u64>,
) {
    let verdict = asked_after(elapsed, extra, 600).verdict;
    assert_eq!((verdict.code, verdict.reason, verdict.days_more), (code, reason, days_more));
    assert_eq!(verdict.variant.as_deref(), Some("test"));
}

#[test]
fn what_harms_is_stopped_on_its_first_day() {
    let verdict = asked_after(DAY, json!({}), 300).verdict;
    assert_eq!((verdict.code, verdict.reason), (Code::DoNotShip, Reason::Worse));
}

/// Nine of ten get control. Of those who met both, all buy.
fn switching() -> Vec<Event> {
    let mut events = population(&[("control", 900, 300), ("test", 100, 30)]);
    for person in 2001..=2030u64 {
        let (first, then) = if person % 3 == 0 { ("control", "test") } else { ("test", "control") };
        events.extend([exposed(person, 0, first), exposed(person, 5, then)]);
        events.push(Event::new(person, T0 + 9, "bought").with("value", 10));
    }
    events
}

#[rstest]
#[case::by_the_fast_kernel(json!({}))]
#[case::by_the_other_one(json!({ "daily": true }))]
fn what_leaving_people_out_of_an_uneven_split_does_is_said(#[case] extra: Value) {
    let weights = json!([{ "key": "control", "weight": 9 }, { "key": "test", "weight": 1 }]);
    let mut question = json!({ "metrics": bought(), "variants": weights });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let answer = ask(switching(), question.clone());
    let check = &answer.checks.multiple_exposure;
    assert_eq!((answer.excluded.multi_variant, check.is_biased), (30, true));
    let [bias] = &check.bias[..] else { panic!("{check:?}") };
    question["multiple_exposure"] = json!("first_seen");
    let kept = ask(switching(), question);
    let first_seen = kept.metrics[0].effects[0].absolute.unwrap();
    assert_eq!(kept.metrics[0].arms[1].persons, 120);
    assert!((bias.absolute_first_seen.unwrap() - first_seen).abs() < 1e-12);
    let here = answer.metrics[0].effects[0].absolute.unwrap();
    assert!((bias.bias.unwrap() - (here - first_seen)).abs() < 1e-12);
    assert!(kept.checks.multiple_exposure.bias.is_empty(), "nobody is left out");
    let even = ask(switching(), json!({ "metrics": bought() }));
    assert!(even.checks.multiple_exposure.bias.is_empty(), "arms of one size lose alike");
}

/// Two experiments at once. The treatment sells to those who see the new price and to nobody else; another
/// experiment changes nothing.
fn crossed() -> Vec<Event> {
    let other = |person: u64, at: i64, experiment: &str, variant: &str| {
        Event::new(person, T0 + at, "$exposure")
            .with("experiment", experiment)
            .with("variant", variant)
    };
    let mut events = Vec::new();
    for person in 0..2_000u64 {
        let (variant, price) = (person % 2, person / 2 % 2);
        events.push(exposed(person, DAY, ["control", "test"][variant as usize]));
        events.push(other(person, 2 * DAY, "price", ["old", "new"][price as usize]));
        events.push(other(person, 0, "colour", ["red", "blue"][(person / 4 % 2) as usize]));
        let chance = 3 + 4 * variant * price;
        if person / 8 % 10 < chance {
            events.push(Event::new(person, T0 + 3 * DAY, "bought").with("value", 1));
        }
    }
    // Who met two of its variants says nothing.
    events.push(other(0, 4 * DAY, "price", "new"));
    events
}

#[test]
fn an_experiment_that_changes_what_another_does_is_found() {
    let interactions = ["price", "colour", "nobody_met_it"];
    let answer = ask(crossed(), json!({ "metrics": bought(), "interactions": interactions }));
    let [price, colour, unmet] = &answer.checks.interactions[..] else { panic!("{answer:?}") };
    assert_eq!((price.experiment.as_str(), price.status), ("price", CheckStatus::Warning));
    assert_eq!((price.persons, colour.persons), (1_999, 2_000));
    assert!(price.p_value.unwrap() < 1e-6 && price.adjusted_p_value < Some(1e-6));
    let effect = |of: &str| {
        let found = price.effects.iter().find(|effect| effect.other_variant == of).unwrap();
        found.absolute.unwrap()
    };
    assert!((effect("new") - 0.4).abs() < 0.01 && effect("old").abs() < 0.01, "{price:?}");
    assert_eq!(colour.status, CheckStatus::Ok);
    assert!(colour.adjusted_p_value > Some(0.05), "{colour:?}");
    assert_eq!((unmet.status, unmet.p_value), (CheckStatus::NotEnoughData, None));
    // It does not block the verdict.
    assert_eq!(answer.verdict.code, Code::Ship);
}

#[test]
fn a_slice_has_its_effect_up_to_each_day() {
    let country = |person: u64| ["de", "fr"][(person / 2 % 2) as usize];
    let mut events = Vec::new();
    for person in 0..400u64 {
        let variant = ["control", "test"][person as usize % 2];
        let day = (person / 4 % 3) as i64;
        events.push(exposed(person, day * DAY, variant).with("country", country(person)));
        if person / 12 % (3 - person % 2) == 0 {
            events.push(Event::new(person, T0 + day * DAY + 1, "bought"));
        }
    }
    let question = json!({ "metrics": bought(), "slices": ["country"], "daily": true });
    let answer = ask(events.clone(), question);
    assert_eq!(answer.slices.len(), 2);
    for slice in &answer.slices {
        let days: Vec<&str> = slice.days.iter().map(|day| day.day.as_str()).collect();
        assert_eq!(days, ["2026-09-01", "2026-09-02", "2026-09-03"]);
        // The last day is the whole, and an earlier one what was known then.
        let whole = &slice.metrics[0].effects[0];
        let last = slice.days.last().unwrap();
        assert_eq!(last.persons, slice.persons);
        assert!((last.effects[0].absolute.unwrap() - whole.absolute.unwrap()).abs() < 1e-12);
        let (a, b) =
            (last.effects[0].always_valid_interval.unwrap(), whole.always_valid.clone().unwrap());
        assert!((a.low - b.absolute_interval.unwrap().low).abs() < 1e-12);
        let first = json!({ "metrics": bought(), "to": "2026-09-02", "window": "1d", "slices": ["country"] });
        let alone = ask(events.clone(), first);
        let alone = alone.slices.iter().find(|other| other.value == slice.value).unwrap();
        assert_eq!(slice.days[0].persons, alone.persons);
        assert_eq!(slice.days[0].effects[0].absolute, alone.metrics[0].effects[0].absolute);
    }
    let plain = ask(events, json!({ "metrics": bought(), "slices": ["country"] }));
    assert!(plain.slices.iter().all(|slice| slice.days.is_empty()));
}
