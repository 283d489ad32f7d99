//! Writing a segment: sorted rows in, one Parquet file out.
//!
//! Invariant: the file is whole and on the disk before it gets its name; whether it is *real* is
//! for the catalog to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use super::encode::Encoding;
use super::group::GroupBuilder;
use super::info::{INFO_KEY, Info, PromotedKind};
use crate::catalog::{SegmentId, SegmentMeta};
use crate::columns::Columns;
use crate::dedupe::Bucket;
use crate::error::FlushError;
use crate::open::Folders;

/// A segment that is being written.
pub(crate) struct SegmentWriter<'a> {
    encoding: Encoding,
    unfinished: PathBuf,
    info: Info,
    meta: SegmentMeta,
    group: GroupBuilder,
    group_rows: usize,
    last: Option<(u32, u64)>,
    watch: Option<Watch<'a>>,
}

/// Sees the rows of every group, in order, before they are encoded.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(&Columns);

/// What a new segment is.
pub(crate) struct NewSegment<'a> {
    pub id: SegmentId,
    pub week: &'a str,
    pub level: u8,
    /// Properties that get a column, sorted by name.
    pub promoted: Vec<(String, PromotedKind)>,
    /// Rows after which a row group ends, at the next person.
    pub group_rows: usize,
    /// Whether event ids are written.
    pub has_ids: bool,
    /// Who wants to see what is written.
    pub watch: Option<Watch<'a>>,
    /// Row groups that are encoded at once, beside the thread that brings the rows: for imports, which
    /// nobody who waits for an answer stands behind. 0: each on that thread.
    pub encoders: usize,
}

impl<'a> SegmentWriter<'a> {
    /// Begin a file in `tmp/`.
    pub(crate) fn create(folders: &Folders, new: NewSegment<'a>) -> Result<Self, FlushError> {
        let NewSegment { id, week, level, promoted, group_rows, has_ids, watch, encoders } = new;
        let unfinished = folders.tmp.join(format!("{}.parquet", id.0));
        let file = folders.disk.create(&unfinished).map_err(io_error(&unfinished))?;
        let info = Info::new(promoted);
        let encoding = Encoding::new(&unfinished, file, &info, has_ids, encoders);
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
            has_ids,
            link_epoch: 0,
            sums: Arc::default(),
        };
        Ok(Self { encoding, unfinished, info, meta, group, group_rows, last: None, watch })
    }

    /// Add rows, each by its source and its row there, in order of [`Columns::sort_key`].
    pub(crate) fn push(
        &mut self,
        order: &[(u32, u32)],
        sources: &[&Columns],
    ) -> Result<(), FlushError> {
        let who = |&(from, row): &(u32, u32)| {
            let source = sources[from as usize];
            (source.project[row as usize], source.person[row as usize])
        };
        let mut rest = order;
        while let Some(first) = rest.first() {
            if self.group.rows() >= self.group_rows && self.last != Some(who(first)) {
                self.end_group()?;
            }
            // Up to the size of a group any rows fit; from there on those of the same person.
            let free = self.group_rows.saturating_sub(self.group.rows()).min(rest.len());
            let last = if free > 0 { who(&rest[free - 1]) } else { who(first) };
            let more = rest[free..].iter().take_while(|row| who(row) == last).count();
            let (fits, behind) = rest.split_at(free + more);
            self.last = Some(last);
            self.take(fits, sources);
            rest = behind;
        }
        Ok(())
    }

    fn take(&mut self, order: &[(u32, u32)], sources: &[&Columns]) {
        let before = self.group.rows();
        self.group.gather(order, sources, &mut self.info);
        let (meta, columns) = (&mut self.meta, self.group.columns());
        meta.rows += order.len() as u64;
        for &project in &columns.project[before..] {
            meta.project_min = meta.project_min.min(project);
            meta.project_max = meta.project_max.max(project);
        }
        for &person in &columns.person[before..] {
            meta.person_min = meta.person_min.min(person);
            meta.person_max = meta.person_max.max(person);
        }
        for &ts in &columns.ts[before..] {
            meta.ts_min_ms = meta.ts_min_ms.min(ts);
            meta.ts_max_ms = meta.ts_max_ms.max(ts);
        }
        if !meta.has_ids {
            return;
        }
        let mut known = None;
        for &event_id in &columns.event_id[before..] {
            let bucket = Bucket::of(event_id);
            meta.odd_ids += u64::from(bucket == Bucket::ODD);
            if bucket != Bucket::ODD && known.replace(bucket) != Some(bucket) {
                meta.id_day_min = meta.id_day_min.min(bucket.0);
                meta.id_day_max = meta.id_day_max.max(bucket.0);
                self.info.add_id_day(bucket.0);
            }
        }
    }

    /// Leave it. What cannot be removed now goes at the next start.
    pub(crate) fn give_up(self, folders: &Folders) {
        let _ = folders.disk.remove(&self.unfinished);
    }

    /// Finish the file, sync it and give it its name below `seg/`. If that fails the file goes: on a full
    /// disk it would take the room that the next attempt needs.
    pub(crate) fn finish(self, folders: &Folders) -> Result<SegmentMeta, FlushError> {
        let unfinished = self.unfinished.clone();
        self.name(folders).inspect_err(|_| drop(folders.disk.remove(&unfinished)))
    }

    fn name(mut self, folders: &Folders) -> Result<SegmentMeta, FlushError> {
        self.end_group()?;
        let path = &self.unfinished;
        let info = serde_json::to_string(&self.info)
            .map_err(|error| FlushError::Segment { file: path.clone(), what: error.to_string() })?;
        let (file, bytes, sums) = self.encoding.finish(KeyValue::new(INFO_KEY.to_owned(), info))?;
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
        let group = group.finish(&self.info);
        if let Some(watch) = &mut self.watch {
            watch(&group);
        }
        self.encoding.push(group)
    }
}

/// An IO error with the file it happened to.
pub(crate) fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> FlushError + use<'_> {
    |source| FlushError::Io { path: path.to_owned(), source: Arc::new(source) }
}

pub(super) fn parquet_error(path: &Path, error: &ParquetError) -> FlushError {
    FlushError::Segment { file: path.to_owned(), what: error.to_string() }
}
