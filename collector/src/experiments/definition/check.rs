//! What a definition must be: lengths, ranges, and keys that can be part of an address.

use std::collections::HashSet;

use serde_json::Value;

use super::super::targeting;
use super::{Definition, Experiment, Flag, Holdout, Namespace, Variant, Wrong};

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
    pub(super) fn check(&self) -> Result<(), Wrong> {
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
        self.check_question()
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
