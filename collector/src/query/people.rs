//! Who is who, over HTTP: `alias`, the log of merges, undo, and erasing a person.
//!
//! In: ids as servers know them (raw) or as browsers hash them, or persons as answers name them. Out:
//! what was done, or what would be done when `dry_run` is set.
//!
//! Deliberately elsewhere: what a person is (`tallymark_store`), the hashing of ids
//! (`ingest::identity`).

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallymark_protocol::hashing::{Namespace, h1, normalise};
use tallymark_protocol::limits::RAW_ID_CHARS_MAX;
use tallymark_store::{
    Ends, Erasure, Link, MergeRefused, PeopleCommand, PeopleDone, PeopleError, Store, Tried,
};

use crate::access::{Caller, Tenant};
use crate::app::App;
use crate::error::{ApiError, SMALL_BODY_LIMIT};
use crate::extract::{Params, parse_json, read_body};
use crate::meta::projects::Project;
use crate::privacy::Rules;

/// Merges of a page.
const PAGE: usize = 100;
/// Hours after which no file holds an erased person any more.
pub const ERASE_WITHIN_MS: i64 = 24 * 60 * 60 * 1000;

/// One id, named in one of three ways.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// A user id as the customer knows it.
    pub user_id: Option<String>,
    /// A device id as the customer knows it.
    pub device_id: Option<String>,
    /// A person as answers name it: 16 hexadecimal digits.
    pub person: Option<String>,
}

impl Who {
    /// The number of this id in a project.
    ///
    /// # Errors
    /// When not exactly one id is named, or it cannot be one.
    pub fn id(&self, app: &App, project: &Project, name: &'static str) -> Result<u64, ApiError> {
        let hashed = |namespace, raw: &str| {
            let id = normalise(raw);
            if id.is_empty() || id.chars().count() > RAW_ID_CHARS_MAX {
                return Err(ApiError::parameter(name, "an id is a text of 1 to 1,000 characters"));
            }
            let first = h1(project.salt.as_bytes(), namespace, id);
            Ok(app.hasher(project.id).person(&first))
        };
        match (&self.user_id, &self.device_id, &self.person) {
            (Some(user), None, None) => hashed(Namespace::User, user),
            (None, Some(device), None) => hashed(Namespace::Device, device),
            (None, None, Some(person)) => parse_person(name, person),
            _ => Err(ApiError::parameter(
                name,
                "name one id: {\"user_id\": …}, {\"device_id\": …} or {\"person\": …}",
            )),
        }
    }
}

/// A person as answers name it.
pub(super) fn parse_person(name: &'static str, text: &str) -> Result<u64, ApiError> {
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let person = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    person.ok_or_else(|| ApiError::parameter(name, "16 hexadecimal digits, as events show them"))
}

/// Nobody is joined to somebody where people are known for a day only.
///
/// # Errors
/// [`ApiError::IdsForADay`].
pub fn needs_lasting_ids(app: &App, project: &Project) -> Result<(), ApiError> {
    let lasting = Rules::of(&project.settings, &app.config).lasting();
    if lasting { Ok(()) } else { Err(ApiError::IdsForADay) }
}

