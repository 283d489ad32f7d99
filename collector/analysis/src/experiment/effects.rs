//! Two arms compared: every interval and p-value of an effect.

use super::BoundMetric;
use super::answer::{
    AlwaysValid, Bounds, Cuped, Deciding, Effect, GuardrailResult, OpenBounds, Stratified,
};
use super::figures::Figures;
use super::question::{Kind, Role};
use crate::stats::bayes_normal::posterior;
use crate::stats::confidence_sequence::{look, p_value};
use crate::stats::decision::Plan;
use crate::stats::two_sample::{self, Arm, Difference, Test};
use crate::stats::{
    Alternative, Interval, StatsError, cuped, fieller, newcombe, non_inferiority, normal,
    post_stratification,
};

/// Above this share of the baseline's uncertainty the delta method covers too little.
const FIELLER_FROM: f64 = 0.02;

/// What every comparison of a question shares.
#[derive(Clone, Copy)]
pub(super) struct Comparing<'a> {
    pub(super) plan: &'a Plan,
    /// What the verdict goes by: the same plan, with the share of the error that the first goal has.
    pub(super) deciding: &'a Plan,
    /// Adjust by what people did before.
    pub(super) has_past: bool,
}

/// By metric, then by arm.
pub(super) type AllFigures = Vec<Vec<Figures>>;

/// People whose metrics are compared.
#[derive(Clone, Copy)]
pub(super) struct People<'a> {
    /// They.
    pub(super) own: &'a AllFigures,
    /// Everybody.
    pub(super) whole: &'a AllFigures,
    /// They by strata; none if the question has none, or they are a part of the people.
    pub(super) strata: &'a [AllFigures],
}

/// Two arms of one metric, and the same arms of everybody.
#[derive(Clone)]
pub(super) struct Pair<'a> {
    pub(super) control: &'a Figures,
    pub(super) treatment: &'a Figures,
    of_all: (&'a Figures, &'a Figures),
    strata: Vec<(&'a Figures, &'a Figures)>,
}

impl<'a> People<'a> {
    /// An arm beside control.
    pub(super) fn pair(&self, metric: usize, arm: usize) -> Pair<'a> {
        let two = |all: &'a AllFigures| (&all[metric][0], &all[metric][arm]);
        let (control, treatment) = two(self.own);
        let strata = self.strata.iter().map(two).collect();
        Pair { control, treatment, of_all: two(self.whole), strata }
    }
}

/// A comparison with both ways to express it.
pub(super) struct Found {
    arms: Option<(Arm, Arm)>,
    pub(super) absolute: Result<two_sample::Effect, StatsError>,
    lift: Result<two_sample::Effect, StatsError>,
    cuped: Option<Cuped>,
    stratified: Option<Stratified>,
}

