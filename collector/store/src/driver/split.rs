//! Person ranges of about equal work.

use std::ops::{Range, RangeInclusive};

use super::Source;

/// More ranges than threads, so that a thread with light ones takes more of them.
const RANGES_PER_THREAD: usize = 4;
/// Below this a range is not worth a task of its own.
const RANGE_ROWS_MIN: u64 = 16 * 1024;

/// Ranges that cover every person once, in order. Cuts are where blocks begin, if possible, so
/// that few blocks are looked at by two threads.
pub(super) fn ranges(
    project: u32,
    sources: &[Source],
    times: &Range<i64>,
    threads: usize,
) -> Vec<RangeInclusive<u64>> {
    let mut samples: Vec<(u64, u64)> = Vec::new();
    for block in sources.iter().flat_map(|source| &source.blocks) {
        if block.bounds().may_hold(project, 0..=u64::MAX, times) {
            block.sample_persons(project, &mut samples);
        }
    }
    samples.sort_unstable();
    let rows: u64 = samples.iter().map(|(_, rows)| rows).sum();
    let count = (threads * RANGES_PER_THREAD).min((rows / RANGE_ROWS_MIN) as usize + 1);
    let share = rows / count as u64 + 1;
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
    ranges
}
