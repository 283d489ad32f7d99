//! What a team writes down before people get different things: experiments, flags and holdouts.
//!
//! In: JSON. Out: a [`Definition`] of which every part can be used, or a [`Wrong`] that names the
//! field. The JSON form is what HTTP, the command line and the database have in common.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tallymark_analysis::question::Context;
use tallymark_analysis::registry::compile;

use super::targeting;

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

/// Variants of one experiment.
const VARIANTS_MAX: usize = 20;
/// Rules of one flag.
const RULES_MAX: usize = 50;
/// Characters of a key.
const KEY_CHARS_MAX: usize = 100;
/// Characters of a text for people.
const TEXT_CHARS_MAX: usize = 5_000;
/// Bytes of a value as JSON. Every visitor loads them.
const VALUE_BYTES_MAX: usize = 16 * 1024;
/// How far the sum of weights may be from 1.
const WEIGHTS_OFF_MAX: f64 = 0.001;

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

    fn check(&self) -> Result<(), Wrong> {
        check_key("key", self.key())?;
        match self {
            Self::Experiment(experiment) => experiment.check(),
            Self::Flag(flag) => flag.check(),
            Self::Holdout(holdout) => holdout.check(),
        }
    }
}

impl Experiment {
    fn check(&self) -> Result<(), Wrong> {
        check_text("hypothesis", &self.hypothesis)?;
        self.check_variants()?;
        check_targeting("targeting", &self.targeting)?;
        check_share("coverage", self.coverage)?;
        if let Some(Namespace { name, from, to }) = &self.namespace {
            check_key("namespace", name)?;
            if !(0.0 <= *from && from < to && *to <= 1.0) {
                return Err(Wrong::new("namespace", "`from` and `to` lie in 0..=1, `from` first"));
            }
        }
        if let Some(seed) = &self.seed {
            check_key("seed", seed)?;
        }
        if let (Some(start), Some(end)) = (self.starts_at, self.ends_at)
            && start >= end
        {
            return Err(Wrong::new("ends_at", "must be after `starts_at`"));
        }
        if self.mde.is_some_and(|mde| !(mde > 0.0 && mde <= 10.0)) {
            return Err(Wrong::new(
                "mde",
                "a relative lift above 0 and up to 10: 0.02 is two percent",
            ));
        }
        self.check_metrics()
    }

    fn check_variants(&self) -> Result<(), Wrong> {
        let wrong = |detail: String| Err(Wrong::new("variants", detail));
        if !(2..=VARIANTS_MAX).contains(&self.variants.len()) {
            return wrong(format!("2 to {VARIANTS_MAX}, the control first"));
        }
        let mut keys = HashSet::new();
        for Variant { key, weight, value } in &self.variants {
            check_key("variants", key)?;
            if !keys.insert(key) {
                return wrong(format!("{key:?} is there twice"));
            }
            if weight.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
                return wrong(format!("the weight of {key:?} lies in 0..=1"));
            }
            check_value("variants", value.as_ref().unwrap_or(&Value::Null))?;
        }
        let weights: Vec<f64> = self.variants.iter().filter_map(|v| v.weight).collect();
        if !weights.is_empty() && weights.len() < self.variants.len() {
            return wrong("give all of them a weight, or none".into());
        }
        let sum: f64 = weights.iter().sum();
        if !weights.is_empty() && (sum - 1.0).abs() > WEIGHTS_OFF_MAX {
            return wrong(format!("the weights must sum to 1, these sum to {sum}"));
        }
        Ok(())
    }

    /// Metrics are what the question `experiment` takes, so that question says what is wrong.
    fn check_metrics(&self) -> Result<(), Wrong> {
        if self.guardrails.iter().any(|guardrail| !(0.0..=1.0).contains(&guardrail.margin)) {
            return Err(Wrong::new("guardrails", "a margin lies in 0..=1: 0.01 is one percent"));
        }
        let question = json!({ "experiment": self.key, "metrics": self.metrics() });
        let context = Context { tz: "UTC".into(), now_ms: 0 };
        let compiled = compile("experiment", question, &context);
        compiled.map(drop).map_err(|error| Wrong::new("metrics", error.to_string()))
    }

    /// All metrics, the deciding one first.
    pub fn metrics(&self) -> Vec<&Value> {
        let primary = Some(&self.primary).filter(|metric| !metric.is_null());
        let guardrails = self.guardrails.iter().map(|guardrail| &guardrail.metric);
        primary.into_iter().chain(&self.secondary).chain(guardrails).collect()
    }
}

impl Flag {
    fn check(&self) -> Result<(), Wrong> {
        check_text("description", &self.description)?;
        check_value("value", &self.value)?;
        if self.rules.len() > RULES_MAX {
            return Err(Wrong::new("rules", format!("at most {RULES_MAX}")));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            check_value(&format!("rules[{at}].value"), &rule.value)?;
            check_targeting(&format!("rules[{at}].targeting"), &rule.targeting)?;
            check_share(&format!("rules[{at}].coverage"), rule.coverage)?;
        }
        Ok(())
    }
}

impl Holdout {
    fn check(&self) -> Result<(), Wrong> {
        check_text("description", &self.description)?;
        if !(self.share > 0.0 && self.share <= 0.5) {
            return Err(Wrong::new("share", "more than 0 and at most 0.5 are kept out"));
        }
        Ok(())
    }
}

/// A key is part of addresses and query strings, and a path in conditions never is.
fn check_key(field: &str, key: &str) -> Result<(), Wrong> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let good = !key.is_empty()
        && key.len() <= KEY_CHARS_MAX
        && key.bytes().all(plain)
        && key.as_bytes()[0].is_ascii_alphanumeric();
    good.then_some(()).ok_or_else(|| {
        Wrong::new(
            field,
            format!(
                "{key:?} is no key: 1 to {KEY_CHARS_MAX} letters, digits, `_`, `-` and `.`, a letter \
                 or digit first"
            ),
        )
    })
}

