//! Saved cohorts in a question: names become rules.
//!
//! `"cohort": "buyers"` and, anywhere among rules, `{"saved": "buyers"}` mean the newest version;
//! `{"saved": {"key": "buyers", "version": 2}}` means that one, whatever became of it. All become
//! `{"saved": {"key", "version", "rules"}}`, which the analysis reads and the answer's definition shows.

use serde_json::{Map, Value, json};

use super::{Kind, Refused};
use crate::meta::Meta;

/// Cohorts inside each other.
const DEPTH_MAX: usize = 5;

/// A look into the cohorts of a project.
struct Look<'a> {
    meta: &'a Meta,
    project: u32,
}

/// Put rules in the place of names, if a question has a cohort, or is split by cohorts. `inside` are cohorts
/// that it is part of.
///
/// # Errors
/// [`Refused::Unknown`], or [`Refused::Wrong`] for cohorts that stand in each other.
pub async fn resolve(
    meta: &Meta,
    project: u32,
    question: &mut Value,
    mut inside: Vec<String>,
) -> Result<(), Refused> {
    let look = Look { meta, project };
    if let Some(cohort) = question.get_mut("cohort") {
        look.named(cohort, &mut inside).await?;
    }
    for field in ["slices", "strata"] {
        if let Some(cuts) = question.get_mut(field) {
            look.cuts(cuts, &mut inside).await?;
        }
    }
    Ok(())
}

/// The same question, with rules that everybody meets in the place of names: to see whether the rest of it makes
/// sense where nobody can be asked what the names mean.
pub fn without_names(question: &mut Value) {
    let named = |cohort: &mut Value| {
        if let Value::String(key) = cohort {
            *cohort = json!({ "saved": key });
        }
        unnamed(cohort);
    };
    if let Some(cohort) = question.get_mut("cohort") {
        named(cohort);
    }
    let mut cuts: Vec<&mut Value> = Vec::new();
    if let Value::Object(fields) = question {
        let of =
            fields.iter_mut().filter(|(field, _)| ["slices", "strata"].contains(&field.as_str()));
        cuts.extend(of.map(|(_, cuts)| cuts));
    }
    while let Some(cut) = cuts.pop() {
        match cut {
            Value::Array(several) => cuts.extend(several),
            Value::Object(cut) => {
                if let (Some(Value::String(key)), None) = (cut.get("cohort"), cut.get("name")) {
                    cut.insert("name".into(), key.clone().into());
                }
                cut.get_mut("cohort").into_iter().for_each(named);
            }
            _ => {}
        }
    }
}

fn unnamed(rule: &mut Value) {
    match rule {
        Value::Array(rules) => rules.iter_mut().for_each(unnamed),
        Value::Object(fields) if fields.contains_key("saved") => *rule = json!({ "all": [] }),
        Value::Object(fields) => fields.values_mut().for_each(unnamed),
        _ => {}
    }
}

impl Look<'_> {
    /// A cohort where its name alone may stand.
    async fn named(&self, cohort: &mut Value, inside: &mut Vec<String>) -> Result<(), Refused> {
        if let Value::String(key) = cohort {
            *cohort = json!({ "saved": key });
        }
        self.rule(cohort, inside).await
    }

    /// What an experiment is split by: properties, cohorts, lists of them. A cohort gives its name.
    async fn cuts(&self, cuts: &mut Value, inside: &mut Vec<String>) -> Result<(), Refused> {
        match cuts {
            Value::Array(cuts) => {
                for cut in cuts {
                    Box::pin(self.cuts(cut, inside)).await?;
                }
                Ok(())
            }
            Value::Object(cut) => {
                if let (Some(Value::String(key)), None) = (cut.get("cohort"), cut.get("name")) {
                    cut.insert("name".into(), key.clone().into());
                }
                match cut.get_mut("cohort") {
                    Some(cohort) => self.named(cohort, inside).await,
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// A rule and those in it. `inside` are the cohorts that it stands in.
    async fn rule(&self, rule: &mut Value, inside: &mut Vec<String>) -> Result<(), Refused> {
        match rule {
            Value::Array(rules) => self.each(rules, inside).await,
            Value::Object(fields) => {
                if let Some(saved) = fields.get_mut("saved") {
                    *saved = self.saved(saved, inside).await?;
                }
                for field in ["all", "any", "not"] {
                    match fields.get_mut(field) {
                        Some(Value::Array(rules)) => self.each(rules, inside).await?,
                        Some(rule) => Box::pin(self.rule(rule, inside)).await?,
                        None => {}
                    }
                }
                Ok(())
            }
            // What makes no sense is refused by the analysis.
            _ => Ok(()),
        }
    }

    async fn each(&self, rules: &mut [Value], inside: &mut Vec<String>) -> Result<(), Refused> {
        for rule in rules {
            Box::pin(self.rule(rule, inside)).await?;
        }
        Ok(())
    }

    /// `{"key", "version", "rules"}` of a name, or of a name and a version.
    async fn saved(&self, given: &Value, inside: &mut Vec<String>) -> Result<Value, Refused> {
        let wrong = |detail: &str| Refused::Wrong("cohort", detail.into());
        let (key, version) = match given {
            Value::String(key) => (key.as_str(), None),
            Value::Object(fields) => {
                let key = fields.get("key").and_then(Value::as_str);
                let key = key.ok_or_else(|| wrong("`saved` needs the cohort's `key`"))?;
                (key, version(fields)?)
            }
            _ => return Err(wrong("`saved` is the key of a cohort, or {\"key\", \"version\"}")),
        };
        if inside.iter().any(|outer| outer == key) {
            return Err(wrong(&format!("{key:?} stands in itself")));
        }
        if inside.len() == DEPTH_MAX {
            return Err(wrong("saved cohorts stand in each other too deeply"));
        }
        let (version, mut rules) = self.load(key, version).await?;
        inside.push(key.to_owned());
        Box::pin(self.rule(&mut rules, inside)).await?;
        inside.pop();
        Ok(json!({ "key": key, "version": version, "rules": rules }))
    }

    async fn load(&self, key: &str, version: Option<u32>) -> Result<(u32, Value), Refused> {
        let table = self.meta.saved();
        if let Some(version) = version {
            let found = table.version(self.project, Kind::Cohort, key, version).await?;
            let found = found
                .ok_or_else(|| Refused::VersionUnknown(Kind::Cohort, key.to_owned(), version))?;
            return Ok((version, found["cohort"].clone()));
        }
        let found = table.find(self.project, Kind::Cohort, key).await?;
        let found = found.filter(|found| found.removed_ms.is_none());
        let found = found.ok_or_else(|| Refused::Unknown(Kind::Cohort, key.to_owned()))?;
        Ok((found.version, found.body.get("cohort").cloned().unwrap_or_default()))
    }
}

fn version(fields: &Map<String, Value>) -> Result<Option<u32>, Refused> {
    let Some(version) = fields.get("version").filter(|version| !version.is_null()) else {
        return Ok(None);
    };
    let number = version.as_u64().and_then(|number| u32::try_from(number).ok());
    number.map(Some).ok_or_else(|| Refused::Wrong("cohort", format!("{version} is no version")))
}
