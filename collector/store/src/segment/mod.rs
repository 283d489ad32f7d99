//! Segments: sorted, immutable Parquet files.
//!
//! In: sorted rows ([`SegmentWriter`]). Out: columns of row groups for the driver ([`Segment`] as
//! blocks), whole rows for exports and merges ([`SegmentRows`]), ids for finding duplicates.
//!
//! Invariant: a file is never changed once it has its name. It is deleted when the catalog no
//! longer names it and the last reader is gone.
//!
//! Deliberately elsewhere: which files are real (`catalog`), when they are made (`keeper`).

mod arrays;
mod batches;
mod bits;
mod bloom;
mod cache;
mod check;
mod encode;
mod few;
mod file;
mod group;
mod info;
mod layout;
mod packed;
mod pages;
mod presence;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod texts;
mod write;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use hashbrown::HashMap;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

pub(crate) use batches::SegmentBatches;
pub(crate) use cache::{ColumnCache, Reading};
pub(crate) use check::Checked;
use file::SharedFile;
pub(crate) use group::GroupBuilder;
use info::{INFO_KEY, SEGMENT_VERSION};
pub(crate) use info::{Info, PromotedKind, promote};
use packed::Decoded;
use pages::Which;
pub(crate) use rows::SegmentRows;
pub(crate) use write::{NewSegment, SegmentWriter, Watch, io_error};

use crate::block::{Block, Bounds, Column, ColumnKey, Having, Property, TextColumn, Values};
use crate::catalog::SegmentMeta;
use crate::dedupe::Bucket;
use crate::disk::Disk;
use crate::driver::Source;
use crate::error::{OpenError, ScanError};
use crate::open::Folders;
use crate::row::Dim;

/// Name of the column of users that rows came with, where those are not their persons any more.
const ORIGIN: &str = "origin";
/// The page load; only where there are event ids.
const WRITER: &str = "writer";

/// A column of few texts has at most a byte for so many rows: a few bits each.
const TEXTS_A_BYTE: usize = 3;

/// An open segment.
pub(crate) struct Segment {
    meta: SegmentMeta,
    info: Info,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file: SharedFile,
    arrow: ArrowReaderMetadata,
    cache: Arc<ColumnCache>,
    /// Values that decoded text columns share; gone when no column needs them.
    values: Mutex<HashMap<Property, Weak<Values>>>,
    presence: presence::Slot,
    /// Where a file of its presence is written before it has its name.
    unfinished_presence: PathBuf,
    /// Replaced: the file goes with the last reader.
    is_doomed: AtomicBool,
    /// What is known about people up to this frame changes nothing in this file.
    link_epoch: AtomicU64,
    received_max_ms: i64,
}

impl Segment {
    /// Open the file of a segment and read what it says about itself.
    ///
    /// # Errors
    /// [`OpenError::CorruptSegment`], or [`OpenError::NewerVersion`].
    pub(crate) fn open(
        folders: &Folders,
        meta: SegmentMeta,
        cache: &Arc<ColumnCache>,
    ) -> Result<Self, OpenError> {
        let path = folders.data.join(meta.path());
        let disk = Arc::clone(&folders.disk);
        let damaged = |what: String| OpenError::CorruptSegment { file: path.clone(), what };
        let file = disk
            .open(&path)
            .and_then(|file| SharedFile::new(file, meta.bytes, Arc::clone(&meta.sums)));
        let file = file.map_err(|error| damaged(error.to_string()))?;
        let arrow = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
            .map_err(|error| damaged(error.to_string()))?;
        let pairs = arrow.metadata().file_metadata().key_value_metadata();
        let text = pairs.into_iter().flatten().find(|pair| pair.key == INFO_KEY);
        let text = text.and_then(|pair| pair.value.as_deref()).unwrap_or("");
        #[derive(serde::Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_str(text)
            .map_err(|_| damaged("it was not written by tallymark".into()))?;
        if version.format > SEGMENT_VERSION {
            return Err(OpenError::NewerVersion {
                file: path,
                found: version.format,
                known: SEGMENT_VERSION,
            });
        }
        let info: Info = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let groups = arrow.metadata().row_groups();
        let described = info.groups.iter().map(|group| i64::from(group.rows));
        if !described.eq(groups.iter().map(|group| group.num_rows())) {
            return Err(damaged("its row groups are not those it lists".into()));
        }
        let cache = Arc::clone(cache);
        let (values, is_doomed) = (Mutex::default(), AtomicBool::new(false));
        let link_epoch = AtomicU64::new(meta.link_epoch);
        let unfinished_presence = folders.tmp.join(format!("{}.presence", meta.id.0));
        let presence = presence::Slot::default();
        let received_max_ms = received_max_ms(arrow.metadata());
        Ok(Self {
            meta,
            info,
            path,
            disk,
            file,
            arrow,
            cache,
            values,
            presence,
            unfinished_presence,
            is_doomed,
            link_epoch,
            received_max_ms,
        })
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    pub(crate) fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// Frames up to this one say nothing about people that would change its rows.
    pub(crate) fn link_epoch(&self) -> u64 {
        self.link_epoch.load(Ordering::Relaxed)
    }

    /// It was looked at: nothing up to this frame changes its rows.
    pub(crate) fn set_link_epoch(&self, epoch: u64) {
        self.link_epoch.store(epoch, Ordering::Relaxed);
    }

    /// Property names and counts of texts, numbers, bools and others, for a merge.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&str, [u64; 4])> {
        self.info.keys.iter().map(|(key, counts)| (&**key, *counts))
    }

