//! What is kept about merges and erasures: memory form and catalog form are the same.

use std::fmt;

/// Two ids that are one person. In the order of their numbers these are the log of merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number: one more than that of the link before.
    pub id: u64,
    /// The tenant.
    pub project: u32,
    /// When, Unix milliseconds: for a link that an event made, when the event was received.
    pub at_ms: i64,
    /// Who asked.
    pub by: LinkBy,
    /// Which id belongs to which, as they were named. An erased id goes: the one that is left is named
    /// twice if events must not link it again, else there is `None`.
    pub ends: Option<Ends>,
    /// Number of the log frame that made it.
    pub epoch: u64,
    /// When it was taken back, and by which log frame.
    pub undone: Option<Undone>,
}

/// The ids of a link: the person of `source` becomes the person of `target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The device, or the user that is given up.
    pub source: u64,
    /// The user that stays.
    pub target: u64,
}

/// That a link was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undone {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Number of the log frame.
    pub epoch: u64,
}

/// Who asked for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkBy {
    /// An event that named a device and a user.
    Identify,
    /// Somebody, by `alias`.
    Alias,
}

impl LinkBy {
    /// The name in the catalog and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Alias => "alias",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Identify, Self::Alias].into_iter().find(|by| by.as_str() == name)
    }
}

/// The receipt of an erasure. Names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its number: that of the log frame.
    pub id: u64,
    /// The tenant.
    pub project: u32,
    /// When it was asked for and took effect, Unix milliseconds.
    pub at_ms: i64,
    /// Ids that were this person: users and devices.
    pub ids: u64,
    /// Links among them, which went too.
    pub links: u64,
    /// Rows of the person that were stored and are not any more.
    pub rows: u64,
    /// Segments that held rows of the person and were written again without them.
    pub rewritten: Vec<String>,
    /// When no file held the person any more, Unix milliseconds.
    pub done_ms: Option<i64>,
}

/// Why a merge, or taking one back, was refused. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeRefused {
    /// Both ids are one person already; another link would close a circle.
    SamePerson,
    /// One of the ids was erased.
    Erased,
    /// No link of this number in the project.
    Unknown,
    /// It was taken back before.
    UndoneBefore,
    /// There are as many links as there may be.
    NoRoom,
}

impl fmt::Display for MergeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SamePerson => {
                "both ids are the same person already; GET /v1/merges shows what joined them"
            }
            Self::Erased => "this person was erased; use an id that was never erased",
            Self::Unknown => "there is no merge of this number; GET /v1/merges lists them",
            Self::UndoneBefore => "this merge was undone before; nothing is left to undo",
            Self::NoRoom => {
                "there is no memory for another merge: raise the setting links_bytes and restart"
            }
        })
    }
}

impl std::error::Error for MergeRefused {}

/// What happened to people since the last flush, for the catalog. Entries replace those of the same
/// number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeopleDelta {
    /// New and changed links.
    pub links: Vec<Link>,
    /// New and changed erasures.
    pub erasures: Vec<Erasure>,
    /// Ids whose rows may still be in files: project, id, number of the erasure.
    pub erasing: Vec<(u32, u64, u64)>,
    /// What later events of erased ids are known by: project and fingerprint.
    pub tombstones: Vec<(u32, u64)>,
    /// Erasures that are done: their ids are forgotten.
    pub erased: Vec<u64>,
}

impl PeopleDelta {
    /// Put newer receipts in the place of older ones.
    pub(crate) fn put_erasures(&mut self, newer: &[Erasure]) {
        self.erasures.retain(|old| newer.iter().all(|new| new.id != old.id));
        self.erasures.extend_from_slice(newer);
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the catalog knows about people at start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeopleState {
    /// All links, in the order of their numbers.
    pub links: Vec<Link>,
    /// All erasures, in the order of their numbers.
    pub erasures: Vec<Erasure>,
    /// See [`PeopleDelta::erasing`].
    pub erasing: Vec<(u32, u64, u64)>,
    /// See [`PeopleDelta::tombstones`].
    pub tombstones: Vec<(u32, u64)>,
}

impl PeopleState {
    /// Add what a flush brings.
    pub fn add(&mut self, delta: &PeopleDelta) {
        for link in &delta.links {
            match self.links.binary_search_by_key(&link.id, |link| link.id) {
                Ok(at) => self.links[at] = link.clone(),
                Err(at) => self.links.insert(at, link.clone()),
            }
        }
        for erasure in &delta.erasures {
            match self.erasures.binary_search_by_key(&erasure.id, |erasure| erasure.id) {
                Ok(at) => self.erasures[at] = erasure.clone(),
                Err(at) => self.erasures.insert(at, erasure.clone()),
            }
        }
        self.erasing.extend(&delta.erasing);
        self.erasing.retain(|(_, _, erasure)| !delta.erased.contains(erasure));
        self.tombstones.extend(&delta.tombstones);
    }
}
