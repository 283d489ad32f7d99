//! The wanted rows of one block, with the question's own codes.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tallymark_analysis::events::{Dictionaries, Dictionary, Run};

use super::Question;
use crate::block::{Block, ColumnKey, Texts};
use crate::error::ScanError;

/// Rows that passed the filter, as columns, and where each person's rows begin.
#[derive(Default)]
pub(super) struct Piece {
    pub persons: Vec<u64>,
    /// First row of each person, and the number of rows at the end.
    pub starts: Vec<u32>,
    pub ts: Vec<i64>,
    pub actor: Vec<u64>,
    pub event: Vec<u32>,
    pub texts: Vec<Vec<u32>>,
    pub numbers: Vec<Vec<f64>>,
    /// Where each row is in the block.
    pub rows: Vec<u32>,
    pub block: Option<Arc<dyn Block>>,
}

/// Columns of one kind that a run can have without a list on the heap.
const COLUMNS_INLINE: usize = 12;

impl Piece {
    /// The rows of the person at a place.
    pub(super) fn range(&self, at: usize) -> std::ops::Range<usize> {
        self.starts[at] as usize..self.starts[at + 1] as usize
    }

    /// Lend one person's rows.
    pub(super) fn with_run(&self, at: usize, look: impl FnOnce(&Run<'_>)) {
        let rows = self.range(at);
        let mut texts_inline = [&[] as &[u32]; COLUMNS_INLINE];
        let mut numbers_inline = [&[] as &[f64]; COLUMNS_INLINE];
        let (mut texts_list, mut numbers_list) = (Vec::new(), Vec::new());
        look(&Run {
            person: self.persons[at],
            ts: &self.ts[rows.clone()],
            actor: &self.actor[rows.clone()],
            event: &self.event[rows.clone()],
            texts: slices(&self.texts, rows.clone(), &mut texts_inline, &mut texts_list),
            numbers: slices(&self.numbers, rows, &mut numbers_inline, &mut numbers_list),
        });
    }

    /// Forget the rows, keep the memory.
    pub(super) fn clear(&mut self, texts: usize, numbers: usize) {
        self.persons.clear();
        self.starts.clear();
        self.ts.clear();
        self.actor.clear();
        self.event.clear();
        self.rows.clear();
        self.texts.resize_with(texts, Vec::new);
        self.texts.iter_mut().for_each(Vec::clear);
        self.numbers.resize_with(numbers, Vec::new);
        self.numbers.iter_mut().for_each(Vec::clear);
        self.block = None;
    }
}

fn slices<'a, 'b, T>(
    columns: &'a [Vec<T>],
    rows: std::ops::Range<usize>,
    inline: &'b mut [&'a [T]; COLUMNS_INLINE],
    list: &'b mut Vec<&'a [T]>,
) -> &'b [&'a [T]] {
    let each = columns.iter().map(|column| &column[rows.clone()]);
    if columns.len() > COLUMNS_INLINE {
        list.extend(each);
        return list;
    }
    inline.iter_mut().zip(each).for_each(|(slot, slice)| *slot = slice);
    &inline[..columns.len()]
}

/// Fills pieces for one thread.
pub(super) struct Filler<'a> {
    pub question: &'a Question<'a>,
    pub dictionaries: &'a mut Dictionaries,
}

