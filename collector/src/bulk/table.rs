//! Rows of a file, column by column: what every reader makes and the drafter takes.
//!
//! What is worked out of a cell is worked out once for each value where the file says which cells are
//! equal: Parquet's dictionaries do.

use std::borrow::Cow;

use hashbrown::HashMap;
use tallymark_protocol::codes::EventCode;

use super::cell::Cell;
use super::mapping::{Mapping, Target};

/// Rows as they were read, on their way to a thread that drafts them.
pub trait Rows: Send {
    /// The rows by columns.
    ///
    /// # Errors
    /// When a column is of a type that cannot become a property.
    fn table<'a>(&'a self, mapping: &'a Mapping) -> anyhow::Result<Table<'a>>;

    /// Where a row stands in its file: its line or its number, from 1.
    fn place(&self, row: usize) -> u64;
}

/// Some rows.
#[derive(Default)]
pub struct Table<'a> {
    /// How many.
    pub rows: usize,
    /// What they say. A target may occur more than once; the last cell counts.
    pub columns: Vec<(Target, Cells<'a>)>,
    /// Rows that cannot even be read, and why.
    pub unreadable: Vec<(u32, EventCode)>,
}

/// The cells of a column.
pub enum Cells<'a> {
    /// One for each row.
    Each(Box<dyn Fn(usize) -> Cell<'a> + 'a>),
    /// For each row the number of its value, if it has one; how many values there are; and the values.
    Coded(Box<dyn Fn(usize) -> Option<usize> + 'a>, usize, Box<dyn Fn(usize) -> Cell<'a> + 'a>),
    /// Those of some rows, in order.
    Some(Vec<(u32, Cell<'a>)>),
}

impl<'a> Cells<'a> {
    /// The same in every row.
    pub fn same(cell: Cell<'a>) -> Self {
        Self::Coded(Box::new(|_| Some(0)), 1, Box::new(move |_| cell.clone()))
    }

    /// Work something out of every cell that is not absent, and put it where its row is.
    pub fn each<T>(
        &self,
        rows: usize,
        mut of: impl FnMut(Cell<'a>) -> T,
        mut put: impl FnMut(usize, &T),
    ) {
        match self {
            Self::Each(cell) => {
                for row in 0..rows {
                    match cell(row) {
                        Cell::Absent => {}
                        cell => put(row, &of(cell)),
                    }
                }
            }
            Self::Coded(code, count, value) => {
                let mut known: Vec<Option<Option<T>>> = (0..*count).map(|_| None).collect();
                for row in 0..rows {
                    let Some(code) = code(row) else { continue };
                    let known = known[code].get_or_insert_with(|| match value(code) {
                        Cell::Absent => None,
                        cell => Some(of(cell)),
                    });
                    if let Some(known) = known {
                        put(row, known);
                    }
                }
            }
            Self::Some(cells) => {
                for (row, cell) in cells.iter().filter(|(_, cell)| *cell != Cell::Absent) {
                    put(*row as usize, &of(cell.clone()));
                }
            }
        }
    }
}

/// Makes a table row by row, for rows that have different columns.
pub struct TableBuilder<'a> {
    mapping: &'a Mapping,
    table: Table<'a>,
    places: HashMap<Cow<'a, str>, usize>,
}

impl<'a> TableBuilder<'a> {
    /// An empty table.
    pub fn new(mapping: &'a Mapping) -> Self {
        Self { mapping, table: Table::default(), places: HashMap::new() }
    }

    /// Begin the next row.
    pub fn row(&mut self) {
        self.table.rows += 1;
    }

    /// The row cannot be read.
    pub fn unreadable(&mut self, why: EventCode) {
        self.table.unreadable.push((self.table.rows as u32 - 1, why));
    }

    /// Put a cell of a column into the row. `cell` is told where it goes.
    pub fn put(&mut self, column: Cow<'a, str>, cell: impl FnOnce(&Target) -> Cell<'a>) {
        let row = self.table.rows as u32 - 1;
        let columns = &mut self.table.columns;
        let at = *self.places.entry(column).or_insert_with_key(|name| {
            columns.push((self.mapping.target(name), Cells::Some(Vec::new())));
            columns.len() - 1
        });
        let (target, cells) = &mut columns[at];
        let cell = cell(target);
        if let Cells::Some(cells) = cells {
            cells.push((row, cell));
        }
    }

    /// The table.
    pub fn finish(self) -> Table<'a> {
        self.table
    }
}
