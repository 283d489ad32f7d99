//! From the merged table of an experiment to its answer and verdict.

use super::answer::{
    Arm, ArmMetric, Bounds, Effect, Excluded, ExperimentAnswer, ExperimentStatus, MetricResult,
    Srm, SrmStatus, Verdict,
};
use super::{BoundMetric, Kind, Shape};
use crate::answer::ratio;
use crate::exact_sum::{DIGITS, ExactSum, variance};
use crate::kernel::{Key, Partial};
use crate::stats::two_sample::{self, Difference, Test, compare};
use crate::stats::{Alternative, Interval, normal, proportion, srm};

/// Confidence is one minus this.
const ALPHA: f64 = 0.05;
/// The alarm of the sample ratio test.
const SRM_ALPHA: f64 = 0.001;
/// Below this many people the sizes say nothing.
const SRM_PERSONS: u64 = 100;

/// One arm's figures of one metric, before rounding.
struct Figures {
    persons: u64,
    converted: u64,
    sum: ExactSum,
    squares: ExactSum,
}

/// The answer.
pub(super) fn answer(partial: &Partial, shape: &Shape) -> ExperimentAnswer {
    let arms = arms(partial, shape);
    let control = arms.first().map(|arm| arm.variant.clone());
    let srm = srm(&arms);
    let metrics: Vec<MetricResult> = shape
        .metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| metric_result(partial, index, metric, &arms))
        .collect();
    let comparable = metrics.iter().flat_map(|metric| &metric.effects).any(|e| e.status == "ok");
    let status = if srm.status == SrmStatus::Mismatch {
        ExperimentStatus::SampleRatioMismatch
    } else if comparable {
        ExperimentStatus::Readable
    } else {
        ExperimentStatus::NotEnoughData
    };
    ExperimentAnswer {
        experiment: shape.experiment.clone(),
        control,
        status,
        verdict: verdict(status, &metrics),
        excluded: Excluded {
            multi_variant: partial.count(&[Key::Int(2)], 0),
            unknown_variant: partial.count(&[Key::Int(2)], 1),
            variant_mismatch: partial.count(&[Key::Int(2)], 2),
        },
        arms,
        srm,
        metrics,
    }
}

