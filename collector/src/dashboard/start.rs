//! The first run: make a project, paste its code, see its first event arrive.
//!
//! A key is shown once, so the code with the key in it stands on the answer to the form that made it. The same page
//! waits for the first event; without a script there is a link to look again.

use std::ops::ControlFlow;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use tallymark_store::RowRange;

use super::form::{Fields, Filled, Said, Trouble};
use super::plan::ZONES;
use super::words::filters;
use super::{Place, Shell, endpoint, format, show as show_page};
use crate::access::{Caller, Realm, Role, Tenant};
use crate::admin::Act;
use crate::admin::keys::ring;
use crate::admin::projects::create;
use crate::app::App;
use crate::error::ApiError;
use crate::keys::{KeyKind, Scope};
use crate::meta::access_keys::NewKey;
use crate::meta::projects::{NewProject, Project};
use crate::sdk::snippet::Snippet;

/// Events that the waiting page shows.
const EVENTS: usize = 8;

/// The pages of the first run.
pub fn router() -> Router<App> {
    Router::new()
        .route("/organisations/{organisation}/new", get(show_new).post(make))
        .route("/p/{slug}/start", post(make_key))
        .route("/p/{slug}/arrived", get(arrived))
}

#[derive(Template)]
#[template(path = "new_project.html")]
struct NewPage<'a> {
    shell: Shell,
    frame: Frame,
    organisation: &'a str,
    name: &'a str,
    slug: &'a str,
    tz: &'a str,
    zones: &'static [&'static str],
}

/// What `said.html` looks for.
struct Frame {
    said: Said,
}

/// `GET /organisations/{organisation}/new`
async fn show_new(Realm(organisation): Realm) -> Response {
    let page = NewPage {
        shell: Shell::new(),
        frame: Frame { said: Said::default() },
        organisation: &organisation.name,
        name: "",
        slug: "",
        tz: "Europe/Berlin",
        zones: ZONES,
    };
    show_page(StatusCode::OK, &page)
}

/// `POST /organisations/{organisation}/new`: make a project, and show what to paste.
async fn make(
    State(app): State<App>,
    caller: Caller,
    Realm(organisation): Realm,
    headers: HeaderMap,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let text = |name: &str| fields.get(name).to_owned();
    let new = NewProject {
        organisation: organisation.id,
        name: text("name"),
        slug: text("slug"),
        tz: text("tz"),
    };
    let act = Act::of(&app, &caller);
    match create(&app.meta, &app.pepper, &new, act.deed("create")).await {
        Ok(made) => {
            let secret = Some(made.secret_key.reveal());
            let (project, key) = (&made.project, made.write_key.reveal());
            let caller = Caller { role: caller.role, principal: caller.principal.clone() };
            Ok(show_page(
                StatusCode::CREATED,
                &first_run(&app, &caller, project, &headers, Some(key), secret),
            ))
        }
        Err(refused) => {
            let (status, said) = Said::refusal(refused)?;
            let page = NewPage {
                shell: Shell::new(),
                frame: Frame { said },
                organisation: &organisation.name,
                name: &new.name,
                slug: &new.slug,
                tz: &new.tz,
                zones: ZONES,
            };
            Ok(show_page(status, &page))
        }
    }
}

/// A project without events: what to paste where, and the wait.
#[derive(Template)]
#[template(path = "first_run.html")]
pub struct FirstRun {
    shell: Shell,
    slug: String,
    name: String,
    /// What is pasted; where no key was just made, a place is left for it.
    code: String,
    /// The script tag; `None` where the binary was built without the SDK.
    snippet: Option<String>,
    has_key: bool,
    secret: Option<String>,
    may_make: bool,
}

