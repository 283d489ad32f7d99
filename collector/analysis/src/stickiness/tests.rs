//! Rules of stickiness, and the kernel against the definition word by word.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::testing::{Event, Memory, Scan};
use crate::time_bucket::DAY_MS;
use proptest::prelude::*;
use serde_json::json;

/// 2026-09-01T00:00:00Z, a Tuesday.
const T0: i64 = 1_788_220_800_000;

fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> StickinessAnswer {
    let context = Context::utc(T0 + 900 * DAY_MS);
    match Memory::new(events).answer_by("stickiness", question, &context, scan).unwrap().body {
        AnswerBody::Stickiness(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>, question: Value) -> StickinessAnswer {
    ask_by(events, question, Scan::default())
}

fn on_days(person: u64, days: &[i64]) -> Vec<Event> {
    days.iter().map(|day| Event::new(person, T0 + day * DAY_MS + 7, "a")).collect()
}

#[test]
fn three_active_days_of_thirty_are_exactly_three_and_at_least_one_two_and_three() {
    let answer = ask(
        on_days(1, &[-1, 0, 10, 10, 29, 30]),
        json!({ "from": "2026-09-01", "to": "2026-10-01" }),
    );
    assert_eq!(answer.buckets, 30);
    assert_eq!(answer.exactly.unwrap()[..4], [0, 0, 1, 0]);
    assert_eq!(answer.at_least.unwrap()[..4], [1, 1, 1, 0]);
    assert_eq!(answer.persons, Some(1));
}

#[test]
fn weeks_begin_on_monday_and_only_their_days_in_the_range_count() {
    // 2026-08-31 is the Monday before the range; 6 and 7 September are a Sunday and a Monday.
    let answer = ask(
        on_days(1, &[-1, 5, 6]),
        json!({ "from": "2026-09-01", "to": "2026-09-15", "bucket": "week" }),
    );
    assert_eq!(answer.exactly, Some(vec![0, 1, 0]));
}

#[test]
fn the_ratio_is_the_mean_of_the_days_ratios() {
    let events = [on_days(1, &[0]), on_days(2, &[1]), on_days(3, &[0, 1])].concat();
    let answer = ask(events, json!({ "from": "2026-09-01", "to": "2026-09-03" }));
    // 2 of 2, then 2 of 3.
    assert!((answer.ratio_mean.unwrap() - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
}

#[test]
fn with_daily_ids_nothing_is_known_and_the_reason_says_why() {
    let mut events = on_days(1, &[0]);
    events.push(Event::new(9, T0 - 29 * DAY_MS, "a").with("identity", "day"));
    let answer = ask(events, json!({ "from": "2026-09-01", "to": "2026-09-03" }));
    assert_eq!((answer.exactly, answer.at_least, answer.persons), (None, None, None));
    assert_eq!((answer.ratio_mean, answer.reason), (None, Some(Reason::DAILY_IDS)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn persons_are_counted_by_their_active_buckets(
        events in prop::collection::vec((0u64..6, -40i64..120), 0..60),
        unit in prop::sample::select(vec![("day", 1), ("week", 7)]),
        length in prop::sample::select(vec![14i64, 91]),
        kernels in 1usize..4,
    ) {
        let stored = events.iter().map(|(person, day)| Event::new(*person, T0 - DAY_MS + day * DAY_MS, "a"));
        let to = jiff::Timestamp::from_millisecond(T0 + (length - 1) * DAY_MS).unwrap().to_string();
        let question = json!({ "from": "2026-08-31", "to": to, "bucket": unit.0 });
        let answer = ask_by(stored.collect(), question, Scan { kernels, reverse_codes: true });
        let mut by_person: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
        for (person, day) in events.iter().filter(|event| (0..length).contains(&event.1)) {
            by_person.entry(*person).or_default().insert(day / unit.1);
        }
        let (exactly, at_least) = (answer.exactly.unwrap(), answer.at_least.unwrap());
        prop_assert_eq!(exactly.len() as i64, length / unit.1);
        for n in 1..=exactly.len() {
            let with = |holds: &dyn Fn(usize) -> bool| by_person.values().filter(|b| holds(b.len())).count() as u64;
            prop_assert_eq!(exactly[n - 1], with(&|active| active == n));
            prop_assert_eq!(at_least[n - 1], with(&|active| active >= n));
        }
        prop_assert_eq!(answer.persons, Some(by_person.len() as u64));
    }
}
