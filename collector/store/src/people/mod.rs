//! Who is who: links between ids, and who was erased.
//!
//! In: rows on their way into the memtable, and commands, both in the order of the log. Out: the
//! person of a row, the arrays a snapshot carries (`apart`), what the catalog keeps (`link`).
//!
//! An event that names a device and a user links the device to the user, if the device has no link
//! yet: the first user of a device wins, and `reset` in the SDK makes a new device. `alias` links any
//! two persons. Persons are what standing links hold together; the person is called by the id that the
//! last link joining it points to. A device whose link was taken back is not linked by events again:
//! somebody looked at it and said no.
//!
//! Invariant: nothing here depends on a clock, on chance or on when a flush was: replaying the log
//! gives the same links with the same numbers.
//!
//! Deliberately elsewhere: the log (`wal`), scans (`driver`, `rows`), files written anew (`keeper`).

mod apart;
mod command;
mod link;
#[cfg(test)]
pub(crate) mod naive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

pub(crate) use apart::{Apart, ApartIn, To, Whose};
pub use command::{PeopleCommand, PeopleDone};
pub use link::{Ends, Erasure, Link, LinkBy, MergeRefused, PeopleDelta, PeopleState, Undone};

use crate::catalog::RefusedRow;
use crate::row::{Row, flags};

/// Links and erasures, at one moment of the log.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// By project: the id that an id was joined to; itself where it leads the person. An id with no
    /// entry was never a source, and leads itself.
    above: HashMap<u32, HashMap<u64, u64>>,
    /// All links, in the order of their numbers, which begin at 1 and leave none out.
    links: Vec<Link>,
    /// Changes that some file may not have written down yet.
    pending: Vec<Pending>,
    /// Given-up users that still sent events into the memtable.
    late: HashSet<(u32, u64)>,
    erasures: BTreeMap<u64, Erasure>,
    /// Ids whose rows may still be in files, and the erasure that covers them.
    erasing: BTreeMap<(u32, u64), u64>,
    /// Fingerprints of all erased ids.
    tombstones: HashSet<(u32, u64)>,
    delta: PeopleDelta,
    apart: Option<Arc<Apart>>,
}

/// Persons that changed, and when.
#[derive(Debug)]
struct Pending {
    epoch: u64,
    /// When it was asked for, Unix milliseconds.
    at_ms: i64,
    project: u32,
    /// Stored persons whose rows may belong to somebody else now, and those they belong to.
    persons: Vec<u64>,
    /// A person was taken apart: these are the ids that were joined.
    parted: Vec<u64>,
}

/// What was waited for, and need not be any more.
#[derive(Debug)]
pub(crate) struct Settled {
    known: u64,
    /// Erased ids whose rows are nowhere any more.
    ids: BTreeSet<(u32, u64)>,
    /// Erasures that are done.
    erasures: Vec<u64>,
}

/// What a merge would do, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merge {
    /// The person that goes.
    pub from: u64,
    /// The person that stays.
    pub to: u64,
}

impl People {
    /// As the catalog has it. `oldest` is the smallest epoch of all segments.
    pub(crate) fn new(state: PeopleState, oldest: u64) -> Self {
        let mut people = Self {
            links: state.links,
            erasures: state.erasures.into_iter().map(|erasure| (erasure.id, erasure)).collect(),
            tombstones: state.tombstones.into_iter().collect(),
            ..Self::default()
        };
        for (project, id, erasure) in state.erasing {
            people.erasing.insert((project, id), erasure);
        }
        for link in &people.links {
            let Some(ends) = link.ends else { continue };
            let above = people.above.entry(link.project).or_default();
            if link.undone.is_some() {
                above.entry(ends.source).or_insert(ends.source);
                if link.by == LinkBy::Alias {
                    above.entry(ends.target).or_insert(ends.target);
                }
            } else {
                join(above, link.by, ends);
            }
        }
        people.pending = people.pending_since(oldest);
        people
    }

