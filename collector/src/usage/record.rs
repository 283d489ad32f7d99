//! What a server tells of usage, as events.
//!
//! In: metrics and amounts, each with an id if the server wants to be able to repeat itself. Out: rows named
//! `usage_recorded`, which are stored, found twice, exported and erased like all others.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tallymark_protocol::hashing::{Namespace, h1};
use tallymark_protocol::uuid7;
use tallymark_store::row::flags;
use tallymark_store::{AMOUNT_MAX, Row, USAGE_EVENT, metered};

use super::{BUILT_IN, may_tell};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// Whom such a row belongs to, in every project: nobody.
const NOBODY: &str = "usage_recorded";

/// One thing that was used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Of what.
    pub metric: String,
    /// How much.
    #[serde(default = "one")]
    pub amount: u64,
    /// A UUIDv7, the same whenever this is told again.
    pub id: Option<String>,
}

fn one() -> u64 {
    1
}

/// Whether the properties of a server's event of this name can be counted.
pub fn is_countable(name: &str, props: &str) -> bool {
    name != USAGE_EVENT || metered(props).is_some_and(|(metric, _)| may_tell(&metric))
}

/// The row of what was told.
///
/// # Errors
/// When a field cannot be used.
pub fn row(app: &App, project: &Project, told: &Told, now_ms: i64) -> Result<Row, ApiError> {
    let metric = &told.metric;
    if !may_tell(metric) {
        let detail = format!(
            "{metric:?} is no metric that can be told: write lower-case letters, digits, _ . - and :, \
             and none of {}",
            BUILT_IN.join(", ")
        );
        return Err(ApiError::parameter("metric", detail));
    }
    if told.amount > AMOUNT_MAX {
        return Err(ApiError::parameter("amount", format!("at most {AMOUNT_MAX}")));
    }
    let event_id = match &told.id {
        Some(text) => uuid7::parse(text)
            .filter(|id| uuid7::unix_ms(*id).is_some())
            .ok_or_else(|| ApiError::parameter("id", "must be a UUID of version 7"))?,
        None => {
            let mut random = [0; 10];
            getrandom::fill(&mut random).map_err(|error| ApiError::Internal(error.into()))?;
            uuid7::make(now_ms.max(0).cast_unsigned(), random)
        }
    };
    let nobody = h1(project.salt.as_bytes(), Namespace::Device, NOBODY);
    let nobody = app.hasher(project.id).person(&nobody);
    Ok(Row {
        project: project.id,
        person: nobody,
        actor: nobody,
        ts_ms: now_ms,
        seq: 0,
        writer: 0,
        event_id,
        received_ms: now_ms,
        claimed_ms: now_ms,
        flags: flags::SERVER,
        event: USAGE_EVENT.into(),
        session: 0,
        dims: Arc::default(),
        props: json!({ "metric": metric, "amount": told.amount }).to_string().into(),
    })
}
