//! A store on a simulated disk, driven from one thread, and what it has promised so far.
//!
//! Writer and keeper do not run as threads here: the world calls them, so a seed always gives the
//! same history. Appends in the middle of a flush or a merge come from a hook at the points of the
//! keeper's work.
//!
//! Deliberately elsewhere: the disk (`sim_disk`), the catalog (`sim_catalog`), the events (`source`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::random::Random;
use super::sim_catalog::SimCatalog;
use super::sim_disk::SimDisk;
use super::source::{PROJECTS, Source};
use crate::catalog::{Catalog, SegmentMeta, UsageKind};
use crate::disk::Disk;
use crate::error::{AppendError, FlushError, OpenError, PeopleError};
use crate::keeper::Keeper;
use crate::open::{Folders, Stopped, open_on};
use crate::options::StoreOptions;
use crate::people::naive::{self, Naive};
use crate::people::{PeopleCommand, PeopleDone};
use crate::queue::Gather;
use crate::row::Row;
use crate::shared::Shared;
use crate::store::{Append, Appended, RowRange, Store};
use crate::verify::Verified;
use crate::wal::{self, End, Entry, Recovered};
use crate::writer::Writer;

/// Where the store is on the simulated disk.
pub(crate) const DATA: &str = "/disk/data";

/// Project and event id.
pub(crate) type Id = (u32, u128);

/// What was sent and what was answered; shared with the hook.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Everything that was ever sent, by id.
    pub sent: BTreeMap<Id, Row>,
    /// What was answered with `Ok`.
    pub acknowledged: BTreeSet<Id>,
    /// Who is who, and who was erased.
    pub people: Naive,
}

impl Ledger {
    /// What is to be found of what was sent, if all of it was stored.
    pub(crate) fn expected(&self) -> BTreeMap<Id, Row> {
        let kept = self.sent.iter().filter(|(_, row)| !self.people.drops(row));
        let person = |row: &Row| self.people.person(row.project, naive::base(row));
        kept.map(|(id, row)| (*id, Row { person: person(row), ..row.clone() })).collect()
    }
}

/// The point at which a merge lets others go first.
pub(crate) const IN_A_MERGE: &str = "merge: between batches";

pub(crate) struct World {
    pub disk: SimDisk,
    pub catalog: Arc<SimCatalog>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub options: StoreOptions,
    running: Option<Running>,
}

struct Running {
    store: Store,
    writer: Arc<Mutex<Writer>>,
    keeper: Keeper,
}

/// Small bounds, so that short histories meet them.
pub(crate) fn small_options() -> StoreOptions {
    StoreOptions {
        wal_file_bytes: 4 << 10,
        min_free_bytes: 0,
        group_rows: 8,
        merge_fan_in: 2,
        cache_bytes: 0,
        moved_bytes: 500,
        dedupe_ids: 30,
        query_threads: 1,
        // Long ago: no row is old enough to lose its id or to be moved to a month.
        now_ms: std::sync::Arc::new(|| i64::MIN),
        ..StoreOptions::new(DATA)
    }
}

impl World {
    /// A new store on an empty disk.
    pub(crate) fn new() -> Self {
        Self::with(small_options())
    }

    pub(crate) fn with(options: StoreOptions) -> Self {
        let mut world = Self::not_started(options);
        world.start().expect("nothing fails on an empty disk");
        world
    }

    pub(crate) fn not_started(options: StoreOptions) -> Self {
        let disk = SimDisk::new();
        let catalog = Arc::new(SimCatalog::new(disk.clone()));
        Self { disk, catalog, ledger: Arc::default(), options, running: None }
    }

    pub(crate) fn folders(&self) -> Folders {
        Folders::new(&self.options.dir, Arc::new(self.disk.clone()))
    }

    /// What verifying says while no store has the folder.
    pub(crate) fn verify(&self) -> Verified {
        crate::verify::closed(&self.folders(), &*self.catalog).expect("the catalog is in memory")
    }

    pub(crate) fn start(&mut self) -> Result<(), OpenError> {
        let disk = Arc::new(self.disk.clone());
        let catalog = Arc::clone(&self.catalog) as Arc<dyn Catalog>;
        let Stopped { shared, writer, keeper, lock } =
            open_on(disk, self.options.clone(), catalog)?;
        let store = Store {
            folders: keeper.folders.clone(),
            shared,
            keeper: keeper.clone(),
            threads: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        };
        self.running = Some(Running { store, writer: Arc::new(Mutex::new(writer)), keeper });
        Ok(())
    }

    /// The process ends here, however far it got; the next start finds `disk`.
    pub(crate) fn move_to(&mut self, disk: SimDisk) {
        self.disk.at_points(None);
        self.disk.stop();
        self.running = None;
        self.catalog.move_to(disk.clone());
        self.disk = disk;
    }

    pub(crate) fn cut_power(&mut self, random: &mut Random) {
        let disk = self.disk.cut_power(random);
        self.move_to(disk);
    }

    pub(crate) fn kill(&mut self) {
        let disk = self.disk.kill();
        self.move_to(disk);
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the world is started")
    }

