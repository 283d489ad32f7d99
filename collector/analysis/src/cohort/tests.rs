//! Rules of cohorts, one named test each; and a cohort's answers against those of its people alone.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::{Event, Memory, Scan};
use crate::{Answer, AnswerBody, Context};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn context() -> Context {
    Context::utc(T0 + 30 * DAY)
}

fn ask(kind: &str, events: Vec<Event>, extra: Value) -> Answer {
    let mut question = json!({ "from": "2026-09-03", "to": "2026-09-08" });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let scan = Scan { kernels: 2, reverse_codes: true };
    Memory::new(events).answer_by(kind, question, &context(), scan).unwrap()
}

/// Who is in a cohort, of those who did something in the range.
fn members(cohort: Value) -> Vec<u64> {
    let AnswerBody::Persons(answer) =
        ask("persons", people(), json!({ "cohort": cohort, "sort": "events" })).body
    else {
        panic!("persons answer persons")
    };
    let person =
        |listed: &crate::answer::ListedPerson| u64::from_str_radix(&listed.person, 16).unwrap();
    let mut members: Vec<u64> = answer.persons.iter().map(person).collect();
    members.sort_unstable();
    members
}

/// Four people: all of them see something on day 4.
fn people() -> Vec<Event> {
    let on = |person, day: i64, name: &str| Event::new(person, T0 + day * DAY, name);
    let mut events: Vec<Event> = (1..=4).map(|person| on(person, 4, "view")).collect();
    events.extend([
        on(1, 0, "buy").with("plan", "team").with("value", 5),
        on(1, 3, "buy").with("value", 10),
        on(2, 3, "buy").with("plan", "team"),
        on(2, 5, "view").with("plan", "free"),
        on(3, 9, "buy").with("plan", "team"),
        on(4, 1, "leave"),
    ]);
    events
}

#[rstest]
#[case::at_least_once(json!({ "did": { "event": "buy" } }), &[1, 2])]
#[case::more_often(json!({ "did": { "event": "buy", "at_least": 2 } }), &[1])]
#[case::not_more_often(json!({ "did": { "event": "buy", "at_most": 1 } }), &[2])]
#[case::never(json!({ "did": { "event": "buy", "at_least": 0, "at_most": 0 } }), &[3, 4])]
#[case::not(json!({ "not": { "did": { "event": "buy" } } }), &[3, 4])]
#[case::in_the_range(json!({ "did": { "event": "buy", "at_least": 2, "from": "2026-09-03" } }), &[])]
#[case::before_a_day(json!({ "did": { "event": "buy", "to": "2026-09-02" } }), &[1])]
#[case::with_a_filter(json!({ "did": { "event": "buy", "where": [{ "prop": "value", "op": "gt", "value": 5 }] } }), &[1])]
#[case::last_known(json!({ "has": [{ "prop": "plan", "value": "team" }] }), &[1])]
#[case::a_last_known_number(json!({ "has": { "prop": "value", "op": "gte", "value": 10 } }), &[1])]
#[case::not_known(json!({ "has": { "prop": "plan", "op": "not_set" } }), &[3, 4])]
#[case::a_list(json!({ "persons": ["0000000000000004", "0000000000000009"] }), &[4])]
#[case::both(json!([{ "did": { "event": "buy" } }, { "has": { "prop": "plan", "value": "free" } }]), &[2])]
#[case::either(json!({ "any": [{ "did": { "event": "leave" } }, { "did": { "event": "buy", "at_least": 2 } }] }), &[1, 4])]
#[case::everybody(json!({ "all": [] }), &[1, 2, 3, 4])]
fn a_cohort_is_who_meets_its_rules(#[case] cohort: Value, #[case] want: &[u64]) {
    assert_eq!(members(cohort), want);
}

#[rstest]
#[case::a_name(json!("vip"), "field_invalid")]
#[case::no_rule(json!({ "liked": "it" }), "field_invalid")]
#[case::a_field_too_many(json!({ "did": { "event": "x", "often": true } }), "field_invalid")]
#[case::any_of_nothing(json!({ "any": [] }), "field_invalid")]
#[case::no_number_is_that(json!({ "did": { "at_least": 3, "at_most": 2 } }), "field_invalid")]
#[case::backwards(json!({ "did": { "from": "2026-09-05", "to": "2026-09-05" } }), "field_invalid")]
#[case::a_raw_id(json!({ "persons": ["ada@example.com"] }), "field_invalid")]
#[case::too_deep(json!({ "not": { "not": { "not": { "not": { "not": { "not": { "persons": [] } } } } } } }), "field_invalid")]
#[case::too_many(json!({ "any": vec![json!({ "persons": [] }); 64] }), "field_invalid")]
fn rules_that_make_no_sense_are_refused(#[case] cohort: Value, #[case] code: &str) {
    let error = crate::compile("trend", json!({ "cohort": cohort }), &context()).unwrap_err();
    assert_eq!(error.code(), code);
}

