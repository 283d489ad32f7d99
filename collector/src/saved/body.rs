//! What each kind holds, and what of it can be used.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tallymark_analysis::time_bucket::instant;

use super::board::Board;
use super::{Kind, Refused};

/// Characters of a key.
const KEY_CHARS_MAX: usize = 64;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 200;
/// Characters of an annotation.
const TEXT_CHARS_MAX: usize = 1_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cohort {
    #[serde(default)]
    name: String,
    cohort: Value,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    name: String,
    kind: String,
    #[serde(default)]
    question: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotation {
    text: String,
    at: String,
    to: Option<String>,
}

/// Read what is to be saved. Whether rules and questions make sense is another question.
///
/// # Errors
/// [`Refused::Wrong`] names the field.
pub fn parse(
    kind: Kind,
    body: Map<String, Value>,
    tz: &TimeZone,
) -> Result<Map<String, Value>, Refused> {
    match kind {
        Kind::Cohort => checked(body, |cohort: &Cohort| name(&cohort.name)),
        Kind::Question => checked(body, |question: &Question| name(&question.name)),
        Kind::Dashboard => checked(body, |board: &Board| {
            name(&board.name)?;
            board.check()
        }),
        Kind::Annotation => checked(body, |annotation: &Annotation| {
            if !(1..=TEXT_CHARS_MAX).contains(&annotation.text.chars().count()) {
                return Err(Refused::Wrong("text", format!("1 to {TEXT_CHARS_MAX} characters")));
            }
            let (from_ms, to_ms) = span(annotation, tz)?;
            match from_ms < to_ms {
                true => Ok(()),
                false => Err(Refused::Wrong("to", "it lies after `at`".into())),
            }
        }),
    }
}

/// Fields in one order and with defaults, if the check has nothing against them.
fn checked<T: Serialize + serde::de::DeserializeOwned>(
    body: Map<String, Value>,
    check: impl Fn(&T) -> Result<(), Refused>,
) -> Result<Map<String, Value>, Refused> {
    let parsed: T = serde_json::from_value(Value::Object(body))
        .map_err(|error| Refused::Wrong("body", error.to_string()))?;
    check(&parsed)?;
    match serde_json::to_value(parsed) {
        Ok(Value::Object(body)) => Ok(body),
        _ => unreachable!("a struct is an object"),
    }
}

/// A key that can stand in addresses and questions.
///
/// # Errors
/// [`Refused::Wrong`].
pub fn key(key: &str) -> Result<(), Refused> {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let fits = (1..=KEY_CHARS_MAX).contains(&key.len()) && key.chars().all(is_fine);
    match fits {
        true => Ok(()),
        false => {
            let detail = format!(
                "1 to {KEY_CHARS_MAX} lower-case letters, digits, `-`, `_` and `.`, not {key:?}"
            );
            Err(Refused::Wrong("key", detail))
        }
    }
}

fn name(name: &str) -> Result<(), Refused> {
    match name.chars().count() <= NAME_CHARS_MAX {
        true => Ok(()),
        false => Err(Refused::Wrong("name", format!("at most {NAME_CHARS_MAX} characters"))),
    }
}

/// From when to when an annotation holds; a moment is a millisecond.
fn span(annotation: &Annotation, tz: &TimeZone) -> Result<(i64, i64), Refused> {
    let at = |field: &'static str, text: &str| {
        instant(field, text, tz).map_err(|error| Refused::Wrong(field, error.to_string()))
    };
    let from_ms = at("at", &annotation.at)?;
    let to_ms = annotation.to.as_deref().map(|to| at("to", to)).transpose()?;
    Ok((from_ms, to_ms.unwrap_or(from_ms + 1)))
}

/// Whether a saved annotation holds within a time.
pub fn is_within(body: &Map<String, Value>, times: &std::ops::Range<i64>, tz: &TimeZone) -> bool {
    let annotation: Option<Annotation> = serde_json::from_value(Value::Object(body.clone())).ok();
    let span = annotation.and_then(|annotation| span(&annotation, tz).ok());
    span.is_some_and(|(from_ms, to_ms)| from_ms < times.end && to_ms > times.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn read(kind: Kind, body: Value) -> Result<Map<String, Value>, Refused> {
        parse(kind, body.as_object().unwrap().clone(), &TimeZone::UTC)
    }

    #[rstest]
    #[case::no_rules(Kind::Cohort, json!({ "name": "x" }), "body")]
    #[case::a_field_nobody_knows(Kind::Cohort, json!({ "cohort": [], "colour": 1 }), "body")]
    #[case::a_long_name(Kind::Cohort, json!({ "cohort": [], "name": "é".repeat(201) }), "name")]
    #[case::no_kind(Kind::Question, json!({ "question": {} }), "body")]
    #[case::no_text(Kind::Annotation, json!({ "text": "", "at": "2026-09-01" }), "text")]
    #[case::no_time(Kind::Annotation, json!({ "text": "x", "at": "yesterday" }), "at")]
    #[case::backwards(Kind::Annotation, json!({ "text": "x", "at": "2026-09-02", "to": "2026-09-02" }), "to")]
    fn what_cannot_be_saved_says_which_field(
        #[case] kind: Kind,
        #[case] body: Value,
        #[case] field: &str,
    ) {
        let refused = read(kind, body).unwrap_err();
        assert!(matches!(refused, Refused::Wrong(wrong, _) if wrong == field), "{refused}");
    }

    #[test]
    fn keys_are_short_and_plain() {
        for (text, fits) in [("a", true), ("release-1.2_x", true), ("", false), ("A", false)] {
            assert_eq!(key(text).is_ok(), fits, "{text}");
        }
        assert!(key(&"k".repeat(64)).is_ok() && key(&"k".repeat(65)).is_err());
    }

    #[test]
    fn an_annotation_holds_from_its_time_to_its_end() {
        let body = json!({ "text": "sale", "at": "2026-09-02", "to": "2026-09-04" });
        let body = read(Kind::Annotation, body).unwrap();
        let day = |day: i64| 1_788_220_800_000 + (day - 1) * 86_400_000;
        for (from, to, want) in [(1, 2, false), (1, 3, true), (3, 4, true), (4, 5, false)] {
            let got = is_within(&body, &(day(from)..day(to)), &TimeZone::UTC);
            assert_eq!(got, want, "{from} to {to}");
        }
    }
}
