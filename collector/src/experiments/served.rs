//! What is running, ready to be sent: made when definitions change, not when pages ask.
//!
//! In: the running definitions of a project. Out: the document at a moment, and its tag.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::definition::{Definition, Holdout};
use super::document::feature;
use crate::meta::definitions::Stored;

/// The document of one project.
#[derive(Debug, Default)]
pub struct Served {
    features: Vec<Feature>,
}

#[derive(Debug)]
struct Feature {
    /// `"key":{…}`
    json: String,
    from_ms: i64,
    until_ms: i64,
}

impl Served {
    /// Of what is running.
    pub fn new(running: &[Stored]) -> Self {
        let holdout = |key: &str| -> Option<&Holdout> {
            running.iter().find_map(|stored| match &stored.definition {
                Definition::Holdout(holdout) if holdout.key == key => Some(holdout),
                _ => None,
            })
        };
        let features = running.iter().filter_map(|stored| {
            let json = feature(&stored.definition, holdout)?;
            let (from_ms, until_ms) = match &stored.definition {
                Definition::Experiment(experiment) => (
                    experiment.starts_at.map_or(i64::MIN, |at| at.as_millisecond()),
                    experiment.ends_at.map_or(i64::MAX, |at| at.as_millisecond()),
                ),
                _ => (i64::MIN, i64::MAX),
            };
            let json = format!("{}:{json}", Value::from(stored.definition.key()));
            Some(Feature { json, from_ms, until_ms })
        });
        Self { features: features.collect() }
    }

    /// The document at this moment.
    pub fn document(&self, now_ms: i64) -> String {
        let now = self.features.iter().filter(|f| (f.from_ms..f.until_ms).contains(&now_ms));
        let features: Vec<&str> = now.map(|feature| feature.json.as_str()).collect();
        format!("{{\"features\":{{{}}}}}", features.join(","))
    }
}

/// The tag of a document. Weak, because it is sent packed and unpacked.
pub fn tag(document: &str) -> String {
    let digest = Sha256::digest(document.as_bytes());
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{hex}\"")
}

/// Whether a caller has the document of this tag, by its `If-None-Match` header.
pub fn has_it(if_none_match: &str, tag: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    if_none_match.split(',').any(|one| one.trim() == "*" || plain(one) == plain(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::life::State;
    use rstest::rstest;
    use serde_json::json;

    fn running(definition: Value) -> Stored {
        let definition = Definition::parse(definition).unwrap();
        let state = State::Running;
        let (created_ms, changed_ms, version) = (0, 0, 1);
        let (started_ms, concluded_ms) = (Some(0), None);
        Stored { definition, state, version, created_ms, changed_ms, started_ms, concluded_ms }
    }

    #[rstest]
    #[case::before(999, false)]
    #[case::at_the_start(1_000, true)]
    #[case::before_the_end(1_999, true)]
    #[case::at_the_end(2_000, false)]
    fn an_experiment_is_there_between_its_dates(#[case] now_ms: i64, #[case] there: bool) {
        let served = Served::new(&[running(json!({
            "kind": "experiment", "key": "a", "variants": [{ "key": "x" }, { "key": "y" }],
            "starts_at": "1970-01-01T00:00:01Z", "ends_at": "1970-01-01T00:00:02Z",
        }))]);
        let document: Value = serde_json::from_str(&served.document(now_ms)).unwrap();
        assert_eq!(document["features"].get("a").is_some(), there);
    }

    #[test]
    fn nothing_is_a_document_too() {
        assert_eq!(Served::default().document(0), r#"{"features":{}}"#);
    }

    #[rstest]
    #[case::the_same("W/\"ab\"", true)]
    #[case::strong("\"ab\"", true)]
    #[case::one_of_them("\"x\", W/\"ab\"", true)]
    #[case::any("*", true)]
    #[case::another("W/\"abc\"", false)]
    #[case::nothing("", false)]
    fn a_caller_has_it_by(#[case] header: &str, #[case] want: bool) {
        assert_eq!(has_it(header, "W/\"ab\""), want);
    }
}
