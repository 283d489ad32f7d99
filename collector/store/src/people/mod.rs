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
//! Links are kept for good, so their number is bounded (`StoreOptions::links_max`): beyond it events
//! are stored without joining their device, and `alias` is refused. Raising the bound is enough: the
//! next event that names both joins them, and with them what came before.
//!
//! Invariant: nothing here depends on a clock, on chance or on when a flush was: replaying the log
//! gives the same links with the same numbers.
//!
//! Here: the state, and what events do to it; in `alias` what people do, in `erase` how they go.
//!
//! Deliberately elsewhere: the log (`wal`), scans (`driver`, `rows`), files written anew (`keeper`).

mod alias;
mod apart;
mod command;
mod erase;
mod link;
#[cfg(test)]
pub(crate) mod naive;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

pub(crate) use apart::{Apart, ApartIn, To, Whose};
pub use command::{PeopleCommand, PeopleDone};
pub use link::{Ends, Erasure, Link, LinkBy, MergeRefused, PeopleDelta, PeopleState, Undone};

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

/// One or two persons that changed, and when. There may be one of these for every link, so it is small.
#[derive(Debug)]
struct Pending {
    epoch: u64,
    /// When it was asked for, Unix milliseconds.
    at_ms: i64,
    /// Stored persons whose rows may belong to somebody else now, and those they belong to; one is
    /// named twice.
    persons: [u64; 2],
    project: u32,
    /// A person was taken apart, and these are ids that were joined.
    is_parted: bool,
}

impl Pending {
    /// Several persons that changed together.
    fn of_many(self, persons: &[u64]) -> impl Iterator<Item = Self> {
        let pairs = persons.chunks(2).map(|pair| [pair[0], pair[pair.len() - 1]]);
        pairs.map(move |persons| Self { persons, ..self })
    }

    fn persons(&self) -> &[u64] {
        let [first, second] = &self.persons;
        if first == second { &self.persons[..1] } else { &self.persons }
    }
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
            let project = link.project;
            let of_all = Pending { epoch, at_ms, persons: [0; 2], project, is_parted };
            pending.extend(of_all.of_many(&found));
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
                persons: [row.person, person],
                is_parted: false,
            });
        }
    }

    /// An event names a device and a user: if it is the first of this device, they are one person.
    fn observe_link(&mut self, epoch: u64, row: &Row) {
        let Row { project, actor: source, person: target, .. } = *row;
        if self.links(project, target, source, row.flags) {
            let ends = Ends { source, target };
            self.push(epoch, project, LinkBy::Identify, ends, row.received_ms);
        }
    }

    /// Whether an event of this person and device joins the device to the person.
    pub(crate) fn links(&self, project: u32, person: u64, device: u64, flags: u8) -> bool {
        const STATED_USER: u8 = flags::STATED | flags::IDENTIFIED;
        // Exports are not in the order in which people signed in.
        device != person
            && flags & STATED_USER != STATED_USER
            && flags & flags::UNJOINED == 0
            && !self.knows(project, device)
            && !self.is_erased(project, device)
            && !self.is_erased(project, person)
    }

    /// How many more links there may be.
    pub(crate) fn room(&self, links_max: usize) -> usize {
        links_max.saturating_sub(self.links.len())
    }

    /// Mark rows, on their way into the log, that must not join their device to their person because
    /// there would be too many links; how many. The mark is in the log, so that replaying it gives the
    /// same links whatever the bound is by then.
    pub(crate) fn leave_unjoined(&self, rows: &mut [Row], links_max: usize) -> u64 {
        let mut room = self.room(links_max);
        if rows.len() <= room {
            return 0;
        }
        let mut unjoined = 0;
        for row in rows {
            if !self.links(row.project, row.person, row.actor, row.flags) {
                continue;
            }
            if room == 0 {
                row.flags |= flags::UNJOINED;
                unjoined += 1;
            }
            room = room.saturating_sub(1);
        }
        unjoined
    }

    /// Whether an id was ever joined to another.
    pub(crate) fn knows(&self, project: u32, id: u64) -> bool {
        self.above.get(&project).is_some_and(|above| above.contains_key(&id))
    }

    fn push(&mut self, epoch: u64, project: u32, by: LinkBy, ends: Ends, at_ms: i64) -> u64 {
        let above = self.above.entry(project).or_default();
        let (from, to) = join(above, by, ends);
        let id = self.links.len() as u64 + 1;
        let link = Link { id, project, at_ms, by, ends: Some(ends), epoch, undone: None };
        grow(&mut self.links);
        self.links.push(link.clone());
        self.delta.links.push(link);
        self.pend(Pending { epoch, at_ms, persons: [from, to], project, is_parted: false });
        id
    }

    fn pend(&mut self, pending: Pending) {
        grow(&mut self.pending);
        self.pending.push(pending);
        self.apart = None;
    }

    /// Links that stand or once stood, and persons set apart.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let apart = self.pending.iter().map(|pending| pending.persons().len() as u64);
        (self.links.len() as u64, apart.sum::<u64>() + self.erasing.len() as u64)
    }

    /// Since when files wait to be written again for links, and for erased persons, Unix milliseconds.
    pub(crate) fn waiting_since(&self) -> (Option<i64>, Option<i64>) {
        let erasures = self.erasures.values().filter(|erasure| erasure.done_ms.is_none());
        let links = self.pending.iter().map(|pending| pending.at_ms);
        (links.min(), erasures.map(|erasure| erasure.at_ms).min())
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
            .filter(|pending| pending.is_parted)
            .flat_map(|pending| pending.persons.map(|person| (pending.project, person)))
            .collect();
        for pending in &self.pending {
            let of_project = projects.entry(pending.project).or_default();
            for &person in pending.persons() {
                let to = self.person(pending.project, person);
                let is_parted = parted.contains(&(pending.project, person));
                let to = if is_parted { To::ByBase(to) } else { To::Person(to) };
                of_project.moved.push((person, to));
            }
            for &id in pending.persons().iter().filter(|_| pending.is_parted) {
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
}

/// Make room for one more, but not for twice as many: these lists are long, and stay.
fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(8 + list.len() / 8);
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
