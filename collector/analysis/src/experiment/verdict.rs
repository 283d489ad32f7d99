//! The verdict in words.

use super::Shape;
use super::answer::{Arm, Checks, SrmStatus, Verdict};
use super::effects::{Comparing, Pair};
use super::figures::Figures;
use super::question::Role;
use super::read::is_failed;
use crate::stats::decision::{Code, Contender, Decision, Guardrail, Reason, decide};

/// Everything the verdict depends on.
pub(super) struct Situation<'a> {
    pub(super) shape: &'a Shape,
    pub(super) arms: &'a [Arm],
    /// By metric, then by arm.
    pub(super) figures: &'a [Vec<Figures>],
    pub(super) comparing: Comparing<'a>,
    pub(super) srm: SrmStatus,
    pub(super) checks: &'a Checks,
    /// Since the start of the range.
    pub(super) days: f64,
}

/// What to do, the rule that said so, and a sentence.
pub(super) fn verdict(situation: &Situation<'_>) -> Verdict {
    let decision = situation.decide();
    let total: u64 = situation.arms.iter().map(|arm| arm.persons).sum();
    let persons_more = decision.growth.map(|growth| ((growth - 1.0) * total as f64).ceil() as u64);
    let per_day = total as f64 / situation.days;
    let days_more = persons_more
        .map(|persons| persons as f64 / per_day)
        .filter(|days| days.is_finite())
        .map(|days| days.ceil() as u64);
    Verdict {
        code: decision.code,
        reason: decision.reason,
        variant: decision.arm.map(|arm| situation.arms[arm + 1].variant.clone()),
        text: situation.text(&decision, persons_more, days_more),
        persons_more,
        days_more,
    }
}

impl Situation<'_> {
    fn decide(&self) -> Decision {
        let invalid = |reason| Decision {
            code: Code::Invalid,
            reason,
            arm: None,
            guardrail: None,
            growth: None,
        };
        if self.srm == SrmStatus::Mismatch {
            return invalid(Reason::SampleRatioMismatch);
        }
        if is_failed(self.checks.multiple_exposure.status) {
            return invalid(Reason::MultipleExposure);
        }
        if self.checks.before.iter().any(|check| is_failed(check.status)) {
            return invalid(Reason::BiasBefore);
        }
        let contenders: Vec<Contender> =
            (1..self.arms.len()).map(|arm| self.contender(arm)).collect();
        decide(&contenders, self.shape.metrics[0].preferred, self.comparing.plan)
    }

    fn pair(&self, metric: usize, arm: usize) -> Pair<'_> {
        let figures = &self.figures[metric];
        let (control, treatment) = (&figures[0], &figures[arm]);
        Pair { control, treatment, of_all: (control, treatment) }
    }

    /// What control has of a metric on average.
    fn baseline(&self, metric: usize) -> Option<f64> {
        let (figures, metric) = (&self.figures[metric][0], &self.shape.metrics[metric]);
        figures.arm(metric.kind, metric.quantile, figures).ok().map(|arm| arm.mean.abs())
    }

    fn contender(&self, arm: usize) -> Contender {
        let effect = |metric: usize| {
            let found = self.comparing.find(self.pair(metric, arm), &self.shape.metrics[metric]);
            found.absolute.ok()
        };
        let guardrails = self.guardrails().map(|index| Guardrail {
            effect: effect(index),
            margin: self.shape.metrics[index].margin * self.baseline(index).unwrap_or(0.0),
            preferred: self.shape.metrics[index].preferred,
        });
        Contender {
            effect: effect(0),
            worth: self.shape.plan.lift.zip(self.baseline(0)).map(|(lift, mean)| lift * mean),
            guardrails: guardrails.collect(),
        }
    }

    fn guardrails(&self) -> impl Iterator<Item = usize> {
        let all = self.shape.metrics.iter().enumerate();
        all.filter(|(_, metric)| metric.role == Role::Guardrail).map(|(index, _)| index)
    }

    fn text(&self, decision: &Decision, persons: Option<u64>, days: Option<u64>) -> String {
        let goal = &self.shape.metrics[0].name;
        let arm = decision.arm.map_or("", |arm| self.arms[arm + 1].variant.as_str());
        let guardrail = decision.guardrail.and_then(|place| self.guardrails().nth(place));
        let guardrail = guardrail.map_or("", |index| self.shape.metrics[index].name.as_str());
        let looked_for = match self.shape.plan.lift {
            Some(lift) => format!("a lift of {:.1} %", 100.0 * lift.abs()),
            None => "a difference as large as the one seen so far".to_owned(),
        };
        let more = match (persons, days) {
            (Some(persons), Some(days)) => {
                format!(" About {persons} more people, some {days} days, would show {looked_for}.")
            }
            (Some(persons), None) => {
                format!(" About {persons} more people would show {looked_for}.")
            }
            (None, _) => " It is too small to say how many more people would make it clear.".into(),
        };
        match decision.reason {
            Reason::Better => format!("Ship {arm}: it is better than control in {goal}."),
            Reason::Worse => {
                format!("Do not ship: nothing is better than control in {goal}, and all is worse.")
            }
            Reason::NoDifferenceFound => format!(
                "Do not ship: the planned run ended without a clear difference in {goal}."
            ),
            Reason::GuardrailHurt => format!(
                "Do not ship {arm}: it is better in {goal}, but {guardrail} suffers by more than \
                 agreed."
            ),
            Reason::GuardrailOpen if decision.code == Code::DoNotShip => format!(
                "Do not ship {arm}: it is better in {goal}, but the planned run could not show that \
                 {guardrail} does not suffer."
            ),
            Reason::GuardrailOpen => format!(
                "Keep running: {arm} is better in {goal}, but {guardrail} may still suffer by more \
                 than agreed."
            ),
            Reason::NotClearYet => {
                format!("Keep running: no difference in {goal} is clear yet.{more}")
            }
            Reason::BeforeTheEnd => format!(
                "Keep running: a fixed test may be read at its planned end only, or it finds \
                 differences that are none.{more}"
            ),
            Reason::NoVariation => "There is not enough data yet: two variants need people, and some \
                                    of them must differ."
                .into(),
            Reason::SampleRatioMismatch => {
                "Invalid: the variants do not have the sizes they should have, so no effect is to be \
                 believed. Look for what removes or adds people in one of them: redirects, crashes, \
                 bots, a late exposure."
                    .into()
            }
            Reason::MultipleExposure => {
                "Invalid: too many people met several variants, so the arms are no longer alike. Look \
                 for identities that are joined late, or an assignment that changes."
                    .into()
            }
            Reason::BiasBefore => {
                "Invalid: the arms differed before anybody met a variant. Look at how people are \
                 assigned; starting anew with another seed helps."
                    .into()
            }
        }
    }
}
