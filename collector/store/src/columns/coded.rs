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
    maps: Vec<(Dictionary, Vec<u32>)>,
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
        let Self { codes, rows, values, known, maps } = self;
        codes.resize(*rows, 0);
        *rows += order.len();
        maps.resize_with(sources.len().max(maps.len()), || (Arc::from([]), vec![0]));
        for ((dictionary, map), source) in maps.iter_mut().zip(sources) {
            if !source.codes.is_empty() && !Arc::ptr_eq(dictionary, &source.values) {
                *dictionary = Arc::clone(&source.values);
                map.clear();
                map.push(0);
                map.resize(dictionary.len() + 1, UNSEEN);
            }
        }
        // Rows come from anywhere, so what is waited for is memory: the less is decided by what is in it, the more is
        // fetched at once.
        let mut present = 0;
        codes.extend(order.iter().map(|&(from, row)| {
            let source = sources[from as usize];
            let theirs = source.codes.get(row as usize).copied().unwrap_or(0) as usize;
            let (dictionary, map) = &mut maps[from as usize];
            if map[theirs] == UNSEEN {
                map[theirs] = intern(values, known, &dictionary[theirs - 1]);
            }
            present += usize::from(map[theirs] != 0);
            map[theirs]
        }));
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
