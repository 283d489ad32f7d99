//! Rows of CSV files, and of tables whose columns are parted by white space.

use std::fs::File;
use std::sync::Arc;

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use tallymark_protocol::codes::EventCode;

use super::cell::Cell;
use super::import::GiveRows;
use super::mapping::{Field, Mapping, Target};
use super::table::{Cells, Rows, Table};
use super::text_out::FORMULA_STARTS;
use super::text_rows::{Line, Lines, TextRows};

/// How a CSV file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvOptions {
    /// What parts the columns.
    pub delimiter: Delimiter,
    /// Whether the first line names the columns.
    pub header: bool,
    /// The names, when it does not or they are to be others.
    pub columns: Vec<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: Delimiter::Byte(b','), header: true, columns: Vec::new() }
    }
}

/// What parts the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delimiter {
    /// One ASCII character; fields may be quoted.
    Byte(u8),
    /// Any amount of white space; there are no quotes.
    Whitespace,
}

impl std::str::FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tab" | "\\t" => Ok(Self::Byte(b'\t')),
            "whitespace" => Ok(Self::Whitespace),
            _ => match text.as_bytes() {
                [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => {
                    Ok(Self::Byte(*byte))
                }
                _ => Err(format!("{text:?} is not one character, `tab` or `whitespace`")),
            },
        }
    }
}

/// Hand the rows of a file over.
///
/// # Errors
/// When the columns are not known, the file cannot be read, or nobody takes the rows.
pub fn read(
    file: File,
    options: &CsvOptions,
    mapping: &Mapping,
    give: GiveRows<'_>,
) -> anyhow::Result<()> {
    ensure!(
        options.header || !options.columns.is_empty(),
        "without a header line the columns must be named: --columns user,at,amount"
    );
    match options.delimiter {
        Delimiter::Byte(byte) => read_quoted(file, byte, options, mapping, give),
        Delimiter::Whitespace => read_plain(file, options, mapping, give),
    }
}

/// The targets of the columns, and whether the file is an export of ours.
struct Header {
    targets: Vec<Target>,
    ours: bool,
}

impl Header {
    fn new(columns: &[String], mapping: &Mapping) -> anyhow::Result<Self> {
        let missing = mapping.missing(columns);
        if !missing.is_empty() {
            bail!(
                "--map names the column {:?}, the file has {}",
                missing.join(", "),
                columns.join(", ")
            );
        }
        let targets: Vec<_> = columns.iter().map(|column| mapping.target(column)).collect();
        let ours = targets.contains(&Target::Field(Field::StoredRealm));
        Ok(Self { targets, ours })
    }

    fn rows(self: &Arc<Self>, text: &mut TextRows) -> Box<dyn Rows> {
        Box::new(CsvRows { header: Arc::clone(self), text: std::mem::take(text) })
    }

    /// Exports put a quote before what a spreadsheet would take for a formula.
    fn plain<'t>(&self, text: &'t str) -> &'t str {
        match text.strip_prefix('\'') {
            Some(rest) if self.ours && rest.starts_with(FORMULA_STARTS) => rest,
            _ => text,
        }
    }
}

/// Rows of a table.
struct CsvRows {
    header: Arc<Header>,
    text: TextRows,
}

impl Rows for CsvRows {
    fn table<'a>(&'a self, _: &'a Mapping) -> anyhow::Result<Table<'a>> {
        let text = &self.text;
        let column = |(at, target): (usize, &Target)| {
            let cell = move |row| match text.field(row, at) {
                "" => Cell::Absent,
                field => Cell::Untyped(field),
            };
            (target.clone(), Cells::Each(Box::new(cell)))
        };
        let unreadable =
            (0..text.count()).filter_map(|row| text.unreadable(row).map(|why| (row as u32, why)));
        Ok(Table {
            rows: text.count(),
            columns: self.header.targets.iter().enumerate().map(column).collect(),
            unreadable: unreadable.collect(),
        })
    }

    fn place(&self, row: usize) -> u64 {
        self.text.place(row)
    }
}

fn read_quoted(
    file: File,
    delimiter: u8,
    options: &CsvOptions,
    mapping: &Mapping,
    give: GiveRows<'_>,
) -> anyhow::Result<()> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(options.header)
        .flexible(true)
        .buffer_capacity(1 << 20)
        .from_reader(file);
    let columns = if options.columns.is_empty() {
        let names = reader.byte_headers()?.iter();
        let names = names.map(|name| {
            String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_owned()
        });
        names.collect()
    } else {
        options.columns.clone()
    };
    let header = Arc::new(Header::new(&columns, mapping)?);
    let mut rows = TextRows::default();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        let (line, bytes) = record.position().map_or((0, 0), |at| (at.line(), at.byte()));
        let fields = record.iter().map(std::str::from_utf8).collect::<Result<Vec<_>, _>>();
        match fields {
            Ok(fields) if fields.len() == columns.len() => {
                rows.push(line, fields.into_iter().map(|text| header.plain(text)));
            }
            _ => rows.push_unreadable(line, EventCode::EventUnreadable),
        }
        if rows.is_full() {
            give(header.rows(&mut rows), bytes)?;
        }
    }
    give(header.rows(&mut rows), u64::MAX)
}

fn read_plain(
    file: File,
    options: &CsvOptions,
    mapping: &Mapping,
    give: GiveRows<'_>,
) -> anyhow::Result<()> {
    let mut lines = Lines::new(file);
    let mut columns = options.columns.clone();
    if options.header {
        let first = match lines.read_line()? {
            Some(Line { text: Ok(text), .. }) => {
                text.split_ascii_whitespace().map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        if columns.is_empty() {
            columns = first;
        }
    }
    let header = Arc::new(Header::new(&columns, mapping)?);
    let mut rows = TextRows::default();
    while let Some(Line { number, end, text }) = lines.read_line()? {
        let fields: Option<Vec<&str>> =
            text.ok().map(|text| text.split_ascii_whitespace().collect());
        match fields {
            Some(fields) if fields.is_empty() => continue,
            Some(fields) if fields.len() == columns.len() => rows.push(number, fields),
            _ => rows.push_unreadable(number, EventCode::EventUnreadable),
        }
        if rows.is_full() {
            give(header.rows(&mut rows), end)?;
        }
    }
    give(header.rows(&mut rows), u64::MAX)
}
