//! The persons of several sources, each once, and where each source's persons are among them.
//!
//! A question adds lists of several segments up. With a roster that is one addition per entry and
//! no comparison; it depends on the segments alone, so it is kept for the next question.
//!
//! Invariant: `places[s][i]` is the place of person `i` of source `s`; places of a source rise.

use std::sync::{Arc, Mutex, PoisonError};

use crate::catalog::SegmentId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub persons: Vec<u64>,
    pub places: Vec<Vec<u32>>,
}

impl Roster {
    /// Of lists of persons, each in order.
    pub(super) fn new(sources: &[Arc<Vec<u64>>], threads: usize) -> Self {
        // Threads take ranges of persons of about equal work: the longest list says where to cut.
        let Some(longest) = sources.iter().max_by_key(|source| source.len()) else {
            return Self::default();
        };
        let step = longest.len().div_ceil(threads.max(1)).max(64 * 1024);
        let cuts: Vec<u64> = longest.iter().step_by(step).skip(1).copied().collect();
        let parts: Vec<Self> = std::thread::scope(|scope| {
            let starts = std::iter::once(None).chain(cuts.iter().copied().map(Some));
            let ends = cuts.iter().copied().map(Some).chain(std::iter::once(None));
            let part = |(start, end): (Option<u64>, Option<u64>)| {
                move || {
                    let place = |source: &[u64], cut: Option<u64>, default| {
                        cut.map_or(default, |cut| source.partition_point(|person| *person < cut))
                    };
                    let within = |source: &Arc<Vec<u64>>| {
                        place(source, start, 0)..place(source, end, source.len())
                    };
                    let slices: Vec<&[u64]> =
                        sources.iter().map(|source| &source[within(source)]).collect();
                    Self::of(&slices)
                }
            };
            let handles: Vec<_> = starts.zip(ends).map(|ends| scope.spawn(part(ends))).collect();
            // A part only compares numbers; if it panics, so does this.
            handles
                .into_iter()
                .map(|handle| {
                    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        let mut whole = Self { persons: Vec::new(), places: vec![Vec::new(); sources.len()] };
        for part in parts {
            let before = whole.persons.len() as u32;
            whole.persons.extend(part.persons);
            for (places, more) in whole.places.iter_mut().zip(part.places) {
                places.extend(more.into_iter().map(|place| place + before));
            }
        }
        whole
    }

    fn of(sources: &[&[u64]]) -> Self {
        let mut by_length: Vec<&[u64]> = sources.to_vec();
        by_length.sort_by_key(|source| source.len());
        let mut persons = Vec::new();
        for source in by_length {
            persons = union(&persons, source);
        }
        let places = sources.iter().map(|source| places(&persons, source)).collect();
        Self { persons, places }
    }

    /// Bytes held, about.
    fn bytes(&self) -> usize {
        self.persons.len() * 8 + self.places.iter().map(|places| places.len() * 4).sum::<usize>()
    }
}

fn union(a: &[u64], b: &[u64]) -> Vec<u64> {
    if a.is_empty() || b.is_empty() {
        return [a, b].concat();
    }
    let mut both = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        let (x, y) = (a[i], b[j]);
        both.push(x.min(y));
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    both.extend_from_slice(&a[i..]);
    both.extend_from_slice(&b[j..]);
    both
}

/// Where the persons of `some`, who are all among `persons`, are.
fn places(persons: &[u64], some: &[u64]) -> Vec<u32> {
    let mut place = 0;
    let find = |person: &u64| {
        while persons[place] < *person {
            place += 1;
        }
        place as u32
    };
    some.iter().map(find).collect()
}

/// What a roster is of: a project in some segments.
type Key = (u32, Vec<SegmentId>);

/// Rosters of the last few sets of segments.
#[derive(Debug)]
pub(crate) struct Rosters {
    kept: Mutex<Vec<(Key, Arc<Roster>)>>,
    bytes_max: usize,
}

impl Rosters {
    /// At most so many bytes are kept.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), bytes_max }
    }

    /// The roster of these segments, kept or made.
    pub(super) fn get<E>(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Roster, E>,
    ) -> Result<Arc<Roster>, E> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut kept = lock();
            if let Some(at) = kept.iter().position(|(known, _)| *known == key) {
                // Last used, first kept.
                let found = kept.remove(at);
                let roster = Arc::clone(&found.1);
                kept.insert(0, found);
                return Ok(roster);
            }
        }
        let roster = Arc::new(make()?);
        let mut kept = lock();
        kept.retain(|(known, _)| *known != key);
        kept.insert(0, (key, Arc::clone(&roster)));
        let mut held = 0;
        kept.retain(|(_, roster)| {
            held += roster.bytes();
            held <= self.bytes_max
        });
        Ok(roster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_roster_names_everybody_once_and_finds_everybody(
            sources in prop::collection::vec(prop::collection::btree_set(0u64..200, 0..60), 0..5),
        ) {
            let all: BTreeSet<u64> = sources.iter().flatten().copied().collect();
            let sources: Vec<Arc<Vec<u64>>> =
                sources.into_iter().map(|source| Arc::new(source.into_iter().collect())).collect();
            let roster = Roster::new(&sources, 2);
            prop_assert!(roster.persons.iter().eq(&all));
            for (source, places) in sources.iter().zip(&roster.places) {
                let found: Vec<u64> = places.iter().map(|at| roster.persons[*at as usize]).collect();
                prop_assert_eq!(&found, &**source);
            }
        }
    }

    #[test]
    fn a_roster_that_threads_made_is_the_same() {
        let sources: Vec<Arc<Vec<u64>>> =
            [3u64, 5, 7].map(|n| Arc::new((0..200_000).map(|i| i * n).collect())).into();
        let (one, many) = (Roster::new(&sources, 1), Roster::new(&sources, 3));
        assert!(one.persons == many.persons && one.places == many.places);
    }

    #[test]
    fn the_oldest_rosters_go_when_there_is_no_room() {
        let rosters = Rosters::new(2 * 12 * 100);
        let make = |from: u64| {
            move || Ok::<_, ()>(Roster::new(&[Arc::new((from..from + 100).collect())], 1))
        };
        let mut made = Vec::new();
        for key in [1, 2, 1, 3, 1, 2] {
            let mut is_made = false;
            let get = rosters.get((key, vec![]), || {
                is_made = true;
                make(u64::from(key))()
            });
            assert_eq!(get.unwrap().persons[0], u64::from(key));
            made.push(is_made);
        }
        assert_eq!(made, [true, true, false, true, false, true]);
    }
}
