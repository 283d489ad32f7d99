//! Funnels: how many people complete an ordered list of steps, and where they stop.
//!
//! A person *converts* by doing every step in order, each with an event of its own, all within the
//! window. The window opens at that person's step 1 and includes its last millisecond; it is a
//! length of time, not a number of calendar days. Someone who starts several times counts once,
//! for the start that got furthest; of those, for the chain that got there first, and of its
//! possible starts for the latest. A start lies in `[from, to)`; later steps may come up to a
//! window after `to`.
//!
//! Events are in order of `(time, device counter, event id)`. Events of *different* devices in the
//! same millisecond have no order of their own: the one that gets furthest is taken.
//!
//! An exclusion ends every chain that is between its two steps; the person keeps the step reached.
//!
//! Invariant: a later step never has more people than an earlier one, unless that one may be left out.
//!
//! Questions that ask for more (`order`, `count`, optional steps, `hold`, `bucket`, rules of others) are
//! counted by `walk`, the others by `counter`, which is faster; both give the same where both can.
//!
//! Not here: who counts as one person (decided at ingest) and calendar days (see `time_bucket`).
//! `compat: "clickhouse"` follows `windowFunnel` instead: see [`chain::ClickHouse`]. Where two rules differ
//! over a person, `explain` says why.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::events::{Actors, EventSet, ScanPlan};
use crate::filter::{Columns, Condition, Matcher, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Partial};
use crate::presence::PASSIVE;
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit, duration_ms};
use crate::{Answer, Facts};
use options::{Attribution, Count, Options, Order};
use rule::{Difference, Rule};

pub mod answer;
pub mod chain;
mod counter;
pub(crate) mod explain;
mod options;
mod read;
mod rule;
#[cfg(test)]
pub(crate) mod tests;
mod ties;
mod walk;

/// Steps of one funnel.
pub const MAX_STEPS: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    steps: Vec<Step>,
    #[serde(default = "one_week")]
    window: String,
    #[serde(default = "ordered")]
    order: String,
    #[serde(default = "persons")]
    count: String,
    #[serde(default = "first")]
    attribution: String,
    #[serde(default)]
    exclude: Vec<Exclusion>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    hold: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<Unit>,
    compat: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    event: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    filter: Value,
    #[serde(default)]
    optional: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    event: String,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    filter: Value,
    /// Steps counted from 1; the first and the last by default.
    between: Option<[usize; 2]>,
}

fn one_week() -> String {
    "7d".into()
}
fn ordered() -> String {
    "ordered".into()
}
fn persons() -> String {
    "persons".into()
}
fn first() -> String {
    "first".into()
}

/// What the kernels of one question share.
struct Shape {
    steps: usize,
    window_ms: i64,
    to_ms: i64,
    /// By exclusion: the steps reached, as bits, whose chains it ends.
    kills: Vec<u64>,
    breakdown: Option<TextColumn>,
    rule: Rule,
}

struct Funnel {
    plan: ScanPlan,
    /// Steps first, then exclusions.
    matcher: Matcher,
    way: Way,
    reading: read::Reading,
    complete_after_ms: i64,
}

/// Who counts.
enum Way {
    Plain(Arc<Shape>),
    Walk(Arc<walk::Shape>),
}

