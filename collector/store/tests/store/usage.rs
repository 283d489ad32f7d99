//! Usage equals the rows, wherever they are at the moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use tallymark_store::row::flags;
use tallymark_store::{MemoryCatalog, Row, Store, StoreOptions, USAGE_EVENT, UsageKind};

use crate::load::import;
use crate::support::{append_rows, options, row, temp_dir};

const HOUR_MS: i64 = 3_600_000;
/// Of receipt of every row here that says nothing else; the beginning of an hour.
const NOW_MS: i64 = 1_699_999_200_000;

fn metered(n: u64, received_ms: i64, props: &str) -> Row {
    Row {
        event: USAGE_EVENT.into(),
        flags: flags::SERVER,
        received_ms,
        props: props.into(),
        ..row(1, n, NOW_MS, n)
    }
}

fn at(dir: &std::path::Path, catalog: &Arc<MemoryCatalog>, now_ms: i64) -> Store {
    let options = StoreOptions { now_ms: Arc::new(move || now_ms), ..options(dir) };
    Store::open(options, Arc::clone(catalog) as _).unwrap()
}

/// Counts by hour (from [`NOW_MS`]) and kind.
fn used(store: &Store, project: u32) -> BTreeMap<(i64, String), u64> {
    let hours = store.usage(project, NOW_MS - HOUR_MS..NOW_MS + 3 * HOUR_MS).unwrap();
    let by_kind = hours.into_iter().flat_map(|(hour_ms, used)| {
        let hour = (hour_ms - NOW_MS) / HOUR_MS;
        used.0.into_iter().map(move |(kind, sum)| ((hour, kind.name().into_owned()), sum.0))
    });
    by_kind.collect()
}

#[test]
fn usage_is_what_was_stored_and_told_wherever_the_rows_are() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let mut store = at(dir.path(), &catalog, NOW_MS + HOUR_MS);
    let from_a_page = Row { flags: 0, ..metered(6, NOW_MS, r#"{"metric":"builds"}"#) };
    let rows = vec![
        Row { received_ms: NOW_MS, ..row(1, 1, NOW_MS, 1) },
        metered(2, NOW_MS, r#"{"metric":"builds","amount":3}"#),
        metered(3, NOW_MS + HOUR_MS - 1, r#"{"metric":"builds"}"#),
        metered(4, NOW_MS + HOUR_MS, r#"{"metric":"builds","amount":5}"#),
        metered(5, NOW_MS, r#"{"metric":"bytes","amount":0}"#),
        from_a_page,
        metered(7, NOW_MS, r#"{"metric":"builds","amount":-2}"#),
        Row { received_ms: NOW_MS, ..row(2, 1, NOW_MS, 1) },
    ];
    append_rows(&store, rows.clone());
    assert_eq!(append_rows(&store, rows.clone()), [true; 8], "sent again, it is counted once");
    let want = [
        ((0, "events"), 6),
        ((0, "usage:builds"), 4),
        ((0, "usage:bytes"), 0),
        ((1, "events"), 1),
        ((1, "usage:builds"), 5),
    ];
    let want = want.map(|((hour, kind), sum)| ((hour, kind.to_owned()), sum)).into();
    let builds = UsageKind::Metered("builds".into());
    let check = |store: &Store, when: &str| {
        assert_eq!(used(store, 1), want, "{when}");
        assert_eq!(used(store, 2), [((0, "events".to_owned()), 1)].into(), "{when}");
        let recent = store.used_since(1, NOW_MS);
        assert_eq!((recent.of(&builds).0, recent.of(&UsageKind::Events).0), (9, 7), "{when}");
        assert_eq!(store.used_since(1, NOW_MS + HOUR_MS).of(&builds).0, 5, "{when}");
        assert_eq!(store.used_since(3, NOW_MS).of(&builds).0, 0, "{when}");
    };
    check(&store, "in memory");
    drop(store);
    store = at(dir.path(), &catalog, NOW_MS + HOUR_MS);
    check(&store, "replayed");
    store.flush().unwrap();
    check(&store, "in segments");
    drop(store);
    check(&at(dir.path(), &catalog, NOW_MS + HOUR_MS), "read from the catalog");

    let (dir, catalog) = (temp_dir(), Arc::new(MemoryCatalog::new()));
    let store = at(dir.path(), &catalog, NOW_MS + HOUR_MS);
    for project in [1, 2] {
        let rows: Vec<Row> = rows.iter().filter(|row| row.project == project).cloned().collect();
        import(&store, project, &rows, 3, &mut || ());
    }
    check(&store, "imported");
}

#[test]
fn what_was_used_days_ago_is_in_the_catalog_only() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = at(dir.path(), &catalog, NOW_MS + 4 * 24 * HOUR_MS);
    append_rows(&store, vec![metered(1, NOW_MS, r#"{"metric":"builds"}"#)]);
    store.flush().unwrap();
    assert_eq!(store.used_since(1, NOW_MS).0, BTreeMap::new());
    assert_eq!(used(&store, 1)[&(0, "usage:builds".to_owned())], 1);
}
