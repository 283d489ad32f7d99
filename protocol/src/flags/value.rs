//! A JSON value as flags meet it: in documents, conditions and attributes.
//!
//! The wire's own types are for what we write ourselves. Documents of flags are open: their values
//! may be anything, fields nobody knows are ignored, and a field of another type than expected is
//! as good as absent. So they are read where they are used.

use alloc::string::String;
use alloc::vec::Vec;

/// A value of a document.
#[derive(Clone, Default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub enum Value {
    /// `null`, and what JavaScript calls undefined.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// Names and values, in their order.
    Map(Vec<(String, Value)>),
}

/// What stands for everything that is absent.
pub static NULL: Value = Value::Null;

impl Value {
    /// The field of a map with this name.
    pub fn find(&self, name: &str) -> Option<&Value> {
        self.fields().iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The field of a map with this name, or null.
    pub fn get(&self, name: &str) -> &Value {
        self.find(name).unwrap_or(&NULL)
    }

    /// What a path of names joined by points leads to, or null.
    pub fn at(&self, path: &str) -> &Value {
        let (name, rest) = cut(path, b'.');
        let value = self.get(name);
        rest.map_or(value, |rest| value.at(rest))
    }

    /// The fields of a map; none of anything else.
    pub fn fields(&self) -> &[(String, Value)] {
        if let Value::Map(fields) = self { fields } else { &[] }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<&[Value]> {
        if let Value::List(items) = self { Some(items) } else { None }
    }

    /// The number.
    pub fn number(&self) -> Option<f64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    /// The whole number from 0, as versions and indexes are.
    pub fn whole(&self) -> Option<u32> {
        let number = self.number()?;
        let whole = number as u32;
        (f64::from(whole) == number).then_some(whole)
    }

    /// The text, unless it is empty.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self {
            Some(text.as_str()).filter(|t| !t.is_empty())
        } else {
            None
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether JavaScript takes it for true.
    pub fn is_truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(yes) => *yes,
            Value::Number(number) => *number != 0.0 && !number.is_nan(),
            Value::Text(text) => !text.is_empty(),
            Value::List(_) | Value::Map(_) => true,
        }
    }
}

/// A text before and after the first of these (ASCII) bytes. Smaller in a page than `split_once`.
pub(super) fn cut(text: &str, byte: u8) -> (&str, Option<&str>) {
    let found = text.bytes().position(|own| own == byte);
    let before = found.and_then(|at| text.get(..at)).unwrap_or(text);
    (before, found.and_then(|at| text.get(at + 1..)))
}

/// Equal in type and content, whatever the order of names.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(name, value)| other.find(name) == Some(value))
            }
            _ => false,
        }
    }
}

#[cfg(feature = "flags-native")]
impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(yes) => Value::Bool(yes),
            Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::Text(text),
            Json::Array(items) => Value::List(items.into_iter().map(Value::from).collect()),
            Json::Object(fields) => {
                Value::Map(fields.into_iter().map(|(name, json)| (name, json.into())).collect())
            }
        }
    }
}
