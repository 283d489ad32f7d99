//! Imports: what comes in past the log is what would have come in through it.

use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;
use tallymark_store::columns::{Coded, Columns};
use tallymark_store::row::flags;
use tallymark_store::{
    Catalog, Claim, Dim, Loaded, MemoryCatalog, Row, Store, StoreOptions, UsageKind,
};

use crate::support::{
    ShowAll, all_rows, any_row, append_rows, open, options, row, sorted, temp_dir,
};

/// The same rows, as columns.
pub fn columns(rows: &[Row]) -> Columns {
    let mut columns = Columns::default();
    let coded = |text: &dyn Fn(&Row) -> Option<String>| {
        let mut values: Vec<Box<str>> = Vec::new();
        let codes = rows.iter().map(|row| {
            text(row).map_or(0, |text| {
                values.push(text.into());
                values.len() as u32
            })
        });
        let codes: Vec<u32> = codes.collect();
        Coded { codes, values: values.into() }
    };
    for (at, row) in rows.iter().enumerate() {
        columns.project.push(row.project);
        columns.person.push(row.person);
        columns.actor.push(row.actor);
        columns.ts.push(row.ts_ms);
        columns.seq.push(row.seq);
        columns.writer.push(row.writer);
        columns.event_id.push(row.event_id);
        columns.received.push(row.received_ms);
        columns.claimed.push(row.claimed_ms);
        columns.flags.push(row.flags);
        columns.session.push(row.session);
        if &*row.props != "{}" {
            columns.rest.set(at, |out| out.push_str(&row.props));
        }
    }
    columns.event = coded(&|row| Some(row.event.to_string()));
    let dims =
        Dim::ALL.iter().map(|dim| coded(&|row| Some(row.dims[*dim as usize].clone()?.into())));
    columns.dims = dims.collect();
    columns
}

/// Import rows of one project, `batch` of them at a time, in chunks of two batches. Calls `during` when
/// segments are being written.
pub fn import(
    store: &Store,
    project: u32,
    rows: &[Row],
    batch: usize,
    during: &mut dyn FnMut(),
) -> Loaded {
    let load = store.load(project, 1).unwrap();
    let mut duplicate = 0;
    for rows in rows.chunks(2 * batch) {
        let mut chunk = load.chunk();
        for rows in rows.chunks(batch) {
            let mut columns = columns(rows);
            let all: Vec<u32> = (0..rows.len() as u32).collect();
            let claims = load.claim(&mut columns, &all, &|_, _| None).unwrap();
            let new = all.into_iter().filter(|&row| claims[row as usize] == Claim::New).collect();
            duplicate += claims.iter().filter(|claim| **claim == Claim::Duplicate).count() as u64;
            chunk.push(columns, new).unwrap();
        }
        chunk.finish().unwrap();
    }
    let mut on_progress = |_, _| {
        during();
        ControlFlow::Continue(())
    };
    let loaded = load.finish(&mut on_progress).unwrap();
    Loaded { duplicate: loaded.duplicate + duplicate, ..loaded }
}

fn rows_of(project: u32, rows: &[Row]) -> Vec<Row> {
    rows.iter().filter(|row| row.project == project).cloned().collect()
}

proptest! {
    #![proptest_config(Config { cases: 64, ..Config::default() })]

    /// Rows, schema, usage and answers.
    #[test]
    fn an_import_leaves_what_appends_leave(
        rows in prop::collection::vec(any_row(), 1..80),
        batch in 1usize..12,
    ) {
        let (dir, imported_dir) = (temp_dir(), temp_dir());
        let catalogs = [Arc::new(MemoryCatalog::new()), Arc::new(MemoryCatalog::new())];
        let store = open(dir.path(), &catalogs[0]);
        let imported = open(imported_dir.path(), &catalogs[1]);
        for project in 1..3 {
            let rows = rows_of(project, &rows);
            let duplicate = append_rows(&store, rows.clone());
            let duplicate = duplicate.iter().filter(|duplicate| **duplicate).count() as u64;
            let loaded = import(&imported, project, &rows, batch, &mut || ());
            prop_assert_eq!(loaded, Loaded { stored: rows.len() as u64 - duplicate, duplicate, erased: 0 });
            let again = import(&imported, project, &rows, batch, &mut || ());
            prop_assert_eq!(again, Loaded { stored: 0, duplicate: rows.len() as u64, erased: 0 });
        }
        store.flush().unwrap();
        for project in 1..3 {
            prop_assert_eq!(all_rows(&imported, project), all_rows(&store, project));
            let question = ShowAll::everything();
            let asked = [&store, &imported].map(|store| store.ask(project, &question).unwrap().partial);
            prop_assert_eq!(&asked[0], &asked[1]);
            let [schema, imported] = [0, 1].map(|at: usize| catalogs[at].schema(project).unwrap());
            prop_assert_eq!(schema, imported);
            let [usage, imported] =
                [0, 1].map(|at: usize| catalogs[at].usage(project, UsageKind::Events));
            prop_assert_eq!(usage, imported);
        }
    }
}

