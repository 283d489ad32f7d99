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
//! Invariant: a later step never has more people than an earlier one.
//!
//! Not here: who counts as one person (decided at ingest) and calendar days (see `time_bucket`).
//! `compat: "clickhouse"` follows `windowFunnel` instead: see [`chain::ClickHouse`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::events::{Actors, EventSet, ScanPlan};
use crate::filter::{Columns, Condition, Matcher, TextColumn};
use crate::kernel::{Analysis, Kernel, Partial};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::duration_ms;
use crate::{Answer, Facts};

pub mod answer;
pub mod chain;
mod counter;
mod read;
#[cfg(test)]
mod tests;
mod ties;

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

/// How ties and repeated events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Ours,
    ClickHouse,
}

struct Funnel {
    plan: ScanPlan,
    /// Steps first, then exclusions.
    matcher: Matcher,
    shape: Arc<Shape>,
    events: Vec<Option<String>>,
    limit: usize,
    complete_after_ms: i64,
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
    Common::unsupported(&mut body, &["hold", "bucket"])?;
    let mut question: Question = parse(body)?;
    let rule = check(&question)?;
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
    let breakdown = common.breakdown.as_ref().map(|breakdown| columns.text(&breakdown.prop));
    let names: Option<Vec<String>> = patterns.iter().map(|(event, _)| event.clone()).collect();
    let events = names.map_or(EventSet::All, |mut names| {
        names.sort();
        names.dedup();
        EventSet::Only(names)
    });
    // ClickHouse sees the rows its WHERE lets through, and nothing after `to`.
    let scan_to_ms = match rule {
        Rule::Ours => common.to_ms.saturating_add(window_ms).saturating_add(1),
        Rule::ClickHouse => common.to_ms,
    };
    let analysis = Funnel {
        plan: ScanPlan {
            actors: Actors::AtTies,
            ..ScanPlan::with(columns, common.from_ms, scan_to_ms, events)
        },
        matcher: Matcher::new(patterns),
        shape: Arc::new(Shape { steps, window_ms, to_ms: common.to_ms, kills, breakdown, rule }),
        events: question.steps.iter().map(|step| step.event.clone()).collect(),
        limit: common.breakdown.as_ref().map_or(0, |breakdown| breakdown.limit),
        complete_after_ms: common
            .to_ms
            .saturating_add(window_ms)
            .saturating_add(crate::answer::LATENESS_MS),
    };
    Ok(Compiled { definition: definition(&common, &question), analysis: Box::new(analysis) })
}

/// What can be said without looking at the filters.
fn check(question: &Question) -> Result<Rule, QuestionError> {
    let unsupported = |what: String| Err(QuestionError::Unsupported { what });
    if !(1..=MAX_STEPS).contains(&question.steps.len()) {
        return Err(QuestionError::Count {
            what: "steps of a funnel",
            got: question.steps.len(),
            min: 1,
            max: MAX_STEPS,
        });
    }
    if question.steps.iter().any(|step| step.optional) {
        return unsupported("`optional` of a step".into());
    }
    one_of("order", &question.order, "ordered", &["strict", "any"])?;
    one_of("count", &question.count, "persons", &["sessions", "totals"])?;
    if question.attribution == "last" || question.attribution.starts_with("step:") {
        return unsupported(format!("`attribution: {}`", question.attribution));
    }
    one_of("attribution", &question.attribution, "first", &[])?;
    match question.compat.as_deref() {
        None => Ok(Rule::Ours),
        Some("clickhouse") if question.exclude.is_empty() => Ok(Rule::ClickHouse),
        Some("clickhouse") => Err(QuestionError::Field {
            field: "exclude",
            detail: "windowFunnel has no exclusions; leave out `compat` or `exclude`".into(),
        }),
        Some(other @ ("posthog" | "mixpanel" | "amplitude")) => {
            unsupported(format!("`compat: {other}`"))
        }
        Some(other) => Err(QuestionError::Field {
            field: "compat",
            detail: format!("`{other}` is not known; the only rule beside ours is `clickhouse`"),
        }),
    }
}

fn one_of(
    field: &'static str,
    given: &str,
    available: &str,
    later: &[&str],
) -> Result<(), QuestionError> {
    if given == available {
        Ok(())
    } else if later.contains(&given) {
        Err(QuestionError::Unsupported { what: format!("`{field}: {given}`") })
    } else {
        Err(QuestionError::Field {
            field,
            detail: format!("`{given}` is not known; write `{available}`"),
        })
    }
}

impl Analysis for Funnel {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let times = self.plan.from_ms..self.plan.to_ms;
        Box::new(counter::Counter::new(Arc::clone(&self.shape), self.matcher.clone(), times))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let body = read::read(partial, &self.events, self.shape.breakdown.is_some(), self.limit);
        Answer {
            complete: facts.now_ms >= self.complete_after_ms,
            body: crate::AnswerBody::Funnel(body),
        }
    }
}
