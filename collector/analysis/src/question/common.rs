//! The fields every question has: the range, its time zone, filters, a breakdown.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{Context, QuestionError};
use crate::filter::{Columns, Condition, TextColumn};
use crate::time_bucket::{Calendar, WeekStart, date_of, instant, rfc3339, start_of, time_zone};

/// Days of the range when the question names none, today included.
const DEFAULT_DAYS: i64 = 30;

/// The most values a breakdown lists beside `other`.
const MAX_BREAKDOWN: u64 = 1000;

/// What all questions share, read and filled in.
#[derive(Debug, Clone)]
pub struct Common {
    /// Name of the time zone.
    pub tz_name: String,
    /// Its rules, and the day on which weeks start.
    pub calendar: Calendar,
    /// Start of the range, Unix milliseconds, included.
    pub from_ms: i64,
    /// End of the range, Unix milliseconds, excluded.
    pub to_ms: i64,
    /// What every event of the question must meet.
    pub filter: Condition,
    /// Split by the values of a property.
    pub breakdown: Option<Breakdown>,
    filter_as_given: Value,
}

/// Split by the values of a property, or of two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakdown {
    /// The property.
    pub prop: String,
    /// The other one.
    pub second: Option<String>,
    /// How many values get a row of their own; the rest is `other`.
    pub limit: usize,
}

impl Breakdown {
    /// The column of its values.
    pub(crate) fn column(&self, columns: &mut Columns) -> TextColumn {
        match &self.second {
            None => columns.text(&self.prop),
            Some(second) => columns.text(&crate::pair::column(&self.prop, second)),
        }
    }

    fn definition(&self) -> Value {
        match &self.second {
            None => json!({ "prop": self.prop, "limit": self.limit }),
            Some(second) => json!({ "prop": [self.prop, second], "limit": self.limit }),
        }
    }
}

impl Common {
    /// Take the common fields out of a question, leaving those of its kind.
    ///
    /// # Errors
    /// Whatever is wrong with one of them.
    pub fn take(body: &mut Map<String, Value>, context: &Context) -> Result<Self, QuestionError> {
        let tz_name = text(body, "tz")?.unwrap_or_else(|| context.tz.clone());
        let tz = time_zone(&tz_name)?;
        let week_starts = match text(body, "week_starts")? {
            None => context.week_starts,
            Some(name) => WeekStart::parse(&name).ok_or_else(|| QuestionError::Field {
                field: "week_starts",
                detail: format!("{name:?} is no day of the week; write monday, or sunday"),
            })?,
        };
        let (from_ms, to_ms) = range(body, &tz, context.now_ms)?;
        let calendar = Calendar { tz, week_starts };
        let filter_as_given = body.remove("where").unwrap_or(Value::Null);
        let filter = Condition::parse(&filter_as_given)?;
        let breakdown = breakdown(body)?;
        Ok(Self { tz_name, calendar, from_ms, to_ms, filter, breakdown, filter_as_given })
    }

    /// For questions that cannot be split by a property.
    ///
    /// # Errors
    /// [`QuestionError::Unsupported`] when there is a breakdown.
    pub fn without_breakdown(self) -> Result<Self, QuestionError> {
        if self.breakdown.is_some() {
            return Err(QuestionError::Unsupported { what: "`breakdown`".into() });
        }
        Ok(self)
    }

    /// Refuse further fields that the contract has for a kind and this release has not.
    ///
    /// # Errors
    /// [`QuestionError::Unsupported`] for the first of them that is there and not null.
    pub fn unsupported(
        body: &mut Map<String, Value>,
        fields: &[&str],
    ) -> Result<(), QuestionError> {
        for field in fields {
            if body.remove(*field).is_some_and(|value| !value.is_null()) {
                return Err(QuestionError::Unsupported { what: format!("`{field}`") });
            }
        }
        Ok(())
    }

    /// An instant of this question as text.
    pub fn rfc3339(&self, at_ms: i64) -> String {
        rfc3339(at_ms, &self.calendar.tz)
    }

