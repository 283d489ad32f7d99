//! People who sign in, and the roles they have in organisations.

use hashbrown::HashMap;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::audit::{self, Deed, Whose};
use super::{Meta, MetaError};
use crate::access::Role;

/// Somebody who can sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number, never reused.
    pub id: u32,
    /// What they sign in with, in lower case.
    pub email: String,
    /// For people.
    pub name: String,
}

/// What is looked at when somebody signs in.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Whose.
    pub account: u32,
    /// argon2id as a PHC string, if they ever set a password.
    pub password: Option<String>,
}

/// Somebody's place in an organisation.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who.
    pub account: Account,
    /// What they are there.
    pub role: Role,
    /// Since when, Unix milliseconds.
    pub created_ms: i64,
}

impl Member {
    /// As answers and the audit trail show it.
    pub fn json(&self) -> Value {
        json!({ "account": self.account.id, "email": self.account.email, "name": self.account.name,
            "role": self.role, "since": self.created_ms })
    }
}

/// An address as it is kept: in lower case, with something on both sides of one `@`.
pub fn email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (local, host) = text.split_once('@')?;
    let plain = |part: &str| !part.is_empty() && !part.contains('@');
    let shown = text.chars().all(|char| !char.is_control() && !char.is_whitespace());
    (plain(local) && plain(host) && shown && text.len() <= 254).then_some(text)
}

/// The tables of accounts and members.
#[derive(Debug)]
pub struct Accounts<'a> {
    pub(super) meta: &'a Meta,
}

impl Accounts<'_> {
    /// What to look at when somebody signs in with this address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn credentials(&self, email: &str) -> Result<Option<Credentials>, MetaError> {
        let row = sqlx::query("SELECT id, password FROM account WHERE email = $1")
            .bind(email)
            .fetch_optional(&self.meta.pool)
            .await?;
        let read = |row: SqliteRow| {
            Ok(Credentials { account: row.try_get("id")?, password: row.try_get("password")? })
        };
        row.map(read).transpose()
    }

    /// Count an attempt as a wrong one, before it is looked at. Gives how many there are then, or nothing
    /// while the account is shut.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_attempt(&self, account: u32, now_ms: i64) -> Result<Option<u32>, MetaError> {
        Ok(sqlx::query_scalar(
            "UPDATE account SET failures = failures + 1 \
             WHERE id = $1 AND locked_until_ms <= $2 RETURNING failures",
        )
        .bind(account)
        .bind(now_ms)
        .fetch_optional(&self.meta.pool)
        .await?)
    }

    /// An attempt turned out right, and others may follow it: it is taken off the count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn excuse(&self, account: u32) -> Result<(), MetaError> {
        let sql = "UPDATE account SET failures = max(failures - 1, 0) WHERE id = $1";
        sqlx::query(sql).bind(account).execute(&self.meta.pool).await?;
        Ok(())
    }

    /// Somebody is in: what went wrong before is forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forgive(&self, account: u32) -> Result<(), MetaError> {
        let sql = "UPDATE account SET failures = 0, locked_until_ms = 0 WHERE id = $1";
        sqlx::query(sql).bind(account).execute(&self.meta.pool).await?;
        Ok(())
    }

    /// Look at no attempt until this time, or a later one that was said before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn shut(&self, account: u32, until_ms: i64) -> Result<(), MetaError> {
        sqlx::query("UPDATE account SET locked_until_ms = max(locked_until_ms, $2) WHERE id = $1")
            .bind(account)
            .bind(until_ms)
            .execute(&self.meta.pool)
            .await?;
        Ok(())
    }

    /// Keep another password; whoever is signed in with the old one no longer is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_password(&self, account: u32, phc: &str) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        sqlx::query(
            "UPDATE account SET password = $2, failures = 0, locked_until_ms = 0 WHERE id = $1",
        )
        .bind(account)
        .bind(phc)
        .execute(&mut *change)
        .await?;
        sqlx::query("DELETE FROM dashboard_session WHERE account = $1")
            .bind(account)
            .execute(&mut *change)
            .await?;
        self.meta.commit(change).await
    }

    /// Somebody becomes a member, and an account if they are none yet. A member stays what they are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn join(
        &self,
        organisation: u32,
        email: &str,
        name: &str,
        role: Role,
        deed: Deed<'_>,
    ) -> Result<u32, MetaError> {
        let mut change = self.meta.change().await?;
        let account = join(&mut change, organisation, email, name, role, deed).await?;
        self.meta.commit(change).await?;
        Ok(account)
    }

    /// The members of an organisation, by address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn members(&self, organisation: u32) -> Result<Vec<Member>, MetaError> {
        let mut connection = self.meta.pool.acquire().await?;
        members(&mut connection, organisation).await
    }

    /// Give somebody another role in an organisation, or with `None` no part in it any more. Says what
    /// they were before, and leaves an organisation its last owner: then nothing happens.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_role(
        &self,
        organisation: u32,
        account: u32,
        role: Option<Role>,
        deed: Deed<'_>,
    ) -> Result<Changed, MetaError> {
        let mut change = self.meta.change().await?;
        let all = members(&mut change, organisation).await?;
        let Some(before) = all.iter().find(|member| member.account.id == account) else {
            return Ok(Changed::NoMember);
        };
        let owners = all.iter().filter(|member| member.role == Role::Owner).count();
        if before.role == Role::Owner && role != Some(Role::Owner) && owners == 1 {
            return Ok(Changed::LastOwner);
        }
        let after = role.map(|role| Member { role, ..before.clone() });
        match role {
            Some(role) => {
                sqlx::query("UPDATE member SET role = $3 WHERE organisation = $1 AND account = $2")
                    .bind(organisation)
                    .bind(account)
                    .bind(role.as_str())
            }
            None => sqlx::query("DELETE FROM member WHERE organisation = $1 AND account = $2")
                .bind(organisation)
                .bind(account),
        }
        .execute(&mut *change)
        .await?;
        let subject = format!("member/{account}");
        let (was, is) = (Some(before.json()), after.as_ref().map(Member::json));
        audit::note(&mut change, Whose::Organisation(organisation), &subject, deed, was, is)
            .await?;
        self.meta.commit(change).await?;
        Ok(Changed::Done(after))
    }
}

