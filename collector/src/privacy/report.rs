//! Everything that is stored of one person: what somebody may ask for who has the right to know it.
//!
//! In: an id. Out: JSON lines: a summary, then each event in the form of an export. The summary counts the events, so
//! whoever has the last line knows that it is all.
//!
//! Deliberately elsewhere: erasing (`query::people`). What somebody did while people are known for a day only cannot
//! be found by an id, by anybody.

use std::io::Write;
use std::ops::ControlFlow;

use serde_json::{Value, json};
use tallymark_store::{PeopleCommand, RowRange};

use crate::app::App;
use crate::bulk::people::realm;
use crate::bulk::text_out::push_jsonl;
use crate::error::ApiError;
use crate::ingest::quarantine::{KEPT, Known};
use crate::meta::projects::Project;
use crate::quarantine::repo::{self, Which};
use crate::query::people::{show_link, show_person};

/// Refused events and merges looked at in one go.
const PAGE: usize = 1_000;

/// What is stored of a person beside events, and how many of these.
#[derive(Debug)]
pub struct Held {
    person: u64,
    events: u64,
    summary: Value,
}

/// Find everything that is stored of the person of an id.
///
/// # Errors
/// When it cannot be read.
pub async fn held(app: &App, project: &Project, id: u64) -> Result<Held, ApiError> {
    let (project_id, at_ms) = (project.id, app.clock.now_ms());
    let (person, tried, merges) = app
        .blocking(move |app| {
            let person = app.store.person(project_id, id);
            let tried =
                app.store.try_people(&PeopleCommand::Erase { project: project_id, id, at_ms })?;
            app.store.flush_refused().map_err(|error| ApiError::Internal(error.into()))?;
            Ok((person, tried, merges(app, project_id, person)))
        })
        .await?;
    let refused = refused(app, project_id, person).await?;
    let summary = json!({
        "project": project.slug,
        "made_at": at_ms,
        "person": show_person(person),
        "ids": tried.ids,
        "events": tried.events,
        "merges": merges,
        "refused": refused,
        "note": "Ids are keyed hashes. What was done while people are known for a day only cannot be found by an id.",
    });
    Ok(Held { person, events: tried.events, summary })
}

fn merges(app: &App, project: u32, person: u64) -> Vec<Value> {
    let mut found = Vec::new();
    let mut before = u64::MAX;
    loop {
        let links = app.store.merges(project, before, PAGE);
        let Some(last) = links.last() else { return found };
        before = last.id;
        let of_person = links.iter().filter(|link| {
            let ends = link.ends.iter().flat_map(|ends| [ends.source, ends.target]);
            ends.into_iter().any(|end| end == person || app.store.person(project, end) == person)
        });
        found.extend(of_person.map(show_link));
    }
}

async fn refused(app: &App, project: u32, person: u64) -> Result<Vec<Value>, ApiError> {
    let mut found = Vec::new();
    let mut which = Which::default();
    loop {
        let page = repo::list(&app.catalog, project, &which, PAGE).await;
        let page = page.map_err(|error| ApiError::Internal(error.into()))?;
        let Some(last) = page.last() else { return Ok(found) };
        which.after = last.number;
        for refused in page {
            // What was cut is not whole JSON, but begins with what was known of it.
            let mut values =
                serde_json::Deserializer::from_str(after_kept(&refused.raw)).into_iter::<Known>();
            let Some(Ok(known)) = values.next() else { continue };
            let number = known.who.and_then(|who| u64::from_str_radix(&who.person, 16).ok());
            if number.is_some_and(|id| id == person || app.store.person(project, id) == person) {
                found.push(json!({ "number": refused.number, "received_at": refused.received_ms,
                    "code": refused.code, "event": refused.raw }));
            }
        }
    }
}

/// The text of a refused event from what was known of it on.
fn after_kept(raw: &str) -> &str {
    raw.strip_prefix("{\"")
        .and_then(|raw| raw.strip_prefix(KEPT)?.strip_prefix("\":"))
        .unwrap_or_default()
}

/// Write it all.
///
/// # Errors
/// When the store cannot be read or `out` cannot be written.
pub fn write(
    app: &App,
    project: &Project,
    held: &Held,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let realm = realm(&app.hasher(project.id));
    let mut text = format!("{}\n", held.summary);
    let mut outcome = Ok(());
    let everything =
        RowRange { person: Some(held.person), ..RowRange::between(i64::MIN, i64::MAX) };
    app.store.rows(project.id, everything, &mut |row| {
        push_jsonl(&mut text, &row, &realm);
        if text.len() >= 64 * 1024 {
            outcome = out.write_all(text.as_bytes());
            text.clear();
        }
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome?;
    Ok(out.write_all(text.as_bytes())?)
}

/// Write down that it was given out, and not of whom.
///
/// # Errors
/// When the database cannot be written.
pub async fn note(app: &App, who: &str, project: &Project, held: &Held) -> Result<(), ApiError> {
    app.note(project.id, who, ("report", "person"), json!({ "events": held.events })).await
}
