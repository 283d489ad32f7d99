//! A question in an address, and the same as the body that the API takes.
//!
//! In: the fields of a query string, what was seen in the project, a period. Out: a body ([`body`]), and fields of a body
//! that was saved ([`fields`]). Rows are read and written in `rows`. What a form cannot say stands in the field `json`, which goes before all others, so
//! every question of the API can be asked here.
//!
//! Invariant: `body(fields(b)) == b` for every body without a range.

use serde_json::{Map, Value, json};
use tallymark_store::Schema;
use url::form_urlencoded;

use super::super::period::Period;
use super::super::questions::ladder;
use super::super::words::t;
use super::form::{Field, Kind, Put, Rows};
use super::rows::{self, PLACED, number, text};

/// The fields of an address, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// Read a query string.
    pub fn read(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value of this name, if it says anything.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, value)| known == name && !value.trim().is_empty());
        found.map(|(_, value)| value.trim())
    }

    /// All values of this name, empty ones too: rows are told by their places.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.trim()).collect()
    }

    /// The address with other values: empty ones take a field away. Rows keep their empty fields, which are told by
    /// their places.
    pub fn with(&self, changes: &[(&str, &str)]) -> String {
        let mut out = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
        let changed = |name: &str| changes.iter().any(|(own, _)| *own == name);
        let says = |name: &str, value: &str| !value.is_empty() || PLACED.contains(&name);
        for (name, value) in
            self.0.iter().filter(|(name, value)| !changed(name) && says(name, value))
        {
            out.append_pair(name, value);
        }
        for (name, value) in changes.iter().filter(|(_, value)| !value.is_empty()) {
            out.append_pair(name, value);
        }
        out.finish()
    }

    /// Add a field.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }
}

/// The body of a question, without its range.
///
/// # Errors
/// A sentence about the field that cannot be read.
pub fn body(kind: &Kind, fields: &Fields, schema: &Schema) -> Result<Value, String> {
    if let Some(text) = fields.get("json") {
        let parsed: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let is_object = parsed.is_object();
        return is_object
            .then_some(parsed)
            .ok_or_else(|| t("A question is a JSON object.").to_owned());
    }
    let mut body = Map::new();
    let (rows, filters) = rows::read(kind.rows, fields, schema)?;
    match kind.rows {
        Rows::None => {}
        Rows::Series => _ = body.insert("series".into(), rows.into()),
        Rows::Steps => {
            let exclusions = rows::exclusions(fields, rows.len())?;
            if !exclusions.is_empty() {
                body.insert("exclude".into(), exclusions.into());
            }
            body.insert("steps".into(), rows.into());
        }
    }
    for field in kind.all() {
        if let Some(text) = fields.get(field.name) {
            put(&mut body, field, text)?;
        }
    }
    match kind.name {
        "paths" => anchor(&mut body, fields, schema),
        "attribution" => success(&mut body, schema),
        _ => {}
    }
    if !filters.is_empty() {
        body.insert("where".into(), filters.into());
    }
    if let Some(prop) = fields.get("by1").filter(|_| kind.breakdown) {
        // A map has room for all of them.
        let usual = if prop == "country" { 100 } else { 10 };
        let limit = fields.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usual);
        let prop = match fields.get("by2") {
            Some(second) => json!([prop, second]),
            None => prop.into(),
        };
        body.insert("breakdown".into(), json!({ "prop": prop, "limit": limit }));
    }
    if let Some(as_of) = fields.get("as_of") {
        body.insert("as_of".into(), as_of.into());
    }
    if let Some(cohort) = fields.get("cohort") {
        body.insert("cohort".into(), cohort.into());
    }
    Ok(body.into())
}

/// A body with a range, as it is asked.
pub fn ranged(mut body: Value, period: &Period) -> Value {
    for (name, value) in [
        ("from", period.from.to_string()),
        ("to", period.to.to_string()),
        ("tz", period.tz_name.clone()),
    ] {
        if body.get(name).is_none() {
            body[name] = value.into();
        }
    }
    body
}

