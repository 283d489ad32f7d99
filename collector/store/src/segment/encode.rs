//! Row groups to the bytes of a file, here or beside the thread that brings them.
//!
//! Encoding takes twice as long as putting rows in order, so an import has row groups encoded on threads of their
//! own; they are appended in their order. A flush and a merge stay on one thread: they run beside ingest, and shall
//! not take all cores.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::file::Summing;
use super::info::Info;
use super::write::{io_error, parquet_error};
use super::{bloom, layout};
use crate::columns::Columns;
use crate::disk::DiskFile;
use crate::error::FlushError;

/// A file that is being written.
pub(super) struct Encoding {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    schema: Arc<Schema>,
    has_ids: bool,
    /// Row groups that are encoded beside this thread at once, at most. 0: here.
    threads: usize,
    /// From the first row group on.
    output: Option<Output>,
}

/// Where encoded row groups go, and what encodes them.
struct Output {
    writer: SerializedFileWriter<Summing>,
    columns: ArrowRowGroupWriterFactory,
    /// Row groups that were begun.
    groups: usize,
    /// The last of them.
    beside: VecDeque<JoinHandle<Encoded>>,
}

type Encoded = Result<Vec<ArrowColumnChunk>, ParquetError>;

/// A file that is written, its length and its checksums.
type Ended = (Arc<dyn DiskFile>, u64, Arc<[u8]>);

impl Encoding {
    /// Begin a file.
    pub(super) fn new(
        unfinished: &Path,
        file: Arc<dyn DiskFile>,
        info: &Info,
        has_ids: bool,
        threads: usize,
    ) -> Self {
        let schema = Arc::new(layout::schema(info, has_ids));
        Self { path: unfinished.to_owned(), file, schema, has_ids, threads, output: None }
    }

    /// Encode a row group.
    pub(super) fn push(&mut self, group: Columns) -> Result<(), FlushError> {
        let Self { path, file, schema, has_ids, threads, output } = self;
        let (in_parquet, has_ids) = (in_parquet(path), *has_ids);
        let output = match output {
            Some(output) => output,
            none => none.insert(Output::begin(file, schema, has_ids, &group).map_err(&in_parquet)?),
        };
        let writers = output.column_writers().map_err(&in_parquet)?;
        let schema = Arc::clone(schema);
        let encode = move || encode(group, &schema, has_ids, writers);
        let Some(others) = threads.checked_sub(1) else {
            return output.append(encode()).map_err(in_parquet);
        };
        output.join_until(others).map_err(in_parquet)?;
        let thread = std::thread::Builder::new().name("store-encode".to_owned()).spawn(encode);
        output.beside.push_back(thread.map_err(io_error(path))?);
        Ok(())
    }

    /// End the file.
    pub(super) fn finish(self, about: KeyValue) -> Result<Ended, FlushError> {
        let Self { path, file, schema, has_ids, output, .. } = self;
        let end = || {
            let mut output = match output {
                Some(output) => output,
                None => Output::begin(&file, &schema, has_ids, &Columns::default())?,
            };
            output.join_until(0)?;
            output.writer.append_key_value_metadata(about);
            output.writer.into_inner()
        };
        Ok(end().map_err(in_parquet(&path))?.finish())
    }
}

impl Output {
    /// The first row group decides how the file is written.
    fn begin(
        file: &Arc<dyn DiskFile>,
        schema: &Arc<Schema>,
        has_ids: bool,
        group: &Columns,
    ) -> Result<Self, ParquetError> {
        let properties = layout::properties(schema, has_ids, &bloom::with_many_texts(group));
        let out = Summing::new(Arc::clone(file));
        let writer = ArrowWriter::try_new(out, Arc::clone(schema), Some(properties))?;
        let (writer, columns) = writer.into_serialized_writer()?;
        Ok(Self { writer, columns, groups: 0, beside: VecDeque::new() })
    }

    fn column_writers(&mut self) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
        self.groups += 1;
        self.columns.create_column_writers(self.groups - 1)
    }

    /// Append the oldest ones until no more than so many are left.
    fn join_until(&mut self, left: usize) -> Result<(), ParquetError> {
        while self.beside.len() > left
            && let Some(oldest) = self.beside.pop_front()
        {
            let encoded = oldest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            self.append(encoded)?;
        }
        Ok(())
    }

    fn append(&mut self, encoded: Encoded) -> Result<(), ParquetError> {
        let chunks = encoded?;
        let mut group = self.writer.next_row_group()?;
        chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
        group.close().map(drop)
    }
}

fn in_parquet(path: &Path) -> impl Fn(ParquetError) -> FlushError + use<> {
    let path = path.to_owned();
    move |error| parquet_error(&path, &error)
}

/// The column chunks of a row group. No column has more than one: none is nested.
fn encode(
    group: Columns,
    schema: &Arc<Schema>,
    has_ids: bool,
    writers: Vec<ArrowColumnWriter>,
) -> Encoded {
    let batch = layout::batch(group, schema, has_ids)?;
    let columns = schema.fields().iter().zip(batch.columns()).zip(writers);
    let chunks = columns.map(|((field, array), mut writer)| {
        compute_leaves(field, array)?.iter().try_for_each(|leaf| writer.write(leaf))?;
        writer.close()
    });
    chunks.collect()
}
