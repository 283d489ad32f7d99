//! Many rows of one project at once, past the log: imports.
//!
//! In: [`Columns`] in any order, from as many threads as there are. Out: segments of the shape that
//! merging would have given them, made real by one catalog transaction.
//!
//! ```text
//! claim: is it the first row with this id? ─▶ chunk: sort ─▶ runs in files without a name
//! finish: which ids does the store have? ─▶ merge the runs by month or week ─▶ segments ─▶ commit
//! ```
//!
//! There is no log: whoever imports has the rows in a file and can import it again. So nothing is
//! durable before the end, and then everything is.
//!
//! **Duplicates.** Within the import, an id is claimed once ([`Load::claim`]). Those that the store has
//! are found when all rows are there, by reading its ids once. Live events go on coming meanwhile; the
//! last look happens while the writer stands still, and an id that it stored since the look before
//! makes the segments be written again without it (`write`).
//!
//! **People.** Rows get the person they belong to when they are claimed; links and erasures that come
//! later find the segments by their epoch, as they find all others. A row that joins a device to a
//! person is left to the log, where links come from, once the segments are real (`people`).
//!
//! **Memory.** All chunks together hold `memtable_bytes`, and each thread [`PIECE_ROWS`] rows of its own
//! once more while it sorts them; ids `dedupe_ids`; a merge holds one block of at most [`RUNS_MAX`] runs,
//! a row group, and one more for each thread that encodes.
//!
//! Deliberately elsewhere: what a file says (`bulk` in the collector).

mod ids;
mod people;
mod tally;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use crate::columns::Columns;
use crate::dedupe::Room;
use crate::error::FlushError;
use crate::keeper::ordered::{self, Cursor};
use crate::keeper::rewrite::Rewrite;
use crate::runs::{BLOCK_ROWS, Blocks, PIECE_ROWS, Run, RunFile};
use crate::schema::TypeCounts;
use crate::segment::{PromotedKind, io_error, promote};
use crate::store::Store;
use crate::week;
use ids::IdSet;
use people::Newcomers;
pub use write::OnProgress;

/// Runs at which the smaller half of them is merged into one.
const RUNS_MAX: usize = 128;

/// An import on its way. Dropping it leaves nothing.
pub struct Load<'a> {
    store: &'a Store,
    project: u32,
    threads: usize,
    chunk_bytes: usize,
    /// Rows of months that ended before this go to segments of a month.
    months_before: i64,
    /// What is known about people up to this frame is written down in the rows.
    epoch: u64,
    /// Of rows that join a device to a person.
    taken: Arc<RunFile>,
    claimed: Mutex<Claimed>,
    sorted: Mutex<Sorted>,
}

/// What was claimed.
struct Claimed {
    ids: IdSet,
    people: Newcomers,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is to be put into a chunk.
    New,
    /// A row before it has its id.
    Duplicate,
    /// Its person was erased.
    Erased,
    /// It joins a device to a person, and has been taken: such rows go through the log.
    Taken,
}

/// What became of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Rows that are stored now.
    pub stored: u64,
    /// Rows that the store had.
    pub duplicate: u64,
    /// Rows of persons who were erased meanwhile.
    pub erased: u64,
}

/// Rows by the folder of the segment they are for: `2026-09`, or `2026-W47`.
type Places = BTreeMap<String, Place>;

/// Those of one of these folders: a run, and the file it is in with the other places of its [`Places`]. The file goes
/// with the last of them, so what was merged takes no room beside what came of it.
#[derive(Debug, Clone)]
struct Place {
    file: Arc<RunFile>,
    run: Run,
    ts_ms: (i64, i64),
}

/// What is on the disk already.
#[derive(Default)]
struct Sorted {
    runs: Vec<Places>,
    rows: u64,
    keys: BTreeMap<Box<str>, TypeCounts>,
}

/// Rows of one thread that wait to be sorted.
pub struct Chunk<'a> {
    load: &'a Load<'a>,
    batches: Vec<(Columns, Vec<u32>)>,
    rows: usize,
    bytes: usize,
}

