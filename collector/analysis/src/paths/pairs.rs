//! Counts of transitions between numbered nodes, in bounded memory.
//!
//! In: pairs of small codes, frequent ones mostly small, because codes are given in the order in
//! which texts are met. Out: each pair with how often it happened and how many people did it.
//!
//! Pairs of the first codes are in a table; the others in a map. When the map is full, its rarer
//! half is forgotten, and with it what a pair may have lost is remembered: a pair that was never
//! forgotten is counted exactly, and what was forgotten is below a known number. The few most
//! frequent pairs, all that an answer shows, are never among the forgotten, unless nothing is
//! frequent.

use hashbrown::HashMap;

/// Pairs that the map holds.
const MAP_MAX: usize = 1 << 20;

/// One pair's count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Edge {
    pub count: u64,
    pub persons: u64,
}

impl std::ops::AddAssign for Edge {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.persons += other.persons;
    }
}

/// A pair with its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub from: u32,
    pub to: u32,
    pub edge: Edge,
    /// How often it may have happened beside that, when it had been forgotten.
    pub missed: u64,
}

/// An edge in the table: half as large, so that more of them are near.
#[derive(Debug, Clone, Copy, Default)]
struct Cell(u64);

impl Cell {
    const PERSONS_BITS: u32 = 28;
    /// More than these in all could outgrow a cell.
    const MOST: Edge = Edge {
        count: (1 << (u64::BITS - Self::PERSONS_BITS)) - 1,
        persons: (1 << Self::PERSONS_BITS) - 1,
    };

    fn edge(self) -> Edge {
        Edge { count: self.0 >> Self::PERSONS_BITS, persons: self.0 & Self::MOST.persons }
    }

    fn add(&mut self, edge: Edge) {
        self.0 += edge.count << Self::PERSONS_BITS | edge.persons;
    }
}

/// Codes that a table is made for at once, and cells that one may have for each transition so far.
const SMALL: usize = 16;
const SPARSE: u64 = 4;

/// Above so many transitions of a person, comparing all with all costs more than sorting.
const COMPARED: usize = 64;

/// Transitions at one depth.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    /// Codes below `stride` on both sides.
    table: Vec<Cell>,
    stride: usize,
    stride_max: usize,
    map: HashMap<u64, (Edge, u64)>,
    map_max: usize,
    /// The most a forgotten pair may have happened.
    forgotten: u64,
    /// All of them.
    pub all: Edge,
    /// Those of the person at hand: the codes, one in each half.
    person: Vec<u64>,
}

impl Pairs {
    /// No transitions; `stride_max`, a power of two, is how many codes the table has at most.
    pub(super) fn new(stride_max: usize) -> Self {
        Self {
            table: Vec::new(),
            stride: 0,
            stride_max,
            map: HashMap::new(),
            map_max: MAP_MAX,
            forgotten: 0,
            all: Edge::default(),
            person: Vec::new(),
        }
    }

    /// A transition of the person at hand.
    #[inline]
    pub(super) fn push(&mut self, from: u32, to: u32) {
        self.person.push(key(from, to));
    }

    /// Where to put many of them. Other numbers than keys are not looked at.
    pub(super) fn person(&mut self) -> &mut Vec<u64> {
        &mut self.person
    }

    /// That was all of this person.
    pub(super) fn end_person(&mut self) {
        let count = self.person.len() as u64;
        if count == 0 {
            return;
        }
        self.all += Edge { count, persons: 1 };
        let mut person = std::mem::take(&mut self.person);
        if person.len() > COMPARED {
            person.sort_unstable();
            for same in person.chunk_by(|a, b| a == b) {
                self.add(same[0], Edge { count: same.len() as u64, persons: 1 });
            }
        } else {
            // Where a pair has its place in memory is as good as random: nothing else here may wait.
            for (at, &pair) in person.iter().enumerate() {
                let before =
                    person[..at].iter().fold(0, |same, other| same | u64::from(*other == pair));
                self.add(pair, Edge { count: 1, persons: 1 - before });
            }
        }
        person.clear();
        self.person = person;
    }

    #[inline]
    fn add(&mut self, pair: u64, edge: Edge) {
        let (from, to) = codes(pair);
        let (row, column) = (from as usize, to as usize);
        let has_place = row < self.stride && column < self.stride;
        let has_room = self.all.count <= Cell::MOST.count && self.all.persons <= Cell::MOST.persons;
        if has_place && has_room {
            self.table[row * self.stride + column].add(edge);
        } else {
            self.add_beyond(pair, edge, has_room);
        }
    }

    /// A transition that has no place in the table, yet.
    fn add_beyond(&mut self, pair: u64, edge: Edge, has_room: bool) {
        let (from, to) = codes(pair);
        let stride = (from.max(to) as usize + 1).next_power_of_two().max(SMALL);
        // A table costs its size, however little happens in it. What was forgotten could not be put into it.
        let is_worth_it = stride == SMALL || (stride * stride) as u64 <= SPARSE * self.all.count;
        if stride <= self.stride_max && has_room && is_worth_it && self.forgotten == 0 {
            self.widen(stride);
            self.table[from as usize * self.stride + to as usize].add(edge);
            return;
        }
        if self.map.len() >= self.map_max {
            self.forget();
        }
        let missed = self.forgotten;
        self.map.entry(pair).or_insert((Edge::default(), missed)).0 += edge;
    }

