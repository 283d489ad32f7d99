//! Filters: which events count, by their properties.
//!
//! In: `where` of a question: `{"prop","op","value"}`; a list means *all of them*, `{"any":[…]}`
//! *at least one*. Out: a [`Filter`] that says of a row of a run whether it passes.
//!
//! The value decides how to compare. A number compares numbers (`5` equals `5.0` and the text
//! `"5"`); a text compares texts, upper and lower case apart; `lt`, `lte`, `gt` and `gte` with a
//! text compare in the order of code points, which is right for ISO dates. An event without the
//! property passes `ne`, `not_in`, `not_contains` and `not_set`, and nothing else.
//!
//! A test of a text runs once per distinct value, into a look-up table by code that grows with the
//! dictionary; per row it costs one look-up, or less (`by_code`).
//!
//! Invariant: a filter depends on values only, never on their codes. Regular expressions are
//! limited in size and match in linear time.
//!
//! Deliberately elsewhere: turning numbers into texts and back (the store).

use std::borrow::Cow;
use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use crate::columns::{Block, Coded};
use crate::events::{Dictionaries, Need, Run};
use crate::question::QuestionError;

mod by_code;
mod columns;
mod matcher;
#[cfg(test)]
mod tests;

use by_code::by_code;
pub use columns::{Columns, TextColumn};
pub use matcher::{Mask, Masks, Matcher};

/// Tests in one `where`, groups included: more is a mistake or an attack.
const MAX_TESTS: usize = 200;
/// Groups within groups.
const MAX_DEPTH: usize = 6;
/// Values of one `in`.
const MAX_VALUES: usize = 1000;
/// Characters of a regular expression, and bytes of its compiled form.
const MAX_REGEX_CHARS: usize = 500;
const MAX_REGEX_BYTES: usize = 1 << 20;

/// An event that tells its properties one by one, by the rules that columns follow.
pub trait Properties {
    /// A property as text; `event` is the name. `None` where a text column says absent.
    fn text(&self, prop: &str) -> Option<Cow<'_, str>>;
    /// A property as a number; `NaN` where it is absent or none.
    fn number(&self, prop: &str) -> f64;
}

/// A `where`, understood but not yet bound to columns.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Every part must hold; an empty list always does.
    All(Vec<Condition>),
    /// At least one part must hold.
    Any(Vec<Condition>),
    /// A test of a property as text.
    Text(String, TextTest),
    /// A test of a property as a number.
    Number(String, NumberTest),
}

/// A test of a text.
#[derive(Debug, Clone)]
pub struct TextTest {
    kind: TextKind,
    /// The opposite is asked for: then events without the property pass.
    negated: bool,
}

#[derive(Debug, Clone)]
enum TextKind {
    Set,
    OneOf(Vec<Box<str>>),
    Contains(Box<str>),
    StartsWith(Box<str>),
    Matches(Regex),
    Compares(Order, Box<str>),
}

/// A test of a number.
#[derive(Debug, Clone)]
pub enum NumberTest {
    /// Equal to one of these.
    OneOf(Vec<f64>),
    /// Equal to none of these, or not a number.
    NoneOf(Vec<f64>),
    /// On this side of a number.
    Compares(Order, f64),
}

/// A side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "less, less or equal, greater, greater or equal")]
pub enum Order {
    Lt,
    Lte,
    Gt,
    Gte,
}

impl Order {
    fn holds(self, ordering: Option<Ordering>) -> bool {
        match self {
            Self::Lt => ordering == Some(Ordering::Less),
            Self::Lte => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Self::Gt => ordering == Some(Ordering::Greater),
            Self::Gte => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl TextTest {
    fn holds(&self, text: Option<&str>) -> bool {
        let found = text.is_some_and(|text| match &self.kind {
            TextKind::Set => true,
            TextKind::OneOf(values) => values.iter().any(|value| **value == *text),
            TextKind::Contains(part) => text.contains(&**part),
            TextKind::StartsWith(part) => text.starts_with(&**part),
            TextKind::Matches(regex) => regex.is_match(text),
            TextKind::Compares(order, than) => order.holds(Some(text.cmp(than))),
        });
        found != self.negated
    }
}

impl NumberTest {
    fn holds(&self, number: f64) -> bool {
        match self {
            Self::OneOf(values) => values.contains(&number),
            Self::NoneOf(values) => !values.contains(&number),
            Self::Compares(order, than) => order.holds(number.partial_cmp(than)),
        }
    }
}

impl Condition {
    /// Always true.
    pub fn always() -> Self {
        Self::All(Vec::new())
    }

    /// The property is this text.
    pub fn equals(prop: &str, text: &str) -> Self {
        Self::Text(
            prop.into(),
            TextTest { kind: TextKind::OneOf(vec![text.into()]), negated: false },
        )
    }

    /// The property is another text, or absent.
    pub fn differs(prop: &str, text: &str) -> Self {
        Self::Text(
            prop.into(),
            TextTest { kind: TextKind::OneOf(vec![text.into()]), negated: true },
        )
    }

    /// Understand a `where`: null, one filter or a list of them.
    ///
    /// # Errors
    /// [`QuestionError::Filter`] names the property and what is wrong with it.
    pub fn parse(value: &Value) -> Result<Self, QuestionError> {
        parse_condition(value, MAX_DEPTH, &mut { MAX_TESTS })
    }

    /// Both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All(mut parts), Self::All(more)) => {
                parts.extend(more);
                Self::All(parts)
            }
            (first, second) => Self::All(vec![first, second]),
        }
    }

