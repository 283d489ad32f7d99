//! Experiments that people meet at the same time: does another one change what this one does?
//!
//! In: the deciding metric of people by the variant of another experiment that they met. Out, per other
//! experiment: the effects among the people of each of its variants, and the chance that they differ so much if
//! it changes nothing.
//!
//! The test is Cochran's: `Q = Σ wᵢ (dᵢ − d̄)²` with `wᵢ = 1/sᵢ²` and `d̄` the mean weighted so, chi squared with
//! one degree of freedom less than there are effects (Cochran, "The combination of estimates from different
//! experiments", Biometrics 10, 1954). Of several arms the smallest p-value counts, times their number. Over all
//! other experiments p-values are adjusted by Benjamini and Hochberg.

use super::Shape;
use super::answer::{Arm, CheckStatus, Interaction, InteractionEffect};
use super::detail::Scope;
use super::effects::{AllFigures, Comparing, bounds};
use super::figures::Table;
use super::read::{MAX_PARTS, all_figures, part_of};
use crate::stats::many_tests::{Method, adjust};
use crate::stats::two_sample::{Effect, Test};
use crate::stats::{Alternative, chi_squared};

impl Comparing<'_> {
    /// Every other experiment of the question.
    pub(super) fn interactions(
        &self,
        table: &Table<'_>,
        shape: &Shape,
        arms: &[Arm],
        whole: &AllFigures,
    ) -> Vec<Interaction> {
        let others = shape.others.iter().enumerate();
        let mut found: Vec<Interaction> = others
            .map(|(index, key)| self.interaction(table, shape, arms, whole, (index, key)))
            .collect();
        let (known, p_values): (Vec<&mut Interaction>, Vec<f64>) =
            found.iter_mut().filter_map(|other| other.p_value.map(|p| (other, p))).unzip();
        let adjusted = adjust(&p_values, Method::BenjaminiHochberg).unwrap_or_default();
        for (other, p) in known.into_iter().zip(adjusted) {
            let is_clear = p < self.plan.alpha;
            other.adjusted_p_value = Some(p);
            other.status = if is_clear { CheckStatus::Warning } else { CheckStatus::Ok };
        }
        found
    }

    fn interaction(
        &self,
        table: &Table<'_>,
        shape: &Shape,
        arms: &[Arm],
        whole: &AllFigures,
        (index, key): (usize, &str),
    ) -> Interaction {
        let parts = table.parts_of(Scope::Other(index));
        let (mut persons, mut effects) = (0, Vec::new());
        let mut by_arm: Vec<Vec<Effect>> = vec![Vec::new(); arms.len()];
        for part in parts.iter().take(MAX_PARTS) {
            persons += arms.iter().map(|arm| table.persons(part, &arm.variant)).sum::<u64>();
            let own = all_figures(table, shape, arms, part);
            let people = part_of(&own, whole);
            for arm in 1..arms.len() {
                let effect = self.find(&people.pair(0, arm), &shape.metrics[0]).absolute.ok();
                by_arm[arm].extend(effect);
                let test = effect
                    .map(|effect| effect.test(Test::Welch, self.plan.alpha, Alternative::TwoSided));
                effects.push(InteractionEffect {
                    variant: arms[arm].variant.clone(),
                    other_variant: part.values[0].text().unwrap_or_default().to_owned(),
                    absolute: test.map(|test| test.estimate),
                    absolute_interval: test.and_then(|test| bounds(test.interval)),
                });
            }
        }
        let p_values: Vec<f64> =
            by_arm.iter().filter_map(|effects| heterogeneity(effects)).collect();
        let smallest = p_values.iter().copied().reduce(f64::min);
        Interaction {
            experiment: key.to_owned(),
            status: CheckStatus::NotEnoughData,
            persons,
            p_value: smallest.map(|p| (p * p_values.len() as f64).min(1.0)),
            adjusted_p_value: None,
            effects,
        }
    }
}

/// Chance that independent effects differ so much if they are all the same; `None` for fewer than two.
fn heterogeneity(effects: &[Effect]) -> Option<f64> {
    if effects.len() < 2 {
        return None;
    }
    let weight = |effect: &Effect| effect.standard_error.powi(-2);
    let weights: f64 = effects.iter().map(weight).sum();
    let mean = effects.iter().map(|effect| weight(effect) * effect.estimate).sum::<f64>() / weights;
    let q: f64 =
        effects.iter().map(|effect| weight(effect) * (effect.estimate - mean).powi(2)).sum();
    Some(chi_squared::upper_tail(q, effects.len() as f64 - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(estimate: f64, standard_error: f64) -> Effect {
        Effect { n: 1000.0, estimate, standard_error, degrees_of_freedom: 998.0 }
    }

    /// Of two effects Q is the square of their difference in standard errors.
    #[test]
    fn of_two_effects_it_is_the_test_of_their_difference() {
        let p = heterogeneity(&[effect(0.1, 0.3), effect(0.9, 0.4)]).unwrap();
        let z = 0.8 / 0.5;
        assert!((p - 2.0 * crate::stats::normal::upper_tail(z)).abs() < 1e-12, "{p}");
        assert_eq!(heterogeneity(&[effect(0.1, 0.3)]), None);
    }
}
