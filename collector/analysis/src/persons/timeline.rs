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
use crate::events::{Dictionaries, NO_SESSION, ScanPlan, UNNAMED_SESSION};
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

/// Reads the person's rows in place: they may be hundreds of thousands, of which a page is listed. So the page is found from
/// the end, and the rest is only counted, session by session.
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

/// An event of the page.
struct Listed {
    at_ms: i64,
    place: u64,
    part: usize,
    row: usize,
    session: Option<usize>,
}

/// A person's rows in one block, those that are in time.
struct Part<'a> {
    slot: usize,
    block: &'a Block,
    rows: Range<usize>,
}

impl<'a> Part<'a> {
    fn new(Span { slot, block, rows }: &Span<'a>, times: &Range<i64>) -> Self {
        let rows = match block.all_in_time {
            true => rows.clone(),
            false => {
                let first = block.ts.seek(rows.clone(), times.start);
                first..block.ts.seek(first..rows.end, times.end)
            }
        };
        Self { slot: *slot, block, rows }
    }

    /// The session that a row names, and the rows from it on that are of one session by that. Those that name none are
    /// cut by their time, each for itself.
    fn alike(&self, row: usize) -> (u64, Range<usize>) {
        let Some(sessions) = &self.block.sessions else {
            return (NO_SESSION, row..self.rows.end);
        };
        let named = sessions[row];
        let count = match named {
            UNNAMED_SESSION => 1,
            _ => sessions[row..self.rows.end].iter().take_while(|other| **other == named).count(),
        };
        (named, row..row + count)
    }
}

impl Counter {
    /// The rows of a part that count.
    fn counted(&self, part: &Part<'_>) -> impl DoubleEndedIterator<Item = usize> + use<'_> {
        let masks = &self.masks[part.slot];
        part.rows.clone().filter(|row| masks.get(*row) != 0)
    }

    /// The newest events that the page before left, one more than a page has, in the order of time. Their sessions
    /// are not known yet.
    fn newest(&self, parts: &[Part<'_>]) -> VecDeque<Listed> {
        let most = self.shape.limit + 1;
        let end = |part: &Part<'_>| match self.before {
            Some((at_ms, _)) => part.block.ts.seek(part.rows.clone(), at_ms.saturating_add(1)),
            None => part.rows.end,
        };
        let of_part = |(at, part): (usize, &Part<'_>)| {
            let (ts, end) = (Arc::clone(&part.block.ts), end(part));
            let rows = self.counted(part).rev().skip_while(move |row| *row >= end);
            rows.map(move |row| (ts.get(row), at, row))
        };
        let mut rows = parts.iter().enumerate().rev().flat_map(of_part).peekable();
        let (mut page, mut moment) = (VecDeque::new(), Vec::new());
        while page.len() < most
            && let Some((at_ms, ..)) = rows.peek().copied()
        {
            // Places are counted from the first of a moment.
            moment.clear();
            moment.extend(std::iter::from_fn(|| rows.next_if(|(other, ..)| *other == at_ms)));
            for (place, (_, part, row)) in (0..moment.len() as u64).rev().zip(&moment) {
                let is_left = self.before.is_none_or(|before| (at_ms, place) < before);
                if is_left && page.len() < most {
                    let (part, row) = (*part, *row);
                    page.push_front(Listed { at_ms, place, part, row, session: None });
                }
            }
        }
        page
    }

    /// Cut the sessions: how many events count and in how many sessions, and of those listed which.
    fn cut(&mut self, person: u64, parts: &[Part<'_>], page: &mut VecDeque<Listed>) -> (u64, u64) {
        self.cutter.next_person();
        // By session: whether an event of it counts.
        let (mut count, mut has_event) = (0, Vec::new());
        let mut listed = page.iter_mut().peekable();
        for (at, part) in parts.iter().enumerate() {
            let Part { slot, block, rows } = part;
            let mut row = rows.start;
            while row < rows.end {
                let (named, alike) = part.alike(row);
                // What does not count still breaks the silence between sessions.
                let actor = block.actors.as_ref().map_or(person, |actors| actors[row]);
                let session = self.cutter.place(block.ts.get(row), actor, named);
                let counted = self.masks[*slot].count(alike.clone());
                count += counted as u64;
                if let Some(session) = session.filter(|_| counted > 0) {
                    has_event.resize(self.cutter.len(), false);
                    has_event[session] = true;
                }
                row = alike.end;
                while let Some(one) = listed.next_if(|one| (one.part, one.row) < (at, row)) {
                    one.session = session;
                }
            }
        }
        (count, has_event.iter().filter(|has_event| **has_event).count() as u64)
    }
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
        let parts: Vec<Part<'_>> = spans.iter().map(|span| Part::new(span, &self.times)).collect();
        let mut page = self.newest(&parts);
        let (count, sessions) = self.cut(person, &parts, &mut page);
        let first = |part: &Part<'_>| Some(part.block.ts.get(self.counted(part).next()?));
        let last = |part: &Part<'_>| Some(part.block.ts.get(self.counted(part).next_back()?));
        let (first_ms, last_ms) = (parts.iter().find_map(first), parts.iter().rev().find_map(last));
        let (Some(first_ms), Some(last_ms)) = (first_ms, last_ms) else { return };
        let figures = [count as f64, sessions as f64, first_ms as f64, last_ms as f64];
        self.partial.add(vec![Key::Int(0)], &figures);
        for Listed { at_ms, place, part, row, session } in page {
            let block = parts[part].block;
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
