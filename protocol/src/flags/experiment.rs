//! What an experiment does with somebody: which variant, or why none.

use super::address::{forced_variation, is_target, with_parameters};
use super::condition::text_of;
use super::feature::Parents;
use super::{Evaluation, Host, NULL, Value};
use crate::allocation::{HashVersion, Range, bucket_ranges, choose_variation, in_namespace, point};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// What an experiment did. Plain numbers: what they stand for is in the experiment, which the
/// asker has.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub struct Assignment {
    /// The places of the feature and of its rule; `None` for an experiment by itself.
    pub place: Option<(usize, usize)>,
    /// The place of the variation; the first one when the person does not take part.
    pub variation: usize,
    /// Whether the person takes part.
    pub included: bool,
    /// Whether allocation decided, and nobody asked for this variant: only that is an exposure.
    pub hashed: bool,
    /// Whether an earlier assignment decided.
    pub sticky: bool,
    /// Whether the assignment is one to keep for later visits.
    pub keep: bool,
    /// Whether the attribute was missing and the fallback stood in for it.
    pub by_fallback: bool,
    /// The point of the person.
    pub bucket: Option<f64>,
    /// Whose weights a contextual bandit used.
    pub leaf: Leaf,
}

/// Whose weights were used.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub enum Leaf {
    /// The experiment's; it is no contextual bandit.
    None,
    /// The experiment's: the person belongs to no part of the bandit.
    Marginal,
    /// Those at this place among the bandit's `contexts`.
    At(usize),
}

impl Assignment {
    /// What the experiment says about the variation: its `key`, its `name`, whether it lets pass.
    pub fn meta<'a>(&self, experiment: &'a Value) -> &'a Value {
        list(experiment.get("meta")).get(self.variation).unwrap_or(&NULL)
    }

    /// What the variation holds.
    pub fn value<'a>(&self, experiment: &'a Value) -> &'a Value {
        variations(experiment).get(self.variation).unwrap_or(&NULL)
    }
}

/// Why an earlier assignment does not help.
enum Earlier {
    /// There is none, or none that is still valid.
    None,
    /// This variation was given before.
    Variation(usize),
    /// One of a version that must not take part any more.
    Blocked,
}

impl<'a, H: Host> Evaluation<'a, H> {
    /// Runs an experiment that belongs to no feature.
    pub fn experiment(&mut self, experiment: &'a Value) -> Assignment {
        self.run(experiment, None, "")
    }

    /// The first of these experiments that sends the person to another page: its place, and the
    /// address.
    pub fn redirect(&mut self, experiments: &'a [Value]) -> Option<(usize, String)> {
        let page = self.person.get("url").text().unwrap_or_default();
        experiments.iter().enumerate().find_map(|(place, experiment)| {
            let met = self.experiment(experiment);
            let target =
                met.value(experiment).get("urlRedirect").text().filter(|_| met.included)?;
            let keep = experiment.get("persistQueryString").is_truthy();
            let url = if keep { with_parameters(page, target) } else { target.to_owned() };
            Some((place, url))
        })
    }

    /// Runs an experiment: the rule of a feature at this place, or one by itself. `feature` is its key
    /// unless it has one.
    pub(super) fn run(
        &mut self,
        experiment: &'a Value,
        place: Option<(usize, usize)>,
        feature: &str,
    ) -> Assignment {
        let mut met = Assignment {
            place,
            variation: 0,
            included: false,
            hashed: false,
            sticky: false,
            keep: false,
            by_fallback: false,
            bucket: None,
            leaf: Leaf::None,
        };
        let count = variations(experiment).len();
        if count > 1 && !is_false(self.person.get("enabled")) {
            let chosen = self.choose(&mut met, experiment, feature, count);
            if let Some(at) = chosen.filter(|at| *at < count) {
                (met.variation, met.included) = (at, true);
            }
        }
        met.hashed &= met.included;
        if met.hashed {
            met.keep = self.keeps(experiment);
            self.decided.push(met);
        }
        met
    }