fn put(body: &mut Map<String, Value>, field: &Field, text: &str) -> Result<(), String> {
    let value = match field.put {
        Put::Otherwise => return Ok(()),
        Put::Text => text.into(),
        Put::List => text.split(',').map(str::trim).filter(|one| !one.is_empty()).collect(),
        Put::Pairs => pairs(text)
            .ok_or_else(|| format!("{}: {}", t(field.label), t("write for example 1-7, 8-30")))?,
        Put::Event => json!({ "event": text }),
        Put::Number => number(text)
            .ok_or_else(|| format!("{}: {}", t(field.label), t("this is not a number")))?,
        Put::Inside(outer, inner) => {
            body.entry(outer).or_insert_with(|| json!({}))[inner] = text.into();
            return Ok(());
        }
    };
    body.insert(field.key.into(), value);
    Ok(())
}

/// `1-7, 8-30`; a number alone is a pair with itself.
fn pairs(text: &str) -> Option<Value> {
    let pair = |text: &str| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<u64>().ok();
        Some(json!([number(from)?, number(to)?]))
    };
    text.split(',').map(pair).collect::<Option<Vec<Value>>>().map(Value::from)
}

/// The parts of a list with commas between them.
fn listed(list: &Value, one: impl Fn(&Value) -> String) -> String {
    let parts = list.as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What most go for in the end, where nobody said what success is.
pub fn usual_success(schema: &Schema) -> Option<String> {
    let said = schema.events.contains_key("$conversion").then(|| "$conversion".to_owned());
    said.or_else(|| ladder(schema).pop())
}

fn success(body: &mut Map<String, Value>, schema: &Schema) {
    let given = body.get("conversion").is_some();
    let usual = usual_success(schema).filter(|goal| given || goal != "$conversion");
    let Some(usual) = usual else { return };
    let conversion = body.entry("conversion").or_insert_with(|| json!({}));
    if conversion["event"].is_null() {
        conversion["event"] = usual.into();
    }
}

/// Where paths begin or end: an event, perhaps on one page.
fn anchor(body: &mut Map<String, Value>, fields: &Fields, schema: &Schema) {
    let view = schema.events.contains_key("$pageview").then_some("$pageview");
    let usual = view.or_else(|| schema.events.keys().next().map(String::as_str));
    let Some(event) = fields.get("anchor").or(usual) else { return };
    let anchor = match fields.get("at") {
        Some(page) => {
            json!({ "event": event, "where": [{ "prop": "path", "op": "eq", "value": page }] })
        }
        None => event.into(),
    };
    let side = if fields.get("way") == Some("to") { "to_event" } else { "from_event" };
    body.insert(side.into(), anchor);
    body.entry("depth").or_insert_with(|| 3.into());
    body.entry("limit").or_insert_with(|| PATHS.into());
    body.entry("repeats").or_insert_with(|| "skip".into());
}

/// Transitions of a depth that can be told apart in a drawing.
const PATHS: u64 = 9;

/// The fields of a body, as `json` where the form of its kind cannot say it.
pub fn fields(kind: &Kind, of: &Value, schema: &Schema) -> Fields {
    let mut out = Fields::default();
    rows::write(of, &mut out);
    for field in kind.all() {
        let own = &of[field.key];
        let value = match field.put {
            Put::Otherwise => continue,
            Put::List => listed(own, text),
            Put::Pairs => listed(own, |pair| format!("{}-{}", text(&pair[0]), text(&pair[1]))),
            Put::Event => text(&own["event"]),
            Put::Inside(outer, inner) => text(&of[outer][inner]),
            Put::Text | Put::Number => text(own),
        };
        if !value.is_empty() {
            out.push(field.name, value);
        }
    }
    for (side, way) in [("from_event", ""), ("to_event", "to")] {
        if let Some(anchor) = of.get(side) {
            out.push("way", way);
            out.push("anchor", text(if anchor.is_object() { &anchor["event"] } else { anchor }));
            out.push("at", text(&anchor["where"][0]["value"]));
        }
    }
    let (one, two) = (&of["breakdown"]["prop"], &of["breakdown"]["prop"][1]);
    out.push("by1", text(if one.is_array() { &one[0] } else { one }));
    out.push("by2", text(two));
    out.push("limit", text(&of["breakdown"]["limit"]));
    out.push("cohort", text(&of["cohort"]));
    out.push("as_of", text(&of["as_of"]));
    out.0.retain(|(name, value)| !value.is_empty() || PLACED.contains(&&**name));
    if body(kind, &out, schema).as_ref() != Ok(of) {
        out = Fields(vec![("json".into(), serde_json::to_string_pretty(of).unwrap_or_default())]);
    }
    out
}
