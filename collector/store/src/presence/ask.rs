//! Answers a question from presence.
//!
//! Threads take stretches of the roster one after the other. In each they set the bits of its
//! persons from every list of every segment, add what runs in memory know of them, and hand the
//! whole to the kernel.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tallymark_analysis::cohort::Members;
use tallymark_analysis::kernel::Partial;
use tallymark_analysis::presence::{DayBlock, DayKernel, Presence, PresencePlan};

use super::codec::Damaged;
use super::roster::Roster;
use super::sources::{Bits, Sources};
use crate::block::Block;
use crate::error::ScanError;
use crate::memtable::MemRun;
use crate::progress::Progress;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::store::Asked;

/// Persons of one stretch of work: their bits stay in the cache of a core.
const PERSONS: usize = 8 * 1024;

/// Answer for everybody but those in `aside` (in order), if presence can; else the rows have to be
/// asked. Whoever sets people aside asks their rows and merges the tables.
///
/// # Errors
/// [`ScanError`] when a segment cannot be read or a kernel panics.
pub(crate) fn ask(
    shared: &Shared,
    segments: &[Arc<Segment>],
    runs: &[Arc<MemRun>],
    project: u32,
    presence: &dyn Presence,
    (aside, progress): (&[u64], &Progress),
) -> Result<Option<Asked>, ScanError> {
    let plan = presence.plan();
    let mut stored = Sources::default();
    let mut in_memory = Sources::default();
    for segment in segments {
        let meta = segment.meta();
        let is_here = (meta.project_min..=meta.project_max).contains(&project);
        if !is_here || !may_matter(plan, (meta.ts_min_ms, meta.ts_max_ms)) {
            continue;
        }
        if cuts_a_day(plan, (meta.ts_min_ms, meta.ts_max_ms)) {
            return Ok(None);
        }
        let stop = || progress.is_stopped() || shared.live().closing;
        let Some(presence) = segment.presence(&shared.options.zones, &stop)? else {
            return if progress.is_stopped() { Err(ScanError::Stopped) } else { Ok(None) };
        };
        match stored.add(plan, project, presence, Some(segment)) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(Damaged) => {
                segment.forget_presence();
                return Ok(None);
            }
        }
    }
    for run in runs {
        let bounds = run.bounds();
        let ts_ms = (bounds.ts_min_ms, bounds.ts_max_ms);
        if bounds.rows == 0 || !may_matter(plan, ts_ms) {
            continue;
        }
        let is_told = !cuts_a_day(plan, ts_ms)
            && in_memory.add(plan, project, run.presence(&shared.options.zones), None) == Ok(true);
        if !is_told {
            return Ok(None);
        }
    }

    let threads = shared.options.query_threads;
    let key = (project, stored.segments.iter().map(|segment| segment.meta().id).collect());
    let roster = shared.rosters.get(key, || stored.roster(threads));
    let (roster, newer) = match (roster, in_memory.roster(1)) {
        (Ok(roster), Ok(newer)) => (roster, newer),
        (Err(source), _) | (_, Err(source)) => {
            stored.segments[source].forget_presence();
            return Ok(None);
        }
    };
    progress.begin(0);
    let (newer, only) = (&newer, presence.only());
    let roster = &roster;
    let question = Question { plan, stored, roster, in_memory, newer, aside, only, progress };
    question.count(presence, threads).map(Some)
}

/// Whether rows of these times can show in the answer.
fn may_matter(plan: &PresencePlan, (ts_min_ms, ts_max_ms): (i64, i64)) -> bool {
    let first_ms = plan.days.bounds_ms[0];
    (plan.before || first_ms <= ts_max_ms) && ts_min_ms < plan.to_ms
}

/// Whether the question ends inside a day of these rows, with some of them on either side.
fn cuts_a_day(plan: &PresencePlan, (ts_min_ms, ts_max_ms): (i64, i64)) -> bool {
    let end_ms = plan.days.end_ms(plan.days.len() - 1);
    plan.to_ms < end_ms && plan.to_ms <= ts_max_ms && ts_min_ms < end_ms
}