    /// The place of the variation, before it is known whether there is one at that place. `None`
    /// when the person does not take part. The order of the questions is the specification's.
    fn choose(
        &mut self,
        met: &mut Assignment,
        experiment: &'a Value,
        feature: &str,
        count: usize,
    ) -> Option<usize> {
        let key = experiment.get("key").text().unwrap_or(feature);
        let unit = self.unit_of(experiment);
        met.by_fallback = unit.as_ref().is_some_and(|(by_fallback, _)| *by_fallback);
        let url = self.person.get("url").text().unwrap_or_default();
        if let Some(targets) = experiment.get("urlPatterns").items()
            && !is_target(self.host, url, targets)
        {
            return None;
        }
        if let Some(asked) = forced_variation(key, url, count) {
            return Some(asked);
        }
        if let Some(forced) = self.person.get("forcedVariations").find(key) {
            return forced.whole().map(|at| at as usize);
        }
        let status = experiment.get("status").text();
        if status == Some("draft") || is_false(experiment.get("active")) {
            return None;
        }
        let (_, id) = unit?;
        let earlier = self.earlier(experiment, key);
        if !matches!(earlier, Earlier::Variation(_)) {
            // A rule's prerequisites were asked for before the rule was.
            let ready =
                met.place.is_some() || matches!(self.parents(experiment), Parents::Fulfilled);
            if !ready || !self.is_eligible(experiment, &id) {
                return None;
            }
        }
        let seed = experiment.get("seed").text().unwrap_or(key);
        let bucket = point(seed, &id, version(experiment, 1)?);
        let assigned = match earlier {
            Earlier::Variation(at) => at,
            Earlier::Blocked => return None,
            Earlier::None => self.draw(met, experiment, count, bucket)?,
        };
        if let Some(forced) = experiment.find("force") {
            return forced.whole().map(|at| at as usize);
        }
        if self.person.get("qaMode").is_truthy() || status == Some("stopped") {
            return None;
        }
        met.hashed = true;
        met.bucket = Some(bucket);
        met.sticky = matches!(earlier, Earlier::Variation(_));
        Some(assigned)
    }

    /// The variation at a point.
    fn draw(
        &self,
        met: &mut Assignment,
        experiment: &Value,
        count: usize,
        bucket: f64,
    ) -> Option<usize> {
        if let Some(ranges) = experiment.get("ranges").items() {
            return ranges.iter().position(|ends| range(list(ends)).contains(bucket));
        }
        let weights = self.weights(met, experiment);
        let weights =
            weights.items().map(|w| w.iter().filter_map(Value::number).collect::<Vec<_>>());
        let coverage = experiment.get("coverage").number().unwrap_or(1.0);
        choose_variation(bucket, &bucket_ranges(count, coverage, weights.as_deref()))
    }

