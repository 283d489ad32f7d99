//! Answers a question: person by person, over everything that is stored.
//!
//! In: an analysis and sources (memtable runs, segments), each sorted by person and time. Out: one
//! merged partial table.
//!
//! Persons are split into ranges that threads take one after the other. In a range, each source
//! gives *pieces*: the wanted rows and columns of one block. A person found in one source goes to
//! the kernel as slices of its piece; one found in several is put together first.
//!
//! Invariant: a kernel sees each person once, all wanted rows in one run, ordered by (time, device
//! sequence, event id). Which ranges there are, and which thread takes which, never shows.
//!
//! Deliberately elsewhere: decoding and caching (the blocks), counting (the kernels).

mod merge;
mod piece;
mod split;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tallymark_analysis::events::{Dictionaries, ScanPlan};
use tallymark_analysis::kernel::{Analysis, Kernel, Partial};

use crate::block::{Block, ColumnKey, Property};
use crate::error::ScanError;
use crate::store::Asked;
use merge::Merger;
use piece::{Filler, Piece};

/// Blocks in order of (project, person), no person in two of them: a segment or a memtable run.
#[derive(Clone, Default)]
pub(crate) struct Source {
    pub blocks: Vec<Arc<dyn Block>>,
}

/// Ask one question.
///
/// # Errors
/// [`ScanError`] when a block cannot be read or a kernel panics.
pub(crate) fn ask(
    project: u32,
    analysis: &dyn Analysis,
    sources: &[Source],
    threads: usize,
) -> Result<Asked, ScanError> {
    let question = Question::new(project, analysis.scan());
    let ranges = split::ranges(project, sources, &question.times, threads);
    let next = AtomicUsize::new(0);
    let results: Vec<Result<Asked, ScanError>> = std::thread::scope(|scope| {
        let work = || {
            let mut worker = Worker::new(&question, analysis.kernel());
            while let Some(range) = ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
                worker.range(sources, range.clone())?;
            }
            Ok(worker.finish())
        };
        let workers = threads.clamp(1, ranges.len().max(1));
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or(Err(ScanError::Panicked)))
            .collect()
    });
    let mut asked = Asked { partial: Partial::default(), rows_scanned: 0 };
    for result in results {
        let part = result?;
        asked.partial.merge(part.partial);
        asked.rows_scanned += part.rows_scanned;
    }
    Ok(asked)
}

/// A scan plan in the store's terms.
struct Question<'a> {
    project: u32,
    plan: &'a ScanPlan,
    times: std::ops::Range<i64>,
    texts: Vec<ColumnKey>,
    numbers: Vec<ColumnKey>,
}

impl<'a> Question<'a> {
    fn new(project: u32, plan: &'a ScanPlan) -> Self {
        let text = |name: &String| ColumnKey::Text(Property::of_name(name));
        let number = |name: &String| ColumnKey::Number(Property::of_name(name));
        Self {
            project,
            plan,
            times: plan.from_ms..plan.to_ms,
            texts: plan.texts.iter().map(text).collect(),
            numbers: plan.numbers.iter().map(number).collect(),
        }
    }
}

/// One thread's part of the work.
struct Worker<'a> {
    question: &'a Question<'a>,
    kernel: Box<dyn Kernel>,
    dictionaries: Dictionaries,
    rows_scanned: u64,
    merger: Merger,
}

impl<'a> Worker<'a> {
    fn new(question: &'a Question<'a>, kernel: Box<dyn Kernel>) -> Self {
        Self {
            question,
            kernel,
            dictionaries: Dictionaries::new(question.plan),
            rows_scanned: 0,
            merger: Merger::default(),
        }
    }

    /// All persons of a range.
    fn range(&mut self, sources: &[Source], persons: RangeInclusive<u64>) -> Result<(), ScanError> {
        let mut cursors = Vec::with_capacity(sources.len());
        let mut heap = BinaryHeap::with_capacity(sources.len());
        for source in sources {
            let mut cursor = Cursor::new(source);
            if self.next_piece(&mut cursor, &persons)? {
                heap.push(Reverse((cursor.person(), cursors.len())));
                cursors.push(cursor);
            }
        }
        let mut same = Vec::new();
        while let Some(Reverse((person, index))) = heap.pop() {
            same.clear();
            same.push(index);
            while let Some(&Reverse((other, index))) = heap.peek()
                && other == person
            {
                heap.pop();
                same.push(index);
            }
            if same.len() == 1 {
                self.feed(&cursors[index].piece, cursors[index].at);
            } else {
                self.merger.merge(&cursors, &same)?;
                let merged = std::mem::take(&mut self.merger.merged);
                self.feed(&merged, 0);
                self.merger.merged = merged;
            }
            for &index in &same {
                let cursor = &mut cursors[index];
                if self.advance(cursor, &persons)? {
                    heap.push(Reverse((cursor.person(), index)));
                }
            }
            // With one source left there is nothing to compare.
            if heap.len() == 1
                && let Some(Reverse((_, index))) = heap.pop()
            {
                let cursor = &mut cursors[index];
                loop {
                    self.feed(&cursor.piece, cursor.at);
                    if !self.advance(cursor, &persons)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Go to the next person; `false` at the end of the source.
    fn advance(
        &mut self,
        cursor: &mut Cursor,
        persons: &RangeInclusive<u64>,
    ) -> Result<bool, ScanError> {
        cursor.at += 1;
        if cursor.at < cursor.piece.persons.len() {
            return Ok(true);
        }
        self.next_piece(cursor, persons)
    }

    fn next_piece(
        &mut self,
        cursor: &mut Cursor,
        persons: &RangeInclusive<u64>,
    ) -> Result<bool, ScanError> {
        cursor.at = 0;
        while let Some(block) = cursor.blocks.get(cursor.next) {
            cursor.next += 1;
            let bounds = block.bounds();
            let project = self.question.project;
            if !bounds.may_hold(project, persons.clone(), &self.question.times) {
                continue;
            }
            let mut filler =
                Filler { question: self.question, dictionaries: &mut self.dictionaries };
            self.rows_scanned += filler.fill(&mut cursor.piece, block, persons)?;
            if !cursor.piece.persons.is_empty() {
                return Ok(true);
            }
        }
        cursor.piece = Piece::default();
        Ok(false)
    }

    fn feed(&mut self, piece: &Piece, at: usize) {
        let Self { kernel, dictionaries, .. } = self;
        piece.with_run(at, |run| kernel.person(run, dictionaries));
    }

    fn finish(self) -> Asked {
        let partial = self.kernel.finish(&self.dictionaries);
        Asked { partial, rows_scanned: self.rows_scanned }
    }
}

/// Where a thread stands in a source.
struct Cursor {
    blocks: Vec<Arc<dyn Block>>,
    next: usize,
    piece: Piece,
    at: usize,
}

impl Cursor {
    fn new(source: &Source) -> Self {
        Self { blocks: source.blocks.clone(), next: 0, piece: Piece::default(), at: 0 }
    }

    fn person(&self) -> u64 {
        self.piece.persons[self.at]
    }
}
