//! Rules of the lifecycle, and the kernel against the definition word by word.

use std::collections::BTreeSet;

use super::*;
use crate::testing::{Event, Memory, Scan};
use crate::time_bucket::DAY_MS;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

/// 2026-09-01T00:00:00Z, a Tuesday.
const T0: i64 = 1_788_220_800_000;

fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> LifecycleAnswer {
    let context = Context::utc(T0 + 900 * DAY_MS);
    match Memory::new(events).answer_by("lifecycle", question, &context, scan).unwrap().body {
        AnswerBody::Lifecycle(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, question: Value) -> LifecycleAnswer {
    ask_by(events, question, Scan::default())
}

fn on_days(person: u64, days: &[i64]) -> Vec<Event> {
    days.iter().map(|day| Event::new(person, T0 + day * DAY_MS + 7, "a")).collect()
}

fn known(counts: &[u64]) -> Vec<Option<u64>> {
    counts.iter().copied().map(Some).collect()
}

#[test]
fn who_was_there_long_before_the_range_is_not_new_in_it() {
    let events = [on_days(1, &[-400, 0, 1]), on_days(2, &[1]), on_days(3, &[-1, 2])].concat();
    let answer = ask(events, json!({ "from": "2026-09-01", "to": "2026-09-05" }));
    assert_eq!(answer.new, known(&[0, 1, 0, 0]));
    assert_eq!(answer.returning, known(&[0, 1, 0, 0]));
    assert_eq!(answer.resurrected, known(&[1, 0, 1, 0]));
    // Persons 3, then nobody, then 1 and 2, then 3.
    assert_eq!(answer.dormant, known(&[1, 0, 2, 1]));
    assert_eq!(answer.buckets[0], "2026-09-01");
    assert_eq!(answer.reason, None);
}

#[test]
fn a_week_that_the_range_begins_inside_counts_whole() {
    // Monday 2026-08-31 lies before the range and in its first week.
    let answer = ask(
        on_days(1, &[-1]),
        json!({ "from": "2026-09-03", "to": "2026-09-14", "bucket": "week" }),
    );
    assert_eq!(answer.buckets, ["2026-08-31", "2026-09-07"]);
    assert_eq!((answer.new, answer.dormant), (known(&[1, 0]), known(&[0, 1])));
}

#[test]
fn a_bucket_with_a_daily_id_in_it_or_before_it_is_not_known() {
    let mut events = on_days(1, &[0, 1, 2, 3]);
    events.push(Event::new(9, T0 + DAY_MS, "a").with("identity", "day"));
    let question = json!({ "from": "2026-09-01", "to": "2026-09-05" });
    let answer = ask(events.clone(), question.clone());
    assert_eq!(answer.returning, [Some(0), None, None, Some(1)]);
    assert_eq!(answer.reason, Some(Reason::DAILY_IDS));
    let mut without = question;
    without["where"] = json!([{ "prop": "identity", "op": "ne", "value": "day" }]);
    let answer = ask(events, without);
    assert_eq!((answer.returning, answer.reason), (known(&[0, 1, 1, 1]), None));
}

#[test]
fn a_lifecycle_by_the_hour_is_refused() {
    let context = Context::utc(T0);
    let error = crate::compile("lifecycle", json!({ "bucket": "hour" }), &context).unwrap_err();
    assert_eq!(error.code(), "field_invalid");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_parts_are_what_the_definition_says_and_add_up(
        events in prop::collection::vec((0u64..5, -120i64..100), 0..60),
        unit in prop::sample::select(vec![("day", 1), ("week", 7)]),
        length in prop::sample::select(vec![14i64, 91]),
        kernels in 1usize..4,
    ) {
        let stored = events.iter().map(|(person, day)| Event::new(*person, T0 - DAY_MS + day * DAY_MS, "a"));
        // From Monday 2026-08-31, the days of the events begin there.
        let to = T0 + (length - 1) * DAY_MS;
        let to = jiff::Timestamp::from_millisecond(to).unwrap().to_string();
        let question = json!({ "from": "2026-08-31", "to": to, "bucket": unit.0 });
        let answer = ask_by(stored.collect(), question, Scan { kernels, reverse_codes: true });
        let active = |bucket: i64| -> BTreeSet<u64> {
            let in_bucket = |event: &&(u64, i64)| event.1.div_euclid(unit.1) == bucket && event.1 < length;
            events.iter().filter(in_bucket).map(|event| event.0).collect()
        };
        prop_assert_eq!(answer.new.len() as i64, length / unit.1);
        for at in 0..answer.new.len() {
            let bucket = at as i64;
            let (now, before) = (active(bucket), active(bucket - 1));
            let is_first = |person: &&u64| {
                events.iter().filter(|e| e.0 == **person).map(|e| e.1.div_euclid(unit.1)).min() == Some(bucket)
            };
            let new = now.iter().filter(is_first).count() as u64;
            let returning = now.intersection(&before).count() as u64;
            prop_assert_eq!(answer.new[at], Some(new));
            prop_assert_eq!(answer.returning[at], Some(returning));
            prop_assert_eq!(answer.resurrected[at], Some(now.len() as u64 - new - returning));
            prop_assert_eq!(answer.dormant[at], Some(before.len() as u64 - returning));
        }
    }
}

#[rstest]
#[case::a_short_day("Europe/Berlin", "2025-03-29T23:30:00+01:00", "2025-03-30T23:30:00+02:00", 1)]
#[case::half_an_hour(
    "Asia/Kolkata",
    "2026-09-01T23:59:59.999+05:30",
    "2026-09-02T00:00:00+05:30",
    1
)]
#[case::within_a_long_day(
    "Europe/Berlin",
    "2025-10-26T00:00:00+02:00",
    "2025-10-26T23:59:59+01:00",
    0
)]
fn days_are_those_of_the_zone(
    #[case] tz: &str,
    #[case] first: &str,
    #[case] second: &str,
    #[case] returning: u64,
) {
    let ms = |at: &str| at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let events = vec![Event::new(1, ms(first), "a"), Event::new(1, ms(second), "a")];
    let question = json!({ "from": &first[..10], "to": "2026-09-05", "tz": tz, "bucket": "day" });
    let answer = ask(events, question);
    assert_eq!(answer.new[0], Some(1));
    assert_eq!(answer.returning[1], Some(returning));
}
