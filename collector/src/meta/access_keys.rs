//! Keys, as keyed hashes.

use sqlx::{Row, SqliteConnection};

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
    pub(super) mac: [u8; 32],
}

/// The table of keys.
#[derive(Debug)]
pub struct AccessKeys<'a> {
    pub(super) meta: &'a Meta,
}

impl AccessKeys<'_> {
    /// Keep a new key; returns its number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        project: &Project,
        key: &Key,
        pepper: &Pepper,
        scopes: Scopes,
        now_ms: i64,
    ) -> Result<u32, MetaError> {
        let mac = key.mac(pepper);
        let row = sqlx::query(
            "INSERT INTO access_key (project, kind, mac, hint, scopes, created_ms) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(project.id)
        .bind(key.kind().as_str())
        .bind(mac.as_slice())
        .bind(key.hint())
        .bind(scopes.to_string())
        .bind(now_ms)
        .fetch_one(&self.meta.pool)
        .await?;
        self.meta.refresh().await?;
        Ok(row.try_get("id")?)
    }

    /// Stop a key from working. Says whether there was such a key that still worked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke(&self, id: u32, now_ms: i64) -> Result<bool, MetaError> {
        let done = sqlx::query(
            "UPDATE access_key SET revoked_ms = $2 WHERE id = $1 AND revoked_ms IS NULL",
        )
        .bind(id)
        .bind(now_ms)
        .execute(&self.meta.pool)
        .await?;
        self.meta.refresh().await?;
        Ok(done.rows_affected() == 1)
    }
}

pub(super) async fn list_live(
    connection: &mut SqliteConnection,
) -> Result<Vec<AccessKey>, MetaError> {
    let rows = sqlx::query(
        "SELECT id, project, kind, mac, scopes FROM access_key WHERE revoked_ms IS NULL",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &sqlx::sqlite::SqliteRow) -> Result<AccessKey, MetaError> {
    let id: u32 = row.try_get("id")?;
    let kind: String = row.try_get("kind")?;
    let mac: Vec<u8> = row.try_get("mac")?;
    let scopes: String = row.try_get("scopes")?;
    let corrupt = |what: &str| MetaError::Corrupt(format!("access_key {id}: {what}"));
    Ok(AccessKey {
        id,
        project: row.try_get("project")?,
        kind: match kind.as_str() {
            "public" => KeyKind::Public,
            "secret" => KeyKind::Secret,
            _ => return Err(corrupt("its kind")),
        },
        scopes: Scopes::parse(&scopes).map_err(|detail| corrupt(&detail))?,
        mac: mac.try_into().map_err(|_| corrupt("its keyed hash"))?,
    })
}
