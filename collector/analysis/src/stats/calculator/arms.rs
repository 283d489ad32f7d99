//! How arms are written: sums of one arm, as its metric needs them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{StatsError, read};
use crate::exact_sum::Double;
use crate::stats::moments::Moments;
use crate::stats::two_sample::{Arm, Comparison, no_units};
use crate::stats::{Interval, ratio};

/// Counts of one arm of yes and no.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    pub(super) n: f64,
    pub(super) sum: f64,
}

impl Counts {
    pub(super) fn checked(self) -> Result<Self, StatsError> {
        if self.n >= 0.0 && self.n.is_finite() && (0.0..=self.n).contains(&self.sum) {
            return Ok(self);
        }
        Err(StatsError::input("an arm needs 0 ≤ sum ≤ n"))
    }

    pub(super) fn pair(self) -> (f64, f64) {
        (self.n, self.sum)
    }
}

/// An arm of a metric of this name.
pub(super) fn arm(metric: &str, value: &Value) -> Result<Arm, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sums {
        n: f64,
        sum: f64,
        sum_squares: f64,
    }
    match metric {
        "proportion" => {
            let counts = read::<Counts>(value)?.checked()?;
            Arm::proportion(counts.n, counts.sum)
        }
        "mean" => {
            let Sums { n, sum, sum_squares } = read(value)?;
            if n.is_nan() || n < 1.0 {
                return Err(no_units());
            }
            moments(n, [sum], [[sum_squares]]).arm(0)
        }
        "ratio" => ratio::arm(&read::<RatioSums>(value)?.moments()),
        other => Err(StatsError::input(format!(
            "there is no metric `{other}`; use proportion, mean or ratio"
        ))),
    }
}

/// Moments from plain sums.
pub(super) fn moments<const K: usize>(
    n: f64,
    sums: [f64; K],
    products: [[f64; K]; K],
) -> Moments<K> {
    Moments::from_sums(n, sums.map(Double::new), products.map(|row| row.map(Double::new)))
}

/// Sums of a ratio metric: numerator and denominator per unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RatioSums {
    #[serde(default, rename = "metric")]
    _metric: Option<String>,
    n: f64,
    num_sum: f64,
    num_sum_squares: f64,
    den_sum: f64,
    den_sum_squares: f64,
    num_den_sum_products: f64,
}

impl RatioSums {
    pub(super) fn moments(&self) -> Moments<2> {
        let products = self.num_den_sum_products;
        moments(
            self.n,
            [self.num_sum, self.den_sum],
            [[self.num_sum_squares, products], [products, self.den_sum_squares]],
        )
    }
}

pub(super) fn arm_ratio(input: &Value) -> Result<Value, StatsError> {
    let moments = read::<RatioSums>(input)?.moments();
    let arm = ratio::arm(&moments)?;
    Ok(json!({ "mean": arm.mean, "variance": arm.variance, "covariance": moments.covariance(0, 1),
        "standard_error": (arm.variance / arm.n).sqrt() }))
}

pub(super) fn ends(result: &mut Value, interval: Interval) {
    result["ci_low"] = json!(interval.low);
    result["ci_high"] = json!(interval.high);
}

pub(super) fn comparison(found: &Comparison) -> Value {
    let mut result = json!({
        "estimate": found.estimate,
        "standard_error": found.standard_error,
        "statistic": found.statistic,
        "p_value": found.p_value,
    });
    if found.degrees_of_freedom.is_finite() {
        result["degrees_of_freedom"] = json!(found.degrees_of_freedom);
    }
    ends(&mut result, found.interval);
    result
}
