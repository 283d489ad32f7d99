//! Guardrails: is treatment at least not worse than control by more than a margin?
//!
//! Source: the one-sided z test of spotify-confidence 4.1.0, which
//! `tests/vectors/stats-non-inferiority.json` compares with.

use super::two_sample::{Arm, Difference, Test, baseline_zero, effect};
use super::{Alternative, Interval, StatsError};

/// Which way a metric should not go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preferred {
    /// More is better: it must not fall below the margin.
    #[default]
    Increase,
    /// Less is better: it must not rise above it.
    Decrease,
}

/// What the guardrail says.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the usual names, see `test`")]
pub struct Guardrail {
    pub estimate: f64,
    /// The worst difference that is still acceptable.
    pub null_hypothesis: f64,
    pub standard_error: f64,
    pub p_value: f64,
    /// Where the difference lies; open on the harmless side.
    pub interval: Interval,
    /// Whether worse than the margin can be ruled out.
    pub is_non_inferior: bool,
}

/// One-sided test of the absolute difference against `∓ margin |mc|` at level `alpha`. The margin is a
/// share of control's mean, 0.02 for two percent.
///
/// # Errors
/// Those of [`effect`]; `baseline_zero` where a share of control's mean is nothing; `bad_input` for
/// a margin below zero.
pub fn test(
    control: Arm,
    treatment: Arm,
    relative_margin: f64,
    preferred: Preferred,
    alpha: f64,
) -> Result<Guardrail, StatsError> {
    if !(relative_margin >= 0.0 && relative_margin.is_finite()) {
        return Err(StatsError::input("a margin is a share of control's mean from 0 on"));
    }
    let difference = effect(control, treatment, Difference::Absolute)?;
    if control.mean == 0.0 {
        return Err(baseline_zero());
    }
    let (alternative, sign) = match preferred {
        Preferred::Increase => (Alternative::Greater, -1.0),
        Preferred::Decrease => (Alternative::Less, 1.0),
    };
    let null_hypothesis = sign * relative_margin * control.mean.abs();
    let mut from_margin = difference;
    from_margin.estimate -= null_hypothesis;
    let p_value = from_margin.test(Test::Z, alpha, alternative).p_value;
    Ok(Guardrail {
        estimate: difference.estimate,
        null_hypothesis,
        standard_error: difference.standard_error,
        p_value,
        interval: difference.test(Test::Z, alpha, alternative).interval,
        is_non_inferior: p_value < alpha,
    })
}