impl Comparing<'_> {
    /// The difference of a metric between two arms.
    pub(super) fn find(&self, pair: &Pair<'_>, metric: &BoundMetric) -> Found {
        let arm = |own: &Figures, whole| own.arm(metric.kind, metric.quantile, whole);
        let control = arm(pair.control, pair.of_all.0);
        let treatment = arm(pair.treatment, pair.of_all.1);
        let (control, treatment) = match (control, treatment) {
            (Ok(control), Ok(treatment)) => (control, treatment),
            (Err(error), _) | (_, Err(error)) => {
                let (absolute, lift) = (Err(error.clone()), Err(error));
                return Found { arms: None, absolute, lift, cuped: None, stratified: None };
            }
        };
        if self.has_past
            && let Some(found) = adjusted(pair, metric.kind, (control, treatment))
        {
            return found;
        }
        if let Some(found) = stratified(pair, metric, (control, treatment)) {
            return found;
        }
        let plain = |difference| two_sample::effect(control, treatment, difference);
        Found {
            arms: Some((control, treatment)),
            absolute: plain(Difference::Absolute),
            lift: plain(Difference::Relative),
            cuped: None,
            stratified: None,
        }
    }

    /// The effect as it is answered.
    pub(super) fn effect(
        &self,
        pair: &Pair<'_>,
        names: (&str, &str),
        metric: &BoundMetric,
    ) -> Effect {
        let alpha = self.plan.alpha;
        let Found { arms, absolute, lift, cuped, stratified } = self.find(pair, metric);
        let is_adjusted = cuped.is_some() || stratified.is_some();
        let status = match (&absolute, &lift) {
            (Err(error), _) | (Ok(_), Err(error)) => error.code,
            (Ok(_), Ok(_)) => "ok",
        };
        let welch =
            |effect: &two_sample::Effect| effect.test(Test::Welch, alpha, Alternative::TwoSided);
        let (absolute_test, lift_test) =
            (absolute.as_ref().ok().map(welch), lift.as_ref().ok().map(welch));
        let counts = |figures: &Figures| {
            (figures.persons as f64, figures.state.mean[0] * figures.persons as f64)
        };
        let z = normal::upper_quantile(alpha / 2.0);
        let newcombe_interval = (metric.kind.is_yes_or_no() && !is_adjusted)
            .then(|| newcombe::difference(counts(pair.control), counts(pair.treatment), z).ok())
            .flatten();
        let fieller_interval = arms.filter(|_| !is_adjusted).and_then(|(control, treatment)| {
            let (g, interval) = fieller::lift(control, treatment, alpha).ok()?;
            let is_known = control.variance > 0.0 && treatment.variance > 0.0;
            (g > FIELLER_FROM && is_known)
                .then_some(OpenBounds { low: interval.low, high: interval.high })
        });
        let belief = absolute.as_ref().ok().map(|effect| posterior(effect, None));
        let is_down = metric.preferred == non_inferiority::Preferred::Decrease;
        Effect {
            variant: names.1.into(),
            control: names.0.into(),
            status: status.into(),
            // What one person did on average is known even where its error is not.
            absolute: absolute_test
                .map(|test| test.estimate)
                .or_else(|| arms.map(|(control, treatment)| treatment.mean - control.mean)),
            absolute_interval: absolute_test.and_then(|test| bounds(test.interval)),
            lift: lift_test.map(|test| test.estimate).or_else(|| {
                let (control, treatment) = arms.filter(|(control, _)| control.mean != 0.0)?;
                Some((treatment.mean - control.mean) / control.mean.abs())
            }),
            lift_interval: lift_test.and_then(|test| bounds(test.interval)),
            p_value: absolute_test.map(|test| test.p_value),
            newcombe_interval: newcombe_interval.map(|(low, high)| Bounds { low, high }),
            fieller_interval,
            always_valid: absolute
                .as_ref()
                .ok()
                .map(|effect| self.always_valid(effect, lift.as_ref().ok())),
            deciding: absolute.as_ref().ok().and_then(|effect| self.deciding(effect)),
            chance_to_win: belief
                .map(|belief| if is_down { belief.chance_below() } else { belief.chance_above() }),
            loss_of_shipping: belief
                .map(|belief| if is_down { belief.mean_above() } else { belief.mean_below() }),
            loss_of_keeping: belief
                .map(|belief| if is_down { belief.mean_below() } else { belief.mean_above() }),
            adjusted_p_value: None,
            adjusted_interval: None,
            cuped,
            stratified,
            guardrail: (metric.role == Role::Guardrail)
                .then(|| {
                    arms.and_then(|(control, treatment)| {
                        guardrail(control, treatment, metric, alpha)
                    })
                })
                .flatten(),
        }
    }

    pub(super) fn always_valid(
        &self,
        absolute: &two_sample::Effect,
        lift: Option<&two_sample::Effect>,
    ) -> AlwaysValid {
        let Plan { alpha, tuning, .. } = *self.plan;
        let at = |effect| bounds(look(effect, alpha, tuning, Alternative::TwoSided).interval);
        AlwaysValid {
            absolute_interval: at(absolute),
            lift_interval: lift.and_then(at),
            p_value: p_value(absolute, alpha, tuning),
        }
    }

    fn deciding(&self, absolute: &two_sample::Effect) -> Option<Deciding> {
        Some(Deciding {
            level: self.deciding.level()?,
            p_value: self.deciding.p_value(absolute),
            absolute_interval: self
                .deciding
                .interval(absolute, Alternative::TwoSided)
                .and_then(bounds),
        })
    }
}

