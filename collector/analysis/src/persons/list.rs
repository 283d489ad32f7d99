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
    /// When the first and the last of their rows were, as far as `own` says which these are. There are some.
    fn ends_ms(&self, spans: &[Span<'_>]) -> (i64, i64) {
        let mut each = spans.iter().zip(&self.own).filter(|(_, own)| !own.is_empty());
        let at_ms = |span: &Span<'_>, place: usize| {
            span.block.ts.get(self.wanted[span.slot].rows()[place] as usize)
        };
        let first = each.next().expect("whoever counts has a row");
        let last = each.next_back().unwrap_or(first);
        (at_ms(first.0, first.1.start), at_ms(last.0, last.1.end - 1))
    }

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
        self.own.clear();
        self.own.extend(spans.iter().map(|span| self.wanted[span.slot].within(&span.rows)));
        let events: usize = self.own.iter().map(Range::len).sum();
        if events == 0 {
            return;
        }
        self.count += 1;
        // Times are looked up only where they matter: they are far from each other in memory.
        let figure = match self.sort {
            Sort::LastSeen => self.ends_ms(spans).1,
            Sort::FirstSeen => self.ends_ms(spans).0,
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
        let (first_ms, last_ms) = self.ends_ms(spans);
        let events = events as u64;
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
