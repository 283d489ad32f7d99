//! Everything is sent three times, shuffled, in other batches, up to 30 days later by the clock,
//! across restarts: each event is stored once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tallymark_protocol::uuid7;

use super::random::{Random, each_seed};
use super::world::{World, small_options};
use crate::options::StoreOptions;
use crate::row::Row;

const DAY_MS: i64 = 86_400_000;
/// When the first event is received.
const START_MS: i64 = 1_795_000_000_000;

/// `TALLYMARK_TEST_EVENTS` events; in the short form few, in several worlds.
#[test]
fn a_million_events_sent_three_times_are_a_million() {
    let events = std::env::var("TALLYMARK_TEST_EVENTS").ok();
    let events = events.map_or(3_000, |text| text.parse().expect("a whole number of events"));
    each_seed("resends", 1, |seed| {
        let mut random = Random::new(seed);
        let now_ms = Arc::new(AtomicU64::new(START_MS as u64));
        let mut world = World::with(StoreOptions {
            wal_file_bytes: 8 << 20,
            group_rows: 16 << 10,
            merge_fan_in: 4,
            // Fewer than there are: days go from memory and come back from segments.
            dedupe_ids: events as usize / 4,
            // The clock that lies is the store's too: merges drop ids by it.
            now_ms: {
                let now_ms = Arc::clone(&now_ms);
                Arc::new(move || now_ms.load(Ordering::Relaxed) as i64)
            },
            ..small_options()
        });
        let mut order: Vec<u64> = (0..3 * events).collect();
        random.shuffle(&mut order);
        let mut rest = &order[..];
        let (mut stored, mut duplicates) = (0, 0);
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(rest.len().min(random.within(1..400) as usize));
            rest = later;
            let now = now_ms.fetch_add(random.below(1_000), Ordering::Relaxed) as i64;
            let rows = batch.iter().map(|n| row(n % events, events, now)).collect();
            let appended = world.append_unnoted(rows);
            duplicates += appended.duplicate.iter().filter(|dup| **dup).count() as u64;
            stored += appended.duplicate.iter().filter(|dup| !**dup).count() as u64;
            match random.below(200) {
                0..=9 => world.flush().expect("nothing fails"),
                10..=12 => world.merge(random.percent(30)).expect("nothing fails"),
                13 => {
                    world.kill();
                    world.start().expect("a killed store starts");
                }
                14 => {
                    world.cut_power(&mut random);
                    world.start().expect("a store starts after a loss of power");
                }
                // The clock lies: a day forward or back, within 30 days of the start.
                15..=18 => {
                    let days = random.below(30) as i64;
                    now_ms.store((START_MS + days * DAY_MS) as u64, Ordering::Relaxed);
                }
                _ => {}
            }
        }
        assert_eq!((stored, duplicates), (events, 2 * events));
        assert_eq!(world.store().stats().rows, events);
        assert_eq!(world.store().verify().problems, []);
        3 * events
    });
}

/// The `n`th event, as it comes when the clock says `now_ms`: only the id is always the same.
fn row(n: u64, events: u64, now_ms: i64) -> Row {
    // Made within three days before the first was received; one in a hundred by a clock of its own.
    let made_ms = START_MS - 3 * DAY_MS + (n as i64 * 3 * DAY_MS) / events as i64;
    let made_ms = if n.is_multiple_of(100) { made_ms - 900 * DAY_MS } else { made_ms };
    let mut tail = [0; 10];
    tail[2..].copy_from_slice(&n.to_be_bytes());
    let person = n % 1_000 + now_ms.unsigned_abs() % 2;
    Row {
        project: 1 + (n % 2) as u32,
        person,
        actor: person,
        ts_ms: START_MS - 3 * DAY_MS + n as i64 % (3 * DAY_MS) + now_ms % 7,
        seq: n as u32,
        writer: 0,
        event_id: uuid7::make(made_ms as u64, tail),
        received_ms: now_ms,
        claimed_ms: made_ms,
        flags: 0,
        event: "view".into(),
        session: 0,
        dims: Arc::default(),
        props: "{}".into(),
    }
}
