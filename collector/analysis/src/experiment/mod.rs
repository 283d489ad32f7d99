//! Experiments: what each variant did to the people who met it.
//!
//! A person's arm is the variant of their *first exposure* in the range, by order of events.
//! Exposures are `$exposure` and `experiment_exposure` events whose `experiment` is the key.
//! People exposed to two variants are in no arm (or stay in the first, by setting), and counted. Metric
//! events count when they come after the exposure (one event is never both) and a `delay`, and at most a
//! `window` after that, its last millisecond included, even after `to`; without a window they count up
//! to `to`.
//!
//! A *conversion* counts a person once; a *mean* (of money: *revenue*) adds up a number property per
//! exposed person (`value` unless the metric names another), people without it as zero; a *count* the
//! events; a *ratio* divides two such sums; a *quantile* is one of the events' values; a *retention* is
//! an event between two days after the exposure, a *funnel* all steps in order. For the events
//! `$conversion` and `experiment_conversion` three rules more: one that names another `experiment` does
//! not count, `converted: false` is no conversion, and one that names another `variant` counts for the
//! exposed variant and raises `variant_mismatch`.
//!
//! Every other arm is compared with control: absolute difference with Welch's interval and p-value,
//! lift by the delta method, and beside them what holds at every look. Sizes of the arms, people who met
//! several variants and the time before the exposure are checked first: what fails there blocks the
//! verdict ([`decision`](crate::stats::decision) says how it is reached).
//!
//! Invariants: nobody is in two arms; every sum is exact; a question asked early cannot mislead.
//!
//! Where things are: `question` what may be asked; `counter` the fast kernel for conversions and means,
//! `detail` the one for everything else; `joined` a second look where many met several variants; `figures`
//! from either table to an arm's figures; `effects` two
//! arms compared; `parts` slices and days; `interactions` with other experiments; `checks`; `verdict` the
//! sentences; `read` all of it together.
//!
//! Deliberately elsewhere: the formulas (`stats`), who gets which variant (the SDK and
//! `protocol::allocation`).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::answer::LATENESS_MS;
use crate::events::{EventSet, ScanPlan};
use crate::filter::{Columns, Condition, Matcher, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Partial};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::stats::decision::Method;
use crate::stats::non_inferiority::Preferred;
use crate::{Answer, AnswerBody, Facts};

pub mod answer;
mod checks;
mod counter;
mod detail;
mod effects;
mod family;
mod figures;
mod interactions;
mod joined;
pub mod loss;
mod outlook;
mod parts;
mod question;
mod read;
pub mod report;
#[cfg(test)]
mod tests;
mod verdict;

use question::{
    Adjust, Kind, Metric, MultipleExposure, PlanAsked, Question, Role, Schedule, Slice, Variant,
};

/// Events that expose a person to a variant.
const EXPOSURES: [&str; 2] = ["$exposure", "experiment_exposure"];
/// Events that belong to an experiment by their own words.
const CONVERSIONS: [&str; 2] = ["$conversion", "experiment_conversion"];

/// What the kernels and the answer share.
struct Shape {
    experiment: String,
    from_ms: i64,
    to_ms: i64,
    window_ms: Option<i64>,
    /// After this nothing of the question changes, but for late events.
    ends_ms: i64,
    variants: Vec<Variant>,
    control: Option<String>,
    metrics: Vec<BoundMetric>,
    experiment_column: TextColumn,
    variant_column: TextColumn,
    converted_column: TextColumn,
    method: Method,
    plan: PlanAsked,
    schedule: Schedule,
    adjust: Adjust,
    /// Who met several variants stays in the first.
    keeps_first: bool,
    /// What each slice is called.
    slices: Vec<Vec<String>>,
    /// Keys of experiments that people may meet at the same time.
    others: Vec<String>,
    has_strata: bool,
}

struct BoundMetric {
    name: String,
    event: String,
    kind: Kind,
    role: Role,
    preferred: Preferred,
    margin: f64,
    quantile: Option<f64>,
    /// Columns of the number that is added up, of a mean and of conversions with a value: the
    /// first that an event carries.
    numbers: Vec<usize>,
}

