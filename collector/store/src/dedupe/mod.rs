//! Finding events that were stored before.
//!
//! In: (project, event id). Out: seen or not. Nothing else decides: not the person (links change
//! it) and not the time (it is corrected).
//!
//! Ids are kept as 64-bit fingerprints in one set per *bucket*: the day inside the UUIDv7, or
//! [`Bucket::ODD`] for ids without a believable day. The bucket is a function of the id alone, so
//! a resend always looks where the first send was put. Buckets that are not in memory are read
//! again from the ids of memtable and segments before they are asked, so the answer is exact
//! whatever the age of the id; the bound on memory only decides how often that happens. When the
//! buckets in use alone are too large (a day of many events, or a forger who gives all ids one day),
//! parts of them move to a file (`spill`), where they are still found, exactly but slower.
//!
//! Two different ids with one fingerprint make us drop an event wrongly. With 8 million ids per
//! bucket that is expected 4·10⁻⁵ times in 100 million events (n · bucket / 2⁶⁴). We accept that
//! and do not verify.
//!
//! Invariants: a bucket that is in memory is complete; what is held in memory stays within the bound
//! but for one group.
//!
//! Deliberately elsewhere: reading ids from files (`segment`), the order of check and write
//! (`writer`, the only user).

mod ids;
mod spill;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use tallymark_protocol::uuid7;
use xxhash_rust::xxh3::xxh3_64;

use crate::disk::Disk;
pub(crate) use ids::Ids;
pub(crate) use spill::Spill;

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

/// A fingerprint, and when its id says it was made: ids that come now are not among those that were
/// made before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Print {
    pub print: u64,
    pub made_ms: u64,
}

impl Print {
    pub(crate) fn of(project: u32, event_id: u128) -> Self {
        let made_ms = uuid7::unix_ms(event_id).unwrap_or(0);
        Self { print: fingerprint(project, event_id), made_ms }
    }
}

/// How much may be held, and where the rest goes.
#[derive(Debug)]
pub(crate) struct Room {
    /// Ids in memory; an id takes about 20 bytes.
    pub ids_max: usize,
    /// The disk for ids that do not fit.
    pub disk: Arc<dyn Disk>,
    /// Its folder for files that nobody needs after a restart.
    pub tmp: PathBuf,
    /// One file for all buckets, where none of them is given up; otherwise each gets its own.
    pub shared: Option<Spill>,
}

impl Room {
    pub(crate) fn spill(&self) -> io::Result<Spill> {
        match &self.shared {
            Some(spill) => Ok(spill.clone()),
            None => Spill::create(&*self.disk, &self.tmp, "dedupe"),
        }
    }
}

/// Ids on disk whose filter takes as much memory as one id in memory.
pub(crate) const FILTERED_PER_ID: usize = 16;

/// Known ids, by bucket.
#[derive(Debug)]
pub(crate) struct Dedupe {
    buckets: BTreeMap<Bucket, Ids>,
    room: Room,
    turn: u64,
}

/// Ids of a group that is being written: known to the rest of the group, and to everyone once the
/// group is durable.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    ids: Vec<(Bucket, Print)>,
    seen: HashTable<u64>,
}

impl Staged {
    /// Add an id. Says whether it is the first time in this group.
    pub(crate) fn add(&mut self, project: u32, event_id: u128) -> bool {
        let id = Print::of(project, event_id);
        let is_it = |other: &u64| *other == id.print;
        match self.seen.entry(ids::hash(id.print), is_it, |&other| ids::hash(other)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(slot) => {
                slot.insert(id.print);
                self.ids.push((Bucket::of(event_id), id));
                true
            }
        }
    }
}

impl Dedupe {
    /// Hold as much as there is room for.
    pub(crate) fn new(room: Room) -> Self {
        Self { buckets: BTreeMap::new(), room, turn: 0 }
    }

    /// Ids in memory.
    pub(crate) fn len(&self) -> usize {
        self.buckets.values().map(Ids::in_memory).sum()
    }

