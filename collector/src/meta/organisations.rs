//! Organisations: who projects belong to, and where people have a role.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::audit::{self, Deed, Whose};
use super::projects::is_slug;
use super::{Meta, MetaError};

/// The organisation that is there from the first start.
pub const MAIN: u32 = 1;
/// Its slug.
pub const MAIN_SLUG: &str = "main";

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Its number, never reused.
    pub id: u32,
    /// For commands and addresses.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Unix milliseconds.
    pub created_ms: i64,
}

impl Organisation {
    /// As answers and the audit trail show it.
    pub fn json(&self) -> Value {
        json!({ "slug": self.slug, "name": self.name, "created_at": self.created_ms })
    }
}

/// Why an organisation is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not a slug.
    #[error(
        "the slug {0:?} must be 1 to 63 lower case letters, digits or dashes, and begin with a letter or digit"
    )]
    SlugInvalid(String),
    /// Somebody has it.
    #[error("there is an organisation with the slug {0:?} already")]
    SlugTaken(String),
    /// Not a name.
    #[error("a name has 1 to 200 characters")]
    NameInvalid,
    /// The database failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Refused {
    /// Status and permanent code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::SlugInvalid(_) => (422, "slug_invalid"),
            Self::SlugTaken(_) => (409, "slug_taken"),
            Self::NameInvalid => (422, "name_invalid"),
            Self::Meta(_) => (500, "internal"),
        }
    }
}

/// A name as it is kept.
///
/// # Errors
/// [`Refused::NameInvalid`].
pub fn name(text: &str) -> Result<&str, Refused> {
    let name = text.trim();
    let fits =
        !name.is_empty() && name.chars().count() <= 200 && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(Refused::NameInvalid) }
}

/// The table of organisations.
#[derive(Debug)]
pub struct Organisations<'a> {
    pub(super) meta: &'a Meta,
}

impl Organisations<'_> {
    /// Make an organisation.
    ///
    /// # Errors
    /// When a field is not allowed, the slug is taken, or the database fails.
    pub async fn create(
        &self,
        slug: &str,
        display: &str,
        deed: Deed<'_>,
    ) -> Result<Organisation, Refused> {
        if !is_slug(slug) {
            return Err(Refused::SlugInvalid(slug.to_owned()));
        }
        let name = name(display)?;
        let mut change = self.meta.change().await?;
        let id: Option<u32> = sqlx::query_scalar(
            "INSERT INTO organisation (slug, name, created_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (slug) DO NOTHING RETURNING id",
        )
        .bind(slug)
        .bind(name)
        .bind(deed.at_ms)
        .fetch_optional(&mut *change)
        .await
        .map_err(MetaError::from)?;
        let Some(id) = id else { return Err(Refused::SlugTaken(slug.to_owned())) };
        let made = Organisation {
            id,
            slug: slug.to_owned(),
            name: name.to_owned(),
            created_ms: deed.at_ms,
        };
        let whose = Whose::Organisation(id);
        audit::note(&mut change, whose, "organisation", deed, None, Some(made.json())).await?;
        self.meta.commit(change).await?;
        Ok(made)
    }

    /// Give it another name.
    ///
    /// # Errors
    /// When it is no name, or the database fails.
    pub async fn rename(
        &self,
        before: &Organisation,
        display: &str,
        deed: Deed<'_>,
    ) -> Result<Organisation, Refused> {
        let after = Organisation { name: name(display)?.to_owned(), ..before.clone() };
        let mut change = self.meta.change().await?;
        sqlx::query("UPDATE organisation SET name = $2 WHERE id = $1")
            .bind(after.id)
            .bind(&after.name)
            .execute(&mut *change)
            .await
            .map_err(MetaError::from)?;
        let whose = Whose::Organisation(after.id);
        let (was, is) = (Some(before.json()), Some(after.json()));
        audit::note(&mut change, whose, "organisation", deed, was, is).await?;
        self.meta.commit(change).await?;
        Ok(after)
    }
}

pub(super) async fn list(
    connection: &mut SqliteConnection,
) -> Result<Vec<Organisation>, MetaError> {
    let rows = sqlx::query("SELECT id, slug, name, created_ms FROM organisation ORDER BY slug")
        .fetch_all(connection)
        .await?;
    let read = |row: &SqliteRow| {
        Ok(Organisation {
            id: row.try_get("id")?,
            slug: row.try_get("slug")?,
            name: row.try_get("name")?,
            created_ms: row.try_get("created_ms")?,
        })
    };
    rows.iter().map(read).collect()
}
