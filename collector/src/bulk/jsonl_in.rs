//! Rows of files with one JSON object per line.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;

use hashbrown::HashMap;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tallymark_protocol::codes::EventCode;

use super::cell::Cell;
use super::csv_in::{Line, Lines};
use super::import::Importer;
use super::mapping::{Mapping, Target};

/// Targets kept by key. A file with more keys than this has ids for keys; then they are worked out
/// each time instead of filling the memory.
const TARGETS_MAX: usize = 10_000;

/// Hand the rows of a file over. Empty lines are skipped.
///
/// # Errors
/// When the file cannot be read, or the importer stops.
pub fn read(file: File, mapping: &Mapping, importer: &mut Importer<'_>) -> anyhow::Result<()> {
    let mut targets: HashMap<String, Target> = HashMap::new();
    let mut lines = Lines::new(file);
    while let Some(Line { number, end, text }) = lines.read_line()? {
        let Ok(text) = text else {
            importer.unreadable(number, end, EventCode::EventTooLarge)?;
            continue;
        };
        let text = text.trim().trim_start_matches('\u{feff}');
        if text.is_empty() {
            continue;
        }
        let Ok(Pairs(pairs)) = serde_json::from_str::<Pairs<'_>>(text) else {
            importer.unreadable(number, end, EventCode::EventUnreadable)?;
            continue;
        };
        let mut draft = importer.draft(mapping);
        for (key, raw) in pairs {
            if targets.len() > TARGETS_MAX {
                targets.clear();
            }
            let target = targets.entry_ref(&*key).or_insert_with(|| mapping.target(&key));
            let cell = match target {
                // A property stays the JSON it is.
                Target::Property(_) if raw.get() == "null" => Cell::Absent,
                Target::Property(_) => Cell::Json(raw.get()),
                Target::Field(_) => cell(raw),
            };
            importer.put(&mut draft, target, cell);
        }
        importer.row(number, end, draft)?;
    }
    Ok(())
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
