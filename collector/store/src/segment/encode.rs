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
    /// From the first row group on.
    output: Option<Output>,
    /// Row groups that are encoded beside this thread at once, at most. 0: here.
    threads: usize,
    beside: VecDeque<JoinHandle<Encoded>>,
}

/// Where encoded row groups go, and what encodes them.
struct Output {
    writer: SerializedFileWriter<Summing>,
    columns: ArrowRowGroupWriterFactory,
    groups: usize,
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
        Self {
            path: unfinished.to_owned(),
            file,
            schema: Arc::new(layout::schema(info, has_ids)),
            has_ids,
            output: None,
            threads,
            beside: VecDeque::new(),
        }
    }

    /// Encode a row group.
    pub(super) fn push(&mut self, group: Columns) -> Result<(), FlushError> {
        let writers = self.column_writers(&group).map_err(self.in_parquet())?;
        let (schema, has_ids) = (Arc::clone(&self.schema), self.has_ids);
        let encode = move || encode(group, &schema, has_ids, writers);
        if self.threads == 0 {
            return self.append(encode());
        }
        while self.beside.len() >= self.threads {
            self.append_oldest()?;
        }
        let thread = std::thread::Builder::new().name("store-encode".to_owned()).spawn(encode);
        self.beside.push_back(thread.map_err(io_error(&self.path))?);
        Ok(())
    }

    /// End the file.
    pub(super) fn finish(mut self, about: KeyValue) -> Result<Ended, FlushError> {
        while !self.beside.is_empty() {
            self.append_oldest()?;
        }
        let in_parquet = self.in_parquet();
        let end = || {
            let mut writer = match self.output.take() {
                Some(output) => output.writer,
                None => self.output(&Columns::default())?.writer,
            };
            writer.append_key_value_metadata(about);
            writer.into_inner()
        };
        Ok(end().map_err(in_parquet)?.finish())
    }

    fn append_oldest(&mut self) -> Result<(), FlushError> {
        let Some(oldest) = self.beside.pop_front() else { return Ok(()) };
        let encoded = oldest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.append(encoded)
    }

    fn append(&mut self, encoded: Encoded) -> Result<(), FlushError> {
        let Some(Output { writer, .. }) = &mut self.output else { return Ok(()) };
        let append = |chunks: Vec<ArrowColumnChunk>| {
            let mut group = writer.next_row_group()?;
            chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
            group.close().map(drop)
        };
        encoded.and_then(append).map_err(self.in_parquet())
    }

    fn column_writers(&mut self, group: &Columns) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
        let mut output = match self.output.take() {
            Some(output) => output,
            None => self.output(group)?,
        };
        let writers = output.columns.create_column_writers(output.groups);
        output.groups += 1;
        self.output = Some(output);
        writers
    }

    /// Begin to write, as the first row group decides.
    fn output(&self, group: &Columns) -> Result<Output, ParquetError> {
        let blooms = bloom::with_many_texts(group);
        let properties = layout::properties(&self.schema, self.has_ids, &blooms);
        let out = Summing::new(Arc::clone(&self.file));
        let writer = ArrowWriter::try_new(out, Arc::clone(&self.schema), Some(properties))?;
        let (writer, columns) = writer.into_serialized_writer()?;
        Ok(Output { writer, columns, groups: 0 })
    }

    fn in_parquet(&self) -> impl FnOnce(ParquetError) -> FlushError + use<> {
        let path = self.path.clone();
        move |error| parquet_error(&path, &error)
    }
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