    /// What files of that age and younger may not know. Without the history in between this names
    /// everybody who is or was joined to somebody of a changed link: more than must be, never less.
    fn pending_since(&self, oldest: u64) -> Vec<Pending> {
        let changed = |link: &Link| {
            let undone = link.undone.map_or(0, |undone| undone.epoch);
            (link.epoch.max(undone) > oldest).then(|| link.epoch.max(undone))
        };
        if self.links.iter().all(|link| changed(link).is_none()) {
            return Vec::new();
        }
        let mut near: HashMap<(u32, u64), Vec<&Link>> = HashMap::new();
        for link in &self.links {
            let is_there = link.undone.is_none_or(|undone| undone.epoch > oldest);
            if let (Some(ends), true) = (link.ends, is_there) {
                near.entry((link.project, ends.source)).or_default().push(link);
                near.entry((link.project, ends.target)).or_default().push(link);
            }
        }
        let mut pending = Vec::new();
        let mut seen: HashSet<(u32, u64)> = HashSet::new();
        for link in self.links.iter().filter(|link| changed(link).is_some()) {
            let Some(ends) = link.ends else { continue };
            let mut found = Vec::new();
            let mut next = vec![ends.source];
            let (mut epoch, mut at_ms, mut is_parted) = (0, i64::MAX, false);
            while let Some(id) = next.pop() {
                if !seen.insert((link.project, id)) {
                    continue;
                }
                found.push(id);
                for link in near.get(&(link.project, id)).into_iter().flatten() {
                    if let Some(changed) = changed(link) {
                        epoch = epoch.max(changed);
                        at_ms = at_ms.min(link.undone.map_or(link.at_ms, |undone| undone.at_ms));
                    }
                    is_parted |= link.undone.is_some();
                    next.extend(link.ends.iter().flat_map(|ends| [ends.source, ends.target]));
                }
            }
            if !found.is_empty() {
                let parted = if is_parted { found.clone() } else { Vec::new() };
                let project = link.project;
                pending.push(Pending { epoch, at_ms, project, persons: found, parted });
            }
        }
        pending
    }

    /// Who an id is.
    pub(crate) fn person(&self, project: u32, id: u64) -> u64 {
        let Some(above) = self.above.get(&project) else { return id };
        root(above, id)
    }

    /// Take note of an event on its way into the memtable, and give it its person.
    pub(crate) fn observe(&mut self, epoch: u64, row: &mut Row) {
        if row.actor != row.person {
            self.observe_link(epoch, row);
        }
        let Some(above) = self.above.get_mut(&row.project) else { return };
        if row.flags & flags::IDENTIFIED == 0 {
            row.person = compress(above, row.actor);
            return;
        }
        let person = root(above, row.person);
        if person != row.person && self.late.insert((row.project, row.person)) {
            // Its person must stay what it came with, or taking the alias back would not find it.
            self.pend(Pending {
                epoch,
                at_ms: row.received_ms,
                project: row.project,
                persons: vec![row.person, person],
                parted: Vec::new(),
            });
        }
    }

    /// An event names a device and a user: if it is the first of this device, they are one person.
    fn observe_link(&mut self, epoch: u64, row: &Row) {
        if row.flags & (flags::STATED | flags::IDENTIFIED) == flags::STATED | flags::IDENTIFIED {
            // Exports are not in the order in which people signed in.
            return;
        }
        let Row { project, actor: source, person: target, .. } = *row;
        let is_known = self.above.get(&project).is_some_and(|above| above.contains_key(&source));
        if !is_known && !self.is_erased(project, source) && !self.is_erased(project, target) {
            let ends = Ends { source, target };
            self.push(epoch, project, LinkBy::Identify, ends, row.received_ms);
        }
    }

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

    fn is_erased(&self, project: u32, id: u64) -> bool {
        !self.tombstones.is_empty()
            && self.tombstones.contains(&(project, fingerprint(project, id)))
    }

    /// What joining two ids would do.
    pub(crate) fn try_alias(&self, project: u32, ends: Ends) -> Result<Merge, MergeRefused> {
        if self.is_erased(project, ends.source) || self.is_erased(project, ends.target) {
            return Err(MergeRefused::Erased);
        }
        let from = self.person(project, ends.source);
        let to = self.person(project, ends.target);
        if from == to { Err(MergeRefused::SamePerson) } else { Ok(Merge { from, to }) }
    }

