//! What may be asked about an experiment, and what is refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::question::QuestionError;
use crate::stats::decision::Method;
use crate::time_bucket::duration_ms;

mod metric;
mod plan;

pub(super) use metric::{Counted, Kind, Metric, Role};
pub(super) use plan::{PlanAsked, Schedule};

/// Metrics of one question.
const MAX_METRICS: usize = 20;
/// Variants of one experiment.
const MAX_VARIANTS: usize = 50;
/// Splits of one question.
const MAX_SLICES: usize = 10;
/// Other experiments of one question.
const MAX_INTERACTIONS: usize = 50;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    pub(super) experiment: String,
    #[serde(default)]
    pub(super) metrics: Vec<Metric>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) variants: Vec<Variant>,
    pub(super) control: Option<String>,
    pub(super) window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delay: Option<String>,
    /// How far before the exposure the same values are taken to adjust by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) covariate: Option<String>,
    #[serde(default)]
    pub(super) multiple_exposure: MultipleExposure,
    #[serde(default)]
    pub(super) in_progress: InProgress,
    /// Each a property, or two at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) slices: Vec<Slice>,
    /// Keys of other experiments: whether they change what this one does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) interactions: Vec<String>,
    /// Whether effects by day of exposure are wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) daily: bool,
    /// A property, or two, whose values are compared each for itself and then weighed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) strata: Option<Slice>,
    /// Whether the answer says how complete the page loads of each arm are. The collector adds it, and
    /// lets it block the verdict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    loss: bool,
    #[serde(default)]
    pub(super) method: Method,
    #[serde(default)]
    pub(super) adjust: Adjust,
    #[serde(default)]
    pub(super) plan: PlanAsked,
}

/// One way to tell people apart, or two taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Slice {
    Two([Cut; 2]),
    One(Cut),
}

/// A property, by its value at the first exposure, or a cohort, by who was in it at the start of the range:
/// what an experiment changes is no way to tell its people apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Value")]
pub(super) enum Cut {
    Prop(String),
    Cohort(CohortCut),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CohortCut {
    pub(super) cohort: Value,
    /// What the answer calls it.
    #[serde(default = "cohort_name")]
    pub(super) name: String,
}

impl TryFrom<Value> for Cut {
    type Error = String;

    /// A text or an object; a list is none of both.
    fn try_from(given: Value) -> Result<Self, String> {
        match given {
            Value::String(prop) => Ok(Self::Prop(prop)),
            Value::Object(_) => serde_json::from_value(given)
                .map(Self::Cohort)
                .map_err(|error| format!("a cohort is {{\"cohort\", \"name\"}}: {error}")),
            other => Err(format!("a property or a cohort, not {other}")),
        }
    }
}

fn cohort_name() -> String {
    "cohort".into()
}

impl Slice {
    pub(super) fn cuts(&self) -> &[Cut] {
        match self {
            Self::One(cut) => std::slice::from_ref(cut),
            Self::Two(cuts) => cuts,
        }
    }
}

impl Cut {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Prop(name) | Self::Cohort(CohortCut { name, .. }) => name,
        }
    }
}

