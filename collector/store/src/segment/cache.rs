//! Decoded columns, kept between questions.
//!
//! In: which column of which row group, for which reading, and how to decode it. Out: the column. Two
//! threads that want the same one at the same time decode it once.
//!
//! A *reading* is one question's walk over the store. Columns that were last wanted by the oldest
//! reading go first, and a reading never pushes out what it wants itself: a question that
//! wants more than there is room for finds most of it the next time, where a plain "least recently
//! used" would throw out each column just before it is wanted again. Columns that are large and wanted by few
//! questions get a small part of the room: as long as there are few of them, they are kept as well.
//!
//! Invariant: what is kept is at most the bound, apart from what questions hold at that moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::{HashMap, HashSet};

use super::packed::{Decoded, Packed};
use crate::block::{Column, ColumnKey, Having};
use crate::catalog::SegmentId;

/// A column of a row group of a segment.
type Key = (SegmentId, u32, ColumnKey);

/// The part of the room for large columns: one in so many bytes.
const LARGE_PART: u64 = 512;

/// What a column takes beside its own bytes: its key, its place and its parts in memory, about. Rows of rare
/// texts are many small columns.
const SLOT: u64 = 256;

/// The columns, packed.
#[derive(Debug)]
pub(crate) struct ColumnCache {
    slots: Mutex<HashMap<Key, Slot>>,
    bytes: AtomicU64,
    /// Of these, in large columns.
    large: AtomicU64,
    bytes_max: u64,
    readings: AtomicU64,
    /// Nothing that was wanted before this reading is left to push out.
    full_for: AtomicU64,
}

/// One walk over the store: later ones have larger numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Reading(u64);

/// What there is of some rows.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// The last that wanted it.
    pub wanted: Reading,
    pub columns: HashSet<ColumnKey>,
    /// Whether enough persons are among those rows, where they were counted.
    pub has_enough: bool,
}

#[derive(Debug, Default)]
struct Slot {
    column: Arc<Mutex<Kept>>,
    bytes: u64,
    is_large: bool,
    wanted: Reading,
}

/// What is known of a column.
#[derive(Debug, Default)]
enum Kept {
    /// Nobody has decoded it yet.
    #[default]
    Nothing,
    Packed(Packed),
    /// It takes more room than it is worth: whoever wants it decodes it.
    TooLarge,
}

