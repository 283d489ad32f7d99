//! The methods for looking before the end.

use serde::Deserialize;
use serde_json::{Value, json};

use super::arms::{arm, ends};
use super::{StatsError, checked_alpha, default_alpha, read};
use crate::stats::group_sequential::{Spending, bounds};
use crate::stats::two_sample::{Difference, Effect, effect};
use crate::stats::{Alternative, confidence_sequence, mixture_sprt, positive};

/// Looks of one path at most.
const MAX_LOOKS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    metric: String,
    control: Value,
    treatment: Value,
    difference: Difference,
    #[serde(default = "default_alpha")]
    alpha: f64,
    #[serde(default = "tuning_parameter")]
    tuning_parameter: f64,
    #[serde(default)]
    alternative: Alternative,
}

fn tuning_parameter() -> f64 {
    5000.0
}

fn checked_tuning(tuning: f64) -> Result<f64, StatsError> {
    let detail = "`tuning_parameter` is a number of people above zero";
    if positive(tuning) && tuning.is_finite() { Ok(tuning) } else { Err(StatsError::input(detail)) }
}

impl Input {
    fn read(input: &Value) -> Result<(Self, Effect), StatsError> {
        let input: Self = read(input)?;
        checked_alpha(input.alpha)?;
        checked_tuning(input.tuning_parameter)?;
        let control = arm(&input.metric, &input.control)?;
        let treatment = arm(&input.metric, &input.treatment)?;
        let found = effect(control, treatment, input.difference)?;
        Ok((input, found))
    }
}

fn looked(input: &Input, effect: &Effect) -> Value {
    let tuning = input.tuning_parameter;
    let look = confidence_sequence::look(effect, input.alpha, tuning, input.alternative);
    let mut result = json!({ "estimate": effect.estimate,
        "standard_error": effect.standard_error, "rho": look.rho });
    ends(&mut result, look.interval);
    result
}

pub(super) fn two_sided(input: &Value) -> Result<Value, StatsError> {
    let (input, effect) = Input::read(input)?;
    if input.alternative != Alternative::TwoSided {
        return Err(StatsError::input("for one side there is `sequential_one_sided`"));
    }
    let mut result = looked(&input, &effect);
    let ln_p = confidence_sequence::ln_p_value(&effect, input.alpha, input.tuning_parameter);
    result["p_value"] = json!(ln_p.exp());
    result["log_p_value"] = json!(ln_p);
    Ok(result)
}

pub(super) fn one_sided(input: &Value) -> Result<Value, StatsError> {
    let (input, effect) = Input::read(input)?;
    if input.alternative == Alternative::TwoSided || input.alpha >= 0.5 {
        return Err(StatsError::input("`alternative` is greater or less, `alpha` below 0.5"));
    }
    Ok(looked(&input, &effect))
}

pub(super) fn path(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Path {
        metric: String,
        looks: Vec<Look>,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
        #[serde(default = "tuning_parameter")]
        tuning_parameter: f64,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Look {
        control: Value,
        treatment: Value,
    }
    let input: Path = read(input)?;
    let (alpha, tuning) = (checked_alpha(input.alpha)?, checked_tuning(input.tuning_parameter)?);
    if input.looks.len() > MAX_LOOKS {
        return Err(StatsError::input(format!("at most {MAX_LOOKS} looks")));
    }
    let at = |look: &Look| {
        let control = arm(&input.metric, &look.control)?;
        effect(control, arm(&input.metric, &look.treatment)?, input.difference)
    };
    let effects: Vec<Effect> = input.looks.iter().map(at).collect::<Result<_, _>>()?;
    let (intervals, p_values): (Vec<_>, Vec<_>) =
        confidence_sequence::path(&effects, alpha, tuning).into_iter().unzip();
    Ok(json!({
        "estimates": effects.iter().map(|effect| effect.estimate).collect::<Vec<f64>>(),
        "ci_low": intervals.iter().map(|interval| interval.low).collect::<Vec<_>>(),
        "ci_high": intervals.iter().map(|interval| interval.high).collect::<Vec<_>>(),
        "p_value": p_values,
    }))
}

pub(super) fn msprt_normal(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Value,
        treatment: Value,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
        tau_squared: f64,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    if !positive(input.tau_squared) {
        return Err(StatsError::input("`tau_squared` is a variance above zero"));
    }
    let control = arm(&input.metric, &input.control)?;
    let found = effect(control, arm(&input.metric, &input.treatment)?, input.difference)?;
    let mixture = mixture_sprt::test(&found, input.tau_squared, alpha);
    let ratio = mixture.ln_likelihood_ratio.exp();
    let mut result = json!({ "estimate": found.estimate,
        "variance_of_estimate": found.standard_error * found.standard_error,
        "ln_likelihood_ratio": mixture.ln_likelihood_ratio,
        "likelihood_ratio": ratio.is_finite().then_some(ratio), "p_value": mixture.p_value });
    ends(&mut result, mixture.interval);
    Ok(result)
}

pub(super) fn group_sequential_bounds(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        information_fractions: Vec<f64>,
        #[serde(default = "default_alpha")]
        alpha: f64,
        sides: u8,
        spending: Spends,
        #[serde(default, rename = "note")]
        _note: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
    enum Spends {
        Power { phi: f64 },
        ObrienFleming,
    }
    let input: Input = read(input)?;
    let alpha = match input.sides {
        1 => checked_alpha(input.alpha)?,
        2 => checked_alpha(input.alpha)? / 2.0,
        _ => return Err(StatsError::input("`sides` is 1 or 2")),
    };
    let spending = match input.spending {
        Spends::Power { phi } => Spending::Power(phi),
        Spends::ObrienFleming => Spending::ObrienFleming,
    };
    Ok(json!({ "z_bounds": bounds(&input.information_fractions, alpha, spending)? }))
}
