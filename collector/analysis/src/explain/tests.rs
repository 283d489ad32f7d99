//! Why rules differ, one named test a reason; and the figures of an explanation against the question itself.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::answer::{ExplainAnswer, Outcome};
use crate::funnel::tests::{Played, matched_steps, played, steps, to_events};
use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const S: i64 = 1_000;
const MIN: i64 = 60 * S;
const HOUR: i64 = 60 * MIN;

fn context() -> Context {
    Context::utc(T0 + 60 * 86_400_000)
}

fn ask(events: &[Event], question: Value, scan: Scan) -> AnswerBody {
    let kind = if question.get("rules").is_some() { "explain" } else { "funnel" };
    let kind =
        if question.get("periods").is_some() && kind != "explain" { "retention" } else { kind };
    let mut question = question;
    question["from"] = json!("2026-09-01");
    question["to"] = json!("2026-09-08");
    Memory::new(events.to_vec()).answer_by(kind, question, &context(), scan).unwrap().body
}

fn explain(events: &[Event], question: Value) -> ExplainAnswer {
    match ask(events, question, Scan::default()) {
        AnswerBody::Explain(answer) => answer,
        other => panic!("an explanation explains, it is not {other:?}"),
    }
}

fn events(played: &[(&str, i64)]) -> Vec<Event> {
    let event =
        |(seq, (name, at)): (usize, &(&str, i64))| Event::new(7, T0 + at, name).seq(seq as u32);
    played.iter().enumerate().map(event).collect()
}

fn reached(answer: &ExplainAnswer) -> [usize; 2] {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Funnel { reached, steps } => {
            assert_eq!(steps.len(), *reached);
            *reached
        }
        Outcome::Retention { .. } => panic!("it was a funnel"),
    };
    [of(&answer.people[0].outcomes[0]), of(&answer.people[0].outcomes[1])]
}

const DAY7: i64 = 7 * 24 * HOUR;

#[rstest]
#[case::in_one_instant("posthog", &[("B", 0), ("A", 0)], false, [1, 2], &["instant_any_order"])]
#[case::excluded("posthog", &[("A", 0), ("X", S), ("B", 2 * S)], true, [1, 0], &["exclusion_removes"])]
#[case::a_later_start("mixpanel", &[("A", 0), ("A", 9 * MIN), ("B", 11 * MIN)], false, [2, 1], &["one_attempt"])]
#[case::within_two_seconds("mixpanel", &[("B", 100), ("A", 1_900)], false, [1, 2], &["close_steps"])]
#[case::within_one_second("amplitude", &[("B", 100), ("A", 900)], false, [1, 2], &["whole_seconds"])]
#[case::the_windows_end("amplitude", &[("A", 0), ("B", 10 * MIN + 1)], false, [1, 2], &["whole_seconds"])]
#[case::by_the_order_of_steps("clickhouse", &[("B", 0), ("A", 0)], false, [1, 2], &["event_serves_steps"])]
#[case::after_the_range("clickhouse", &[("A", DAY7 - 1), ("B", DAY7)], false, [2, 1], &["ends_with_range"])]
fn a_reason_is_what_changes_the_outcome(
    #[case] rule: &str,
    #[case] played: &[(&str, i64)],
    #[case] excludes: bool,
    #[case] want: [usize; 2],
    #[case] why: &[&str],
) {
    let exclude = if excludes { json!([{ "event": "X" }]) } else { json!([]) };
    let question = json!({ "steps": steps(&["A", "B"]), "window": "10m", "exclude": exclude,
                           "rules": ["tallymark", rule] });
    let answer = explain(&events(played), question);
    assert_eq!((answer.persons, answer.differing), (1, 1));
    assert_eq!(reached(&answer), want);
    assert_eq!(answer.people[0].why, why);
    let named: Vec<_> = answer.reasons.iter().filter(|reason| reason.persons > 0).collect();
    assert_eq!(named[0].code, why[0]);
    assert_eq!(named[0].rule, rule);
    assert_eq!(answer.people[0].person, "0000000000000007");
}

