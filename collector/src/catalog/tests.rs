//! What is committed is read back.

use super::*;
use tallymark_store::{
    AMOUNT_MAX, Ends, Erasure, Link, LinkBy, PeopleDelta, PeopleState, RestatedDay, SchemaDelta,
    SegmentId, TypeCounts, Undone, UsageDelta, UsageKind,
};

fn segment(id: u64) -> SegmentMeta {
    SegmentMeta {
        id: SegmentId(id),
        week: "2026-W47".into(),
        level: 0,
        rows: 7,
        bytes: 900,
        project_min: 1,
        project_max: u32::MAX,
        ts_min_ms: -5,
        ts_max_ms: 1_795_305_600_000,
        person_min: 1,
        person_max: u64::MAX,
        id_day_min: 20_000,
        id_day_max: 20_001,
        odd_ids: 0,
        has_ids: true,
        link_epoch: 0,
        sums: [7, 0, 0, 255].into(),
    }
}

fn delta(property: Option<&str>, count: u64, last_ms: i64) -> SchemaDelta {
    let types = TypeCounts { texts: count, ..TypeCounts::default() };
    let property = property.map(str::to_owned);
    SchemaDelta { project: 1, event: "a".into(), property, count, types, last_ms }
}

/// Calls come from threads of the store, so the tests make them from outside the runtime too.
fn with_catalog(test: impl FnOnce(&SqliteCatalog) + Send + 'static) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let catalog = runtime.block_on(SqliteCatalog::open(&dir.path().join("c.sqlite"))).unwrap();
    test(&catalog);
    runtime.block_on(catalog.pool.close());
}

#[test]
fn a_change_is_read_back_as_it_was_written() {
    with_catalog(|catalog| {
        let change = CatalogChange {
            add: vec![segment(1), segment(2)],
            flushed_seq: 40,
            ..CatalogChange::default()
        };
        catalog.commit(&change).unwrap();
        let change = CatalogChange {
            add: vec![segment(3)],
            remove: vec![SegmentId(1)],
            flushed_seq: 39,
            ..CatalogChange::default()
        };
        catalog.commit(&change).unwrap();
        let state = catalog.load().unwrap();
        assert_eq!(state.segments, [segment(2), segment(3)]);
        assert_eq!(state.flushed_seq, 40, "it never goes down");
    });
}

#[test]
fn people_are_read_back_as_they_were_written() {
    with_catalog(|catalog| {
        let ends = Some(Ends { source: u64::MAX, target: 1 });
        let link = |id, ends, undone| Link {
            id,
            project: u32::MAX,
            at_ms: -3,
            by: LinkBy::Alias,
            ends,
            epoch: u64::MAX,
            undone,
        };
        let erasure = |done_ms| Erasure {
            id: 7,
            project: 1,
            at_ms: 5,
            ids: 2,
            links: 1,
            rows: 9,
            rewritten: vec!["seg/2026-W47/1.parquet".into()],
            done_ms,
        };
        let mut want = PeopleState::default();
        for people in [
            PeopleDelta {
                links: vec![link(1, ends, None), link(2, ends, None)],
                erasures: vec![erasure(None)],
                erasing: vec![(1, u64::MAX, 7), (1, 5, 8)],
                tombstones: vec![(1, u64::MAX)],
                ..PeopleDelta::default()
            },
            PeopleDelta {
                links: vec![link(1, None, Some(Undone { at_ms: 9, epoch: 4 }))],
                erasures: vec![erasure(Some(11))],
                erased: vec![7],
                ..PeopleDelta::default()
            },
        ] {
            want.add(&people);
            catalog.commit(&CatalogChange { people, ..CatalogChange::default() }).unwrap();
            assert_eq!(catalog.load().unwrap().people, want);
        }
    });
}

/// SQLite ends the transaction of a full disk by itself, and the connection is none to go on with.
#[test]
fn after_a_full_disk_changes_are_committed_again() {
    with_catalog(|catalog| {
        catalog.commit(&CatalogChange { add: vec![segment(1)], ..Default::default() }).unwrap();
        let limited = catalog.wait(async {
            let mut all = Vec::new();
            for _ in 0..CONNECTIONS {
                all.push(catalog.pool.acquire().await?);
            }
            for connection in &mut all {
                let pages = "PRAGMA page_count";
                let pages: i64 = sqlx::query_scalar(pages).fetch_one(&mut **connection).await?;
                let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
                sqlx::query(limit).execute(&mut **connection).await?;
            }
            Ok(())
        });
        limited.unwrap();
        let large = SegmentMeta { sums: vec![7; 1 << 20].into(), ..segment(2) };
        let change = CatalogChange { add: vec![large], flushed_seq: 2, ..Default::default() };
        // Those that come after have no limit: there is room again.
        let mut failed = 0;
        while let Err(error) = catalog.commit(&change) {
            failed += 1;
            assert!(error.0.contains("full"), "{error}");
            assert_eq!(catalog.load().unwrap().segments, [segment(1)]);
        }
        assert!((1..=CONNECTIONS).contains(&failed), "{failed}");
        assert_eq!(catalog.load().unwrap().flushed_seq, 2);
    });
}

