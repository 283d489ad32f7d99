//! Blocks and spans as runs, for kernels that prefer plain columns.
//!
//! In: a [`RunKernel`]. Out: a [`Kernel`] that copies the wanted rows of each person together. That
//! costs some nanoseconds a row; kernels that must be faster read the spans themselves.

use std::ops::Range;

use crate::columns::{Block, Coded, Span, Times};
use crate::each_width;
use crate::events::{Actors, Dictionaries, Run, ScanPlan};
use crate::filter::{Columns, Condition, Masks, Matcher};
use crate::kernel::{Kernel, Partial, RunKernel};
use crate::wanted::Wanted;

/// The kernel, and the memory for one person's rows.
pub struct ByRun<K> {
    kernel: K,
    times: Range<i64>,
    actors: Actors,
    /// Any event that the plan wants.
    wanted: Matcher,
    masks: Masks,
    /// By slot: the wanted rows of the block.
    wanted_rows: Vec<Wanted>,
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
            masks: Masks::default(),
            wanted_rows: Vec::new(),
            ts: Vec::new(),
            actor: Vec::new(),
            event: Vec::new(),
            texts: vec![Vec::new(); plan.texts.len()],
            numbers: vec![Vec::new(); plan.numbers.len()],
            sessions: Vec::new(),
        }
    }

    /// Copy the wanted rows of a span, column by column.
    fn gather(&mut self, person: u64, span: &Span<'_>) {
        let Span { slot, block, rows } = span;
        let rows = self.wanted_rows[*slot].within(rows);
        if rows.is_empty() {
            return;
        }
        let each = || rows.iter().map(|row| *row as usize);
        match &*block.ts {
            Times::Narrow { base_ms, offsets } => {
                self.ts.extend(each().map(|row| base_ms + i64::from(offsets[row])));
            }
            Times::Wide(times) => self.ts.extend(each().map(|row| times[row])),
        }
        extend(&mut self.event, &block.event, rows);
        match &block.actors {
            _ if self.actors == Actors::Never => {}
            Some(actors) => self.actor.extend(each().map(|row| actors[row])),
            None => self.actor.resize(self.ts.len(), person),
        }
        if let Some(sessions) = &block.sessions {
            self.sessions.extend(each().map(|row| sessions[row]));
        }
        for (to, from) in self.texts.iter_mut().zip(&block.texts) {
            extend(to, from, rows);
        }
        for (to, from) in self.numbers.iter_mut().zip(&block.numbers) {
            to.extend(each().map(|row| from.get(row)));
        }
    }
}

fn extend(to: &mut Vec<u32>, from: &Coded, rows: &[u32]) {
    let Coded { codes, global } = from;
    each_width!(&**codes, codes => {
        to.extend(rows.iter().map(|row| global[codes[*row as usize] as usize]));
    });
}

/// Columns of one kind that a run can have without a list on the heap.
const INLINE: usize = 12;

impl<K: RunKernel> Kernel for ByRun<K> {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.wanted_rows.len() <= slot {
            self.wanted_rows.resize_with(slot + 1, Wanted::default);
        }
        self.wanted.look(block, dictionaries, &self.times, &mut self.masks);
        self.wanted_rows[slot].fill(&self.masks, block.rows.clone());
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
