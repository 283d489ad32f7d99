//! What every question has: the common fields, the project it is asked against, the definition it becomes.
//!
//! In: what the caller asked, the project's time zone and the clock. Out: an [`Analysis`] and the
//! *definition*: the question in full, with every default filled in.
//!
//! Invariant: nothing of a question is ignored. An unknown field is refused, a field of the
//! contract that this release cannot honour is refused with the code `unsupported`.
//!
//! Deliberately elsewhere: which questions there are (`registry`), who may ask and for which project
//! (the collector).

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::answer::{Answer, Facts};
use crate::cohort::{Among, Cohort};
use crate::currency::Currency;
use crate::kernel::{Analysis, Partial};
use crate::pair::Paired;
use crate::time_bucket::{Unit, WeekStart};

mod common;
mod error;

pub use common::{Breakdown, Common};
pub use error::QuestionError;

/// What a question is asked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The project's IANA time zone, used when the question names none.
    pub tz: String,
    /// The first day of the project's weeks, used when the question names none.
    pub week_starts: WeekStart,
    /// The currency of the project's amounts that name none, used when the question says none.
    pub currency: Option<Currency>,
    /// Our clock, Unix milliseconds: decides the default range.
    pub now_ms: i64,
}

impl Context {
    /// Of a project in UTC whose weeks start on Monday, with no currency.
    pub fn utc(now_ms: i64) -> Self {
        Self { tz: "UTC".into(), week_starts: WeekStart::Monday, currency: None, now_ms }
    }
}

/// A question, understood.
pub struct Compiled {
    /// What to scan and how to count.
    pub analysis: Box<dyn Analysis>,
    /// The question in full: every default filled in, times as RFC 3339.
    pub definition: Value,
    /// Of whom it is asked: of those who are in all of these.
    among: Vec<Cohort>,
    /// Whether it goes by what is known now: then tomorrow's answer may be another one.
    is_of_now: bool,
}

/// How often a question is asked of one snapshot at most, cohorts apart: an experiment may want every value
/// before it counts by them, and then to know why many met several variants. What the last look finds is
/// answered.
pub const LOOKS_MAX: usize = 3;

impl Compiled {
    /// A question asked of everybody.
    pub(crate) fn new(definition: Value, analysis: impl Analysis + 'static) -> Self {
        let (among, is_of_now) = (Vec::new(), false);
        Self { analysis: Box::new(analysis), definition, among, is_of_now }
    }

    /// The same, asked of those who are in a cohort, too.
    pub(crate) fn of(mut self, cohort: Cohort) -> Self {
        self.among.push(cohort);
        self
    }

    /// The same, said to go by what is known now.
    pub(crate) fn of_now(self) -> Self {
        Self { is_of_now: true, ..self }
    }

    /// A field of the definition that the question's kind does not know.
    pub(crate) fn defined(mut self, field: &str, given: Value) -> Self {
        self.definition[field] = given;
        self
    }

    /// How often a store may be asked in all.
    pub fn looks(&self) -> u32 {
        let cohorts = self.among.len() + self.analysis.cohorts().len();
        cohorts as u32 + self.analysis.looks()
    }

    /// Ask a store, first who is in the cohorts, then again as often as the question needs it, and read
    /// the answer.
    ///
    /// `scan` runs an analysis over a project's events: over one snapshot of them, however often
    /// it is called.
    ///
    /// # Errors
    /// Whatever `scan` fails with.
    pub fn ask<E>(
        &self,
        facts: &Facts,
        mut scan: impl FnMut(&dyn Analysis) -> Result<Partial, E>,
    ) -> Result<Answer, E> {
        let mut members = None;
        for cohort in &self.among {
            let found = Cohort::members(&scan(cohort)?);
            members = Some(match members {
                Some(before) => found.of(&before),
                None => found,
            });
        }
        let mut scan = |inner: &dyn Analysis| match &members {
            Some(members) => scan(&Among { inner, members: members.clone() }),
            None => scan(inner),
        };
        let mut scan = |inner: &dyn Analysis| match Paired::of(inner) {
            Some(paired) => scan(&paired),
            None => scan(inner),
        };
        let mut known = Vec::new();
        for cohort in self.analysis.cohorts() {
            known.push(Cohort::members(&scan(cohort)?));
        }
        let mut partial = Partial::default();
        let mut asked = self.analysis.knowing(known);
        for _ in 1..LOOKS_MAX {
            let analysis = asked.as_deref().unwrap_or(&*self.analysis);
            partial.merge(scan(analysis)?);
            match analysis.refine(&partial) {
                Some(next) => asked = Some(next),
                None => {
                    let answer = analysis.answer(&partial, facts);
                    return Ok(Answer { complete: answer.complete && !self.is_of_now, ..answer });
                }
            }
        }
        let analysis = asked.as_deref().unwrap_or(&*self.analysis);
        partial.merge(scan(analysis)?);
        Ok(analysis.answer(&partial, facts))
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").field("definition", &self.definition).finish_non_exhaustive()
    }
}

/// The fields of one kind, after the common ones were taken out. Unknown fields are refused.
pub(crate) fn parse<T: DeserializeOwned>(body: Map<String, Value>) -> Result<T, QuestionError> {
    serde_json::from_value(Value::Object(body))
        .map_err(|error| QuestionError::Malformed { detail: error.to_string() })
}

/// The definition: the common fields and those of the kind in one object.
pub(crate) fn definition(common: &Common, question: &impl serde::Serialize) -> Value {
    let mut all = common.definition();
    if let Ok(Value::Object(own)) = serde_json::to_value(question) {
        all.extend(own);
    }
    // Said where it changes something, and asked again then without the project.
    if all.get("bucket").is_some_and(|bucket| bucket == Unit::Week.name()) {
        all.insert("week_starts".into(), common.calendar.week_starts.name().into());
    }
    Value::Object(all)
}
