//! What a team writes down before people get different things: experiments, flags and holdouts.
//!
//! In: JSON. Out: a [`Definition`] of which every part can be used, or a [`Wrong`] that names the
//! field. The JSON form is what HTTP, the command line and the database have in common.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod check;
mod question;

/// A field that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which.
    pub field: String,
    /// What it must be.
    pub detail: String,
}

impl Wrong {
    /// This field, for this reason.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), detail: detail.into() }
    }
}

/// What is defined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Definition {
    /// Variants to compare.
    Experiment(Box<Experiment>),
    /// A value that may differ between people, compared with nothing.
    Flag(Flag),
    /// A share of people who are kept out of experiments, to see what all of them did together.
    Holdout(Holdout),
}

/// Variants to compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its name in code; also the seed of the allocation unless `seed` says otherwise.
    pub key: String,
    /// What is expected, and why.
    #[serde(default)]
    pub hypothesis: String,
    /// The control first.
    pub variants: Vec<Variant>,
    /// What gets a variant.
    #[serde(default)]
    pub unit: Unit,
    /// Who may take part.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub targeting: Value,
    /// The share of them that takes part, 0..=1.
    #[serde(default = "everybody")]
    pub coverage: f64,
    /// Its part of a namespace; parts that do not overlap share nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The key of a holdout whose people do not take part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<String>,
    /// Another seed than the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Nobody meets it before, even when it is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// Nobody new meets it from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The metric that decides, as the question `experiment` takes it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub primary: Value,
    /// Metrics that explain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary: Vec<Value>,
    /// Metrics that must not get worse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Guardrail>,
    /// The smallest relative lift of the primary metric worth finding: 0.02 is two percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mde: Option<f64>,
    /// How it will be read: further fields of the question `experiment`, such as `window` or `method`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub analysis: Map<String, Value>,
}

/// One thing that people may get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name in code and in results.
    pub key: String,
    /// Its share; equal shares when no variant has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// What code gets; the key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What gets a variant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The browser: the same before and after signing in.
    #[default]
    Device,
    /// Whoever is signed in, the same on all their devices; the browser until then.
    User,
}

/// A part of a namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Where the part begins, 0..=1.
    pub from: f64,
    /// Where it ends, not included.
    pub to: f64,
}

/// A metric that must not get worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guardrail {
    /// The metric, as the question `experiment` takes it.
    pub metric: Value,
    /// How much worse, relative to the control, is still acceptable: 0.01 is one percent.
    #[serde(default)]
    pub margin: f64,
}

/// A value that may differ between people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// Its name in code.
    pub key: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What everyone gets to whom no rule applies.
    pub value: Value,
    /// The first that applies decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// A value for some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What they get.
    pub value: Value,
    /// Who they are; everyone when absent.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub targeting: Value,
    /// The share of them, 0..=1. Raising it takes nobody out.
    #[serde(default = "everybody")]
    pub coverage: f64,
    /// By what the share is drawn.
    #[serde(default)]
    pub unit: Unit,
}

/// People who are kept out of experiments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// Its name.
    pub key: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The share that is kept out, more than 0 and at most a half.
    pub share: f64,
    /// By what the share is drawn.
    #[serde(default)]
    pub unit: Unit,
}

fn everybody() -> f64 {
    1.0
}

impl Definition {
    /// Read and check one.
    ///
    /// # Errors
    /// [`Wrong`] names the field.
    pub fn parse(json: Value) -> Result<Self, Wrong> {
        let parsed: Self =
            serde_json::from_value(json).map_err(|e| Wrong::new("definition", e.to_string()))?;
        parsed.check()?;
        Ok(parsed)
    }

    /// Its name in code.
    pub fn key(&self) -> &str {
        match self {
            Self::Experiment(experiment) => &experiment.key,
            Self::Flag(flag) => &flag.key,
            Self::Holdout(holdout) => &holdout.key,
        }
    }

    /// What it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Experiment(_) => "experiment",
            Self::Flag(_) => "flag",
            Self::Holdout(_) => "holdout",
        }
    }

    /// Its JSON form, defaults filled in.
    pub fn json(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            // Only maps with keys that are no texts cannot be written, and there are none.
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests;
