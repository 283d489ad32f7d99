//! Counting the people of a funnel, and reading the counts.
//!
//! Table: `(0, value, steps reached)` → persons. Bags: `(1, value, step)` → time since the step
//! before, for `step ≥ 1` (from 0); `(2, value)` → time from the first step to the last. `value`
//! is the breakdown value of the chain's first event. A person has one chain, so every figure adds
//! up over values: `other` is exact.

use std::sync::Arc;

use hashbrown::HashMap;

use super::answer::{Durations, FunnelAnswer, FunnelGroup, FunnelStep};
use super::chain::{Chains, ClickHouse};
use super::ties::{self, Tied};
use super::{Rule, Shape};
use crate::answer::{Group, ratio};
use crate::events::{ABSENT, Dictionaries, Run};
use crate::filter::Matcher;
use crate::kernel::{Kernel, Key, Partial};
use crate::quantile::quantiles;

/// The kernel.
pub(super) struct Counter {
    shape: Arc<Shape>,
    matcher: Matcher,
    chains: Chains,
    /// Bits of the matcher that are steps.
    step_bits: u64,
    tied: Vec<Tied>,
    /// By breakdown code.
    groups: Vec<Option<Box<Counts>>>,
}

#[derive(Debug, Clone)]
struct Counts {
    /// By steps reached, less one.
    persons: Vec<u64>,
    /// By step: time since the step before. Index 0 is the time from first to last.
    times_ms: Vec<Vec<f64>>,
}

impl Counter {
    pub(super) fn new(shape: Arc<Shape>, matcher: Matcher) -> Self {
        let steps = shape.steps;
        Self {
            chains: Chains::new(steps, shape.window_ms),
            step_bits: u64::MAX >> (64 - steps),
            tied: Vec::new(),
            groups: Vec::new(),
            shape,
            matcher,
        }
    }

    fn walk(&mut self, run: &Run<'_>) {
        self.chains.clear();
        let (ts, rows) = (run.ts, run.len());
        let mut row = 0;
        while row < rows {
            let at_ms = ts[row];
            if row + 1 < rows && ts[row + 1] == at_ms {
                let end = row + ts[row..].partition_point(|at| *at == at_ms);
                self.instant(run, row, end);
                row = end;
            } else {
                let mask = self.matcher.mask(run, row);
                self.one(at_ms, row, mask);
                row += 1;
            }
            if self.chains.is_done() {
                return;
            }
        }
    }

    /// An event that shares its millisecond with no other, or whose order is known.
    #[inline]
    fn one(&mut self, at_ms: i64, row: usize, mask: u64) {
        if mask == 0 {
            return;
        }
        let kills = self.kills(mask);
        self.chains.kill(kills);
        let mut steps = mask & self.step_bits;
        // A start after the range is none; later steps may be.
        if at_ms >= self.shape.to_ms {
            steps &= !1;
        }
        match self.shape.rule {
            Rule::Ours => self.chains.take(at_ms, row as u32, steps),
            Rule::ClickHouse => ClickHouse(&mut self.chains).take(at_ms, row as u32, steps),
        }
    }

    /// The steps reached whose chains an event ends.
    #[inline]
    fn kills(&self, mask: u64) -> u64 {
        let mut exclusions = mask & !self.step_bits;
        let mut kills = 0;
        while exclusions != 0 {
            kills |= self.shape.kills[exclusions.trailing_zeros() as usize - self.shape.steps];
            exclusions &= exclusions - 1;
        }
        kills
    }

    /// Several events of one millisecond.
    fn instant(&mut self, run: &Run<'_>, start: usize, end: usize) {
        let at_ms = run.ts[start];
        if self.shape.rule == Rule::ClickHouse {
            let masks = (start..end).map(|row| self.matcher.mask(run, row));
            let (mut all, mut starts_at) = (0, None);
            for (offset, mask) in masks.enumerate() {
                all |= mask;
                if mask & 1 == 1 {
                    starts_at.get_or_insert(start + offset);
                }
            }
            return self.one(at_ms, starts_at.unwrap_or(start), all);
        }
        let actors = &run.actor[start..end];
        if actors.iter().all(|actor| *actor == actors[0]) {
            for row in start..end {
                let mask = self.matcher.mask(run, row);
                self.one(at_ms, row, mask);
            }
            return;
        }
        let may_start = if at_ms < self.shape.to_ms { u64::MAX } else { !1 };
        let mut tied = std::mem::take(&mut self.tied);
        tied.clear();
        let mut excluded = 0;
        for row in start..end {
            let mask = self.matcher.mask(run, row);
            excluded |= mask;
            let steps = mask & self.step_bits & may_start;
            if steps != 0 {
                tied.push(Tied { actor: run.actor[row], row: row as u32, mask: steps });
            }
        }
        // In the best order an exclusion comes after the steps that lead out of its reach and
        // before those that lead into it: it ends the chains that did nothing in this instant.
        ties::take(&mut self.chains, self.shape.steps, at_ms, &mut tied);
        let kills = self.kills(excluded);
        self.chains.kill_idle(kills, at_ms);
        self.tied = tied;
    }

    fn count(&mut self, run: &Run<'_>) {
        let Some((reached, chain)) = self.chains.best() else { return };
        let mut links = chain.peekable();
        let start = links.peek().map_or((0, 0), |last| (last.start_row, last.start_ms));
        let code = self.shape.breakdown.map_or(ABSENT, |column| column.of(run)[start.0 as usize]);
        let code = code as usize;
        if code >= self.groups.len() {
            self.groups.resize(code + 1, None);
        }
        let steps = self.shape.steps;
        let counts = self.groups[code].get_or_insert_with(|| {
            Box::new(Counts { persons: vec![0; steps], times_ms: vec![Vec::new(); steps] })
        });
        counts.persons[reached - 1] += 1;
        let mut step = reached - 1;
        while let Some(link) = links.next() {
            let Some(before) = links.peek() else { break };
            counts.times_ms[step].push((link.at_ms - before.at_ms) as f64);
            if step + 1 == steps {
                counts.times_ms[0].push((link.at_ms - start.1) as f64);
            }
            step -= 1;
        }
    }
}