impl Store {
    /// Begin to import rows of a project, on so many threads.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn load(&self, project: u32, threads: usize) -> Result<Load<'_>, FlushError> {
        let options = &self.shared.options;
        let taken = self.new_runs()?;
        let ids = IdSet::new(project, self.room_for_ids()?);
        let old_ms = i64::from(options.month_after_days) * 86_400_000;
        let claimed = Claimed { ids, people: Newcomers::default() };
        let epoch = self.shared.live().begin_import();
        Ok(Load {
            store: self,
            project,
            epoch,
            threads: threads.max(1),
            chunk_bytes: options.memtable_bytes / threads.max(1),
            months_before: week::month_number((options.now_ms)().saturating_sub(old_ms)),
            taken,
            claimed: Mutex::new(claimed),
            sorted: Mutex::default(),
        })
    }

    fn new_runs(&self) -> Result<Arc<RunFile>, FlushError> {
        let (disk, tmp) = (&self.folders.disk, &self.folders.tmp);
        Ok(Arc::new(RunFile::create(&**disk, tmp).map_err(io_error(tmp))?))
    }

    fn room_for_ids(&self) -> Result<Room, FlushError> {
        let (disk, tmp) = (Arc::clone(&self.folders.disk), self.folders.tmp.clone());
        let ids_max = self.shared.options.dedupe_ids;
        let room = Room { ids_max, disk, tmp, shared: None };
        let shared = Some(room.spill().map_err(io_error(&self.folders.tmp))?);
        Ok(Room { shared, ..room })
    }
}

