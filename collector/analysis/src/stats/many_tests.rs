//! Many comparisons at once: p-values adjusted so that the whole family errs seldom.
//!
//! The family is goal metrics × treatment arms (× slices). Guardrails are not in it: they have to
//! hold one by one.
//!
//! Checked against statsmodels 0.15.0 `multipletests` by `tests/vectors/stats-multiple-testing.json`.

use super::{Interval, StatsError, normal};

/// How to adjust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum Method {
    /// `m p`.
    #[serde(rename = "bonferroni")]
    Bonferroni,
    /// Ordered up, the largest of `p₍ᵣ₎ (m − r + 1)` so far. Holm, Scand. J. Statistics 6 (1979).
    #[serde(rename = "holm")]
    Holm,
    /// The same with `1 − (1 − p)^(m − r + 1)`, for independent tests.
    #[serde(rename = "holm-sidak")]
    HolmSidak,
    /// Ordered down, the smallest of `p₍ᵣ₎ (m − r + 1)` so far. Hochberg, Biometrika 75 (1988).
    #[serde(rename = "simes-hochberg")]
    Hochberg,
    /// The closed test of Simes' inequality. Hommel, Biometrika 75 (1988).
    #[serde(rename = "hommel")]
    Hommel,
    /// False discoveries: ordered down, the smallest of `p₍ᵣ₎ m/r` so far. Benjamini and Hochberg,
    /// JRSS B 57 (1995).
    #[serde(rename = "fdr_bh")]
    BenjaminiHochberg,
    /// The same times `Σ 1/i`, for any dependence. Benjamini and Yekutieli, Annals of Statistics 29
    /// (2001).
    #[serde(rename = "fdr_by")]
    BenjaminiYekutieli,
}

/// Adjusted p-values in the order they were given, at most 1.
///
/// # Errors
/// `bad_input` for what is not a p-value.
pub fn adjust(p_values: &[f64], method: Method) -> Result<Vec<f64>, StatsError> {
    if !p_values.iter().all(|p| (0.0..=1.0).contains(p)) {
        return Err(StatsError::input("p-values lie between 0 and 1"));
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let sorted: Vec<f64> = order.iter().map(|index| p_values[*index]).collect();
    let m = sorted.len() as f64;
    let ranked = |scale: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        sorted.iter().enumerate().map(|(index, p)| scale(*p, index as f64 + 1.0)).collect()
    };
    let harmonic: f64 = (1..=sorted.len()).map(|i| 1.0 / i as f64).sum();
    let adjusted = match method {
        Method::Bonferroni => ranked(&|p, _| p * m),
        Method::Holm => rising(ranked(&|p, r| p * (m - r + 1.0))),
        // 1 − (1 − p)^k, right for small p.
        Method::HolmSidak => rising(ranked(&|p, r| -((m - r + 1.0) * (-p).ln_1p()).exp_m1())),
        Method::Hochberg => falling(ranked(&|p, r| p * (m - r + 1.0))),
        Method::Hommel => hommel(&sorted),
        Method::BenjaminiHochberg => falling(ranked(&|p, r| p * m / r)),
        Method::BenjaminiYekutieli => falling(ranked(&|p, r| p * m / r * harmonic)),
    };
    let mut result = vec![0.0; sorted.len()];
    for (index, p) in order.into_iter().zip(adjusted) {
        result[index] = p.min(1.0);
    }
    Ok(result)
}

/// Each at least as large as all before.
fn rising(mut values: Vec<f64>) -> Vec<f64> {
    let mut largest = 0.0f64;
    for value in &mut values {
        largest = largest.max(*value);
        *value = largest;
    }
    values
}

/// Each at most as large as all after.
fn falling(mut values: Vec<f64>) -> Vec<f64> {
    let mut smallest = f64::INFINITY;
    for value in values.iter_mut().rev() {
        smallest = smallest.min(*value);
        *value = smallest;
    }
    values
}