/// A question, bound to columns.
struct Bound {
    options: Options,
    window_ms: i64,
    columns: Columns,
    /// Steps first, then exclusions.
    matcher: Matcher,
    kills: Vec<u64>,
    optional: u64,
    breakdown: Option<TextColumn>,
    hold: Vec<TextColumn>,
    buckets: Option<Buckets>,
    events: EventSet,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong or not available yet.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?;
    let mut question: Question = parse(body)?;
    let bound = bind(&common, &mut question)?;
    let (options, window_ms) = (bound.options, bound.window_ms);
    let is_plain = options.order == Order::Ordered
        && options.count == Count::Persons
        && options.attribution == Attribution::First
        && (options.rule == Rule::OURS || options.rule.is_clickhouse())
        && (bound.optional, bound.hold.len(), question.bucket) == (0, 0, None);
    let reading = read::Reading {
        events: question.steps.iter().map(|step| step.event.clone()).collect(),
        optional: bound.optional,
        broken_down: bound.breakdown.is_some(),
        limit: common.breakdown.as_ref().map_or(0, |breakdown| breakdown.limit),
        buckets: bound.buckets.as_ref().map_or(Vec::new(), |buckets| buckets.labels.clone()),
    };
    let mut plan = bound.plan(&common);
    let matcher = bound.matcher.clone();
    let way = if is_plain {
        plan.actors = Actors::AtTies;
        let (steps, to_ms, rule) = (question.steps.len(), common.to_ms, options.rule);
        let Bound { kills, breakdown, .. } = bound;
        Way::Plain(Arc::new(Shape { steps, window_ms, to_ms, kills, breakdown, rule }))
    } else {
        Way::Walk(Arc::new(bound.walk(&common, question.steps.len())))
    };
    let analysis = Funnel {
        plan,
        matcher,
        way,
        reading,
        complete_after_ms: common
            .to_ms
            .saturating_add(window_ms)
            .saturating_add(crate::answer::LATENESS_MS),
    };
    Ok(Compiled::new(definition(&common, &question), analysis))
}

fn bind(common: &Common, question: &mut Question) -> Result<Bound, QuestionError> {
    let options = check(question)?;
    let steps = question.steps.len();
    let window_ms = duration_ms("window", &question.window)?;
    for exclusion in &mut question.exclude {
        exclusion.between.get_or_insert([1, steps]);
    }
    let mut columns = Columns::default();
    let mut patterns = Vec::new();
    for step in &question.steps {
        let condition = Condition::parse(&step.filter)?.and(common.filter.clone());
        patterns.push((step.event.clone(), condition.bind(&mut columns)));
    }
    let mut kills = Vec::new();
    for exclusion in &question.exclude {
        let [after, before] = exclusion.between.unwrap_or([1, steps]);
        if !(1 <= after && after < before && before <= steps) {
            return Err(QuestionError::Field {
                field: "exclude.between",
                detail: format!(
                    "[{after}, {before}] are not two steps from 1 to {steps}, the earlier first"
                ),
            });
        }
        let condition = Condition::parse(&exclusion.filter)?;
        patterns.push((Some(exclusion.event.clone()), condition.bind(&mut columns)));
        // A chain that has reached step k (from 0) is between the two when after ≤ k + 1 < before.
        kills.push((after - 1..before - 1).fold(0, |mask, reached| mask | 1 << reached));
    }
    if patterns.len() > MAX_STEPS {
        return Err(QuestionError::Count {
            what: "steps and exclusions together",
            got: patterns.len(),
            min: 2,
            max: MAX_STEPS,
        });
    }
    let breakdown = common.breakdown.as_ref().map(|breakdown| breakdown.column(&mut columns));
    let hold = options::hold(&question.hold)?;
    let hold: Vec<_> = hold.iter().map(|name| columns.text(name)).collect();
    let optional = question.steps.iter().enumerate();
    let optional = optional.fold(0, |bits, (at, step)| bits | u64::from(step.optional) << at);
    let buckets = question
        .bucket
        .map(|unit| Buckets::new(unit, &common.calendar, common.from_ms, common.to_ms, 0))
        .transpose()?;
    let names: Option<Vec<String>> = patterns.iter().map(|(event, _)| event.clone()).collect();
    let names = names.map(|mut names| {
        names.sort();
        names.dedup();
        names
    });
    let events = match (options.count, options.order, names) {
        // Whatever somebody does ends a silence.
        (Count::Sessions, ..) => EventSet::All,
        // And comes in between, unless nobody did it.
        (_, Order::Strict, names) => {
            let is_named = |name: &str| names.iter().flatten().any(|named| named == name);
            let passive = UNSEEN.iter().chain(PASSIVE).filter(|name| !is_named(name));
            EventSet::Except(passive.map(|name| (*name).to_owned()).collect())
        }
        (.., names) => names.map_or(EventSet::All, EventSet::Only),
    };
    let matcher = Matcher::new(patterns);
    Ok(Bound {
        options,
        window_ms,
        columns,
        matcher,
        kills,
        optional,
        breakdown,
        hold,
        buckets,
        events,
    })
}