    /// The properties that some of its rows have a column for, those first that are read soonest: those of
    /// which a few bytes tell all, those that have few texts, and the others; of each the smallest first.
    pub(crate) fn properties(&self) -> [Vec<ColumnKey>; 3] {
        let dims = Dim::ALL
            .iter()
            .map(|dim| (dim.name().to_owned(), ColumnKey::Text(Property::Dim(*dim))));
        let promoted = self.info.promoted.iter().map(|promoted| {
            let property = Property::Key(promoted.key.as_str().into());
            let key = match promoted.kind {
                PromotedKind::Number => ColumnKey::Number(property),
                PromotedKind::Text | PromotedKind::Bool => ColumnKey::Text(property),
            };
            (format!("p.{}", promoted.key), key)
        });
        let groups = 0..self.info.groups.len() as u32;
        let bytes = |name: &str| -> i64 {
            let with = groups.clone().filter(|group| !self.is_absent(*group, name));
            let chunks = with.filter_map(|group| self.chunk(group, name));
            chunks.map(ColumnChunkMetaData::compressed_size).sum()
        };
        let mut sized: Vec<(i64, ColumnKey)> =
            dims.chain(promoted).map(|(name, key)| (bytes(&name), key)).collect();
        sized.retain(|(bytes, _)| *bytes > 0);
        sized.sort_by_key(|(bytes, _)| *bytes);
        let has_at_most =
            |bytes: i64, rows_a_byte: usize| bytes <= self.meta.rows as i64 / rows_a_byte as i64;
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        for (bytes, key) in sized {
            let place = match key {
                _ if has_at_most(bytes, pages::ROWS_A_BYTE) => 0,
                ColumnKey::Text(_) if has_at_most(bytes, TEXTS_A_BYTE) => 1,
                _ => 2,
            };
            found[place].push(key);
        }
        found
    }

    /// The table of a property that has many texts, where it is small beside the rows' codes.
    pub(crate) fn small_table(&self, key: &ColumnKey) -> Option<ColumnKey> {
        let ColumnKey::Text(property) = key else { return None };
        self.is_table_small(property).then(|| ColumnKey::Table(property.clone()))
    }

    fn is_table_small(&self, property: &Property) -> bool {
        let bytes = |which| -> u64 {
            let groups = 0..self.info.groups.len() as u32;
            groups.filter_map(|group| self.bytes_of(group, property, which)).sum()
        };
        self.has_table(0, property) && bytes(Which::Dictionary) < bytes(Which::Codes)
    }

    /// When its newest row was received, Unix milliseconds; `i64::MAX` when the file does not say.
    pub(crate) fn received_max_ms(&self) -> i64 {
        self.received_max_ms
    }

    /// Its row groups, for one reading.
    pub(crate) fn source(self: &Arc<Self>, reading: Reading) -> Source {
        let block = |(group, described): (u32, &info::Group)| {
            let (segment, bounds) = (Arc::clone(self), described.bounds());
            let few_rows = few::Rows::default();
            Arc::new(SegmentBlock { segment, group, bounds, reading, few_rows }) as Arc<dyn Block>
        };
        Source { blocks: (0..).zip(&self.info.groups).map(block).collect() }
    }

    /// The row groups in which rows of these persons and times can be.
    pub(crate) fn groups_holding(
        &self,
        project: u32,
        persons: &std::ops::RangeInclusive<u64>,
        times: &std::ops::Range<i64>,
    ) -> Vec<usize> {
        let groups = self.info.groups.iter().enumerate();
        let holding =
            groups.filter(|(_, group)| group.bounds().may_hold(project, persons.clone(), times));
        holding.map(|(at, _)| at).collect()
    }

    /// Rows of some row groups.
    pub(crate) fn rows_of(&self, groups: &[usize]) -> u64 {
        groups.iter().map(|group| u64::from(self.info.groups[*group].rows)).sum()
    }

    /// A time not after the first event of a project, if it may have one.
    pub(crate) fn first_ms(&self, project: u32) -> Option<i64> {
        let groups = self.info.groups.iter();
        let holding = groups.filter(|group| (group.first.0..=group.last.0).contains(&project));
        holding.map(|group| group.ts_min_ms).min()
    }

    pub(crate) fn cache(&self) -> &ColumnCache {
        &self.cache
    }

