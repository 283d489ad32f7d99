//! What an experiment answers.

use serde::Serialize;

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
    /// One per metric of the question.
    pub metrics: Vec<MetricResult>,
    /// One sentence, and the rule that chose it.
    pub verdict: Verdict,
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
}

/// The test of the arms' sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Srm {
    /// What it found.
    pub status: SrmStatus,
    /// Pearson's chi squared.
    pub statistic: Option<f64>,
    /// Arms with a weight, less one.
    pub degrees_of_freedom: Option<u64>,
    /// Chance of sizes at least this uneven if the split were right.
    pub p_value: Option<f64>,
}

/// What the test of the arms' sizes found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SrmStatus {
    /// Fewer than 100 people or two arms.
    NotEnoughData,
    /// p ≥ 0.001.
    Ok,
    /// p < 0.001: something removes or adds people in one arm. It blocks the verdict.
    Mismatch,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricResult {
    /// Its name in the question.
    pub name: String,
    /// The event counted.
    pub event: String,
    /// `conversion` or `mean`.
    pub kind: String,
    /// Each arm's figures, in the order of the arms.
    pub arms: Vec<ArmMetric>,
    /// Each other arm against control.
    pub effects: Vec<Effect>,
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
}

/// Two ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "lower and upper end, both included")]
pub struct Bounds {
    pub low: f64,
    pub high: f64,
}

/// One arm against control.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
}

/// What to make of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `not_enough_data`, `invalid_srm`, `no_difference_yet`, `better`, `worse` or `mixed`.
    pub code: String,
    /// The same in a sentence.
    pub text: String,
}
