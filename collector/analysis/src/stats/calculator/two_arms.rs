//! Two arms compared by one test: means, rates, raw values.

use serde::Deserialize;
use serde_json::{Value, json};

use super::arms::{Counts, arm, comparison, ends};
use super::{StatsError, checked_alpha, default_alpha, read};
use crate::exact_sum::{ExactSum, variance};
use crate::stats::beta_binomial::{self, Rate};
use crate::stats::two_sample::{Arm, Difference, Test, compare, no_units};
use crate::stats::winsorize::Cap;
use crate::stats::{Alternative, fieller, fisher, newcombe, normal, proportion};

pub(super) fn two_sample(input: &Value, test: Test) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Value,
        treatment: Value,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
        #[serde(default)]
        alternative: Alternative,
    }
    let input: Input = read(input)?;
    let (control, treatment) =
        (arm(&input.metric, &input.control)?, arm(&input.metric, &input.treatment)?);
    let alpha = checked_alpha(input.alpha)?;
    compare(control, treatment, input.difference, test, alpha, input.alternative)
        .map(|found| comparison(&found))
}

/// The comparison with a status: `ok` and the figures of `two_sample_t`, or `undefined`, the reason,
/// and what is known all the same: the means, and for rates Newcombe's interval of the difference
/// and the chance that treatment is better.
pub(super) fn two_sample_or_why_not(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Value,
        treatment: Value,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    let control = known(arm(&input.metric, &input.control))?;
    let treatment = known(arm(&input.metric, &input.treatment))?;
    let found = match (control, treatment) {
        (Some(control), Some(treatment)) => {
            compare(control, treatment, input.difference, Test::Welch, alpha, Alternative::TwoSided)
        }
        _ => Err(no_units()),
    };
    let mut result = match found {
        Ok(found) => {
            let mut result = comparison(&found);
            result["status"] = json!("ok");
            result
        }
        Err(error) => json!({ "status": "undefined", "reason": error.code, "p_value": null,
            "ci_low": null, "ci_high": null }),
    };
    result["control_mean"] = json!(control.map(|arm| arm.mean));
    result["treatment_mean"] = json!(treatment.map(|arm| arm.mean));
    if input.metric == "proportion" && control.is_some() && treatment.is_some() {
        let (control, treatment): (Counts, Counts) =
            (read(&input.control)?, read(&input.treatment)?);
        let z = normal::upper_quantile(alpha / 2.0);
        let (low, high) = newcombe::difference(control.pair(), treatment.pair(), z)?;
        result["newcombe_ci_low"] = json!(low);
        result["newcombe_ci_high"] = json!(high);
        let flat = |counts: Counts| Rate::new(counts.n, counts.sum, (1.0, 1.0));
        let rates = [flat(treatment)?, flat(control)?];
        result["beta_chance_to_win"] = json!(beta_binomial::chance_of_best(&rates, 0));
    }
    Ok(result)
}

/// An arm of nobody is no error where it is an answer.
fn known(arm: Result<Arm, StatsError>) -> Result<Option<Arm>, StatsError> {
    match arm {
        Ok(arm) => Ok(Some(arm)),
        Err(error) if error.code == "no_units" => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn two_sample_t_values(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        control_values: Vec<f64>,
        treatment_values: Vec<f64>,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
        #[serde(default)]
        alternative: Alternative,
    }
    let input: Input = read(input)?;
    let arms = (of_values(&input.control_values)?, of_values(&input.treatment_values)?);
    compared_values(arms, input.difference, checked_alpha(input.alpha)?, input.alternative)
}

/// An arm from what each person has.
fn of_values(values: &[f64]) -> Result<Arm, StatsError> {
    let (mut sum, mut squares) = (ExactSum::default(), ExactSum::default());
    for value in values {
        sum.add(*value);
        squares.add_square(*value);
    }
    let n = values.len() as u64;
    let variance = variance(n, &sum, &squares).ok_or_else(no_units)?;
    Ok(Arm { n: n as f64, mean: sum.value() / n as f64, variance })
}

fn compared_values(
    (control, treatment): (Arm, Arm),
    difference: Difference,
    alpha: f64,
    alternative: Alternative,
) -> Result<Value, StatsError> {
    let found = compare(control, treatment, difference, Test::Welch, alpha, alternative)?;
    let mut result = comparison(&found);
    result["control_mean"] = json!(control.mean);
    result["control_variance"] = json!(control.variance);
    result["treatment_mean"] = json!(treatment.mean);
    result["treatment_variance"] = json!(treatment.variance);
    Ok(result)
}

pub(super) fn winsorize_then_t(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        control_values: Vec<f64>,
        treatment_values: Vec<f64>,
        capping: Cap,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    let input: Input = read(input)?;
    let all = input.control_values.iter().chain(&input.treatment_values).copied();
    let caps = input.capping.checked()?.of(all);
    let capped = |values: &[f64]| {
        of_values(&values.iter().map(|value| caps.apply(*value)).collect::<Vec<f64>>())
    };
    let arms = (capped(&input.control_values)?, capped(&input.treatment_values)?);
    let alpha = checked_alpha(input.alpha)?;
    let mut result = compared_values(arms, input.difference, alpha, Alternative::TwoSided)?;
    result["cap_lower"] = json!(caps.lower);
    result["cap_upper"] = json!(caps.upper);
    Ok(result)
}

/// Two arms of yes and no, and how to compare them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TwoRates {
    #[serde(default)]
    metric: Option<String>,
    control: Counts,
    treatment: Counts,
    #[serde(default = "default_alpha")]
    alpha: f64,
    #[serde(default)]
    alternative: Alternative,
    #[serde(default)]
    method: Option<String>,
}

