//! The question about a defined experiment: what was written down, where the request says nothing.
//!
//! In: a question of the kind `experiment`, and the definition of its key. Out: the question in full, and which
//! of its fields came from where. Pure; [`App::ask`](crate::app::App::ask) finds the definition.
//!
//! The range begins when it ran first (or when it was to start, if that was later), and ends when it was
//! concluded or was to end. Until then it is open, or ends at the last planned look that has passed.
//!
//! Deliberately elsewhere: experiments that are assigned elsewhere have no definition, and are asked as they are.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::definition::{Definition, Experiment, Unit};
use super::life::State;
use crate::meta::definitions::Stored;

/// Other experiments that are looked at.
const NEIGHBOURS_MAX: usize = 20;

/// What an answer says of the definition behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Defined {
    /// The version that was read.
    pub version: u32,
    /// Where in its life it is.
    pub state: State,
    /// What gets a variant.
    pub unit: Unit,
    /// What is expected, and why.
    pub hypothesis: String,
    /// Fields of the question that came from the definition.
    pub taken: Vec<String>,
    /// Fields that it has, and that the request replaced.
    pub replaced: Vec<String>,
}

/// The keys of experiments that people could meet while they met this one: those of other parts of its namespace
/// share nobody with it.
pub fn neighbours(own: &Stored, all: &[Stored], now_ms: i64) -> Vec<String> {
    let Definition::Experiment(experiment) = &own.definition else { return Vec::new() };
    let time = |stored: &Stored| Some((stored.started_ms?, stored.concluded_ms.unwrap_or(now_ms)));
    let Some((from_ms, to_ms)) = time(own) else { return Vec::new() };
    let is_apart = |other: &Experiment| match (&experiment.namespace, &other.namespace) {
        (Some(own), Some(other)) if own.name == other.name => {
            own.to <= other.from || other.to <= own.from
        }
        _ => false,
    };
    let meets = |stored: &&Stored| match (&stored.definition, time(stored)) {
        (Definition::Experiment(other), Some((starts_ms, ends_ms))) => {
            let at_once = starts_ms < to_ms && from_ms < ends_ms;
            other.key != experiment.key && at_once && !is_apart(other)
        }
        _ => false,
    };
    let found = all.iter().filter(meets).take(NEIGHBOURS_MAX);
    found.map(|stored| stored.definition.key().to_owned()).collect()
}

/// Fill a question in. Flags and holdouts say nothing of questions.
pub fn complete(
    body: Value,
    stored: &Stored,
    neighbours: &[String],
    now_ms: i64,
) -> (Value, Option<Defined>) {
    let (experiment, body) = match (&stored.definition, body) {
        (Definition::Experiment(experiment), Value::Object(body)) => (experiment, body),
        (_, body) => return (body, None),
    };
    let mut question = written(experiment, stored, now_ms);
    if !neighbours.is_empty() {
        question.entry("interactions").or_insert(neighbours.into());
    }
    let (mut taken, mut replaced) = (Vec::new(), Vec::new());
    for field in question.keys().filter(|field| *field != "experiment") {
        match (field.as_str(), body.get(field)) {
            // Of the plan, each field for itself.
            ("plan", Some(Value::Object(given))) => {
                replaced.extend(given.keys().map(|own| format!("plan.{own}")));
            }
            (_, None | Some(Value::Null)) => taken.push(field.clone()),
            _ => replaced.push(field.clone()),
        }
    }
    for (field, value) in body {
        match (question.get_mut(&field), value) {
            (Some(Value::Object(plan)), Value::Object(given)) if field == "plan" => {
                plan.extend(given);
            }
            (Some(_), Value::Null) => {}
            (_, value) => {
                question.insert(field, value);
            }
        }
    }
    let defined = Defined {
        version: stored.version,
        state: stored.state,
        unit: experiment.unit,
        hypothesis: experiment.hypothesis.clone(),
        taken,
        replaced,
    };
    (question.into(), Some(defined))
}

/// What the definition says, dates included.
fn written(experiment: &Experiment, stored: &Stored, now_ms: i64) -> Map<String, Value> {
    let mut question = experiment.question();
    // Whoever asks for a defined experiment wants a decision.
    question.entry("loss").or_insert(true.into());
    let until_ms = stored.concluded_ms.unwrap_or(now_ms);
    let of = |at: Option<Timestamp>| at.map(|at| at.as_millisecond());
    // It may be running before it starts: then nobody has met it yet.
    let starts_ms = of(experiment.starts_at).filter(|at| *at <= until_ms);
    let Some(from_ms) = stored.started_ms.max(starts_ms).filter(|_| stored.started_ms.is_some())
    else {
        return question;
    };
    question.insert("from".into(), instant(from_ms));
    let plan = question.get_mut("plan").and_then(Value::as_object_mut);
    let mut looks_ms = Vec::new();
    if let Some(plan) = plan {
        if let Some(Value::Array(looks)) = plan.get_mut("looks") {
            // One that passed before it ran is none.
            looks.retain(|look| millisecond(look).is_none_or(|at| at > from_ms));
            looks_ms = looks.iter().filter_map(millisecond).collect();
        }
        if let Some(concluded_ms) = stored.concluded_ms {
            plan.insert("concluded".into(), instant(concluded_ms.max(from_ms + 1)));
        }
    }
    let ends_ms = of(experiment.ends_at).filter(|at| *at <= until_ms);
    let ends_ms = ends_ms.into_iter().chain(stored.concluded_ms).min();
    let last_look_ms = looks_ms.into_iter().rfind(|at| *at <= now_ms);
    if let Some(to_ms) = ends_ms.or(last_look_ms) {
        question.insert("to".into(), instant(to_ms.max(from_ms + 1)));
    }
    question
}

