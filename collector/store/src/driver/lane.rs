//! The lane: persons whose rows belong to somebody else than where they are stored.
//!
//! In: the stored persons that are set apart, and whose their rows are now. Out: the same rows,
//! gathered from all sources, sorted by the person they belong to, and shown to the kernel like
//! everybody else's. Rows of erased persons are left out.
//!
//! The cost is that of these persons' rows, and of looking for each of them once per source.

use std::sync::Arc;

use tallymark_analysis::events::{ABSENT, Actors};

use super::{Question, Timed, Worker};
use crate::block::{Block, ColumnKey};
use crate::error::ScanError;
use crate::people::{ApartIn, To, Whose};

/// Wanted rows, in the order they were found.
#[derive(Default)]
pub(super) struct Found {
    order: Vec<At>,
    pub ts: Vec<i64>,
    pub actor: Vec<u64>,
    pub event: Vec<u32>,
    pub sessions: Vec<u64>,
    pub texts: Vec<Vec<u32>>,
    pub numbers: Vec<Vec<f64>>,
    blocks: Vec<Arc<dyn Block>>,
}

/// A row: whose it is, when, where it was found, its place in [`Found`].
#[derive(Clone, Copy)]
pub(super) struct At {
    pub person: u64,
    ts: i64,
    block: u32,
    row: u32,
    pub place: usize,
}

impl Worker<'_> {
    /// Everybody set apart.
    pub(super) fn lane(&mut self, sources: &[Timed<'_>], apart: &ApartIn) -> Result<(), ScanError> {
        let question = self.question;
        let mut found = Found {
            texts: vec![Vec::new(); question.texts.len()],
            numbers: vec![Vec::new(); question.numbers.len()],
            ..Found::default()
        };
        for stored in sources.iter().flat_map(|source| source.blocks) {
            let persons = self.set_apart(stored, apart)?;
            let (Some(first), Some(last)) = (persons.first(), persons.last()) else { continue };
            let before = self.loader.rows_scanned;
            let loaded = self.loader.load(question, stored, &(first.1..=last.1))?;
            self.loader.rows_scanned = before;
            if let Some(loaded) = loaded {
                self.look(&loaded, &persons, apart, &mut found)?;
            }
        }
        found.sort()?;
        for of_person in found.order.chunk_by(|a, b| a.person == b.person) {
            self.scratch.take(of_person, &found);
            if self.scratch.is_full() {
                self.show();
            }
        }
        self.show();
        Ok(())
    }

    /// Who of those set apart is in a block, in order, each behind the number of the run. Most blocks
    /// hold none of them, and most of those that do are known to by their bounds alone.
    fn set_apart(
        &self,
        stored: &Arc<dyn Block>,
        apart: &ApartIn,
    ) -> Result<Vec<(usize, u64)>, ScanError> {
        let Question { project, times, .. } = self.question;
        let bounds = stored.bounds();
        let first = if bounds.first.0 == *project { bounds.first.1 } else { 0 };
        let last = if bounds.last.0 == *project { bounds.last.1 } else { u64::MAX };
        let moved = apart.moved_within(first..=last);
        if moved.is_empty() || !bounds.may_hold(*project, first..=last, times) {
            return Ok(Vec::new());
        }
        let column = stored.column(&ColumnKey::Runs)?;
        let runs = column.runs();
        let within = runs.within(*project, moved[0].0, u64::MAX);
        let persons = &runs.persons[within.clone()];
        let mut at = 0;
        let run_of = |&(person, _): &(u64, To)| {
            at += distance(&persons[at..], person);
            (persons.get(at) == Some(&person)).then_some((within.start + at, person))
        };
        Ok(moved.iter().filter_map(run_of).collect())
    }

    /// Take the rows of persons set apart out of a block. `persons` are those who are in it.
    fn look(
        &mut self,
        loaded: &super::Loaded,
        persons: &[(usize, u64)],
        apart: &ApartIn,
        found: &mut Found,
    ) -> Result<(), ScanError> {
        let question = self.question;
        let (stored, block) = (&loaded.stored, &loaded.block);
        let actors = match question.plan.actors {
            Actors::Never => None,
            Actors::AtTies | Actors::Always => Some(stored.column(&ColumnKey::Actor)?),
        };
        for &(run, person) in persons {
            let whose = apart.whose(person);
            let bases = match whose {
                Whose::ByBase(_) => Some(stored.column(&ColumnKey::Base)?),
                Whose::Person(_) | Whose::Nobody => None,
            };
            let base = |row: usize| {
                let bases = bases.as_ref().and_then(|column| column.actors().as_ref());
                bases.map_or(person, |bases| bases[row])
            };
            found.blocks.push(Arc::clone(stored));
            self.loader.rows_scanned += loaded.rows(run).len() as u64;
            for row in loaded.rows(run) {
                let ts = block.ts.get(row);
                if block.event.get(row) == ABSENT
                    || !(block.all_in_time || question.times.contains(&ts))
                {
                    continue;
                }
                let now = match whose {
                    Whose::Person(now) => Some(now),
                    Whose::Nobody => None,
                    Whose::ByBase(otherwise) => apart.of_base(base(row), otherwise),
                };
                let Some(now) = now else { continue };
                let place = found.ts.len();
                let in_block = found.blocks.len() as u32 - 1;
                found.order.push(At { person: now, ts, block: in_block, row: row as u32, place });
                found.ts.push(ts);
                found.event.push(block.event.get(row));
                if let Some(actors) = &actors {
                    let actors = actors.actors().as_ref();
                    found.actor.push(actors.map_or(person, |actors| actors[row]));
                }
                found.sessions.extend(block.sessions.as_ref().map(|sessions| sessions[row]));
                for (to, from) in found.texts.iter_mut().zip(&block.texts) {
                    to.push(from.get(row));
                }
                for (to, from) in found.numbers.iter_mut().zip(&block.numbers) {
                    to.push(from.get(row));
                }
            }
        }
        Ok(())
    }
}

impl Found {
    /// Into the order of person, time, device sequence and event id.
    fn sort(&mut self) -> Result<(), ScanError> {
        self.order.sort_by_key(|at| (at.person, at.ts));
        for tied in self.order.chunk_by_mut(|a, b| (a.person, a.ts) == (b.person, b.ts)) {
            if tied.iter().all(|at| at.block == tied[0].block) {
                continue;
            }
            let mut keyed = Vec::with_capacity(tied.len());
            for at in tied.iter() {
                let column = self.blocks[at.block as usize].column(&ColumnKey::Order)?;
                keyed.push((column.order()[at.row as usize], *at));
            }
            keyed.sort_by_key(|(key, _)| *key);
            tied.iter_mut().zip(keyed).for_each(|(slot, (_, at))| *slot = at);
        }
        Ok(())
    }
}

/// How many of these sorted persons come before one. Fast where it is near: many are looked for, one
/// after the other.
fn distance(persons: &[u64], person: u64) -> usize {
    let mut near = 1;
    while persons.get(near - 1).is_some_and(|other| *other < person) {
        near *= 2;
    }
    let from = near / 2;
    let range = &persons[from..persons.len().min(near)];
    from + range.partition_point(|other| *other < person)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_distance_is_how_many_come_before(
            mut persons in prop::collection::vec(0u64..50, 0..40),
            person in 0u64..52,
        ) {
            persons.sort_unstable();
            let want = persons.iter().filter(|other| **other < person).count();
            prop_assert_eq!(distance(&persons, person), want);
        }
    }
}
