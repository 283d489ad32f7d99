//! The document of a project: what is running, as browsers evaluate it.
//!
//! In: definitions. Out: features in the form of the GrowthBook specification, so that other
//! libraries read them too. Pure.
//!
//! Invariant: only what evaluation needs goes in. Hypotheses, metrics, dates and people's names stay.
//!
//! Points come from version 2 of the hash. Namespaces become filters, which have 10,000 places
//! instead of 1,000 and stay as they are when a holdout comes to them.

use serde_json::{Map, Value, json};

use super::definition::{Definition, Experiment, Flag, Holdout, Unit};

/// Version of the hash for everything that is defined here.
const HASH_VERSION: u32 = 2;

impl Unit {
    /// The attribute that holds it.
    const fn attribute(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::User => "user",
        }
    }
}

/// The feature of a definition, if it has one. `holdout` finds a holdout that is running.
pub fn feature<'a>(
    definition: &Definition,
    holdout: impl Fn(&str) -> Option<&'a Holdout>,
) -> Option<Value> {
    match definition {
        Definition::Experiment(experiment) => {
            let kept_out = experiment.holdout.as_deref().and_then(holdout);
            Some(experiment_feature(experiment, kept_out))
        }
        Definition::Flag(flag) => Some(flag_feature(flag)),
        Definition::Holdout(_) => None,
    }
}

fn experiment_feature(experiment: &Experiment, holdout: Option<&Holdout>) -> Value {
    let variants = &experiment.variants;
    let value = |at: usize| variants[at].value.clone().unwrap_or_else(|| json!(variants[at].key));
    let control = value(0);
    let mut rule = drawn(experiment.unit, experiment.seed.as_deref().unwrap_or(&experiment.key));
    rule.insert("key".into(), json!(experiment.key));
    rule.insert("variations".into(), (0..variants.len()).map(value).collect());
    rule.insert("meta".into(), variants.iter().map(|v| json!({ "key": v.key })).collect());
    let weights: Vec<f64> = variants.iter().filter_map(|v| v.weight).collect();
    if !weights.is_empty() {
        rule.insert("weights".into(), json!(weights));
    }
    if experiment.coverage < 1.0 {
        rule.insert("coverage".into(), json!(experiment.coverage));
    }
    if let Some(part) = &experiment.namespace {
        let filter = json!({
            "attribute": experiment.unit.attribute(), "seed": part.name,
            "hashVersion": HASH_VERSION, "ranges": [[part.from, part.to]],
        });
        rule.insert("filters".into(), json!([filter]));
    }
    let mut rules = Vec::new();
    if let Some(holdout) = holdout {
        rules.push(holdout_rule(holdout, &control));
    }
    rules.push(rule);
    for rule in &mut rules {
        insert_condition(rule, &experiment.targeting);
    }
    json!({ "defaultValue": control, "rules": rules })
}

/// People of a holdout get the control and take no further part; all others pass.
fn holdout_rule(holdout: &Holdout, control: &Value) -> Map<String, Value> {
    let mut rule = drawn(holdout.unit, &holdout.key);
    rule.insert("key".into(), json!(holdout.key));
    rule.insert("variations".into(), json!([control, control]));
    rule.insert("ranges".into(), json!([[0, holdout.share], [holdout.share, 1]]));
    rule.insert("meta".into(), json!([{ "key": "held" }, { "key": "open", "passthrough": true }]));
    rule
}

fn flag_feature(flag: &Flag) -> Value {
    let rule = |rule: &super::definition::Rule| {
        let mut fields = match rule.coverage < 1.0 {
            true => drawn(rule.unit, &flag.key),
            false => Map::new(),
        };
        if rule.coverage < 1.0 {
            // A range ends before its end, a coverage includes it: nobody is in no percent.
            fields.insert("range".into(), json!([0, rule.coverage]));
        }
        fields.insert("force".into(), rule.value.clone());
        insert_condition(&mut fields, &rule.targeting);
        Value::Object(fields)
    };
    let mut feature = json!({ "defaultValue": flag.value });
    if !flag.rules.is_empty() {
        feature["rules"] = flag.rules.iter().map(rule).collect();
    }
    feature
}

/// How a share is drawn. Whoever is signed in keeps what their browser had before.
fn drawn(unit: Unit, seed: &str) -> Map<String, Value> {
    let mut rule = Map::new();
    rule.insert("hashAttribute".into(), json!(unit.attribute()));
    if unit == Unit::User {
        rule.insert("fallbackAttribute".into(), json!(Unit::Device.attribute()));
    }
    rule.insert("hashVersion".into(), json!(HASH_VERSION));
    rule.insert("seed".into(), json!(seed));
    rule
}

