//! Counting sessions, person by person.
//!
//! In: blocks with sessions, whose rows are read in place. Out: a table: `(BUCKET, bucket)` → [`Row`]; `(PAGE, path)` → sessions that
//! begin with it, those of them that bounced, sessions that end with it; `(HISTOGRAM, bucket)` →
//! durations by bin; bags, `(LIST, bucket)`: the longer durations themselves, where they are not too many; `(GROUP, value)` → [`Source`]s of the breakdown. Bucket numbers go on to one behind the
//! last: the whole range. The second scan adds nothing but bags, `(HISTOGRAM, bucket)`: the durations of the
//! zone.

use std::ops::Range;
use std::sync::Arc;

use super::Shape;
use super::cut::Cutter;
use super::durations::{HISTOGRAM, Histogram, LIST, Listed};
use super::matomo;
use crate::columns::{Block, Span};
use crate::events::{ABSENT, Dictionaries, UNNAMED_SESSION};
use crate::filter::{Masks, Matcher};
use crate::kernel::{Kernel, Key, Partial};

pub(super) const BUCKET: i64 = 1;
pub(super) const PAGE: i64 = 2;
pub(super) const GROUP: i64 = 4;

/// A session of one view that somebody looked at for so long is no bounce.
const ENGAGED_MS: f64 = 10_000.0;

/// Pattern 0 is any event that passes the filter, 1 any at all, 2 a view; the others convert.
pub(super) const COUNTS: u64 = 1;
pub(super) const VIEW: u64 = 4;
/// The bits of those that convert.
const CONVERTS: u64 = !7;

/// Counts of a bucket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    pub sessions: u64,
    pub bounces: u64,
    pub views: u64,
}

impl Row {
    pub(super) fn of(columns: &[f64]) -> Self {
        let at = |column: usize| columns.get(column).map_or(0, |count| *count as u64);
        Self { sessions: at(0), bounces: at(1), views: at(2) }
    }

    fn columns(&self) -> [f64; 3] {
        [self.sessions, self.bounces, self.views].map(|count| count as f64)
    }
}

/// Counts of a value of the breakdown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Source {
    pub row: Row,
    /// Sessions with an event that converts.
    pub converted: u64,
    /// People with a session of this value.
    pub persons: u64,
}

impl Source {
    pub(super) fn of(columns: &[f64]) -> Self {
        let at = |column: usize| columns.get(column).map_or(0, |count| *count as u64);
        Self { row: Row::of(columns), converted: at(3), persons: at(4) }
    }

    fn columns(&self) -> [f64; 5] {
        let [sessions, bounces, views] = self.row.columns();
        [sessions, bounces, views, self.converted as f64, self.persons as f64]
    }

    /// Add what adds up: everything but people.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.row.sessions += other.row.sessions;
        self.row.bounces += other.row.bounces;
        self.row.views += other.row.views;
        self.converted += other.converted;
    }
}

/// Counts over one thread's persons.
pub(super) struct Counter {
    shape: Arc<Shape>,
    times: Range<i64>,
    matcher: Matcher,
    /// By slot: which patterns the rows match, and where in the list of those that were looked at for long the
    /// row before was.
    shown: Vec<(Masks, usize)>,
    cutter: Cutter,
    /// With Matomo's rules.
    parts: matomo::Visits,
    /// Per session of the person, or part of one.
    visits: Vec<Visit>,
    /// Per bucket.
    rows: Vec<Row>,
    histograms: Vec<Histogram>,
    listed: Listed,
    /// Per bucket; the whole range is last.
    taken: Vec<Vec<f64>>,
    /// By code of the path: entries, bounces, exits.
    pages: Vec<[u64; 3]>,
    /// By code of the breakdown, and the last person counted there.
    sources: Vec<(Source, u32)>,
    /// Number of the person, from 1.
    person: u32,
}

/// What is known of a session.
#[derive(Debug, Clone, Copy, Default)]
struct Visit {
    /// First and last event that counts.
    span_ms: Option<(i64, i64)>,
    views: u64,
    entry: u32,
    exit: u32,
    /// The breakdown's value of the first event.
    source: u32,
    converted: bool,
    engaged_ms: f64,
}

impl Visit {
    fn is_bounce(&self) -> bool {
        self.views == 1 && !self.converted && self.engaged_ms < ENGAGED_MS
    }
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>, times: Range<i64>) -> Self {
        let buckets = shape.buckets.len();
        Self {
            times,
            matcher: shape.matcher.clone(),
            shown: Vec::new(),
            cutter: Cutter::default(),
            parts: matomo::Visits::default(),
            visits: Vec::new(),
            rows: vec![Row::default(); buckets],
            histograms: vec![Histogram::default(); buckets],
            listed: Listed::new(buckets),
            taken: vec![Vec::new(); buckets + 1],
            pages: Vec::new(),
            sources: Vec::new(),
            person: 0,
            shape: Arc::clone(shape),
        }
    }

    fn count(&mut self, visit: &Visit) {
        let Some((first_ms, last_ms)) = visit.span_ms else { return };
        if !(self.shape.from_ms..self.shape.to_ms).contains(&first_ms) {
            return;
        }
        let duration_ms = (last_ms - first_ms) as u64;
        let bucket = self.shape.buckets.index(first_ms);
        if !self.shape.zones.is_empty() {
            for bucket in [bucket, self.shape.buckets.len()] {
                if self.shape.zones[bucket].holds(duration_ms) {
                    self.taken[bucket].push(duration_ms as f64);
                }
            }
            return;
        }
        self.histograms[bucket].add(duration_ms);
        self.listed.add(bucket, duration_ms);
        let row = &mut self.rows[bucket];
        row.sessions += 1;
        row.bounces += u64::from(visit.is_bounce());
        row.views += visit.views;
        if let Some((source, last)) = self.sources.get_mut(visit.source as usize) {
            source.row.sessions += 1;
            source.row.bounces += u64::from(visit.is_bounce());
            source.row.views += visit.views;
            source.converted += u64::from(visit.converted);
            source.persons += u64::from(*last != self.person);
            *last = self.person;
        }
        for (page, what) in
            [(visit.entry, [1, u64::from(visit.is_bounce()), 0]), (visit.exit, [0, 0, 1])]
        {
            if page != ABSENT {
                let sums = &mut self.pages[page as usize];
                sums.iter_mut().zip(what).for_each(|(sum, one)| *sum += one);
            }
        }
    }
}

