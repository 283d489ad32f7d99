//! The file beside a segment that keeps its presence: `<id>.presence`.
//!
//! ```text
//! "TMPR" | version u32 | header length u32 | header CRC-32 u32 | header (JSON) | blocks
//! ```
//!
//! All numbers are little endian. The header names every block with its place and CRC-32; blocks
//! are LZ4 where that is shorter (`codec`). The file is made from its segment and can be made again
//! at any time: one that is missing, damaged, newer, of other rows or of other days is made anew.
//! So it is never the truth, and never an error.
//!
//! This is a disk type, but not a frozen one: a change is a new version, and old files are made anew.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tallymark_analysis::presence::PASSIVE;

use super::codec::{self, Damaged, Place};
use super::rollup::{DayList, ListKey, Masks, Part, Rollup, local_days};
use crate::disk::{Disk, DiskFile};
use crate::options::Zones;

const MAGIC: &[u8; 4] = b"TMPR";
const VERSION: u32 = 1;
/// Magic, version, length and checksum of the header.
const FRONT: usize = 16;

/// What tells whether a file belongs to these rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub segment: u64,
    pub rows: u64,
    pub bytes: u64,
    pub ts_ms: (i64, i64),
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    origin: Origin,
    /// Of the list of passive events: another list makes other people active.
    passive_crc: u32,
    parts: Vec<PartHeader>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartHeader {
    project: u32,
    zone: String,
    /// Number of days, and a checksum of where they begin: zones change their rules.
    days: usize,
    days_crc: u32,
    is_complete: bool,
    persons: (usize, Place),
    lists: Vec<ListHeader>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ListHeader {
    key: ListKey,
    count: usize,
    at: Option<Place>,
    /// Bytes per mask.
    width: u8,
    masks: Place,
}

/// A file that fits its segment.
#[derive(Debug)]
pub(crate) struct PresenceFile {
    file: Arc<dyn DiskFile>,
    blocks_at: u64,
    parts: Vec<(Part, PartHeader)>,
}

fn passive_crc() -> u32 {
    crc32fast::hash(PASSIVE.join("\n").as_bytes())
}

fn days_crc(bounds_ms: &[i64]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    bounds_ms.iter().for_each(|ms| crc.update(&ms.to_le_bytes()));
    crc.finalize()
}

/// Write a rollup to `unfinished`, then give it its name.
pub(super) fn write(
    disk: &dyn Disk,
    rollup: &Rollup,
    origin: Origin,
    unfinished: &Path,
    path: &Path,
) -> io::Result<()> {
    let mut blocks = Vec::new();
    let mut parts = Vec::new();
    for built in &rollup.parts {
        let persons = codec::pack_rising(built.persons.iter().copied());
        let persons = (built.persons.len(), codec::encode(&persons, &mut blocks));
        let lists = built.part.lists.iter().zip(&built.lists).map(|(key, list)| {
            let at = list.at.as_ref().map(|at| {
                let packed = codec::pack_rising(at.iter().map(|at| u64::from(*at)));
                codec::encode(&packed, &mut blocks)
            });
            let (width, masks) = pack_masks(&list.masks);
            let masks = codec::encode(&masks, &mut blocks);
            ListHeader { key: key.clone(), count: list.len(), at, width, masks }
        });
        parts.push(PartHeader {
            project: built.part.project,
            zone: built.part.zone.clone(),
            days: built.part.bounds_ms.len(),
            days_crc: days_crc(&built.part.bounds_ms),
            is_complete: built.part.is_complete,
            lists: lists.collect(),
            persons,
        });
    }
    let header = serde_json::to_vec(&Header { origin, passive_crc: passive_crc(), parts })?;
    let mut front = Vec::with_capacity(FRONT + header.len());
    front.extend_from_slice(MAGIC);
    front.extend_from_slice(&VERSION.to_le_bytes());
    front.extend_from_slice(&(header.len() as u32).to_le_bytes());
    front.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    front.extend_from_slice(&header);
    let file = disk.create(unfinished)?;
    file.write_all_at(&front, 0)?;
    file.write_all_at(&blocks, front.len() as u64)?;
    file.sync_data()?;
    disk.reached("presence: written");
    disk.rename(unfinished, path)?;
    disk.reached("presence: named");
    path.parent().map_or(Ok(()), |folder| disk.sync_dir(folder))
}

fn pack_masks(masks: &Masks) -> (u8, Vec<u8>) {
    let wide: Vec<u64> = match masks {
        Masks::U8(masks) => masks.iter().map(|mask| u64::from(*mask)).collect(),
        Masks::U16(masks) => masks.iter().map(|mask| u64::from(*mask)).collect(),
        Masks::U32(masks) => masks.iter().map(|mask| u64::from(*mask)).collect(),
        Masks::U64(masks) => masks.clone(),
    };
    let all = wide.iter().fold(0, |all, mask| all | mask);
    let width = (u64::BITS - all.leading_zeros()).div_ceil(8);
    (width as u8, codec::pack_planes(&wide, width as usize))
}

fn unpack_masks(bytes: &[u8], width: u8, count: usize) -> Result<Masks, Damaged> {
    Ok(match width {
        1 => Masks::U8(codec::unpack_planes(bytes, count)?),
        2 => Masks::U16(codec::unpack_planes(bytes, count)?),
        3 | 4 => Masks::U32(codec::unpack_planes(bytes, count)?),
        _ => Masks::U64(codec::unpack_planes(bytes, count)?),
    })
}

impl PresenceFile {
    /// Open a file, if it is whole, of these rows and of the days as they are now.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        origin: &Origin,
        zones: &Zones,
    ) -> Result<Self, Damaged> {
        let file = disk.open(path).map_err(|_| Damaged)?;
        let mut front = [0; FRONT];
        file.read_exact_at(&mut front, 0).map_err(|_| Damaged)?;
        let number = |at: usize| {
            u32::from_le_bytes([front[at], front[at + 1], front[at + 2], front[at + 3]])
        };
        if &front[..4] != MAGIC || number(4) != VERSION {
            return Err(Damaged);
        }
        let len = file.len().map_err(|_| Damaged)?;
        let header_len = u64::from(number(8));
        if FRONT as u64 + header_len > len {
            return Err(Damaged);
        }
        let mut header = vec![0; header_len as usize];
        file.read_exact_at(&mut header, FRONT as u64).map_err(|_| Damaged)?;
        if crc32fast::hash(&header) != number(12) {
            return Err(Damaged);
        }
        let header: Header = serde_json::from_slice(&header).map_err(|_| Damaged)?;
        if header.origin != *origin || header.passive_crc != passive_crc() {
            return Err(Damaged);
        }
        let part = |header: PartHeader| {
            let days = local_days(&header.zone, origin.ts_ms);
            let bounds_ms = days.map(|days| days.bounds_ms).unwrap_or_default();
            let is_same = header.zone == zones.of(header.project)
                && bounds_ms.len() == header.days
                && days_crc(&bounds_ms) == header.days_crc;
            let part = Part {
                project: header.project,
                zone: header.zone.clone(),
                bounds_ms,
                is_complete: header.is_complete,
                lists: header.lists.iter().map(|list| list.key.clone()).collect(),
            };
            if is_same { Ok((part, header)) } else { Err(Damaged) }
        };
        Ok(Self {
            parts: header.parts.into_iter().map(part).collect::<Result<_, _>>()?,
            file,
            blocks_at: FRONT as u64 + header_len,
        })
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(|(part, _)| part)
    }

    /// What the lists of a part are about, and how many persons each has.
    pub(super) fn lists(&self, part: usize) -> impl Iterator<Item = (&ListKey, usize)> {
        self.parts[part].1.lists.iter().map(|list| (&list.key, list.count))
    }

    /// The persons of a part, in order.
    pub(super) fn persons(&self, part: usize) -> Result<Vec<u64>, Damaged> {
        let (count, place) = &self.parts[part].1.persons;
        codec::unpack_rising(&self.block(place)?, *count)
    }

    /// A list of a part.
    pub(super) fn list(&self, part: usize, list: usize) -> Result<DayList, Damaged> {
        let header = &self.parts[part].1.lists[list];
        let at = match &header.at {
            None => None,
            Some(place) => {
                let at = codec::unpack_rising(&self.block(place)?, header.count)?;
                Some(at.into_iter().map(|at| at as u32).collect())
            }
        };
        let masks = unpack_masks(&self.block(&header.masks)?, header.width, header.count)?;
        Ok(DayList { at, masks })
    }

    fn block(&self, place: &Place) -> Result<Vec<u8>, Damaged> {
        let at = self.blocks_at.checked_add(place.at).ok_or(Damaged)?;
        let mut bytes = vec![0; place.len as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(|_| Damaged)?;
        codec::decode(place, bytes)
    }
}