    /// Whether one whole event passes, without columns: for lists of events. It says what a
    /// bound [`Filter`] says of the event's row.
    pub fn holds(&self, event: &impl Properties) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(event)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(event)),
            Self::Text(prop, test) => test.holds(event.text(prop).as_deref()),
            Self::Number(prop, test) => test.holds(event.number(prop)),
        }
    }

    /// What whoever passes surely has.
    pub fn needs(&self) -> Vec<Need> {
        match self {
            Self::All(parts) => parts.iter().flat_map(Self::needs).collect(),
            Self::Text(prop, TextTest { kind: TextKind::OneOf(texts), negated: false }) => {
                vec![Need { prop: prop.clone(), texts: texts.clone() }]
            }
            Self::Any(_) | Self::Text(..) | Self::Number(..) => Vec::new(),
        }
    }

    /// Ask the scan for the columns this needs.
    pub fn bind(&self, columns: &mut Columns) -> Filter {
        Filter(self.check(columns))
    }

    fn check(&self, columns: &mut Columns) -> Check {
        match self {
            Self::All(parts) if parts.is_empty() => Check::Always,
            Self::All(parts) => Check::All(parts.iter().map(|part| part.check(columns)).collect()),
            Self::Any(parts) => Check::Any(parts.iter().map(|part| part.check(columns)).collect()),
            Self::Text(prop, test) => {
                Check::Text { column: columns.text(prop), test: test.clone(), table: Vec::new() }
            }
            Self::Number(prop, test) => {
                Check::Number { column: columns.number(prop), test: test.clone() }
            }
        }
    }
}

fn parse_condition(
    value: &Value,
    depth: usize,
    left: &mut usize,
) -> Result<Condition, QuestionError> {
    let wrong =
        |detail: &str| QuestionError::Filter { prop: "where".into(), detail: detail.into() };
    if depth == 0 {
        return Err(wrong("groups are nested too deeply; six levels are enough for everybody"));
    }
    *left = left
        .checked_sub(1)
        .ok_or_else(|| wrong("more than 200 tests; use `in` with a list of values"))?;
    let mut parts = |parts: &[Value]| -> Result<Vec<Condition>, QuestionError> {
        parts.iter().map(|part| parse_condition(part, depth - 1, left)).collect()
    };
    match value {
        Value::Null => Ok(Condition::always()),
        Value::Array(list) => Ok(Condition::All(parts(list)?)),
        Value::Object(fields) => match fields.get("any") {
            Some(Value::Array(list)) if fields.len() == 1 => {
                if list.is_empty() {
                    return Err(wrong("`any` of nothing is never true; give at least one filter"));
                }
                Ok(Condition::Any(parts(list)?))
            }
            Some(_) => Err(wrong("`any` stands alone and holds a list of filters")),
            None => parse_test(fields),
        },
        _ => Err(wrong(
            "a filter is {\"prop\":…, \"op\":…, \"value\":…}, a list of them, or {\"any\":[…]}",
        )),
    }
}

