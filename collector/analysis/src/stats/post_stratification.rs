//! Post-stratification: compare like with like, then weigh the strata by their share of all people.
//!
//! Source: Miratrix, Sekhon and Yu, "Adjusting treatment effect estimates by post-stratification in
//! randomized experiments", JRSS B 75 (2013); the variance with the multinomial term of the shares as
//! in GrowthBook's documentation of post-stratification. The stratum of a person must be known before
//! the first exposure.

use super::StatsError;
use super::two_sample::{
    Arm, Difference, Effect, baseline_zero, degrees_of_freedom, no_units, zero_variance,
};

/// Compare over strata of (control, treatment).
///
/// With shares `w_s = n_s / n`: means `M = Σ w_s m_s` of both arms, with the covariance
/// `diag(Σ w_s² v_s/n_s) + (Σ w_s m_s m_sᵀ − M Mᵀ) / n`, and the difference or the lift of the two
/// means by the delta method. One stratum alone is the ordinary comparison.
///
/// # Errors
/// `no_units` when a stratum lacks two people in an arm: merge it with another before.
/// `baseline_zero` and `zero_variance` as in the ordinary comparison.
pub fn compare(strata: &[(Arm, Arm)], difference: Difference) -> Result<Effect, StatsError> {
    let enough = |arm: &Arm| arm.n >= 2.0;
    if strata.is_empty() || !strata.iter().all(|(c, t)| enough(c) && enough(t)) {
        return Err(no_units());
    }
    let total: f64 = strata.iter().map(|(control, treatment)| control.n + treatment.n).sum();
    let weighted = |of: &dyn Fn(f64, &Arm, &Arm) -> f64| -> f64 {
        strata.iter().map(|(c, t)| of((c.n + t.n) / total, c, t)).sum()
    };
    let control = weighted(&|w, c, _| w * c.mean);
    let treatment = weighted(&|w, _, t| w * t.mean);
    let within_control = weighted(&|w, c, _| w * w * c.variance / c.n);
    let within_treatment = weighted(&|w, _, t| w * w * t.variance / t.n);
    if !(within_control > 0.0 && within_treatment > 0.0) {
        return Err(zero_variance());
    }
    let (estimate, of_control, of_treatment) = match difference {
        Difference::Absolute => (treatment - control, -1.0, 1.0),
        Difference::Relative if control == 0.0 => return Err(baseline_zero()),
        Difference::Relative => (
            (treatment - control) / control.abs(),
            -treatment / (control * control.abs()),
            1.0 / control.abs(),
        ),
    };
    // How much the weighted sum of both means varies between the strata.
    let between = weighted(&|w, c, t| {
        let own = of_control * (c.mean - control) + of_treatment * (t.mean - treatment);
        w * own * own
    });
    let error_squared = of_control * of_control * within_control
        + of_treatment * of_treatment * within_treatment
        + between / total;
    let as_arm = |n: f64, mean: f64, within: f64| Arm { n, mean, variance: within * n };
    let people = |of: &dyn Fn(&(Arm, Arm)) -> f64| strata.iter().map(of).sum::<f64>();
    Effect {
        n: total,
        estimate,
        standard_error: error_squared.sqrt(),
        degrees_of_freedom: degrees_of_freedom(
            as_arm(people(&|s| s.0.n), control, within_control),
            as_arm(people(&|s| s.1.n), treatment, within_treatment),
        ),
    }
    .checked()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::two_sample::effect;
    use rstest::rstest;

    fn arm(n: f64, mean: f64, variance: f64) -> Arm {
        Arm { n, mean, variance }
    }

    #[rstest]
    fn one_stratum_is_the_ordinary_comparison(
        #[values(Difference::Absolute, Difference::Relative)] difference: Difference,
    ) {
        let (control, treatment) = (arm(900.0, 4.0, 9.0), arm(1100.0, 4.4, 10.0));
        let got = compare(&[(control, treatment)], difference).unwrap();
        let want = effect(control, treatment, difference).unwrap();
        assert!((got.estimate - want.estimate).abs() < 1e-15);
        assert!((got.standard_error - want.standard_error).abs() < 1e-15);
        assert!((got.degrees_of_freedom - want.degrees_of_freedom).abs() < 1e-9);
    }

    #[test]
    fn what_strata_explain_leaves_the_error() {
        // Two kinds of people, 1 and 9 on average, half of each; their spread within is 1.
        let strata = [
            (arm(500.0, 1.0, 1.0), arm(480.0, 1.1, 1.0)),
            (arm(500.0, 9.0, 1.0), arm(520.0, 9.1, 1.0)),
        ];
        let got = compare(&strata, Difference::Absolute).unwrap();
        assert!((got.estimate - 0.1).abs() < 1e-12, "{got:?}");
        // Without them the spread is 1 + 4² = 17, and the uneven arms move the estimate to 0.26.
        assert!((got.standard_error - (4.0f64 / 2000.0).sqrt()).abs() < 1e-4, "{got:?}");
    }

    #[test]
    fn a_stratum_without_people_in_an_arm_is_refused() {
        let strata = [(arm(500.0, 1.0, 1.0), arm(1.0, 1.0, 0.0))];
        assert_eq!(compare(&strata, Difference::Absolute).unwrap_err().code, "no_units");
    }
}
