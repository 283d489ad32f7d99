//! Rules beyond the plain ones, one named test each; and each way against a model that tries everything.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::answer::GroupValue;
use crate::funnel::tests::{
    Played, T0, ask, ask_by, matched_steps, persons, played, steps, to_events,
};
use crate::testing::{Event, Scan};

const S: i64 = 1_000;
const MIN: i64 = 60 * S;
const DAY: i64 = 24 * 60 * MIN;

fn events(played: &[(&str, i64)]) -> Vec<Event> {
    let event =
        |(seq, (name, at)): (usize, &(&str, i64))| Event::new(1, T0 + at, name).seq(seq as u32);
    played.iter().enumerate().map(event).collect()
}

/// The steps reached by one person, 0 when they are not in the funnel.
fn level(events: Vec<Event>, names: &[&str], extra: Value) -> u64 {
    let mut question = json!({ "steps": steps(names), "window": "10m" });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    persons(&ask(events, question)).iter().sum()
}

const ABC: &[&str] = &["A", "B", "C"];
const AB: &[&str] = &["A", "B"];
const X: [bool; 2] = [false, true];

/// The table of vectors in the definition: ours, PostHog's, Mixpanel's and Amplitude's.
#[rstest]
#[case::same_millisecond(&[("A", 0), ("B", 0), ("C", S)], ABC, X[0], [3, 3, 3, 3])]
#[case::a_later_start(&[("A", 0), ("A", 9 * MIN), ("B", 11 * MIN)], AB, X[0], [2, 2, 1, 2])]
#[case::one_event_serves_one_step(&[("A", 0)], &["A", "A"], X[0], [1, 1, 1, 1])]
#[case::the_windows_last_moment(&[("A", 0), ("B", 10 * MIN)], AB, X[0], [2, 2, 2, 2])]
#[case::one_more(&[("A", 0), ("B", 10 * MIN + 1)], AB, X[0], [1, 1, 1, 2])]
#[case::excluded(&[("A", 0), ("X", S), ("B", 3 * S)], AB, X[1], [1, 0, 1, 1])]
#[case::another_chain(&[("A", 0), ("X", S), ("A", 5 * S), ("B", 9 * S)], AB, X[1], [2, 2, 2, 2])]
#[case::out_of_order(&[("B", 0), ("A", 5 * S), ("C", 9 * S)], ABC, X[0], [1, 1, 1, 1])]
#[case::a_late_restart(&[("A", 0), ("B", 9 * MIN), ("A", 12 * MIN), ("C", 13 * MIN)], ABC, X[0], [2, 2, 2, 2])]
#[case::within_two_seconds(&[("B", 100), ("A", 1_900)], AB, X[0], [1, 1, 2, 1])]
#[case::within_one_second(&[("B", 100), ("A", 900)], AB, X[0], [1, 1, 2, 2])]
#[case::in_one_instant_the_wrong_way_round(&[("B", 0), ("A", 0)], AB, X[0], [1, 2, 2, 2])]
fn the_rules_of_others(
    #[case] played: &[(&str, i64)],
    #[case] names: &[&str],
    #[case] excludes: bool,
    #[case] want: [u64; 4],
) {
    let rules = [None, Some("posthog"), Some("mixpanel"), Some("amplitude")];
    let exclude = if excludes { json!([{ "event": "X" }]) } else { json!([]) };
    let got = rules.map(|compat| {
        level(events(played), names, json!({ "compat": compat, "exclude": exclude }))
    });
    assert_eq!(got, want);
}

#[rstest]
#[case::anything_in_between(&[("A", 0), ("X", 1), ("B", 2)], 1)]
#[case::nothing(&[("A", 0), ("B", 1)], 2)]
#[case::what_breaks_may_start(&[("A", 0), ("A", 1), ("B", 2)], 2)]
#[case::nobody_did_that(&[("A", 0), ("$heartbeat", 1), ("$exposure", 2), ("B", 3)], 2)]
#[case::broken_later(&[("A", 0), ("B", 1), ("X", 2), ("C", 3)], 2)]
fn strict_steps_follow_each_other(#[case] played: &[(&str, i64)], #[case] want: u64) {
    assert_eq!(level(events(played), ABC, json!({ "order": "strict" })), want);
}

