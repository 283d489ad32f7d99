//! Rows of a segment as [`Columns`], a few thousand at a time, in order.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, StringArray};
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::arrays::id;
use super::info::PromotedKind;
use super::{ORIGIN, Segment, WRITER};
use crate::columns::{Coded, Columns, Dictionary, PropertyColumn, Rest, Values};
use crate::error::ScanError;
use crate::row::Dim;

/// Rows decoded at once: a merge holds one such batch of every input.
const BATCH_ROWS: usize = 4096;

/// Gives batch after batch. A batch is of one row group, so all batches of a group share their
/// dictionaries.
pub(crate) struct SegmentBatches {
    segment: Arc<Segment>,
    groups: std::vec::IntoIter<usize>,
    reader: Option<ParquetRecordBatchReader>,
    /// By column: the dictionary last met, and its texts in our form.
    dictionaries: HashMap<String, (StringArray, Dictionary)>,
}

impl SegmentBatches {
    /// Start at the first row of these row groups.
    pub(crate) fn open(segment: &Arc<Segment>, groups: Vec<usize>) -> Self {
        Self {
            segment: Arc::clone(segment),
            groups: groups.into_iter(),
            reader: None,
            dictionaries: HashMap::new(),
        }
    }

    /// All row groups of a segment.
    pub(crate) fn all(segment: &Arc<Segment>) -> Self {
        Self::open(segment, (0..segment.info.groups.len()).collect())
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// [`ScanError::Segment`] when the file cannot be read.
    pub(crate) fn next_batch(&mut self) -> Result<Option<Columns>, ScanError> {
        loop {
            if let Some(reader) = &mut self.reader {
                let batch = reader.next().transpose();
                let batch = batch.map_err(|error| self.segment.damaged(&error.to_string()))?;
                if let Some(batch) = batch.filter(|batch| batch.num_rows() > 0) {
                    let columns = self.columns(&batch).ok_or_else(|| {
                        self.segment.damaged("a column has another type than we write")
                    })?;
                    return Ok(Some(columns));
                }
            }
            let Some(group) = self.groups.next() else { return Ok(None) };
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
                self.segment.file.clone(),
                self.segment.arrow.clone(),
            );
            let reader = builder.with_row_groups(vec![group]).with_batch_size(BATCH_ROWS).build();
            self.reader = Some(reader.map_err(|error| self.segment.damaged(&error.to_string()))?);
        }
    }

    fn columns(&mut self, batch: &RecordBatch) -> Option<Columns> {
        let column = |name: &str| batch.column_by_name(name);
        let rows = batch.num_rows();
        let person = primitive::<UInt64Type>(column("person")?)?.values().to_vec();
        let ts = primitive::<TimestampMillisecondType>(column("ts")?)?.values().to_vec();
        let event_id = match column("event_id") {
            Some(ids) => sixteen_bytes(ids)?,
            None => vec![0; rows],
        };
        let mut columns = Columns {
            project: primitive::<UInt32Type>(column("project")?)?.values().to_vec(),
            actor: or_usual(primitive::<UInt64Type>(column("actor")?)?, &person),
            claimed: or_usual(primitive::<TimestampMillisecondType>(column("claimed")?)?, &ts),
            person,
            // Files before links have none, and files without ids no writers.
            origin: or_nothing(column(ORIGIN))?,
            writer: or_nothing(column(WRITER))?,
            ts,
            seq: primitive::<UInt32Type>(column("seq")?)?.values().to_vec(),
            event_id,
            received: primitive::<TimestampMillisecondType>(column("received")?)?.values().to_vec(),
            flags: primitive::<UInt8Type>(column("flags")?)?.values().to_vec(),
            event: self.coded("event", column("event")?)?,
            session: sixteen_bytes(column("session")?)?,
            dims: Vec::with_capacity(Dim::ALL.len()),
            properties: Vec::new(),
            rest: Rest::default(),
        };
        for dim in Dim::ALL {
            // A dimension that was added later has no column in older files.
            columns.dims.push(match column(dim.name()) {
                Some(column) => self.coded(dim.name(), column)?,
                None => Coded::default(),
            });
        }
        let segment = Arc::clone(&self.segment);
        for promoted in &segment.info.promoted {
            let name = format!("p.{}", promoted.key);
            let column = column(&name)?;
            if column.null_count() == rows {
                continue;
            }
            let values = match promoted.kind {
                PromotedKind::Text => Values::Texts(self.coded(&name, column)?),
                PromotedKind::Number => {
                    let numbers = primitive::<Float64Type>(column)?;
                    Values::Numbers(
                        numbers.iter().map(|number| number.unwrap_or(f64::NAN)).collect(),
                    )
                }
                PromotedKind::Bool => {
                    let code = |value: Option<bool>| value.map_or(0, |yes| 1 + u8::from(yes));
                    Values::Bools(column.as_boolean_opt()?.iter().map(code).collect())
                }
            };
            columns.properties.push(PropertyColumn { key: promoted.key.as_str().into(), values });
        }
        let rest = column("props")?.as_string_opt::<i32>()?;
        if rest.null_count() < rows {
            for row in (0..rows).filter(|&row| rest.is_valid(row)) {
                columns.rest.set(row, |out| out.push_str(rest.value(row)));
            }
        }
        Some(columns)
    }

