//! Two rates, Bayesian: the chance that one is larger than the other.

use super::StatsError;

/// Conversions of an arm at most: the sum has a term for each.
const MAX_TERMS: f64 = 10_000_000.0;

/// Chance that treatment's rate is above control's, with a flat prior on both: rates follow
/// `Beta(1 + converted, 1 + n − converted)`. Arms are `(n, converted)`.
///
/// `P(T > C) = Σ_{i < at} B(ac + i, bc + bt) / ((bt + i) B(1 + i, bt) B(ac, bc))`.
///
/// # Errors
/// `bad_input` above ten million conversions of treatment.
///
/// Source: Evan Miller, "Formulas for Bayesian A/B Testing" (2015). Checked against quadrature by
/// `tests/vectors/stats-edge.json`.
pub fn chance_to_win(control: (f64, f64), treatment: (f64, f64)) -> Result<f64, StatsError> {
    let (ac, bc) = (1.0 + control.1, 1.0 + control.0 - control.1);
    let (at, bt) = (1.0 + treatment.1, 1.0 + treatment.0 - treatment.1);
    if at > MAX_TERMS {
        return Err(StatsError::input("more than ten million conversions; use two_sample_t"));
    }
    let ln_beta = |a: f64, b: f64| libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let constant = ln_beta(ac, bc);
    let mut chance = 0.0;
    let mut i = 0.0;
    while i < at {
        let term = ln_beta(ac + i, bc + bt) - (bt + i).ln() - ln_beta(1.0 + i, bt) - constant;
        chance += term.exp();
        i += 1.0;
    }
    Ok(chance.min(1.0))
}
