//! One new segment from sorted rows, whoever asks: flush, import or merge.

use std::time::Duration;

use super::Keeper;
use super::ordered::{self, Cursor};
use super::rewrite::Rewrite;
use crate::catalog::SegmentMeta;
use crate::error::FlushError;
use crate::segment::SegmentWriter;
use crate::segment::{NewSegment, PromotedKind, Watch};

/// A segment to be.
pub(crate) struct Output<'a> {
    pub week: &'a str,
    pub level: u8,
    pub promoted: Vec<(String, PromotedKind)>,
    pub has_ids: bool,
    /// What is known about people up to this frame is written down in it.
    pub link_epoch: u64,
    /// See [`NewSegment::watch`].
    pub watch: Option<Watch<'a>>,
    /// See [`NewSegment::encoders`].
    pub encoders: usize,
}

/// Longest wait of a merge for ingest, for each batch of rows: a merge gets slow, and never stops,
/// because more and more segments would slow everything.
const GIVE_WAY: Duration = Duration::from_millis(50);

impl Keeper {
    /// Write the rows of all cursors. `each` is called now and then. `None` when the rules leave
    /// no row.
    pub(crate) fn write_segment(
        &self,
        output: Output<'_>,
        cursors: Vec<Cursor>,
        rewrite: &Rewrite,
        each: &dyn Fn() -> Result<(), FlushError>,
    ) -> Result<Option<SegmentMeta>, FlushError> {
        let Output { week, level, promoted, has_ids, link_epoch, watch, encoders } = output;
        let new = NewSegment {
            id: self.new_segment_id(),
            week,
            level,
            promoted,
            group_rows: self.shared.options.group_rows,
            has_ids,
            watch,
            encoders,
        };
        let mut writer = None;
        let mut new = Some(new);
        let written = ordered::merge(cursors, rewrite, &mut |order, sources| {
            each()?;
            if let Some(new) = new.take() {
                writer = Some(SegmentWriter::create(&self.folders, new)?);
            }
            writer.as_mut().map_or(Ok(()), |writer| writer.push(order, sources))
        });
        if let Err(error) = written {
            if let Some(writer) = writer {
                writer.give_up(&self.folders);
            }
            return Err(error);
        }
        let meta = writer.map(|writer| writer.finish(&self.folders)).transpose()?;
        Ok(meta.map(|meta| SegmentMeta { link_epoch, ..meta }))
    }

    /// Let ingest go first when it lags, and stop when the store closes.
    pub(crate) fn give_way(&self) -> Result<(), FlushError> {
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
}
