//! The statistics as a calculator: a function's name and JSON in, a flat JSON object out.
//!
//! Behind `tallymark stats` and `POST /v1/stats/{fn}`. Unknown fields are refused, so that a
//! misspelt option never goes unnoticed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::two_sample::Test;
use super::{StatsError, attribution, beta, chi_squared, normal, student};

mod adjusting;
mod allocation;
mod arms;
mod bayes;
mod deciding;
mod planning;
mod sequential;
mod several;
#[cfg(test)]
mod tests;
mod two_arms;

type Function = fn(&Value) -> Result<Value, StatsError>;

/// Every function there is: one line each.
const FUNCTIONS: &[(&str, Function)] = &[
    ("two_sample_t", |input| two_arms::two_sample(input, Test::Welch)),
    ("two_sample_z", |input| two_arms::two_sample(input, Test::Z)),
    ("two_sample_t_values", two_arms::two_sample_t_values),
    ("winsorize_then_t", two_arms::winsorize_then_t),
    ("edge_two_sample_t", two_arms::two_sample_or_why_not),
    ("two_proportion_z_pooled", two_arms::two_proportion_z_pooled),
    ("proportion_ci", two_arms::proportion_ci),
    ("proportion_diff_ci", two_arms::proportion_diff_ci),
    ("fisher_exact", two_arms::fisher_exact),
    ("fieller_relative", two_arms::fieller_relative),
    ("arm_ratio", arms::arm_ratio),
    ("cuped", adjusting::cuped),
    ("cuped_ratio", adjusting::cuped_ratio),
    ("post_stratify", adjusting::post_stratify),
    ("quantile_two_sample", adjusting::quantile_two_sample),
    ("quantile_clustered_variance", adjusting::quantile_clustered_variance),
    ("non_inferiority_z", adjusting::non_inferiority_z),
    ("bayes_gaussian", bayes::bayes_gaussian),
    ("beta_binomial", bayes::beta_binomial),
    ("beta_best_of", bayes::beta_best_of),
    ("sequential_two_sided", sequential::two_sided),
    ("sequential_one_sided", sequential::one_sided),
    ("sequential_path", sequential::path),
    ("msprt_normal", sequential::msprt_normal),
    ("group_sequential_bounds", sequential::group_sequential_bounds),
    ("srm_chi2", several::srm_chi2),
    ("srm_sequential", several::srm_sequential),
    ("p_adjust", several::p_adjust),
    ("adjusted_ci", several::adjusted_ci),
    ("preferential_bonferroni", several::preferential_bonferroni),
    ("thompson_weights", several::thompson_weights),
    ("sample_size_mean_z", planning::sample_size_mean_z),
    ("sample_size_mean_t", planning::sample_size_mean_t),
    ("power_mean_t", planning::power_mean_t),
    ("sample_size_proportion_pooled", planning::sample_size_proportion_pooled),
    ("power_proportion_pooled", planning::power_proportion_pooled),
    ("sample_size_proportion_arcsine", planning::sample_size_proportion_arcsine),
    ("sample_size_evan_miller", planning::sample_size_evan_miller),
    ("sample_size_spotify", planning::sample_size_spotify),
    ("power_relative_growthbook", planning::power_relative_growthbook),
    ("growth_needed", planning::growth_needed),
    ("experiment_verdict", deciding::experiment_verdict),
    ("growthbook_hash", allocation::growthbook_hash),
    ("growthbook_assign", allocation::growthbook_assign),
    ("growthbook_counts", allocation::growthbook_counts),
    ("planout_uniform", allocation::planout_uniform),
    ("attribute", attribution::calculate),
    ("norm_sf", |input| one(input, |x: X| normal::upper_tail(x.x))),
    ("norm_ppf", |input| one(input, |p: P| normal::quantile(p.p))),
    ("t_sf", |input| one(input, |x: XDf| student::upper_tail(x.x, x.df))),
    ("t_ppf", |input| one(input, |p: PDf| student::upper_quantile(1.0 - p.p, p.df))),
    ("chi2_sf", |input| one(input, |x: XDf| chi_squared::upper_tail(x.x, x.df))),
    ("beta_cdf", |input| one(input, |x: XAb| beta::distribution(x.x, x.a, x.b))),
];

/// Compute one statistic.
///
/// # Errors
/// `unknown_fn`, `bad_input`, or what the method itself refuses; see [`StatsError::code`].
pub fn calculate(function: &str, input: &Value) -> Result<Value, StatsError> {
    match FUNCTIONS.iter().find(|(name, _)| *name == function) {
        Some((_, compute)) => compute(input),
        None => {
            let known: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            Err(StatsError::new(
                "unknown_fn",
                format!("there is no `{function}`; use one of {}", known.join(", ")),
            ))
        }
    }
}

pub(super) fn read<T: DeserializeOwned>(input: &Value) -> Result<T, StatsError> {
    T::deserialize(input).map_err(|error| StatsError::input(error.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct X {
    x: f64,
}
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct P {
    p: f64,
}
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct XDf {
    x: f64,
    df: f64,
}
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PDf {
    p: f64,
    df: f64,
}
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct XAb {
    x: f64,
    a: f64,
    b: f64,
}

fn one<T: DeserializeOwned>(input: &Value, f: fn(T) -> f64) -> Result<Value, StatsError> {
    let value = f(read(input)?);
    if value.is_nan() {
        return Err(StatsError::input("outside the domain of the function"));
    }
    Ok(json!({ "value": value }))
}

fn default_alpha() -> f64 {
    0.05
}

fn checked_alpha(alpha: f64) -> Result<f64, StatsError> {
    if alpha > 0.0 && alpha < 1.0 {
        return Ok(alpha);
    }
    Err(StatsError::input("`alpha` lies between 0 and 1"))
}
