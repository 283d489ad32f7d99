//! The table of all operations and what each needs. It is reviewed as `tests/vectors/access.tsv`, which
//! a test compares with it.

use std::fmt;

use axum::http::Method;

use super::Role;
use crate::keys::Scope;

/// What an operation needs of whoever asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it shows nothing of any tenant.
    Nothing,
    /// A key in the body or the address, which the handler looks up: pages send no headers.
    WriteKey,
    /// The handler asks [`super::admit`] itself, because it depends on the parameters.
    Depends,
    /// Somebody who is signed in.
    SignedIn,
    /// On a project: a secret key of it with this scope, or somebody signed in who has this role in
    /// its organisation.
    Project(Scope, Role),
    /// On a project: somebody signed in who has this role in its organisation. Pages are for people.
    Member(Role),
    /// On an organisation: somebody signed in who has this role in it.
    Organisation(Role),
    /// Somebody signed in by the link that the server printed: whoever runs the machine.
    Operator,
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::WriteKey => f.write_str("write key"),
            Self::Depends => f.write_str("depends"),
            Self::SignedIn => f.write_str("signed in"),
            Self::Project(scope, role) => write!(f, "key {} or {}", scope.as_str(), role.as_str()),
            Self::Member(role) => write!(f, "member {}", role.as_str()),
            Self::Organisation(role) => f.write_str(role.as_str()),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The route.
    pub path: &'static str,
    /// What it needs.
    pub needs: Needs,
}

const fn rule(method: &'static str, path: &'static str, needs: Needs) -> Rule {
    Rule { method, path, needs }
}

use Needs::{Depends, Member, Nothing, Operator, Organisation, Project, SignedIn, WriteKey};
use Role::{Admin, Analyst, Owner, Viewer};
use Scope::{
    Admin as Administer, AnalyticsExport as Export, AnalyticsRead as Read, AnalyticsWrite as Save,
    DataErase as Erase, DataMerge as Merge, ExperimentsWrite as Experiment, Ingest,
    UsageWrite as Tell,
};

