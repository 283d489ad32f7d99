//! Blocks and spans as runs, for kernels that prefer plain columns.
//!
//! In: a [`RunKernel`]. Out: a [`Kernel`] that copies the wanted rows of each person together. That
//! costs some nanoseconds a row; kernels that must be faster read the spans themselves.

use std::ops::Range;

use crate::columns::{Block, Span};
use crate::events::{Actors, Dictionaries, Run, ScanPlan};
use crate::filter::{Columns, Condition, Mask, Masks, Matcher};
use crate::kernel::{Kernel, Partial, RunKernel};

/// The kernel, and the memory for one person's rows.
pub struct ByRun<K> {
    kernel: K,
    times: Range<i64>,
    actors: Actors,
    /// Any event that the plan wants.
    wanted: Matcher,
    /// By slot: which rows of the block are wanted.
    masks: Vec<Masks>,
    ts: Vec<i64>,
    actor: Vec<u64>,
    event: Vec<u32>,
    texts: Vec<Vec<u32>>,
    numbers: Vec<Vec<f64>>,
    sessions: Vec<u64>,
}

impl<K: RunKernel> ByRun<K> {
    /// For a scan by this plan.
    pub fn new(plan: &ScanPlan, kernel: K) -> Self {
        Self {
            kernel,
            times: plan.from_ms..plan.to_ms,
            actors: plan.actors,
            wanted: Matcher::new(vec![(None, Condition::always().bind(&mut Columns::default()))]),
            masks: Vec::new(),
            ts: Vec::new(),
            actor: Vec::new(),
            event: Vec::new(),
            texts: vec![Vec::new(); plan.texts.len()],
            numbers: vec![Vec::new(); plan.numbers.len()],
            sessions: Vec::new(),
        }
    }

    fn gather(&mut self, person: u64, span: &Span<'_>) {
        let block = span.block;
        let masks = &u8::all(&self.masks[span.slot])[..span.rows.end];
        let mut next = span.rows.start;
        while let Some(row) = u8::find(masks, next, 1) {
            next = row + 1;
            self.ts.push(block.ts.get(row));
            self.event.push(block.event.get(row));
            if self.actors != Actors::Never {
                let actor = block.actors.as_ref().map_or(person, |actors| actors[row]);
                self.actor.push(actor);
            }
            if let Some(sessions) = &block.sessions {
                self.sessions.push(sessions[row]);
            }
            for (to, from) in self.texts.iter_mut().zip(&block.texts) {
                to.push(from.get(row));
            }
            for (to, from) in self.numbers.iter_mut().zip(&block.numbers) {
                to.push(from.get(row));
            }
        }
    }
}

/// Columns of one kind that a run can have without a list on the heap.
const INLINE: usize = 12;

impl<K: RunKernel> Kernel for ByRun<K> {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.masks.len() <= slot {
            self.masks.resize_with(slot + 1, Masks::default);
        }
        self.wanted.look(block, dictionaries, &self.times, &mut self.masks[slot]);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        self.ts.clear();
        self.actor.clear();
        self.event.clear();
        self.sessions.clear();
        self.texts.iter_mut().for_each(Vec::clear);
        self.numbers.iter_mut().for_each(Vec::clear);
        spans.iter().for_each(|span| self.gather(person, span));
        if self.ts.is_empty() {
            return;
        }
        let (mut texts, mut numbers) = ([&[] as &[u32]; INLINE], [&[] as &[f64]; INLINE]);
        let (mut more_texts, mut more_numbers) = (Vec::new(), Vec::new());
        let run = Run {
            person,
            ts: &self.ts,
            actor: &self.actor,
            event: &self.event,
            texts: slices(&self.texts, &mut texts, &mut more_texts),
            numbers: slices(&self.numbers, &mut numbers, &mut more_numbers),
            sessions: &self.sessions,
        };
        self.kernel.person(&run, dictionaries);
    }

    fn bytes(&self) -> usize {
        self.kernel.bytes()
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        Box::new(self.kernel).finish(dictionaries)
    }
}

fn slices<'a, 'b, T>(
    columns: &'a [Vec<T>],
    inline: &'b mut [&'a [T]; INLINE],
    list: &'b mut Vec<&'a [T]>,
) -> &'b [&'a [T]] {
    let each = columns.iter().map(|column| &column[..]);
    if columns.len() > INLINE {
        list.extend(each);
        return list;
    }
    inline.iter_mut().zip(each).for_each(|(slot, slice)| *slot = slice);
    &inline[..columns.len()]
}
