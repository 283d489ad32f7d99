//! Links and erasures, written down: which files do not know them yet, and which are written again.
//!
//! In: whom to set apart as of the last flush. Out: files that hold everybody under their own name
//! and nobody erased, and receipts. A file that nothing concerns is only marked as looked at, so that
//! what every file knows can be forgotten (`people`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Keeper;
use super::merge::Plan;
use super::ordered::damaged;
use crate::block::ColumnKey;
use crate::catalog::{CatalogChange, SegmentId};
use crate::error::{FlushError, ScanError};
use crate::people::{Apart, Erasure};
use crate::segment::Segment;

/// A segment is written again at once when more than one row in so many is in the wrong place …
const WORTH_ROWS: u64 = 100;
/// … for an erased person after this long, which leaves as long for doing it …
const ERASE_AFTER_MS: i64 = 12 * 60 * 60 * 1000;
/// … and for links after this long: until then questions put the rows together.
const LINK_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// Rows of a segment that are in the wrong place.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stale {
    moved: u64,
    erased: u64,
}

/// What a look at all segments found.
#[derive(Default)]
struct Looked {
    /// To be written again.
    again: Vec<Arc<Segment>>,
    /// Nothing in them is to be changed for what was known up to that frame.
    link_epochs: Vec<(SegmentId, u64)>,
    /// A segment that cannot be read, and why.
    unreadable: Option<FlushError>,
}

impl Keeper {
    /// Look which files links and erasures concern, write those again that are worth it, and forget
    /// what every file knows.
    pub(crate) fn settle_people(&self) -> Result<(), FlushError> {
        let Looked { again, link_epochs, unreadable } = self.look();
        if !link_epochs.is_empty() {
            self.commit(CatalogChange { link_epochs, ..CatalogChange::default() }, |_| ())?;
        }
        for segment in again {
            let week = segment.meta().week.clone();
            self.merge(&Plan { inputs: vec![segment], week })?;
        }
        let mut live = self.shared.live();
        live.erase_now = false;
        let (known, left_behind) = (live.people_known(), live.left_behind());
        live.left_behind_then = left_behind;
        let settled = live.people.settled(known, left_behind);
        let people = live.people.delta_of(&settled, (self.shared.options.now_ms)());
        if people.is_empty() {
            live.people.settle(&settled, &people);
        } else {
            drop(live);
            let change = CatalogChange { people: people.clone(), ..CatalogChange::default() };
            self.commit(change, |live| live.people.settle(&settled, &people))?;
        }
        unreadable.map_or(Ok(()), Err)
    }

    fn look(&self) -> Looked {
        let live = self.shared.live();
        let (apart, epoch) = live.settled.clone();
        let segments = Arc::clone(&live.segments);
        let (links, erasures) = live.people.waiting_since();
        let now_ms = (self.shared.options.now_ms)();
        let is_due = |since: Option<i64>, after_ms| {
            since.is_some_and(|since| now_ms.saturating_sub(since) >= after_ms)
        };
        let erase = live.erase_now || is_due(erasures, ERASE_AFTER_MS);
        let link = is_due(links, LINK_AFTER_MS);
        drop(live);
        let mut looked = Looked::default();
        for segment in segments.iter().filter(|segment| segment.link_epoch() < epoch) {
            let stale = match stale(segment, &apart) {
                Ok(stale) => stale,
                // The others are not to wait for it.
                Err(error) => {
                    looked.unreadable = Some(damaged(error));
                    continue;
                }
            };
            let is_worth_it = (stale.moved + stale.erased) * WORTH_ROWS > segment.meta().rows;
            if stale == Stale::default() {
                segment.set_link_epoch(epoch);
                looked.link_epochs.push((segment.meta().id, epoch));
            } else if is_worth_it || (stale.erased > 0 && erase) || (stale.moved > 0 && link) {
                looked.again.push(Arc::clone(segment));
            }
        }
        looked
    }

    /// Receipts of erasures, as they are once these files were written again without so many rows of
    /// erased ids.
    pub(super) fn receipts(
        &self,
        files: &[String],
        erased: &BTreeMap<(u32, u64), u64>,
    ) -> Vec<Erasure> {
        let live = self.shared.live();
        let mut by_erasure: BTreeMap<u64, u64> = BTreeMap::new();
        for (&(project, id), count) in erased {
            if let Some(erasure) = live.people.erased_by(project, id) {
                *by_erasure.entry(erasure).or_default() += count;
            }
        }
        live.people.with_rewritten(files, &by_erasure)
    }
}

/// How many rows of a segment are in the wrong place.
fn stale(segment: &Arc<Segment>, apart: &Apart) -> Result<Stale, ScanError> {
    let mut stale = Stale::default();
    let meta = segment.meta();
    let projects = apart
        .projects()
        .filter(|(project, _)| (meta.project_min..=meta.project_max).contains(project));
    for (project, apart) in projects {
        for block in segment.source(segment.cache().reading()).blocks {
            let bounds = block.bounds();
            let may_hold =
                |person: &u64| bounds.may_hold(project, *person..=*person, &(i64::MIN..i64::MAX));
            if !apart.skip.iter().any(may_hold) {
                continue;
            }
            let column = block.column(&ColumnKey::Runs)?;
            let runs = column.runs();
            let mut at = 0;
            for run in runs.within(project, 0, u64::MAX) {
                let person = runs.persons[run];
                at += apart.skip[at..].partition_point(|other| *other < person);
                if apart.skip.get(at) != Some(&person) {
                    continue;
                }
                let needs_base = apart.needs_base(person);
                let bases = if needs_base { Some(block.column(&ColumnKey::Base)?) } else { None };
                for row in runs.starts[run] as usize..runs.starts[run + 1] as usize {
                    let base = || {
                        let bases = bases.as_ref().and_then(|column| column.actors().as_ref());
                        Ok::<_, ScanError>(bases.map_or(person, |bases| bases[row]))
                    };
                    match apart.person(person, base)? {
                        Some(now) if now == person => {}
                        Some(_) => stale.moved += 1,
                        None => stale.erased += 1,
                    }
                }
            }
        }
    }
    Ok(stale)
}
