//! Invitations: links by which somebody gets a role in an organisation, each of use once.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::audit::{self, Deed, Whose};
use super::{Meta, MetaError, accounts};
use crate::access::Role;

/// An invitation that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its number.
    pub id: u32,
    /// Into which organisation.
    pub organisation: u32,
    /// Who is invited.
    pub email: String,
    /// What they are going to be.
    pub role: Role,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Until when it can be used, Unix milliseconds.
    pub expires_ms: i64,
}

impl Invitation {
    /// As answers and the audit trail show it.
    pub fn json(&self) -> Value {
        json!({ "id": self.id, "email": self.email, "role": self.role,
            "created_at": self.created_ms, "expires_at": self.expires_ms })
    }
}

/// The table of invitations.
#[derive(Debug)]
pub struct Invitations<'a> {
    pub(super) meta: &'a Meta,
}

const COLUMNS: &str = "id, organisation, email, role, created_ms, expires_ms";

impl Invitations<'_> {
    /// Invite somebody. An earlier invitation of the same person no longer works.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        mac: &[u8; 32],
        organisation: u32,
        email: &str,
        role: Role,
        expires_ms: i64,
        deed: Deed<'_>,
    ) -> Result<Invitation, MetaError> {
        let mut change = self.meta.change().await?;
        sqlx::query(
            "DELETE FROM invitation WHERE (organisation = $1 AND email = $2) OR expires_ms <= $3",
        )
        .bind(organisation)
        .bind(email)
        .bind(deed.at_ms)
        .execute(&mut *change)
        .await?;
        let id = sqlx::query_scalar(
            "INSERT INTO invitation (mac, organisation, email, role, created_ms, expires_ms) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(mac.as_slice())
        .bind(organisation)
        .bind(email)
        .bind(role.as_str())
        .bind(deed.at_ms)
        .bind(expires_ms)
        .fetch_one(&mut *change)
        .await?;
        let email = email.to_owned();
        let made = Invitation { id, organisation, email, role, created_ms: deed.at_ms, expires_ms };
        let whose = Whose::Organisation(organisation);
        let subject = format!("invitation/{id}");
        audit::note(&mut change, whose, &subject, deed, None, Some(made.json())).await?;
        self.meta.commit(change).await?;
        Ok(made)
    }

    /// Those of an organisation that can still be used, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, organisation: u32, now_ms: i64) -> Result<Vec<Invitation>, MetaError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM invitation WHERE organisation = $1 AND expires_ms > $2 \
             ORDER BY id DESC"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(organisation)
            .bind(now_ms)
            .fetch_all(&self.meta.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The one with this keyed hash, if it can still be used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, mac: &[u8; 32], now_ms: i64) -> Result<Option<Invitation>, MetaError> {
        let sql = format!("SELECT {COLUMNS} FROM invitation WHERE mac = $1 AND expires_ms > $2");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(mac.as_slice())
            .bind(now_ms)
            .fetch_optional(&self.meta.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Take one back. Says whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn withdraw(
        &self,
        organisation: u32,
        id: u32,
        deed: Deed<'_>,
    ) -> Result<bool, MetaError> {
        let mut change = self.meta.change().await?;
        let sql = format!(
            "DELETE FROM invitation WHERE organisation = $1 AND id = $2 RETURNING {COLUMNS}"
        );
        let gone = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(organisation)
            .bind(id)
            .fetch_optional(&mut *change)
            .await?;
        let Some(gone) = gone else { return Ok(false) };
        let gone = read(&gone)?;
        let subject = format!("invitation/{id}");
        let whose = Whose::Organisation(organisation);
        audit::note(&mut change, whose, &subject, deed, Some(gone.json()), None).await?;
        self.meta.commit(change).await?;
        Ok(true)
    }

    /// Use one up: whoever it names becomes a member. `None` when it cannot be used (any more).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accept(
        &self,
        mac: &[u8; 32],
        name: &str,
        now_ms: i64,
    ) -> Result<Option<u32>, MetaError> {
        let mut change = self.meta.change().await?;
        let sql = format!(
            "DELETE FROM invitation WHERE mac = $1 AND expires_ms > $2 RETURNING {COLUMNS}"
        );
        let used = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(mac.as_slice())
            .bind(now_ms)
            .fetch_optional(&mut *change)
            .await?;
        let Some(used) = used else { return Ok(None) };
        let Invitation { organisation, email, role, .. } = read(&used)?;
        let deed = Deed { actor: &email, action: "join", note: "", at_ms: now_ms };
        let account = accounts::join(&mut change, organisation, &email, name, role, deed).await?;
        self.meta.commit(change).await?;
        Ok(Some(account))
    }
}

fn read(row: &SqliteRow) -> Result<Invitation, MetaError> {
    let (id, role): (u32, String) = (row.try_get("id")?, row.try_get("role")?);
    Ok(Invitation {
        id,
        organisation: row.try_get("organisation")?,
        email: row.try_get("email")?,
        role: Role::parse(&role)
            .map_err(|error| MetaError::Corrupt(format!("invitation {id}: {error}")))?,
        created_ms: row.try_get("created_ms")?,
        expires_ms: row.try_get("expires_ms")?,
    })
}
