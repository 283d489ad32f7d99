//! The rows of a form: what is counted, steps, filters, exclusions.
//!
//! In: fields of an address. Out: parts of a question's body, and the fields of such parts. A row has a field of each of
//! its names, so rows are told by their places and empty fields stay ([`PLACED`]).
//!
//! Deliberately elsewhere: fields that are there once, and the question as a whole (`question`).

use serde_json::{Map, Value, json};
use tallymark_store::Schema;

use super::super::questions::ladder;
use super::super::words::{say, t};
use super::form::Rows;
use super::question::Fields;

/// Rows of a form that may be filled in.
pub const ROWS_MAX: usize = 20;

/// Names of fields in rows.
pub const PLACED: [&str; 12] =
    ["event", "measure", "prop", "step", "so", "fp", "fo", "fv", "fs", "xe", "xa", "xb"];

/// Something in the row of this number, from 1.
pub type Placed<T> = (usize, T);

/// Fields of these names by rows, up to the last row that says anything in one of the first two.
pub fn table<const N: usize>(fields: &Fields, names: [&str; N]) -> Vec<[String; N]> {
    let columns = names.map(|name| fields.all(name));
    let row = |at: usize| {
        std::array::from_fn(|column| {
            columns[column].get(at).copied().unwrap_or_default().to_owned()
        })
    };
    let len = columns.iter().take(2).map(Vec::len).max().unwrap_or(0);
    let mut rows: Vec<[String; N]> = (0..len.min(ROWS_MAX)).map(row).collect();
    let says = |row: &[String; N]| row.iter().take(2).any(|field| !field.is_empty());
    rows.truncate(rows.iter().rposition(says).map_or(0, |last| last + 1));
    rows
}

/// The series of a trend or the steps of a funnel, each with the filters of its own, and the filters of all.
///
/// # Errors
/// A sentence about the row that cannot be read.
pub fn read(
    rows: Rows,
    fields: &Fields,
    schema: &Schema,
) -> Result<(Vec<Value>, Vec<Value>), String> {
    let mut read = match rows {
        Rows::None => Vec::new(),
        Rows::Series => series(fields, schema),
        Rows::Steps => steps(fields, schema),
    };
    let mut of_all = Vec::new();
    for (place, filter) in filters(fields, schema)? {
        if place == 0 || rows == Rows::None {
            of_all.push(filter);
            continue;
        }
        let Some((_, row)) = read.iter_mut().find(|(own, _)| *own == place) else {
            let name = rows.name(place);
            return Err(say("A filter is about {row}, which is not there.", &[("row", &name)]));
        };
        if row["where"].is_null() {
            row["where"] = json!([]);
        }
        row["where"].as_array_mut().into_iter().for_each(|own| own.push(filter.clone()));
    }
    Ok((read.into_iter().map(|(_, row)| row).collect(), of_all))
}

impl Rows {
    /// What a row is called; a formula calls a series by its letter.
    pub fn name(self, place: usize) -> String {
        match self {
            Self::Series => {
                char::from_u32(64 + place as u32).map_or(String::new(), |letter| letter.to_string())
            }
            _ => format!("{} {place}", t("Step")),
        }
    }
}

fn series(fields: &Fields, schema: &Schema) -> Vec<Placed<Value>> {
    let given = table(fields, ["event", "measure", "prop"]).into_iter().enumerate();
    let row = |(index, [event, measure, prop]): (usize, [String; 3])| {
        if event.is_empty() && measure.is_empty() {
            return None;
        }
        let mut row = Map::new();
        if !event.is_empty() {
            row.insert("event".into(), event.into());
        }
        let measure = if measure.is_empty() { "count".into() } else { measure };
        if !matches!(&*measure, "count" | "persons" | "per_person") && !prop.is_empty() {
            row.insert("prop".into(), prop.into());
        }
        row.insert("measure".into(), measure.into());
        Some((index + 1, row.into()))
    };
    let rows: Vec<Placed<Value>> = given.filter_map(row).collect();
    match (rows.is_empty(), schema.events.contains_key("$pageview")) {
        (false, _) => rows,
        (true, true) => vec![(1, json!({ "event": "$pageview", "measure": "persons" }))],
        (true, false) => vec![(1, json!({ "measure": "persons" }))],
    }
}

