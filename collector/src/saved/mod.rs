//! Cohorts, questions, annotations and dashboards that a team keeps under a name.
//!
//! - A cohort holds rules. Every question takes it as `"cohort": "name"`, and in rules as `{"saved": "name"}`.
//! - A question holds its kind and its fields, and is asked again under its name.
//! - An annotation holds a text and a time, for whoever draws a chart.
//! - A dashboard holds saved questions, in order.
//!
//! Invariant: an answer's definition says which version of a cohort was asked and what its rules were; asked again,
//! that definition means the same, whatever became of the cohort: versions are kept for ever, in the audit trail.
//!
//! Deliberately elsewhere: what rules and questions mean (`tallymark_analysis`), the table (`meta::saved`).

pub mod board;
pub mod body;
pub mod desk;
pub mod handler;
pub mod resolve;

use crate::meta::MetaError;

/// What can be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rules about people.
    Cohort,
    /// A question with all its fields.
    Question,
    /// A text at a time.
    Annotation,
    /// Saved questions side by side.
    Dashboard,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Cohort, Self::Question, Self::Annotation, Self::Dashboard];

    /// As stored, and as the audit trail names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cohort => "cohort",
            Self::Question => "question",
            Self::Annotation => "annotation",
            Self::Dashboard => "dashboard",
        }
    }

    /// In addresses.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Cohort => "cohorts",
            Self::Question => "questions",
            Self::Annotation => "annotations",
            Self::Dashboard => "dashboards",
        }
    }

    /// The stored form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The form of addresses.
    pub fn of_plural(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == text)
    }
}

/// Why something is not saved or found.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not one of the kinds.
    #[error("{0:?} cannot be saved; there are cohorts, questions, annotations and dashboards")]
    KindUnknown(String),
    /// There is none.
    #[error(
        "there is no {kind} {1:?} in this project; GET /v1/saved/{kind}s lists them",
        kind = .0.as_str()
    )]
    Unknown(Kind, String),
    /// There is none of this version.
    #[error("the {kind} {1:?} never had version {2}", kind = .0.as_str())]
    VersionUnknown(Kind, String, u32),
    /// There is one, and the caller has not seen it.
    #[error(
        "there is a {kind} {1:?} already, with version {2}: send `version` with what you have seen to \
         replace it",
        kind = .0.as_str()
    )]
    Taken(Kind, String, u32),
    /// Somebody was quicker.
    #[error(
        "the {kind} {1:?} has version {2} by now: look at it again, then change that",
        kind = .0.as_str()
    )]
    Changed(Kind, String, u32),
    /// A field that cannot be used.
    #[error("`{0}`: {1}")]
    Wrong(&'static str, String),
    /// Too many.
    #[error("a project keeps at most {max} {kind}", kind = .0.plural(), max = desk::SAVED_MAX)]
    Full(Kind),
    /// The database failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Refused {
    /// Status and permanent code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::KindUnknown(_) => (404, "saved_kind_unknown"),
            Self::Unknown(..) => (404, "saved_unknown"),
            Self::VersionUnknown(..) => (404, "saved_version_unknown"),
            Self::Taken(..) => (409, "saved_key_taken"),
            Self::Changed(..) => (409, "saved_changed"),
            Self::Wrong(..) => (422, "saved_invalid"),
            Self::Full(_) => (422, "saved_full"),
            Self::Meta(_) => (500, "internal"),
        }
    }
}
