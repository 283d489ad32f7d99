//! One new segment from sorted rows, whoever asks: flush, import or merge.

use std::sync::Arc;
use std::time::Duration;

use super::Keeper;
use super::ordered::{self, Cursor, damaged};
use super::rewrite::Rewrite;
use crate::catalog::SegmentMeta;
use crate::columns::Columns;
use crate::error::FlushError;
use crate::segment::SegmentWriter;
use crate::segment::{GroupBuilder, Info, NewSegment, PromotedKind, Segment, SegmentBatches};

/// A segment to be.
pub(super) struct Output<'a> {
    pub week: &'a str,
    pub level: u8,
    pub promoted: Vec<(String, PromotedKind)>,
    pub has_ids: bool,
}

/// Longest wait of a merge for ingest, for each batch of rows: a merge gets slow, and never stops,
/// because more and more segments would slow everything.
const GIVE_WAY: Duration = Duration::from_millis(50);

impl Keeper {
    /// Write the rows of all cursors. `each` is called now and then. `None` when the rules leave
    /// no row.
    pub(super) fn write_segment(
        &self,
        output: Output<'_>,
        cursors: Vec<Cursor>,
        rewrite: &Rewrite,
        each: &dyn Fn() -> Result<(), FlushError>,
    ) -> Result<Option<SegmentMeta>, FlushError> {
        let Output { week, level, promoted, has_ids } = output;
        let new = NewSegment {
            id: self.new_segment_id(),
            week,
            level,
            promoted,
            group_rows: self.shared.options.group_rows,
            has_ids,
        };
        let mut writer = None;
        let mut new = Some(new);
        ordered::merge(cursors, rewrite, &mut |order, sources| {
            each()?;
            if let Some(new) = new.take() {
                writer = Some(SegmentWriter::create(&self.folders, new)?);
            }
            writer.as_mut().map_or(Ok(()), |writer| writer.push(order, sources))
        })?;
        writer.map(|writer| writer.finish(&self.folders)).transpose()
    }

    /// Let ingest go first when it lags, and stop when the store closes.
    pub(super) fn give_way(&self) -> Result<(), FlushError> {
        let options = &self.shared.options;
        let live = self.shared.live();
        let is_flush_waiting =
            live.frozen.is_some() && live.active.bytes() >= options.memtable_bytes / 2;
        let is_lagging = is_flush_waiting || self.shared.queue.bytes() > options.queue_bytes / 2;
        if is_lagging && !live.closing {
            drop(live);
            std::thread::sleep(GIVE_WAY);
        } else if live.closing {
            return Err(FlushError::Closed); // What is in `tmp/` goes at the next start.
        }
        Ok(())
    }

    /// The rows of these segments that get another person, sorted under their new name.
    pub(super) fn set_aside(
        &self,
        inputs: &[Arc<Segment>],
        promoted: &[(String, PromotedKind)],
        rewrite: &Rewrite,
    ) -> Result<Option<Cursor>, FlushError> {
        if rewrite.moved.is_empty() {
            return Ok(None);
        }
        let mut info = Info::new(promoted.to_vec());
        let mut aside = GroupBuilder::new(&info);
        let mut persons = Vec::new();
        for input in inputs {
            let mut batches = SegmentBatches::all(input);
            while let Some(columns) = batches.next_batch().map_err(damaged)? {
                let leaving = rewrite.leaving(&columns);
                let order: Vec<(u32, u32)> = leaving.iter().map(|&(row, _)| (0, row)).collect();
                persons.extend(leaving.iter().map(|&(_, person)| person));
                if !order.is_empty() {
                    aside.gather(&order, &[&columns], &mut info);
                }
            }
        }
        let columns = Columns { person: persons, ..aside.finish(&info) };
        let mut rows: Vec<u32> = (0..columns.len() as u32).collect();
        rows.sort_by_key(|&row| columns.sort_key(row as usize));
        Ok((!rows.is_empty()).then(|| Cursor::of_columns(Arc::new(columns), rows)))
    }
}
