//! Plain rules of funnels, one named test each; and the kernel against a model that tries everything.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::answer::FunnelAnswer;
use crate::answer::{Group, GroupValue};
use crate::testing::{Event, Memory, Scan};
use crate::{AnswerBody, Context};

/// 2026-09-01T00:00:00Z.
pub(crate) const T0: i64 = 1_788_220_800_000;

pub(crate) fn context() -> Context {
    Context::utc(T0 + 30 * 86_400_000)
}

pub(crate) fn ask(events: Vec<Event>, question: Value) -> FunnelAnswer {
    ask_by(events, question, Scan::default())
}

pub(crate) fn ask_by(events: Vec<Event>, mut question: Value, scan: Scan) -> FunnelAnswer {
    let fields = question.as_object_mut().unwrap();
    fields.entry("from").or_insert(json!("2026-09-01"));
    fields.entry("to").or_insert(json!("2026-09-08"));
    let answer = Memory::new(events).answer_by("funnel", question, &context(), scan).unwrap();
    match answer.body {
        AnswerBody::Funnel(funnel) => funnel,
        other => panic!("a funnel answers a funnel, not {other:?}"),
    }
}

pub(crate) fn persons(answer: &FunnelAnswer) -> Vec<u64> {
    answer.steps.iter().map(|step| step.persons).collect()
}

pub(crate) fn steps(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "event": name })).collect()
}

#[test]
fn the_vectors_of_the_definition_hold() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/semantics.json")).unwrap();
    let cases = vectors["funnels"].as_array().unwrap();
    assert!(cases.len() >= 9);
    for case in cases {
        let events = case["events"].as_array().unwrap().iter().map(|event| {
            Event::new(1, T0 + event[1].as_i64().unwrap(), event[0].as_str().unwrap())
                .seq(event[2].as_u64().unwrap() as u32)
        });
        let names: Vec<&str> =
            case["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
        let mut question = json!({ "steps": steps(&names), "window": case["window"] });
        if let Some(event) = case["exclude"].as_str() {
            question["exclude"] = json!([{ "event": event }]);
        }
        let answer = ask(events.collect(), question);
        let level = persons(&answer).iter().sum::<u64>();
        assert_eq!(level, case["level"].as_u64().unwrap(), "{}", case["name"]);
        if let Some(ms) = case["time_to_convert_ms"].as_f64() {
            assert_eq!(answer.time_to_convert.median_ms, Some(ms), "{}", case["name"]);
        }
    }
}

#[test]
fn forty_steps_are_forty_steps() {
    let names: Vec<String> = (0..40).map(|step| format!("step_{step}")).collect();
    let events = names.iter().enumerate().map(|(i, name)| Event::new(1, T0 + i as i64, name));
    let steps: Value = names.iter().map(|name| json!({ "event": name })).collect();
    let answer = ask(events.collect(), json!({ "steps": steps }));
    assert_eq!(persons(&answer), [1; 40]);
}

#[rstest]
#[case::no_step(json!([]), "count_invalid")]
#[case::more_than_64(Value::from(vec![json!({ "event": "a" }); 65]), "count_invalid")]
#[case::an_optional_end(json!([{ "event": "a" }, { "event": "b", "optional": true }]), "field_invalid")]
#[case::unknown_field(json!([{ "event": "a", "evnet": "b" }]), "question_malformed")]
fn steps_that_make_no_funnel_are_refused(#[case] steps: Value, #[case] code: &str) {
    let error = crate::compile("funnel", json!({ "steps": steps }), &context()).unwrap_err();
    assert_eq!(error.code(), code);
}

