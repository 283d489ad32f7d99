//! What must hold before an effect may be believed.

use super::answer::{
    Arm, BiasCheck, CheckStatus, Excluded, ExclusionBias, MultipleExposureCheck, SliceResult, Srm,
    SrmStatus,
};
use super::detail::Scope;
use super::effects::{AllFigures, Comparing};
use super::figures::{Part, Table};
use super::parts::with;
use super::question::{Kind, Role};
use super::read::{all_figures, part_of};
use super::{BoundMetric, Shape};
use crate::stats::many_tests::{Method, adjust};
use crate::stats::two_sample::{Difference, Test, compare};
use crate::stats::{Alternative, ratio, srm};

/// The alarm of the sample ratio test, and of a difference before the exposure.
const ALARM: f64 = 0.001;
/// Below this many people the sizes say nothing.
const SRM_PERSONS: u64 = 100;
/// From these shares of exposed people on, several variants are a warning, and block the verdict.
const SEVERAL_WARN: f64 = 0.01;
const SEVERAL_BLOCK: f64 = 0.1;
/// How much the sequential test believes in the split: GrowthBook's and Optimizely's number.
const CONCENTRATION: f64 = 10_000.0;

/// Do the arms have the sizes they should have? `batches` are those who came one after the other, by arm.
pub(super) fn sizes(arms: &[Arm], batches: &[Vec<f64>]) -> Srm {
    let total: u64 = arms.iter().map(|arm| arm.persons).sum();
    let users: Vec<f64> = arms.iter().map(|arm| arm.persons as f64).collect();
    let weights: Vec<f64> = arms.iter().map(|arm| arm.expected_ratio.unwrap_or(0.0)).collect();
    let one = std::slice::from_ref(&users);
    let batches = if batches.is_empty() { one } else { batches };
    let watched = srm::sequential(batches, &weights, CONCENTRATION);
    let watched = watched.ok().and_then(|(_, p)| p.last().copied());
    match srm::chi_squared(&users, &weights) {
        Ok(found) => Srm {
            status: if total < SRM_PERSONS {
                SrmStatus::NotEnoughData
            } else if found.p_value < ALARM {
                SrmStatus::Mismatch
            } else {
                SrmStatus::Ok
            },
            statistic: Some(found.statistic),
            degrees_of_freedom: Some(found.degrees_of_freedom as u64),
            p_value: Some(found.p_value),
            sequential_p_value: watched,
            alarm: total >= SRM_PERSONS && watched.is_some_and(|p| p < ALARM),
        },
        Err(_) => Srm {
            status: SrmStatus::NotEnoughData,
            statistic: None,
            degrees_of_freedom: None,
            p_value: None,
            sequential_p_value: None,
            alarm: false,
        },
    }
}

/// The same for each value of a slice: to find where a mismatch comes from. Values with too few people say
/// nothing.
pub(super) fn sizes_of_slice(parts: &mut [SliceResult], arms: &[Arm]) {
    let weights: Vec<f64> = arms.iter().map(|arm| arm.expected_ratio.unwrap_or(0.0)).collect();
    let found = parts.iter_mut().filter_map(|part| {
        let users: Vec<f64> = part.persons.iter().map(|persons| *persons as f64).collect();
        let is_enough = part.persons.iter().sum::<u64>() >= SRM_PERSONS;
        let p = srm::chi_squared(&users, &weights).ok().filter(|_| is_enough)?.p_value;
        Some((part, p.min(1.0)))
    });
    let (known, p_values): (Vec<&mut SliceResult>, Vec<f64>) = found.unzip();
    let Ok(adjusted) = adjust(&p_values, Method::Holm) else { return };
    for (part, p) in known.into_iter().zip(adjusted) {
        part.srm_p_value = Some(p);
    }
}