    pub(crate) fn store(&self) -> &Store {
        &self.running().store
    }

    pub(crate) fn append(&self, rows: Vec<Row>) -> Result<Appended, AppendError> {
        let Running { store, writer, .. } = self.running();
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        append(&store.shared, &mut writer, &self.ledger, rows)
    }

    /// Change who is who, as the ledger does.
    pub(crate) fn people(&self, command: PeopleCommand) {
        let Running { store, writer, .. } = self.running();
        let tried = store.try_people(&command).expect("nothing is damaged");
        let mut ledger = self.ledger();
        let want = ledger.people.run(&command);
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let done = writer.command(&command);
        assert_eq!(tried.refused.is_some(), want.is_err(), "{command:?}: {tried:?}");
        match (done, want) {
            (Ok(PeopleDone::Linked(number)), Ok(Some(want))) => assert_eq!(number, want),
            (Ok(_), Ok(None)) | (Err(PeopleError::Refused(_)), Err(_)) => {}
            (done, want) => panic!("{command:?}: {done:?}, not {want:?}"),
        }
    }

    /// Out of every file, now.
    pub(crate) fn erase_files(&self) {
        self.flush().expect("nothing fails");
        let Running { store, keeper, .. } = self.running();
        store.shared.live().erase_now = true;
        keeper.settle_people().expect("nothing fails");
        let ledger = self.ledger();
        assert_eq!(store.stats().rows, ledger.expected().len() as u64, "rows in files");
        let live = store.shared.live();
        assert_eq!(live.people.waiting_since().1, None, "erasures that are not done");
    }

