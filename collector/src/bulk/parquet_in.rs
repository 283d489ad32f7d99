//! Rows of Parquet files.
//!
//! Any flat column of text, number, boolean, date or timestamp, dictionaries of those included.
//!
//! Files come from anybody, and the library that reads them panics over some that are broken: such a file is refused
//! like any other that cannot be read ([`guarded`]).

use std::borrow::Cow;
use std::cell::Cell as Flag;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use anyhow::{Context, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, Fields, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::cell::Cell;
use super::import::GiveRows;
use super::mapping::{Mapping, Target};
use super::table::{Cells, Rows, Table};

/// Rows decoded at a time, at most.
const BATCH_ROWS: usize = 32 * 1024;
/// Bytes decoded at a time, about.
const BATCH_BYTES: u64 = 8 << 20;

/// Rows of a file.
struct ParquetRows {
    columns: Arc<[(String, Target)]>,
    batch: RecordBatch,
    /// Number of the first row, from 1.
    first: u64,
}

/// Hand the rows of a file over.
///
/// # Errors
/// When the file is no Parquet file or is compressed in a way that we cannot read, or nobody takes the
/// rows.
pub fn read(file: File, mapping: &Mapping, give: GiveRows<'_>) -> anyhow::Result<()> {
    let file_bytes = file.metadata()?.len();
    // Types are those of the columns: what a writer says of its own besides may be anything, and Arrow panics over some of it.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = guarded(|| ArrowReaderMetadata::load(&file, options))?;
    let metadata = metadata.context("not a Parquet file")?;
    check_compression(metadata.metadata())?;
    let options = ArrowReaderOptions::new().with_schema(coded_schema(&metadata));
    let metadata =
        guarded(|| ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options))??;
    let columns: Vec<String> =
        metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
    let missing = mapping.missing(&columns);
    if !missing.is_empty() {
        bail!(
            "--map names the column {:?}, the file has {}",
            missing.join(", "),
            columns.join(", ")
        );
    }
    let targets = columns.into_iter().map(|column| {
        let target = mapping.target(&column);
        (column, target)
    });
    let columns: Arc<[(String, Target)]> = targets.collect();
    let groups = metadata.metadata().row_groups();
    let count = |numbers: &mut dyn Iterator<Item = i64>| {
        numbers.map(|n| u64::try_from(n).unwrap_or(0)).sum::<u64>()
    };
    let rows = count(&mut groups.iter().map(|group| group.num_rows())).max(1);
    let bytes = count(&mut groups.iter().map(|group| group.total_byte_size()));
    let fitting = usize::try_from(BATCH_BYTES * rows / bytes.max(1)).unwrap_or(BATCH_ROWS);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_batch_size(fitting.clamp(1024, BATCH_ROWS));
    let mut reader = guarded(|| reader.build())??;
    let mut behind = 0u64;
    while let Some(batch) = guarded(|| reader.next())? {
        let (batch, first) = (batch?, behind + 1);
        behind += batch.num_rows() as u64;
        // A row has no place in a file of columns: its share of the file stands for it.
        let bytes = u128::from(file_bytes) * u128::from(behind) / u128::from(rows);
        let rows = ParquetRows { columns: Arc::clone(&columns), batch, first };
        give(Box::new(rows), u64::try_from(bytes).unwrap_or(file_bytes))?;
    }
    Ok(())
}

/// Let the library read; where it panics, the file is broken.
fn guarded<T>(read: impl FnOnce() -> T) -> anyhow::Result<T> {
    thread_local!(static READS: Flag<bool> = const { Flag::new(false) });
    static HOOKED: Once = Once::new();
    // What is caught here is told as a sentence, so it is not reported as a fault of ours as well.
    HOOKED.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !READS.get() {
                report(info);
            }
        }));
    });
    READS.set(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    READS.set(false);
    read.map_err(|_| {
        anyhow::anyhow!(
            "the Parquet file is broken; write it again, for example in DuckDB: COPY (FROM 'old.parquet') TO 'new.parquet'"
        )
    })
}

