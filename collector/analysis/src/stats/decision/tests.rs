//! The rules of the verdict, and how often it errs.

use super::*;
use rstest::rstest;

const PLAN: Plan = Plan {
    method: Method::Sequential,
    alpha: 0.05,
    tuning: 5000.0,
    power: 0.8,
    stage: Stage::Early,
    bound: None,
};

/// An effect of so many standard errors.
fn effect(z: f64) -> Option<Effect> {
    Some(Effect { n: 5000.0, estimate: z, standard_error: 1.0, degrees_of_freedom: 4998.0 })
}

fn arm(z: f64) -> Contender {
    Contender { effect: effect(z), worth: None, guardrails: Vec::new() }
}

fn guarded(z: f64, guardrail: f64) -> Contender {
    let guardrails =
        vec![Guardrail { effect: effect(guardrail), margin: 1.0, preferred: Preferred::Increase }];
    Contender { guardrails, ..arm(z) }
}

fn stage(is_final: bool) -> Stage {
    if is_final { Stage::Planned } else { Stage::Early }
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
    let plan = Plan { method, stage: stage(is_final), ..PLAN };
    assert_eq!(decided(&[arm(z)], plan), (code, reason));
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
    let shares: Vec<f64> = (1..=LOOKS).map(|look| f64::from(look) / f64::from(LOOKS)).collect();
    let is_planned = method == Method::GroupSequential;
    let bound = |look: usize| is_planned.then(|| Bound::of_last(&shares[..look], 0.05, 1).unwrap());
    let bounds: Vec<Option<Bound>> = (1..=shares.len()).map(bound).collect();
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
            let contender = Contender { effect: Some(effect), worth: None, guardrails: Vec::new() };
            let stage = stage(peeks || look == LOOKS);
            let code = decide(
                &[contender],
                Preferred::Increase,
                &Plan { method, stage, bound: bounds[look as usize - 1], tuning: 30_000.0, ..PLAN },
            );
            matches!((code.code, code.reason), (Code::Ship, _) | (Code::DoNotShip, Reason::Worse))
        })
    };
    (0..TRIALS).filter(decides).count() as f64 / TRIALS as f64
}

// The full form, with 20,000 experiments of people, is `cargo xtask bench trials`.
#[rstest]
#[case::sequential(Method::Sequential, 0.0, 0.03)]
#[case::hybrid(Method::Hybrid, 0.01, 0.07)]
#[case::fixed(Method::Fixed, 0.03, 0.07)]
#[case::mixture_sprt(Method::MixtureSprt, 0.0, 0.03)]
#[case::group_sequential(Method::GroupSequential, 0.03, 0.07)]
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
// Thirty bounds of O'Brien and Fleming cost 3 % of the standard errors at the end.
#[case::group_sequential(Method::GroupSequential, 1.03 * 1.96 + 0.8416)]
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

#[rstest]
#[case::settling(
    Method::Sequential,
    Stage::Settling,
    Code::KeepRunning,
    Reason::EventsMayStillCome
)]
#[case::settling_before_a_fixed_test(
    Method::Fixed,
    Stage::Settling,
    Code::KeepRunning,
    Reason::EventsMayStillCome
)]
#[case::planned(Method::Sequential, Stage::Planned, Code::DoNotShip, Reason::NoDifferenceFound)]
#[case::stopped(Method::Sequential, Stage::Stopped, Code::DoNotShip, Reason::StoppedEarly)]
#[case::a_fixed_test_stopped(Method::Fixed, Stage::Stopped, Code::DoNotShip, Reason::StoppedEarly)]
#[case::between_looks(
    Method::GroupSequential,
    Stage::Early,
    Code::KeepRunning,
    Reason::BeforeTheEnd
)]
fn what_is_not_clear_is_waited_for_as_long_as_anything_may_come(
    #[case] method: Method,
    #[case] stage: Stage,
    #[case] code: Code,
    #[case] reason: Reason,
) {
    assert_eq!(decided(&[arm(1.0)], Plan { method, stage, ..PLAN }), (code, reason));
}

#[rstest]
#[case::early(Stage::Early, Code::KeepRunning, Reason::GuardrailOpen)]
#[case::settling(Stage::Settling, Code::KeepRunning, Reason::EventsMayStillCome)]
#[case::over(Stage::Stopped, Code::DoNotShip, Reason::GuardrailOpen)]
fn an_open_guardrail_is_waited_for_no_longer_than_that(
    #[case] stage: Stage,
    #[case] code: Code,
    #[case] reason: Reason,
) {
    assert_eq!(decided(&[guarded(4.0, 0.0)], Plan { stage, ..PLAN }), (code, reason));
}

/// Lan and DeMets; R package ldbounds: of four looks the second has 2.9631.
#[rstest]
#[case::below(2.95, 1, Code::KeepRunning)]
#[case::above(2.98, 1, Code::Ship)]
#[case::above_alone_but_not_of_two(2.98, 2, Code::KeepRunning)]
#[case::not_above_of_two(3.3, 2, Code::KeepRunning)]
#[case::above_of_two(3.4, 2, Code::Ship)]
fn a_planned_look_decides_by_its_bound(#[case] z: f64, #[case] arms: usize, #[case] code: Code) {
    let bound = Some(Bound::of_last(&[0.25, 0.5], 0.05, arms).unwrap());
    let mut contenders = vec![arm(0.0); arms - 1];
    contenders.push(arm(z));
    let plan = Plan { method: Method::GroupSequential, bound, ..PLAN };
    assert_eq!(decided(&contenders, plan).0, code);
}

/// At the planned size `V = τ²`, so half the width is `√(2 (ln 2 − 2 ln α)) s` = 3.66 standard errors.
#[rstest]
#[case::below(3.65, Code::KeepRunning)]
#[case::above(3.67, Code::Ship)]
fn a_mixture_decides_by_its_own_bound(#[case] z: f64, #[case] code: Code) {
    let plan = Plan { method: Method::MixtureSprt, ..PLAN };
    assert_eq!(decided(&[arm(z)], plan).0, code);
    let low = plan.interval(&effect(z).unwrap(), Alternative::TwoSided).unwrap().low.unwrap();
    assert_eq!(low > 0.0, code == Code::Ship);
}
