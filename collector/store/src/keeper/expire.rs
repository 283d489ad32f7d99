//! Events that are too old, taken out of files that nothing else would touch.
//!
//! In: the rules that hold now. Out: a file of which all is too old goes as it is, unread where its
//! bounds say enough; one of which more than a hundredth is, or anything for longer than a month, is
//! written again without it. Flushes and merges leave such rows out anyway (`rewrite`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Keeper;
use super::merge::Plan;
use super::ordered::damaged;
use super::rewrite::expired_usage;
use crate::block::{Block, ColumnKey};
use crate::catalog::CatalogChange;
use crate::error::{FlushError, ScanError};
use crate::retention::Cuts;
use crate::segment::Segment;

/// A segment is written again when more than one row in so many is too old …
const WORTH_ROWS: u64 = 100;
/// … or when one has been for this long.
const OVERDUE_MS: i64 = 30 * 86_400_000;

/// What is too old in a segment.
#[derive(Debug, Default)]
struct Old {
    /// Rows by project.
    rows: BTreeMap<u32, u64>,
    is_overdue: bool,
}

impl Keeper {
    /// Look at every file.
    pub(crate) fn expire(&self) -> Result<(), FlushError> {
        let now_ms = (self.shared.options.now_ms)();
        let segments = Arc::clone(&self.shared.live().segments);
        for segment in segments.iter() {
            if self.shared.live().closing {
                return Ok(());
            }
            let old = self.old(segment, now_ms).map_err(damaged)?;
            let rows: u64 = old.rows.values().sum();
            if rows == segment.meta().rows {
                let usage = expired_usage(&old.rows, now_ms);
                let remove = vec![segment.meta().id];
                self.commit(CatalogChange { remove, usage, ..CatalogChange::default() }, |_| ())?;
                self.count_expired(rows);
            } else if rows * WORTH_ROWS > segment.meta().rows || old.is_overdue {
                let week = segment.meta().week.clone();
                self.merge(&Plan { inputs: vec![Arc::clone(segment)], week })?;
            }
        }
        Ok(())
    }

    fn old(&self, segment: &Arc<Segment>, now_ms: i64) -> Result<Old, ScanError> {
        let mut old = Old::default();
        for block in segment.source(segment.cache().reading()).blocks {
            let bounds = block.bounds();
            if bounds.first.0 == bounds.last.0 {
                let rows = 0..bounds.rows as usize;
                self.old_in(&*block, bounds.first.0, rows, now_ms, &mut old)?;
                continue;
            }
            let column = block.column(&ColumnKey::Runs)?;
            let runs = column.runs();
            for &(project, _) in &runs.projects {
                let within = runs.within(project, 0, u64::MAX);
                let rows = runs.starts[within.start] as usize..runs.starts[within.end] as usize;
                self.old_in(&*block, project, rows, now_ms, &mut old)?;
            }
        }
        Ok(old)
    }

    /// The rows of one project in a block.
    fn old_in(
        &self,
        block: &dyn Block,
        project: u32,
        rows: std::ops::Range<usize>,
        now_ms: i64,
        old: &mut Old,
    ) -> Result<(), ScanError> {
        let cuts = self.shared.options.retention.cuts(project, now_ms);
        let bounds = block.bounds();
        let Some(cuts) = cuts.filter(|cuts| bounds.ts_min_ms < cuts.latest_ms()) else {
            return Ok(());
        };
        let count = if bounds.ts_max_ms < cuts.earliest_ms() {
            old.is_overdue |= bounds.ts_min_ms < cuts.earliest_ms().saturating_sub(OVERDUE_MS);
            rows.len() as u64
        } else {
            count(block, &cuts, rows, &mut old.is_overdue)?
        };
        if count > 0 {
            *old.rows.entry(project).or_default() += count;
        }
        Ok(())
    }
}

fn count(
    block: &dyn Block,
    cuts: &Cuts,
    rows: std::ops::Range<usize>,
    is_overdue: &mut bool,
) -> Result<u64, ScanError> {
    let (events, ts) = (block.column(&ColumnKey::Event)?, block.column(&ColumnKey::Ts)?);
    let (events, ts) = (events.texts(), ts.times());
    let mut by_code = vec![cuts.of("")];
    events.values.each(0, |name| by_code.push(cuts.of(name)));
    let mut count = 0;
    for row in rows {
        let (at_ms, cut_ms) = (ts.get(row), by_code[events.codes.get(row) as usize]);
        count += u64::from(at_ms < cut_ms);
        *is_overdue |= at_ms < cut_ms.saturating_sub(OVERDUE_MS);
    }
    Ok(count)
}
