//! The result of an experiment as a table and as a page for a printer.
//!
//! In: an answer. Out: CSV (RFC 4180), one row per effect of everybody, of each slice and of each day; or one
//! HTML page without scripts or anything from elsewhere. What people named themselves is escaped in both.
//!
//! Deliberately elsewhere: JSON, which is the answer itself.

mod csv;
mod html;
#[cfg(test)]
mod tests;

pub use csv::csv;
pub use html::{About, html};

use super::answer::{ArmLoss, ExperimentAnswer, SliceResult};

/// What a slice's value is called.
fn called(slice: &SliceResult) -> String {
    let pairs = slice
        .slice
        .iter()
        .zip(&slice.value)
        .map(|(prop, value)| format!("{prop}={}", value.as_deref().unwrap_or("(none)")));
    pairs.collect::<Vec<_>>().join(", ")
}

/// What is known of an arm's losses.
fn loss<'a>(answer: &'a ExperimentAnswer, variant: &str) -> Option<&'a ArmLoss> {
    answer.checks.loss.as_ref()?.arms.iter().find(|arm| arm.variant == variant)
}
