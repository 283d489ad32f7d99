//! Funnels with more than the plain rules: strict or any order, optional steps, held properties,
//! sessions or attempts instead of people, buckets of time, the rules of other products.
//!
//! In: one person's rows. Out: the table of `counter`, and beside it `(3, value, step)` → chains that did
//! an optional step, `(4, value, bucket, steps reached)` → people by the bucket in which they started.
//!
//! A person's rows are cut into *units*: one, or one per session, or one per value of the held properties.
//! In each the best chain is looked for, or every attempt. What a chain is, is said by one file a rule.
//!
//! Deliberately elsewhere: the plain rules, which are faster (`chain`, `counter`).

pub(super) mod any;
pub(super) mod attempts;
pub(super) mod ordered;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;

use super::options::{Attribution, Count, Options, Order};
use super::rule::Difference;
use crate::events::{ABSENT, Dictionaries, Run};
use crate::filter::{Matcher, TextColumn};
use crate::kernel::{Key, Partial, RunKernel};
use crate::sessions::cut::Cutter;
use crate::time_bucket::Buckets;

/// What the kernels of one question share.
#[derive(Clone)]
pub(super) struct Shape {
    pub steps: usize,
    pub window_ms: i64,
    /// Where a chain may start.
    pub starts: Range<i64>,
    /// By exclusion: the steps reached, as bits, whose chains it ends.
    pub kills: Vec<u64>,
    pub optional: u64,
    pub breakdown: Option<TextColumn>,
    pub hold: Vec<TextColumn>,
    pub buckets: Option<Buckets>,
    pub options: Options,
}

/// One event of a unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub at_ms: i64,
    /// The steps it matches, as bits.
    pub steps: u64,
    /// The steps reached whose chains it ends, as bits.
    pub kills: u64,
    pub actor: u64,
    /// The row in the run.
    pub row: usize,
}

/// A step that was done, by an event of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Did {
    pub step: usize,
    pub event: usize,
}

/// What came of a unit: the steps done, in order.
pub(super) type Chain = Vec<Did>;

/// Steps as bits, from the first.
pub(super) fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let step = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(step)
    })
}

/// The kernel.
pub(super) struct Walker {
    shape: Arc<Shape>,
    /// Steps first, then exclusions.
    matcher: Matcher,
    cutter: Cutter,
    /// By code of the breakdown.
    groups: BTreeMap<u32, Counts>,
    bytes: usize,
    /// For the events of the next person.
    memory: Vec<At>,
}

#[derive(Default)]
struct Counts {
    /// By steps reached, less one.
    reached: Vec<u64>,
    /// By optional step: chains that did it.
    did: Vec<u64>,
    /// By step: time since the step before. Index 0 is the time from first to last.
    times_ms: Vec<Vec<f64>>,
    /// By bucket and steps reached.
    by_bucket: BTreeMap<(usize, usize), u64>,
}

impl Walker {
    pub(super) fn new(shape: Arc<Shape>, matcher: Matcher) -> Self {
        let (cutter, groups) = (Cutter::default(), BTreeMap::new());
        Self { shape, matcher, cutter, groups, bytes: 0, memory: Vec::new() }
    }

    /// Count by another shape of the same question from here on.
    pub(super) fn follow(&mut self, shape: Arc<Shape>) {
        self.shape = shape;
    }

    /// The steps and times of the chain that counts of a person; empty where none does.
    pub(super) fn chain_of(
        &mut self,
        run: &Run<'_>,
        dictionaries: &Dictionaries,
    ) -> Vec<(usize, i64)> {
        self.matcher.learn(dictionaries);
        let events = self.events(run, Vec::new());
        let units = self.units(run, events);
        let counted = self.counted(&units, &self.shape.starts).into_iter().next();
        let (unit, chain) = counted.unwrap_or_default();
        chain.iter().map(|did| (did.step, units[unit][did.event].at_ms)).collect()
    }

