//! The cells of a trend while it is counted.
//!
//! In: the number of a group and column, a person, values. Out: events, persons and values of each, by
//! tally. A *tally* is what series that look at the same rows share.
//!
//! The cells of one group and column lie next to each other, and few bytes each: with ten
//! thousand pages they are what stays in the cache of a core, or does not.

use hashbrown::HashMap;

use super::Measure;
use crate::exact_sum::ExactSum;

/// The cells of all tallies.
#[derive(Debug)]
pub(super) struct Cells {
    tallies: usize,
    /// Where the cells of `group × width + column` lie, plus one; large indices in the map.
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
    /// The `group × width + column` of each.
    pub keys: Vec<u64>,
    /// `place × tallies + tally`, as everything below.
    pub counts: Vec<Counts>,
    pub sums: Vec<ExactSum>,
    /// Extremes are one value, quantiles all of them.
    pub bags: Vec<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub events: u64,
    pub persons: u32,
    /// The last person counted.
    last: u32,
}

impl Counts {
    /// Count a person, once. Says whether they are new here.
    #[inline]
    pub(super) fn person(&mut self, person: u32) -> bool {
        let is_new = self.last != person;
        self.persons += u32::from(is_new);
        self.last = person;
        is_new
    }
}

/// Above this an index lives in a map: 16 MiB of dense index.
const DENSE: u64 = 1 << 22;

impl Cells {
    pub(super) fn new(tallies: usize) -> Self {
        Self {
            tallies,
            dense: Vec::new(),
            sparse: HashMap::new(),
            keys: Vec::new(),
            counts: Vec::new(),
            sums: Vec::new(),
            bags: Vec::new(),
        }
    }

    /// The cell of the first tally.
    #[inline]
    pub(super) fn at(&mut self, key: u64) -> usize {
        let known = match self.dense.get(key as usize) {
            Some(place) if key < DENSE => *place,
            _ if key < DENSE => 0,
            _ => self.sparse.get(&key).copied().unwrap_or(0),
        };
        let place = if known == 0 { self.make(key) } else { known };
        (place as usize - 1) * self.tallies
    }

    #[cold]
    fn make(&mut self, key: u64) -> u32 {
        self.keys.push(key);
        self.counts.resize(self.keys.len() * self.tallies, Counts::default());
        let place = self.keys.len() as u32;
        if key < DENSE {
            let at = key as usize;
            if at >= self.dense.len() {
                self.dense.resize((at + 1).next_power_of_two().max(64), 0);
            }
            self.dense[at] = place;
        } else {
            self.sparse.insert(key, place);
        }
        place
    }

    /// Groups there are cells of, at most.
    pub(super) fn groups_max(&self, width: usize) -> usize {
        self.dense.len() / width + 1 + self.sparse.len()
    }

    /// Bytes held, about.
    pub(super) fn bytes(&self) -> usize {
        let bags: usize = self.bags.iter().map(|bag| size_of_val(&bag[..])).sum();
        self.dense.len() * size_of::<u32>()
            + self.sparse.len() * 24
            + self.keys.len() * size_of::<u64>()
            + self.counts.len() * size_of::<Counts>()
            + self.sums.len() * size_of::<ExactSum>()
            + bags
    }

    /// Count events with their values; those without one are none.
    #[inline]
    pub(super) fn values(&mut self, each: impl Iterator<Item = (usize, f64)>, measure: Measure) {
        self.make_room(measure, self.counts.len());
        let Self { counts, sums, bags, .. } = self;
        let (sums, bags, sums_up) = (&mut sums[..], &mut bags[..], measure.sums());
        for (cell, value) in each.filter(|(_, value)| !value.is_nan()) {
            counts[cell].events += 1;
            match sums_up {
                true => sums[cell].add(value),
                false => keep(&mut bags[cell], value, measure),
            }
        }
    }

    /// Take a value into account.
    pub(super) fn value(&mut self, cell: usize, value: f64, measure: Measure) {
        self.make_room(measure, cell + 1);
        match measure.sums() {
            true => self.sums[cell].add(value),
            false => keep(&mut self.bags[cell], value, measure),
        }
    }

    /// Have so many sums or bags at least.
    fn make_room(&mut self, measure: Measure, cells: usize) {
        if measure.sums() {
            self.sums.resize(self.sums.len().max(cells), ExactSum::default());
        } else {
            self.bags.resize(self.bags.len().max(cells), Vec::new());
        }
    }
}

/// Of extremes one value is kept, else all.
#[inline]
fn keep(bag: &mut Vec<f64>, value: f64, measure: Measure) {
    match (measure, bag.first_mut()) {
        (Measure::Min, Some(least)) => *least = least.min(value),
        (Measure::Max, Some(most)) => *most = most.max(value),
        _ => bag.push(value),
    }
}