struct Question<'a> {
    plan: &'a PresencePlan,
    stored: Sources,
    roster: &'a Roster,
    in_memory: Sources,
    newer: &'a Roster,
    aside: &'a [u64],
    progress: &'a Progress,
    only: Option<&'a Members>,
}

impl Question<'_> {
    fn count(&self, presence: &dyn Presence, threads: usize) -> Result<Asked, ScanError> {
        let stretches = self.roster.persons.len().div_ceil(PERSONS).max(1);
        let next = AtomicUsize::new(0);
        let results: Vec<Result<Asked, ScanError>> = std::thread::scope(|scope| {
            let work = || {
                let mut kernel = presence.kernel();
                let (mut bits, mut newer) = (Bits::default(), Bits::default());
                let mut entries = 0;
                loop {
                    let stretch = next.fetch_add(1, Ordering::Relaxed);
                    if stretch >= stretches {
                        break;
                    }
                    if self.progress.is_stopped() {
                        return Err(ScanError::Stopped);
                    }
                    entries += self.stretch(stretch, &mut *kernel, &mut bits, &mut newer);
                }
                Ok(Asked { partial: kernel.finish(), rows_scanned: entries })
            };
            let workers = threads.clamp(1, stretches);
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let own = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let own = own.unwrap_or(Err(ScanError::Panicked));
            let others =
                others.into_iter().map(|other| other.join().unwrap_or(Err(ScanError::Panicked)));
            std::iter::once(own).chain(others).collect()
        });
        let mut asked = Asked { partial: Partial::default(), rows_scanned: 0 };
        for result in results {
            let part = result?;
            asked.partial.merge(part.partial);
            asked.rows_scanned += part.rows_scanned;
        }
        Ok(asked)
    }

    /// Count the persons of one stretch of the roster, and those in memory between them.
    fn stretch(
        &self,
        stretch: usize,
        kernel: &mut dyn DayKernel,
        bits: &mut Bits,
        newer: &mut Bits,
    ) -> u64 {
        let words = self.plan.words();
        let sets = self.plan.sets.len();
        let persons = &self.roster.persons;
        let range = stretch * PERSONS..persons.len().min((stretch + 1) * PERSONS);
        // A person in memory belongs to the stretch that begins at or before them.
        let begin = |at: usize| match persons.get(at) {
            _ if at == 0 => 0,
            None => self.newer.persons.len(),
            Some(first) => self.newer.persons.partition_point(|person| person < first),
        };
        let of_newer = begin(range.start)..begin(range.start + PERSONS);
        bits.clear(sets, (range.len() + of_newer.len()) * words);
        let mut entries = self.stored.fill(self.roster, &range, words, bits);
        self.clear_aside(&range, bits);
        let mut used = range.len();
        if !of_newer.is_empty() {
            newer.clear(sets, of_newer.len() * words);
            entries += self.in_memory.fill(self.newer, &of_newer, words, newer);
            used = self.add_newer(&range, &of_newer, bits, newer);
        }
        let used = used * words;
        let of_sets: Vec<&[u64]> = bits.sets.iter().map(|row| &row[..used]).collect();
        let daily: Vec<&[u64]> = match bits.has_daily {
            true => bits.daily.iter().map(|row| &row[..used]).collect(),
            false => Vec::new(),
        };
        kernel.days(&DayBlock { words, sets: &of_sets, daily: &daily });
        entries
    }

    /// Nobody counts here who is set aside, or not among those asked for.
    fn clear_aside(&self, range: &Range<usize>, bits: &mut Bits) {
        let words = self.plan.words();
        let persons = &self.roster.persons[range.clone()];
        let (Some(first), Some(last)) = (persons.first(), persons.last()) else { return };
        let from = self.aside.partition_point(|person| person < first);
        let to = self.aside.partition_point(|person| person <= last);
        let aside =
            self.aside[from..to].iter().filter_map(|person| persons.binary_search(person).ok());
        let others = self.only.into_iter().flat_map(|only| only.others(persons));
        for place in aside.chain(others) {
            for row in bits.sets.iter_mut().chain(&mut bits.daily) {
                row[place * words..(place + 1) * words].fill(0);
            }
        }
    }

    /// Add the bits of persons in memory to theirs in segments, or after the last one. Returns how
    /// many persons there are then.
    fn add_newer(
        &self,
        range: &Range<usize>,
        of_newer: &Range<usize>,
        bits: &mut Bits,
        newer: &Bits,
    ) -> usize {
        let words = self.plan.words();
        let persons = &self.roster.persons[range.clone()];
        let (mut place, mut used) = (0, persons.len());
        for (at, person) in self.newer.persons[of_newer.clone()].iter().enumerate() {
            let is_asked_for = self.only.is_none_or(|only| only.contain(*person));
            if !is_asked_for || self.aside.binary_search(person).is_ok() {
                continue;
            }
            place += persons[place..].partition_point(|known| known < person);
            let to = match persons.get(place) {
                Some(known) if known == person => place,
                _ => {
                    used += 1;
                    used - 1
                }
            };
            let (from, to) = (at * words..(at + 1) * words, to * words..(to + 1) * words);
            let rows = bits.sets.iter_mut().zip(&newer.sets);
            for (row, more) in rows.chain(bits.daily.iter_mut().zip(&newer.daily)) {
                let more = &more[from.clone()];
                row[to.clone()].iter_mut().zip(more).for_each(|(word, more)| *word |= more);
            }
        }
        bits.has_daily |= newer.has_daily;
        used
    }
}

