//! Keys, as keyed hashes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::audit::{self, Deed, Whose};
use super::projects::Project;
use super::{Meta, MetaError};
use crate::folder::Pepper;
use crate::keys::{Key, KeyKind, Scopes};

/// A known key.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// Its number, never reused.
    pub id: u32,
    /// Whose it is.
    pub project: u32,
    /// Public or secret.
    pub kind: KeyKind,
    /// What it may do; a public key may only send.
    pub scopes: Scopes,
    /// Until when it works, Unix milliseconds; `None` for ever.
    pub expires_ms: Option<i64>,
    pub(super) used: Arc<LastUse>,
    pub(super) mac: [u8; 32],
}

impl AccessKey {
    /// Whether it works at this moment.
    pub fn works_at(&self, now_ms: i64) -> bool {
        self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

/// When a key was used last, Unix milliseconds; 0 when nobody knows yet. Written down now and then.
#[derive(Debug, Default)]
pub(super) struct LastUse(AtomicI64);

impl LastUse {
    pub(super) fn note(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    /// The moment, if there is one that was not taken yet.
    pub(super) fn take(&self) -> Option<i64> {
        Some(self.0.swap(0, Ordering::Relaxed)).filter(|ms| *ms != 0)
    }
}

/// A key as its project's members see it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its number.
    pub id: u32,
    /// For people.
    pub name: String,
    /// Public or secret.
    pub kind: KeyKind,
    /// Its last characters.
    pub hint: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Until when it works, Unix milliseconds.
    pub expires_ms: Option<i64>,
    /// When it was used last, to the minute, Unix milliseconds.
    pub used_ms: Option<i64>,
}

impl Listed {
    /// As answers and the audit trail show it.
    pub fn json(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "kind": self.kind.as_str(), "hint": self.hint,
            "scopes": self.scopes.names(), "created_at": self.created_ms,
            "expires_at": self.expires_ms, "used_at": self.used_ms })
    }
}

/// What somebody says of a new key.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// For people; may be empty.
    pub name: &'a str,
    /// What it may do.
    pub scopes: Scopes,
    /// Until when it works, Unix milliseconds.
    pub expires_ms: Option<i64>,
}

const COLUMNS: &str = "id, project, kind, mac, name, hint, scopes, created_ms, expires_ms, used_ms";

/// The table of keys.
#[derive(Debug)]
pub struct AccessKeys<'a> {
    pub(super) meta: &'a Meta,
}

impl AccessKeys<'_> {
    /// Keep a new key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        project: &Project,
        key: &Key,
        pepper: &Pepper,
        new: NewKey<'_>,
        deed: Deed<'_>,
    ) -> Result<Listed, MetaError> {
        let mut change = self.meta.change().await?;
        let sql = format!(
            "INSERT INTO access_key (project, kind, mac, name, hint, scopes, created_ms, expires_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {COLUMNS}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project.id)
            .bind(key.kind().as_str())
            .bind(key.mac(pepper).as_slice())
            .bind(new.name)
            .bind(key.hint())
            .bind(new.scopes.to_string())
            .bind(deed.at_ms)
            .bind(new.expires_ms)
            .fetch_one(&mut *change)
            .await?;
        let made = listed(&row)?;
        let subject = format!("key/{}", made.id);
        let whose = Whose::Project(project.id);
        audit::note(&mut change, whose, &subject, deed, None, Some(made.json())).await?;
        self.meta.commit(change).await?;
        Ok(made)
    }

    /// The keys of a project that were not revoked, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, project: u32) -> Result<Vec<Listed>, MetaError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM access_key WHERE project = $1 AND revoked_ms IS NULL ORDER BY id"
        );
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(project).fetch_all(&self.meta.pool).await?;
        rows.iter().map(listed).collect()
    }

    /// Stop a key from working, at once or at a later moment. Says what it was; `None` when the project
    /// has no such key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end(
        &self,
        project: u32,
        id: u32,
        at_ms: i64,
        deed: Deed<'_>,
    ) -> Result<Option<Listed>, MetaError> {
        let mut change = self.meta.change().await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM access_key WHERE project = $1 AND id = $2 AND revoked_ms IS NULL"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .bind(id)
            .fetch_optional(&mut *change)
            .await?;
        let Some(before) = row.as_ref().map(listed).transpose()? else { return Ok(None) };
        let now = at_ms <= deed.at_ms;
        let ends = before.expires_ms.map_or(at_ms, |expires_ms| expires_ms.min(at_ms));
        let sql = if now {
            "UPDATE access_key SET revoked_ms = $2 WHERE id = $1"
        } else {
            "UPDATE access_key SET expires_ms = $2 WHERE id = $1"
        };
        sqlx::query(sql).bind(id).bind(ends).execute(&mut *change).await?;
        let after = (!now).then(|| Listed { expires_ms: Some(ends), ..before.clone() });
        let subject = format!("key/{id}");
        let (was, is) = (Some(before.json()), after.as_ref().map(Listed::json));
        audit::note(&mut change, Whose::Project(project), &subject, deed, was, is).await?;
        self.meta.commit(change).await?;
        Ok(Some(before))
    }

    /// Write down when keys were used last.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn write_uses(&self, uses: &[(u32, i64)]) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        for (id, used_ms) in uses {
            sqlx::query("UPDATE access_key SET used_ms = $2 WHERE id = $1")
                .bind(id)
                .bind(used_ms / 60_000 * 60_000)
                .execute(&mut *change)
                .await?;
        }
        change.commit().await?;
        Ok(())
    }
}

pub(super) async fn list_live(
    connection: &mut SqliteConnection,
) -> Result<Vec<AccessKey>, MetaError> {
    let sql = format!("SELECT {COLUMNS} FROM access_key WHERE revoked_ms IS NULL");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<AccessKey, MetaError> {
    let Listed { id, kind, scopes, expires_ms, .. } = listed(row)?;
    let mac: Vec<u8> = row.try_get("mac")?;
    let corrupt = || MetaError::Corrupt(format!("access_key {id}: its keyed hash"));
    Ok(AccessKey {
        id,
        project: row.try_get("project")?,
        kind,
        scopes,
        expires_ms,
        used: Arc::default(),
        mac: mac.try_into().map_err(|_| corrupt())?,
    })
}

fn listed(row: &SqliteRow) -> Result<Listed, MetaError> {
    let id: u32 = row.try_get("id")?;
    let (kind, scopes): (String, String) = (row.try_get("kind")?, row.try_get("scopes")?);
    let corrupt = |what: &str| MetaError::Corrupt(format!("access_key {id}: {what}"));
    Ok(Listed {
        id,
        name: row.try_get("name")?,
        kind: match kind.as_str() {
            "public" => KeyKind::Public,
            "secret" => KeyKind::Secret,
            _ => return Err(corrupt("its kind")),
        },
        hint: row.try_get("hint")?,
        scopes: Scopes::parse(&scopes).map_err(|detail| corrupt(&detail))?,
        created_ms: row.try_get("created_ms")?,
        expires_ms: row.try_get("expires_ms")?,
        used_ms: row.try_get("used_ms")?,
    })
}
