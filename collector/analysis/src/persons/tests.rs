//! Rules of the lists of people and of their events, one named test each.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{PersonAnswer, PersonsAnswer, name};
use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;

fn context() -> Context {
    Context::utc(T0 + 30 * 86_400_000)
}

fn answer(kind: &str, events: Vec<Event>, extra: Value, scan: Scan) -> AnswerBody {
    let mut question = json!({ "from": "2026-09-01", "to": "2026-09-08" });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    Memory::new(events).answer_by(kind, question, &context(), scan).unwrap().body
}

fn list(events: Vec<Event>, extra: Value) -> PersonsAnswer {
    let scan = Scan { kernels: 3, reverse_codes: true };
    match answer("persons", events, extra, scan) {
        AnswerBody::Persons(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn timeline(events: Vec<Event>, extra: Value) -> PersonAnswer {
    match answer("person", events, extra, Scan::default()) {
        AnswerBody::Person(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// Person `n` has `n` events, the last of them `10 n` milliseconds after the start; 3 and 4 at once.
fn people() -> Vec<Event> {
    let last = |person: u64| if person == 4 { 30 } else { 10 * person as i64 };
    let events = |person: u64| {
        (0..person).map(move |back| Event::new(person, T0 + last(person) - back as i64, "view"))
    };
    (1..=5).flat_map(events).collect()
}

fn names(answer: &PersonsAnswer) -> Vec<u64> {
    let person = |person: &super::ListedPerson| super::parse_name(&person.person).unwrap();
    answer.persons.iter().map(person).collect()
}

#[rstest]
#[case("last_seen", [5, 3, 4, 2, 1])]
#[case("first_seen", [5, 3, 4, 2, 1])]
#[case("events", [5, 4, 3, 2, 1])]
fn people_are_listed_by_what_was_asked_for_and_equal_ones_by_name(
    #[case] sort: &str,
    #[case] want: [u64; 5],
) {
    let answer = list(people(), json!({ "sort": sort }));
    assert_eq!(names(&answer), want);
    assert_eq!((answer.count, answer.next), (5, None));
}

#[test]
fn pages_list_everybody_once() {
    let (mut after, mut found) = (Value::Null, Vec::new());
    for _ in 0..3 {
        let answer = list(people(), json!({ "limit": 2, "after": after }));
        assert_eq!(answer.count, 5);
        found.extend(names(&answer));
        after = answer.next.into();
    }
    assert_eq!((found, after), (vec![5, 3, 4, 2, 1], Value::Null));
}

#[test]
fn a_person_has_the_last_value_of_each_property() {
    let events = vec![
        Event::new(1, T0, "a").with("country", "DE").with("plan", "free"),
        Event::new(1, T0 + 1, "a").with("country", "FR"),
        Event::new(1, T0 + 2, "b"),
    ];
    let answer = list(events.clone(), json!({ "columns": ["country", "plan", "none"] }));
    assert_eq!(
        json!(answer.persons[0].props),
        json!({ "country": "FR", "plan": "free", "none": null })
    );
    let filter = json!([{ "prop": "country", "value": "DE" }]);
    let answer = list(events, json!({ "where": filter, "columns": ["country"] }));
    assert_eq!((answer.persons[0].events, answer.persons[0].last_seen), (1, T0));
    assert_eq!(json!(answer.persons[0].props), json!({ "country": "DE" }));
}

#[test]
fn a_timeline_is_of_one_person_the_newest_first_with_their_sessions() {
    let minutes = 60_000;
    let events = vec![
        Event::new(7, T0, "a").with("path", "/"),
        Event::new(7, T0 + minutes, "b"),
        Event::new(7, T0 + 40 * minutes, "a"),
        Event::new(7, T0 + 41 * minutes, "paid").from_server(),
        Event::new(8, T0, "a"),
    ];
    let answer = timeline(events.clone(), json!({ "person": name(7), "columns": ["path"] }));
    let got: Vec<_> =
        answer.events.iter().map(|event| (event.at - T0, &*event.event, event.session)).collect();
    assert_eq!(
        got,
        [
            (41 * minutes, "paid", None),
            (40 * minutes, "a", Some(2)),
            (minutes, "b", Some(1)),
            (0, "a", Some(1))
        ]
    );
    assert_eq!((answer.count, answer.sessions), (4, 2));
    assert_eq!((answer.first_seen, answer.last_seen), (Some(T0), Some(T0 + 41 * minutes)));
    assert_eq!(json!(answer.events[3].props), json!({ "path": "/" }));
    let nobody = timeline(events, json!({ "person": name(9) }));
    assert_eq!((nobody.count, nobody.first_seen), (0, None));
}

#[test]
fn pages_of_a_timeline_list_every_event_once() {
    let events: Vec<Event> =
        (0..7).map(|at| Event::new(7, T0 + at / 3, &format!("e{at}")).seq(at as u32)).collect();
    let (mut after, mut found) = (Value::Null, Vec::new());
    for _ in 0..4 {
        let question = json!({ "person": name(7), "limit": 2, "after": after });
        let answer = timeline(events.clone(), question);
        found.extend(answer.events.into_iter().map(|event| event.event));
        after = answer.next.into();
    }
    assert_eq!(found, ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]);
    assert_eq!(after, Value::Null);
}

#[rstest]
#[case("persons", json!({ "limit": 0 }), "count_invalid")]
#[case("persons", json!({ "limit": 1001 }), "count_invalid")]
#[case("persons", json!({ "after": "x" }), "field_invalid")]
#[case("persons", json!({ "sort": "name" }), "question_malformed")]
#[case("person", json!({}), "question_malformed")]
#[case("person", json!({ "person": "ada@example.com" }), "field_invalid")]
#[case("person", json!({ "person": "+000000000000007" }), "field_invalid")]
fn what_makes_no_sense_is_refused(#[case] kind: &str, #[case] question: Value, #[case] code: &str) {
    assert_eq!(crate::compile(kind, question, &context()).unwrap_err().code(), code);
}

#[rstest]
#[case(0)]
#[case(-5)]
#[case(i64::MAX)]
#[case(i64::MIN + 1)]
fn a_place_comes_back_as_it_was(#[case] figure: i64) {
    for rest in [0, 7, u64::MAX] {
        assert_eq!(super::place(&super::next(figure, rest)).unwrap(), (figure, rest));
    }
}

/// Every event of a person in the range, in order, as a page would say it: whether it counts, its time and its session.
fn plainly(events: &[Event], wanted: Option<&str>) -> Vec<(i64, Option<usize>)> {
    let mut cutter = crate::sessions::cut::Cutter::default();
    cutter.next_person();
    let named = |event: &Event| match event.props.get("session").and_then(Value::as_u64) {
        Some(named) => named,
        None if event.is_server => crate::events::NO_SESSION,
        None => crate::events::UNNAMED_SESSION,
    };
    let all = events.iter().map(|event| {
        let session = cutter.place(event.ts_ms, event.actor, named(event));
        (event, session)
    });
    let counts =
        |(event, _): &(&Event, Option<usize>)| wanted.is_none_or(|name| event.name == name);
    all.filter(counts).map(|(event, session)| (event.ts_ms, session)).collect()
}

proptest! {
    #[test]
    fn a_timeline_says_what_a_plain_walk_over_the_events_says(
        steps in prop::collection::vec((0i64..40 * 60_000, 1u64..3, 0u64..5, any::<bool>()), 0..60),
        is_filtered in any::<bool>(), limit in 1usize..20,
    ) {
        // Some events lie before the range.
        let mut at_ms = T0 - 60 * 60_000;
        let event = |(at, (step, actor, session, is_a)): (usize, (i64, u64, u64, bool))| {
            // A third of them follow in the same millisecond.
            at_ms += if step % 3 == 0 { 0 } else { step };
            let event = Event::new(7, at_ms, if is_a { "a" } else { "b" });
            let event = event.on(actor).seq(at as u32);
            match session {
                0 => event,
                1 => event.from_server(),
                named => event.with("session", named),
            }
        };
        let events: Vec<Event> = steps.into_iter().enumerate().map(event).collect();
        let in_range: Vec<Event> =
            events.iter().filter(|event| event.ts_ms >= T0).cloned().collect();
        let wanted = is_filtered.then_some("a");
        let want = plainly(&in_range, wanted);
        let (mut after, mut found) = (Value::Null, Vec::new());
        loop {
            let question = json!({
                "person": name(7), "event": wanted, "limit": limit, "after": after, "columns": [],
            });
            let page = timeline(events.clone(), question);
            prop_assert_eq!(page.count, want.len() as u64);
            let mut sessions: Vec<usize> = want.iter().filter_map(|(_, session)| *session).collect();
            sessions.sort_unstable();
            sessions.dedup();
            prop_assert_eq!(page.sessions, sessions.len() as u64);
            prop_assert_eq!(page.first_seen, want.first().map(|(at_ms, _)| *at_ms));
            prop_assert_eq!(page.last_seen, want.last().map(|(at_ms, _)| *at_ms));
            prop_assert!(page.events.len() <= limit);
            found.extend(page.events.iter().map(|event| (event.at, event.session)));
            match page.next {
                Some(next) => after = next.into(),
                None => break,
            }
        }
        let numbered = |session: &Option<usize>| session.map(|session| session as u64 + 1);
        let newest_first: Vec<_> =
            want.iter().rev().map(|(at_ms, session)| (*at_ms, numbered(session))).collect();
        prop_assert_eq!(found, newest_first);
    }
}