#[test]
fn a_failing_part_takes_the_whole_change_with_it() {
    with_catalog(|catalog| {
        catalog.commit(&CatalogChange { add: vec![segment(1)], ..Default::default() }).unwrap();
        let change = CatalogChange {
            add: vec![segment(2), segment(1)],
            flushed_seq: 9,
            ..CatalogChange::default()
        };
        assert!(catalog.commit(&change).is_err(), "segment 1 is there already");
        let state = catalog.load().unwrap();
        assert_eq!((state.segments.len(), state.flushed_seq), (1, 0));
    });
}

#[test]
fn schema_and_usage_add_up() {
    with_catalog(|catalog| {
        let usage = UsageDelta {
            project: 1,
            hour_ms: 3_600_000,
            kind: UsageKind::Events,
            count: 5,
            bytes: 100,
        };
        let change = CatalogChange {
            schema: vec![delta(None, 3, 10), delta(Some("plan"), 2, 10)],
            usage: vec![usage],
            ..CatalogChange::default()
        };
        catalog.commit(&change).unwrap();
        catalog.commit(&change).unwrap();
        let schema = catalog.schema(1).unwrap();
        assert_eq!(schema.events["a"].count, 6);
        assert_eq!(schema.events["a"].properties["plan"].types.texts, 4);
        assert!(catalog.schema(2).unwrap().events.is_empty());
        let sum = UsageDelta { count: 10, bytes: 200, ..change.usage[0].clone() };
        for (project, hours, want) in [
            (Some(1), 3_600_000..3_600_001, vec![sum.clone()]),
            (None, i64::MIN..i64::MAX, vec![sum]),
            (Some(2), i64::MIN..i64::MAX, vec![]),
            (Some(1), 0..3_600_000, vec![]),
        ] {
            assert_eq!(catalog.used(project, hours).unwrap(), want);
        }
    });
}

#[test]
fn usage_stops_where_it_would_not_be_exact() {
    with_catalog(|catalog| {
        let kind = UsageKind::Metered("builds".into());
        let usage = UsageDelta { project: 1, hour_ms: 0, kind, count: AMOUNT_MAX, bytes: 0 };
        let change = CatalogChange { usage: vec![usage], ..CatalogChange::default() };
        for _ in 0..3 {
            catalog.commit(&change).unwrap();
            assert_eq!(catalog.used(Some(1), 0..1).unwrap(), change.usage);
        }
    });
}

#[test]
fn a_restated_day_is_kept_once_and_per_project() {
    with_catalog(|catalog| {
        let day = |project, day| RestatedDay { project, day };
        let restated = vec![day(1, 20_000), day(1, 20_002), day(2, 20_001)];
        let change = CatalogChange { restated, ..CatalogChange::default() };
        catalog.commit(&change).unwrap();
        catalog.commit(&change).unwrap();
        let found = |days| catalog.restated(1, days).unwrap();
        assert_eq!(found(i32::MIN..i32::MAX), BTreeSet::from([20_000, 20_002]));
        assert_eq!(found(20_000..20_002), BTreeSet::from([20_000]));
    });
}

#[test]
fn the_quarantine_keeps_the_newest() {
    with_catalog(|catalog| {
        let row = |i: i64| RefusedRow {
            project: 1,
            received_ms: i,
            code: "too_old".into(),
            raw: "{}".into(),
        };
        for most in [7, 0] {
            let catalog = catalog.clone().keep_refused(most);
            let refused = (0..i64::from(most) + 5).map(row).collect();
            catalog.commit(&CatalogChange { refused, ..Default::default() }).unwrap();
            let kept = catalog.refused(1, usize::MAX).unwrap();
            assert_eq!(kept.len(), most as usize);
            assert!(kept.iter().all(|kept| kept.received_ms >= 5));
            assert!(catalog.refused(2, 5).unwrap().is_empty());
        }
    });
}
