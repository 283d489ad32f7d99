//! Rows as a Parquet file, with the columns of the other exports.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field as Column, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tallymark_store::{Dim, Row};

use super::mapping::Field;
use super::text_out::{Value, exported, field_text};

/// Rows encoded at a time: what an export holds in memory.
const BATCH_ROWS: usize = 16_384;

/// Writes rows.
pub struct ParquetOut<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    columns: Vec<Builder>,
    dims: Vec<StringDictionaryBuilder<Int32Type>>,
    rows: usize,
}

enum Builder {
    Number(Field, Int64Builder),
    Text(Field, StringBuilder),
    /// Few different texts.
    Word(Field, StringDictionaryBuilder<Int32Type>),
}

impl<W: Write + Send> ParquetOut<W> {
    /// Begin a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W) -> anyhow::Result<Self> {
        let word = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let mut described = Vec::new();
        let mut columns = Vec::new();
        for (name, field) in Field::NAMED.iter().filter(|(_, field)| exported(*field)) {
            let (kind, builder) = match field {
                Field::At
                | Field::Seq
                | Field::StoredWriter
                | Field::Flags
                | Field::ReceivedAt
                | Field::ClaimedAt => {
                    (DataType::Int64, Builder::Number(*field, Int64Builder::new()))
                }
                Field::Name | Field::StoredRealm => {
                    (word(), Builder::Word(*field, StringDictionaryBuilder::new()))
                }
                _ => (DataType::Utf8, Builder::Text(*field, StringBuilder::new())),
            };
            described.push(Column::new(*name, kind, true));
            columns.push(builder);
        }
        described.extend(Dim::ALL.iter().map(|dim| Column::new(dim.name(), word(), true)));
        let schema = Arc::new(Schema::new(described));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        let dims = Dim::ALL.iter().map(|_| StringDictionaryBuilder::new()).collect();
        Ok(Self { writer, schema, columns, dims, rows: 0 })
    }

    /// Add a row.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, row: &Row, realm: &str) -> anyhow::Result<()> {
        for builder in &mut self.columns {
            match builder {
                Builder::Number(field, numbers) => match field_text(*field, row, realm) {
                    Value::Number(number) => numbers.append_value(number),
                    _ => numbers.append_null(),
                },
                Builder::Text(field, texts) => match field_text(*field, row, realm) {
                    Value::Text(text) => texts.append_value(text),
                    Value::Json(json) => texts.append_value(json),
                    _ => texts.append_null(),
                },
                Builder::Word(field, words) => match field_text(*field, row, realm) {
                    Value::Text(text) => words.append_value(text),
                    _ => words.append_null(),
                },
            }
        }
        for (words, value) in self.dims.iter_mut().zip(row.dims.iter()) {
            words.append_option(value.as_deref());
        }
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// End the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        self.writer.close()?;
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let named = self.columns.iter_mut().map(|builder| -> ArrayRef {
            match builder {
                Builder::Number(_, numbers) => Arc::new(numbers.finish()),
                Builder::Text(_, texts) => Arc::new(texts.finish()),
                Builder::Word(_, words) => Arc::new(words.finish()),
            }
        });
        let dims = self.dims.iter_mut().map(|words| -> ArrayRef { Arc::new(words.finish()) });
        let arrays = named.chain(dims).collect();
        self.writer.write(&RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)?;
        self.rows = 0;
        Ok(())
    }
}
