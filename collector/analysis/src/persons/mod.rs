//! People: a list of them, and what one of them did.
//!
//! `persons` lists who did something in the range that passes `where`: when first and last in it, how many
//! events, and the last known value of some properties. `person` lists one person's events, the newest first,
//! with the session each belongs to.
//!
//! A person is named as in every answer, by sixteen hexadecimal digits. Pages are asked for with `after`, which
//! the answer before gives as `next`; whoever changes in between may be listed twice or left out, by their new
//! place.
//!
//! Not here: whole events with all their properties (the list of events), the id behind a person (nobody has it).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::events::{Actors, EventSet, ScanPlan};
use crate::filter::{Columns, Matcher, TextColumn};
use crate::question::{Common, Compiled, Context, QuestionError, parse};

mod list;
#[cfg(test)]
mod tests;
mod timeline;

pub use list::{ListedPerson, PersonsAnswer};
pub use timeline::{PersonAnswer, PersonEvent};

/// Rows of one answer.
const LIMIT_MAX: usize = 1000;
/// Properties of one answer.
const COLUMNS_MAX: usize = 20;

fn hundred() -> usize {
    100
}

fn usual_columns() -> Vec<String> {
    ["country", "device_type", "browser", "path"].map(str::to_owned).into()
}

/// By what people are listed, the largest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    #[default]
    LastSeen,
    FirstSeen,
    Events,
}

/// What both questions share.
struct Shape {
    to_ms: i64,
    /// One pattern: the events that count.
    matcher: Matcher,
    names: Vec<String>,
    columns: Vec<TextColumn>,
    limit: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    event: Option<String>,
    #[serde(default)]
    sort: Sort,
    #[serde(default = "usual_columns")]
    columns: Vec<String>,
    #[serde(default = "hundred")]
    limit: usize,
    after: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Timeline {
    person: String,
    event: Option<String>,
    #[serde(default = "usual_columns")]
    columns: Vec<String>,
    #[serde(default = "hundred")]
    limit: usize,
    after: Option<String>,
}

/// Understand a question for a list of people.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile_list(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let question: List = parse(body)?;
    let after = question.after.as_deref().map(place).transpose()?;
    let (shape, plan) =
        shape(&common, question.event.as_deref(), &question.columns, question.limit)?;
    let definition = crate::question::definition(&common, &question);
    let analysis = list::List { plan, shape: Arc::new(shape), sort: question.sort, after };
    Ok(Compiled::new(definition, analysis))
}

/// Understand a question for one person's events.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile_timeline(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let question: Timeline = parse(body)?;
    let person = parse_name(&question.person).ok_or_else(|| QuestionError::Field {
        field: "person",
        detail: format!(
            "`{}` is not sixteen hexadecimal digits, as answers name people",
            question.person
        ),
    })?;
    let before = question.after.as_deref().map(place).transpose()?;
    let (shape, mut plan) =
        shape(&common, question.event.as_deref(), &question.columns, question.limit)?;
    // Whatever they do ends a silence between sessions.
    plan.events = EventSet::All;
    plan.sessions = true;
    plan.actors = Actors::Always;
    plan.only = Some(person);
    let definition = crate::question::definition(&common, &question);
    let analysis = timeline::Timeline { plan, shape: Arc::new(shape), person, before };
    Ok(Compiled::new(definition, analysis))
}

fn shape(
    common: &Common,
    event: Option<&str>,
    names: &[String],
    limit: usize,
) -> Result<(Shape, ScanPlan), QuestionError> {
    let between = |what, got, max| match (1..=max).contains(&got) {
        true => Ok(()),
        false => Err(QuestionError::Count { what, got, min: 1, max }),
    };
    between("rows of a page (`limit`)", limit, LIMIT_MAX)?;
    if names.len() > COLUMNS_MAX {
        between("properties of people (`columns`)", names.len(), COLUMNS_MAX)?;
    }
    let mut columns = Columns::default();
    let filter = common.filter.bind(&mut columns);
    let shape = Shape {
        to_ms: common.to_ms,
        matcher: Matcher::new(vec![(event.map(str::to_owned), filter)]),
        names: names.to_vec(),
        columns: names.iter().map(|name| columns.text(name)).collect(),
        limit,
    };
    let events = event.map_or(EventSet::All, |event| EventSet::Only(vec![event.to_owned()]));
    Ok((shape, ScanPlan::with(columns, common.from_ms, common.to_ms, events)))
}

/// A person by their name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let is_hex = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(name, 16).ok()).flatten()
}

/// A person's name.
pub(crate) fn name(person: u64) -> String {
    format!("{person:016x}")
}

/// Where the page before ended: a figure, and a person or the place among equals.
fn place(text: &str) -> Result<(i64, u64), QuestionError> {
    let found = text.split_once('-').and_then(|(figure, rest)| {
        let figure = figure.strip_prefix('m').map_or_else(
            || figure.parse().ok(),
            |below_zero| below_zero.parse::<i64>().ok().map(|figure| -figure),
        );
        Some((figure?, u64::from_str_radix(rest, 16).ok()?))
    });
    found.ok_or_else(|| QuestionError::Field {
        field: "after",
        detail: format!("`{text}` is not what an answer gives as `next`"),
    })
}

/// The same as text.
fn next(figure: i64, rest: u64) -> String {
    let sign = if figure < 0 { "m" } else { "" };
    format!("{sign}{}-{rest:016x}", figure.unsigned_abs())
}
