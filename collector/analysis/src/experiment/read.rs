//! From the merged table of an experiment to its answer.

use super::answer::{
    Arm, ArmMetric, Bounds, CheckStatus, Checks, ExperimentAnswer, ExperimentStatus, MetricResult,
    OpenBounds, SrmStatus,
};
use super::detail::Scope;
use super::effects::{AllFigures, Comparing, People};
use super::family::share_error;
use super::figures::{Figures, Part, Table};
use super::question::{Kind, Role};
use super::verdict::Situation;
use super::{BoundMetric, Shape, checks};
use crate::Facts;
use crate::answer::ratio;
use crate::stats::decision::Plan;
use crate::stats::non_inferiority::Preferred;
use crate::stats::{normal, proportion, thompson, two_sample};

/// The planned size of two arms where the question names none.
const TUNING: f64 = 5000.0;
/// What Thompson sampling leaves every arm at least.
const LEAST_SHARE: f64 = 0.01;
/// Values of a slice that are listed, those with the most people.
pub(super) const MAX_PARTS: usize = 50;

/// The answer.
pub(super) fn answer(
    table: &Table<'_>,
    shape: &Shape,
    facts: &Facts,
    is_complete: bool,
) -> ExperimentAnswer {
    let mut arms = arms(table, shape);
    let excluded = table.excluded();
    let srm = checks::sizes(&arms, &arrivals(table, &arms));
    let before = checks::before(table, shape, &arms);
    let plan = plan(shape, arms.len(), facts, is_complete);
    let deciding = Plan { alpha: shape.deciding_alpha(), ..plan };
    let comparing = Comparing { plan: &plan, deciding: &deciding, has_past: table.has_past() };
    let whole = all_figures(table, shape, &arms, &Part::ALL);
    let mut several = checks::several(&arms, &excluded, shape.keeps_first);
    several.joined = table.joined();
    if several.is_biased {
        several.bias = comparing.bias(table, shape, &arms, &whole);
    }
    let interactions = comparing.interactions(table, shape, &arms, &whole);
    let checks = Checks { multiple_exposure: several, before, loss: None, interactions };
    let strata: Vec<AllFigures> = if shape.has_strata {
        let parts = table.parts_of(Scope::Stratum);
        parts.iter().map(|part| all_figures(table, shape, &arms, part)).collect()
    } else {
        Vec::new()
    };
    let everybody = People { own: &whole, whole: &whole, strata: &strata };
    let mut metrics = comparing.metrics(shape, &arms, everybody, table);
    share_error(metrics.iter_mut().collect(), shape);
    let comparable = metrics.iter().flat_map(|metric| &metric.effects).any(|e| e.status == "ok");
    let status = if srm.status == SrmStatus::Mismatch {
        ExperimentStatus::SampleRatioMismatch
    } else if comparable {
        ExperimentStatus::Readable
    } else {
        ExperimentStatus::NotEnoughData
    };
    let situation = Situation {
        shape,
        arms: &arms,
        people: everybody,
        comparing,
        srm: srm.status,
        checks: &checks,
        several: excluded.multi_variant,
        began_ms: table.first_ms().unwrap_or(shape.from_ms).max(shape.from_ms),
        now_ms: facts.now_ms,
    };
    let (verdict, outlook) = situation.judge();
    let slices = comparing.slices(table, shape, &arms, &whole);
    let days = comparing.days(table, shape, &arms, &whole);
    suggest(&mut arms, &whole[0], &shape.metrics[0]);
    ExperimentAnswer {
        experiment: shape.experiment.clone(),
        control: arms.first().map(|arm| arm.variant.clone()),
        status,
        verdict,
        outlook,
        excluded,
        slices,
        days,
        arms,
        srm,
        checks,
        metrics,
    }
}

fn plan(shape: &Shape, arms: usize, facts: &Facts, is_complete: bool) -> Plan {
    let asked = &shape.plan;
    // The planned people are of all arms; an effect is between two of them.
    let of_two = |persons: u64| 2.0 * persons as f64 / arms.max(2) as f64;
    let alpha = asked.alpha;
    Plan {
        method: shape.method,
        alpha,
        tuning: asked.persons.map_or(TUNING, of_two),
        power: asked.power,
        stage: shape.schedule.stage(facts.now_ms, is_complete),
        bound: shape.schedule.bound(shape.deciding_alpha(), arms.saturating_sub(1), is_complete),
    }
}

/// Who came on which day, by arm; nothing if the question does not ask for days.
fn arrivals(table: &Table<'_>, arms: &[Arm]) -> Vec<Vec<f64>> {
    let of =
        |part: &Part| arms.iter().map(|arm| table.persons(part, &arm.variant) as f64).collect();
    table.days(&Part::ALL).iter().map(|(_, part)| of(part)).collect()
}

