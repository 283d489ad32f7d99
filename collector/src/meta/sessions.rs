//! Dashboard sessions, as keyed hashes of their tokens.

use sqlx::{Row, SqlitePool};

use super::MetaError;

/// Where an account is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The keyed hash of its token.
    pub mac: Vec<u8>,
    /// Browser and system.
    pub device: String,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds.
    pub expires_ms: i64,
}

/// The table of dashboard sessions.
#[derive(Debug)]
pub struct Sessions<'a> {
    pub(super) pool: &'a SqlitePool,
}

impl Sessions<'_> {
    /// Keep a session of somebody, or of whoever runs the machine; forget those that ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        mac: &[u8; 32],
        account: Option<u32>,
        device: &str,
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<(), MetaError> {
        sqlx::query("DELETE FROM dashboard_session WHERE expires_ms <= $1")
            .bind(now_ms)
            .execute(self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO dashboard_session (mac, account, device, created_ms, expires_ms) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(mac.as_slice())
        .bind(account)
        .bind(device)
        .bind(now_ms)
        .bind(expires_ms)
        .execute(self.pool)
        .await?;
        Ok(())
    }

    /// Whose session it is, if it is known and has not ended: `Some(None)` of whoever runs the machine.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(
        &self,
        mac: &[u8; 32],
        now_ms: i64,
    ) -> Result<Option<Option<u32>>, MetaError> {
        Ok(sqlx::query_scalar(
            "SELECT account FROM dashboard_session WHERE mac = $1 AND expires_ms > $2",
        )
        .bind(mac.as_slice())
        .bind(now_ms)
        .fetch_optional(self.pool)
        .await?)
    }

    /// Those of an account that have not ended, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, account: u32, now_ms: i64) -> Result<Vec<Session>, MetaError> {
        let rows = sqlx::query(
            "SELECT mac, device, created_ms, expires_ms FROM dashboard_session \
             WHERE account = $1 AND expires_ms > $2 ORDER BY created_ms DESC",
        )
        .bind(account)
        .bind(now_ms)
        .fetch_all(self.pool)
        .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Session {
                mac: row.try_get("mac")?,
                device: row.try_get("device")?,
                created_ms: row.try_get("created_ms")?,
                expires_ms: row.try_get("expires_ms")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// End all sessions of an account but one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_others(&self, account: u32, but: &[u8; 32]) -> Result<(), MetaError> {
        sqlx::query("DELETE FROM dashboard_session WHERE account = $1 AND mac <> $2")
            .bind(account)
            .bind(but.as_slice())
            .execute(self.pool)
            .await?;
        Ok(())
    }

    /// End a session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end(&self, mac: &[u8; 32]) -> Result<(), MetaError> {
        sqlx::query("DELETE FROM dashboard_session WHERE mac = $1")
            .bind(mac.as_slice())
            .execute(self.pool)
            .await?;
        Ok(())
    }
}
