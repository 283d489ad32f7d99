//! Whether somebody's attributes fulfil a targeting condition.
//!
//! Conditions are the MongoDB-like objects of the GrowthBook specification: `{"country": "DE",
//! "age": {"$gte": 18}, "$or": [{…}, {…}]}`. Comparisons are JavaScript's, because that is where
//! most of them run: an attribute that is absent counts as 0, `"8"` compared with a number is 8, two
//! texts compare as texts. Whatever cannot be evaluated is false; nothing here fails.
//!
//! Two differences on purpose: objects are equal whatever the order of their names, and characters
//! beyond the first 65,536 come after all others.

use super::value::cut;
use super::version;
use super::{Host, NULL, Value};
use alloc::borrow::ToOwned;
use alloc::string::String;
use core::cmp::Ordering;

/// What may stand behind an attribute. Everything else that begins with `$` is false.
pub const OPERATORS: [&str; 27] = [
    "$eq",
    "$ne",
    "$lt",
    "$lte",
    "$gt",
    "$gte",
    "$veq",
    "$vne",
    "$vlt",
    "$vlte",
    "$vgt",
    "$vgte",
    "$exists",
    "$in",
    "$nin",
    "$ini",
    "$nini",
    "$inGroup",
    "$notInGroup",
    "$all",
    "$alli",
    "$not",
    "$size",
    "$elemMatch",
    "$regex",
    "$regexi",
    "$type",
];

/// What conditions are evaluated with.
pub struct Conditions<'a, H> {
    /// Lists by name, for `$inGroup`.
    pub groups: &'a Value,
    /// Regular expressions and the like.
    pub host: &'a H,
    /// Whether the subject is the whole of `{"value": subject}`, as prerequisites see it.
    pub is_value: bool,
}

