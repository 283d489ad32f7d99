//! Rows of CSV files, and of tables whose columns are parted by white space.

use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use tallymark_protocol::codes::EventCode;

use super::cell::Cell;
use super::import::Importer;
use super::mapping::{Field, Mapping, Target};
use super::text_out::FORMULA_STARTS;

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

/// Bytes of a line of a table without quotes. Longer ones are no events.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Hand the rows of a file over.
///
/// # Errors
/// When the columns are not known, or the importer stops.
pub fn read(
    file: File,
    options: &CsvOptions,
    mapping: &Mapping,
    importer: &mut Importer<'_>,
) -> anyhow::Result<()> {
    ensure!(
        options.header || !options.columns.is_empty(),
        "without a header line the columns must be named: --columns user,at,amount"
    );
    match options.delimiter {
        Delimiter::Byte(byte) => read_quoted(file, byte, options, mapping, importer),
        Delimiter::Whitespace => read_plain(file, options, mapping, importer),
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

    /// Exports put a quote before what a spreadsheet would take for a formula.
    fn plain<'t>(&self, text: &'t str) -> &'t str {
        match text.strip_prefix('\'') {
            Some(rest) if self.ours && rest.starts_with(FORMULA_STARTS) => rest,
            _ => text,
        }
    }
}

fn read_quoted(
    file: File,
    delimiter: u8,
    options: &CsvOptions,
    mapping: &Mapping,
    importer: &mut Importer<'_>,
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
    let header = Header::new(&columns, mapping)?;
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        let (line, bytes) = record.position().map_or((0, 0), |at| (at.line(), at.byte()));
        let fields = record.iter().map(std::str::from_utf8).collect::<Result<Vec<_>, _>>();
        match fields {
            Ok(fields) if fields.len() == columns.len() => {
                let mut draft = importer.draft(mapping);
                for (target, text) in header.targets.iter().zip(fields) {
                    if !text.is_empty() {
                        importer.put(&mut draft, target, Cell::Untyped(header.plain(text)));
                    }
                }
                importer.row(line, bytes, draft)?;
            }
            _ => importer.unreadable(line, bytes, EventCode::EventUnreadable)?,
        }
    }
    Ok(())
}

fn read_plain(
    file: File,
    options: &CsvOptions,
    mapping: &Mapping,
    importer: &mut Importer<'_>,
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
    let header = Header::new(&columns, mapping)?;
    while let Some(Line { number, end, text }) = lines.read_line()? {
        let Ok(text) = text else {
            importer.unreadable(number, end, EventCode::EventUnreadable)?;
            continue;
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.is_empty() {
            continue;
        }
        if fields.len() != columns.len() {
            importer.unreadable(number, end, EventCode::EventUnreadable)?;
            continue;
        }
        let mut draft = importer.draft(mapping);
        for (target, text) in header.targets.iter().zip(fields) {
            importer.put(&mut draft, target, Cell::Untyped(text));
        }
        importer.row(number, end, draft)?;
    }
    Ok(())
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
