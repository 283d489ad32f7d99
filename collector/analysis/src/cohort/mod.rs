//! Cohorts: people by what they did, by what is last known of them, or by a list.
//!
//! In: rules, as JSON. Out: an analysis that finds who meets them, and another question asked of those alone.
//!
//! - `{"did": {"event": "purchase", "where": …, "at_least": 2, "at_most": 5, "from": …, "to": …}}`: so many events,
//!   one or more if the rule does not say. Without `from` all of the past counts, without `to` all before the end of
//!   the question's range.
//! - `{"has": …}`: filters, as in `where`, of the last value of each property before that end.
//! - `{"persons": ["00f3…", …]}`: people as answers name them.
//! - `{"all": […]}`, `{"any": […]}`, `{"not": …}` of rules; a list is `all`.
//! - `{"saved": {"key", "version", "rules"}}`: the rules of a cohort that has a name; the collector fills them in.
//!
//! Who has done nothing before the end of the range is in no cohort, also not in one of those who did not do
//! something.
//!
//! Deliberately elsewhere: names of saved cohorts (the collector).

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashSet;
use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, Facts};
use crate::columns::{Block, Span};
use crate::events::{ABSENT, Dictionaries, EventSet, Run, ScanPlan};
use crate::filter::{Columns, Condition, Matcher, Properties, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::question::{Common, QuestionError};
use crate::time_bucket::instant;

#[cfg(test)]
mod tests;

/// Rules in one cohort.
const RULES_MAX: usize = 64;
/// Rules inside each other.
const DEPTH_MAX: usize = 6;
/// People in a list.
const PERSONS_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    Did(Did),
    Has(Value),
    Persons(Vec<String>),
    All(Vec<Given>),
    Any(Vec<Given>),
    Not(Box<Given>),
    Saved(Saved),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    #[serde(rename = "key")]
    _key: String,
    #[serde(rename = "version")]
    _version: u32,
    rules: Value,
}

