//! Counting the people of a funnel.
//!
//! Table: `(0, value, steps reached)` → persons. Bags: `(1, value, step)` → time since the step
//! before, for `step ≥ 1` (from 0); `(2, value)` → time from the first step to the last. `value`
//! is the breakdown value of the chain's first event. A person has one chain, so every figure adds
//! up over values: `other` is exact.
//!
//! Most events of a funnel change nothing: of starts only the last one before a second step matters,
//! and an event of a later step only where a chain waits for it. So a person's rows are searched, eight
//! at a time, for what could change something now; the start before a second step is looked up when that
//! step is found.

use std::ops::Range;
use std::sync::Arc;

use super::Shape;
use super::chain::{Chains, ClickHouse};
use super::ties::{self, Tied};
use crate::columns::{Block, Span};
use crate::events::{ABSENT, Dictionaries};
use crate::filter::{Mask, Masks, Matcher};
use crate::kernel::{Kernel, Key, Partial};

/// The bit of the first step.
const START: u64 = 1;
/// That of the second.
const SECOND: u64 = 2;

/// The kernel.
pub(super) struct Counter {
    shape: Arc<Shape>,
    times: Range<i64>,
    matcher: Matcher,
    /// By slot: which steps and exclusions the block's rows match.
    masks: Vec<Masks>,
    /// By span of the person: what makes a row of it a number that rises over all of them.
    shifts: Vec<u32>,
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

/// A person's rows with their masks.
#[derive(Clone, Copy)]
struct Rows<'a> {
    spans: &'a [Span<'a>],
    masks: &'a [Masks],
    shifts: &'a [u32],
}

/// The rows of one span.
#[derive(Clone, Copy)]
struct Part<'a, M> {
    span: &'a Span<'a>,
    /// By row of the block.
    masks: &'a [M],
    shift: u32,
}

impl<'a> Rows<'a> {
    fn part<M: Mask>(self, at: usize) -> Part<'a, M> {
        let span = &self.spans[at];
        Part { span, masks: M::all(&self.masks[span.slot]), shift: self.shifts[at] }
    }

    /// The first start of all.
    fn first_start<M: Mask>(self) -> Option<(&'a Span<'a>, usize)> {
        (0..self.spans.len()).find_map(|at| {
            let part = self.part::<M>(at);
            let rows = &part.span.rows;
            let row = M::find(&part.masks[..rows.end], rows.start, START)?;
            Some((part.span, row))
        })
    }

    /// The last start before a row of a span, and not before the place `from`.
    fn last_start<M: Mask>(self, at: usize, row: usize, from: u32) -> Option<(u32, i64)> {
        for span in (0..=at).rev() {
            let part = self.part::<M>(span);
            let mut rows = part.span.rows.clone();
            if span == at {
                rows.end = row;
            }
            let is_last = part.place(rows.start) < from;
            if is_last {
                rows.start += (from - part.place(rows.start)) as usize;
            }
            let starts = part.masks.get(rows.clone());
            if let Some(row) = starts.and_then(|masks| M::find_last(masks, START)) {
                let row = rows.start + row;
                return Some((part.place(row), part.at_ms(row)));
            }
            if is_last {
                return None;
            }
        }
        None
    }

    /// The span and row of a place.
    fn find(self, place: u32) -> Option<(&'a Span<'a>, usize)> {
        self.spans.iter().zip(self.shifts).find_map(|(span, shift)| {
            let row = place.wrapping_sub(*shift) as usize;
            span.rows.contains(&row).then_some((span, row))
        })
    }
}

