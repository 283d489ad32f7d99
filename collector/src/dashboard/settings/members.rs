//! Members of the organisation a project belongs to: invited, given roles, helped back in, let go.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Role, Tenant};
use crate::admin::people::Refused;
use crate::admin::people::handler::{desk, post};
use crate::admin::people::post::Posted;
use crate::app::App;
use crate::dashboard::form::{After, Fields, Filled, Said, Trouble, moment};
use crate::dashboard::words::{filters, n, t};
use crate::dashboard::{Shell, show as show_page};
use crate::error::ApiError;
use crate::meta::organisations::Organisation;
use crate::meta::projects::Project;

#[derive(Template)]
#[template(path = "settings/members.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    organisation: String,
    link: Option<Link>,
    members: Vec<Row>,
    invitations: Vec<Waiting>,
    roles: Vec<(&'static str, &'static str, &'static str)>,
}

/// A link that is shown once, or was sent by mail.
struct Link {
    title: &'static str,
    email: String,
    until: String,
    /// Where it is to be shown.
    address: Option<String>,
    /// Why no mail was sent, if there is something to say.
    trouble: Option<String>,
}

impl Link {
    fn new(
        app: &App,
        posted: Posted,
        path: &str,
        title: &'static str,
        whose: (String, String),
    ) -> Self {
        let (email, until) = whose;
        let (address, trouble) = match posted {
            Posted::Sent => (None, None),
            Posted::Show(trouble) => (Some(public(app, path)), trouble),
        };
        Self { title, email, until, address, trouble }
    }
}

struct Row {
    account: u32,
    email: String,
    name: String,
    role: &'static str,
    since: String,
    has_second: bool,
    is_bound: bool,
}

struct Waiting {
    id: u32,
    email: String,
    role: &'static str,
    until: String,
}

/// What each role is for.
const fn meaning(role: Role) -> (&'static str, &'static str) {
    match role {
        Role::Viewer => (n("viewer"), n("looks at answers, events and definitions")),
        Role::Analyst => (n("analyst"), n("also saves, runs experiments and takes raw events out")),
        Role::Admin => (n("admin"), n("also settings, keys, members and erasures")),
        Role::Owner => (n("owner"), n("also decides who else is an owner")),
    }
}

/// `GET /p/{slug}/settings/members`
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Query(after): Query<After>,
) -> Result<Response, Trouble> {
    page(&app, &caller, &project, None, (StatusCode::OK, after.into())).await
}

fn organisation(app: &App, project: &Project) -> Result<Arc<Organisation>, ApiError> {
    let all = app.meta.directory().organisations();
    let found = all.into_iter().find(|organisation| organisation.id == project.organisation);
    found.ok_or(ApiError::OrganisationUnknown)
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Project,
    link: Option<Link>,
    (status, said): (StatusCode, Said),
) -> Result<Response, Trouble> {
    let name = caller.name();
    let organisation = organisation(app, project)?;
    let desk = desk(app, caller, &name, Arc::clone(&organisation));
    let at = |ms: i64| moment(ms, &project.tz);
    let mut members = Vec::new();
    for member in desk.members().await? {
        let second = app.meta.second_factors().find(member.account.id).await?;
        let is_bound = app.meta.elsewhere().is_bound(member.account.id, None).await?;
        members.push(Row {
            account: member.account.id,
            email: member.account.email,
            name: member.account.name,
            role: member.role.as_str(),
            since: at(member.created_ms),
            has_second: second.is_some_and(|second| second.in_force),
            is_bound,
        });
    }
    let waiting = desk.invitations().await?.into_iter().map(|invitation| Waiting {
        id: invitation.id,
        email: invitation.email,
        role: t(meaning(invitation.role).0),
        until: at(invitation.expires_ms),
    });
    let given = Role::ALL.into_iter().filter(|role| *role <= caller.role);
    let given = given.map(|role| (role.as_str(), t(meaning(role).0), t(meaning(role).1)));
    let (shell, frame) = frame(app, caller, project, Tab::Members, said);
    let page = Page {
        shell,
        frame,
        organisation: organisation.name.clone(),
        link,
        members,
        invitations: waiting.collect(),
        roles: given.collect(),
    };
    Ok(show_page(status, &page))
}

