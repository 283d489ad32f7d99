//! Intervals and p-values that hold at every look: an experiment may be watched with them.
//!
//! Asymptotic confidence sequences of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
//! central limit theory and asymptotic confidence sequences", arXiv 2103.06476v7, equations 9, 134,
//! 155 and 161. Checked against gbstats 0.8.0 by `tests/vectors/stats-sequential.json`.
//!
//! They are tightest about the `tuning` number of people, both arms together: the planned size. It
//! must stay as it is while an experiment runs.

use super::two_sample::Effect;
use super::{Alternative, Interval};

/// What a look may say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The tuning number as the method has it.
    pub rho: f64,
    /// Half the width of the interval.
    pub half_width: f64,
    /// Where the difference lies.
    pub interval: Interval,
}

/// `ρ² = (−2 ln α + ln(1 − 2 ln α)) / N*`.
fn rho_squared(alpha: f64, tuning: f64) -> f64 {
    let ln = 2.0 * alpha.ln();
    (-ln + (1.0 - ln).ln()) / tuning
}

/// The interval at one look. With `k = nρ² + 1`: half the width is `s √n √(2k/(n²ρ²) ln(√k/α))`;
/// one-sided, with `ρ` for `2α`, `s √n √(2k/(n²ρ²) ln(1 + √k/(2α)))`, for `α < 1/2`.
pub fn look(effect: &Effect, alpha: f64, tuning: f64, alternative: Alternative) -> Look {
    let two_sided = alternative == Alternative::TwoSided;
    let rho_squared = rho_squared(if two_sided { alpha } else { 2.0 * alpha }, tuning);
    let n = effect.n;
    let k = n * rho_squared + 1.0;
    let ln = if two_sided { (k.sqrt() / alpha).ln() } else { (k.sqrt() / (2.0 * alpha)).ln_1p() };
    let half_width = effect.standard_error * (2.0 * k / (n * rho_squared) * ln).sqrt();
    let low = Some(effect.estimate - half_width);
    let high = Some(effect.estimate + half_width);
    let interval = match alternative {
        Alternative::TwoSided => Interval { low, high },
        Alternative::Greater => Interval { low, high: None },
        Alternative::Less => Interval { low: None, high },
    };
    Look { rho: rho_squared.sqrt(), half_width, interval }
}

/// The two-sided p-value that holds at every look: `min(1, √k exp(−ρ² n z²/(2k)))`.
pub fn p_value(effect: &Effect, alpha: f64, tuning: f64) -> f64 {
    ln_p_value(effect, alpha, tuning).exp()
}

/// Its logarithm: the evidence itself overflows at about 37 standard errors.
pub fn ln_p_value(effect: &Effect, alpha: f64, tuning: f64) -> f64 {
    let scaled = effect.n * rho_squared(alpha, tuning);
    let (k, z) = (scaled + 1.0, effect.statistic());
    (0.5 * k.ln() - scaled * z * z / (2.0 * k)).min(0.0)
}

/// Several looks one after the other: the intersection of all intervals and the smallest p-value so
/// far, which hold too and are tighter. An intersection may be empty (`low > high`): then what was
/// measured has changed on the way.
pub fn path(effects: &[Effect], alpha: f64, tuning: f64) -> Vec<(Interval, f64)> {
    let (mut low, mut high, mut p) = (f64::NEG_INFINITY, f64::INFINITY, 1.0f64);
    effects
        .iter()
        .map(|effect| {
            let interval = look(effect, alpha, tuning, Alternative::TwoSided).interval;
            low = low.max(interval.low.unwrap_or(low));
            high = high.min(interval.high.unwrap_or(high));
            p = p.min(p_value(effect, alpha, tuning));
            (Interval { low: Some(low), high: Some(high) }, p)
        })
        .collect()
}

/// How much wider the interval is than that of a test at one fixed size, at `n` people of both arms:
/// what a plan must allow for.
pub fn width_factor(n: f64, alpha: f64, tuning: f64) -> f64 {
    let unit = Effect { n, estimate: 0.0, standard_error: 1.0, degrees_of_freedom: f64::INFINITY };
    look(&unit, alpha, tuning, Alternative::TwoSided).half_width
        / super::normal::upper_quantile(alpha / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0.1, 1.97)]
    #[case(0.5, 1.57)]
    #[case(1.0, 1.55)]
    #[case(2.0, 1.56)]
    #[case(5.0, 1.61)]
    #[case(20.0, 1.70)]
    fn the_price_of_watching_is_known(#[case] share: f64, #[case] want: f64) {
        assert!((width_factor(share * 5000.0, 0.05, 5000.0) - want).abs() < 0.006);
    }

    #[test]
    fn evidence_of_a_hundred_standard_errors_does_not_overflow() {
        let effect =
            Effect { n: 1e6, estimate: 30.0, standard_error: 1.0, degrees_of_freedom: 1e6 };
        let p = p_value(&effect, 0.05, 5000.0);
        assert!(p > 0.0 && p < 1e-150, "{p}");
        assert_eq!(p_value(&Effect { estimate: 1e3, ..effect }, 0.05, 5000.0), 0.0);
        assert_eq!(p_value(&Effect { estimate: 0.0, ..effect }, 0.05, 5000.0), 1.0);
    }

    #[rstest]
    fn the_p_value_is_below_alpha_where_the_interval_leaves_zero(
        #[values(0.01, 0.05)] alpha: f64,
        #[values(200.0, 5000.0, 1e6)] n: f64,
    ) {
        for tenths in 0..80 {
            let estimate = f64::from(tenths) / 10.0;
            let effect = Effect { n, estimate, standard_error: 1.0, degrees_of_freedom: n };
            let low = look(&effect, alpha, 5000.0, Alternative::TwoSided).interval.low.unwrap();
            assert_eq!(low > 0.0, p_value(&effect, alpha, 5000.0) < alpha, "{estimate}");
        }
    }
}
