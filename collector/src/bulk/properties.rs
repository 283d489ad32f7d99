//! Properties of drafted rows: one typed column per key, and JSON text for what fits none.
//!
//! In: the cells of one column after the other. Out: [`PropertyColumn`]s and a [`Rest`].
//!
//! A value has its column when it comes back from there as it was written; otherwise, or when its row
//! already has the key, it is in the rest, where the last of two equal keys counts.

use std::borrow::Cow;

use hashbrown::HashMap;
use tallymark_protocol::codes::EventCode;
use tallymark_protocol::limits::{EVENT_BYTES_MAX, PROPERTY_KEYS_MAX, PROPERTY_NAME_CHARS_MAX};
use tallymark_protocol::props;
use tallymark_store::columns::{Coded, PropertyColumn, Rest, Values, text_of_number};

use super::cell::{Cell, is_json_number, push_text};

/// Texts of some rows, each different one kept once.
#[derive(Debug, Default)]
pub struct Texts {
    codes: Vec<u32>,
    values: Vec<Box<str>>,
    known: HashMap<Box<str>, u32>,
}

impl Texts {
    /// The code of a text; 0 is no text.
    pub fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.known.get(text) {
            return *code;
        }
        self.values.push(text.into());
        let code = self.values.len() as u32;
        self.known.insert(text.into(), code);
        code
    }

    /// Set the code of one of so many rows.
    pub fn set(&mut self, rows: usize, row: usize, code: u32) {
        if self.codes.is_empty() {
            self.codes.resize(rows, 0);
        }
        self.codes[row] = code;
    }

    /// The code of a row.
    pub fn get(&self, row: usize) -> u32 {
        self.codes.get(row).copied().unwrap_or(0)
    }

    /// The texts by code, beginning with that of code 1.
    pub fn values(&self) -> &[Box<str>] {
        &self.values
    }

    /// The column.
    pub fn finish(self) -> Coded {
        Coded { codes: self.codes, values: self.values.into() }
    }
}

/// Properties of so many rows.
pub struct Properties {
    rows: usize,
    columns: Vec<Column>,
    /// By row: entries without the braces around them. Empty while no row has any.
    rest: Vec<String>,
    /// By row: at most so many bytes as JSON, and so many keys.
    size: Vec<(u32, u32)>,
    has_long_key: bool,
}

struct Column {
    key: Box<str>,
    raw_key: String,
    /// Known with the first value.
    kind: Option<Kind>,
}

enum Kind {
    Texts(Texts),
    Numbers(Vec<f64>),
    Bools(Vec<u8>),
}

/// A value as its column has it.
pub enum Slot {
    /// It says nothing.
    Absent,
    /// The code of a text, and the bytes of it as JSON.
    Text(u32, u32),
    /// A number.
    Number(f64),
    /// 1 `false`, 2 `true`.
    Bool(u8),
    /// It has no place in the column: as JSON.
    Json(Box<str>),
}

/// Bytes of the longest number that [`text_of_number`] writes, and more.
const NUMBER_BYTES: u32 = 32;

impl Properties {
    /// No properties yet.
    pub fn new(rows: usize) -> Self {
        Self {
            rows,
            columns: Vec::new(),
            rest: Vec::new(),
            size: vec![(2, 0); rows],
            has_long_key: false,
        }
    }

    /// The place of a property's column.
    pub fn column(&mut self, key: &str) -> usize {
        if let Some(at) = self.columns.iter().position(|column| *column.key == *key) {
            return at;
        }
        let mut raw_key = String::new();
        push_text(&mut raw_key, key);
        self.has_long_key |= key.len() > PROPERTY_NAME_CHARS_MAX;
        self.columns.push(Column { key: key.into(), raw_key, kind: None });
        self.columns.len() - 1
    }

    /// A cell as the column has it. The first one decides what the column is of.
    pub fn slot(&mut self, column: usize, cell: Cell<'_>) -> Slot {
        let kind = &mut self.columns[column].kind;
        let rows = self.rows;
        match Value::of(cell) {
            Value::Absent => Slot::Absent,
            Value::Text(text) => match kind.get_or_insert_with(|| Kind::Texts(Texts::default())) {
                Kind::Texts(texts) => {
                    Slot::Text(texts.code(&text), json_of_text(&text).len() as u32)
                }
                _ => Slot::Json(json_of_text(&text).into()),
            },
            Value::Number(number) => {
                match kind.get_or_insert_with(|| Kind::Numbers(vec![f64::NAN; rows])) {
                    Kind::Numbers(_) => Slot::Number(number),
                    _ => Slot::Json(text_of_number(number).into()),
                }
            }
            Value::Bool(bool) => match kind.get_or_insert_with(|| Kind::Bools(vec![0; rows])) {
                Kind::Bools(_) => Slot::Bool(1 + u8::from(bool)),
                _ => Slot::Json(bool.to_string().into()),
            },
            Value::Json(json) => Slot::Json(json.into()),
        }
    }

