//! Second factors, the codes to get back in without them, and links to another password.

use serde_json::json;
use sqlx::{Row, SqliteConnection};

use super::audit::{self, Deed, Whose};
use super::{Meta, MetaError};

/// What is kept of a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// What its secret is derived from.
    pub nonce: Vec<u8>,
    /// Whether signing in needs it: from the first right code on.
    pub in_force: bool,
    /// The half minute of the last code that was taken.
    pub last_step: i64,
}

/// The tables of second factors.
#[derive(Debug)]
pub struct SecondFactors<'a> {
    pub(super) meta: &'a Meta,
}

impl SecondFactors<'_> {
    /// That of an account, if there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, account: u32) -> Result<Option<SecondFactor>, MetaError> {
        let row =
            sqlx::query("SELECT nonce, in_force, last_step FROM second_factor WHERE account = $1")
                .bind(account)
                .fetch_optional(&self.meta.pool)
                .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SecondFactor {
            nonce: row.try_get("nonce")?,
            in_force: row.try_get("in_force")?,
            last_step: row.try_get("last_step")?,
        }))
    }

    /// Begin with one, which is not in force yet. One that is in force stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin(&self, account: u32, nonce: &[u8], now_ms: i64) -> Result<(), MetaError> {
        sqlx::query(
            "INSERT INTO second_factor (account, nonce, created_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (account) DO UPDATE SET nonce = excluded.nonce, \
             created_ms = excluded.created_ms WHERE in_force = 0",
        )
        .bind(account)
        .bind(nonce)
        .bind(now_ms)
        .execute(&self.meta.pool)
        .await?;
        Ok(())
    }

    /// Put it in force with its first right code and with codes to get back in, and write that down in these
    /// organisations. Says whether it was not in force before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn confirm(
        &self,
        account: u32,
        step: i64,
        recovery_macs: &[[u8; 32]],
        organisations: &[u32],
        deed: Deed<'_>,
    ) -> Result<bool, MetaError> {
        let mut change = self.meta.change().await?;
        let done = sqlx::query(
            "UPDATE second_factor SET in_force = 1, last_step = $2 WHERE account = $1 AND in_force = 0",
        )
        .bind(account)
        .bind(step)
        .execute(&mut *change)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        forget_codes(&mut change, account).await?;
        for mac in recovery_macs {
            sqlx::query("INSERT INTO recovery_code (account, mac) VALUES ($1, $2)")
                .bind(account)
                .bind(mac.as_slice())
                .execute(&mut *change)
                .await?;
        }
        note(&mut change, account, organisations, deed).await?;
        self.meta.commit(change).await?;
        Ok(true)
    }

    /// Take the code of a step, if none of it or later was taken. Says whether it was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_step(&self, account: u32, step: i64) -> Result<bool, MetaError> {
        let done = sqlx::query(
            "UPDATE second_factor SET last_step = $2 WHERE account = $1 AND last_step < $2",
        )
        .bind(account)
        .bind(step)
        .execute(&self.meta.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Use up a code to get back in. Says whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_recovery(&self, account: u32, mac: &[u8; 32]) -> Result<bool, MetaError> {
        let done = sqlx::query("DELETE FROM recovery_code WHERE account = $1 AND mac = $2")
            .bind(account)
            .bind(mac.as_slice())
            .execute(&self.meta.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// How many codes to get back in are left.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recovery_left(&self, account: u32) -> Result<u32, MetaError> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM recovery_code WHERE account = $1")
            .bind(account)
            .fetch_one(&self.meta.pool)
            .await?)
    }

    /// Take it away, with its codes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(
        &self,
        account: u32,
        organisations: &[u32],
        deed: Deed<'_>,
    ) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        forget_codes(&mut change, account).await?;
        sqlx::query("DELETE FROM second_factor WHERE account = $1")
            .bind(account)
            .execute(&mut *change)
            .await?;
        note(&mut change, account, organisations, deed).await?;
        self.meta.commit(change).await
    }
}

async fn forget_codes(connection: &mut SqliteConnection, account: u32) -> Result<(), MetaError> {
    sqlx::query("DELETE FROM recovery_code WHERE account = $1")
        .bind(account)
        .execute(connection)
        .await?;
    Ok(())
}

async fn note(
    connection: &mut SqliteConnection,
    account: u32,
    organisations: &[u32],
    deed: Deed<'_>,
) -> Result<(), MetaError> {
    let subject = format!("member/{account}");
    for organisation in organisations {
        let whose = Whose::Organisation(*organisation);
        audit::note(connection, whose, &subject, deed, None, None).await?;
    }
    Ok(())
}

/// The table of links to another password.
#[derive(Debug)]
pub struct PasswordLinks<'a> {
    pub(super) meta: &'a Meta,
}

impl PasswordLinks<'_> {
    /// Keep a link of an account; earlier ones of it no longer work.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        mac: &[u8; 32],
        organisations: &[u32],
        account: u32,
        expires_ms: i64,
        deed: Deed<'_>,
    ) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        sqlx::query("DELETE FROM password_link WHERE account = $1 OR expires_ms <= $2")
            .bind(account)
            .bind(deed.at_ms)
            .execute(&mut *change)
            .await?;
        sqlx::query("INSERT INTO password_link (mac, account, expires_ms) VALUES ($1, $2, $3)")
            .bind(mac.as_slice())
            .bind(account)
            .bind(expires_ms)
            .execute(&mut *change)
            .await?;
        let subject = format!("member/{account}");
        for organisation in organisations {
            let after = Some(json!({ "expires_at": expires_ms }));
            let whose = Whose::Organisation(*organisation);
            audit::note(&mut change, whose, &subject, deed, None, after).await?;
        }
        self.meta.commit(change).await
    }

    /// Until when the newest link of an account can be used, if it has one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expires_ms(&self, account: u32) -> Result<Option<i64>, MetaError> {
        let sql = "SELECT max(expires_ms) FROM password_link WHERE account = $1";
        Ok(sqlx::query_scalar(sql).bind(account).fetch_one(&self.meta.pool).await?)
    }

    /// Whose link this is, if it can still be used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, mac: &[u8; 32], now_ms: i64) -> Result<Option<u32>, MetaError> {
        Ok(sqlx::query_scalar(
            "SELECT account FROM password_link WHERE mac = $1 AND expires_ms > $2",
        )
        .bind(mac.as_slice())
        .bind(now_ms)
        .fetch_optional(&self.meta.pool)
        .await?)
    }

    /// Use a link up. Says whose it was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(&self, mac: &[u8; 32], now_ms: i64) -> Result<Option<u32>, MetaError> {
        Ok(sqlx::query_scalar(
            "DELETE FROM password_link WHERE mac = $1 AND expires_ms > $2 RETURNING account",
        )
        .bind(mac.as_slice())
        .bind(now_ms)
        .fetch_optional(&self.meta.pool)
        .await?)
    }
}
