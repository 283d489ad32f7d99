//! Answers a question: person by person, over everything that is stored.
//!
//! In: an analysis and sources (memtable runs, segments), each sorted by person and time. Out: one
//! merged partial table.
//!
//! Persons are split into ranges that threads take one after the other. In a range every source
//! has a *cursor*: the block it is in, and the person it stands at. The kernel is shown a block when
//! a cursor enters it, and then, person after person, where their rows are, unless it takes the block as
//! a whole. Only when a person's rows
//! in several sources overlap in time are they put together first. Persons set apart, because links or
//! erasures came after their rows were written, are left out of this and go through the lane (`lane`).
//!
//! Invariant: a kernel sees each person once, all wanted rows in the order of (time, device
//! sequence, event id). Which ranges there are, and which thread takes which, never shows.
//!
//! Deliberately elsewhere: decoding and caching (the blocks), counting (the kernels).

mod lane;
mod load;
mod scratch;
mod split;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tallymark_analysis::columns::Span;
use tallymark_analysis::events::{EventSet, Need, ScanPlan};
use tallymark_analysis::kernel::{Analysis, Kernel, Partial};

use crate::block::{Block, Bounds, ColumnKey, Having, Property};
use crate::error::ScanError;
use crate::people::ApartIn;
use crate::progress::Progress;
use crate::store::Asked;
use load::{Loaded, Loader};
use scratch::Scratch;

/// Blocks in order of (project, person), no person in two of them: a segment or a memtable run.
#[derive(Clone, Default)]
pub(crate) struct Source {
    pub blocks: Vec<Arc<dyn Block>>,
}

/// A source with the time its rows lie in, both ends included.
struct Timed<'a> {
    blocks: &'a [Arc<dyn Block>],
    first_ms: i64,
    last_ms: i64,
}

impl<'a> Timed<'a> {
    fn new(source: &'a Source) -> Self {
        let bounds = || source.blocks.iter().map(|block| block.bounds());
        Self {
            blocks: &source.blocks,
            first_ms: bounds().map(|bounds| bounds.ts_min_ms).min().unwrap_or(i64::MAX),
            last_ms: bounds().map(|bounds| bounds.ts_max_ms).max().unwrap_or(i64::MIN),
        }
    }
}

/// What one question may use, and where it says how far it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub threads: usize,
    /// Memory beside the cache.
    pub bytes: usize,
    pub progress: &'a Progress,
}