/// An address as somebody else can open it, as far as we know our own.
fn public(app: &App, path: &str) -> String {
    format!("{}{path}", app.config.public_url.trim_end_matches('/'))
}

/// `POST /p/{slug}/settings/members`: invite somebody.
pub async fn invite(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    let name = caller.name();
    let role =
        Role::parse(fields.get("role")).map_err(|detail| ApiError::parameter("role", detail))?;
    let organisation = organisation(&app, &project)?;
    let desk = desk(&app, &caller, &name, organisation);
    match desk.invite(fields.get("email"), role).await {
        Ok(made) => {
            let posted = post(&app).invitation(&made, &desk.organisation.name).await;
            let until = moment(made.invitation.expires_ms, &project.tz);
            let whose = (made.invitation.email.clone(), until);
            let link = Link::new(&app, posted, &made.path(), t("The invitation"), whose);
            page(&app, &caller, &project, Some(link), (StatusCode::CREATED, Said::default())).await
        }
        Err(refused) => page(&app, &caller, &project, None, Said::refusal(refused)?).await,
    }
}

/// `POST /p/{slug}/settings/members/{account}`: another role, no part any more, a link to another password, no
/// second step, or bound to nobody elsewhere; the button says which.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_slug, account)): Path<(String, u32)>,
    fields: Filled,
) -> Result<Response, Trouble> {
    let fields = Fields::from(fields);
    match carry_out(&app, &caller, &project, account, &fields).await {
        Ok(Ok(done)) => Ok(Tab::Members.back(&project, done)),
        Ok(Err(link)) => {
            page(&app, &caller, &project, Some(link), (StatusCode::CREATED, Said::default())).await
        }
        Err(refused) => page(&app, &caller, &project, None, Said::refusal(refused)?).await,
    }
}

/// What was done, or the link that is to be shown.
async fn carry_out(
    app: &App,
    caller: &Caller,
    project: &Project,
    account: u32,
    fields: &Fields,
) -> Result<Result<&'static str, Link>, ApiError> {
    let name = caller.name();
    let desk = desk(app, caller, &name, organisation(app, project)?);
    match fields.get("act") {
        "remove" => {
            desk.set_role(account, None).await?;
            Ok(Ok("removed"))
        }
        "reset" => {
            let made = desk.reset(account).await?;
            let posted = post(app).password(&made).await;
            let whose = (made.email.clone(), moment(made.expires_ms, &project.tz));
            let title = t("A link to another password");
            Ok(Err(Link::new(app, posted, &made.path(), title, whose)))
        }
        "second-factor" => {
            desk.drop_second_factor(account).await?;
            Ok(Ok("second-factor"))
        }
        "elsewhere" => {
            desk.unbind(account).await?;
            Ok(Ok("elsewhere"))
        }
        _ => {
            let role = Role::parse(fields.get("role"));
            let role = role.map_err(|detail| ApiError::parameter("role", detail))?;
            desk.set_role(account, Some(role)).await?;
            Ok(Ok("changed"))
        }
    }
}

/// `POST /p/{slug}/settings/invitations/{id}/withdraw`: take an invitation back.
pub async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_slug, id)): Path<(String, u32)>,
) -> Result<Response, Trouble> {
    let name = caller.name();
    let done = desk(&app, &caller, &name, organisation(&app, &project)?).withdraw(id).await;
    match done {
        // Somebody was quicker, or it was used: it no longer works either way.
        Ok(()) | Err(Refused::NoInvitation) => Ok(Tab::Members.back(&project, "withdrawn")),
        Err(refused) => page(&app, &caller, &project, None, Said::refusal(refused)?).await,
    }
}
