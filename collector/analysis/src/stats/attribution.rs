//! Which conversions belong to which arm: the reference by which `experiment` is checked.
//!
//! Rules: an event id counts once. Exposures are those of the experiment, to a known variant, with
//! `start ≤ ts ≤ end`. A unit's arm is that of its first exposure by `(ts, id)`; units with two
//! variants are left out or kept with the first seen, and always counted. An event counts when
//! `first + delay ≤ ts ≤ first + delay + window`, both ends included, or `ts ≤ end` without a window,
//! and when it happened by `as_of`. A unit whose window has not ended by `as_of` is in progress: in
//! or out by setting. Values add up per unit, are capped, then added up per arm; the covariate is
//! the same of `first − covariate ≤ ts < first`.
//!
//! Whole numbers only: money is in minor units.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{StatsError, calculator::read};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    experiment: Experiment,
    exposures: Vec<Exposure>,
    events: Vec<Happened>,
    metric: Metric,
    policy: Policy,
    as_of: i64,
    covariate_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    id: String,
    variants: Vec<String>,
    start: i64,
    end: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exposure {
    id: String,
    experiment: String,
    unit: String,
    variant: String,
    ts: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Happened {
    id: String,
    unit: String,
    name: String,
    ts: i64,
    #[serde(default)]
    cents: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    kind: Kind,
    event: String,
    denominator: Option<String>,
    window: Option<i64>,
    #[serde(default)]
    delay: i64,
    cap: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Proportion,
    Count,
    Revenue,
    Ratio,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    multiple_exposure: MultipleExposure,
    in_progress: InProgress,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MultipleExposure {
    Exclude,
    FirstSeen,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InProgress {
    Include,
    Exclude,
}

/// Sums of one arm.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    n: i64,
    sum: i64,
    sum_squares: i64,
    other_sum: i64,
    other_sum_squares: i64,
    products: i64,
}

impl Metric {
    /// What one event adds to a unit's value.
    fn value(&self, event: &Happened) -> i64 {
        match self.kind {
            Kind::Revenue | Kind::Ratio => event.cents,
            Kind::Proportion | Kind::Count => 1,
        }
    }

    /// A unit's value: at most one for a proportion, at most the cap.
    fn finished(&self, value: i64) -> i64 {
        let value = if self.kind == Kind::Proportion { value.min(1) } else { value };
        self.cap.map_or(value, |cap| value.min(cap))
    }
}

/// The function `attribute` of the calculator.
///
/// # Errors
/// `bad_input` when fields are missing, unknown or out of range.
pub(super) fn calculate(input: &Value) -> Result<Value, StatsError> {
    let input: Input = read(input)?;
    let limits = -(1i64 << 53)..=1i64 << 53;
    let small = [input.experiment.start, input.experiment.end, input.as_of, input.metric.delay];
    let spans = [input.metric.window, input.covariate_seconds].into_iter().flatten();
    if small.into_iter().chain(spans).any(|number| !limits.contains(&number)) {
        return Err(StatsError::input("times lie within 2^53 seconds of 1970"));
    }
    let metric = &input.metric;

    let mut seen = HashSet::new();
    let mut units: BTreeMap<&str, Vec<&Exposure>> = BTreeMap::new();
    for exposure in &input.exposures {
        let during = (input.experiment.start..=input.experiment.end).contains(&exposure.ts);
        let ours = exposure.experiment == input.experiment.id
            && input.experiment.variants.contains(&exposure.variant);
        if ours && during && seen.insert(&exposure.id) {
            units.entry(&exposure.unit).or_default().push(exposure);
        }
    }
    let mut seen = HashSet::new();
    let mut events: BTreeMap<&str, Vec<&Happened>> = BTreeMap::new();
    for event in &input.events {
        if seen.insert(&event.id) {
            events.entry(&event.unit).or_default().push(event);
        }
    }

    let mut arms: BTreeMap<&str, Sums> =
        input.experiment.variants.iter().map(|variant| (&**variant, Sums::default())).collect();
    let (mut multiple, mut in_progress) = (0, 0);
    let exposed = units.len();
    for (unit, mut exposures) in units {
        exposures.sort_by_key(|exposure| (exposure.ts, &exposure.id));
        let first = exposures[0];
        if exposures.iter().any(|exposure| exposure.variant != first.variant) {
            multiple += 1;
            if input.policy.multiple_exposure == MultipleExposure::Exclude {
                continue;
            }
        }
        let opens = first.ts.saturating_add(metric.delay);
        let closes =
            metric.window.map_or(input.experiment.end, |window| opens.saturating_add(window));
        if metric.window.is_some()
            && closes > input.as_of
            && input.policy.in_progress == InProgress::Exclude
        {
            in_progress += 1;
            continue;
        }
        let own = events.get(unit).map_or(&[][..], Vec::as_slice);
        let of = |name: &String| -> Vec<&Happened> {
            own.iter().copied().filter(|event| event.name == *name).collect()
        };
        let within = |event: &&Happened| opens <= event.ts && event.ts <= closes.min(input.as_of);
        let value = of(&metric.event).into_iter().filter(within).map(|event| metric.value(event));
        let value = metric.finished(value.fold(0, i64::saturating_add));
        let other = match (&metric.denominator, input.covariate_seconds) {
            (Some(denominator), _) => of(denominator).into_iter().filter(within).count() as i64,
            (None, Some(span)) => {
                let before = first.ts.saturating_sub(span)..first.ts;
                let earlier =
                    of(&metric.event).into_iter().filter(|event| before.contains(&event.ts));
                let value = earlier.map(|event| metric.value(event));
                metric.finished(value.fold(0, i64::saturating_add))
            }
            (None, None) => 0,
        };
        if let Some(arm) = arms.get_mut(&*first.variant) {
            arm.n += 1;
            arm.sum = arm.sum.saturating_add(value);
            arm.sum_squares = arm.sum_squares.saturating_add(value.saturating_mul(value));
            arm.other_sum = arm.other_sum.saturating_add(other);
            arm.other_sum_squares =
                arm.other_sum_squares.saturating_add(other.saturating_mul(other));
            arm.products = arm.products.saturating_add(value.saturating_mul(other));
        }
    }

    let names = match (&metric.denominator, input.covariate_seconds) {
        (Some(_), _) => Some(["den_sum", "den_sum_squares", "num_den_sum_products"]),
        (None, Some(_)) => Some(["pre_sum", "pre_sum_squares", "post_pre_sum_products"]),
        (None, None) => None,
    };
    let arms: Map<String, Value> = arms
        .into_iter()
        .map(|(variant, sums)| {
            let mut arm = json!({ "n": sums.n, "sum": sums.sum, "sum_squares": sums.sum_squares });
            if let Some([sum, squares, products]) = names {
                arm[sum] = json!(sums.other_sum);
                arm[squares] = json!(sums.other_sum_squares);
                arm[products] = json!(sums.products);
            }
            (variant.to_owned(), arm)
        })
        .collect();
    Ok(json!({ "arms": arms, "multiple_exposed_units": multiple,
        "in_progress_units": in_progress, "exposed_units": exposed }))
}
