//! The segment catalog on SQLite: the store's [`Catalog`], one transaction per change.
//!
//! In: changes from the store's own threads, which block. Out: what was committed.
//!
//! Invariant: `commit` returns after a synced transaction (`synchronous=FULL`), or nothing of the
//! change is there.
//!
//! Deliberately elsewhere: projects and keys (`meta`), so that the event store can be moved or
//! restored without them.

mod people;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, Sqlite, SqlitePool, Transaction};
use tallymark_store::{
    Catalog, CatalogChange, CatalogError, CatalogState, RefusedRow, RestatedDay, Schema,
    SchemaDelta, SegmentId, SegmentMeta, TypeCounts,
};
use tokio::runtime::Handle;

use crate::database::{self, MigrateFailed};

/// Refused events kept per project, if nobody says otherwise; the oldest go first. 10,000 of at most
/// 4 KiB are 40 MB.
const REFUSED_MAX: u32 = 10_000;

/// What usage counts refused events as that had to go for newer ones.
pub const DROPPED: &str = "refused_dropped";

/// The catalog of a data folder.
#[derive(Debug, Clone)]
pub struct SqliteCatalog {
    pool: SqlitePool,
    runtime: Handle,
    refused_max: u32,
}

/// Why the catalog cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CatalogOpenError {
    /// SQLite failed.
    #[error("the catalog database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the catalog database {0}")]
    Migrate(#[from] MigrateFailed),
}

impl SqliteCatalog {
    /// Open the database, making and migrating it as needed. Must be called inside a runtime,
    /// which has to live as long as the store that uses the catalog.
    ///
    /// # Errors
    /// When SQLite cannot open it, or it was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, CatalogOpenError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // What is deleted is overwritten: an erased id stays in no page.
            .pragma("secure_delete", "ON")
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(3).connect_with(options).await?;
        database::migrate(&pool, &sqlx::migrate!("migrations/catalog")).await?;
        Ok(Self { pool, runtime: Handle::current(), refused_max: REFUSED_MAX })
    }

    /// The same, keeping so many refused events of each project.
    #[must_use]
    pub fn keep_refused(self, most: u32) -> Self {
        Self { refused_max: most, ..self }
    }

    /// Whether SQLite finds the database whole; what it complains about otherwise.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, CatalogOpenError> {
        Ok(database::check(&self.pool).await?)
    }

    /// The live segments.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn segments(&self) -> Result<Vec<SegmentMeta>, sqlx::Error> {
        let rows = sqlx::query("SELECT * FROM segment ORDER BY id").fetch_all(&self.pool).await?;
        rows.iter().map(read_segment).collect()
    }

    /// Its connections, for tables that only the collector knows.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Write a copy of the database to a new file. Only what no flush or merge changes meanwhile is
    /// of one moment with the store's files.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn copy_to(&self, path: &Path) -> Result<(), CatalogOpenError> {
        Ok(database::copy_to(&self.pool, path).await?)
    }

    /// Take old pages, which may name who was erased, out of the database's own log.
    async fn empty_log(&self) -> Result<(), sqlx::Error> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await?;
        if row.try_get::<i64, _>(0)? != 0 {
            tracing::warn!(
                "a long read keeps old pages in the catalog's log; they go with the next write"
            );
        }
        Ok(())
    }

    fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, CatalogError> {
        self.runtime.block_on(work).map_err(|error| CatalogError(error.to_string()))
    }
}

impl Catalog for SqliteCatalog {
    fn load(&self) -> Result<CatalogState, CatalogError> {
        self.wait(async {
            let mut snapshot = self.pool.begin().await?;
            let rows =
                sqlx::query("SELECT * FROM segment ORDER BY id").fetch_all(&mut *snapshot).await?;
            let flushed_seq: i64 = sqlx::query_scalar("SELECT flushed_seq FROM state")
                .fetch_one(&mut *snapshot)
                .await?;
            let segments = rows.iter().map(read_segment).collect::<Result<_, _>>()?;
            let people = people::read(&mut snapshot).await?;
            Ok(CatalogState { segments, flushed_seq: flushed_seq.cast_unsigned(), people })
        })
    }