fn check_text(field: &str, text: &str) -> Result<(), Wrong> {
    let good = text.chars().count() <= TEXT_CHARS_MAX;
    good.then_some(())
        .ok_or_else(|| Wrong::new(field, format!("at most {TEXT_CHARS_MAX} characters")))
}

fn check_share(field: &str, share: f64) -> Result<(), Wrong> {
    let good = (0.0..=1.0).contains(&share);
    good.then_some(()).ok_or_else(|| Wrong::new(field, "a share lies in 0..=1"))
}

fn check_targeting(field: &str, condition: &Value) -> Result<(), Wrong> {
    if condition.is_null() { Ok(()) } else { targeting::check(field, condition) }
}

/// A value goes to every visitor.
fn check_value(field: &str, value: &Value) -> Result<(), Wrong> {
    let text = value.to_string();
    if text.len() > VALUE_BYTES_MAX {
        let detail = format!("a value has at most {VALUE_BYTES_MAX} bytes as JSON");
        return Err(Wrong::new(field, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn experiment() -> Value {
        json!({
            "kind": "experiment", "key": "buy-button", "hypothesis": "Green is seen earlier.",
            "variants": [{ "key": "control" }, { "key": "green", "value": { "color": "#0a0" } }],
            "targeting": { "country": "DE" }, "coverage": 0.5,
            "namespace": { "name": "checkout", "from": 0, "to": 0.5 },
            "starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z",
            "primary": { "event": "purchase" }, "secondary": [{ "event": "purchase", "kind": "mean" }],
            "guardrails": [{ "metric": { "event": "refund" }, "margin": 0.01 }], "mde": 0.02,
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut changed = experiment();
        changed[field] = value;
        changed
    }

    #[test]
    fn a_definition_survives_its_json() {
        let parsed = Definition::parse(experiment()).unwrap();
        assert_eq!(Definition::parse(parsed.json().into()), Ok(parsed));
    }

    #[test]
    fn defaults_are_filled_in() {
        let least = json!({ "kind": "experiment", "key": "a", "variants": [{ "key": "x" }, { "key": "y" }] });
        let parsed = Definition::parse(least).unwrap().json();
        assert_eq!((&parsed["coverage"], &parsed["unit"]), (&json!(1.0), &json!("device")));
    }

    #[rstest]
    #[case::spelling("varients", json!([]), "definition", "unknown field")]
    #[case::no_key("key", json!(""), "key", "letters")]
    #[case::key_for_a_query("key", json!("a&b=1"), "key", "letters")]
    #[case::one_variant("variants", json!([{ "key": "a" }]), "variants", "2 to 20")]
    #[case::same_variant("variants", json!([{ "key": "a" }, { "key": "a" }]), "variants", "twice")]
    #[case::some_weights("variants", json!([{ "key": "a", "weight": 1 }, { "key": "b" }]), "variants", "or none")]
    #[case::weights("variants", json!([{ "key": "a", "weight": 0.5 }, { "key": "b", "weight": 0.502 }]), "variants", "sum to 1")]
    #[case::coverage("coverage", json!(1.01), "coverage", "0..=1")]
    #[case::namespace("namespace", json!({ "name": "n", "from": 0.5, "to": 0.5 }), "namespace", "from")]
    #[case::dates("ends_at", json!("2026-11-01T00:00:00Z"), "ends_at", "after")]
    #[case::mde("mde", json!(0), "mde", "percent")]
    #[case::margin("guardrails", json!([{ "metric": { "event": "a" }, "margin": 2 }]), "guardrails", "margin")]
    #[case::metric("primary", json!({ "event": "a", "kind": "no such kind" }), "metrics", "no such kind")]
    #[case::targeting("targeting", json!({ "user": "ada" }), "targeting", "property")]
    fn a_field_is_refused_by_name(
        #[case] field: &str,
        #[case] value: Value,
        #[case] named: &str,
        #[case] hint: &str,
    ) {
        let wrong = Definition::parse(with(field, value)).unwrap_err();
        assert_eq!(wrong.field, named, "{}", wrong.detail);
        assert!(wrong.detail.contains(hint), "{}", wrong.detail);
    }

    #[rstest]
    #[case::thirds(json!([0.333, 0.333, 0.333]), true)]
    #[case::at_the_tolerance(json!([0.5, 0.25, 0.251]), true)]
    #[case::beyond(json!([0.5, 0.25, 0.252]), false)]
    fn weights_sum_to_one(#[case] weights: Value, #[case] good: bool) {
        let variants: Value = ["a", "b", "c"]
            .iter()
            .zip(weights.as_array().unwrap())
            .map(|(key, weight)| json!({ "key": key, "weight": weight }))
            .collect();
        assert_eq!(Definition::parse(with("variants", variants)).is_ok(), good);
    }

    #[rstest]
    #[case::none(0.0, false)]
    #[case::some(0.05, true)]
    #[case::half(0.5, true)]
    #[case::more(0.51, false)]
    fn a_holdout_keeps_out(#[case] share: f64, #[case] good: bool) {
        let holdout = json!({ "kind": "holdout", "key": "q4", "share": share });
        assert_eq!(Definition::parse(holdout).is_ok(), good);
    }

    #[test]
    fn a_rule_of_a_flag_is_refused_by_its_place() {
        let rules = json!([{ "value": 1 }, { "value": 2, "coverage": -0.1 }]);
        let flag = json!({ "kind": "flag", "key": "f", "value": 0, "rules": rules });
        assert_eq!(Definition::parse(flag).unwrap_err().field, "rules[1].coverage");
    }
}
