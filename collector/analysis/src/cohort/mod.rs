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
//! Deliberately elsewhere: asking a question of those who were found (`among`), names of saved cohorts (the collector).

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashSet;
use serde_json::Value;

use crate::answer::{Answer, Facts};
use crate::events::{ABSENT, Dictionaries, EventSet, Run, ScanPlan};
use crate::filter::{Columns, Condition, Matcher, Properties, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::question::{Common, QuestionError};
use crate::time_bucket::instant;

mod among;
mod given;
#[cfg(test)]
mod tests;

pub(crate) use among::Among;
pub use among::Members;
use given::{Did, Given};

/// Rules in one cohort.
const RULES_MAX: usize = 64;
/// Rules inside each other.
const DEPTH_MAX: usize = 6;
/// People in a list.
const PERSONS_MAX: usize = 10_000;

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
    /// What happens from then on says nothing of anybody.
    end_ms: i64,
    /// The properties of `has`, by their columns.
    texts: Vec<(String, TextColumn)>,
    numbers: Vec<(String, usize)>,
}

/// What compiling collects.
struct Binder<'a> {
    common: &'a Common,
    end_ms: i64,
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
    compile_until(common.to_ms, given, common)
}

/// The same, of people who did something before the end of the range, by what was known of them at some time
/// before.
///
/// # Errors
/// [`QuestionError`] says which rule is wrong.
pub(crate) fn compile_until(
    end_ms: i64,
    given: &Value,
    common: &Common,
) -> Result<Cohort, QuestionError> {
    let given = Given::parse(given)?;
    let (patterns, times, has) = (Vec::new(), Vec::new(), Vec::new());
    let mut binder = Binder { common, end_ms, rules: 0, patterns, times, has, needs_all: false };
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
    Ok(Cohort { plan, shape: Arc::new(Shape { rule, patterns, times, end_ms, texts, numbers }) })
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
            text.map(|text| instant(field, text, &self.common.calendar.tz)).transpose()
        };
        let from_ms = at("cohort.from", did.from.as_ref())?.unwrap_or(i64::MIN);
        let to_ms = at("cohort.to", did.to.as_ref())?.unwrap_or(self.end_ms);
        if from_ms >= to_ms {
            return Err(wrong("a rule's `from` lies before its `to`"));
        }
        self.patterns.push((did.event, Condition::parse(&did.filter)?));
        self.times.push(from_ms..to_ms.min(self.end_ms));
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
        Members::new(bags.into_iter().flatten().map(|bits| bits.to_bits()).collect())
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
    /// How many of their rows count.
    rows: usize,
    dictionaries: &'a Dictionaries,
}

impl Properties for Last<'_> {
    fn text(&self, prop: &str) -> Option<Cow<'_, str>> {
        let column = match prop {
            "event" => TextColumn::Event,
            _ => self.shape.texts.iter().find(|(name, _)| name == prop)?.1,
        };
        let code = column.of(self.run)[..self.rows].iter().rev().find(|code| **code != ABSENT)?;
        column.dictionary(self.dictionaries).text(*code).map(Cow::Borrowed)
    }

    fn number(&self, prop: &str) -> f64 {
        let column = self.shape.numbers.iter().find(|(name, _)| name == prop);
        let numbers = column.map(|(_, column)| self.run.numbers[*column]);
        let last = numbers
            .and_then(|numbers| numbers[..self.rows].iter().rev().find(|number| !number.is_nan()));
        last.copied().unwrap_or(f64::NAN)
    }
}

impl RunKernel for Counter {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.patterns.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
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
        let rows = run.ts.partition_point(|at| *at < shape.end_ms);
        let last = Last { shape, run, rows, dictionaries };
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
