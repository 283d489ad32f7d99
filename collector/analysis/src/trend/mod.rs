//! Trends.
pub mod answer;
