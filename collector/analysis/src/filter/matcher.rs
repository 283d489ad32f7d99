//! Which patterns of a question an event matches.

use super::Filter;
use crate::events::{ABSENT, Dictionaries, Run};

/// Which of up to 64 event patterns a row matches: a look-up by event code, then the filters of
/// the patterns that have one.
#[derive(Debug, Clone)]
pub struct Matcher {
    names: Vec<Option<String>>,
    filters: Vec<(usize, Filter)>,
    /// By event code.
    table: Vec<u64>,
}

impl Matcher {
    /// Patterns in order; `None` means any event.
    ///
    /// # Panics
    /// Above 64 patterns: questions refuse that many before.
    pub fn new(patterns: Vec<(Option<String>, Filter)>) -> Self {
        assert!(patterns.len() <= 64, "questions take at most 64 patterns");
        let mut names = Vec::with_capacity(patterns.len());
        let mut filters = Vec::new();
        for (index, (name, filter)) in patterns.into_iter().enumerate() {
            names.push(name);
            if !filter.is_always() {
                filters.push((index, filter));
            }
        }
        Self { names, filters, table: Vec::new() }
    }

    /// Extend the look-up tables to the values seen meanwhile. Call once per run.
    pub fn learn(&mut self, dictionaries: &Dictionaries) {
        for code in self.table.len()..dictionaries.events.len() {
            let event = dictionaries.events.text(code as u32);
            let mut mask = 0;
            for (index, name) in self.names.iter().enumerate() {
                let same = name.as_deref().is_none_or(|name| event == Some(name));
                mask |= u64::from(same && code as u32 != ABSENT) << index;
            }
            self.table.push(mask);
        }
        for (_, filter) in &mut self.filters {
            filter.learn(dictionaries);
        }
    }

    /// Bit `i` is set when the row matches pattern `i`.
    #[inline]
    pub fn mask(&self, run: &Run<'_>, row: usize) -> u64 {
        let mut mask = self.table[run.event[row] as usize];
        for (index, filter) in &self.filters {
            if mask >> index & 1 == 1 && !filter.passes(run, row) {
                mask &= !(1 << index);
            }
        }
        mask
    }
}