impl Kernel for Counter {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        debug_assert!(run.ts.first().is_none_or(|at| *at >= self.shape.from_ms));
        self.matcher.learn(dictionaries);
        self.walk(run);
        self.count(run);
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        for (code, counts) in self.groups.into_iter().enumerate() {
            let Some(counts) = counts else { continue };
            let value = self.shape.breakdown.map_or(Key::None, |column| {
                Key::from_text(column.dictionary(dictionaries).text(code as u32))
            });
            for (reached, persons) in counts.persons.iter().enumerate() {
                if *persons > 0 {
                    let key = vec![Key::Int(0), value.clone(), Key::from(reached + 1)];
                    partial.add(key, &[*persons as f64]);
                }
            }
            for (step, times_ms) in counts.times_ms.into_iter().enumerate() {
                if times_ms.is_empty() {
                    continue;
                }
                let key = match step {
                    0 => vec![Key::Int(2), value.clone()],
                    step => vec![Key::Int(1), value.clone(), step.into()],
                };
                partial.put(key, times_ms);
            }
        }
        partial
    }
}

/// The people and times of one line of the answer.
#[derive(Debug, Clone)]
struct Line {
    reached: Vec<u64>,
    times_ms: Vec<Vec<f64>>,
}

impl Line {
    fn new(steps: usize) -> Self {
        Self { reached: vec![0; steps], times_ms: vec![Vec::new(); steps] }
    }

    fn entered(&self) -> u64 {
        self.reached.iter().sum()
    }

    fn merge(&mut self, other: &Self) {
        for (sum, more) in self.reached.iter_mut().zip(&other.reached) {
            *sum += more;
        }
        for (bag, more) in self.times_ms.iter_mut().zip(&other.times_ms) {
            bag.extend(more);
        }
    }

    fn read(mut self, events: &[Option<String>]) -> (Vec<FunnelStep>, Durations) {
        let mut persons = self.entered();
        let entered = persons;
        let mut previous = persons;
        let mut steps = Vec::with_capacity(events.len());
        let [median_ms, p90_ms] = quantiles(&mut self.times_ms[0], [0.5, 0.9]);
        let times = Durations { persons: self.times_ms[0].len() as u64, median_ms, p90_ms };
        for (step, event) in events.iter().enumerate() {
            let [median_ms, p90_ms] = match step {
                0 => [None, None],
                step => quantiles(&mut self.times_ms[step], [0.5, 0.9]),
            };
            steps.push(FunnelStep {
                step: step + 1,
                event: event.clone(),
                persons,
                conversion_ratio: ratio(persons, entered),
                from_previous_ratio: ratio(persons, previous),
                median_ms,
                p90_ms,
            });
            previous = persons;
            persons -= self.reached[step];
        }
        (steps, times)
    }
}

/// The answer of a merged table.
pub(super) fn read(
    partial: &Partial,
    events: &[Option<String>],
    broken_down: bool,
    limit: usize,
) -> FunnelAnswer {
    let steps = events.len();
    let mut lines: HashMap<&Key, Line> = HashMap::new();
    for (key, row) in &partial.rows {
        if let [_, value, reached] = &key[..] {
            let reached = reached.int().unwrap_or(1) as usize;
            lines.entry(value).or_insert_with(|| Line::new(steps)).reached[reached - 1] +=
                row[0] as u64;
        }
    }
    for (key, bag) in &partial.bags {
        let step = key.get(2).and_then(Key::int).unwrap_or(0) as usize;
        if let Some(line) = lines.get_mut(&key[1]) {
            line.times_ms[step].extend(bag);
        }
    }
    let mut everybody = Line::new(steps);
    lines.values().for_each(|line| everybody.merge(line));
    let breakdown = if broken_down { groups(lines, events, limit) } else { Vec::new() };
    let (steps, time_to_convert) = everybody.read(events);
    FunnelAnswer { steps, breakdown, time_to_convert }
}

/// Values by falling number of entries (equal ones by name), then "absent", then the rest.
fn groups(lines: HashMap<&Key, Line>, events: &[Option<String>], limit: usize) -> Vec<FunnelGroup> {
    let mut lines: Vec<(&Key, Line)> = lines.into_iter().collect();
    lines.sort_by(|(a, first), (b, second)| {
        second.entered().cmp(&first.entered()).then_with(|| a.cmp(b))
    });
    let absent = lines.iter().position(|(key, _)| **key == Key::None).map(|at| lines.remove(at));
    let beyond = lines.split_off(limit.min(lines.len()));
    let mut all: Vec<(Group, Option<String>, Line)> = lines
        .into_iter()
        .map(|(key, line)| (Group::Value, key.text().map(str::to_owned), line))
        .collect();
    all.extend(absent.map(|(_, line)| (Group::Absent, None, line)));
    if !beyond.is_empty() {
        let mut other = Line::new(events.len());
        beyond.iter().for_each(|(_, line)| other.merge(line));
        all.push((Group::Other, None, other));
    }
    all.into_iter()
        .map(|(group, value, line)| {
            let (steps, time_to_convert) = line.read(events);
            FunnelGroup { group, value, steps, time_to_convert }
        })
        .collect()
}