    fn commit(&self, change: &CatalogChange) -> Result<(), CatalogError> {
        self.wait(async {
            let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            write_segments(&mut tx, change).await?;
            write_refused(&mut tx, &change.refused, self.refused_max).await?;
            write_schema(&mut tx, &change.schema).await?;
            write_usage(&mut tx, change).await?;
            write_restated(&mut tx, &change.restated).await?;
            people::write(&mut tx, &change.people).await?;
            tx.commit().await?;
            if !change.people.erased.is_empty() {
                self.empty_log().await?;
            }
            Ok(())
        })
    }

    fn refused(&self, project: u32, limit: usize) -> Result<Vec<RefusedRow>, CatalogError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.wait(async {
            let rows = sqlx::query(
                "SELECT received_ms, code, raw FROM refused WHERE project = $1 \
                 ORDER BY id DESC LIMIT $2",
            )
            .bind(project)
            .bind(limit)
            .fetch_all(&self.pool)
            .await?;
            let refused = |row: SqliteRow| {
                Ok(RefusedRow {
                    project,
                    received_ms: row.try_get("received_ms")?,
                    code: row.try_get("code")?,
                    raw: row.try_get::<String, _>("raw")?.into(),
                })
            };
            rows.into_iter().map(refused).collect()
        })
    }

    fn restated(&self, project: u32, days: Range<i32>) -> Result<BTreeSet<i32>, CatalogError> {
        self.wait(async {
            let days: Vec<i32> = sqlx::query_scalar(
                "SELECT day FROM restated WHERE project = $1 AND day >= $2 AND day < $3",
            )
            .bind(project)
            .bind(days.start)
            .bind(days.end)
            .fetch_all(&self.pool)
            .await?;
            Ok(days.into_iter().collect())
        })
    }

    fn schema(&self, project: u32) -> Result<Schema, CatalogError> {
        self.wait(async {
            let rows = sqlx::query("SELECT * FROM event_schema WHERE project = $1")
                .bind(project)
                .fetch_all(&self.pool)
                .await?;
            let mut schema = Schema::default();
            for row in rows {
                schema.add(&SchemaDelta {
                    project,
                    event: row.try_get("event")?,
                    property: row.try_get("property")?,
                    count: unsigned(&row, "count")?,
                    types: TypeCounts {
                        texts: unsigned(&row, "texts")?,
                        numbers: unsigned(&row, "numbers")?,
                        bools: unsigned(&row, "bools")?,
                        others: unsigned(&row, "others")?,
                    },
                    last_ms: row.try_get("last_ms")?,
                });
            }
            Ok(schema)
        })
    }
}

type Tx = Transaction<'static, Sqlite>;

