//! Making and changing definitions: the rules, whoever asks.
//!
//! In: what somebody wants, from HTTP or the command line. Out: what is stored then, or [`Refused`].

use serde_json::{Map, Value};

use super::definition::{Definition, Wrong};
use super::life::{State, frozen_field};
use crate::meta::definitions::{Deed, Stored};
use crate::meta::{Meta, MetaError};
use crate::saved::{self, resolve::resolve};

/// Definitions of one project.
const DEFINITIONS_MAX: usize = 1_000;
/// Characters of a note.
const NOTE_CHARS_MAX: usize = 1_000;
/// Changes of a page of the audit trail.
pub const CHANGES_PAGE: u32 = 50;

/// Why a definition is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("there is no definition {0:?} in this project; GET /v1/experiments lists them")]
    Unknown(String),
    /// Its key is used.
    #[error(
        "there is a definition {0:?} already; keys are used once, because results are found by them"
    )]
    KeyTaken(String),
    /// A field that cannot be used.
    #[error("{}: {}", .0.field, .0.detail)]
    Wrong(Wrong),
    /// Not from here.
    #[error("{key:?} is {}; from there it can only become: {}", from.as_str(), list(*from))]
    Transition {
        /// Whose.
        key: String,
        /// Where it is.
        from: State,
    },
    /// A field that may no longer change.
    #[error(
        "`{field}` of {key:?} can no longer change, because it is {}: people would change sides, or \
         what was promised beforehand would; conclude it and make another one", state.as_str()
    )]
    Frozen {
        /// Whose.
        key: String,
        /// Which.
        field: String,
        /// Where it is.
        state: State,
    },
    /// Somebody was quicker.
    #[error("{key:?} has version {version} by now: look at it again, then change that")]
    Changed {
        /// Whose.
        key: String,
        /// The version that is stored.
        version: u32,
    },
    /// Too many.
    #[error("a project has at most {DEFINITIONS_MAX} definitions")]
    Full,
    /// The database failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl Refused {
    /// Status and permanent code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Unknown(_) => (404, "definition_unknown"),
            Self::KeyTaken(_) => (409, "definition_key_taken"),
            Self::Wrong(_) => (422, "definition_invalid"),
            Self::Transition { .. } => (409, "definition_transition_refused"),
            Self::Frozen { .. } => (409, "definition_frozen"),
            Self::Changed { .. } => (409, "definition_changed"),
            Self::Full => (422, "definitions_full"),
            Self::Meta(_) => (500, "internal"),
        }
    }
}

fn list(from: State) -> String {
    let names: Vec<_> = from.next().iter().map(|state| state.as_str()).collect();
    if names.is_empty() { "nothing any more".into() } else { names.join(", ") }
}

/// Somebody at work on the definitions of a project.
#[derive(Debug)]
pub struct Desk<'a> {
    /// Where they are kept.
    pub meta: &'a Meta,
    /// Whose they are.
    pub project: u32,
    /// Who it is, for the audit trail.
    pub actor: &'a str,
    /// Unix milliseconds.
    pub now_ms: i64,
}