impl Load<'_> {
    /// For each of these rows of `columns`: what becomes of it; its person is the one it belongs to
    /// then. `again` gives a row that is not another id, for the second, third … time it occurs;
    /// `None` makes it a duplicate.
    ///
    /// # Errors
    /// When ids that do not fit into memory cannot be written or read.
    pub fn claim(
        &self,
        columns: &mut Columns,
        rows: &[u32],
        again: &dyn Fn(usize, u32) -> Option<u128>,
    ) -> Result<Vec<Claim>, FlushError> {
        let mut claimed = self.claimed();
        let Claimed { ids, people } = &mut *claimed;
        let mut claims = Vec::with_capacity(rows.len());
        for &row in rows {
            let row = row as usize;
            let again = |count| again(row, count);
            let id = ids.claim(columns.event_id[row], &again).map_err(self.in_tmp())?;
            columns.event_id[row] = id.unwrap_or(columns.event_id[row]);
            claims.push(if id.is_some() { Claim::New } else { Claim::Duplicate });
        }
        let shared = &self.store.shared;
        let links_max = shared.options.links_max;
        let met = people.meet(&shared.live().people, columns, rows, &mut claims, links_max);
        shared.counters.add_unjoined(met.unjoined);
        people.keep(&self.taken, columns, &met.taken).map_err(self.in_tmp())?;
        Ok(claims)
    }

    /// Where a thread puts its rows.
    pub fn chunk(&self) -> Chunk<'_> {
        Chunk { load: self, batches: Vec::new(), rows: 0, bytes: 0 }
    }

    /// The folder of the segment for a time.
    fn place(&self, ts_ms: i64) -> String {
        let is_month = week::month_number(ts_ms) < self.months_before;
        if is_month { week::month(ts_ms) } else { week::name(ts_ms) }
    }

    fn claimed(&self) -> std::sync::MutexGuard<'_, Claimed> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sorted(&self) -> std::sync::MutexGuard<'_, Sorted> {
        self.sorted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuse to fill the disk: live events need it.
    fn check_room(&self) -> Result<(), FlushError> {
        let folders = &self.store.folders;
        let free = folders.disk.free_bytes(&folders.tmp).map_err(io_error(&folders.tmp))?;
        if free >= self.store.shared.options.min_free_bytes {
            return Ok(());
        }
        let full = io::Error::new(
            io::ErrorKind::StorageFull,
            "the disk is too full for this import: it needs about 120 bytes per event while it runs",
        );
        Err(io_error(&folders.tmp)(full))
    }

    /// Sort rows and write them behind new runs.
    fn add(&self, batches: &[(Columns, Vec<u32>)]) -> Result<(), FlushError> {
        self.check_room()?;
        let mut names: Vec<String> = Vec::new();
        let mut places: HashMap<i64, u32> = HashMap::new();
        let mut order = Vec::with_capacity(batches.iter().map(|(_, rows)| rows.len()).sum());
        for (batch, (columns, rows)) in batches.iter().enumerate() {
            let mut last = None;
            for &row in rows {
                let ts_ms = columns.ts[row as usize];
                let week = week::number(ts_ms);
                let place = match last {
                    Some((last, place)) if last == week => place,
                    _ => *places.entry(week).or_insert_with(|| {
                        let name = self.place(ts_ms);
                        let known = names.iter().position(|other| *other == name);
                        known.unwrap_or_else(|| {
                            names.push(name);
                            names.len() - 1
                        }) as u32
                    }),
                };
                last = Some((week, place));
                order.push((place, columns.person[row as usize], ts_ms, batch as u32, row));
            }
        }
        order.sort_unstable_by(|a, b| {
            let rest = |&(_, _, _, batch, row): &(u32, u64, i64, u32, u32)| {
                let (columns, row) = (&batches[batch as usize].0, row as usize);
                (columns.seq[row], columns.event_id[row])
            };
            (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then_with(|| rest(a).cmp(&rest(b)))
        });
        let mut keys = BTreeMap::new();
        batches.iter().for_each(|(columns, _)| columns.property_counts(&mut keys));
        let sources: Vec<&Columns> = batches.iter().map(|(columns, _)| columns).collect();
        let file = self.store.new_runs()?;
        let mut blocks = Blocks::new(&file, promoted(&keys, order.len() as u64));
        let mut runs = Places::new();
        for rows in order.chunk_by(|a, b| a.0 == b.0) {
            let times = rows.iter().map(|row| row.2);
            let ts_ms = times.fold((i64::MAX, i64::MIN), |(a, b), ts| (a.min(ts), b.max(ts)));
            let mut run = Run::default();
            for rows in rows.chunks(PIECE_ROWS) {
                let order: Vec<(u32, u32)> = rows.iter().map(|row| (row.3, row.4)).collect();
                blocks.write(&mut run, &order, &sources).map_err(self.in_tmp())?;
                let mut written = rows.chunks(BLOCK_ROWS);
                written.try_for_each(|_| self.store.keeper.give_way())?;
            }
            let file = Arc::clone(&file);
            runs.insert(names[rows[0].0 as usize].clone(), Place { file, run, ts_ms });
        }
        self.keep(runs, order.len() as u64, keys)
    }

    /// Add runs to those there are; merge many small ones into one.
    fn keep(
        &self,
        runs: Places,
        rows: u64,
        keys: BTreeMap<Box<str>, TypeCounts>,
    ) -> Result<(), FlushError> {
        let mut sorted = self.sorted();
        sorted.runs.push(runs);
        sorted.rows += rows;
        for (key, types) in keys {
            sorted.keys.entry(key).or_default().add(&types);
        }
        if sorted.runs.len() < RUNS_MAX {
            return Ok(());
        }
        let size = |places: &Places| places.values().map(|place| place.run.rows).sum::<u64>();
        sorted.runs.sort_by_key(|places| std::cmp::Reverse(size(places)));
        let small = sorted.runs.split_off(RUNS_MAX / 2);
        let (keys, rows) = (sorted.keys.clone(), sorted.rows);
        drop(sorted);
        let (mut merged, file) = (Places::new(), self.store.new_runs()?);
        for (name, places) in by_place(small) {
            let ts_ms = span(&places);
            let cursors = places.into_iter().map(|place| self.cursor(place, None)).collect();
            let mut blocks = Blocks::new(&file, promoted(&keys, rows));
            let mut run = Run::default();
            ordered::merge(cursors, &Rewrite::default(), &mut |order, sources| {
                self.store.keeper.give_way()?;
                self.check_room()?;
                blocks.write(&mut run, order, sources).map_err(self.in_tmp())
            })?;
            merged.insert(name, Place { file: Arc::clone(&file), run, ts_ms });
        }
        self.sorted().runs.push(merged);
        Ok(())
    }

    /// The rows of a run but those whose ids are in `without`.
    fn cursor(&self, place: Place, without: Option<Arc<IdSet>>) -> Cursor {
        let (mut next, tmp) = (place.file.blocks(place.run), self.store.folders.tmp.clone());
        let mut read = move || {
            let Some(columns) = next()? else { return Ok(None) };
            let Some(without) = &without else { return Ok(Some((columns, None))) };
            let mut kept = Vec::with_capacity(columns.len());
            for (row, id) in (0..).zip(&columns.event_id) {
                if !without.contains(*id)? {
                    kept.push(row);
                }
            }
            Ok(Some((columns, Some(kept))))
        };
        Cursor::of_batches(Box::new(move || read().map_err(io_error(&tmp))))
    }

    fn in_tmp(&self) -> impl FnOnce(io::Error) -> FlushError + use<'_> {
        io_error(&self.store.folders.tmp)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.store.shared.live().end_import(self.epoch);
    }
}

