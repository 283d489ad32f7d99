//! The normal distribution: upper tail, density, quantile.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// Chance that a standard normal value exceeds `x`: `erfc(x / √2) / 2`, right in the tail.
pub fn upper_tail(x: f64) -> f64 {
    0.5 * libm::erfc(x * FRAC_1_SQRT_2)
}

/// The logarithm of the [`upper_tail`], also where the tail is below 1e-308.
///
/// From 30 on by the asymptotic series `φ(x)/x (1 − 1/x² + 3/x⁴ − 15/x⁶)` (DLMF 7.12.1).
pub fn ln_upper_tail(x: f64) -> f64 {
    if x < 30.0 {
        return upper_tail(x).ln();
    }
    let s = 1.0 / (x * x);
    let series = -s * (1.0 - s * (3.0 - 15.0 * s));
    -0.5 * x * x - (x * TAU.sqrt()).ln() + series.ln_1p()
}

/// Density of the standard normal distribution at `x`.
pub fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / TAU.sqrt()
}

/// The value that a standard normal value falls below with chance `p`. Infinite at 0 and 1, not a
/// number outside.
///
/// Starts from the approximation 26.2.23 of Abramowitz and Stegun (error below 5e-4) and takes
/// Newton steps on the logarithm of the tail, which is nearly a parabola: three reach the last
/// digits, down to the smallest `p` there is.
pub fn quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p > 0.5 {
        return -quantile_of_tail(1.0 - p);
    }
    quantile_of_tail(p)
}

/// The value that a standard normal value exceeds with chance `tail`: for tails too small to be
/// written as one minus something.
pub fn upper_quantile(tail: f64) -> f64 {
    -quantile(tail)
}

/// For `p ≤ 1/2`, where the quantile is not positive.
fn quantile_of_tail(p: f64) -> f64 {
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    if p == 0.5 {
        return 0.0;
    }
    let t = (-2.0 * p.ln()).sqrt();
    let above = 2.515517 + t * (0.802853 + t * 0.010328);
    let below = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    let mut x = t - above / below;
    for _ in 0..6 {
        let tail = upper_tail(x);
        let step = (tail.ln() - p.ln()) * tail / density(x);
        if !step.is_finite() {
            break;
        }
        x += step;
        if step.abs() <= 1e-16 * x.abs() {
            break;
        }
    }
    -x
}
