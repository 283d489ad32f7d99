//! The kernel for everything that the fast one does not count: other kinds of metrics, a delay, caps,
//! the time before the exposure, slices, days.
//!
//! Caps by percentile and quantiles need all values before anything can be counted by them. Such a
//! question looks twice: first every value, then the sums ([`Analysis::refine`]).
//!
//! Table: `(10, scope, value, value, day, variant)` → people; `(11, scope, value, value, day, variant,
//! metric)` → people with something, then the digits of the [`STATE`] sums; `(12)` → people of several
//! variants, of unknown ones, conversions that named another variant, people in progress. Bags: `(13, …)` as
//! 11 → values of a quantile; `(14, metric)` → values of all arms, for a cap; `(15)` → the first exposures.
//!
//! Deliberately elsewhere: what one person has (`person`), reading the table (`figures`).

use std::collections::HashMap;
use std::sync::Arc;

use super::question::{CohortCut, Counted, Cut, InProgress, Kind, Metric, Question};
use super::{CONVERSIONS, Patterns, Shape, figures, joined, numbers, read};
use crate::cohort::{Cohort, Members};
use crate::events::ScanPlan;
use crate::filter::{Condition, Matcher, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial};
use crate::question::{Common, Context, QuestionError};
use crate::stats::quantile_metric::n_star;
use crate::stats::winsorize::{Cap, Caps};
use crate::time_bucket::{Buckets, Unit};
use crate::{Answer, Facts};

mod kernel;
mod person;
#[cfg(test)]
mod tests;

/// Sums over people of a metric's four values (what it is, its denominator, both before the exposure)
/// and of their products: four, and ten.
pub(super) const STATE: usize = 14;

/// The pairs of values behind the products, in the order of the table.
pub(super) const PAIRS: [(usize, usize); 10] =
    [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)];

/// Patterns that a matcher takes.
const MAX_PATTERNS: usize = 64;
const DAY_MS: i64 = 86_400_000;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    /// Everybody.
    All,
    /// One value of a slice.
    Slice(usize),
    /// One of the strata.
    Stratum,
    /// Those exposed on one day.
    Day,
    /// Those of one value of a slice, exposed on one day.
    SliceDay(usize),
    /// Those who met one variant of another experiment.
    Other(usize),
    /// Who met several variants and is in no arm, by their first.
    Aside,
}

impl Scope {
    pub(super) fn key(self) -> Key {
        match self {
            Self::All => Key::Int(0),
            Self::Day => Key::Int(-1),
            Self::Stratum => Key::Int(-2),
            Self::Aside => Key::Int(-3),
            Self::Slice(index) => (index + 1).into(),
            Self::SliceDay(index) => (index + 101).into(),
            Self::Other(index) => (index + 201).into(),
        }
    }

    /// What it splits by beside days.
    fn without_days(self) -> Self {
        match self {
            Self::SliceDay(index) => Self::Slice(index),
            other => other,
        }
    }
}

/// What the kernels share.
#[derive(Clone)]
struct Setting {
    shape: Arc<Shape>,
    matcher: Matcher,
    /// Below zero: what happened shortly before the exposure counts too.
    delay_ms: i64,
    /// How far before the exposure a person's past reaches.
    past_ms: Option<i64>,
    /// People whose window ends later are in progress, and left out.
    done_by_ms: Option<i64>,
    sources: Vec<Source>,
    /// What is told apart, and by what.
    splits: Vec<(Scope, Vec<Split>)>,
    days: Option<Buckets>,
    /// The cohorts of splits, once it is known who is in them.
    members: Vec<Members>,
}

/// One way to tell people apart.
#[derive(Debug, Clone, Copy)]
enum Split {
    /// By the value at the first exposure.
    Text(TextColumn),
    /// By whether they are in a cohort, which has this place.
    Member(usize),
}

/// What a metric reads.
#[derive(Clone)]
struct Source {
    kind: Kind,
    sum: Summed,
    denominator: Option<Summed>,
    /// Of a funnel, in order: the bits of each step.
    steps: Vec<u64>,
    /// Of a retention: milliseconds after the exposure, the first included, the last not.
    days_ms: Option<(i64, i64)>,
    cap: Option<Cap>,
}

