//! Row groups to the bytes of a file, here or beside the thread that brings them.
//!
//! Putting rows in order and encoding them take about as long, so an import does both at once. A flush
//! and a merge stay on one thread: they run beside ingest, and shall not take both cores.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;

use super::file::Summing;
use super::info::Info;
use super::layout;
use super::write::{io_error, parquet_error};
use crate::columns::Columns;
use crate::disk::DiskFile;
use crate::error::FlushError;

/// Sees the rows of every group before they are encoded.
pub(crate) type Watch = Box<dyn FnMut(&Columns) + Send>;

/// Where groups are encoded.
pub(super) enum Encoding {
    Here(Box<Encoder>),
    Beside {
        groups: SyncSender<Columns>,
        thread: JoinHandle<Result<Box<Encoder>, FlushError>>,
    },
    /// An error ended it.
    Over,
}

/// A file that is written, its length and its checksums.
type Ended = (Arc<dyn DiskFile>, u64, Arc<[u8]>);

/// Groups that wait for the encoder beside the one it works on: as much memory again.
const WAITING: usize = 1;

impl Encoding {
    /// Begin a file; beside this thread when somebody watches.
    pub(super) fn start(
        path: &Path,
        file: Arc<dyn DiskFile>,
        info: &Info,
        has_ids: bool,
        watch: Option<Watch>,
    ) -> Result<Self, FlushError> {
        let schema = Arc::new(layout::schema(info, has_ids));
        let properties = Some(layout::properties(has_ids));
        let writer = ArrowWriter::try_new(Summing::new(file), Arc::clone(&schema), properties)
            .map_err(|error| parquet_error(path, &error))?;
        let mut encoder = Box::new(Encoder { writer, schema, has_ids, path: path.to_owned() });
        let Some(mut watch) = watch else { return Ok(Self::Here(encoder)) };
        let (groups, waiting) = sync_channel::<Columns>(WAITING);
        let encode = move || {
            for group in waiting {
                watch(&group);
                encoder.encode(group)?;
            }
            Ok(encoder)
        };
        let thread = std::thread::Builder::new().name("store-encode".to_owned()).spawn(encode);
        Ok(Self::Beside { groups, thread: thread.map_err(io_error(path))? })
    }

    /// Encode a row group.
    pub(super) fn push(&mut self, group: Columns) -> Result<(), FlushError> {
        match self {
            Self::Here(encoder) => encoder.encode(group),
            // Nobody takes it when the thread has ended, which only an error does.
            Self::Beside { groups, .. } => match groups.send(group) {
                Ok(()) => Ok(()),
                Err(_) => std::mem::replace(self, Self::Over).encoder().map(drop),
            },
            Self::Over => Err(FlushError::Closed),
        }
    }

    /// End the file.
    pub(super) fn finish(self, about: KeyValue) -> Result<Ended, FlushError> {
        let mut encoder = self.encoder()?;
        encoder.writer.append_key_value_metadata(about);
        let file = encoder.writer.into_inner();
        Ok(file.map_err(|error| parquet_error(&encoder.path, &error))?.finish())
    }

    fn encoder(self) -> Result<Box<Encoder>, FlushError> {
        match self {
            Self::Here(encoder) => Ok(encoder),
            Self::Beside { groups, thread } => {
                drop(groups);
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
            Self::Over => Err(FlushError::Closed),
        }
    }
}

/// A file that is being written.
pub(super) struct Encoder {
    writer: ArrowWriter<Summing>,
    schema: Arc<Schema>,
    has_ids: bool,
    path: PathBuf,
}

impl Encoder {
    fn encode(&mut self, group: Columns) -> Result<(), FlushError> {
        let batch = layout::batch(group, &self.schema, self.has_ids);
        let batch = batch.map_err(|error| FlushError::Segment {
            file: self.path.clone(),
            what: error.to_string(),
        })?;
        let written = self.writer.write(&batch).and_then(|()| self.writer.flush());
        written.map_err(|error| parquet_error(&self.path, &error))
    }
}
