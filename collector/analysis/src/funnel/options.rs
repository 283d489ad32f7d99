//! How a funnel is counted, as the question says it.

use serde_json::Value;

use super::rule::Rule;
use crate::question::QuestionError;

/// In which order steps are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// One after the other, with anything in between.
    Ordered,
    /// One after the other, with nothing in between.
    Strict,
    /// In any.
    Any,
    /// The first one first, the others in any.
    AnyAfterFirst,
}

impl Order {
    /// Whether events are matched with steps instead of taken in a row.
    pub(super) fn is_any(self) -> bool {
        matches!(self, Self::Any | Self::AnyAfterFirst)
    }

    /// The steps that the first event of a chain may stand for.
    pub(super) fn opening(self) -> u64 {
        if self == Self::Any { u64::MAX } else { 1 }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Persons,
    /// Sessions in which all of it happened.
    Sessions,
    /// Attempts: a person may make several.
    Totals,
}

/// Which event of a chain the breakdown reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribution {
    First,
    Last,
    /// From 0.
    Step(usize),
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    pub order: Order,
    pub count: Count,
    pub attribution: Attribution,
    pub rule: Rule,
}

impl Options {
    /// # Errors
    /// [`QuestionError::Field`] when a word is not known, or two do not go together.
    pub(super) fn parse(
        [order, count, attribution]: [&str; 3],
        compat: Option<&str>,
        steps: usize,
    ) -> Result<Self, QuestionError> {
        let order = one_of(
            "order",
            order,
            &[
                ("ordered", Order::Ordered),
                ("strict", Order::Strict),
                ("any", Order::Any),
                ("any_after_first", Order::AnyAfterFirst),
            ],
        )?;
        let count = one_of(
            "count",
            count,
            &[
                ("persons", Count::Persons),
                ("sessions", Count::Sessions),
                ("totals", Count::Totals),
            ],
        )?;
        let attribution = match attribution.strip_prefix("step:") {
            Some(step) => match step.parse::<usize>() {
                Ok(step) if (1..=steps).contains(&step) => Attribution::Step(step - 1),
                _ => {
                    let detail = format!("`step:{step}` is no step; write step:1 to step:{steps}");
                    return Err(QuestionError::Field { field: "attribution", detail });
                }
            },
            None => one_of(
                "attribution",
                attribution,
                &[("first", Attribution::First), ("last", Attribution::Last)],
            )?,
        };
        let rule = Rule::parse("compat", compat.unwrap_or(Rule::NAMES[0].0))?;
        let is_usual = order == Order::Ordered && count == Count::Persons;
        if rule != Rule::OURS && !is_usual {
            let detail = "rules of others are known for people and ordered steps; leave out `compat`, \
                          or `order` and `count`";
            return Err(QuestionError::Field { field: "compat", detail: detail.into() });
        }
        Ok(Self { order, count, attribution, rule })
    }
}

pub(super) fn one_of<T: Copy>(
    field: &'static str,
    given: &str,
    known: &[(&str, T)],
) -> Result<T, QuestionError> {
    let found = known.iter().find(|(name, _)| *name == given);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
        let detail = format!("`{given}` is not known; write {}", names.join(" or "));
        QuestionError::Field { field, detail }
    })
}

/// The names of the held properties.
pub(super) fn hold(given: &Value) -> Result<Vec<String>, QuestionError> {
    /// As many as Mixpanel takes.
    const MAX: usize = 3;
    let names = match given {
        Value::Null => Some(Vec::new()),
        Value::Array(names) => {
            names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    match names {
        Some(names) if names.len() <= MAX => Ok(names),
        Some(names) => Err(QuestionError::Count {
            what: "held properties of a funnel (`hold`)",
            got: names.len(),
            min: 0,
            max: MAX,
        }),
        None => {
            let detail = "write a list of property names, like [\"plan\"]".into();
            Err(QuestionError::Field { field: "hold", detail })
        }
    }
}