fn insert_condition(rule: &mut Map<String, Value>, targeting: &Value) {
    if targeting.as_object().is_some_and(|fields| !fields.is_empty()) {
        rule.insert("condition".into(), targeting.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallymark_protocol::flags::{Evaluation, Native, Value as FlagValue};

    fn parse(json: Value) -> Definition {
        Definition::parse(json).unwrap()
    }

    fn experiment(more: Value) -> Definition {
        let variants = json!([{ "key": "control" }, { "key": "green", "value": 7 }]);
        let mut json = json!({
            "kind": "experiment", "key": "buy-button", "variants": variants,
            "hypothesis": "SECRET", "primary": { "event": "secret_event" }, "mde": 0.07,
            "starts_at": "2026-11-01T00:00:00Z",
        });
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parse(json)
    }

    fn one_holdout(definition: Definition) -> Holdout {
        let Definition::Holdout(holdout) = definition else { panic!("a holdout") };
        holdout
    }

    /// What `count` devices get: the value and the keys of the experiments that decided.
    fn outcomes(feature: &Value, attributes: Value, count: usize) -> Vec<(String, Vec<String>)> {
        let document = json!({ "features": { "f": feature } });
        let document = FlagValue::from(document);
        let person = |device: usize| {
            let mut attributes = attributes.clone();
            attributes["device"] = json!(format!("d{device}"));
            FlagValue::from(json!({ "attributes": attributes }))
        };
        (0..count)
            .map(|device| {
                let person = person(device);
                let mut evaluation = Evaluation::new(&document, &person, &Native);
                let value = format!("{:?}", evaluation.feature("f").value);
                let variant = |met: &tallymark_protocol::flags::Assignment| {
                    let rules = document.get("features").get("f").get("rules");
                    let rule = &rules.items().unwrap()[met.place.unwrap().1];
                    let variant = met.meta(rule).get("key").text().unwrap();
                    format!("{}={variant}", rule.get("key").text().unwrap())
                };
                let decided = evaluation.decided.iter();
                (value, decided.map(variant).collect())
            })
            .collect()
    }

    fn share(outcomes: &[(String, Vec<String>)], met: &str) -> f64 {
        let found = outcomes.iter().filter(|(_, decided)| decided.iter().any(|one| one == met));
        found.count() as f64 / outcomes.len() as f64
    }

    #[test]
    fn what_is_not_needed_for_evaluation_stays() {
        let feature = feature(&experiment(json!({})), |_| None).unwrap();
        let text = feature.to_string().to_lowercase();
        for kept in ["secret", "2026", "0.07", "hypothesis", "primary", "mde"] {
            assert!(!text.contains(kept), "{kept} in {text}");
        }
    }

    #[test]
    fn variants_have_their_shares_and_values() {
        let weighted = json!({ "variants": [
            { "key": "control", "weight": 0.2 }, { "key": "green", "value": 7, "weight": 0.8 },
        ] });
        let feature = feature(&experiment(weighted), |_| None).unwrap();
        let outcomes = outcomes(&feature, json!({}), 4_000);
        assert!((share(&outcomes, "buy-button=green") - 0.8).abs() < 0.03);
        let consistent = |(value, decided): &(String, Vec<String>)| {
            value.contains("7.0") == (decided == &["buy-button=green"])
        };
        assert!(outcomes.iter().all(consistent));
    }

    #[test]
    fn coverage_targeting_and_namespace_leave_people_out() {
        let narrow = json!({
            "coverage": 0.5, "targeting": { "country": "DE" },
            "namespace": { "name": "n", "from": 0.5, "to": 1 },
        });
        let feature = feature(&experiment(narrow), |_| None).unwrap();
        let here = outcomes(&feature, json!({ "country": "DE" }), 4_000);
        let part = share(&here, "buy-button=control") + share(&here, "buy-button=green");
        assert!((part - 0.25).abs() < 0.03, "{part}");
        let there = outcomes(&feature, json!({ "country": "FR" }), 100);
        assert!(
            there.iter().all(|(value, decided)| value.contains("control") && decided.is_empty())
        );
    }

    #[test]
    fn a_holdout_keeps_its_share_out_of_every_experiment_and_both_can_be_told() {
        let holdout = json!({ "kind": "holdout", "key": "q4", "share": 0.1 });
        let holdout = one_holdout(parse(holdout));
        let find = |key: &str| (key == "q4").then_some(&holdout);
        let held = |key: &str| {
            let part = experiment(json!({ "holdout": "q4", "key": key }));
            let all = outcomes(&feature(&part, find).unwrap(), json!({}), 4_000);
            assert!((share(&all, "q4=held") - 0.1).abs() < 0.02);
            assert!((share(&all, "q4=open") - 0.9).abs() < 0.02);
            let is_held = |(value, decided): &(String, Vec<String>)| {
                let held = decided.contains(&"q4=held".to_owned());
                assert!(!held || (decided.len() == 1 && value.contains("control")));
                held
            };
            all.iter().map(is_held).collect::<Vec<_>>()
        };
        assert_eq!(held("first"), held("second"), "the same people");
    }

    #[test]
    fn a_flag_has_rules_and_no_experiment() {
        let flag = parse(json!({
            "kind": "flag", "key": "f", "value": "old", "rules": [
                { "value": "test", "targeting": { "staff": true } },
                { "value": "new", "coverage": 0.3 },
            ],
        }));
        let feature = feature(&flag, |_| None).unwrap();
        let all = outcomes(&feature, json!({}), 4_000);
        let new = all.iter().filter(|(value, _)| value.contains("new")).count() as f64 / 4_000.0;
        assert!((new - 0.3).abs() < 0.03, "{new}");
        assert!(all.iter().all(|(_, decided)| decided.is_empty()));
        let staff = outcomes(&feature, json!({ "staff": true }), 10);
        assert!(staff.iter().all(|(value, _)| value.contains("test")));
    }

    #[test]
    fn raising_the_coverage_of_a_flag_takes_nobody_out() {
        let at = |coverage: f64| {
            let rules = json!([{ "value": 1, "coverage": coverage }]);
            let flag = parse(json!({ "kind": "flag", "key": "f", "value": 0, "rules": rules }));
            outcomes(&feature(&flag, |_| None).unwrap(), json!({}), 1_000)
        };
        let on = |(value, _): &(String, Vec<String>)| value.contains("1.0");
        let (none, some, more) = (at(0.0), at(0.2), at(0.6));
        assert!(!none.iter().any(on) && some.iter().any(on));
        assert!(some.iter().zip(&more).all(|(before, after)| !on(before) || on(after)));
    }
}
