//! Looking at everything that is stored, and saying what is not as it was written.
//!
//! In: the catalog and the data folder. Out: [`Verified`], with one [`Problem`] for each thing that
//! is wrong. Nothing is changed, mended or skipped.
//!
//! Looked at: every frame of the log (checksum, order, contents), every segment (checksums, order
//! of rows, bounds and counts against the catalog), that each event id is stored once, and that
//! nothing is missing. A store that is running is verified as it was at one moment.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Catalog, CatalogState, SegmentMeta};
use crate::dedupe::fingerprint;
use crate::disk::RealDisk;
use crate::error::OpenError;
use crate::open::{Folders, is_aside};
use crate::segment::{Checked, ColumnCache, Segment};
use crate::store::Store;
use crate::wal::{self, Entry, Extent, SealedFile};

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments the catalog names.
    pub segments: u64,
    /// Rows in them, by the catalog.
    pub segment_rows: u64,
    /// Bytes of their files, by the catalog.
    pub segment_bytes: u64,
    /// Segments written before there were checksums: they decode, but a changed value in them may
    /// go unnoticed until a merge writes them again.
    pub segments_without_checksums: u64,
    /// Segments that were set aside (renamed to `.aside`): their rows are in no answer.
    pub segments_aside: Vec<PathBuf>,
    /// Log files.
    pub log_files: u64,
    /// Whole frames in them.
    pub log_frames: u64,
    /// Bytes of these frames.
    pub log_bytes: u64,
    /// Bytes behind the last whole frame: a write that was never acknowledged, cut at the next
    /// start.
    pub log_torn_bytes: u64,
    /// What is wrong. Empty when all is well.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub file: PathBuf,
    /// What, and what can be done about it.
    pub what: String,
}

/// Fingerprints of ids held in memory at once, to look for equal ones: 128 MiB.
const IDS_AT_ONCE: u64 = 16 << 20;

impl Store {
    /// Verify what is stored at this moment, while the store goes on.
    pub fn verify(&self) -> Verified {
        let mut out = Verified::default();
        // Held until the end, so that no merge takes the files away.
        let (view, log, aside) = {
            let view = self.shared.view();
            let live = self.shared.live();
            let log: Vec<_> = live.wal_files.iter().chain(&live.wal_open).cloned().collect();
            (view, log, live.aside.clone())
        };
        out.segments_aside(&self.folders, &aside);
        view.segments.iter().for_each(|segment| out.segment(segment));
        for file in log {
            out.log_file(&self.folders, &file);
        }
        out.ids(&view.segments, &|each| {
            if let Some(frozen) = &view.frozen {
                frozen.rows.ids(each);
            }
            view.active.ids(each);
        });
        out
    }

    /// Verify a data folder that no store has open, also one in which a store does not start.
    ///
    /// # Errors
    /// [`OpenError`] when the folder is in use, or catalog or folder cannot be read.
    pub fn verify_closed(dir: &Path, catalog: &dyn Catalog) -> Result<Verified, OpenError> {
        let folders = Folders::new(dir, Arc::new(RealDisk));
        let _lock = crate::open::lock(&folders)?;
        closed(&folders, catalog)
    }
}

/// See [`Store::verify_closed`].
pub(crate) fn closed(folders: &Folders, catalog: &dyn Catalog) -> Result<Verified, OpenError> {
    let CatalogState { segments: metas, flushed_seq, .. } = catalog.load()?;
    let mut out = Verified::default();
    let (aside, metas): (Vec<_>, Vec<_>) =
        metas.into_iter().partition(|meta| is_aside(folders, meta));
    out.segments_aside(folders, &aside);
    let cache = Arc::new(ColumnCache::new(0));
    let mut segments = Vec::new();
    for meta in metas {
        let file = folders.data.join(meta.path());
        match Segment::open(folders, meta, &cache).map(Arc::new) {
            Ok(segment) => {
                out.segment(&segment);
                segments.push(segment);
            }
            Err(error) => out.problem(&file, &error),
        }
    }
    let mut in_log = Vec::new();
    let mut each = |_, entry| {
        if let Entry::Rows(rows) = entry {
            in_log.extend(rows.iter().map(|row| (row.project, row.event_id)));
        }
    };
    wal::walk(folders, flushed_seq, &mut each, &mut |extent, end| {
        match end {
            Ok(end) => {
                out.log_files += 1;
                out.log_frames += end.next_seq - extent.first_seq;
                out.log_bytes += end.offset;
                out.log_torn_bytes += end.torn_bytes;
            }
            Err(error) => out.problem(&extent.path, &error),
        }
        Ok(())
    })?;
    out.ids(&segments, &|each| in_log.iter().for_each(|&(project, id)| each(project, id)));
    Ok(out)
}

impl Verified {
    fn problem(&mut self, file: &Path, what: &dyn Display) {
        self.problems.push(Problem { file: file.to_owned(), what: what.to_string() });
    }

    fn segments_aside(&mut self, folders: &Folders, aside: &[SegmentMeta]) {
        self.segments_aside = aside.iter().map(|meta| folders.data.join(meta.path())).collect();
    }

    fn segment(&mut self, segment: &Arc<Segment>) {
        let meta = segment.meta();
        self.segments += 1;
        self.segment_rows += meta.rows;
        self.segment_bytes += meta.bytes;
        match segment.check() {
            Ok(Checked { has_sums, problems }) => {
                self.segments_without_checksums += u64::from(!has_sums);
                problems.iter().for_each(|what| self.problem(segment.path(), what));
            }
            Err(error) => self.problem(segment.path(), &error),
        }
    }

    /// A file of a log that is being written: only what was good at one moment is looked at.
    fn log_file(&mut self, folders: &Folders, file: &SealedFile) {
        let stop = Some(file.last_seq + 1);
        let extent = Extent { path: file.path.clone(), first_seq: file.first_seq, stop };
        match wal::read_file(&*folders.disk, &extent, Some(file.bytes), 0, &mut |_, _| ()) {
            Ok(end) => {
                self.log_files += 1;
                self.log_frames += end.next_seq - file.first_seq;
                self.log_bytes += end.offset;
            }
            // A flush took it away: its rows are in segments.
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.problem(&file.path, &error),
        }
    }

    /// Look for ids that are stored more than once, a part of all fingerprints at a time.
    fn ids(&mut self, segments: &[Arc<Segment>], in_log: &Ids<'_>) {
        let with_ids = segments.iter().filter(|segment| segment.meta().has_ids);
        let with_ids: Vec<_> = with_ids.collect();
        let parts = (self.segment_rows / IDS_AT_ONCE + 1).next_power_of_two();
        for part in 0..parts {
            let mut prints = Vec::new();
            let mut each = |project, event_id| {
                let print = fingerprint(project, event_id);
                if print % parts == part {
                    prints.push(print);
                }
            };
            in_log(&mut each);
            for segment in &with_ids {
                if segment.ids(&mut each).is_err() {
                    break; // Named above.
                }
            }
            prints.sort_unstable();
            let twice = prints.windows(2).filter(|pair| pair[0] == pair[1]).count();
            if twice > 0 {
                let what = format!("{twice} event ids are stored more than once");
                self.problem(Path::new("seg"), &what);
            }
        }
    }
}

/// Gives project and event id of everything that is only in the log.
type Ids<'a> = dyn Fn(&mut dyn FnMut(u32, u128)) + 'a;