    /// Join two persons: the one of `source` becomes the one of `target`. Gives the link's number.
    pub(crate) fn alias(
        &mut self,
        epoch: u64,
        project: u32,
        ends: Ends,
        at_ms: i64,
    ) -> Result<u64, MergeRefused> {
        self.try_alias(project, ends)?;
        Ok(self.push(epoch, project, LinkBy::Alias, ends, at_ms))
    }

    fn push(&mut self, epoch: u64, project: u32, by: LinkBy, ends: Ends, at_ms: i64) -> u64 {
        let above = self.above.entry(project).or_default();
        let (from, to) = join(above, by, ends);
        let id = self.links.len() as u64 + 1;
        let link = Link { id, project, at_ms, by, ends: Some(ends), epoch, undone: None };
        self.links.push(link.clone());
        self.delta.links.push(link);
        self.pend(Pending { epoch, at_ms, project, persons: vec![from, to], parted: Vec::new() });
        id
    }

    fn pend(&mut self, pending: Pending) {
        self.pending.push(pending);
        self.apart = None;
    }

    /// The link of this number, if it stands.
    fn standing(&self, project: u32, id: u64) -> Result<(usize, Ends), MergeRefused> {
        let at = id.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let at = at.filter(|at| *at < self.links.len()).ok_or(MergeRefused::Unknown)?;
        let link = &self.links[at];
        match link.ends {
            _ if link.project != project => Err(MergeRefused::Unknown),
            None => Err(MergeRefused::Erased),
            Some(_) if link.undone.is_some() => Err(MergeRefused::UndoneBefore),
            Some(ends) => Ok((at, ends)),
        }
    }

    /// What taking a link back would do: all the ids of the person it would take apart.
    pub(crate) fn try_undo(&self, project: u32, id: u64) -> Result<Merge, MergeRefused> {
        let (at, ends) = self.standing(project, id)?;
        let now = self.person(project, ends.source);
        let mut above = HashMap::new();
        let ids = self.ids_of(project, now);
        for link in self.links_among(project, &ids).filter(|link| link.id != self.links[at].id) {
            join(&mut above, link.by, link.ends.unwrap_or(ends));
        }
        let (a, b) = (root(&above, ends.source), root(&above, ends.target));
        Ok(Merge { from: now, to: if a == now { b } else { a } })
    }

    /// Take a link back.
    pub(crate) fn undo(
        &mut self,
        epoch: u64,
        project: u32,
        id: u64,
        at_ms: i64,
    ) -> Result<u64, MergeRefused> {
        let (at, ends) = self.standing(project, id)?;
        let before = self.person(project, ends.source);
        let ids = self.ids_of(project, before);
        self.links[at].undone = Some(Undone { at_ms, epoch });
        self.delta.links.push(self.links[at].clone());
        let mut parts: HashMap<u64, u64> = HashMap::new();
        for link in self.links_among(project, &ids) {
            join(&mut parts, link.by, link.ends.unwrap_or(ends));
        }
        let above = self.above.entry(project).or_default();
        for id in &ids {
            let root = root(&parts, *id);
            if root != *id || above.contains_key(id) {
                above.insert(*id, root);
            }
        }
        // Older files may store their rows under any of them.
        let persons: Vec<u64> = ids.into_iter().collect();
        self.pend(Pending { epoch, at_ms, project, parted: persons.clone(), persons });
        Ok(id)
    }

    /// The ids that would be a person of their own if a link were taken back: those of `part`.
    pub(crate) fn part_of(&self, project: u32, id: u64, part: u64) -> BTreeSet<u64> {
        let Ok((_, ends)) = self.standing(project, id) else { return BTreeSet::new() };
        let ids = self.ids_of(project, self.person(project, ends.source));
        let mut above = HashMap::new();
        for link in self.links_among(project, &ids).filter(|link| link.id != id) {
            join(&mut above, link.by, link.ends.unwrap_or(ends));
        }
        ids.into_iter().filter(|id| root(&above, *id) == part).collect()
    }

    /// All ids of a person.
    pub(crate) fn ids_of(&self, project: u32, person: u64) -> BTreeSet<u64> {
        let above = self.above.get(&project);
        let below = above
            .into_iter()
            .flat_map(|above| above.keys().copied().filter(|id| root(above, *id) == person));
        below.chain([person]).collect()
    }