    /// Append without keeping a copy of what was sent.
    pub(crate) fn append_unnoted(&self, rows: Vec<Row>) -> Appended {
        let Running { store, writer, .. } = self.running();
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        send(&store.shared, &mut writer, rows).expect("nothing fails")
    }

    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        let keeper = &self.running().keeper;
        let flushed = keeper.flush();
        keeper.prepare_presence();
        flushed
    }

    /// Flush as the keeper's thread does, which remembers whether it worked.
    pub(crate) fn flush_as_thread(&self) {
        self.running().keeper.flush_as(0);
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.running().keeper
    }

    /// Merge what is due; with `settled`, whatever is worth it.
    pub(crate) fn merge(&self, settled: bool) -> Result<(), FlushError> {
        let keeper = &self.running().keeper;
        keeper.settle_people()?;
        let weeks = if settled { keeper.weeks() } else { BTreeSet::new() };
        let merged = keeper.merge_all(&weeks, None);
        keeper.prepare_presence();
        merged
    }

    /// Append something at some points of what the keeper does from now on, and flush it between some
    /// batches of merges.
    pub(crate) fn append_at_points(&self, mut random: Random, source: Source) {
        self.at_points(move |point, append, keeper| {
            if random.percent(40) {
                append(source.rows(&mut random, 3));
            }
            // Seldom: each is more to merge.
            if point == IN_A_MERGE && random.percent(5) {
                let _ = keeper.flush();
            }
        });
    }

    /// Do something at all points but those of the writer's own work.
    pub(crate) fn at_points(
        &self,
        mut each: impl FnMut(&str, &mut dyn FnMut(Vec<Row>), &Keeper) + Send + 'static,
    ) {
        let Running { store, writer, keeper } = self.running();
        let (shared, writer) = (Arc::clone(&store.shared), Arc::clone(writer));
        let (ledger, keeper) = (Arc::clone(&self.ledger), keeper.clone());
        self.disk.at_points(Some(Box::new(move |point| {
            // Taken: the point is in the writer's own work.
            let Ok(mut writer) = writer.try_lock() else { return };
            let mut append = |rows| {
                let _ = append(&shared, &mut writer, &ledger, rows);
            };
            each(point, &mut append, &keeper);
        })));
    }

    /// The segments the catalog names.
    pub(crate) fn segments(&self) -> Vec<SegmentMeta> {
        self.catalog.tables.load().expect("it is in memory").segments
    }

    /// The log files and what is in them.
    pub(crate) fn log_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let listed = self.disk.list(&self.folders().wal).expect("the folder is there");
        let bytes = |path: &Path| self.disk.bytes(path).expect("it was listed");
        listed.into_iter().map(|file| (file.path.clone(), bytes(&file.path))).collect()
    }

    /// Read the only log file and change nothing; `each` gets the number of rows of a frame.
    pub(crate) fn read_log(&self, each: &mut dyn FnMut(usize)) -> Result<End, OpenError> {
        let mut each = |_, entry| {
            if let Entry::Rows(rows) = entry {
                each(rows.len());
            }
        };
        let mut last = None;
        wal::walk(&self.folders(), 0, &mut each, &mut |_, end| {
            last = Some(end?);
            Ok(())
        })?;
        Ok(last.expect("there is one"))
    }

    /// Read the log as a start does, without starting.
    pub(crate) fn recover_log(&self, each: &mut dyn FnMut(u64, Entry)) -> Recovered {
        wal::recover(&self.folders(), 0, each).expect("the log is whole")
    }

    /// Everything stored, by id.
    ///
    /// # Panics
    /// When an id is stored twice.
    pub(crate) fn stored(&self) -> BTreeMap<Id, Row> {
        let mut stored = BTreeMap::new();
        for project in PROJECTS {
            let all = RowRange::between(i64::MIN, i64::MAX);
            let each = &mut |row: Row| {
                let id = (row.project, row.event_id);
                assert!(stored.insert(id, normal(row)).is_none(), "{id:?} is stored twice");
                ControlFlow::Continue(())
            };
            self.store().rows(project, all, each).expect("what is stored can be read");
        }
        stored
    }

    /// What every start must find: all that was acknowledged, nothing that was never sent, each
    /// once and as it was sent; figures that say the same.
    pub(crate) fn check(&self) {
        let stored = self.stored();
        let ledger = self.ledger();
        let expected = ledger.expected();
        for id in ledger.acknowledged.iter().filter(|id| expected.contains_key(id)) {
            assert!(stored.contains_key(id), "{id:?} was acknowledged and is gone");
        }
        for (id, row) in &stored {
            let sent =
                expected.get(id).unwrap_or_else(|| panic!("{id:?} was never sent or erased"));
            assert_eq!(row, sent, "not what was sent");
        }
        let erased = (ledger.sent.len() - expected.len()) as u64;
        let in_files = self.store().stats().rows - stored.len() as u64;
        assert!(in_files <= erased, "{in_files} rows too many with {erased} erased");
        for project in PROJECTS {
            let rows = stored.range((project, 0)..=(project, u128::MAX)).count() as u64;
            let schema = self.store().schema(project).expect("the catalog is in memory");
            let counted: u64 = schema.events.values().map(|event| event.count).sum();
            // What was erased did happen, and names nobody here.
            assert!(rows <= counted && counted <= rows + erased, "events by name in {project}");
            let used = self.store().usage(project, i64::MIN..i64::MAX);
            let used = used.expect("the catalog is in memory").into_values();
            let used: u64 = used.map(|used| used.of(&UsageKind::Events).0).sum();
            assert_eq!(used, counted, "usage in {project}");
        }
    }

    /// Send everything again, and write it to segments: then there is exactly what was sent.
    pub(crate) fn check_after_resending(&self) {
        let sent: Vec<Row> = self.ledger().sent.values().cloned().collect();
        for rows in sent.chunks(16) {
            self.append(rows.to_vec()).expect("nothing fails any more");
        }
        self.flush().expect("nothing fails any more");
        self.merge(true).expect("nothing fails any more");
        self.check();
        assert_eq!(self.store().stats().rows, sent.len() as u64);
        assert_eq!(self.store().verify().problems, []);
        for project in PROJECTS {
            let rows = sent.iter().filter(|row| row.project == project).count() as u64;
            let (count, _) = self.catalog.tables.usage(project, UsageKind::Events);
            assert_eq!(count, rows, "usage of project {project}");
        }
    }

    pub(crate) fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(
    shared: &Shared,
    writer: &mut Writer,
    ledger: &Mutex<Ledger>,
    rows: Vec<Row>,
) -> Result<Appended, AppendError> {
    let ledger = || ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let is_erased: Vec<bool> = rows.iter().map(|row| ledger().people.drops(row)).collect();
    let stored = rows.iter().zip(&is_erased).filter(|(_, is_erased)| !**is_erased);
    let mut sent: Vec<Row> = Vec::new();
    for (row, _) in stored {
        let id = (row.project, row.event_id);
        ledger().sent.entry(id).or_insert_with(|| normal(row.clone()));
        sent.push(row.clone());
    }
    let appended = send(shared, writer, rows)?;
    let erased: Vec<bool> = (0..is_erased.len()).map(|at| appended.erased.contains(&at)).collect();
    assert_eq!(erased, is_erased, "events of erased persons");
    let mut ledger = ledger();
    for row in sent {
        if ledger.acknowledged.insert((row.project, row.event_id)) {
            ledger.people.observe(&row);
        }
    }
    Ok(appended)
}

/// What the threads do with a batch.
fn send(shared: &Shared, writer: &mut Writer, rows: Vec<Row>) -> Result<Appended, AppendError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = Box::new(move |result| sender.send(result).expect("the world waits"));
    if let Err((_, error)) = shared.queue.push(Append { rows, refused: Vec::new() }, done) {
        return Err(error);
    }
    writer.take(shared.queue.next_group(Gather::nothing()).expect("a batch waits"));
    // The thread that makes log files ahead is quick, or comes too late.
    if shared.counters.groups.load(Ordering::Relaxed).is_multiple_of(2) {
        writer.log.ahead().make();
    }
    receiver.try_recv().expect("the writer answers what it takes")
}

/// Keys of the properties may come back in another order.
fn normal(mut row: Row) -> Row {
    let entries: BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(&row.props).expect("properties are an object");
    row.props = serde_json::to_string(&entries).expect("it was JSON before").into();
    row
}
