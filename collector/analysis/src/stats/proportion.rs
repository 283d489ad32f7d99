//! One rate: Wilson's and Clopper and Pearson's intervals.

use super::{StatsError, beta, two_sample::no_units};

/// Wilson score interval for a rate: `(low, high)` as ratios in 0..=1.
///
/// `converted` and `n` count people, with `converted <= n`. `z` is a normal quantile (1.96 for
/// 95 %).
///
/// # Errors
/// `no_units` when `n` is zero: the rate of nobody is unknown, not zero.
///
/// Source: "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927),
/// 209–212. Checked against statsmodels `proportion_confint(method="wilson")`.
pub fn wilson(n: f64, converted: f64, z: f64) -> Result<(f64, f64), StatsError> {
    if !super::positive(n) {
        return Err(no_units());
    }
    let rate = converted / n;
    let z_squared = z * z;
    let weight = 1.0 + z_squared / n;
    let middle = rate + z_squared / (2.0 * n);
    let half = z * (rate * (1.0 - rate) / n + z_squared / (4.0 * n * n)).sqrt();
    // Where nobody or everybody converted the ends are exact.
    let low = if converted == 0.0 { 0.0 } else { ((middle - half) / weight).max(0.0) };
    let high = if converted == n { 1.0 } else { ((middle + half) / weight).min(1.0) };
    Ok((low, high))
}

/// Clopper and Pearson's exact interval for a rate, at confidence `1 − alpha`.
///
/// # Errors
/// `no_units` when `n` is zero.
///
/// Source: Biometrika 26 (1934), 404–413. Checked against statsmodels `method="beta"`.
pub fn clopper_pearson(n: f64, converted: f64, alpha: f64) -> Result<(f64, f64), StatsError> {
    if !super::positive(n) {
        return Err(no_units());
    }
    let missed = n - converted;
    let low =
        if converted == 0.0 { 0.0 } else { beta::quantile(alpha / 2.0, converted, missed + 1.0) };
    let high = if missed == 0.0 {
        1.0
    } else {
        // The mirror image keeps the digits of ends close to one half and to one alike.
        1.0 - beta::quantile(alpha / 2.0, missed, converted + 1.0)
    };
    Ok((low, high))
}
