//! Experiments.
pub mod answer;