    /// These fields with their defaults filled in.
    pub(crate) fn definition(&self) -> Map<String, Value> {
        let mut all = Map::new();
        all.insert("tz".into(), self.tz_name.clone().into());
        all.insert("from".into(), self.rfc3339(self.from_ms).into());
        all.insert("to".into(), self.rfc3339(self.to_ms).into());
        if !self.filter_as_given.is_null() {
            all.insert("where".into(), self.filter_as_given.clone());
        }
        if let Some(breakdown) = &self.breakdown {
            all.insert("breakdown".into(), breakdown.definition());
        }
        all
    }
}

fn text(body: &mut Map<String, Value>, field: &str) -> Result<Option<String>, QuestionError> {
    match body.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(QuestionError::Malformed { detail: format!("`{field}` is a text, not {other}") })
        }
    }
}

fn range(
    body: &mut Map<String, Value>,
    tz: &TimeZone,
    now_ms: i64,
) -> Result<(i64, i64), QuestionError> {
    let (from, to) = (text(body, "from")?, text(body, "to")?);
    let beyond = || QuestionError::Time { field: "to".into(), value: now_ms.to_string() };
    let to_ms = match &to {
        Some(text) => instant("to", text, tz)?,
        None => date_of(now_ms, tz)
            .and_then(|today| today.tomorrow().ok())
            .and_then(|tomorrow| start_of(tomorrow, tz))
            .ok_or_else(beyond)?,
    };
    let from_ms = match &from {
        Some(text) => instant("from", text, tz)?,
        None => date_of(to_ms - 1, tz)
            .and_then(|last| last.checked_sub(jiff::Span::new().days(DEFAULT_DAYS - 1)).ok())
            .and_then(|first| start_of(first, tz))
            .ok_or_else(beyond)?,
    };
    if from_ms >= to_ms {
        return Err(QuestionError::EmptyRange {
            from: rfc3339(from_ms, tz),
            to: rfc3339(to_ms, tz),
        });
    }
    Ok((from_ms, to_ms))
}

fn breakdown(body: &mut Map<String, Value>) -> Result<Option<Breakdown>, QuestionError> {
    let mut fields = match body.remove("breakdown") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(fields)) => fields,
        Some(props) => Map::from_iter([("prop".to_owned(), props)]),
    };
    let wrong = || QuestionError::Malformed {
        detail: "`breakdown` is {\"prop\":…, \"limit\":…}, and `prop` the name of a property, or \
                 a list of one or two"
            .into(),
    };
    let names = match fields.remove("prop") {
        Some(Value::Array(names)) => names,
        Some(name) => vec![name],
        None => return Err(wrong()),
    };
    let is_name = |name: &&str| !name.is_empty() && !name.contains('\0');
    let names: Option<Vec<&str>> = names.iter().map(|name| name.as_str().filter(is_name)).collect();
    let (prop, second) = match names.as_deref() {
        Some([prop]) => (*prop, None),
        Some([prop, second]) if prop == second => {
            let detail = "the two properties are the same; name it once".into();
            return Err(QuestionError::Field { field: "breakdown.prop", detail });
        }
        Some([prop, second]) => (*prop, Some(*second)),
        _ => return Err(wrong()),
    };
    let (prop, second) = (prop.to_owned(), second.map(str::to_owned));
    let limit = match fields.remove("limit") {
        None | Some(Value::Null) => 10,
        Some(limit) => {
            limit.as_u64().filter(|n| (1..=MAX_BREAKDOWN).contains(n)).ok_or_else(|| {
                QuestionError::Field {
                    field: "breakdown.limit",
                    detail: format!("{limit} is not a whole number from 1 to {MAX_BREAKDOWN}"),
                }
            })?
        }
    };
    match fields.keys().next() {
        Some(unknown) => Err(QuestionError::Malformed {
            detail: format!("unknown field `breakdown.{unknown}`, expected `prop` or `limit`"),
        }),
        None => Ok(Some(Breakdown { prop, second, limit: limit as usize })),
    }
}
