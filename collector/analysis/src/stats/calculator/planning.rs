//! Sizes and power, see [`power`](crate::stats::power).

use serde::Deserialize;
use serde_json::{Value, json};

use super::{StatsError, checked_alpha, default_alpha, read};
use crate::stats::power::{self, Errors};
use crate::stats::{Alternative, positive};

fn errors(alpha: f64, power: f64, alternative: Alternative) -> Result<Errors, StatsError> {
    checked_alpha(alpha)?;
    // Less power than the test has without any difference needs nobody.
    if power > alpha && power < 1.0 {
        return Ok(Errors { alpha, power, alternative });
    }
    Err(StatsError::input("`power` lies between `alpha` and 1"))
}

fn above_zero(name: &str, value: f64) -> Result<f64, StatsError> {
    if positive(value) && value.is_finite() {
        return Ok(value);
    }
    Err(StatsError::input(format!("`{name}` is a number above zero")))
}

/// A size, and the whole number of people that has at least the power.
fn size(name: &str, n: f64) -> Result<Value, StatsError> {
    if !n.is_finite() {
        return Err(StatsError::input("no number of people is enough"));
    }
    let mut result = json!({ name: n });
    result[format!("{name}_rounded_up")] = json!(n.ceil());
    Ok(result)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Means {
    stddev: f64,
    mde: f64,
    #[serde(default = "default_alpha")]
    alpha: f64,
    #[serde(default = "default_power")]
    power: f64,
    n_control: Option<f64>,
    #[serde(default = "one_to_one")]
    ratio: f64,
    #[serde(default)]
    alternative: Alternative,
}

fn default_power() -> f64 {
    0.8
}

fn one_to_one() -> f64 {
    1.0
}

impl Means {
    /// With the difference in standard deviations, and the errors.
    fn read(input: &Value) -> Result<(Self, f64, Errors), StatsError> {
        let input: Self = read(input)?;
        above_zero("ratio", input.ratio)?;
        let effect = above_zero("mde", input.mde.abs())? / above_zero("stddev", input.stddev)?;
        let errors = errors(input.alpha, input.power, input.alternative)?;
        Ok((input, effect, errors))
    }
}

pub(super) fn sample_size_mean_z(input: &Value) -> Result<Value, StatsError> {
    let (input, effect, errors) = Means::read(input)?;
    let mut result = size("n_control", power::size_mean_z(effect, input.ratio, &errors))?;
    let closed = power::size_mean_closed_form(effect, input.ratio, &errors);
    result["closed_form_one_tail"] = json!(closed);
    Ok(result)
}

pub(super) fn sample_size_mean_t(input: &Value) -> Result<Value, StatsError> {
    let (input, effect, errors) = Means::read(input)?;
    size("n_control", power::size_mean_t(effect, input.ratio, &errors))
}

pub(super) fn power_mean_t(input: &Value) -> Result<Value, StatsError> {
    let (input, effect, errors) = Means::read(input)?;
    let n = above_zero("n_control", input.n_control.unwrap_or(f64::NAN))?;
    if n * (1.0 + input.ratio) <= 2.0 {
        return Err(StatsError::input("two arms need more than two people"));
    }
    Ok(json!({ "power": power::power_mean_t(n, input.ratio, effect, &errors) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    baseline: f64,
    relative_mde: f64,
    #[serde(default = "default_alpha")]
    alpha: f64,
    #[serde(default = "default_power")]
    power: f64,
    n_per_arm: Option<f64>,
    #[serde(default = "one_to_one")]
    ratio: f64,
    #[serde(default, rename = "note")]
    _note: Option<String>,
}

impl Rates {
    /// With treatment's rate, and the errors.
    fn read(input: &Value) -> Result<(Self, f64, Errors), StatsError> {
        let input: Self = read(input)?;
        above_zero("ratio", input.ratio)?;
        let treatment = input.baseline * (1.0 + input.relative_mde);
        let is_rate = |rate: f64| rate > 0.0 && rate < 1.0;
        if !is_rate(input.baseline) || !is_rate(treatment) || treatment == input.baseline {
            return Err(StatsError::input("both rates lie between 0 and 1, and differ"));
        }
        let errors = errors(input.alpha, input.power, Alternative::TwoSided)?;
        Ok((input, treatment, errors))
    }
}

pub(super) fn sample_size_proportion_pooled(input: &Value) -> Result<Value, StatsError> {
    let (input, treatment, errors) = Rates::read(input)?;
    let n = power::size_rates_pooled(input.baseline, treatment, input.ratio, &errors);
    size("n_treatment", n)
}

pub(super) fn power_proportion_pooled(input: &Value) -> Result<Value, StatsError> {
    let (input, treatment, errors) = Rates::read(input)?;
    let n = above_zero("n_per_arm", input.n_per_arm.unwrap_or(f64::NAN))?;
    Ok(json!({ "power": power::power_rates_pooled(input.baseline, treatment, n, &errors) }))
}

pub(super) fn sample_size_proportion_arcsine(input: &Value) -> Result<Value, StatsError> {
    let (input, treatment, errors) = Rates::read(input)?;
    let h = power::arcsine_effect(input.baseline, treatment);
    let mut result = size("n_per_arm", power::size_mean_z(h, 1.0, &errors))?;
    result["effect_size_h"] = json!(h);
    Ok(result)
}

pub(super) fn sample_size_evan_miller(input: &Value) -> Result<Value, StatsError> {
    let (input, treatment, errors) = Rates::read(input)?;
    size("n_per_arm", power::size_rates_evan_miller(input.baseline, treatment, &errors))
}

/// All arms vary like control, and each has as many people: `(z₁ + z₂)² 2 p (1 − p)/d²` each.
pub(super) fn sample_size_spotify(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        baseline: f64,
        absolute_mde: f64,
        #[serde(default = "default_alpha")]
        alpha: f64,
        #[serde(default = "default_power")]
        power: f64,
        arms: u32,
    }
    let input: Input = read(input)?;
    if !(input.baseline > 0.0 && input.baseline < 1.0) || input.arms < 2 {
        return Err(StatsError::input("`baseline` lies between 0 and 1; at least two arms"));
    }
    let errors = errors(input.alpha, input.power, Alternative::TwoSided)?;
    let variance = input.baseline * (1.0 - input.baseline);
    let effect = above_zero("absolute_mde", input.absolute_mde.abs())? / variance.sqrt();
    let each = power::size_mean_closed_form(effect, 1.0, &errors);
    let total = each * f64::from(input.arms);
    Ok(json!({ "n_total": total.ceil(), "n_per_arm": each.ceil(), "n_total_unrounded": total }))
}

/// Power for a lift, and the smallest lift found with the power asked for (`null`: there is none).
pub(super) fn power_relative_growthbook(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        mean: f64,
        variance: f64,
        relative_effect: f64,
        #[serde(default = "default_alpha")]
        alpha: f64,
        n_per_arm: f64,
        #[serde(default = "default_power")]
        power: f64,
    }
    let input: Input = read(input)?;
    let errors = errors(input.alpha, input.power, Alternative::TwoSided)?;
    let (variance, n) =
        (above_zero("variance", input.variance)?, above_zero("n_per_arm", input.n_per_arm)?);
    above_zero("mean", input.mean.abs())?;
    Ok(json!({
        "power": power::power_lift(input.mean, variance, n, input.relative_effect, &errors),
        "mde_relative": power::smallest_lift(input.mean, variance, n, &errors),
    }))
}

/// `{effect, standard_error, alpha, power, goals, width_factor}` → how many times today's people, and
/// with `days_so_far` how many days more.
pub(super) fn growth_needed(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        effect: f64,
        standard_error: f64,
        #[serde(default = "default_alpha")]
        alpha: f64,
        #[serde(default = "default_power")]
        power: f64,
        #[serde(default = "one_to_one")]
        goals: f64,
        #[serde(default = "one_to_one")]
        width_factor: f64,
        days_so_far: Option<f64>,
    }
    let input: Input = read(input)?;
    let errors = errors(input.alpha, input.power, Alternative::TwoSided)?;
    above_zero("goals", input.goals)?;
    above_zero("width_factor", input.width_factor)?;
    above_zero("standard_error", input.standard_error)?;
    let growth = power::growth_needed(
        input.effect,
        input.standard_error,
        input.goals,
        input.width_factor,
        &errors,
    )?;
    let days = input.days_so_far.map(|days| above_zero("days_so_far", days)).transpose()?;
    Ok(json!({ "growth": growth, "days_left": days.map(|days| (growth - 1.0) * days) }))
}