#[rstest]
#[case::vector_10(&[("B", 0), ("A", S), ("C", 2 * S)], 3)]
#[case::one_event_serves_one_step(&[("A", 0), ("A", S)], 1)]
#[case::not_within_one_window(&[("C", 0), ("B", 6 * MIN), ("A", 12 * MIN)], 2)]
#[case::the_windows_last_moment(&[("C", 0), ("A", 10 * MIN)], 2)]
#[case::one_more(&[("C", 0), ("A", 10 * MIN + 1)], 1)]
fn steps_of_any_order_count_within_one_window(#[case] played: &[(&str, i64)], #[case] want: u64) {
    assert_eq!(level(events(played), ABC, json!({ "order": "any" })), want);
}

#[rstest]
#[case::nothing_before_it_counts(&[("B", 0), ("A", S), ("C", 2 * S)], 2)]
#[case::the_others_in_any_order(&[("A", 0), ("C", S), ("B", 2 * S)], 3)]
#[case::without_it_there_is_nothing(&[("B", 0), ("C", S)], 0)]
#[case::a_later_one_starts_anew(&[("A", 0), ("B", 9 * MIN), ("A", 11 * MIN), ("C", 12 * MIN), ("B", 13 * MIN)], 3)]
#[case::one_event_serves_one_step(&[("A", 0), ("A", S)], 1)]
fn steps_of_any_order_may_have_the_first_one_first(
    #[case] played: &[(&str, i64)],
    #[case] want: u64,
) {
    assert_eq!(level(events(played), ABC, json!({ "order": "any_after_first" })), want);
}

#[test]
fn an_optional_step_can_be_left_out_and_is_counted_where_it_was_done() {
    let mut all = Vec::new();
    for (person, names) in [(1, "ABC"), (2, "AC"), (3, "AB"), (4, "A")] {
        let each = names.chars().enumerate();
        all.extend(
            each.map(|(at, name)| Event::new(person, T0 + at as i64 * S, &name.to_string())),
        );
    }
    let steps = json!([{ "event": "A" }, { "event": "B", "optional": true }, { "event": "C" }]);
    let answer = ask(all, json!({ "steps": steps }));
    assert_eq!(persons(&answer), [4, 2, 2]);
    assert!(answer.steps[1].optional && !answer.steps[2].optional);
    // Of those at the last step that cannot be left out.
    assert_eq!(answer.steps[2].from_previous_ratio, Some(0.5));
}

#[test]
fn held_properties_keep_chains_apart_and_absent_ones_equal_nothing() {
    let of = |name: &str, at, item: &str| Event::new(1, T0 + at, name).with("item", item);
    let hold = json!({ "hold": ["item"] });
    let mixed = vec![of("A", 0, "hat"), of("B", S, "shoe"), of("B", 2 * S, "hat")];
    assert_eq!(level(mixed.clone(), AB, hold.clone()), 2);
    assert_eq!(level(mixed[..2].to_vec(), AB, hold.clone()), 1);
    let absent = events(&[("A", 0), ("B", S)]);
    assert_eq!(level(absent, AB, hold.clone()), 0);
    // An exclusion ends a chain whatever its value is.
    let excluded = vec![of("A", 0, "hat"), Event::new(1, T0 + S, "X"), of("B", 2 * S, "hat")];
    let mut both = hold;
    both["exclude"] = json!([{ "event": "X" }]);
    assert_eq!(level(excluded, AB, both), 1);
}

#[test]
fn sessions_are_counted_when_all_of_it_happened_in_one() {
    let at =
        |name: &str, at: i64, session: u64| Event::new(1, T0 + at, name).with("session", session);
    let all = vec![
        at("A", 0, 5),
        at("B", S, 6),
        at("A", 2 * S, 6),
        at("B", 3 * S, 6),
        at("A", 4 * S, 7),
        // Without a name: half an hour of silence later.
        Event::new(2, T0, "A"),
        Event::new(2, T0 + 31 * MIN, "B"),
    ];
    let answer = ask(all, json!({ "steps": steps(AB), "count": "sessions" }));
    assert_eq!(persons(&answer), [4, 1]);
}

#[test]
fn totals_count_every_attempt_and_no_event_twice() {
    let all = events(&[
        ("A", 0),
        ("A", S),
        ("B", 2 * S),
        ("B", 3 * S),
        ("A", 4 * S),
        ("A", 11 * MIN),
        ("B", 12 * MIN),
    ]);
    let answer = ask(all, json!({ "steps": steps(AB), "window": "10m", "count": "totals" }));
    // The third attempt begins when the second has run out of time.
    assert_eq!(persons(&answer), [3, 2]);
    assert_eq!(answer.time_to_convert.persons, 2);
}

