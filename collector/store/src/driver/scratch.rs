//! Rows put together in memory: persons whose rows lie in several sources with overlapping times.
//!
//! In: a person's spans. Out: a block of such persons, shown to the kernel when it is large enough
//! to be worth its while.

use std::sync::Arc;

use tallymark_analysis::columns::{Block, Coded, Codes, Numbers, Span, Times};
use tallymark_analysis::events::{ABSENT, Actors, Dictionaries};
use tallymark_analysis::kernel::Kernel;

use super::Question;
use super::lane::{self, Found};
use crate::block::{self, ColumnKey};
use crate::error::ScanError;

/// Rows after which the block is shown.
const ROWS: usize = 32 * 1024;

/// Persons' rows, sorted.
#[derive(Default)]
pub(super) struct Scratch {
    persons: Vec<u64>,
    /// Where each person's rows begin.
    starts: Vec<usize>,
    ts: Vec<i64>,
    actor: Vec<u64>,
    event: Vec<u32>,
    texts: Vec<Vec<u32>>,
    numbers: Vec<Vec<f64>>,
    sessions: Vec<u64>,
    order: Vec<At>,
}

/// A row: its time, its span, its place in that span's block.
#[derive(Clone, Copy)]
struct At {
    ts: i64,
    span: usize,
    row: usize,
}

impl Scratch {
    pub(super) fn new(question: &Question<'_>) -> Self {
        Self {
            texts: vec![Vec::new(); question.texts.len()],
            numbers: vec![Vec::new(); question.numbers.len()],
            ..Self::default()
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.ts.len() >= ROWS
    }

    /// Take a person's wanted rows, in order. `stored` are the blocks of the spans.
    pub(super) fn add(
        &mut self,
        question: &Question<'_>,
        person: u64,
        spans: &[Span<'_>],
        stored: &[&dyn block::Block],
    ) -> Result<(), ScanError> {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        for (at, span) in spans.iter().enumerate() {
            let block = span.block;
            let wanted = |row: &usize| {
                block.event.get(*row) != ABSENT
                    && (block.all_in_time || question.times.contains(&block.ts.get(*row)))
            };
            let rows = span.rows.clone().filter(wanted);
            order.extend(rows.map(|row| At { ts: block.ts.get(row), span: at, row }));
        }
        // Stable, and fast on the sorted runs it is made of.
        order.sort_by_key(|at| at.ts);
        order_ties(&mut order, stored)?;
        if !order.is_empty() {
            self.persons.push(person);
            self.starts.push(self.ts.len());
        }
        let actors = match question.plan.actors {
            Actors::Never => None,
            Actors::AtTies | Actors::Always => Some(actors(stored)?),
        };
        for at in &order {
            let block = spans[at.span].block;
            self.ts.push(at.ts);
            self.event.push(block.event.get(at.row));
            if let Some(actors) = &actors {
                let column = actors[at.span].actors().as_ref();
                self.actor.push(column.map_or(person, |column| column[at.row]));
            }
            if let Some(sessions) = &block.sessions {
                self.sessions.push(sessions[at.row]);
            }
            for (to, from) in self.texts.iter_mut().zip(&block.texts) {
                to.push(from.get(at.row));
            }
            for (to, from) in self.numbers.iter_mut().zip(&block.numbers) {
                to.push(from.get(at.row));
            }
        }
        self.order = order;
        Ok(())
    }

    /// Take rows of one person that are in order already.
    pub(super) fn take(&mut self, rows: &[lane::At], found: &Found) {
        self.persons.extend(rows.first().map(|at| at.person));
        self.starts.push(self.ts.len());
        for &lane::At { place, .. } in rows {
            self.ts.push(found.ts[place]);
            self.event.push(found.event[place]);
            self.actor.extend(found.actor.get(place));
            self.sessions.extend(found.sessions.get(place));
            for (to, from) in self.texts.iter_mut().zip(&found.texts) {
                to.push(from[place]);
            }
            for (to, from) in self.numbers.iter_mut().zip(&found.numbers) {
                to.push(from[place]);
            }
        }
    }

    /// Show what is there to the kernel, in this slot, and begin anew.
    pub(super) fn show(
        &mut self,
        slot: usize,
        kernel: &mut dyn Kernel,
        dictionaries: &Dictionaries,
    ) {
        if self.persons.is_empty() {
            return;
        }
        let rows = self.ts.len();
        let coded = |codes: &mut Vec<u32>, count: usize| Coded {
            codes: Arc::new(Codes::new(codes.drain(..), count)),
            global: Arc::new((0..count as u32).collect()),
        };
        let texts = self.texts.iter_mut().zip(&dictionaries.texts);
        let numbers = self.numbers.iter_mut().map(std::mem::take);
        let block = Block {
            rows: 0..rows,
            all_in_time: true,
            first_ms: self.ts.iter().copied().min().unwrap_or(i64::MAX),
            last_ms: self.ts.iter().copied().max().unwrap_or(i64::MIN),
            ts: Arc::new(Times::new(&self.ts)),
            actors: (!self.actor.is_empty()).then(|| Arc::new(std::mem::take(&mut self.actor))),
            event: coded(&mut self.event, dictionaries.events.len()),
            texts: texts.map(|(codes, dictionary)| coded(codes, dictionary.len())).collect(),
            numbers: numbers.map(|numbers| Arc::new(Numbers::Dense(numbers))).collect(),
            sessions: (!self.sessions.is_empty())
                .then(|| Arc::new(std::mem::take(&mut self.sessions))),
        };
        self.ts.clear();
        kernel.block(slot, &block, dictionaries);
        self.starts.push(rows);
        for (person, rows) in self.persons.iter().zip(self.starts.windows(2)) {
            let span = Span { slot, block: &block, rows: rows[0]..rows[1] };
            kernel.person(*person, &[span], dictionaries);
        }
        self.persons.clear();
        self.starts.clear();
    }
}

fn actors(stored: &[&dyn block::Block]) -> Result<Vec<Arc<block::Column>>, ScanError> {
    stored.iter().map(|block| block.column(&ColumnKey::Actor)).collect()
}

/// Rows of one millisecond from several blocks are ordered by device sequence and event id.
fn order_ties(order: &mut [At], stored: &[&dyn block::Block]) -> Result<(), ScanError> {
    for tied in order.chunk_by_mut(|a, b| a.ts == b.ts) {
        if tied.iter().all(|at| at.span == tied[0].span) {
            continue;
        }
        let mut keyed = Vec::with_capacity(tied.len());
        for at in tied.iter() {
            let column = stored[at.span].column(&ColumnKey::Order)?;
            keyed.push((column.order()[at.row], *at));
        }
        keyed.sort_by_key(|(key, _)| *key);
        tied.iter_mut().zip(keyed).for_each(|(slot, (_, at))| *slot = at);
    }
    Ok(())
}
