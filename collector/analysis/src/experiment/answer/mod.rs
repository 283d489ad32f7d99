//! What an experiment answers.

use serde::Serialize;

mod checks;

pub use crate::stats::decision::{Code, Reason};
pub use checks::{
    ArmLoss, BiasCheck, CheckStatus, Checks, ExclusionBias, Interaction, InteractionEffect,
    LossCheck, MultipleExposureCheck, Srm, SrmStatus,
};

/// The result of an experiment so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExperimentAnswer {
    /// Its key.
    pub experiment: String,
    /// The baseline arm; `null` when nobody was exposed and the question names none.
    pub control: Option<String>,
    /// Whether the figures may be read as a result.
    pub status: ExperimentStatus,
    /// The arms, control first, then by key.
    pub arms: Vec<Arm>,
    /// Who is left out, and why; what looks wrong.
    pub excluded: Excluded,
    /// Sample ratio mismatch: do the arms have the sizes they should have?
    pub srm: Srm,
    /// What else must hold before an effect may be believed.
    pub checks: Checks,
    /// One per metric of the question.
    pub metrics: Vec<MetricResult>,
    /// The same by values of properties at the first exposure, if the question asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceResult>,
    /// The same by day of the first exposure, if the question asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<DayResult>,
    /// What the deciding metric can show so far: one per arm that is compared with control.
    pub outlook: Vec<Outlook>,
    /// One sentence, and the rule that chose it.
    pub verdict: Verdict,
}

/// What the people so far can show, by the method of the verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outlook {
    /// The arm.
    pub variant: String,
    /// The lift worth finding, if the plan names one.
    pub lift: Option<f64>,
    /// The chance that it is found with the people so far.
    pub power: Option<f64>,
    /// The smallest lift that is found with the planned power and the people so far.
    pub smallest_lift: Option<f64>,
    /// People of all arms that it takes to find the lift worth finding, else the one that was seen;
    /// `null` where no number of people is large enough.
    pub persons: Option<u64>,
    /// How many of them are still to come.
    pub persons_more: Option<u64>,
    /// About how many days that takes at the pace so far.
    pub days_more: Option<u64>,
}

/// One value of a slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SliceResult {
    /// The properties.
    pub slice: Vec<String>,
    /// Their values; `null` for people without one.
    pub value: Vec<Option<String>>,
    /// People of each arm, in the order of the arms.
    pub persons: Vec<u64>,
    /// Chance that the arms have sizes this uneven here if the split were right, adjusted for all values
    /// of the slice (Holm): where a mismatch comes from.
    pub srm_p_value: Option<f64>,
    /// As for everybody. Adjusted p-values are over all values of the slice.
    pub metrics: Vec<MetricResult>,
    /// Values of the slice that are not listed: those with the fewest people.
    pub values_not_listed: usize,
    /// The deciding metric up to each day, if the question asks for days.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<SliceDay>,
}

/// One value of a slice, up to one day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SliceDay {
    /// The day of the first exposure, in the question's time zone.
    pub day: String,
    /// People of each arm first exposed on it or before, in the order of the arms.
    pub persons: Vec<u64>,
    /// One per arm that is compared with control.
    pub effects: Vec<SliceEffect>,
}

/// The deciding metric's effect among some people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SliceEffect {
    /// The arm.
    pub variant: String,
    /// Arm minus control.
    pub absolute: Option<f64>,
    /// Where the difference lies, however often somebody looks.
    pub always_valid_interval: Option<Bounds>,
}

/// One day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DayResult {
    /// The day of the first exposure, in the question's time zone.
    pub day: String,
    /// People first exposed on it.
    pub metrics: Vec<MetricResult>,
    /// People first exposed on it or before, with everything they did since.
    pub cumulative: Vec<MetricResult>,
}

/// Whether the figures may be read as a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentStatus {
    /// Fewer than two arms with people, or no variation to compare yet.
    NotEnoughData,
    /// The arms do not have the sizes they should have: no effect is to be believed.
    SampleRatioMismatch,
    /// There is a difference with an interval.
    Readable,
}

/// One variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arm {
    /// Its key.
    pub variant: String,
    /// People whose first exposure was to it and who saw no other.
    pub persons: u64,
    /// The share of people it should have.
    pub expected_ratio: Option<f64>,
    /// The share that Thompson sampling would give it from here on: its chance to be the best in the
    /// deciding metric, one in a hundred at least. A suggestion; nothing follows it by itself.
    pub suggested_ratio: Option<f64>,
}

/// Who does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Excluded {
    /// People exposed to two variants or more: in no arm.
    pub multi_variant: u64,
    /// People exposed only to variants that the question does not list.
    pub unknown_variant: u64,
    /// Conversions that named another variant than the one the person was exposed to. They count
    /// for the exposed one.
    pub variant_mismatch: u64,
    /// People whose window has not ended, if the question leaves them out.
    pub in_progress: u64,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricResult {
    /// Its name in the question.
    pub name: String,
    /// The event counted.
    pub event: String,
    /// `conversion`, `mean`, `revenue`, `count`, `ratio`, `quantile`, `retention` or `funnel`.
    pub kind: String,
    /// `goal` or `guardrail`.
    pub role: String,
    /// Each arm's figures, in the order of the arms.
    pub arms: Vec<ArmMetric>,
    /// Each other arm against control.
    pub effects: Vec<Effect>,
    /// The values at which people's figures were cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capped_at: Option<OpenBounds>,
}

