//! Texts as codes into a list of values.

use std::sync::Arc;

use hashbrown::HashMap;

/// The distinct texts of a column; shared by batches of rows that have the same ones.
pub type Dictionary = Arc<[Box<str>]>;

/// A text column. Code 0 is absent, code `i` is `values[i - 1]`; no codes at all: every row is
/// absent.
#[derive(Debug, Clone)]
pub struct Coded {
    /// A code for each row, or nothing.
    pub codes: Vec<u32>,
    /// What the codes mean.
    pub values: Dictionary,
}

impl Default for Coded {
    fn default() -> Self {
        Self { codes: Vec::new(), values: Arc::from([]) }
    }
}

impl Coded {
    /// The code of a row.
    pub(crate) fn code(&self, row: usize) -> u32 {
        if self.codes.is_empty() { 0 } else { self.codes[row] }
    }

    /// The text of a row.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        let code = self.code(row) as usize;
        (code != 0).then(|| &*self.values[code - 1])
    }
}

/// Gathers a text column from several. A text is looked up once per dictionary it comes from, not
/// once per row.
#[derive(Debug, Default)]
pub(crate) struct CodedBuilder {
    /// Empty while every row is absent.
    codes: Vec<u32>,
    rows: usize,
    values: Vec<Box<str>>,
    known: HashMap<Box<str>, u32>,
    /// By source: its dictionary, and our code for each of its codes.
    maps: Vec<Option<(Dictionary, Vec<u32>)>>,
}

/// The code of a source that has no code of ours yet.
const UNSEEN: u32 = u32::MAX;

impl CodedBuilder {
    /// Add rows, each by its source and its row there. Returns how many have a text.
    pub(crate) fn gather(&mut self, order: &[(u32, u32)], sources: &[&Coded]) -> usize {
        if sources.iter().all(|source| source.codes.is_empty()) {
            self.push_absent(order.len());
            return 0;
        }
        self.codes.resize(self.rows, 0);
        self.rows += order.len();
        self.maps.resize_with(sources.len().max(self.maps.len()), || None);
        for (map, source) in self.maps.iter_mut().zip(sources) {
            let is_same =
                map.as_ref().is_some_and(|(values, _)| Arc::ptr_eq(values, &source.values));
            if !is_same && !source.codes.is_empty() {
                let mut codes = vec![UNSEEN; source.values.len() + 1];
                codes[0] = 0;
                *map = Some((Arc::clone(&source.values), codes));
            }
        }
        let mut present = 0;
        self.codes.reserve(order.len());
        for &(from, row) in order {
            let source = sources[from as usize];
            let theirs = source.code(row as usize) as usize;
            let mut ours = 0;
            if theirs != 0 {
                present += 1;
                let known =
                    self.maps[from as usize].as_ref().map_or(UNSEEN, |(_, map)| map[theirs]);
                ours = known;
                if known == UNSEEN {
                    ours = intern(&mut self.values, &mut self.known, &source.values[theirs - 1]);
                    if let Some((_, map)) = &mut self.maps[from as usize] {
                        map[theirs] = ours;
                    }
                }
            }
            self.codes.push(ours);
        }
        present
    }

    /// Add rows without a text.
    pub(crate) fn push_absent(&mut self, rows: usize) {
        self.rows += rows;
        if !self.codes.is_empty() {
            self.codes.resize(self.rows, 0);
        }
    }

    /// Whether a row has a text.
    pub(crate) fn has(&self, row: usize) -> bool {
        self.codes.get(row).is_some_and(|code| *code != 0)
    }

    /// Give a row that is there a text.
    pub(crate) fn set(&mut self, row: usize, text: &str) {
        self.codes.resize(self.rows, 0);
        self.codes[row] = intern(&mut self.values, &mut self.known, text);
    }

    /// The column.
    pub(crate) fn finish(self) -> Coded {
        Coded { codes: self.codes, values: self.values.into() }
    }
}

fn intern(values: &mut Vec<Box<str>>, known: &mut HashMap<Box<str>, u32>, text: &str) -> u32 {
    if let Some(&code) = known.get(text) {
        return code;
    }
    values.push(text.into());
    let code = values.len() as u32;
    known.insert(text.into(), code);
    code
}