#[rstest]
#[case(json!({ "order": "sideways" }), "field_invalid")]
#[case(json!({ "hold": "plan" }), "field_invalid")]
#[case(json!({ "hold": ["a", "b", "c", "d"] }), "count_invalid")]
#[case(json!({ "count": "money" }), "field_invalid")]
#[case(json!({ "attribution": "step:0" }), "field_invalid")]
#[case(json!({ "attribution": "step:3" }), "field_invalid")]
#[case(json!({ "compat": "posthog", "order": "any" }), "field_invalid")]
#[case(json!({ "compat": "clickhouse", "hold": ["plan"] }), "field_invalid")]
#[case(json!({ "order": "any", "exclude": [{ "event": "x" }] }), "field_invalid")]
#[case(json!({ "bucket": "fortnight" }), "question_malformed")]
#[case(json!({ "compat": "excel" }), "field_invalid")]
#[case(json!({ "window": "1 fortnight" }), "duration_invalid")]
#[case(json!({ "exclude": [{ "event": "x", "between": [2, 1] }] }), "field_invalid")]
#[case(json!({ "exclude": [{ "event": "x", "between": [1, 3] }] }), "field_invalid")]
#[case(json!({ "from": "2026-09-02", "to": "2026-09-02" }), "range_empty")]
fn what_cannot_be_honoured_is_refused(#[case] extra: Value, #[case] code: &str) {
    let mut question = json!({ "steps": steps(&["a", "b"]) });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    assert_eq!(crate::compile("funnel", question, &context()).unwrap_err().code(), code);
}

#[test]
fn a_start_lies_in_the_range_and_later_steps_may_lie_after_it() {
    let week = 7 * 86_400_000;
    let events = vec![
        Event::new(1, T0 + week - 1, "a"),
        Event::new(1, T0 + week + 500, "b"),
        Event::new(2, T0 + week, "a"),
        Event::new(2, T0 + week + 500, "b"),
        Event::new(3, T0 - 1, "a"),
        Event::new(3, T0, "b"),
    ];
    let answer = ask(events, json!({ "steps": steps(&["a", "b"]), "window": "1d" }));
    assert_eq!(persons(&answer), [1, 1]);
}

#[rstest]
#[case::last_moment(7 + 1 + 3, true)]
#[case::one_day_early(7 + 3, false)]
fn a_funnel_is_complete_when_window_and_lateness_have_passed(
    #[case] days: i64,
    #[case] complete: bool,
) {
    let question = json!({ "steps": steps(&["a", "b"]), "window": "1d", "from": "2026-09-01", "to": "2026-09-08" });
    let context = Context::utc(T0 + days * 86_400_000);
    let answer = Memory::default().answer("funnel", question, &context).unwrap();
    assert_eq!(answer.complete, complete);
}

/// Clocks go forward on 2027-03-28 in Berlin: that day has 23 hours.
#[rstest]
#[case::the_windows_last_moment(24 * 3_600_000, 2)]
#[case::one_more(24 * 3_600_000 + 1, 1)]
fn a_window_is_a_length_of_time_and_no_calendar_day(#[case] after: i64, #[case] level: u64) {
    // 2027-03-27T22:30:00Z, half past eleven in the evening there.
    let start = 1_806_186_600_000;
    let events = vec![Event::new(1, start, "a"), Event::new(1, start + after, "b")];
    let question = json!({ "steps": steps(&["a", "b"]), "window": "1d", "tz": "Europe/Berlin",
        "from": "2027-03-27", "to": "2027-03-28" });
    assert_eq!(persons(&ask(events, question)).iter().sum::<u64>(), level);
}

#[test]
fn a_filter_reads_the_value_at_the_event() {
    let on = |at: i64, name: &str, plan: &str| Event::new(1, T0 + at, name).with("plan", plan);
    let events = vec![on(0, "a", "free"), on(1, "b", "team"), on(2, "c", "team")];
    let of = |plan: &str| {
        let first = json!({ "event": "a", "where": [{ "prop": "plan", "value": plan }] });
        persons(&ask(events.clone(), json!({ "steps": [first, { "event": "b" }] })))
    };
    assert_eq!((of("free"), of("team")), (vec![1, 1], vec![0, 0]), "not what is known today");
}

#[test]
fn a_step_nobody_could_enter_has_no_ratio() {
    let answer = ask(vec![], json!({ "steps": steps(&["a", "b"]) }));
    assert_eq!(answer.steps[1].conversion_ratio, None);
    assert_eq!(answer.steps[1].from_previous_ratio, None);
    assert_eq!(answer.time_to_convert.median_ms, None);
}

#[rstest]
#[case::two_devices(1, 2, 2)]
#[case::one_device(1, 1, 1)]
fn devices_that_share_a_millisecond_have_no_order(
    #[case] first: u64,
    #[case] second: u64,
    #[case] level: u64,
) {
    // The counter says b before a: on one device that is the order, on two it means nothing.
    let events =
        vec![Event::new(9, T0, "b").on(first).seq(1), Event::new(9, T0, "a").on(second).seq(2)];
    let answer = ask(events, json!({ "steps": steps(&["a", "b"]) }));
    assert_eq!(persons(&answer).iter().sum::<u64>(), level);
}