/// Events, and what each adds.
#[derive(Clone)]
struct Summed {
    mask: u64,
    /// The first that an event carries; none: 1 each.
    numbers: Vec<usize>,
}

/// Which of the two looks.
#[derive(Clone)]
enum Phase {
    /// Every value.
    Survey,
    /// The sums, by what the survey found.
    Count(Arc<Found>),
}

/// What a survey found.
#[derive(Default)]
pub(super) struct Found {
    /// By metric.
    caps: Vec<Option<Caps>>,
    /// The quantile of each arm and metric.
    quantiles: HashMap<(Box<str>, usize), f64>,
}

/// A compiled question.
#[derive(Clone)]
pub(super) struct Detail {
    plan: ScanPlan,
    setting: Arc<Setting>,
    cohorts: Arc<[Cohort]>,
    phase: Phase,
}

pub(super) fn compile(
    question: &Question,
    common: &Common,
    context: &Context,
    mut patterns: Patterns,
    mut shape: Shape,
) -> Result<Detail, QuestionError> {
    let mut sources = Vec::new();
    for metric in &question.metrics {
        sources.push(source(metric, &mut patterns)?);
    }
    if patterns.patterns.len() > MAX_PATTERNS {
        return Err(QuestionError::Count {
            what: "events, denominators and steps of all metrics",
            got: patterns.patterns.len(),
            min: 1,
            max: MAX_PATTERNS,
        });
    }
    let delay_ms = question.delay_ms()?;
    let past_ms = Question::span_ms("covariate", question.covariate.as_ref())?;
    // Rules of cohorts end where the experiment begins.
    let mut before = common.clone();
    before.to_ms = common.from_ms;
    let mut cohorts = Vec::new();
    let mut split = |cut: &Cut| match cut {
        Cut::Prop(prop) => Ok(Split::Text(patterns.columns.text(prop))),
        Cut::Cohort(CohortCut { cohort, .. }) => {
            cohorts.push(crate::cohort::compile(cohort, &before)?);
            Ok::<_, QuestionError>(Split::Member(cohorts.len() - 1))
        }
    };
    let scopes = (0..question.slices.len()).map(Scope::Slice).zip(&question.slices);
    let mut splits = Vec::new();
    for (scope, slice) in scopes.chain(question.strata.iter().map(|own| (Scope::Stratum, own))) {
        splits.push((scope, slice.cuts().iter().map(&mut split).collect::<Result<_, _>>()?));
    }
    let last_day_ms = sources.iter().filter_map(|source| source.days_ms.map(|(_, end)| end)).max();
    let window_ms = shape.window_ms.map(|window_ms| delay_ms.saturating_add(window_ms));
    let after_ms = window_ms.max(last_day_ms);
    shape.ends_ms = common.to_ms.saturating_add(after_ms.unwrap_or(0));
    let scan_to_ms = shape.ends_ms.saturating_add(i64::from(after_ms.is_some()));
    let scan_from_ms = common.from_ms.saturating_sub(past_ms.unwrap_or(0).max(-delay_ms));
    let days = question
        .daily
        .then(|| Buckets::new(Unit::Day, &common.calendar, common.from_ms, common.to_ms, 0))
        .transpose()?;
    let (plan, matcher) = patterns.finish(scan_from_ms, scan_to_ms);
    let setting = Setting {
        shape: Arc::new(shape),
        matcher,
        delay_ms,
        past_ms,
        done_by_ms: (question.in_progress == InProgress::Exclude).then_some(context.now_ms),
        sources,
        splits,
        days,
        members: Vec::new(),
    };
    let phase = if setting.sources.iter().any(Source::needs_survey) {
        Phase::Survey
    } else {
        Phase::Count(Arc::new(Found::without_survey(&setting)))
    };
    Ok(Detail { plan, setting: Arc::new(setting), cohorts: cohorts.into(), phase })
}