fn instant(ms: i64) -> Value {
    Timestamp::from_millisecond(ms).unwrap_or_default().to_string().into()
}

/// A planned look, which definitions give as an instant.
fn millisecond(look: &Value) -> Option<i64> {
    look.as_str()?.parse::<Timestamp>().ok().map(|at| at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;
    use tallymark_analysis::compile;
    use tallymark_analysis::question::Context;

    const DAY: i64 = 86_400_000;
    /// 2026-11-01T00:00:00Z.
    const T0: i64 = 1_793_491_200_000;

    fn button(more: Value) -> Value {
        let mut definition = json!({
            "kind": "experiment", "key": "button", "hypothesis": "Green is seen earlier.",
            "variants": [{ "key": "old", "weight": 0.25 }, { "key": "green", "weight": 0.75 }],
            "primary": { "event": "bought" }, "secondary": [{ "event": "seen", "kind": "count" }],
            "guardrails": [{ "metric": { "event": "refund" }, "margin": 0.1 }], "mde": 0.05,
            "starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-11-29T00:00:00Z",
            "analysis": { "window": "7d", "plan": { "power": 0.9 } },
        });
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        definition
    }

    fn stored(definition: Value, started: Option<i64>, concluded: Option<i64>) -> Stored {
        let state = match (started, concluded) {
            (None, _) => State::Draft,
            (_, None) => State::Running,
            _ => State::Concluded,
        };
        Stored {
            definition: Definition::parse(definition).unwrap(),
            state,
            version: 3,
            created_ms: 0,
            changed_ms: 0,
            started_ms: started.map(|days| T0 + days * DAY),
            concluded_ms: concluded.map(|days| T0 + days * DAY),
        }
    }

    fn asked(body: Value, stored: &Stored, now_days: i64) -> (Value, Defined) {
        let (question, defined) = complete(body, stored, &[], T0 + now_days * DAY);
        let context = Context::utc(T0 + now_days * DAY);
        compile("experiment", question.clone(), &context).expect("a question");
        (question, defined.expect("a definition"))
    }

    #[test]
    fn a_key_is_a_whole_question() {
        let stored = stored(button(json!({})), Some(1), None);
        let (question, defined) = asked(json!({ "experiment": "button" }), &stored, 10);
        let want = json!({
            "experiment": "button", "window": "7d", "control": "old", "loss": true,
            "variants": [{ "key": "old", "weight": 0.25 }, { "key": "green", "weight": 0.75 }],
            "metrics": [
                { "event": "bought" }, { "event": "seen", "kind": "count" },
                { "event": "refund", "role": "guardrail", "margin": 0.1 } ],
            "plan": { "ends": "2026-11-29T00:00:00Z", "lift": 0.05, "power": 0.9 },
            "from": "2026-11-02T00:00:00Z",
        });
        assert_eq!(question, want);
        assert_eq!(
            defined.taken,
            ["control", "from", "loss", "metrics", "plan", "variants", "window"]
        );
        assert_eq!((defined.version, defined.state), (3, State::Running));
        assert!(defined.replaced.is_empty());
    }

    #[test]
    fn the_request_comes_first_and_the_answer_says_so() {
        let stored = stored(button(json!({})), Some(0), None);
        let body = json!({ "experiment": "button", "window": "1d", "daily": true, "control": null,
            "plan": { "power": 0.8, "alpha": 0.01 }, "from": "2026-11-05" });
        let (question, defined) = asked(body, &stored, 10);
        assert_eq!((&question["window"], &question["daily"]), (&json!("1d"), &json!(true)));
        assert_eq!(question["control"], "old", "null asks for nothing");
        let plan =
            json!({ "ends": "2026-11-29T00:00:00Z", "lift": 0.05, "power": 0.8, "alpha": 0.01 });
        assert_eq!(question["plan"], plan);
        assert_eq!(defined.replaced, ["from", "plan.alpha", "plan.power", "window"]);
        assert_eq!(defined.taken, ["control", "loss", "metrics", "variants"]);
    }

    #[rstest]
    #[case::a_draft(None, None, 5, None, None)]
    #[case::running(Some(2), None, 10, Some("2026-11-03T00:00:00Z"), None)]
    #[case::running_before_its_start(Some(-9), None, -5, Some("2026-10-23T00:00:00Z"), None)]
    #[case::started_before_its_start(Some(-9), None, 5, Some("2026-11-01T00:00:00Z"), None)]
    #[case::past_its_end(
        Some(0),
        None,
        30,
        Some("2026-11-01T00:00:00Z"),
        Some("2026-11-29T00:00:00Z")
    )]
    #[case::concluded_early(
        Some(0),
        Some(9),
        20,
        Some("2026-11-01T00:00:00Z"),
        Some("2026-11-10T00:00:00Z")
    )]
    #[case::concluded_late(
        Some(0),
        Some(40),
        50,
        Some("2026-11-01T00:00:00Z"),
        Some("2026-11-29T00:00:00Z")
    )]
    #[case::concluded_at_once(
        Some(2),
        Some(2),
        9,
        Some("2026-11-03T00:00:00Z"),
        Some("2026-11-03T00:00:00.001Z")
    )]
    fn results_are_there_at_any_time_of_a_life(
        #[case] started: Option<i64>,
        #[case] concluded: Option<i64>,
        #[case] now_days: i64,
        #[case] from: Option<&str>,
        #[case] to: Option<&str>,
    ) {
        let stored = stored(button(json!({})), started, concluded);
        let (question, _) = asked(json!({ "experiment": "button" }), &stored, now_days);
        assert_eq!(question.get("from").and_then(Value::as_str), from);
        assert_eq!(question.get("to").and_then(Value::as_str), to);
        assert_eq!(question["plan"].get("concluded").is_some(), concluded.is_some());
    }

    #[rstest]
    #[case::before_the_first(6, None)]
    #[case::at_the_first(7, Some("2026-11-08T00:00:00Z"))]
    #[case::between(13, Some("2026-11-08T00:00:00Z"))]
    #[case::at_the_second(14, Some("2026-11-15T00:00:00Z"))]
    #[case::at_the_end(28, Some("2026-11-29T00:00:00Z"))]
    fn planned_looks_are_looked_at(#[case] now_days: i64, #[case] to: Option<&str>) {
        let looks = ["2026-11-08T00:00:00Z", "2026-11-15T00:00:00Z"];
        let analysis = json!({ "method": "group_sequential", "plan": { "looks": looks } });
        let definition = button(json!({ "analysis": analysis }));
        let running = stored(definition.clone(), Some(0), None);
        let (question, _) = asked(json!({ "experiment": "button" }), &running, now_days);
        assert_eq!(question.get("to").and_then(Value::as_str), to);
        // One that was before it ran is no look.
        let (question, _) = asked(
            json!({ "experiment": "button" }),
            &stored(definition, Some(8), None),
            now_days + 8,
        );
        assert_eq!(question["plan"]["looks"], json!([looks[1]]));
    }

    /// An experiment of another key, in a part of a namespace, for these days.
    fn other(key: &str, part: Option<(f64, f64)>, days: [Option<i64>; 2]) -> Stored {
        let mut more = json!({ "key": key });
        if let Some((from, to)) = part {
            more["namespace"] = json!({ "name": "checkout", "from": from, "to": to });
        }
        stored(button(more), days[0], days[1])
    }

    #[test]
    fn experiments_that_people_meet_at_the_same_time_are_looked_at() {
        let half = Some((0.0, 0.5));
        let all = [
            other("a_draft", None, [None, None]),
            other("button", half, [Some(2), None]),
            other("concluded_before", None, [Some(0), Some(2)]),
            other("in_another_part", Some((0.5, 1.0)), [Some(3), None]),
            other("in_the_same_part", Some((0.4, 1.0)), [Some(3), None]),
            other("still_running", None, [Some(0), None]),
            other("until_after_the_start", None, [Some(0), Some(3)]),
        ];
        let found = neighbours(&all[1], &all, T0 + 9 * DAY);
        assert_eq!(found, ["in_the_same_part", "still_running", "until_after_the_start"]);
        let body = json!({ "experiment": "button" });
        let (question, _) = complete(body.clone(), &all[1], &found, T0 + 9 * DAY);
        assert_eq!(question["interactions"], json!(found));
        let mut none = body;
        none["interactions"] = json!([]);
        let (question, _) = complete(none, &all[1], &found, T0 + 9 * DAY);
        assert_eq!(question["interactions"], json!([]));
    }

    #[test]
    fn a_flag_says_nothing_of_questions() {
        let flag = json!({ "kind": "flag", "key": "button", "value": 1 });
        let body = json!({ "experiment": "button" });
        assert_eq!(complete(body.clone(), &stored(flag, Some(0), None), &[], T0), (body, None));
    }
}
