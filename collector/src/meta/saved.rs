//! Cohorts, questions and annotations under a name.

use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::audit::{self, Deed, Whose};
use super::{Meta, MetaError};
use crate::saved::Kind;

/// Something that is saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// What it is.
    pub kind: Kind,
    /// Its name among those of its kind.
    pub key: String,
    /// Counts changes from 1.
    pub version: u32,
    /// What was saved, see `saved::body`.
    pub body: Map<String, Value>,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds.
    pub changed_ms: i64,
    /// When it was removed, Unix milliseconds.
    pub removed_ms: Option<i64>,
}

impl Saved {
    /// As answers and the audit trail show it.
    pub fn json(&self) -> Value {
        let mut all = json!({
            "key": self.key, "version": self.version, "created_at": self.created_ms,
            "changed_at": self.changed_ms,
        });
        if let Some(at_ms) = self.removed_ms {
            all["removed_at"] = at_ms.into();
        }
        if let Value::Object(all) = &mut all {
            all.extend(self.body.clone());
        }
        all
    }

    fn subject(&self) -> String {
        subject(self.kind, &self.key)
    }
}

fn subject(kind: Kind, key: &str) -> String {
    format!("{}/{key}", kind.as_str())
}

/// The table.
#[derive(Debug)]
pub struct SavedTable<'a> {
    pub(super) meta: &'a Meta,
}

const COLUMNS: &str = "kind, key, version, body, created_ms, changed_ms, removed_ms";

impl SavedTable<'_> {
    /// All of a kind that are not removed, by key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, project: u32, kind: Kind) -> Result<Vec<Saved>, MetaError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM saved WHERE project = $1 AND kind = $2 AND removed_ms IS NULL \
             ORDER BY key"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .bind(kind.as_str())
            .fetch_all(&self.meta.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The one of this key, perhaps a removed one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(
        &self,
        project: u32,
        kind: Kind,
        key: &str,
    ) -> Result<Option<Saved>, MetaError> {
        let sql =
            format!("SELECT {COLUMNS} FROM saved WHERE project = $1 AND kind = $2 AND key = $3");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .bind(kind.as_str())
            .bind(key)
            .fetch_optional(&self.meta.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// What the one of this key was in an earlier version, as [`Saved::json`] shows it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn version(
        &self,
        project: u32,
        kind: Kind,
        key: &str,
        version: u32,
    ) -> Result<Option<Value>, MetaError> {
        audit::version(&self.meta.pool, project, &subject(kind, key), version).await
    }

    /// Keep a version, which follows the one that the caller saw, if there was one. Says whether it still was so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(
        &self,
        project: u32,
        before: Option<&Saved>,
        after: &Saved,
        deed: Deed<'_>,
    ) -> Result<bool, MetaError> {
        let mut transaction = self.meta.change().await?;
        let done = sqlx::query(
            "INSERT INTO saved (project, kind, key, version, body, created_ms, changed_ms, removed_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (project, kind, key) DO UPDATE SET \
             version = excluded.version, body = excluded.body, created_ms = excluded.created_ms, \
             changed_ms = excluded.changed_ms, removed_ms = excluded.removed_ms \
             WHERE saved.version = $9",
        )
        .bind(project)
        .bind(after.kind.as_str())
        .bind(&after.key)
        .bind(after.version)
        .bind(Value::Object(after.body.clone()).to_string())
        .bind(after.created_ms)
        .bind(after.changed_ms)
        .bind(after.removed_ms)
        .bind(before.map(|before| before.version))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let (subject, was) = (after.subject(), before.map(Saved::json));
        let whose = Whose::Project(project);
        audit::note(&mut transaction, whose, &subject, deed, was, Some(after.json())).await?;
        self.meta.commit(transaction).await?;
        Ok(true)
    }

    /// What was done to one, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit(
        &self,
        project: u32,
        kind: Kind,
        key: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Map<String, Value>>, MetaError> {
        audit::list(&self.meta.pool, project, &subject(kind, key), before, limit).await
    }
}

fn read(row: &SqliteRow) -> Result<Saved, MetaError> {
    let (kind, key, body): (String, String, String) =
        (row.try_get("kind")?, row.try_get("key")?, row.try_get("body")?);
    let corrupt = |what: &str| MetaError::Corrupt(format!("saved {kind} {key:?}: {what}"));
    Ok(Saved {
        body: serde_json::from_str(&body).map_err(|error| corrupt(&error.to_string()))?,
        kind: Kind::parse(&kind).ok_or_else(|| corrupt("its kind"))?,
        version: row.try_get("version")?,
        created_ms: row.try_get("created_ms")?,
        changed_ms: row.try_get("changed_ms")?,
        removed_ms: row.try_get("removed_ms")?,
        key,
    })
}