    /// Put a value into a row.
    pub fn put(&mut self, column: usize, row: usize, slot: &Slot) {
        let Column { raw_key, kind, key } = &mut self.columns[column];
        let bytes = match slot {
            Slot::Absent => return,
            Slot::Text(_, bytes) => *bytes,
            Slot::Number(_) => NUMBER_BYTES,
            Slot::Bool(_) => 5,
            Slot::Json(json) => json.len() as u32,
        };
        let size = &mut self.size[row];
        *size = (size.0.saturating_add(raw_key.len() as u32 + 2 + bytes), size.1 + 1);
        let rest = self.rest.get(row).filter(|rest| !rest.is_empty());
        let is_in_rest = rest.is_some_and(|rest| rest.contains(&**key) || rest.contains('\\'));
        match (kind, slot) {
            (Some(Kind::Texts(texts)), Slot::Text(code, _))
                if !is_in_rest && texts.get(row) == 0 =>
            {
                texts.set(self.rows, row, *code);
            }
            (Some(Kind::Numbers(numbers)), Slot::Number(number))
                if !is_in_rest && numbers[row].is_nan() =>
            {
                numbers[row] = *number;
            }
            (Some(Kind::Bools(bools)), Slot::Bool(bool)) if !is_in_rest && bools[row] == 0 => {
                bools[row] = *bool;
            }
            (kind, slot) => {
                let json = match (slot, kind) {
                    (Slot::Json(json), _) => Cow::Borrowed(&**json),
                    (Slot::Number(number), _) => Cow::Owned(text_of_number(*number)),
                    (Slot::Text(code, _), Some(Kind::Texts(texts))) => {
                        Cow::Owned(json_of_text(&texts.values[*code as usize - 1]))
                    }
                    (Slot::Bool(bool), _) => Cow::Borrowed(bool_text(*bool)),
                    _ => return,
                };
                let entry = format!("{raw_key}:{json}");
                self.push_rest(row, &entry);
            }
        }
    }

    /// Put a whole object of properties into a row.
    ///
    /// # Errors
    /// When it is none. What is in it is looked at in [`Properties::check`].
    pub fn put_object(&mut self, row: usize, text: &str) -> Result<(), EventCode> {
        let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let inner = inner.ok_or(EventCode::PropsInvalid)?.trim();
        if !inner.is_empty() {
            self.push_rest(row, inner);
        }
        Ok(())
    }

    fn push_rest(&mut self, row: usize, entry: &str) {
        if self.rest.is_empty() {
            self.rest.resize(self.rows, String::new());
        }
        let rest = &mut self.rest[row];
        if !rest.is_empty() {
            rest.push(',');
        }
        rest.push_str(entry);
    }

    /// Whether a row's properties are within the limits.
    ///
    /// # Errors
    /// The code of what is wrong.
    pub fn check(&self, row: usize) -> Result<(), EventCode> {
        let (bytes, keys) = self.size[row];
        let is_plain = self.rest.get(row).is_none_or(String::is_empty)
            && bytes as usize <= EVENT_BYTES_MAX
            && keys as usize <= PROPERTY_KEYS_MAX
            && !self.has_long_key;
        if is_plain {
            return Ok(());
        }
        let json = self.json(row);
        if json.len() > EVENT_BYTES_MAX {
            return Err(EventCode::EventTooLarge);
        }
        props::check(&json)
    }

    /// A row's properties as one object.
    fn json(&self, row: usize) -> String {
        let mut json = String::from("{");
        for Column { raw_key, kind, .. } in &self.columns {
            let value = match kind {
                Some(Kind::Texts(texts)) if texts.get(row) != 0 => {
                    json_of_text(&texts.values[texts.get(row) as usize - 1])
                }
                Some(Kind::Numbers(numbers)) if !numbers[row].is_nan() => {
                    text_of_number(numbers[row])
                }
                Some(Kind::Bools(bools)) if bools[row] != 0 => bool_text(bools[row]).to_owned(),
                _ => continue,
            };
            json.push_str(if json.len() > 1 { "," } else { "" });
            json.push_str(raw_key);
            json.push(':');
            json.push_str(&value);
        }
        if let Some(rest) = self.rest.get(row).filter(|rest| !rest.is_empty()) {
            json.push_str(if json.len() > 1 { "," } else { "" });
            json.push_str(rest);
        }
        json.push('}');
        json
    }

