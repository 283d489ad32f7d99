//! What a trend answers.

use serde::Serialize;

use crate::answer::{Figure, Group, GroupValue};

/// Figures per time bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrendAnswer {
    /// The first day of each bucket (`2026-09-01`), or its first instant for hours.
    pub buckets: Vec<String>,
    /// One per series of the question and row of the breakdown; values by falling total, then
    /// the rest. With a formula there is one series, without an event.
    pub series: Vec<TrendSeries>,
}

/// One line of a trend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrendSeries {
    /// Index into the series of the question; 0 for a formula.
    pub index: usize,
    /// The event, `null` for any event or a formula.
    pub event: Option<String>,
    /// What is measured, as in the question; `formula` for a formula.
    pub measure: String,
    /// What `value` stands for.
    pub group: Group,
    /// The value of the breakdown.
    pub value: Option<GroupValue>,
    /// One figure per bucket.
    pub data: Vec<Figure>,
    /// The measure over the whole range: for persons not the sum of the buckets.
    pub total: Figure,
    /// The same for the range of equal length before `from`, with `compare: "previous"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// A line of the period before, bucket by bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Previous {
    /// The first day of each bucket of the period before.
    pub buckets: Vec<String>,
    /// One figure per bucket.
    pub data: Vec<Figure>,
    /// The measure over the whole period before.
    pub total: Figure,
}