#[test]
fn a_breakdown_reads_the_event_that_attribution_names() {
    let of = |name: &str, at, page: &str| Event::new(1, T0 + at, name).with("page", page);
    let all = vec![of("A", 0, "start"), of("B", S, "middle"), of("C", 2 * S, "end")];
    for (attribution, want) in
        [("first", "start"), ("last", "end"), ("step:2", "middle"), ("step:1", "start")]
    {
        let answer = ask(
            all.clone(),
            json!({ "steps": steps(ABC), "attribution": attribution, "breakdown": { "prop": "page" } }),
        );
        let values: Vec<_> = answer
            .breakdown
            .iter()
            .map(|group| group.value.as_ref().and_then(GroupValue::text))
            .collect();
        assert_eq!(values, [Some(want)], "{attribution}");
    }
}

#[test]
fn conversion_over_time_goes_by_the_bucket_of_the_start() {
    let all = events(&[("A", 0), ("A", DAY), ("B", DAY + MIN), ("A", 3 * DAY)]);
    let question =
        json!({ "steps": steps(AB), "window": "10m", "bucket": "day", "to": "2026-09-05" });
    let answer = ask(all, question);
    let over_time = answer.over_time.unwrap();
    let got: Vec<_> = over_time.iter().map(|bucket| (&*bucket.bucket, &*bucket.persons)).collect();
    assert_eq!(
        got,
        [
            ("2026-09-01", &[1, 0][..]),
            ("2026-09-02", &[1, 1]),
            ("2026-09-03", &[0, 0]),
            ("2026-09-04", &[1, 0])
        ]
    );
    assert_eq!(over_time[1].conversion_ratio, Some(1.0));
    assert_eq!(over_time[2].conversion_ratio, None);
}

#[test]
fn times_are_told_by_how_many_took_how_long() {
    let mut all = Vec::new();
    for (person, took) in [999, S, 4 * S, 90 * DAY].into_iter().enumerate() {
        all.push(Event::new(person as u64, T0, "A"));
        all.push(Event::new(person as u64, T0 + took, "B"));
    }
    let answer = ask(all, json!({ "steps": steps(AB), "window": "100d" }));
    let bars = answer.time_to_convert.histogram;
    let used: Vec<_> = bars.iter().filter(|bar| bar.persons > 0).collect();
    let got: Vec<_> = used.iter().map(|bar| (bar.from_ms, bar.to_ms, bar.persons)).collect();
    assert_eq!(got, [(0, Some(1000), 1), (1000, Some(5000), 2), (2_592_000_000, None, 1)]);
    assert_eq!(bars.iter().map(|bar| bar.persons).sum::<u64>(), 4);
}

/// The largest number of steps that distinct events within the window can serve. If the first step comes first,
/// its event is before the others, or shares its moment with another device.
fn model_any(events: &[Played], window: i64, is_first_first: bool) -> usize {
    fn serve(events: &[Played], used: &mut BTreeSet<usize>, step: usize) -> usize {
        if step == 3 {
            return 0;
        }
        let mut best = serve(events, used, step + 1);
        for (at, event) in events.iter().enumerate() {
            if event.2 >> step & 1 == 1 && used.insert(at) {
                best = best.max(1 + serve(events, used, step + 1));
                used.remove(&at);
            }
        }
        best
    }
    let is_after = |first: usize, other: usize| {
        let (a, b) = (events[first], events[other]);
        (other > first || is_first_first && a.0 == b.0 && a.1 != b.1) && b.0 - a.0 <= window
    };
    let from = |at: usize| {
        let others = (0..events.len()).filter(|other| is_after(at, *other));
        let mut within: Vec<Played> = others.map(|other| events[other]).collect();
        match is_first_first {
            true if events[at].2 & 1 == 0 => 0,
            true => 1 + serve(&within, &mut BTreeSet::new(), 1),
            false => {
                within.push(events[at]);
                serve(&within, &mut BTreeSet::new(), 0)
            }
        }
    };
    (0..events.len()).map(from).max().unwrap_or(0)
}

/// The longest chain of neighbours.
fn model_strict(events: &[Played], window: i64) -> usize {
    let from = |at: usize| {
        let chain = events[at..].iter().enumerate().take_while(|(step, event)| {
            *step < 3 && event.2 >> step & 1 == 1 && event.0 - events[at].0 <= window
        });
        chain.count()
    };
    (0..events.len()).map(from).max().unwrap_or(0)
}

