//! Many small segments of a week to one larger one.
//!
//! Size-tiered: when a week has `merge_fan_in` segments of one level, they become one segment of
//! the next level. So a row is rewritten once per level, and a week has few files per level.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::Keeper;
use crate::catalog::{CatalogChange, SegmentId};
use crate::error::{FlushError, ScanError};
use crate::segment::{NewSegment, Segment, SegmentRows, SegmentWriter, promote};

/// Rows after which a merge looks whether the store is closing.
const LOOK_EVERY_ROWS: u32 = 16 * 1024;

impl Keeper {
    /// Merge until no week has too many segments of one level.
    pub(super) fn merge_all(&self) -> Result<(), FlushError> {
        while let Some(inputs) = self.next_merge() {
            self.merge(&inputs)?;
        }
        Ok(())
    }

    fn next_merge(&self) -> Option<Vec<Arc<Segment>>> {
        let live = self.shared.live();
        if live.closing {
            return None;
        }
        let mut tiers: BTreeMap<(&str, u8), Vec<&Arc<Segment>>> = BTreeMap::new();
        for segment in live.segments.iter() {
            let meta = segment.meta();
            tiers.entry((&meta.week, meta.level)).or_default().push(segment);
        }
        let fan_in = self.shared.options.merge_fan_in.max(2);
        let full = tiers.into_values().find(|segments| segments.len() >= fan_in)?;
        Some(full.into_iter().cloned().collect())
    }

    fn merge(&self, inputs: &[Arc<Segment>]) -> Result<(), FlushError> {
        let first = inputs[0].meta();
        let (week, level) = (first.week.clone(), first.level.saturating_add(1));
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

fn damaged(error: ScanError) -> FlushError {
    let what = error.to_string();
    match error {
        ScanError::Segment { file, what } => FlushError::Segment { file, what },
        _ => FlushError::Segment { file: Default::default(), what },
    }
}
