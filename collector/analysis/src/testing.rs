//! A store in memory, for tests: simple events in, answers out.
//!
//! It keeps the promises of [`Block`](crate::columns::Block) the plain way: sort, group by person,
//! filter by the plan, look every property up. Behind the feature `testing`, for tests of other
//! crates and the comparison with other engines.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::columns::{Block, Coded, Codes, Numbers, Span, Times};
use crate::events::{ABSENT, Actors, Dictionaries, Dictionary, NO_SESSION, Need, UNNAMED_SESSION};
use crate::filter::Properties;
use crate::kernel::{Analysis, Partial};
use crate::question::{Context, QuestionError};
use crate::registry::compile;
use crate::{Answer, Facts};

/// One event. `seq` is the device's own counter, which orders events of one millisecond.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of a row, see `events::Run`")]
pub struct Event {
    pub person: u64,
    pub actor: u64,
    pub ts_ms: i64,
    pub seq: u32,
    pub is_server: bool,
    pub name: String,
    pub props: Map<String, Value>,
}

impl Event {
    /// An event of a person on their only device.
    pub fn new(person: u64, ts_ms: i64, name: &str) -> Self {
        let (name, props) = (name.into(), Map::new());
        Self { person, actor: person, ts_ms, seq: 0, is_server: false, name, props }
    }

    /// The same with a property.
    pub fn with(mut self, prop: &str, value: impl Into<Value>) -> Self {
        self.props.insert(prop.into(), value.into());
        self
    }

    /// The same from another device.
    pub fn on(mut self, actor: u64) -> Self {
        self.actor = actor;
        self
    }

    /// The same from a server, which has no sessions of its own.
    pub fn from_server(mut self) -> Self {
        self.is_server = true;
        self
    }

    /// The session as a kernel sees it. The property `session` names one, by a number from 2 on.
    fn session(&self) -> u64 {
        let named = self.props.get("session").and_then(Value::as_u64);
        named.unwrap_or(if self.is_server { NO_SESSION } else { UNNAMED_SESSION })
    }

    fn has(&self, needs: &[Need]) -> bool {
        needs.iter().all(|need| {
            let text = self.text(&need.prop);
            need.texts.iter().any(|one| text.as_deref() == Some(one))
        })
    }

    /// The same with a place among the events of its millisecond.
    pub fn seq(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }
}

impl Properties for Event {
    fn text(&self, prop: &str) -> Option<Cow<'_, str>> {
        if prop == "event" {
            return Some(Cow::Borrowed(&self.name));
        }
        match self.props.get(prop)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Bool(flag) => Some(Cow::Owned(flag.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn number(&self, prop: &str) -> f64 {
        match self.props.get(prop) {
            Some(Value::Number(number)) => number.as_f64().unwrap_or(f64::NAN),
            Some(Value::String(text)) => text.trim().parse().unwrap_or(f64::NAN),
            _ => f64::NAN,
        }
    }
}

/// Events in memory.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    events: Vec<Event>,
}

/// How to scan: none of it may show in an answer.
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    /// Kernels to share the persons among.
    pub kernels: usize,
    /// Meet all texts in reverse order first, so that codes differ.
    pub reverse_codes: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self { kernels: 1, reverse_codes: false }
    }
}

impl Memory {
    /// A store with these events, in any order. Events that are equal in time, counter and person
    /// keep the order they are given in.
    pub fn new(events: impl IntoIterator<Item = Event>) -> Self {
        let mut events: Vec<Event> = events.into_iter().collect();
        events.sort_by_key(|event| (event.person, event.ts_ms, event.seq));
        Self { events }
    }

    /// Scan for an analysis.
    pub fn ask(&self, analysis: &dyn Analysis, scan: Scan) -> Partial {
        let mut partial = Partial::default();
        for share in 0..scan.kernels.max(1) {
            partial.merge(self.ask_share(analysis, scan, share));
        }
        partial
    }

