//! Finding events that were stored before.
//!
//! In: (project, event id). Out: seen or not. Nothing else decides: not the person (links change
//! it) and not the time (it is corrected).
//!
//! Ids are kept as 64-bit fingerprints in one set per *bucket*: the day inside the UUIDv7, or
//! [`Bucket::ODD`] for ids without a believable day. The bucket is a function of the id alone, so
//! a resend always looks where the first send was put. Buckets that are not in memory are read
//! again from the ids of memtable and segments before they are asked, so the answer is exact
//! whatever the age of the id; the bound on memory only decides how often that happens.
//!
//! Two different ids with one fingerprint make us drop an event wrongly. With 8 million ids per
//! bucket that is expected 4·10⁻⁵ times in 100 million events (n · bucket / 2⁶⁴). We accept that
//! and do not verify.
//!
//! Invariant: a bucket that is in memory is complete.
//!
//! Deliberately elsewhere: reading ids from files (`snapshot`), the order of check and write
//! (`writer`, the only user).

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashTable;
use tallymark_protocol::uuid7;
use xxhash_rust::xxh3::xxh3_64;

/// A day since 1970-01-01, or the one bucket for everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bucket(pub i32);

impl Bucket {
    /// Ids that are not UUIDv7, or of a day that cannot be.
    pub(crate) const ODD: Bucket = Bucket(i32::MAX);

    /// First day that is not believable any more: 2100-01-01.
    const DAY_END: u64 = 47_482;

    /// Where an id belongs.
    pub(crate) fn of(event_id: u128) -> Bucket {
        match uuid7::unix_ms(event_id).map(|ms| ms / 86_400_000) {
            Some(day) if day < Self::DAY_END => Bucket(day as i32),
            _ => Self::ODD,
        }
    }
}

/// What is compared instead of (project, event id).
pub(crate) fn fingerprint(project: u32, event_id: u128) -> u64 {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&project.to_le_bytes());
    bytes[4..].copy_from_slice(&event_id.to_le_bytes());
    xxh3_64(&bytes)
}

/// Known ids, by bucket.
#[derive(Debug)]
pub(crate) struct Dedupe {
    buckets: BTreeMap<Bucket, Ids>,
    ids: usize,
    ids_max: usize,
    turn: u64,
}

#[derive(Debug, Default)]
struct Ids {
    set: HashTable<u64>,
    used: u64,
}

impl Ids {
    fn contains(&self, print: u64) -> bool {
        self.set.find(print, |&other| other == print).is_some()
    }

    /// Returns whether it is new.
    fn insert(&mut self, print: u64) -> bool {
        match self.set.entry(print, |&other| other == print, |&other| other) {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(slot) => {
                slot.insert(print);
                true
            }
        }
    }
}

/// Ids of a group that is being written: known to the rest of the group, and to everyone once the
/// group is durable.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    ids: Vec<(Bucket, u64)>,
    seen: Ids,
}

impl Dedupe {
    /// Keep at most `ids_max` ids in memory, except that buckets in use are never thrown out.
    pub(crate) fn new(ids_max: usize) -> Self {
        Self { buckets: BTreeMap::new(), ids: 0, ids_max, turn: 0 }
    }

    /// Ids in memory.
    pub(crate) fn len(&self) -> usize {
        self.ids
    }

    /// The buckets among these that must be loaded before they can be asked.
    pub(crate) fn missing(&self, wanted: impl Iterator<Item = Bucket>) -> BTreeSet<Bucket> {
        let mut last = None;
        wanted
            .filter(|bucket| last.replace(*bucket) != Some(*bucket))
            .filter(|bucket| !self.buckets.contains_key(bucket))
            .collect()
    }

    /// Take in complete buckets: everything `each` gives for the buckets in `missing`.
    ///
    /// # Errors
    /// Those of `each`; then nothing is taken in.
    pub(crate) fn load<E>(
        &mut self,
        missing: &BTreeSet<Bucket>,
        each: impl FnOnce(&mut dyn FnMut(u32, u128)) -> Result<(), E>,
    ) -> Result<(), E> {
        let fresh =
            missing.iter().map(|&bucket| (bucket, Ids { used: self.turn, ..Ids::default() }));
        let mut fresh: BTreeMap<Bucket, Ids> = fresh.collect();
        each(&mut |project, event_id| {
            if let Some(ids) = fresh.get_mut(&Bucket::of(event_id)) {
                ids.insert(fingerprint(project, event_id));
            }
        })?;
        self.ids += fresh.values().map(|ids| ids.set.len()).sum::<usize>();
        self.buckets.append(&mut fresh);
        Ok(())
    }

