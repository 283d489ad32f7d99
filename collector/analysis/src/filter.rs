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
//! dictionary; per row it costs one look-up.
//!
//! Invariant: a filter depends on values only, never on their codes. Regular expressions are
//! limited in size and match in linear time.
//!
//! Deliberately elsewhere: turning numbers into texts and back (the store).

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use crate::events::{ABSENT, Dictionaries, Dictionary, Run, ScanPlan};
use crate::question::QuestionError;

/// Tests in one `where`, groups included: more is a mistake or an attack.
const MAX_TESTS: usize = 200;
/// Groups within groups.
const MAX_DEPTH: usize = 6;
/// Values of one `in`.
const MAX_VALUES: usize = 1000;
/// Characters of a regular expression, and bytes of its compiled form.
const MAX_REGEX_CHARS: usize = 500;
const MAX_REGEX_BYTES: usize = 1 << 20;

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

/// The columns a question asks for, each once.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Properties as texts.
    pub texts: Vec<String>,
    /// Properties as numbers.
    pub numbers: Vec<String>,
}

impl Columns {
    /// The column of a property as text.
    pub fn text(&mut self, prop: &str) -> TextColumn {
        if prop == "event" {
            return TextColumn::Event;
        }
        TextColumn::Prop(position(&mut self.texts, prop))
    }

    /// The column of a property as a number.
    pub fn number(&mut self, prop: &str) -> usize {
        position(&mut self.numbers, prop)
    }
}

fn position(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.into());
        names.len() - 1
    })
}

impl ScanPlan {
    /// A plan with these columns.
    pub(crate) fn with(
        columns: Columns,
        from_ms: i64,
        to_ms: i64,
        events: crate::events::EventSet,
    ) -> Self {
        Self { from_ms, to_ms, events, texts: columns.texts, numbers: columns.numbers }
    }
}

/// A column of codes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextColumn {
    /// The event's name.
    Event,
    /// A text column of the plan.
    Prop(usize),
}

impl TextColumn {
    /// The codes of a run.
    #[inline]
    pub fn of<'a>(self, run: &Run<'a>) -> &'a [u32] {
        match self {
            Self::Event => run.event,
            Self::Prop(column) => run.texts[column],
        }
    }

    /// What the codes mean.
    #[inline]
    pub fn dictionary(self, dictionaries: &Dictionaries) -> &Dictionary {
        match self {
            Self::Event => &dictionaries.events,
            Self::Prop(column) => &dictionaries.texts[column],
        }
    }
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

/// Which of up to 64 event patterns a row matches: a look-up by event code, then the filters of
/// the patterns that have one.
#[derive(Debug, Clone)]
pub struct Matcher {
    names: Vec<Option<String>>,
    filters: Vec<(usize, Filter)>,
    /// By event code.
    table: Vec<u64>,
}

impl Matcher {
    /// Patterns in order; `None` means any event.
    ///
    /// # Panics
    /// Above 64 patterns: questions refuse that many before.
    pub fn new(patterns: Vec<(Option<String>, Filter)>) -> Self {
        assert!(patterns.len() <= 64, "questions take at most 64 patterns");
        let mut names = Vec::with_capacity(patterns.len());
        let mut filters = Vec::new();
        for (index, (name, filter)) in patterns.into_iter().enumerate() {
            names.push(name);
            if !filter.is_always() {
                filters.push((index, filter));
            }
        }
        Self { names, filters, table: Vec::new() }
    }

    /// Extend the look-up tables to the values seen meanwhile. Call once per run.
    pub fn learn(&mut self, dictionaries: &Dictionaries) {
        for code in self.table.len()..dictionaries.events.len() {
            let event = dictionaries.events.text(code as u32);
            let mut mask = 0;
            for (index, name) in self.names.iter().enumerate() {
                let same = name.as_deref().is_none_or(|name| event == Some(name));
                mask |= u64::from(same && code as u32 != ABSENT) << index;
            }
            self.table.push(mask);
        }
        for (_, filter) in &mut self.filters {
            filter.learn(dictionaries);
        }
    }

