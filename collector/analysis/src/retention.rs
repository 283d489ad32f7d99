//! Retention.
use serde::Serialize;

/// Who came back, by when they started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionAnswer {
    /// One per time bucket of the range in which somebody started.
    pub cohorts: Vec<RetentionCohort>,
    /// Share of all cohorts' people who returned after 0, 1, 2 … periods: the sum over complete
    /// cells only, so that young cohorts do not pull it down; `null` when no cell is complete.
    pub overall: Vec<Option<f64>>,
}

/// The people who started in one bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionCohort {
    /// First day of the bucket.
    pub from: String,
    /// How many started.
    pub size: u64,
    /// How many returned after 0, 1, 2 … periods, as far as known; index 0 is `size`.
    pub returned: Vec<u64>,
    /// `returned / size`; `null` while late events may still change it.
    pub ratio: Vec<Option<f64>>,
}
