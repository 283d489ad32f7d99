//! Paths: where people go from where, step by step within a session.
//!
//! Steps are page views by their `path` (`by: "path"`; a view is an event named by `event`), or all
//! events by their name (`by: "event"`), passive ones left out. A *transition* leads from one step of a
//! session to the next one; the same step twice is one, unless `repeats` is `skip`. What `where`
//! leaves out is no step.
//!
//! - Without an anchor all transitions count, at depth 1.
//! - With `from_event` the path of a session begins at the first such event: depth 1 leads away from
//!   it. With `to_event` it ends at the last such event: depth 1 leads to it, depth 2 to the step
//!   before. An anchor is an event's name, or a name with a `where`. One that is no step itself (an
//!   event among pages) is called by its name.
//!
//! Per depth the answer lists the `limit` most frequent transitions, and what all of them add up to.
//! Both ends of a transition lie in the range. Sessions: `sessions::cut`; events of no session have no
//! path.
//!
//! Invariant: the listed edges are exact, in order of falling count, then by text. Were there more
//! different transitions than [`pairs`] holds and none of them frequent, the most frequent of those
//! that are held are listed.
//!
//! Not here: counting in bounded memory ([`pairs`]).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS};
use crate::events::{Actors, EventSet, ScanPlan};
use crate::filter::{Columns, Condition, Filter, Matcher, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial};
use crate::presence::PASSIVE;
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};

mod counter;
mod pairs;
mod plain;
#[cfg(test)]
mod tests;

use counter::Counter;
use plain::InPlace;

/// Transitions of one depth in one answer.
const LIMIT_MAX: usize = 1000;
/// Steps away from the anchor.
pub(crate) const DEPTH_MAX: usize = 10;
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    from_event: Option<Anchor>,
    to_event: Option<Anchor>,
    #[serde(default)]
    by: By,
    event: Option<String>,
    depth: Option<usize>,
    #[serde(default = "fifty")]
    limit: usize,
    #[serde(default)]
    repeats: Repeats,
}

fn fifty() -> usize {
    50
}

/// An event, by its name or by more.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Anchor {
    Named(String),
    Which {
        event: String,
        #[serde(default, rename = "where")]
        filter: Value,
    },
}

/// What a step is called by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    #[default]
    Path,
    Event,
}

/// Whether a step that equals the one before counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Repeats {
    #[default]
    Count,
    Skip,
}

/// From where people go where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathsAnswer {
    /// The most frequent transitions of each depth.
    pub edges: Vec<PathEdge>,
    /// All transitions of each depth, those not listed included.
    pub depths: Vec<PathDepth>,
}

/// One transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathEdge {
    /// Steps from the anchor, from 1.
    pub depth: usize,
    /// The step it leads from.
    pub from: String,
    /// The step it leads to.
    pub to: String,
    /// How often.
    pub count: u64,
    /// By how many people.
    pub persons: u64,
}

/// Transitions of one depth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathDepth {
    /// Steps from the anchor, from 1.
    pub depth: usize,
    /// How many transitions.
    pub count: u64,
    /// By how many people.
    pub persons: u64,
}

/// Where paths begin or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nowhere: every transition counts.
    None,
    From,
    To,
}

/// The scan, and the one in its place where it was not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Steps alone, and the most frequent pairs of each kernel.
    First = 1,
    /// All events where sessions have no names, and as many pairs as there are.
    Second = 2,
}

impl Pass {
    /// Begins the keys of a pass: the tables of both are one in the end.
    fn key(self) -> Key {
        Key::Int(self as i64)
    }
}

/// Everything but the scan.
#[derive(Clone)]
struct Shape {
    end: End,
    /// What the anchor is called where it is no step.
    anchor_name: String,
    /// Pattern 0 is a step; pattern 1 the anchor, if there is one.
    patterns: Matcher,
    filter: Filter,
    label: TextColumn,
    depth: usize,
    limit: usize,
    repeats: Repeats,
    to_ms: i64,
    /// Whether every row of a scan that takes only steps counts, unless it has no name for it.
    is_plain: bool,
}

