//! Saving, changing and removing: the rules, whoever asks.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use tallymark_analysis::compile;

use super::resolve::resolve;
use super::{Kind, Refused, body};
use crate::meta::Meta;
use crate::meta::audit::Deed;
use crate::meta::projects::Project;
use crate::meta::saved::Saved;

/// Things of one kind in a project.
pub const SAVED_MAX: usize = 1_000;
/// Characters of a note.
const NOTE_CHARS_MAX: usize = 1_000;
/// Changes of a page of the audit trail.
pub const CHANGES_PAGE: u32 = 50;

/// Somebody at work on what a project keeps of one kind.
#[derive(Debug)]
pub struct Desk<'a> {
    /// Where it is kept.
    pub meta: &'a Meta,
    /// Whose it is.
    pub project: &'a Project,
    /// What it is.
    pub kind: Kind,
    /// Unix milliseconds.
    pub now_ms: i64,
}

impl Desk<'_> {
    /// All of them, by key; of annotations those that hold within a time, if one is given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, times: Option<std::ops::Range<i64>>) -> Result<Vec<Saved>, Refused> {
        let mut all = self.meta.saved().list(self.project.id, self.kind).await?;
        if let Some(times) = times {
            all.retain(|saved| body::is_within(&saved.body, &times, &self.zone()));
        }
        Ok(all)
    }

    /// The one of this key.
    ///
    /// # Errors
    /// [`Refused::Unknown`], also for one that was removed.
    pub async fn load(&self, key: &str) -> Result<Saved, Refused> {
        let found = self.find(key).await?;
        found
            .filter(|saved| saved.removed_ms.is_none())
            .ok_or_else(|| Refused::Unknown(self.kind, key.to_owned()))
    }

    /// Save something: `version` is that of what it replaces, none for a new one.
    ///
    /// # Errors
    /// When it cannot be used, its key is taken, or somebody else changed it.
    pub async fn save(
        &self,
        key: &str,
        version: Option<u32>,
        given: Map<String, Value>,
        (actor, note): (&str, &str),
    ) -> Result<Saved, Refused> {
        body::key(key)?;
        let body = body::parse(self.kind, given, &self.zone())?;
        self.check(key, &body).await?;
        let before = self.find(key).await?;
        let is_there = before.as_ref().is_some_and(|before| before.removed_ms.is_none());
        match (&before, version) {
            (Some(before), None) if is_there => {
                return Err(Refused::Taken(self.kind, key.to_owned(), before.version));
            }
            (Some(before), Some(version)) if is_there && version != before.version => {
                return Err(Refused::Changed(self.kind, key.to_owned(), before.version));
            }
            (_, Some(_)) if !is_there => {
                return Err(Refused::Unknown(self.kind, key.to_owned()));
            }
            (_, None) if self.list(None).await?.len() >= SAVED_MAX => {
                return Err(Refused::Full(self.kind));
            }
            _ => {}
        }
        let created_ms = before.as_ref().filter(|_| is_there).map(|before| before.created_ms);
        let after = Saved {
            kind: self.kind,
            key: key.to_owned(),
            version: before.as_ref().map_or(0, |before| before.version) + 1,
            body,
            created_ms: created_ms.unwrap_or(self.now_ms),
            changed_ms: self.now_ms,
            removed_ms: None,
        };
        let action = if is_there { "update" } else { "create" };
        self.put(before.as_ref(), after, action, (actor, note)).await
    }

    /// Remove one whose `version` the caller has seen. Questions that name it are refused from then on, those that
    /// name a version of it are not.
    ///
    /// # Errors
    /// [`Refused::Unknown`] or [`Refused::Changed`].
    pub async fn remove(&self, key: &str, version: u32, actor: &str) -> Result<Saved, Refused> {
        let before = self.load(key).await?;
        if version != before.version {
            return Err(Refused::Changed(self.kind, key.to_owned(), before.version));
        }
        let after = Saved {
            version: version + 1,
            changed_ms: self.now_ms,
            removed_ms: Some(self.now_ms),
            ..before.clone()
        };
        self.put(Some(&before), after, "remove", (actor, "")).await
    }

    /// What was done to one, newest first, also after it was removed.
    ///
    /// # Errors
    /// [`Refused::Unknown`] when there never was one.
    pub async fn audit(
        &self,
        key: &str,
        before: Option<i64>,
    ) -> Result<Vec<Map<String, Value>>, Refused> {
        if self.find(key).await?.is_none() {
            return Err(Refused::Unknown(self.kind, key.to_owned()));
        }
        let (project, table) = (self.project.id, self.meta.saved());
        Ok(table.audit(project, self.kind, key, before, CHANGES_PAGE).await?)
    }

    async fn find(&self, key: &str) -> Result<Option<Saved>, Refused> {
        Ok(self.meta.saved().find(self.project.id, self.kind, key).await?)
    }

    fn zone(&self) -> TimeZone {
        TimeZone::get(&self.project.tz).unwrap_or(TimeZone::UTC)
    }

    /// That rules and questions are understood, and no cohort stands in itself.
    async fn check(&self, key: &str, body: &Map<String, Value>) -> Result<(), Refused> {
        let get = |field: &str| body.get(field).cloned().unwrap_or_default();
        let (field, kind, mut question) = match self.kind {
            Kind::Annotation | Kind::Dashboard => return Ok(()),
            Kind::Cohort => ("cohort", "trend".to_owned(), json!({ "cohort": get("cohort") })),
            Kind::Question => {
                ("question", get("kind").as_str().unwrap_or_default().to_owned(), get("question"))
            }
        };
        // Also through others: what it names may name it.
        let inside = if self.kind == Kind::Cohort { vec![key.to_owned()] } else { Vec::new() };
        resolve(self.meta, self.project.id, &mut question, inside).await?;
        let context = self.project.context(self.now_ms);
        compile(&kind, question, &context)
            .map(drop)
            .map_err(|error| Refused::Wrong(field, error.to_string()))
    }

    async fn put(
        &self,
        before: Option<&Saved>,
        after: Saved,
        action: &str,
        (actor, note): (&str, &str),
    ) -> Result<Saved, Refused> {
        if note.chars().count() > NOTE_CHARS_MAX {
            return Err(Refused::Wrong("note", format!("at most {NOTE_CHARS_MAX} characters")));
        }
        let deed = Deed { actor, action, note, at_ms: self.now_ms };
        if self.meta.saved().put(self.project.id, before, &after, deed).await? {
            return Ok(after);
        }
        let now = self.find(&after.key).await?;
        let version = now.map_or(0, |saved| saved.version);
        Err(Refused::Changed(self.kind, after.key, version))
    }
}
