//! Blocks and spans as runs, for kernels that prefer plain columns.
//!
//! In: a [`RunKernel`]. Out: a [`Kernel`] that copies the wanted rows of each block together when it is
//! shown, column by column, and then cuts out each person's. That costs some nanoseconds a wanted
//! row; kernels that must be faster read the spans themselves.

use std::ops::Range;

use crate::columns::{Block, Coded, Numbers, Span, Times};
use crate::each_width;
use crate::events::{Actors, Dictionaries, Run, ScanPlan};
use crate::filter::{Masks, Matcher};
use crate::kernel::{Kernel, Partial, RunKernel};
use crate::wanted::Wanted;

/// The kernel, and the memory for rows.
pub struct ByRun<K> {
    kernel: K,
    times: Range<i64>,
    actors: Actors,
    /// Any event that the plan wants.
    wanted: Matcher,
    masks: Masks,
    /// By slot.
    blocks: Vec<Gathered>,
    /// One person's rows of several blocks.
    joined: Gathered,
    /// The devices of one person's rows.
    actor: Vec<u64>,
    /// One person's rows, by slot.
    pieces: Vec<(usize, Range<usize>)>,
}

/// Wanted rows as plain columns.
#[derive(Default)]
struct Gathered {
    wanted: Wanted,
    ts: Vec<i64>,
    /// None when every device is the person.
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
            wanted: Matcher::any(),
            masks: Masks::default(),
            blocks: Vec::new(),
            joined: Gathered::new(plan.texts.len(), plan.numbers.len()),
            actor: Vec::new(),
            pieces: Vec::new(),
        }
    }
}

impl Gathered {
    fn new(texts: usize, numbers: usize) -> Self {
        Self {
            texts: vec![Vec::new(); texts],
            numbers: vec![Vec::new(); numbers],
            ..Self::default()
        }
    }

    fn clear(&mut self) {
        self.ts.clear();
        self.actor.clear();
        self.event.clear();
        self.texts.iter_mut().for_each(Vec::clear);
        self.numbers.iter_mut().for_each(Vec::clear);
        self.sessions.clear();
    }

    /// Copy the wanted rows of a block.
    fn gather(&mut self, block: &Block, needs_actors: bool) {
        self.clear();
        if let Some(rows) = self.wanted.range() {
            return self.gather_all(block, rows, needs_actors);
        }
        let rows = self.wanted.rows();
        let each = || rows.iter().map(|row| *row as usize);
        match &*block.ts {
            Times::Narrow { base_ms, offsets } => {
                self.ts.extend(each().map(|row| base_ms + i64::from(offsets[row])));
            }
            Times::Wide(times) => self.ts.extend(each().map(|row| times[row])),
        }
        if let Some(actors) = block.actors.as_ref().filter(|_| needs_actors) {
            self.actor.extend(each().map(|row| actors[row]));
        }
        texts(&mut self.event, &block.event, rows);
        for (to, from) in self.texts.iter_mut().zip(&block.texts) {
            texts(to, from, rows);
        }
        for (to, from) in self.numbers.iter_mut().zip(&block.numbers) {
            numbers(to, from, rows);
        }
        if let Some(sessions) = &block.sessions {
            self.sessions.extend(each().map(|row| sessions[row]));
        }
    }

    /// The same where every row of a range is wanted: nothing is looked up in between.
    fn gather_all(&mut self, block: &Block, rows: Range<usize>, needs_actors: bool) {
        match &*block.ts {
            Times::Narrow { base_ms, offsets } => {
                let offsets = offsets[rows.clone()].iter();
                self.ts.extend(offsets.map(|offset| base_ms + i64::from(*offset)));
            }
            Times::Wide(times) => self.ts.extend_from_slice(&times[rows.clone()]),
        }
        if let Some(actors) = block.actors.as_ref().filter(|_| needs_actors) {
            self.actor.extend_from_slice(&actors[rows.clone()]);
        }
        let columns = self.texts.iter_mut().zip(&block.texts);
        for (to, Coded { codes, global }) in columns.chain([(&mut self.event, &block.event)]) {
            if let [absent] = global[..] {
                to.resize(rows.len(), absent);
                continue;
            }
            each_width!(&**codes, codes => {
                to.extend(codes[rows.clone()].iter().map(|code| global[*code as usize]));
            });
        }
        for (to, from) in self.numbers.iter_mut().zip(&block.numbers) {
            from.extend(to, &rows);
        }
        if let Some(sessions) = &block.sessions {
            self.sessions.extend_from_slice(&sessions[rows]);
        }
    }

