//! Sample ratio mismatch: do the arms have the sizes they should have?

use super::{StatsError, chi_squared};

/// Pearson's chi squared test of the arms' sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the usual names")]
pub struct ChiSquared {
    pub statistic: f64,
    pub degrees_of_freedom: f64,
    pub p_value: f64,
}

/// `Σ (observed − expected)² / expected` over the arms with a weight; degrees of freedom are those
/// arms less one. Weights need not add up to one.
///
/// # Errors
/// `bad_input` when lengths differ, a weight or a size is negative or fewer than two arms have a
/// weight; `no_units` when nobody is in any arm.
///
/// Source: Pearson (1900). Checked against SciPy `stats.chisquare` and gbstats `check_srm`.
pub fn chi_squared(users: &[f64], weights: &[f64]) -> Result<ChiSquared, StatsError> {
    let arms = arms(users, weights)?;
    let total: f64 = arms.iter().map(|(users, _)| users).sum();
    if total == 0.0 {
        return Err(super::two_sample::no_units());
    }
    let weight: f64 = arms.iter().map(|(_, weight)| weight).sum();
    let statistic = arms
        .iter()
        .map(|(users, share)| {
            let expected = total * share / weight;
            (users - expected) * (users - expected) / expected
        })
        .sum();
    let degrees_of_freedom = arms.len() as f64 - 1.0;
    let p_value = chi_squared::upper_tail(statistic, degrees_of_freedom);
    Ok(ChiSquared { statistic, degrees_of_freedom, p_value })
}

/// The arms that have a weight, weights as shares.
fn arms(users: &[f64], weights: &[f64]) -> Result<Vec<(f64, f64)>, StatsError> {
    if users.len() != weights.len() {
        return Err(StatsError::input("`users` and `weights` need one entry per arm each"));
    }
    let negative = |value: &f64| !(*value >= 0.0 && value.is_finite());
    if users.iter().any(negative) || weights.iter().any(negative) {
        return Err(StatsError::input("sizes and weights are numbers from 0 on"));
    }
    let arms: Vec<(f64, f64)> =
        users.iter().copied().zip(weights.iter().copied()).filter(|arm| arm.1 > 0.0).collect();
    if arms.len() < 2 {
        return Err(StatsError::input("at least two arms need a weight above zero"));
    }
    let total: f64 = arms.iter().map(|arm| arm.1).sum();
    Ok(arms.into_iter().map(|(users, weight)| (users, weight / total)).collect())
}

/// The sequential test, which may be watched: after each batch of new people the logarithm of the
/// Bayes factor against the right split, and the p-value so far.
///
/// `ln BF = ln B(a + n) − ln B(a) − Σ nᵢ ln wᵢ` with a Dirichlet prior `a = concentration × w`;
/// `p = min(1, smallest 1/BF so far)`.
///
/// # Errors
/// As [`chi_squared()`], and `bad_input` when the concentration is not positive.
///
/// Source: Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (2022). Checked
/// against ssrm-test 0.1.5.
pub fn sequential(
    batches: &[Vec<f64>],
    weights: &[f64],
    concentration: f64,
) -> Result<(Vec<f64>, Vec<f64>), StatsError> {
    if !(concentration > 0.0 && concentration.is_finite()) {
        return Err(StatsError::input("`dirichlet_concentration` is a number above zero"));
    }
    let mut seen: Vec<f64> = Vec::new();
    let mut smallest: f64 = 1.0;
    let (mut log_factors, mut p_values) = (Vec::new(), Vec::new());
    for batch in batches {
        let arms = arms(batch, weights)?;
        seen.resize(arms.len(), 0.0);
        let mut log_factor = 0.0;
        for (sum, (users, weight)) in seen.iter_mut().zip(&arms) {
            *sum += users;
            let prior = concentration * weight;
            log_factor += libm::lgamma(prior + *sum) - libm::lgamma(prior) - *sum * weight.ln();
        }
        let total: f64 = seen.iter().sum();
        log_factor += libm::lgamma(concentration) - libm::lgamma(concentration + total);
        smallest = smallest.min((-log_factor).exp());
        log_factors.push(log_factor);
        p_values.push(smallest);
    }
    Ok((log_factors, p_values))
}
