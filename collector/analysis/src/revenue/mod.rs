//! Revenue: what recurs by the month (MRR), how it moved from bucket to bucket, and what was paid.
//!
//! A *customer* is a person who pays for an item that recurs. Events state the items (`started`, `renewed`, `changed`,
//! `ended`): the price of one interval in `amount`, of which `discount` is not paid and `tax` is not ours, `interval`
//! (`day`, `week`, `month`, `quarter`, `year`), `currency`, `status` (`active`, `past_due`, `trialing`, `paused`,
//! `cancelled`) and the item's name in `subscription`; what one leaves out stays as it was. Amounts that never had a
//! currency are in `default_currency`. An item that ends counts until
//! `ends_at` (Unix milliseconds), or until the event when it says nothing.
//!
//! MRR at a moment is the sum of what is paid then, in each currency by itself: a twelfth of a yearly price, 52 twelfths of
//! a weekly and 365 of a daily one; trials and pauses count nothing, a late payment counts until the item is cancelled. In
//! a bucket a customer's MRR of its end is compared with that of its start: *new* when there never was one before,
//! *reactivation* when there was, *expansion*, *contraction*, and *churn* when nothing is left. Payments are `paid` events,
//! less `refunded` ones on the day they are given back; those that name no `subscription` are `one_off`.
//!
//! Invariant: start + new + reactivation + expansion − contraction − churn = end, to the smallest unit, and the end is the
//! next start. Currencies are never added up.
//!
//! Not here: what an item comes to (`ledger`), rates between currencies: nothing stores dated ones.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::active::events_of;
use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS};
use crate::currency::{Currencies, Currency};
use crate::events::{EventSet, ScanPlan};
use crate::filter::{Columns, Condition, Filter, Matcher, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Partial};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit};

mod answer;
mod counter;
mod ledger;
#[cfg(test)]
mod tests;

pub use answer::{Customers, Recurring, RevenueAnswer, RevenueCurrency, Taken};

use counter::{Counter, Seen};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default = "month")]
    bucket: Unit,
    #[serde(default)]
    events: Names,
    /// The share of revenue that is left after what it costs, for the value of a customer's life.
    #[serde(default = "one")]
    margin: f64,
    /// Digits behind the point of the currencies' smallest unit.
    #[serde(default = "two")]
    digits: u8,
    /// The currency of amounts that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_currency: Option<Currency>,
}

/// How events are called.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Names {
    started: String,
    renewed: String,
    changed: String,
    ended: String,
    paid: String,
    refunded: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            started: "subscription.created".into(),
            renewed: "subscription.renewed".into(),
            changed: "subscription.changed".into(),
            ended: "subscription.cancelled".into(),
            paid: "payment.completed".into(),
            refunded: "payment.refunded".into(),
        }
    }
}

fn month() -> Unit {
    Unit::Month
}
fn one() -> f64 {
    1.0
}
fn two() -> u8 {
    2
}

/// What the kernels and the answer share.
struct Shape {
    buckets: Buckets,
    /// End of the range, and of the last bucket.
    to_ms: i64,
    margin: f64,
    /// Smallest units of an amount of 1.
    units: f64,
    /// Patterns as [`counter`] numbers them.
    matcher: Matcher,
    filter: Filter,
    subscription: TextColumn,
    payment: TextColumn,
    currency: Currencies,
    interval: TextColumn,
    status: TextColumn,
    amount: usize,
    discount: usize,
    tax: usize,
    ends_at: usize,
}

/// Items and payments, which are few.
struct Revenue {
    plan: ScanPlan,
    /// The scan of [`There`].
    there: ScanPlan,
    shape: Arc<Shape>,
}

/// Who was there: the second look, because it needs every event, and only those of the range.
struct There {
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
    let field = |field, detail: &str| QuestionError::Field { field, detail: detail.into() };
    if question.bucket.is_short() {
        return Err(field("bucket", "revenue counts days, weeks or months"));
    }
    if !(question.margin > 0.0 && question.margin <= 1.0) {
        return Err(field("margin", "a share of revenue, above 0 and at most 1"));
    }
    if question.digits > 6 {
        return Err(field("digits", "at most 6"));
    }
    let Names { started, renewed, changed, ended, paid, refunded } = &question.events;
    let mut columns = Columns::default();
    let all = Condition::always().bind(&mut columns);
    let names = [started, renewed, changed, ended, paid, refunded];
    let patterns = names.map(|name| (Some(name.clone()), all.clone())).into();
    let shape = Shape {
        buckets: Buckets::new(question.bucket, &common.calendar, common.from_ms, common.to_ms, 0)?,
        to_ms: common.to_ms,
        margin: question.margin,
        units: 10f64.powi(question.digits.into()),
        matcher: Matcher::new(patterns),
        filter: common.filter.bind(&mut columns),
        subscription: columns.text("subscription"),
        payment: columns.text("payment_id"),
        currency: Currencies::new(columns.text("currency"), question.default_currency),
        interval: columns.text("interval"),
        status: columns.text("status"),
        amount: columns.number("amount"),
        discount: columns.number("discount"),
        tax: columns.number("tax"),
        ends_at: columns.number("ends_at"),
    };
    // What recurs now was said long ago; who is there shows in the range.
    let names = EventSet::Only(names.map(Clone::clone).into());
    let filtered = columns.clone();
    let plan = ScanPlan::with(columns, i64::MIN, common.to_ms, names);
    let from_ms = shape.buckets.bounds_ms[0];
    let there = ScanPlan::with(filtered, from_ms, common.to_ms, events_of(None));
    let analysis = Revenue { plan, there, shape: Arc::new(shape) };
    Ok(Compiled::new(definition(&common, &question), analysis))
}

impl Analysis for Revenue {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(ByRun::new(&self.plan, Counter::new(&self.shape)))
    }

    fn looks(&self) -> u32 {
        2
    }

    fn refine(&self, _: &Partial) -> Option<Box<dyn Analysis>> {
        Some(Box::new(There { plan: self.there.clone(), shape: Arc::clone(&self.shape) }))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        answer(partial, &self.shape, facts)
    }
}

impl Analysis for There {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(ByRun::new(&self.plan, Seen::new(&self.shape)))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        answer(partial, &self.shape, facts)
    }
}

fn answer(partial: &Partial, shape: &Shape, facts: &Facts) -> Answer {
    Answer {
        complete: facts.now_ms >= shape.to_ms + LATENESS_MS,
        body: AnswerBody::Revenue(answer::read(partial, shape)),
    }
}