/// How p-values of several goals and arms are adjusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Adjust {
    /// The whole family errs seldom.
    #[default]
    Holm,
    /// The same, each by itself.
    Bonferroni,
    /// Of what is found, few are false.
    BenjaminiHochberg,
    /// Half of the error for the first goal, which the verdict then goes by; the others share the rest.
    PreferentialBonferroni,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MultipleExposure {
    /// Who met two variants is in no arm.
    #[default]
    Exclude,
    /// They stay where they were first.
    FirstSeen,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InProgress {
    /// People whose window has not ended count with what they did so far.
    #[default]
    Include,
    /// They do not count yet.
    Exclude,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variant {
    pub(super) key: String,
    #[serde(default = "equal")]
    pub(super) weight: f64,
}

fn equal() -> f64 {
    1.0
}

impl Question {
    /// Whether the fast kernel for conversions and means is enough.
    pub(super) fn is_plain(&self) -> bool {
        let plain = |metric: &Metric| {
            matches!(metric.kind, Kind::Conversion | Kind::Mean | Kind::Revenue)
                && metric.cap.is_none()
        };
        self.delay.is_none()
            && self.covariate.is_none()
            && self.strata.is_none()
            && self.multiple_exposure == MultipleExposure::Exclude
            && self.in_progress == InProgress::Include
            && self.slices.is_empty()
            && self.interactions.is_empty()
            && !self.daily
            && self.metrics.iter().all(plain)
    }

    /// A duration of the question in milliseconds.
    pub(super) fn span_ms(
        field: &str,
        span: Option<&String>,
    ) -> Result<Option<i64>, QuestionError> {
        span.map(|span| duration_ms(field, span)).transpose()
    }

    /// From the exposure to where values begin to count. `-1h` reaches back before it, for exposures that
    /// are reported late.
    pub(super) fn delay_ms(&self) -> Result<i64, QuestionError> {
        let Some(delay) = &self.delay else { return Ok(0) };
        match delay.trim().strip_prefix('-') {
            Some(back) => duration_ms("delay", back).map(|ms| -ms),
            None => duration_ms("delay", delay),
        }
    }

    /// Fill in the defaults that depend on other fields, and refuse what makes no sense.
    pub(super) fn check(&mut self) -> Result<(), QuestionError> {
        if self.experiment.is_empty() {
            return wrong("experiment", "give the key of the experiment");
        }
        if self.metrics.is_empty() {
            let name = Some("conversion".into());
            self.metrics.push(Metric { name, ..Metric::default() });
        }
        count("metrics of an experiment", self.metrics.len(), 1, MAX_METRICS)?;
        for metric in &mut self.metrics {
            metric.check()?;
        }
        if self.metrics[0].role != Role::Goal {
            return wrong("metrics", "the first metric is the goal that decides");
        }
        count("slices of an experiment", self.slices.len(), 0, MAX_SLICES)?;
        let cuts = self.slices.iter().chain(&self.strata).flat_map(Slice::cuts);
        if cuts.map(Cut::name).any(str::is_empty) {
            return wrong(
                "slices",
                "a slice is a property or a cohort with a name, or two of them",
            );
        }
        count("interactions of an experiment", self.interactions.len(), 0, MAX_INTERACTIONS)?;
        let others: std::collections::BTreeSet<&String> = self.interactions.iter().collect();
        let is_other = |key: &&String| !key.is_empty() && **key != self.experiment;
        if others.len() < self.interactions.len() || !others.iter().all(is_other) {
            return wrong("interactions", "give the keys of other experiments, each once");
        }
        if self.strata.is_some() && self.covariate.is_some() {
            return wrong("strata", "adjust by `strata` or by a `covariate`, not by both");
        }
        if !self.variants.is_empty() {
            count("variants of an experiment", self.variants.len(), 2, MAX_VARIANTS)?;
        }
        let keys: std::collections::BTreeSet<&str> =
            self.variants.iter().map(|variant| variant.key.as_str()).collect();
        if keys.len() < self.variants.len() {
            return wrong("variants", "every key once");
        }
        let right = |variant: &Variant| variant.weight >= 0.0 && variant.weight.is_finite();
        let is_empty = self.variants.iter().all(|variant| variant.weight == 0.0);
        if !self.variants.iter().all(right) || is_empty && !self.variants.is_empty() {
            return wrong("variants", "weights are numbers from zero on, one at least above zero");
        }
        if let Some(control) = &self.control
            && !keys.is_empty()
            && !keys.contains(control.as_str())
        {
            return wrong("control", "it must be one of the variants");
        }
        if self.in_progress == InProgress::Exclude && self.window.is_none() {
            return wrong("in_progress", "without a `window` nobody is ever done");
        }
        self.plan.check(self.method)
    }
}

fn wrong(field: &'static str, detail: &str) -> Result<(), QuestionError> {
    Err(QuestionError::Field { field, detail: detail.into() })
}

fn count(what: &'static str, got: usize, min: usize, max: usize) -> Result<(), QuestionError> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(QuestionError::Count { what, got, min, max })
}