impl<M: Mask> Part<'_, M> {
    fn place(&self, row: usize) -> u32 {
        (row as u32).wrapping_add(self.shift)
    }

    fn at_ms(&self, row: usize) -> i64 {
        self.span.block.ts.get(row)
    }

    fn mask(&self, row: usize) -> u64 {
        self.masks[row].bits()
    }

    /// Whether a row before is of the same millisecond, and of some step.
    fn continues_instant(&self, row: usize) -> bool {
        let at_ms = self.at_ms(row);
        let mut before =
            (self.span.rows.start..row).rev().take_while(|row| self.at_ms(*row) == at_ms);
        before.any(|row| self.mask(row) != 0)
    }

    /// The rows of one millisecond around a row.
    fn instant(&self, row: usize) -> Range<usize> {
        let at_ms = self.at_ms(row);
        let rows = &self.span.rows;
        let before = (rows.start..row).rev().take_while(|&row| self.at_ms(row) == at_ms);
        let after = (row + 1..rows.end).take_while(|&row| self.at_ms(row) == at_ms);
        row - before.count()..row + 1 + after.count()
    }
}

impl Counter {
    pub(super) fn new(shape: Arc<Shape>, matcher: Matcher, times: Range<i64>) -> Self {
        let steps = shape.steps;
        Self {
            chains: Chains::new(steps, shape.window_ms),
            step_bits: u64::MAX >> (64 - steps),
            masks: Vec::new(),
            shifts: Vec::new(),
            tied: Vec::new(),
            groups: Vec::new(),
            times,
            shape,
            matcher,
        }
    }

    /// Take a person's events until the last step is reached.
    fn walk<M: Mask>(&mut self, rows: Rows<'_>) {
        self.chains.clear();
        let steps = self.shape.steps;
        // Starts before this place were looked at, and whether there is one after it.
        let (mut seen, mut has_start) = (0, false);
        let mut open = 0;
        for at in 0..rows.spans.len() {
            let part = rows.part::<M>(at);
            let masks = &part.masks[..part.span.rows.end];
            let mut next = part.span.rows.start;
            loop {
                // While the second step is awaited, starts can be looked up later.
                let second = if has_start { SECOND } else { open & SECOND };
                let start = if second == 0 && steps > 1 { START } else { 0 };
                let awaited = !self.step_bits | open | second;
                let Some(row) = M::find(masks, next, awaited | start) else { break };
                if part.mask(row) == START && !part.continues_instant(row) {
                    (next, has_start) = (row + 1, true);
                    continue;
                }
                let instant = part.instant(row);
                if let Some((place, at_ms)) = rows.last_start::<M>(at, instant.start, seen) {
                    self.chains.start(at_ms, place);
                }
                next = instant.end;
                (seen, has_start) = (part.place(next), false);
                self.instant(&part, instant);
                if self.chains.is_done() {
                    return;
                }
                open = self.chains.open();
            }
        }
    }

    /// Take the rows of one millisecond; the start before them is taken.
    fn instant<M: Mask>(&mut self, part: &Part<'_, M>, rows: Range<usize>) {
        let at_ms = part.at_ms(rows.start);
        if self.shape.rule.is_clickhouse() {
            let all = rows.clone().fold(0, |all, row| all | part.mask(row));
            let start = rows.clone().find(|row| part.mask(*row) & START != 0);
            let place = part.place(start.unwrap_or(rows.start));
            return ClickHouse(&mut self.chains).take(at_ms, place, all);
        }
        let actors = part.span.block.actors.as_ref().filter(|_| rows.len() > 1);
        if let Some(actors) = actors
            && actors[rows.clone()].iter().any(|actor| *actor != actors[rows.start])
        {
            return self.tie(part, at_ms, rows, actors);
        }
        for row in rows.filter(|row| part.mask(*row) != 0) {
            let kills = self.kills(part.mask(row));
            self.chains.kill(kills);
            self.chains.take(at_ms, part.place(row), part.mask(row) & self.step_bits);
        }
    }