#[test]
fn who_is_counted_alike_is_not_listed() {
    let answer = explain(
        &events(&[("A", 0), ("B", S)]),
        json!({ "steps": steps(&["A", "B"]), "rules": ["posthog", "amplitude"] }),
    );
    assert_eq!((answer.persons, answer.differing, answer.people.len()), (1, 0, 0));
    assert!(answer.reasons.iter().all(|reason| reason.persons == 0));
}

#[test]
fn the_page_of_questions_lists_every_reason() {
    let page = include_str!("../../../../docs/questions.md");
    let said = crate::funnel::explain::REASONS.iter().chain(crate::retention::explain::REASONS);
    for (code, _) in said {
        assert!(page.contains(&format!("| `{code}` |")), "{code}");
    }
}

#[test]
fn people_are_listed_page_by_page_and_once() {
    let all: Vec<Event> = (1..=5)
        .flat_map(|person| [Event::new(person, T0, "B"), Event::new(person, T0, "A").seq(1)])
        .collect();
    let mut question = json!({ "steps": steps(&["A", "B"]), "rules": ["tallymark", "posthog"],
                               "limit": 2 });
    let mut listed = Vec::new();
    loop {
        let scan = Scan { kernels: 3, reverse_codes: true };
        let AnswerBody::Explain(answer) = ask(&all, question.clone(), scan) else { unreachable!() };
        assert_eq!(answer.differing, 5);
        listed.extend(answer.people.into_iter().map(|person| person.person));
        match answer.next {
            Some(next) => question["after"] = json!(next),
            None => break,
        }
    }
    let all: Vec<String> = (1..=5).map(|person| format!("{person:016x}")).collect();
    assert_eq!(listed, all);
}

#[rstest]
#[case::over_midnight("mixpanel", &[23 * HOUR + 59 * MIN, 24 * HOUR + MIN], &["rolling_clock"])]
#[case::later_days("mixpanel", &[0, 73 * HOUR], &["on_or_after"])]
#[case::from_the_hour("amplitude", &[50 * MIN, 24 * HOUR + 10 * MIN], &["from_the_hour"])]
#[case::started_again("amplitude", &[0, 49 * HOUR], &["every_cohort"])]
fn returns_are_explained_too(#[case] rule: &str, #[case] at: &[i64], #[case] why: &[&str]) {
    let other = if why == ["from_the_hour"] { "mixpanel" } else { "tallymark" };
    let all: Vec<Event> = at.iter().map(|at| Event::new(3, T0 + at, "open")).collect();
    let question = json!({ "question": "retention", "periods": 3, "rules": [other, rule] });
    let answer = explain(&all, question);
    assert_eq!(answer.differing, 1);
    assert!(answer.people[0].why.iter().any(|code| why.contains(code)), "{answer:?}");
}

#[rstest]
#[case(json!({ "rules": ["tallymark", "tallymark"] }), "field_invalid")]
#[case(json!({ "rules": ["tallymark"] }), "field_invalid")]
#[case(json!({ "rules": ["tallymark", "excel"] }), "field_invalid")]
#[case(json!({ "rules": ["tallymark", "posthog"], "compat": "posthog" }), "field_invalid")]
#[case(json!({ "rules": ["tallymark", "posthog"], "question": "trend" }), "field_invalid")]
#[case(json!({ "rules": ["tallymark", "posthog"], "bucket": "day" }), "field_invalid")]
#[case(json!({ "rules": ["tallymark", "posthog"], "limit": 0 }), "count_invalid")]
#[case(json!({ "rules": ["tallymark", "clickhouse"], "exclude": [{ "event": "X" }] }), "field_invalid")]
#[case(json!({ "rules": ["tallymark", "posthog"], "breakdown": "plan" }), "unsupported")]
fn what_cannot_be_explained_is_refused(#[case] extra: Value, #[case] code: &str) {
    let mut question = json!({ "steps": steps(&["A", "B"]) });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    assert_eq!(crate::compile("explain", question, &context()).unwrap_err().code(), code);
}

