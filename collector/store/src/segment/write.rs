//! Writing a segment: sorted rows in, one Parquet file out.
//!
//! Invariant: the file is whole and on the disk before it gets its name; whether it is *real* is
//! for the catalog to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array,
    RecordBatch, StringArray, TimestampMillisecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::file::Summing;
use super::info::{Group, INFO_KEY, Info, PromotedKind};
use crate::block::{Texts, TextsBuilder};
use crate::catalog::{SegmentId, SegmentMeta};
use crate::dedupe::Bucket;
use crate::error::FlushError;
use crate::memtable::RowRef;
use crate::open::Folders;
use crate::props::{self, Entry, ValueType};
use crate::row::Dim;
use crate::schema::TypeCounts;

/// A segment that is being written.
pub(crate) struct SegmentWriter {
    writer: ArrowWriter<Summing>,
    schema: Arc<Schema>,
    unfinished: PathBuf,
    info: Info,
    meta: SegmentMeta,
    group: GroupBuilder,
    group_rows: usize,
    last: Option<(u32, u64)>,
}

/// What a new segment is.
pub(crate) struct NewSegment<'a> {
    pub id: SegmentId,
    pub week: &'a str,
    pub level: u8,
    /// Properties that get a column, sorted by name.
    pub promoted: Vec<(String, PromotedKind)>,
    /// Rows after which a row group ends, at the next person.
    pub group_rows: usize,
}

impl SegmentWriter {
    /// Begin a file in `tmp/`.
    pub(crate) fn create(folders: &Folders, new: NewSegment<'_>) -> Result<Self, FlushError> {
        let NewSegment { id, week, level, promoted, group_rows } = new;
        let unfinished = folders.tmp.join(format!("{}.parquet", id.0));
        let file = folders.disk.create(&unfinished).map_err(io_error(&unfinished))?;
        let info = Info::new(promoted);
        let schema = Arc::new(schema(&info));
        let writer =
            ArrowWriter::try_new(Summing::new(file), Arc::clone(&schema), Some(properties()))
                .map_err(|error| parquet_error(&unfinished, &error))?;
        let group = GroupBuilder::new(&info);
        let meta = SegmentMeta {
            id,
            week: week.to_owned(),
            level,
            rows: 0,
            bytes: 0,
            project_min: u32::MAX,
            project_max: 0,
            ts_min_ms: i64::MAX,
            ts_max_ms: i64::MIN,
            person_min: u64::MAX,
            person_max: 0,
            id_day_min: i32::MAX,
            id_day_max: i32::MIN,
            odd_ids: 0,
            has_ids: true,
            link_epoch: 0,
            sums: Arc::default(),
        };
        Ok(Self { writer, schema, unfinished, info, meta, group, group_rows, last: None })
    }

    /// Add a row. Rows come in order of [`RowRef::sort_key`].
    pub(crate) fn push(&mut self, row: &RowRef<'_>) -> Result<(), FlushError> {
        let who = (row.project, row.person);
        if self.group.rows() >= self.group_rows && self.last != Some(who) {
            self.end_group()?;
        }
        self.last = Some(who);
        let meta = &mut self.meta;
        meta.rows += 1;
        meta.project_min = meta.project_min.min(row.project);
        meta.project_max = meta.project_max.max(row.project);
        meta.person_min = meta.person_min.min(row.person);
        meta.person_max = meta.person_max.max(row.person);
        meta.ts_min_ms = meta.ts_min_ms.min(row.ts_ms);
        meta.ts_max_ms = meta.ts_max_ms.max(row.ts_ms);
        match Bucket::of(row.event_id) {
            Bucket::ODD => meta.odd_ids += 1,
            Bucket(day) => {
                meta.id_day_min = meta.id_day_min.min(day);
                meta.id_day_max = meta.id_day_max.max(day);
                self.info.add_id_day(day);
            }
        }
        self.group.push(row, &mut self.info);
        Ok(())
    }

