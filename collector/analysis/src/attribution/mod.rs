//! Attribution: which touches led to conversions, and what each of them was worth.
//!
//! A *touch* is the beginning of a session, called by the property `by` (the channel, if the question does not
//! say). It is *known* when it came with a campaign, a source or a referrer that is neither the page's
//! own host nor one of `ignore_hosts` (a payment provider sends people back, it does not bring them). Other touches
//! are *direct*; one of these never takes the place of a known touch, so it counts only where there is no other.
//!
//! A *conversion* is an event in the range. Its touches are those within `lookback` before it, both ends
//! included, in their order; each model shares one conversion among them, and its value to the smallest unit of
//! its currency. A conversion without any touch, as of a server, counts as direct.
//!
//! Invariant: for every model, conversions and amounts over all touches add up to those of the range.
//!
//! Not here: what a session is (`sessions::cut`), how credit is shared (`models`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS};
use crate::currency::{Currencies, Currency};
use crate::events::{Actors, EventSet, ScanPlan};
use crate::filter::{Columns, Condition, Matcher, TextColumn};
use crate::kernel::{Analysis, Kernel, Partial};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::sessions::cut::AGE_MS;
use crate::time_bucket::duration_ms;

mod answer;
mod counter;
mod models;
#[cfg(test)]
mod tests;

pub use answer::{Amount, AttributionAnswer, AttributionModel, AttributionTouch, TouchGroup};
pub use models::Model;

use counter::Counter;

/// Touches of one answer.
const LIMIT_MAX: usize = 1000;
/// Hosts that are no touch.
const HOSTS_MAX: usize = 100;

/// What makes a touch known, beside a referrer.
const KNOWN_BY: [&str; 4] = ["utm_source", "utm_medium", "utm_campaign", "source"];

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    conversion: Conversion,
    #[serde(default = "channel")]
    by: String,
    #[serde(default = "usual_models")]
    models: Vec<Model>,
    #[serde(default = "month")]
    lookback: String,
    #[serde(default = "week")]
    half_life: String,
    #[serde(default)]
    ignore_hosts: Vec<String>,
    #[serde(default = "fifty")]
    limit: usize,
    /// The currency of amounts that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_currency: Option<Currency>,
}

/// What counts, and what it is worth.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversion {
    event: String,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    filter: Value,
    /// The property with the amount, and the one with its currency.
    #[serde(default = "value")]
    value: String,
    #[serde(default = "currency")]
    currency: String,
    /// Digits behind the point of the currency's smallest unit.
    #[serde(default = "two")]
    digits: u8,
}

impl Default for Conversion {
    fn default() -> Self {
        Self {
            event: "$conversion".into(),
            filter: Value::Null,
            value: value(),
            currency: currency(),
            digits: two(),
        }
    }
}

fn value() -> String {
    "value".into()
}
fn currency() -> String {
    "currency".into()
}
fn two() -> u8 {
    2
}
fn channel() -> String {
    "channel".into()
}
fn usual_models() -> Vec<Model> {
    vec![Model::Last, Model::First, Model::Linear, Model::Decay, Model::Position]
}
fn month() -> String {
    "30d".into()
}
fn week() -> String {
    "7d".into()
}
fn fifty() -> usize {
    50
}

/// What the kernels and the answer share.
struct Shape {
    from_ms: i64,
    to_ms: i64,
    lookback_ms: i64,
    half_life_ms: i64,
    models: Vec<Model>,
    /// Units of an amount of 1.
    units: f64,
    /// See [`counter::CONVERTS`].
    matcher: Matcher,
    by: TextColumn,
    known_by: [TextColumn; 4],
    referrer: TextColumn,
    host: TextColumn,
    ignore_hosts: Vec<String>,
    currency: Currencies,
    value: usize,
    limit: usize,
}

struct Attribution {
    plan: ScanPlan,
    shape: Arc<Shape>,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let mut question: Question = parse(body)?;
    question.default_currency = question.default_currency.or(context.currency);
    let lookback_ms = duration_ms("lookback", &question.lookback)?;
    let half_life_ms = duration_ms("half_life", &question.half_life)?;
    let between = |what, got, min, max| match (min..=max).contains(&got) {
        true => Ok(()),
        false => Err(QuestionError::Count { what, got, min, max }),
    };
    between("touches of an attribution (`limit`)", question.limit, 1, LIMIT_MAX)?;
    between("models of an attribution", question.models.len(), 1, Model::ALL.len())?;
    between("hosts that are no touch (`ignore_hosts`)", question.ignore_hosts.len(), 0, HOSTS_MAX)?;
    between("digits of a currency", question.conversion.digits.into(), 0, 6)?;
    let mut models = question.models.clone();
    models.sort_unstable();
    models.dedup();
    if models.len() < question.models.len() {
        let detail = "each model once".into();
        return Err(QuestionError::Field { field: "models", detail });
    }
    let mut columns = Columns::default();
    let condition = Condition::parse(&question.conversion.filter)?.and(common.filter.clone());
    let condition = condition.bind(&mut columns);
    let always = Condition::always().bind(&mut columns);
    let conversion = (Some(question.conversion.event.clone()), condition);
    let shape = Shape {
        from_ms: common.from_ms,
        to_ms: common.to_ms,
        lookback_ms,
        half_life_ms,
        models: question.models.clone(),
        units: 10f64.powi(question.conversion.digits.into()),
        matcher: Matcher::new(vec![(None, always), conversion]),
        by: columns.text(&question.by),
        known_by: KNOWN_BY.map(|name| columns.text(name)),
        referrer: columns.text("referrer_host"),
        host: columns.text("host"),
        ignore_hosts: question.ignore_hosts.clone(),
        currency: Currencies::new(
            columns.text(&question.conversion.currency),
            question.default_currency,
        ),
        value: columns.number(&question.conversion.value),
        limit: question.limit,
    };
    // A session that had begun when the look-back begins shows by its events of the day before.
    let from_ms = common.from_ms.saturating_sub(lookback_ms).saturating_sub(AGE_MS);
    let mut plan = ScanPlan::with(columns, from_ms, common.to_ms, EventSet::All);
    plan.sessions = true;
    plan.actors = Actors::Always;
    let analysis = Attribution { plan, shape: Arc::new(shape) };
    Ok(Compiled::new(definition(&common, &question), analysis))
}

impl Analysis for Attribution {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(Counter::new(&self.shape, self.plan.from_ms..self.plan.to_ms))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        Answer {
            complete: facts.now_ms >= self.shape.to_ms + LATENESS_MS,
            body: AnswerBody::Attribution(answer::read(partial, &self.shape)),
        }
    }
}