/// What became of a change of a member.
#[derive(Debug, Clone)]
pub enum Changed {
    /// It was made; `None` when they have no part in it any more.
    Done(Option<Member>),
    /// There is no such member.
    NoMember,
    /// They are its only owner.
    LastOwner,
}

/// Somebody becomes a member, and an account if they are none yet. A member stays what they are.
pub(super) async fn join(
    connection: &mut SqliteConnection,
    organisation: u32,
    email: &str,
    name: &str,
    role: Role,
    deed: Deed<'_>,
) -> Result<u32, MetaError> {
    let account: u32 = sqlx::query_scalar(
        "INSERT INTO account (email, name, created_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (email) DO UPDATE SET email = excluded.email RETURNING id",
    )
    .bind(email)
    .bind(name)
    .bind(deed.at_ms)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO member (organisation, account, role, created_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (organisation, account) DO NOTHING",
    )
    .bind(organisation)
    .bind(account)
    .bind(role.as_str())
    .bind(deed.at_ms)
    .execute(&mut *connection)
    .await?;
    let after = json!({ "account": account, "email": email, "role": role });
    let subject = format!("member/{account}");
    let whose = Whose::Organisation(organisation);
    audit::note(connection, whose, &subject, deed, None, Some(after)).await?;
    Ok(account)
}

async fn members(
    connection: &mut SqliteConnection,
    organisation: u32,
) -> Result<Vec<Member>, MetaError> {
    let rows = sqlx::query(
        "SELECT a.id, a.email, a.name, m.role, m.created_ms FROM member m \
         JOIN account a ON a.id = m.account WHERE m.organisation = $1 ORDER BY a.email",
    )
    .bind(organisation)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let account = read(row)?;
            let role = read_role(row, account.id)?;
            Ok(Member { account, role, created_ms: row.try_get("created_ms")? })
        })
        .collect()
}

pub(super) async fn list(connection: &mut SqliteConnection) -> Result<Vec<Account>, MetaError> {
    let rows = sqlx::query("SELECT id, email, name FROM account").fetch_all(connection).await?;
    rows.iter().map(read).collect()
}

/// The role of each account in each organisation.
pub(super) async fn list_roles(
    connection: &mut SqliteConnection,
) -> Result<HashMap<(u32, u32), Role>, MetaError> {
    let rows =
        sqlx::query("SELECT organisation, account, role FROM member").fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let (organisation, account) = (row.try_get("organisation")?, row.try_get("account")?);
            Ok(((organisation, account), read_role(row, account)?))
        })
        .collect()
}

fn read(row: &SqliteRow) -> Result<Account, MetaError> {
    Ok(Account { id: row.try_get("id")?, email: row.try_get("email")?, name: row.try_get("name")? })
}

fn read_role(row: &SqliteRow, account: u32) -> Result<Role, MetaError> {
    let role: String = row.try_get("role")?;
    Role::parse(&role).map_err(|error| MetaError::Corrupt(format!("member {account}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("ann@shop.example", Some("ann@shop.example"))]
    #[case::upper_case(" Ann@Shop.Example ", Some("ann@shop.example"))]
    #[case::no_host("ann@", None)]
    #[case::no_one("@shop.example", None)]
    #[case::two("a@b@c", None)]
    #[case::inner_space("a b@c", None)]
    #[case::nothing("", None)]
    fn an_address_is_kept_as(#[case] text: &str, #[case] want: Option<&str>) {
        assert_eq!(email(text).as_deref(), want);
    }
}
