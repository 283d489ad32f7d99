//! A ratio of two sums over people, such as money per order: its variance by the delta method.

use super::StatsError;
use super::moments::Moments;
use super::two_sample::{Arm, no_units};

/// The arm of a ratio of (numerator, denominator) per person: `m = M/D` and
/// `v = vM/D² + vD M²/D⁴ − 2 cov M/D³` with the arm's means `M` and `D`.
///
/// # Errors
/// `no_units` below two people, `baseline_zero` when the denominators add up to zero.
///
/// Source: Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics" (2018). Checked
/// against gbstats 0.8.0 `RatioStatistic`.
pub fn arm(moments: &Moments<2>) -> Result<Arm, StatsError> {
    if moments.n.is_nan() || moments.n < 2.0 {
        return Err(no_units());
    }
    let [m, d] = moments.mean;
    if d == 0.0 {
        return Err(StatsError::new("baseline_zero", "the denominator is zero"));
    }
    let variance = moments.variance(0) / (d * d) + moments.variance(1) * m * m / d.powi(4)
        - 2.0 * moments.covariance(0, 1) * m / d.powi(3);
    Ok(Arm { n: moments.n, mean: m / d, variance: variance.max(0.0) })
}