    fn links_among<'a>(
        &'a self,
        project: u32,
        ids: &'a BTreeSet<u64>,
    ) -> impl Iterator<Item = &'a Link> {
        self.links.iter().filter(move |link| {
            link.project == project
                && link.undone.is_none()
                && link.ends.is_some_and(|ends| ids.contains(&ends.source))
        })
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

    /// Since when files wait to be written again for links, and for erased persons, Unix milliseconds.
    pub(crate) fn waiting_since(&self) -> (Option<i64>, Option<i64>) {
        let erasures = self.erasures.values().filter(|erasure| erasure.done_ms.is_none());
        let links = self.pending.iter().map(|pending| pending.at_ms);
        (links.min(), erasures.map(|erasure| erasure.at_ms).min())
    }

    /// The log of merges, newest first, from below a number.
    pub(crate) fn merges(&self, project: u32, before: u64) -> impl Iterator<Item = &Link> {
        let before = usize::try_from(before.saturating_sub(1)).unwrap_or(usize::MAX);
        let links = &self.links[..before.min(self.links.len())];
        links.iter().rev().filter(move |link| link.project == project)
    }

    /// The arrays of a snapshot.
    pub(crate) fn apart(&mut self) -> Arc<Apart> {
        if let Some(apart) = &self.apart {
            return Arc::clone(apart);
        }
        let mut projects: BTreeMap<u32, ApartIn> = BTreeMap::new();
        let parted: HashSet<(u32, u64)> = self
            .pending
            .iter()
            .filter(|pending| !pending.parted.is_empty())
            .flat_map(|pending| pending.persons.iter().map(|person| (pending.project, *person)))
            .collect();
        for pending in &self.pending {
            let of_project = projects.entry(pending.project).or_default();
            for &person in &pending.persons {
                let to = self.person(pending.project, person);
                let is_parted = parted.contains(&(pending.project, person));
                let to = if is_parted { To::ByBase(to) } else { To::Person(to) };
                of_project.moved.push((person, to));
            }
            for &id in &pending.parted {
                of_project.bases.insert(id, self.person(pending.project, id));
            }
        }
        for &(project, id) in self.erasing.keys() {
            projects.entry(project).or_default().erased.push(id);
        }
        let apart = Arc::new(Apart::new(projects));
        self.apart = Some(Arc::clone(&apart));
        apart
    }

    /// What the catalog must learn with the memtable that is flushed now.
    pub(crate) fn take_delta(&mut self) -> PeopleDelta {
        self.late.clear();
        std::mem::take(&mut self.delta)
    }

    /// Whether the catalog must learn something.
    pub(crate) fn has_news(&self) -> bool {
        !self.delta.is_empty()
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
            delta.links = named.map(|link| Link { ends: None, ..link.clone() }).collect();
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
                known.ends = None;
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

/// Who leads the person that an id belongs to.
fn root(above: &HashMap<u64, u64>, mut id: u64) -> u64 {
    while let Some(&next) = above.get(&id)
        && next != id
    {
        id = next;
    }
    id
}

/// The same, and the way there is short from now on.
fn compress(above: &mut HashMap<u64, u64>, id: u64) -> u64 {
    let root = root(above, id);
    let mut at = id;
    while at != root
        && let Some(next) = above.insert(at, root)
    {
        at = next;
    }
    root
}

/// Join two persons that are different: the person of the target leads. Gives both.
fn join(above: &mut HashMap<u64, u64>, by: LinkBy, ends: Ends) -> (u64, u64) {
    let from = compress(above, ends.source);
    let to = compress(above, ends.target);
    above.insert(from, to);
    if by == LinkBy::Alias {
        // Whoever was joined by hand is not joined to somebody else by an event.
        above.entry(ends.target).or_insert(ends.target);
    }
    (from, to)
}

/// What an erased id is remembered by: enough to know it again, not to say who it was.
fn fingerprint(project: u32, id: u64) -> u64 {
    let mut bytes = *b"erased......";
    bytes[..4].copy_from_slice(&project.to_le_bytes());
    bytes[4..].copy_from_slice(&id.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
