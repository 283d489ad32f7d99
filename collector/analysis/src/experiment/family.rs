//! Goals × arms (× the values of a slice) are a family of tests: their p-values, adjusted for that.
//!
//! Guardrails are in no family: they have to hold one by one.

use super::Shape;
use super::answer::{Bounds, Effect, MetricResult};
use super::question::{Adjust, Role};
use crate::stats::many_tests::{Method, adjust, interval, preferential_bonferroni};

/// What the first goal may err with where it is preferred, as a share of the error of all.
pub(super) const PREFERRED: f64 = 0.5;

/// Adjust the effects of all these metrics: those of the question, once or for each of several parts of
/// the people.
pub(super) fn share_error(metrics: Vec<&mut MetricResult>, shape: &Shape) {
    let parts = metrics.len() / shape.metrics.len();
    let goals = shape.goals();
    let mut tested: Vec<(usize, &mut Effect)> = Vec::new();
    for (index, metric) in metrics.into_iter().enumerate() {
        let index = index % shape.metrics.len();
        if let Some(goal) = goals.iter().position(|goal| *goal == index) {
            let known = metric.effects.iter_mut().filter(|effect| effect.p_value.is_some());
            tested.extend(known.map(|effect| (goal, effect)));
        }
    }
    let p_values: Vec<f64> =
        tested.iter().map(|(_, effect)| effect.p_value.unwrap_or(1.0).min(1.0)).collect();
    let alpha = shape.plan.alpha;
    let adjusted = match shape.adjust {
        Adjust::Holm => adjust(&p_values, Method::Holm),
        Adjust::Bonferroni => adjust(&p_values, Method::Bonferroni),
        Adjust::BenjaminiHochberg => adjust(&p_values, Method::BenjaminiHochberg),
        Adjust::PreferentialBonferroni => {
            let arms = (tested.len() / goals.len().max(1)).max(parts);
            preferential_bonferroni(alpha, PREFERRED, goals.len(), arms).map(|levels| {
                let scaled =
                    |(p, (goal, _)): (&f64, &(usize, _))| (p * alpha / levels[*goal]).min(1.0);
                p_values.iter().zip(&tested).map(scaled).collect()
            })
        }
    };
    let Ok(adjusted) = adjusted else { return };
    for ((_, effect), p) in tested.into_iter().zip(adjusted) {
        effect.adjusted_p_value = Some(p);
        effect.adjusted_interval = effect
            .absolute
            .and_then(|estimate| interval(estimate, p, alpha))
            .and_then(|interval| Some(Bounds { low: interval.low?, high: interval.high? }));
    }
}

impl Shape {
    /// The places of the goals, the deciding one first.
    pub(super) fn goals(&self) -> Vec<usize> {
        let all = self.metrics.iter().enumerate();
        all.filter(|(_, metric)| metric.role == Role::Goal).map(|(index, _)| index).collect()
    }

    /// The error that the first goal may make.
    pub(super) fn deciding_alpha(&self) -> f64 {
        let is_preferred = self.adjust == Adjust::PreferentialBonferroni && self.goals().len() > 1;
        self.plan.alpha * if is_preferred { PREFERRED } else { 1.0 }
    }
}