impl ColumnCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            slots: Mutex::default(),
            bytes: AtomicU64::new(0),
            large: AtomicU64::new(0),
            bytes_max: bytes_max as u64,
            readings: AtomicU64::new(0),
            full_for: AtomicU64::new(0),
        }
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A reading begins.
    pub(crate) fn reading(&self) -> Reading {
        Reading(self.readings.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The column, decoded if it is not here.
    ///
    /// # Errors
    /// Those of `decode`; then nothing is kept.
    pub(crate) fn get<E>(
        &self,
        reading: Reading,
        segment: SegmentId,
        group: u32,
        key: &ColumnKey,
        decode: impl FnOnce() -> Result<Decoded, E>,
    ) -> Result<Arc<Column>, E> {
        if self.bytes_max == 0 {
            return decode().map(Decoded::column);
        }
        let key = (segment, group, key.clone());
        let column = {
            let mut slots = self.lock();
            let slot = slots.entry(key.clone()).or_default();
            slot.wanted = slot.wanted.max(reading);
            Arc::clone(&slot.column)
        };
        let mut column = column.lock().unwrap_or_else(PoisonError::into_inner);
        match &*column {
            Kept::Nothing => {}
            Kept::Packed(packed) => return Ok(packed.unpack()),
            Kept::TooLarge => {
                drop(column);
                return decode().map(Decoded::column);
            }
        }
        let (packed, decoded) = decode()?.both();
        let is_large = packed.is_none();
        let packed = packed.or_else(|| {
            let all = self.large.load(Ordering::Relaxed) + decoded.bytes() as u64;
            (all <= self.bytes_max / LARGE_PART).then(|| Packed::Plain(Arc::clone(&decoded)))
        });
        let bytes = packed.as_ref().map(Packed::bytes);
        *column = packed.map_or(Kept::TooLarge, Kept::Packed);
        drop(column);
        if let Some(bytes) = bytes {
            self.count(&key, bytes as u64 + SLOT, is_large, reading);
        }
        Ok(decoded)
    }

    /// The column, if it is here.
    pub(super) fn find(
        &self,
        segment: SegmentId,
        group: u32,
        key: &ColumnKey,
    ) -> Option<Arc<Column>> {
        let column = Arc::clone(&self.lock().get(&(segment, group, key.clone()))?.column);
        match &*column.lock().unwrap_or_else(PoisonError::into_inner) {
            Kept::Packed(packed) => Some(packed.unpack()),
            Kept::Nothing | Kept::TooLarge => None,
        }
    }

    /// Whether it keeps anything at all.
    pub(super) fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// What there is of rows that few have. Of those that are `counted` it says whether so many persons of a
    /// project are among them.
    pub(crate) fn rare(
        &self,
        enough: usize,
        counted: impl Fn(&Having) -> bool,
    ) -> HashMap<Arc<Having>, Rare> {
        let (mut found, mut runs) = (HashMap::<_, Rare>::new(), Vec::new());
        for ((.., key), slot) in &*self.lock() {
            let ColumnKey::OfFew(having, of) = key else { continue };
            let rare = found.entry_ref(having).or_default();
            rare.wanted = slot.wanted.max(rare.wanted);
            if !rare.columns.contains(&**of) {
                rare.columns.insert((**of).clone());
            }
            if **of == ColumnKey::Runs && counted(having) {
                runs.push((Arc::clone(having), Arc::clone(&slot.column)));
            }
        }
        // Whoever decodes a column has it, and may want a slot.
        let mut persons: HashMap<(Arc<Having>, u32), HashSet<u64>> = HashMap::new();
        for (having, column) in runs {
            let Kept::Packed(packed) = &*column.lock().unwrap_or_else(PoisonError::into_inner)
            else {
                continue;
            };
            let column = packed.unpack();
            let of_projects = column.runs().persons_by_project();
            for (project, some) in of_projects {
                let known = persons.entry((Arc::clone(&having), project)).or_default();
                known.extend(some.iter().take(enough.saturating_sub(known.len())));
            }
        }
        for ((having, _), persons) in persons {
            if let Some(rare) = found.get_mut(&having) {
                rare.has_enough |= persons.len() >= enough;
            }
        }
        found
    }

    /// Forget the columns of a segment that is gone.
    pub(crate) fn forget(&self, segment: SegmentId) {
        self.lock()
            .extract_if(|key, _| key.0 == segment)
            .for_each(|(_, slot)| self.discount(&slot));
        self.full_for.store(0, Ordering::Relaxed);
    }

    /// Count a column that came, and make room for it, or let it go again.
    fn count(&self, key: &Key, bytes: u64, is_large: bool, reading: Reading) {
        let mut slots = self.lock();
        let Some(slot) = slots.get_mut(key) else { return };
        (slot.bytes, slot.is_large) = (bytes, is_large);
        if is_large {
            self.large.fetch_add(bytes, Ordering::Relaxed);
        }
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.bytes_max {
            return;
        }
        let let_go = |slots: &mut HashMap<Key, Slot>, key: &Key| {
            if let Some(slot) = slots.remove(key) {
                self.discount(&slot);
            }
            self.bytes()
        };
        if self.full_for.load(Ordering::Relaxed) < reading.0 {
            // Make room for a while, so that this walk over all slots is rare.
            let mut older: Vec<(Reading, Key)> = slots
                .iter()
                .filter(|(_, slot)| slot.wanted < reading)
                .map(|(key, slot)| (slot.wanted, key.clone()))
                .collect();
            older.sort_unstable_by_key(|(wanted, _)| *wanted);
            for (_, key) in older {
                if let_go(&mut slots, &key) <= self.bytes_max / 8 * 7 {
                    return;
                }
            }
            self.full_for.store(reading.0, Ordering::Relaxed);
        }
        if self.bytes() > self.bytes_max {
            let_go(&mut slots, key);
        }
    }

    /// A column is kept no longer.
    fn discount(&self, slot: &Slot) {
        self.bytes.fetch_sub(slot.bytes, Ordering::Relaxed);
        if slot.is_large {
            self.large.fetch_sub(slot.bytes, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Bytes of a column's numbers, and what it takes with its slot.
    const NUMBERS: usize = 800;
    const COLUMN: usize = NUMBERS + SLOT as usize;

    /// Read these columns of a hundred numbers; how many had to be decoded.
    fn read(cache: &ColumnCache, columns: std::ops::Range<u32>) -> usize {
        let reading = cache.reading();
        let mut decoded = 0;
        for group in columns {
            let decode = || {
                decoded += 1;
                let numbers = Column::of_numbers(vec![f64::from(group); NUMBERS / 8]);
                Ok::<_, Infallible>(numbers.into())
            };
            let column = cache.get(reading, SegmentId(1), group, &ColumnKey::Ts, decode).unwrap();
            assert_eq!(column.numbers().get(0), f64::from(group));
        }
        assert!(cache.bytes() <= cache.bytes_max);
        decoded
    }

    #[test]
    fn a_question_that_wants_more_than_there_is_room_for_finds_what_fits() {
        let cache = ColumnCache::new(8 * COLUMN);
        assert_eq!(read(&cache, 0..10), 10);
        assert_eq!((read(&cache, 0..10), read(&cache, 0..10)), (2, 2));
        assert_eq!(cache.bytes(), 8 * COLUMN as u64);
    }

    #[test]
    fn what_was_wanted_longest_ago_goes_first() {
        let cache = ColumnCache::new(8 * COLUMN);
        assert_eq!((read(&cache, 0..4), read(&cache, 4..8)), (4, 4));
        assert_eq!((read(&cache, 0..2), read(&cache, 8..10)), (0, 2));
        // Of 2 and 3 both are gone, and room was made for a while.
        assert_eq!((read(&cache, 0..2), read(&cache, 4..10), read(&cache, 2..4)), (0, 0, 2));
    }

    #[test]
    fn a_full_cache_has_room_again_when_a_segment_goes() {
        let cache = ColumnCache::new(2 * COLUMN);
        assert_eq!((read(&cache, 0..3), read(&cache, 0..3)), (3, 1));
        cache.forget(SegmentId(1));
        assert_eq!((cache.bytes(), read(&cache, 1..3), read(&cache, 1..3)), (0, 2, 0));
    }

    /// Every row is of another session: nothing is saved by packing them.
    fn sessions() -> Column {
        Column::Sessions(Arc::new((2..2 + NUMBERS as u64 / 8).collect()))
    }

    #[test]
    fn large_columns_have_a_part_of_the_room_and_leave_it_with_their_segment() {
        let cache = ColumnCache::new(2 * COLUMN * LARGE_PART as usize);
        let wanted = |segment, group| {
            let mut decoded = false;
            let decode = || {
                decoded = true;
                Ok::<_, Infallible>(sessions().into())
            };
            let column = cache.get(cache.reading(), segment, group, &ColumnKey::Session, decode);
            assert_eq!(column.unwrap().sessions()[7], 9);
            decoded
        };
        let decoded = [0, 1, 2, 0, 1, 2].map(|group| wanted(SegmentId(1), group));
        assert_eq!(decoded, [true, true, true, false, false, true]);
        assert_eq!((cache.bytes(), read(&cache, 0..4)), (2 * COLUMN as u64, 4));
        cache.forget(SegmentId(1));
        let decoded = [0, 1, 0].map(|group| wanted(SegmentId(2), group));
        assert_eq!((decoded, cache.bytes()), ([true, true, false], 2 * COLUMN as u64));
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let cache = ColumnCache::new(0);
        assert_eq!((read(&cache, 0..3), read(&cache, 0..3), cache.bytes()), (3, 3, 0));
    }
}
