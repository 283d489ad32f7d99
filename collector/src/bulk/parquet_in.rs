//! Rows of Parquet files.
//!
//! Any flat column of text, number, boolean, date or timestamp, dictionaries of those included.

use std::borrow::Cow;
use std::fs::File;

use anyhow::{Context, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::cell::Cell;
use super::import::Importer;
use super::mapping::Mapping;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8_192;

/// Hand the rows of a file over.
///
/// # Errors
/// When the file is no Parquet file, or has a column of a type that cannot become a property, or the
/// importer stops.
pub fn read(file: File, mapping: &Mapping, importer: &mut Importer<'_>) -> anyhow::Result<()> {
    let file_bytes = file.metadata()?.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).context("not a Parquet file")?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
    let columns: Vec<String> =
        builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let missing = mapping.missing(&columns);
    if !missing.is_empty() {
        bail!(
            "--map names the column {:?}, the file has {}",
            missing.join(", "),
            columns.join(", ")
        );
    }
    let targets: Vec<_> = columns.iter().map(|column| mapping.target(column)).collect();
    let mut number = 0u64;
    for batch in builder.with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        let readers = batch
            .columns()
            .iter()
            .zip(&columns)
            .map(|(array, name)| reader(&**array).with_context(|| format!("column {name:?}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            number += 1;
            let mut draft = importer.draft(mapping);
            for (target, cell) in targets.iter().zip(&readers) {
                importer.put(&mut draft, target, cell(row));
            }
            // A row has no place in a file of columns: its share of the file stands for it.
            let behind = u128::from(file_bytes) * u128::from(number) / u128::from(rows);
            importer.row(number, u64::try_from(behind).unwrap_or(file_bytes), draft)?;
        }
    }
    Ok(())
}

/// Gives the cell of a row.
type CellReader<'a> = Box<dyn Fn(usize) -> Cell<'a> + 'a>;

fn reader(array: &dyn Array) -> anyhow::Result<CellReader<'_>> {
    const DAY_MS: i64 = 86_400_000;
    Ok(match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            present(array, move |row| Cell::Text(Cow::Borrowed(texts.value(row))))
        }
        DataType::LargeUtf8 => {
            let texts = array.as_string::<i64>();
            present(array, move |row| Cell::Text(Cow::Borrowed(texts.value(row))))
        }
        DataType::Utf8View => {
            let texts = array.as_string_view();
            present(array, move |row| Cell::Text(Cow::Borrowed(texts.value(row))))
        }
        DataType::Boolean => {
            let bools = array.as_boolean();
            present(array, move |row| Cell::Bool(bools.value(row)))
        }
        DataType::Int8 => number::<Int8Type>(array, |n| Cell::Int(n.into())),
        DataType::Int16 => number::<Int16Type>(array, |n| Cell::Int(n.into())),
        DataType::Int32 => number::<Int32Type>(array, |n| Cell::Int(n.into())),
        DataType::Int64 => number::<Int64Type>(array, Cell::Int),
        DataType::UInt8 => number::<UInt8Type>(array, |n| Cell::Int(n.into())),
        DataType::UInt16 => number::<UInt16Type>(array, |n| Cell::Int(n.into())),
        DataType::UInt32 => number::<UInt32Type>(array, |n| Cell::Int(n.into())),
        DataType::UInt64 => number::<UInt64Type>(array, Cell::Big),
        DataType::Float32 => number::<Float32Type>(array, |n| Cell::Float(n.into())),
        DataType::Float64 => number::<Float64Type>(array, Cell::Float),
        DataType::Date32 => {
            number::<Date32Type>(array, |days| Cell::Moment(i64::from(days).saturating_mul(DAY_MS)))
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            number::<TimestampSecondType>(array, |n| Cell::Moment(n.saturating_mul(1000)))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            number::<TimestampMillisecondType>(array, Cell::Moment)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            number::<TimestampMicrosecondType>(array, |n| Cell::Moment(n.div_euclid(1000)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            number::<TimestampNanosecondType>(array, |n| Cell::Moment(n.div_euclid(1_000_000)))
        }
        DataType::Dictionary(key, _) => match **key {
            DataType::Int8 => dictionary::<Int8Type>(array)?,
            DataType::Int16 => dictionary::<Int16Type>(array)?,
            DataType::Int32 => dictionary::<Int32Type>(array)?,
            DataType::Int64 => dictionary::<Int64Type>(array)?,
            DataType::UInt8 => dictionary::<UInt8Type>(array)?,
            DataType::UInt16 => dictionary::<UInt16Type>(array)?,
            DataType::UInt32 => dictionary::<UInt32Type>(array)?,
            DataType::UInt64 => dictionary::<UInt64Type>(array)?,
            ref other => bail!("a dictionary with keys of type {other} cannot be read"),
        },
        DataType::Null => Box::new(|_| Cell::Absent),
        other => bail!(
            "type {other} cannot become a property; leave the column out, or write it as text"
        ),
    })
}

fn present<'a>(array: &'a dyn Array, cell: impl Fn(usize) -> Cell<'a> + 'a) -> CellReader<'a> {
    match array.nulls() {
        None => Box::new(cell),
        Some(nulls) => {
            Box::new(move |row| if nulls.is_null(row) { Cell::Absent } else { cell(row) })
        }
    }
}

fn number<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    cell: impl Fn(T::Native) -> Cell<'a> + 'a,
) -> CellReader<'a> {
    let numbers: &PrimitiveArray<T> = array.as_primitive();
    present(array, move |row| cell(numbers.value(row)))
}

fn dictionary<K: ArrowDictionaryKeyType>(array: &dyn Array) -> anyhow::Result<CellReader<'_>> {
    let coded = array.as_dictionary::<K>();
    let value = reader(&**coded.values())?;
    Ok(Box::new(move |row| coded.key(row).map_or(Cell::Absent, &value)))
}
