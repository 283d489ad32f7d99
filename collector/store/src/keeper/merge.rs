//! Many small segments of a week to one larger one.
//!
//! While a week grows, size-tiered: when it has `merge_fan_in` segments of one level, they become
//! one segment of the next level, so a row is rewritten once per level. When it has settled, whatever
//! is worth a rewrite: the smallest segments, as long as the largest of them is not much larger than
//! the others together. So a few late events never rewrite a whole week.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::Keeper;
use crate::catalog::{CatalogChange, SegmentId};
use crate::error::{FlushError, ScanError};
use crate::segment::{NewSegment, Segment, SegmentRows, SegmentWriter, promote};

/// A segment joins smaller ones when it is at most this many times as large as they are together:
/// then a row is rewritten a number of times that grows with the logarithm of the week.
const LARGEST_TO_REST: u64 = 4;
/// Rows after which a merge looks whether the store is closing.
const LOOK_EVERY_ROWS: u32 = 16 * 1024;

impl Keeper {
    /// Merge until no week has too many segments of one level, and no settled week has segments that
    /// are worth a rewrite.
    pub(crate) fn merge_all(&self, settled: &BTreeSet<String>) -> Result<(), FlushError> {
        while let Some(inputs) = self.next_merge(settled) {
            self.merge(&inputs)?;
        }
        Ok(())
    }

    fn next_merge(&self, settled: &BTreeSet<String>) -> Option<Vec<Arc<Segment>>> {
        let live = self.shared.live();
        if live.closing {
            return None;
        }
        let fan_in = self.shared.options.merge_fan_in.max(2);
        let mut tiers: BTreeMap<(&str, u8), Vec<&Arc<Segment>>> = BTreeMap::new();
        let mut weeks: BTreeMap<&str, Vec<&Arc<Segment>>> = BTreeMap::new();
        for segment in live.segments.iter() {
            let meta = segment.meta();
            tiers.entry((&meta.week, meta.level)).or_default().push(segment);
            if settled.contains(&meta.week) {
                weeks.entry(&meta.week).or_default().push(segment);
            }
        }
        let full = tiers.into_values().find(|segments| segments.len() >= fan_in);
        let chosen = full.or_else(|| {
            weeks.into_values().find_map(|mut segments| {
                segments.sort_by_key(|segment| segment.meta().rows);
                let rows: Vec<u64> = segments.iter().map(|segment| segment.meta().rows).collect();
                segments.truncate(worth_a_rewrite(&rows).min(fan_in));
                (segments.len() >= 2).then_some(segments)
            })
        })?;
        Some(chosen.into_iter().cloned().collect())
    }

    fn merge(&self, inputs: &[Arc<Segment>]) -> Result<(), FlushError> {
        let week = inputs[0].meta().week.clone();
        let level = inputs.iter().map(|segment| segment.meta().level).max().unwrap_or(0);
        let level = level.saturating_add(1);
        let mut counts: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for (key, of_input) in inputs.iter().flat_map(|segment| segment.keys()) {
            let sums = counts.entry(key).or_default();
            sums.iter_mut().zip(of_input).for_each(|(sum, n)| *sum += n);
        }
        let rows = inputs.iter().map(|segment| segment.meta().rows).sum();
        let promoted = promote(counts.into_iter(), rows);
        let new = NewSegment {
            id: self.new_segment_id(),
            week: &week,
            level,
            promoted,
            group_rows: self.shared.options.group_rows,
        };
        let mut writer = SegmentWriter::create(&self.folders, new)?;

        let mut cursors =
            inputs.iter().map(SegmentRows::all).collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        let key = |cursor: &SegmentRows| cursor.row().map(|row| row.sort_key());
        let mut heap: BinaryHeap<_> = cursors
            .iter()
            .enumerate()
            .filter_map(|(i, cursor)| Some(Reverse((key(cursor)?, i))))
            .collect();
        let mut rows_until_look = LOOK_EVERY_ROWS;
        while let Some(Reverse((_, i))) = heap.pop() {
            rows_until_look -= 1;
            if rows_until_look == 0 {
                rows_until_look = LOOK_EVERY_ROWS;
                if self.shared.live().closing {
                    return Err(FlushError::Closed); // What is in `tmp/` goes at the next start.
                }
            }
            let cursor = &mut cursors[i];
            if let Some(row) = cursor.row() {
                writer.push(&row)?;
            }
            cursor.advance().map_err(damaged)?;
            if let Some(key) = key(cursor) {
                heap.push(Reverse((key, i)));
            }
        }
        let meta = writer.finish(&self.folders)?;
        let change = CatalogChange {
            add: vec![meta],
            remove: inputs.iter().map(|segment| segment.meta().id).collect::<Vec<SegmentId>>(),
            ..CatalogChange::default()
        };
        self.commit(change, |_| ())?;
        self.count(|counters| &counters.merges);
        Ok(())
    }
}

/// How many segments, of sizes in rising order, are worth one rewrite: 0 or at least 2.
fn worth_a_rewrite(rows: &[u64]) -> usize {
    let fits = |&count: &usize| {
        let (rest, largest) = rows[..count].split_at(count - 1);
        largest[0] <= LARGEST_TO_REST.saturating_mul(rest.iter().sum())
    };
    (2..=rows.len()).rev().find(fits).unwrap_or(0)
}

fn damaged(error: ScanError) -> FlushError {
    let what = error.to_string();
    match error {
        ScanError::Segment { file, what } => FlushError::Segment { file, what },
        _ => FlushError::Segment { file: Default::default(), what },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(&[], 0)]
    #[case::one(&[10], 0)]
    #[case::equal_ones(&[10, 10, 10], 3)]
    #[case::as_large_as_allowed(&[10, 40], 2)]
    #[case::one_row_too_large(&[10, 41], 0)]
    #[case::late_events_leave_the_week_alone(&[1, 2, 1_000], 2)]
    #[case::a_small_one_goes_with_two_large_ones(&[1, 1_000, 1_000], 3)]
    fn segments_of_a_settled_week(#[case] rows: &[u64], #[case] want: usize) {
        assert_eq!(worth_a_rewrite(rows), want);
    }
}
