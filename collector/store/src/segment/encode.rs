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
use super::write::{io_error, parquet_error};
use super::{bloom, layout};
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
        unfinished: &Path,
        file: Arc<dyn DiskFile>,
        info: &Info,
        has_ids: bool,
        watch: Option<Watch>,
    ) -> Result<Self, FlushError> {
        let schema = Arc::new(layout::schema(info, has_ids));
        let path = unfinished.to_owned();
        let mut encoder = Box::new(Encoder { file, writer: None, schema, has_ids, path });
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
        Ok(Self::Beside { groups, thread: thread.map_err(io_error(unfinished))? })
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
        let mut writer = encoder.writer(&Columns::default())?;
        writer.append_key_value_metadata(about);
        let file = writer.into_inner();
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
    file: Arc<dyn DiskFile>,
    /// From the first row group on.
    writer: Option<ArrowWriter<Summing>>,
    schema: Arc<Schema>,
    has_ids: bool,
    path: PathBuf,
}

impl Encoder {
    /// What writes, which the first row group decides about.
    fn writer(&mut self, group: &Columns) -> Result<ArrowWriter<Summing>, FlushError> {
        if let Some(writer) = self.writer.take() {
            return Ok(writer);
        }
        let blooms = bloom::with_many_texts(group);
        let properties = layout::properties(&self.schema, self.has_ids, &blooms);
        let out = Summing::new(Arc::clone(&self.file));
        ArrowWriter::try_new(out, Arc::clone(&self.schema), Some(properties))
            .map_err(|error| parquet_error(&self.path, &error))
    }

    fn encode(&mut self, group: Columns) -> Result<(), FlushError> {
        let mut writer = self.writer(&group)?;
        let batch = layout::batch(group, &self.schema, self.has_ids);
        let batch = batch.map_err(|error| FlushError::Segment {
            file: self.path.clone(),
            what: error.to_string(),
        })?;
        let written = writer.write(&batch).and_then(|()| writer.flush());
        self.writer = Some(writer);
        written.map_err(|error| parquet_error(&self.path, &error))
    }
}
