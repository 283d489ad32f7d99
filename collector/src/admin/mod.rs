//! Administration: organisations and who is in them, projects and their settings, keys, the audit trail.
//!
//! In: requests that the table of operations let through ([`crate::access`]), or commands. Out: what is
//! there then.
//!
//! Invariants: a key is shown once, where it is made; nobody gives a role above their own; an
//! organisation keeps an owner; every change is in the audit trail, in the same transaction.
//!
//! Deliberately elsewhere: the tables (`meta`), signing in (`signin`).

pub mod keys;
pub mod organisations;
pub mod people;
pub mod projects;
pub mod retention;

use axum::body::Body;
use serde::de::DeserializeOwned;

use crate::access::Caller;
use crate::app::App;
use crate::error::{ApiError, SMALL_BODY_LIMIT};
use crate::extract::{parse_json, read_body};
use crate::meta::audit::Deed;

/// A small JSON body; no body is `{}`.
async fn read_json<T: DeserializeOwned>(app: &App, body: Body) -> Result<T, ApiError> {
    let body = read_body(body, SMALL_BODY_LIMIT, &app.large_bodies).await?;
    let bytes: &[u8] = if body.bytes.is_empty() { b"{}" } else { &body.bytes };
    parse_json(bytes)
}

/// As the audit trail names who asks, and when.
pub(crate) struct Act {
    actor: String,
    pub(crate) at_ms: i64,
}

impl Act {
    pub(crate) fn of(app: &App, caller: &Caller) -> Self {
        Self { actor: caller.name(), at_ms: app.clock.now_ms() }
    }

    pub(crate) fn deed<'a>(&'a self, action: &'a str) -> Deed<'a> {
        Deed { actor: &self.actor, action, note: "", at_ms: self.at_ms }
    }
}
