//! Refused events as the store hands them over: the newest of each project.
//!
//! Deliberately elsewhere: what people look at and send again (`quarantine`).

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use tallymark_store::RefusedRow;

use super::Tx;

/// What usage counts refused events as that had to go for newer ones.
pub const DROPPED: &str = "refused_dropped";

/// Add some, and keep so many of each project at most.
pub(super) async fn write(
    tx: &mut Tx,
    refused: &[RefusedRow],
    most: u32,
) -> Result<(), sqlx::Error> {
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

/// The newest of a project, newest first.
pub(super) async fn list(
    pool: &SqlitePool,
    project: u32,
    limit: usize,
) -> Result<Vec<RefusedRow>, sqlx::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = sqlx::query(
        "SELECT received_ms, code, raw FROM refused WHERE project = $1 \
         ORDER BY id DESC LIMIT $2",
    )
    .bind(project)
    .bind(limit)
    .fetch_all(pool)
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
}
