//! Rows as lines of JSON or CSV.
//!
//! Both forms have the same columns, and import reads all of them back (see `bulk`).

use std::fmt::Write;

use tallymark_protocol::uuid7;
use tallymark_store::row::flags;
use tallymark_store::{Dim, Row};

use super::cell::push_text;
use super::mapping::Field;

/// First characters that make a spreadsheet take a text for a formula, and the quote that is put
/// before them, so that a text which begins with the quote itself comes back as it was.
pub const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\0', '\''];

/// The header line of CSV.
pub fn push_csv_header(text: &mut String) {
    let fields = Field::NAMED.iter().filter(|(_, field)| exported(*field)).map(|(name, _)| *name);
    let names: Vec<_> = fields.chain(Dim::ALL.iter().map(|dim| dim.name())).collect();
    text.push_str(&names.join(","));
    text.push_str("\r\n");
}

/// The named fields that an export has. The raw ids are not among them: there are none.
pub fn exported(field: Field) -> bool {
    !matches!(field, Field::User | Field::Device | Field::Dim(_))
}

/// One row as a line of CSV (RFC 4180), safe to open in a spreadsheet.
pub fn push_csv(text: &mut String, row: &Row, realm: &str) {
    for (index, (_, field)) in Field::NAMED.iter().filter(|(_, f)| exported(*f)).enumerate() {
        if index > 0 {
            text.push(',');
        }
        match field_text(*field, row, realm) {
            Value::Number(number) => {
                let _ = write!(text, "{number}");
            }
            Value::Text(value) => push_csv_text(text, &value),
            Value::Json(json) => push_csv_text(text, json),
            Value::Absent => {}
        }
    }
    for dim in row.dims.iter() {
        text.push(',');
        push_csv_text(text, dim.as_deref().unwrap_or_default());
    }
    text.push_str("\r\n");
}

fn push_csv_text(text: &mut String, value: &str) {
    let guard = if value.starts_with(FORMULA_STARTS) { "'" } else { "" };
    if guard.is_empty() && !value.contains([',', '"', '\r', '\n']) {
        return text.push_str(value);
    }
    text.push('"');
    text.push_str(guard);
    text.push_str(&value.replace('"', "\"\""));
    text.push('"');
}

/// One row as a line of JSON.
pub fn push_jsonl(text: &mut String, row: &Row, realm: &str) {
    text.push('{');
    let mut first = true;
    let mut key = |text: &mut String, name: &str| {
        if !std::mem::take(&mut first) {
            text.push(',');
        }
        text.push('"');
        text.push_str(name);
        text.push_str("\":");
    };
    for (name, field) in Field::NAMED.iter().filter(|(_, field)| exported(*field)) {
        match field_text(*field, row, realm) {
            Value::Absent => {}
            Value::Number(number) => {
                key(text, name);
                let _ = write!(text, "{number}");
            }
            Value::Text(value) => {
                key(text, name);
                push_text(text, &value);
            }
            Value::Json(json) => {
                key(text, name);
                text.push_str(json);
            }
        }
    }
    for (dim, value) in Dim::ALL.iter().zip(row.dims.iter()) {
        if let Some(value) = value {
            key(text, dim.name());
            push_text(text, value);
        }
    }
    text.push_str("}\n");
}

/// A field of a row on its way out.
pub enum Value<'a> {
    /// There is none.
    Absent,
    /// A whole number.
    Number(i64),
    /// A text.
    Text(std::borrow::Cow<'a, str>),
    /// A JSON object.
    Json(&'a str),
}

/// The value of a field.
pub fn field_text<'a>(field: Field, row: &'a Row, realm: &'a str) -> Value<'a> {
    match field {
        Field::Id => Value::Text(uuid7::format(row.event_id).into()),
        Field::Name => Value::Text((&*row.event).into()),
        Field::At => Value::Number(row.ts_ms),
        Field::Session if row.session == 0 => Value::Absent,
        Field::Session => Value::Text(uuid7::format(row.session).into()),
        Field::Seq => Value::Number(row.seq.into()),
        Field::Props => Value::Json(&row.props),
        Field::StoredPerson => Value::Text(format!("{:016x}", row.person).into()),
        Field::StoredActor => Value::Text(format!("{:016x}", row.actor).into()),
        Field::StoredRealm => Value::Text(realm.into()),
        Field::StoredWriter if row.writer == 0 => Value::Absent,
        Field::StoredWriter => Value::Number(row.writer.cast_signed()),
        Field::Flags => Value::Number((row.flags & !(flags::STATED | flags::UNJOINED)).into()),
        Field::ReceivedAt => Value::Number(row.received_ms),
        Field::ClaimedAt => Value::Number(row.claimed_ms),
        Field::User | Field::Device | Field::Dim(_) => Value::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("a", "a")]
    #[case::comma("a,b", "\"a,b\"")]
    #[case::quote("a\"b", "\"a\"\"b\"")]
    #[case::formula("=1+1", "\"'=1+1\"")]
    #[case::minus("-5", "\"'-5\"")]
    #[case::a_quote_first("'x", "\"''x\"")]
    #[case::line_break("a\nb", "\"a\nb\"")]
    fn a_text_is_safe_in_a_spreadsheet(#[case] value: &str, #[case] want: &str) {
        let mut text = String::new();
        push_csv_text(&mut text, value);
        assert_eq!(text, want);
    }
}
