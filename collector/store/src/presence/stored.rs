//! The presence of one segment or run: in a file, or in memory.

use std::path::Path;
use std::sync::Arc;

use super::codec::Damaged;
use super::file::{self, Origin, PresenceFile};
use super::rollup::{DayList, ListKey, Part, Rollup};
use crate::block::{Column, ColumnKey};
use crate::disk::Disk;
use crate::options::Zones;
use crate::segment::Segment;

/// Presence that can be asked.
#[derive(Debug)]
pub(crate) enum Stored {
    File(PresenceFile),
    /// A run in memory; or a segment whose file could not be written.
    Memory(Rollup),
}

impl Stored {
    /// The file of a segment, if it is there and fits.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        origin: &Origin,
        zones: &Zones,
    ) -> Option<Self> {
        PresenceFile::open(disk, path, origin, zones).ok().map(Self::File)
    }

    /// Write what was made of a segment, and read it from there; without a disk, from memory.
    pub(crate) fn keep(
        disk: &dyn Disk,
        made: Rollup,
        origin: &Origin,
        unfinished: &Path,
        path: &Path,
        zones: &Zones,
    ) -> Self {
        match file::write(disk, &made, origin.clone(), unfinished, path) {
            Ok(()) => Self::open(disk, path, origin, zones).unwrap_or(Self::Memory(made)),
            Err(error) => {
                tracing::debug!(file = %path.display(), %error, "cannot keep a presence file");
                Self::Memory(made)
            }
        }
    }

    /// The projects that have a part.
    pub(super) fn projects(&self) -> Vec<u32> {
        match self {
            Self::File(file) => file.parts().map(|part| part.project).collect(),
            Self::Memory(rollup) => rollup.parts.iter().map(|built| built.part.project).collect(),
        }
    }

    /// The part of a project, and its number.
    pub(super) fn part(&self, project: u32) -> Option<(usize, &Part)> {
        let of_project = |(_, part): &(usize, &Part)| part.project == project;
        match self {
            Self::File(file) => file.parts().enumerate().find(of_project),
            Self::Memory(rollup) => {
                rollup.parts.iter().map(|built| &built.part).enumerate().find(of_project)
            }
        }
    }

    /// What the lists of a part are about, and how many persons each has.
    pub(super) fn lists(&self, part: usize) -> Vec<(&ListKey, usize)> {
        match self {
            Self::File(file) => file.lists(part).collect(),
            Self::Memory(rollup) => {
                let built = &rollup.parts[part];
                built.part.lists.iter().zip(built.lists.iter().map(|list| list.len())).collect()
            }
        }
    }

    /// The persons of a part, in order. Asked for only to make a roster, which is what is kept.
    pub(super) fn persons(&self, part: usize) -> Result<Arc<Vec<u64>>, Damaged> {
        match self {
            Self::Memory(rollup) => Ok(Arc::clone(&rollup.parts[part].persons)),
            Self::File(file) => file.persons(part).map(Arc::new),
        }
    }

    /// A list of a part; from a file it is kept with the decoded columns.
    pub(super) fn list(
        &self,
        segment: Option<&Segment>,
        part: usize,
        list: usize,
    ) -> Result<Arc<DayList>, Damaged> {
        match (self, segment) {
            (Self::Memory(rollup), _) => Ok(Arc::clone(&rollup.parts[part].lists[list])),
            (Self::File(file), None) => file.list(part, list).map(Arc::new),
            (Self::File(file), Some(segment)) => {
                let key = ColumnKey::Presence(list as u32);
                let decode = || Ok(Column::Days(Arc::new(file.list(part, list)?)).into());
                let (cache, id) = (segment.cache(), segment.meta().id);
                let column = cache.get(cache.reading(), id, part as u32, &key, decode)?;
                Ok(Arc::clone(column.days()))
            }
        }
    }
}
