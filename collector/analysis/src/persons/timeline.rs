//! One person's events.
//!
//! Table: `(0)` → events, sessions, first and last time; `(1, time, place, event, session, value of each column
//! …)` → 1. `place` counts the events of one millisecond.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::{Shape, next};
use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS};
use crate::columns::{Block, Span};
use crate::events::{Dictionaries, NO_SESSION, ScanPlan};
use crate::filter::{Masks, Matcher};
use crate::kernel::{Analysis, Kernel, Key, Partial};
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
        Box::new(Counter {
            shape: Arc::clone(&self.shape),
            matcher: self.shape.matcher.clone(),
            times: self.plan.from_ms..self.plan.to_ms,
            person: self.person,
            before: self.before,
            cutter: Cutter::default(),
            masks: Vec::new(),
            partial: Partial::default(),
        })
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

/// Reads the person's rows in place: they may be hundreds of thousands, of which a page is listed.
struct Counter {
    shape: Arc<Shape>,
    matcher: Matcher,
    times: Range<i64>,
    person: u64,
    before: Option<(i64, u64)>,
    cutter: Cutter,
    /// By slot: the rows that count.
    masks: Vec<Masks>,
    partial: Partial,
}

/// An event that may be on the page.
struct Listed {
    at_ms: i64,
    place: u64,
    span: usize,
    row: usize,
    session: Option<usize>,
}

impl Kernel for Counter {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.masks.len() <= slot {
            self.masks.resize_with(slot + 1, Masks::default);
        }
        self.matcher.look(block, dictionaries, &self.times, &mut self.masks[slot]);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        if person != self.person {
            return;
        }
        self.cutter.next_person();
        let (mut count, mut place, mut ends_ms) = (0u64, 0u64, None);
        // By session: whether an event of it counts.
        let mut has_event: Vec<bool> = Vec::new();
        let mut page: VecDeque<Listed> = VecDeque::new();
        for (at, Span { slot, block, rows }) in spans.iter().enumerate() {
            let masks = &self.masks[*slot];
            for row in rows.clone() {
                let at_ms = block.ts.get(row);
                if !block.all_in_time && !self.times.contains(&at_ms) {
                    continue;
                }
                // What does not count still breaks the silence between sessions.
                let actor = block.actors.as_ref().map_or(person, |actors| actors[row]);
                let named = block.sessions.as_ref().map_or(NO_SESSION, |sessions| sessions[row]);
                let session = self.cutter.place(at_ms, actor, named);
                if masks.get(row) == 0 {
                    continue;
                }
                count += 1;
                if let Some(session) = session {
                    has_event.resize(self.cutter.len(), false);
                    has_event[session] = true;
                }
                (place, ends_ms) = match ends_ms {
                    None => (0, Some((at_ms, at_ms))),
                    Some((first_ms, last_ms)) if last_ms < at_ms => (0, Some((first_ms, at_ms))),
                    Some(_) => (place + 1, ends_ms),
                };
                if self.before.is_none_or(|before| (at_ms, place) < before) {
                    if page.len() > self.shape.limit {
                        page.pop_front();
                    }
                    page.push_back(Listed { at_ms, place, span: at, row, session });
                }
            }
        }
        let Some((first_ms, last_ms)) = ends_ms else { return };
        let sessions = has_event.iter().filter(|has_event| **has_event).count();
        let figures = [count as f64, sessions as f64, first_ms as f64, last_ms as f64];
        self.partial.add(vec![Key::Int(0)], &figures);
        for Listed { at_ms, place, span, row, session } in page {
            let block = spans[span].block;
            let event = Key::from_text(dictionaries.events.text(block.event.get(row)));
            let session = session.map_or(Key::None, |session| Key::from(session + 1));
            let mut key =
                vec![Key::Int(1), Key::Int(at_ms), Key::Int(place as i64), event, session];
            key.extend(self.shape.columns.iter().map(|column| {
                let code = column.of_block(block).get(row);
                Key::from_text(column.dictionary(dictionaries).text(code))
            }));
            self.partial.add(key, &[1.0]);
        }
    }

    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        self.partial
    }
}
