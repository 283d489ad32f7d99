//! All cases of `tests/vectors/growthbook-cases.json`; every failure is listed by its name.

use super::*;
use crate::vectors;
use serde_json::{Map, Value as Json, json};

/// One case: a list of its fields, the name first.
type Case = Vec<Json>;

/// Runs a section and says which cases fail. `check` gives what is and what should be.
fn section(name: &str, count: usize, check: impl Fn(&Case) -> (Json, Json)) {
    let file: Json = vectors::load("growthbook-cases.json");
    let cases: Vec<Case> = serde_json::from_value(file[name].clone()).expect("lists of fields");
    assert_eq!(cases.len(), count, "cases in {name}");
    let failed: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let (got, want) = check(case);
            (got != want).then(|| format!("{}: got {got}, want {want}", case[0]))
        })
        .collect();
    assert!(failed.is_empty(), "{name}: {} fail\n{}", failed.len(), failed.join("\n"));
}

fn document(json: &Json) -> Value {
    json.clone().into()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(yes) => json!(yes),
        Value::Number(number) if number.fract() == 0.0 => json!(*number as i64),
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
    }
}

/// The fields of a rule that belong to its experiment.
const EXPERIMENT_FIELDS: [&str; 16] = [
    "variations",
    "coverage",
    "weights",
    "hashAttribute",
    "fallbackAttribute",
    "disableStickyBucketing",
    "bucketVersion",
    "minBucketVersion",
    "namespace",
    "meta",
    "ranges",
    "name",
    "phase",
    "seed",
    "hashVersion",
    "filters",
];

/// An experiment where the document has it, and the context it was run in.
struct Met<'a> {
    assignment: Assignment,
    experiment: &'a Value,
    context: &'a Json,
    feature: &'a Json,
}

impl Met<'_> {
    fn key(&self) -> &str {
        self.experiment.get("key").text().or(self.feature.as_str()).unwrap_or_default()
    }

    fn attribute(&self) -> &str {
        let role = if self.assignment.by_fallback { "fallbackAttribute" } else { "hashAttribute" };
        self.experiment.get(role).text().unwrap_or("id")
    }

    fn variant(&self) -> String {
        let meta = self.assignment.meta(self.experiment);
        meta.get("key").text().map_or(self.assignment.variation.to_string(), str::to_owned)
    }

    fn experiment_json(&self) -> Json {
        let field = |name: &&str| Some(((*name).to_owned(), json(self.experiment.find(name)?)));
        let mut fields: Map<_, _> =
            EXPERIMENT_FIELDS.iter().chain(&["condition"]).filter_map(field).collect();
        fields.insert("key".into(), self.key().into());
        if let Some(variations) = self.experiment.find("contextualVariations") {
            fields.insert("variations".into(), json(variations));
        }
        if let Some(leaf) = self.leaf_json() {
            fields.insert("contextualBandit".into(), leaf);
        }
        fields.into()
    }

    fn leaf_json(&self) -> Option<Json> {
        let bandits = &self.context["contextualBandits"];
        let bandit = &bandits[self.experiment.get("contextualBanditRef").text()?];
        let (id, weights) = match self.assignment.leaf {
            Leaf::None => return None,
            Leaf::Marginal => (json!(-1), json(self.experiment.get("weights"))),
            Leaf::At(place) => {
                let leaf = &bandit["contexts"][place];
                (leaf["leafId"].clone(), leaf["weights"].clone())
            }
        };
        let version = &bandit["banditVersion"];
        Some(json!({ "leafId": id, "variationWeights": weights, "banditVersion": version }))
    }

    fn result_json(&self) -> Json {
        let Met { assignment: met, experiment, .. } = self;
        let mut fields = json!({
            "featureId": self.feature,
            "key": self.variant(),
            "variationId": met.variation,
            "value": json(met.value(experiment)),
            "inExperiment": met.included,
            "hashUsed": met.hashed,
            "hashAttribute": self.attribute(),
            "hashValue": self.context["attributes"][self.attribute()],
            "stickyBucketUsed": met.sticky,
        });
        let own = fields.as_object_mut().expect("an object");
        let name = met.meta(experiment).get("name").text();
        own.extend(name.map(|name| ("name".to_owned(), name.into())));
        own.extend(met.bucket.map(|bucket| ("bucket".to_owned(), bucket.into())));
        own.extend(
            self.leaf_json().iter().flat_map(|leaf| leaf.as_object().expect("an object").clone()),
        );
        fields
    }
}

fn outcome_json(outcome: &Outcome<'_>, rules: &Value, context: &Json, feature: &Json) -> Json {
    let source = match outcome.source {
        Source::Unknown => "unknownFeature",
        Source::Default => "defaultValue",
        Source::Force => "force",
        Source::Experiment => "experiment",
        Source::Prerequisite => "prerequisite",
        Source::Cyclic => "cyclicPrerequisite",
    };
    let on = outcome.value.is_truthy();
    let rule = outcome.rule.map_or(&NULL, |at| &rules.items().expect("rules")[at]);
    let mut fields = json!({
        "value": json(outcome.value), "on": on, "off": !on, "source": source,
        "ruleId": rule.get("id").text().unwrap_or_default(),
    });
    if let Some(assignment) = outcome.assignment {
        let met = Met { assignment, experiment: rule, context, feature };
        fields["experiment"] = met.experiment_json();
        fields["experimentResult"] = met.result_json();
    }
    fields
}

