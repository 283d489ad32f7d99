//! Demo data: ninety days in the life of a small shop with a magazine, made on the spot.
//!
//! In: how many events, people and days, a seed and the end. Out: events, one at a time, person
//! by person, each person's in time order. They carry raw ids: the collector hashes them on the
//! way in like any import.
//!
//! Invariant: pure. The same [`DemoSpec`] gives the same events, ids included, so filling a
//! project twice stores nothing new.
//!
//! What is in it: growth, weekdays and evenings, people of whom most come once and a few daily,
//! a checkout with real drop-offs, content views, installs, and two experiments, `buy-button`
//! (green sells about a fifth more) and `headline` (no difference at all). On the last whole day a letter goes out to
//! those who came by one before ([`DemoSpec::letter_ms`]), so that there is a change with a reason to see.
//!
//! Deliberately elsewhere: turning events into rows and storing them (the `demo` command).

mod catalogue;
mod people;
mod random;
mod rhythm;
mod visit;

use serde_json::{Map, Value};
use tallymark_store::row::Dim;

use random::Random;
use visit::Past;

/// How much to make.
#[derive(Debug, Clone)]
pub struct DemoSpec {
    /// About how many events (within 2 % from ten thousand on).
    pub events: u64,
    /// Exactly how many people, each with at least one visit.
    pub persons: u32,
    /// Days before `end_ms` that the demo covers.
    pub days: u32,
    /// Another seed, another story with the same plot.
    pub seed: u64,
    /// Unix milliseconds; every event is earlier.
    pub end_ms: i64,
}

impl DemoSpec {
    /// The demo of `tallymark demo`: 300,000 events of 10,000 people in the 90 days before `end_ms`.
    pub fn new(end_ms: i64) -> Self {
        Self { events: 300_000, persons: 10_000, days: 90, seed: 2026, end_ms }
    }

    /// When the letter goes out: at eight in the morning, UTC, of the last whole day.
    pub fn letter_ms(&self) -> i64 {
        (self.end_ms.div_euclid(rhythm::DAY_MS) - 1) * rhythm::DAY_MS + 8 * 3_600_000
    }
}

/// One event of the demo, before hashing.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoEvent {
    /// UUIDv7 of the event: its time and the demo's own randomness.
    pub id: u128,
    /// Event name.
    pub name: &'static str,
    /// When, Unix milliseconds.
    pub ts_ms: i64,
    /// The device's own counter.
    pub seq: u32,
    /// Raw id of the device. To be hashed, never stored.
    pub device_id: String,
    /// Raw id of the user once they are known. To be hashed, never stored.
    pub user_id: Option<String>,
    /// UUIDv7 of the session.
    pub session: u128,
    /// Built-in dimensions.
    pub dims: Vec<(Dim, String)>,
    /// The caller's properties, keys sorted.
    pub props: Map<String, Value>,
}

/// Make the demo's events and hand each one over.
///
/// The number of visits that makes the wanted number of events is found by making the demo
/// without keeping it, at most four times; this costs a moment and keeps every part of the story
/// independent of the total.
pub fn generate(spec: &DemoSpec, each: &mut dyn FnMut(DemoEvent)) {
    let mut busyness = 1.0;
    for _ in 0..4 {
        let mut made = 0_u64;
        tell_everyone(spec, busyness, &mut |_| made += 1);
        let miss = spec.events as f64 / made.max(1) as f64;
        if (0.99..1.01).contains(&miss) || made == 0 {
            break;
        }
        // First visits do not scale, so the rest has to make up for them too.
        busyness = (busyness * miss.powf(1.25)).clamp(0.01, 100.0);
    }
    tell_everyone(spec, busyness, each);
}

