//! Student's t distribution: upper tail and quantile, for 1 to a thousand million degrees of
//! freedom and more.
//!
//! Libraries lose digits here, or do not return at all: degrees of freedom are about the number of
//! users. So large ones go by series in `1 / df`, small ones by the incomplete beta function.

use super::{beta, gamma::stirling_error, normal};

/// Chance that a value of Student's distribution exceeds `t`.
///
/// From 10⁴ degrees of freedom on and for `|t| ≤ 0.75 df^(1/6)`: the normal tail and Fisher's
/// correction in `1 / df` (R. A. Fisher, "Expansion of Student's Integral in Powers of n⁻¹", Metron
/// 5 (1925)). Else half the incomplete beta function `I(df / (df + t²); df/2, 1/2)`, with
/// `ln(1 + t² / df)` by `log1p` and the ratio of gamma functions by Stirling's series.
pub fn upper_tail(t: f64, df: f64) -> f64 {
    if t.is_nan() || !super::positive(df) {
        return f64::NAN;
    }
    if t < 0.0 {
        return 1.0 - upper_tail(-t, df);
    }
    if df >= 1e4 && t <= 0.75 * df.powf(1.0 / 6.0) {
        let s = t * t;
        let first = t * (s + 1.0) / 4.0;
        let second = t * (s * (s * (3.0 * s - 7.0) - 5.0) - 3.0) / 96.0;
        let third = t * (s * (s * (s * (s * (s - 11.0) + 14.0) + 6.0) - 3.0) - 15.0) / 384.0;
        let correction = (first + (second + third / df) / df) / df;
        return normal::upper_tail(t) + normal::density(t) * correction;
    }
    if t.is_infinite() {
        return 0.0;
    }
    let (a, t_squared) = (0.5 * df, t * t);
    let x = df / (df + t_squared);
    let y = t_squared / (df + t_squared);
    // x^a √y / B(a, 1/2)
    let factor = (log_gamma_ratio(a) - a * (t_squared / df).ln_1p()).exp()
        * (y / std::f64::consts::PI).sqrt();
    if x < (a + 1.0) / (a + 2.5) {
        0.5 * factor / a * beta::fraction(x, a, 0.5)
    } else {
        0.5 - factor * beta::fraction(y, 0.5, a)
    }
}

/// `ln Γ(a + 1/2) − ln Γ(a)`.
fn log_gamma_ratio(a: f64) -> f64 {
    if a < 20.0 {
        return libm::lgamma(a + 0.5) - libm::lgamma(a);
    }
    a * (0.5 / a).ln_1p() - 0.5 + 0.5 * a.ln() + stirling_error(a + 0.5) - stirling_error(a)
}

fn density(t: f64, df: f64) -> f64 {
    let a = 0.5 * df;
    (log_gamma_ratio(a) - (a + 0.5) * (t * t / df).ln_1p()).exp()
        / (df * std::f64::consts::PI).sqrt()
}

/// The value that Student's distribution exceeds with chance `tail`, for `0 < tail < 1`.
///
/// From 1000 degrees of freedom on: the Cornish-Fisher series around the normal quantile
/// (Abramowitz and Stegun 26.7.5). Below: Newton steps on the tail, from the normal quantile,
/// which is always on the same side.
pub fn upper_quantile(tail: f64, df: f64) -> f64 {
    if !(tail > 0.0 && tail < 1.0 && df > 0.0) {
        return f64::NAN;
    }
    if tail > 0.5 {
        return -upper_quantile(1.0 - tail, df);
    }
    let z = normal::upper_quantile(tail);
    // The series is for quantiles that are small against the degrees of freedom.
    if df >= 1000.0 && z < 0.6 * df.powf(0.25) {
        let s = z * z;
        let terms = [
            z * (s + 1.0) / 4.0,
            z * (s * (5.0 * s + 16.0) + 3.0) / 96.0,
            z * (s * (s * (3.0 * s + 19.0) + 17.0) - 15.0) / 384.0,
            z * (s * (s * (s * (79.0 * s + 776.0) + 1482.0) - 1920.0) - 945.0) / 92160.0,
        ];
        return z + terms.iter().rev().fold(0.0, |sum, term| (sum + term) / df);
    }
    let mut t = z.max(1e-300);
    for _ in 0..200 {
        let above = upper_tail(t, df);
        let slope = density(t, df);
        // Tails fall like a power of t: their logarithm over ln t is nearly a line.
        let next = if tail < 0.25 {
            t * ((above.ln() - tail.ln()) * above / (slope * t)).clamp(-50.0, 50.0).exp()
        } else {
            t + (above - tail) / slope
        };
        let done = (next - t).abs() <= 1e-15 * t.abs();
        t = next;
        if done || !t.is_finite() {
            break;
        }
    }
    t
}
