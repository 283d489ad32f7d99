//! Answers: what a person reads, typed, one struct per question.
//!
//! In: nothing; these are the types [`Analysis::answer`](crate::kernel::Analysis::answer) fills.
//! Out: they serialise to the fields of the HTTP contract, without a tag: the kind is in the path.
//!
//! Invariant: what is not known is `null`, never zero. Ratios are 0..=1; times end in `_ms`.
//!
//! Deliberately elsewhere: `definition`, `rows_scanned` and `elapsed_ms`, which the collector adds.

use serde::{Serialize, Serializer};

use crate::kernel::Key;

pub use crate::active::ActiveAnswer;
pub use crate::attribution::{
    Amount, AttributionAnswer, AttributionModel, AttributionTouch, TouchGroup,
};
pub use crate::completeness::{
    Completeness, CompletenessAnswer, CompletenessBrowser, CompletenessDay,
};
pub use crate::content::{ContentAnswer, ContentBucket, ContentItem};
pub use crate::experiment::answer::{
    AlwaysValid, Arm, ArmLoss, ArmMetric, BiasCheck, Bounds, CheckStatus, Checks, Code, Cuped,
    DayResult, Deciding, Effect, Excluded, ExclusionBias, ExperimentAnswer, ExperimentStatus,
    GuardrailResult, Interaction, InteractionEffect, LossCheck, MetricResult,
    MultipleExposureCheck, OpenBounds, Outlook, Reason as VerdictReason, SliceDay, SliceEffect,
    SliceResult, Srm, SrmStatus, Stratified, Verdict,
};
pub use crate::explain::answer::{
    ExplainAnswer, ExplainReason, Explained, Outcome, OutcomeCohort, OutcomeStep,
};
pub use crate::funnel::answer::{Durations, FunnelAnswer, FunnelGroup, FunnelStep};
pub use crate::lifecycle::LifecycleAnswer;
pub use crate::paths::{PathDepth, PathEdge, PathsAnswer};
pub use crate::persons::{ListedPerson, PersonAnswer, PersonEvent, PersonsAnswer};
pub use crate::presence::answer::Reason;
pub use crate::pwa::{PwaAnswer, PwaMode, PwaStage};
pub use crate::retention::{RetentionAnswer, RetentionCohort};
pub use crate::revenue::{Customers, Recurring, RevenueAnswer, RevenueCurrency, Taken};
pub use crate::sessions::{EntryPage, ExitPage, SessionsAnswer, SessionsBucket, SessionsGroup};
pub use crate::stickiness::StickinessAnswer;
pub use crate::trend::answer::{TrendAnswer, TrendSeries};

/// How long late events may change a figure: 72 hours. Before that an answer is not complete.
pub const LATENESS_MS: i64 = 72 * 3_600_000;

/// What reading a table needs to know beside the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Our clock, Unix milliseconds.
    pub now_ms: i64,
}

/// An answer, and whether late events may still change it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// True once the range, and everything that may follow it, has ended [`LATENESS_MS`] ago.
    pub complete: bool,
    /// The figures.
    pub body: AnswerBody,
}

/// The figures of any question. Serialises as the struct inside, without a tag.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is documented at its struct")]
pub enum AnswerBody {
    Trend(TrendAnswer),
    Active(ActiveAnswer),
    Funnel(FunnelAnswer),
    Retention(RetentionAnswer),
    Lifecycle(LifecycleAnswer),
    Stickiness(StickinessAnswer),
    Experiment(Box<ExperimentAnswer>),
    Content(ContentAnswer),
    Pwa(PwaAnswer),
    Completeness(CompletenessAnswer),
    Paths(PathsAnswer),
    Sessions(SessionsAnswer),
    Attribution(AttributionAnswer),
    Revenue(RevenueAnswer),
    Persons(PersonsAnswer),
    Person(PersonAnswer),
    Explain(ExplainAnswer),
}

/// What a row of a breakdown stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Everybody: there is no breakdown.
    All,
    /// One value of the property.
    Value,
    /// Events that do not carry the property.
    Absent,
    /// Every value beyond the limit.
    Other,
}

/// The value that a row of a breakdown stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GroupValue {
    /// Of one property.
    One(String),
    /// Of two, in the order of the question; `null` for events that do not carry one of them.
    Two([Option<String>; 2]),
}

impl GroupValue {
    /// The value of a key.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        let text = key.text()?;
        Some(crate::pair::parse(text).map_or_else(|| Self::One(text.to_owned()), Self::Two))
    }

    /// The text of a single value.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::One(text) => Some(text),
            Self::Two(_) => None,
        }
    }
}

/// The rows of a breakdown, in the order of every answer.
pub(crate) struct Ranked<'a, T> {
    /// By falling weight, equal ones by name.
    pub values: Vec<(&'a Key, T)>,
    /// What does not carry the property.
    pub absent: Option<T>,
    /// What has no row of its own.
    pub beyond: Vec<T>,
}

/// Put the rows of a breakdown in order.
pub(crate) fn ranked<'a, T>(
    rows: impl IntoIterator<Item = (&'a Key, T)>,
    weight: impl Fn(&T) -> f64,
    limit: usize,
) -> Ranked<'a, T> {
    let mut values: Vec<(&Key, T)> = rows.into_iter().collect();
    let absent = values.iter().position(|(key, _)| **key == Key::None);
    let absent = absent.map(|at| values.remove(at).1);
    values.sort_by(|(a, first), (b, second)| {
        weight(second).total_cmp(&weight(first)).then_with(|| a.cmp(b))
    });
    let beyond = values.split_off(limit.min(values.len()));
    Ranked { values, absent, beyond: beyond.into_iter().map(|(_, row)| row).collect() }
}

/// A figure that is a whole number when it can be: `5`, not `5.0`; `null` when it is not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure(pub Option<f64>);

impl Figure {
    /// A known figure; not-a-number and the infinities become "not known".
    pub fn known(value: f64) -> Self {
        Self(value.is_finite().then_some(value))
    }

    /// `numerator / denominator`, not known when the denominator is zero.
    pub fn ratio(numerator: f64, denominator: f64) -> Self {
        Self((denominator != 0.0).then(|| numerator / denominator))
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Below 2^53 every whole number has its own `f64`.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self.0 {
            None => serializer.serialize_none(),
            Some(value) if value.fract() == 0.0 && value.abs() < EXACT => {
                serializer.serialize_i64(value as i64)
            }
            Some(value) => serializer.serialize_f64(value),
        }
    }
}

/// `part / whole`, `None` when the whole is zero: the share of nobody is not known.
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}
