//! Who asks, and for what they were let through.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Role;
use crate::app::App;
use crate::error::ApiError;
use crate::keys::{Scope, Scopes};
use crate::meta::access_keys::AccessKey;
use crate::meta::accounts::Account;
use crate::meta::organisations::Organisation;
use crate::meta::projects::Project;

/// Whose credential came with a request.
#[derive(Debug, Clone)]
pub enum Principal {
    /// A program, by a key.
    Key(AccessKey),
    /// A person who signed in.
    Person(Arc<Account>),
    /// Whoever runs the machine: by the link that the server printed, or by the command line.
    Operator,
}

/// Whoever asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// By what they are known.
    pub principal: Principal,
    /// What they may do where they were let in.
    pub role: Role,
}

impl Caller {
    /// As the audit trail names them.
    pub fn name(&self) -> String {
        match &self.principal {
            Principal::Key(key) => format!("key {}", key.id),
            Principal::Person(account) => account.email.clone(),
            Principal::Operator => "console".to_owned(),
        }
    }

    /// One of these scopes that they cannot give, because they do not have it.
    pub fn lacks(&self, wanted: Scopes) -> Option<Scope> {
        let Principal::Key(key) = &self.principal else { return None };
        let beyond = |scope: &Scope| wanted.allows(*scope) && !key.scopes.allows(*scope);
        Scope::ALL.into_iter().find(beyond)
    }
}

/// The project an operation was let through for.
#[derive(Debug, Clone)]
pub struct Tenant(pub Arc<Project>);

/// The organisation an operation was let through for.
#[derive(Debug, Clone)]
pub struct Realm(pub Arc<Organisation>);

/// What the guard has put beside a request.
fn put_there<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, ApiError> {
    let missing = || anyhow::anyhow!("no rule of {} gives a handler what it takes", parts.uri);
    parts.extensions.get().cloned().ok_or_else(|| ApiError::Internal(missing()))
}

macro_rules! extracted {
    ($($type:ty),+) => { $(
        impl FromRequestParts<App> for $type {
            type Rejection = ApiError;
            async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
                put_there(parts)
            }
        }
    )+ };
}

extracted!(Caller, Tenant, Realm);