/// Numbers as they are compared: 1 and 1.0 are the same, and bounds have eight decimals.
fn even(json: &Json) -> Json {
    match json {
        Json::Number(number) => {
            let number = number.as_f64().expect("a number");
            json!((number * 1e8).round() / 1e8)
        }
        Json::Array(items) => items.iter().map(even).collect(),
        Json::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), even(v))).collect(),
        other => other.clone(),
    }
}

#[test]
fn conditions_hold_as_specified() {
    section("evalCondition", 248, |case| {
        let groups = case.get(4).map_or(Value::Null, document);
        let conditions = Conditions { groups: &groups, host: &Native, is_value: false };
        let held = conditions.hold(&document(&case[1]), &document(&case[2]));
        (json!(held), case[3].clone())
    });
}

#[test]
fn features_have_the_values_specified() {
    section("feature", 55, |case| {
        let context = document(&case[1]);
        let key = case[2].as_str().expect("a key");
        let mut evaluation = Evaluation::new(&context, &context, &Native);
        let outcome = evaluation.feature(key);
        let rules = context.get("features").get(key).get("rules");
        (even(&outcome_json(&outcome, rules, &case[1], &case[2])), even(&case[3]))
    });
}

#[test]
fn experiments_run_as_specified() {
    section("run", 73, |case| {
        let (context, experiment) = (document(&case[1]), document(&case[2]));
        let mut evaluation = Evaluation::new(&context, &context, &Native);
        let met = evaluation.experiment(&experiment);
        let got = json!([json(met.value(&experiment)), met.included, met.hashed]);
        (even(&got), even(&json!(case[3..6])))
    });
}

#[test]
fn sticky_assignments_are_used_and_kept_as_specified() {
    section("stickyBucket", 13, |case| {
        let context = &case[1];
        let name = |attribute: &Json, value: &Json| {
            format!(
                "{}||{}",
                attribute.as_str().unwrap_or_default(),
                value.as_str().unwrap_or_default()
            )
        };
        let attributes = context["attributes"].as_object().expect("attributes");
        let own: Vec<_> = attributes.iter().map(|(a, v)| name(&json!(a), v)).collect();
        let mut kept: Map<String, Json> = Map::new();
        for stored in case[2].as_array().expect("documents") {
            let name = name(&stored["attributeName"], &stored["attributeValue"]);
            if own.contains(&name) {
                kept.insert(name, stored.clone());
            }
        }
        let mut person = context.clone();
        person["stickyBucketAssignmentDocs"] = kept.clone().into();
        let person = document(&person);
        let mut evaluation = Evaluation::new(&person, &person, &Native);
        let outcome = evaluation.feature(case[3].as_str().expect("a key"));
        let met = |assignment: Assignment| {
            let (feature, rule) = assignment.place.expect("of a feature");
            let rules = person.get("features").fields()[feature].1.get("rules");
            let experiment = &rules.items().expect("rules")[rule];
            Met { assignment, experiment, context, feature: &case[3] }
        };
        for met in evaluation.decided.iter().filter(|one| one.keep).copied().map(met) {
            let value = &context["attributes"][met.attribute()];
            let name = name(&json!(met.attribute()), value);
            let document = kept.entry(name).or_insert_with(|| {
                json!({ "attributeName": met.attribute(), "attributeValue": value, "assignments": {} })
            });
            let version = met.experiment.get("bucketVersion").whole().unwrap_or(0);
            document["assignments"][format!("{}__{version}", met.key())] = met.variant().into();
        }
        let result = outcome.assignment.map(|assignment| met(assignment).result_json());
        (even(&json!([result, kept])), even(&json!([case[4], case[5]])))
    });
}

#[test]
fn redirects_lead_where_specified() {
    section("urlRedirect", 4, |case| {
        let context = document(&case[1]);
        let experiments = context.get("experiments").items().expect("experiments").to_vec();
        let mut evaluation = Evaluation::new(&context, &context, &Native);
        let redirects = evaluation.redirect(&experiments).into_iter().map(|(place, url)| {
            let experiment = &experiments[place];
            let met = Evaluation::new(&context, &context, &Native).experiment(experiment);
            let target = json(met.value(experiment).get("urlRedirect"));
            json!({ "inExperiment": met.included, "urlRedirect": target, "urlWithParams": url })
        });
        (redirects.collect(), case[2].clone())
    });
}

#[test]
fn addresses_force_variations_as_specified() {
    section("getQueryStringOverride", 16, |case| {
        let text = |at: usize| case[at].as_str().expect("a text");
        let count = case[3].as_u64().expect("a count") as usize;
        (json!(forced_variation(text(1), text(2), count)), case[4].clone())
    });
}

#[test]
fn a_chain_or_a_web_of_prerequisites_ends() {
    let parent = |id: usize| json!({ "id": format!("f{id}"), "condition": { "value": true } });
    let chain = |parents: fn(usize) -> Vec<usize>| {
        let feature = |id: usize| {
            let parents: Json = parents(id).into_iter().map(parent).collect();
            let rules = json!([{ "parentConditions": parents, "force": true }]);
            (format!("f{id}"), json!({ "defaultValue": true, "rules": rules }))
        };
        let features: Map<_, _> = (0..2_000).map(feature).collect();
        document(&json!({ "features": features }))
    };
    let source = |document: &Value, key: &str| {
        Evaluation::new(document, document, &Native).feature(key).source
    };
    let line = chain(|id| id.checked_sub(1).into_iter().collect());
    assert_eq!(source(&line, "f63"), Source::Force, "64 in a row");
    assert_eq!(source(&line, "f64"), Source::Cyclic, "65 in a row");
    let web = chain(|id| id.checked_sub(1).map_or(vec![], |one| vec![one, one]));
    assert_eq!(source(&web, "f40"), Source::Cyclic, "2^40 paths");
}