/// The smallest part of an arm that a stratum needs.
const STRATUM_PERSONS: u64 = 2;

/// The difference put together from strata; `None` without them, and for metrics that are not of people.
fn stratified(pair: &Pair<'_>, metric: &BoundMetric, arms: (Arm, Arm)) -> Option<Found> {
    if matches!(metric.kind, Kind::Ratio | Kind::Quantile) {
        return None;
    }
    let is_enough = |(control, treatment): (&Figures, &Figures)| {
        control.persons.min(treatment.persons) >= STRATUM_PERSONS
    };
    let (mut strata, mut rest) = (Vec::new(), (Figures::default(), Figures::default()));
    for (control, treatment) in &pair.strata {
        if is_enough((control, treatment)) {
            strata.push(((*control).clone(), (*treatment).clone()));
        } else {
            rest = (rest.0.merged(control), rest.1.merged(treatment));
        }
    }
    if is_enough((&rest.0, &rest.1)) {
        strata.push(rest);
    } else if let Some((control, treatment)) = strata.last_mut() {
        // Nobody is left out: the few are counted with the smallest stratum.
        (*control, *treatment) = (control.merged(&rest.0), treatment.merged(&rest.1));
    }
    let arm = |figures: &Figures| figures.arm(metric.kind, None, figures).ok();
    let strata: Option<Vec<(Arm, Arm)>> =
        strata.iter().map(|(control, treatment)| Some((arm(control)?, arm(treatment)?))).collect();
    let strata = strata.filter(|strata| !strata.is_empty())?;
    Some(Found {
        arms: Some(arms),
        absolute: Ok(post_stratification::compare(&strata, Difference::Absolute).ok()?),
        lift: post_stratification::compare(&strata, Difference::Relative),
        cuped: None,
        stratified: Some(Stratified {
            strata: strata.len(),
            unadjusted: arms.1.mean - arms.0.mean,
        }),
    })
}

/// The difference adjusted by the past; `None` for metrics without one.
fn adjusted(pair: &Pair<'_>, kind: Kind, arms: (Arm, Arm)) -> Option<Found> {
    let both = |difference| match kind {
        Kind::Quantile => None,
        Kind::Ratio => Some(cuped::ratio(&pair.control.state, &pair.treatment.state, difference)),
        _ => {
            let (control, treatment) = (pair.control.pair(0, 2), pair.treatment.pair(0, 2));
            Some(cuped::mean(&control, &treatment, difference))
        }
    };
    let absolute = both(Difference::Absolute)?.ok()?;
    let lift = both(Difference::Relative)?;
    let error = |control: Arm, treatment: Arm| {
        control.variance / control.n + treatment.variance / treatment.n
    };
    let plain = error(arms.0, arms.1);
    Some(Found {
        arms: Some(arms),
        cuped: Some(Cuped {
            theta: absolute.theta,
            variance_reduction: (plain > 0.0)
                .then(|| 1.0 - error(absolute.control, absolute.treatment) / plain),
            unadjusted: arms.1.mean - arms.0.mean,
        }),
        absolute: Ok(absolute.effect),
        lift: lift.map(|lift| lift.effect),
        stratified: None,
    })
}

fn guardrail(
    control: Arm,
    treatment: Arm,
    metric: &BoundMetric,
    alpha: f64,
) -> Option<GuardrailResult> {
    let (margin, preferred) = (metric.margin, metric.preferred);
    let found = non_inferiority::test(control, treatment, margin, preferred, alpha).ok()?;
    Some(GuardrailResult { margin, p_value: found.p_value, is_non_inferior: found.is_non_inferior })
}

pub(super) fn bounds(interval: Interval) -> Option<Bounds> {
    Some(Bounds { low: interval.low?, high: interval.high? })
}
