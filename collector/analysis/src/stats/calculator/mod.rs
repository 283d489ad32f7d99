//! The statistics as a calculator: a function's name and JSON in, a flat JSON object out.
//!
//! Behind `tallymark stats` and `POST /v1/stats/{fn}`. Unknown fields are refused, so that a
//! misspelt option never goes unnoticed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::two_sample::{Arm, Comparison, Difference, Test, compare};
use super::{
    Alternative, Interval, StatsError, attribution, beta, beta_binomial, chi_squared, fieller,
    fisher, newcombe, normal, proportion, srm, student,
};
use crate::exact_sum::{Double, ExactSum, variance};

#[cfg(test)]
mod tests;

type Function = fn(&Value) -> Result<Value, StatsError>;

/// Every function there is: one line each.
const FUNCTIONS: &[(&str, Function)] = &[
    ("two_sample_t", |input| two_sample(input, Test::Welch)),
    ("two_sample_z", |input| two_sample(input, Test::Z)),
    ("two_sample_t_values", two_sample_t_values),
    ("edge_two_sample_t", two_sample_or_why_not),
    ("two_proportion_z_pooled", two_proportion_z_pooled),
    ("proportion_ci", proportion_ci),
    ("proportion_diff_ci", proportion_diff_ci),
    ("fisher_exact", fisher_exact),
    ("fieller_relative", fieller_relative),
    ("arm_ratio", arm_ratio),
    ("srm_chi2", srm_chi2),
    ("srm_sequential", srm_sequential),
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

fn alpha() -> f64 {
    0.05
}

fn checked_alpha(alpha: f64) -> Result<f64, StatsError> {
    if alpha > 0.0 && alpha < 1.0 {
        return Ok(alpha);
    }
    Err(StatsError::input("`alpha` lies between 0 and 1"))
}

/// Counts of one arm of yes and no.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    n: f64,
    sum: f64,
}

impl Counts {
    fn checked(self) -> Result<Self, StatsError> {
        if self.n >= 0.0 && self.n.is_finite() && (0.0..=self.n).contains(&self.sum) {
            return Ok(self);
        }
        Err(StatsError::input("an arm needs 0 ≤ sum ≤ n"))
    }

    fn pair(self) -> (f64, f64) {
        (self.n, self.sum)
    }
}

/// Sums of one arm, as the metric needs them.
fn arm(metric: &str, value: &Value) -> Result<Arm, StatsError> {
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
            let sums: Sums = read(value)?;
            if sums.n < 1.0 {
                return Err(super::two_sample::no_units());
            }
            let spread = product(sums.n, sums.sum_squares).minus(product(sums.sum, sums.sum));
            let variance = (spread.high / sums.n / (sums.n - 1.0)).max(0.0);
            Ok(Arm { n: sums.n, mean: sums.sum / sums.n, variance })
        }
        "ratio" => Ok(read::<RatioSums>(value)?.arm()?.0),
        other => Err(StatsError::input(format!(
            "there is no metric `{other}`; use proportion, mean or ratio"
        ))),
    }
}

fn product(a: f64, b: f64) -> Double {
    Double::new(a).times(Double::new(b))
}

/// Sums of a ratio metric: numerator and denominator per unit.
#[derive(Debug, Clone, Copy, Deserialize)]
struct RatioSums {
    n: f64,
    num_sum: f64,
    num_sum_squares: f64,
    den_sum: f64,
    den_sum_squares: f64,
    num_den_sum_products: f64,
}

impl RatioSums {
    /// The arm and the covariance, by the delta method: `m = M/D`,
    /// `v = vM/D² + vD M²/D⁴ − 2 cov M/D³` with the arm's means `M` and `D`.
    fn arm(&self) -> Result<(Arm, f64), StatsError> {
        let n = self.n;
        if n < 2.0 {
            return Err(super::two_sample::no_units());
        }
        if self.den_sum == 0.0 {
            return Err(StatsError::new("baseline_zero", "the denominator is zero"));
        }
        let spread = |products: f64, a: f64, b: f64| {
            product(n, products).minus(product(a, b)).high / n / (n - 1.0)
        };
        let covariance = spread(self.num_den_sum_products, self.num_sum, self.den_sum);
        let (m, d) = (self.num_sum / n, self.den_sum / n);
        let variance = spread(self.num_sum_squares, self.num_sum, self.num_sum) / (d * d)
            + spread(self.den_sum_squares, self.den_sum, self.den_sum) * m * m / d.powi(4)
            - 2.0 * covariance * m / d.powi(3);
        Ok((Arm { n, mean: self.num_sum / self.den_sum, variance }, covariance))
    }
}

