//! Rules of cohorts as they are given, before they are bound to columns.

use serde::Deserialize;
use serde_json::Value;

use super::wrong;
use crate::question::QuestionError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Given {
    Did(Did),
    Has(Value),
    Persons(Vec<String>),
    All(Vec<Given>),
    Any(Vec<Given>),
    Not(Box<Given>),
    Saved(Saved),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    #[serde(rename = "key")]
    _key: String,
    #[serde(rename = "version")]
    _version: u32,
    pub(super) rules: Value,
}

impl Given {
    pub(super) fn parse(given: &Value) -> Result<Self, QuestionError> {
        match given {
            Value::Array(_) => serde_json::from_value(given.clone()).map(Self::All),
            _ => serde_json::from_value(given.clone()),
        }
        .map_err(|error| {
            let known = "a rule is {\"did\":…}, {\"has\":…}, {\"persons\":[…]}, {\"all\":[…]}, {\"any\":[…]}, {\"not\":…} or {\"saved\":…}";
            wrong(format!("{known}: {error}"))
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Did {
    pub(super) event: Option<String>,
    #[serde(default, rename = "where")]
    pub(super) filter: Value,
    #[serde(default = "one")]
    pub(super) at_least: u64,
    pub(super) at_most: Option<u64>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

fn one() -> u64 {
    1
}