/// People by the step they reached, of a funnel asked under a rule.
fn counted(events: &[Event], mut question: Value, rule: &str) -> Vec<u64> {
    question["compat"] = json!(if rule == "tallymark" { Value::Null } else { json!(rule) });
    match ask(events, question, Scan::default()) {
        AnswerBody::Funnel(answer) => answer.steps.iter().map(|step| step.persons).collect(),
        other => panic!("a funnel answers a funnel, not {other:?}"),
    }
}

fn people(all: &[Vec<Played>]) -> Vec<Event> {
    let each = all.iter().enumerate();
    each.flat_map(|(person, played)| to_events(person as u64 + 1, played)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The two figures of every step differ by exactly the people who are listed.
    #[test]
    fn an_explanation_adds_up_to_the_difference_of_the_figures(
        all in prop::collection::vec(played(2), 0..8),
        pair in prop::sample::subsequence(
            vec!["tallymark", "clickhouse", "posthog", "mixpanel", "amplitude"], 2),
        kernels in 1usize..4,
    ) {
        let events = people(&all);
        let question = json!({ "steps": matched_steps(), "window": "5ms" });
        let figures = [counted(&events, question.clone(), pair[0]), counted(&events, question.clone(), pair[1])];
        let mut explained = question;
        explained["rules"] = json!(pair);
        let answer = ask(&events, explained.clone(), Scan { kernels, reverse_codes: true });
        prop_assert_eq!(&answer, &ask(&events, explained, Scan::default()));
        let AnswerBody::Explain(answer) = answer else { panic!() };
        prop_assert!(answer.next.is_none());
        prop_assert_eq!(answer.people.len() as u64, answer.differing);
        for (step, (first, second)) in figures[0].iter().zip(&figures[1]).enumerate() {
            let mut apart = 0;
            for person in &answer.people {
                prop_assert!(!person.why.is_empty());
                for (side, sign) in [(0, 1i64), (1, -1)] {
                    if let Outcome::Funnel { reached, .. } = &person.outcomes[side] {
                        apart += sign * i64::from(*reached > step);
                    }
                }
            }
            prop_assert_eq!(*first as i64 - *second as i64, apart);
        }
    }

    /// The same of retention: every cell.
    #[test]
    fn an_explanation_of_returns_adds_up_to_the_difference_of_the_figures(
        all in prop::collection::vec(prop::collection::vec(0i64..240, 0..6), 0..6),
        pair in prop::sample::subsequence(vec!["tallymark", "posthog", "mixpanel", "amplitude"], 2),
    ) {
        let mut events = Vec::new();
        for (person, hours) in all.iter().enumerate() {
            events.extend(hours.iter().map(|at| {
                Event::new(person as u64, T0 - 24 * HOUR + at * HOUR + at * MIN / 7, "open")
            }));
        }
        let cells = |rule: &str| {
            match ask(&events, json!({ "periods": 3, "compat": rule }), Scan::default()) {
                AnswerBody::Retention(answer) => answer.cohorts,
                other => panic!("retention answers retention, not {other:?}"),
            }
        };
        let figures = [cells(pair[0]), cells(pair[1])];
        let answer = explain(&events, json!({ "question": "retention", "periods": 3, "rules": pair }));
        for (cohort, (first, second)) in figures[0].iter().zip(&figures[1]).enumerate() {
            for period in 0..=3 {
                let mut apart = 0;
                for person in &answer.people {
                    for (side, sign) in [(0, 1i64), (1, -1)] {
                        let Outcome::Retention { cohorts } = &person.outcomes[side] else { panic!() };
                        let counts = cohorts.iter().any(|of| {
                            of.from == figures[0][cohort].from
                                && (period == 0 || of.returned.contains(&period))
                        });
                        apart += sign * i64::from(counts);
                    }
                }
                prop_assert_eq!(
                    first.returned[period] as i64 - second.returned[period] as i64, apart,
                    "cohort {} period {}", cohort, period
                );
            }
        }
    }
}
