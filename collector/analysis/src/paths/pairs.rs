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

/// One pair's count. Persons are numbered from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Edge {
    pub count: u64,
    pub persons: u32,
    last: u32,
}

impl Edge {
    #[inline]
    fn add(&mut self, person: u32) {
        self.count += 1;
        self.persons += u32::from(self.last != person);
        self.last = person;
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

/// Transitions at one depth.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    /// Codes below `stride` on both sides.
    table: Vec<Edge>,
    stride: usize,
    stride_max: usize,
    map: HashMap<u64, (Edge, u64)>,
    map_max: usize,
    /// The most a forgotten pair may have happened.
    forgotten: u64,
    /// All of them.
    pub all: Edge,
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
        }
    }

    /// Count a transition of a person.
    #[inline]
    pub(super) fn add(&mut self, from: u32, to: u32, person: u32) {
        self.all.add(person);
        let (row, column) = (from as usize, to as usize);
        if row < self.stride && column < self.stride {
            self.table[row * self.stride + column].add(person);
        } else {
            self.add_beyond(from, to, person);
        }
    }

    /// A transition that has no place in the table, yet.
    fn add_beyond(&mut self, from: u32, to: u32, person: u32) {
        let most = from.max(to) as usize;
        if most < self.stride_max {
            self.widen((most + 1).next_power_of_two().max(16).min(self.stride_max));
            self.table[from as usize * self.stride + to as usize].add(person);
            return;
        }
        if self.map.len() >= self.map_max {
            self.forget();
        }
        let missed = self.forgotten;
        self.map
            .entry(u64::from(from) << 32 | u64::from(to))
            .or_insert((Edge::default(), missed))
            .0
            .add(person);
    }

    fn widen(&mut self, stride: usize) {
        let mut table = vec![Edge::default(); stride * stride];
        for (row, old) in self.table.chunks(self.stride.max(1)).enumerate() {
            table[row * stride..row * stride + old.len()].copy_from_slice(old);
        }
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
        let counted = |(place, edge): (usize, &Edge)| Pair {
            from: (place / self.stride) as u32,
            to: (place % self.stride) as u32,
            edge: *edge,
            missed: 0,
        };
        let mut pairs: Vec<Pair> =
            self.table.iter().enumerate().map(counted).filter(|pair| pair.edge.count > 0).collect();
        pairs.extend(self.map.iter().map(|(key, (edge, missed))| Pair {
            from: (key >> 32) as u32,
            to: *key as u32,
            edge: *edge,
            missed: *missed,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn what_is_not_forgotten_is_exact_and_the_rest_is_below_the_bound(
            events in prop::collection::vec((0u32..30, 0u32..30, 1u32..6), 0..400),
            map_max in 2usize..60, most in 0usize..40,
        ) {
            let mut events = events;
            events.sort_by_key(|event| event.2);
            let mut pairs = Pairs { map_max, ..Pairs::new(16) };
            let mut plain: BTreeMap<(u32, u32), (u64, BTreeSet<u32>)> = BTreeMap::new();
            for &(from, to, person) in &events {
                pairs.add(from, to, person);
                let (count, persons) = plain.entry((from, to)).or_default();
                *count += 1;
                persons.insert(person);
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