impl TwoRates {
    fn read(input: &Value) -> Result<Self, StatsError> {
        let input: Self = read(input)?;
        input.control.checked()?;
        input.treatment.checked()?;
        checked_alpha(input.alpha)?;
        match input.metric.as_deref() {
            None | Some("proportion") => Ok(input),
            Some(_) => Err(StatsError::input("this function compares proportions")),
        }
    }

    fn estimate(&self) -> f64 {
        self.treatment.sum / self.treatment.n - self.control.sum / self.control.n
    }
}

/// The z test with one common variance, for comparing with other tools:
/// `s² = p (1 − p) (1/nt + 1/nc)` with the rate `p` of both arms together.
pub(super) fn two_proportion_z_pooled(input: &Value) -> Result<Value, StatsError> {
    let input = TwoRates::read(input)?;
    let (control, treatment) = (input.control, input.treatment);
    if control.n == 0.0 || treatment.n == 0.0 {
        return Err(no_units());
    }
    let rate = (control.sum + treatment.sum) / (control.n + treatment.n);
    let standard_error = (rate * (1.0 - rate) * (1.0 / treatment.n + 1.0 / control.n)).sqrt();
    if standard_error == 0.0 {
        return Err(StatsError::new("zero_variance", "everybody did the same in both arms"));
    }
    let estimate = input.estimate();
    let statistic = estimate / standard_error;
    let p_value = match input.alternative {
        Alternative::TwoSided => 2.0 * normal::upper_tail(statistic.abs()),
        Alternative::Greater => normal::upper_tail(statistic),
        Alternative::Less => normal::upper_tail(-statistic),
    };
    Ok(json!({ "estimate": estimate, "standard_error": standard_error, "statistic": statistic,
        "p_value": p_value }))
}

pub(super) fn proportion_ci(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        n: f64,
        sum: f64,
        #[serde(default = "default_alpha")]
        alpha: f64,
        method: String,
    }
    let input: Input = read(input)?;
    Counts { n: input.n, sum: input.sum }.checked()?;
    let alpha = checked_alpha(input.alpha)?;
    let (low, high) = match input.method.as_str() {
        "wilson" => proportion::wilson(input.n, input.sum, normal::upper_quantile(alpha / 2.0))?,
        "clopper-pearson" => proportion::clopper_pearson(input.n, input.sum, alpha)?,
        other => {
            return Err(StatsError::input(format!(
                "there is no method `{other}`; use wilson or clopper-pearson"
            )));
        }
    };
    Ok(json!({ "estimate": input.sum / input.n, "ci_low": low, "ci_high": high }))
}

pub(super) fn proportion_diff_ci(input: &Value) -> Result<Value, StatsError> {
    let input = TwoRates::read(input)?;
    if input.method.as_deref().is_some_and(|method| method != "newcombe") {
        return Err(StatsError::input("the only method is `newcombe`"));
    }
    let z = normal::upper_quantile(input.alpha / 2.0);
    let (low, high) = newcombe::difference(input.control.pair(), input.treatment.pair(), z)?;
    Ok(json!({ "estimate": input.estimate(), "ci_low": low, "ci_high": high }))
}

pub(super) fn fisher_exact(input: &Value) -> Result<Value, StatsError> {
    let input = TwoRates::read(input)?;
    let p_value = fisher::p_value(input.control.pair(), input.treatment.pair(), input.alternative)?;
    Ok(json!({ "p_value": p_value }))
}

pub(super) fn fieller_relative(input: &Value) -> Result<Value, StatsError> {
    let input = TwoRates::read(input)?;
    let control = Arm::proportion(input.control.n, input.control.sum)?;
    let treatment = Arm::proportion(input.treatment.n, input.treatment.sum)?;
    let (g, interval) = fieller::lift(control, treatment, input.alpha)?;
    let estimate = (treatment.mean - control.mean) / control.mean.abs();
    let mut result = json!({ "estimate": estimate, "g": g });
    ends(&mut result, interval);
    Ok(result)
}
