//! How complete the page loads of each variant are, asked of the loss meter.
//!
//! In: an answer, and the question it answers. Out: one figure per arm, for
//! [`loss::judge`](tallymark_analysis::experiment::loss::judge). Each is the question `completeness`, asked of those
//! who met the variant, in the form of the HTTP contract.

use serde_json::{Value, json};
use tallymark_analysis::answer::{Answer, AnswerBody, ArmLoss, ExperimentAnswer};
use tallymark_analysis::question::{Compiled, Context};
use tallymark_analysis::{QuestionError, compile};

/// Ask for every arm; nothing where completeness is not measured.
///
/// # Errors
/// Whatever `ask` fails with, and what is wrong with the question.
pub fn of_arms<E: From<QuestionError>>(
    answer: &ExperimentAnswer,
    definition: &Value,
    context: &Context,
    mut ask: impl FnMut(&Compiled) -> Result<Answer, E>,
) -> Result<Option<Vec<ArmLoss>>, E> {
    let mut losses = Vec::new();
    for arm in &answer.arms {
        let body = question(&answer.experiment, &arm.variant, definition);
        let compiled = match compile("completeness", body, context) {
            Err(QuestionError::UnknownKind { .. }) => return Ok(None),
            compiled => compiled?,
        };
        losses.push(read(&arm.variant, &ask(&compiled)?.body));
    }
    Ok(Some(losses))
}

fn question(experiment: &str, variant: &str, definition: &Value) -> Value {
    let met = json!([
        { "prop": "experiment", "op": "eq", "value": experiment },
        { "prop": "variant", "op": "eq", "value": variant },
    ]);
    json!({
        "tz": definition["tz"], "from": definition["from"], "to": definition["to"],
        "cohort": { "did": { "event": "$exposure", "where": met } },
    })
}

fn read(variant: &str, body: &AnswerBody) -> ArmLoss {
    let total = serde_json::to_value(body).unwrap_or_default()["total"].take();
    let count = |field: &str| total[field].as_u64().unwrap_or(0);
    ArmLoss {
        variant: variant.into(),
        page_loads: count("page_loads"),
        page_loads_with_gaps: count("page_loads_with_gaps"),
        completeness_ratio: total["completeness_ratio"].as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether its cohort and range are understood, asked as a question of another kind.
    #[test]
    fn the_question_is_of_those_who_met_the_variant() {
        let context = Context::utc(1_795_000_000_000);
        let range = json!({ "tz": "Europe/Berlin", "from": "2026-11-01", "to": "2026-11-08" });
        let mut body = question("button", "green", &range);
        body["series"] = json!([{ "measure": "persons" }]);
        let compiled = compile("trend", body, &context).expect("a question");
        let met = &compiled.definition["cohort"]["did"];
        assert_eq!(met["where"][1]["value"], "green");
        assert_eq!(compiled.definition["to"], "2026-11-08T00:00:00+01:00");
    }
}
