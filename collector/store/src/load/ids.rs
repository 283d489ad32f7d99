//! Event ids that an import has met, however many.
//!
//! In: ids, one after the other. Out: whether each is the first of its kind.
//!
//! The same fingerprints as those of live events (`dedupe`), and the same bound on memory; but what
//! does not fit always goes to the disk, because nothing else knows these ids until the import is
//! stored. Days that were not asked for last go first, so that files in order of time stay in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::dedupe::{Bucket, FILTERED_PER_ID, Ids, Print, Room};

/// A set of ids of one project.
#[derive(Debug)]
pub(super) struct IdSet {
    project: u32,
    room: Room,
    days: BTreeMap<Bucket, Ids>,
    turn: u64,
    len: u64,
}

/// Ids between two looks at the bound.
const LOOK_EVERY: u64 = 4096;

impl IdSet {
    pub(super) fn new(project: u32, room: Room) -> Self {
        Self { project, room, days: BTreeMap::new(), turn: 0, len: 0 }
    }

    /// Ids in it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The days that its ids name.
    pub(super) fn days(&self) -> BTreeSet<Bucket> {
        self.days.keys().copied().collect()
    }

    /// Whether an id is in it.
    ///
    /// # Errors
    /// When what had no place in memory cannot be read.
    pub(super) fn contains(&self, id: u128) -> io::Result<bool> {
        let day = self.days.get(&Bucket::of(id));
        day.map_or(Ok(false), |ids| ids.contains(Print::of(self.project, id)))
    }

    /// Add an id. Says whether it is new.
    ///
    /// # Errors
    /// When what has no place in memory cannot be written or read.
    pub(super) fn insert(&mut self, id: u128) -> io::Result<bool> {
        let print = Print::of(self.project, id);
        let ids = self.days.entry(Bucket::of(id)).or_insert_with(|| Ids::new(0));
        ids.used = self.turn;
        if !ids.insert_new(print)? {
            return Ok(false);
        }
        self.len += 1;
        if self.len.is_multiple_of(LOOK_EVERY) {
            self.turn += 1;
            self.make_room()?;
        }
        Ok(true)
    }

    /// Insert an id, or if it is there the first that is free of those that `again` gives for the
    /// second, third … time. `None` when all of them are taken.
    ///
    /// # Errors
    /// As [`IdSet::insert`].
    pub(super) fn claim(
        &mut self,
        id: u128,
        again: &dyn Fn(u32) -> Option<u128>,
    ) -> io::Result<Option<u128>> {
        if self.insert(id)? {
            return Ok(Some(id));
        }
        // Those before the first free one are all taken.
        let (mut taken, mut free) = (1, 2);
        loop {
            let Some(id) = again(free) else { return Ok(None) };
            if !self.contains(id)? {
                break;
            }
            (taken, free) = (free, free.saturating_mul(2));
        }
        while free - taken > 1 {
            let middle = taken + (free - taken) / 2;
            let Some(id) = again(middle) else { return Ok(None) };
            if self.contains(id)? { taken = middle } else { free = middle }
        }
        let Some(id) = again(free) else { return Ok(None) };
        Ok(self.insert(id)?.then_some(id))
    }

    fn make_room(&mut self) -> io::Result<()> {
        let held = |ids: &Ids| ids.in_memory() + ids.filtered() / FILTERED_PER_ID;
        while self.days.values().map(held).sum::<usize>() > self.room.ids_max {
            let filtered: usize = self.days.values().map(Ids::filtered).sum();
            let many_filters = filtered / FILTERED_PER_ID > self.room.ids_max / 2;
            let oldest = |gives: fn(&Ids) -> usize| {
                move |(_, ids): &(&Bucket, &mut Ids)| (ids.used, usize::MAX - gives(ids))
            };
            if many_filters {
                let filtered = self.days.iter_mut().filter(|(_, ids)| ids.filtered() > 0);
                if let Some((_, ids)) = filtered.min_by_key(oldest(Ids::filtered)) {
                    ids.drop_filters();
                }
                continue;
            }
            let in_memory = self.days.iter_mut().filter(|(_, ids)| ids.in_memory() > 0);
            let Some((_, ids)) = in_memory.min_by_key(oldest(Ids::in_memory)) else { break };
            ids.spill_fullest(&self.room)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;
    use crate::disk::RealDisk;
    use proptest::prelude::*;
    use tallymark_protocol::uuid7;

    proptest! {
        /// However little memory there is, and whatever the order of days.
        #[test]
        fn an_id_is_new_once(
            ids in prop::collection::vec((0u64..5, 0u16..2_000), 1..20_000),
            ids_max in prop_oneof![Just(0), 1usize..3_000],
        ) {
            let dir = tempfile::tempdir().unwrap();
            let room = Room {
                ids_max,
                disk: Arc::new(RealDisk),
                tmp: dir.path().to_owned(),
                shared: None,
            };
            let room = Room { shared: Some(room.spill().unwrap()), ..room };
            let (mut set, mut plain) = (IdSet::new(7, room), HashSet::new());
            for (day, n) in ids {
                let mut random = [0; 10];
                random[..2].copy_from_slice(&n.to_be_bytes());
                let id = uuid7::make(day * 86_400_000 + u64::from(n / 300), random);
                prop_assert_eq!(set.contains(id).unwrap(), plain.contains(&id));
                prop_assert_eq!(set.insert(id).unwrap(), plain.insert(id));
            }
            prop_assert_eq!(set.len(), plain.len() as u64);
        }
    }
}
