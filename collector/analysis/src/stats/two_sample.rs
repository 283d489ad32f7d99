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

pub(crate) fn no_units() -> StatsError {
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

/// What is known about a difference before any test: every method starts from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// People of both arms.
    pub n: f64,
    /// Treatment minus control.
    pub estimate: f64,
    /// Standard deviation of the estimate.
    pub standard_error: f64,
    /// Of Welch and Satterthwaite.
    pub degrees_of_freedom: f64,
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

/// The difference between two arms and its error.
///
/// Absolute: `d = mt − mc`, `s² = vt/nt + vc/nc`. Relative (delta method): `d = (mt − mc)/|mc|`,
/// `s² = vt/(nt mc²) + vc mt²/(nc mc⁴)`. Degrees of freedom for both:
/// `(A + B)² / (A²/(nt − 1) + B²/(nc − 1))`, `A = vt/nt`, `B = vc/nc`.
///
/// # Errors
/// `no_units`, `baseline_zero` (relative to nothing) and `zero_variance` (an arm in which everybody
/// is alike: its error is unknown, not zero).
///
/// Source: Welch, "The generalization of Student's problem", Biometrika 34 (1947).
pub fn effect(control: Arm, treatment: Arm, difference: Difference) -> Result<Effect, StatsError> {
    if !(control.n > 0.0 && treatment.n > 0.0) {
        return Err(no_units());
    }
    if difference == Difference::Relative && control.mean == 0.0 {
        return Err(baseline_zero());
    }
    if !(control.variance > 0.0 && treatment.variance > 0.0) {
        return Err(zero_variance());
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
    Effect {
        n: control.n + treatment.n,
        estimate,
        standard_error: error_squared.sqrt(),
        degrees_of_freedom: degrees_of_freedom(control, treatment),
    }
    .checked()
}

/// Degrees of freedom of Welch and Satterthwaite, see [`effect`].
pub(super) fn degrees_of_freedom(control: Arm, treatment: Arm) -> f64 {
    let (a, b) = (treatment.error_squared(), control.error_squared());
    (a + b) * (a + b) / (a * a / (treatment.n - 1.0) + b * b / (control.n - 1.0))
}

pub(super) fn baseline_zero() -> StatsError {
    StatsError::new(
        "baseline_zero",
        "control's mean is zero, a share of it does not exist; read the absolute difference",
    )
}

pub(super) fn zero_variance() -> StatsError {
    StatsError::new("zero_variance", "everybody in an arm has the same value; wait for more people")
}

impl Effect {
    /// Itself, if its figures are numbers: an error of zero is an unknown one.
    pub(super) fn checked(self) -> Result<Self, StatsError> {
        let known = self.estimate.is_finite()
            && self.standard_error.is_finite()
            && super::positive(self.standard_error)
            && super::positive(self.degrees_of_freedom);
        if known { Ok(self) } else { Err(zero_variance()) }
    }

    /// The estimate in units of its error.
    pub fn statistic(&self) -> f64 {
        self.estimate / self.standard_error
    }

    /// Test whether there is a difference, at confidence `1 − alpha`. A one-sided interval is open on
    /// the other side.
    pub fn test(&self, test: Test, alpha: f64, alternative: Alternative) -> Comparison {
        let Self { estimate, standard_error, degrees_of_freedom: df, .. } = *self;
        let statistic = self.statistic();
        let tail = |t: f64| match test {
            Test::Welch => student::upper_tail(t, df),
            Test::Z => normal::upper_tail(t),
        };
        let critical = |tail: f64| match test {
            Test::Welch => student::upper_quantile(tail, df),
            Test::Z => normal::upper_quantile(tail),
        };
        let share = if alternative == Alternative::TwoSided { alpha / 2.0 } else { alpha };
        let half = critical(share) * standard_error;
        let (low, high) = (Some(estimate - half), Some(estimate + half));
        let (p_value, interval) = match alternative {
            Alternative::TwoSided => (2.0 * tail(statistic.abs()), Interval { low, high }),
            Alternative::Greater => (tail(statistic), Interval { low, high: None }),
            Alternative::Less => (tail(-statistic), Interval { low: None, high }),
        };
        let degrees_of_freedom = if test == Test::Welch { df } else { f64::INFINITY };
        Comparison { estimate, standard_error, degrees_of_freedom, statistic, p_value, interval }
    }
}

/// Compare treatment with control at confidence `1 − alpha`: [`effect`], then [`Effect::test`].
///
/// # Errors
/// Those of [`effect`].
///
/// Checked against gbstats 0.8.0 and SciPy 1.17.1 by `tests/vectors/stats-proportions.json`.
pub fn compare(
    control: Arm,
    treatment: Arm,
    difference: Difference,
    test: Test,
    alpha: f64,
    alternative: Alternative,
) -> Result<Comparison, StatsError> {
    Ok(effect(control, treatment, difference)?.test(test, alpha, alternative))
}