    /// The buckets among these that must be loaded before they can be asked. All of them stay where
    /// they are until the group is written.
    pub(crate) fn missing(&mut self, wanted: impl Iterator<Item = Bucket>) -> BTreeSet<Bucket> {
        let mut last = None;
        let mut missing = BTreeSet::new();
        for bucket in wanted {
            if last.replace(bucket) == Some(bucket) {
                continue;
            }
            match self.buckets.get_mut(&bucket) {
                Some(ids) => ids.used = self.turn,
                None => {
                    missing.insert(bucket);
                }
            }
        }
        missing
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
        for &bucket in missing {
            self.buckets.insert(bucket, Ids::new(self.turn));
        }
        let mut until_look = LOOK_EVERY;
        let loaded = each(&mut |project, event_id| {
            let bucket = Bucket::of(event_id);
            if !missing.contains(&bucket) {
                return;
            }
            if let Some(ids) = self.buckets.get_mut(&bucket) {
                ids.insert(Print::of(project, event_id));
            }
            until_look -= 1;
            if until_look == 0 {
                until_look = LOOK_EVERY;
                self.make_room();
            }
        });
        if loaded.is_err() {
            self.buckets.retain(|bucket, _| !missing.contains(bucket));
        }
        loaded
    }

    /// Ids of these buckets were stored past us: they are loaded again when they are needed.
    pub(crate) fn forget(&mut self, buckets: &BTreeSet<Bucket>) {
        buckets.iter().for_each(|bucket| drop(self.buckets.remove(bucket)));
    }

    /// Whether an id was stored before. Its bucket must be loaded.
    ///
    /// # Errors
    /// When an id that had no place in memory cannot be looked up on the disk.
    pub(crate) fn knows(&self, project: u32, event_id: u128) -> io::Result<bool> {
        let ids = self.buckets.get(&Bucket::of(event_id));
        let ids = ids.expect("buckets are loaded before they are asked");
        ids.contains(Print::of(project, event_id))
    }

    /// The group is durable: its ids are known from now on.
    pub(crate) fn commit(&mut self, staged: Staged) {
        for (bucket, print) in staged.ids {
            let ids = self.buckets.get_mut(&bucket).expect("staged ids have a bucket");
            ids.insert(print);
        }
        self.make_room();
        self.turn += 1;
    }

    /// A bucket that has more than half of the room gives some of it to the disk; otherwise the one
    /// that was not used for longest goes.
    fn make_room(&mut self) {
        while self.held() > self.room.ids_max {
            let filtered: usize = self.buckets.values().map(Ids::filtered).sum();
            if filtered / FILTERED_PER_ID > self.room.ids_max / 2 {
                if let Some(ids) = self.buckets.values_mut().max_by_key(|ids| ids.filtered()) {
                    ids.drop_filters();
                }
                continue;
            }
            let idle = self.buckets.iter().filter(|(_, ids)| ids.used < self.turn);
            let oldest = idle.min_by_key(|(_, ids)| ids.used).map(|(&bucket, _)| bucket);
            let Some(largest) = self.buckets.values_mut().max_by_key(|ids| ids.in_memory()) else {
                return;
            };
            match oldest {
                Some(oldest) if largest.in_memory() <= self.room.ids_max / 2 => {
                    self.buckets.remove(&oldest);
                }
                _ => {
                    if let Err(error) = largest.spill_fullest(&self.room) {
                        // Exactness before the bound: they stay, and the next group tries again.
                        tracing::warn!(%error, "known event ids cannot be moved to the disk");
                        return;
                    }
                }
            }
        }
    }

    /// What is held in memory, counted in ids.
    fn held(&self) -> usize {
        let held = |ids: &Ids| ids.in_memory() + ids.filtered() / FILTERED_PER_ID;
        self.buckets.values().map(held).sum()
    }
}