/// People who saw something: by the value it had then, or by their last one.
fn viewers(extra: Value) -> u64 {
    let mut question = json!({ "series": [{ "event": "view", "measure": "persons" }],
        "where": [{ "prop": "plan", "value": "team" }] });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let answer = ask("trend", people(), question);
    assert_eq!(answer.complete, extra["as_of"] != "now", "what is known now may change");
    match answer.body {
        AnswerBody::Trend(trend) => trend.series[0].total.0.unwrap() as u64,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_filter_as_of_now_reads_the_last_value_and_not_that_of_the_event() {
    // 1 and 3 have the plan by now, 2 has it no more, and no view of theirs had it.
    assert_eq!(viewers(json!({ "as_of": "now" })), 2);
    assert_eq!(viewers(json!({ "as_of": "event" })), 0);
    assert_eq!(viewers(json!({})), 0);
    // Of those in a cohort, whose rules end with the range: 3 buys after it.
    let buyers = json!({ "did": { "event": "buy" } });
    assert_eq!(viewers(json!({ "as_of": "now", "cohort": buyers })), 1);
}

#[rstest]
#[case::of_another_time("trend", json!("yesterday"))]
#[case::of_no_text("trend", json!(true))]
#[case::of_an_experiment("experiment", json!("now"))]
fn a_filter_as_of_something_else_is_refused(#[case] kind: &str, #[case] as_of: Value) {
    let question = json!({ "as_of": as_of, "experiment": "x" });
    let error = crate::compile(kind, question, &context()).unwrap_err();
    assert!(error.to_string().contains("as_of"), "{error}");
}

#[test]
fn a_definition_as_of_now_says_so_and_is_understood_again() {
    let question = json!({ "as_of": "now", "where": [{ "prop": "plan", "value": "team" }] });
    let compiled = crate::compile("trend", question.clone(), &context()).unwrap();
    assert_eq!(compiled.definition["as_of"], "now");
    assert_eq!(compiled.definition["where"], question["where"]);
    let again = crate::compile("trend", compiled.definition.clone(), &context()).unwrap();
    assert_eq!(again.definition, compiled.definition);
}

#[test]
fn the_definition_says_the_cohort() {
    let cohort = json!({ "did": { "event": "buy" } });
    let compiled = crate::compile("trend", json!({ "cohort": cohort }), &context()).unwrap();
    assert_eq!(compiled.definition["cohort"], cohort);
}

proptest! {
    #[test]
    fn every_question_of_a_cohort_is_that_of_its_people_alone(
        played in prop::collection::vec((1u64..6, 0i64..9 * DAY, 0usize..3, 0u8..3), 0..50),
    ) {
        let names = ["view", "buy", "leave"];
        let events: Vec<Event> = played.iter().map(|(person, at, name, plan)| {
            Event::new(*person, T0 + at, names[*name]).with("plan", plan.to_string())
                .with("path", format!("/{plan}")).with("utm_source", plan.to_string())
        }).collect();
        let is_member = |person: u64| {
            events.iter().any(|event| event.person == person && event.name == "buy"
                && event.ts_ms < T0 + 7 * DAY)
        };
        let alone: Vec<Event> =
            events.iter().filter(|event| is_member(event.person)).cloned().collect();
        let questions = [
            ("trend", json!({ "series": [{ "measure": "persons" }, {}], "breakdown": { "prop": "plan", "limit": 1 } })),
            ("trend", json!({ "form": "rolling:2", "series": [{ "measure": "persons" }] })),
            ("active", json!({})), ("lifecycle", json!({})), ("stickiness", json!({})),
            ("retention", json!({})), ("sessions", json!({})), ("persons", json!({})),
            ("paths", json!({ "event": "view" })), ("attribution", json!({})), ("pwa", json!({})),
            ("revenue", json!({ "events": { "paid": "buy", "started": "view" } })),
            ("funnel", json!({ "steps": [{ "event": "view" }, { "event": "buy" }] })),
            ("funnel", json!({ "steps": [{ "event": "view" }, { "event": "buy" }], "order": "any" })),
        ];
        for (kind, mut question) in questions {
            let want = ask(kind, alone.clone(), question.clone());
            question["cohort"] = json!({ "did": { "event": "buy" } });
            prop_assert_eq!(ask(kind, events.clone(), question).body, want.body, "{}", kind);
        }
    }
}
