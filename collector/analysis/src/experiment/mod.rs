//! Experiments: what each variant did to the people who met it.
//!
//! A person's arm is the variant of their *first exposure* in the range, by order of events.
//! Exposures are `$exposure` and `experiment_exposure` events whose `experiment` is the key.
//! People exposed to two variants are in no arm, and counted. Metric events count when they come
//! after the exposure (one event is never both) and at most a `window` after it, its last
//! millisecond included, even after `to`; without a window they count up to `to`.
//!
//! A *conversion* metric counts a person once; a *mean* metric adds up a number property per
//! exposed person (`value` unless the metric names another), people without it as zero. For the events `$conversion` and
//! `experiment_conversion` three rules more: one that names another `experiment` does not count,
//! `converted: false` is no conversion, and one that names another `variant` counts for the exposed
//! variant and raises `variant_mismatch`.
//!
//! Every other arm is compared with control: absolute difference with Welch's interval and p-value,
//! lift by the delta method. Sizes of the arms are tested first (chi squared, alarm below 0.001
//! from 100 people on); a mismatch blocks the verdict.
//!
//! Invariant: nobody is in two arms, and every sum is exact.
//!
//! Deliberately elsewhere: the formulas (`stats`), who gets which variant (the SDK and
//! `protocol::allocation`), looks before the end (a later release has intervals for them).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::LATENESS_MS;
use crate::events::{EventSet, ScanPlan};
use crate::filter::{Columns, Condition, Matcher, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Partial};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::duration_ms;
use crate::{Answer, AnswerBody, Facts};

pub mod answer;
mod counter;
mod read;
#[cfg(test)]
mod tests;

/// Events that expose a person to a variant.
const EXPOSURES: [&str; 2] = ["$exposure", "experiment_exposure"];
/// Events that belong to an experiment by their own words.
const CONVERSIONS: [&str; 2] = ["$conversion", "experiment_conversion"];
/// Metrics of one question.
const MAX_METRICS: usize = 20;
/// Variants of one experiment.
const MAX_VARIANTS: usize = 50;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    experiment: String,
    #[serde(default)]
    metrics: Vec<Metric>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    variants: Vec<Variant>,
    control: Option<String>,
    window: Option<String>,
    #[serde(default = "welch")]
    method: String,
}

fn welch() -> String {
    "welch".into()
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    name: Option<String>,
    /// `null`: any of the conversion events.
    event: Option<String>,
    #[serde(default)]
    kind: Kind,
    /// The number of a mean.
    prop: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    filter: Value,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Conversion,
    Mean,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    key: String,
    #[serde(default = "equal")]
    weight: f64,
}

fn equal() -> f64 {
    1.0
}

/// What the kernels and the answer share.
struct Shape {
    experiment: String,
    to_ms: i64,
    window_ms: Option<i64>,
    variants: Vec<Variant>,
    control: Option<String>,
    metrics: Vec<BoundMetric>,
    experiment_column: TextColumn,
    variant_column: TextColumn,
    converted_column: TextColumn,
}

struct BoundMetric {
    name: String,
    event: String,
    kind: Kind,
    /// Columns of the number that is added up, of a mean and of conversions with a value: the
    /// first that an event carries.
    numbers: Vec<usize>,
}

struct Experiment {
    plan: ScanPlan,
    /// Bits of the exposures, of the conversion events, then of the metrics.
    matcher: Matcher,
    shape: Arc<Shape>,
}

/// Bits of the matcher.
mod bits {
    /// The event exposes.
    pub(super) const EXPOSURE: u64 = 0b11;
    /// The event belongs to an experiment by its own words.
    pub(super) const CONVERSION: u64 = 0b1100;
    /// The first metric; two bits each, as a metric of "any conversion" has two events.
    pub(super) const METRICS: u32 = 4;
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong or not available yet.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    Common::unsupported(&mut body, &["slices", "covariate", "cap", "delay"])?;
    let mut question: Question = parse(body)?;
    check(&mut question)?;
    let window_ms =
        question.window.as_deref().map(|window| duration_ms("window", window)).transpose()?;