struct Paths {
    plan: ScanPlan,
    shape: Arc<Shape>,
    pass: Pass,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let question: Question = parse(body)?;
    let (end, anchor) = match (&question.from_event, &question.to_event) {
        (None, None) => (End::None, None),
        (Some(anchor), None) => (End::From, Some(anchor)),
        (None, Some(anchor)) => (End::To, Some(anchor)),
        (Some(_), Some(_)) => {
            let detail = "a path has one anchor: leave `to_event` or `from_event` out".into();
            return Err(QuestionError::Field { field: "to_event", detail });
        }
    };
    let depth = question.depth.unwrap_or(if end == End::None { 1 } else { 5 });
    count("steps of a path (`depth`)", depth, DEPTH_MAX)?;
    count("transitions of a depth (`limit`)", question.limit, LIMIT_MAX)?;
    if end == End::None && depth > 1 {
        let detail = "steps are counted from an anchor: name one in `from_event` or `to_event`";
        return Err(QuestionError::Field { field: "depth", detail: detail.into() });
    }
    let view = match (question.by, &question.event) {
        (By::Path, name) => Some(name.clone().unwrap_or_else(|| "$pageview".into())),
        (By::Event, None) => None,
        (By::Event, Some(_)) => {
            let detail = "every event is a step here; `event` goes with `by: \"path\"`".into();
            return Err(QuestionError::Field { field: "event", detail });
        }
    };

    let mut columns = Columns::default();
    let label = match question.by {
        By::Path => columns.text("path"),
        By::Event => TextColumn::Event,
    };
    let is_step = match &view {
        Some(_) => Condition::always(),
        None => PASSIVE
            .iter()
            .fold(Condition::always(), |all, name| all.and(Condition::differs("event", name))),
    };
    let mut patterns = vec![(view.clone(), is_step.bind(&mut columns))];
    let mut anchor_name = String::new();
    if let Some(anchor) = anchor {
        let (event, filter) = match anchor {
            Anchor::Named(event) => (event, &Value::Null),
            Anchor::Which { event, filter } => (event, filter),
        };
        anchor_name.clone_from(event);
        patterns.push((Some(event.clone()), Condition::parse(filter)?.bind(&mut columns)));
    }
    let events = match &view {
        Some(view) => {
            let mut names = vec![view.clone()];
            names.extend(anchor.is_some().then(|| anchor_name.clone()).filter(|name| name != view));
            EventSet::Only(names)
        }
        None => EventSet::All,
    };
    let filter = common.filter.bind(&mut columns);
    let is_plain = end == End::None && view.is_some() && filter.is_always();
    let shape = Shape {
        end,
        anchor_name,
        is_plain,
        patterns: Matcher::new(patterns),
        filter,
        label,
        depth,
        limit: question.limit,
        repeats: question.repeats,
        to_ms: common.to_ms,
    };
    let mut plan = ScanPlan::with(columns, common.from_ms, common.to_ms, events);
    plan.sessions = true;
    plan.actors = Actors::Always;
    let definition = definition(&common, &question.filled_in(view.as_deref(), depth));
    let analysis = Paths { plan, shape: Arc::new(shape), pass: Pass::First };
    Ok(Compiled::new(definition, analysis))
}

fn count(what: &'static str, got: usize, max: usize) -> Result<(), QuestionError> {
    if (1..=max).contains(&got) {
        return Ok(());
    }
    Err(QuestionError::Count { what, got, min: 1, max })
}

impl Question {
    fn filled_in(&self, view: Option<&str>, depth: usize) -> Value {
        let mut fields = json!({
            "by": self.by, "depth": depth, "limit": self.limit, "repeats": self.repeats,
        });
        if let Some(view) = view {
            fields["event"] = view.into();
        }
        for (field, anchor) in [("from_event", &self.from_event), ("to_event", &self.to_event)] {
            match anchor {
                None => {}
                Some(Anchor::Named(event)) => fields[field] = json!(event),
                Some(Anchor::Which { event, filter }) => {
                    fields[field] = json!({ "event": event, "where": filter });
                }
            }
        }
        fields
    }
}