fn parse_test(fields: &Map<String, Value>) -> Result<Condition, QuestionError> {
    let prop = fields.get("prop").and_then(Value::as_str).unwrap_or_default().to_owned();
    if prop.is_empty() {
        let detail = "`prop` names the property".into();
        return Err(QuestionError::Filter { prop: "where".into(), detail });
    }
    let wrong = |detail: String| QuestionError::Filter { prop: prop.clone(), detail };
    if let Some(field) = fields.keys().find(|key| !matches!(key.as_str(), "prop" | "op" | "value"))
    {
        return Err(wrong(format!("unknown field `{field}`, expected `prop`, `op`, `value`")));
    }
    let op = fields.get("op").and_then(Value::as_str).unwrap_or("eq");
    let value = fields.get("value").unwrap_or(&Value::Null);
    let text = |kind, negated| Ok(Condition::Text(prop.clone(), TextTest { kind, negated }));
    let negated = op.starts_with("not_") || op == "ne";
    match op {
        "set" | "not_set" if value.is_null() => text(TextKind::Set, negated),
        "set" | "not_set" => Err(wrong(format!("`{op}` takes no value"))),
        "eq" | "ne" => equal(&prop, std::slice::from_ref(value), negated).map_err(wrong),
        "in" | "not_in" => match value {
            Value::Array(values) if (1..=MAX_VALUES).contains(&values.len()) => {
                equal(&prop, values, negated).map_err(wrong)
            }
            _ => Err(wrong(format!("`{op}` takes a list of 1 to {MAX_VALUES} values"))),
        },
        "lt" | "lte" | "gt" | "gte" => {
            let order = match op {
                "lt" => Order::Lt,
                "lte" => Order::Lte,
                "gt" => Order::Gt,
                _ => Order::Gte,
            };
            match value {
                Value::Number(_) if prop == "event" => {
                    Err(wrong("an event's name is a text; compare it with a text".into()))
                }
                Value::Number(number) => Ok(Condition::Number(
                    prop.clone(),
                    NumberTest::Compares(order, number.as_f64().unwrap_or(f64::NAN)),
                )),
                Value::String(than) => text(TextKind::Compares(order, than.as_str().into()), false),
                _ => Err(wrong(format!("`{op}` takes a number, or a text such as an ISO date"))),
            }
        }
        "contains" | "not_contains" | "starts_with" | "regex" => {
            let Some(part) = value.as_str().filter(|part| !part.is_empty()) else {
                return Err(wrong(format!("`{op}` takes a text that is not empty")));
            };
            match op {
                "starts_with" => text(TextKind::StartsWith(part.into()), false),
                "regex" => text(TextKind::Matches(regex(part).map_err(wrong)?), false),
                _ => text(TextKind::Contains(part.into()), negated),
            }
        }
        _ => Err(wrong(format!(
            "there is no `{op}`; use eq, ne, in, not_in, lt, lte, gt, gte, contains, \
             not_contains, starts_with, regex, set or not_set"
        ))),
    }
}

/// Equality with any of the values: as numbers when all are numbers, else as texts.
fn equal(prop: &str, values: &[Value], negated: bool) -> Result<Condition, String> {
    let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
    if let Some(numbers) = numbers.filter(|_| prop != "event") {
        let test = if negated { NumberTest::NoneOf(numbers) } else { NumberTest::OneOf(numbers) };
        return Ok(Condition::Number(prop.into(), test));
    }
    let texts: Result<Vec<Box<str>>, String> = values
        .iter()
        .map(|value| match value {
            Value::String(text) => Ok(text.as_str().into()),
            Value::Number(number) => Ok(number.to_string().into()),
            Value::Bool(flag) => Ok(flag.to_string().into()),
            Value::Null => {
                Err("null is no value; to find events without the property use `not_set`".into())
            }
            _ => Err("a value is a text, a number, true or false".into()),
        })
        .collect();
    Ok(Condition::Text(prop.into(), TextTest { kind: TextKind::OneOf(texts?), negated }))
}

fn regex(pattern: &str) -> Result<Regex, String> {
    if pattern.chars().count() > MAX_REGEX_CHARS {
        return Err(format!("the regular expression is longer than {MAX_REGEX_CHARS} characters"));
    }
    RegexBuilder::new(pattern)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .nest_limit(50)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "the regular expression grows too large; use smaller repetitions".into()
            }
            error => format!("not a regular expression: {error}"),
        })
}

/// A `where` bound to columns, with the look-up tables of one kernel.
#[derive(Debug, Clone)]
pub struct Filter(Check);

#[derive(Debug, Clone)]
enum Check {
    Always,
    All(Vec<Check>),
    Any(Vec<Check>),
    Text { column: TextColumn, test: TextTest, table: Vec<bool> },
    Number { column: usize, test: NumberTest },
}

