//! The error of a quantile, such as the 90th percentile of a loading time.
//!
//! Half the distance between two other quantiles of the same values tells how dense they are there:
//! no density is estimated. Source: Yao, Li and Lu, arXiv 2401.14549; for values inside people, Deng,
//! Knoblich and Lu, "Applying the Delta Method in Metric Analytics" (2018). Checked against gbstats
//! 0.8.0 by `tests/vectors/stats-quantile.json`.

use super::moments::Moments;
use super::two_sample::{Arm, no_units};
use super::{StatsError, normal, ratio};

/// What is known of a quantile of one arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// Values.
    pub n: f64,
    /// The number of values for which the outer quantiles were taken.
    pub n_star: f64,
    /// Which quantile, between 0 and 1.
    pub nu: f64,
    /// It, and the quantiles below and above.
    pub value: f64,
    /// At [`outer`]'s first share.
    pub lower: f64,
    /// At [`outer`]'s second share.
    pub upper: f64,
}

/// The largest of `100 × 2^k` that is not above `n`; `n` itself below 100. With it the outer quantiles
/// stay where they are while people come, and only jump when their number has doubled.
pub fn n_star(n: f64) -> f64 {
    if n < 100.0 {
        return n;
    }
    let mut star = 100.0;
    while 2.0 * star <= n {
        star *= 2.0;
    }
    star
}

/// The outer shares `ν ∓ z √(ν (1 − ν)/n*)`, with the 97.5 % quantile `z`, if both are shares: valid
/// for `n > 3.84 ν/(1 − ν)` and `n > 3.84 (1 − ν)/ν`.
pub fn outer(nu: f64, n_star: f64) -> Option<(f64, f64)> {
    let half = normal::upper_quantile(0.025) * (nu * (1.0 - nu) / n_star).sqrt();
    let (low, high) = (nu - half, nu + half);
    (low > 0.0 && high < 1.0).then_some((low, high))
}

impl Observed {
    /// `v = (n*/n) (n − 1) ((q_U − q_L) / (2 z))²`, a variance per value.
    fn variance(&self) -> f64 {
        let z = normal::upper_quantile(0.025);
        let sd = (self.upper - self.lower) / (2.0 * z);
        self.n_star / self.n * (self.n - 1.0) * sd * sd
    }

    /// The quantile as the arm of a comparison, one value per person.
    ///
    /// # Errors
    /// `no_units` where there are too few values for this quantile, `bad_input` for a quantile that
    /// is none.
    pub fn arm(&self) -> Result<Arm, StatsError> {
        if !(self.nu > 0.0 && self.nu < 1.0) {
            return Err(StatsError::input("`nu` lies between 0 and 1"));
        }
        if !(self.n > 1.0 && self.n_star >= 1.0 && outer(self.nu, self.n_star).is_some()) {
            return Err(no_units());
        }
        Ok(Arm { n: self.n, mean: self.value, variance: self.variance() })
    }

    /// The same for several values per person: `people` are (values at or below the quantile, values)
    /// of each. The variance is multiplied by how much more such a share varies between people than
    /// between values: `Var(Σ I / Σ n) / (ν (1 − ν)/n)`. Gives the arm, and the share's variance.
    ///
    /// # Errors
    /// As [`Observed::arm`], and `no_units` below two people.
    pub fn clustered_arm(&self, people: &Moments<2>) -> Result<(Arm, f64), StatsError> {
        let arm = self.arm()?;
        let of_share = ratio::arm(people)?;
        let share_variance = of_share.variance / of_share.n;
        let inflation = share_variance * self.n / (self.nu * (1.0 - self.nu));
        Ok((Arm { variance: arm.variance * inflation, ..arm }, share_variance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(99.0, 99.0)]
    #[case(100.0, 100.0)]
    #[case(199.0, 100.0)]
    #[case(200.0, 200.0)]
    #[case(7130.0, 6400.0)]
    fn the_number_of_the_outer_quantiles_doubles(#[case] n: f64, #[case] want: f64) {
        assert_eq!(n_star(n), want);
    }

    #[rstest]
    #[case::median_of_three(0.5, 3.0, false)]
    #[case::median_of_four(0.5, 4.0, true)]
    #[case::p99_of_380(0.99, 380.0, false)]
    #[case::p99_of_381(0.99, 381.0, true)]
    fn an_outer_quantile_beyond_the_values_is_not_enough_data(
        #[case] nu: f64,
        #[case] n: f64,
        #[case] is_enough: bool,
    ) {
        let observed = Observed { n, n_star: n, nu, value: 5.0, lower: 4.0, upper: 6.0 };
        assert_eq!(observed.arm().is_ok(), is_enough);
    }
}