/// The furthest step of any chain that may leave out the second.
fn model_optional(events: &[Played], window: i64) -> usize {
    let matches = |at: usize, step: usize| events[at].2 >> step & 1 == 1;
    let within = |first: usize, last: usize| events[last].0 - events[first].0 <= window;
    let count = events.len();
    let mut best = 0;
    for a in (0..count).filter(|at| matches(*at, 0)) {
        best = best.max(1);
        for b in (a + 1..count).filter(|at| within(a, *at)) {
            best = if matches(b, 2) { 3 } else { best };
            best = if matches(b, 1) { best.max(2) } else { best };
        }
    }
    best
}

fn reached(played: &[Played], window: i64, extra: Value) -> usize {
    let mut question = json!({ "steps": matched_steps(), "window": format!("{window}ms") });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    persons(&ask(to_events(1, played), question)).iter().sum::<u64>() as usize
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_count_plain_funnels_alike(
        people in prop::collection::vec(played(1), 0..6), window in 1i64..8, excludes in any::<bool>(),
    ) {
        let events: Vec<Event> = people.iter().enumerate()
            .flat_map(|(person, played)| to_events(person as u64 + 1, played)).collect();
        let exclude = json!([{ "event": "e", "between": [1, 2],
            "where": [{ "prop": "s2", "op": "set" }, { "prop": "s0", "op": "not_set" }] }]);
        let mut question = json!({ "steps": matched_steps(), "window": format!("{window}ms"),
            "exclude": if excludes { exclude } else { json!([]) } });
        let plain = ask(events.clone(), question.clone());
        question["attribution"] = json!("last");
        prop_assert_eq!(ask(events, question), plain);
    }

    #[test]
    fn both_ways_come_as_far_over_devices(played in played(3), window in 1i64..8) {
        prop_assert_eq!(
            reached(&played, window, json!({ "attribution": "last" })),
            reached(&played, window, json!({}))
        );
    }

    #[test]
    fn strict_is_what_trying_everything_finds(played in played(1), window in 1i64..8) {
        prop_assert_eq!(
            reached(&played, window, json!({ "order": "strict" })),
            model_strict(&played, window)
        );
    }

    #[test]
    fn any_order_is_what_trying_everything_finds(played in played(2), window in 1i64..8) {
        for (order, is_first_first) in [("any", false), ("any_after_first", true)] {
            prop_assert_eq!(
                reached(&played, window, json!({ "order": order })),
                model_any(&played, window, is_first_first)
            );
        }
    }

    #[test]
    fn leaving_out_is_what_trying_everything_finds(played in played(1), window in 1i64..8) {
        let mut question = json!({ "steps": matched_steps(), "window": format!("{window}ms") });
        question["steps"][1]["optional"] = json!(true);
        let answer = ask(to_events(1, &played), question);
        let got = match &persons(&answer)[..] {
            [_, _, 1] => 3,
            [_, 1, _] => 2,
            [entered, ..] => *entered as usize,
            [] => 0,
        };
        prop_assert_eq!(got, model_optional(&played, window));
    }

    #[test]
    fn scanning_does_not_show_and_nothing_widens(
        people in prop::collection::vec(played(2), 0..8), kernels in 1usize..4,
        extra in prop::sample::select(vec![
            json!({ "order": "any" }), json!({ "order": "strict" }), json!({ "count": "totals" }),
            json!({ "count": "sessions" }), json!({ "hold": ["s1"] }), json!({ "bucket": "day" }),
            json!({ "compat": "posthog" }), json!({ "compat": "amplitude" }),
            json!({ "compat": "mixpanel" }), json!({ "order": "any", "count": "totals" }),
            json!({ "order": "any_after_first" }),
            json!({ "order": "any_after_first", "count": "totals" }),
        ]),
    ) {
        let events: Vec<Event> = people.iter().enumerate()
            .flat_map(|(person, played)| to_events(person as u64 + 1, played)).collect();
        let mut question = json!({ "steps": matched_steps(), "window": "5ms",
            "breakdown": { "prop": "s0", "limit": 1 } });
        question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let answer = ask(events.clone(), question.clone());
        prop_assert!(persons(&answer).windows(2).all(|pair| pair[0] >= pair[1]));
        let again = ask_by(events, question, Scan { kernels, reverse_codes: true });
        prop_assert_eq!(again, answer);
    }
}