impl Bound {
    /// What to scan; every device is told apart.
    fn plan(&self, common: &Common) -> ScanPlan {
        let to_ms = match self.options.rule.has(Difference::EndsWithRange) {
            true => common.to_ms,
            false => common.to_ms.saturating_add(self.window_ms).saturating_add(1),
        };
        let (columns, events) = (self.columns.clone(), self.events.clone());
        let mut plan = ScanPlan::with(columns, common.from_ms, to_ms, events);
        plan.sessions = self.options.count == Count::Sessions;
        plan.actors = Actors::Always;
        plan
    }

    fn walk(self, common: &Common, steps: usize) -> walk::Shape {
        walk::Shape {
            steps,
            window_ms: self.window_ms,
            starts: common.from_ms..common.to_ms,
            kills: self.kills,
            optional: self.optional,
            breakdown: self.breakdown,
            hold: self.hold,
            buckets: self.buckets,
            options: self.options,
        }
    }
}

/// Events that nobody does, beside those that make nobody active: they come between no two steps.
const UNSEEN: &[&str] = &["$page_leave", "$pageleave", "$web_vital", "web_vital"];

/// What can be said without looking at the filters.
fn check(question: &Question) -> Result<Options, QuestionError> {
    let steps = question.steps.len();
    if !(1..=MAX_STEPS).contains(&steps) {
        return Err(QuestionError::Count {
            what: "steps of a funnel",
            got: steps,
            min: 1,
            max: MAX_STEPS,
        });
    }
    let words = [&*question.order, &*question.count, &*question.attribution];
    let options = Options::parse(words, question.compat.as_deref(), steps)?;
    let refused = |field, detail: &str| Err(QuestionError::Field { field, detail: detail.into() });
    let is_end = |at: usize| at == 0 || at + 1 == steps;
    if question.steps.iter().enumerate().any(|(at, step)| step.optional && is_end(at)) {
        return refused("steps.optional", "the first and the last step cannot be left out");
    }
    let has_optional = question.steps.iter().any(|step| step.optional);
    if options.order.is_any() && has_optional {
        return refused("steps.optional", "in any order every step counts; leave `optional` out");
    }
    if options.order.is_any() && !question.exclude.is_empty() {
        return refused("exclude", "nothing is between steps of any order; leave `exclude` out");
    }
    if options.rule.is_clickhouse() && !question.exclude.is_empty() {
        return refused(
            "exclude",
            "windowFunnel has no exclusions; leave out `compat` or `exclude`",
        );
    }
    let asks_more = has_optional || !question.hold.is_null() || question.bucket.is_some();
    if options.rule.is_clickhouse() && (asks_more || options.attribution != Attribution::First) {
        let detail = "windowFunnel knows no optional steps, held properties, buckets or other \
                      attribution; leave them out, or `compat`";
        return refused("compat", detail);
    }
    Ok(options)
}

impl Analysis for Funnel {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let times = self.plan.from_ms..self.plan.to_ms;
        match &self.way {
            Way::Plain(shape) => {
                Box::new(counter::Counter::new(Arc::clone(shape), self.matcher.clone(), times))
            }
            Way::Walk(shape) => {
                let walker = walk::Walker::new(Arc::clone(shape), self.matcher.clone());
                Box::new(ByRun::new(&self.plan, walker))
            }
        }
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let body = self.reading.read(partial);
        Answer {
            complete: facts.now_ms >= self.complete_after_ms,
            body: crate::AnswerBody::Funnel(body),
        }
    }
}