    fn coded(&mut self, name: &str, column: &ArrayRef) -> Option<Coded> {
        let column = column.as_dictionary_opt::<Int32Type>()?;
        if column.null_count() == column.len() {
            return Some(Coded::default());
        }
        let values = column.values().as_string_opt::<i32>()?;
        let known = self.dictionaries.get(name).filter(|(known, _)| is_same(known, values));
        let dictionary = match known {
            Some((_, dictionary)) => Arc::clone(dictionary),
            None => {
                let texts = values.iter().map(|text| text.unwrap_or("").into());
                let dictionary: Dictionary = texts.collect();
                let entry = (values.clone(), Arc::clone(&dictionary));
                self.dictionaries.insert(name.to_owned(), entry);
                dictionary
            }
        };
        let keys = column.keys();
        let codes = match keys.nulls() {
            None => keys.values().iter().map(|&key| key as u32 + 1).collect(),
            Some(nulls) => {
                let keys = keys.values().iter().zip(nulls);
                keys.map(|(&key, present)| if present { key as u32 + 1 } else { 0 }).collect()
            }
        };
        Some(Coded { codes, values: dictionary })
    }
}

/// Whether two arrays are the same piece of memory. The known one is held, so no other can be there.
fn is_same(known: &StringArray, other: &StringArray) -> bool {
    known.len() == other.len()
        && known.value_offsets().as_ptr() == other.value_offsets().as_ptr()
        && known.value_data().as_ptr() == other.value_data().as_ptr()
}

fn primitive<T: ArrowPrimitiveType>(column: &ArrayRef) -> Option<&PrimitiveArray<T>> {
    column.as_primitive_opt::<T>()
}

/// Null means the usual value.
fn or_usual<T: ArrowPrimitiveType>(
    column: &PrimitiveArray<T>,
    usual: &[T::Native],
) -> Vec<T::Native> {
    match column.nulls() {
        None => column.values().to_vec(),
        Some(_) => column.iter().zip(usual).map(|(value, usual)| value.unwrap_or(*usual)).collect(),
    }
}

/// A column that may be absent, or null in every row: then there is nothing. Elsewhere null means 0.
fn or_nothing(column: Option<&ArrayRef>) -> Option<Vec<u64>> {
    match column.filter(|column| column.null_count() < column.len()) {
        Some(column) => {
            let numbers = primitive::<UInt64Type>(column)?.iter();
            Some(numbers.map(Option::unwrap_or_default).collect())
        }
        None => Some(Vec::new()),
    }
}

fn sixteen_bytes(column: &ArrayRef) -> Option<Vec<u128>> {
    let column = column.as_fixed_size_binary_opt()?;
    (column.value_length() == 16).then(|| column.iter().map(id).collect())
}