    /// A person's rows, as events, in memory that may have been used before.
    fn events(&self, run: &Run<'_>, mut events: Vec<At>) -> Vec<At> {
        let shape = &*self.shape;
        let step_bits = u64::MAX >> (64 - shape.steps);
        let event = |row: usize| {
            let mask = self.matcher.mask(run, row);
            let excluded = (mask & !step_bits).checked_shr(shape.steps as u32).unwrap_or(0);
            let kills = match shape.kills.is_empty() {
                true => 0,
                false => bits(excluded).fold(0, |kills, at| kills | shape.kills[at]),
            };
            let actor = run.actor.get(row).copied().unwrap_or(run.person);
            At { at_ms: run.ts[row], steps: mask & step_bits, kills, actor, row }
        };
        events.clear();
        events.extend((0..run.len()).map(event));
        events
    }

    /// The events of each unit. An event without a value of a held property is in none by its steps,
    /// but ends chains like any other.
    fn units(&mut self, run: &Run<'_>, events: Vec<At>) -> Vec<Vec<At>> {
        let sessions = match self.shape.options.count {
            Count::Sessions => self.by_session(run, events),
            Count::Persons | Count::Totals => vec![events],
        };
        if self.shape.hold.is_empty() {
            return sessions;
        }
        sessions.into_iter().flat_map(|events| self.by_value(run, &events)).collect()
    }

    fn by_session(&mut self, run: &Run<'_>, events: Vec<At>) -> Vec<Vec<At>> {
        self.cutter.next_person();
        let mut units: Vec<Vec<At>> = Vec::new();
        for event in events {
            let session = run.sessions[event.row];
            let Some(place) = self.cutter.place(event.at_ms, event.actor, session) else {
                continue;
            };
            units.resize_with(units.len().max(place + 1), Vec::new);
            units[place].push(event);
        }
        units
    }

    fn by_value(&self, run: &Run<'_>, events: &[At]) -> Vec<Vec<At>> {
        let columns: Vec<&[u32]> = self.shape.hold.iter().map(|column| column.of(run)).collect();
        let value = |event: &At| -> Option<Vec<u32>> {
            let codes =
                columns.iter().map(|column| Some(column[event.row]).filter(|c| *c != ABSENT));
            codes.collect()
        };
        let mut places: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut units: Vec<Vec<At>> = Vec::new();
        let is_strict = self.shape.options.order == Order::Strict;
        for event in events {
            let value = (event.steps != 0).then(|| value(event)).flatten();
            if let Some(value) = &value
                && !places.contains_key(value)
            {
                places.insert(value.clone(), units.len());
                units.push(Vec::new());
            }
            let own = value.map(|value| places[&value]);
            if let Some(own) = own {
                units[own].push(*event);
            }
            if event.kills != 0 || is_strict {
                let others = units.iter_mut().enumerate().filter(|(at, _)| Some(*at) != own);
                others.for_each(|(_, unit)| unit.push(At { steps: 0, ..*event }));
            }
        }
        units
    }

    /// The chains of a unit that start in this time.
    fn chains(&self, events: &[At], starts: &Range<i64>) -> Vec<Chain> {
        let (shape, options) = (&*self.shape, self.shape.options);
        let order = options.rule.has(Difference::CloseSteps).then(|| turned(events));
        let turned: Option<Vec<At>> =
            order.as_ref().map(|order| order.iter().map(|at| events[*at]).collect());
        let events = turned.as_deref().unwrap_or(events);
        let mut chains = match (options.count, options.order) {
            (Count::Totals, _) => attempts::all(events, starts, shape),
            _ if options.rule.has(Difference::OneAttempt) => {
                best_of(attempts::all(events, starts, shape), events)
            }
            (_, Order::Any | Order::AnyAfterFirst) => {
                any::best(events, starts, shape).into_iter().collect()
            }
            (_, Order::Ordered | Order::Strict) => {
                ordered::best(events, starts, shape).into_iter().collect()
            }
        };
        if let Some(order) = order {
            chains.iter_mut().flatten().for_each(|did| did.event = order[did.event]);
        }
        chains
    }