    /// Finish the file, sync it and give it its name below `seg/`.
    pub(crate) fn finish(mut self, folders: &Folders) -> Result<SegmentMeta, FlushError> {
        self.end_group()?;
        let path = &self.unfinished;
        let info = serde_json::to_string(&self.info)
            .map_err(|error| FlushError::Segment { file: path.clone(), what: error.to_string() })?;
        self.writer.append_key_value_metadata(KeyValue::new(INFO_KEY.to_owned(), info));
        let file = self.writer.into_inner().map_err(|error| parquet_error(path, &error))?;
        let (file, bytes, sums) = file.finish();
        file.sync_all().map_err(io_error(path))?;
        (self.meta.bytes, self.meta.sums) = (bytes, sums);
        let disk = &folders.disk;
        disk.reached("segment: written");
        let target = folders.data.join(self.meta.path());
        let week = folders.seg.join(&self.meta.week);
        // Synced even when it is there: whoever made it may have died before.
        disk.create_dir(&week).map_err(io_error(&week))?;
        disk.sync_dir(&folders.seg).map_err(io_error(&folders.seg))?;
        disk.rename(path, &target).map_err(io_error(&target))?;
        disk.reached("segment: named");
        disk.sync_dir(&week).map_err(io_error(&week))?;
        Ok(self.meta)
    }

    fn end_group(&mut self) -> Result<(), FlushError> {
        if self.group.rows() == 0 {
            return Ok(());
        }
        let group = std::mem::replace(&mut self.group, GroupBuilder::new(&self.info));
        self.info.groups.push(group.describe());
        let path = &self.unfinished;
        let batch = group
            .finish(&self.schema)
            .map_err(|error| FlushError::Segment { file: path.clone(), what: error.to_string() })?;
        self.writer
            .write(&batch)
            .and_then(|()| self.writer.flush())
            .map_err(|error| parquet_error(path, &error))
    }
}

