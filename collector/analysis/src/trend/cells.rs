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

    /// Take a value into account.
    pub(super) fn value(&mut self, cell: usize, value: f64, measure: Measure) {
        match measure {
            Measure::Count | Measure::Persons => {}
            Measure::Sum | Measure::Avg | Measure::PerPerson => {
                if self.sums.len() <= cell {
                    self.sums.resize(cell + 1, ExactSum::default());
                }
                self.sums[cell].add(value);
            }
            Measure::Min
            | Measure::Max
            | Measure::P50
            | Measure::P90
            | Measure::P95
            | Measure::P99 => {
                if self.bags.len() <= cell {
                    self.bags.resize(cell + 1, Vec::new());
                }
                let bag = &mut self.bags[cell];
                match (measure, bag.first_mut()) {
                    (Measure::Min, Some(least)) => *least = least.min(value),
                    (Measure::Max, Some(most)) => *most = most.max(value),
                    _ => bag.push(value),
                }
            }
        }
    }
}
