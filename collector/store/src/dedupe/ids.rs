//! The fingerprints of one bucket: the newest in memory, more of them on disk (`spill`).
//!
//! A bucket has [`PARTS`] parts by the highest bits of the fingerprint. They grow and are spilled one
//! by one, so that nobody who waits for an answer waits for a whole day's ids to be moved.

use std::io;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::spill::{Range, Run, Spill};
use super::{Print, Room};

const PART_BITS: u32 = 8;
const PARTS: usize = 1 << PART_BITS;
/// Runs of a part at which small ones are merged: each costs every new id a look at its filter.
const RUNS_MAX: usize = 8;

/// A set of fingerprints.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    parts: Vec<Part>,
    spill: Option<Spill>,
    in_memory: usize,
    /// Fingerprints on disk whose runs have a filter.
    filtered: usize,
    /// The group that last used it.
    pub used: u64,
}

#[derive(Debug, Default)]
struct Part {
    hot: HashTable<u64>,
    hot_made: Made,
    /// Each with the times of its ids: most ids are new, and newer than all in a run.
    runs: Vec<(Made, Run)>,
}

/// From when to when ids were made.
#[derive(Debug, Clone, Copy)]
struct Made {
    first_ms: u64,
    last_ms: u64,
}

impl Default for Made {
    fn default() -> Self {
        Self { first_ms: u64::MAX, last_ms: 0 }
    }
}

impl Made {
    fn has(self, ms: u64) -> bool {
        (self.first_ms..=self.last_ms).contains(&ms)
    }

    fn and(self, other: Self) -> Self {
        let first_ms = self.first_ms.min(other.first_ms);
        Self { first_ms, last_ms: self.last_ms.max(other.last_ms) }
    }
}

impl Ids {
    /// An empty set.
    pub(crate) fn new(used: u64) -> Self {
        let parts = std::iter::repeat_with(Part::default).take(PARTS).collect();
        Self { parts, used, ..Self::default() }
    }

    /// Fingerprints in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.in_memory
    }

    /// Fingerprints on disk whose runs have a filter.
    pub(crate) fn filtered(&self) -> usize {
        self.filtered
    }

    /// Whether it is known.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn contains(&self, print: Print) -> io::Result<bool> {
        let part = &self.parts[part_of(print.print)];
        let is_hot = part.hot.find(hash(print.print), |&other| other == print.print).is_some();
        Ok(is_hot || is_on_disk(&self.spill, &part.runs, print)?)
    }

    /// Add one that is not known.
    pub(crate) fn insert(&mut self, print: Print) {
        // It cannot fail: the disk is not asked.
        let _ = self.put(print, false);
    }

    /// Add one; whether it was not known.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn insert_new(&mut self, print: Print) -> io::Result<bool> {
        self.put(print, true)
    }

    fn put(&mut self, new: Print, may_be_on_disk: bool) -> io::Result<bool> {
        let Self { parts, spill, in_memory, .. } = self;
        let Print { print, made_ms } = new;
        let Part { hot, hot_made, runs } = &mut parts[part_of(print)];
        let entry = hot.entry(hash(print), |&other| other == print, |&other| hash(other));
        let Entry::Vacant(slot) = entry else { return Ok(false) };
        if may_be_on_disk && is_on_disk(spill, runs, new)? {
            return Ok(false);
        }
        slot.insert(print);
        *hot_made = hot_made.and(Made { first_ms: made_ms, last_ms: made_ms });
        *in_memory += 1;
        Ok(true)
    }

    /// Move the fullest part to the disk.
    ///
    /// # Errors
    /// Those of the disk; every fingerprint is still found.
    pub(crate) fn spill_fullest(&mut self, room: &Room) -> io::Result<()> {
        let Some(part) = self.parts.iter_mut().max_by_key(|part| part.hot.len()) else {
            return Ok(());
        };
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(room.spill()?),
        };
        let run = spill.append(part.hot.iter().copied().collect())?;
        self.in_memory -= run.len();
        self.filtered += run.len();
        // With its memory: a part of a day that is over does not fill again.
        part.hot = HashTable::new();
        part.runs.push((std::mem::take(&mut part.hot_made), run));
        if part.runs.len() < RUNS_MAX {
            return Ok(());
        }
        let small = part.small_runs();
        let mut prints = Vec::with_capacity(small.iter().map(|&i| part.runs[i].1.len()).sum());
        let mut made = Made::default();
        for (of_run, run) in small.iter().map(|&i| &part.runs[i]) {
            prints.extend(spill.read(run)?);
            made = made.and(*of_run);
        }
        let merged = spill.append(prints)?;
        self.filtered += merged.len();
        for i in small.into_iter().rev() {
            let (_, gone) = part.runs.remove(i);
            self.filtered -= if gone.has_filter() { gone.len() } else { 0 };
        }
        part.runs.push((made, merged));
        Ok(())
    }

    /// Give up the filter of the largest run that has one, in every part.
    pub(crate) fn drop_filters(&mut self) {
        for part in &mut self.parts {
            let filtered = part.runs.iter_mut().map(|(_, run)| run).filter(|run| run.has_filter());
            if let Some(run) = filtered.max_by_key(|run| run.len()) {
                self.filtered -= run.len();
                run.drop_filter();
            }
        }
    }
}

impl Part {
    /// The runs that are worth a merge: those of less than half the largest one's size, or all. So a
    /// fingerprint is written a number of times that grows with the logarithm of the part.
    fn small_runs(&self) -> Vec<usize> {
        let largest = self.runs.iter().map(|(_, run)| run.len()).max().unwrap_or(0);
        let small: Vec<_> =
            (0..self.runs.len()).filter(|&i| self.runs[i].1.len() < largest / 2).collect();
        if small.len() < 2 { (0..self.runs.len()).collect() } else { small }
    }
}

fn is_on_disk(
    spill: &Option<Spill>,
    runs: &[(Made, Run)],
    Print { print, made_ms }: Print,
) -> io::Result<bool> {
    let Some(spill) = spill else { return Ok(false) };
    for (_, run) in runs.iter().rev().filter(|(made, _)| made.has(made_ms)) {
        if spill.contains(run, Range { bits: PART_BITS }, print)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn part_of(print: u64) -> usize {
    (print >> (64 - PART_BITS)) as usize
}

/// The table looks at the highest and the lowest bits of a hash; the highest are the same in a part.
pub(super) fn hash(print: u64) -> u64 {
    print.rotate_left(32)
}