/// The columns of a file, in order.
fn schema(info: &Info) -> Schema {
    let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let text = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut fields = vec![
        Field::new("project", DataType::UInt32, false),
        Field::new("person", DataType::UInt64, false),
        Field::new("actor", DataType::UInt64, false),
        Field::new("ts", time(), false),
        Field::new("seq", DataType::UInt32, false),
        Field::new("event_id", DataType::FixedSizeBinary(16), false),
        Field::new("received", time(), false),
        Field::new("claimed", time(), false),
        Field::new("flags", DataType::UInt8, false),
        Field::new("event", text(), false),
        Field::new("session", DataType::FixedSizeBinary(16), true),
    ];
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

fn properties() -> WriterProperties {
    let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let sorted = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    let zstd = ZstdLevel::try_new(3).map_or(Compression::LZ4_RAW, Compression::ZSTD);
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(concat!("tallymark ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_sorting_columns(Some([0, 1, 3, 4, 5].map(sorted).to_vec()))
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
    properties
        .set_column_dictionary_enabled(column("event_id"), false)
        .set_column_encoding(column("event_id"), Encoding::PLAIN)
        .set_column_compression(column("event_id"), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(column("props"), false)
        .set_column_compression(column("props"), zstd)
        .build()
}

/// The rows of one row group, as columns.
struct GroupBuilder {
    project: Vec<u32>,
    person: Vec<u64>,
    actor: Vec<u64>,
    ts: Vec<i64>,
    seq: Vec<u32>,
    event_id: Vec<u8>,
    received: Vec<i64>,
    claimed: Vec<i64>,
    flags: Vec<u8>,
    event: TextsBuilder,
    session: Vec<u128>,
    dims: Vec<TextsBuilder>,
    promoted: Vec<PromotedBuilder>,
    /// Text of `props`, empty for null.
    rest: Vec<String>,
}

enum PromotedBuilder {
    Text(TextsBuilder),
    Number(Vec<Option<f64>>),
    Bool(Vec<Option<bool>>),
}

impl GroupBuilder {
    fn new(info: &Info) -> Self {
        let promoted = info.promoted.iter().map(|promoted| match promoted.kind {
            PromotedKind::Text => PromotedBuilder::Text(TextsBuilder::default()),
            PromotedKind::Number => PromotedBuilder::Number(Vec::new()),
            PromotedKind::Bool => PromotedBuilder::Bool(Vec::new()),
        });
        Self {
            project: Vec::new(),
            person: Vec::new(),
            actor: Vec::new(),
            ts: Vec::new(),
            seq: Vec::new(),
            event_id: Vec::new(),
            received: Vec::new(),
            claimed: Vec::new(),
            flags: Vec::new(),
            event: TextsBuilder::default(),
            session: Vec::new(),
            dims: Dim::ALL.iter().map(|_| TextsBuilder::default()).collect(),
            promoted: promoted.collect(),
            rest: Vec::new(),
        }
    }

    fn rows(&self) -> usize {
        self.project.len()
    }

    fn push(&mut self, row: &RowRef<'_>, info: &mut Info) {
        self.project.push(row.project);
        self.person.push(row.person);
        self.actor.push(row.actor);
        self.ts.push(row.ts_ms);
        self.seq.push(row.seq);
        self.event_id.extend_from_slice(&row.event_id.to_be_bytes());
        self.received.push(row.received_ms);
        self.claimed.push(row.claimed_ms);
        self.flags.push(row.flags);
        self.event.push(Some(row.event));
        self.session.push(row.session);
        for (column, text) in self.dims.iter_mut().zip(row.dims) {
            column.push(text);
        }
        self.push_props(row.props, info);
    }

    /// Put each property into its column, and what has none or does not fit into the rest.
    fn push_props(&mut self, text: &str, info: &mut Info) {
        let at = self.rest.len();
        let mut rest = String::new();
        match props::entries(text) {
            Some(entries) => {
                for entry in entries {
                    self.push_entry(entry, at, &mut rest, info);
                }
                if !rest.is_empty() {
                    rest.push('}');
                }
            }
            // Not an object; kept as it is.
            None => rest.push_str(text),
        }
        for column in &mut self.promoted {
            column.fill(at + 1);
        }
        self.rest.push(rest);
    }

    fn push_entry(&mut self, entry: Entry<'_>, at: usize, rest: &mut String, info: &mut Info) {
        let key = entry.key();
        info.count_key(&key, type_counts(entry.value_type()));
        let column = info.promoted.binary_search_by(|promoted| (*promoted.key).cmp(&*key));
        if let Ok(column) = column {
            // A key that may be in the rest already stays there: the last one counts.
            let is_repeated = rest.contains(entry.raw_key);
            if !is_repeated
                && is_quoted_form(&key, entry.raw_key)
                && self.promoted[column].take(at, &entry)
            {
                return;
            }
            info.promoted[column].misfits += 1;
        }
        rest.push(if rest.is_empty() { '{' } else { ',' });
        rest.push_str(entry.raw_key);
        rest.push(':');
        rest.push_str(entry.raw_value);
    }

    fn describe(&self) -> Group {
        let last = self.rows() - 1;
        Group {
            rows: self.rows() as u32,
            first: (self.project[0], self.person[0]),
            last: (self.project[last], self.person[last]),
            ts_min_ms: self.ts.iter().copied().min().unwrap_or(i64::MAX),
            ts_max_ms: self.ts.iter().copied().max().unwrap_or(i64::MIN),
        }
    }

    fn finish(self, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
        let time = |times: Vec<i64>| -> ArrayRef {
            Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))
        };
        let sessions: Vec<u8> = self.session.iter().flat_map(|id| id.to_be_bytes()).collect();
        let has_session: NullBuffer =
            self.session.iter().map(|id| *id != 0).collect::<Vec<_>>().into();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from(self.project)),
            Arc::new(UInt64Array::from(self.person)),
            Arc::new(UInt64Array::from(self.actor)),
            time(self.ts),
            Arc::new(UInt32Array::from(self.seq)),
            Arc::new(FixedSizeBinaryArray::try_new(16, self.event_id.into(), None)?),
            time(self.received),
            time(self.claimed),
            Arc::new(UInt8Array::from(self.flags)),
            dictionary(self.event.finish())?,
            Arc::new(FixedSizeBinaryArray::try_new(16, sessions.into(), Some(has_session))?),
        ];
        for dim in self.dims {
            columns.push(dictionary(dim.finish())?);
        }
        for promoted in self.promoted {
            columns.push(match promoted {
                PromotedBuilder::Text(texts) => dictionary(texts.finish())?,
                PromotedBuilder::Number(numbers) => Arc::new(Float64Array::from(numbers)),
                PromotedBuilder::Bool(bools) => Arc::new(BooleanArray::from(bools)),
            });
        }
        let rest = self.rest.iter().map(|text| (!text.is_empty()).then_some(&**text));
        columns.push(Arc::new(rest.collect::<StringArray>()));
        RecordBatch::try_new(Arc::clone(schema), columns)
    }
}

