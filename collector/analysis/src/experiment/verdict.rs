//! The verdict in words.

use super::answer::{Arm, Checks, Outlook, SrmStatus, Verdict};
use super::effects::{Comparing, People};
use super::question::Role;
use super::read::is_failed;
use super::{Shape, loss, outlook};
use crate::answer::LATENESS_MS;
use crate::stats::decision::{Code, Contender, Decision, Guardrail, Method, Reason, Stage, decide};

const DAY_MS: f64 = 86_400_000.0;

/// A time that is left, in days begun; `None` when it has passed.
fn whole_days(left_ms: i64) -> Option<u64> {
    (left_ms > 0).then(|| (left_ms as f64 / DAY_MS).ceil() as u64)
}

/// Everything the verdict depends on.
pub(super) struct Situation<'a> {
    pub(super) shape: &'a Shape,
    pub(super) arms: &'a [Arm],
    pub(super) people: People<'a>,
    pub(super) comparing: Comparing<'a>,
    pub(super) srm: SrmStatus,
    pub(super) checks: &'a Checks,
    /// People who met several variants.
    pub(super) several: u64,
    /// When the first person met it.
    pub(super) began_ms: i64,
    pub(super) now_ms: i64,
}

impl Situation<'_> {
    /// What to do, the rule that said so, and a sentence; and what the people so far can show.
    pub(super) fn judge(&self) -> (Verdict, Vec<Outlook>) {
        let contenders: Vec<Contender> =
            (1..self.arms.len()).map(|arm| self.contender(arm)).collect();
        let decision = self.decide(&contenders);
        let total: u64 = self.arms.iter().map(|arm| arm.persons).sum();
        let elapsed_ms = self.now_ms.min(self.shape.to_ms).saturating_sub(self.shape.from_ms);
        let per_day = total as f64 / (elapsed_ms as f64 / DAY_MS);
        let persons_more =
            decision.growth.map(|growth| ((growth - 1.0) * total as f64).ceil() as u64);
        let days_more = match decision.reason {
            Reason::EventsMayStillCome => self.days_to_settle(),
            Reason::MinimumRun => whole_days(self.minimum_left_ms()),
            _ => outlook::days(persons_more, per_day),
        };
        let verdict = Verdict {
            code: decision.code,
            reason: decision.reason,
            variant: decision.arm.map(|arm| self.arms[arm + 1].variant.clone()),
            text: self.text(&decision, persons_more, days_more),
            persons_more,
            days_more,
        };
        let baseline = self.baseline(0);
        let outlooks = contenders.iter().zip(self.arms.iter().skip(1)).map(|(contender, arm)| {
            let one = (arm.variant.as_str(), contender);
            outlook::outlook(self.shape, one, self.comparing.deciding, baseline, (total, per_day))
        });
        (verdict, outlooks.collect())
    }

    /// Days until late events may no longer change anything.
    fn days_to_settle(&self) -> Option<u64> {
        let left_ms = self.shape.ends_ms.saturating_add(LATENESS_MS).saturating_sub(self.now_ms);
        whole_days(left_ms)
    }

    /// Until the shortest run is over: before it, days that differ have not all been seen.
    fn minimum_left_ms(&self) -> i64 {
        let least_ms = i64::from(self.shape.plan.min_days) * DAY_MS as i64;
        least_ms - self.now_ms.min(self.shape.to_ms).saturating_sub(self.began_ms)
    }

    fn decide(&self, contenders: &[Contender]) -> Decision {
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
        let several = &self.checks.multiple_exposure;
        if is_failed(several.status) {
            // Most of them: then that is what to look for.
            let people = self.several;
            let is_joined = several.joined.is_some_and(|joined| 2 * joined > people);
            return invalid(if is_joined {
                Reason::MergedIdentities
            } else {
                Reason::MultipleExposure
            });
        }
        if self.checks.before.iter().any(|check| is_failed(check.status)) {
            return invalid(Reason::BiasBefore);
        }
        let decision = decide(contenders, self.shape.metrics[0].preferred, self.comparing.deciding);
        // What harms may be stopped at once.
        let is_early = self.comparing.deciding.stage == Stage::Early;
        if decision.code == Code::Ship && is_early && self.minimum_left_ms() > 0 {
            return Decision { code: Code::KeepRunning, reason: Reason::MinimumRun, ..decision };
        }
        decision
    }

    /// What control has of a metric on average.
    fn baseline(&self, metric: usize) -> Option<f64> {
        let (figures, metric) = (self.people.own[metric].first()?, &self.shape.metrics[metric]);
        figures.arm(metric.kind, metric.quantile, figures).ok().map(|arm| arm.mean.abs())
    }

    fn contender(&self, arm: usize) -> Contender {
        let effect = |metric: usize| {
            let pair = self.people.pair(metric, arm);
            let found = self.comparing.find(&pair, &self.shape.metrics[metric]);
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
            Reason::StoppedEarly => format!(
                "Do not ship: it was ended at another time than planned, and until then no difference \
                 in {goal} was clear."
            ),
            Reason::EventsMayStillCome => {
                let wait = match days {
                    Some(1) => " for about a day".to_owned(),
                    Some(days) => format!(" for about {days} days"),
                    None => String::new(),
                };
                format!(
                    "Wait{wait}: events that count may still come, and nothing in {goal} is decided yet."
                )
            }
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
            Reason::MinimumRun => {
                let least = self.shape.plan.min_days;
                format!(
                    "Keep running: {arm} is clearly better in {goal} so far, but nothing ships before {least} \
                     days, because people come and act differently from day to day."
                )
            }
            Reason::NotClearYet => {
                format!("Keep running: no difference in {goal} is clear yet.{more}")
            }
            Reason::BeforeTheEnd if self.shape.method == Method::GroupSequential => {
                "Keep running: this is none of the planned looks, and the error is shared among those."
                    .into()
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
            Reason::MergedIdentities => {
                "Invalid: too many people met one variant before and another one after signing in, or on \
                 another device, and turned out to be one person. Assign by the browser (`unit: device`), \
                 or expose people only once they are signed in."
                    .into()
            }
            Reason::LossDiffers => loss::INVALID.into(),
            Reason::BiasBefore => {
                "Invalid: the arms differed before anybody met a variant. Look at how people are \
                 assigned; starting anew with another seed helps."
                    .into()
            }
        }
    }
}
