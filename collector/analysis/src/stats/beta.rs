//! The beta distribution: distribution function and quantile.

use super::gamma::{deviance, stirling_error};

/// Chance that a value of the beta distribution with shapes `a` and `b` is at most `x`: the
/// regularised incomplete beta function. Not a number when a shape is not positive.
///
/// Continued fraction DLMF 8.17.22 by Lentz's method; the factor before it by Loader's deviances,
/// which keeps ten digits at shapes of a million.
pub fn distribution(x: f64, a: f64, b: f64) -> f64 {
    if !(a > 0.0 && b > 0.0) || x.is_nan() {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    ln_distribution(x, 1.0 - x, a, b).exp().min(1.0)
}

/// The logarithm of the [`distribution`] at `0 < x < 1`, with `y = 1 − x` given so that it is exact
/// near one: right also where the chance is far below 1e-308.
pub(super) fn ln_distribution(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if x < (a + 1.0) / (a + b + 2.0) {
        ln_density(x, y, a, b) + (fraction(x, a, b) / a).ln()
    } else {
        (-(ln_density(x, y, a, b).exp() / b * fraction(y, b, a)).min(1.0)).ln_1p()
    }
}

/// The value that the beta distribution stays below with chance `p`, by bisection: 1e-15 relative.
pub fn quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0f64, 1.0f64);
    // Each step halves the interval; below 2^-1074 there is nothing left to halve.
    for _ in 0..1100 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high || high - low <= 1e-16 * high {
            break;
        }
        if distribution(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// `ln(x^a y^b / B(a, b))` with `y = 1 − x`: the density of the logit of a value.
pub(super) fn ln_density(x: f64, y: f64, a: f64, b: f64) -> f64 {
    let n = a + b;
    let exponent = stirling_error(n)
        - stirling_error(a)
        - stirling_error(b)
        - deviance(a, n * x)
        - deviance(b, n * y);
    exponent + 0.5 * (a * b / (std::f64::consts::TAU * n)).ln()
}

/// The continued fraction of the incomplete beta function, right of the mean's mirror.
pub(super) fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let or_tiny = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / or_tiny(1.0 - (a + b) * x / (a + 1.0));
    let mut product = d;
    // Converges in about the square root of the larger shape: this is enough for 1e10.
    for m in 1..200_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / or_tiny(1.0 + even * d);
        c = or_tiny(1.0 + even / c);
        product *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / or_tiny(1.0 + odd * d);
        c = or_tiny(1.0 + odd / c);
        let step = d * c;
        product *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    product
}
