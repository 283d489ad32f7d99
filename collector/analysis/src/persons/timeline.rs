//! One person's events.
//!
//! Table: `(0)` → events, sessions, first and last time; `(1, time, place, event, session, value of each column
//! …)` → 1. `place` counts the events of one millisecond.

use std::sync::Arc;

use serde::Serialize;

use super::{Shape, next};
use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS};
use crate::events::{Dictionaries, Run, ScanPlan};
use crate::filter::Matcher;
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::sessions::cut::Cutter;

/// What one person did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonAnswer {
    /// Events in the range, listed or not.
    pub count: u64,
    /// Sessions in the range.
    pub sessions: u64,
    /// The first time in it, Unix milliseconds; `null` when they did nothing.
    pub first_seen: Option<i64>,
    /// The last time.
    pub last_seen: Option<i64>,
    /// The events of this page, the newest first.
    pub events: Vec<PersonEvent>,
    /// What `after` gives the next page; `null` when this is the last.
    pub next: Option<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonEvent {
    /// When, Unix milliseconds.
    pub at: i64,
    /// Its name.
    pub event: String,
    /// The number of its session, counted from 1 within the range; `null` for an event that belongs to none.
    pub session: Option<u64>,
    /// The properties asked for; `null` where it has none.
    pub props: serde_json::Map<String, serde_json::Value>,
}

pub(super) struct Timeline {
    pub plan: ScanPlan,
    pub shape: Arc<Shape>,
    pub person: u64,
    /// The time and the place that the page before ended with.
    pub before: Option<(i64, u64)>,
}

impl Analysis for Timeline {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = Counter {
            shape: Arc::clone(&self.shape),
            matcher: self.shape.matcher.clone(),
            person: self.person,
            before: self.before,
            cutter: Cutter::default(),
            partial: Partial::default(),
        };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let total = [Key::Int(0)];
        let start = [Key::Int(1)];
        let mut found: Vec<_> = partial.starting_with(&start).map(|(key, _)| key).collect();
        found.sort_by(|a, b| (&b[0], &b[1]).cmp(&(&a[0], &a[1])));
        let has_more = found.len() > self.shape.limit;
        found.truncate(self.shape.limit);
        let event = |key: &&[Key]| PersonEvent {
            at: key[0].int().unwrap_or(0),
            event: key[2].text().unwrap_or_default().to_owned(),
            session: key[3].int().map(|session| session as u64),
            props: self
                .shape
                .names
                .iter()
                .zip(&key[4..])
                .map(|(name, value)| (name.clone(), value.text().into()))
                .collect(),
        };
        let last = found.last().filter(|_| has_more);
        let count = partial.count(&total, 0);
        let seen = |column: usize| (count > 0).then(|| partial.cell(&total, column) as i64);
        Answer {
            complete: facts.now_ms >= self.shape.to_ms + LATENESS_MS,
            body: AnswerBody::Person(PersonAnswer {
                count,
                sessions: partial.count(&total, 1),
                first_seen: seen(2),
                last_seen: seen(3),
                events: found.iter().map(event).collect(),
                next: last.and_then(|key| Some(next(key[0].int()?, key[1].int()? as u64))),
            }),
        }
    }
}

struct Counter {
    shape: Arc<Shape>,
    matcher: Matcher,
    person: u64,
    before: Option<(i64, u64)>,
    cutter: Cutter,
    partial: Partial,
}

impl RunKernel for Counter {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        if run.person != self.person {
            return;
        }
        self.matcher.learn(dictionaries);
        self.cutter.next_person();
        let (mut place, mut last_ms) = (0u64, None);
        let mut counted: Vec<(i64, u64, usize, Option<usize>)> = Vec::new();
        let mut sessions: Vec<usize> = Vec::new();
        for (row, &at_ms) in run.ts.iter().enumerate() {
            let session = self.cutter.place(at_ms, run.actor[row], run.sessions[row]);
            if self.matcher.mask(run, row) == 0 {
                continue;
            }
            place = if last_ms == Some(at_ms) { place + 1 } else { 0 };
            last_ms = Some(at_ms);
            counted.push((at_ms, place, row, session));
            sessions.extend(session);
        }
        let (Some(first), Some(last)) = (counted.first(), counted.last()) else { return };
        sessions.sort_unstable();
        sessions.dedup();
        let figures = [counted.len() as i64, sessions.len() as i64, first.0, last.0];
        self.partial.add(vec![Key::Int(0)], &figures.map(|figure| figure as f64));
        let is_listed = |(at_ms, place, ..): &&(i64, u64, usize, Option<usize>)| {
            self.before.is_none_or(|before| (*at_ms, *place) < before)
        };
        let page = counted.iter().rev().filter(is_listed).take(self.shape.limit + 1);
        for &(at_ms, place, row, session) in page {
            let event = Key::from_text(dictionaries.events.text(run.event[row]));
            let session = session.map_or(Key::None, |session| Key::from(session + 1));
            let mut key =
                vec![Key::Int(1), Key::Int(at_ms), Key::Int(place as i64), event, session];
            key.extend(self.shape.columns.iter().map(|column| {
                Key::from_text(column.dictionary(dictionaries).text(column.of(run)[row]))
            }));
            self.partial.add(key, &[1.0]);
        }
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        self.partial
    }
}
