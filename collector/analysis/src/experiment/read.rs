//! From the merged table of an experiment to its answer.

use super::answer::{
    Arm, ArmMetric, Bounds, CheckStatus, Checks, DayResult, ExperimentAnswer, ExperimentStatus,
    MetricResult, OpenBounds, SliceResult, SrmStatus,
};
use super::effects::{Comparing, Pair};
use super::figures::{Figures, Part, Table};
use super::question::{Kind, Role};
use super::{BoundMetric, Shape, checks, verdict};
use crate::Facts;
use crate::answer::ratio;
use crate::kernel::Key;
use crate::stats::decision::Plan;
use crate::stats::many_tests::{Method, adjust};
use crate::stats::{normal, proportion};

/// The planned size of two arms where the question names none.
const TUNING: f64 = 5000.0;
/// Values of a slice that are listed, those with the most people.
const MAX_PARTS: usize = 50;

/// The answer.
pub(super) fn answer(
    table: &Table<'_>,
    shape: &Shape,
    facts: &Facts,
    is_complete: bool,
) -> ExperimentAnswer {
    let arms = arms(table, shape);
    let srm = checks::sizes(&arms);
    let excluded = table.excluded();
    let keeps_first = shape.keeps_first;
    let checks = Checks {
        multiple_exposure: checks::several(&arms, &excluded, keeps_first),
        before: checks::before(table, shape, &arms),
    };
    let plan = plan(shape, arms.len(), is_complete);
    let comparing = Comparing { plan: &plan, has_past: table.has_past() };
    let whole = all_figures(table, shape, &arms, &Part::ALL);
    let mut metrics = comparing.metrics(shape, &arms, &whole, &whole, table);
    let family: Vec<&mut MetricResult> = metrics.iter_mut().collect();
    share_error(family, shape);
    let comparable = metrics.iter().flat_map(|metric| &metric.effects).any(|e| e.status == "ok");
    let status = if srm.status == SrmStatus::Mismatch {
        ExperimentStatus::SampleRatioMismatch
    } else if comparable {
        ExperimentStatus::Readable
    } else {
        ExperimentStatus::NotEnoughData
    };
    let elapsed_ms = facts.now_ms.min(shape.to_ms).saturating_sub(shape.from_ms);
    let verdict = verdict::verdict(&verdict::Situation {
        shape,
        arms: &arms,
        figures: &whole,
        comparing,
        srm: srm.status,
        checks: &checks,
        days: elapsed_ms as f64 / 86_400_000.0,
    });
    ExperimentAnswer {
        experiment: shape.experiment.clone(),
        control: arms.first().map(|arm| arm.variant.clone()),
        status,
        verdict,
        excluded,
        slices: comparing.slices(table, shape, &arms, &whole),
        days: comparing.days(table, shape, &arms, &whole),
        arms,
        srm,
        checks,
        metrics,
    }
}

fn plan(shape: &Shape, arms: usize, is_complete: bool) -> Plan {
    let asked = &shape.plan;
    // The planned people are of all arms; an effect is between two of them.
    let of_two = |persons: u64| 2.0 * persons as f64 / arms.max(2) as f64;
    Plan {
        method: shape.method,
        alpha: asked.alpha,
        tuning: asked.persons.map_or(TUNING, of_two),
        power: asked.power,
        is_final: is_complete && shape.plan_ends_ms == Some(shape.to_ms),
    }
}

