//! What a funnel answers.

use serde::Serialize;

use crate::answer::Group;

/// How many people came how far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelAnswer {
    /// The steps, for everybody.
    pub steps: Vec<FunnelStep>,
    /// The same per value of the breakdown property at the start: values by falling number of
    /// entries, then the rest. Empty without a breakdown.
    pub breakdown: Vec<FunnelGroup>,
    /// From step 1 to the last step, of those who completed.
    pub time_to_convert: Durations,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelStep {
    /// Counted from 1.
    pub step: usize,
    /// The event, `null` for any event.
    pub event: Option<String>,
    /// People who did this step and all before it.
    pub persons: u64,
    /// Share of those who entered; `null` when nobody did.
    pub conversion_ratio: Option<f64>,
    /// Share of those who did the step before; `null` when nobody did, 1 for step 1.
    pub from_previous_ratio: Option<f64>,
    /// Median time since the step before, of those who came this far.
    pub median_ms: Option<f64>,
    /// 90 % took at most this long since the step before.
    pub p90_ms: Option<f64>,
}

/// One value of the breakdown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelGroup {
    /// What `value` stands for.
    pub group: Group,
    /// The value at the start of the funnel.
    pub value: Option<String>,
    /// The steps of the people with this value.
    pub steps: Vec<FunnelStep>,
    /// Their time from step 1 to the last.
    pub time_to_convert: Durations,
}

/// How long something took: exact quantiles, interpolated between neighbours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Durations {
    /// People measured.
    pub persons: u64,
    /// Half took at most this long.
    pub median_ms: Option<f64>,
    /// 90 % took at most this long.
    pub p90_ms: Option<f64>,
}