/// Every operation there is.
pub const RULES: &[Rule] = &[
    rule("POST", "/v1/batch", WriteKey),
    // What pages ask before they send JSON.
    rule("OPTIONS", "/v1/batch", Nothing),
    rule("GET", "/v1/flags/{write_key}", WriteKey),
    rule("GET", "/v1/quarantine", Project(Read, Viewer)),
    rule("POST", "/v1/quarantine/resubmit", Project(Ingest, Admin)),
    rule("POST", "/v1/query/{kind}", Project(Read, Viewer)),
    rule("GET", "/v1/events", Project(Read, Viewer)),
    rule("GET", "/v1/export", Project(Export, Analyst)),
    rule("GET", "/v1/schema", Project(Read, Viewer)),
    rule("GET", "/v1/live", Project(Read, Viewer)),
    rule("GET", "/v1/usage", Project(Read, Viewer)),
    rule("POST", "/v1/usage", Project(Tell, Admin)),
    rule("POST", "/v1/usage/rollup", Project(Tell, Admin)),
    rule("GET", "/v1/quotas", Project(Read, Viewer)),
    rule("POST", "/v1/alias", Project(Merge, Admin)),
    rule("GET", "/v1/merges", Project(Read, Viewer)),
    rule("POST", "/v1/merges/{id}/undo", Project(Merge, Admin)),
    rule("POST", "/v1/erase", Project(Erase, Admin)),
    rule("GET", "/v1/erase/{id}", Project(Erase, Admin)),
    // Raw events leave, and of one person.
    rule("POST", "/v1/persons/report", Project(Export, Admin)),
    rule("GET", "/v1/privacy/evidence", Project(Administer, Admin)),
    rule("POST", "/v1/stats/{fn}", Nothing),
    rule("GET", "/v1/experiments", Project(Read, Viewer)),
    rule("POST", "/v1/experiments", Project(Experiment, Analyst)),
    rule("GET", "/v1/experiments/{key}", Project(Read, Viewer)),
    rule("PUT", "/v1/experiments/{key}", Project(Experiment, Analyst)),
    rule("POST", "/v1/experiments/{key}/transition", Project(Experiment, Analyst)),
    rule("GET", "/v1/experiments/{key}/audit", Project(Read, Viewer)),
    rule("GET", "/v1/saved/{kind}", Project(Read, Viewer)),
    rule("GET", "/v1/saved/{kind}/{key}", Project(Read, Viewer)),
    rule("PUT", "/v1/saved/{kind}/{key}", Project(Save, Analyst)),
    rule("DELETE", "/v1/saved/{kind}/{key}", Project(Save, Analyst)),
    rule("GET", "/v1/saved/{kind}/{key}/audit", Project(Read, Viewer)),
    rule("POST", "/v1/saved/questions/{key}/ask", Project(Read, Viewer)),
    rule("GET", "/v1/project", Project(Administer, Admin)),
    rule("PATCH", "/v1/project", Project(Administer, Admin)),
    rule("GET", "/v1/keys", Project(Administer, Admin)),
    rule("POST", "/v1/keys", Project(Administer, Admin)),
    rule("DELETE", "/v1/keys/{id}", Project(Administer, Admin)),
    rule("POST", "/v1/keys/{id}/rotate", Project(Administer, Admin)),
    // Whoever holds a key may report it.
    rule("POST", "/v1/keys/leaked", Nothing),
    rule("GET", "/v1/organisations", SignedIn),
    rule("POST", "/v1/organisations", Operator),
    rule("GET", "/v1/organisations/{organisation}", Organisation(Viewer)),
    rule("PATCH", "/v1/organisations/{organisation}", Organisation(Owner)),
    rule("GET", "/v1/organisations/{organisation}/projects", Organisation(Viewer)),
    rule("POST", "/v1/organisations/{organisation}/projects", Organisation(Admin)),
    rule("GET", "/v1/organisations/{organisation}/members", Organisation(Viewer)),
    // Beyond this the handler asks that nobody gives more than they have.
    rule("PATCH", "/v1/organisations/{organisation}/members/{account}", Organisation(Admin)),
    rule("DELETE", "/v1/organisations/{organisation}/members/{account}", Organisation(Admin)),
    rule("POST", "/v1/organisations/{organisation}/members/{account}/reset", Organisation(Admin)),
    rule(
        "DELETE",
        "/v1/organisations/{organisation}/members/{account}/second-factor",
        Organisation(Admin),
    ),
    rule(
        "DELETE",
        "/v1/organisations/{organisation}/members/{account}/elsewhere",
        Organisation(Admin),
    ),
    rule("GET", "/v1/organisations/{organisation}/invitations", Organisation(Admin)),
    rule("POST", "/v1/organisations/{organisation}/invitations", Organisation(Admin)),
    rule("DELETE", "/v1/organisations/{organisation}/invitations/{id}", Organisation(Admin)),
    rule("GET", "/v1/organisations/{organisation}/audit", Organisation(Admin)),
    rule("GET", "/sdk/{file}", Nothing),
    rule("GET", "/sdk/{build}/{file}", Nothing),
    rule("GET", "/healthz", Nothing),
    rule("GET", "/readiness", Nothing),
    // The report of a project needs what its questions need, the metrics of the service a token.
    rule("GET", "/metrics", Depends),
    rule("GET", "/api/metrics", Depends),
    rule("GET", "/api/admin/metrics", Project(Read, Admin)),
    rule("GET", "/api/analytics/events", Project(Read, Admin)),
    rule("GET", "/api/analytics/usage", Project(Read, Admin)),
    rule("GET", "/api/analytics/metrics", Project(Read, Admin)),
    rule("GET", "/api/analytics/export.csv", Project(Export, Admin)),
    rule("GET", "/api/analytics/quotas", Project(Read, Admin)),
    rule("POST", "/api/analytics/rollup", Project(Tell, Admin)),
    rule("POST", "/api/tenants", Organisation(Admin)),
    rule("GET", "/admin/metrics", Project(Read, Admin)),
    rule("GET", "/admin/metrics.js", Nothing),
    rule("GET", "/admin/metrics.css", Nothing),
    rule("GET", "/openapi.json", Nothing),
    rule("GET", "/docs", Nothing),
    rule("GET", "/signin", Nothing),
    rule("POST", "/signin", Nothing),
    rule("GET", "/invitation", Nothing),
    rule("POST", "/invitation", Nothing),
    rule("POST", "/signin/code", Nothing),
    rule("GET", "/signin/oidc", Nothing),
    rule("GET", "/signin/oidc/back", Nothing),
    rule("GET", "/password", Nothing),
    rule("POST", "/password", Nothing),
    rule("GET", "/forgot", Nothing),
    rule("POST", "/forgot", Nothing),
    rule("POST", "/signout", Nothing),
    rule("GET", "/", SignedIn),
    rule("GET", "/p/{slug}", Project(Read, Viewer)),
    rule("GET", "/p/{slug}/now", Project(Read, Viewer)),
    rule("GET", "/p/{slug}/changes", Project(Read, Viewer)),
    rule("GET", "/p/{slug}/find", Project(Read, Viewer)),
    rule("GET", "/p/{slug}/events", Project(Read, Viewer)),
    rule("GET", "/p/{slug}/ask/{kind}", Project(Read, Viewer)),
    rule("POST", "/p/{slug}/ask/{kind}", Project(Save, Analyst)),
    rule("GET", "/p/{slug}/boards", Project(Read, Viewer)),
    rule("POST", "/p/{slug}/boards", Project(Save, Analyst)),
    rule("GET", "/p/{slug}/boards/{key}", Project(Read, Viewer)),
    rule("POST", "/p/{slug}/boards/{key}", Project(Save, Analyst)),
    rule("GET", "/p/{slug}/boards/{key}/pdf", Project(Read, Viewer)),
    // Whoever may share it may send it.
    rule("GET", "/p/{slug}/boards/{key}/reports", Member(Analyst)),
    rule("POST", "/p/{slug}/boards/{key}/reports", Member(Analyst)),
    // The link is the key: the handler compares it.
    rule("GET", "/share/{of}/{key}/{token}", Nothing),
    rule("GET", "/p/{slug}/settings", Member(Viewer)),
    rule("POST", "/p/{slug}/settings", Member(Admin)),
    rule("GET", "/p/{slug}/settings/keys", Member(Admin)),
    rule("POST", "/p/{slug}/settings/keys", Member(Admin)),
    rule("POST", "/p/{slug}/settings/keys/{id}/rotate", Member(Admin)),
    rule("POST", "/p/{slug}/settings/keys/{id}/revoke", Member(Admin)),
    rule("GET", "/p/{slug}/settings/members", Member(Admin)),
    rule("POST", "/p/{slug}/settings/members", Member(Admin)),
    rule("POST", "/p/{slug}/settings/members/{account}", Member(Admin)),
    rule("POST", "/p/{slug}/settings/invitations/{id}/withdraw", Member(Admin)),
    rule("GET", "/p/{slug}/settings/retention", Member(Admin)),
    rule("POST", "/p/{slug}/settings/retention", Member(Admin)),
    rule("GET", "/p/{slug}/settings/privacy", Member(Admin)),
    rule("POST", "/p/{slug}/settings/privacy", Member(Admin)),
    rule("GET", "/p/{slug}/settings/delivery", Member(Viewer)),
    rule("POST", "/p/{slug}/settings/delivery", Member(Admin)),
    rule("GET", "/p/{slug}/settings/files", Member(Analyst)),
    rule("POST", "/p/{slug}/settings/files", Member(Admin)),
    rule("POST", "/p/{slug}/settings/files/{number}/stop", Member(Analyst)),
    rule("GET", "/p/{slug}/settings/limits", Member(Viewer)),
    rule("GET", "/p/{slug}/settings/audit", Member(Admin)),
    rule("GET", "/account", SignedIn),
    rule("POST", "/account/password", SignedIn),
    rule("GET", "/account/second-step", SignedIn),
    rule("POST", "/account/second-step", SignedIn),
    rule("POST", "/account/second-step/off", SignedIn),
    rule("POST", "/account/sessions/end", SignedIn),
    rule("GET", "/organisations/{organisation}/new", Organisation(Admin)),
    rule("POST", "/organisations/{organisation}/new", Organisation(Admin)),
    rule("POST", "/p/{slug}/start", Member(Admin)),
    rule("GET", "/p/{slug}/arrived", Member(Viewer)),
    rule("GET", "/p/{slug}/experiments", Member(Viewer)),
    rule("GET", "/p/{slug}/new-experiment", Member(Analyst)),
    rule("POST", "/p/{slug}/new-experiment", Member(Analyst)),
    rule("GET", "/p/{slug}/experiments/{key}", Member(Viewer)),
    rule("GET", "/p/{slug}/experiments/{key}/code", Member(Viewer)),
    rule("POST", "/p/{slug}/experiments/{key}/transition", Member(Analyst)),
    // Which language a browser reads is no secret and changes nothing of anybody else.
    rule("POST", "/language", Nothing),
    rule("GET", "/assets/{file}", Nothing),
];

/// The rule of an operation.
pub fn find(method: &Method, path: &str) -> Option<&'static Rule> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    RULES.iter().find(|rule| rule.path == path && rule.method == method.as_str())
}

/// The methods of a route, as `Allow` lists them.
pub fn methods(path: &str) -> String {
    let methods = RULES.iter().filter(|rule| rule.path == path).map(|rule| match rule.method {
        "GET" => "GET, HEAD",
        other => other,
    });
    methods.collect::<Vec<_>>().join(", ")
}
