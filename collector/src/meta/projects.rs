//! Projects: the tenants.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{Row, SqliteConnection};
use tallymark_analysis::currency::Currency;
use tallymark_analysis::question::Context;
use tallymark_analysis::time_bucket::{Calendar, WeekStart};

use super::audit::{self, Deed, Whose};
use super::{Meta, MetaError, organisations};
use crate::privacy::{Mode, Preset, one_site};
use crate::usage::quotas::Quotas;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its number, never reused.
    pub id: u32,
    /// Whose it is.
    pub organisation: u32,
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
    /// What its members may change at any time.
    pub settings: Settings,
}

impl Project {
    /// As answers and the audit trail show it.
    pub fn json(&self) -> Value {
        json!({ "slug": self.slug, "name": self.name, "tz": self.tz, "salt": self.salt,
            "created_at": self.created_ms, "settings": self.settings })
    }

    /// What its questions are asked against.
    pub fn context(&self, now_ms: i64) -> Context {
        Context {
            tz: self.tz.clone(),
            week_starts: self.settings.week_starts,
            currency: self.settings.currency,
            now_ms,
        }
    }

    /// Its days and weeks. The zone was checked when it was set; a later program may know fewer.
    pub fn calendar(&self) -> Calendar {
        let tz = TimeZone::get(&self.tz).unwrap_or(TimeZone::UTC);
        Calendar { tz, week_starts: self.settings.week_starts }
    }

    /// Whether pages of this origin may send: one that is listed, or any where none is.
    pub fn takes_from(&self, origin: &str) -> bool {
        let listed = &self.settings.origins;
        listed.is_empty() || listed.iter().any(|known| known == origin)
    }
}

/// What can be set of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The origins whose pages may send, like `https://shop.example`; empty for any. It stops pages of
    /// others in browsers, not programs: those send whatever origin they like.
    pub origins: Vec<String>,
    /// How long people are known; what the preset says where it is left out, else `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Settings that hold together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// The day on which its weeks start; Monday where it is left out.
    #[serde(skip_serializing_if = "is_monday")]
    pub week_starts: WeekStart,
    /// The currency of amounts whose events name none; left out where such amounts stand by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The most that it may use of something in a day; stands before the installation's defaults.
    pub quotas: Quotas,
    /// Batches per second, on average; none for the installation's.
    pub batches_per_s: Option<u32>,
    /// The most bytes of events (names and properties) that it may have sent in all; none for as many as there are.
    pub stored_bytes: Option<u64>,
}

fn is_monday(day: &WeekStart) -> bool {
    *day == WeekStart::Monday
}

/// Origins of a project.
const ORIGINS_MAX: usize = 100;

impl Settings {
    /// Whether they can be used.
    ///
    /// # Errors
    /// [`Refused::Setting`].
    fn check(&self) -> Result<(), Refused> {
        if self.origins.len() > ORIGINS_MAX {
            return Err(Refused::Setting("origins", format!("at most {ORIGINS_MAX}")));
        }
        if self.preset == Some(Preset::Cnil) {
            if self.mode == Some(Mode::Full) {
                let detail = "the preset cnil needs cookieless, or leave it out".to_owned();
                return Err(Refused::Setting("mode", detail));
            }
            if !one_site(&self.origins) {
                let detail =
                    "the preset cnil needs the origins of one site: a host, and hosts below it";
                return Err(Refused::Setting("origins", detail.to_owned()));
            }
        }
        if self.batches_per_s == Some(0) {
            return Err(Refused::Setting("batches_per_s", "at least 1".to_owned()));
        }
        self.quotas.check().map_err(|detail| Refused::Setting("quotas", detail))?;
        let wrong = self.origins.iter().find(|origin| !is_origin(origin));
        wrong.map_or(Ok(()), |origin| {
            let detail = format!("{origin:?} is not an origin; write https://shop.example");
            Err(Refused::Setting("origins", detail))
        })
    }
}

/// Whether a text is an origin as browsers send it.
fn is_origin(text: &str) -> bool {
    let parsed = url::Url::parse(text).ok();
    parsed.is_some_and(|url| {
        ["http", "https"].contains(&url.scheme()) && url.origin().ascii_serialization() == text
    })
}

/// What somebody wants changed of a project; what is `None` stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// For people.
    pub name: Option<String>,
    /// IANA time zone.
    pub tz: Option<String>,
    /// All settings together.
    pub settings: Option<Settings>,
}

/// What a person says when making a project.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Whose it is going to be.
    pub organisation: u32,
    /// For people.
    pub name: String,
    /// For commands and addresses.
    pub slug: String,
    /// IANA time zone.
    pub tz: String,
}

/// Why a project is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not a slug.
    #[error(
        "the slug {0:?} must be 1 to 63 lower case letters, digits or dashes, and begin with a letter or digit"
    )]
    SlugInvalid(String),
    /// Somebody has it.
    #[error("there is a project with the slug {0:?} already; choose another one")]
    SlugTaken(String),
    /// Not a name.
    #[error("a project's name has 1 to 200 characters")]
    NameInvalid,
    /// Not a time zone.
    #[error("{0:?} is not a time zone; use an IANA name such as Europe/Berlin or UTC")]
    TimeZoneUnknown(String),
    /// A setting that cannot be used.
    #[error("{0}: {1}")]
    Setting(&'static str, String),
    /// No randomness for the salt.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
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
            Self::TimeZoneUnknown(_) => (422, "time_zone_unknown"),
            Self::Setting(..) => (422, "setting_invalid"),
            Self::Random(_) | Self::Meta(_) => (500, "internal"),
        }
    }
}