/// The arms of the question, else those that people met; control first, then by key.
///
/// Control is the arm of the question, else the one called `control`, else the first listed or the
/// first by key.
fn arms(table: &Table<'_>, shape: &Shape) -> Vec<Arm> {
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
        names.into_iter().map(|variant| Arm { variant, persons: 0, expected_ratio }).collect()
    } else {
        let arm = |variant: &super::Variant| Arm {
            variant: variant.key.clone(),
            persons: 0,
            expected_ratio: Some(variant.weight / weights),
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

/// By metric, then by arm.
type AllFigures = Vec<Vec<Figures>>;

fn all_figures(table: &Table<'_>, shape: &Shape, arms: &[Arm], part: &Part) -> AllFigures {
    let of_metric =
        |metric: usize| arms.iter().map(|arm| table.figures(part, &arm.variant, metric)).collect();
    (0..shape.metrics.len()).map(of_metric).collect()
}

impl Comparing<'_> {
    /// All metrics of a part of the people; `whole` is everybody.
    fn metrics(
        &self,
        shape: &Shape,
        arms: &[Arm],
        part: &AllFigures,
        whole: &AllFigures,
        table: &Table<'_>,
    ) -> Vec<MetricResult> {
        let all = shape.metrics.iter().zip(part).zip(whole).enumerate();
        all.map(|(index, ((metric, figures), whole))| {
            let effects = (1..arms.len()).map(|arm| {
                let pair = Pair {
                    control: &figures[0],
                    treatment: &figures[arm],
                    of_all: (&whole[0], &whole[arm]),
                };
                self.effect(pair, (&arms[0].variant, &arms[arm].variant), metric)
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

    fn slices(
        &self,
        table: &Table<'_>,
        shape: &Shape,
        arms: &[Arm],
        whole: &AllFigures,
    ) -> Vec<SliceResult> {
        let mut results = Vec::new();
        for slice in 0..table.slices() {
            let parts = table.parts_of_slice(slice);
            let start = results.len();
            for part in parts.iter().take(MAX_PARTS) {
                let own = all_figures(table, shape, arms, part);
                let count = shape.slices[slice].len();
                results.push(SliceResult {
                    slice: shape.slices[slice].clone(),
                    value: part.values[..count]
                        .iter()
                        .map(|key| key.text().map(Into::into))
                        .collect(),
                    persons: arms.iter().map(|arm| table.persons(part, &arm.variant)).collect(),
                    metrics: self.metrics(shape, arms, &own, whole, table),
                    values_not_listed: parts.len().saturating_sub(MAX_PARTS),
                });
            }
            // The values of one slice are a family of tests.
            let family = results[start..].iter_mut().flat_map(|result| &mut result.metrics);
            share_error(family.collect(), shape);
        }
        results
    }

    /// By day of exposure, and everybody up to that day.
    fn days(
        &self,
        table: &Table<'_>,
        shape: &Shape,
        arms: &[Arm],
        whole: &AllFigures,
    ) -> Vec<DayResult> {
        let mut so_far: Option<AllFigures> = None;
        let merged = |before: &AllFigures, day: &AllFigures| -> AllFigures {
            let arms = |(a, b): (&Vec<Figures>, &Vec<Figures>)| {
                a.iter().zip(b).map(|(a, b)| a.merged(b)).collect()
            };
            before.iter().zip(day).map(arms).collect()
        };
        let mut results = Vec::new();
        for (day, part) in table.days() {
            debug_assert!(matches!(part.values[0], Key::Int(_)));
            let own = all_figures(table, shape, arms, &part);
            let all = so_far.as_ref().map_or_else(|| own.clone(), |before| merged(before, &own));
            results.push(DayResult {
                day,
                metrics: self.metrics(shape, arms, &own, whole, table),
                cumulative: self.metrics(shape, arms, &all, whole, table),
            });
            so_far = Some(all);
        }
        results
    }
}

/// Goals × arms are a family of tests: Holm's p-values. Guardrails have to hold one by one.
fn share_error(mut metrics: Vec<&mut MetricResult>, shape: &Shape) {
    let is_goal = |index: usize| shape.metrics[index % shape.metrics.len()].role == Role::Goal;
    let goals = metrics.iter_mut().enumerate().filter(|(index, _)| is_goal(*index));
    let mut effects: Vec<_> =
        goals.flat_map(|(_, metric)| &mut metric.effects).filter(|e| e.p_value.is_some()).collect();
    let p_values: Vec<f64> =
        effects.iter().filter_map(|effect| effect.p_value).map(|p| p.min(1.0)).collect();
    let Ok(adjusted) = adjust(&p_values, Method::Holm) else { return };
    for (effect, p) in effects.iter_mut().zip(adjusted) {
        effect.adjusted_p_value = Some(p);
    }
}

/// Whether a check blocks the verdict.
pub(super) fn is_failed(status: CheckStatus) -> bool {
    status == CheckStatus::Failed
}