    /// The columns, and what is in none.
    pub fn finish(self) -> (Vec<PropertyColumn>, Rest) {
        let columns = self.columns.into_iter().filter_map(|Column { key, kind, .. }| {
            let values = match kind? {
                Kind::Texts(texts) => Values::Texts(texts.finish()),
                Kind::Numbers(numbers) => Values::Numbers(numbers),
                Kind::Bools(bools) => Values::Bools(bools),
            };
            Some(PropertyColumn { key, values })
        });
        let mut rest = Rest::default();
        for (row, entries) in self.rest.iter().enumerate().filter(|(_, rest)| !rest.is_empty()) {
            rest.set(row, |out| {
                out.push('{');
                out.push_str(entries);
                out.push('}');
            });
        }
        (columns.collect(), rest)
    }
}

/// What a cell says as a property.
enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    /// A number that is written the way [`text_of_number`] writes it.
    Number(f64),
    Bool(bool),
    /// Anything else, as JSON.
    Json(Cow<'a, str>),
}

impl<'a> Value<'a> {
    fn of(cell: Cell<'a>) -> Self {
        /// Whole numbers up to 2^53 are exact.
        const EXACT: i64 = 1 << 53;
        match cell {
            Cell::Absent => Self::Absent,
            Cell::Text(text) => Self::Text(text),
            Cell::Untyped(text) if is_json_number(text) => Self::of_number(text),
            Cell::Untyped(text) => Self::Text(Cow::Borrowed(text)),
            Cell::Int(number) | Cell::Moment(number) if (-EXACT..EXACT).contains(&number) => {
                Self::Number(number as f64)
            }
            Cell::Int(number) | Cell::Moment(number) => Self::Json(number.to_string().into()),
            Cell::Big(number) => Self::Json(number.to_string().into()),
            // JSON has no other numbers.
            Cell::Float(number) if !number.is_finite() => Self::Absent,
            Cell::Float(number) => Self::Number(number),
            Cell::Bool(bool) => Self::Bool(bool),
            Cell::Json(json) => match json.as_bytes().first() {
                Some(b'"') => Self::of_json_text(json),
                Some(b'-' | b'0'..=b'9') => Self::of_number(json),
                Some(b't') if json == "true" => Self::Bool(true),
                Some(b'f') if json == "false" => Self::Bool(false),
                _ => Self::Json(Cow::Borrowed(json)),
            },
        }
    }

    fn of_number(text: &'a str) -> Self {
        let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let is_short = digits.len() < 16 && digits.iter().all(u8::is_ascii_digit);
        let is_whole = is_short && digits.first().is_some_and(|first| *first != b'0');
        match text.parse::<f64>() {
            Ok(number) if is_whole || number.is_finite() && text_of_number(number) == text => {
                Self::Number(number)
            }
            _ => Self::Json(Cow::Borrowed(text)),
        }
    }

    fn of_json_text(json: &'a str) -> Self {
        let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or("");
        if !inner.contains('\\') {
            return Self::Text(Cow::Borrowed(inner));
        }
        match serde_json::from_str::<String>(json) {
            Ok(text) if json_of_text(&text) == json => Self::Text(Cow::Owned(text)),
            _ => Self::Json(Cow::Borrowed(json)),
        }
    }
}

fn json_of_text(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    push_text(&mut json, text);
    json
}

