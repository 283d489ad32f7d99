//! Funnels.
pub mod answer;