#[test]
fn an_import_of_many_small_chunks_is_one_segment_a_week() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    const WEEK_MS: i64 = 604_800_000;
    let rows: Vec<Row> = (0..700)
        .map(|n| row(1, n % 11, 1_700_000_000_000 + (n % 3) as i64 * WEEK_MS + n as i64, n))
        .collect();
    // More runs than are merged at once.
    let loaded = import(&store, 1, &rows, 2, &mut || ());
    assert_eq!(loaded, Loaded { stored: 700, duplicate: 0, erased: 0 });
    assert_eq!(all_rows(&store, 1), sorted(1, &rows));
    let segments = catalog.load().unwrap().segments;
    assert_eq!(segments.len(), 3, "{segments:?}");
    assert!(segments.iter().all(|segment| segment.has_ids && segment.level == 0));
}

#[test]
fn months_that_are_over_get_one_segment_each() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    const DAY_MS: i64 = 86_400_000;
    // 2023-11-14 and, 40 days before that, 2023-10-05; weeks of the running month stay apart.
    let now_ms = 1_700_000_000_000;
    let options = StoreOptions { now_ms: Arc::new(move || now_ms), ..options(dir.path()) };
    let store = Store::open(options, Arc::clone(&catalog) as Arc<dyn Catalog>).unwrap();
    let imported = |n: u64| {
        let row = row(1, n % 7, now_ms - n as i64 * DAY_MS, n);
        Row { received_ms: now_ms, ..row }
    };
    let rows: Vec<Row> = (0..80).map(imported).collect();
    import(&store, 1, &rows, 16, &mut || ());
    assert_eq!(all_rows(&store, 1), sorted(1, &rows));
    let mut folders: Vec<String> =
        catalog.load().unwrap().segments.into_iter().map(|segment| segment.week).collect();
    folders.sort();
    let weeks =
        ["2023-W40", "2023-W41", "2023-W42", "2023-W43", "2023-W44", "2023-W45", "2023-W46"];
    assert_eq!(folders[..2], ["2023-08", "2023-09"]);
    assert_eq!(folders[2..], weeks);
}

#[test]
fn an_event_that_is_sent_during_its_import_is_stored_once() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let rows: Vec<Row> = (0..40).map(|n| row(1, n % 5, 1_700_000_000_000 + n as i64, n)).collect();
    let mut sent = Vec::new();
    let loaded = import(&store, 1, &rows, 8, &mut || {
        if sent.is_empty() {
            sent = append_rows(&store, rows[7..9].to_vec());
        }
    });
    assert_eq!(sent, [false, false], "the import was not stored yet");
    assert_eq!(loaded, Loaded { stored: 38, duplicate: 2, erased: 0 });
    assert_eq!(all_rows(&store, 1), sorted(1, &rows));
}

#[test]
fn an_event_that_is_sent_after_its_import_is_a_duplicate() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let rows: Vec<Row> = (0..40).map(|n| row(1, n % 5, 1_700_000_000_000 + n as i64, n)).collect();
    // The writer knows this day's ids already.
    assert_eq!(append_rows(&store, rows[..1].to_vec()), [false]);
    let loaded = import(&store, 1, &rows, 8, &mut || ());
    assert_eq!(loaded, Loaded { stored: 39, duplicate: 1, erased: 0 });
    assert_eq!(append_rows(&store, rows.clone()), [true; 40]);
    drop(store);
    let store = open(dir.path(), &catalog);
    assert_eq!(append_rows(&store, rows.clone()), [true; 40]);
    assert_eq!(all_rows(&store, 1), sorted(1, &rows));
}

#[test]
fn rows_without_an_id_of_their_own_are_counted() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let load = store.load(1, 1).unwrap();
    let mut ids = Vec::new();
    for count in [1, 5, 2] {
        let mut columns = columns(&vec![row(1, 1, 1_700_000_000_000, 1); count]);
        let all: Vec<u32> = (0..count as u32).collect();
        let again = |_, n: u32| Some(row(1, 1, 1_700_000_000_000, n.into()).event_id);
        assert_eq!(load.claim(&mut columns, &all, &again).unwrap(), vec![Claim::New; count]);
        ids.extend(columns.event_id);
    }
    let want: Vec<u128> = (1..9).map(|n| row(1, 1, 1_700_000_000_000, n).event_id).collect();
    assert_eq!(ids, want);
}