#[cfg(test)]
mod tests {
    use tallymark_analysis::{Context, compile};

    use super::*;
    use crate::catalog::MemoryCatalog;
    use crate::options::StoreOptions;
    use crate::row::Row;
    use crate::store::{Append, Store};

    fn rows(persons: impl Iterator<Item = u64>) -> Vec<Row> {
        let row = |(n, person): (u128, u64)| Row {
            project: 1,
            person,
            actor: person,
            ts_ms: 1_700_000_000_000 + (person % 5) as i64 * 86_400_000,
            seq: 0,
            writer: 0,
            event_id: n + 1 + u128::from(person) * 1_000,
            received_ms: 0,
            claimed_ms: 0,
            flags: (person % 2) as u8,
            event: "a".into(),
            session: 0,
            dims: Arc::default(),
            props: "{}".into(),
        };
        (0..).zip(persons).map(row).collect()
    }

    /// A store with these persons in a segment and in memory, and what it answers without some.
    fn ask_without(stored: &[u64], in_memory: &[u64], aside: &[u64]) -> Partial {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(StoreOptions::new(dir.path()), Arc::new(MemoryCatalog::new())).unwrap();
        for (persons, flushes) in [(stored, true), (in_memory, false)] {
            let (sender, receiver) = std::sync::mpsc::channel();
            let batch = Append { rows: rows(persons.iter().copied()), refused: Vec::new() };
            store.append(batch, move |result| sender.send(result.map(drop)).unwrap());
            receiver.recv().unwrap().unwrap();
            if flushes {
                store.flush().unwrap();
            }
        }
        let context = Context::utc(0);
        let question = serde_json::json!({ "from": "2023-11-01", "to": "2023-12-01" });
        let analysis = compile("active", question, &context).unwrap().analysis;
        let mut view = store.shared.view();
        let runs = store.shared.runs(&mut view);
        let presence = analysis.presence().unwrap();
        let watched = (aside, &Progress::default());
        ask(&store.shared, &view.segments, &runs, 1, presence, watched).unwrap().unwrap().partial
    }

    #[test]
    fn who_is_set_aside_is_counted_nowhere() {
        let stored: Vec<u64> = (0..400).filter(|person| person % 3 != 0).collect();
        let in_memory: Vec<u64> = (0..450).filter(|person| person % 4 == 1).collect();
        let aside: Vec<u64> = (0..500).filter(|person| person % 7 == 2).collect();
        let others = |persons: &[u64]| -> Vec<u64> {
            persons.iter().copied().filter(|person| person % 7 != 2).collect()
        };
        let without = ask_without(&others(&stored), &others(&in_memory), &[]);
        assert!(without != Partial::default());
        assert!(ask_without(&stored, &in_memory, &aside) == without);
        assert!(ask_without(&[], &in_memory, &aside) == ask_without(&[], &others(&in_memory), &[]));
    }
}
