//! Rows of text files: some thousands of them in one piece of memory, and lines of bounded length.

use std::fs::File;
use std::io::{BufRead, BufReader};

use tallymark_protocol::codes::EventCode;

/// Rows of a batch.
const ROWS_MAX: usize = 32 * 1024;
/// Bytes of a batch.
const BYTES_MAX: usize = 8 << 20;
/// Bytes of a line. Longer ones are no events.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Rows with the same number of fields.
#[derive(Default)]
pub struct TextRows {
    text: String,
    /// Ends of fields.
    ends: Vec<usize>,
    /// By row: its place in the file, and its first field; the reason instead when it has none.
    rows: Vec<(u64, Result<usize, EventCode>)>,
}

impl TextRows {
    /// Add a row.
    pub fn push<'t>(&mut self, place: u64, fields: impl IntoIterator<Item = &'t str>) {
        self.rows.push((place, Ok(self.ends.len())));
        for field in fields {
            self.text.push_str(field);
            self.ends.push(self.text.len());
        }
    }

    /// Add a row that cannot be read.
    pub fn push_unreadable(&mut self, place: u64, why: EventCode) {
        self.rows.push((place, Err(why)));
    }

    /// Whether it is time for the next batch.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX || self.text.len() >= BYTES_MAX
    }

    /// Rows.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Where a row stands in its file.
    pub fn place(&self, row: usize) -> u64 {
        self.rows[row].0
    }

    /// Why a row cannot be read.
    pub fn unreadable(&self, row: usize) -> Option<EventCode> {
        self.rows[row].1.err()
    }

    /// A field of a row; nothing for rows that cannot be read.
    pub fn field(&self, row: usize, field: usize) -> &str {
        let Ok(first) = self.rows[row].1 else { return "" };
        let at = first + field;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }
}

/// Lines of bounded length.
pub struct Lines {
    reader: BufReader<File>,
    buffer: Vec<u8>,
    number: u64,
    end: u64,
}

/// A line, without its end.
pub struct Line<'a> {
    /// From 1.
    pub number: u64,
    /// Bytes of the file up to and with this line.
    pub end: u64,
    /// The text; `Err` when it is too long or no UTF-8.
    pub text: Result<&'a str, ()>,
}

impl Lines {
    /// The lines of a file.
    pub fn new(file: File) -> Self {
        let reader = BufReader::with_capacity(1 << 20, file);
        Self { reader, buffer: Vec::new(), number: 0, end: 0 }
    }

    /// The next line.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_line(&mut self) -> std::io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut limited = std::io::Read::take(&mut self.reader, LINE_BYTES_MAX);
        let mut read = limited.read_until(b'\n', &mut self.buffer)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let too_long = read == LINE_BYTES_MAX && !self.buffer.ends_with(b"\n");
        if too_long {
            read += self.reader.skip_until(b'\n')? as u64;
        }
        self.number += 1;
        self.end += read;
        let text = std::str::from_utf8(&self.buffer).ok().filter(|_| !too_long);
        let text = text.map(|text| text.trim_end_matches(['\n', '\r'])).ok_or(());
        Ok(Some(Line { number: self.number, end: self.end, text }))
    }
}
