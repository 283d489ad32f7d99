//! The Bayesian methods.

use serde::Deserialize;
use serde_json::{Value, json};

use super::arms::{Counts, arm, ends};
use super::{StatsError, checked_alpha, default_alpha, read};
use crate::stats::bayes_normal::{Prior, posterior};
use crate::stats::beta_binomial::{self, Rate};
use crate::stats::two_sample::{Difference, effect};

/// The prior is a belief about the lift; for an absolute difference it is scaled by control's mean.
pub(super) fn bayes_gaussian(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Value,
        treatment: Value,
        difference: Difference,
        #[serde(default = "default_alpha")]
        alpha: f64,
        /// Less is better.
        #[serde(default)]
        inverse: bool,
        prior: Option<NormalPrior>,
    }
    #[derive(Clone, Copy, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NormalPrior {
        mean: f64,
        stddev: f64,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    let (control, treatment) =
        (arm(&input.metric, &input.control)?, arm(&input.metric, &input.treatment)?);
    let scale = if input.difference == Difference::Absolute { control.mean.abs() } else { 1.0 };
    let prior = match input.prior {
        None => None,
        Some(NormalPrior { mean, stddev }) if super::super::positive(stddev * scale) => {
            Some(Prior { mean: mean * scale, stddev: stddev * scale })
        }
        Some(_) => {
            return Err(StatsError::input("a prior needs a `stddev` and a baseline above 0"));
        }
    };
    let belief = posterior(&effect(control, treatment, input.difference)?, prior);
    let (wins, gain, loss) = if input.inverse {
        (belief.chance_below(), belief.mean_below(), belief.mean_above())
    } else {
        (belief.chance_above(), belief.mean_above(), belief.mean_below())
    };
    let mut result = json!({ "posterior_mean": belief.mean, "posterior_stddev": belief.stddev,
        "chance_to_win": wins, "risk_keep_control": gain, "risk_ship_treatment": loss });
    ends(&mut result, belief.interval(alpha));
    Ok(result)
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct BetaPrior {
    alpha: f64,
    beta: f64,
}

impl BetaPrior {
    fn rate(self, counts: Counts) -> Result<Rate, StatsError> {
        let Counts { n, sum } = counts.checked()?;
        Rate::new(n, sum, (self.alpha, self.beta))
    }
}

fn flat() -> BetaPrior {
    BetaPrior { alpha: 1.0, beta: 1.0 }
}

pub(super) fn beta_binomial(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        control: Counts,
        treatment: Counts,
        #[serde(default = "flat")]
        prior: BetaPrior,
        #[serde(default = "default_alpha")]
        alpha: f64,
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    let (control, treatment) =
        (input.prior.rate(input.control)?, input.prior.rate(input.treatment)?);
    let odds = beta_binomial::compare(&control, &treatment);
    let (of_control, of_treatment) = (control.interval(alpha), treatment.interval(alpha));
    Ok(json!({ "control_mean": control.mean(), "treatment_mean": treatment.mean(),
        "chance_to_win": odds.chance_to_win,
        "expected_loss_ship_treatment": odds.loss_of_shipping,
        "expected_loss_keep_control": odds.loss_of_keeping,
        "control_ci_low": of_control.low, "control_ci_high": of_control.high,
        "treatment_ci_low": of_treatment.low, "treatment_ci_high": of_treatment.high }))
}

pub(super) fn beta_best_of(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        arms: Vec<Counts>,
        #[serde(default = "flat")]
        prior: BetaPrior,
    }
    let input: Input = read(input)?;
    if !(2..=50).contains(&input.arms.len()) {
        return Err(StatsError::input("2 to 50 arms"));
    }
    let rates: Vec<Rate> =
        input.arms.iter().map(|counts| input.prior.rate(*counts)).collect::<Result<_, _>>()?;
    let chances: Vec<f64> =
        (0..rates.len()).map(|at| beta_binomial::chance_of_best(&rates, at)).collect();
    Ok(json!({ "probability_best": chances }))
}
