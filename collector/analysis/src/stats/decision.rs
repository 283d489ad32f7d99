//! What to do about an experiment: ship, do not ship, keep running, or believe nothing.
//!
//! In: effects of the primary metric and of guardrails, per treatment arm, and the plan. Out: a code, the
//! rule that chose it, and how many people more it takes.
//!
//! Looking early is made harmless instead of forbidden. Before the end only always-valid p-values and
//! intervals ([`confidence_sequence`](super::confidence_sequence)) decide; a fixed test decides once,
//! on the data of the planned range:
//!
//! | method | before the end | at the end |
//! |---|---|---|
//! | `sequential`, the default | always-valid at `α` | the same |
//! | `hybrid` | always-valid at `α/5` | fixed at `4α/5`: together they err in `α` at most |
//! | `fixed` | nothing | fixed at `α` |
//!
//! Several treatment arms share `α` by Holm's method. Sentences are made by whoever shows them.
//!
//! Source of the hybrid: Eppo, documentation of its hybrid method.

use super::confidence_sequence::{look, p_value, width_factor};
use super::many_tests::{Method as Adjustment, adjust};
use super::non_inferiority::Preferred;
use super::power::{Errors, growth_needed};
use super::two_sample::{Effect, Test};
use super::{Alternative, Interval};

/// The share of `α` that a hybrid spends before the end.
const SPENT_EARLY: f64 = 0.2;
/// Growth beyond which no number of people is given.
const MAX_GROWTH: f64 = 100.0;

/// How the verdict is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Always-valid throughout.
    #[default]
    Sequential,
    /// Always-valid before the end, a fixed test at the end.
    Hybrid,
    /// A fixed test at the end, and nothing before. `welch` is its older name.
    #[serde(alias = "welch")]
    Fixed,
}

/// What was agreed before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// How to decide.
    pub method: Method,
    /// What may go wrong without any effect, two-sided.
    pub alpha: f64,
    /// The people of two arms for which always-valid intervals are tightest.
    pub tuning: f64,
    /// The power that the number of people still needed is reckoned with.
    pub power: f64,
    /// Whether these are the data of the whole planned range.
    pub is_final: bool,
}

impl Plan {
    /// The level at which this look may decide, and whether by the fixed test; `None` if it may not.
    fn level(&self) -> Option<(f64, bool)> {
        match (self.method, self.is_final) {
            (Method::Sequential, _) => Some((self.alpha, false)),
            (Method::Hybrid, false) => Some((SPENT_EARLY * self.alpha, false)),
            (Method::Hybrid, true) => Some(((1.0 - SPENT_EARLY) * self.alpha, true)),
            (Method::Fixed, false) => None,
            (Method::Fixed, true) => Some((self.alpha, true)),
        }
    }

    /// The p-value by which this look decides; 1 where it may not.
    pub fn p_value(&self, effect: &Effect) -> f64 {
        match self.level() {
            None => 1.0,
            Some((alpha, true)) => effect.test(Test::Welch, alpha, Alternative::TwoSided).p_value,
            Some((alpha, false)) => p_value(effect, alpha, self.tuning),
        }
    }

    /// The interval that goes with it.
    pub fn interval(&self, effect: &Effect, alternative: Alternative) -> Option<Interval> {
        let (alpha, is_fixed) = self.level()?;
        Some(if is_fixed {
            effect.test(Test::Welch, alpha, alternative).interval
        } else {
            look(effect, alpha, self.tuning, alternative).interval
        })
    }
}

/// A treatment arm against control.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// The absolute difference of the primary metric; `None` where it is not known yet.
    pub effect: Option<Effect>,
    /// The difference that is worth finding, absolute: for the number of people needed. Without it the
    /// one that was seen.
    pub worth: Option<f64>,
    /// Guardrails of this arm.
    pub guardrails: Vec<Guardrail>,
}

/// A metric that must not suffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Guardrail {
    /// The absolute difference; `None` where it is not known yet.
    pub effect: Option<Effect>,
    /// How much worse is acceptable, absolute, from 0 on.
    pub margin: f64,
    /// Which way is better.
    pub preferred: Preferred,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Give it to everybody.
    Ship,
    /// Leave it.
    DoNotShip,
    /// Wait.
    KeepRunning,
    /// The figures are not to be believed.
    Invalid,
    /// There is nothing to compare yet.
    NotEnoughData,
}

