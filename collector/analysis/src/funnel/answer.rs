//! What a funnel answers.

use serde::Serialize;

use crate::answer::{Group, GroupValue};

/// How many people came how far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelAnswer {
    /// The steps, for everybody.
    pub steps: Vec<FunnelStep>,
    /// The same per value of the breakdown property, where `attribution` says: values by falling number of
    /// entries, then the rest. Empty without a breakdown.
    pub breakdown: Vec<FunnelGroup>,
    /// From step 1 to the last step, of those who completed.
    pub time_to_convert: Durations,
    /// By the bucket of time in which they started, of everybody; `null` without `bucket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_time: Option<Vec<FunnelBucket>>,
}

/// Those who started in one bucket of time. Who started in several counts in each.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelBucket {
    /// Its first local day, or hour.
    pub bucket: String,
    /// By step: those who came so far, or past it where it may be left out.
    pub persons: Vec<u64>,
    /// Share of those who started; `null` when nobody did.
    pub conversion_ratio: Option<f64>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunnelStep {
    /// Counted from 1.
    pub step: usize,
    /// The event, `null` for any event.
    pub event: Option<String>,
    /// Whether it may be left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// People who did this step and all before it; sessions or attempts where those are counted.
    pub persons: u64,
    /// Share of those who entered; `null` when nobody did.
    pub conversion_ratio: Option<f64>,
    /// Share of those who did the last step before that cannot be left out; `null` when nobody did, 1 for
    /// step 1.
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
    /// The value.
    pub value: Option<GroupValue>,
    /// The steps of the people with this value.
    pub steps: Vec<FunnelStep>,
    /// Their time from step 1 to the last.
    pub time_to_convert: Durations,
}

/// How long something took: exact quantiles, interpolated between neighbours.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Durations {
    /// People measured.
    pub persons: u64,
    /// Half took at most this long.
    pub median_ms: Option<f64>,
    /// 90 % took at most this long.
    pub p90_ms: Option<f64>,
    /// How many took how long. Empty when nobody was measured.
    pub histogram: Vec<Duration>,
}

/// Those who took between two lengths of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Duration {
    /// At least this long.
    pub from_ms: u64,
    /// Less than this; `null` for the last one.
    pub to_ms: Option<u64>,
    /// How many.
    pub persons: u64,
}
