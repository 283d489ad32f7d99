//! A stored block in a question's terms.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use hashbrown::HashMap;
use tallymark_analysis::columns::{Block, Coded, Times};
use tallymark_analysis::events::{ABSENT, Actors, Dictionaries, Dictionary};

use super::Question;
use crate::block::{self, ColumnKey, Runs, TextColumn, Values};
use crate::error::ScanError;

/// A block whose columns are at hand, and whose rows are wanted in it.
pub(super) struct Loaded {
    pub block: Block,
    /// Where it came from.
    pub stored: Arc<dyn block::Block>,
    runs: Arc<block::Column>,
    /// The runs of the persons asked for.
    pub within: Range<usize>,
}

impl Loaded {
    pub(super) fn person(&self, run: usize) -> u64 {
        self.runs.runs().persons[run]
    }

    pub(super) fn rows(&self, run: usize) -> Range<usize> {
        let Runs { starts, .. } = self.runs.runs();
        starts[run] as usize..starts[run + 1] as usize
    }
}

/// What shared values are in the question's dictionaries, by text column (the event first) and the
/// values' place in memory, which holds as long as they are held.
type Known = HashMap<(usize, usize), (Arc<Values>, Arc<Vec<u32>>)>;

/// Loads blocks for one thread.
pub(super) struct Loader {
    pub dictionaries: Dictionaries,
    known: Known,
    pub rows_scanned: u64,
}

impl Loader {
    pub(super) fn new(question: &Question<'_>) -> Self {
        Self {
            dictionaries: Dictionaries::new(question.plan),
            known: Known::new(),
            rows_scanned: 0,
        }
    }

    /// The block, if it holds something wanted of these persons.
    pub(super) fn load(
        &mut self,
        question: &Question<'_>,
        stored: &Arc<dyn block::Block>,
        persons: &RangeInclusive<u64>,
    ) -> Result<Option<Loaded>, ScanError> {
        match self.enter(question, stored, persons)? {
            Some(within) => self.read(question, stored, within, false),
            None => Ok(None),
        }
    }

    /// The same with the rows alone that can change something, where these are few, and without times where
    /// nobody looks at them.
    pub(super) fn load_few(
        &mut self,
        question: &Question<'_>,
        stored: &Arc<dyn block::Block>,
        persons: &RangeInclusive<u64>,
    ) -> Result<Option<Loaded>, ScanError> {
        let Some(within) = self.enter(question, stored, persons)? else { return Ok(None) };
        let is_timeless = question.is_timeless(stored.bounds());
        // Of one person's rows nothing is gained, and all would have to be looked at.
        if question.plan.only.is_none() {
            for having in question.needs.iter().chain(&question.events) {
                if let Some(few) = Arc::clone(stored).few(having)? {
                    return match runs_within(question, &few, persons)? {
                        Some(within) => self.read(question, &few, within, is_timeless),
                        None => Ok(None),
                    };
                }
            }
        }
        self.read(question, stored, within, is_timeless)
    }

    /// Where these persons are in a block that may hold something wanted. Their rows count as looked at.
    fn enter(
        &mut self,
        question: &Question<'_>,
        stored: &Arc<dyn block::Block>,
        persons: &RangeInclusive<u64>,
    ) -> Result<Option<Within>, ScanError> {
        let within = runs_within(question, stored, persons)?;
        if question.progress.is_stopped() {
            return Err(ScanError::Stopped);
        }
        let Some((runs, persons)) = within else { return Ok(None) };
        self.rows_scanned += rows_of(&runs, &persons).len() as u64;
        for need in &question.needs {
            if !stored.may_have(need)? {
                return Ok(None);
            }
        }
        Ok(Some((runs, persons)))
    }