/// The rule that said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A treatment is better, and no guardrail suffers.
    Better,
    /// Every treatment is worse.
    Worse,
    /// The planned size showed no difference.
    NoDifferenceFound,
    /// A guardrail is worse by more than its margin.
    GuardrailHurt,
    /// A treatment is better, but a guardrail may still suffer by more than its margin.
    GuardrailOpen,
    /// No difference is clear yet.
    NotClearYet,
    /// The method looks only at the planned end.
    BeforeTheEnd,
    /// Arms do not have the sizes they should have.
    SampleRatioMismatch,
    /// Too many people met several variants.
    MultipleExposure,
    /// Arms differed before anybody met a variant.
    BiasBefore,
    /// Nobody, or nothing that varies.
    NoVariation,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// What to do.
    pub code: Code,
    /// Why.
    pub reason: Reason,
    /// The arm it is about, by its place among the contenders.
    pub arm: Option<usize>,
    /// The guardrail it is about, by its place.
    pub guardrail: Option<usize>,
    /// By what factor today's people must grow to see the difference that is worth finding.
    pub growth: Option<f64>,
}

/// How a guardrail stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Holds,
    Open,
    Hurt,
}

impl Guardrail {
    fn standing(&self, plan: &Plan) -> Standing {
        let Some(effect) = self.effect else { return Standing::Open };
        let (safe, hurt, sign) = match self.preferred {
            Preferred::Increase => (Alternative::Greater, Alternative::Less, 1.0),
            Preferred::Decrease => (Alternative::Less, Alternative::Greater, -1.0),
        };
        // The end nearest to harm, then the one farthest from it, with "better" upwards.
        let end = |alternative| {
            let interval = plan.interval(&effect, alternative)?;
            interval.low.or(interval.high).map(|end| sign * end)
        };
        match (end(safe), end(hurt)) {
            (Some(worst), _) if worst > -self.margin => Standing::Holds,
            (_, Some(best)) if best < -self.margin => Standing::Hurt,
            _ => Standing::Open,
        }
    }
}

/// Decide by the primary metric of all treatment arms; `preferred` is which way it should go.
pub fn decide(contenders: &[Contender], preferred: Preferred, plan: &Plan) -> Decision {
    let nothing =
        |code, reason| Decision { code, reason, arm: None, guardrail: None, growth: None };
    if contenders.iter().all(|contender| contender.effect.is_none()) {
        return nothing(Code::NotEnoughData, Reason::NoVariation);
    }
    let growth =
        || contenders.iter().filter_map(|contender| growth(contender, plan)).reduce(f64::min);
    let Some((level, _)) = plan.level() else {
        return Decision { growth: growth(), ..nothing(Code::KeepRunning, Reason::BeforeTheEnd) };
    };
    // An arm without a figure claims nothing.
    let p_values: Vec<f64> = contenders
        .iter()
        .map(|contender| contender.effect.map_or(1.0, |effect| plan.p_value(&effect).min(1.0)))
        .collect();
    let adjusted = adjust(&p_values, Adjustment::Holm).unwrap_or(p_values);
    let sign = if preferred == Preferred::Increase { 1.0 } else { -1.0 };
    let gain = |at: usize| sign * contenders[at].effect.map_or(0.0, |effect| effect.estimate);
    let clear = |at: &usize| adjusted[*at] < level;
    let mut better: Vec<usize> =
        (0..contenders.len()).filter(|at| clear(at) && gain(*at) > 0.0).collect();
    better.sort_by(|a, b| gain(*b).total_cmp(&gain(*a)));
    let mut open = None;
    let mut hurt = None;
    for arm in better {
        let standings: Vec<Standing> =
            contenders[arm].guardrails.iter().map(|guardrail| guardrail.standing(plan)).collect();
        let place = |standing| standings.iter().position(|other| *other == standing);
        if let Some(guardrail) = place(Standing::Hurt) {
            hurt = hurt.or(Some((arm, guardrail)));
        } else if let Some(guardrail) = place(Standing::Open) {
            open = open.or(Some((arm, guardrail)));
        } else {
            return Decision { arm: Some(arm), ..nothing(Code::Ship, Reason::Better) };
        }
    }
    let about = |(arm, guardrail)| (Some(arm), Some(guardrail));
    if let Some((arm, guardrail)) = open.map(about) {
        let code = if plan.is_final { Code::DoNotShip } else { Code::KeepRunning };
        return Decision { arm, guardrail, ..nothing(code, Reason::GuardrailOpen) };
    }
    let is_worse = |at: usize| clear(&at) && gain(at) < 0.0;
    let undecided =
        (0..contenders.len()).find(|at| !is_worse(*at) && hurt.is_none_or(|(arm, _)| arm != *at));
    match (undecided, hurt.map(about)) {
        (None, Some((arm, guardrail))) => {
            Decision { arm, guardrail, ..nothing(Code::DoNotShip, Reason::GuardrailHurt) }
        }
        (None, None) => nothing(Code::DoNotShip, Reason::Worse),
        (Some(_), _) if plan.is_final => nothing(Code::DoNotShip, Reason::NoDifferenceFound),
        (Some(_), _) => {
            Decision { growth: growth(), ..nothing(Code::KeepRunning, Reason::NotClearYet) }
        }
    }
}