impl Desk<'_> {
    /// All definitions, by key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<Stored>, Refused> {
        Ok(self.meta.definitions().list(self.project).await?)
    }

    /// The definition of this key.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub async fn load(&self, key: &str) -> Result<Stored, Refused> {
        let found = self.meta.definitions().find(self.project, key).await?;
        found.ok_or_else(|| Refused::Unknown(key.to_owned()))
    }

    /// Make a draft.
    ///
    /// # Errors
    /// When the definition cannot be used or its key is taken.
    pub async fn create(&self, json: Value) -> Result<Stored, Refused> {
        let definition = Definition::parse(json)?;
        self.check_holdout(&definition).await?;
        self.check_cohorts(&definition).await?;
        if self.list().await?.len() >= DEFINITIONS_MAX {
            return Err(Refused::Full);
        }
        let new = Stored {
            definition,
            state: State::Draft,
            version: 1,
            created_ms: self.now_ms,
            changed_ms: self.now_ms,
            started_ms: None,
            concluded_ms: None,
        };
        let made =
            self.meta.definitions().create(self.project, &new, self.deed("create", "")).await?;
        if made { Ok(new) } else { Err(Refused::KeyTaken(new.definition.key().to_owned())) }
    }

    /// Change a definition whose `version` the caller has seen.
    ///
    /// # Errors
    /// When it cannot be used, was changed by somebody else, or has begun and may not change so.
    pub async fn update(
        &self,
        key: &str,
        version: u32,
        json: Value,
        note: &str,
    ) -> Result<Stored, Refused> {
        let before = self.load(key).await?;
        let definition = Definition::parse(json)?;
        self.check_holdout(&definition).await?;
        self.check_cohorts(&definition).await?;
        let frozen = frozen_field(before.state, &before.definition.json(), &definition.json());
        if let Some(field) = frozen {
            return Err(Refused::Frozen { key: key.to_owned(), field, state: before.state });
        }
        let after = Stored { definition, ..before.clone() };
        self.replace(version, before, after, "update", note).await
    }

    /// Let it go on to another state.
    ///
    /// # Errors
    /// [`Refused::Transition`] when its life does not go that way.
    pub async fn transition(&self, key: &str, to: State, note: &str) -> Result<Stored, Refused> {
        let before = self.load(key).await?;
        if !before.state.next().contains(&to) {
            return Err(Refused::Transition { key: key.to_owned(), from: before.state });
        }
        let mut after = Stored { state: to, ..before.clone() };
        if to == State::Running && after.started_ms.is_none() {
            after.started_ms = Some(self.now_ms);
        }
        if to == State::Concluded {
            after.concluded_ms = Some(self.now_ms);
        }
        self.replace(before.version, before, after, to.as_str(), note).await
    }

    /// What was done to a definition, newest first.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub async fn audit(
        &self,
        key: &str,
        before: Option<i64>,
    ) -> Result<Vec<Map<String, Value>>, Refused> {
        self.load(key).await?;
        Ok(self.meta.definitions().audit(self.project, key, before, CHANGES_PAGE).await?)
    }

    async fn replace(
        &self,
        version: u32,
        before: Stored,
        mut after: Stored,
        action: &str,
        note: &str,
    ) -> Result<Stored, Refused> {
        if note.chars().count() > NOTE_CHARS_MAX {
            return Err(Wrong::new("note", format!("at most {NOTE_CHARS_MAX} characters")).into());
        }
        let key = before.definition.key();
        if version != before.version {
            return Err(Refused::Changed { key: key.to_owned(), version: before.version });
        }
        after.version = before.version + 1;
        after.changed_ms = self.now_ms;
        let deed = self.deed(action, note);
        if self.meta.definitions().replace(self.project, &before, &after, deed).await? {
            return Ok(after);
        }
        let version = self.load(key).await?.version;
        Err(Refused::Changed { key: key.to_owned(), version })
    }

    /// A holdout that is named exists.
    async fn check_holdout(&self, definition: &Definition) -> Result<(), Refused> {
        let Definition::Experiment(experiment) = definition else { return Ok(()) };
        let Some(key) = &experiment.holdout else { return Ok(()) };
        let found = self.meta.definitions().find(self.project, key).await?;
        match found.map(|stored| stored.definition) {
            Some(Definition::Holdout(_)) => Ok(()),
            _ => {
                Err(Wrong::new("holdout", format!("there is no holdout {key:?}; make it first"))
                    .into())
            }
        }
    }

    /// Cohorts that are named exist.
    async fn check_cohorts(&self, definition: &Definition) -> Result<(), Refused> {
        let Definition::Experiment(experiment) = definition else { return Ok(()) };
        let mut question = experiment.question().into();
        let found = resolve(self.meta, self.project, &mut question, Vec::new()).await;
        found.map_err(|refused| match refused {
            saved::Refused::Meta(error) => error.into(),
            refused => Wrong::new("analysis", refused.to_string()).into(),
        })
    }

    fn deed<'d>(&'d self, action: &'d str, note: &'d str) -> Deed<'d> {
        Deed { actor: self.actor, action, note, at_ms: self.now_ms }
    }
}
