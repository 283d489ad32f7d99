//! Why two rules count a person differently.
//!
//! In: a funnel or retention without `compat`, and two names of rules in `rules`. Out: how many people either
//! rule counts, over how many they differ and why, and a page of those people with what each rule makes of them.
//!
//! A rule is ours with some *differences*, each with a code and a sentence. What of them matters for a person is
//! found by trying: a difference is a reason when taking it away from one rule, or giving it to the other, changes
//! what comes of the person. Where none does so alone, they only matter together, and all are named.
//!
//! Deliberately elsewhere: the rules themselves (`funnel::rule`, `retention::rule`), what comes of a person under
//! one of them (the question's own `explain`).

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::question::{Compiled, Context, QuestionError};

pub mod answer;
mod counter;
#[cfg(test)]
mod tests;

pub(crate) use counter::{Counted, Explain, Mark, Rules};

/// People of one page.
const LIMIT_MAX: usize = 1000;

/// What is asked beside the question itself.
#[derive(Debug, Deserialize)]
struct Page {
    rules: [String; 2],
    limit: Option<usize>,
    after: Option<String>,
}

/// The two rules, and which people to list.
pub(crate) struct Asked {
    pub rules: [String; 2],
    pub limit: usize,
    /// The last person of the page before.
    pub after: Option<u64>,
}

impl Asked {
    /// As the definition has it.
    pub fn definition(&self, question: &str, mut definition: Value) -> Value {
        definition["question"] = question.into();
        definition["rules"] = self.rules.to_vec().into();
        definition["limit"] = self.limit.into();
        definition["after"] = self.after.map(crate::persons::name).into();
        definition
    }
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let kind = body.remove("question").unwrap_or_else(|| "funnel".into());
    let page: Map<String, Value> = ["rules", "limit", "after"]
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), body.remove(field)?)))
        .collect();
    let refused = |field, detail: &str| QuestionError::Field { field, detail: detail.into() };
    let page: Page = serde_json::from_value(Value::Object(page)).map_err(|error| {
        refused("rules", &format!("name two, like [\"tallymark\", \"posthog\"]: {error}"))
    })?;
    if page.rules[0] == page.rules[1] {
        return Err(refused("rules", "name two rules that are not the same"));
    }
    let limit = page.limit.unwrap_or(100);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(QuestionError::Count {
            what: "people of a page (`limit`)",
            got: limit,
            min: 1,
            max: LIMIT_MAX,
        });
    }
    let after = page.after.as_deref().map(|name| {
        crate::persons::parse_name(name)
            .ok_or_else(|| refused("after", "write what an answer gives as `next`"))
    });
    if body.get("compat").is_some_and(|given| !given.is_null()) {
        return Err(refused("compat", "`rules` names them; leave it out"));
    }
    let asked = Asked { rules: page.rules, limit, after: after.transpose()? };
    match kind.as_str() {
        Some("funnel") => crate::funnel::explain::compile(body, context, asked),
        Some("retention") => crate::retention::explain::compile(body, context, asked),
        _ => Err(refused("question", "rules differ over a `funnel` or `retention`")),
    }
}
