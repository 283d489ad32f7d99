//! Who is who, worked out anew for every question from a plain list of links: what tests compare with.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ends, MergeRefused, PeopleCommand};
use crate::row::{Row, flags};

/// Links in the order of their numbers, and who was erased.
#[derive(Debug, Clone, Default)]
pub(crate) struct Naive {
    /// `None`: taken back, or erased.
    links: Vec<(u32, Option<Ends>)>,
    /// Ids that events do not link (again).
    named: BTreeSet<(u32, u64)>,
    erased: BTreeSet<(u32, u64)>,
}

/// The id that an event came with.
pub(crate) fn base(row: &Row) -> u64 {
    if row.flags & flags::IDENTIFIED != 0 { row.person } else { row.actor }
}

impl Naive {
    /// Everybody in the same group has the same leader: that of the last target.
    pub(crate) fn person(&self, project: u32, id: u64) -> u64 {
        *self.leaders(project).get(&id).unwrap_or(&id)
    }

    fn leaders(&self, project: u32) -> BTreeMap<u64, u64> {
        let mut leader: BTreeMap<u64, u64> = BTreeMap::new();
        let of_project = self.links.iter().filter(|(of, _)| *of == project);
        for ends in of_project.filter_map(|(_, ends)| *ends) {
            let of = |id| *leader.get(&id).unwrap_or(&id);
            let (from, to) = (of(ends.source), of(ends.target));
            for (id, is) in [(from, from), (ends.source, from), (ends.target, to)] {
                leader.entry(id).or_insert(is);
            }
            leader.values_mut().filter(|leader| **leader == from).for_each(|leader| *leader = to);
        }
        leader
    }

    /// Whether a row must not be stored.
    pub(crate) fn drops(&self, row: &Row) -> bool {
        self.is_erased(row.project, base(row))
    }

    pub(crate) fn is_erased(&self, project: u32, id: u64) -> bool {
        self.erased.contains(&(project, id))
    }

    /// A row was stored.
    pub(crate) fn observe(&mut self, row: &Row) {
        let Row { project, actor: source, person: target, .. } = *row;
        let is_free = !self.named.contains(&(project, source));
        if source != target
            && is_free
            && !self.is_erased(project, source)
            && !self.is_erased(project, target)
        {
            self.named.insert((project, source));
            self.links.push((project, Some(Ends { source, target })));
        }
    }

    /// The ids of the person of an id.
    pub(crate) fn ids_of(&self, project: u32, id: u64) -> BTreeSet<u64> {
        let leaders = self.leaders(project);
        let person = *leaders.get(&id).unwrap_or(&id);
        let theirs = leaders.into_iter().filter(|(_, leader)| *leader == person);
        theirs.map(|(id, _)| id).chain([id]).collect()
    }

    /// What carrying out a command must do; the number of a link that is made.
    pub(crate) fn run(&mut self, command: &PeopleCommand) -> Result<Option<u64>, MergeRefused> {
        match *command {
            PeopleCommand::Alias { project, ends, .. } => {
                let Ends { source, target } = ends;
                if self.is_erased(project, source) || self.is_erased(project, target) {
                    return Err(MergeRefused::Erased);
                }
                if self.person(project, source) == self.person(project, target) {
                    return Err(MergeRefused::SamePerson);
                }
                self.named.extend([(project, source), (project, target)]);
                self.links.push((project, Some(ends)));
                Ok(Some(self.links.len() as u64))
            }
            PeopleCommand::Undo { project, link, .. } => {
                let at = link.checked_sub(1).and_then(|at| self.links.get_mut(at as usize));
                let standing = at.filter(|(of, ends)| *of == project && ends.is_some());
                standing.ok_or(MergeRefused::Unknown)?.1 = None;
                Ok(None)
            }
            PeopleCommand::Erase { project, id, .. } => {
                let ids = self.ids_of(project, id);
                for (of, ends) in &mut self.links {
                    let is_theirs = |ends: &Ends| *of == project && ids.contains(&ends.source);
                    *ends = ends.filter(|ends| !is_theirs(ends));
                }
                self.erased.extend(ids.into_iter().map(|id| (project, id)));
                Ok(None)
            }
        }
    }

    /// How many links there ever were.
    pub(crate) fn links(&self) -> u64 {
        self.links.len() as u64
    }
}