/// By what factor people must grow until the difference worth finding is found. Always-valid intervals
/// get wider against fixed ones as they go beyond their planned size, so this is found in rounds.
fn growth(contender: &Contender, plan: &Plan) -> Option<f64> {
    let effect = contender.effect?;
    let worth = contender.worth.unwrap_or(effect.estimate);
    let errors =
        Errors { alpha: plan.alpha, power: plan.power, alternative: Alternative::TwoSided };
    let mut growth = 1.0;
    for _ in 0..8 {
        let width = match plan.method {
            Method::Sequential => width_factor(effect.n * growth, plan.alpha, plan.tuning),
            Method::Hybrid | Method::Fixed => 1.0,
        };
        growth = growth_needed(worth, effect.standard_error, 1.0, width, &errors).ok()?;
        if growth > MAX_GROWTH {
            return None;
        }
    }
    Some(growth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PLAN: Plan = Plan {
        method: Method::Sequential,
        alpha: 0.05,
        tuning: 5000.0,
        power: 0.8,
        is_final: false,
    };

    /// An effect of so many standard errors.
    fn effect(z: f64) -> Option<Effect> {
        Some(Effect { n: 5000.0, estimate: z, standard_error: 1.0, degrees_of_freedom: 4998.0 })
    }

    fn arm(z: f64) -> Contender {
        Contender { effect: effect(z), worth: None, guardrails: Vec::new() }
    }

    fn guarded(z: f64, guardrail: f64) -> Contender {
        let guardrails = vec![Guardrail {
            effect: effect(guardrail),
            margin: 1.0,
            preferred: Preferred::Increase,
        }];
        Contender { guardrails, ..arm(z) }
    }

    fn decided(contenders: &[Contender], plan: Plan) -> (Code, Reason) {
        let decision = decide(contenders, Preferred::Increase, &plan);
        (decision.code, decision.reason)
    }

    // At the planned size the always-valid bound is 1.55 × 1.96 = 3.04 standard errors.
    #[rstest]
    #[case::clear_under_a_fixed_test_only(2.5, Code::KeepRunning, Reason::NotClearYet)]
    #[case::just_below(3.03, Code::KeepRunning, Reason::NotClearYet)]
    #[case::just_above(3.06, Code::Ship, Reason::Better)]
    #[case::as_far_below(-3.06, Code::DoNotShip, Reason::Worse)]
    #[case::not_as_far_below(-3.03, Code::KeepRunning, Reason::NotClearYet)]
    fn an_early_look_decides_by_the_always_valid_bound(
        #[case] z: f64,
        #[case] code: Code,
        #[case] reason: Reason,
    ) {
        assert_eq!(decided(&[arm(z)], PLAN), (code, reason));
    }

    #[rstest]
    #[case::fixed_early(Method::Fixed, false, 9.0, Code::KeepRunning, Reason::BeforeTheEnd)]
    #[case::fixed_at_the_end(Method::Fixed, true, 1.97, Code::Ship, Reason::Better)]
    #[case::fixed_at_the_end_below(
        Method::Fixed,
        true,
        1.95,
        Code::DoNotShip,
        Reason::NoDifferenceFound
    )]
    #[case::hybrid_early(Method::Hybrid, false, 3.2, Code::KeepRunning, Reason::NotClearYet)]
    #[case::hybrid_early_and_clear(Method::Hybrid, false, 4.0, Code::Ship, Reason::Better)]
    #[case::hybrid_at_the_end(Method::Hybrid, true, 2.06, Code::Ship, Reason::Better)]
    #[case::hybrid_at_the_end_below(
        Method::Hybrid,
        true,
        2.04,
        Code::DoNotShip,
        Reason::NoDifferenceFound
    )]
    fn a_fixed_test_decides_at_the_planned_end_only(
        #[case] method: Method,
        #[case] is_final: bool,
        #[case] z: f64,
        #[case] code: Code,
        #[case] reason: Reason,
    ) {
        assert_eq!(decided(&[arm(z)], Plan { method, is_final, ..PLAN }), (code, reason));
    }

    #[rstest]
    #[case::harmless(4.0, 3.0, Code::Ship, Reason::Better)]
    #[case::not_known_yet(4.0, 0.0, Code::KeepRunning, Reason::GuardrailOpen)]
    #[case::hurt(4.0, -6.0, Code::DoNotShip, Reason::GuardrailHurt)]
    #[case::hurt_without_a_gain(1.0, -6.0, Code::KeepRunning, Reason::NotClearYet)]
    fn a_guardrail_stops_what_is_better(
        #[case] z: f64,
        #[case] guardrail: f64,
        #[case] code: Code,
        #[case] reason: Reason,
    ) {
        assert_eq!(decided(&[guarded(z, guardrail)], PLAN), (code, reason));
    }

    #[test]
    fn of_several_better_arms_the_best_ships_and_they_share_the_error() {
        let decision = decide(&[arm(4.0), arm(5.0), arm(-9.0)], Preferred::Increase, &PLAN);
        assert_eq!((decision.code, decision.arm), (Code::Ship, Some(1)));
        // Clear alone, not among ten.
        assert_eq!(decided(&[arm(3.06)], PLAN).0, Code::Ship);
        let mut ten = vec![arm(0.0); 9];
        ten.push(arm(3.06));
        assert_eq!(decided(&ten, PLAN).0, Code::KeepRunning);
    }

    #[test]
    fn less_may_be_better() {
        let decision = decide(&[arm(-4.0)], Preferred::Decrease, &PLAN);
        assert_eq!(decision.code, Code::Ship);
    }

    #[test]
    fn keeping_running_says_how_long_and_nothing_where_that_is_not_known() {
        let growth = |contender: Contender| decide(&[contender], Preferred::Increase, &PLAN).growth;
        let one = growth(arm(2.0)).unwrap();
        assert!(one > 3.0 && one < 5.0, "{one}");
        let planned = growth(Contender { worth: Some(3.0), ..arm(2.0) }).unwrap();
        assert!(planned < one, "{planned}");
        assert_eq!(growth(arm(0.01)), None);
        assert_eq!(growth(arm(0.0)), None);
    }

    /// Normal values from a seed: sums of twelve shares.
    struct Noise(u64);

    impl Noise {
        fn next(&mut self) -> f64 {
            let share = |state: &mut u64| {
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let bits = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                let bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
                ((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64
            };
            (0..12).map(|_| share(&mut self.0)).sum::<f64>() - 6.0
        }
    }

    /// The share of experiments in which some of 30 looks decides, with a true difference of so many
    /// standard errors at the end.
    fn decided_share(method: Method, peeks: bool, at_the_end: f64) -> f64 {
        const TRIALS: usize = 1_000;
        const LOOKS: u32 = 30;
        let mut noise = Noise(5);
        let decides = |_: &usize| {
            let mut sum = 0.0;
            (1..=LOOKS).any(|look| {
                sum += noise.next() + at_the_end / f64::from(LOOKS).sqrt();
                let n = 1_000.0 * f64::from(look);
                let effect = Effect {
                    n,
                    estimate: sum / f64::from(look),
                    standard_error: f64::from(look).sqrt().recip(),
                    degrees_of_freedom: n - 2.0,
                };
                let contender =
                    Contender { effect: Some(effect), worth: None, guardrails: Vec::new() };
                let is_final = peeks || look == LOOKS;
                let code = decide(
                    &[contender],
                    Preferred::Increase,
                    &Plan { method, is_final, tuning: 30_000.0, ..PLAN },
                );
                matches!(
                    (code.code, code.reason),
                    (Code::Ship, _) | (Code::DoNotShip, Reason::Worse)
                )
            })
        };
        (0..TRIALS).filter(decides).count() as f64 / TRIALS as f64
    }

    // The full form, with 20,000 experiments of people, is `cargo xtask bench trials`.
    #[rstest]
    #[case::sequential(Method::Sequential, 0.0, 0.03)]
    #[case::hybrid(Method::Hybrid, 0.01, 0.07)]
    #[case::fixed(Method::Fixed, 0.03, 0.07)]
    fn thirty_looks_without_an_effect_err_in_five_percent_at_most(
        #[case] method: Method,
        #[case] low: f64,
        #[case] high: f64,
    ) {
        let share = decided_share(method, false, 0.0);
        assert!((low..=high).contains(&share), "{share}");
    }

    #[test]
    fn a_fixed_test_at_every_look_would_err_often() {
        let share = decided_share(Method::Fixed, true, 0.0);
        assert!(share > 0.2, "{share}");
    }

    #[rstest]
    #[case::fixed(Method::Fixed, 1.96 + 0.8416)]
    #[case::hybrid(Method::Hybrid, 2.0537 + 0.8416)]
    #[case::sequential(Method::Sequential, 1.55 * 1.96 + 0.8416)]
    fn what_was_planned_for_is_found_with_the_power_promised(
        #[case] method: Method,
        #[case] at_the_end: f64,
    ) {
        let share = decided_share(method, false, at_the_end);
        assert!(share > 0.77, "{share}");
    }

    #[test]
    fn without_a_figure_there_is_not_enough_data() {
        let unknown = Contender { effect: None, worth: None, guardrails: Vec::new() };
        assert_eq!(decided(&[unknown], PLAN), (Code::NotEnoughData, Reason::NoVariation));
        assert_eq!(decided(&[], PLAN), (Code::NotEnoughData, Reason::NoVariation));
    }
}