    /// The weights of an experiment; of a contextual bandit those of the first part that the person
    /// belongs to.
    fn weights<'e>(&self, met: &mut Assignment, experiment: &'e Value) -> &'e Value
    where
        'a: 'e,
    {
        let own = experiment.get("weights");
        let bandits = self.document.get("contextualBandits");
        let name = experiment.get("contextualBanditRef").text();
        let Some(bandit) = name.and_then(|name| bandits.find(name)) else { return own };
        let mut leaves = list(bandit.get("contexts")).iter().enumerate();
        let Some((at, leaf)) = leaves.find(|(_, leaf)| self.holds(leaf.get("condition"))) else {
            met.leaf = Leaf::Marginal;
            return own;
        };
        met.leaf = Leaf::At(at);
        leaf.get("weights")
    }

    /// Whether the person may take part: filters or namespace, and targeting.
    fn is_eligible(&self, experiment: &Value, id: &str) -> bool {
        let apart = match experiment.get("filters").items() {
            Some(filters) => self.is_filtered_out(filters),
            None => match experiment.get("namespace").items() {
                Some([name, part @ ..]) => {
                    !in_namespace(id, name.text().unwrap_or_default(), range(part))
                }
                _ => false,
            },
        };
        !apart && self.holds(experiment.get("condition"))
    }

    /// The id that a rule allocates by, and whether the second attribute stands in for the first. It
    /// does where assignments are kept.
    pub(super) fn unit_of(&self, rule: &Value) -> Option<(bool, String)> {
        let first = self.id(rule.get("hashAttribute").text().unwrap_or("id"));
        if let Some(id) = first {
            return Some((false, id));
        }
        let second = rule.get("fallbackAttribute").text().filter(|_| self.keeps(rule))?;
        Some((true, self.id(second)?))
    }

    /// An attribute as an id: a text, a number or true.
    fn id(&self, attribute: &str) -> Option<String> {
        let value = self.person.get("attributes").get(attribute);
        let plain = !matches!(value, Value::List(_) | Value::Map(_)) && value.is_truthy();
        plain.then(|| text_of(self.host, value))
    }

    /// Whether some filter leaves the person out.
    pub(super) fn is_filtered_out(&self, filters: &[Value]) -> bool {
        !filters.iter().all(|filter| {
            let Some(id) = self.id(filter.get("attribute").text().unwrap_or("id")) else {
                return false;
            };
            let Some(version) = version(filter, 2) else { return false };
            let at = point(filter.get("seed").text().unwrap_or_default(), &id, version);
            list(filter.get("ranges")).iter().any(|r| range(list(r)).contains(at))
        })
    }

    /// Whether assignments of this experiment are kept.
    fn keeps(&self, experiment: &Value) -> bool {
        self.person.find("stickyBucketAssignmentDocs").is_some()
            && !experiment.get("disableStickyBucketing").is_truthy()
    }

    /// What was assigned before, by the first attribute or by the one that stood in for it.
    fn earlier(&self, experiment: &Value, key: &str) -> Earlier {
        if !self.keeps(experiment) {
            return Earlier::None;
        }
        let first = self.kept(experiment.get("hashAttribute").text().unwrap_or("id"));
        let second = self.kept(experiment.get("fallbackAttribute").text().unwrap_or_default());
        let assigned = |version: u32| {
            let name = joined(key, "__", &self.host.text_of(version.into()));
            first.find(&name).or_else(|| second.find(&name))
        };
        let oldest = experiment.get("minBucketVersion").whole().unwrap_or(0);
        if (0..oldest.min(BUCKET_VERSIONS_MAX)).any(|version| assigned(version).is_some()) {
            return Earlier::Blocked;
        }
        let variation = assigned(experiment.get("bucketVersion").whole().unwrap_or(0));
        let same = |meta: &Value| variation.is_some_and(|key| meta.get("key") == key);
        let place = list(experiment.get("meta")).iter().position(same);
        place.map_or(Earlier::None, Earlier::Variation)
    }

    /// The assignments kept under an attribute of the person.
    fn kept(&self, attribute: &str) -> &Value {
        let name = joined(attribute, "||", &self.id(attribute).unwrap_or_default());
        self.person.get("stickyBucketAssignmentDocs").get(&name).get("assignments")
    }
}

/// Versions of an experiment that are looked for among earlier assignments.
const BUCKET_VERSIONS_MAX: u32 = 1_000;

fn joined(first: &str, between: &str, last: &str) -> String {
    let mut text = String::from(first);
    text.push_str(between);
    text.push_str(last);
    text
}

fn variations(experiment: &Value) -> &[Value] {
    let contextual = experiment.get("contextualVariations").items();
    contextual.unwrap_or(list(experiment.get("variations")))
}

fn list(value: &Value) -> &[Value] {
    value.items().unwrap_or_default()
}

fn is_false(value: &Value) -> bool {
    matches!(value, Value::Bool(false))
}

/// The version of the hash that a rule or a filter asks for.
pub(super) fn version(rule: &Value, default: u32) -> Option<HashVersion> {
    let number = rule.get("hashVersion");
    let number = if number.is_truthy() { number.whole()? } else { default };
    HashVersion::from_number(number)
}

/// A range written as a list of its two ends; empty if it is none.
pub(super) fn range(ends: &[Value]) -> Range {
    let end = |at: usize| ends.get(at).and_then(Value::number).unwrap_or(0.0);
    Range { start: end(0), end: end(1) }
}
