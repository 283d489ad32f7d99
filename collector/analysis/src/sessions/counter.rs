//! Counting sessions, person by person.
//!
//! In: runs with sessions. Out: a table: `(BUCKET, bucket)` → [`Row`]; `(PAGE, path)` → sessions that
//! begin with it, those of them that bounced, sessions that end with it; `(HISTOGRAM, bucket)` →
//! durations by bin. Bucket numbers go on to one behind the last: the whole range. The second scan
//! adds nothing but bags, `(HISTOGRAM, bucket)`: the durations of the zone.

use std::sync::Arc;

use super::Shape;
use super::cut::Cutter;
use super::durations::{HISTOGRAM, Histogram};
use crate::events::{ABSENT, Dictionaries, Run, UNNAMED_SESSION};
use crate::filter::{Filter, Matcher};
use crate::kernel::{Key, Partial, RunKernel};

pub(super) const BUCKET: i64 = 1;
pub(super) const PAGE: i64 = 2;

/// A session of one view that somebody looked at for so long is no bounce.
const ENGAGED_MS: f64 = 10_000.0;

/// Pattern 0 is a view, the others convert.
const VIEW: u64 = 1;

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

/// Counts over one thread's persons.
pub(super) struct Counter {
    shape: Arc<Shape>,
    patterns: Matcher,
    filter: Filter,
    cutter: Cutter,
    /// Per session of the person.
    visits: Vec<Visit>,
    /// Per bucket; the whole range is last.
    rows: Vec<Row>,
    histograms: Vec<Histogram>,
    taken: Vec<Vec<f64>>,
    /// By code of the path: entries, bounces, exits.
    pages: Vec<[u64; 3]>,
}

/// What is known of a session.
#[derive(Debug, Clone, Copy, Default)]
struct Visit {
    /// First and last event that counts.
    span_ms: Option<(i64, i64)>,
    views: u64,
    entry: u32,
    exit: u32,
    converted: bool,
    engaged_ms: f64,
}

impl Visit {
    fn is_bounce(&self) -> bool {
        self.views == 1 && !self.converted && self.engaged_ms < ENGAGED_MS
    }
}

impl Counter {
    pub(super) fn new(shape: &Arc<Shape>) -> Self {
        let buckets = shape.buckets.len() + 1;
        Self {
            patterns: shape.patterns.clone(),
            filter: shape.filter.clone(),
            cutter: Cutter::default(),
            visits: Vec::new(),
            rows: vec![Row::default(); buckets],
            histograms: vec![Histogram::default(); buckets],
            taken: vec![Vec::new(); buckets],
            pages: Vec::new(),
            shape: Arc::clone(shape),
        }
    }

    fn count(&mut self, visit: &Visit) {
        let Some((first_ms, last_ms)) = visit.span_ms else { return };
        if !(self.shape.from_ms..self.shape.to_ms).contains(&first_ms) {
            return;
        }
        let duration_ms = (last_ms - first_ms) as u64;
        let all = self.shape.buckets.len();
        for bucket in [self.shape.buckets.index(first_ms), all] {
            let row = &mut self.rows[bucket];
            row.sessions += 1;
            row.bounces += u64::from(visit.is_bounce());
            row.views += visit.views;
            self.histograms[bucket].add(duration_ms);
            if self.shape.zones.get(bucket).is_some_and(|zone| zone.holds(duration_ms)) {
                self.taken[bucket].push(duration_ms as f64);
            }
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

impl RunKernel for Counter {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        self.patterns.learn(dictionaries);
        self.filter.learn(dictionaries);
        self.cutter.next_person();
        let mut visits = std::mem::take(&mut self.visits);
        visits.clear();
        self.pages.resize(self.shape.path.dictionary(dictionaries).len(), [0; 3]);
        let shape = Arc::clone(&self.shape);
        for (row, &path) in shape.path.of(run).iter().enumerate() {
            let (ts, session) = (run.ts[row], run.sessions[row]);
            let counts = self.filter.passes(run, row);
            // What does not count still breaks the silence.
            if !counts && session != UNNAMED_SESSION {
                continue;
            }
            let Some(place) = self.cutter.place(ts, run.actor[row], session) else { continue };
            if visits.len() < self.cutter.len() {
                visits.push(Visit::default());
            }
            if !counts {
                continue;
            }
            let visit = &mut visits[place];
            visit.span_ms = Some((visit.span_ms.map_or(ts, |(first, _)| first), ts));
            let mask = self.patterns.mask(run, row);
            visit.converted |= mask & !VIEW != 0;
            let engaged_ms = run.numbers[shape.engaged][row];
            if engaged_ms > 0.0 {
                visit.engaged_ms += engaged_ms;
            }
            if mask & VIEW != 0 {
                visit.views += 1;
                if visit.views == 1 {
                    visit.entry = path;
                }
                visit.exit = path;
            }
        }
        visits.iter().for_each(|visit| self.count(visit));
        self.visits = visits;
    }

    fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(Histogram::bytes).sum();
        let taken: usize = self.taken.iter().map(|taken| taken.capacity() * 8).sum();
        size_of_val(&self.pages[..]) + histograms + taken
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        if !self.shape.zones.is_empty() {
            for (bucket, taken) in self.taken.into_iter().enumerate() {
                partial.put(vec![Key::Int(HISTOGRAM), bucket.into()], taken);
            }
            return partial;
        }
        let buckets = self.rows.iter().zip(&self.histograms).enumerate();
        for (bucket, (row, histogram)) in buckets {
            if row.sessions == 0 {
                continue;
            }
            partial.add(vec![Key::Int(BUCKET), bucket.into()], &row.columns());
            partial.add(vec![Key::Int(HISTOGRAM), bucket.into()], &histogram.columns());
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
