//! The mixture sequential probability ratio test: evidence against no difference, at every look.
//!
//! Source: Johari, Koomen, Pekelis and Walsh, "Peeking at A/B Tests" (KDD 2017). Checked against SciPy
//! `integrate.quad` by `tests/vectors/stats-sequential.json`.

use super::Interval;
use super::two_sample::Effect;

/// What a look may say.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the usual names, see `test`")]
pub struct Mixture {
    pub ln_likelihood_ratio: f64,
    pub p_value: f64,
    pub interval: Interval,
}

/// With `V = s²` and differences mixed over `N(0, τ²)`: `L = √(V/(V+τ²)) exp(τ² d²/(2V(V+τ²)))`,
/// `p = min(1, 1/L)`, half the width of the interval `√(V(V+τ²)/τ² (ln((V+τ²)/V) − 2 ln α))`.
pub fn test(effect: &Effect, tau_squared: f64, alpha: f64) -> Mixture {
    let v = effect.standard_error * effect.standard_error;
    let both = v + tau_squared;
    let spread = (tau_squared / v).ln_1p();
    let ln_likelihood_ratio =
        -0.5 * spread + tau_squared * effect.estimate * effect.estimate / (2.0 * v * both);
    let half = (v * both / tau_squared * (spread - 2.0 * alpha.ln())).sqrt();
    Mixture {
        ln_likelihood_ratio,
        p_value: (-ln_likelihood_ratio).exp().min(1.0),
        interval: Interval {
            low: Some(effect.estimate - half),
            high: Some(effect.estimate + half),
        },
    }
}
