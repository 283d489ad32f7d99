//! Whole rows of a segment, in order: a few thousand at a time.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, BooleanArray, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_array::{DictionaryArray, TypedDictionaryArray};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::Segment;
use super::info::PromotedKind;
use super::read::id;
use crate::error::ScanError;
use crate::memtable::RowRef;
use crate::props;
use crate::row::Dim;

/// Rows decoded at once: a merge holds one such batch of every input.
const BATCH_ROWS: usize = 4096;

/// Walks over the rows of some row groups.
pub(crate) struct SegmentRows {
    segment: Arc<Segment>,
    reader: ParquetRecordBatchReader,
    batch: Option<Batch>,
    at: usize,
}

impl SegmentRows {
    /// Start at the first row of these row groups.
    ///
    /// # Errors
    /// [`ScanError::Segment`] when the file cannot be read.
    pub(crate) fn open(segment: &Arc<Segment>, groups: Vec<usize>) -> Result<Self, ScanError> {
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
            segment.file.clone(),
            segment.arrow.clone(),
        );
        let reader = reader.with_row_groups(groups).with_batch_size(BATCH_ROWS).build();
        let reader = reader.map_err(|error| segment.damaged(&error.to_string()))?;
        let mut rows = Self { segment: Arc::clone(segment), reader, batch: None, at: 0 };
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
        self.batch.as_ref().map(|batch| batch.row(self.at))
    }

    /// Go to the next row.
    ///
    /// # Errors
    /// [`ScanError::Segment`] when the file cannot be read.
    pub(crate) fn advance(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        if self.batch.as_ref().is_some_and(|batch| self.at >= batch.rows) {
            self.next_batch()?;
        }
        Ok(())
    }

    fn next_batch(&mut self) -> Result<(), ScanError> {
        self.at = 0;
        let batch = self.reader.next().transpose();
        let batch = batch.map_err(|error| self.segment.damaged(&error.to_string()))?;
        self.batch = match batch {
            Some(batch) if batch.num_rows() > 0 => {
                Some(Batch::new(&self.segment, &batch).ok_or_else(|| {
                    self.segment.damaged("a column has another type than we write")
                })?)
            }
            _ => None,
        };
        Ok(())
    }
}

/// Decoded rows.
struct Batch {
    rows: usize,
    project: UInt32Array,
    person: UInt64Array,
    actor: UInt64Array,
    ts: TimestampMillisecondArray,
    seq: UInt32Array,
    event_id: FixedSizeBinaryArray,
    received: TimestampMillisecondArray,
    claimed: TimestampMillisecondArray,
    flags: UInt8Array,
    event: DictionaryArray<Int32Type>,
    session: FixedSizeBinaryArray,
    dims: Vec<Option<DictionaryArray<Int32Type>>>,
    props: String,
    props_ends: Vec<usize>,
}

impl Batch {
    fn new(segment: &Segment, batch: &RecordBatch) -> Option<Self> {
        let column = |name: &str| batch.column_by_name(name);
        // A dimension that was added later has no column in older files.
        let dims = Dim::ALL.iter().map(|dim| match column(dim.name()) {
            Some(column) => column.as_dictionary_opt::<Int32Type>().cloned().map(Some),
            None => Some(None),
        });
        let mut out = Self {
            rows: batch.num_rows(),
            project: column("project")?.as_primitive_opt::<UInt32Type>()?.clone(),
            person: column("person")?.as_primitive_opt::<UInt64Type>()?.clone(),
            actor: column("actor")?.as_primitive_opt::<UInt64Type>()?.clone(),
            ts: column("ts")?.as_primitive_opt::<TimestampMillisecondType>()?.clone(),
            seq: column("seq")?.as_primitive_opt::<UInt32Type>()?.clone(),
            event_id: column("event_id")?.as_fixed_size_binary_opt()?.clone(),
            received: column("received")?.as_primitive_opt::<TimestampMillisecondType>()?.clone(),
            claimed: column("claimed")?.as_primitive_opt::<TimestampMillisecondType>()?.clone(),
            flags: column("flags")?.as_primitive_opt::<UInt8Type>()?.clone(),
            event: column("event")?.as_dictionary_opt::<Int32Type>()?.clone(),
            session: column("session")?.as_fixed_size_binary_opt()?.clone(),
            dims: dims.collect::<Option<Vec<_>>>()?,
            props: String::new(),
            props_ends: Vec::with_capacity(batch.num_rows()),
        };
        out.assemble_props(segment, batch)?;
        Some(out)
    }