fn source(metric: &Metric, patterns: &mut Patterns) -> Result<Source, QuestionError> {
    let condition = Condition::parse(&metric.filter)?;
    let events: Vec<&str> = match &metric.event {
        _ if metric.kind == Kind::Funnel => Vec::new(),
        Some(event) => vec![event],
        None => CONVERSIONS.into(),
    };
    let mask = events.iter().fold(0, |mask, event| mask | bit(patterns.add(event, &condition)));
    let mut counted = |counted: &Counted| {
        let condition = Condition::parse(&counted.filter)?;
        let mask = bit(patterns.add(&counted.event, &condition));
        let numbers = numbers(Some(&counted.event), counted.prop.as_deref());
        let numbers = numbers.map(|prop| patterns.columns.number(prop)).collect();
        Ok::<_, QuestionError>(Summed { mask, numbers })
    };
    let denominator = metric.denominator.as_ref().map(&mut counted).transpose()?;
    let steps = metric.steps.iter().map(|step| counted(step).map(|step| step.mask));
    let steps = steps.collect::<Result<_, _>>()?;
    let own = numbers(metric.event.as_deref(), metric.prop.as_deref());
    let day = |day: u32| i64::from(day) * DAY_MS;
    Ok(Source {
        kind: metric.kind,
        denominator,
        steps,
        days_ms: metric.days.map(|[first, last]| (day(first), day(last + 1))),
        cap: metric.cap,
        sum: Summed { mask, numbers: own.map(|prop| patterns.columns.number(prop)).collect() },
    })
}

/// The bit of a pattern; patterns beyond the last bit are refused afterwards.
fn bit(pattern: usize) -> u64 {
    1u64.checked_shl(pattern as u32).unwrap_or(0)
}

impl Source {
    fn needs_survey(&self) -> bool {
        self.kind == Kind::Quantile || matches!(self.cap, Some(Cap::Percentile { .. }))
    }
}

impl Found {
    fn without_survey(setting: &Setting) -> Self {
        let fixed = |source: &Source| source.cap.map(|cap| cap.of(std::iter::empty()));
        Self { caps: setting.sources.iter().map(fixed).collect(), quantiles: HashMap::new() }
    }

    fn by_survey(setting: &Setting, partial: &Partial) -> Self {
        let mut found = Self::without_survey(setting);
        for (index, source) in setting.sources.iter().enumerate() {
            if let Some(cap) = source.cap {
                let values = partial.bags.get(&[Key::Int(14), index.into()][..]);
                found.caps[index] = Some(cap.of(values.into_iter().flatten().copied()));
            }
        }
        for (key, values) in &partial.bags {
            if let [Key::Int(13), Key::Int(0), _, _, _, Key::Text(variant), Key::Int(metric)] =
                &key[..]
                && let Some(nu) = setting.shape.metrics[*metric as usize].quantile
                && n_star(values.len() as f64) > 0.0
            {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                if let Some(value) = crate::quantile::of_sorted(&sorted, nu) {
                    found.quantiles.insert((variant.clone(), *metric as usize), value);
                }
            }
        }
        found
    }
}

impl Analysis for Detail {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = kernel::Counter::new(Arc::clone(&self.setting), self.phase.clone());
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn cohorts(&self) -> &[Cohort] {
        &self.cohorts
    }

    fn knowing(&self, members: Vec<Members>) -> Option<Box<dyn Analysis>> {
        let setting = Arc::new(Setting { members, ..Setting::clone(&self.setting) });
        (!self.cohorts.is_empty())
            .then(|| -> Box<dyn Analysis> { Box::new(Self { setting, ..self.clone() }) })
    }

    fn looks(&self) -> u32 {
        if matches!(self.phase, Phase::Survey) { 3 } else { 2 }
    }

    fn refine(&self, partial: &Partial) -> Option<Box<dyn Analysis>> {
        match self.phase {
            Phase::Count(_) => joined::look(&self.table(partial), &self.setting.shape, self),
            Phase::Survey => {
                let found = Arc::new(Found::by_survey(&self.setting, partial));
                Some(Box::new(Self { phase: Phase::Count(found), ..self.clone() }))
            }
        }
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let shape = &self.setting.shape;
        shape.answer(facts, |is_complete| {
            read::answer(&self.table(partial), shape, facts, is_complete)
        })
    }
}

impl Detail {
    fn table<'a>(&'a self, partial: &'a Partial) -> figures::Table<'a> {
        figures::Table::Detail {
            partial,
            has_past: self.setting.past_ms.is_some(),
            days: self.setting.days.as_ref(),
            caps: match &self.phase {
                Phase::Count(found) => &found.caps,
                Phase::Survey => &[],
            },
        }
    }
}
