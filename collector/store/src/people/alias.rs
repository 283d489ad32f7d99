//! Joining persons by hand, and taking any join back.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::{Ends, Link, LinkBy, Merge, MergeRefused, Pending, People, Undone, join, root};

impl People {
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

    /// The link of this number, if it stands.
    pub(super) fn standing(&self, project: u32, id: u64) -> Result<(usize, Ends), MergeRefused> {
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
        let of_all = Pending { epoch, at_ms, persons: [0; 2], project, is_parted: true };
        of_all.of_many(&persons).for_each(|pending| self.pend(pending));
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

    pub(super) fn links_among<'a>(
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

    /// The log of merges, newest first, from below a number.
    pub(crate) fn merges(&self, project: u32, before: u64) -> impl Iterator<Item = &Link> {
        let before = usize::try_from(before.saturating_sub(1)).unwrap_or(usize::MAX);
        let links = &self.links[..before.min(self.links.len())];
        links.iter().rev().filter(move |link| link.project == project)
    }
}
