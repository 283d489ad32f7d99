//! The same question gives the same answer: wherever rows are, on any number of threads.

use std::ops::ControlFlow;
use std::sync::Arc;

use rstest::rstest;
use tallymark_analysis::events::{EventSet, Need};
use tallymark_analysis::kernel::{Key, Partial};
use tallymark_store::{
    Append, Catalog, Dim, Ends, MemoryCatalog, PeopleCommand, Row, RowRange, ScanError, Store,
    StoreOptions,
};

use crate::support::{ShowAll, append, append_rows, open, options, row, temp_dir};

/// Three weeks, 50 persons, many rows in one millisecond.
fn rows(count: u64) -> Vec<Row> {
    let ts_ms =
        |n: u64| 1_700_000_000_000 + (n / 9 * 7_919 % 3) as i64 * 604_800_000 + (n % 11) as i64;
    (0..count).map(|n| row(1, n * 31 % 50, ts_ms(n), n)).collect()
}

#[rstest]
fn an_answer_does_not_depend_on_threads_flushes_or_the_cache(
    #[values(1, 2, 5)] query_threads: usize,
    #[values(0, 100_000_000)] cache_bytes: usize,
    #[values(1, 7, 1_000_000)] group_rows: usize,
) {
    let dir = temp_dir();
    let options = StoreOptions { query_threads, cache_bytes, group_rows, ..options(dir.path()) };
    let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::new());
    let store = Store::open(options, catalog).unwrap();
    let all = rows(900);
    for (part, chunk) in all.chunks(150).enumerate() {
        append_rows(&store, chunk.to_vec());
        if part % 2 == 0 {
            store.flush().unwrap();
        }
    }
    assert!(store.stats().segments > 0 && store.stats().memtable_rows > 0);
    for events in [EventSet::All, EventSet::Only(vec!["buy".into()]), EventSet::Only(vec![])] {
        for (from_ms, to_ms) in [(i64::MIN, i64::MAX), (1_700_000_000_003, 1_700_604_800_004)] {
            let question = ShowAll::new(events.clone(), from_ms, to_ms);
            let want = question.of_rows(1, &all);
            // Twice: the second time from the cache.
            assert!(store.ask(1, &question).unwrap().partial == want);
            assert!(store.ask(1, &question).unwrap().partial == want);
        }
    }
    assert_eq!(store.ask(1, &ShowAll::everything()).unwrap().rows_scanned, 900);
    assert_eq!(store.ask(2, &ShowAll::everything()).unwrap().rows_scanned, 0);
}

