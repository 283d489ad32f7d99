//! The list.
//!
//! Table: `(0)` → people; `(1, figure, person, value of each column …)` → first and last time, events; each
//! kernel gives the people of one page and one more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::{Shape, Sort, name, next};
use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS};
use crate::columns::{Block, Span};
use crate::events::{ABSENT, Dictionaries, ScanPlan};
use crate::filter::{Masks, Matcher, TextColumn};
use crate::kernel::{Analysis, Kernel, Key, Partial};
use crate::wanted::Wanted;

/// People who did something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonsAnswer {
    /// How many there are in the range, listed or not.
    pub count: u64,
    /// Those of this page.
    pub persons: Vec<ListedPerson>,
    /// What `after` gives the next page; `null` when this is the last.
    pub next: Option<String>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedPerson {
    /// Their name in every answer.
    pub person: String,
    /// The first time in the range, Unix milliseconds.
    pub first_seen: i64,
    /// The last time.
    pub last_seen: i64,
    /// Events in it.
    pub events: u64,
    /// The last value of each property asked for; `null` where there was none.
    pub props: serde_json::Map<String, serde_json::Value>,
}

pub(super) struct List {
    pub plan: ScanPlan,
    pub shape: Arc<Shape>,
    pub sort: Sort,
    /// The figure and the person that the page before ended with.
    pub after: Option<(i64, u64)>,
}

impl Analysis for List {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(Counter {
            shape: Arc::clone(&self.shape),
            matcher: self.shape.matcher.clone(),
            times: self.plan.from_ms..self.plan.to_ms,
            masks: Masks::default(),
            wanted: Vec::new(),
            own: Vec::new(),
            sort: self.sort,
            after: self.after,
            count: 0,
            kept: BinaryHeap::new(),
        })
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let start = [Key::Int(1)];
        let mut found: Vec<_> = partial.starting_with(&start).collect();
        // By falling figure; equal ones by name.
        found.sort_by(|(a, _), (b, _)| b[0].cmp(&a[0]).then_with(|| a[1].cmp(&b[1])));
        let has_more = found.len() > self.shape.limit;
        found.truncate(self.shape.limit);
        let person = |(key, row): &(&[Key], &[f64])| ListedPerson {
            person: key[1].text().unwrap_or_default().to_owned(),
            first_seen: row[0] as i64,
            last_seen: row[1] as i64,
            events: row[2] as u64,
            props: self
                .shape
                .names
                .iter()
                .zip(&key[2..])
                .map(|(name, value)| (name.clone(), value.text().into()))
                .collect(),
        };
        let last = found
            .last()
            .filter(|_| has_more)
            .and_then(|(key, _)| Some(next(key[0].int()?, super::parse_name(key[1].text()?)?)));
        let count = partial.count(&[Key::Int(0)], 0);
        let persons = found.iter().map(person).collect();
        Answer {
            complete: facts.now_ms >= self.shape.to_ms + LATENESS_MS,
            body: AnswerBody::Persons(PersonsAnswer { count, persons, next: last }),
        }
    }
}

struct Counter {
    shape: Arc<Shape>,
    matcher: Matcher,
    times: Range<i64>,
    masks: Masks,
    /// By slot: the rows that count.
    wanted: Vec<Wanted>,
    /// By span of the person: where in its slot's list theirs are.
    own: Vec<Range<usize>>,
    sort: Sort,
    after: Option<(i64, u64)>,
    count: u64,
    /// The largest so far; the one that goes first is on top.
    kept: BinaryHeap<Reverse<Seen>>,
}

/// Compared by the figure, then by the person: who is listed first is larger.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    figure: i64,
    person: Reverse<u64>,
    first_ms: i64,
    last_ms: i64,
    events: u64,
    values: Vec<u32>,
}

impl Counter {
    /// Their last value of a property.
    fn last(&self, column: TextColumn, spans: &[Span<'_>]) -> u32 {
        let code = |(span, own): (&Span<'_>, &Range<usize>)| {
            let codes = column.of_block(span.block);
            let rows = self.wanted[span.slot].rows()[own.clone()].iter().rev();
            rows.map(|row| codes.get(*row as usize)).find(|code| *code != ABSENT)
        };
        spans.iter().zip(&self.own).rev().find_map(code).unwrap_or(ABSENT)
    }
}

impl Kernel for Counter {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.wanted.len() <= slot {
            self.wanted.resize_with(slot + 1, Wanted::default);
        }
        let wanted = &mut self.wanted[slot];
        self.matcher.list(block, dictionaries, &self.times, &mut self.masks, wanted);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], _: &Dictionaries) {
        let (mut events, mut seen_ms) = (0, None);
        self.own.clear();
        for Span { slot, block, rows } in spans {
            let own = self.wanted[*slot].within(rows);
            let theirs = &self.wanted[*slot].rows()[own.clone()];
            if let (Some(first), Some(last)) = (theirs.first(), theirs.last()) {
                let at_ms = |row: &u32| block.ts.get(*row as usize);
                let first_ms = seen_ms.map_or_else(|| at_ms(first), |(first_ms, _)| first_ms);
                seen_ms = Some((first_ms, at_ms(last)));
                events += theirs.len() as u64;
            }
            self.own.push(own);
        }
        let Some((first_ms, last_ms)) = seen_ms else { return };
        self.count += 1;
        let figure = match self.sort {
            Sort::LastSeen => last_ms,
            Sort::FirstSeen => first_ms,
            Sort::Events => events as i64,
        };
        let person = Reverse(person);
        let is_listed = |(after, of): (i64, u64)| (figure, person) >= (after, Reverse(of));
        if self.after.is_some_and(is_listed) {
            return;
        }
        let is_full = self.kept.len() > self.shape.limit;
        let smallest = self.kept.peek().map(|Reverse(seen)| (seen.figure, seen.person));
        if is_full && smallest.is_some_and(|smallest| smallest > (figure, person)) {
            return;
        }
        let values = self.shape.columns.iter().map(|column| self.last(*column, spans)).collect();
        self.kept.push(Reverse(Seen { figure, person, first_ms, last_ms, events, values }));
        if is_full {
            self.kept.pop();
        }
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        if self.count > 0 {
            partial.add(vec![Key::Int(0)], &[self.count as f64]);
        }
        for Reverse(seen) in self.kept {
            let person = Key::Text(name(seen.person.0).into());
            let mut key = vec![Key::Int(1), Key::Int(seen.figure), person];
            let columns = self.shape.columns.iter().zip(seen.values);
            key.extend(columns.map(|(column, value)| {
                Key::from_text(column.dictionary(dictionaries).text(value))
            }));
            let row = [seen.first_ms as f64, seen.last_ms as f64, seen.events as f64];
            partial.add(key, &row);
        }
        partial
    }
}
