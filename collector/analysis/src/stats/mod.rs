//! Statistics, one method per file, with formulas and sources.
//!
//! In: counts and moments of arms. Out: estimates, intervals, p-values. [`calculator`] gives the
//! same functions a JSON face, for `tallymark stats` and for people with a spreadsheet.
//!
//! Invariants: p-values are computed as tails, never as one minus a distribution function, and
//! hold to 1e-300; what is undefined is an error or `null`, never p = 1 or the interval `[0, 0]`;
//! degrees of freedom may be the number of users of a large service.
//!
//! Deliberately elsewhere: who belongs to which arm, and the sentences (`experiment`).

pub mod attribution;
pub mod bayes_normal;
pub mod beta;
pub mod beta_binomial;
pub mod calculator;
pub mod chi_squared;
pub mod confidence_sequence;
#[cfg(test)]
mod coverage;
pub mod cuped;
pub mod decision;
pub mod fieller;
pub mod fisher;
pub mod gamma;
pub mod group_sequential;
pub mod many_tests;
pub mod mixture_sprt;
pub mod moments;
pub mod newcombe;
pub mod non_inferiority;
pub mod normal;
pub mod post_stratification;
pub mod power;
pub mod proportion;
mod quadrature;
pub mod quantile_metric;
pub mod ratio;
pub mod srm;
pub mod student;
pub mod thompson;
pub mod two_sample;
pub mod winsorize;

pub use calculator::calculate;

/// Why a statistic has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct StatsError {
    /// Permanent, in snake case: `unknown_fn`, `bad_input`, `no_units`, `zero_variance`,
    /// `baseline_zero`.
    pub code: &'static str,
    /// What is wrong, and what to do.
    pub detail: String,
}

impl StatsError {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) fn input(detail: impl Into<String>) -> Self {
        Self::new("bad_input", detail)
    }
}

/// Two ends of an interval; `None` where it is open.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "lower and upper end")]
pub struct Interval {
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// Which differences count as evidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Alternative {
    /// Either way.
    #[default]
    #[serde(rename = "two-sided")]
    TwoSided,
    /// Treatment above control.
    #[serde(rename = "greater")]
    Greater,
    /// Treatment below control.
    #[serde(rename = "less")]
    Less,
}

/// Above zero; not-a-number is not.
pub(crate) fn positive(value: f64) -> bool {
    value > 0.0
}
