//! The chi squared distribution: its upper tail.

use super::gamma::poisson_density;

/// Chance that a chi squared value with `df` degrees of freedom exceeds `x`: the regularised upper
/// incomplete gamma function `Q(df/2, x/2)`.
///
/// Below the mean one minus the series (DLMF 8.11.4), where the tail is large; above it the
/// continued fraction (DLMF 8.9.2) by Lentz's method, which keeps all digits of small tails.
pub fn upper_tail(x: f64, df: f64) -> f64 {
    if x.is_nan() || !super::positive(df) {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 1.0;
    }
    if x.is_infinite() {
        return 0.0;
    }
    let (a, x) = (0.5 * df, 0.5 * x);
    if x < a + 1.0 {
        let mut term = 1.0;
        let mut sum = 1.0;
        let mut n = a;
        while term > sum * 1e-17 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - poisson_density(a, x) * sum;
    }
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut product = d;
    for i in 1..100_000 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        let step = c * d;
        product *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    poisson_density(a, x) * a * product
}