async fn write_segments(tx: &mut Tx, change: &CatalogChange) -> Result<(), sqlx::Error> {
    for id in &change.remove {
        sqlx::query("DELETE FROM segment WHERE id = $1")
            .bind(id.0.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    for segment in &change.add {
        sqlx::query(
            "INSERT INTO segment (id, week, level, rows, bytes, project_min, project_max, ts_min_ms, \
             ts_max_ms, person_min, person_max, id_day_min, id_day_max, odd_ids, has_ids, link_epoch, \
             sums) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(segment.id.0.cast_signed())
        .bind(&segment.week)
        .bind(segment.level)
        .bind(segment.rows.cast_signed())
        .bind(segment.bytes.cast_signed())
        .bind(segment.project_min)
        .bind(segment.project_max)
        .bind(segment.ts_min_ms)
        .bind(segment.ts_max_ms)
        .bind(segment.person_min.cast_signed())
        .bind(segment.person_max.cast_signed())
        .bind(segment.id_day_min)
        .bind(segment.id_day_max)
        .bind(segment.odd_ids.cast_signed())
        .bind(i64::from(segment.has_ids))
        .bind(segment.link_epoch.cast_signed())
        .bind(&segment.sums[..])
        .execute(&mut **tx)
        .await?;
    }
    for (id, epoch) in &change.link_epochs {
        sqlx::query("UPDATE segment SET link_epoch = $1 WHERE id = $2")
            .bind(epoch.cast_signed())
            .bind(id.0.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    sqlx::query("UPDATE state SET flushed_seq = MAX(flushed_seq, $1)")
        .bind(change.flushed_seq.cast_signed())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn write_refused(tx: &mut Tx, refused: &[RefusedRow], most: u32) -> Result<(), sqlx::Error> {
    let mut projects: Vec<u32> = refused.iter().map(|row| row.project).collect();
    for row in refused {
        sqlx::query(
            "INSERT INTO refused (project, received_ms, code, raw) VALUES ($1, $2, $3, $4)",
        )
        .bind(row.project)
        .bind(row.received_ms)
        .bind(&row.code)
        .bind(&*row.raw)
        .execute(&mut **tx)
        .await?;
    }
    projects.sort_unstable();
    projects.dedup();
    for project in projects {
        let gone = sqlx::query(
            "DELETE FROM refused WHERE project = $1 AND id <= \
             (SELECT id FROM refused WHERE project = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
        )
        .bind(project)
        .bind(most)
        .execute(&mut **tx)
        .await?;
        if gone.rows_affected() > 0 {
            let received = refused.iter().filter(|row| row.project == project);
            let newest_ms = received.map(|row| row.received_ms).max().unwrap_or(0);
            sqlx::query(
                "INSERT INTO usage (project, hour_ms, kind, count, bytes) VALUES ($1, $2, $3, $4, 0) \
                 ON CONFLICT (project, hour_ms, kind) DO UPDATE SET count = count + excluded.count",
            )
            .bind(project)
            .bind(newest_ms.div_euclid(3_600_000) * 3_600_000)
            .bind(DROPPED)
            .bind(gone.rows_affected().cast_signed())
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

async fn write_schema(tx: &mut Tx, schema: &[SchemaDelta]) -> Result<(), sqlx::Error> {
    for delta in schema {
        sqlx::query(
            "INSERT INTO event_schema \
             (project, event, property, count, texts, numbers, bools, others, last_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (project, event, COALESCE(property, char(0))) DO UPDATE SET \
             count = count + excluded.count, texts = texts + excluded.texts, \
             numbers = numbers + excluded.numbers, bools = bools + excluded.bools, \
             others = others + excluded.others, last_ms = MAX(last_ms, excluded.last_ms)",
        )
        .bind(delta.project)
        .bind(&delta.event)
        .bind(&delta.property)
        .bind(delta.count.cast_signed())
        .bind(delta.types.texts.cast_signed())
        .bind(delta.types.numbers.cast_signed())
        .bind(delta.types.bools.cast_signed())
        .bind(delta.types.others.cast_signed())
        .bind(delta.last_ms)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_usage(tx: &mut Tx, change: &CatalogChange) -> Result<(), sqlx::Error> {
    for delta in &change.usage {
        sqlx::query(
            "INSERT INTO usage (project, hour_ms, kind, count, bytes) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (project, hour_ms, kind) DO UPDATE SET \
             count = count + excluded.count, bytes = bytes + excluded.bytes",
        )
        .bind(delta.project)
        .bind(delta.hour_ms)
        .bind(delta.kind.as_str())
        .bind(delta.count.cast_signed())
        .bind(delta.bytes.cast_signed())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_restated(tx: &mut Tx, days: &[RestatedDay]) -> Result<(), sqlx::Error> {
    for day in days {
        sqlx::query("INSERT INTO restated (project, day) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(day.project)
            .bind(day.day)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

fn read_segment(row: &SqliteRow) -> Result<SegmentMeta, sqlx::Error> {
    Ok(SegmentMeta {
        id: SegmentId(unsigned(row, "id")?),
        week: row.try_get("week")?,
        level: row.try_get("level")?,
        rows: unsigned(row, "rows")?,
        bytes: unsigned(row, "bytes")?,
        project_min: row.try_get("project_min")?,
        project_max: row.try_get("project_max")?,
        ts_min_ms: row.try_get("ts_min_ms")?,
        ts_max_ms: row.try_get("ts_max_ms")?,
        person_min: unsigned(row, "person_min")?,
        person_max: unsigned(row, "person_max")?,
        id_day_min: row.try_get("id_day_min")?,
        id_day_max: row.try_get("id_day_max")?,
        odd_ids: unsigned(row, "odd_ids")?,
        has_ids: row.try_get::<i64, _>("has_ids")? != 0,
        link_epoch: unsigned(row, "link_epoch")?,
        sums: row.try_get::<&[u8], _>("sums")?.into(),
    })
}

fn unsigned(row: &SqliteRow, column: &'static str) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallymark_store::{
        Ends, Erasure, Link, LinkBy, PeopleDelta, PeopleState, Undone, UsageDelta, UsageKind,
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
}
