//! What the people so far can show, and how many more it takes.
//!
//! In: the deciding metric's effects. Out, per treatment arm: the smallest lift that would be found, the power
//! to find the one that was planned, people and days still needed. All for the method of the verdict: an
//! interval that holds at every look is wider, and needs more.

use super::Shape;
use super::answer::Outlook;
use crate::stats::Alternative;
use crate::stats::decision::{Contender, Plan};
use crate::stats::power::{Errors, power_of_difference, smallest_difference};

/// One treatment arm's outlook. `baseline` is what control has on average, `persons` those of all arms,
/// `per_day` how many come.
pub(super) fn outlook(
    shape: &Shape,
    (variant, contender): (&str, &Contender),
    plan: &Plan,
    baseline: Option<f64>,
    (persons, per_day): (u64, f64),
) -> Outlook {
    let errors =
        Errors { alpha: plan.alpha, power: plan.power, alternative: Alternative::TwoSided };
    let known = contender.effect.zip(baseline.filter(|mean| *mean > 0.0));
    let persons_more =
        contender.growth(plan).map(|growth| ((growth - 1.0) * persons as f64).ceil() as u64);
    Outlook {
        variant: variant.into(),
        lift: shape.plan.lift,
        power: known.zip(shape.plan.lift).map(|((effect, mean), lift)| {
            let width = plan.width(effect.n);
            power_of_difference(lift * mean, effect.standard_error, width, &errors)
        }),
        smallest_lift: known.map(|(effect, mean)| {
            smallest_difference(effect.standard_error, plan.width(effect.n), &errors) / mean
        }),
        persons: persons_more.map(|more| persons + more),
        persons_more,
        days_more: days(persons_more, per_day),
    }
}

/// How long so many people take at this pace.
pub(super) fn days(persons: Option<u64>, per_day: f64) -> Option<u64> {
    let days = persons? as f64 / per_day;
    days.is_finite().then_some(days.ceil() as u64)
}
