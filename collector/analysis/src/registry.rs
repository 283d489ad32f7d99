//! Every question there is, and the way from a kind and a JSON body to something a store can scan.
//!
//! In: what the caller asked, the project's time zone and the clock. Out: a [`Compiled`] question.
//! A new analysis is its folder and one line here.

use serde_json::{Map, Value};

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
    let cohort = body.remove("cohort").filter(|cohort| !cohort.is_null());
    let Some(given) = cohort else { return compile(body, context) };
    // Its rules end where the range does.
    let range = ["tz", "from", "to"].map(|field| (field.to_owned(), body.get(field).cloned()));
    let mut range = range.into_iter().filter_map(|(field, value)| Some((field, value?))).collect();
    let cohort = crate::cohort::compile(&given, &Common::take(&mut range, context)?)?;
    Ok(compile(body, context)?.of(cohort, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every block of the page is a question, and every kind has one.
    #[test]
    fn the_page_of_questions_is_understood() {
        let page = include_str!("../../../docs/questions.md");
        let context = Context { tz: "UTC".into(), now_ms: 1_795_000_000_000 };
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
