//! The life of a definition: draft → running ⇄ paused → concluded.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tallymark_analysis::stats::decision::Method;

/// Where in its life a definition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Being written; anything may change.
    Draft,
    /// In the document of pages.
    Running,
    /// Out of the document, and may come back.
    Paused,
    /// Over, for good.
    Concluded,
}

impl State {
    /// All states, in the order of a life.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Running, Self::Paused, Self::Concluded];

    /// Its name in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Concluded => "concluded",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Where it may go from here.
    pub const fn next(self) -> &'static [State] {
        match self {
            Self::Draft => &[Self::Running],
            Self::Running => &[Self::Paused, Self::Concluded],
            Self::Paused => &[Self::Running, Self::Concluded],
            Self::Concluded => &[],
        }
    }
}

/// What may change once an experiment has begun: how many take part, how long, and what is looked
/// at beside the primary metric. Everything else decides who gets what, or was promised beforehand.
const EXPERIMENT_MAY_CHANGE: [&str; 4] = ["coverage", "ends_at", "secondary", "guardrails"];

/// The first field of a definition that differs and may no longer change. Both are in their JSON form.
pub fn frozen_field(
    state: State,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Option<String> {
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    let mut changed = before.keys().chain(after.keys()).filter(differs);
    let is_flag = before.get("kind").is_some_and(|kind| kind == "flag");
    let ends_as_planned = decides_at_its_end(before);
    let may_change = |name: &String| match state {
        _ if name == "key" || name == "kind" => false,
        State::Draft => true,
        State::Running | State::Paused if is_flag => true,
        State::Running | State::Paused if ends_as_planned && name == "ends_at" => false,
        State::Running | State::Paused => EXPERIMENT_MAY_CHANGE.contains(&name.as_str()),
        State::Concluded => false,
    };
    changed.find(|name| !may_change(name)).cloned()
}

/// Whether the method of an experiment decides at its planned end: then that may not move once people have
/// looked, or it would be moved until something is found.
fn decides_at_its_end(definition: &Map<String, Value>) -> bool {
    let method = definition.get("analysis").and_then(|analysis| analysis.get("method"));
    let method = method.and_then(|method| serde_json::from_value::<Method>(method.clone()).ok());
    method.is_some_and(Method::needs_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn a_life_goes_only_forward_and_a_pause_may_end() {
        let legal: Vec<_> = State::ALL
            .into_iter()
            .flat_map(|from| from.next().iter().map(move |to| (from.as_str(), to.as_str())))
            .collect();
        let want = [
            ("draft", "running"),
            ("running", "paused"),
            ("running", "concluded"),
            ("paused", "running"),
            ("paused", "concluded"),
        ];
        assert_eq!(legal, want);
    }

    #[rstest]
    #[case::draft_anything(State::Draft, "variants", None)]
    #[case::draft_not_the_key(State::Draft, "key", Some("key"))]
    #[case::running_coverage(State::Running, "coverage", None)]
    #[case::running_guardrails(State::Running, "guardrails", None)]
    #[case::running_variants(State::Running, "variants", Some("variants"))]
    #[case::running_targeting(State::Running, "targeting", Some("targeting"))]
    #[case::running_primary(State::Running, "primary", Some("primary"))]
    #[case::paused_seed(State::Paused, "seed", Some("seed"))]
    #[case::paused_end(State::Paused, "ends_at", None)]
    #[case::concluded_coverage(State::Concluded, "coverage", Some("coverage"))]
    fn what_may_change(#[case] state: State, #[case] field: &str, #[case] frozen: Option<&str>) {
        let before = json!({ "kind": "experiment", "key": "a", field: "before" });
        let mut after = before.clone();
        after[field] = json!("after");
        let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
        assert_eq!(frozen_field(state, before, after).as_deref(), frozen);
    }

    #[rstest]
    #[case::by_default(json!({}), None)]
    #[case::watched(json!({ "method": "sequential" }), None)]
    #[case::fixed(json!({ "method": "fixed" }), Some("ends_at"))]
    #[case::hybrid(json!({ "method": "hybrid" }), Some("ends_at"))]
    #[case::group_sequential(json!({ "method": "group_sequential" }), Some("ends_at"))]
    fn an_end_that_decides_does_not_move(#[case] analysis: Value, #[case] frozen: Option<&str>) {
        let before = json!({ "kind": "experiment", "ends_at": 1, "analysis": analysis });
        let mut after = before.clone();
        after["ends_at"] = json!(2);
        let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
        assert_eq!(frozen_field(State::Running, before, after).as_deref(), frozen);
        assert_eq!(frozen_field(State::Draft, before, after), None);
    }

    #[test]
    fn a_field_that_is_taken_away_has_changed() {
        let before = json!({ "kind": "experiment", "namespace": {} });
        let after = json!({ "kind": "experiment" });
        let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
        assert_eq!(frozen_field(State::Running, before, after).as_deref(), Some("namespace"));
    }

    #[test]
    fn a_running_flag_may_change_its_rules() {
        let before = json!({ "kind": "flag", "rules": [] });
        let after = json!({ "kind": "flag", "rules": [1] });
        let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
        assert_eq!(frozen_field(State::Running, before, after), None);
    }
}
