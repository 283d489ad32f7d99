//! The default verdict of an experiment, see [`decision`](crate::stats::decision).

use serde::Deserialize;
use serde_json::{Value, json};

use super::arms::arm;
use super::{StatsError, checked_alpha, default_alpha, read};
use crate::stats::decision::{Bound, Code, Contender, Method, Plan, Reason, Stage, decide};
use crate::stats::non_inferiority::Preferred;
use crate::stats::two_sample::{Arm, Difference, effect};
use crate::stats::{positive, srm};

/// The alarm of the sample ratio test, and the people below whom it is silent.
const SRM_ALPHA: f64 = 0.001;
const SRM_PERSONS: f64 = 100.0;

/// `{metric, control, treatments, …}` → `{code, reason, treatment, growth}`: the sizes are tested first,
/// then the primary metric decides.
pub(super) fn experiment_verdict(input: &Value) -> Result<Value, StatsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        metric: String,
        control: Value,
        treatments: Vec<Value>,
        /// Of control, then of the treatments; equal without.
        weights: Option<Vec<f64>>,
        #[serde(default)]
        method: Method,
        #[serde(default = "default_alpha")]
        alpha: f64,
        #[serde(default = "tuning")]
        tuning_parameter: f64,
        #[serde(default = "power")]
        power: f64,
        #[serde(default)]
        is_final: bool,
        /// Of `group_sequential`: shares of the information at the planned looks up to this one.
        #[serde(default)]
        shares: Vec<f64>,
        #[serde(default)]
        preferred_direction: Preferred,
        /// The lift worth finding.
        lift: Option<f64>,
    }
    fn tuning() -> f64 {
        5000.0
    }
    fn power() -> f64 {
        0.8
    }
    let input: Input = read(input)?;
    let alpha = checked_alpha(input.alpha)?;
    if !(1..=50).contains(&input.treatments.len()) {
        return Err(StatsError::input("1 to 50 treatments"));
    }
    if !(positive(input.tuning_parameter) && input.power > 0.0 && input.power < 1.0) {
        return Err(StatsError::input("`tuning_parameter` is above 0, `power` between 0 and 1"));
    }
    let control = arm(&input.metric, &input.control)?;
    let treatments: Vec<Arm> =
        input.treatments.iter().map(|sums| arm(&input.metric, sums)).collect::<Result<_, _>>()?;
    let users: Vec<f64> = [control].iter().chain(&treatments).map(|arm| arm.n).collect();
    let weights = input.weights.unwrap_or_else(|| vec![1.0; users.len()]);
    let sizes = srm::chi_squared(&users, &weights)?;
    if users.iter().sum::<f64>() >= SRM_PERSONS && sizes.p_value < SRM_ALPHA {
        return Ok(json!({ "code": Code::Invalid, "reason": Reason::SampleRatioMismatch,
            "treatment": null, "growth": null }));
    }
    let bound = match (input.method, &input.shares[..]) {
        (Method::GroupSequential, shares @ [_, ..]) => {
            Some(Bound::of_last(shares, alpha, input.treatments.len())?)
        }
        (_, []) => None,
        _ => return Err(StatsError::input("`shares` belong to the method `group_sequential`")),
    };
    let plan = Plan {
        method: input.method,
        alpha,
        tuning: input.tuning_parameter,
        power: input.power,
        stage: if input.is_final { Stage::Planned } else { Stage::Early },
        bound,
    };
    let contenders: Vec<Contender> = treatments
        .into_iter()
        .map(|treatment| Contender {
            effect: effect(control, treatment, Difference::Absolute).ok(),
            worth: input.lift.map(|lift| lift * control.mean.abs()),
            guardrails: Vec::new(),
        })
        .collect();
    let decision = decide(&contenders, input.preferred_direction, &plan);
    Ok(json!({ "code": decision.code, "reason": decision.reason, "treatment": decision.arm,
        "growth": decision.growth }))
}
