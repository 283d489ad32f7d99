//! Keys: made, shown once, replaced with an overlap, taken back.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Tenant};
use crate::admin::Act;
use crate::admin::keys::{Made, Refused, ring};
use crate::app::App;
use crate::dashboard::form::{After, Fields, Filled, Said, Trouble, moment};
use crate::dashboard::words::{filters, n, t};
use crate::dashboard::{Shell, show as show_page};
use crate::keys::{KeyKind, Scope, Scopes};
use crate::meta::access_keys::{Listed, NewKey};
use crate::meta::projects::Project;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Template)]
#[template(path = "settings/keys.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    made: Option<Shown>,
    keys: Vec<Row>,
    scopes: Vec<(&'static str, &'static str)>,
    overlaps: [(u32, &'static str); 4],
}

/// A key in clear, for the only time.
struct Shown {
    name: String,
    key: String,
    is_public: bool,
}

/// A key as the list shows it.
struct Row {
    id: u32,
    name: String,
    is_public: bool,
    hint: String,
    scopes: Vec<&'static str>,
    created: String,
    used: Option<String>,
    ends: Option<String>,
}

/// What each scope is good for.
const fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::Ingest => n("send events"),
        Scope::AnalyticsRead => n("ask questions"),
        Scope::AnalyticsWrite => n("save cohorts, questions and annotations"),
        Scope::AnalyticsExport => n("take raw events out"),
        Scope::ExperimentsWrite => n("define and run experiments and flags"),
        Scope::UsageWrite => n("report usage, and roll days up"),
        Scope::DataMerge => n("say who is who"),
        Scope::DataErase => n("erase persons"),
        Scope::MetricsRead => n("read the metrics of the service"),
        Scope::Admin => n("change settings and keys"),
    }
}

/// `GET /p/{slug}/settings/keys`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Query(after): Query<After>,
) -> Result<Response, Trouble> {
    page(&app, &caller, &project, None, (StatusCode::OK, after.into())).await
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Project,
    made: Option<Made>,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let (shell, frame) = frame(app, caller, project, Tab::Keys, said);
    let at = |ms: i64| moment(ms, &project.tz);
    let keys = app.meta.access_keys().list(project.id).await?;
    let row = |key: Listed| Row {
        id: key.id,
        is_public: key.kind == KeyKind::Public,
        scopes: key.scopes.names(),
        created: at(key.created_ms),
        used: key.used_ms.map(at),
        ends: key.expires_ms.map(at),
        name: key.name,
        hint: key.hint,
    };
    let made = made.map(|made| Shown {
        key: made.key.reveal().to_owned(),
        is_public: made.listed.kind == KeyKind::Public,
        name: made.listed.name,
    });
    let page = Page {
        shell,
        frame,
        made,
        keys: keys.into_iter().map(row).collect(),
        scopes: Scope::ALL.map(|scope| (scope.as_str(), t(meaning(scope)))).to_vec(),
        overlaps: [
            (0, t("not at all")),
            (1, t("for an hour")),
            (24, t("for a day")),
            (168, t("for a week")),
        ],
    };
    Ok(show_page(status, &page))
}

/// `POST /p/{slug}/settings/keys`: make one.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let made = make(&app, &caller, &project, &fields).await;
    answer(&app, &caller, &project, made).await
}

async fn make(
    app: &App,
    caller: &Caller,
    project: &Project,
    fields: &Fields,
) -> Result<Made, Refused> {
    let act = Act::of(app, caller);
    let (kind, scopes) = match fields.get("kind") {
        "public" => (KeyKind::Public, [Scope::Ingest].into_iter().collect()),
        _ => {
            let chosen = fields.all("scope").collect::<Vec<_>>().join(",");
            let parsed =
                if chosen.is_empty() { Ok(Scopes::default()) } else { Scopes::parse(&chosen) };
            (KeyKind::Secret, parsed.map_err(|detail| Refused::Wrong("scopes", detail))?)
        }
    };
    let days = match fields.find("days") {
        None => None,
        Some(days) => match days.parse::<i64>() {
            Ok(days) if (1..=36_500).contains(&days) => Some(days),
            _ => return Err(Refused::Wrong("expires", "1 to 36,500 days, or never".into())),
        },
    };
    let expires_ms = days.map(|days| act.at_ms + days * DAY_MS);
    let new = NewKey { name: fields.get("name"), scopes, expires_ms };
    ring(app, project).make(kind, new, act.deed("create")).await
}

/// `POST /p/{slug}/settings/keys/{id}/rotate`: make its successor.
pub async fn rotate(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_slug, id)): Path<(String, u32)>,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let act = Act::of(&app, &caller);
    let hours: i64 = fields.get("hours").parse().unwrap_or(24);
    let ring = ring(&app, &project);
    let made = match ring.find(id).await {
        Ok(old) => ring.rotate(&old, hours.saturating_mul(3_600_000), act.deed("rotate")).await,
        Err(refused) => Err(refused),
    };
    answer(&app, &caller, &project, made).await
}

async fn answer(
    app: &App,
    caller: &Caller,
    project: &Project,
    made: Result<Made, Refused>,
) -> Result<Response, Trouble> {
    match made {
        Ok(made) => {
            page(app, caller, project, Some(made), (StatusCode::CREATED, Said::default())).await
        }
        Err(refused) => page(app, caller, project, None, Said::refusal(refused)?).await,
    }
}

/// `POST /p/{slug}/settings/keys/{id}/revoke`: take it back.
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_slug, id)): Path<(String, u32)>,
) -> Result<Response, Trouble> {
    let act = Act::of(&app, &caller);
    ring(&app, &project).revoke(id, act.deed("revoke")).await?;
    Ok(Tab::Keys.back(&project, "revoked"))
}
