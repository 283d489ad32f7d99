//! What segments and runs have for a question: their lists, and where their persons are.
//!
//! In: a plan and the presence of a source. Out: bits of persons of a roster.

use std::ops::Range;
use std::sync::Arc;

use tallymark_analysis::events::EventSet;
use tallymark_analysis::presence::{PASSIVE, PresencePlan};

use super::codec::Damaged;
use super::fill::{Shift, Window};
use super::rollup::{DayList, ListKey, Part, STRETCH};
use super::roster::Roster;
use super::stored::Stored;
use crate::segment::Segment;

/// Segments or runs, and what each has for the question.
#[derive(Default)]
pub(super) struct Sources {
    pub segments: Vec<Arc<Segment>>,
    stored: Vec<(Arc<Stored>, usize)>,
    /// Per source.
    lists: Vec<Vec<Wanted>>,
}

/// A list that the question wants.
struct Wanted {
    /// The set of the plan that it belongs to.
    set: usize,
    is_daily: bool,
    shift: Shift,
    list: Arc<DayList>,
}

impl Sources {
    /// Take what a source has for the plan; `false` when it cannot tell.
    pub(super) fn add(
        &mut self,
        plan: &PresencePlan,
        project: u32,
        stored: Arc<Stored>,
        segment: Option<&Arc<Segment>>,
    ) -> Result<bool, Damaged> {
        let Some((number, part)) = stored.part(project) else { return Ok(true) };
        if part.zone != plan.tz || part.bounds_ms.is_empty() {
            return Ok(false);
        }
        let Some(offset) = offset(&plan.days.bounds_ms, &part.bounds_ms) else { return Ok(false) };
        let mut lists = Vec::new();
        for (set, events) in plan.sets.iter().enumerate() {
            let Some(chosen) = choose(part, events) else { return Ok(false) };
            for at in chosen {
                let key = &part.lists[at];
                let first = key.stretch as usize * STRETCH;
                let len = (part.bounds_ms.len() - 1 - first).min(STRETCH);
                let shift = Shift::new(offset + first as i64, len, plan.days.len());
                let list = stored.list(segment.map(|segment| &**segment), number, at)?;
                lists.push(Wanted { set, is_daily: key.is_daily, shift, list });
            }
        }
        self.segments.extend(segment.cloned());
        self.lists.push(lists);
        self.stored.push((stored, number));
        Ok(true)
    }

    /// Take a source for its persons alone, and give the part that they are in; `None` when the project
    /// has none.
    pub(super) fn add_persons(
        &mut self,
        project: u32,
        stored: &Arc<Stored>,
        segment: &Arc<Segment>,
    ) -> Option<usize> {
        let (number, _) = stored.part(project)?;
        self.segments.push(Arc::clone(segment));
        self.stored.push((Arc::clone(stored), number));
        Some(number)
    }

    /// The persons of all sources; else the source whose persons are damaged.
    pub(super) fn roster(&self, threads: usize) -> Result<Roster, usize> {
        let persons = self
            .stored
            .iter()
            .enumerate()
            .map(|(source, (stored, part))| stored.persons(*part).map_err(|Damaged| source));
        Ok(Roster::new(&persons.collect::<Result<Vec<_>, _>>()?, threads))
    }

    /// Set the bits of the roster's persons in a range. Returns how many entries were looked at.
    pub(super) fn fill(
        &self,
        roster: &Roster,
        range: &Range<usize>,
        words: usize,
        bits: &mut Bits,
    ) -> u64 {
        let mut entries = 0;
        for (lists, places) in self.lists.iter().zip(&roster.places) {
            for Wanted { set, is_daily, shift, list } in lists {
                let rows = [Some(&mut bits.sets[*set]), is_daily.then(|| &mut bits.daily[*set])];
                for row in rows.into_iter().flatten() {
                    let bits = &mut row[..range.len() * words];
                    let mut window = Window { from: range.start, to: range.end, words, bits };
                    entries += window.add(list, places, *shift) as u64;
                }
                bits.has_daily |= is_daily;
            }
        }
        entries
    }
}

/// The day of the question on which a part's days begin; `None` when their days are not the same.
fn offset(question_ms: &[i64], part_ms: &[i64]) -> Option<i64> {
    let (first, end) = (question_ms[0], question_ms[question_ms.len() - 1]);
    let (part_first, part_end) = (part_ms[0], part_ms[part_ms.len() - 1]);
    if part_first >= end {
        return Some(question_ms.len() as i64);
    }
    if part_end <= first {
        return Some(-(part_ms.len() as i64));
    }
    match question_ms.binary_search(&part_first) {
        Ok(day) => Some(day as i64),
        Err(_) => part_ms.binary_search(&first).ok().map(|day| -(day as i64)),
    }
}

/// The lists whose union is a set of events; `None` when the part cannot tell.
fn choose(part: &Part, events: &EventSet) -> Option<Vec<usize>> {
    let is_passive = |name: &str| PASSIVE.contains(&name);
    // Whether every active event is wanted: then one list has them all.
    let all_active = match events {
        EventSet::All => true,
        EventSet::Only(_) => false,
        EventSet::Except(names) => names.iter().all(|name| is_passive(name)),
    };
    let is_told =
        part.is_complete || all_active && PASSIVE.iter().all(|passive| !events.contains(passive));
    let wanted = |list: &(usize, &ListKey)| match &list.1.event {
        None => all_active,
        Some(name) => (!all_active || is_passive(name)) && events.contains(name),
    };
    is_told.then(|| part.lists.iter().enumerate().filter(wanted).map(|(at, _)| at).collect())
}

/// Bits of persons, per set of the plan.
#[derive(Default)]
pub(super) struct Bits {
    pub sets: Vec<Vec<u64>>,
    pub daily: Vec<Vec<u64>>,
    pub has_daily: bool,
}

impl Bits {
    /// Room for so many words, all clear.
    pub(super) fn clear(&mut self, sets: usize, words: usize) {
        for rows in [&mut self.sets, &mut self.daily] {
            rows.resize_with(sets, Vec::new);
            for row in rows {
                row.clear();
                row.resize(words, 0);
            }
        }
        self.has_daily = false;
    }
}