pub(crate) fn show_person(person: u64) -> String {
    format!("{person:016x}")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasBody {
    from: Who,
    to: Who,
    #[serde(default)]
    dry_run: bool,
}

/// Say that two ids are one person. `from` becomes the person of `to`.
#[utoipa::path(
    post, path = "/v1/alias", tag = "people", security(("secret_key" = ["data:merge"])),
    request_body(content = serde_json::Value,
        description = "`{from: {user_id | device_id | person}, to: {…}, dry_run}`"),
    responses(
        (status = 200, description = "`{merge, from, to, ids, events, dry_run}`", body = serde_json::Value),
        (status = 409, description = "They are one person already, or one was erased, or the project knows people for a day only", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 422, description = "An id is wrong", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 507, description = "There are as many merges as the setting `links_bytes` allows", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn alias_person(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let AliasBody { from, to, dry_run } = read_json(&app, body).await?;
    needs_lasting_ids(&app, &project)?;
    let source = from.id(&app, &project, "from")?;
    let target = to.id(&app, &project, "to")?;
    let at_ms = app.clock.now_ms();
    let ends = Ends { source, target };
    let command = PeopleCommand::Alias { project: project.id, ends, at_ms };
    merge(&app, &caller.name(), project.id, "alias", command, dry_run).await.map(Json)
}

/// Carry out a merge or an undo and write it down, or say what it would do.
///
/// # Errors
/// When it makes no sense or cannot be stored.
pub async fn merge(
    app: &App,
    who: &str,
    project: u32,
    action: &str,
    command: PeopleCommand,
    dry_run: bool,
) -> Result<Value, ApiError> {
    let answer = app.blocking(move |app| run(&app.store, command, dry_run)).await?;
    if let Some(number) = answer.get("merge") {
        let what = json!({ "merge": number, "ids": answer["ids"], "events": answer["events"] });
        app.note(project, who, (action, &format!("merge/{number}")), what).await?;
    }
    Ok(answer)
}

/// Carry out a merge or an undo, or say what it would do.
///
/// # Errors
/// When it makes no sense or cannot be stored.
fn run(store: &Store, command: PeopleCommand, dry_run: bool) -> Result<Value, ApiError> {
    let Tried { from, to, ids, events, refused } = store.try_people(&command)?;
    if let Some(refused) = refused {
        return Err(refused.into());
    }
    let mut answer = json!({
        "from": show_person(from), "to": show_person(to), "ids": ids, "events": events,
        "dry_run": dry_run,
    });
    if !dry_run
        && let PeopleDone::Linked(merge) | PeopleDone::Undone(merge) = store.people(command)?
    {
        answer["merge"] = merge.into();
    }
    Ok(answer)
}

/// A page of the log of merges.
#[derive(Debug, Deserialize)]
pub struct MergesPage {
    before: Option<u64>,
}

/// The log of merges, newest first.
#[utoipa::path(
    get, path = "/v1/merges", tag = "people", security(("secret_key" = ["analytics:read"])),
    params(
        ("before" = Option<u64>, Query, description = "Only merges with smaller numbers: `next` of the page before"),
        ("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only"),
    ),
    responses((status = 200, description = "`{merges: [{merge, at, by, source, target, undone_at}], next}`", body = serde_json::Value))
)]
pub async fn list_merges(
    State(app): State<App>,
    Tenant(project): Tenant,
    Params(MergesPage { before }): Params<MergesPage>,
) -> Result<Json<Value>, ApiError> {
    app.blocking(move |app| {
        let mut links = app.store.merges(project.id, before.unwrap_or(u64::MAX), PAGE + 1);
        let more = links.len() > PAGE;
        links.truncate(PAGE);
        let next = links.last().filter(|_| more).map(|link| link.id);
        let merges: Vec<Value> = links.iter().map(show_link).collect();
        Ok(Json(json!({ "merges": merges, "next": next })))
    })
    .await
}

pub(crate) fn show_link(link: &Link) -> Value {
    let ends = link.ends.filter(|ends| ends.source != ends.target);
    json!({
        "merge": link.id,
        "at": link.at_ms,
        "by": link.by.as_str(),
        "source": ends.map(|ends| show_person(ends.source)),
        "target": ends.map(|ends| show_person(ends.target)),
        "undone_at": link.undone.map(|undone| undone.at_ms),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UndoBody {
    #[serde(default)]
    dry_run: bool,
}

/// Take a merge back: the events of both are told apart again, as if it had never been.
#[utoipa::path(
    post, path = "/v1/merges/{id}/undo", tag = "people", security(("secret_key" = ["data:merge"])),
    params(("id" = u64, Path, description = "Its number, as the log of merges has it")),
    request_body(content = serde_json::Value, description = "`{dry_run}`, or nothing"),
    responses(
        (status = 200, description = "`{merge, from, to, ids, events, dry_run}`", body = serde_json::Value),
        (status = 404, description = "No such merge", content_type = "application/problem+json", body = crate::openapi::Problem),
        (status = 409, description = "It was undone before, or the person was erased", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn undo_merge(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let link = id.parse().map_err(|_| ApiError::MergeRefused(MergeRefused::Unknown))?;
    let UndoBody { dry_run } = read_json_or_nothing(&app, body).await?.unwrap_or_default();
    let command = PeopleCommand::Undo { project: project.id, link, at_ms: app.clock.now_ms() };
    merge(&app, &caller.name(), project.id, "undo", command, dry_run).await.map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EraseBody {
    user_id: Option<String>,
    device_id: Option<String>,
    person: Option<String>,
    #[serde(default)]
    now: bool,
    #[serde(default)]
    dry_run: bool,
}

/// Erase a person: all users and devices that are the same person as the id given, all their events
/// and links. Questions know nothing of them when this answers; files within 24 hours, or when this
/// answers with `now`. Events of them that come later are refused with `person_erased`.
#[utoipa::path(
    post, path = "/v1/erase", tag = "people", security(("secret_key" = ["data:erase"])),
    request_body(content = serde_json::Value,
        description = "`{user_id | device_id | person, now, dry_run}`"),
    responses(
        (status = 200, description = "The receipt: `{id, ids, links, rows, segments, done_at | due_by}`", body = serde_json::Value),
        (status = 422, description = "An id is wrong", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn erase_person(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let EraseBody { user_id, device_id, person, now, dry_run } = read_json(&app, body).await?;
    let who = Who { user_id, device_id, person };
    let id = who.id(&app, &project, "body")?;
    erase_and_note(&app, &caller.name(), project.id, id, now, dry_run).await.map(Json)
}

/// Erase the person of an id and write it down, or say what would go.
///
/// # Errors
/// When it cannot be stored, or files cannot be written again now; then they are later.
pub async fn erase_and_note(
    app: &App,
    who: &str,
    project: u32,
    id: u64,
    now: bool,
    dry_run: bool,
) -> Result<Value, ApiError> {
    let receipt = app.blocking(move |app| erase(app, project, id, now, dry_run)).await?;
    if let Some(number) = receipt["id"].as_str() {
        let subject = format!("erasure/{number}");
        app.note(project, who, ("erase", &subject), receipt.clone()).await?;
    }
    Ok(receipt)
}

fn erase(app: &App, project: u32, id: u64, now: bool, dry_run: bool) -> Result<Value, ApiError> {
    let at_ms = app.clock.now_ms();
    let command = PeopleCommand::Erase { project, id, at_ms };
    if dry_run {
        let tried = app.store.try_people(&command)?;
        return Ok(json!({ "ids": tried.ids, "events": tried.events, "dry_run": true }));
    }
    let PeopleDone::Erased(mut erasure) = app.store.people(command)? else {
        return Err(ApiError::Internal(anyhow::anyhow!("an erasure without a receipt")));
    };
    if now {
        app.store.erase_files().map_err(|error| ApiError::Internal(error.into()))?;
        erasure = app.store.erasure(project, erasure.id).unwrap_or(erasure);
    }
    Ok(receipt(&erasure))
}

fn receipt(erasure: &Erasure) -> Value {
    let mut receipt = json!({
        "id": erasure.id.to_string(),
        "erased_at": erasure.at_ms,
        "persons": 1,
        "ids": erasure.ids,
        "links": erasure.links,
        "rows": erasure.rows,
        "segments": erasure.rewritten,
    });
    match erasure.done_ms {
        Some(done_ms) => receipt["done_at"] = done_ms.into(),
        None => receipt["due_by"] = (erasure.at_ms + ERASE_WITHIN_MS).into(),
    }
    receipt
}

/// The receipt of an erasure as it is now.
#[utoipa::path(
    get, path = "/v1/erase/{id}", tag = "people", security(("secret_key" = ["data:erase"])),
    params(("id" = String, Path, description = "Its `id`, as the answer to the erasure has it")),
    responses(
        (status = 200, description = "The receipt", body = serde_json::Value),
        (status = 404, description = "No such erasure", content_type = "application/problem+json", body = crate::openapi::Problem),
    )
)]
pub async fn show_erasure(
    State(app): State<App>,
    Tenant(project): Tenant,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let found = id.parse().ok().and_then(|id| app.store.erasure(project.id, id));
    found.map(|erasure| Json(receipt(&erasure))).ok_or(ApiError::ErasureUnknown)
}

pub(crate) async fn read_json<T: serde::de::DeserializeOwned>(
    app: &App,
    body: Body,
) -> Result<T, ApiError> {
    let found = read_json_or_nothing(app, body).await?;
    found.ok_or_else(|| ApiError::JsonInvalid { detail: "there is none".into() })
}

async fn read_json_or_nothing<T: serde::de::DeserializeOwned>(
    app: &App,
    body: Body,
) -> Result<Option<T>, ApiError> {
    let body = read_body(body, SMALL_BODY_LIMIT, &app.large_bodies).await?;
    if body.bytes.is_empty() {
        return Ok(None);
    }
    parse_json(&body.bytes).map(Some)
}

impl From<PeopleError> for ApiError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Refused(refused) => Self::MergeRefused(refused),
            PeopleError::Store(error) => error.into(),
        }
    }
}

impl From<MergeRefused> for ApiError {
    fn from(refused: MergeRefused) -> Self {
        Self::MergeRefused(refused)
    }
}
