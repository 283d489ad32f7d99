//! What the two SQLite databases of a data folder have in common: they are brought up to date, copied
//! and checked in the same way.
//!
//! In: an open database and the steps that we know. Out: one that has taken all of them and no others.
//!
//! Deliberately elsewhere: the tables (`catalog`, `meta`).

use std::path::Path;

use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migrator};

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
    /// A step failed, or one that was taken is not what we know by its number.
    #[error("cannot be migrated: {0}")]
    Failed(#[from] MigrateError),
}

/// Take the steps that are missing.
///
/// # Errors
/// [`MigrateFailed`]; then nothing is changed by the step that failed.
pub async fn migrate(pool: &SqlitePool, steps: &Migrator) -> Result<(), MigrateFailed> {
    let Err(error) = steps.run(pool).await else { return Ok(()) };
    let known = steps.iter().map(|step| step.version).max().unwrap_or(0);
    let found = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations");
    let found: i64 = found.fetch_one(pool).await.unwrap_or(0);
    if matches!(error, MigrateError::VersionMissing(_)) && found > known {
        return Err(MigrateFailed::Newer { found, known });
    }
    Err(error.into())
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

    use crate::catalog::SqliteCatalog;
    use crate::meta::Meta;

    async fn open(name: &str, path: &std::path::Path) -> Result<(), String> {
        match name {
            "catalog" => SqliteCatalog::open(path).await.map(drop).map_err(|e| e.to_string()),
            _ => Meta::open(path).await.map(drop).map_err(|e| e.to_string()),
        }
    }

    #[rstest]
    #[case::catalog("catalog", "catalog", 4)]
    #[case::metadata("meta", "metadata", 6)]
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
