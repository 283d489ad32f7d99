//! Whole rows of a segment, in order: for exports and lists of events.

use std::sync::Arc;

use super::{Segment, SegmentBatches};
use crate::columns::Columns;
use crate::error::ScanError;
use crate::memtable::RowRef;

/// Walks over the rows of some row groups.
pub(crate) struct SegmentRows {
    batches: SegmentBatches,
    batch: Option<Columns>,
    at: usize,
    /// The properties of the row it stands at.
    props: String,
}

impl SegmentRows {
    /// Start at the first row of these row groups.
    ///
    /// # Errors
    /// [`ScanError::Segment`] when the file cannot be read.
    pub(crate) fn open(segment: &Arc<Segment>, groups: Vec<usize>) -> Result<Self, ScanError> {
        let batches = SegmentBatches::open(segment, groups);
        let mut rows = Self { batches, batch: None, at: 0, props: String::new() };
        rows.next_batch()?;
        Ok(rows)
    }

    /// All row groups of a segment.
    ///
    /// # Errors
    /// [`ScanError::Segment`] when the file cannot be read.
    pub(crate) fn all(segment: &Arc<Segment>) -> Result<Self, ScanError> {
        Self::open(segment, (0..segment.info.groups.len()).collect())
    }

    /// The row it stands at; `None` at the end.
    pub(crate) fn row(&self) -> Option<RowRef<'_>> {
        self.batch.as_ref().map(|batch| batch.row(self.at, &self.props))
    }

    /// Go to the next row.
    ///
    /// # Errors
    /// [`ScanError::Segment`] when the file cannot be read.
    pub(crate) fn advance(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        match &self.batch {
            Some(batch) if self.at >= batch.len() => self.next_batch(),
            _ => {
                self.assemble_props();
                Ok(())
            }
        }
    }

    fn next_batch(&mut self) -> Result<(), ScanError> {
        self.batch = self.batches.next_batch()?;
        self.at = 0;
        self.assemble_props();
        Ok(())
    }

    fn assemble_props(&mut self) {
        self.props.clear();
        if let Some(batch) = &self.batch {
            batch.push_props(self.at, &mut self.props);
        }
    }
}