    /// The row groups in which one of these persons, in order, really is.
    pub(crate) fn groups_with(
        self: &Arc<Self>,
        project: u32,
        persons: &[u64],
    ) -> Result<Vec<usize>, ScanError> {
        let (Some(first), Some(last)) = (persons.first(), persons.last()) else {
            return Ok(Vec::new());
        };
        let blocks = self.source(self.cache.reading()).blocks;
        let mut with = Vec::new();
        for group in self.groups_holding(project, &(*first..=*last), &(i64::MIN..i64::MAX)) {
            let column = blocks[group].column(&ColumnKey::Runs)?;
            let runs = column.runs();
            let within = &runs.persons[runs.within(project, 0, u64::MAX)];
            if within.iter().any(|person| persons.binary_search(person).is_ok()) {
                with.push(group);
            }
        }
        Ok(with)
    }

    /// Whether ids of one of these buckets can be inside.
    pub(crate) fn may_hold_ids(&self, buckets: &BTreeSet<Bucket>) -> bool {
        let days = &self.info.id_days;
        buckets.iter().any(|bucket| match *bucket {
            Bucket::ODD => self.meta.odd_ids > 0,
            Bucket(day) if self.info.id_days_complete => days.contains(&day),
            Bucket(day) => (self.meta.id_day_min..=self.meta.id_day_max).contains(&day),
        })
    }

    /// Delete the file when the last reader is gone.
    pub(crate) fn doom(&self) {
        self.is_doomed.store(true, Ordering::Relaxed);
    }

    fn group_rows(&self, group: u32) -> usize {
        self.info.groups[group as usize].rows as usize
    }
}

/// The newest receipt that a file's statistics tell of.
fn received_max_ms(metadata: &ParquetMetaData) -> i64 {
    let columns = metadata.file_metadata().schema_descr().columns();
    let at = columns.iter().position(|column| column.name() == "received");
    let of_group = |group: &RowGroupMetaData| match group.column(at?).statistics()? {
        Statistics::Int64(of_group) => of_group.max_opt().copied(),
        _ => None,
    };
    let newest = metadata.row_groups().iter().map(|group| of_group(group).unwrap_or(i64::MAX));
    newest.max().unwrap_or(i64::MAX)
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.is_doomed.load(Ordering::Relaxed) {
            self.cache.forget(self.meta.id);
            self.remove_presence();
            if let Err(error) = self.disk.remove(&self.path) {
                // The next start removes it.
                tracing::warn!(file = %self.path.display(), %error, "cannot remove a segment");
            }
            self.disk.reached("merge: replaced segment removed");
        }
    }
}

/// A row group as the driver sees it.
struct SegmentBlock {
    segment: Arc<Segment>,
    group: u32,
    bounds: Bounds,
    reading: Reading,
    few_rows: few::Rows,
}

impl SegmentBlock {
    /// The column, if it is kept.
    fn find(&self, key: &ColumnKey) -> Option<Arc<Column>> {
        self.segment.cache.find(self.segment.meta.id, self.group, key)
    }

    fn decode(&self, key: &ColumnKey) -> Result<Decoded, ScanError> {
        match key {
            ColumnKey::AreFew(having) => Ok(self.are_few(having)?.into()),
            ColumnKey::OfFew(having, of) => Ok(Decoded::Small(self.of_few(having, of)?)),
            ColumnKey::Text(property) if self.segment.has_table(self.group, property) => {
                let table = self.column(&ColumnKey::Table(property.clone()))?;
                self.segment.shared_texts(self.group, property, Some(table.texts()))
            }
            ColumnKey::Ties => {
                let (runs, ts) = (self.column(&ColumnKey::Runs)?, self.column(&ColumnKey::Ts)?);
                let actors = self.segment.decode(self.group, key)?.column();
                Ok(Column::of_ties(runs.runs(), ts.times(), actors.actors().as_ref()).into())
            }
            _ => self.segment.decode(self.group, key),
        }
    }
}

impl Block for SegmentBlock {
    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn sample_persons(&self, project: u32, samples: &mut Vec<(u64, u64)>) {
        let person = if self.bounds.first.0 == project { self.bounds.first.1 } else { 0 };
        samples.push((person, u64::from(self.bounds.rows)));
    }

    fn column(&self, key: &ColumnKey) -> Result<Arc<Column>, ScanError> {
        let Self { segment, group, reading, .. } = self;
        segment.cache.get(*reading, segment.meta.id, *group, key, || self.decode(key))
    }

    fn few(self: Arc<Self>, having: &Arc<Having>) -> Result<Option<Arc<dyn Block>>, ScanError> {
        few::of(self, having)
    }

    fn may_have(&self, Having { property, texts }: &Having) -> Result<bool, ScanError> {
        if self.segment.bloom_range(self.group, property).is_none() {
            return Ok(true);
        }
        // Where a start has read it, it is here before a filter, and never wrong.
        if let Some(table) = self.find(&ColumnKey::Table(property.clone()))
            && self.segment.has_table(self.group, property)
        {
            let TextColumn { codes, values } = table.texts();
            return Ok(values.find(texts).into_iter().any(|code| codes.has(code)));
        }
        let column = self.column(&ColumnKey::Bloom(property.clone()))?;
        let bloom = column.bloom();
        Ok(texts.iter().any(|text| bloom.check(&**text)))
    }
}