    /// Put the properties together again: those with a column first, then the rest as written.
    fn assemble_props(&mut self, segment: &Segment, batch: &RecordBatch) -> Option<()> {
        let mut columns = Vec::new();
        for promoted in &segment.info.promoted {
            let column = batch.column_by_name(&format!("p.{}", promoted.key))?;
            let values = match promoted.kind {
                PromotedKind::Text => Values::Text(
                    column.as_dictionary_opt::<Int32Type>()?.downcast_dict::<StringArray>()?,
                ),
                PromotedKind::Number => Values::Number(column.as_primitive_opt::<Float64Type>()?),
                PromotedKind::Bool => Values::Bool(column.as_boolean_opt()?),
            };
            let mut key = String::new();
            props::quote(&promoted.key, &mut key);
            columns.push((key, values));
        }
        let rest = batch.column_by_name("props")?.as_string_opt::<i32>()?;
        let out = &mut self.props;
        for row in 0..self.rows {
            let rest = if rest.is_valid(row) { rest.value(row) } else { "{}" };
            let Some(rest) = rest.strip_prefix('{') else {
                // Not an object: kept as it came.
                out.push_str(rest);
                self.props_ends.push(out.len());
                continue;
            };
            let start = out.len() + 1;
            for (key, values) in &columns {
                values.append(row, key, start, out);
            }
            if out.len() < start {
                out.push('{');
            } else if rest != "}" {
                out.push(',');
            }
            out.push_str(rest);
            self.props_ends.push(out.len());
        }
        Some(())
    }

    fn row(&self, row: usize) -> RowRef<'_> {
        let mut dims = [None; Dim::ALL.len()];
        for (dim, column) in dims.iter_mut().zip(&self.dims) {
            *dim = column.as_ref().and_then(|column| text(column, row));
        }
        let props_start = if row == 0 { 0 } else { self.props_ends[row - 1] };
        RowRef {
            project: self.project.value(row),
            person: self.person.value(row),
            actor: self.actor.value(row),
            ts_ms: self.ts.value(row),
            seq: self.seq.value(row),
            event_id: id(Some(self.event_id.value(row))),
            received_ms: self.received.value(row),
            claimed_ms: self.claimed.value(row),
            flags: self.flags.value(row),
            event: text(&self.event, row).unwrap_or(""),
            session: id(self.session.is_valid(row).then(|| self.session.value(row))),
            dims,
            props: &self.props[props_start..self.props_ends[row]],
        }
    }
}

fn text(column: &DictionaryArray<Int32Type>, row: usize) -> Option<&str> {
    let values = column.values().as_string_opt::<i32>()?;
    Some(values.value(column.key(row)?))
}

/// A property's column.
enum Values<'a> {
    Text(TypedDictionaryArray<'a, Int32Type, StringArray>),
    Number(&'a Float64Array),
    Bool(&'a BooleanArray),
}

impl Values<'_> {
    /// Append `"key":value` to the object that begins before `start`, if the row has a value.
    fn append(&self, row: usize, key: &str, start: usize, out: &mut String) {
        let is_valid = match self {
            Self::Text(texts) => texts.is_valid(row),
            Self::Number(numbers) => numbers.is_valid(row),
            Self::Bool(bools) => bools.is_valid(row),
        };
        if !is_valid {
            return;
        }
        out.push(if out.len() < start { '{' } else { ',' });
        out.push_str(key);
        out.push(':');
        match self {
            Self::Text(texts) => {
                let key = texts.keys().value(row) as usize;
                props::quote(texts.values().value(key), out);
            }
            Self::Number(numbers) => out.push_str(&props::text_of_number(numbers.value(row))),
            Self::Bool(bools) => out.push_str(if bools.value(row) { "true" } else { "false" }),
        }
    }
}