/// The arms of the question, else those that people met; control first, then by key.
///
/// Control is the arm of the question, else the one called `control`, else the first listed or the
/// first by key.
fn arms(partial: &Partial, shape: &Shape) -> Vec<Arm> {
    let weights: f64 = shape.variants.iter().map(|variant| variant.weight).sum();
    let mut arms: Vec<Arm> = if shape.variants.is_empty() {
        let met = partial.starting_with(&[Key::Int(0)]);
        let mut names: Vec<String> =
            met.filter_map(|(key, _)| key[0].text().map(str::to_owned)).collect();
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
        arm.persons = partial.count(&[Key::Int(0), Key::Text(arm.variant.as_str().into())], 0);
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

fn srm(arms: &[Arm]) -> Srm {
    let total: u64 = arms.iter().map(|arm| arm.persons).sum();
    let users: Vec<f64> = arms.iter().map(|arm| arm.persons as f64).collect();
    let weights: Vec<f64> = arms.iter().map(|arm| arm.expected_ratio.unwrap_or(0.0)).collect();
    match srm::chi_squared(&users, &weights) {
        Ok(found) => Srm {
            status: if total < SRM_PERSONS {
                SrmStatus::NotEnoughData
            } else if found.p_value < SRM_ALPHA {
                SrmStatus::Mismatch
            } else {
                SrmStatus::Ok
            },
            statistic: Some(found.statistic),
            degrees_of_freedom: Some(found.degrees_of_freedom as u64),
            p_value: Some(found.p_value),
        },
        Err(_) => Srm {
            status: SrmStatus::NotEnoughData,
            statistic: None,
            degrees_of_freedom: None,
            p_value: None,
        },
    }
}

fn metric_result(
    partial: &Partial,
    index: usize,
    metric: &BoundMetric,
    arms: &[Arm],
) -> MetricResult {
    let figures: Vec<Figures> = arms
        .iter()
        .map(|arm| {
            let key = [Key::Int(1), Key::Text(arm.variant.as_str().into()), index.into()];
            let row = partial.rows.get(&key[..]).map_or(&[][..], Vec::as_slice);
            let digits =
                |at: usize| ExactSum::from_columns(row.get(at..at + DIGITS).unwrap_or_default());
            Figures {
                persons: arm.persons,
                converted: row.first().copied().unwrap_or(0.0) as u64,
                sum: digits(1),
                squares: digits(1 + DIGITS),
            }
        })
        .collect();
    let effects = match arms.split_first() {
        None => Vec::new(),
        Some((control, others)) => others
            .iter()
            .zip(&figures[1..])
            .map(|(arm, figure)| effect(control, &figures[0], arm, figure, metric.kind))
            .collect(),
    };
    MetricResult {
        name: metric.name.clone(),
        event: metric.event.clone(),
        kind: match metric.kind {
            Kind::Conversion => "conversion".into(),
            Kind::Mean => "mean".into(),
        },
        arms: arms.iter().zip(&figures).map(|(arm, f)| arm_metric(arm, f, metric)).collect(),
        effects,
    }
}

fn arm_metric(arm: &Arm, figures: &Figures, metric: &BoundMetric) -> ArmMetric {
    let z = normal::upper_quantile(ALPHA / 2.0);
    let persons = figures.persons as f64;
    let interval = proportion::wilson(persons, figures.converted as f64, z).ok();
    let sum = (!metric.numbers.is_empty()).then(|| figures.sum.value());
    ArmMetric {
        variant: arm.variant.clone(),
        persons: figures.persons,
        conversions: figures.converted,
        rate: ratio(figures.converted, figures.persons),
        rate_interval: interval.map(|(low, high)| Bounds { low, high }),
        sum,
        mean: sum.filter(|_| figures.persons > 0).map(|sum| sum / persons),
    }
}

impl Figures {
    fn arm(&self, kind: Kind) -> two_sample::Arm {
        let n = self.persons as f64;
        match kind {
            Kind::Conversion => {
                let mean = self.converted as f64 / n;
                two_sample::Arm { n, mean, variance: mean * (1.0 - mean) }
            }
            Kind::Mean => two_sample::Arm {
                n,
                mean: self.sum.value() / n,
                variance: variance(self.persons, &self.sum, &self.squares).unwrap_or(0.0),
            },
        }
    }
}

fn effect(
    control: &Arm,
    control_figures: &Figures,
    arm: &Arm,
    figures: &Figures,
    kind: Kind,
) -> Effect {
    let against = |difference| {
        let (control, treatment) = (control_figures.arm(kind), figures.arm(kind));
        compare(control, treatment, difference, Test::Welch, ALPHA, Alternative::TwoSided)
    };
    let (absolute, lift) = (against(Difference::Absolute), against(Difference::Relative));
    let bounds = |interval: Interval| Some(Bounds { low: interval.low?, high: interval.high? });
    let status = match (&absolute, &lift) {
        (Err(error), _) | (Ok(_), Err(error)) => error.code,
        (Ok(_), Ok(_)) => "ok",
    };
    // What one person did on average is known even where its error is not.
    let means = (control_figures.persons > 0 && figures.persons > 0)
        .then(|| (control_figures.arm(kind).mean, figures.arm(kind).mean));
    Effect {
        variant: arm.variant.clone(),
        control: control.variant.clone(),
        status: status.into(),
        absolute: means.map(|(control, arm)| arm - control),
        absolute_interval: absolute.as_ref().ok().and_then(|found| bounds(found.interval)),
        lift: means
            .filter(|(control, _)| *control != 0.0)
            .map(|(control, arm)| (arm - control) / control.abs()),
        lift_interval: lift.ok().and_then(|found| bounds(found.interval)),
        p_value: absolute.ok().map(|found| found.p_value),
    }
}

/// What the first metric, the primary one, says.
fn verdict(status: ExperimentStatus, metrics: &[MetricResult]) -> Verdict {
    let (code, text) = match status {
        ExperimentStatus::NotEnoughData => (
            "not_enough_data",
            "There is not enough data yet: two variants need people, and some of them must differ."
                .to_owned(),
        ),
        ExperimentStatus::SampleRatioMismatch => (
            "invalid_srm",
            "The variants do not have the sizes they should have, so no effect is to be believed. \
             Look for what removes or adds people in one of them: redirects, crashes, bots, a late \
             exposure."
                .to_owned(),
        ),
        ExperimentStatus::Readable => primary(metrics),
    };
    Verdict { code: code.into(), text }
}

fn primary(metrics: &[MetricResult]) -> (&'static str, String) {
    let effects = metrics.first().map_or(&[][..], |metric| &metric.effects);
    let clear = |sign: f64| -> Vec<&str> {
        effects
            .iter()
            .filter(|effect| effect.p_value.is_some_and(|p| p < ALPHA))
            .filter(|effect| effect.absolute.is_some_and(|absolute| absolute * sign > 0.0))
            .map(|effect| effect.variant.as_str())
            .collect()
    };
    let name = metrics.first().map_or("", |metric| metric.name.as_str());
    let (better, worse) = (clear(1.0), clear(-1.0));
    let known = effects.iter().any(|effect| effect.p_value.is_some());
    match (better.is_empty(), worse.is_empty()) {
        (true, true) if !known => {
            ("not_enough_data", format!("There is not enough data on {name} yet."))
        }
        (true, true) => (
            "no_difference_yet",
            format!("No clear difference in {name} so far; zero lies within the interval."),
        ),
        (false, true) => (
            "better",
            format!(
                "{} is above control in {name}; zero lies outside the 95 % interval.",
                better.join(", ")
            ),
        ),
        (true, false) => (
            "worse",
            format!(
                "{} is below control in {name}; zero lies outside the 95 % interval.",
                worse.join(", ")
            ),
        ),
        (false, false) => (
            "mixed",
            format!(
                "{} above and {} below control in {name}.",
                better.join(", "),
                worse.join(", ")
            ),
        ),
    }
}