fn check_name(text: &str) -> Result<String, Refused> {
    let name = organisations::name(text).map_err(|_| Refused::NameInvalid)?;
    Ok(name.to_owned())
}

fn check_zone(tz: &str) -> Result<(), Refused> {
    let known = TimeZone::get(tz).is_ok();
    if known { Ok(()) } else { Err(Refused::TimeZoneUnknown(tz.to_owned())) }
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
    pub async fn create(&self, new: &NewProject, deed: Deed<'_>) -> Result<Project, Refused> {
        if !is_slug(&new.slug) {
            return Err(Refused::SlugInvalid(new.slug.clone()));
        }
        let name = check_name(&new.name)?;
        check_zone(&new.tz)?;
        let mut salt = [0u8; 32];
        getrandom::fill(&mut salt)?;
        let salt = tallymark_protocol::hashing::to_hex(&salt);

        let mut change = self.meta.change().await?;
        let id: Option<u32> = sqlx::query_scalar(
            "INSERT INTO project (organisation, slug, name, tz, salt, created_ms) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (slug) DO NOTHING RETURNING id",
        )
        .bind(new.organisation)
        .bind(&new.slug)
        .bind(&name)
        .bind(&new.tz)
        .bind(&salt)
        .bind(deed.at_ms)
        .fetch_optional(&mut *change)
        .await
        .map_err(MetaError::from)?;
        let Some(id) = id else {
            return Err(Refused::SlugTaken(new.slug.clone()));
        };
        let made = Project {
            id,
            organisation: new.organisation,
            name,
            slug: new.slug.clone(),
            tz: new.tz.clone(),
            salt,
            created_ms: deed.at_ms,
            settings: Settings::default(),
        };
        audit::note(&mut change, Whose::Project(id), "project", deed, None, Some(made.json()))
            .await?;
        self.meta.commit(change).await?;
        Ok(made)
    }

    /// Change a project.
    ///
    /// # Errors
    /// When a field is not allowed, or the database fails.
    pub async fn update(
        &self,
        before: &Project,
        wanted: Change,
        deed: Deed<'_>,
    ) -> Result<Project, Refused> {
        let mut after = before.clone();
        if let Some(name) = wanted.name {
            after.name = check_name(&name)?;
        }
        if let Some(tz) = wanted.tz {
            check_zone(&tz)?;
            after.tz = tz;
        }
        if let Some(settings) = wanted.settings {
            settings.check()?;
            after.settings = settings;
        }
        let mut change = self.meta.change().await?;
        sqlx::query("UPDATE project SET name = $2, tz = $3, settings = $4 WHERE id = $1")
            .bind(after.id)
            .bind(&after.name)
            .bind(&after.tz)
            .bind(json!(after.settings).to_string())
            .execute(&mut *change)
            .await
            .map_err(MetaError::from)?;
        let whose = Whose::Project(after.id);
        let (was, is) = (Some(before.json()), Some(after.json()));
        audit::note(&mut change, whose, "project", deed, was, is).await?;
        self.meta.commit(change).await?;
        Ok(after)
    }
}

pub(super) async fn list(connection: &mut SqliteConnection) -> Result<Vec<Project>, MetaError> {
    let rows = sqlx::query(
        "SELECT id, organisation, slug, name, tz, salt, created_ms, settings FROM project \
         ORDER BY slug",
    )
    .fetch_all(connection)
    .await?;
    let project = |row: sqlx::sqlite::SqliteRow| {
        let (id, settings): (u32, String) = (row.try_get("id")?, row.try_get("settings")?);
        Ok(Project {
            id,
            organisation: row.try_get("organisation")?,
            slug: row.try_get("slug")?,
            name: row.try_get("name")?,
            tz: row.try_get("tz")?,
            salt: row.try_get("salt")?,
            created_ms: row.try_get("created_ms")?,
            settings: serde_json::from_str(&settings)
                .map_err(|error| MetaError::Corrupt(format!("project {id}: {error}")))?,
        })
    };
    rows.into_iter().map(project).collect()
}

/// Whether a text can stand in commands and addresses.
pub(super) fn is_slug(text: &str) -> bool {
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

    #[rstest]
    #[case::plain("https://shop.example", true)]
    #[case::with_a_port("http://localhost:3000", true)]
    #[case::with_a_path("https://shop.example/", false)]
    #[case::usual_port("https://shop.example:443", false)]
    #[case::upper_case("https://Shop.example", false)]
    #[case::no_scheme("shop.example", false)]
    #[case::opaque("null", false)]
    #[case::other_scheme("file:///x", false)]
    fn an_origin_is(#[case] text: &str, #[case] allowed: bool) {
        assert_eq!(is_origin(text), allowed);
    }
}