#[test]
fn a_tie_lets_one_event_serve_one_step() {
    let events = vec![Event::new(9, T0, "a").on(1), Event::new(9, T0, "x").on(2)];
    let answer = ask(events, json!({ "steps": steps(&["a", "a"]) }));
    assert_eq!(persons(&answer), [1, 0]);
}

#[test]
fn an_exclusion_in_a_tie_spares_the_chain_that_went_on() {
    let events = vec![
        Event::new(9, T0, "a").on(1),
        Event::new(9, T0 + 5, "x").on(2).seq(1),
        Event::new(9, T0 + 5, "b").on(1).seq(2),
        Event::new(8, T0, "a").on(3),
        Event::new(8, T0 + 5, "x").on(4).seq(1),
        Event::new(8, T0 + 5, "y").on(3).seq(2),
        Event::new(8, T0 + 6, "b").on(3),
    ];
    let question = json!({ "steps": steps(&["a", "b"]), "exclude": [{ "event": "x" }] });
    assert_eq!(persons(&ask(events, question)), [2, 1]);
}

#[test]
fn an_attack_of_ties_is_bounded() {
    let events = (0..4000).map(|i| Event::new(9, T0, "a").on(i % 7).seq(i as u32));
    let answer = ask(events.collect(), json!({ "steps": steps(&["a"; 30]) }));
    assert_eq!(persons(&answer), [1; 30]);
}

#[test]
fn steps_are_told_apart_by_their_filters() {
    let paid = |person, ts, plan: &str| Event::new(person, ts, "paid").with("plan", plan);
    let events = vec![
        paid(1, T0, "free"),
        paid(1, T0 + 1, "team"),
        paid(2, T0, "team"),
        paid(2, T0 + 1, "free"),
    ];
    let question = json!({ "steps": [
        { "event": "paid", "where": [{ "prop": "plan", "op": "eq", "value": "free" }] },
        { "event": "paid", "where": { "prop": "plan", "op": "ne", "value": "free" } } ] });
    assert_eq!(persons(&ask(events, question)), [2, 1]);
}