fn steps(fields: &Fields, schema: &Schema) -> Vec<Placed<Value>> {
    let mut steps = table(fields, ["step", "so"]);
    if steps.iter().all(|[step, _]| step.is_empty()) {
        steps = ladder(schema).into_iter().map(|step| [step, String::new()]).collect();
    }
    let placed = steps.into_iter().enumerate().filter(|(_, [step, _])| !step.is_empty());
    let row = |(index, [step, optional]): (usize, [String; 2])| match &*optional {
        "" => (index + 1, json!({ "event": step })),
        _ => (index + 1, json!({ "event": step, "optional": true })),
    };
    placed.map(row).collect()
}

/// Filters with the number of the row they are about, 0 for all.
fn filters(fields: &Fields, schema: &Schema) -> Result<Vec<Placed<Value>>, String> {
    let mut filters = Vec::new();
    for [prop, op, value, row] in table(fields, ["fp", "fo", "fv", "fs"]) {
        if prop.is_empty() {
            continue;
        }
        let op = if op.is_empty() { "eq" } else { &*op };
        let typed = |text: &str| match is_number(schema, &prop) {
            true => number(text).unwrap_or_else(|| text.into()),
            false => Value::from(text),
        };
        let filter = match op {
            "set" | "not_set" => json!({ "prop": prop, "op": op }),
            "lt" | "lte" | "gt" | "gte" => {
                let value = number(&value)
                    .ok_or_else(|| format!("{prop}: {}", t("this is not a number")))?;
                json!({ "prop": prop, "op": op, "value": value })
            }
            "in" | "not_in" => {
                let list: Vec<Value> = value.split(',').map(|part| typed(part.trim())).collect();
                json!({ "prop": prop, "op": op, "value": list })
            }
            "eq" | "ne" => json!({ "prop": prop, "op": op, "value": typed(&value) }),
            _ => json!({ "prop": prop, "op": op, "value": value }),
        };
        filters.push((place(&row)?.unwrap_or(0), filter));
    }
    Ok(filters)
}

/// Events that end the way of whoever does them between two of so many steps.
///
/// # Errors
/// A sentence about the row that cannot be read.
pub fn exclusions(fields: &Fields, steps: usize) -> Result<Vec<Value>, String> {
    let rows =
        table(fields, ["xe", "xa", "xb"]).into_iter().filter(|[event, ..]| !event.is_empty());
    rows.map(|[event, after, before]| match (place(&after)?, place(&before)?) {
        (None, None) => Ok(json!({ "event": event })),
        (after, before) => {
            let between = [after.unwrap_or(1), before.unwrap_or(steps)];
            Ok(json!({ "event": event, "between": between }))
        }
    })
    .collect()
}

/// The number of a row, if there is one.
fn place(text: &str) -> Result<Option<usize>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| format!("{text}: {}", t("this is not a number")))
}

/// A text as a number, whole where it is.
pub fn number(text: &str) -> Option<Value> {
    let whole = text.parse::<i64>().ok().map(Value::from);
    whole.or_else(|| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from))
}

/// Whether a property only ever was a number.
fn is_number(schema: &Schema, prop: &str) -> bool {
    let mut seen = schema.events.values().filter_map(|event| event.properties.get(prop)).peekable();
    seen.peek().is_some() && seen.all(|property| property.types.texts + property.types.bools == 0)
}

/// The fields of a body's rows.
pub fn write(of: &Value, out: &mut Fields) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for row in list(&of["series"]) {
        for name in ["event", "measure", "prop"] {
            out.push(name, text(&row[name]));
        }
    }
    for row in list(&of["steps"]) {
        out.push("step", text(&row["event"]));
        out.push("so", if row["optional"] == true { "may" } else { "" });
    }
    let rows = list(&of["series"]).into_iter().chain(list(&of["steps"])).enumerate();
    let own = rows.map(|(index, row)| ((index + 1).to_string(), list(&row["where"])));
    for (place, filters) in own.chain([(String::new(), list(&of["where"]))]) {
        for filter in filters {
            let several: Vec<String> = list(&filter["value"]).iter().map(text).collect();
            let one = || text(&filter["value"]);
            out.push("fp", text(&filter["prop"]));
            out.push("fo", text(&filter["op"]));
            out.push("fv", if several.is_empty() { one() } else { several.join(", ") });
            out.push("fs", place.as_str());
        }
    }
    for exclusion in list(&of["exclude"]) {
        out.push("xe", text(&exclusion["event"]));
        out.push("xa", text(&exclusion["between"][0]));
        out.push("xb", text(&exclusion["between"][1]));
    }
}

