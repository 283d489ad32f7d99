//! Presence, read ahead of the first question.
//!
//! In: the segments that a start finds. Out: the roster of every project, and its lists, in the cache:
//! those of "any active event", and then those of the events that most persons did, which most questions are
//! about and which take longest to read. What would have to be made, or is damaged, is left to the question
//! that wants it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::sources::Sources;
use super::stored::Stored;
use crate::segment::Segment;
use crate::shared::Shared;

/// Read until there is enough.
pub(crate) fn warm(shared: &Shared, segments: &[Arc<Segment>], is_enough: impl Fn() -> bool) {
    let is_made_elsewhere = || true;
    let ready = |segment: &Arc<Segment>| {
        let stored = segment.presence(&shared.options.zones, &is_made_elsewhere).ok()??;
        Some((Arc::clone(segment), stored))
    };
    let all: Vec<(Arc<Segment>, Arc<Stored>)> = segments.iter().filter_map(ready).collect();
    let projects: BTreeSet<u32> = all.iter().flat_map(|(_, stored)| stored.projects()).collect();
    for project in projects {
        if is_enough() {
            return;
        }
        let mut sources = Sources::default();
        let mut lists = Vec::new();
        for (segment, stored) in &all {
            let Some(part) = sources.add_persons(project, stored, segment) else { continue };
            for (list, (about, persons)) in stored.lists(part).into_iter().enumerate() {
                let turn = (about.event.is_some(), Reverse(persons));
                lists.push((turn, list, part, segment, stored));
            }
        }
        let key = (project, sources.segments.iter().map(|segment| segment.meta().id).collect());
        if shared.rosters.get(key, || sources.roster(1)).is_err() {
            continue;
        }
        lists.sort_by_key(|(turn, ..)| *turn);
        for (_, list, part, segment, stored) in lists {
            if is_enough() || stored.list(Some(segment), part, list).is_err() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::faults::{Random, Source, World, small_options};
    use crate::options::StoreOptions;
    use crate::row::Row;

    #[test]
    fn what_most_persons_did_is_read_first() {
        let world = World::with(StoreOptions { cache_bytes: 1 << 20, ..small_options() });
        let (mut random, source) = (Random::new(7), Source::default());
        let row = |person: u64| {
            let event = if person == 1 { "a" } else { "b" }.into();
            let ts_ms = 1_710_000_000_000;
            let own = source.row(&mut random);
            Row { project: 1, person, actor: person, ts_ms, event, flags: 0, ..own }
        };
        world.append((1..40).map(row).collect()).unwrap();
        world.flush().unwrap();
        let shared = &world.store().shared;
        let segments = shared.live().segments.to_vec();
        // The project, the list of any active event, and one more.
        let left = Cell::new(3_u32);
        warm(shared, &segments, || left.replace(left.get().saturating_sub(1)) == 0);

        let [segment] = &segments[..] else { panic!("one segment") };
        let stored = segment.presence(&shared.options.zones, &|| false).unwrap().unwrap();
        let (part, _) = stored.part(1).unwrap();
        let is_there = |list: usize| {
            let before = shared.cache.bytes();
            stored.list(Some(segment), part, list).unwrap();
            shared.cache.bytes() == before
        };
        let lists = stored.lists(part).into_iter().enumerate();
        let found: Vec<_> =
            lists.map(|(list, (about, _))| (about.event.as_deref(), is_there(list))).collect();
        assert_eq!(found, [(None, true), (Some("a"), false), (Some("b"), true)]);
    }
}