impl Filter {
    /// Extend the look-up tables to the values seen meanwhile. Call once per run, before
    /// [`Self::passes`].
    pub fn learn(&mut self, dictionaries: &Dictionaries) {
        self.0.learn(dictionaries);
    }

    /// Whether a row passes.
    #[inline]
    pub fn passes(&self, run: &Run<'_>, row: usize) -> bool {
        matches!(self.0, Check::Always) || self.0.passes(run, row)
    }

    /// Whether every row passes, so that nobody need ask.
    pub fn is_always(&self) -> bool {
        matches!(self.0, Check::Always)
    }

    /// A column of a block and the few of its many codes that a row must have to pass; `None` where there is no
    /// such column. [`Self::learn`] comes first.
    pub(crate) fn rare<'a>(&self, block: &'a Block) -> Option<(&'a Coded, Vec<u32>)> {
        /// At most so many codes, of at least so many.
        const FEW: usize = 4;
        const MANY: usize = 256;
        let parts = match &self.0 {
            Check::All(parts) => &parts[..],
            one => std::slice::from_ref(one),
        };
        parts.iter().find_map(|part| {
            let Check::Text { column, table, .. } = part else { return None };
            let coded = column.of_block(block);
            if coded.global.len() < MANY {
                return None;
            }
            let passing = (0..).zip(&*coded.global).filter(|(_, code)| table[**code as usize]);
            let codes: Vec<u32> = passing.map(|(own, _)| own).take(FEW + 1).collect();
            (codes.len() <= FEW).then_some((coded, codes))
        })
    }

    /// Whether a row of a block passes.
    pub(crate) fn passes_in(&self, block: &Block, row: usize) -> bool {
        self.0.passes_in(block, row)
    }

    /// Which rows of a block pass: one per row of [`Block::rows`]. [`Self::learn`] comes first.
    pub fn select(&self, block: &Block) -> Vec<bool> {
        let mut selected = vec![true; block.rows.len()];
        self.0.keep(block, &mut selected);
        selected
    }
}

impl Check {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        match self {
            Self::Always | Self::Number { .. } => {}
            Self::All(parts) | Self::Any(parts) => {
                parts.iter_mut().for_each(|part| part.learn(dictionaries));
            }
            Self::Text { column, test, table } => {
                let dictionary = column.dictionary(dictionaries);
                for code in table.len()..dictionary.len() {
                    table.push(test.holds(dictionary.text(code as u32)));
                }
            }
        }
    }

    /// Keep of the selected rows those that pass.
    fn keep(&self, block: &Block, selected: &mut [bool]) {
        match self {
            Self::Always => {}
            Self::All(parts) => parts.iter().for_each(|part| part.keep(block, selected)),
            Self::Any(parts) => {
                let mut any = vec![false; selected.len()];
                for part in parts {
                    let mut passing = vec![true; selected.len()];
                    part.keep(block, &mut passing);
                    any.iter_mut().zip(passing).for_each(|(any, passes)| *any |= passes);
                }
                selected.iter_mut().zip(any).for_each(|(selected, any)| *selected &= any);
            }
            Self::Text { column, table, .. } => {
                let coded = column.of_block(block);
                let table = coded.table(table);
                by_code(&coded.codes, block.rows.clone(), &table, selected, |so_far, passes| {
                    so_far & passes
                });
            }
            Self::Number { column, test } => {
                let numbers = &block.numbers[*column];
                for (selected, row) in selected.iter_mut().zip(block.rows.clone()) {
                    *selected = *selected && test.holds(numbers.get(row));
                }
            }
        }
    }

    fn passes_in(&self, block: &Block, row: usize) -> bool {
        match self {
            Self::Always => true,
            Self::All(parts) => parts.iter().all(|part| part.passes_in(block, row)),
            Self::Any(parts) => parts.iter().any(|part| part.passes_in(block, row)),
            Self::Text { column, table, .. } => table[column.of_block(block).get(row) as usize],
            Self::Number { column, test } => test.holds(block.numbers[*column].get(row)),
        }
    }

    fn passes(&self, run: &Run<'_>, row: usize) -> bool {
        match self {
            Self::Always => true,
            Self::All(parts) => parts.iter().all(|part| part.passes(run, row)),
            Self::Any(parts) => parts.iter().any(|part| part.passes(run, row)),
            Self::Text { column, table, .. } => table[column.of(run)[row] as usize],
            Self::Number { column, test } => test.holds(run.numbers[*column][row]),
        }
    }
}