impl Given {
    fn parse(given: &Value) -> Result<Self, QuestionError> {
        match given {
            Value::Array(_) => serde_json::from_value(given.clone()).map(Self::All),
            _ => serde_json::from_value(given.clone()),
        }
        .map_err(|error| {
            let known = "a rule is {\"did\":…}, {\"has\":…}, {\"persons\":[…]}, {\"all\":[…]}, {\"any\":[…]}, {\"not\":…} or {\"saved\":…}";
            wrong(format!("{known}: {error}"))
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Did {
    event: Option<String>,
    #[serde(default, rename = "where")]
    filter: Value,
    #[serde(default = "one")]
    at_least: u64,
    at_most: Option<u64>,
    from: Option<String>,
    to: Option<String>,
}

fn one() -> u64 {
    1
}

/// A rule, bound to columns.
#[derive(Debug)]
enum Rule {
    /// The pattern, and how often.
    Did(usize, std::ops::RangeInclusive<u64>),
    Has(Condition),
    Persons(HashSet<u64>),
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
}

/// Finds who meets the rules.
pub struct Cohort {
    plan: ScanPlan,
    shape: Arc<Shape>,
}

struct Shape {
    rule: Rule,
    patterns: Matcher,
    /// By pattern: when it counts.
    times: Vec<std::ops::Range<i64>>,
    /// The properties of `has`, by their columns.
    texts: Vec<(String, TextColumn)>,
    numbers: Vec<(String, usize)>,
}

/// What compiling collects.
struct Binder<'a> {
    common: &'a Common,
    rules: usize,
    patterns: Vec<(Option<String>, Condition)>,
    times: Vec<std::ops::Range<i64>>,
    has: Vec<Condition>,
    needs_all: bool,
}

fn wrong(detail: impl Into<String>) -> QuestionError {
    QuestionError::Field { field: "cohort", detail: detail.into() }
}

/// Understand the rules, for a question with these common fields.
///
/// # Errors
/// [`QuestionError`] says which rule is wrong.
pub(crate) fn compile(given: &Value, common: &Common) -> Result<Cohort, QuestionError> {
    let given = Given::parse(given)?;
    let (patterns, times, has) = (Vec::new(), Vec::new(), Vec::new());
    let mut binder = Binder { common, rules: 0, patterns, times, has, needs_all: false };
    let rule = binder.rule(given, DEPTH_MAX)?;
    let Binder { patterns, times, has, needs_all, .. } = binder;
    let mut columns = Columns::default();
    for condition in &has {
        condition.bind(&mut columns);
    }
    let texts = columns.texts.clone();
    let texts = texts.into_iter().map(|name| (name.clone(), columns.text(&name))).collect();
    let numbers = columns.numbers.iter().cloned().zip(0..).collect();
    let names: Option<Vec<String>> = patterns.iter().map(|(event, _)| event.clone()).collect();
    let events = match names.filter(|names| !needs_all && !names.is_empty()) {
        Some(names) => EventSet::Only(names),
        None => EventSet::All,
    };
    let patterns =
        patterns.into_iter().map(|(event, condition)| (event, condition.bind(&mut columns)));
    let patterns = Matcher::new(patterns.collect());
    let plan = ScanPlan::with(columns, i64::MIN, common.to_ms, events);
    Ok(Cohort { plan, shape: Arc::new(Shape { rule, patterns, times, texts, numbers }) })
}

impl Binder<'_> {
    fn rule(&mut self, given: Given, depth: usize) -> Result<Rule, QuestionError> {
        self.rules += 1;
        if self.rules > RULES_MAX {
            return Err(wrong(format!("a cohort has at most {RULES_MAX} rules")));
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(wrong(format!("rules are nested at most {DEPTH_MAX} deep")));
        };
        let mut each = |rules: Vec<Given>| -> Result<Vec<Rule>, QuestionError> {
            rules.into_iter().map(|rule| self.rule(rule, depth)).collect()
        };
        Ok(match given {
            Given::All(rules) => Rule::All(each(rules)?),
            Given::Any(rules) if rules.is_empty() => {
                return Err(wrong("`any` of nothing is nobody; give at least one rule"));
            }
            Given::Any(rules) => Rule::Any(each(rules)?),
            Given::Not(rule) => {
                // Whoever did nothing of it is met only among all.
                self.needs_all = true;
                Rule::Not(Box::new(self.rule(*rule, depth)?))
            }
            Given::Has(filter) => {
                self.needs_all = true;
                let condition = Condition::parse(&filter)?;
                self.has.push(condition.clone());
                Rule::Has(condition)
            }
            Given::Persons(names) => {
                self.needs_all = true;
                Rule::Persons(persons(&names)?)
            }
            Given::Did(did) => self.did(did)?,
            Given::Saved(saved) => self.rule(Given::parse(&saved.rules)?, depth)?,
        })
    }

    fn did(&mut self, did: Did) -> Result<Rule, QuestionError> {
        let times = did.at_least..=did.at_most.unwrap_or(u64::MAX);
        if times.is_empty() {
            return Err(wrong("`at_least` is more than `at_most`"));
        }
        if *times.start() == 0 {
            self.needs_all = true;
        }
        let at = |field: &'static str, text: Option<&String>| {
            text.map(|text| instant(field, text, &self.common.tz)).transpose()
        };
        let from_ms = at("cohort.from", did.from.as_ref())?.unwrap_or(i64::MIN);
        let to_ms = at("cohort.to", did.to.as_ref())?.unwrap_or(self.common.to_ms);
        if from_ms >= to_ms {
            return Err(wrong("a rule's `from` lies before its `to`"));
        }
        self.patterns.push((did.event, Condition::parse(&did.filter)?));
        self.times.push(from_ms..to_ms.min(self.common.to_ms));
        Ok(Rule::Did(self.patterns.len() - 1, times))
    }
}

fn persons(names: &[String]) -> Result<HashSet<u64>, QuestionError> {
    if names.len() > PERSONS_MAX {
        return Err(QuestionError::Count {
            what: "people in the list of a cohort",
            got: names.len(),
            min: 0,
            max: PERSONS_MAX,
        });
    }
    let person = |name: &String| {
        crate::persons::parse_name(name).ok_or_else(|| {
            wrong(format!("`{name}` is not sixteen hexadecimal digits, as answers name people"))
        })
    };
    names.iter().map(person).collect()
}

/// The bag that members are in, as the bits of numbers.
const MEMBERS: i64 = 0;

impl Cohort {
    /// Those whom a table of this names.
    pub(crate) fn members(partial: &Partial) -> Members {
        let bags = partial.bags.get(&[Key::Int(MEMBERS)][..]);
        Members(Arc::new(bags.into_iter().flatten().map(|bits| bits.to_bits()).collect()))
    }
}

impl Analysis for Cohort {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = Counter {
            shape: Arc::clone(&self.shape),
            patterns: self.shape.patterns.clone(),
            counts: Vec::new(),
            members: Vec::new(),
        };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, _: &Partial, _: &Facts) -> Answer {
        unreachable!("a cohort is read by the question that is asked of it")
    }
}