/// Say what to do about a compression that we do not have.
fn check_compression(metadata: &ParquetMetaData) -> anyhow::Result<()> {
    let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    for column in columns {
        let name = match column.compression() {
            Compression::BROTLI(_) => "Brotli",
            Compression::LZO => "LZO",
            _ => continue,
        };
        bail!(
            "it is compressed with {name}, which cannot be read here; write it again with zstd or \
             snappy, for example in DuckDB: COPY (FROM 'old.parquet') TO 'new.parquet' (COMPRESSION zstd)"
        );
    }
    Ok(())
}

/// The columns of a file, texts with a dictionary as codes into it.
fn coded_schema(metadata: &ArrowReaderMetadata) -> Arc<Schema> {
    let groups = metadata.metadata().row_groups();
    let is_coded = |name: &str| {
        let mut columns = groups.iter().flat_map(|group| group.columns());
        let coded = |column: &ColumnChunkMetaData| {
            column.column_path().parts() != [name] || column.dictionary_page_offset().is_some()
        };
        !groups.is_empty() && columns.all(coded)
    };
    let fields = metadata.schema().fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_coded(field.name()) => {
            let text = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
            Arc::new(field.as_ref().clone().with_data_type(text))
        }
        _ => Arc::clone(field),
    });
    let fields: Fields = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()))
}

impl Rows for ParquetRows {
    fn table<'a>(&'a self, _: &'a Mapping) -> anyhow::Result<Table<'a>> {
        let columns = self.batch.columns().iter().zip(&*self.columns);
        let columns = columns.map(|(array, (name, target))| {
            let cells = cells(&**array).with_context(|| format!("column {name:?}"))?;
            Ok((target.clone(), cells))
        });
        Ok(Table {
            rows: self.batch.num_rows(),
            columns: columns.collect::<anyhow::Result<_>>()?,
            unreadable: Vec::new(),
        })
    }

    fn place(&self, row: usize) -> u64 {
        self.first + row as u64
    }
}

/// The cells of a column.
fn cells(array: &dyn Array) -> anyhow::Result<Cells<'_>> {
    let DataType::Dictionary(key, _) = array.data_type() else {
        return Ok(Cells::Each(reader(array)?));
    };
    match **key {
        DataType::Int8 => dictionary::<Int8Type>(array),
        DataType::Int16 => dictionary::<Int16Type>(array),
        DataType::Int32 => dictionary::<Int32Type>(array),
        DataType::Int64 => dictionary::<Int64Type>(array),
        DataType::UInt8 => dictionary::<UInt8Type>(array),
        DataType::UInt16 => dictionary::<UInt16Type>(array),
        DataType::UInt32 => dictionary::<UInt32Type>(array),
        DataType::UInt64 => dictionary::<UInt64Type>(array),
        ref other => bail!("a dictionary with keys of type {other} cannot be read"),
    }
}

fn dictionary<K: ArrowDictionaryKeyType>(array: &dyn Array) -> anyhow::Result<Cells<'_>> {
    let coded = array.as_dictionary::<K>();
    let value = reader(&**coded.values())?;
    Ok(Cells::Coded(Box::new(|row| coded.key(row)), coded.values().len(), value))
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_writer::ArrowWriterOptions;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;

    #[test]
    fn a_file_over_which_the_library_panics_is_refused_with_a_sentence() {
        let broken = guarded(|| -> u32 { panic!("{}", "a width of 40 bits in 32") });
        assert!(broken.unwrap_err().to_string().starts_with("the Parquet file is broken"));
        assert_eq!(guarded(|| 1).unwrap(), 1, "the next one is read");
    }

    #[test]
    fn what_a_file_says_of_its_types_besides_is_not_read() {
        let names: arrow_array::ArrayRef = Arc::new(StringArray::from(vec!["view", "buy"]));
        let batch = RecordBatch::try_from_iter([("name", names)]).unwrap();
        let lie = KeyValue::new("ARROW:schema".into(), "no schema".to_owned());
        let properties =
            WriterProperties::builder().set_key_value_metadata(Some(vec![lie])).build();
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.parquet");
        std::fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        assert!(ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).is_err());
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        assert_eq!(ArrowReaderMetadata::load(&file, options).unwrap().schema().fields().len(), 1);
        let mut rows = 0;
        let read = read(file, &Mapping::default(), &mut |given, _| {
            rows += given.table(&Mapping::default())?.rows;
            Ok(())
        });
        read.unwrap();
        assert_eq!(rows, 2);
    }
}
