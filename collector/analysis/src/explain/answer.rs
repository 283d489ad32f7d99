//! What an explanation answers.

use serde::Serialize;

/// Where two rules differ, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainAnswer {
    /// The two rules, in the order they were given.
    pub rules: [String; 2],
    /// People whom either of them counts.
    pub persons: u64,
    /// Those of whom they make something else.
    pub differing: u64,
    /// Why, the most frequent first. A person may have several reasons.
    pub reasons: Vec<ExplainReason>,
    /// A page of the people they differ over, by name.
    pub people: Vec<Explained>,
    /// What `after` gives the next page; `null` when this is the last.
    pub next: Option<String>,
}

/// A difference between the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainReason {
    /// Permanent, in snake case.
    pub code: &'static str,
    /// Which of the rules has it.
    pub rule: String,
    /// What that rule does and the other does not.
    pub text: &'static str,
    /// People for whom it matters.
    pub persons: u64,
}

/// A person of whom the rules make something else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Their name in every answer.
    pub person: String,
    /// The codes of the reasons.
    pub why: Vec<&'static str>,
    /// What each rule makes of them, in the order of `rules`.
    pub outcomes: [Outcome; 2],
}

/// What a rule makes of a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// In a funnel.
    Funnel {
        /// Steps reached; 0 when the rule does not count them.
        reached: usize,
        /// The events of the chain that counts.
        steps: Vec<OutcomeStep>,
    },
    /// In retention.
    Retention {
        /// The cohorts they are in.
        cohorts: Vec<OutcomeCohort>,
    },
}

/// An event of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutcomeStep {
    /// Counted from 1.
    pub step: usize,
    /// The step's event, `null` for any.
    pub event: Option<String>,
    /// When, Unix milliseconds.
    pub at: i64,
}

/// A cohort that a person is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutcomeCohort {
    /// Its first local day.
    pub from: String,
    /// From when periods are counted, Unix milliseconds: the start, or the beginning of its hour.
    pub start: i64,
    /// The periods in which they count as returned.
    pub returned: Vec<usize>,
}
