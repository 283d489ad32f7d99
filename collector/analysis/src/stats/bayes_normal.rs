//! A difference, Bayesian: a normal prior, a normal likelihood.
//!
//! Source: GrowthBook, statistical details; Deng, Xu and others, "Continuous Monitoring of A/B Tests
//! without Pain" (2016) on priors. Checked against gbstats 0.8.0 by
//! `tests/vectors/stats-bayesian-gaussian.json`. The trap is the loss by truncated moments, which
//! fails beyond 37 standard deviations.

use super::two_sample::Effect;
use super::{Interval, normal};

/// A belief about the difference before the data: `N(mean, stddev²)`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the usual names")]
pub struct Prior {
    pub mean: f64,
    pub stddev: f64,
}

/// The belief after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// Its middle.
    pub mean: f64,
    /// Its standard deviation.
    pub stddev: f64,
}

/// The posterior with precision `P = 1/s² + 1/s0²`, mean `(d/s² + m0/s0²)/P` and standard deviation
/// `P^(−1/2)`; without a prior the likelihood itself.
pub fn posterior(effect: &Effect, prior: Option<Prior>) -> Posterior {
    let Some(prior) = prior else {
        return Posterior { mean: effect.estimate, stddev: effect.standard_error };
    };
    let (data, belief) = (effect.standard_error.powi(-2), prior.stddev.powi(-2));
    let precision = data + belief;
    Posterior {
        mean: (effect.estimate * data + prior.mean * belief) / precision,
        stddev: precision.powf(-0.5),
    }
}

impl Posterior {
    /// Chance that the difference is above zero.
    pub fn chance_above(&self) -> f64 {
        normal::upper_tail(-self.mean / self.stddev)
    }

    /// Chance that it is below zero.
    pub fn chance_below(&self) -> f64 {
        normal::upper_tail(self.mean / self.stddev)
    }

    /// What is missed on average by staying where a positive difference is a gain, `E max(d, 0)`:
    /// `mean Φ(mean/sd) + sd φ(mean/sd)`.
    pub fn mean_above(&self) -> f64 {
        self.stddev * expected_excess(self.mean / self.stddev)
    }

    /// What is lost on average by moving there, `E max(−d, 0)`.
    pub fn mean_below(&self) -> f64 {
        self.stddev * expected_excess(-self.mean / self.stddev)
    }

    /// What the difference lies between with chance `1 − alpha`.
    pub fn interval(&self, alpha: f64) -> Interval {
        let half = normal::upper_quantile(alpha / 2.0) * self.stddev;
        Interval { low: Some(self.mean - half), high: Some(self.mean + half) }
    }
}

/// `E max(Z + z, 0) = z Φ(z) + φ(z)`. Far below zero both terms cancel; there it is
/// `φ(z) (1/z² − 3/z⁴ + 15/z⁶ − 105/z⁸)`, from the asymptotic series of the tail.
fn expected_excess(z: f64) -> f64 {
    if z < -25.0 {
        let s = 1.0 / (z * z);
        return normal::density(z) * s * (1.0 - s * (3.0 - s * (15.0 - 105.0 * s)));
    }
    z * normal::upper_tail(-z) + normal::density(z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    // SciPy 1.17.1: norm.expect in 40 digits by mpmath: φ(z) − |z| Q(|z|).
    #[case::zero(0.0, 0.398_942_280_401_432_7)]
    #[case::gain(3.0, 3.000_382_154_317_047_3)]
    fn a_mean_excess_is_right(#[case] z: f64, #[case] want: f64) {
        assert!((expected_excess(z) - want).abs() < 1e-12);
    }

    #[test]
    fn far_in_the_tail_the_two_forms_meet() {
        // The derivative of the excess is the tail: integrate it from the far side.
        let (z, step) = (-25.0f64, 1e-4);
        let slope = (expected_excess(z + step) - expected_excess(z - step)) / (2.0 * step);
        assert!((slope / normal::upper_tail(-z) - 1.0).abs() < 1e-3, "{slope}");
        assert!(expected_excess(-37.0) > 0.0 && expected_excess(-60.0) >= 0.0);
    }
}