/// What to paste, with a key that was just made or with a place for one.
pub fn first_run(
    app: &App,
    caller: &Caller,
    project: &Project,
    headers: &HeaderMap,
    write_key: Option<&str>,
    secret: Option<&str>,
) -> FirstRun {
    let endpoint = endpoint(app, headers);
    let key = write_key.unwrap_or("tm_pk_…");
    let snippet = Snippet { endpoint: &endpoint, write_key: key, salt: &project.salt }.html();
    let code = format!(
        "import {{ init, track }} from \"@tallymark/web\";\n\ninit({{\n  key: \"{key}\",\n  salt: \"{}\",\n  endpoint: {},\n}});\n\ntrack(\"signup_started\");",
        project.salt,
        serde_json::Value::from(endpoint.as_str())
    );
    FirstRun {
        shell: Shell::within(app, caller, project, Place::Home),
        slug: project.slug.clone(),
        name: project.name.clone(),
        code,
        snippet,
        has_key: write_key.is_some(),
        secret: secret.map(str::to_owned),
        may_make: caller.role >= Role::Admin,
    }
}

/// `POST /p/{slug}/start`: another key for pages, and what to paste with it.
async fn make_key(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let act = Act::of(&app, &caller);
    let scopes = [Scope::Ingest].into_iter().collect();
    let new = NewKey { name: "pages", scopes, expires_ms: None };
    let made = ring(&app, &project).make(KeyKind::Public, new, act.deed("create")).await?;
    let page = first_run(&app, &caller, &project, &headers, Some(made.key.reveal()), None);
    Ok(show_page(StatusCode::CREATED, &page))
}

/// The part of the page that is fetched again and again.
#[derive(Template)]
#[template(path = "arrived.html")]
struct Arrived {
    slug: String,
    count: String,
    events: Vec<Event>,
}

struct Event {
    name: String,
    at: String,
    page: String,
    from: String,
}

/// `GET /p/{slug}/arrived`: the newest events, or that there are none yet.
async fn arrived(State(app): State<App>, Tenant(project): Tenant) -> Result<Response, Trouble> {
    let (slug, tz) = (project.slug.clone(), project.tz.clone());
    let (count, events) = app.blocking(move |app| newest(app, project.id)).await?;
    let zone = jiff::tz::TimeZone::get(&tz).unwrap_or(jiff::tz::TimeZone::UTC);
    let events = events.into_iter().map(|(at_ms, name, page, from)| {
        let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
        let at = at.to_zoned(zone.clone());
        let at = format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second());
        Event { name, at, page, from }
    });
    let page = Arrived {
        slug,
        count: format::counted(count, "event", "events"),
        events: events.collect(),
    };
    Ok(show_page(StatusCode::OK, &page))
}

type Found = (i64, String, String, String);

/// How many events there are, and the newest of the last hour: a look at little, even when there are many.
fn newest(app: &App, project: u32) -> Result<(u64, Vec<Found>), ApiError> {
    use tallymark_store::Dim;
    let schema = app.store.schema(project)?;
    let count = schema.events.values().map(|event| event.count).sum();
    let now_ms = app.clock.now_ms();
    let range = RowRange { from_ms: now_ms - 3_600_000, to_ms: now_ms + 600_000, person: None };
    let mut found: Vec<Found> = Vec::new();
    app.store.rows(project, range, &mut |row| {
        let dim = |wanted: Dim| {
            let at = Dim::ALL.iter().position(|dim| *dim == wanted);
            let text = at.and_then(|at| row.dims.get(at)?.as_ref().map(|text| text.to_string()));
            text.unwrap_or_default()
        };
        if found.len() < EVENTS || found.last().is_some_and(|(oldest, ..)| row.ts_ms > *oldest) {
            let from = [dim(Dim::Browser), dim(Dim::Country)];
            let from: Vec<_> = from.into_iter().filter(|text| !text.is_empty()).collect();
            found.push((row.ts_ms, row.event.to_string(), dim(Dim::Path), from.join(", ")));
            found.sort_by_key(|(at_ms, ..)| std::cmp::Reverse(*at_ms));
            found.truncate(EVENTS);
        }
        ControlFlow::Continue(())
    })?;
    Ok((count, found))
}