/// One arm's figures of one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmMetric {
    /// The arm.
    pub variant: String,
    /// People in it.
    pub persons: u64,
    /// People who converted (did the event at least once after their exposure).
    pub conversions: u64,
    /// `conversions / persons`.
    pub rate: Option<f64>,
    /// Wilson interval of the rate, 95 %.
    pub rate_interval: Option<Bounds>,
    /// Sum of the values over the arm's people; for a conversion metric without values, `null`.
    pub sum: Option<f64>,
    /// `sum / persons`, people without a value counted as zero.
    pub mean: Option<f64>,
    /// The figure that is compared: the rate, the mean, the ratio or the quantile.
    pub value: Option<f64>,
    /// Of a quantile: the values it is taken of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
}

/// Two ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "lower and upper end, both included")]
pub struct Bounds {
    pub low: f64,
    pub high: f64,
}

/// Two ends, `null` where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "lower and upper end")]
pub struct OpenBounds {
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// What holds at every look.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlwaysValid {
    /// Where the difference lies.
    pub absolute_interval: Option<Bounds>,
    /// Where the lift lies.
    pub lift_interval: Option<Bounds>,
    /// Of the difference.
    pub p_value: f64,
}

/// What the verdict goes by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deciding {
    /// The p-value is evidence below this, after the arms have shared it.
    pub level: f64,
    /// Of the difference.
    pub p_value: f64,
    /// Where the difference lies.
    pub absolute_interval: Option<Bounds>,
}

/// How an effect was put together from strata.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stratified {
    /// How many; those without two people in an arm count as one.
    pub strata: usize,
    /// The difference without them.
    pub unadjusted: f64,
}

/// How an effect was adjusted by what people did before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cuped {
    /// How much of the past is taken off.
    pub theta: f64,
    /// The share of the variance that is gone.
    pub variance_reduction: Option<f64>,
    /// The difference without it.
    pub unadjusted: f64,
}

/// Whether a guardrail holds, by a fixed test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardrailResult {
    /// How much worse is acceptable, as a share of control's figure.
    pub margin: f64,
    /// One-sided, against the margin.
    pub p_value: f64,
    /// Whether worse than the margin can be ruled out.
    pub is_non_inferior: bool,
}

/// One arm against control.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Effect {
    /// The arm.
    pub variant: String,
    /// Against which arm.
    pub control: String,
    /// `ok`, or why there is no figure: `no_units`, `baseline_zero`, `zero_variance`.
    pub status: String,
    /// Arm minus control: of rates for a conversion, of means for a mean.
    pub absolute: Option<f64>,
    /// Its interval, 95 % (Welch).
    pub absolute_interval: Option<Bounds>,
    /// The difference divided by the control's rate or mean.
    pub lift: Option<f64>,
    /// Its interval, 95 %, by the delta method.
    pub lift_interval: Option<Bounds>,
    /// Two-sided, of the absolute difference.
    pub p_value: Option<f64>,
    /// Of the difference of two rates, right at small counts too (Newcombe).
    pub newcombe_interval: Option<Bounds>,
    /// Of the lift, where the baseline is too uncertain for the delta method (Fieller).
    pub fieller_interval: Option<OpenBounds>,
    /// The same for looks before the end.
    pub always_valid: Option<AlwaysValid>,
    /// What the verdict goes by, by the method of the question; `null` where this look may not decide.
    pub deciding: Option<Deciding>,
    /// Chance that the arm is better, with a flat prior.
    pub chance_to_win: Option<f64>,
    /// What shipping the arm costs on average if it is worse, in the unit of `absolute`.
    pub loss_of_shipping: Option<f64>,
    /// What keeping control costs on average if the arm is better.
    pub loss_of_keeping: Option<f64>,
    /// `p_value` adjusted for all goals and arms, as `adjust` says.
    pub adjusted_p_value: Option<f64>,
    /// The interval that goes with it.
    pub adjusted_interval: Option<Bounds>,
    /// If the question has a `covariate`: then all figures of the effect but Newcombe's and Fieller's
    /// are adjusted by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuped: Option<Cuped>,
    /// If the question has `strata`, and the metric is one of people: likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratified: Option<Stratified>,
    /// Of a guardrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<GuardrailResult>,
}

/// What to make of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `ship`, `do_not_ship`, `keep_running`, `invalid` or `not_enough_data`.
    pub code: Code,
    /// The rule that said so.
    pub reason: Reason,
    /// The arm it is about.
    pub variant: Option<String>,
    /// The same in a sentence.
    pub text: String,
    /// About how many people more it takes.
    pub persons_more: Option<u64>,
    /// About how many days more, at the pace so far.
    pub days_more: Option<u64>,
}
