//! Person ranges of about equal work.

use std::ops::{Range, RangeInclusive};

use super::Timed;

/// More ranges than threads, so that a thread with light ones takes more of them.
const RANGES_PER_THREAD: usize = 4;
/// Ranges that cover every person once, in order, and about how many rows there are in all. Cuts are where
/// blocks begin, if possible, so that few blocks are looked at by two threads.
pub(super) fn ranges(
    project: u32,
    sources: &[Timed<'_>],
    times: &Range<i64>,
    threads: usize,
) -> (Vec<RangeInclusive<u64>>, u64) {
    let mut samples: Vec<(u64, u64)> = Vec::new();
    for block in sources.iter().flat_map(|source| source.blocks) {
        if block.bounds().may_hold(project, 0..=u64::MAX, times) {
            block.sample_persons(project, &mut samples);
        }
    }
    samples.sort_unstable();
    let all: u64 = samples.iter().map(|(_, rows)| rows).sum();
    let count = (threads * RANGES_PER_THREAD).clamp(1, samples.len().max(1));
    let share = all / count as u64 + 1;
    let mut ranges = Vec::with_capacity(count);
    let (mut from, mut held) = (0, 0);
    for (person, rows) in samples {
        if held >= share && person > from {
            ranges.push(from..=person - 1);
            (from, held) = (person, 0);
        }
        held += rows;
    }
    ranges.push(from..=u64::MAX);
    (ranges, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Source;
    use crate::memtable::MemRun;
    use crate::testing::any_row;
    use proptest::prelude::*;
    use std::sync::Arc;

    proptest! {
        #[test]
        fn every_person_is_in_one_range(
            rows in prop::collection::vec(any_row(), 0..60),
            threads in 1usize..5,
        ) {
            let run = Arc::new(MemRun::sort(&[Arc::new(rows)]));
            let source = Source { blocks: vec![run] };
            let (ranges, _) = ranges(1, &[Timed::new(&source)], &(i64::MIN..i64::MAX), threads);
            prop_assert_eq!(*ranges[0].start(), 0);
            prop_assert_eq!(*ranges[ranges.len() - 1].end(), u64::MAX);
            for pair in ranges.windows(2) {
                prop_assert_eq!(pair[0].end() + 1, *pair[1].start());
            }
        }
    }
}
