//! A metric, and what each kind of it takes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{count, wrong};
use crate::question::QuestionError;
use crate::stats::non_inferiority::Preferred;
use crate::stats::winsorize::Cap;

/// Steps of one funnel.
const MAX_STEPS: usize = 20;
/// Days after the exposure that a retention may look at.
const MAX_DAY: u32 = 1_000;

/// What a metric is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Role {
    /// It is to be won; the first goal decides.
    #[default]
    Goal,
    /// It must not suffer.
    Guardrail,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Metric {
    pub(in super::super) name: Option<String>,
    /// `null`: any of the conversion events.
    pub(in super::super) event: Option<String>,
    #[serde(default)]
    pub(in super::super) kind: Kind,
    /// The number that is added up.
    pub(in super::super) prop: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    pub(in super::super) filter: Value,
    /// Of a ratio: what its denominator adds up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) denominator: Option<Counted>,
    /// Of a quantile: which, between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) quantile: Option<f64>,
    /// Of a retention: the first and the last day after the exposure, both included; day 1 begins 24
    /// hours after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) days: Option<[u32; 2]>,
    /// Of a funnel: its steps, one after the other after the exposure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in super::super) steps: Vec<Counted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) cap: Option<Cap>,
    #[serde(default)]
    pub(in super::super) role: Role,
    #[serde(default)]
    pub(in super::super) preferred: Preferred,
    /// Of a guardrail: how much worse is acceptable, as a share of control's figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) margin: Option<f64>,
}

/// Events, and the number of each that is added up (1 without a property).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Counted {
    pub(in super::super) event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) prop: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    pub(in super::super) filter: Value,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Kind {
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
    pub(in super::super) fn name(self) -> &'static str {
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
    pub(in super::super) fn is_yes_or_no(self) -> bool {
        matches!(self, Self::Conversion | Self::Retention | Self::Funnel)
    }

    /// Whether it adds up a number of each event.
    fn needs_prop(self) -> bool {
        matches!(self, Self::Mean | Self::Revenue | Self::Quantile)
    }
}

impl Metric {
    pub(super) fn check(&mut self) -> Result<(), QuestionError> {
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