/// Rows of rare events or with a rare path are kept apart from the others, in files: who they belong to, their order
/// in one millisecond and their columns are what they are among all. Some persons are others by now, and one is erased.
#[rstest]
fn rare_rows_are_what_they_are_among_all(
    #[values(1, 3)] query_threads: usize,
    #[values(0, 100_000_000)] cache_bytes: usize,
    #[values(90, 1_000_000)] group_rows: usize,
) {
    let dir = temp_dir();
    let options = StoreOptions { query_threads, cache_bytes, group_rows, ..options(dir.path()) };
    let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::new());
    let store = Store::open(options, catalog).unwrap();
    let mut all = rows(1_800);
    for (n, row) in all.iter_mut().enumerate() {
        let [rare, rarer] = [23, 41].map(|each| n % each == 0);
        row.event = if rare {
            "buy"
        } else if rarer {
            "add"
        } else {
            "view"
        }
        .into();
        let path = if n % 31 == 0 { "/rare".to_owned() } else { format!("/{n}") };
        Arc::make_mut(&mut row.dims)[Dim::Path as usize] = Some(path.into());
        row.props = match n % 5 {
            0 => format!("{{\"plan\":\"p{n}\",\"seats\":{}}}", n % 7).into(),
            _ => row.props.clone(),
        };
    }
    for (part, chunk) in all.chunks(300).enumerate() {
        append_rows(&store, chunk.to_vec());
        if part != 5 {
            store.flush().unwrap();
        }
    }
    if group_rows > 200 {
        // Otherwise no file has a group of many paths.
        store.settle().unwrap();
    }
    /// Persons and rows with the path, in order, as far as what is shown before a row does not matter.
    fn rare_ones(shown: &Partial) -> Vec<(Key, String)> {
        let mut keys: Vec<_> = shown.rows.keys().map(|key| key.to_vec()).collect();
        keys.sort_unstable();
        let row = |key: Vec<Key>| {
            let Key::Text(text) = &key[2] else { unreachable!("made so by `ShowAll`") };
            let (row, _session) = text.rsplit_once(' ').unwrap();
            row.contains("\"/rare\"").then(|| (key[0].clone(), row.to_owned()))
        };
        keys.into_iter().filter_map(row).collect()
    }
    let with_rare_path = |all: &[Row]| {
        for events in [EventSet::All, EventSet::Only(vec!["view".into(), "buy".into()])] {
            let mut question = ShowAll::new(events, i64::MIN, i64::MAX);
            let is_rare = |row: &&Row| row.dims[Dim::Path as usize].as_deref() == Some("/rare");
            let want = rare_ones(&question.of_rows(1, all.iter().filter(is_rare)));
            assert!(!want.is_empty());
            question.0.needs = vec![Need { prop: "path".into(), texts: vec!["/rare".into()] }];
            for _ in 0..2 {
                // Others may be shown: of memory, and of files that keep none apart.
                let shown = store.ask(1, &question).unwrap().partial;
                assert!(rare_ones(&shown) == want);
                let are_apart = cache_bytes > 0 && group_rows > 200;
                assert!(!are_apart || shown.rows.len() * 2 < all.len(), "{}", shown.rows.len());
            }
        }
    };
    let check = |all: &[Row]| {
        with_rare_path(all);
        for names in [&["buy"][..], &["add", "buy"], &["add", "nobody"], &["view"]] {
            let events = EventSet::Only(names.iter().map(|name| name.to_string()).collect());
            for (from_ms, to_ms) in [(i64::MIN, i64::MAX), (1_700_000_000_003, 1_700_604_800_004)] {
                let question = ShowAll::new(events.clone(), from_ms, to_ms);
                let want = question.of_rows(1, all);
                assert!(!want.rows.is_empty());
                // Twice: the second time from the cache.
                for _ in 0..2 {
                    let asked = store.ask(1, &question).unwrap();
                    assert!(asked.partial == want, "{names:?} {from_ms}");
                    // Who moved is looked at where they were and again where they are now.
                    assert!(from_ms > 0 || asked.rows_scanned >= all.len() as u64, "{names:?}");
                }
            }
        }
    };
    check(&all);
    for source in [3, 7, 19] {
        let ends = Ends { source, target: source + 20 };
        store.people(PeopleCommand::Alias { project: 1, ends, at_ms: 9 }).unwrap();
        let theirs = all.iter_mut().filter(|row| row.person == source);
        theirs.for_each(|row| row.person = source + 20);
    }
    check(&all);
    store.people(PeopleCommand::Erase { project: 1, id: 11, at_ms: 9 }).unwrap();
    all.retain(|row| row.person != 11);
    check(&all);
}

/// One row each of many persons, of whom two have the path that the question needs.
#[test]
fn blocks_that_lack_what_a_question_needs_are_left_out_of_it() {
    let dir = temp_dir();
    let options = StoreOptions { group_rows: 500, ..options(dir.path()) };
    let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::new());
    let store = Store::open(options, catalog).unwrap();
    let with_path = |n: u64| {
        let mut row = row(1, n, 1_700_000_000_000, n);
        Arc::make_mut(&mut row.dims)[Dim::Path as usize] = Some(format!("/{}", n % 2_000).into());
        row
    };
    let all: Vec<Row> = (0..4_000).map(with_path).collect();
    append_rows(&store, all.clone());
    let mut question = ShowAll::everything();
    let needed = question.of_rows(1, all.iter().filter(|row| row.person % 2_000 == 777));
    question.0.needs = vec![Need { prop: "path".into(), texts: vec!["/777".into(), "/x".into()] }];
    let in_memory = store.ask(1, &question).unwrap().partial;
    assert!(in_memory == question.of_rows(1, &all), "rows in memory are all shown");
    store.flush().unwrap();
    for _ in 0..2 {
        let asked = store.ask(1, &question).unwrap();
        assert!(needed.rows.keys().all(|key| asked.partial.rows.contains_key(key)));
        assert!((2..2_000).contains(&asked.partial.rows.len()), "{}", asked.partial.rows.len());
        assert_eq!(asked.rows_scanned, 4_000, "rows looked at, before any filter");
    }
}

