//! What may be asked about an experiment, and what is refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::question::QuestionError;
use crate::stats::decision::Method;
use crate::stats::non_inferiority::Preferred;
use crate::stats::winsorize::Cap;
use crate::time_bucket::duration_ms;

/// Metrics of one question.
const MAX_METRICS: usize = 20;
/// Variants of one experiment.
const MAX_VARIANTS: usize = 50;
/// Steps of one funnel.
const MAX_STEPS: usize = 20;
/// Splits of one question.
const MAX_SLICES: usize = 10;
/// Days after the exposure that a retention may look at.
const MAX_DAY: u32 = 1_000;

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
    /// Whether effects by day of exposure are wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) daily: bool,
    #[serde(default)]
    pub(super) method: Method,
    #[serde(default)]
    pub(super) plan: PlanAsked,
}

/// What was agreed before the start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PlanAsked {
    /// The end: the fixed test decides on a range that ends here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ends: Option<String>,
    /// People of all arms together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) persons: Option<u64>,
    /// The lift worth finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lift: Option<f64>,
    pub(super) power: f64,
    pub(super) alpha: f64,
}

impl Default for PlanAsked {
    fn default() -> Self {
        Self { ends: None, persons: None, lift: None, power: 0.8, alpha: 0.05 }
    }
}

/// A property, or two whose values are taken together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Slice {
    One(String),
    Two([String; 2]),
}

impl Slice {
    pub(super) fn props(&self) -> &[String] {
        match self {
            Self::One(prop) => std::slice::from_ref(prop),
            Self::Two(props) => props,
        }
    }
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

/// What a metric is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// It is to be won; the first goal decides.
    #[default]
    Goal,
    /// It must not suffer.
    Guardrail,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metric {
    pub(super) name: Option<String>,
    /// `null`: any of the conversion events.
    pub(super) event: Option<String>,
    #[serde(default)]
    pub(super) kind: Kind,
    /// The number that is added up.
    pub(super) prop: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    pub(super) filter: Value,
    /// Of a ratio: what its denominator adds up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) denominator: Option<Counted>,
    /// Of a quantile: which, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quantile: Option<f64>,
    /// Of a retention: the first and the last day after the exposure, both included; day 1 begins 24
    /// hours after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) days: Option<[u32; 2]>,
    /// Of a funnel: its steps, one after the other after the exposure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<Counted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cap: Option<Cap>,
    #[serde(default)]
    pub(super) role: Role,
    #[serde(default)]
    pub(super) preferred: Preferred,
    /// Of a guardrail: how much worse is acceptable, as a share of control's figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) margin: Option<f64>,
}

/// Events, and the number of each that is added up (1 without a property).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counted {
    pub(super) event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prop: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    pub(super) filter: Value,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Whether a person did it.
    #[default]
    #[serde(alias = "proportion")]
    Conversion,
    /// A number per person.
    Mean,
    /// The same, of money.
    Revenue,
    /// How often a person did it.
    Count,
    /// One sum over another.
    Ratio,
    /// A quantile of the events' values.
    Quantile,
    /// Whether a person came back in certain days.
    Retention,
    /// Whether a person went all steps.
    Funnel,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Conversion => "conversion",
            Self::Mean => "mean",
            Self::Revenue => "revenue",
            Self::Count => "count",
            Self::Ratio => "ratio",
            Self::Quantile => "quantile",
            Self::Retention => "retention",
            Self::Funnel => "funnel",
        }
    }

    /// Whether a person has it or not.
    pub(super) fn is_yes_or_no(self) -> bool {
        matches!(self, Self::Conversion | Self::Retention | Self::Funnel)
    }

    /// Whether it adds up a number of each event.
    fn needs_prop(self) -> bool {
        matches!(self, Self::Mean | Self::Revenue | Self::Quantile)
    }
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
            && self.multiple_exposure == MultipleExposure::Exclude
            && self.in_progress == InProgress::Include
            && self.slices.is_empty()
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
        if self.slices.iter().flat_map(Slice::props).any(String::is_empty) {
            return wrong("slices", "a slice is the name of a property, or of two");
        }
        if !self.variants.is_empty() {
            count("variants of an experiment", self.variants.len(), 2, MAX_VARIANTS)?;
        }
        let keys: std::collections::BTreeSet<&str> =
            self.variants.iter().map(|variant| variant.key.as_str()).collect();
        if keys.len() < self.variants.len() {
            return wrong("variants", "every key once");
        }
        let right = |variant: &Variant| variant.weight > 0.0 && variant.weight.is_finite();
        if !self.variants.iter().all(right) {
            return wrong("variants", "weights are numbers above zero");
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

impl PlanAsked {
    fn check(&self, method: Method) -> Result<(), QuestionError> {
        let share = |value: f64| value > 0.0 && value < 1.0;
        if !share(self.alpha) || !share(self.power) || self.alpha > 0.5 {
            return wrong("plan", "`alpha` lies between 0 and 0.5, `power` between 0 and 1");
        }
        if self.persons == Some(0) || self.lift.is_some_and(|lift| lift == 0.0 || !lift.is_finite())
        {
            return wrong("plan", "`persons` and `lift` are not zero");
        }
        if method != Method::Sequential && self.ends.is_none() {
            return wrong("plan", "a fixed test needs its planned end, in `plan.ends`");
        }
        Ok(())
    }
}

impl Metric {
    fn check(&mut self) -> Result<(), QuestionError> {
        if self.kind.needs_prop() && self.prop.is_none() {
            self.prop = Some("value".into());
        }
        let fits = |field: &'static str, given: bool, wanted: bool| match (given, wanted) {
            (true, false) => wrong(field, "this kind of metric has none"),
            (false, true) => wrong(field, "this kind of metric needs it"),
            _ => Ok(()),
        };
        fits("denominator", self.denominator.is_some(), self.kind == Kind::Ratio)?;
        fits("quantile", self.quantile.is_some(), self.kind == Kind::Quantile)?;
        fits("days", self.days.is_some(), self.kind == Kind::Retention)?;
        fits("steps", !self.steps.is_empty(), self.kind == Kind::Funnel)?;
        fits("event", self.event.is_some(), self.event.is_some() && self.kind != Kind::Funnel)?;
        count("steps of a funnel", self.steps.len(), 0, MAX_STEPS)?;
        if self.steps.iter().any(|step| step.prop.is_some()) {
            return wrong("steps", "a step adds up nothing");
        }
        if self.quantile.is_some_and(|nu| !(nu > 0.0 && nu < 1.0)) {
            return wrong("quantile", "it lies between 0 and 1");
        }
        if self.days.is_some_and(|[first, last]| first > last || last > MAX_DAY) {
            return wrong("days", "the first and the last day, 1000 at most");
        }
        if let Some(cap) = self.cap {
            if matches!(self.kind, Kind::Quantile) || self.kind.is_yes_or_no() {
                return wrong("cap", "this kind of metric has none");
            }
            if let Err(error) = cap.checked() {
                return wrong("cap", &error.detail);
            }
        }
        if self.margin.is_some_and(|margin| !(margin >= 0.0 && margin.is_finite())) {
            return wrong("margin", "a share from 0 on, such as 0.02");
        }
        if self.margin.is_some() && self.role != Role::Guardrail {
            return wrong("margin", "guardrails have one");
        }
        Ok(())
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
