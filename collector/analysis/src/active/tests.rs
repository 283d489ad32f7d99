//! Active people by day, week and month: the vectors, and a model of sets of people.

use std::collections::BTreeSet;

use super::*;
use crate::testing::{Event, Memory, Scan};
use crate::time_bucket::DAY_MS;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const QUARTER_MS: i64 = 15 * 60_000;

fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> ActiveAnswer {
    let context = Context::utc(T0 + 90 * DAY_MS);
    match Memory::new(events).answer_by("active", question, &context, scan).unwrap().body {
        AnswerBody::Active(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, question: Value) -> ActiveAnswer {
    ask_by(events, question, Scan::default())
}

#[test]
fn who_was_active_on_the_first_day_is_in_the_month_of_day_30_and_not_of_day_31() {
    let question = json!({ "from": "2026-09-01", "to": "2026-10-02" });
    let answer = ask(vec![Event::new(1, T0 + DAY_MS - 1, "a")], question);
    assert_eq!(answer.mau[29], Some(1));
    assert_eq!(answer.mau[30], Some(0));
    assert_eq!((answer.wau[6], answer.wau[7]), (Some(1), Some(0)));
    assert_eq!((answer.dau[0], answer.dau[1]), (1, 0));
    assert_eq!(answer.stickiness[0], Some(1.0));
    assert_eq!(answer.stickiness[30], None);
}

#[test]
fn three_active_days_of_thirty_are_three() {
    let events = [0, 10, 10, 29].map(|day| Event::new(1, T0 + day * DAY_MS, "a"));
    let question = json!({ "from": "2026-09-01", "to": "2026-10-01" });
    let answer = ask(events.to_vec(), question);
    assert_eq!(answer.active_days.unwrap()[2], 1);
    assert_eq!(answer.persons, Some(1));
}

#[test]
fn the_days_before_the_range_count_for_week_and_month_only() {
    let events = vec![Event::new(1, T0 - 6 * DAY_MS, "a"), Event::new(2, T0 - 29 * DAY_MS, "a")];
    let answer = ask(events, json!({ "from": "2026-09-01", "to": "2026-09-02" }));
    assert_eq!(
        (&answer.dau[..], &answer.wau[..], &answer.mau[..]),
        (&[0][..], &[Some(1)][..], &[Some(2)][..])
    );
    assert_eq!(answer.persons, Some(0));
}

#[rstest]
#[case::anything_a_person_does("page_read", json!({}), 1)]
#[case::an_exposure("$exposure", json!({}), 0)]
#[case::an_error("$error", json!({}), 0)]
#[case::unless_asked_for("$error", json!({ "event": "$error" }), 1)]
#[case::another_event("page_read", json!({ "event": "bought" }), 0)]
fn active_makes(#[case] event: &str, #[case] question: Value, #[case] want: u64) {
    let mut full = json!({ "from": "2026-09-01", "to": "2026-09-02" });
    full.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    assert_eq!(ask(vec![Event::new(1, T0, event)], full).dau, [want]);
}

#[test]
fn a_day_is_a_day_of_the_zone() {
    let question = json!({ "from": "2026-09-01", "to": "2026-09-03", "tz": "Asia/Tokyo" });
    let answer = ask(vec![Event::new(1, T0 + 15 * 3_600_000, "a")], question);
    assert_eq!(answer.dau, [0, 1]);
}

#[test]
fn a_figure_over_days_with_a_daily_id_in_it_is_null_and_the_daily_one_stays() {
    let question = json!({ "from": "2026-09-01", "to": "2026-10-03" });
    let mut events = vec![Event::new(1, T0, "a"), Event::new(1, T0 + 31 * DAY_MS, "a")];
    let answer = ask(events.clone(), question.clone());
    assert_eq!((answer.reason, answer.persons), (None, Some(1)));
    events.push(Event::new(9, T0 + DAY_MS, "a").with("identity", "day"));
    let answer = ask(events.clone(), question.clone());
    assert_eq!(answer.dau[..3], [1, 1, 0]);
    assert_eq!(answer.wau[..2], [Some(1), None]);
    assert_eq!((answer.wau[7], answer.wau[8]), (None, Some(0)));
    assert_eq!((answer.mau[30], answer.mau[31]), (None, Some(1)));
    assert_eq!((answer.stickiness[0], answer.stickiness[1]), (Some(1.0), None));
    assert_eq!((answer.stickiness_mean, answer.persons), (None, None));
    assert_eq!((answer.active_days, answer.reason), (None, Some(Reason::DAILY_IDS)));
    let mut without = question;
    without["where"] = json!([{ "prop": "identity", "op": "ne", "value": "day" }]);
    let answer = ask(events, without);
    assert_eq!((answer.persons, answer.reason), (Some(1), None));
}

#[test]
fn one_day_alone_may_have_daily_ids() {
    let events = vec![Event::new(9, T0, "a").with("identity", "day")];
    let answer = ask(events, json!({ "from": "2026-09-01", "to": "2026-09-02" }));
    assert_eq!((answer.persons, answer.active_days), (Some(1), Some(vec![1])));
    assert_eq!((answer.wau, answer.mau), (vec![None], vec![None]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn long_ranges_count_as_short_ones_do(
        events in prop::collection::vec((0u64..6, -35i64..200), 0..80),
    ) {
        let stored = events.iter().map(|(person, day)| {
            let event = Event::new(*person, T0 + day * DAY_MS + 5, "a");
            if *person == 5 { event.with("identity", "day") } else { event }
        });
        let stored: Vec<Event> = stored.collect();
        let whole = ask(stored.clone(), json!({ "from": "2026-09-01", "to": "2027-03-01" }));
        let part = ask(stored, json!({ "from": "2026-11-30", "to": "2026-12-30" }));
        let range = 90..120;
        prop_assert_eq!(&whole.dau[range.clone()], &part.dau[..]);
        prop_assert_eq!(&whole.wau[range.clone()], &part.wau[..]);
        prop_assert_eq!(&whole.mau[range], &part.mau[..]);
    }

    #[test]
    fn active_people_are_what_sets_of_people_hold(
        events in prop::collection::vec((0u64..6, -35i64..40), 0..50),
        kernels in 1usize..4,
    ) {
        let stored = events.iter().map(|(person, day)| Event::new(*person, T0 + day * DAY_MS + 5, "a"));
        let question = json!({ "from": "2026-09-01", "to": "2026-10-11" });
        let scan = Scan { kernels, reverse_codes: true };
        let answer = ask_by(stored.collect(), question, scan);
        for day in 0..40i64 {
            let active = |back: i64| {
                let people: BTreeSet<u64> = events.iter()
                    .filter(|event| (day - back + 1..=day).contains(&event.1)).map(|event| event.0).collect();
                people.len() as u64
            };
            let at = day as usize;
            prop_assert_eq!((answer.dau[at], answer.wau[at], answer.mau[at]), (active(1), Some(active(7)), Some(active(30))));
        }
        let in_range: BTreeSet<u64> = events.iter().filter(|event| event.1 >= 0).map(|event| event.0).collect();
        prop_assert_eq!(answer.persons, Some(in_range.len() as u64));
    }

    /// Days begin at a quarter of an hour, and a range may end anywhere.
    #[test]
    fn days_of_any_zone_end_where_they_end_to_the_millisecond(
        events in prop::collection::vec((0u64..4, -2 * DAY_MS..5 * DAY_MS, -2i64..3), 0..60),
        zone in prop::sample::select(vec![("UTC", 0), ("Asia/Kathmandu", 345), ("America/St_Johns", -150)]),
        length in 1..4 * DAY_MS, cuts_a_quarter in any::<bool>(),
    ) {
        let (zone, ahead_min) = zone;
        let start = T0 - ahead_min * 60_000;
        let to_ms = start + if cuts_a_quarter { length } else { length - length % QUARTER_MS + QUARTER_MS };
        // Many lie beside the ends of days and of the range.
        let at_ms = |at: i64, beside: i64| match beside {
            0 => start + at,
            1 => start + (at / DAY_MS) * DAY_MS,
            2 => to_ms,
            _ => to_ms + beside,
        };
        let events: Vec<(u64, i64)> =
            events.into_iter().map(|(person, at, beside)| (person, at_ms(at, beside))).collect();
        let stored: Vec<Event> =
            events.iter().map(|(person, at_ms)| Event::new(*person, *at_ms, "a")).collect();
        let to = jiff::Timestamp::from_millisecond(to_ms).unwrap().to_string();
        let answer = ask(stored, json!({ "from": "2026-09-01", "to": to, "tz": zone }));
        for (day, dau) in (0i64..).zip(&answer.dau) {
            let active = |back: i64| {
                let days = start + (day - back + 1) * DAY_MS..(start + (day + 1) * DAY_MS).min(to_ms);
                let there = events.iter().filter(|(_, at_ms)| days.contains(at_ms));
                there.map(|(person, _)| *person).collect::<BTreeSet<u64>>().len() as u64
            };
            let at = day as usize;
            prop_assert_eq!((*dau, answer.wau[at]), (active(1), Some(active(7))), "day {}", day);
        }
    }
}
