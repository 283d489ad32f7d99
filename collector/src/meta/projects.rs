//! Projects: the tenants.

use sqlx::{Row, SqliteConnection};

use super::{Meta, MetaError};

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its number, never reused.
    pub id: u32,
    /// For people.
    pub name: String,
    /// For commands and addresses: lower case letters, digits and dashes.
    pub slug: String,
    /// IANA time zone whose calendar its days follow.
    pub tz: String,
    /// 64 hex characters, used as text; public.
    pub salt: String,
    /// Unix milliseconds.
    pub created_ms: i64,
}

/// What a person says when making a project.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// For people.
    pub name: String,
    /// For commands and addresses.
    pub slug: String,
    /// IANA time zone.
    pub tz: String,
}

/// Why a project cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Not a slug.
    #[error(
        "the slug {0:?} must be 1 to 63 lower case letters, digits or dashes, and begin with a letter or digit"
    )]
    SlugInvalid(String),
    /// Somebody has it.
    #[error("there is a project with the slug {0:?} already; `tallymark project list` shows it")]
    SlugTaken(String),
    /// Not a name.
    #[error("a project's name has 1 to 200 characters")]
    NameInvalid,
    /// Not a time zone.
    #[error("{0:?} is not a time zone; use an IANA name such as Europe/Berlin or UTC")]
    TimeZoneUnknown(String),
    /// No randomness for the salt.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// The database failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// The table of projects.
#[derive(Debug)]
pub struct Projects<'a> {
    pub(super) meta: &'a Meta,
}

impl Projects<'_> {
    /// Make a project with a salt of its own.
    ///
    /// # Errors
    /// When a field is not allowed, the slug is taken, or the database fails.
    pub async fn create(&self, new: &NewProject, now_ms: i64) -> Result<Project, CreateError> {
        if !is_slug(&new.slug) {
            return Err(CreateError::SlugInvalid(new.slug.clone()));
        }
        let name = new.name.trim();
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err(CreateError::NameInvalid);
        }
        if jiff::tz::TimeZone::get(&new.tz).is_err() {
            return Err(CreateError::TimeZoneUnknown(new.tz.clone()));
        }
        let mut salt = [0u8; 32];
        getrandom::fill(&mut salt)?;
        let salt = tallymark_protocol::hashing::to_hex(&salt);

        let inserted = sqlx::query(
            "INSERT INTO project (slug, name, tz, salt, created_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (slug) DO NOTHING RETURNING id",
        )
        .bind(&new.slug)
        .bind(name)
        .bind(&new.tz)
        .bind(&salt)
        .bind(now_ms)
        .fetch_optional(&self.meta.pool)
        .await
        .map_err(MetaError::from)?;
        let Some(row) = inserted else {
            return Err(CreateError::SlugTaken(new.slug.clone()));
        };
        let id = row.try_get("id").map_err(MetaError::from)?;
        self.meta.refresh().await?;
        Ok(Project {
            id,
            name: name.to_owned(),
            slug: new.slug.clone(),
            tz: new.tz.clone(),
            salt,
            created_ms: now_ms,
        })
    }
}

pub(super) async fn list(connection: &mut SqliteConnection) -> Result<Vec<Project>, MetaError> {
    let rows =
        sqlx::query("SELECT id, slug, name, tz, salt, created_ms FROM project ORDER BY slug")
            .fetch_all(connection)
            .await?;
    let project = |row: sqlx::sqlite::SqliteRow| {
        Ok(Project {
            id: row.try_get("id")?,
            slug: row.try_get("slug")?,
            name: row.try_get("name")?,
            tz: row.try_get("tz")?,
            salt: row.try_get("salt")?,
            created_ms: row.try_get("created_ms")?,
        })
    };
    rows.into_iter().map(project).collect()
}

fn is_slug(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("shop", true)]
    #[case::digits_and_dashes("2-shops", true)]
    #[case::longest(&"a".repeat(63), true)]
    #[case::one_too_long(&"a".repeat(64), false)]
    #[case::empty("", false)]
    #[case::upper_case("Shop", false)]
    #[case::leading_dash("-shop", false)]
    #[case::path("../shop", false)]
    fn a_slug_is(#[case] text: &str, #[case] allowed: bool) {
        assert_eq!(is_slug(text), allowed);
    }
}
