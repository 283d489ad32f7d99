//! What the two SQLite databases of a data folder have in common: they are brought up to date, copied
//! and checked in the same way.
//!
//! In: an open database and the steps that we know. Out: one that has taken all of them and no others, and
//! beside it a copy of what it was before ([`snapshot_of`]).
//!
//! Deliberately elsewhere: the tables (`catalog`, `meta`).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migrator};

use crate::clock::Clock;

/// Why a database cannot be used by this program. Reads on from the database's name.
#[derive(Debug, thiserror::Error)]
pub enum MigrateFailed {
    /// It was written by a later version.
    #[error(
        "has version {found}, this program knows up to {known}: use a newer tallymark, or restore a \
         backup made by this version"
    )]
    Newer {
        /// The last step it has taken.
        found: i64,
        /// The last step we know.
        known: i64,
    },
    /// There is no copy to go back to, so nothing was begun.
    #[error("could not be copied to {} before it is migrated: {source}", path.display())]
    Snapshot {
        /// Where the copy was to go.
        path: PathBuf,
        /// Why not.
        source: anyhow::Error,
    },
    /// A step failed, or one that was taken is not what we know by its number.
    #[error("cannot be migrated: {0}")]
    Failed(#[from] MigrateError),
}

/// Days after which a copy goes: as with a backup, who is erased since is still in it.
const SNAPSHOT_DAYS: i64 = 35;

/// Where a database is copied to before it leaves this version.
pub fn snapshot_of(path: &Path, version: i64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{version}"));
    name.into()
}

/// Take the steps that are missing from the database in the file `path`. One that has taken some is copied before.
///
/// # Errors
/// [`MigrateFailed`]; then nothing is changed by the step that failed.
pub async fn migrate(
    pool: &SqlitePool,
    path: &Path,
    steps: &Migrator,
) -> Result<(), MigrateFailed> {
    let known = steps.iter().map(|step| step.version).max().unwrap_or(0);
    // A new database has no such table.
    let found = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations");
    let found: i64 = found.fetch_one(pool).await.unwrap_or(0);
    if (1..known).contains(&found) {
        let to = snapshot_of(path, found);
        let copied = snapshot(pool, &to).await;
        copied.map_err(|source| MigrateFailed::Snapshot { path: to, source })?;
    }
    forget_snapshots(path, known, Clock::System.now_ms());
    let Err(error) = steps.run(pool).await else { return Ok(()) };
    if matches!(error, MigrateError::VersionMissing(_)) && found > known {
        return Err(MigrateFailed::Newer { found, known });
    }
    Err(error.into())
}

/// Copy a database, whole or not at all. One that was left by an attempt before is as good: nothing was changed then.
async fn snapshot(pool: &SqlitePool, to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        return Ok(());
    }
    let part = to.with_extension(format!("part{}", std::process::id()));
    copy_to(pool, &part).await?;
    std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o600))?;
    std::fs::File::open(&part)?.sync_all()?;
    Ok(std::fs::rename(part, to)?)
}