    /// Add some rows of others; devices apart.
    fn join(&mut self, other: &Self, rows: &Range<usize>) {
        append(&mut self.ts, &other.ts, rows);
        append(&mut self.event, &other.event, rows);
        for (to, from) in self.texts.iter_mut().zip(&other.texts) {
            append(to, from, rows);
        }
        for (to, from) in self.numbers.iter_mut().zip(&other.numbers) {
            append(to, from, rows);
        }
        if !other.sessions.is_empty() {
            append(&mut self.sessions, &other.sessions, rows);
        }
    }
}

/// Rows that one person mostly has in a block, at most.
const SHORT: usize = 8;

/// Add some rows of a column. A few are copied as if there were [`SHORT`]: a known number needs no call.
fn append<T: Copy>(to: &mut Vec<T>, from: &[T], rows: &Range<usize>) {
    match from[rows.start..].first_chunk::<SHORT>() {
        Some(several) if rows.len() <= SHORT => {
            let end = to.len() + rows.len();
            to.extend_from_slice(several);
            to.truncate(end);
        }
        _ => to.extend_from_slice(&from[rows.clone()]),
    }
}

fn texts(to: &mut Vec<u32>, from: &Coded, rows: &[u32]) {
    let Coded { codes, global } = from;
    if let [absent] = global[..] {
        // Nobody in the block has the property.
        return to.resize(to.len() + rows.len(), absent);
    }
    each_width!(&**codes, codes => {
        to.extend(rows.iter().map(|row| global[codes[*row as usize] as usize]));
    });
}

fn numbers(to: &mut Vec<f64>, from: &Numbers, rows: &[u32]) {
    let mut at = 0;
    to.extend(rows.iter().map(|row| from.find(*row as usize, &mut at)));
}

/// Columns of one kind that a run can have without a list on the heap.
const FEW: usize = 4;

impl<K: RunKernel> Kernel for ByRun<K> {
    fn block(&mut self, slot: usize, block: &Block, dictionaries: &Dictionaries) {
        if self.blocks.len() <= slot {
            let new = || Gathered::new(self.joined.texts.len(), self.joined.numbers.len());
            self.blocks.resize_with(slot + 1, new);
        }
        let shown = &mut self.blocks[slot];
        self.wanted.list(block, dictionaries, &self.times, &mut self.masks, &mut shown.wanted);
        shown.gather(block, self.actors != Actors::Never);
        self.kernel.learn(dictionaries);
    }

    fn person(&mut self, person: u64, spans: &[Span<'_>], dictionaries: &Dictionaries) {
        self.pieces.clear();
        for Span { slot, rows, .. } in spans {
            let places = self.blocks[*slot].wanted.within(rows);
            self.pieces.extend(Some((*slot, places)).filter(|(_, places)| !places.is_empty()));
        }
        if self.actors != Actors::Never {
            self.actor.clear();
            for (slot, places) in &self.pieces {
                match self.blocks[*slot].actor.get(places.clone()) {
                    Some(actors) => self.actor.extend_from_slice(actors),
                    None => self.actor.resize(self.actor.len() + places.len(), person),
                }
            }
        }
        let (of, rows) = match &self.pieces[..] {
            [] => return,
            [(slot, places)] => (&self.blocks[*slot], places.clone()),
            several => {
                self.joined.clear();
                for (slot, places) in several {
                    self.joined.join(&self.blocks[*slot], places);
                }
                (&self.joined, 0..self.joined.ts.len())
            }
        };
        // Most questions have few columns, and persons are many: nothing is made that is not needed.
        let (few_texts, texts);
        let texts = if of.texts.len() <= FEW {
            few_texts = few(&of.texts, &rows);
            &few_texts[..of.texts.len()]
        } else {
            texts = all(&of.texts, &rows);
            &texts[..]
        };
        let (few_numbers, numbers);
        let numbers = if of.numbers.len() <= FEW {
            few_numbers = few(&of.numbers, &rows);
            &few_numbers[..of.numbers.len()]
        } else {
            numbers = all(&of.numbers, &rows);
            &numbers[..]
        };
        let run = Run {
            person,
            ts: &of.ts[rows.clone()],
            actor: &self.actor,
            event: &of.event[rows.clone()],
            texts,
            numbers,
            sessions: of.sessions.get(rows).unwrap_or_default(),
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

fn few<'a, T>(columns: &'a [Vec<T>], rows: &Range<usize>) -> [&'a [T]; FEW] {
    std::array::from_fn(|at| columns.get(at).map_or(&[][..], |column| &column[rows.clone()]))
}

fn all<'a, T>(columns: &'a [Vec<T>], rows: &Range<usize>) -> Vec<&'a [T]> {
    columns.iter().map(|column| &column[rows.clone()]).collect()
}