/// Ids loaded between two looks at the bound.
const LOOK_EVERY: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use proptest::prelude::*;
    use rstest::rstest;
    use std::convert::Infallible;

    fn id(day: u64, n: u8) -> u128 {
        uuid7::make(day * 86_400_000 + u64::from(n / 4), [n; 10])
    }

    fn dedupe(dir: &tempfile::TempDir, ids_max: usize) -> Dedupe {
        let (disk, tmp) = (Arc::new(RealDisk), dir.path().to_owned());
        Dedupe::new(Room { ids_max, disk, tmp, shared: None })
    }

    /// What the writer does with a group; which ids were new.
    fn group(dedupe: &mut Dedupe, stored: &[(u32, u128)], ids: &[(u32, u128)]) -> Vec<bool> {
        let missing = dedupe.missing(ids.iter().map(|id| Bucket::of(id.1)));
        let each = |each: &mut dyn FnMut(u32, u128)| {
            stored.iter().for_each(|&(project, id)| each(project, id));
            Ok::<_, Infallible>(())
        };
        dedupe.load(&missing, each).unwrap();
        let mut staged = Staged::default();
        let is_new = |&(project, id): &(u32, u128)| {
            !dedupe.knows(project, id).unwrap() && staged.add(project, id)
        };
        let new = ids.iter().map(is_new).collect();
        dedupe.commit(staged);
        new
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
        let dir = tempfile::tempdir().unwrap();
        let mut dedupe = dedupe(&dir, 100);
        let missing = dedupe.missing([Bucket::of(id(1, 1)), Bucket::of(id(1, 2))].into_iter());
        assert_eq!(missing, BTreeSet::from([Bucket(1)]));
        dedupe.load(&missing, |_| Ok::<_, Infallible>(())).unwrap();

        let mut lost = Staged::default();
        assert!(lost.add(1, id(1, 1)));
        assert!(!lost.add(1, id(1, 1)), "twice in one group");
        drop(lost);
        assert!(!dedupe.knows(1, id(1, 1)).unwrap(), "the group was not durable");

        assert_eq!(group(&mut dedupe, &[], &[(1, id(1, 1)), (2, id(1, 1))]), [true, true]);
        assert!(dedupe.knows(1, id(1, 1)).unwrap());
    }

    #[test]
    fn buckets_that_were_not_used_for_longest_make_room_and_can_be_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut dedupe = dedupe(&dir, 2);
        for day in 1..=3 {
            assert_eq!(group(&mut dedupe, &[], &[(1, id(day, 1))]), [true]);
        }
        assert_eq!(dedupe.len(), 2);
        let missing = dedupe.missing([Bucket(1), Bucket(2), Bucket(3)].into_iter());
        assert_eq!(missing, BTreeSet::from([Bucket(1)]));
        let stored = [(1, id(1, 1)), (1, id(2, 9))];
        assert_eq!(group(&mut dedupe, &stored, &[(1, id(1, 1))]), [false]);
    }

    /// A day that alone is larger than the bound: nothing is forgotten, and the bound holds.
    #[rstest]
    #[case::with_filters(1_000)]
    #[case::with_more_on_disk_than_filters_have_room_for(100)]
    fn a_day_of_too_many_ids_goes_to_the_disk_and_is_exact(#[case] ids_max: usize) {
        const GROUP: usize = 50;
        let dir = tempfile::tempdir().unwrap();
        let mut dedupe = dedupe(&dir, ids_max);
        let ids: Vec<_> = (0..10_000)
            .map(|n: u64| (1, uuid7::make(86_400_000 + n / 700, [0; 10]) + u128::from(n)))
            .collect();
        for ids in ids.chunks(GROUP) {
            assert!(group(&mut dedupe, &[], ids).iter().all(|new| *new));
            assert!(dedupe.held() <= ids_max, "{} are held", dedupe.held());
        }
        for ids in ids.rchunks(GROUP) {
            assert!(!group(&mut dedupe, &[], ids).iter().any(|new| *new));
        }
        // Read again from what is stored, as after a restart: the bound holds here, too.
        let mut again = Dedupe::new(Room { ids_max, ..dedupe.room });
        assert_eq!(group(&mut again, &ids, &ids[5_000..5_001]), [false]);
        assert!(again.held() <= ids_max);
    }

    proptest! {
        /// Whatever the bound, and however the ids are spread over days and groups.
        #[test]
        fn nothing_is_ever_found_wrongly_or_missed(
            ids_max in 1usize..60,
            groups in prop::collection::vec(
                prop::collection::vec((1u32..3, 1u64..4, 0u8..40), 1..20), 1..40),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut dedupe = dedupe(&dir, ids_max);
            let mut stored: Vec<(u32, u128)> = Vec::new();
            for ids in groups {
                let ids: Vec<_> = ids.iter().map(|&(p, day, n)| (p, id(day, n))).collect();
                let new = group(&mut dedupe, &stored, &ids);
                for (id, new) in ids.iter().zip(new) {
                    prop_assert_eq!(new, !stored.contains(id));
                    if new {
                        stored.push(*id);
                    }
                }
                prop_assert!(dedupe.held() <= ids_max);
            }
        }
    }
}
