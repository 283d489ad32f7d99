//! What survives on a real disk: copies, missing files, restarts. Torn writes and changed bits are in
//! the store's own `faults`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tallymark_store::{Append, MemoryCatalog, OpenError, RefusedRow, Row, Store};

use crate::support::{
    ShowAll, all_rows, append, append_rows, open, options, row, sorted, temp_dir,
};

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn batches(count: u64) -> Vec<Vec<Row>> {
    let batch =
        |n| vec![row(1, n % 2, 1_700_000_000_000, 2 * n), row(1, 3, 1_700_000_000_000, 2 * n + 1)];
    (1..=count).map(batch).collect()
}

#[test]
fn a_copy_taken_while_the_store_runs_holds_everything_acknowledged() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let mut acknowledged = Vec::new();
    for (i, batch) in batches(8).into_iter().enumerate() {
        append_rows(&store, batch.clone());
        acknowledged.extend(batch);
        let copy = temp_dir();
        copy_dir(dir.path(), copy.path());
        let reopened = open(copy.path(), &Arc::new(MemoryCatalog::new()));
        assert_eq!(all_rows(&reopened, 1), sorted(1, &acknowledged), "after batch {i}");
        assert_eq!(append_rows(&reopened, acknowledged.clone()), vec![true; acknowledged.len()]);
    }
}

#[test]
fn a_missing_log_file_in_the_middle_stops_the_start() {
    let dir = temp_dir();
    let store = open(dir.path(), &Arc::new(MemoryCatalog::new()));
    for n in 0..400 {
        append_rows(&store, (0..4).map(|i| row(1, i, 1_700_000_000_000, 4 * n + i)).collect());
    }
    store.close();
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.path().join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2, "{files:?}");
    fs::remove_file(&files[1]).unwrap();
    let error = Store::open(options(dir.path()), Arc::new(MemoryCatalog::new())).unwrap_err();
    assert!(matches!(error, OpenError::CorruptLog { .. }), "{error}");
}

#[test]
fn a_folder_has_one_owner_and_the_error_names_it() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let error = Store::open(options(dir.path()), catalog.clone()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { pid, .. } if pid == std::process::id()), "{error}");
    drop(store);
    open(dir.path(), &catalog);
}

#[test]
fn refused_rows_are_listed_newest_first_and_survive_flush_and_restart() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let mut store = open(dir.path(), &catalog);
    let refused = |n: i64| RefusedRow {
        project: 1,
        received_ms: n,
        code: "at_invalid".into(),
        raw: "{\"e\":1}".into(),
    };
    for n in 1..=2 {
        append(&store, Append { rows: Vec::new(), refused: vec![refused(n)] }).unwrap();
    }
    assert_eq!(store.stats().refused["at_invalid"], 2);
    let newest_first = |store: &Store, limit| {
        let rows = store.refused(1, limit).unwrap();
        rows.iter().map(|row| row.received_ms).collect::<Vec<_>>()
    };
    assert_eq!(newest_first(&store, 9), [2, 1]);
    store.flush().unwrap();
    append(&store, Append { rows: Vec::new(), refused: vec![refused(3)] }).unwrap();
    assert_eq!(newest_first(&store, 9), [3, 2, 1]);
    assert_eq!(newest_first(&store, 2), [3, 2]);
    drop(store);
    store = open(dir.path(), &catalog);
    assert_eq!(newest_first(&store, 9), [3, 2, 1]);
    assert!(store.refused(2, 9).unwrap().is_empty());
}

#[test]
fn a_closed_store_takes_nothing_and_what_was_waiting_is_stored() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let (sender, receiver) = std::sync::mpsc::channel();
    for batch in batches(20) {
        let sender = sender.clone();
        store.append(Append { rows: batch, refused: Vec::new() }, move |result| {
            sender.send(result.is_ok()).unwrap();
        });
    }
    store.close();
    drop(sender);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [true; 20]);
    assert!(append(&store, Append::default()).is_err());
    drop(store);
    let store = open(dir.path(), &catalog);
    let question = ShowAll::everything();
    let want = question.of_rows(1, &batches(20).concat());
    assert_eq!(store.ask(1, &question).unwrap().partial, want);
}