    /// Whether an id is new; then it is staged. Its bucket must be loaded.
    pub(crate) fn stage(&mut self, staged: &mut Staged, project: u32, event_id: u128) -> bool {
        let bucket = Bucket::of(event_id);
        let print = fingerprint(project, event_id);
        let turn = self.turn;
        let ids = self.buckets.get_mut(&bucket).expect("buckets are loaded before they are asked");
        ids.used = turn;
        if ids.contains(print) || !staged.seen.insert(print) {
            return false;
        }
        staged.ids.push((bucket, print));
        true
    }

    /// The group is durable: its ids are known from now on. Buckets that were not used for
    /// longest make room.
    pub(crate) fn commit(&mut self, staged: Staged) {
        for (bucket, print) in staged.ids {
            let ids = self.buckets.get_mut(&bucket).expect("staged ids have a bucket");
            self.ids += usize::from(ids.insert(print));
        }
        while self.ids > self.ids_max {
            let idle = self.buckets.iter().filter(|(_, ids)| ids.used < self.turn);
            let Some((&oldest, _)) = idle.min_by_key(|(_, ids)| ids.used) else { break };
            let gone = self.buckets.remove(&oldest).map_or(0, |ids| ids.set.len());
            self.ids -= gone;
        }
        self.turn += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::convert::Infallible;

    fn id(day: u64, n: u8) -> u128 {
        uuid7::make(day * 86_400_000, [n; 10])
    }

    #[rstest]
    #[case::the_epoch(id(0, 1), Bucket(0))]
    #[case::an_import_from_1997(id(9_862, 1), Bucket(9_862))]
    #[case::the_last_day(id(47_481, 1), Bucket(47_481))]
    #[case::one_day_later(id(47_482, 1), Bucket::ODD)]
    #[case::not_version_7(0x1234, Bucket::ODD)]
    fn an_id_belongs_to(#[case] event_id: u128, #[case] want: Bucket) {
        assert_eq!(Bucket::of(event_id), want);
    }

    #[test]
    fn an_id_is_new_once_per_project_and_only_after_its_group_is_durable() {
        let mut dedupe = Dedupe::new(100);
        let missing = dedupe.missing([Bucket::of(id(1, 1)), Bucket::of(id(1, 2))].into_iter());
        assert_eq!(missing, BTreeSet::from([Bucket(1)]));
        dedupe.load(&missing, |_| Ok::<_, Infallible>(())).unwrap();

        let mut lost = Staged::default();
        assert!(dedupe.stage(&mut lost, 1, id(1, 1)));
        assert!(!dedupe.stage(&mut lost, 1, id(1, 1)), "twice in one group");
        drop(lost);

        let mut staged = Staged::default();
        assert!(dedupe.stage(&mut staged, 1, id(1, 1)), "the first group was not durable");
        assert!(dedupe.stage(&mut staged, 2, id(1, 1)), "another project");
        dedupe.commit(staged);
        assert!(!dedupe.stage(&mut Staged::default(), 1, id(1, 1)));
    }

    #[test]
    fn buckets_that_were_not_used_for_longest_make_room_and_can_be_loaded_again() {
        let mut dedupe = Dedupe::new(2);
        for day in 1..=3 {
            let missing = dedupe.missing([Bucket(day)].into_iter());
            dedupe.load(&missing, |_| Ok::<_, Infallible>(())).unwrap();
            let mut staged = Staged::default();
            assert!(dedupe.stage(&mut staged, 1, id(day as u64, 1)));
            dedupe.commit(staged);
        }
        assert_eq!(dedupe.len(), 2);
        let missing = dedupe.missing([Bucket(1), Bucket(2), Bucket(3)].into_iter());
        assert_eq!(missing, BTreeSet::from([Bucket(1)]));
        let stored = [(1, id(1, 1)), (1, id(2, 9))];
        dedupe
            .load(&missing, |each| {
                stored.iter().for_each(|&(project, id)| each(project, id));
                Ok::<_, Infallible>(())
            })
            .unwrap();
        assert!(!dedupe.stage(&mut Staged::default(), 1, id(1, 1)));
    }
}
