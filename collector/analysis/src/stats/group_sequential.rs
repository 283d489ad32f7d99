//! Bounds for a few looks that are planned before: each spends a part of the error.
//!
//! The statistic times the root of the information is a Brownian motion; the bound of a look is what
//! it passes with the chance that the look may spend, without having passed before. Recursion of
//! Armitage, McPherson and Rowe (JRSS A 132, 1969), over Gauss-Legendre panels; spending functions of
//! Lan and DeMets (Biometrika 70, 1983). Checked against spotify-confidence 4.1.0 by
//! `tests/vectors/stats-sequential.json`.

use super::{StatsError, normal};

/// How much of the error may be spent by a share of the information.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spending {
    /// `α t^φ`.
    Power(f64),
    /// Like O'Brien and Fleming: `2 − 2 Φ(z_{α/2} / √t)`, next to nothing at first.
    ObrienFleming,
}

/// Looks at most: one more costs as much as all before.
const MAX_LOOKS: usize = 100;
/// Information between two looks at least.
const MIN_STEP: f64 = 0.001;
/// Where the motion is taken to end below: the chance of being there is 6e-16.
const LOWEST: f64 = -8.0;

impl Spending {
    fn spent(self, t: f64, alpha: f64) -> f64 {
        match self {
            Self::Power(phi) => alpha * t.powf(phi),
            Self::ObrienFleming => {
                2.0 * normal::upper_tail(normal::upper_quantile(alpha / 2.0) / t.sqrt())
            }
        }
    }
}

/// The bounds, as z-values, at looks with these shares of the information, for one side that may
/// err with chance `alpha`. Two-sided: each side on its own with half of it.
///
/// # Errors
/// `bad_input` for shares that do not rise from above 0 to 1 at most in steps of 0.001, more than
/// 100 looks, or an `alpha` or a power that makes no sense.
pub fn bounds(shares: &[f64], alpha: f64, spending: Spending) -> Result<Vec<f64>, StatsError> {
    let mut last = 0.0;
    for share in shares {
        if !(*share >= last + MIN_STEP && *share <= 1.0 + 1e-12) {
            return Err(StatsError::input("looks are shares of the information that rise up to 1"));
        }
        last = *share;
    }
    if shares.is_empty() || shares.len() > MAX_LOOKS {
        return Err(StatsError::input(format!("1 to {MAX_LOOKS} looks")));
    }
    if matches!(spending, Spending::Power(phi) if !(phi > 0.0 && phi <= 20.0)) {
        return Err(StatsError::input("`phi` lies between 0 and 20"));
    }
    let mut found = Vec::new();
    // Places the motion may be at after a look without having passed, each with its chance.
    let mut places: Vec<(f64, f64)> = vec![(0.0, 1.0)];
    let (mut before, mut spent) = (0.0, 0.0);
    for (index, share) in shares.iter().enumerate() {
        let sd = (share - before).sqrt();
        let spend = spending.spent(*share, alpha) - spent;
        let passing = |bound: f64| -> f64 {
            let near = places.iter().rev().take_while(|(place, _)| bound - place < 9.0 * sd);
            near.map(|(place, chance)| chance * normal::upper_tail((bound - place) / sd)).sum()
        };
        let (mut low, mut high) = (-8.0 * share.sqrt(), 10.0 * share.sqrt());
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if passing(middle) > spend { low = middle } else { high = middle }
        }
        let bound = 0.5 * (low + high);
        found.push(bound / share.sqrt());
        if let Some(next) = shares.get(index + 1) {
            let width = sd.min((next - share).sqrt());
            places = moved(&places, LOWEST * share.sqrt(), bound, sd, width);
        }
        (before, spent) = (*share, spending.spent(*share, alpha));
    }
    Ok(found)
}

/// Where the motion is after one more step and below the bound, in panels of this width at most.
fn moved(places: &[(f64, f64)], low: f64, bound: f64, sd: f64, width: f64) -> Vec<(f64, f64)> {
    let panels = ((bound - low) / width).ceil().max(1.0);
    let half = 0.5 * (bound - low) / panels;
    let mut first = 0;
    let mut next = Vec::new();
    for panel in 0..panels as usize {
        let middle = low + half * (2.0 * panel as f64 + 1.0);
        for (node, weight) in GAUSS_LEGENDRE_8 {
            let here = middle + half * node;
            while places.get(first).is_some_and(|(place, _)| here - place > 9.0 * sd) {
                first += 1;
            }
            let near = places[first..].iter().take_while(|(place, _)| place - here < 9.0 * sd);
            let density: f64 =
                near.map(|(place, chance)| chance * normal::density((here - place) / sd)).sum();
            next.push((here, half * weight * density / sd));
        }
    }
    next
}

/// Nodes in −1..1 and their weights (Abramowitz and Stegun, table 25.4).
const GAUSS_LEGENDRE_8: [(f64, f64); 8] = [
    (-0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
    (-0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (-0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (-0.183_434_642_495_649_8, 0.362_683_783_378_361_96),
    (0.183_434_642_495_649_8, 0.362_683_783_378_361_96),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn one_look_at_the_end_is_the_fixed_test() {
        let got = bounds(&[1.0], 0.025, Spending::Power(2.0)).unwrap();
        assert!((got[0] - 1.959_963_984_540_054).abs() < 1e-9, "{got:?}");
    }

    #[test]
    fn bounds_of_obrien_and_fleming_fall_and_end_near_the_fixed_one() {
        let got = bounds(&[0.25, 0.5, 0.75, 1.0], 0.025, Spending::ObrienFleming).unwrap();
        assert!(got.windows(2).all(|pair| pair[0] > pair[1]), "{got:?}");
        // Lan and DeMets; R package ldbounds: 4.3326, 2.9631, 2.3590, 2.0141.
        let want = [4.3326, 2.9631, 2.3590, 2.0141];
        assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 2e-4), "{got:?}");
    }

    #[test]
    fn a_hundred_looks_are_bounded_in_time_and_keep_what_they_may_spend() {
        let shares: Vec<f64> = (1..=100).map(|look| f64::from(look) / 100.0).collect();
        let got = bounds(&shares, 0.025, Spending::Power(2.0)).unwrap();
        assert!(got.iter().all(|bound| (1.9..6.0).contains(bound)), "{got:?}");
    }

    #[rstest]
    #[case(&[], 2.0)]
    #[case(&[0.5, 0.5], 2.0)]
    #[case(&[0.5, 1.1], 2.0)]
    #[case(&[f64::NAN], 2.0)]
    #[case(&[1.0], 0.0)]
    fn looks_that_make_no_sense_are_refused(#[case] shares: &[f64], #[case] phi: f64) {
        assert!(bounds(shares, 0.025, Spending::Power(phi)).is_err());
    }
}
