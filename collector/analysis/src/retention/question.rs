//! What may be asked about retention, and what makes no sense.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::events::EventSet;
use crate::filter::{Columns, Condition, Matcher};
use crate::presence::{PASSIVE, active_events};
use crate::question::{Common, QuestionError};
use crate::time_bucket::{DAY_MS, Unit};

/// Periods after the start: a year of days.
const MAX_PERIODS: usize = 366;
/// Brackets of one question.
const MAX_BRACKETS: usize = 50;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    #[serde(default)]
    pub(super) start: Pattern,
    #[serde(default, rename = "return")]
    pub(super) back: Pattern,
    #[serde(default = "day")]
    pub(super) bucket: Unit,
    pub(super) periods: Option<usize>,
    pub(super) mode: Option<Asked>,
    pub(super) clock: Option<Clock>,
    pub(super) cohort_by: Option<CohortBy>,
    /// First and last period of each, both included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) brackets: Option<Vec<[usize; 2]>>,
    /// Returns that it takes in a period.
    #[serde(default = "one")]
    pub(super) minimum: usize,
    /// A property to add up over returns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sum: Option<String>,
    pub(super) compat: Option<String>,
}

fn one() -> usize {
    1
}

fn day() -> Unit {
    Unit::Day
}

/// An event and what it must look like; any active event by default.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pattern {
    pub(super) event: Option<String>,
    #[serde(default, rename = "where", skip_serializing_if = "Value::is_null")]
    pub(super) filter: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Asked {
    On,
    OnOrAfter,
    OnOrBefore,
}

/// The plain ways to read a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    On,
    OnOrAfter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Clock {
    Calendar,
    #[serde(rename = "rolling24h")]
    Rolling24h,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CohortBy {
    FirstEver,
    Recurring,
}

/// Start and return, bound to columns.
pub(super) struct Patterns {
    /// Pattern 0 starts, pattern 1 returns.
    pub(super) matcher: Matcher,
    pub(super) events: EventSet,
    /// Whether every row of the events counts.
    pub(super) is_plain: bool,
}

impl Pattern {
    pub(super) fn bind(
        both: [&Self; 2],
        common: &Common,
        columns: &mut Columns,
    ) -> Result<Patterns, QuestionError> {
        let named = || both.iter().filter_map(|pattern| pattern.event.as_ref());
        let any_passive = named().any(|name| PASSIVE.contains(&name.as_str()));
        let mut is_plain = true;
        let mut pattern = |pattern: &Self| -> Result<_, QuestionError> {
            let mut condition = Condition::parse(&pattern.filter)?.and(common.filter.clone());
            is_plain &= condition.bind(&mut Columns::default()).is_always();
            // An event that is named counts, whatever it is; "any" means any active one, also where
            // the other pattern brings a passive event into the scan.
            if any_passive && pattern.event.is_none() {
                let is_active = json!({ "prop": "event", "op": "not_in", "value": PASSIVE });
                condition = condition.and(Condition::parse(&is_active)?);
            }
            Ok((pattern.event.clone(), condition.bind(columns)))
        };
        let matcher = Matcher::new(vec![pattern(both[0])?, pattern(both[1])?]);
        let events = match named().count() {
            2 => EventSet::Only(named().cloned().collect()),
            _ => active_events(named().map(String::as_str)),
        };
        Ok(Patterns { matcher, events, is_plain })
    }
}

/// How many periods there are after the start, and the length of one for the rolling clock.
pub(super) fn periods(
    question: &mut Question,
    brackets: &[[usize; 2]],
) -> Result<(usize, i64), QuestionError> {
    let (default_periods, period_ms) = match question.bucket {
        Unit::Minute | Unit::Hour => {
            return Err(QuestionError::Field {
                field: "bucket",
                detail: "retention counts days, weeks or months".into(),
            });
        }
        Unit::Day => (14, DAY_MS),
        Unit::Week => (8, 7 * DAY_MS),
        Unit::Month => (6, 30 * DAY_MS),
    };
    let last = brackets.iter().flatten().max().copied();
    let periods = *question.periods.get_or_insert(last.unwrap_or(default_periods));
    if !(1..=MAX_PERIODS).contains(&periods) {
        return Err(QuestionError::Count {
            what: "periods of retention",
            got: periods,
            min: 1,
            max: MAX_PERIODS,
        });
    }
    Ok((periods, period_ms))
}

/// The brackets, if they make sense.
pub(super) fn brackets(question: &Question) -> Result<Vec<[usize; 2]>, QuestionError> {
    let brackets = question.brackets.clone().unwrap_or_default();
    let refused = |field, detail: String| Err(QuestionError::Field { field, detail });
    if question.brackets.is_some() && !(1..=MAX_BRACKETS).contains(&brackets.len()) {
        return Err(QuestionError::Count {
            what: "brackets of retention",
            got: brackets.len(),
            min: 1,
            max: MAX_BRACKETS,
        });
    }
    if let Some([from, to]) = brackets.iter().find(|[from, to]| *from == 0 || from > to) {
        let detail = format!("[{from}, {to}] are not two periods from 1 on, the earlier first");
        return refused("brackets", detail);
    }
    if question.brackets.is_some() && question.periods.is_some() {
        return refused("periods", "the last bracket says how many there are; leave it out".into());
    }
    if question.brackets.is_some() && question.mode.is_some_and(|mode| mode != Asked::On) {
        return refused("mode", "brackets say themselves which periods count; leave it out".into());
    }
    if question.minimum == 0 {
        return refused("minimum", "it takes at least one return; write 1 or more".into());
    }
    Ok(brackets)
}