/// How those who come next could be split.
fn suggest(arms: &mut [Arm], figures: &[Figures], metric: &BoundMetric) {
    let sign = if metric.preferred == Preferred::Increase { 1.0 } else { -1.0 };
    let known: Option<Vec<_>> = figures
        .iter()
        .map(|own| own.arm(metric.kind, metric.quantile, own).ok())
        .map(|arm| arm.map(|arm| two_sample::Arm { mean: sign * arm.mean, ..arm }))
        .collect();
    let weights = known
        .and_then(|arms| thompson::chances_of_best(&arms).ok())
        .and_then(|chances| thompson::weights(&chances, LEAST_SHARE).ok());
    for (arm, weight) in arms.iter_mut().zip(weights.into_iter().flatten()) {
        arm.suggested_ratio = Some(weight);
    }
}

/// The arms of the question, else those that people met; control first, then by key.
///
/// Control is the arm of the question, else the one called `control`, else the first listed or the
/// first by key.
pub(super) fn arms(table: &Table<'_>, shape: &Shape) -> Vec<Arm> {
    let weights: f64 = shape.variants.iter().map(|variant| variant.weight).sum();
    let mut arms: Vec<Arm> = if shape.variants.is_empty() {
        let mut names = table.met();
        if let Some(control) = &shape.control
            && !names.contains(control)
            && !names.is_empty()
        {
            names.push(control.clone());
        }
        let expected_ratio = (!names.is_empty()).then(|| 1.0 / names.len() as f64);
        names.sort();
        names
            .into_iter()
            .map(|variant| Arm { variant, persons: 0, expected_ratio, suggested_ratio: None })
            .collect()
    } else {
        let arm = |variant: &super::Variant| Arm {
            variant: variant.key.clone(),
            persons: 0,
            expected_ratio: Some(variant.weight / weights),
            suggested_ratio: None,
        };
        shape.variants.iter().map(arm).collect()
    };
    for arm in &mut arms {
        arm.persons = table.persons(&Part::ALL, &arm.variant);
    }
    let control = shape.control.as_deref().unwrap_or("control");
    if let Some(position) = arms.iter().position(|arm| arm.variant == control) {
        arms[..=position].rotate_right(1);
    }
    if let Some((_, rest)) = arms.split_first_mut() {
        rest.sort_by(|a, b| a.variant.cmp(&b.variant));
    }
    arms
}

/// By metric and arm.
pub(super) fn all_figures(
    table: &Table<'_>,
    shape: &Shape,
    arms: &[Arm],
    part: &Part,
) -> AllFigures {
    let of_metric =
        |metric: usize| arms.iter().map(|arm| table.figures(part, &arm.variant, metric)).collect();
    (0..shape.metrics.len()).map(of_metric).collect()
}

impl Comparing<'_> {
    /// All metrics of these people.
    pub(super) fn metrics(
        &self,
        shape: &Shape,
        arms: &[Arm],
        people: People<'_>,
        table: &Table<'_>,
    ) -> Vec<MetricResult> {
        let all = shape.metrics.iter().zip(people.own).zip(people.whole).enumerate();
        all.map(|(index, ((metric, figures), whole))| {
            let effects = (1..arms.len()).map(|arm| {
                let names = (arms[0].variant.as_str(), arms[arm].variant.as_str());
                self.effect(&people.pair(index, arm), names, metric)
            });
            let caps = table.caps(index);
            let arms = arms.iter().zip(figures).zip(whole);
            MetricResult {
                name: metric.name.clone(),
                event: metric.event.clone(),
                kind: metric.kind.name().into(),
                role: if metric.role == Role::Goal { "goal" } else { "guardrail" }.into(),
                effects: effects.collect(),
                arms: arms
                    .map(|((arm, own), whole)| self.arm_metric(&arm.variant, own, whole, metric))
                    .collect(),
                capped_at: caps.map(|caps| OpenBounds { low: caps.lower, high: caps.upper }),
            }
        })
        .collect()
    }

    fn arm_metric(
        &self,
        variant: &str,
        figures: &Figures,
        whole: &Figures,
        metric: &BoundMetric,
    ) -> ArmMetric {
        let z = normal::upper_quantile(self.plan.alpha / 2.0);
        let persons = figures.persons as f64;
        let interval = proportion::wilson(persons, figures.converted as f64, z).ok();
        let is_sum = metric.kind == Kind::Count || !metric.numbers.is_empty();
        let sum = (is_sum && metric.kind != Kind::Quantile).then_some(figures.sum);
        let value = figures.arm(metric.kind, metric.quantile, whole).ok();
        ArmMetric {
            variant: variant.into(),
            persons: figures.persons,
            conversions: figures.converted,
            rate: ratio(figures.converted, figures.persons),
            rate_interval: interval.map(|(low, high)| Bounds { low, high }),
            sum,
            mean: sum.filter(|_| figures.persons > 0).map(|sum| sum / persons),
            value: value.map(|arm| arm.mean),
            events: (metric.kind == Kind::Quantile).then_some(figures.values.len() as u64),
        }
    }
}

/// Some of the people.
pub(super) fn part_of<'a>(own: &'a AllFigures, whole: &'a AllFigures) -> People<'a> {
    People { own, whole, strata: &[] }
}

/// Whether a check blocks the verdict.
pub(super) fn is_failed(status: CheckStatus) -> bool {
    status == CheckStatus::Failed
}
