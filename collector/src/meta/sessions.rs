//! Dashboard sessions, as keyed hashes of their tokens.

use sqlx::SqlitePool;

use super::MetaError;

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
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<(), MetaError> {
        sqlx::query("DELETE FROM dashboard_session WHERE expires_ms <= $1")
            .bind(now_ms)
            .execute(self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO dashboard_session (mac, account, created_ms, expires_ms) \
             VALUES ($1, $2, $3, $4)",
        )
        .bind(mac.as_slice())
        .bind(account)
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
