//! What a segment file looks like inside: its columns, their types and their encodings.
//!
//! Version 2. A version 1 file differs in this: `actor` and `claimed` were never null, and every
//! file had `event_id`. In between, both say the same: null means "as `person`", "as `ts`". `origin` is
//! the user that a row came with, where that is not its person any more; files before links have none.
//! `writer` is the page load; files before the loss meter have none, and files without ids neither.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array,
    RecordBatch, StringArray, TimestampMillisecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{
    BloomFilterPosition, EnabledStatistics, WriterProperties, WriterVersion,
};
use parquet::schema::types::ColumnPath;

use super::info::{Info, PromotedKind};
use super::{ORIGIN, WRITER, bloom};
use crate::columns::{Coded, Columns, Values};
use crate::row::Dim;

/// The columns of a file, in order.
pub(super) fn schema(info: &Info, has_ids: bool) -> Schema {
    let mut fields = vec![
        Field::new("project", DataType::UInt32, false),
        Field::new("person", DataType::UInt64, false),
        Field::new("actor", DataType::UInt64, true),
        Field::new("ts", time(), false),
        Field::new("seq", DataType::UInt32, false),
    ];
    if has_ids {
        fields.push(Field::new("event_id", DataType::FixedSizeBinary(16), false));
        fields.push(Field::new(WRITER, DataType::UInt64, true));
    }
    fields.extend([
        Field::new("received", time(), false),
        Field::new("claimed", time(), true),
        Field::new("flags", DataType::UInt8, false),
        Field::new("event", text(), false),
        Field::new("session", DataType::FixedSizeBinary(16), true),
        Field::new(ORIGIN, DataType::UInt64, true),
    ]);
    fields.extend(Dim::ALL.iter().map(|dim| Field::new(dim.name(), text(), true)));
    fields.extend(info.promoted.iter().map(|promoted| {
        let kind = match promoted.kind {
            PromotedKind::Text => text(),
            PromotedKind::Number => DataType::Float64,
            PromotedKind::Bool => DataType::Boolean,
        };
        Field::new(format!("p.{}", promoted.key), kind, true)
    }));
    fields.push(Field::new("props", DataType::Utf8, true));
    Schema::new(fields)
}