impl PromotedBuilder {
    /// Take a value for row `at`, if it comes back from the column exactly as it was written.
    fn take(&mut self, at: usize, entry: &Entry<'_>) -> bool {
        let is_taken = match self {
            Self::Text(texts) => texts.len() > at,
            Self::Number(numbers) => numbers.len() > at,
            Self::Bool(bools) => bools.len() > at,
        };
        if is_taken {
            return false; // The key occurs twice: the second one stays in the rest.
        }
        match (self, entry.value_type()) {
            (Self::Text(texts), ValueType::Text) => {
                let Some(text) = entry.text() else { return false };
                let fits = is_quoted_form(&text, entry.raw_value);
                if fits {
                    texts.push(Some(&text));
                }
                fits
            }
            (Self::Number(numbers), ValueType::Number) => {
                let number = entry.number();
                let fits = number.is_finite() && props::text_of_number(number) == entry.raw_value;
                if fits {
                    numbers.push(Some(number));
                }
                fits
            }
            (Self::Bool(bools), ValueType::Bool) => {
                bools.push(Some(entry.raw_value == "true"));
                true
            }
            _ => false,
        }
    }

    /// Rows without a value are null.
    fn fill(&mut self, rows: usize) {
        match self {
            Self::Text(texts) if texts.len() < rows => texts.push(None),
            Self::Number(numbers) => numbers.resize(rows, None),
            Self::Bool(bools) => bools.resize(rows, None),
            Self::Text(_) => {}
        }
    }
}

/// Whether writing `text` as JSON gives `raw`.
fn is_quoted_form(text: &str, raw: &str) -> bool {
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !raw.contains('\\') && !text.bytes().any(needs_escape) {
        return true;
    }
    let mut quoted = String::with_capacity(raw.len());
    props::quote(text, &mut quoted);
    quoted == raw
}

fn type_counts(value: ValueType) -> TypeCounts {
    let mut counts = TypeCounts::default();
    match value {
        ValueType::Text => counts.texts = 1,
        ValueType::Number => counts.numbers = 1,
        ValueType::Bool => counts.bools = 1,
        ValueType::Other => counts.others = 1,
    }
    counts
}

fn dictionary(texts: Texts) -> Result<ArrayRef, ArrowError> {
    let keys: Int32Array = texts
        .codes
        .iter()
        .map(|&code| (code as i32).checked_sub(1).filter(|key| *key >= 0))
        .collect();
    let values = StringArray::from_iter_values(&texts.values);
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values))?))
}

/// An IO error with the file it happened to.
pub(crate) fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> FlushError + use<'_> {
    |source| FlushError::Io { path: path.to_owned(), source: Arc::new(source) }
}

fn parquet_error(path: &Path, error: &ParquetError) -> FlushError {
    FlushError::Segment { file: path.to_owned(), what: error.to_string() }
}
