//! Every question there is, and the way from a kind and a JSON body to something a store can scan.
//!
//! In: what the caller asked, the project's time zone and the clock. Out: a [`Compiled`] question.
//! A new analysis is its folder and one line here.

use serde_json::{Map, Value, json};

use crate::cohort;
use crate::question::{Common, Compiled, Context, QuestionError};

type Compile = fn(Map<String, Value>, &Context) -> Result<Compiled, QuestionError>;

/// Every question there is: one line each.
const QUESTIONS: &[(&str, Compile)] = &[
    ("trend", crate::trend::compile),
    ("active", crate::active::compile),
    ("funnel", crate::funnel::compile),
    ("retention", crate::retention::compile),
    ("lifecycle", crate::lifecycle::compile),
    ("stickiness", crate::stickiness::compile),
    ("experiment", crate::experiment::compile),
    ("content", crate::content::compile),
    ("pwa", crate::pwa::compile),
    ("completeness", crate::completeness::compile),
    ("paths", crate::paths::compile),
    ("sessions", crate::sessions::compile),
    ("attribution", crate::attribution::compile),
    ("revenue", crate::revenue::compile),
    ("persons", crate::persons::compile_list),
    ("person", crate::persons::compile_timeline),
    ("explain", crate::explain::compile),
];

/// The kinds of questions, as in the path of the HTTP query.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    QUESTIONS.iter().map(|(kind, _)| *kind)
}

/// Understand a question of this kind.
///
/// # Errors
/// [`QuestionError`] says what is wrong and what to do; its `code` is permanent.
pub fn compile(kind: &str, body: Value, context: &Context) -> Result<Compiled, QuestionError> {
    let Some((_, compile)) = QUESTIONS.iter().find(|(name, _)| *name == kind) else {
        return Err(QuestionError::UnknownKind {
            kind: kind.into(),
            known: kinds().collect::<Vec<_>>().join(", "),
        });
    };
    let mut body = match body {
        Value::Object(body) => body,
        Value::Null => Map::new(),
        _ => {
            let detail = "a question is a JSON object".into();
            return Err(QuestionError::Malformed { detail });
        }
    };
    let given = body.remove("cohort").filter(|cohort| !cohort.is_null());
    let as_of = body.remove("as_of").filter(|as_of| !as_of.is_null());
    let range = ["tz", "from", "to"].map(|field| (field.to_owned(), body.get(field).cloned()));
    let mut range = range.into_iter().filter_map(|(field, value)| Some((field, value?))).collect();
    let mut among = Vec::new();
    if let Some(given) = &given {
        let common = Common::take(&mut range, context)?;
        // Rules end where the range does; those of an experiment where it begins, because who did something
        // in it may have done so for a variant.
        let end_ms = if kind == "experiment" { common.from_ms } else { common.to_ms };
        among.push(cohort::compile_until(end_ms, given, &common)?);
    }
    let known_now = match &as_of {
        Some(as_of) => known_now(kind, as_of, &mut body, context)?,
        None => None,
    };
    let mut compiled = compile(body, context)?;
    if let Some((filter, cohort)) = known_now {
        compiled = compiled.of(cohort).of_now().defined("where", filter);
    }
    for (field, value) in [("cohort", given), ("as_of", as_of)] {
        if let Some(value) = value {
            compiled = compiled.defined(field, value);
        }
    }
    Ok(among.into_iter().fold(compiled, Compiled::of))
}

/// With `"as_of": "now"`, what `where` says is asked of the last values of each person, whenever they had them,
/// and no more of events.
fn known_now(
    kind: &str,
    as_of: &Value,
    body: &mut Map<String, Value>,
    context: &Context,
) -> Result<Option<(Value, cohort::Cohort)>, QuestionError> {
    let refused =
        |detail: &str| Err(QuestionError::Field { field: "as_of", detail: detail.into() });
    match as_of.as_str() {
        Some("event") => return Ok(None),
        Some("now") => {}
        _ => return refused("write `event` (the values at the event, the default) or `now`"),
    }
    if kind == "experiment" {
        return refused("what is known now may be what a variant did; leave it out");
    }
    let Some(filter) = body.remove("where").filter(|filter| !filter.is_null()) else {
        return Ok(None);
    };
    let mut always = Map::from_iter([("from".to_owned(), json!("1970-01-01"))]);
    let mut until_now = Common::take(&mut always, context)?;
    until_now.to_ms = context.now_ms.saturating_add(1);
    let cohort = cohort::compile(&json!({ "has": filter }), &until_now)?;
    Ok(Some((filter, cohort)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every block of the page is a question, and every kind has one.
    #[test]
    fn the_page_of_questions_is_understood() {
        let page = include_str!("../../../docs/questions.md");
        let context = Context::utc(1_795_000_000_000);
        let mut shown = std::collections::BTreeSet::new();
        for block in page.split("```json ").skip(1) {
            let (kind, rest) = block.split_once('\n').unwrap();
            let (body, _) = rest.split_once("```").unwrap();
            let body = serde_json::from_str(body).unwrap();
            compile(kind, body, &context).unwrap_or_else(|error| panic!("{kind}: {error}"));
            shown.insert(kind.to_owned());
        }
        assert_eq!(shown, kinds().map(str::to_owned).collect());
    }
}