    fn read(
        &mut self,
        question: &Question<'_>,
        stored: &Arc<dyn block::Block>,
        (runs, within): Within,
        is_timeless: bool,
    ) -> Result<Option<Loaded>, ScanError> {
        let bounds = stored.bounds();
        let events = stored.column(&ColumnKey::Event)?;
        let event = self.event(question, events.texts());
        if event.global.iter().all(|code| *code == ABSENT) {
            return Ok(None);
        }
        let ts = match is_timeless {
            true => Arc::new(Times::new(&[])),
            false => Arc::clone(stored.column(&ColumnKey::Ts)?.times()),
        };
        let actors = match question.plan.actors {
            Actors::Never => None,
            Actors::AtTies => stored.column(&ColumnKey::Ties)?.actors().clone(),
            Actors::Always => stored.column(&ColumnKey::Actor)?.actors().clone(),
        };
        let mut block = Block {
            rows: rows_of(&runs, &within),
            ts,
            all_in_time: bounds.is_in(&question.times),
            first_ms: bounds.ts_min_ms,
            last_ms: bounds.ts_max_ms,
            actors,
            event,
            texts: Vec::with_capacity(question.texts.len()),
            numbers: Vec::with_capacity(question.numbers.len()),
            sessions: None,
        };
        if question.plan.sessions {
            block.sessions = Some(Arc::clone(stored.column(&ColumnKey::Session)?.sessions()));
        }
        for (at, key) in question.texts.iter().enumerate() {
            let column = stored.column(key)?;
            let coded = self.text(at, column.texts(), &block);
            block.texts.push(coded);
        }
        for key in &question.numbers {
            block.numbers.push(Arc::clone(stored.column(key)?.numbers()));
        }
        Ok(Some(Loaded { block, stored: Arc::clone(stored), runs, within }))
    }

    /// Event names; those that are not wanted are absent.
    fn event(&mut self, question: &Question<'_>, column: &TextColumn) -> Coded {
        let wanted = &question.plan.events;
        let code = |dictionary: &mut Dictionary, name: &str| {
            if wanted.contains(name) { dictionary.intern(name) } else { ABSENT }
        };
        let dictionary = &mut self.dictionaries.events;
        let global = translate(&mut self.known, 0, &column.values, |name| code(dictionary, name));
        Coded { codes: Arc::clone(&column.codes), global }
    }

    fn text(&mut self, at: usize, column: &TextColumn, block: &Block) -> Coded {
        let dictionary = &mut self.dictionaries.texts[at];
        let codes = Arc::clone(&column.codes);
        let global = match &*column.values {
            Values::Shared(_) => {
                translate(&mut self.known, at + 1, &column.values, |text| dictionary.intern(text))
            }
            // There may be a value per row, most of them in rows that nobody looks at.
            Values::Own(values) => {
                let mut global = vec![ABSENT; values.len() + 1];
                for row in block.rows.clone() {
                    let own = codes.get(row) as usize;
                    if own != 0 && global[own] == ABSENT && block.event.get(row) != ABSENT {
                        global[own] = dictionary.intern(&values[own - 1]);
                    }
                }
                Arc::new(global)
            }
        };
        Coded { codes, global }
    }
}

/// The runs of a block, and which of them are of somebody.
type Within = (Arc<block::Column>, Range<usize>);

fn rows_of(runs: &block::Column, within: &Range<usize>) -> Range<usize> {
    let Runs { starts, .. } = runs.runs();
    starts[within.start] as usize..starts[within.end] as usize
}

/// Those of these persons; `None` where none is, or the block can hold nothing wanted.
fn runs_within(
    question: &Question<'_>,
    stored: &Arc<dyn block::Block>,
    persons: &RangeInclusive<u64>,
) -> Result<Option<Within>, ScanError> {
    let Question { project, times, .. } = question;
    let bounds = stored.bounds();
    if !bounds.may_hold(*project, persons.clone(), times) {
        return Ok(None);
    }
    let column = stored.column(&ColumnKey::Runs)?;
    let (first, last) = (*persons.start(), *persons.end());
    let within = match (*project, first) <= bounds.first && bounds.last <= (*project, last) {
        true => 0..column.runs().persons.len(),
        false => column.runs().within(*project, first, last),
    };
    Ok((!within.is_empty()).then_some((column, within)))
}

/// The question's codes of values, by their own; remembered where other blocks have the same ones.
fn translate(
    known: &mut Known,
    column: usize,
    values: &Arc<Values>,
    mut code: impl FnMut(&str) -> u32,
) -> Arc<Vec<u32>> {
    if let Values::Own(_) = **values {
        let mut global = vec![ABSENT];
        values.each(0, |value| global.push(code(value)));
        return Arc::new(global);
    }
    let place = (column, Arc::as_ptr(values) as usize);
    let (_, global) =
        known.entry(place).or_insert_with(|| (Arc::clone(values), Arc::new(vec![ABSENT])));
    if global.len() <= values.len() {
        let global = Arc::make_mut(global);
        values.each(global.len() - 1, |value| global.push(code(value)));
    }
    Arc::clone(global)
}