#[test]
fn a_breakdown_takes_the_value_at_the_start_and_drops_nobody() {
    let mut events = Vec::new();
    for (person, device) in ["phone", "phone", "desktop", "tablet", "tablet"].iter().enumerate() {
        events.push(Event::new(person as u64, T0, "a").with("device", *device));
        events.push(Event::new(person as u64, T0 + 60_000, "b").with("device", "desktop"));
    }
    events.push(Event::new(9, T0, "a"));
    let question =
        json!({ "steps": steps(&["a", "b"]), "breakdown": { "prop": "device", "limit": 2 } });
    let answer = ask(events, question);
    let lines: Vec<_> = answer
        .breakdown
        .iter()
        .map(|group| {
            (
                group.group,
                group.value.as_ref().and_then(GroupValue::text),
                group.steps[0].persons,
                group.steps[1].persons,
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            (Group::Value, Some("phone"), 2, 2),
            (Group::Value, Some("tablet"), 2, 2),
            (Group::Absent, None, 1, 0),
            (Group::Other, None, 1, 1),
        ]
    );
    assert_eq!(answer.steps[1].median_ms, Some(60_000.0));
}

#[test]
fn the_time_of_a_step_is_the_time_since_the_step_before() {
    let events =
        vec![Event::new(1, T0, "a"), Event::new(1, T0 + 1000, "b"), Event::new(1, T0 + 5000, "c")];
    let answer = ask(events, json!({ "steps": steps(&["a", "b", "c"]) }));
    let medians: Vec<_> = answer.steps.iter().map(|step| step.median_ms).collect();
    assert_eq!(medians, [None, Some(1000.0), Some(4000.0)]);
    assert_eq!(answer.time_to_convert.p90_ms, Some(5000.0));
}

#[test]
fn clickhouse_lets_one_event_serve_two_steps() {
    let question = json!({ "steps": steps(&["a", "a"]), "compat": "clickhouse" });
    assert_eq!(persons(&ask(vec![Event::new(1, T0, "a")], question)), [1, 1]);
}

#[test]
fn clickhouse_orders_one_instant_by_step() {
    let events = vec![Event::new(1, T0, "b").seq(1), Event::new(1, T0, "a").seq(2)];
    let question = json!({ "steps": steps(&["a", "b"]), "compat": "clickhouse" });
    assert_eq!(persons(&ask(events, question)), [1, 1]);
}

/// One person's events for the model: time, device, which steps it matches, exclusion or not.
pub(crate) type Played = (i64, u64, u64, bool);

/// The definition, word by word: is there a sequence of distinct events, in some allowed order,
/// one per step, within the window? Tries every start and every continuation.
fn model_level(events: &[Played], steps: usize, window: i64) -> usize {
    fn may_follow(events: &[Played], first: usize, second: usize) -> bool {
        let (a, b) = (events[first], events[second]);
        // Rows are in order; only rows of other devices in the same instant have none.
        first < second || (a.0 == b.0 && a.1 != b.1 && first != second)
    }
    fn go(events: &[Played], chain: &mut Vec<usize>, steps: usize, window: i64) -> usize {
        let step = chain.len();
        if step == steps {
            return step;
        }
        let mut best = step;
        for next in 0..events.len() {
            let fits = events[next].2 >> step & 1 == 1
                && !chain.contains(&next)
                && chain.iter().all(|taken| may_follow(events, *taken, next))
                && chain.first().is_none_or(|start| events[next].0 - events[*start].0 <= window);
            if fits {
                chain.push(next);
                best = best.max(go(events, chain, steps, window));
                chain.pop();
            }
        }
        best
    }
    go(events, &mut Vec::new(), steps, window)
}

pub(crate) fn played(devices: u64) -> impl Strategy<Value = Vec<Played>> {
    prop::collection::vec((0i64..12, 0..devices, 1u64..8, prop::bool::weighted(0.1)), 0..9)
        .prop_map(|mut events| {
            events.sort_by_key(|event| event.0);
            events
        })
}

/// Steps match by a property each, so that one event can match several.
pub(crate) fn to_events(person: u64, played: &[Played]) -> Vec<Event> {
    played
        .iter()
        .enumerate()
        .map(|(row, (at, device, mask, _))| {
            let mut event =
                Event::new(person, T0 + at, "e").on(person * 100 + device).seq(row as u32);
            for step in 0..3 {
                if mask >> step & 1 == 1 {
                    event = event.with(&format!("s{step}"), true);
                }
            }
            event
        })
        .collect()
}

pub(crate) fn matched_steps() -> Value {
    (0..3)
        .map(|step| json!({ "event": "e", "where": { "prop": format!("s{step}"), "op": "set" } }))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_level_is_what_trying_everything_finds(played in played(1), window in 1i64..8) {
        let question = json!({ "steps": matched_steps(), "window": format!("{window}ms") });
        let level = persons(&ask(to_events(1, &played), question)).iter().sum::<u64>() as usize;
        prop_assert_eq!(level, model_level(&played, 3, window));
    }

    #[test]
    fn a_level_over_devices_is_what_trying_every_order_finds(played in played(3), window in 1i64..8) {
        let question = json!({ "steps": matched_steps(), "window": format!("{window}ms") });
        let level = persons(&ask(to_events(1, &played), question)).iter().sum::<u64>() as usize;
        prop_assert_eq!(level, model_level(&played, 3, window));
    }

    #[test]
    fn a_funnel_never_widens_and_scanning_does_not_show(
        people in prop::collection::vec(played(2), 0..12),
        kernels in 1usize..5,
        reverse_codes in any::<bool>(),
    ) {
        let events: Vec<Event> = people.iter().enumerate()
            .flat_map(|(person, played)| to_events(person as u64 + 1, played)).collect();
        let question = json!({ "steps": matched_steps(), "window": "5ms",
            "breakdown": { "prop": "s1", "limit": 1 }, "exclude": [{ "event": "e",
            "where": [{ "prop": "s2", "op": "set" }, { "prop": "s0", "op": "not_set" }], "between": [1, 2] }] });
        let answer = ask(events.clone(), question.clone());
        let levels = persons(&answer);
        prop_assert!(levels.windows(2).all(|pair| pair[0] >= pair[1]));
        let by_value: u64 = answer.breakdown.iter().map(|group| group.steps[0].persons).sum();
        prop_assert_eq!(by_value, levels[0]);
        let again = ask_by(events, question, Scan { kernels, reverse_codes });
        prop_assert_eq!(again, answer);
    }
}
