//! How a look may decide, so that looking early is harmless instead of forbidden.
//!
//! Before the end only p-values and intervals decide that hold at every look; a fixed test decides once, on
//! the data of the planned range; bounds that were planned decide at their looks:
//!
//! | method | before the end | at the end |
//! |---|---|---|
//! | `sequential`, the default | always-valid at `α` | the same |
//! | `mixture_sprt` | always-valid at `α` | the same |
//! | `hybrid` | always-valid at `α/5` | fixed at `4α/5`: together they err in `α` at most |
//! | `group_sequential` | at planned looks, by their bounds | the last bound |
//! | `fixed` | nothing | fixed at `α` |
//!
//! `sequential` is the [`confidence_sequence`](super::super::confidence_sequence), `mixture_sprt` mixes over
//! differences as large as the error at the planned size: `τ² = s² n/N*`. A bound spends `α` as O'Brien and
//! Fleming do; several treatment arms get bounds of `α/m` each, because bounds of different levels are not
//! multiples of each other.
//!
//! Source of the hybrid: Eppo, documentation of its hybrid method.

use crate::stats::confidence_sequence::{look, p_value, width_factor};
use crate::stats::group_sequential::{Spending, bounds};
use crate::stats::many_tests::{Method as Adjustment, adjust};
use crate::stats::two_sample::{Effect, Test};
use crate::stats::{Alternative, Interval, StatsError, mixture_sprt, normal};

/// The share of `α` that a hybrid spends before the end.
const SPENT_EARLY: f64 = 0.2;

/// How the verdict is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Always-valid throughout.
    #[default]
    Sequential,
    /// The mixture sequential probability ratio test throughout.
    MixtureSprt,
    /// Always-valid before the end, a fixed test at the end.
    Hybrid,
    /// Bounds at looks that were planned.
    GroupSequential,
    /// A fixed test at the end, and nothing before. `welch` is its older name.
    #[serde(alias = "welch")]
    Fixed,
}

impl Method {
    /// Whether it decides at a planned end, so that the end may not move once it has begun.
    pub fn needs_end(self) -> bool {
        matches!(self, Self::Hybrid | Self::GroupSequential | Self::Fixed)
    }
}

/// Where in its run an experiment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// People still meet it.
    Early,
    /// Nobody new meets it, but events may still count.
    Settling,
    /// These are the data of the whole planned range.
    Planned,
    /// It was ended at another time than planned, and nothing more will come.
    Stopped,
}

/// The bound of a planned look, as z-values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// For one treatment arm.
    alone: f64,
    /// For each of all treatment arms.
    shared: f64,
}

impl Bound {
    /// The bound of the last of these looks, given by their shares of the information, for so many
    /// treatment arms.
    ///
    /// # Errors
    /// `bad_input` for looks that make no sense, see [`bounds`].
    pub fn of_last(shares: &[f64], alpha: f64, treatments: usize) -> Result<Self, StatsError> {
        let last = |alpha: f64| {
            let all = bounds(shares, alpha / 2.0, Spending::ObrienFleming)?;
            all.last().copied().ok_or_else(|| StatsError::input("at least one look"))
        };
        let alone = last(alpha)?;
        let shared = if treatments > 1 { last(alpha / treatments as f64)? } else { alone };
        Ok(Self { alone, shared })
    }

    /// The p-value of a fixed test at a z-value.
    fn p(z: f64) -> f64 {
        2.0 * normal::upper_tail(z)
    }
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
    /// Where in its run the experiment is.
    pub stage: Stage,
    /// Of `group_sequential`: the bound, if this is a planned look.
    pub bound: Option<Bound>,
}

/// What a look may go by.
enum Rule {
    AlwaysValid(f64),
    Mixture(f64),
    Fixed(f64),
    Bound(Bound),
}

impl Plan {
    fn rule(&self) -> Option<Rule> {
        let at_end = self.stage == Stage::Planned;
        match self.method {
            Method::Sequential => Some(Rule::AlwaysValid(self.alpha)),
            Method::MixtureSprt => Some(Rule::Mixture(self.alpha)),
            Method::Hybrid if at_end => Some(Rule::Fixed((1.0 - SPENT_EARLY) * self.alpha)),
            Method::Hybrid => Some(Rule::AlwaysValid(SPENT_EARLY * self.alpha)),
            Method::GroupSequential => self.bound.map(Rule::Bound),
            Method::Fixed => at_end.then_some(Rule::Fixed(self.alpha)),
        }
    }