    /// Bit `i` is set when the row matches pattern `i`.
    #[inline]
    pub fn mask(&self, run: &Run<'_>, row: usize) -> u64 {
        let mut mask = self.table[run.event[row] as usize];
        for (index, filter) in &self.filters {
            if mask >> index & 1 == 1 && !filter.passes(run, row) {
                mask &= !(1 << index);
            }
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Event, Memory};
    use crate::{AnswerBody, Context};
    use rstest::rstest;
    use serde_json::json;

    fn context() -> Context {
        Context { tz: "UTC".into(), now_ms: 0 }
    }

    /// Whether an event passes, by asking how many do.
    fn passes(event: Event, filter: Value) -> bool {
        let question = json!({ "from": "1970-01-01", "to": "1970-01-02", "where": filter });
        match Memory::new([event]).answer("trend", question, &context()).unwrap().body {
            AnswerBody::Trend(trend) => trend.series[0].total.0 == Some(1.0),
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case::text(json!("team"), "eq", json!("team"), true)]
    #[case::other_case(json!("Team"), "eq", json!("team"), false)]
    #[case::not_equal(json!("team"), "ne", json!("free"), true)]
    #[case::absent_is_not_equal(json!(null), "ne", json!("free"), true)]
    #[case::absent_is_no_value(json!(null), "eq", json!("free"), false)]
    #[case::numbers_are_numbers(json!(5.0), "eq", json!(5), true)]
    #[case::text_that_is_a_number(json!(" 5 "), "eq", json!(5), true)]
    #[case::number_as_text(json!(5), "eq", json!("5"), true)]
    #[case::number_not_equal(json!(5), "ne", json!(5), false)]
    #[case::absent_is_not_a_number(json!(null), "ne", json!(5), true)]
    #[case::boolean(json!(true), "eq", json!(true), true)]
    #[case::one_of(json!("b"), "in", json!(["a", "b"]), true)]
    #[case::one_of_mixed(json!(5), "in", json!(["a", 5]), true)]
    #[case::none_of(json!("c"), "not_in", json!(["a", "b"]), true)]
    #[case::none_of_numbers(json!(2), "not_in", json!([1, 2]), false)]
    #[case::less(json!(4.9), "lt", json!(5), true)]
    #[case::not_less(json!(5), "lt", json!(5), false)]
    #[case::at_most(json!(5), "lte", json!(5), true)]
    #[case::more(json!(5.1), "gt", json!(5), true)]
    #[case::at_least(json!(5), "gte", json!(5), true)]
    #[case::text_is_not_more(json!("many"), "gt", json!(5), false)]
    #[case::absent_is_not_less(json!(null), "lt", json!(5), false)]
    #[case::iso_dates(json!("2026-09-01"), "lt", json!("2026-10-01"), true)]
    #[case::contains(json!("größe"), "contains", json!("öß"), true)]
    #[case::contains_not(json!("größe"), "not_contains", json!("x"), true)]
    #[case::absent_contains_not(json!(null), "not_contains", json!("x"), true)]
    #[case::starts(json!("/blog/1"), "starts_with", json!("/blog"), true)]
    #[case::starts_elsewhere(json!("/a/blog"), "starts_with", json!("/blog"), false)]
    #[case::regex(json!("/blog/17"), "regex", json!("^/blog/\\d+$"), true)]
    #[case::regex_ignoring_case(json!("ABC"), "regex", json!("(?i)abc"), true)]
    #[case::set(json!(""), "set", json!(null), true)]
    #[case::object_is_not_set(json!({ "a": 1 }), "set", json!(null), false)]
    #[case::not_set(json!(null), "not_set", json!(null), true)]
    fn a_value_meets_a_test(
        #[case] value: Value,
        #[case] op: &str,
        #[case] than: Value,
        #[case] want: bool,
    ) {
        let event = Event::new(1, 0, "e").with("p", value);
        assert_eq!(passes(event, json!([{ "prop": "p", "op": op, "value": than }])), want);
    }

    #[rstest]
    #[case::all(json!([{ "prop": "a", "value": 1 }, { "prop": "b", "value": 2 }]), true)]
    #[case::not_all(json!([{ "prop": "a", "value": 1 }, { "prop": "b", "value": 3 }]), false)]
    #[case::any(json!({ "any": [{ "prop": "a", "value": 9 }, { "prop": "b", "value": 2 }] }), true)]
    #[case::none(json!({ "any": [{ "prop": "a", "value": 9 }, { "prop": "b", "value": 9 }] }), false)]
    #[case::any_of_lists(
        json!([{ "any": [[{ "prop": "a", "value": 1 }, { "prop": "b", "value": 9 }], { "prop": "event", "value": "e" }] }]), true)]
    #[case::nothing(json!([]), true)]
    fn lists_are_and_and_any_is_or(#[case] filter: Value, #[case] want: bool) {
        let event = Event::new(1, 0, "e").with("a", 1).with("b", 2);
        assert_eq!(passes(event, filter), want);
    }

    #[rstest]
    #[case::no_prop(json!([{ "op": "eq", "value": 1 }]))]
    #[case::no_such_op(json!([{ "prop": "p", "op": "like", "value": "x" }]))]
    #[case::unknown_field(json!([{ "prop": "p", "op": "eq", "value": 1, "valeu": 2 }]))]
    #[case::null(json!([{ "prop": "p", "op": "eq", "value": null }]))]
    #[case::list_for_eq(json!([{ "prop": "p", "op": "eq", "value": [1] }]))]
    #[case::no_list_for_in(json!([{ "prop": "p", "op": "in", "value": 1 }]))]
    #[case::empty_list(json!([{ "prop": "p", "op": "in", "value": [] }]))]
    #[case::value_for_set(json!([{ "prop": "p", "op": "set", "value": 1 }]))]
    #[case::empty_any(json!({ "any": [] }))]
    #[case::any_and_more(json!({ "any": [{ "prop": "p", "value": 1 }], "prop": "p" }))]
    #[case::text(json!("plan = team"))]
    #[case::broken_regex(json!([{ "prop": "p", "op": "regex", "value": "(" }]))]
    #[case::regex_that_explodes(json!([{ "prop": "p", "op": "regex", "value": "(a{1000}){1000}" }]))]
    #[case::long_regex(json!([{ "prop": "p", "op": "regex", "value": "a".repeat(501) }]))]
    #[case::number_for_an_event(json!([{ "prop": "event", "op": "lt", "value": 1 }]))]
    #[case::deep(json!([[[[[[[[{ "prop": "p", "value": 1 }]]]]]]]]))]
    #[case::too_many(Value::from(vec![json!({ "prop": "p", "value": 1 }); 201]))]
    fn what_makes_no_filter_is_refused(#[case] filter: Value) {
        let error = crate::compile("trend", json!({ "where": filter }), &context()).unwrap_err();
        assert_eq!(error.code(), "filter_invalid");
    }
}