impl Filler<'_> {
    /// Take the wanted rows of these persons out of a block. Returns how many rows were looked at.
    pub(super) fn fill(
        &mut self,
        piece: &mut Piece,
        block: &Arc<dyn Block>,
        persons: &RangeInclusive<u64>,
    ) -> Result<u64, ScanError> {
        piece.clear(self.question.texts.len(), self.question.numbers.len());
        let runs = block.column(&ColumnKey::Runs)?;
        let runs = runs.runs();
        let within = runs.within(self.question.project, *persons.start(), *persons.end());
        if within.is_empty() {
            return Ok(0);
        }
        let (first, last) = (runs.starts[within.start], runs.starts[within.end]);
        let scanned = u64::from(last - first);

        let events = block.column(&ColumnKey::Event)?;
        let events = events.texts();
        let codes = self.event_codes(events);
        if codes.iter().all(|&code| code == 0) {
            return Ok(scanned);
        }
        let ts = block.column(&ColumnKey::Ts)?;
        let ts = ts.times();
        let times = &self.question.times;
        let bounds = block.bounds();
        let all_times = times.start <= bounds.ts_min_ms && bounds.ts_max_ms < times.end;
        // Code 0 of the block is "absent", which an event name never is.
        if all_times && codes[1..].iter().all(|&code| code != 0) {
            piece.rows.extend(first..last);
            piece.persons.extend_from_slice(&runs.persons[within.clone()]);
            let starts = &runs.starts[within.start..=within.end];
            piece.starts.extend(starts.iter().map(|start| start - first));
        } else {
            piece.rows.resize((last - first) as usize, 0);
            let mut kept = 0;
            for row in first..last {
                let at = row as usize;
                let wanted =
                    codes[events.codes[at] as usize] != 0 && (all_times || times.contains(&ts[at]));
                piece.rows[kept] = row;
                kept += usize::from(wanted);
            }
            piece.rows.truncate(kept);
            if kept == 0 {
                return Ok(scanned);
            }
            select_runs(
                piece,
                &runs.persons[within.clone()],
                &runs.starts[within.start + 1..=within.end],
            );
        }
        let Piece { rows, .. } = piece;
        let rows = &rows[..];
        gather(rows, &mut piece.ts, |row| ts[row]);
        gather(rows, &mut piece.event, |row| codes[events.codes[row] as usize]);

        let actors = block.column(&ColumnKey::Actor)?;
        match actors.actors() {
            Some(actors) => gather(rows, &mut piece.actor, |row| actors[row]),
            None => {
                for (at, &person) in piece.persons.iter().enumerate() {
                    piece.actor.resize(piece.starts[at + 1] as usize, person);
                }
            }
        }
        for (i, key) in self.question.texts.iter().enumerate() {
            let column = block.column(key)?;
            let dictionary = &mut self.dictionaries.texts[i];
            gather_texts(rows, &mut piece.texts[i], column.texts(), dictionary);
        }
        for (i, key) in self.question.numbers.iter().enumerate() {
            let column = block.column(key)?;
            let numbers = column.numbers();
            gather(rows, &mut piece.numbers[i], |row| numbers[row]);
        }
        piece.block = Some(Arc::clone(block));
        Ok(scanned)
    }

    /// The question's code for each event code of a block, 0 where the event is not wanted.
    fn event_codes(&mut self, events: &Texts) -> Vec<u32> {
        let wanted = &self.question.plan.events;
        let dictionary = &mut self.dictionaries.events;
        let names = events.values.iter().map(|name| &**name);
        let code = |name| if wanted.contains(name) { dictionary.intern(name) } else { 0 };
        std::iter::once(0).chain(names.map(code)).collect()
    }
}

/// Persons that have selected rows, and where those begin. `ends` are the ends of all persons'
/// rows in the block; `piece.rows` are the selected ones, in order.
fn select_runs(piece: &mut Piece, persons: &[u64], ends: &[u32]) {
    let Piece { rows, persons: kept, starts, .. } = piece;
    let mut run = 0;
    let mut at = 0;
    while at < rows.len() {
        while ends[run] <= rows[at] {
            run += 1;
        }
        kept.push(persons[run]);
        starts.push(at as u32);
        while at < rows.len() && rows[at] < ends[run] {
            at += 1;
        }
    }
    starts.push(rows.len() as u32);
}

fn gather<T>(rows: &[u32], out: &mut Vec<T>, get: impl Fn(usize) -> T) {
    out.extend(rows.iter().map(|&row| get(row as usize)));
}

/// Texts get their code in the question's dictionary when the first selected row has them.
fn gather_texts(rows: &[u32], out: &mut Vec<u32>, texts: &Texts, dictionary: &mut Dictionary) {
    const UNSEEN: u32 = u32::MAX;
    let mut codes = vec![UNSEEN; texts.values.len() + 1];
    codes[0] = 0;
    out.extend(rows.iter().map(|&row| {
        let code = texts.codes[row as usize] as usize;
        if codes[code] == UNSEEN {
            codes[code] = dictionary.intern(&texts.values[code - 1]);
        }
        codes[code]
    }));
}
