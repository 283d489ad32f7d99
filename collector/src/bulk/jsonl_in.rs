//! Rows of files with one JSON object per line.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tallymark_protocol::codes::EventCode;

use super::cell::Cell;
use super::import::GiveRows;
use super::mapping::{Mapping, Target};
use super::table::{Rows, Table, TableBuilder};
use super::text_rows::{Line, Lines, TextRows};

/// Lines.
struct JsonLines {
    text: TextRows,
}

/// Hand the rows of a file over. Empty lines are skipped.
///
/// # Errors
/// When the file cannot be read, or nobody takes the rows.
pub fn read(file: File, give: GiveRows<'_>) -> anyhow::Result<()> {
    let mut lines = Lines::new(file);
    let mut text = TextRows::default();
    while let Some(Line { number, end, text: line }) = lines.read_line()? {
        match line.map(|line| line.trim().trim_start_matches('\u{feff}')) {
            Ok("") => continue,
            Ok(line) => text.push(number, [line]),
            Err(()) => text.push_unreadable(number, EventCode::EventTooLarge),
        }
        if text.is_full() {
            give(Box::new(JsonLines { text: std::mem::take(&mut text) }), end)?;
        }
    }
    give(Box::new(JsonLines { text }), u64::MAX)
}

impl Rows for JsonLines {
    fn table<'a>(&'a self, mapping: &'a Mapping) -> anyhow::Result<Table<'a>> {
        let mut table = TableBuilder::new(mapping);
        for row in 0..self.text.count() {
            table.row();
            let line = match self.text.unreadable(row) {
                Some(why) => {
                    table.unreadable(why);
                    continue;
                }
                None => self.text.field(row, 0),
            };
            let Ok(Pairs(pairs)) = serde_json::from_str::<Pairs<'_>>(line) else {
                table.unreadable(EventCode::EventUnreadable);
                continue;
            };
            for (key, raw) in pairs {
                table.put(key, |target| match target {
                    // A property stays the JSON it is.
                    Target::Property(_) if raw.get() == "null" => Cell::Absent,
                    Target::Property(_) => Cell::Json(raw.get()),
                    Target::Field(_) => cell(raw),
                });
            }
        }
        Ok(table.finish())
    }

    fn place(&self, row: usize) -> u64 {
        self.text.place(row)
    }
}

fn cell(raw: &RawValue) -> Cell<'_> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => match text[1..text.len() - 1].contains('\\') {
            false => Cell::Text(Cow::Borrowed(&text[1..text.len() - 1])),
            // Half a surrogate is no text; whoever needs this field will miss it.
            true => serde_json::from_str::<String>(text)
                .map_or(Cell::Json(text), |text| Cell::Text(Cow::Owned(text))),
        },
        Some(b'{' | b'[') => Cell::Json(text),
        Some(b't') => Cell::Bool(true),
        Some(b'f') => Cell::Bool(false),
        Some(b'n') | None => Cell::Absent,
        Some(_) => text
            .parse()
            .map(Cell::Int)
            .or_else(|_| text.parse().map(Cell::Big))
            .or_else(|_| text.parse().map(Cell::Float))
            .unwrap_or(Cell::Absent),
    }
}

/// The members of an object in their order.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Pairs)
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
