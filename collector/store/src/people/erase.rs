//! Erasing persons: at once for questions, then out of files, then forgotten.
//!
//! In: the id of a person; later, what every file knows. Out: whose rows are dropped, receipts, what the
//! catalog is to keep. An erased id is known for ever by a fingerprint, so that its events stay out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ends, Erasure, Link, LinkBy, People, PeopleDelta, Undone};
use crate::catalog::RefusedRow;
use crate::row::{Row, flags};

/// What was waited for, and need not be any more.
#[derive(Debug)]
pub(crate) struct Settled {
    known: u64,
    /// Erased ids whose rows are nowhere any more.
    ids: BTreeSet<(u32, u64)>,
    /// Erasures that are done.
    erasures: Vec<u64>,
}

impl People {
    /// Whether an event must be dropped because its person was erased.
    pub(crate) fn drops(&self, row: &Row) -> bool {
        !self.tombstones.is_empty() && {
            let is_user = row.flags & flags::IDENTIFIED != 0;
            self.is_erased(row.project, if is_user { row.person } else { row.actor })
        }
    }

    /// Whether a refused event names somebody who was erased.
    pub(crate) fn names_erased(&self, row: &RefusedRow) -> bool {
        !self.tombstones.is_empty() && row.ids().any(|id| self.is_erased(row.project, id))
    }

    /// Whether the catalog does not know of an erasure yet.
    pub(crate) fn has_new_erasures(&self) -> bool {
        !self.delta.erasing.is_empty()
    }

    /// Whether anybody was ever erased.
    pub(crate) fn has_erased(&self) -> bool {
        !self.tombstones.is_empty()
    }

    pub(crate) fn is_erased(&self, project: u32, id: u64) -> bool {
        !self.tombstones.is_empty()
            && self.tombstones.contains(&(project, fingerprint(project, id)))
    }

    /// Erase the person of an id, with all ids and links.
    pub(crate) fn erase(&mut self, epoch: u64, project: u32, id: u64, at_ms: i64) -> &Erasure {
        let ids = self.ids_of(project, self.person(project, id));
        // Until every file is written again the links say whose rows are theirs and whose are not.
        let mut links = 0;
        for link in &mut self.links {
            let is_theirs = link.ends.is_some_and(|ends| ids.contains(&ends.source));
            if link.project == project && link.undone.is_none() && is_theirs {
                link.undone = Some(Undone { at_ms, epoch });
                links += 1;
                self.delta.links.push(link.clone());
            }
        }
        for id in &ids {
            if let Some(above) = self.above.get_mut(&project) {
                above.remove(id);
            }
            // A second erasure of the same ids waits for the same files and younger ones.
            self.erasing.insert((project, *id), epoch);
            self.delta.erasing.push((project, *id, epoch));
            let print = fingerprint(project, *id);
            if self.tombstones.insert((project, print)) {
                self.delta.tombstones.push((project, print));
            }
        }
        let ids = ids.len() as u64;
        let erasure = Erasure {
            id: epoch,
            project,
            at_ms,
            ids,
            links,
            rows: 0,
            rewritten: Vec::new(),
            done_ms: None,
        };
        self.delta.erasures.push(erasure.clone());
        self.apart = None;
        self.erasures.entry(epoch).insert_entry(erasure).into_mut()
    }

    /// The receipt of an erasure.
    pub(crate) fn erasure(&self, project: u32, id: u64) -> Option<&Erasure> {
        self.erasures.get(&id).filter(|erasure| erasure.project == project)
    }

    /// What need not be waited for any more: every segment and memtable knows what frames up to `known`
    /// say, and what erasures up to `left_behind` took is in no other file.
    pub(crate) fn settled(&self, known: u64, left_behind: u64) -> Settled {
        let is_gone = |epoch: u64| epoch <= known.min(left_behind);
        let erasing = self.erasing.iter().filter(|(_, epoch)| is_gone(**epoch));
        let erasures = self.erasures.values();
        let erasures = erasures.filter(|erasure| erasure.done_ms.is_none() && is_gone(erasure.id));
        Settled {
            known,
            ids: erasing.map(|(id, _)| *id).collect(),
            erasures: erasures.map(|erasure| erasure.id).collect(),
        }
    }

    /// What the catalog is to know of it: erasures that are done, and links that name nobody.
    pub(crate) fn delta_of(&self, settled: &Settled, now_ms: i64) -> PeopleDelta {
        let mut delta = PeopleDelta { erased: settled.erasures.clone(), ..PeopleDelta::default() };
        if !settled.ids.is_empty() {
            let is_gone = |link: &Link, id| settled.ids.contains(&(link.project, id));
            let names_some = |link: &&Link| {
                link.ends.is_some_and(|Ends { source, target }| {
                    is_gone(link, source) || is_gone(link, target)
                })
            };
            let named = self.links.iter().filter(names_some);
            // Such a link was taken back, at the latest by the erasure. Whoever it kept from being
            // linked by events stays known, by a link to itself; nobody else does.
            let kept = |link: &Link| {
                let Ends { source, target } = link.ends?;
                let of_alias = (link.by == LinkBy::Alias).then_some(target);
                let kept = [Some(source), of_alias].into_iter().flatten();
                kept.filter(|id| !is_gone(link, *id))
                    .map(|id| Ends { source: id, target: id })
                    .next()
            };
            delta.links = named.map(|link| Link { ends: kept(link), ..link.clone() }).collect();
        }
        let done = settled.erasures.iter().filter_map(|id| self.erasures.get(id));
        let done = done.map(|erasure| Erasure { done_ms: Some(now_ms), ..erasure.clone() });
        delta.erasures = done.collect();
        delta
    }

    /// The catalog knows it: forget it.
    pub(crate) fn settle(&mut self, settled: &Settled, delta: &PeopleDelta) {
        let before = self.pending.len();
        self.pending.retain(|pending| pending.epoch > settled.known);
        self.erasing.retain(|id, _| !settled.ids.contains(id));
        if before != self.pending.len() || !settled.ids.is_empty() {
            self.apart = None;
        }
        for link in &delta.links {
            if let Some(known) = self.links.get_mut(link.id as usize - 1) {
                known.ends = link.ends;
            }
        }
        self.put_erasures(delta.erasures.clone());
    }

    /// The receipts as they are when files were written again without rows of erased persons: how
    /// many of each erasure.
    pub(crate) fn with_rewritten(
        &self,
        files: &[String],
        rows: &BTreeMap<u64, u64>,
    ) -> Vec<Erasure> {
        let erasures = rows.iter().filter_map(|(id, count)| {
            let mut erasure = self.erasures.get(id)?.clone();
            erasure.rows += count;
            erasure.rewritten.extend_from_slice(files);
            Some(erasure)
        });
        erasures.collect()
    }

    /// The catalog has these receipts.
    pub(crate) fn put_erasures(&mut self, erasures: Vec<Erasure>) {
        for erasure in erasures {
            self.erasures.insert(erasure.id, erasure);
        }
    }

    /// By which erasure an id is gone.
    pub(crate) fn erased_by(&self, project: u32, id: u64) -> Option<u64> {
        self.erasing.get(&(project, id)).copied()
    }
}

/// What an erased id is remembered by: enough to know it again, not to say who it was.
fn fingerprint(project: u32, id: u64) -> u64 {
    let mut bytes = *b"erased......";
    bytes[..4].copy_from_slice(&project.to_le_bytes());
    bytes[4..].copy_from_slice(&id.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