fn bool_text(bool: u8) -> &'static str {
    if bool == 2 { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Map, Value as Json, json};

    /// Put cells into rows, each with its key.
    fn put(rows: &[Vec<(&'static str, Cell<'static>)>]) -> Properties {
        let mut properties = Properties::new(rows.len());
        for (row, cells) in rows.iter().enumerate() {
            for (key, cell) in cells {
                let column = properties.column(key);
                let slot = properties.slot(column, cell.clone());
                properties.put(column, row, &slot);
            }
        }
        properties
    }

    fn any_cell() -> impl Strategy<Value = (Cell<'static>, Json)> {
        prop::sample::select(vec![
            (Cell::Text("a\"b".into()), json!("a\"b")),
            (Cell::Text("5".into()), json!("5")),
            (Cell::Untyped("5"), json!(5)),
            (Cell::Untyped("29.90"), json!(29.9)),
            (Cell::Untyped("007"), json!("007")),
            (Cell::Int(-3), json!(-3)),
            (Cell::Int(i64::MAX), json!(i64::MAX)),
            (Cell::Big(u64::MAX), json!(u64::MAX)),
            (Cell::Float(0.25), json!(0.25)),
            (Cell::Float(5.0), json!(5)),
            (Cell::Bool(true), json!(true)),
            (Cell::Moment(17), json!(17)),
            (Cell::Json("\"\\u00e9\""), json!("é")),
            (Cell::Json("1e3"), json!(1000.0)),
            (Cell::Json("false"), json!(false)),
            (Cell::Json("{\"k\":[1]}"), json!({ "k": [1] })),
        ])
    }

    proptest! {
        #[test]
        fn a_row_has_what_was_put_into_it_and_the_last_of_two_equal_keys_counts(
            rows in prop::collection::vec(
                prop::collection::vec((prop::sample::select(vec!["k", "kk", "é"]), any_cell()), 0..5),
                1..6,
            ),
        ) {
            let cells: Vec<Vec<_>> = rows
                .iter()
                .map(|row| row.iter().map(|(key, (cell, _))| (*key, cell.clone())).collect())
                .collect();
            let properties = put(&cells);
            for (at, row) in rows.iter().enumerate() {
                let want: Map<String, Json> =
                    row.iter().map(|(key, (_, json))| ((*key).to_owned(), json.clone())).collect();
                let got: Json = serde_json::from_str(&properties.json(at)).unwrap();
                prop_assert_eq!(got, Json::Object(want));
                prop_assert_eq!(properties.check(at), Ok(()));
            }
        }
    }

    #[rstest]
    #[case::text(Cell::Text("5".into()), 1)]
    #[case::a_number_as_it_is_stored(Cell::Untyped("29.9"), 1)]
    #[case::a_number_with_a_zero_more(Cell::Untyped("29.90"), 0)]
    #[case::whole_float(Cell::Float(5.0), 1)]
    #[case::beyond_2_53(Cell::Int(1 << 53), 0)]
    #[case::the_largest_exact(Cell::Int((1 << 53) - 1), 1)]
    #[case::no_number(Cell::Float(f64::NAN), 0)]
    #[case::object(Cell::Json("{}"), 0)]
    fn a_value_gets_a_column(#[case] cell: Cell<'static>, #[case] columns: usize) {
        assert_eq!(put(&[vec![("k", cell)]]).finish().0.len(), columns);
    }

    #[rstest]
    #[case::as_long_as_allowed(EVENT_BYTES_MAX - 8, Ok(()))]
    #[case::a_byte_more(EVENT_BYTES_MAX - 7, Err(EventCode::EventTooLarge))]
    fn a_row_is_bounded(#[case] bytes: usize, #[case] want: Result<(), EventCode>) {
        // {"k":"…"}
        let properties = put(&[vec![("k", Cell::Text("x".repeat(bytes).into()))]]);
        assert_eq!(properties.check(0), want);
    }

    #[rstest]
    #[case::as_many_as_allowed(PROPERTY_KEYS_MAX, 1, Ok(()))]
    #[case::one_more(PROPERTY_KEYS_MAX + 1, 1, Err(EventCode::TooManyProps))]
    #[case::long_names(1, PROPERTY_NAME_CHARS_MAX, Ok(()))]
    #[case::too_long_a_name(1, PROPERTY_NAME_CHARS_MAX + 1, Err(EventCode::PropsInvalid))]
    fn keys_are_bounded(
        #[case] keys: usize,
        #[case] chars: usize,
        #[case] want: Result<(), EventCode>,
    ) {
        let mut properties = Properties::new(1);
        for key in 0..keys {
            let key = format!("{key:é>chars$}");
            let column = properties.column(&key);
            let slot = properties.slot(column, Cell::Bool(true));
            properties.put(column, 0, &slot);
        }
        assert_eq!(properties.check(0), want);
    }

    #[test]
    fn an_object_counts_with_the_cells_around_it() {
        let mut properties = put(&[vec![("k", Cell::Int(1))]]);
        properties.put_object(0, r#" {"k": 2, "\u006b": 3} "#).unwrap();
        let json: Json = serde_json::from_str(&properties.json(0)).unwrap();
        assert_eq!(json, json!({ "k": 3 }));
        let column = properties.column("k");
        let slot = properties.slot(column, Cell::Int(4));
        properties.put(column, 0, &slot);
        let json: Json = serde_json::from_str(&properties.json(0)).unwrap();
        assert_eq!(json, json!({ "k": 4 }));
        assert_eq!(properties.put_object(0, "[]"), Err(EventCode::PropsInvalid));
    }
}