impl Kernel for Counter {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.shown.len() <= slot {
            self.shown.resize_with(slot + 1, Default::default);
        }
        let (masks, engaged) = &mut self.shown[slot];
        self.matcher.look(block, dictionaries, &self.times, masks);
        *engaged = 0;
        self.pages.resize(self.shape.path.dictionary(dictionaries).len(), [0; 3]);
        let values = self.shape.breakdown.map_or(0, |column| column.dictionary(dictionaries).len());
        self.sources.resize(values, (Source::default(), 0));
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], _: &Dictionaries) {
        self.cutter.next_person();
        self.parts.next_person();
        self.person += 1;
        let matomo = self.shape.matomo.as_ref();
        let mut visits = std::mem::take(&mut self.visits);
        visits.clear();
        for Span { slot, block, rows } in spans {
            let Some(sessions) = &block.sessions else { continue };
            let (path, engaged) =
                (self.shape.path.of_block(block), &block.numbers[self.shape.engaged]);
            let source = self.shape.breakdown.map(|column| column.of_block(block));
            let (masks, engaged_at) = &mut self.shown[*slot];
            for row in rows.clone() {
                let (mask, session) = (masks.get(row), sessions[row]);
                let counts = mask & COUNTS != 0;
                // What does not count still breaks the silence, and may be of another campaign.
                if !(counts || mask != 0 && (session == UNNAMED_SESSION || matomo.is_some())) {
                    continue;
                }
                let at_ms = block.ts.get(row);
                let actor = block.actors.as_ref().map_or(person, |actors| actors[row]);
                let Some(mut place) = self.cutter.place(at_ms, actor, session) else { continue };
                if let Some(rules) = matomo {
                    place = self.parts.place(rules, place, block, row);
                }
                if visits.len() <= place {
                    visits.push(Visit::default());
                }
                if !counts {
                    continue;
                }
                let visit = &mut visits[place];
                if let Some(source) = source.filter(|_| visit.span_ms.is_none()) {
                    visit.source = source.get(row);
                }
                visit.span_ms = Some((visit.span_ms.map_or(at_ms, |(first, _)| first), at_ms));
                visit.converted |= mask & CONVERTS != 0;
                let engaged_ms = engaged.find(row, engaged_at);
                if engaged_ms > 0.0 {
                    visit.engaged_ms += engaged_ms;
                }
                if mask & VIEW != 0 {
                    visit.views += 1;
                    visit.exit = path.get(row);
                    if visit.views == 1 {
                        visit.entry = visit.exit;
                    }
                }
            }
        }
        visits.iter().for_each(|visit| self.count(visit));
        self.visits = visits;
    }

    fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(Histogram::bytes).sum();
        let taken: usize = self.taken.iter().map(|taken| taken.capacity() * 8).sum();
        size_of_val(&self.pages[..])
            + size_of_val(&self.sources[..])
            + histograms
            + taken
            + self.listed.bytes()
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        if !self.shape.zones.is_empty() {
            for (bucket, taken) in self.taken.into_iter().enumerate() {
                partial.put(vec![Key::Int(HISTOGRAM), bucket.into()], taken);
            }
            return partial;
        }
        let all = self.rows.len();
        for (bucket, (row, histogram)) in self.rows.iter().zip(&self.histograms).enumerate() {
            if row.sessions == 0 {
                continue;
            }
            for bucket in [bucket, all] {
                partial.add(vec![Key::Int(BUCKET), bucket.into()], &row.columns());
                partial.add(vec![Key::Int(HISTOGRAM), bucket.into()], &histogram.columns());
            }
        }
        for (bucket, durations) in self.listed.bags().enumerate() {
            partial.put(vec![Key::Int(LIST), bucket.into()], durations);
        }
        for (code, (source, _)) in self.sources.iter().enumerate() {
            if let Some(column) = self.shape.breakdown.filter(|_| source.row.sessions > 0) {
                let value = Key::from_text(column.dictionary(dictionaries).text(code as u32));
                partial.add(vec![Key::Int(GROUP), value], &source.columns());
            }
        }
        let texts = self.shape.path.dictionary(dictionaries);
        for (code, counts) in self.pages.iter().enumerate().filter(|(_, counts)| **counts != [0; 3])
        {
            let key = Key::from_text(texts.text(code as u32));
            partial.add(vec![Key::Int(PAGE), key], &counts.map(|count| count as f64));
        }
        partial
    }
}
