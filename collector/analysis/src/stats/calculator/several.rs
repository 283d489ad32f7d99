//! Many arms or many tests at once: their sizes, their p-values, the next split.

use serde::Deserialize;
use serde_json::{Value, json};

use super::arms::{arm, ends};
use super::{StatsError, checked_alpha, default_alpha, read};
use crate::stats::many_tests::{self, Method};
use crate::stats::two_sample::Arm;
use crate::stats::{srm, thompson};

/// p-values, arms and tests of one computation at most.
const MAX_LENGTH: usize = 10_000;

pub(super) fn srm_chi2(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        users: Vec<f64>,
        weights: Vec<f64>,
    }
    let input: Input = read(input)?;
    let found = srm::chi_squared(&input.users, &input.weights)?;
    Ok(json!({ "statistic": found.statistic, "degrees_of_freedom": found.degrees_of_freedom,
        "p_value": found.p_value }))
}

pub(super) fn srm_sequential(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        batches: Vec<Vec<f64>>,
        weights: Vec<f64>,
        #[serde(default = "concentration")]
        dirichlet_concentration: f64,
    }
    fn concentration() -> f64 {
        10_000.0
    }
    let input: Input = read(input)?;
    let (log_factors, p_values) =
        srm::sequential(&input.batches, &input.weights, input.dirichlet_concentration)?;
    Ok(json!({ "log_bayes_factor": log_factors, "p_value": p_values }))
}

pub(super) fn p_adjust(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        p_values: Vec<f64>,
        method: Method,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    if input.p_values.len() > MAX_LENGTH {
        return Err(StatsError::input(format!("at most {MAX_LENGTH} p-values")));
    }
    let adjusted = many_tests::adjust(&input.p_values, input.method)?;
    let reject: Vec<bool> = adjusted.iter().map(|p| *p <= alpha).collect();
    Ok(json!({ "adjusted": adjusted, "reject": reject }))
}

pub(super) fn adjusted_ci(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        estimate: f64,
        adjusted_p_value: f64,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    let input: Input = read(input)?;
    if !(0.0..=1.0).contains(&input.adjusted_p_value) {
        return Err(StatsError::input("`adjusted_p_value` lies between 0 and 1"));
    }
    let alpha = checked_alpha(input.alpha)?;
    let found = many_tests::interval(input.estimate, input.adjusted_p_value, alpha);
    let interval = found.ok_or_else(|| {
        StatsError::new(
            "zero_variance",
            "no interval follows from a p-value of 0 or 1, or no effect",
        )
    })?;
    let mut result = json!({});
    ends(&mut result, interval);
    Ok(result)
}

/// `{alpha, gamma, metrics, arms}` → the level of each metric, the primary first.
pub(super) fn preferential_bonferroni(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        #[serde(default = "default_alpha")]
        alpha: f64,
        gamma: f64,
        metrics: usize,
        arms: usize,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    let levels =
        many_tests::preferential_bonferroni(alpha, input.gamma, input.metrics, input.arms)?;
    Ok(json!({ "alpha": levels }))
}

/// `{metric, arms, floor}` → the chance of each arm to be the best, and the next split.
pub(super) fn thompson_weights(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        arms: Vec<Value>,
        #[serde(default = "floor")]
        floor: f64,
    }
    fn floor() -> f64 {
        0.01
    }
    let input: Input = read(input)?;
    if input.arms.len() > 100 {
        return Err(StatsError::input("at most 100 arms"));
    }
    let arms: Vec<Arm> =
        input.arms.iter().map(|sums| arm(&input.metric, sums)).collect::<Result<_, _>>()?;
    let chances = thompson::chances_of_best(&arms)?;
    let weights = thompson::weights(&chances, input.floor)?;
    Ok(json!({ "probability_best": chances, "weights": weights }))
}