    /// The events that can be part of a chain: none before a start, none behind its window.
    fn within(&self, events: &[At], starts: &Range<i64>) -> Range<usize> {
        let end_ms = match self.shape.options.rule.has(Difference::EndsWithRange) {
            true => starts.end,
            false => starts.end.saturating_add(self.shape.window_ms).saturating_add(1000),
        };
        let first = events.partition_point(|event| event.at_ms < starts.start);
        first..events.partition_point(|event| event.at_ms < end_ms)
    }

    /// Whether a person has one unit, and that one chain at most.
    fn has_one_chain(&self) -> bool {
        let Shape { hold, buckets, options, .. } = &*self.shape;
        let is_rule_plain =
            !options.rule.has(Difference::CloseSteps) && !options.rule.has(Difference::OneAttempt);
        let is_of_persons = options.count == Count::Persons && hold.is_empty();
        is_of_persons && buckets.is_none() && options.order.is_any() && is_rule_plain
    }

    /// What counts of a person or a session: of several units the best, or all attempts.
    fn counted(&self, units: &[Vec<At>], starts: &Range<i64>) -> Vec<(usize, Chain)> {
        let of = |(unit, events): (usize, &Vec<At>)| -> Vec<(usize, Chain)> {
            let Range { start: first, end } = self.within(events, starts);
            let mut chains = self.chains(&events[first..end], starts);
            chains.iter_mut().flatten().for_each(|did| did.event += first);
            chains.into_iter().map(|chain| (unit, chain)).collect()
        };
        let all: Vec<_> = units.iter().enumerate().flat_map(of).collect();
        if self.shape.options.count != Count::Persons {
            return all;
        }
        let furthest = all.into_iter().min_by_key(|(unit, chain)| rank(chain, &units[*unit]));
        furthest.into_iter().collect()
    }

    fn count(&mut self, run: &Run<'_>, events: &[At], chain: &Chain, bucket: Option<usize>) {
        let shape = Arc::clone(&self.shape);
        let by = match shape.options.attribution {
            Attribution::First => chain.first(),
            Attribution::Last => chain.last(),
            Attribution::Step(step) => chain.iter().find(|did| did.step == step),
        };
        let value =
            shape.breakdown.zip(by).map(|(column, did)| column.of(run)[events[did.event].row]);
        let reached = match shape.options.order {
            Order::Any | Order::AnyAfterFirst => chain.len(),
            Order::Ordered | Order::Strict => chain.last().map_or(0, |did| did.step + 1),
        };
        let counts = self.groups.entry(value.unwrap_or(ABSENT)).or_insert_with(|| Counts {
            reached: vec![0; shape.steps],
            did: vec![0; shape.steps],
            times_ms: vec![Vec::new(); shape.steps],
            by_bucket: BTreeMap::new(),
        });
        if let Some(bucket) = bucket {
            *counts.by_bucket.entry((bucket, reached)).or_default() += 1;
            return;
        }
        counts.reached[reached - 1] += 1;
        for (place, did) in chain.iter().enumerate() {
            counts.did[did.step] += shape.optional >> did.step & 1;
            let Some(before) = place.checked_sub(1).map(|before| chain[before]) else { continue };
            // Where any order will do, the steps are counted as they came.
            let step = if shape.options.order.is_any() { place } else { did.step };
            let took = events[did.event].at_ms - events[before.event].at_ms;
            counts.times_ms[step].push(took as f64);
            self.bytes += size_of::<f64>();
        }
        if reached == shape.steps
            && reached > 1
            && let (Some(first), Some(last)) = (chain.first(), chain.last())
        {
            counts.times_ms[0].push((events[last.event].at_ms - events[first.event].at_ms) as f64);
        }
    }