impl Chunk<'_> {
    /// Take these rows of `columns`.
    ///
    /// # Errors
    /// When the disk refuses, or the store closes.
    pub fn push(&mut self, columns: Columns, rows: Vec<u32>) -> Result<(), FlushError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.rows += rows.len();
        self.bytes += columns.bytes();
        self.batches.push((columns, rows));
        if self.bytes >= self.load.chunk_bytes { self.write() } else { Ok(()) }
    }

    /// Write what is left.
    ///
    /// # Errors
    /// As [`Chunk::push`].
    pub fn finish(mut self) -> Result<(), FlushError> {
        if self.rows > 0 { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), FlushError> {
        (self.rows, self.bytes) = (0, 0);
        self.load.add(&std::mem::take(&mut self.batches))
    }
}

fn promoted(keys: &BTreeMap<Box<str>, TypeCounts>, rows: u64) -> Vec<(String, PromotedKind)> {
    let counts = keys.iter();
    promote(counts.map(|(key, n)| (&**key, [n.texts, n.numbers, n.bools, n.others])), rows)
}

/// The same, by place.
fn by_place(runs: Vec<Places>) -> BTreeMap<String, Vec<Place>> {
    let mut places: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for (name, place) in runs.into_iter().flatten() {
        places.entry(name).or_default().push(place);
    }
    places
}

/// First and last time.
fn span(places: &[Place]) -> (i64, i64) {
    let from = places.iter().map(|place| place.ts_ms.0).min().unwrap_or(i64::MAX);
    (from, places.iter().map(|place| place.ts_ms.1).max().unwrap_or(i64::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Coded;
    use crate::faults::World;
    use crate::row::Dim;

    #[test]
    fn runs_that_were_merged_take_no_room() {
        let world = World::new();
        let load = world.store().load(1, 1).unwrap();
        let mut files = Vec::new();
        for n in 0..RUNS_MAX as u64 {
            let row = Columns {
                project: vec![1],
                person: vec![n],
                actor: vec![n],
                ts: vec![1_700_000_000_000],
                seq: vec![0],
                event_id: vec![1 + u128::from(n)],
                received: vec![1_700_000_000_000],
                claimed: vec![1_700_000_000_000],
                flags: vec![0],
                event: Coded { codes: vec![1], values: Arc::from(["view".into()]) },
                session: vec![0],
                dims: vec![Coded::default(); Dim::ALL.len()],
                ..Columns::default()
            };
            let mut chunk = load.chunk();
            chunk.push(row, vec![0]).unwrap();
            chunk.finish().unwrap();
            let sorted = load.sorted();
            let newest = sorted.runs.iter().flat_map(BTreeMap::values).last().unwrap();
            files.push(Arc::downgrade(&newest.file));
        }
        let there = files.iter().filter(|file| file.strong_count() > 0).count();
        assert_eq!(there, RUNS_MAX / 2 + 1, "half of them, and what the others became");
        drop(load);
        assert!(files.iter().all(|file| file.strong_count() == 0));
    }
}
