//! Paths against small worlds whose answer is plain, and against a slow model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Event, Memory, Scan};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const MIN: i64 = 60_000;

fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> PathsAnswer {
    let mut full = json!({ "from": "2026-09-01", "to": "2026-09-04" });
    full.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    let context = Context::utc(T0 + 90 * 24 * 60 * MIN);
    match Memory::new(events).answer_by("paths", full, &context, scan).unwrap().body {
        AnswerBody::Paths(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// `depth from>to count/persons`, in the order of the answer.
fn ask(events: Vec<Event>, question: Value) -> Vec<String> {
    let answer = ask_by(events, question, Scan::default());
    let shown = |edge: &PathEdge| {
        format!("{} {}>{} {}/{}", edge.depth, edge.from, edge.to, edge.count, edge.persons)
    };
    answer.edges.iter().map(shown).collect()
}

fn refused(question: Value) -> &'static str {
    let context = Context::utc(T0);
    crate::compile("paths", question, &context).unwrap_err().code()
}

/// Views a minute apart; a word with an exclamation mark is an event that is no view.
fn visit(person: u64, begin: i64, steps: &str) -> Vec<Event> {
    let event = |(minute, step): (i64, &str)| {
        let at = T0 + begin + minute * MIN;
        match step.strip_suffix('!') {
            Some(name) => Event::new(person, at, name),
            None => Event::new(person, at, "$pageview").with("path", format!("/{step}")),
        }
    };
    (0..).zip(steps.split(' ')).map(event).collect()
}

#[test]
fn transitions_are_counted_within_sessions_and_by_person() {
    let mut events = visit(1, 0, "a b a b");
    events.extend(visit(1, 120 * MIN, "b a"));
    events.extend(visit(2, 0, "a b"));
    assert_eq!(ask(events, json!({})), ["1 /a>/b 3/2", "1 /b>/a 2/1"]);
}

#[test]
fn any_event_keeps_a_session_alive_though_it_is_no_step() {
    let views = [visit(1, 0, "a"), visit(1, 50 * MIN, "b")].concat();
    assert!(ask(views.clone(), json!({})).is_empty());
    let kept = [views, visit(1, 25 * MIN, "clicked!")].concat();
    assert_eq!(ask(kept.clone(), json!({})), ["1 /a>/b 1/1"]);
    let filtered = json!({ "where": [{ "prop": "path", "op": "ne", "value": "/c" }] });
    let between = [kept, visit(1, 26 * MIN, "c")].concat();
    assert_eq!(ask(between, filtered), ["1 /a>/b 1/1"], "what is left out keeps it alive, too");
}

#[test]
fn sessions_that_have_names_go_by_them_and_servers_without_have_none() {
    let named = |session: u64| move |event: Event| event.with("session", session);
    let mut events: Vec<Event> = visit(1, 0, "a b").into_iter().map(named(2)).collect();
    events.extend(visit(1, 1, "x y").into_iter().map(named(3)));
    events.extend(visit(1, 40 * 60 * MIN, "c").into_iter().map(named(2)));
    events.extend(visit(1, 0, "s t").into_iter().map(Event::from_server));
    assert_eq!(ask(events, json!({})), ["1 /a>/b 1/1", "1 /b>/c 1/1", "1 /x>/y 1/1"]);
}

#[test]
fn a_path_leads_away_from_its_first_anchor() {
    let events = visit(1, 0, "a signed_up! b c signed_up! d");
    let question = json!({ "from_event": "signed_up", "depth": 2 });
    assert_eq!(ask(events.clone(), question), ["1 signed_up>/b 1/1", "2 /b>/c 1/1"]);
    let page = json!({ "event": "$pageview", "where": [{ "prop": "path", "value": "/c" }] });
    assert_eq!(ask(events.clone(), json!({ "from_event": page })), ["1 /c>/d 1/1"]);
    let entry = json!({ "from_event": "$pageview", "depth": 1 });
    assert_eq!(ask(events, entry), ["1 /a>/b 1/1"]);
}

#[test]
fn a_path_leads_to_its_last_anchor() {
    let events = visit(1, 0, "a paid! b c paid! d");
    let question = json!({ "to_event": "paid", "depth": 3 });
    let want = ["1 /c>paid 1/1", "2 /b>/c 1/1", "3 /a>/b 1/1"];
    assert_eq!(ask(events, question), want);
}

#[test]
fn events_are_steps_by_their_names_but_passive_ones() {
    let events = visit(1, 0, "opened! $heartbeat! opened! closed!");
    assert_eq!(
        ask(events.clone(), json!({ "by": "event" })),
        ["1 opened>closed 1/1", "1 opened>opened 1/1"]
    );
    let skip = json!({ "by": "event", "repeats": "skip" });
    assert_eq!(ask(events, skip), ["1 opened>closed 1/1"]);
}

#[test]
fn what_is_not_listed_is_in_the_sum() {
    let events = visit(1, 0, "a b a b c");
    let answer = ask_by(events, json!({ "limit": 1 }), Scan::default());
    assert_eq!(answer.edges.len(), 1);
    assert_eq!(answer.depths, [PathDepth { depth: 1, count: 4, persons: 1 }]);
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    assert_eq!(refused(json!({ "from_event": "a", "to_event": "b" })), "field_invalid");
    assert_eq!(refused(json!({ "depth": 2 })), "field_invalid");
    assert_eq!(refused(json!({ "depth": 11, "from_event": "a" })), "count_invalid");
    assert_eq!(refused(json!({ "limit": 0 })), "count_invalid");
    assert_eq!(refused(json!({ "by": "event", "event": "a" })), "field_invalid");
    assert_eq!(refused(json!({ "breakdown": "plan" })), "unsupported");
}

#[test]
fn a_list_is_certain_only_when_nothing_left_out_could_belong_to_it() {
    let report = |pairs: &[(&str, f64, f64)], cut: f64, left_out: f64| {
        let mut partial = Partial::default();
        partial.add(vec![Pass::First.key(), Key::Int(1)], &[0.0, 0.0, cut, left_out]);
        for (to, count, exact) in pairs {
            let key = vec![
                Pass::First.key(),
                Key::Int(1),
                Key::Text("a".into()),
                Key::Text((*to).into()),
            ];
            partial.add(key, &[*count, 1.0, *exact]);
        }
        Ranking::of(&partial, Pass::First, 1).is_certain(2)
    };
    assert!(report(&[("x", 9.0, 0.0)], 0.0, 0.0), "nothing was left out");
    assert!(report(&[("x", 9.0, 1.0), ("y", 5.0, 1.0), ("z", 3.0, 1.0)], 1.0, 4.0));
    assert!(!report(&[("x", 9.0, 1.0), ("y", 5.0, 1.0), ("z", 3.0, 1.0)], 1.0, 5.0), "a tie");
    assert!(!report(&[("x", 9.0, 1.0), ("y", 5.0, 0.0)], 1.0, 1.0), "y may be more");
    assert!(!report(&[("x", 9.0, 1.0), ("y", 5.0, 1.0), ("z", 4.0, 0.0)], 1.0, 2.0), "z may be");
    assert!(!report(&[("x", 9.0, 1.0)], 1.0, 1.0), "the second may be anything");
}

/// The definition again: cut every person's events into sessions, then look at each as a list.
fn plainly(events: &[Event], from: Option<&str>, to: Option<&str>, depth: usize) -> Vec<PathEdge> {
    let mut counts: BTreeMap<(usize, String, String), (u64, BTreeSet<u64>)> = BTreeMap::new();
    let mut count = |depth: usize, pair: &[String], person: u64| {
        let key = (depth, pair[0].clone(), pair[1].clone());
        let (count, persons) = counts.entry(key).or_default();
        *count += 1;
        persons.insert(person);
    };
    for ((person, _), session) in sessions(events) {
        let names: Vec<(&str, Option<String>)> = session
            .iter()
            .map(|event| {
                (&*event.name, event.props.get("path").map(|path| path.as_str().unwrap().into()))
            })
            .collect();
        let called = |(name, path): &(&str, Option<String>)| path.clone().unwrap_or((*name).into());
        let views = |part: &[(&str, Option<String>)]| -> Vec<String> {
            part.iter().filter_map(|(_, path)| path.clone()).collect()
        };
        let path: Vec<String> = if let Some(anchor) = from {
            let Some(at) = names.iter().position(|(name, _)| *name == anchor) else { continue };
            [vec![called(&names[at])], views(&names[at + 1..])].concat()
        } else if let Some(anchor) = to {
            let Some(at) = names.iter().rposition(|(name, _)| *name == anchor) else { continue };
            let mut path = [views(&names[..at]), vec![called(&names[at])]].concat();
            path.reverse();
            path
        } else {
            views(&names).windows(2).for_each(|pair| count(1, pair, person));
            continue;
        };
        for (at, pair) in path.windows(2).enumerate().take(depth) {
            let pair = if to.is_some() {
                [pair[1].clone(), pair[0].clone()]
            } else {
                [pair[0].clone(), pair[1].clone()]
            };
            count(at + 1, &pair, person);
        }
    }
    let mut edges: Vec<PathEdge> = counts
        .into_iter()
        .map(|((depth, from, to), (count, persons))| PathEdge {
            depth,
            from,
            to,
            count,
            persons: persons.len() as u64,
        })
        .collect();
    edges.sort_by(|a, b| a.depth.cmp(&b.depth).then(b.count.cmp(&a.count)));
    edges
}

/// By person and session name; sessions of the world below are never cut by silence.
fn sessions(events: &[Event]) -> BTreeMap<(u64, u64), Vec<&Event>> {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| (event.person, event.ts_ms, event.seq));
    let mut sessions: BTreeMap<(u64, u64), Vec<&Event>> = BTreeMap::new();
    for event in sorted {
        let name = event.props.get("session").and_then(Value::as_u64).unwrap_or(0);
        sessions.entry((event.person, name)).or_default().push(event);
    }
    sessions
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn paths_are_those_of_the_definition(
        steps in prop::collection::vec((0u64..5, 0i64..20, 0u64..3, 0u8..7), 0..120),
        end in 0u8..3, anchor_is_view: bool, depth in 1usize..6, kernels in 1usize..4, reverse_codes: bool,
    ) {
        let events: Vec<Event> = (0..).zip(steps).map(|(seq, (person, minute, session, what))| {
            let at = T0 + minute * MIN;
            let event = match what {
                0 => Event::new(person, at, "paid"),
                1 => Event::new(person, at, "clicked"),
                path => Event::new(person, at, "$pageview").with("path", format!("/{path}")),
            };
            // Session 0 has no name, and no silence to end it.
            let event = if session > 0 { event.with("session", session + 1) } else { event };
            event.seq(seq)
        }).collect();
        let anchor = if anchor_is_view { "$pageview" } else { "paid" };
        let (from, to) = ((end == 1).then_some(anchor), (end == 2).then_some(anchor));
        let depth = if end == 0 { 1 } else { depth };
        let question = json!({ "from_event": from, "to_event": to, "depth": depth, "limit": 1000 });
        let answer = ask_by(events.clone(), question, Scan { kernels, reverse_codes });
        prop_assert_eq!(answer.edges, plainly(&events, from, to, depth));
    }
}
