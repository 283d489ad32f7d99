//! The question about a defined experiment, as far as the definition says it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tallymark_analysis::question::{Context, QuestionError};
use tallymark_analysis::registry::compile;

use super::{Experiment, Guardrail, Variant, Wrong};
use crate::saved::resolve::without_names;

/// Fields of the question that other fields of a definition say.
const SAID_ELSEWHERE: [&str; 8] =
    ["experiment", "metrics", "variants", "control", "from", "to", "tz", "breakdown"];
/// The same of its plan.
const SAID_ELSEWHERE_OF_PLAN: [&str; 3] = ["ends", "lift", "concluded"];

impl Experiment {
    /// Metrics and their analysis are what the question `experiment` takes, so that question says what
    /// is wrong.
    pub(super) fn check_question(&self) -> Result<(), Wrong> {
        if self.guardrails.iter().any(|guardrail| !(0.0..=1.0).contains(&guardrail.margin)) {
            return Err(Wrong::new("guardrails", "a margin lies in 0..=1: 0.01 is one percent"));
        }
        let plan = self.analysis.get("plan").and_then(Value::as_object);
        let twice = SAID_ELSEWHERE.iter().find(|field| self.analysis.contains_key(**field));
        let twice = twice.or_else(|| {
            SAID_ELSEWHERE_OF_PLAN
                .iter()
                .find(|field| plan.is_some_and(|p| p.contains_key(**field)))
        });
        if let Some(field) = twice {
            let detail = format!("`{field}` follows from the other fields of the definition");
            return Err(Wrong::new("analysis", detail));
        }
        let mut question = self.question();
        if let Some(looks) = plan.and_then(|plan| plan.get("looks")) {
            let is_instant =
                |look: &Value| look.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok());
            if !looks.as_array().is_some_and(|looks| looks.iter().all(is_instant)) {
                let detail = "planned looks are instants, such as 2026-11-15T00:00:00Z";
                return Err(Wrong::new("analysis", detail));
            }
            let Some(start) = self.starts_at else {
                return Err(Wrong::new("starts_at", "planned looks need it, to share the time"));
            };
            question.insert("from".into(), start.to_string().into());
        }
        let is_of_analysis = |error: &QuestionError| match error {
            QuestionError::Field { field, .. } => {
                self.analysis.contains_key(*field) || *field == "plan"
            }
            _ => false,
        };
        // A range that ends where it begins in 1970 would be none.
        let now_ms = self.ends_at.map_or(0, |end| end.as_millisecond());
        let context = Context::utc(now_ms);
        // Whether there are cohorts of these names is another question.
        let mut question = Value::Object(question);
        without_names(&mut question);
        compile("experiment", question, &context).map(drop).map_err(|error| {
            let field = if is_of_analysis(&error) { "analysis" } else { "metrics" };
            Wrong::new(field, error.to_string())
        })
    }

    /// The question about it, but for its dates.
    pub fn question(&self) -> Map<String, Value> {
        let mut question = self.analysis.clone();
        let variant = |v: &Variant| json!({ "key": v.key, "weight": v.weight.unwrap_or(1.0) });
        let mut plan = match question.remove("plan") {
            Some(Value::Object(plan)) => plan,
            _ => Map::new(),
        };
        if let Some(end) = self.ends_at {
            plan.insert("ends".into(), end.to_string().into());
        }
        if let Some(mde) = self.mde {
            plan.insert("lift".into(), mde.into());
        }
        question.insert("experiment".into(), self.key.clone().into());
        question.insert("variants".into(), self.variants.iter().map(variant).collect());
        question.insert("control".into(), self.variants[0].key.clone().into());
        question.insert("metrics".into(), self.metrics().into());
        question.insert("plan".into(), plan.into());
        question
    }

    /// All metrics, the deciding one first: any conversion where none is named.
    fn metrics(&self) -> Vec<Value> {
        let primary = match &self.primary {
            Value::Null => json!({ "name": "conversion" }),
            primary => primary.clone(),
        };
        let guarding = |guardrail: &Guardrail| {
            let mut metric = guardrail.metric.clone();
            if let Value::Object(fields) = &mut metric {
                fields.insert("role".into(), "guardrail".into());
                fields.insert("margin".into(), guardrail.margin.into());
            }
            metric
        };
        let guardrails = self.guardrails.iter().map(guarding);
        std::iter::once(primary).chain(self.secondary.iter().cloned()).chain(guardrails).collect()
    }
}
