//! What to do about an experiment: ship, do not ship, keep running, or believe nothing.
//!
//! In: effects of the primary metric and of guardrails, per treatment arm, and the [`Plan`]. Out: a code, the
//! rule that chose it, and how many people more it takes.
//!
//! Several treatment arms share `α` by Holm's method. Sentences are made by whoever shows them; how a look is
//! kept harmless is in `plan`.

use super::Alternative;
use super::non_inferiority::Preferred;
use super::power::{Errors, growth_needed};
use super::two_sample::Effect;

mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Bound, Method, Plan, Stage};

/// Growth beyond which no number of people is given.
const MAX_GROWTH: f64 = 100.0;

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
    /// It was ended at another time than planned, and no difference was clear until then.
    StoppedEarly,
    /// It has ended, but events may still count.
    EventsMayStillCome,
    /// A treatment is better, but the shortest run is not over.
    MinimumRun,
    /// A guardrail is worse by more than its margin.
    GuardrailHurt,
    /// A treatment is better, but a guardrail may still suffer by more than its margin.
    GuardrailOpen,
    /// No difference is clear yet.
    NotClearYet,
    /// The method decides only at the planned end, or at planned looks.
    BeforeTheEnd,
    /// Arms do not have the sizes they should have.
    SampleRatioMismatch,
    /// Too many people met several variants.
    MultipleExposure,
    /// Too many people met several variants because identities were joined.
    MergedIdentities,
    /// Arms lost different shares of their events on the way.
    LossDiffers,
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
    // Whether there is something to wait for, and how long.
    let undecided = |early: Reason, over: Reason| match plan.stage {
        Stage::Early => Decision {
            growth: contenders.iter().filter_map(|one| one.growth(plan)).reduce(f64::min),
            ..nothing(Code::KeepRunning, early)
        },
        Stage::Settling => nothing(Code::KeepRunning, Reason::EventsMayStillCome),
        Stage::Planned => nothing(Code::DoNotShip, over),
        Stage::Stopped => nothing(Code::DoNotShip, Reason::StoppedEarly),
    };
    let Some(level) = plan.level() else {
        return undecided(Reason::BeforeTheEnd, Reason::NoDifferenceFound);
    };
    let effects: Vec<Option<Effect>> = contenders.iter().map(|one| one.effect).collect();
    let adjusted = plan.adjusted(&effects);
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
        let (code, reason) = match plan.stage {
            Stage::Early => (Code::KeepRunning, Reason::GuardrailOpen),
            Stage::Settling => (Code::KeepRunning, Reason::EventsMayStillCome),
            Stage::Planned | Stage::Stopped => (Code::DoNotShip, Reason::GuardrailOpen),
        };
        return Decision { arm, guardrail, ..nothing(code, reason) };
    }
    let is_worse = |at: usize| clear(&at) && gain(at) < 0.0;
    let is_open = |at: usize| !is_worse(at) && hurt.is_none_or(|(arm, _)| arm != at);
    match ((0..contenders.len()).any(is_open), hurt.map(about)) {
        (true, _) => undecided(Reason::NotClearYet, Reason::NoDifferenceFound),
        (false, Some((arm, guardrail))) => {
            Decision { arm, guardrail, ..nothing(Code::DoNotShip, Reason::GuardrailHurt) }
        }
        (false, None) => nothing(Code::DoNotShip, Reason::Worse),
    }
}

impl Contender {
    /// By what factor people must grow until the difference worth finding is found, if a number of people
    /// does. Always-valid intervals get wider against fixed ones as they go beyond their planned size, so
    /// this is found in rounds.
    pub fn growth(&self, plan: &Plan) -> Option<f64> {
        let effect = self.effect?;
        let worth = self.worth.unwrap_or(effect.estimate);
        let errors =
            Errors { alpha: plan.alpha, power: plan.power, alternative: Alternative::TwoSided };
        let mut growth = 1.0;
        for _ in 0..8 {
            let width = plan.width(effect.n * growth);
            growth = growth_needed(worth, effect.standard_error, 1.0, width, &errors).ok()?;
            if growth > MAX_GROWTH {
                return None;
            }
        }
        Some(growth)
    }
}