impl Analysis for Paths {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let is_whole = self.plan.events == EventSet::All;
        let counter = Counter::new(&self.shape, self.pass, is_whole);
        let Shape { label, repeats, .. } = *self.shape;
        if self.shape.is_plain && !is_whole {
            return Box::new(InPlace::new(&self.plan, label, repeats, counter));
        }
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn looks(&self) -> u32 {
        2
    }

    fn refine(&self, partial: &Partial) -> Option<Box<dyn Analysis>> {
        // Silence ends a session that has no name, and every event breaks it: all must be seen.
        let unseen = partial.rows.contains_key(&[Key::Int(counter::UNNAMED)][..]);
        let is_certain =
            |depth| Ranking::of(partial, Pass::First, depth).is_certain(self.shape.limit);
        if self.pass == Pass::Second || (!unseen && (1..=self.shape.depth).all(is_certain)) {
            return None;
        }
        let events = if unseen { EventSet::All } else { self.plan.events.clone() };
        let plan = ScanPlan { events, ..self.plan.clone() };
        Some(Box::new(Paths { plan, shape: Arc::clone(&self.shape), pass: Pass::Second }))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let mut body = PathsAnswer { edges: Vec::new(), depths: Vec::new() };
        for depth in 1..=self.shape.depth {
            let ranking = Ranking::of(partial, self.pass, depth);
            let total = [self.pass.key(), depth.into()];
            body.depths.push(PathDepth {
                depth,
                count: partial.count(&total, 0),
                persons: partial.count(&total, 1),
            });
            body.edges.extend(ranking.ranked.iter().take(self.shape.limit).map(|(key, row)| {
                let text = |key: &Key| key.text().unwrap_or_default().to_owned();
                let (from, to) = (text(&key[0]), text(&key[1]));
                PathEdge { depth, from, to, count: row[0] as u64, persons: row[1] as u64 }
            }));
        }
        Answer {
            complete: facts.now_ms >= self.shape.to_ms + LATENESS_MS,
            body: AnswerBody::Paths(body),
        }
    }
}

/// The reported pairs of one depth, the most frequent first.
struct Ranking<'a> {
    ranked: Vec<(&'a [Key], &'a [f64])>,
    /// Kernels that left something out, and the most that what all left out can have happened.
    cut: f64,
    left_out: f64,
}

impl<'a> Ranking<'a> {
    fn of(partial: &'a Partial, pass: Pass, depth: usize) -> Self {
        let total = [pass.key(), depth.into()];
        let start = partial.rows.get_key_value(&total[..]).map(|(key, _)| &key[..]);
        let mut ranked: Vec<_> = start
            .map(|start| partial.starting_with(start).filter(|(key, _)| !key.is_empty()).collect())
            .unwrap_or_default();
        // Keys are in order already, and the sort keeps that among equals.
        ranked.sort_by(|(_, a), (_, b)| b[0].total_cmp(&a[0]));
        Self { ranked, cut: partial.cell(&total, 2), left_out: partial.cell(&total, 3) }
    }

    /// Whether the first so many are surely the most frequent ones, exactly counted.
    ///
    /// A pair is exact when each kernel that left something out has reported it in full; any other
    /// may have happened as often again as all that was left out. (The first phase of TPUT: Cao and
    /// Wang, "Efficient top-K query calculation in distributed networks", 2004.)
    fn is_certain(&self, limit: usize) -> bool {
        if self.cut == 0.0 {
            return true;
        }
        let is_exact = |row: &[f64]| row[2] == self.cut;
        let Some((_, last)) = self.ranked.get(limit - 1) else { return false };
        self.ranked[..limit].iter().all(|(_, row)| is_exact(row))
            && self.left_out < last[0]
            && self.ranked[limit..]
                .iter()
                .all(|(_, row)| is_exact(row) || row[0] + self.left_out < last[0])
    }
}
