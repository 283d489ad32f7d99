//! Presence, read ahead of the first question.
//!
//! In: the segments that a start finds. Out: the roster of every project, and its lists, those of "any
//! active event" first, in the cache. What would have to be made, or is damaged, is left to the
//! question that wants it.

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
            lists.extend((0..stored.lists(part)).map(|list| (list, part, segment, stored)));
        }
        let key = (project, sources.segments.iter().map(|segment| segment.meta().id).collect());
        if shared.rosters.get(key, || sources.roster(1)).is_err() {
            continue;
        }
        // Lists begin with those of any active event.
        lists.sort_by_key(|(list, ..)| *list);
        for (list, part, segment, stored) in lists {
            if is_enough() || stored.list(Some(segment), part, list).is_err() {
                break;
            }
        }
    }
}