    /// Take rows of one millisecond that came from several devices.
    fn tie<M: Mask>(&mut self, part: &Part<'_, M>, at_ms: i64, rows: Range<usize>, actors: &[u64]) {
        let mut tied = std::mem::take(&mut self.tied);
        tied.clear();
        let mut excluded = 0;
        for row in rows {
            excluded |= part.mask(row);
            let mask = part.mask(row) & self.step_bits;
            if mask != 0 {
                tied.push(Tied { actor: actors[row], row: part.place(row), mask });
            }
        }
        // In the best order an exclusion comes after the steps that lead out of its reach and
        // before those that lead into it: it ends the chains that did nothing in this instant.
        ties::take(&mut self.chains, self.shape.steps, at_ms, &mut tied);
        let kills = self.kills(excluded);
        self.chains.kill_idle(kills, at_ms);
        self.tied = tied;
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

    fn count<M: Mask>(&mut self, rows: Rows<'_>) {
        let furthest = self.chains.best().filter(|(reached, _)| *reached > 1);
        let Some((reached, chain)) = furthest else {
            // Whoever got no further counts at the first of all starts.
            if let Some(start) = rows.first_start::<M>() {
                group(&mut self.groups, &self.shape, start).persons[0] += 1;
            }
            return;
        };
        let mut links = chain.peekable();
        let last = links.peek().copied();
        let Some(start) = last.and_then(|last| rows.find(last.start_row)) else { return };
        let counts = group(&mut self.groups, &self.shape, start);
        counts.persons[reached - 1] += 1;
        let mut step = reached - 1;
        while let Some(link) = links.next() {
            let Some(before) = links.peek() else { break };
            counts.times_ms[step].push((link.at_ms - before.at_ms) as f64);
            if step + 1 == self.shape.steps {
                counts.times_ms[0].push((link.at_ms - link.start_ms) as f64);
            }
            step -= 1;
        }
    }
}

/// The counts of the group to which a chain with this first event belongs.
fn group<'a>(
    groups: &'a mut Vec<Option<Box<Counts>>>,
    shape: &Shape,
    (span, row): (&Span<'_>, usize),
) -> &'a mut Counts {
    let column = shape.breakdown.map(|column| column.of_block(span.block));
    let code = column.map_or(ABSENT, |column| column.get(row)) as usize;
    if code >= groups.len() {
        groups.resize(code + 1, None);
    }
    let steps = shape.steps;
    groups[code].get_or_insert_with(|| {
        Box::new(Counts { persons: vec![0; steps], times_ms: vec![Vec::new(); steps] })
    })
}

impl Kernel for Counter {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.masks.len() <= slot {
            self.masks.resize_with(slot + 1, Masks::default);
        }
        let masks = &mut self.masks[slot];
        self.matcher.look(block, dictionaries, &self.times, masks);
        // A start after the range is none; later steps may be.
        if block.last_ms >= self.shape.to_ms {
            for row in block.rows.clone() {
                if block.ts.get(row) >= self.shape.to_ms {
                    masks.clear_bits(row, START);
                }
            }
        }
    }

    fn person(&mut self, _: u64, spans: &[Span<'_>], _: &Dictionaries) {
        let (masks, mut shifts) =
            (std::mem::take(&mut self.masks), std::mem::take(&mut self.shifts));
        shifts.clear();
        let mut before = 0;
        for span in spans {
            shifts.push(u32::wrapping_sub(before, span.rows.start as u32));
            before += span.rows.len() as u32;
        }
        let rows = Rows { spans, masks: &masks, shifts: &shifts };
        match masks.first() {
            None => {}
            Some(_) if self.matcher.is_small() => {
                self.walk::<u8>(rows);
                self.count::<u8>(rows);
            }
            Some(_) => {
                self.walk::<u64>(rows);
                self.count::<u64>(rows);
            }
        }
        (self.masks, self.shifts) = (masks, shifts);
    }

    fn bytes(&self) -> usize {
        let times = self.groups.iter().flatten().flat_map(|counts| &counts.times_ms);
        times.map(|times| size_of_val(&times[..])).sum()
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
