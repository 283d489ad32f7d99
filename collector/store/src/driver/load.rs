//! A stored block in a question's terms.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use hashbrown::HashMap;
use tallymark_analysis::columns::{Block, Coded};
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
        let bounds = stored.bounds();
        let Some((column, within)) = runs_within(question, stored, persons)? else {
            return Ok(None);
        };
        let runs = column.runs();
        if question.progress.is_stopped() {
            return Err(ScanError::Stopped);
        }
        let rows = runs.starts[within.start] as usize..runs.starts[within.end] as usize;
        self.rows_scanned += rows.len() as u64;

        for (property, texts) in &question.needs {
            if !stored.may_have(property, texts)? {
                return Ok(None);
            }
        }
        let events = stored.column(&ColumnKey::Event)?;
        let event = self.event(question, events.texts());
        if event.global.iter().all(|code| *code == ABSENT) {
            return Ok(None);
        }
        let ts = Arc::clone(stored.column(&ColumnKey::Ts)?.times());
        let actors = match question.plan.actors {
            Actors::Never => None,
            Actors::AtTies => stored.column(&ColumnKey::Ties)?.actors().clone(),
            Actors::Always => stored.column(&ColumnKey::Actor)?.actors().clone(),
        };
        let mut block = Block {
            rows,
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
        Ok(Some(Loaded { block, stored: Arc::clone(stored), runs: column, within }))
    }

    /// Of a block those rows that have the number of the first column, and between which persons all of its rows are;
    /// `None` where they are not kept like that. Other columns are not in it.
    pub(super) fn numbered(
        &mut self,
        question: &Question<'_>,
        stored: &Arc<dyn block::Block>,
        persons: &RangeInclusive<u64>,
    ) -> Result<Option<(Block, RangeInclusive<u64>)>, ScanError> {
        let (Some(number), bounds) = (question.numbers.first(), stored.bounds()) else {
            return Ok(None);
        };
        let ColumnKey::Number(property) = number else { return Ok(None) };
        let is_alone = question.texts.is_empty() && question.needs.is_empty();
        if !is_alone {
            return Ok(None);
        }
        let Some((column, within)) = runs_within(question, stored, persons)? else {
            return Ok(None);
        };
        let runs = column.runs();
        let numbers = stored.column(&ColumnKey::Numbered(property.clone()))?;
        let Some(numbered) = numbers.numbered() else { return Ok(None) };
        if question.progress.is_stopped() {
            return Err(ScanError::Stopped);
        }
        let rows = runs.starts[within.start] as usize..runs.starts[within.end] as usize;
        self.rows_scanned += rows.len() as u64;
        let block = Block {
            rows: numbered.within(&rows),
            ts: Arc::clone(&numbered.ts),
            all_in_time: bounds.is_in(&question.times),
            first_ms: bounds.ts_min_ms,
            last_ms: bounds.ts_max_ms,
            actors: None,
            event: self.event(question, &numbered.event),
            texts: Vec::new(),
            numbers: vec![Arc::clone(&numbered.numbers)],
            sessions: None,
        };
        Ok(Some((block, runs.persons[within.start]..=runs.persons[within.end - 1])))
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

/// Those of these persons; `None` where none is, or the block can hold nothing wanted.
fn runs_within(
    question: &Question<'_>,
    stored: &Arc<dyn block::Block>,
    persons: &RangeInclusive<u64>,
) -> Result<Option<Within>, ScanError> {
    if !stored.bounds().may_hold(question.project, persons.clone(), &question.times) {
        return Ok(None);
    }
    let column = stored.column(&ColumnKey::Runs)?;
    let within = column.runs().within(question.project, *persons.start(), *persons.end());
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