#[test]
fn an_import_that_is_given_up_leaves_nothing() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let rows: Vec<Row> = (0..40).map(|n| row(1, n % 5, 1_700_000_000_000 + n as i64, n)).collect();
    let files = || {
        let folders = ["seg", "tmp"].map(|folder| dir.path().join(folder));
        let mut count = 0;
        let mut open: Vec<_> = folders.to_vec();
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { open.push(path) } else { count += 1 }
            }
        }
        count
    };
    let load = store.load(1, 1).unwrap();
    let mut chunk = load.chunk();
    chunk.push(columns(&rows), (0..40).collect()).unwrap();
    chunk.finish().unwrap();
    assert!(load.finish(&mut |_, _| ControlFlow::Break(())).is_err());
    assert_eq!((all_rows(&store, 1), files()), (Vec::new(), 0));
    assert_eq!(import(&store, 1, &rows, 8, &mut || ()).stored, 40);
}

#[test]
fn an_import_restates_closed_days_since_the_first_event() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    const DAY_MS: i64 = 86_400_000;
    let day = |day: i64, n: u64| {
        let ts_ms = (19_700 + day) * DAY_MS + n as i64;
        Row { received_ms: 19_720 * DAY_MS, ..row(1, 1, ts_ms, n) }
    };
    let restated = |store: &Store| {
        let days = store.restated(1, 0, 20_000 * DAY_MS).unwrap();
        days.into_iter().map(|day| day - 19_700).collect::<Vec<_>>()
    };
    import(&store, 1, &[day(3, 1), day(5, 2)], 8, &mut || ());
    assert_eq!(restated(&store), [0; 0], "no figure was ever given");
    import(&store, 1, &[day(2, 3), day(3, 4), day(4, 5), day(19, 6)], 8, &mut || ());
    assert_eq!(restated(&store), [3, 4], "day 19 is still open, day 2 was before the first event");
}

/// A device that is first anonymous and then somebody's, and one that is shared.
#[test]
fn an_import_joins_devices_to_persons_as_live_events_do() {
    let of = |n: u64, device: u64, user: Option<u64>| Row {
        actor: device,
        flags: user.map_or(flags::IMPORTED, |_| flags::IMPORTED | flags::IDENTIFIED),
        ..row(1, user.unwrap_or(device), 1_700_000_000_000 + n as i64, n)
    };
    let rows = [
        of(1, 10, None),
        of(2, 10, Some(1)),
        of(3, 10, None),
        of(4, 10, Some(2)),
        of(5, 11, Some(2)),
        of(6, 11, None),
        of(7, 12, None),
    ];
    let dirs = [temp_dir(), temp_dir()];
    let catalogs = [Arc::new(MemoryCatalog::new()), Arc::new(MemoryCatalog::new())];
    let [live, imported] = [0, 1].map(|at: usize| open(dirs[at].path(), &catalogs[at]));
    append_rows(&live, rows.to_vec());
    for batch in [2, 7] {
        let loaded = import(&imported, 1, &rows, batch, &mut || ());
        let stored = if batch == 2 { 7 } else { 0 };
        assert_eq!(loaded, Loaded { stored, duplicate: 7 - stored, erased: 0 });
    }
    let persons = |store: &Store| {
        let rows = all_rows(store, 1);
        rows.into_iter().map(|row| (row.event_id, row.person)).collect::<Vec<_>>()
    };
    assert_eq!(persons(&imported), persons(&live));
    drop(imported);
    let imported = open(dirs[1].path(), &catalogs[1]);
    assert_eq!(persons(&imported), persons(&live), "after a restart");
    imported.flush().unwrap();
    imported.settle().unwrap();
    assert_eq!(persons(&imported), persons(&live), "written down in files");
}

#[test]
fn a_row_that_joins_a_device_and_is_stored_already_is_one_duplicate() {
    let dir = temp_dir();
    let store = open(dir.path(), &Arc::new(MemoryCatalog::new()));
    let first = row(1, 7, 1_700_000_000_000, 1);
    assert_eq!(import(&store, 1, std::slice::from_ref(&first), 1, &mut || ()).stored, 1);
    let joins = Row { actor: 70, flags: first.flags | flags::IDENTIFIED, ..first };
    let other = row(1, 8, 1_700_000_000_000, 2);
    let loaded = import(&store, 1, &[joins, other], 1, &mut || ());
    assert_eq!((loaded.stored, loaded.duplicate), (1, 1));
}