/// A text or a number as a field has it; nothing of anything else.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::form;
    use super::super::question::{body, fields};
    use super::*;

    fn asked(kind: &str, query: &str) -> Result<Value, String> {
        let schema = Schema { events: Default::default() };
        body(form::find(kind).expect("a kind"), &Fields::read(query), &schema)
    }

    #[rstest]
    #[case::of_all(
        "funnel",
        "step=a&step=b&fp=plan&fo=eq&fv=team&fs=",
        json!({ "steps": [{ "event": "a" }, { "event": "b" }],
                "where": [{ "prop": "plan", "op": "eq", "value": "team" }] })
    )]
    #[case::of_a_step_and_of_all(
        "funnel",
        "step=a&step=b&fp=plan&fo=set&fv=&fs=&fp=value&fo=gt&fv=5&fs=2&fp=x&fo=in&fv=1,2&fs=2",
        json!({ "steps": [{ "event": "a" }, { "event": "b", "where": [
                    { "prop": "value", "op": "gt", "value": 5 },
                    { "prop": "x", "op": "in", "value": ["1", "2"] }] }],
                "where": [{ "prop": "plan", "op": "set" }] })
    )]
    #[case::a_step_keeps_its_number_when_one_before_it_is_empty(
        "funnel",
        "step=a&step=&step=b&fp=p&fo=eq&fv=v&fs=3",
        json!({ "steps": [{ "event": "a" },
                { "event": "b", "where": [{ "prop": "p", "op": "eq", "value": "v" }] }] })
    )]
    #[case::of_a_series(
        "trend",
        "event=&measure=persons&prop=&event=a&measure=count&prop=&fp=p&fo=eq&fv=v&fs=1",
        json!({ "series": [
            { "measure": "persons", "where": [{ "prop": "p", "op": "eq", "value": "v" }] },
            { "event": "a", "measure": "count" }] })
    )]
    #[case::a_step_that_may_be_left_out(
        "funnel",
        "step=a&so=&step=b&so=may&step=c&so=&step=&so=may&hold=shop,+plan",
        json!({ "steps": [{ "event": "a" }, { "event": "b", "optional": true }, { "event": "c" }],
                "hold": ["shop", "plan"] })
    )]
    #[case::several_of_one_object(
        "attribution",
        "conversion=paid&value=worth&models=last,+j&as_of=now",
        json!({ "conversion": { "event": "paid", "value": "worth" }, "models": ["last", "j"],
                "as_of": "now" })
    )]
    #[case::pairs(
        "retention",
        "brackets=1-7,+8-30&minimum=2",
        json!({ "brackets": [[1, 7], [8, 30]], "minimum": 2 })
    )]
    #[case::exclusions(
        "funnel",
        "step=a&step=b&step=c&xe=out&xa=&xb=&xe=&xa=&xb=&xe=gone&xa=2&xb=&xe=left&xa=&xb=2",
        json!({ "steps": [{ "event": "a" }, { "event": "b" }, { "event": "c" }],
                "exclude": [{ "event": "out" }, { "event": "gone", "between": [2, 3] },
                            { "event": "left", "between": [1, 2] }] })
    )]
    fn rows_of_a_form_are_this_question_and_come_back_from_it(
        #[case] kind: &str,
        #[case] query: &str,
        #[case] want: Value,
    ) {
        assert_eq!(asked(kind, query).as_ref(), Ok(&want));
        let schema = Schema { events: Default::default() };
        let back = fields(form::find(kind).expect("a kind"), &want, &schema);
        assert!(back.get("json").is_none(), "the form can say it: {back:?}");
        // As an address has it, whose rows are told by their places.
        let address = back.with(&[("range", "7d")]);
        assert_eq!(asked(kind, address.trim_start_matches('?')).as_ref(), Ok(&want));
    }

    #[rstest]
    #[case::a_row_that_is_not_there("step=a&step=b&fp=p&fs=3", "Step 3")]
    #[case::no_row("step=a&step=b&fp=p&fs=two", "two")]
    #[case::row_zero("step=a&step=b&xe=x&xa=0", "0: this is not a number")]
    fn what_a_row_cannot_mean_is_said(#[case] query: &str, #[case] words: &str) {
        let why = asked("funnel", query).expect_err("it is refused");
        assert!(why.contains(words), "{why}");
    }
}