/// Did many people meet several variants? Leaving them out is biased where the split is uneven.
pub(super) fn several(
    arms: &[Arm],
    excluded: &Excluded,
    keeps_first: bool,
) -> MultipleExposureCheck {
    let in_arms: u64 = arms.iter().map(|arm| arm.persons).sum();
    let exposed = in_arms + if keeps_first { 0 } else { excluded.multi_variant };
    let ratio = (exposed > 0).then(|| excluded.multi_variant as f64 / exposed as f64);
    let shares: Vec<f64> = arms.iter().filter_map(|arm| arm.expected_ratio).collect();
    let is_uneven = shares.iter().any(|share| (share - shares[0]).abs() > 1e-9);
    MultipleExposureCheck {
        status: match ratio {
            None => CheckStatus::NotEnoughData,
            Some(ratio) if exposed >= SRM_PERSONS && ratio >= SEVERAL_BLOCK => CheckStatus::Failed,
            Some(ratio) if ratio >= SEVERAL_WARN => CheckStatus::Warning,
            Some(_) => CheckStatus::Ok,
        },
        ratio,
        joined: None,
        is_biased: is_uneven && !keeps_first && excluded.multi_variant > 0,
        bias: Vec::new(),
    }
}

impl Comparing<'_> {
    /// What leaving people out who met several variants does to the deciding metric: its effects without them,
    /// against those with everybody where they were first.
    pub(super) fn bias(
        &self,
        table: &Table<'_>,
        shape: &Shape,
        arms: &[Arm],
        whole: &AllFigures,
    ) -> Vec<ExclusionBias> {
        let aside = all_figures(table, shape, arms, &Part::of(Scope::Aside));
        let everybody = with(whole, &aside);
        let effect = |figures: &AllFigures, arm: usize| {
            let pair = part_of(figures, figures).pair(0, arm);
            self.find(&pair, &shape.metrics[0]).absolute.ok().map(|effect| effect.estimate)
        };
        let of = |arm: usize| {
            let (here, first_seen) = (effect(whole, arm), effect(&everybody, arm));
            ExclusionBias {
                variant: arms[arm].variant.clone(),
                absolute_first_seen: first_seen,
                bias: here.zip(first_seen).map(|(here, first_seen)| here - first_seen),
            }
        };
        (1..arms.len()).map(of).collect()
    }
}

/// Did arms differ before anybody met a variant? One check per goal and arm, where there is a past.
pub(super) fn before(table: &Table<'_>, shape: &Shape, arms: &[Arm]) -> Vec<BiasCheck> {
    let Some((control, others)) = arms.split_first().filter(|_| table.has_past()) else {
        return Vec::new();
    };
    let goals = shape.metrics.iter().enumerate();
    let goals = goals.filter(|(_, m)| m.role == Role::Goal && m.kind != Kind::Quantile);
    goals
        .flat_map(|(index, metric)| {
            others.iter().map(move |arm| difference(table, (index, metric), control, arm))
        })
        .collect()
}

fn difference(
    table: &Table<'_>,
    (index, metric): (usize, &BoundMetric),
    control: &Arm,
    arm: &Arm,
) -> BiasCheck {
    let past = |arm: &Arm| {
        let figures = table.figures(&Part::ALL, &arm.variant, index);
        match metric.kind {
            Kind::Ratio => ratio::arm(&figures.pair(2, 3)),
            _ => figures.state.arm(2),
        }
    };
    let found = past(control).and_then(|control| {
        let two_sided = Alternative::TwoSided;
        compare(control, past(arm)?, Difference::Absolute, Test::Welch, ALARM, two_sided)
    });
    BiasCheck {
        metric: metric.name.clone(),
        variant: arm.variant.clone(),
        status: match &found {
            Err(_) => CheckStatus::NotEnoughData,
            Ok(found) if found.p_value < ALARM => CheckStatus::Failed,
            Ok(_) => CheckStatus::Ok,
        },
        p_value: found.ok().map(|found| found.p_value),
    }
}
