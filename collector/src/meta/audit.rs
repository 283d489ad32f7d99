//! The audit trail: who changed what, when and why. The database refuses to alter it.

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::MetaError;

/// Who does what, when and why.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    /// Who.
    pub actor: &'a str,
    /// What: `create`, `update`, `remove`, or the state it goes to.
    pub action: &'a str,
    /// Why.
    pub note: &'a str,
    /// When, Unix milliseconds.
    pub at_ms: i64,
}

/// Write a change down, in the transaction that makes it.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    project: u32,
    subject: &str,
    deed: Deed<'_>,
    before: Option<Value>,
    after: Value,
) -> Result<(), MetaError> {
    sqlx::query(
        "INSERT INTO audit (project, subject, action, actor, at_ms, note, before, after) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(project)
    .bind(subject)
    .bind(deed.action)
    .bind(deed.actor)
    .bind(deed.at_ms)
    .bind(deed.note)
    .bind(before.map(|before| before.to_string()))
    .bind(after.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// What was done to something, newest first: at most `limit` changes with smaller numbers than `before`.
pub(super) async fn list(
    pool: &SqlitePool,
    project: u32,
    subject: &str,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Map<String, Value>>, MetaError> {
    let rows = sqlx::query(
        "SELECT id, action, actor, at_ms, note, before, after FROM audit \
         WHERE project = $1 AND subject = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
    )
    .bind(project)
    .bind(subject)
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}

/// What something was after the change to this version.
pub(super) async fn version(
    pool: &SqlitePool,
    project: u32,
    subject: &str,
    version: u32,
) -> Result<Option<Value>, MetaError> {
    let after: Option<String> = sqlx::query_scalar(
        "SELECT after FROM audit WHERE project = $1 AND subject = $2 \
         AND json_extract(after, '$.version') = $3",
    )
    .bind(project)
    .bind(subject)
    .bind(version)
    .fetch_optional(pool)
    .await?;
    let parsed = after.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|error| MetaError::Corrupt(format!("audit of {subject}: {error}")))
}

fn read(row: &SqliteRow) -> Result<Map<String, Value>, MetaError> {
    let id: i64 = row.try_get("id")?;
    let json = |text: Option<String>| {
        let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
        parsed
            .map(Option::unwrap_or_default)
            .map_err(|e| MetaError::Corrupt(format!("audit {id}: {e}")))
    };
    let mut change = Map::new();
    change.insert("id".into(), id.into());
    change.insert("at".into(), row.try_get::<i64, _>("at_ms")?.into());
    change.insert("by".into(), row.try_get::<String, _>("actor")?.into());
    change.insert("action".into(), row.try_get::<String, _>("action")?.into());
    change.insert("note".into(), row.try_get::<String, _>("note")?.into());
    change.insert("before".into(), json(row.try_get("before")?)?);
    change.insert("after".into(), json(row.try_get("after")?)?);
    Ok(change)
}
