//! Thompson sampling: how to split those who come next, by how likely each arm is the best.
//!
//! Source: Thompson, Biometrika 25 (1933); the floor as in GrowthBook's bandits. What people did must
//! be weighted by period before: traffic that moves with the weights otherwise mistakes a change of
//! season for a better arm.

use super::quadrature::ln_integral;
use super::two_sample::{Arm, zero_variance};
use super::{StatsError, normal};

/// Chance that each arm has the largest mean, with normal posteriors `N(m, v/n)`: `∫ φ_i ∏ Φ_j`.
///
/// # Errors
/// `bad_input` for fewer than two arms, `zero_variance` where a spread is not known.
pub fn chances_of_best(arms: &[Arm]) -> Result<Vec<f64>, StatsError> {
    if arms.len() < 2 {
        return Err(StatsError::input("at least two arms"));
    }
    let posteriors: Vec<(f64, f64)> =
        arms.iter().map(|arm| (arm.mean, (arm.variance / arm.n).sqrt())).collect();
    if !posteriors.iter().all(|(mean, sd)| mean.is_finite() && sd.is_finite() && *sd > 0.0) {
        return Err(zero_variance());
    }
    let narrowest = posteriors.iter().map(|(_, sd)| *sd).fold(f64::INFINITY, f64::min);
    let chance = |at: usize| {
        let (mean, sd) = posteriors[at];
        let ln_f = |x: f64| {
            let z = (x - mean) / sd;
            let others = posteriors.iter().enumerate().filter(|(index, _)| *index != at);
            let below = others.map(|(_, (m, s))| normal::ln_upper_tail((m - x) / s)).sum::<f64>();
            -0.5 * z * z - (sd * std::f64::consts::TAU.sqrt()).ln() + below
        };
        // An arm that is known far better than another is a step to it: no wider than its spread,
        // as long as that is affordable.
        ln_integral(ln_f, mean, sd, (0.25 * narrowest).max(sd / 2000.0)).exp().min(1.0)
    };
    Ok((0..arms.len()).map(chance).collect())
}

/// The split: chances, none below the floor, together one.
///
/// # Errors
/// `bad_input` for a floor that all arms together cannot have.
pub fn weights(chances: &[f64], floor: f64) -> Result<Vec<f64>, StatsError> {
    if !(floor >= 0.0 && floor * chances.len() as f64 <= 1.0) {
        return Err(StatsError::input("`floor` times the number of arms is at most 1"));
    }
    // Those above the floor share what the others leave, so that the floor still holds afterwards.
    let mut is_low = vec![false; chances.len()];
    loop {
        let low = is_low.iter().filter(|low| **low).count() as f64;
        let rest: f64 = chances.iter().zip(&is_low).filter(|(_, low)| !**low).map(|(c, _)| c).sum();
        let scale = if rest > 0.0 { (1.0 - low * floor) / rest } else { 0.0 };
        let newly: Vec<usize> =
            (0..chances.len()).filter(|i| !is_low[*i] && chances[*i] * scale < floor).collect();
        if newly.is_empty() {
            let weight = |(chance, low): (&f64, &bool)| if *low { floor } else { chance * scale };
            return Ok(chances.iter().zip(&is_low).map(weight).collect());
        }
        newly.into_iter().for_each(|i| is_low[i] = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_two_arms_the_chance_is_that_of_the_difference() {
        let arms = [
            Arm { n: 400.0, mean: 1.0, variance: 4.0 },
            Arm { n: 900.0, mean: 1.2, variance: 9.0 },
        ];
        let got = chances_of_best(&arms).unwrap();
        let want = normal::upper_tail(-0.2 / 0.02f64.sqrt());
        assert!((got[1] - want).abs() < 1e-10, "{got:?} {want}");
        assert!((got[0] + got[1] - 1.0).abs() < 1e-10);
    }

    proptest! {
        #[test]
        fn weights_keep_the_floor_and_add_up_to_one(
            chances in prop::collection::vec(0.0f64..1.0, 2..20), floor in 0.0f64..0.05,
        ) {
            prop_assume!(chances.iter().sum::<f64>() > 0.0);
            let got = weights(&chances, floor).unwrap();
            prop_assert!((got.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(got.iter().all(|weight| *weight >= floor - 1e-15));
        }

        #[test]
        fn chances_add_up_to_one(arms in prop::collection::vec((-2.0f64..2.0, 0.01f64..5.0), 2..6)) {
            let arms: Vec<Arm> = arms.into_iter()
                .map(|(mean, sd)| Arm { n: 1.0, mean, variance: sd * sd }).collect();
            let sum: f64 = chances_of_best(&arms).unwrap().iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-6, "{}", sum);
        }
    }
}
