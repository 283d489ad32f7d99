//! The value of a feature: its rules in order, the first that applies decides.

use super::experiment::{Assignment, range, version};
use super::{Conditions, EVALUATIONS_MAX, Evaluation, Host, NULL, PATH_MAX, Value};
use crate::allocation::point;

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub enum Source {
    /// The document has no such feature.
    Unknown,
    /// No rule applied.
    Default,
    /// A rule that sets a value.
    Force,
    /// An experiment.
    Experiment,
    /// A prerequisite is not fulfilled.
    Prerequisite,
    /// A feature is its own prerequisite, or there are far too many.
    Cyclic,
}

/// What somebody gets of a feature.
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub struct Outcome<'a> {
    /// The value; null when there is none.
    pub value: &'a Value,
    /// Why.
    pub source: Source,
    /// The place of the rule among the feature's rules.
    pub rule: Option<usize>,
    /// What the experiment of the rule did.
    pub assignment: Option<Assignment>,
}

impl Outcome<'_> {
    fn nothing(source: Source) -> Self {
        Outcome { value: &NULL, source, rule: None, assignment: None }
    }
}

/// What prerequisites say about a rule.
pub(super) enum Parents {
    Fulfilled,
    /// The rule does not apply.
    Missing,
    /// The feature has no value at all.
    Closed,
    Cyclic,
}

impl<'a, H: Host> Evaluation<'a, H> {
    /// The value of the feature with this key.
    pub fn feature(&mut self, key: &str) -> Outcome<'a> {
        self.path.clear();
        self.left = EVALUATIONS_MAX;
        self.deeper(key)
    }

    fn deeper(&mut self, key: &str) -> Outcome<'a> {
        let features = self.document.get("features").fields();
        let mut places = features.iter().enumerate();
        let Some((at, (key, feature))) = places.find(|(_, (own, _))| own == key) else {
            return Outcome::nothing(Source::Unknown);
        };
        if self.path.contains(&at) || self.path.len() == PATH_MAX || self.left == 0 {
            return Outcome::nothing(Source::Cyclic);
        }
        self.left -= 1;
        self.path.push(at);
        let outcome = self.rules(at, key, feature);
        self.path.pop();
        outcome
    }

    fn rules(&mut self, at: usize, key: &str, feature: &'a Value) -> Outcome<'a> {
        for (place, rule) in feature.get("rules").items().unwrap_or_default().iter().enumerate() {
            match self.parents(rule) {
                Parents::Fulfilled => {}
                Parents::Missing => continue,
                Parents::Closed => return Outcome::nothing(Source::Prerequisite),
                Parents::Cyclic => return Outcome::nothing(Source::Cyclic),
            }
            if let Some(filters) = rule.get("filters").items()
                && self.is_filtered_out(filters)
            {
                continue;
            }
            if let Some(value) = rule.find("force") {
                if self.holds(rule.get("condition")) && self.is_in_rollout(key, rule) {
                    let rule = Some(place);
                    return Outcome { value, source: Source::Force, rule, assignment: None };
                }
                continue;
            }
            let assignment = self.run(rule, Some((at, place)), key);
            if assignment.included && !assignment.meta(rule).get("passthrough").is_truthy() {
                return Outcome {
                    value: assignment.value(rule),
                    source: Source::Experiment,
                    rule: Some(place),
                    assignment: Some(assignment),
                };
            }
        }
        let value = feature.get("defaultValue");
        Outcome { value, source: Source::Default, rule: None, assignment: None }
    }

    /// Whether the features that a rule or an experiment depends on have the values it wants.
    pub(super) fn parents(&mut self, rule: &'a Value) -> Parents {
        for parent in rule.get("parentConditions").items().unwrap_or_default() {
            let outcome = self.deeper(parent.get("id").text().unwrap_or_default());
            if outcome.source == Source::Cyclic {
                return Parents::Cyclic;
            }
            // A prerequisite's condition is about its value and knows no groups.
            let conditions = Conditions { groups: &NULL, host: self.host, is_value: true };
            if !conditions.hold(parent.get("condition"), outcome.value) {
                let closed = parent.get("gate").is_truthy();
                return if closed { Parents::Closed } else { Parents::Missing };
            }
        }
        Parents::Fulfilled
    }

    /// Whether a rule that sets a value is for this person, or for a share of all in which they are
    /// not.
    fn is_in_rollout(&self, key: &str, rule: &Value) -> bool {
        let (ends, coverage) = (rule.get("range").items(), rule.get("coverage").number());
        if ends.is_none() && coverage.is_none() {
            return true;
        }
        let Some((_, id)) = self.unit_of(rule) else { return false };
        let Some(version) = version(rule, 1) else { return false };
        let at = point(rule.get("seed").text().unwrap_or(key), &id, version);
        match (ends, coverage) {
            (Some(ends), _) => range(ends).contains(at),
            (None, share) => share.is_some_and(|share| share > 0.0 && at <= share),
        }
    }
}