fn arm_ratio(input: &Value) -> Result<Value, StatsError> {
    let (arm, covariance) = read::<RatioSums>(input)?.arm()?;
    Ok(json!({ "mean": arm.mean, "variance": arm.variance, "covariance": covariance,
        "standard_error": (arm.variance / arm.n).sqrt() }))
}

fn ends(result: &mut Value, interval: Interval) {
    result["ci_low"] = json!(interval.low);
    result["ci_high"] = json!(interval.high);
}

fn comparison(found: &Comparison) -> Value {
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

fn two_sample(input: &Value, test: Test) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Value,
        treatment: Value,
        difference: Difference,
        #[serde(default = "alpha")]
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
fn two_sample_or_why_not(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Value,
        treatment: Value,
        difference: Difference,
        #[serde(default = "alpha")]
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
        _ => Err(super::two_sample::no_units()),
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
        result["beta_chance_to_win"] =
            json!(beta_binomial::chance_to_win(control.pair(), treatment.pair())?);
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

fn two_sample_t_values(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        control_values: Vec<f64>,
        treatment_values: Vec<f64>,
        difference: Difference,
        #[serde(default = "alpha")]
        alpha: f64,
        #[serde(default)]
        alternative: Alternative,
    }
    let input: Input = read(input)?;
    let arm = |values: &[f64]| -> Result<Arm, StatsError> {
        let (mut sum, mut squares) = (ExactSum::default(), ExactSum::default());
        for value in values {
            sum.add(*value);
            squares.add_square(*value);
        }
        let n = values.len() as u64;
        let variance = variance(n, &sum, &squares).ok_or_else(super::two_sample::no_units)?;
        Ok(Arm { n: n as f64, mean: sum.value() / n as f64, variance })
    };
    let (control, treatment) = (arm(&input.control_values)?, arm(&input.treatment_values)?);
    let alpha = checked_alpha(input.alpha)?;
    let found =
        compare(control, treatment, input.difference, Test::Welch, alpha, input.alternative)?;
    let mut result = comparison(&found);
    result["control_mean"] = json!(control.mean);
    result["control_variance"] = json!(control.variance);
    result["treatment_mean"] = json!(treatment.mean);
    result["treatment_variance"] = json!(treatment.variance);
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
    #[serde(default = "alpha")]
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
fn two_proportion_z_pooled(input: &Value) -> Result<Value, StatsError> {
    let input = TwoRates::read(input)?;
    let (control, treatment) = (input.control, input.treatment);
    if control.n == 0.0 || treatment.n == 0.0 {
        return Err(super::two_sample::no_units());
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

fn proportion_ci(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        n: f64,
        sum: f64,
        #[serde(default = "alpha")]
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

fn proportion_diff_ci(input: &Value) -> Result<Value, StatsError> {
    let input = TwoRates::read(input)?;
    if input.method.as_deref().is_some_and(|method| method != "newcombe") {
        return Err(StatsError::input("the only method is `newcombe`"));
    }
    let z = normal::upper_quantile(input.alpha / 2.0);
    let (low, high) = newcombe::difference(input.control.pair(), input.treatment.pair(), z)?;
    Ok(json!({ "estimate": input.estimate(), "ci_low": low, "ci_high": high }))
}

fn fisher_exact(input: &Value) -> Result<Value, StatsError> {
    let input = TwoRates::read(input)?;
    let p_value = fisher::p_value(input.control.pair(), input.treatment.pair(), input.alternative)?;
    Ok(json!({ "p_value": p_value }))
}

fn fieller_relative(input: &Value) -> Result<Value, StatsError> {
    let input = TwoRates::read(input)?;
    let control = Arm::proportion(input.control.n, input.control.sum)?;
    let treatment = Arm::proportion(input.treatment.n, input.treatment.sum)?;
    let (g, interval) = fieller::lift(control, treatment, input.alpha)?;
    let estimate = (treatment.mean - control.mean) / control.mean.abs();
    let mut result = json!({ "estimate": estimate, "g": g });
    ends(&mut result, interval);
    Ok(result)
}

fn srm_chi2(input: &Value) -> Result<Value, StatsError> {
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

fn srm_sequential(input: &Value) -> Result<Value, StatsError> {
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