/// By the algorithm of Wright, Biometrics 48 (1992), on sorted p-values.
fn hommel(sorted: &[f64]) -> Vec<f64> {
    let n = sorted.len();
    let mut adjusted = sorted.to_vec();
    for m in (2..=n).rev() {
        let size = m as f64;
        let (first, last) = sorted.split_at(n - m + 1);
        let parts = last.iter().enumerate().map(|(i, p)| size * p / (i as f64 + 2.0));
        let smallest = parts.fold(f64::INFINITY, f64::min);
        for (own, p) in adjusted.iter_mut().zip(first) {
            *own = own.max(smallest.min(size * p));
        }
        for own in &mut adjusted[n - m + 1..] {
            *own = own.max(smallest);
        }
    }
    adjusted
}

/// The interval that goes with an adjusted p-value: `d ± z_{1−α/2} |d| / z_{1−p/2}`. Unknown where
/// the p-value is 1 and where the difference is zero.
pub fn interval(estimate: f64, adjusted_p: f64, alpha: f64) -> Option<Interval> {
    let half = normal::upper_quantile(alpha / 2.0) * estimate.abs()
        / normal::upper_quantile(adjusted_p / 2.0);
    let known = half.is_finite() && half > 0.0;
    known.then_some(Interval { low: Some(estimate - half), high: Some(estimate + half) })
}

/// What each metric may err with when the first one is preferred: `γ α / k` for the primary one of
/// `k` treatment arms, `(1 − γ) α / (k (m − 1))` for each of the others; all of `α/k` for one alone.
///
/// # Errors
/// `bad_input` for no metrics, no arms, or a `gamma` outside 0 to 1.
///
/// Source: Eppo, documentation of preferential Bonferroni.
pub fn preferential_bonferroni(
    alpha: f64,
    gamma: f64,
    metrics: usize,
    arms: usize,
) -> Result<Vec<f64>, StatsError> {
    if metrics == 0 || arms == 0 || metrics > 1_000 {
        return Err(StatsError::input("1 to 1000 metrics and at least one treatment arm"));
    }
    if !(gamma > 0.0 && gamma < 1.0) {
        return Err(StatsError::input("`gamma` lies between 0 and 1"));
    }
    let share = alpha / arms as f64;
    if metrics == 1 {
        return Ok(vec![share]);
    }
    let mut levels = vec![(1.0 - gamma) * share / (metrics - 1) as f64; metrics];
    levels[0] = gamma * share;
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_of_all_metrics_and_arms_add_up_to_alpha() {
        let levels = preferential_bonferroni(0.05, 0.8, 5, 2).unwrap();
        assert!((2.0 * levels.iter().sum::<f64>() - 0.05).abs() < 1e-15);
        assert_eq!(levels[0], 0.8 * 0.05 / 2.0);
        assert_eq!(preferential_bonferroni(0.05, 0.8, 1, 2).unwrap(), [0.025]);
    }

    #[test]
    fn where_nothing_is_known_there_is_no_interval() {
        assert_eq!(interval(0.1, 1.0, 0.05), None);
        assert_eq!(interval(0.0, 0.5, 0.05), None);
    }

    proptest! {
        #[test]
        fn methods_are_ordered_by_how_careful_they_are(p in prop::collection::vec(0.0f64..1.0, 0..12)) {
            let of = |method| adjust(&p, method).unwrap();
            let careful = [Method::Bonferroni, Method::Holm, Method::Hochberg, Method::Hommel, Method::BenjaminiHochberg];
            for pair in careful.windows(2) {
                for (more, less) in of(pair[0]).iter().zip(of(pair[1])) {
                    prop_assert!(*more >= less - 1e-12, "{:?}", pair);
                }
            }
            for (adjusted, p) in of(Method::BenjaminiHochberg).iter().zip(&p) {
                prop_assert!(*adjusted >= p * (1.0 - 1e-12) && *adjusted <= 1.0);
            }
        }
    }
}