/// Ask one question.
///
/// # Errors
/// [`ScanError`] when a block cannot be read or a kernel panics.
pub(crate) fn ask(
    project: u32,
    analysis: &dyn Analysis,
    sources: &[Source],
    apart: Option<&ApartIn>,
    limits: Limits<'_>,
) -> Result<Asked, ScanError> {
    let mut sources: Vec<Timed<'_>> = sources.iter().map(Timed::new).collect();
    sources.sort_by_key(|source| source.first_ms);
    let sources = &sources[..];
    let mut question = Question::new(project, analysis, limits.progress);
    question.skip = apart.map_or(&[], |apart| &apart.skip);
    question.is_in_turn = sources.windows(2).all(|pair| pair[0].last_ms < pair[1].first_ms);
    let (ranges, rows) = match question.plan.only {
        Some(person) => (vec![person..=person], 0),
        None => split::ranges(project, sources, &question.times, limits.threads),
    };
    limits.progress.begin(rows);
    let next = AtomicUsize::new(0);
    let workers = limits.threads.clamp(1, ranges.len().max(1));
    let results: Vec<Result<Asked, ScanError>> = std::thread::scope(|scope| {
        let work = || {
            let mut worker = Worker::new(&question, analysis.kernel(), sources.len());
            worker.bytes_max = limits.bytes / workers;
            loop {
                // The lane first: it is one piece of work.
                match (next.fetch_add(1, Ordering::Relaxed), apart) {
                    (0, Some(apart)) => worker.lane(sources, apart)?,
                    (0, None) => {}
                    (at, _) => match ranges.get(at - 1) {
                        Some(range) => worker.range(sources, range)?,
                        None => break,
                    },
                }
            }
            Ok(worker.finish())
        };
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

/// Ask one question about those set apart only: whoever answers for the rest adds the tables.
///
/// # Errors
/// [`ScanError`] when a block cannot be read.
pub(crate) fn ask_apart(
    project: u32,
    analysis: &dyn Analysis,
    sources: &[Source],
    apart: &ApartIn,
    limits: Limits<'_>,
) -> Result<Asked, ScanError> {
    let question = Question::new(project, analysis, limits.progress);
    let sources: Vec<Timed<'_>> = sources.iter().map(Timed::new).collect();
    let mut worker = Worker::new(&question, analysis.kernel(), sources.len());
    worker.bytes_max = limits.bytes;
    worker.lane(&sources, apart)?;
    Ok(worker.finish())
}

/// What is asked, in the store's terms.
struct Question<'a> {
    project: u32,
    analysis: &'a dyn Analysis,
    plan: &'a ScanPlan,
    times: std::ops::Range<i64>,
    /// Rows that are not among all of these change nothing.
    needs: Vec<Arc<Having>>,
    /// Rows of the only events that change anything, if those are known.
    events: Option<Arc<Having>>,
    texts: Vec<ColumnKey>,
    numbers: Vec<ColumnKey>,
    /// Persons to leave out, sorted.
    skip: &'a [u64],
    /// No two sources overlap in time.
    is_in_turn: bool,
    progress: &'a Progress,
}

impl<'a> Question<'a> {
    fn new(project: u32, analysis: &'a dyn Analysis, progress: &'a Progress) -> Self {
        let plan = analysis.scan();
        let text = |name: &String| ColumnKey::Text(Property::of_name(name));
        let number = |name: &String| ColumnKey::Number(Property::of_name(name));
        let need = |need: &Need| having(Property::of_name(&need.prop), need.texts.clone());
        Self {
            project,
            analysis,
            plan,
            times: plan.from_ms..plan.to_ms,
            needs: plan.needs.iter().map(need).collect(),
            events: only(&plan.events),
            texts: plan.texts.iter().map(text).collect(),
            numbers: plan.numbers.iter().map(number).collect(),
            skip: &[],
            is_in_turn: false,
            progress,
        }
    }

    /// Whether nobody looks at the times of rows within these bounds: neither whoever counts them, nor whoever
    /// puts a person's rows of several sources in order.
    fn is_timeless(&self, bounds: &Bounds) -> bool {
        self.is_in_turn && self.analysis.is_timeless(bounds.ts_min_ms, bounds.ts_max_ms)
    }
}

/// Rows of the events of a set that has no others.
fn only(events: &EventSet) -> Option<Arc<Having>> {
    let EventSet::Only(names) = events else { return None };
    let names = names.iter().map(|name| name.as_str().into()).collect();
    Some(having(Property::Event, names))
}

/// The same for everybody who means the same texts.
fn having(property: Property, mut texts: Vec<Box<str>>) -> Arc<Having> {
    texts.sort_unstable();
    texts.dedup();
    Arc::new(Having { property, texts: texts.into() })
}

/// One thread's part of the work.
struct Worker<'a> {
    question: &'a Question<'a>,
    kernel: Box<dyn Kernel>,
    loader: Loader,
    scratch: Scratch,
    /// The slot of persons put together; the others are those of the sources.
    scratch_slot: usize,
    /// Memory for dictionaries and the kernel.
    bytes_max: usize,
    /// The cursors that stand at one person.
    same: Vec<usize>,
}

impl<'a> Worker<'a> {
    fn new(question: &'a Question<'a>, kernel: Box<dyn Kernel>, sources: usize) -> Self {
        Self {
            question,
            kernel,
            loader: Loader::new(question),
            scratch: Scratch::new(question),
            scratch_slot: sources,
            bytes_max: usize::MAX,
            same: Vec::new(),
        }
    }

    /// All persons of a range. Sources are in the order of their first times.
    fn range(
        &mut self,
        sources: &[Timed<'_>],
        persons: &RangeInclusive<u64>,
    ) -> Result<(), ScanError> {
        let mut cursors = Vec::with_capacity(sources.len());
        for (slot, source) in sources.iter().enumerate() {
            cursors.extend(self.next_block(slot, source.blocks.iter(), persons)?);
        }
        while let Some(person) = cursors.iter().map(|cursor| cursor.person).min() {
            match &mut cursors[..] {
                // Nothing to compare with until the block ends.
                [cursor] => loop {
                    let span = cursor.span();
                    self.kernel.person(cursor.person, &[span], &self.loader.dictionaries);
                    if !cursor.advance() {
                        break;
                    }
                },
                _ => self.feed(sources, &cursors, person)?,
            }
            let mut at = 0;
            while let Some(cursor) = cursors.get_mut(at) {
                if cursor.is_done() || (cursor.person == person && !cursor.advance()) {
                    match self.next_block(cursor.slot, cursor.blocks.clone(), persons)? {
                        Some(next) => *cursor = next,
                        None => {
                            cursors.remove(at);
                            continue;
                        }
                    }
                }
                at += 1;
            }
        }
        self.show();
        Ok(())
    }

    /// Enter the next block that holds something wanted, if there is one.
    fn next_block<'s>(
        &mut self,
        slot: usize,
        mut blocks: std::slice::Iter<'s, Arc<dyn Block>>,
        persons: &RangeInclusive<u64>,
    ) -> Result<Option<Cursor<'s>>, ScanError>
    where
        'a: 's,
    {
        while let Some(stored) = blocks.next() {
            if self.loader.dictionaries.bytes() + self.kernel.bytes() > self.bytes_max {
                return Err(ScanError::TooLarge);
            }
            let before = self.loader.rows_scanned;
            let loaded = self.loader.load_few(self.question, stored, persons)?;
            self.question.progress.add(self.loader.rows_scanned - before);
            if let Some(loaded) = loaded {
                self.kernel.block(slot, &loaded.block, &self.loader.dictionaries);
                let run = loaded.within.start;
                let person = loaded.person(run);
                let skip = self.question.skip;
                let skip = &skip[skip.partition_point(|apart| *apart < person)..];
                let last = loaded.person(loaded.within.end - 1);
                let is_nobody_apart = skip.first().is_none_or(|apart| *apart > last);
                if is_nobody_apart && self.kernel.whole(slot, &loaded.block) {
                    continue;
                }
                let mut cursor = Cursor { slot, blocks: blocks.clone(), loaded, run, person, skip };
                if !cursor.is_apart() || cursor.advance() {
                    return Ok(Some(cursor));
                }
            }
        }
        Ok(None)
    }

    /// One person, wherever their rows are.
    fn feed(
        &mut self,
        sources: &[Timed<'_>],
        cursors: &[Cursor<'_>],
        person: u64,
    ) -> Result<(), ScanError> {
        let mut same = std::mem::take(&mut self.same);
        same.clear();
        let theirs = cursors.iter().enumerate().filter(|(_, cursor)| cursor.person == person);
        same.extend(theirs.map(|(at, _)| at));
        let dictionaries = &self.loader.dictionaries;
        let span = |at: &usize| cursors[*at].span();
        // Weeks do not overlap, and segments of a week seldom do: then nobody is looked at closely.
        let source = |at: usize| &sources[cursors[at].slot];
        let in_order = same.windows(2).all(|at| source(at[0]).last_ms < source(at[1]).first_ms)
            || {
                same.sort_by_key(|at| cursors[*at].first_ms());
                same.windows(2).all(|at| cursors[at[0]].last_ms() < cursors[at[1]].first_ms())
            };
        match &same[..] {
            [only] => self.kernel.person(person, &[span(only)], dictionaries),
            [first, second] if in_order => {
                self.kernel.person(person, &[span(first), span(second)], dictionaries);
            }
            all if in_order && all.len() <= INLINE => {
                let spans: [Span<'_>; INLINE] =
                    std::array::from_fn(|at| span(&all[at.min(all.len() - 1)]));
                self.kernel.person(person, &spans[..all.len()], dictionaries);
            }
            all if in_order => {
                let spans: Vec<Span<'_>> = all.iter().map(span).collect();
                self.kernel.person(person, &spans, dictionaries);
            }
            all => {
                let spans: Vec<Span<'_>> = all.iter().map(span).collect();
                let stored: Vec<&dyn Block> =
                    all.iter().map(|at| &*cursors[*at].loaded.stored).collect();
                self.scratch.add(self.question, person, &spans, &stored)?;
                if self.scratch.is_full() {
                    self.show();
                }
            }
        }
        self.same = same;
        Ok(())
    }

    fn show(&mut self) {
        self.scratch.show(self.scratch_slot, &mut *self.kernel, &self.loader.dictionaries);
    }

    fn finish(self) -> Asked {
        let partial = self.kernel.finish(&self.loader.dictionaries);
        Asked { partial, rows_scanned: self.loader.rows_scanned }
    }
}

/// Spans of one person that need no list on the heap: the weeks of a month.
const INLINE: usize = 6;

/// Where a thread stands in a source.
struct Cursor<'s> {
    slot: usize,
    /// The blocks after this one.
    blocks: std::slice::Iter<'s, Arc<dyn Block>>,
    loaded: Loaded,
    /// Where in the block.
    run: usize,
    /// Who is there.
    person: u64,
    /// Persons to leave out, from this one on.
    skip: &'s [u64],
}

impl Cursor<'_> {
    /// Go to the next person; `false` at the end of the block.
    fn advance(&mut self) -> bool {
        loop {
            self.run += 1;
            if self.is_done() {
                return false;
            }
            self.person = self.loaded.person(self.run);
            if !self.is_apart() {
                return true;
            }
        }
    }

    /// Whether the person at hand is to be left out.
    fn is_apart(&mut self) -> bool {
        while let [next, rest @ ..] = self.skip
            && *next < self.person
        {
            self.skip = rest;
        }
        self.skip.first() == Some(&self.person)
    }

    fn is_done(&self) -> bool {
        self.run >= self.loaded.within.end
    }

    fn span(&self) -> Span<'_> {
        let rows = self.loaded.rows(self.run);
        Span { slot: self.slot, block: &self.loaded.block, rows }
    }

    fn first_ms(&self) -> i64 {
        self.loaded.block.ts.get(self.loaded.rows(self.run).start)
    }

    fn last_ms(&self) -> i64 {
        self.loaded.block.ts.get(self.loaded.rows(self.run).end - 1)
    }
}
