//! Rules of retention, one named test each; and the kernel against the definition word by word.

use super::*;
use crate::answer::{Group, GroupValue, LATENESS_MS};
use crate::testing::{Event, Memory, Scan};
use crate::time_bucket::DAY_MS;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;

fn ask_at(events: Vec<Event>, question: Value, now_ms: i64, scan: Scan) -> RetentionAnswer {
    let context = Context::utc(now_ms);
    match Memory::new(events).answer_by("retention", question, &context, scan).unwrap().body {
        AnswerBody::Retention(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, question: Value) -> RetentionAnswer {
    ask_at(events, question, T0 + 400 * DAY_MS, Scan::default())
}

#[test]
fn the_vectors_of_the_definition_hold() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/semantics.json")).unwrap();
    let cases = vectors["retention"].as_array().unwrap();
    assert!(cases.len() >= 6);
    let ms = |at: &Value| -> i64 {
        at.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
    };
    for case in cases {
        let mut events = vec![Event::new(1, ms(&case["start"]), "start")];
        for back in case["returns"].as_array().unwrap() {
            events.push(Event::new(1, ms(back), "back"));
        }
        let want: Vec<u64> =
            case["returned"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let date = &case["start"].as_str().unwrap()[..10];
        let next = jiff::civil::Date::tomorrow(date.parse().unwrap()).unwrap();
        let answer = ask(
            events,
            json!({ "start": { "event": "start" }, "return": { "event": "back" },
                "tz": case["tz"], "clock": case["clock"], "mode": case["mode"].as_str().unwrap_or("on"),
                "periods": want.len() - 1, "from": date, "to": next.to_string() }),
        );
        assert_eq!(answer.cohorts.len(), 1, "{}", case["name"]);
        assert_eq!(answer.cohorts[0].returned, want, "{}", case["name"]);
    }
}

#[rstest]
#[case::not_over(5 * DAY_MS + LATENESS_MS - 1, None)]
#[case::over_and_late_events_in(5 * DAY_MS + LATENESS_MS, Some(0.0))]
fn a_cell_is_unknown_until_its_day_is_over_and_lateness_has_passed(
    #[case] after_ms: i64,
    #[case] want: Option<f64>,
) {
    let events = vec![Event::new(1, T0 + DAY_MS, "a")];
    let question = json!({ "start": { "event": "a" }, "return": { "event": "a" },
        "from": "2026-09-02", "to": "2026-09-03", "periods": 3 });
    let answer = ask_at(events, question, T0 + after_ms, Scan::default());
    assert_eq!(answer.cohorts[0].ratio[3], want);
    assert_eq!(answer.overall[3], want);
    assert_eq!(answer.cohorts[0].returned[3], 0);
}

#[rstest]
#[case::first_ever("first_ever", &[0, 1])]
#[case::recurring("recurring", &[2, 1])]
fn who_started_before_the_range_is_in_no_first_ever_cohort(
    #[case] cohort_by: &str,
    #[case] sizes: &[u64],
) {
    let events = vec![
        Event::new(1, T0 - DAY_MS, "a"),
        Event::new(1, T0 + 1, "a"),
        Event::new(1, T0 + 2, "a"),
        Event::new(2, T0 + DAY_MS, "a"),
        Event::new(2, T0 + 30 * DAY_MS, "a"),
        Event::new(3, T0 - DAY_MS, "b"),
        Event::new(3, T0, "a"),
        Event::new(3, T0, "b"),
    ];
    // Person 3 did something else before; the start event came first on day 0.
    let sizes: Vec<u64> =
        if cohort_by == "first_ever" { vec![sizes[0] + 1, sizes[1]] } else { sizes.to_vec() };
    let question = json!({ "start": { "event": "a" }, "return": { "event": "a" },
        "cohort_by": cohort_by, "from": "2026-09-01", "to": "2026-09-03" });
    let answer = ask(events, question);
    let got: Vec<u64> = answer.cohorts.iter().map(|cohort| cohort.size).collect();
    assert_eq!(got, sizes);
}

#[test]
fn overall_weighs_cohorts_by_their_people_and_leaves_unknown_cells_out() {
    let mut events = Vec::new();
    for person in 0..3 {
        events.push(Event::new(person, T0, "a"));
    }
    events.push(Event::new(0, T0 + DAY_MS + 5, "b"));
    events.push(Event::new(7, T0 + DAY_MS, "a"));
    events.push(Event::new(7, T0 + 2 * DAY_MS, "b"));
    events.push(Event::new(8, T0 + 2 * DAY_MS, "a"));
    let question = json!({ "start": { "event": "a" }, "return": { "event": "b" },
        "from": "2026-09-01", "to": "2026-09-04", "periods": 1 });
    let now_ms = T0 + 3 * DAY_MS + LATENESS_MS;
    let answer = ask_at(events, question, now_ms, Scan::default());
    assert_eq!(answer.cohorts[2].ratio, [Some(1.0), None]);
    assert_eq!(answer.overall, [Some(1.0), Some(2.0 / 4.0)]);
}

#[test]
fn anything_active_does_not_start_with_a_passive_event_that_only_the_return_names() {
    let events = vec![
        Event::new(1, T0, "$error"),
        Event::new(2, T0, "a"),
        Event::new(2, T0 + DAY_MS, "$error"),
    ];
    let question = json!({ "return": { "event": "$error" }, "periods": 1,
        "from": "2026-09-01", "to": "2026-09-02" });
    assert_eq!(ask(events, question).cohorts[0].returned, [1, 1]);
}

#[test]
fn whether_a_cell_of_the_last_cohorts_is_known_is_never_guessed() {
    // Vector 16: on day 2 of a cohort its day 3 is unknown, though nobody came.
    let events = vec![Event::new(1, T0, "a")];
    let question = json!({ "start": { "event": "a" }, "return": { "event": "a" },
        "from": "2026-09-01", "to": "2026-09-02", "periods": 3 });
    let answer = ask_at(events, question, T0 + 2 * DAY_MS, Scan::default());
    assert_eq!(answer.cohorts[0].ratio[3], None);
}

#[rstest]
#[case::month_of_days("day", "2026-09-30", 30)]
#[case::more_than_a_word("day", "2027-03-01", 40)]
#[case::weeks("week", "2026-10-01", 6)]
#[case::weeks_of_a_year("week", "2027-09-01", 6)]
#[case::months("month", "2027-09-01", 3)]
fn buckets_of_any_length_and_number_count_alike(
    #[case] bucket: &str,
    #[case] to: &str,
    #[case] periods: usize,
    #[values("on", "on_or_after")] mode: &str,
    #[values("first_ever", "recurring")] cohort_by: &str,
) {
    // Every third day for 100 days, and once long after.
    let days = (0..100).step_by(3).chain([700]);
    let events: Vec<Event> = days.map(|day| Event::new(1, T0 + day * DAY_MS, "a")).collect();
    let question = json!({ "bucket": bucket, "mode": mode, "cohort_by": cohort_by,
        "from": "2026-09-01", "to": to, "periods": periods });
    let answer = ask_at(events.clone(), question, T0 + 900 * DAY_MS, Scan::default());
    let tz = crate::time_bucket::time_zone("UTC").unwrap();
    let unit: Unit = serde_json::from_value(json!(bucket)).unwrap();
    let all = Buckets::new(unit, &tz.into(), T0, T0 + 800 * DAY_MS, 0).unwrap();
    let active: Vec<usize> = events.iter().map(|event| all.index(event.ts_ms)).collect();
    for (cohort, line) in answer.cohorts.iter().enumerate() {
        let is_in = active.contains(&cohort) && (cohort == 0 || cohort_by == "recurring");
        assert_eq!(line.size, u64::from(is_in), "{cohort}");
        for period in 1..=periods {
            let returned = match mode {
                "on" => active.contains(&(cohort + period)),
                _ => active.iter().any(|at| *at >= cohort + period),
            };
            assert_eq!(line.returned[period], u64::from(is_in && returned), "{cohort} {period}");
        }
    }
}

#[rstest]
#[case(json!({ "bucket": "hour" }), "field_invalid")]
#[case(json!({ "periods": 0 }), "count_invalid")]
#[case(json!({ "brackets": [] }), "count_invalid")]
#[case(json!({ "brackets": [[0, 3]] }), "field_invalid")]
#[case(json!({ "brackets": [[3, 2]] }), "field_invalid")]
#[case(json!({ "brackets": [[1, 3]], "periods": 4 }), "field_invalid")]
#[case(json!({ "brackets": [[1, 3]], "mode": "on_or_after" }), "field_invalid")]
#[case(json!({ "brackets": [[1, 400]] }), "count_invalid")]
#[case(json!({ "minimum": 0 }), "field_invalid")]
#[case(json!({ "mode": "after" }), "question_malformed")]
fn what_cannot_be_honoured_is_refused(#[case] question: Value, #[case] code: &str) {
    let context = Context::utc(T0);
    assert_eq!(crate::compile("retention", question, &context).unwrap_err().code(), code);
}

/// One person starts on day 0 and returns on these days, each time bringing 2.5.
fn returning(days: &[i64]) -> Vec<Event> {
    let mut events = vec![Event::new(1, T0, "s").with("plan", "team")];
    let back = |(n, day): (usize, &i64)| {
        Event::new(1, T0 + day * DAY_MS + 1 + n as i64, "r").with("value", 2.5)
    };
    events.extend(days.iter().enumerate().map(back));
    events
}

fn first_line(events: Vec<Event>, extra: Value) -> RetentionCohort {
    let mut question = json!({ "start": { "event": "s" }, "return": { "event": "r" },
        "from": "2026-09-01", "to": "2026-09-02" });
    question.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    ask(events, question).cohorts.remove(0)
}

#[rstest]
#[case::the_first_day_of_it(&[1], [1, 1, 0])]
#[case::the_last_day_of_it(&[3], [1, 1, 0])]
#[case::the_next_one(&[4, 7], [1, 0, 1])]
#[case::beyond(&[8], [1, 0, 0])]
fn a_bracket_counts_a_return_in_any_of_its_periods(#[case] days: &[i64], #[case] want: [u64; 3]) {
    let line = first_line(returning(days), json!({ "brackets": [[1, 3], [4, 7]] }));
    assert_eq!(line.returned, want);
}

#[test]
fn so_many_returns_must_lie_in_the_period() {
    let line = first_line(returning(&[1, 2, 2]), json!({ "periods": 2, "minimum": 2 }));
    assert_eq!(line.returned, [1, 0, 1]);
    let after = json!({ "periods": 3, "minimum": 2, "mode": "on_or_after" });
    assert_eq!(first_line(returning(&[1, 2]), after).returned, [1, 1, 0, 0]);
}

#[test]
fn on_or_before_never_falls_and_sums_what_was_brought_by_then() {
    let question = json!({ "periods": 3, "mode": "on_or_before", "sum": "value" });
    let line = first_line(returning(&[0, 2, 2]), question);
    assert_eq!(line.returned, [1, 0, 1, 1]);
    assert_eq!(line.sums, Some(vec![2.5, 2.5, 7.5, 7.5]));
    let on = first_line(returning(&[0, 2, 2]), json!({ "periods": 3, "sum": "value" }));
    assert_eq!(on.sums, Some(vec![2.5, 0.0, 5.0, 0.0]));
}

#[test]
fn a_breakdown_takes_the_value_at_the_start_and_drops_nobody() {
    let mut events = returning(&[1]);
    for (person, plan) in [(2, Some("free")), (3, Some("solo")), (4, None), (5, Some("team"))] {
        let start = Event::new(person, T0, "s");
        events.push(plan.map_or(start.clone(), |plan| start.with("plan", plan)));
    }
    let question = json!({ "start": { "event": "s" }, "return": { "event": "r" }, "periods": 1,
        "from": "2026-09-01", "to": "2026-09-02", "breakdown": { "prop": "plan", "limit": 1 } });
    let answer = ask(events, question);
    let lines: Vec<_> = answer
        .breakdown
        .iter()
        .map(|group| {
            (
                group.group,
                group.value.as_ref().and_then(GroupValue::text),
                &group.cohorts[0].returned[..],
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            (Group::Value, Some("team"), &[2, 1][..]),
            (Group::Absent, None, &[1, 0]),
            (Group::Other, None, &[2, 0])
        ]
    );
    assert_eq!(answer.cohorts[0].returned, [5, 1]);
}

/// The definition word by word, over all days of all people.
fn model(
    events: &[(u64, i64, bool)],
    (cohort, period): (i64, i64),
    after: bool,
    recurring: bool,
) -> u64 {
    let people: std::collections::BTreeSet<u64> = events.iter().map(|event| event.0).collect();
    let day = |at: i64| at.div_euclid(24);
    let counts = |person: &u64| {
        let of = |start: bool| {
            events.iter().filter(move |e| e.0 == *person && e.2 == start).map(|e| e.1)
        };
        let started = if recurring {
            of(true).any(|at| day(at) == cohort)
        } else {
            of(true).min().is_some_and(|first| day(first) == cohort)
        };
        let returned = |at: i64| {
            let period_of = day(at) - cohort;
            period_of == period || after && period_of > period
        };
        started && (period == 0 || of(false).any(returned))
    };
    people.iter().filter(|person| counts(person)).count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn retention_is_what_the_definition_says(
        events in prop::collection::vec((0u64..5, 0i64..240, any::<bool>()), 0..40),
        after in any::<bool>(),
        recurring in any::<bool>(),
        kernels in 1usize..4,
    ) {
        let stored = events.iter().map(|(person, hour, start)| {
            Event::new(*person, T0 + hour * 3_600_000, if *start { "s" } else { "r" })
        });
        let question = json!({ "start": { "event": "s" }, "return": { "event": "r" },
            "mode": if after { "on_or_after" } else { "on" },
            "cohort_by": if recurring { "recurring" } else { "first_ever" },
            "from": "2026-09-01", "to": "2026-09-08", "periods": 5 });
        let scan = Scan { kernels, reverse_codes: true };
        let mut question = question;
        let answer = ask_at(stored.clone().collect(), question.clone(), T0 + 400 * DAY_MS, scan);
        // The way that can do more says the same.
        for clock in ["calendar", "rolling24h"] {
            question["clock"] = json!(clock);
            let plain = ask_at(stored.clone().collect(), question.clone(), T0 + 400 * DAY_MS, scan);
            let mut more = question.clone();
            more["breakdown"] = json!({ "prop": "nothing" });
            let more = ask_at(stored.clone().collect(), more, T0 + 400 * DAY_MS, scan);
            prop_assert_eq!(&more.cohorts, &plain.cohorts, "{}", clock);
        }
        for (cohort, line) in answer.cohorts.iter().enumerate() {
            for (period, returned) in line.returned.iter().enumerate() {
                let cell = (cohort as i64, period as i64);
                prop_assert_eq!(*returned, model(&events, cell, after, recurring));
            }
            if after {
                prop_assert!(line.returned.windows(2).all(|pair| pair[0] >= pair[1]));
            }
        }
    }
}
