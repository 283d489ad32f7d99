//! The segment catalog on SQLite: the store's [`Catalog`], one transaction per change.
//!
//! In: changes from the store's own threads, which block. Out: what was committed.
//!
//! Invariant: `commit` returns after a synced transaction (`synchronous=FULL`), or nothing of the
//! change is there.
//!
//! Here: the database and its transactions; a file for each kind of table.
//!
//! Deliberately elsewhere: projects and keys (`meta`), so that the event store can be moved or
//! restored without them.

mod counts;
mod people;
mod refused;
mod segments;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Connection, Row, Sqlite, SqlitePool, Transaction};
use tallymark_store::{
    Catalog, CatalogChange, CatalogError, CatalogState, RefusedRow, Schema, SegmentMeta, UsageDelta,
};
use tokio::runtime::Handle;

use crate::database::{self, MigrateFailed};
pub use refused::DROPPED;

/// Refused events kept per project, if nobody says otherwise; the oldest go first. 10,000 of at most
/// 4 KiB are 40 MB.
const REFUSED_MAX: u32 = 10_000;

/// Open at a time: one that writes, and some that read.
const CONNECTIONS: u32 = 3;

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
        // When a transaction meets a full disk, SQLite may end it by itself. Rolling it back fails then,
        // and sqlx takes the connection for one inside a transaction from then on: no other would begin.
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .before_acquire(|connection, _| {
                let is_usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(is_usable) })
            })
            .connect_with(options)
            .await?;
        database::migrate(&pool, path, &sqlx::migrate!("migrations/catalog")).await?;
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
        segments::read(&self.pool).await
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
            let segments = segments::read(&mut *snapshot).await?;
            let flushed_seq: i64 = sqlx::query_scalar("SELECT flushed_seq FROM state")
                .fetch_one(&mut *snapshot)
                .await?;
            let people = people::read(&mut snapshot).await?;
            Ok(CatalogState { segments, flushed_seq: flushed_seq.cast_unsigned(), people })
        })
    }

    fn commit(&self, change: &CatalogChange) -> Result<(), CatalogError> {
        self.wait(async {
            let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            segments::write(&mut tx, change).await?;
            refused::write(&mut tx, &change.refused, self.refused_max).await?;
            counts::write(&mut tx, change).await?;
            people::write(&mut tx, &change.people).await?;
            tx.commit().await?;
            if !change.people.erased.is_empty() {
                self.empty_log().await?;
            }
            Ok(())
        })
    }

    fn refused(&self, project: u32, limit: usize) -> Result<Vec<RefusedRow>, CatalogError> {
        self.wait(refused::list(&self.pool, project, limit))
    }

    fn restated(&self, project: u32, days: Range<i32>) -> Result<BTreeSet<i32>, CatalogError> {
        self.wait(counts::restated(&self.pool, project, days))
    }

    fn used(
        &self,
        project: Option<u32>,
        hours: Range<i64>,
    ) -> Result<Vec<UsageDelta>, CatalogError> {
        self.wait(counts::used(&self.pool, project, hours))
    }

    fn schema(&self, project: u32) -> Result<Schema, CatalogError> {
        self.wait(counts::schema(&self.pool, project))
    }
}

type Tx = Transaction<'static, Sqlite>;

fn unsigned(row: &SqliteRow, column: &'static str) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

#[cfg(test)]
mod tests;
