//! The lift of small baselines: Fieller's interval.

use super::{Interval, StatsError, normal, two_sample::Arm};

/// Fieller's interval for treatment over control, minus one, at confidence `1 − alpha`; and `g`,
/// the share of the baseline's uncertainty: `g = z² vc / (nc mc²)`.
///
/// `((r ∓ (z/mc) √((1 − g) vt/nt + r² vc/nc)) / (1 − g)) − 1` with `r = mt/mc`. From `g ≥ 1` on the
/// interval is unbounded: both ends are open.
///
/// # Errors
/// `baseline_zero` when control's mean is zero.
///
/// Source: Fieller, "Some problems in interval estimation", JRSS B 16 (1954). Checked against SciPy
/// `brentq` on the defining quadratic.
pub fn lift(control: Arm, treatment: Arm, alpha: f64) -> Result<(f64, Interval), StatsError> {
    if control.mean == 0.0 {
        return Err(StatsError::new("baseline_zero", "control's mean is zero: there is no lift"));
    }
    let z = normal::upper_quantile(alpha / 2.0);
    let (a, b) = (treatment.variance / treatment.n, control.variance / control.n);
    let g = z * z * b / (control.mean * control.mean);
    if g >= 1.0 {
        return Ok((g, Interval { low: None, high: None }));
    }
    let ratio = treatment.mean / control.mean;
    let half = z / control.mean.abs() * ((1.0 - g) * a + ratio * ratio * b).sqrt();
    let end = |value: f64| Some(value / (1.0 - g) - 1.0);
    Ok((g, Interval { low: end(ratio - half), high: end(ratio + half) }))
}
