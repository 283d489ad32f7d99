//! The same random events in the collector and in ClickHouse's engine.

use rand::{Rng, RngExt};
use serde_json::{Value, json};
use tallymark_tests::event::uuid7;
use tallymark_tests::peer::Peer;
use tallymark_tests::{TestCollector, TestProject};

use super::{DAY_MS, DAYS, EVENTS, FROM_MS, PLANS, pick};

const PERSONS: u32 = 600;
const VARIANTS: [&str; 2] = ["control", "treatment"];

/// Both engines with the same events.
pub struct Sides {
    pub collector: TestCollector,
    pub project: TestProject,
    pub peer: Peer,
}

impl Sides {
    /// Start both and give them the same file.
    pub fn load(random: &mut impl Rng) -> Sides {
        let collector = TestCollector::start();
        let project = collector.project("differential");
        let events: Vec<_> = (0..PERSONS).flat_map(|person| life(person, random)).collect();
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        let file = collector.scratch().join("events.jsonl");
        std::fs::write(&file, lines).expect("the scratch folder takes a file");
        let path = file.to_str().expect("a temporary path is UTF-8");

        let import = ["import", "--project", "differential", "--format", "jsonl", "--json", path];
        let printed = collector.command_ok(&import);
        let summary: Value =
            serde_json::from_str(printed.trim().lines().last().unwrap_or_default())
                .unwrap_or_else(|_| panic!("no summary in {printed}"));
        assert_eq!(summary["stored"].as_u64(), Some(events.len() as u64), "{summary}");

        let mut peer = Peer::start();
        let columns = "id String, user String, at Int64, event String, plan String, variant String, n Nullable(Float64)";
        peer.rows(&format!(
            "create table events ({columns}) engine = MergeTree order by (user, at)"
        ));
        peer.rows(&format!(
            "insert into events select id, user, at, name, plan, variant, n from file('{path}', \
             JSONEachRow, '{}')",
            columns.replace("event", "name")
        ));
        assert_eq!(peer.rows("select count() from events")[0][0], json!(events.len()));
        Sides { collector, project, peer }
    }
}

/// What one person does: bursts with equal times, days without anything, some met a variant and
/// a few met both.
fn life(person: u32, random: &mut impl Rng) -> Vec<Value> {
    let user = format!("person-{person}");
    let event = |at: u64, name: &str, random: &mut _| json!({ "id": uuid7(at, random), "user": user, "at": at, "name": name });
    let mut events = Vec::new();
    for _ in 0..random.random_range(1..=4) {
        let mut at = even(FROM_MS + random.random_range(0..DAYS * DAY_MS));
        for _ in 0..random.random_range(1..=12) {
            // Many steps in time are none: ties are where engines differ.
            at += if random.random_bool(0.4) { 0 } else { even(random.random_range(2..7_200_000)) };
            let name = *pick(random, &EVENTS);
            let mut done = event(at, name, random);
            done["plan"] = json!(pick(random, &PLANS));
            if random.random_bool(0.8) {
                done["n"] = json!(random.random_range(0..10));
            }
            events.push(done);
        }
    }
    let (exposed, first) = (random.random_bool(0.6), random.random_range(0..VARIANTS.len()));
    for exposure in 0..if exposed { random.random_range(1..=3) } else { 0 } {
        // Odd, so that no exposure ties with what it should come before.
        let at = even(FROM_MS + random.random_range(0..DAYS * DAY_MS)) + 1;
        let variant = if exposure > 0 && random.random_bool(0.1) { 1 - first } else { first };
        let mut met = event(at, "$exposure", random);
        met["experiment"] = json!("button");
        met["variant"] = json!(VARIANTS[variant]);
        events.push(met);
    }
    events
}

/// Every second millisecond.
fn even(at: u64) -> u64 {
    at & !1
}
