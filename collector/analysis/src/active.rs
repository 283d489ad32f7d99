//! Active people.
use serde::Serialize;

/// Active people per day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActiveAnswer {
    /// Local days.
    pub days: Vec<String>,
    /// People active on the day.
    pub dau: Vec<u64>,
    /// People active on the day or the six before.
    pub wau: Vec<u64>,
    /// People active on the day or the 29 before.
    pub mau: Vec<u64>,
    /// `dau / mau` of the day; `null` when nobody was active in the month.
    pub stickiness: Vec<Option<f64>>,
    /// Mean of the days' ratios, days without one left out (not mean DAU over mean MAU).
    pub stickiness_mean: Option<f64>,
    /// People active on exactly `index + 1` days of the range.
    pub active_days: Vec<u64>,
    /// People active at least once in the range.
    pub persons: u64,
}
