//! Columns of a row group as Arrow's arrays: for whatever is not worth a way of its own.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, FixedSizeBinaryArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result as ParquetResult};

use super::Segment;
use crate::error::ScanError;

impl Segment {
    /// One column of a row group.
    pub(super) fn column(&self, group: u32, name: &str) -> Result<ArrayRef, ScanError> {
        self.columns(group, &[name]).map(|mut columns| columns.swap_remove(0))
    }

    /// Columns of a row group, in the order asked for.
    pub(super) fn columns(&self, group: u32, names: &[&str]) -> Result<Vec<ArrayRef>, ScanError> {
        let schema = self.arrow.schema();
        let index =
            |name: &&str| schema.index_of(name).map_err(|_| self.damaged("a column is missing"));
        let indexes = names.iter().map(index).collect::<Result<Vec<_>, _>>()?;
        let chunks = self.arrow.metadata().row_group(group as usize);
        let ranges = indexes.iter().map(|&index| chunks.column(index).byte_range());
        let mask = ProjectionMask::leaves(self.arrow.parquet_schema(), indexes.iter().copied());
        let read = || -> ParquetResult<_> {
            let mut reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
                self.file.fetch(ranges)?,
                self.arrow.clone(),
            )
            .with_row_groups(vec![group as usize])
            .with_projection(mask)
            .with_batch_size(self.group_rows(group))
            .build()?;
            reader.next().transpose().map_err(ParquetError::from)
        };
        let batch = read().map_err(|error| self.damaged(&error.to_string()))?;
        let batch = batch.filter(|batch| batch.num_rows() == self.group_rows(group));
        let batch = batch.ok_or_else(|| self.too_short())?;
        let column = |name: &&str| {
            batch.column_by_name(name).cloned().ok_or_else(|| self.damaged("a column is missing"))
        };
        names.iter().map(column).collect()
    }

    pub(super) fn primitive<'a, T: arrow_array::ArrowPrimitiveType>(
        &self,
        column: &'a ArrayRef,
    ) -> Result<&'a [T::Native], ScanError> {
        let column = column.as_primitive_opt::<T>().ok_or_else(|| self.wrong_type())?;
        Ok(column.values())
    }

    pub(super) fn fixed<'a>(
        &self,
        column: &'a ArrayRef,
    ) -> Result<&'a FixedSizeBinaryArray, ScanError> {
        let column = column.as_fixed_size_binary_opt().ok_or_else(|| self.wrong_type())?;
        if column.value_length() == 16 { Ok(column) } else { Err(self.wrong_type()) }
    }

    /// Project and event id of every row; nothing when the ids were dropped.
    ///
    /// # Errors
    /// [`ScanError::Segment`] when the file cannot be read.
    pub(crate) fn ids(&self, each: &mut dyn FnMut(u32, u128)) -> Result<(), ScanError> {
        if !self.meta.has_ids {
            return Ok(());
        }
        for group in 0..self.info.groups.len() as u32 {
            let columns = self.columns(group, &["project", "event_id"])?;
            let projects = self.primitive::<UInt32Type>(&columns[0])?;
            for (&project, bytes) in projects.iter().zip(self.fixed(&columns[1])?.iter()) {
                each(project, id(bytes));
            }
        }
        Ok(())
    }

    pub(super) fn wrong_type(&self) -> ScanError {
        self.damaged("a column has another type than we write")
    }

    pub(super) fn too_short(&self) -> ScanError {
        self.damaged("a row group is shorter than it says")
    }

    pub(super) fn damaged(&self, what: &str) -> ScanError {
        ScanError::Segment { file: self.path.clone(), what: what.to_owned() }
    }
}

/// 16 bytes as an id, 0 for null.
pub(super) fn id(bytes: Option<&[u8]>) -> u128 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u128::from_be_bytes)
}
