//! Two arms: the difference of their means, with Welch's t test or a z test.

use super::{Alternative, Interval, StatsError, normal, student};

/// People of one arm, the mean of their values and its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    /// People.
    pub n: f64,
    /// Mean of their values; a rate is the mean of zeros and ones.
    pub mean: f64,
    /// Variance of one person's value.
    pub variance: f64,
}

impl Arm {
    /// An arm of yes and no: `m = k/n`, `v = m (1 − m)` without `n − 1`.
    ///
    /// # Errors
    /// `no_units` for an arm of nobody.
    pub fn proportion(n: f64, converted: f64) -> Result<Self, StatsError> {
        if !super::positive(n) {
            return Err(no_units());
        }
        let mean = converted / n;
        Ok(Self { n, mean, variance: mean * (1.0 - mean) })
    }

    fn error_squared(&self) -> f64 {
        self.variance / self.n
    }
}

pub(super) fn no_units() -> StatsError {
    StatsError::new("no_units", "an arm has nobody in it; wait until both have people")
}

/// How to express the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Treatment minus control.
    Absolute,
    /// That, divided by the absolute value of control's mean.
    Relative,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the usual names, see `compare`")]
pub struct Comparison {
    pub estimate: f64,
    pub standard_error: f64,
    /// Infinite for a z test.
    pub degrees_of_freedom: f64,
    pub statistic: f64,
    pub p_value: f64,
    pub interval: Interval,
}

/// Which distribution the statistic follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Student's, with the degrees of freedom of Welch and Satterthwaite.
    Welch,
    /// The normal one.
    Z,
}

/// Compare treatment with control at confidence `1 − alpha`.
///
/// Absolute: `d = mt − mc`, `s² = vt/nt + vc/nc`. Relative (delta method): `d = (mt − mc)/|mc|`,
/// `s² = vt/(nt mc²) + vc mt²/(nc mc⁴)`. Degrees of freedom for both:
/// `(A + B)² / (A²/(nt − 1) + B²/(nc − 1))`, `A = vt/nt`, `B = vc/nc`. A one-sided interval is open
/// on the other side.
///
/// # Errors
/// `no_units`, `baseline_zero` (relative to nothing) and `zero_variance` (an arm in which everybody
/// is alike: its error is unknown, not zero).
///
/// Source: Welch, "The generalization of Student's problem", Biometrika 34 (1947). Checked against
/// gbstats 0.8.0 and SciPy 1.17.1 by `tests/vectors/stats-proportions.json`.
pub fn compare(
    control: Arm,
    treatment: Arm,
    difference: Difference,
    test: Test,
    alpha: f64,
    alternative: Alternative,
) -> Result<Comparison, StatsError> {
    if !(control.n > 0.0 && treatment.n > 0.0) {
        return Err(no_units());
    }
    if difference == Difference::Relative && control.mean == 0.0 {
        return Err(StatsError::new(
            "baseline_zero",
            "control's mean is zero, a share of it does not exist; read the absolute difference",
        ));
    }
    if !(control.variance > 0.0 && treatment.variance > 0.0) {
        return Err(StatsError::new(
            "zero_variance",
            "everybody in an arm has the same value; wait for more people",
        ));
    }
    let (a, b) = (treatment.error_squared(), control.error_squared());
    let mean = control.mean;
    let (estimate, error_squared) = match difference {
        Difference::Absolute => (treatment.mean - mean, a + b),
        Difference::Relative => {
            let ratio = treatment.mean / mean;
            ((treatment.mean - mean) / mean.abs(), (a + b * ratio * ratio) / (mean * mean))
        }
    };
    let standard_error = error_squared.sqrt();
    let statistic = estimate / standard_error;
    let degrees_of_freedom = match test {
        Test::Z => f64::INFINITY,
        Test::Welch => {
            (a + b) * (a + b) / (a * a / (treatment.n - 1.0) + b * b / (control.n - 1.0))
        }
    };
    let tail = |t: f64| match test {
        Test::Welch => student::upper_tail(t, degrees_of_freedom),
        Test::Z => normal::upper_tail(t),
    };
    let critical = |tail: f64| match test {
        Test::Welch => student::upper_quantile(tail, degrees_of_freedom),
        Test::Z => normal::upper_quantile(tail),
    };
    let (p_value, interval) = match alternative {
        Alternative::TwoSided => {
            let half = critical(alpha / 2.0) * standard_error;
            let ends = Interval { low: Some(estimate - half), high: Some(estimate + half) };
            (2.0 * tail(statistic.abs()), ends)
        }
        Alternative::Greater => {
            let half = critical(alpha) * standard_error;
            (tail(statistic), Interval { low: Some(estimate - half), high: None })
        }
        Alternative::Less => {
            let half = critical(alpha) * standard_error;
            (tail(-statistic), Interval { low: None, high: Some(estimate + half) })
        }
    };
    if !p_value.is_finite() {
        return Err(StatsError::new(
            "zero_variance",
            "an arm of one person has no spread; wait for more people",
        ));
    }
    Ok(Comparison { estimate, standard_error, degrees_of_freedom, statistic, p_value, interval })
}