/// Remove copies of older versions that nobody has gone back to for long.
fn forget_snapshots(path: &Path, known: i64, now_ms: i64) {
    for copy in (1..known).map(|version| snapshot_of(path, version)) {
        let written = std::fs::metadata(&copy).and_then(|file| file.modified()).ok();
        let age = written.and_then(|written| written.duration_since(std::time::UNIX_EPOCH).ok());
        let age_ms = age.map(|age| now_ms - i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        if age_ms.is_some_and(|age_ms| age_ms > SNAPSHOT_DAYS * 86_400_000)
            && let Err(error) = std::fs::remove_file(&copy)
        {
            tracing::warn!(%error, file = %copy.display(), "an old copy cannot be removed");
        }
    }
}

/// Write a copy to a new file.
///
/// # Errors
/// When it cannot be read or written.
pub async fn copy_to(pool: &SqlitePool, path: &Path) -> Result<(), sqlx::Error> {
    sqlx::query("VACUUM INTO $1").bind(path.to_string_lossy()).execute(pool).await?;
    Ok(())
}

/// Whether SQLite finds it whole; what it complains about otherwise.
///
/// # Errors
/// When it cannot be read at all.
pub async fn check(pool: &SqlitePool) -> Result<Vec<String>, sqlx::Error> {
    let lines: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(pool).await?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sqlx::Connection;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

    use super::*;
    use crate::catalog::SqliteCatalog;
    use crate::meta::Meta;

    async fn open(name: &str, path: &std::path::Path) -> Result<(), String> {
        match name {
            "catalog" => SqliteCatalog::open(path).await.map(drop).map_err(|e| e.to_string()),
            _ => Meta::open(path).await.map(drop).map_err(|e| e.to_string()),
        }
    }

    fn steps(name: &str) -> Migrator {
        match name {
            "catalog" => sqlx::migrate!("migrations/catalog"),
            _ => sqlx::migrate!("migrations/meta"),
        }
    }

    /// The tables of a database, as their definitions.
    async fn tables(path: &Path) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(path);
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let tables = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        sqlx::query_scalar(tables).fetch_all(&mut database).await.unwrap()
    }

    /// Shows S3-03.
    #[rstest]
    #[case::catalog("catalog")]
    #[case::metadata("meta")]
    #[tokio::test]
    async fn every_earlier_version_becomes_what_a_new_database_is_and_is_kept_as_it_was(
        #[case] name: &str,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("new.sqlite");
        open(name, &new).await.unwrap();
        let want = tables(&new).await;
        let all: Vec<_> = steps(name).iter().cloned().collect();
        for version in 1..all.len() {
            let path = dir.path().join(format!("at-{version}.sqlite"));
            let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
            let pool = SqlitePool::connect_with(options).await.unwrap();
            Migrator::with_migrations(all[..version].to_vec()).run(&pool).await.unwrap();
            pool.close().await;
            let before = tables(&path).await;

            open(name, &path).await.unwrap();
            assert_eq!(tables(&path).await, want, "from version {version}");
            let copy = snapshot_of(&path, version as i64);
            assert_eq!(tables(&copy).await, before, "the copy of version {version}");
            let mode = std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
            // Starting again changes nothing, and copies nothing.
            let written = std::fs::metadata(&copy).unwrap().modified().unwrap();
            open(name, &path).await.unwrap();
            assert_eq!(std::fs::metadata(&copy).unwrap().modified().unwrap(), written);

            let day = 86_400_000;
            let now_ms = Clock::System.now_ms();
            forget_snapshots(&path, all.len() as i64, now_ms + 34 * day);
            assert!(copy.exists());
            forget_snapshots(&path, all.len() as i64, now_ms + 36 * day);
            assert!(!copy.exists());
        }
        assert!(
            !snapshot_of(&new, all.len() as i64).exists(),
            "a new database has nothing to copy"
        );
    }

    #[rstest]
    #[case::catalog("catalog", "catalog", 4)]
    #[case::metadata("meta", "metadata", 11)]
    #[tokio::test]
    async fn a_database_of_a_newer_version_is_refused_with_what_to_do_and_left_alone(
        #[case] file: &str,
        #[case] name: &str,
        #[case] known: i64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("database.sqlite");
        open(file, &path).await.unwrap();
        let options = SqliteConnectOptions::new().filename(&path);
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let versions = "SELECT MAX(version) FROM _sqlx_migrations";
        let newest: i64 = sqlx::query_scalar(versions).fetch_one(&mut database).await.unwrap();
        assert_eq!(newest, known, "say here which version is the newest");
        let newer = "INSERT INTO _sqlx_migrations SELECT version + 1, description, installed_on, \
                     success, checksum, execution_time FROM _sqlx_migrations ORDER BY version DESC LIMIT 1";
        sqlx::query(newer).execute(&mut database).await.unwrap();

        let want = format!(
            "the {name} database has version {}, this program knows up to {known}: use a newer \
             tallymark, or restore a backup made by this version",
            known + 1
        );
        assert_eq!(open(file, &path).await, Err(want));

        let undo = "DELETE FROM _sqlx_migrations WHERE version > $1";
        sqlx::query(undo).bind(known).execute(&mut database).await.unwrap();
        assert_eq!(open(file, &path).await, Ok(()));
    }
}