/// The type of times.
pub(super) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// The type of texts.
pub(super) fn text() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// How they are encoded; these columns have Bloom filters.
pub(super) fn properties(
    schema: &Schema,
    has_ids: bool,
    with_blooms: &[String],
) -> WriterProperties {
    let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let sorted = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    let sorting = if has_ids { &[0, 1, 3, 4, 5][..] } else { &[0, 1, 3, 4] };
    let zstd = ZstdLevel::try_new(3).map_or(Compression::LZ4_RAW, Compression::ZSTD);
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(concat!("tallymark ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_sorting_columns(Some(sorting.iter().copied().map(sorted).collect()))
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_compression(Compression::LZ4_RAW)
        // A dictionary that outgrows its page turns the rest of a column plain; paths would.
        .set_dictionary_page_size_limit(16 << 20);
    for name in ["ts", "received", "claimed", "seq"] {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED)
            .set_column_compression(column(name), Compression::UNCOMPRESSED);
    }
    // Numbers are asked for by few questions, and are a quarter smaller so.
    for field in schema.fields().iter().filter(|field| *field.data_type() == DataType::Float64) {
        properties = properties.set_column_compression(column(field.name()), zstd);
    }
    for name in with_blooms {
        properties = properties
            .set_column_bloom_filter_max_ndv(column(name), bloom::TEXTS_MAX)
            .set_column_bloom_filter_fpp(column(name), bloom::WRONG_RATIO);
    }
    properties
        // All in one place: a question reads those of one column, and little else.
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_column_dictionary_enabled(column("event_id"), false)
        .set_column_encoding(column("event_id"), Encoding::PLAIN)
        .set_column_compression(column("event_id"), Compression::UNCOMPRESSED)
        // No row is without, and in order of persons every group has ids of all days.
        .set_column_statistics_enabled(column("event_id"), EnabledStatistics::None)
        // Ids at random: nothing repeats in them, and unpacking would be most of what reading them costs.
        .set_column_compression(column("session"), Compression::UNCOMPRESSED)
        // One number per page load, in a row: a dictionary would cost its codes on top.
        .set_column_dictionary_enabled(column(WRITER), false)
        .set_column_dictionary_enabled(column("props"), false)
        .set_column_compression(column("props"), zstd)
        .build()
}

/// The rows of one row group. `columns` has the properties that [`schema`] was made for.
pub(super) fn batch(
    columns: Columns,
    schema: &Arc<Schema>,
    has_ids: bool,
) -> Result<RecordBatch, ArrowError> {
    let rows = columns.len();
    let actor_differs = differing(&columns.actor, &columns.person);
    let claimed_differs = differing(&columns.claimed, &columns.ts);
    let has_session = columns.session.iter().map(|id| *id != 0).collect();
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from(columns.project)),
        Arc::new(UInt64Array::from(columns.person)),
        Arc::new(UInt64Array::new(columns.actor.into(), Some(actor_differs))),
        times(columns.ts, None),
        Arc::new(UInt32Array::from(columns.seq)),
    ];
    if has_ids {
        arrays.push(ids(&columns.event_id, None)?);
        arrays.push(or_null(columns.writer, rows));
    }
    arrays.extend([
        times(columns.received, None),
        times(columns.claimed, Some(claimed_differs)),
        Arc::new(UInt8Array::from(columns.flags)),
        texts(&columns.event, rows)?,
        ids(&columns.session, Some(has_session))?,
        or_null(columns.origin, rows),
    ]);
    for dim in &columns.dims {
        arrays.push(texts(dim, rows)?);
    }
    for property in columns.properties {
        arrays.push(match property.values {
            Values::Texts(coded) => texts(&coded, rows)?,
            Values::Numbers(numbers) => {
                let present: NullBuffer = numbers.iter().map(|number| !number.is_nan()).collect();
                Arc::new(Float64Array::new(numbers.into(), Some(present)))
            }
            Values::Bools(bools) => {
                let bool = |value: &u8| (*value != 0).then_some(*value == 2);
                Arc::new(bools.iter().map(bool).collect::<BooleanArray>())
            }
        });
    }
    arrays.push(if columns.rest.is_empty() {
        arrow_array::new_null_array(&DataType::Utf8, rows)
    } else {
        let rest = (0..rows).map(|row| Some(columns.rest.get(row)).filter(|text| !text.is_empty()));
        Arc::new(rest.collect::<StringArray>())
    });
    RecordBatch::try_new(Arc::clone(schema), arrays)
}

/// Where two columns differ; elsewhere the first one becomes null.
fn differing<T: PartialEq>(column: &[T], usual: &[T]) -> NullBuffer {
    column.iter().zip(usual).map(|(value, usual)| value != usual).collect()
}

/// Null for 0; without any, every row is null.
fn or_null(numbers: Vec<u64>, rows: usize) -> ArrayRef {
    if numbers.is_empty() {
        return arrow_array::new_null_array(&DataType::UInt64, rows);
    }
    let present = numbers.iter().map(|number| *number != 0).collect();
    Arc::new(UInt64Array::new(numbers.into(), Some(present)))
}

fn times(times: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::new(times.into(), nulls).with_timezone("UTC"))
}

fn ids(ids: &[u128], nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let mut bytes = Vec::with_capacity(ids.len() * 16);
    ids.iter().for_each(|id| bytes.extend_from_slice(&id.to_be_bytes()));
    Ok(Arc::new(FixedSizeBinaryArray::try_new(16, bytes.into(), nulls)?))
}

/// A text column; without codes every row is null.
fn texts(texts: &Coded, rows: usize) -> Result<ArrayRef, ArrowError> {
    let keys = if texts.codes.is_empty() {
        Int32Array::new_null(rows)
    } else {
        let nulls: NullBuffer = texts.codes.iter().map(|code| *code != 0).collect();
        let keys: Vec<i32> = texts.codes.iter().map(|code| code.saturating_sub(1) as i32).collect();
        Int32Array::new(keys.into(), Some(nulls).filter(|nulls| nulls.null_count() > 0))
    };
    let values = StringArray::from_iter_values(texts.values.iter());
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values))?))
}