fn tell_everyone(spec: &DemoSpec, busyness: f64, each: &mut dyn FnMut(DemoEvent)) {
    for number in 0..spec.persons {
        let mut random = Random::new(spec.seed, u64::from(number) + 1);
        let person = people::draw(number, &mut random);
        let mut past = Past::default();
        let visits = people::visits(&person, spec, busyness, &mut random);
        let by_letter = people::visit_by_letter(&person, spec, &visits, &mut random);
        let mut visits: Vec<(i64, bool)> = visits.into_iter().map(|at_ms| (at_ms, false)).collect();
        visits.extend(by_letter.map(|at_ms| (at_ms, true)));
        visits.sort_unstable();
        for (index, start) in visits.into_iter().enumerate() {
            let stream = (u64::from(number) + 1) << 20 | (index as u64 + 1);
            visit::tell(&person, &mut past, start, spec, Random::new(!spec.seed, stream), each);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use rhythm::DAY_MS;

    /// 2026-11-22 00:00 UTC, a Sunday.
    const END_MS: i64 = 1_795_305_600_000;

    fn small() -> DemoSpec {
        DemoSpec { events: 60_000, persons: 2_000, days: 84, seed: 5, end_ms: END_MS }
    }

    fn made(spec: &DemoSpec) -> Vec<DemoEvent> {
        let mut events = Vec::new();
        generate(spec, &mut |event| events.push(event));
        events
    }

    /// Devices that did an event of this name.
    fn devices<'a>(events: &'a [DemoEvent], name: &str) -> BTreeSet<&'a str> {
        events.iter().filter(|e| e.name == name).map(|e| e.device_id.as_str()).collect()
    }

    #[test]
    fn the_same_spec_gives_the_same_events_and_another_seed_gives_others() {
        let spec = DemoSpec { events: 3_000, persons: 100, ..small() };
        assert_eq!(made(&spec), made(&spec));
        assert_ne!(made(&spec), made(&DemoSpec { seed: 6, ..spec.clone() }));
    }

    #[test]
    fn totals_come_within_two_percent_of_what_was_asked_for() {
        let spec = small();
        let events = made(&spec);
        let miss = events.len() as f64 / spec.events as f64 - 1.0;
        assert!(miss.abs() < 0.02, "{} events", events.len());
        let first_devices =
            events.iter().filter(|e| e.device_id.ends_with("-1")).map(|e| &e.device_id);
        assert_eq!(first_devices.collect::<BTreeSet<_>>().len() as u32, spec.persons);
        assert!(events.iter().all(|e| (END_MS - 84 * DAY_MS..END_MS).contains(&e.ts_ms)));
    }

    #[test]
    fn ids_are_unique_and_a_devices_counter_follows_its_clock() {
        let events = made(&small());
        let ids: BTreeSet<u128> = events.iter().map(|e| e.id).collect();
        assert_eq!(ids.len(), events.len());
        let mut last: BTreeMap<&str, (u32, i64)> = BTreeMap::new();
        for event in &events {
            if let Some((seq, ts_ms)) = last.insert(&event.device_id, (event.seq, event.ts_ms)) {
                assert!(event.seq == seq + 1 && event.ts_ms >= ts_ms, "{event:?}");
            }
        }
    }

    #[test]
    fn weekends_and_nights_are_quieter() {
        let events = made(&small());
        let mut weekday = [0_u32; 7];
        let mut hour = [0_u32; 24];
        for event in &events {
            weekday[((event.ts_ms / DAY_MS + 3) % 7) as usize] += 1;
            hour[(event.ts_ms % DAY_MS / 3_600_000) as usize] += 1;
        }
        assert!(f64::from(weekday[5]) < 0.75 * f64::from(weekday[1]), "{weekday:?}");
        assert!(hour[3] * 3 < hour[19], "{hour:?}");
    }

    #[test]
    fn the_checkout_narrows_at_every_step_and_somebody_buys() {
        let events = made(&small());
        let steps = ["view_product", "add_to_cart", "checkout_started", "purchase"]
            .map(|name| devices(&events, name).len());
        assert!(steps.windows(2).all(|pair| pair[0] > pair[1]), "{steps:?}");
        assert!(steps[3] * 40 > steps[0], "a shop that sells nothing shows nothing: {steps:?}");
    }

    #[test]
    fn most_people_come_once_and_a_few_make_most_of_the_traffic() {
        let events = made(&small());
        let mut sessions: BTreeMap<&str, BTreeSet<u128>> = BTreeMap::new();
        for event in &events {
            sessions.entry(&event.device_id).or_default().insert(event.session);
        }
        let mut counts: Vec<usize> = sessions.values().map(BTreeSet::len).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let (all, top): (usize, usize) =
            (counts.iter().sum(), counts[..counts.len() / 10].iter().sum());
        assert!(top * 100 > all * 35, "the busiest tenth makes {top} of {all} sessions");
        assert!(counts[counts.len() / 2] <= 2);
    }

    #[test]
    fn the_green_button_sells_and_the_headline_does_not() {
        let events = made(&DemoSpec { events: 240_000, persons: 8_000, seed: 2026, ..small() });
        let rate = |experiment: &str, variant: &str| {
            let mut exposed: BTreeMap<&str, i64> = BTreeMap::new();
            let mut bought = BTreeSet::new();
            for event in &events {
                let is = |key: &str, want: &str| event.props.get(key).is_some_and(|v| v == want);
                let device = event.device_id.as_str();
                if event.name == "$exposure"
                    && is("experiment", experiment)
                    && is("variant", variant)
                {
                    exposed.entry(device).or_insert(event.ts_ms);
                } else if event.name == "purchase" && exposed.contains_key(device) {
                    bought.insert(device);
                }
            }
            bought.len() as f64 / exposed.len() as f64
        };
        let lift = rate("buy-button", "green") / rate("buy-button", "control") - 1.0;
        assert!((0.08..0.35).contains(&lift), "buy-button {lift}");
        let lift = rate("headline", "short") / rate("headline", "control") - 1.0;
        assert!(lift.abs() < 0.12, "headline {lift}");
    }

    #[test]
    fn a_letter_brings_people_on_the_last_whole_day() {
        let spec = small();
        let events = made(&spec);
        let by_letter = |weeks: i64| {
            let day = spec.letter_ms().div_euclid(DAY_MS) - 7 * weeks;
            let on_day = events.iter().filter(|e| e.ts_ms.div_euclid(DAY_MS) == day);
            let by_mail = on_day.filter(|e| e.dims.contains(&(Dim::Channel, "email".to_owned())));
            by_mail.map(|e| e.device_id.as_str()).collect::<BTreeSet<_>>().len()
        };
        let usual = (1..=4).map(by_letter).max().unwrap();
        assert!(by_letter(0) > 2 * usual, "{} against {usual}", by_letter(0));
        assert!(spec.letter_ms() < END_MS - DAY_MS / 2 && spec.letter_ms() >= END_MS - DAY_MS);
    }

    #[test]
    fn people_install_only_after_they_accepted() {
        let events = made(&small());
        let mut accepted = BTreeSet::new();
        let mut installs = 0;
        for event in &events {
            match event.name {
                "$pwa_prompt" if event.props["outcome"] == "accepted" => {
                    accepted.insert(event.device_id.as_str());
                }
                "$pwa_install" => {
                    installs += 1;
                    assert!(accepted.contains(event.device_id.as_str()));
                }
                _ => {}
            }
        }
        assert!(installs > 20, "{installs}");
        assert!(events.iter().any(|e| e.name == "$pwa_launch"));
    }
}