#[test]
fn a_question_sees_whole_batches_while_others_are_written_and_flushed() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let question = ShowAll::everything();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for (n, chunk) in rows(1_000).chunks(10).enumerate() {
                append_rows(&store, chunk.to_vec());
                if n % 9 == 0 {
                    store.flush().unwrap();
                }
            }
        });
        let mut last = 0;
        while !writing.is_finished() {
            let seen = store.ask(1, &question).unwrap().partial.rows.len();
            assert!(seen >= last && seen.is_multiple_of(10), "{seen} after {last}");
            last = seen;
        }
    });
    assert_eq!(store.ask(1, &question).unwrap().partial.rows.len(), 1_000);
    store.merge().unwrap();
    assert!(store.stats().merges > 0);
}

#[test]
fn rows_can_be_listed_for_one_person_and_stopped() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let all = rows(300);
    append_rows(&store, all[..200].to_vec());
    store.flush().unwrap();
    append_rows(&store, all[200..].to_vec());
    let range =
        RowRange { person: Some(7), ..RowRange::between(1_700_000_000_000, 1_700_000_000_011) };
    let mut got = Vec::new();
    store
        .rows(1, range, &mut |row| {
            got.push(row.event_id);
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut want: Vec<&Row> =
        all.iter().filter(|row| row.person == 7 && row.ts_ms < 1_700_000_000_011).collect();
    want.sort_by_key(|row| (row.ts_ms, row.seq, row.event_id));
    assert!(!want.is_empty());
    assert_eq!(got, want.iter().map(|row| row.event_id).collect::<Vec<_>>());

    let mut count = 0;
    let everyone = RowRange::between(i64::MIN, i64::MAX);
    store
        .rows(1, everyone, &mut |_| {
            count += 1;
            if count == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(count, 5);
}

#[test]
fn the_schema_counts_types_before_and_after_a_flush() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let mut odd = row(1, 1, 1_700_000_000_000, 0);
    odd.props = "{\"plan\":5,\"deep\":{\"x\":1},\"yes\":true}".into();
    append_rows(
        &store,
        vec![odd, row(1, 1, 1_700_000_000_001, 3), row(2, 1, 1_700_000_000_002, 6)],
    );
    let before = store.schema(1).unwrap();
    let view = &before.events["view"];
    assert_eq!((view.count, view.last_ms), (2, 1_700_000_000_001));
    let plan = view.properties["plan"].types;
    assert_eq!((plan.texts, plan.numbers, plan.total()), (1, 1, 2));
    assert_eq!(view.properties["deep"].types.others, 1);
    assert_eq!(view.properties["yes"].types.bools, 1);
    store.flush().unwrap();
    assert_eq!(store.schema(1).unwrap(), before);
    drop(store);
    assert_eq!(open(dir.path(), &catalog).schema(1).unwrap(), before);
}

#[test]
fn an_empty_batch_is_fine() {
    let dir = temp_dir();
    let store = open(dir.path(), &Arc::new(MemoryCatalog::new()));
    assert!(append(&store, Append::default()).unwrap().duplicate.is_empty());
    store.flush().unwrap();
    assert_eq!(store.stats().wal_bytes, 0);
}

#[test]
fn a_question_that_needs_too_much_memory_is_given_up_and_others_are_answered() {
    let dir = temp_dir();
    let options = StoreOptions { question_bytes: 64 << 10, ..options(dir.path()) };
    let store = Store::open(options, Arc::new(MemoryCatalog::new())).unwrap();
    let mut all = rows(900);
    for (n, row) in all.iter_mut().enumerate() {
        row.props = format!("{{\"plan\":\"{n:0>200}\"}}").into();
    }
    append_rows(&store, all.clone());
    store.flush().unwrap();
    let greedy = store.ask(1, &ShowAll::everything());
    assert!(matches!(greedy, Err(ScanError::TooLarge)), "{greedy:?}");
    let modest = ShowAll::new(EventSet::Only(vec![]), i64::MIN, i64::MAX);
    assert!(store.ask(1, &modest).is_ok());
}