    let mut columns = Columns::default();
    let common_filter = common.filter.clone();
    let named = |name: &str, columns: &mut Columns| {
        (Some(name.to_owned()), Condition::always().bind(columns))
    };
    // A filter of the whole question chooses people by their exposure.
    let mut patterns: Vec<_> = EXPOSURES
        .iter()
        .map(|name| (Some((*name).to_owned()), common_filter.bind(&mut columns)))
        .collect();
    patterns.extend(CONVERSIONS.iter().map(|name| named(name, &mut columns)));
    let mut events: Vec<String> = EXPOSURES.iter().map(|name| (*name).into()).collect();
    let mut metrics = Vec::new();
    for metric in &question.metrics {
        let condition = Condition::parse(&metric.filter)?;
        let names: &[&str] = match &metric.event {
            Some(event) => &[event.as_str(), event.as_str()],
            None => &CONVERSIONS,
        };
        for name in names {
            patterns.push((Some((*name).to_owned()), condition.bind(&mut columns)));
            events.push((*name).into());
        }
        let event = metric.event.clone().unwrap_or_else(|| CONVERSIONS[0].into());
        metrics.push(BoundMetric {
            name: metric.name.clone().unwrap_or_else(|| event.clone()),
            event,
            kind: metric.kind,
            numbers: numbers(metric).map(|prop| columns.number(prop)).collect(),
        });
    }
    events.sort();
    events.dedup();
    let scan_to_ms = window_ms
        .map_or(common.to_ms, |window_ms| common.to_ms.saturating_add(window_ms).saturating_add(1));
    let shape = Shape {
        experiment: question.experiment.clone(),
        to_ms: common.to_ms,
        window_ms,
        variants: question.variants.clone(),
        control: question.control.clone(),
        metrics,
        experiment_column: columns.text("experiment"),
        variant_column: columns.text("variant"),
        converted_column: columns.text("converted"),
    };
    let analysis = Experiment {
        plan: ScanPlan::with(columns, common.from_ms, scan_to_ms, EventSet::Only(events)),
        matcher: Matcher::new(patterns),
        shape: Arc::new(shape),
    };
    Ok(Compiled::new(definition(&common, &question), analysis))
}

/// The numbers a metric adds up. `experiment_conversion` calls its value `conversion_value`.
fn numbers(metric: &Metric) -> impl Iterator<Item = &str> {
    let own = metric.prop.as_deref();
    let conversion = metric.event.as_deref().is_none_or(|event| event == CONVERSIONS[1]);
    let other = (own == Some("value") && conversion).then_some("conversion_value");
    own.into_iter().chain(other)
}

fn check(question: &mut Question) -> Result<(), QuestionError> {
    let wrong = |field, detail: &str| Err(QuestionError::Field { field, detail: detail.into() });
    if question.experiment.is_empty() {
        return wrong("experiment", "give the key of the experiment");
    }
    if question.method != "welch" {
        return Err(QuestionError::Unsupported { what: format!("`method: {}`", question.method) });
    }
    if question.metrics.is_empty() {
        question.metrics.push(Metric {
            name: Some("conversion".into()),
            event: None,
            kind: Kind::Conversion,
            prop: None,
            filter: Value::Null,
        });
    }
    if question.metrics.len() > MAX_METRICS {
        return Err(QuestionError::Count {
            what: "metrics of an experiment",
            got: question.metrics.len(),
            min: 1,
            max: MAX_METRICS,
        });
    }
    for metric in &mut question.metrics {
        if metric.kind == Kind::Mean && metric.prop.is_none() {
            metric.prop = Some("value".into());
        }
    }
    if question.variants.len() == 1 || question.variants.len() > MAX_VARIANTS {
        return Err(QuestionError::Count {
            what: "variants of an experiment",
            got: question.variants.len(),
            min: 2,
            max: MAX_VARIANTS,
        });
    }
    let keys: std::collections::BTreeSet<&str> =
        question.variants.iter().map(|variant| variant.key.as_str()).collect();
    if keys.len() < question.variants.len() {
        return wrong("variants", "every key once");
    }
    let right = |variant: &Variant| variant.weight > 0.0 && variant.weight.is_finite();
    if !question.variants.iter().all(right) {
        return wrong("variants", "weights are numbers above zero");
    }
    if let Some(control) = &question.control
        && !keys.is_empty()
        && !keys.contains(control.as_str())
    {
        return wrong("control", "it must be one of the variants");
    }
    Ok(())
}

impl Analysis for Experiment {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = counter::Counter::new(Arc::clone(&self.shape), self.matcher.clone());
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let ends_ms = self.shape.to_ms.saturating_add(self.shape.window_ms.unwrap_or(0));
        Answer {
            complete: facts.now_ms >= ends_ms.saturating_add(LATENESS_MS),
            body: AnswerBody::Experiment(read::answer(partial, &self.shape)),
        }
    }
}