struct Counter {
    shape: Arc<Shape>,
    patterns: Matcher,
    /// By pattern: how often the person did it.
    counts: Vec<u64>,
    members: Vec<f64>,
}

/// What is last known of a person.
struct Last<'a> {
    shape: &'a Shape,
    run: &'a Run<'a>,
    dictionaries: &'a Dictionaries,
}

impl Properties for Last<'_> {
    fn text(&self, prop: &str) -> Option<Cow<'_, str>> {
        let column = match prop {
            "event" => TextColumn::Event,
            _ => self.shape.texts.iter().find(|(name, _)| name == prop)?.1,
        };
        let code = column.of(self.run).iter().rev().find(|code| **code != ABSENT)?;
        column.dictionary(self.dictionaries).text(*code).map(Cow::Borrowed)
    }

    fn number(&self, prop: &str) -> f64 {
        let column = self.shape.numbers.iter().find(|(name, _)| name == prop);
        let numbers = column.map(|(_, column)| self.run.numbers[*column]);
        let last = numbers.and_then(|numbers| numbers.iter().rev().find(|number| !number.is_nan()));
        last.copied().unwrap_or(f64::NAN)
    }
}

impl RunKernel for Counter {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        self.patterns.learn(dictionaries);
        let shape = &*self.shape;
        self.counts.clear();
        self.counts.resize(shape.times.len(), 0);
        if !self.counts.is_empty() {
            for (row, at_ms) in run.ts.iter().enumerate() {
                let mask = self.patterns.mask(run, row);
                for (pattern, times) in shape.times.iter().enumerate() {
                    let counts = mask >> pattern & 1 == 1 && times.contains(at_ms);
                    self.counts[pattern] += u64::from(counts);
                }
            }
        }
        let last = Last { shape, run, dictionaries };
        if shape.rule.holds(&self.counts, &last) {
            self.members.push(f64::from_bits(run.person));
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.members[..])
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        partial.put(vec![Key::Int(MEMBERS)], self.members);
        partial
    }
}

impl Rule {
    fn holds(&self, counts: &[u64], last: &Last<'_>) -> bool {
        match self {
            Self::Did(pattern, times) => times.contains(&counts[*pattern]),
            Self::Has(condition) => condition.holds(last),
            Self::Persons(persons) => persons.contains(&last.run.person),
            Self::All(rules) => rules.iter().all(|rule| rule.holds(counts, last)),
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(counts, last)),
            Self::Not(rule) => !rule.holds(counts, last),
        }
    }
}

/// The people of a cohort.
#[derive(Debug, Clone)]
pub struct Members(Arc<HashSet<u64>>);

impl Members {
    /// Whether somebody is one of them.
    pub(crate) fn contain(&self, person: u64) -> bool {
        self.0.contains(&person)
    }
}

/// A question, asked of the people of a cohort alone.
pub(crate) struct Among<'a> {
    pub inner: &'a dyn Analysis,
    pub members: Members,
}

impl Analysis for Among<'_> {
    fn scan(&self) -> &ScanPlan {
        self.inner.scan()
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let (kernel, members) = (self.inner.kernel(), self.members.clone());
        Box::new(AmongKernel { kernel, members })
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        self.inner.answer(partial, facts)
    }
}

/// Does not take blocks as a whole: there may be others in them.
struct AmongKernel {
    kernel: Box<dyn Kernel>,
    members: Members,
}

impl Kernel for AmongKernel {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        self.kernel.block(slot, block, dictionaries);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        if self.members.contain(person) {
            self.kernel.person(person, spans, dictionaries);
        }
    }

    fn bytes(&self) -> usize {
        self.kernel.bytes()
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        self.kernel.finish(dictionaries)
    }
}