#[derive(Clone)]
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
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let mut question: Question = parse(body)?;
    question.check()?;
    let mut patterns = Patterns::new(&common);
    let mut metrics = Vec::new();
    for metric in &question.metrics {
        metrics.push(BoundMetric::new(metric, &mut patterns.columns));
    }
    let names = |slice: &Slice| slice.cuts().iter().map(|cut| cut.name().to_owned()).collect();
    let mut shape = Shape {
        experiment: question.experiment.clone(),
        from_ms: common.from_ms,
        to_ms: common.to_ms,
        window_ms: Question::span_ms("window", question.window.as_ref())?,
        ends_ms: common.to_ms,
        variants: question.variants.clone(),
        control: question.control.clone(),
        metrics,
        experiment_column: patterns.columns.text("experiment"),
        variant_column: patterns.columns.text("variant"),
        converted_column: patterns.columns.text("converted"),
        method: question.method,
        plan: question.plan.clone(),
        schedule: question.plan.schedule(question.method, &common)?,
        adjust: question.adjust,
        keeps_first: question.multiple_exposure == MultipleExposure::FirstSeen,
        slices: question.slices.iter().map(names).collect(),
        others: question.interactions.clone(),
        has_strata: question.strata.is_some(),
    };
    let definition = definition(&common, &question);
    if !question.is_plain() {
        let analysis = detail::compile(&question, &common, context, patterns, shape)?;
        return Ok(Compiled::new(definition, analysis));
    }
    for metric in &question.metrics {
        let condition = Condition::parse(&metric.filter)?;
        let names: &[&str] = match &metric.event {
            Some(event) => &[event.as_str(), event.as_str()],
            None => &CONVERSIONS,
        };
        for name in names {
            patterns.add(name, &condition);
        }
    }
    if let Some(window_ms) = shape.window_ms {
        shape.ends_ms = common.to_ms.saturating_add(window_ms);
    }
    let scan_to_ms = shape.ends_ms.saturating_add(i64::from(shape.window_ms.is_some()));
    let (plan, matcher) = patterns.finish(common.from_ms, scan_to_ms);
    let analysis = Experiment { plan, matcher, shape: Arc::new(shape) };
    Ok(Compiled::new(definition, analysis))
}

/// The patterns of a question in the making: exposures and conversions first, then those of metrics.
struct Patterns {
    columns: Columns,
    patterns: Vec<(Option<String>, crate::filter::Filter)>,
    events: Vec<String>,
}

impl Patterns {
    fn new(common: &Common) -> Self {
        let mut own =
            Self { columns: Columns::default(), patterns: Vec::new(), events: Vec::new() };
        // A filter of the whole question chooses people by their exposure.
        for name in EXPOSURES {
            own.add(name, &common.filter);
        }
        for name in CONVERSIONS {
            own.add(name, &Condition::always());
        }
        // Conversions are only looked at where a metric asks for them.
        own.events = EXPOSURES.map(Into::into).into();
        own
    }

    /// Add a pattern, and give its place.
    fn add(&mut self, name: &str, condition: &Condition) -> usize {
        self.patterns.push((Some(name.to_owned()), condition.bind(&mut self.columns)));
        self.events.push(name.into());
        self.patterns.len() - 1
    }

    fn finish(mut self, from_ms: i64, to_ms: i64) -> (ScanPlan, Matcher) {
        self.events.sort();
        self.events.dedup();
        let plan = ScanPlan::with(self.columns, from_ms, to_ms, EventSet::Only(self.events));
        (plan, Matcher::new(self.patterns))
    }
}

impl BoundMetric {
    fn new(metric: &Metric, columns: &mut Columns) -> Self {
        let first_step = metric.steps.last().map(|step| step.event.clone());
        let event = metric.event.clone().or(first_step).unwrap_or_else(|| CONVERSIONS[0].into());
        Self {
            name: metric.name.clone().unwrap_or_else(|| event.clone()),
            event,
            kind: metric.kind,
            role: metric.role,
            preferred: metric.preferred,
            margin: metric.margin.unwrap_or(0.0),
            quantile: metric.quantile,
            numbers: numbers(metric.event.as_deref(), metric.prop.as_deref())
                .map(|prop| columns.number(prop))
                .collect(),
        }
    }
}

/// The numbers a metric adds up. `experiment_conversion` calls its value `conversion_value`.
fn numbers<'a>(event: Option<&str>, own: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let conversion = event.is_none_or(|event| event == CONVERSIONS[1]);
    let other = (own == Some("value") && conversion).then_some("conversion_value");
    own.into_iter().chain(other)
}

impl Analysis for Experiment {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = counter::Counter::new(Arc::clone(&self.shape), self.matcher.clone());
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn looks(&self) -> u32 {
        2
    }

    fn refine(&self, partial: &Partial) -> Option<Box<dyn Analysis>> {
        let table = figures::Table::Plain { partial, shape: &self.shape };
        joined::look(&table, &self.shape, self)
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        self.shape.answer(facts, |is_complete| {
            let table = figures::Table::Plain { partial, shape: &self.shape };
            read::answer(&table, &self.shape, facts, is_complete)
        })
    }
}

impl Shape {
    /// Whether the question lists a variant.
    fn knows(&self, variant: &str) -> bool {
        self.variants.iter().any(|own| own.key == variant)
    }

    /// An answer with whether it is complete.
    fn answer(&self, facts: &Facts, body: impl FnOnce(bool) -> answer::ExperimentAnswer) -> Answer {
        let complete = facts.now_ms >= self.ends_ms.saturating_add(LATENESS_MS);
        Answer { complete, body: AnswerBody::Experiment(Box::new(body(complete))) }
    }
}