    fn ask_share(&self, analysis: &dyn Analysis, scan: Scan, share: usize) -> Partial {
        let plan = analysis.scan();
        let mut dictionaries = Dictionaries::new(plan);
        if scan.reverse_codes {
            for event in self.events.iter().rev() {
                dictionaries.events.intern(&event.name);
                for (prop, dictionary) in plan.texts.iter().zip(&mut dictionaries.texts) {
                    if let Some(text) = event.text(prop) {
                        dictionary.intern(&text);
                    }
                }
            }
        }
        // As much is left out as a store may leave out.
        let needed: Vec<&Event> =
            self.events.iter().filter(|event| event.has(&plan.needs)).collect();
        let shares = needed.chunk_by(|a, b| a.person == b.person);
        let ours = |events: &&[&Event]| events[0].person as usize % scan.kernels.max(1) == share;
        let persons: Vec<&[&Event]> = shares.filter(ours).collect();
        let rows: Vec<&Event> = persons.iter().copied().flatten().copied().collect();
        // Two blocks, cut anywhere but within a person's millisecond: it must not show.
        let mut cut = rows.len() / 2;
        let moment = |row: usize| rows.get(row).map(|event| (event.person, event.ts_ms));
        while cut > 0 && moment(cut) == moment(cut - 1) {
            cut -= 1;
        }
        let blocks =
            [&rows[..cut], &rows[cut..]].map(|rows| block(rows, analysis, &mut dictionaries));
        let mut kernel = analysis.kernel();
        let mut is_done = |(slot, block): (usize, &Block)| {
            kernel.block(slot, block, &dictionaries);
            kernel.whole(slot, block)
        };
        let is_done: Vec<bool> = blocks.iter().enumerate().map(&mut is_done).collect();
        let mut start = 0;
        for person in persons {
            let end = start + person.len();
            let halves = [start.min(cut)..end.min(cut), start.max(cut) - cut..end.max(cut) - cut];
            let spans: Vec<Span<'_>> = (0..)
                .zip(&blocks)
                .zip(halves)
                .map(|((slot, block), rows)| Span { slot, block, rows })
                .filter(|span| !span.rows.is_empty() && !is_done[span.slot])
                .collect();
            kernel.person(person[0].person, &spans, &dictionaries);
            start = end;
        }
        kernel.finish(&dictionaries)
    }

    /// Ask a question as the collector does.
    ///
    /// # Errors
    /// When the question is refused.
    pub fn answer(
        &self,
        kind: &str,
        question: Value,
        context: &Context,
    ) -> Result<Answer, QuestionError> {
        self.answer_by(kind, question, context, Scan::default())
    }

    /// The same, scanned in a given way.
    ///
    /// # Errors
    /// When the question is refused.
    pub fn answer_by(
        &self,
        kind: &str,
        question: Value,
        context: &Context,
        scan: Scan,
    ) -> Result<Answer, QuestionError> {
        let compiled = compile(kind, question, context)?;
        let facts = Facts { now_ms: context.now_ms };
        let Ok(answer) = compiled
            .ask(&facts, |analysis| Ok::<_, std::convert::Infallible>(self.ask(analysis, scan)));
        Ok(answer)
    }
}

/// Events as a store would show them.
fn block(rows: &[&Event], analysis: &dyn Analysis, dictionaries: &mut Dictionaries) -> Block {
    let plan = analysis.scan();
    let times: Vec<i64> = rows.iter().map(|event| event.ts_ms).collect();
    let wanted = |event: &Event| plan.events.contains(&event.name);
    let names = rows.iter().map(|event| wanted(event).then_some(Cow::Borrowed(&*event.name)));
    let event = coded(names, &mut dictionaries.events);
    let texts = plan.texts.iter().zip(&mut dictionaries.texts).map(|(prop, dictionary)| {
        let values = rows.iter().map(|event| event.text(prop).filter(|_| wanted(event)));
        coded(values, dictionary)
    });
    let numbers = plan
        .numbers
        .iter()
        .map(|prop| Arc::new(Numbers::new(rows.iter().map(|event| event.number(prop)).collect())));
    let in_time = |at: &i64| (plan.from_ms..plan.to_ms).contains(at);
    let first_ms = times.iter().copied().min().unwrap_or(i64::MAX);
    let last_ms = times.iter().copied().max().unwrap_or(i64::MIN);
    let is_timeless = !times.is_empty() && analysis.is_timeless(first_ms, last_ms);
    Block {
        rows: 0..rows.len(),
        all_in_time: times.iter().all(in_time),
        first_ms,
        last_ms,
        ts: Arc::new(Times::new(if is_timeless { &[] } else { &times })),
        actors: (plan.actors != Actors::Never)
            .then(|| Arc::new(rows.iter().map(|event| event.actor).collect())),
        event,
        texts: texts.collect(),
        numbers: numbers.collect(),
        sessions: plan
            .sessions
            .then(|| Arc::new(rows.iter().map(|event| event.session()).collect())),
    }
}

/// A column with codes of its own, in reverse: no kernel may take them for the question's.
fn coded<'a>(
    values: impl Iterator<Item = Option<Cow<'a, str>>>,
    dictionary: &mut Dictionary,
) -> Coded {
    let code = |value: Option<Cow<'_, str>>| value.map_or(ABSENT, |text| dictionary.intern(&text));
    let codes: Vec<u32> = values.map(code).collect();
    let last = dictionary.len() as u32;
    let own = |code: &u32| if *code == ABSENT { 0 } else { last - code };
    let global = (0..last).map(|own| if own == 0 { ABSENT } else { last - own }).collect();
    let codes = Codes::new(codes.iter().map(own), dictionary.len());
    Coded { codes: Arc::new(codes), global: Arc::new(global) }
}
