//! The two pieces from which densities are built without losing digits (Loader, "Fast and Accurate
//! Computation of Binomial Probabilities", 2000).

/// `ln Γ(n + 1)` less Stirling's `(n + ½) ln n − n + ½ ln 2π`, for `n > 0`.
pub fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        let half_ln_tau = 0.5 * std::f64::consts::TAU.ln();
        return libm::lgamma(n + 1.0) - (n + 0.5) * n.ln() + n - half_ln_tau;
    }
    // 1/(12n) − 1/(360n³) + 1/(1260n⁵) − 1/(1680n⁷) + 1/(1188n⁹): the next term is below 1e-16.
    let square = n * n;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square)
            / square)
        / n
}

/// The deviance `x ln(x / mean) + mean − x`, also where the two are close.
pub fn deviance(x: f64, mean: f64) -> f64 {
    let difference = x - mean;
    if difference.abs() < 0.1 * (x + mean) {
        let v = difference / (x + mean);
        let mut sum = difference * v;
        let mut term = 2.0 * x * v;
        for j in 1..1000 {
            term *= v * v;
            let next = sum + term / f64::from(2 * j + 1);
            if next == sum {
                break;
            }
            sum = next;
        }
        return sum;
    }
    x * (x / mean).ln() + mean - x
}

/// `x^a e^{-x} / Γ(a + 1)` for `a > 0`, `x > 0`.
pub fn poisson_density(a: f64, x: f64) -> f64 {
    (-stirling_error(a) - deviance(a, x)).exp() / (std::f64::consts::TAU * a).sqrt()
}