    /// The level below which the p-value of one comparison is evidence; `None` if this look may not
    /// decide.
    pub fn level(&self) -> Option<f64> {
        self.rule().map(|rule| match rule {
            Rule::AlwaysValid(alpha) | Rule::Mixture(alpha) | Rule::Fixed(alpha) => alpha,
            Rule::Bound(bound) => Bound::p(bound.alone),
        })
    }

    /// The p-value by which this look decides; 1 where it may not.
    pub fn p_value(&self, effect: &Effect) -> f64 {
        let p = match self.rule() {
            None => 1.0,
            Some(Rule::AlwaysValid(alpha)) => p_value(effect, alpha, self.tuning),
            Some(Rule::Mixture(alpha)) => self.mixture(effect, alpha).p_value,
            Some(Rule::Fixed(alpha)) => {
                effect.test(Test::Welch, alpha, Alternative::TwoSided).p_value
            }
            Some(Rule::Bound(_)) => {
                effect.test(Test::Welch, self.alpha, Alternative::TwoSided).p_value
            }
        };
        p.min(1.0)
    }

    /// The p-values of several comparisons, so adjusted that each may be held against the level.
    pub(super) fn adjusted(&self, effects: &[Option<Effect>]) -> Vec<f64> {
        // What is not known claims nothing.
        let p_values: Vec<f64> = effects
            .iter()
            .map(|effect| effect.as_ref().map_or(1.0, |effect| self.p_value(effect)))
            .collect();
        match self.rule() {
            Some(Rule::Bound(bound)) if effects.len() > 1 => {
                let scale = Bound::p(bound.alone) / Bound::p(bound.shared);
                p_values.iter().map(|p| (p * scale).min(1.0)).collect()
            }
            _ => adjust(&p_values, Adjustment::Holm).unwrap_or(p_values),
        }
    }

    /// The interval that goes with it.
    pub fn interval(&self, effect: &Effect, alternative: Alternative) -> Option<Interval> {
        let one_sided = |alpha: f64| match alternative {
            Alternative::TwoSided => alpha,
            Alternative::Greater | Alternative::Less => 2.0 * alpha,
        };
        let both = match self.rule()? {
            Rule::AlwaysValid(alpha) => {
                return Some(look(effect, alpha, self.tuning, alternative).interval);
            }
            Rule::Fixed(alpha) => {
                return Some(effect.test(Test::Welch, alpha, alternative).interval);
            }
            Rule::Mixture(alpha) => self.mixture(effect, one_sided(alpha)).interval,
            Rule::Bound(bound) => {
                let half = bound.alone * effect.standard_error;
                Interval { low: Some(effect.estimate - half), high: Some(effect.estimate + half) }
            }
        };
        Some(match alternative {
            Alternative::TwoSided => both,
            Alternative::Greater => Interval { high: None, ..both },
            Alternative::Less => Interval { low: None, ..both },
        })
    }

    fn mixture(&self, effect: &Effect, alpha: f64) -> mixture_sprt::Mixture {
        let s = effect.standard_error;
        mixture_sprt::test(effect, s * s * effect.n / self.tuning, alpha)
    }

    /// How much wider its interval is than that of one fixed test, at so many people of two arms.
    pub fn width(&self, n: f64) -> f64 {
        match self.method {
            Method::Sequential => width_factor(n, self.alpha, self.tuning),
            Method::MixtureSprt => {
                let unit = Effect {
                    n,
                    estimate: 0.0,
                    standard_error: 1.0,
                    degrees_of_freedom: f64::INFINITY,
                };
                let half = self.mixture(&unit, self.alpha).interval.high.unwrap_or(f64::INFINITY);
                half / normal::upper_quantile(self.alpha / 2.0)
            }
            // A bound at the end is next to that of a fixed test.
            Method::Hybrid | Method::GroupSequential | Method::Fixed => 1.0,
        }
    }
}