impl<H: Host> Conditions<'_, H> {
    /// Whether `subject` fulfils every part of `condition`.
    pub fn hold(&self, condition: &Value, subject: &Value) -> bool {
        condition.fields().iter().all(|(name, wanted)| match name.as_str() {
            "$or" => self.any(wanted, subject),
            "$nor" => !self.any(wanted, subject),
            "$and" => list(wanted).iter().all(|one| self.hold(one, subject)),
            "$not" => !self.hold(wanted, subject),
            path => self.fits(wanted, self.part_of(subject, path), false),
        })
    }

    fn part_of<'v>(&self, subject: &'v Value, path: &str) -> &'v Value {
        match cut(path, b'.') {
            _ if !self.is_value => subject.at(path),
            ("value", None) => subject,
            ("value", Some(rest)) => subject.at(rest),
            _ => &NULL,
        }
    }

    fn any(&self, conditions: &Value, subject: &Value) -> bool {
        let conditions = list(conditions);
        conditions.is_empty() || conditions.iter().any(|one| self.hold(one, subject))
    }

    /// Whether a value is, or fulfils, what is wanted of it.
    fn fits(&self, wanted: &Value, value: &Value, any_case: bool) -> bool {
        match wanted {
            Value::Null => value.is_null(),
            Value::Bool(yes) => !value.is_null() && value.is_truthy() == *yes,
            Value::Number(number) => number_of(self.host, value) == *number,
            Value::Text(text) => {
                let value = text_of(self.host, value);
                if any_case { self.same_letters(text, &value) } else { *text == value }
            }
            _ if is_operators(wanted) => {
                let mut operators = wanted.fields().iter();
                operators.all(|(operator, operand)| self.apply(operator, operand, value))
            }
            _ => wanted == value,
        }
    }

    fn apply(&self, operator: &str, operand: &Value, value: &Value) -> bool {
        let order = || compare(self.host, value, operand);
        let versions = || version::compare(self.host, value, operand);
        match operator {
            "$eq" => is_same(value, operand),
            "$ne" => !is_same(value, operand),
            "$lt" => order().is_some_and(Ordering::is_lt),
            "$lte" => order().is_some_and(Ordering::is_le),
            "$gt" => order().is_some_and(Ordering::is_gt),
            "$gte" => order().is_some_and(Ordering::is_ge),
            "$veq" => versions().is_eq(),
            "$vne" => versions().is_ne(),
            "$vlt" => versions().is_lt(),
            "$vlte" => versions().is_le(),
            "$vgt" => versions().is_gt(),
            "$vgte" => versions().is_ge(),
            "$exists" => value.is_null() != operand.is_truthy(),
            "$in" => self.is_in(operand, value, false) == Some(true),
            "$nin" => self.is_in(operand, value, false) == Some(false),
            "$ini" => self.is_in(operand, value, true) == Some(true),
            "$nini" => self.is_in(operand, value, true) == Some(false),
            "$inGroup" => self.is_in(self.group(operand), value, false) == Some(true),
            "$notInGroup" => self.is_in(self.group(operand), value, false) != Some(true),
            "$all" => self.has_all(operand, value, false),
            "$alli" => self.has_all(operand, value, true),
            "$not" => !self.fits(operand, value, false),
            "$size" => value
                .items()
                .is_some_and(|items| self.fits(operand, &Value::Number(items.len() as f64), false)),
            "$elemMatch" => list(value).iter().any(|item| match is_operators(operand) {
                true => self.fits(operand, item, false),
                false => Conditions { is_value: false, ..*self }.hold(operand, item),
            }),
            "$regex" => self.is_match(operand, false, value),
            "$regexi" => self.is_match(operand, true, value),
            "$type" => operand.text() == Some(type_of(value)),
            _ => false,
        }
    }

    fn group(&self, name: &Value) -> &Value {
        name.text().map_or(&NULL, |name| self.groups.get(name))
    }

    /// Whether the value, or one of its items if it is a list, is on the list; `None` without a list.
    fn is_in(&self, wanted: &Value, value: &Value, any_case: bool) -> Option<bool> {
        let wanted = wanted.items()?;
        let listed = |value: &Value| {
            wanted.iter().any(|one| match (one, value) {
                (Value::Text(a), Value::Text(b)) if any_case => self.same_letters(a, b),
                _ => is_same(one, value),
            })
        };
        Some(match value.items() {
            Some(items) => items.iter().any(listed),
            None => listed(value),
        })
    }

    fn has_all(&self, wanted: &Value, value: &Value, any_case: bool) -> bool {
        let (Some(wanted), Some(items)) = (wanted.items(), value.items()) else { return false };
        wanted.iter().all(|one| items.iter().any(|item| self.fits(one, item, any_case)))
    }

    fn is_match(&self, pattern: &Value, any_case: bool, value: &Value) -> bool {
        let Value::Text(pattern) = pattern else { return false };
        self.host.matches(pattern, any_case, &text_of(self.host, value))
    }

    fn same_letters(&self, a: &str, b: &str) -> bool {
        self.host.lower(a) == self.host.lower(b)
    }
}

fn list(value: &Value) -> &[Value] {
    value.items().unwrap_or_default()
}

/// Whether it is an object of operators: it has names, and all begin with `$`.
fn is_operators(value: &Value) -> bool {
    let fields = value.fields();
    !fields.is_empty() && fields.iter().all(|(name, _)| name.starts_with('$'))
}

/// JavaScript's `===`, for which two lists or objects are never the same.
fn is_same(a: &Value, b: &Value) -> bool {
    !matches!(a, Value::List(_) | Value::Map(_)) && a == b
}

/// JavaScript's `<` and `>`: texts with texts, everything else as numbers; `None` without an order.
fn compare(host: &impl Host, a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => number_of(host, a).partial_cmp(&number_of(host, b)),
    }
}

/// JavaScript's `Number(value)`.
fn number_of(host: &impl Host, value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::Bool(yes) => f64::from(u8::from(*yes)),
        Value::Number(number) => *number,
        _ => host.number_of(&text_of(host, value)),
    }
}

/// JavaScript's `String(value)`.
pub(super) fn text_of(host: &impl Host, value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(true) => "true".to_owned(),
        Value::Bool(false) => "false".to_owned(),
        Value::Number(number) => host.text_of(*number),
        Value::Text(text) => text.clone(),
        Value::Map(_) => "[object Object]".to_owned(),
        Value::List(items) => {
            let mut text = String::new();
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                if !item.is_null() {
                    text.push_str(&text_of(host, item));
                }
            }
            text
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::Text(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}
