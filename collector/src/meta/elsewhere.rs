//! Whose account is bound to whom at a provider of sign-in.
//!
//! In: a provider and the keyed hash of whom it means. Out: the account, bound once; another person is never put in the place
//! of the one before without an act in the audit trail.

use super::audit::{self, Deed, Whose};
use super::{Meta, MetaError};

/// Somebody, as a provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Which provider.
    pub issuer: String,
    /// HMAC-SHA256 of issuer and subject.
    pub mac: [u8; 32],
}

/// The table of bound accounts.
#[derive(Debug)]
pub struct Elsewhere<'a> {
    pub(super) meta: &'a Meta,
}

impl Elsewhere<'_> {
    /// The account that is bound to somebody.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn account_of(&self, who: &Identity) -> Result<Option<u32>, MetaError> {
        let sql = "SELECT account FROM elsewhere WHERE issuer = $1 AND mac = $2";
        let found = sqlx::query_scalar(sql).bind(&who.issuer).bind(who.mac.as_slice());
        Ok(found.fetch_optional(&self.meta.pool).await?)
    }

    /// Whether an account is bound, at this provider or at any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_bound(&self, account: u32, issuer: Option<&str>) -> Result<bool, MetaError> {
        let sql =
            "SELECT count(*) FROM elsewhere WHERE account = $1 AND issuer = coalesce($2, issuer)";
        let count: u32 =
            sqlx::query_scalar(sql).bind(account).bind(issuer).fetch_one(&self.meta.pool).await?;
        Ok(count > 0)
    }

    /// Bind an account to somebody, and write that down in these organisations. Says whether it is bound to them now: not if
    /// it was to another, or they were to another account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bind(
        &self,
        account: u32,
        who: &Identity,
        organisations: &[u32],
        deed: Deed<'_>,
    ) -> Result<bool, MetaError> {
        let mut change = self.meta.change().await?;
        let made = sqlx::query(
            "INSERT INTO elsewhere (account, issuer, mac, created_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(account)
        .bind(&who.issuer)
        .bind(who.mac.as_slice())
        .bind(deed.at_ms)
        .execute(&mut *change)
        .await?;
        if made.rows_affected() == 0 {
            drop(change);
            return Ok(self.account_of(who).await? == Some(account));
        }
        let subject = format!("member/{account}");
        for organisation in organisations {
            let whose = Whose::Organisation(*organisation);
            audit::note(&mut change, whose, &subject, deed, None, None).await?;
        }
        self.meta.commit(change).await?;
        Ok(true)
    }

    /// Forget whom an account is bound to, at all providers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unbind(
        &self,
        account: u32,
        organisation: u32,
        deed: Deed<'_>,
    ) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        sqlx::query("DELETE FROM elsewhere WHERE account = $1")
            .bind(account)
            .execute(&mut *change)
            .await?;
        let (whose, subject) = (Whose::Organisation(organisation), format!("member/{account}"));
        audit::note(&mut change, whose, &subject, deed, None, None).await?;
        self.meta.commit(change).await
    }
}
