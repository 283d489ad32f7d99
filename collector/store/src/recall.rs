//! What questions looked at that few rows have, remembered over a restart.
//!
//! In: which columns of such rows the cache has. Out: `recall.json` in the data folder, a few
//! kilobytes, written every minute and when the store closes; a start reads these columns again by itself
//! (`warm`), so that the first question after it is not the one that finds the rows.
//!
//! Invariant: there are names of events and properties in it that questions named, and single texts that
//! many persons have: what somebody looked for that tells of one person is not written down.
//!
//! Nothing depends on the file. It is neither synced nor backed up, and one that is missing or
//! makes no sense is as good as an empty one.

use std::cmp::Reverse;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::block::{ColumnKey, Having, Property};
use crate::open::Folders;
use crate::segment::ColumnCache;
use crate::shared::Shared;

const NAME: &str = "recall.json";

/// So many sets of rows, those that were asked for last.
const SETS_MAX: usize = 64;

/// So many persons of a project have a text that is written down; groups of fewer are shown to no stranger either.
const PERSONS_MIN: usize = 10;

const EVERY: Duration = Duration::from_secs(60);

/// Some rows, and what was read of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Set {
    pub having: Arc<Having>,
    pub columns: Vec<ColumnKey>,
}

/// What was written down last.
pub(crate) fn load(folders: &Folders) -> Vec<Set> {
    let bytes = folders.disk.read(&folders.data.join(NAME)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Write it down, until the store closes; `known` is what was loaded.
pub(crate) fn keep(shared: &Shared, folders: &Folders, mut known: Vec<Set>) {
    loop {
        let next = Instant::now() + EVERY;
        let mut live = shared.live();
        while !live.closing
            && let Some(left) = next.checked_duration_since(Instant::now())
        {
            live = shared.wait(live, left);
        }
        let closing = live.closing;
        drop(live);
        let sets = up_to_date(&shared.cache, &known);
        if sets != known {
            match save(folders, &sets) {
                Ok(()) => known = sets,
                Err(error) => {
                    tracing::debug!(%error, "what questions look at could not be written down");
                }
            }
        }
        if closing {
            return;
        }
    }
}

/// What the cache has, the newest first, and then the events that were known: a start may not have had the
/// time or the room to read all of that.
fn up_to_date(cache: &ColumnCache, known: &[Set]) -> Vec<Set> {
    let place = |having: &Having| known.iter().position(|set| *set.having == *having);
    let is_of_events = |having: &Having| having.property == Property::Event;
    // Of several texts each may be one person's.
    let is_one_text = |having: &Having| !is_of_events(having) && having.texts.len() == 1;
    let mut found: Vec<_> = cache.rare(PERSONS_MIN, is_one_text).into_iter().collect();
    found.retain(|(having, rare)| is_of_events(having) || rare.has_enough);
    // What a start read was not asked for again, and keeps its order.
    found.sort_by_cached_key(|(having, rare)| {
        (Reverse(rare.wanted), place(having), having.texts.clone())
    });
    let mut sets: Vec<Set> = Vec::new();
    for (having, rare) in found {
        let before = place(&having).map_or(&[][..], |at| &known[at].columns);
        let mut columns: Vec<ColumnKey> = rare.columns.into_iter().collect();
        columns.extend_from_slice(before);
        columns.sort_by_cached_key(|key| format!("{key:?}"));
        columns.dedup();
        sets.push(Set { having, columns });
    }
    let others = known.iter().filter(|set| is_of_events(&set.having));
    for set in others {
        if sets.iter().all(|found| found.having != set.having) {
            sets.push(set.clone());
        }
    }
    sets.truncate(SETS_MAX);
    sets
}

/// Whoever reads it finds the old one or the new one.
fn save(folders: &Folders, sets: &[Set]) -> io::Result<()> {
    let bytes = serde_json::to_vec(sets)?;
    let new = folders.tmp.join(NAME);
    folders.disk.create(&new)?.write_all_at(&bytes, 0)?;
    folders.disk.rename(&new, &folders.data.join(NAME))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tallymark_analysis::{Context, compile};

    use super::*;
    use crate::faults::{Random, Source, World, small_options};
    use crate::options::StoreOptions;
    use crate::row::{Dim, Row};
    use crate::warm;

    const EVENTS: i64 = 2_000;

    /// A store with a file in which one event of forty is a purchase, some of them on pages of many
    /// persons and one on a page that one person saw.
    fn world() -> World {
        let options = StoreOptions {
            warm_bytes: Some(1 << 20),
            cache_bytes: 1 << 20,
            group_rows: EVENTS as usize,
            ..small_options()
        };
        let world = World::with(options);
        let (mut random, source) = (Random::new(7), Source::default());
        let row = |n: i64| {
            let row = source.row(&mut random);
            let page = match n {
                40 => "/of-one".to_owned(),
                n if n % 40 == 0 => "/of-many".to_owned(),
                n => format!("/{n}"),
            };
            let mut dims = Arc::clone(&row.dims);
            Arc::make_mut(&mut dims)[Dim::Path as usize] = Some(page.into());
            let (person, ts_ms) = (1 + n as u64 / 40, 1_710_000_000_000 + n * 1_000);
            let event = if n % 40 == 0 { "purchase" } else { "view" }.into();
            let props = format!(r#"{{"price":{n}}}"#).into();
            Row { project: 1, person, actor: person, ts_ms, event, dims, props, ..row }
        };
        world.append((0..EVENTS).map(row).collect()).unwrap();
        world.flush().unwrap();
        world
    }

    fn ask(world: &World, series: serde_json::Value, page: serde_json::Value) {
        let filters = if page.is_null() {
            json!([])
        } else {
            json!([{ "prop": "path", "op": if page.is_array() { "in" } else { "eq" }, "value": page }])
        };
        let question = json!({ "from": "2024-03-01", "to": "2024-04-01", "tz": "UTC", "bucket": "day",
                               "series": [series], "where": filters });
        let analysis =
            compile("trend", question, &Context::utc(1_720_000_000_000)).unwrap().analysis;
        world.store().ask(1, &*analysis).unwrap();
    }

    fn buy(world: &World) {
        ask(world, json!({ "event": "purchase", "measure": "sum", "prop": "price" }), json!(null));
    }

    fn look(world: &World, page: impl Into<serde_json::Value>) {
        ask(world, json!({ "measure": "count" }), page.into());
    }

    fn save_all(world: &World, known: &[Set]) -> Vec<Set> {
        let store = world.store();
        let sets = up_to_date(&store.shared.cache, known);
        save(&store.folders, &sets).unwrap();
        assert_eq!(load(&store.folders), sets);
        sets
    }

    /// A store that was asked for purchases and for a page of many, and what it wrote down.
    fn asked() -> (World, Vec<Set>) {
        let world = world();
        buy(&world);
        look(&world, "/of-many");
        let sets = save_all(&world, &[]);
        (world, sets)
    }

    fn texts(sets: &[Set]) -> Vec<&str> {
        sets.iter().map(|set| &*set.having.texts[0]).collect()
    }

    #[test]
    fn what_was_asked_for_is_there_after_a_start() {
        let (mut world, sets) = asked();
        assert_eq!(texts(&sets), ["/of-many", "purchase"]);
        for remembers in [true, false] {
            world.kill();
            world.start().unwrap();
            let known = if remembers { load(&world.store().folders) } else { Vec::new() };
            let shared = &world.store().shared;
            warm::run(shared, &known);
            let before = shared.cache.bytes();
            buy(&world);
            look(&world, "/of-many");
            assert_eq!(shared.cache.bytes() == before, remembers, "all of it was there");
            let now = up_to_date(&shared.cache, &known);
            assert_eq!(now.len(), sets.len());
            assert!(!remembers || now == sets);
        }
    }

    #[test]
    fn a_text_of_one_person_is_not_written_down() {
        let world = world();
        look(&world, "/of-one");
        look(&world, "/of-many");
        look(&world, "/of-nobody");
        let each_of_one = (0..PERSONS_MIN).map(|n| format!("/{}", 40 * n + 1)).collect::<Vec<_>>();
        look(&world, each_of_one);
        let sets = save_all(&world, &[]);
        assert_eq!(texts(&sets), ["/of-many"]);
        let bytes =
            world.store().folders.disk.read(&world.store().folders.data.join(NAME)).unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("of-one"));
    }

    #[test]
    fn what_a_start_had_no_time_for_is_still_known_and_texts_nobody_has_are_not() {
        let (mut world, known) = asked();
        world.kill();
        world.start().unwrap();
        // Nothing was read: that many have the text was not seen again.
        let sets = save_all(&world, &known);
        assert_eq!(sets, known[1..]);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_an_empty_one() {
        let world = world();
        let folders = &world.store().folders;
        assert_eq!(load(folders), []);
        for bytes in [
            &b""[..],
            b"[{",
            br#"[{"having":{"property":"event","texts":["a"]},"columns":["of_few"]}]"#,
        ] {
            let file = folders.disk.create(&folders.data.join(NAME)).unwrap();
            file.write_all_at(bytes, 0).unwrap();
            assert_eq!(load(folders), [], "{bytes:?}");
        }
    }
}
