//! What was agreed before the start, and what it says of the range that is asked about.

use serde::{Deserialize, Serialize};

use super::{count, wrong};
use crate::question::{Common, QuestionError};
use crate::stats::decision::{Bound, Method, Stage};
use crate::time_bucket::instant;

/// Looks that may be planned, the end among them.
const MAX_LOOKS: usize = 20;

/// What was agreed before the start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct PlanAsked {
    /// The end: the fixed test decides on a range that ends here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) ends: Option<String>,
    /// Of `group_sequential`: the looks before the end. Each decides on a range that ends there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in super::super) looks: Vec<String>,
    /// When it was ended for good, if it was: from then on there is nothing to wait for but late events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) concluded: Option<String>,
    /// People of all arms together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) persons: Option<u64>,
    /// The lift worth finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) lift: Option<f64>,
    pub(in super::super) power: f64,
    pub(in super::super) alpha: f64,
    /// Days before which nothing ships, unless the plan ends sooner.
    pub(in super::super) min_days: u32,
}

impl Default for PlanAsked {
    fn default() -> Self {
        Self {
            ends: None,
            looks: Vec::new(),
            concluded: None,
            persons: None,
            lift: None,
            power: 0.8,
            alpha: 0.05,
            min_days: 3,
        }
    }
}

impl PlanAsked {
    pub(super) fn check(&self, method: Method) -> Result<(), QuestionError> {
        let share = |value: f64| value > 0.0 && value < 1.0;
        if !share(self.alpha) || !share(self.power) || self.alpha > 0.5 {
            return wrong("plan", "`alpha` lies between 0 and 0.5, `power` between 0 and 1");
        }
        if self.persons == Some(0) || self.lift.is_some_and(|lift| lift == 0.0 || !lift.is_finite())
        {
            return wrong("plan", "`persons` and `lift` are not zero");
        }
        if method.needs_end() && self.ends.is_none() {
            return wrong("plan", "this method needs its planned end, in `plan.ends`");
        }
        match (method, self.looks.len()) {
            (Method::GroupSequential, looks) => {
                count("planned looks before the end", looks, 0, MAX_LOOKS - 1)
            }
            (_, 0) => Ok(()),
            _ => wrong("plan", "`looks` belong to the method `group_sequential`"),
        }
    }

    /// Its times, for a question with this range.
    pub(in super::super) fn schedule(
        &self,
        method: Method,
        common: &Common,
    ) -> Result<Schedule, QuestionError> {
        let at = |field: &str, text: &String| instant(field, text, &common.calendar.tz);
        let ends = self.ends.as_ref().map(|text| at("plan.ends", text)).transpose()?;
        let concluded = self.concluded.as_ref();
        let concluded = concluded.map(|text| at("plan.concluded", text)).transpose()?;
        let looks = self.looks.iter().map(|text| at("plan.looks", text));
        let mut looks = looks.collect::<Result<Vec<i64>, _>>()?;
        looks.extend(ends.filter(|_| method == Method::GroupSequential));
        let (from_ms, to_ms) = (common.from_ms, common.to_ms);
        let schedule = Schedule { from_ms, to_ms, ends, concluded, looks };
        let shares = schedule.shares(schedule.looks.len());
        if !shares.is_empty() && Bound::of_last(&shares, self.alpha, 1).is_err() {
            return Err(QuestionError::Field {
                field: "plan",
                detail: "`looks` rise from the start of the range to `ends`".into(),
            });
        }
        Ok(schedule)
    }
}

/// Times of the plan and of the range, Unix milliseconds.
#[derive(Debug)]
pub(in super::super) struct Schedule {
    from_ms: i64,
    to_ms: i64,
    ends: Option<i64>,
    concluded: Option<i64>,
    /// Planned looks, the end last.
    looks: Vec<i64>,
}

impl Schedule {
    /// Where in its run the experiment is, seen from a range that may still change or not.
    pub(in super::super) fn stage(&self, now_ms: i64, is_complete: bool) -> Stage {
        let at_end = self.ends == Some(self.to_ms);
        let at_look = self.looks.contains(&self.to_ms);
        let is_over = self.concluded.is_some_and(|at| self.to_ms >= at);
        let is_awaited = (at_end || at_look || is_over) && now_ms >= self.to_ms;
        match (is_awaited, is_complete) {
            (true, false) => Stage::Settling,
            (true, true) if at_end => Stage::Planned,
            (true, true) if is_over => Stage::Stopped,
            _ => Stage::Early,
        }
    }

    /// The bound of this look, if it was planned and may no longer change.
    pub(in super::super) fn bound(
        &self,
        alpha: f64,
        treatments: usize,
        is_complete: bool,
    ) -> Option<Bound> {
        let at = self.looks.iter().position(|look| *look == self.to_ms && is_complete)?;
        Bound::of_last(&self.shares(at + 1), alpha, treatments).ok()
    }

    /// The first looks as shares of the planned time: people are taken to come evenly.
    fn shares(&self, count: usize) -> Vec<f64> {
        let Some(end) = self.looks.last() else { return Vec::new() };
        let whole = (*end).saturating_sub(self.from_ms) as f64;
        let share = |look: &i64| (*look).saturating_sub(self.from_ms) as f64 / whole;
        self.looks[..count].iter().map(share).collect()
    }
}