    /// One chain per bucket in which the person started.
    fn count_by_start(&mut self, run: &Run<'_>, units: &[Vec<At>], buckets: &Buckets) {
        let shape = Arc::clone(&self.shape);
        let starts = units.iter().flatten().filter(|at| {
            at.steps & shape.options.order.opening() != 0 && shape.starts.contains(&at.at_ms)
        });
        let mut of: Vec<usize> = starts.map(|at| buckets.index(at.at_ms)).collect();
        of.sort_unstable();
        of.dedup();
        for bucket in of {
            let begin = if bucket == 0 { i64::MIN } else { buckets.end_ms(bucket - 1) };
            let within =
                begin.max(shape.starts.start)..buckets.end_ms(bucket).min(shape.starts.end);
            for (unit, chain) in self.counted(units, &within) {
                self.count(run, &units[unit], &chain, Some(bucket));
            }
        }
    }
}

/// Two steps that follow each other within this time may have happened the other way round, for Mixpanel.
const CLOSE_MS: i64 = 2_000;

/// The places of events, those steps turned that may have happened the other way round.
fn turned(events: &[At]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..events.len()).collect();
    for at in 1..order.len() {
        let (before, here) = (&events[order[at - 1]], &events[order[at]]);
        let is_close = here.at_ms - before.at_ms <= CLOSE_MS;
        let is_turned = before.steps >> 1 & here.steps != 0 && before.steps & here.steps == 0;
        if is_close && is_turned {
            order.swap(at - 1, at);
        }
    }
    order
}

/// Sorts chains: the furthest first, then what got there first.
fn rank(chain: &Chain, events: &[At]) -> (std::cmp::Reverse<(usize, usize)>, i64) {
    let last = chain.last();
    let reached = last.map_or(0, |did| did.step + 1);
    let at_ms = last.map_or(i64::MAX, |did| events[did.event].at_ms);
    (std::cmp::Reverse((reached.max(chain.len()), chain.len())), at_ms)
}

fn best_of(chains: Vec<Chain>, events: &[At]) -> Vec<Chain> {
    chains.into_iter().min_by_key(|chain| rank(chain, events)).into_iter().collect()
}

impl RunKernel for Walker {
    fn learn(&mut self, dictionaries: &Dictionaries) {
        self.matcher.learn(dictionaries);
    }

    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        let memory = std::mem::take(&mut self.memory);
        let events = self.events(run, memory);
        let shape = Arc::clone(&self.shape);
        if self.has_one_chain() {
            // People are many, and lists to choose from would be made for each.
            let of_chains = &events[self.within(&events, &shape.starts)];
            if let Some(chain) = any::best(of_chains, &shape.starts, &shape) {
                self.count(run, of_chains, &chain, None);
            }
            self.memory = events;
            return;
        }
        let mut units = self.units(run, events);
        for (unit, chain) in self.counted(&units, &shape.starts) {
            self.count(run, &units[unit], &chain, None);
        }
        if let Some(buckets) = &shape.buckets {
            self.count_by_start(run, &units, buckets);
        }
        self.memory = units.pop().unwrap_or_default();
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        for (code, counts) in self.groups {
            let value = self.shape.breakdown.map_or(Key::None, |column| {
                Key::from_text(column.dictionary(dictionaries).text(code))
            });
            let mut add = |kind: i64, rest: Vec<Key>, count: u64| {
                if count > 0 {
                    let mut key = vec![Key::Int(kind), value.clone()];
                    key.extend(rest);
                    partial.add(key, &[count as f64]);
                }
            };
            for (reached, count) in (1..).zip(counts.reached) {
                add(0, vec![Key::Int(reached)], count);
            }
            for (step, count) in counts.did.into_iter().enumerate() {
                add(3, vec![step.into()], count);
            }
            for ((bucket, reached), count) in counts.by_bucket {
                add(4, vec![bucket.into(), reached.into()], count);
            }
            for (step, times_ms) in counts.times_ms.into_iter().enumerate() {
                let key = match step {
                    0 => vec![Key::Int(2), value.clone()],
                    step => vec![Key::Int(1), value.clone(), step.into()],
                };
                if !times_ms.is_empty() {
                    partial.put(key, times_ms);
                }
            }
        }
        partial
    }
}
