//! What must hold before an effect is to be believed, as it is answered.

use serde::Serialize;

use super::Bounds;

/// Beside the sizes of the arms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checks {
    /// People who met several variants.
    pub multiple_exposure: MultipleExposureCheck,
    /// Differences before the exposure: one per goal and arm if the question has a `covariate`.
    pub before: Vec<BiasCheck>,
    /// Whether the arms lost different shares of their events on the way; `null` where that is not known.
    pub loss: Option<LossCheck>,
    /// Experiments that people met at the same time, if the question names some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interactions: Vec<Interaction>,
}

/// Whether another experiment changes what this one does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interaction {
    /// The other one.
    pub experiment: String,
    /// A warning where the adjusted p-value is below the plan's `alpha`: then look at both together.
    pub status: CheckStatus,
    /// People of the arms who met exactly one of its variants.
    pub persons: u64,
    /// Chance that effects differ so much between its variants if it changes nothing (Cochran's Q).
    pub p_value: Option<f64>,
    /// The same, adjusted for all experiments of the question (Benjamini and Hochberg).
    pub adjusted_p_value: Option<f64>,
    /// The deciding metric's effects by its variants.
    pub effects: Vec<InteractionEffect>,
}

/// An effect among people who met one variant of another experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InteractionEffect {
    /// The arm of this experiment.
    pub variant: String,
    /// The variant of the other one.
    pub other_variant: String,
    /// Arm minus control.
    pub absolute: Option<f64>,
    /// Its interval, 95 % (Welch).
    pub absolute_interval: Option<Bounds>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Too few people to check.
    NotEnoughData,
    /// As it should be.
    Ok,
    /// Worth a look.
    Warning,
    /// It blocks the verdict.
    Failed,
}

/// Whether many people met several variants.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MultipleExposureCheck {
    /// A warning from 1 % on; from 10 % on, and a hundred people, it blocks the verdict.
    pub status: CheckStatus,
    /// Their share of the people exposed.
    pub ratio: Option<f64>,
    /// Those of them who met the variants under different kinds of identity, before and after signing in:
    /// identities that were joined. Looked at from 1 % on.
    pub joined: Option<u64>,
    /// They are left out of arms that should have different sizes: that moves the figures. Keep them
    /// where they were first instead (`multiple_exposure: "first_seen"`).
    pub is_biased: bool,
    /// By how much it moves the deciding metric, per arm that is compared with control; empty where
    /// nobody is left out, or all arms should have one size.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bias: Vec<ExclusionBias>,
}

/// What leaving people out does to an effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExclusionBias {
    /// The arm.
    pub variant: String,
    /// The difference to control if everybody stays where they were first.
    pub absolute_first_seen: Option<f64>,
    /// The difference as it is answered less that one.
    pub bias: Option<f64>,
}

/// How much of what the page loads of an arm recorded has arrived.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmLoss {
    /// The arm.
    pub variant: String,
    /// Page loads of its people of which something has arrived.
    pub page_loads: u64,
    /// Those of which something is missing.
    pub page_loads_with_gaps: u64,
    /// The share of their events that has arrived.
    pub completeness_ratio: Option<f64>,
}

/// Whether arms lost different shares of their events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LossCheck {
    /// Failed below 0.001: then it blocks the verdict.
    pub status: CheckStatus,
    /// Chance that the shares of page loads with gaps differ so much if nothing is behind it.
    pub p_value: Option<f64>,
    /// In the order of the arms.
    pub arms: Vec<ArmLoss>,
}

/// Whether an arm differed before the exposure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BiasCheck {
    /// The metric.
    pub metric: String,
    /// The arm, against control.
    pub variant: String,
    /// Failed below 0.001.
    pub status: CheckStatus,
    /// Two-sided, by Welch's test.
    pub p_value: Option<f64>,
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
    /// The same by a test that may be watched; over days, if the question asks for them.
    pub sequential_p_value: Option<f64>,
    /// Whether that one is below 0.001: worth waking somebody.
    pub alarm: bool,
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