    fn widen(&mut self, stride: usize) {
        let mut table = vec![Cell::default(); stride * stride];
        for (row, old) in self.table.chunks(self.stride.max(1)).enumerate() {
            table[row * stride..row * stride + old.len()].copy_from_slice(old);
        }
        self.map.retain(|pair, (edge, _)| {
            let (from, to) = codes(*pair);
            let has_place = (from.max(to) as usize) < stride;
            if has_place {
                table[from as usize * stride + to as usize].add(*edge);
            }
            !has_place
        });
        (self.table, self.stride) = (table, stride);
    }

    /// Bytes held, about.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.table[..]) + self.map.capacity() * size_of::<(u64, (Edge, u64))>()
    }

    /// Drop the rarer half of the map.
    fn forget(&mut self) {
        let mut counts: Vec<u64> = self.map.values().map(|(edge, _)| edge.count).collect();
        let middle = counts.len() / 2;
        let bound = *counts.select_nth_unstable(middle).1;
        let forgotten = &mut self.forgotten;
        self.map.retain(|_, (edge, missed)| {
            let stays = edge.count > bound;
            if !stays {
                *forgotten = (*forgotten).max(edge.count + *missed);
            }
            stays
        });
    }

    /// The `most` most frequent pairs, and the most that any other pair may have happened.
    pub(super) fn top(&self, most: usize) -> (Vec<Pair>, u64) {
        let in_table = |(place, cell): (usize, &Cell)| {
            let (from, to) = ((place / self.stride) as u32, (place % self.stride) as u32);
            let (more, missed) = match cell.0 {
                0 => return None,
                _ => self.map.get(&key(from, to)).copied().unwrap_or_default(),
            };
            let mut edge = cell.edge();
            edge += more;
            Some(Pair { from, to, edge, missed })
        };
        let mut pairs: Vec<Pair> = self.table.iter().enumerate().filter_map(in_table).collect();
        pairs.extend(self.map.iter().filter_map(|(pair, &(edge, missed))| {
            let (from, to) = codes(*pair);
            let cell = (from.max(to) as usize) < self.stride
                && self.table[from as usize * self.stride + to as usize].0 != 0;
            (!cell).then_some(Pair { from, to, edge, missed })
        }));
        let mut left_out = self.forgotten;
        if pairs.len() > most {
            pairs.select_nth_unstable_by(most, |a, b| b.edge.count.cmp(&a.edge.count));
            let rest = pairs.drain(most..);
            left_out = rest.map(|pair| pair.edge.count + pair.missed).fold(left_out, u64::max);
        }
        (pairs, left_out)
    }
}

/// Both codes of a pair, as one number.
pub(super) fn key(from: u32, to: u32) -> u64 {
    u64::from(from) << u32::BITS | u64::from(to)
}

fn codes(pair: u64) -> (u32, u32) {
    ((pair >> u32::BITS) as u32, pair as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn what_outgrows_a_cell_goes_on_in_the_map() {
        let mut pairs = Pairs::new(16);
        pairs.push(1, 2);
        pairs.end_person();
        pairs.all = Cell::MOST;
        for _ in 0..3 {
            pairs.push(1, 2);
            pairs.push(3, 4);
            pairs.end_person();
        }
        let edge = |from, to, count| {
            let edge = Edge { count, persons: count };
            Pair { from, to, edge, missed: 0 }
        };
        assert_eq!(pairs.top(9).0, [edge(1, 2, 4), edge(3, 4, 3)]);
    }

    proptest! {
        #[test]
        fn what_is_not_forgotten_is_exact_and_the_rest_is_below_the_bound(
            events in prop::collection::vec((0u32..30, 0u32..30, 1u32..6), 0..400),
            map_max in 2usize..60, most in 0usize..40,
            stride_max in prop::sample::select(vec![16usize, 32]),
        ) {
            let mut events = events;
            events.sort_by_key(|event| event.2);
            let mut pairs = Pairs { map_max, ..Pairs::new(stride_max) };
            let mut plain: BTreeMap<(u32, u32), (u64, BTreeSet<u32>)> = BTreeMap::new();
            for person in events.chunk_by(|a, b| a.2 == b.2) {
                for &(from, to, person) in person {
                    pairs.push(from, to);
                    let (count, persons) = plain.entry((from, to)).or_default();
                    *count += 1;
                    persons.insert(person);
                }
                pairs.end_person();
            }
            let (top, left_out) = pairs.top(most);
            prop_assert!(top.len() <= most);
            prop_assert_eq!(pairs.all.count, events.len() as u64);
            for pair in top {
                let (count, persons) = plain.remove(&(pair.from, pair.to)).unwrap();
                prop_assert!(pair.edge.count <= count && count <= pair.edge.count + pair.missed);
                if pair.missed == 0 {
                    prop_assert_eq!(pair.edge.persons as usize, persons.len());
                }
            }
            prop_assert!(plain.values().all(|(count, _)| *count <= left_out));
        }
    }
}
