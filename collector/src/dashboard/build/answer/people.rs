//! People, and what one of them did.

use jiff::Timestamp;
use serde_json::Value;
use tallymark_analysis::answer::*;

use super::super::super::format;
use super::super::super::words::t;
use super::kinds::{Around, figures, heads, nothing, ranked, text};
use super::{Block, Cell, Data, Moment};

pub fn persons(answer: &PersonsAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.persons.is_empty() {
        return nothing();
    }
    let columns: Vec<String> = around.definition["columns"]
        .as_array()
        .map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let rows = answer.persons.iter().map(|person| {
        let props =
            columns.iter().map(|name| text(person.props.get(name).map(plain).unwrap_or_default()));
        let fixed = [
            text(person.person.clone()),
            Cell::Count(person.events),
            around.moment(person.first_seen),
            around.moment(person.last_seen),
        ];
        fixed.into_iter().chain(props).collect()
    });
    let mut head = heads(&[t("Person"), t("Events"), t("First seen"), t("Last seen")]);
    head.extend(columns.iter().cloned());
    let link = |row: usize| around.ask("person", &[("person", &answer.persons[row].person)]);
    let mut blocks = vec![
        figures(&[(t("People"), Cell::Count(answer.count), t("in all"))]),
        ranked(t("People"), Data { head, rows: rows.collect() }, link),
    ];
    blocks.extend(more(answer.next.as_deref(), "persons", around));
    blocks
}

/// The way to the next page.
fn more(next: Option<&str>, kind: &str, around: &Around<'_>) -> Option<Block> {
    let query = around.fields.with(&[("after", next?)]);
    Some(Block::More(format!("/p/{}/ask/{kind}{query}", around.slug), t("More").to_owned()))
}

pub fn person(answer: &PersonAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.events.is_empty() {
        return nothing();
    }
    let mut day = None;
    let mut session = None;
    let moments = answer.events.iter().map(|event| {
        let zoned =
            Timestamp::from_millisecond(event.at).unwrap_or_default().to_zoned(around.tz.clone());
        let date = zoned.date();
        let is_new_day = day.replace(date) != Some(date);
        let is_new_session = session.replace(event.session) != Some(event.session);
        Moment {
            day: is_new_day.then(|| format::full_day(date)),
            time: zoned.strftime("%H:%M:%S").to_string(),
            event: event.event.clone(),
            props: event
                .props
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
            session: is_new_session && !is_new_day,
        }
    });
    let moments: Vec<Moment> = moments.collect();
    let seen = |ms: Option<i64>| ms.map_or(Cell::Figure(None), |ms| around.moment(ms));
    let mut blocks = vec![
        figures(&[
            (t("Events"), Cell::Count(answer.count), ""),
            (t("Sessions"), Cell::Count(answer.sessions), ""),
            (t("First seen"), seen(answer.first_seen), ""),
            (t("Last seen"), seen(answer.last_seen), ""),
        ]),
        Block::Timeline(moments),
    ];
    blocks.extend(more(answer.next.as_deref(), "person", around));
    blocks
}

/// A property's value as text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
