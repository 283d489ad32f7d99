//! `GET /v1/schema`: event names and properties seen.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tallymark_store::{Dim, EventSchema, Schema};

use crate::access::Tenant;
use crate::app::App;
use crate::error::ApiError;

/// What there is to ask about.
#[derive(Debug, Serialize)]
pub struct SchemaView {
    events: Vec<EventView>,
    /// Names that questions understand for every event.
    built_in: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct EventView {
    name: String,
    count: u64,
    /// Unix milliseconds.
    last_at: i64,
    properties: Vec<PropertyView>,
}

#[derive(Debug, Serialize)]
struct PropertyView {
    name: String,
    count: u64,
    last_at: i64,
    /// How often, by JSON type.
    types: BTreeMap<&'static str, u64>,
}

impl From<Schema> for SchemaView {
    fn from(schema: Schema) -> Self {
        let mut events: Vec<_> = schema.events.into_iter().map(event_view).collect();
        events.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        let built_in = ["event", "session", "identity"]
            .into_iter()
            .chain(Dim::ALL.iter().map(|dim| dim.name()));
        Self { events, built_in: built_in.collect() }
    }
}

fn event_view((name, event): (String, EventSchema)) -> EventView {
    let properties = event.properties.into_iter().map(|(name, property)| {
        let t = property.types;
        let types =
            [("text", t.texts), ("number", t.numbers), ("boolean", t.bools), ("other", t.others)];
        PropertyView {
            name,
            count: t.total(),
            last_at: property.last_ms,
            types: types.into_iter().filter(|(_, count)| *count > 0).collect(),
        }
    });
    EventView { name, count: event.count, last_at: event.last_ms, properties: properties.collect() }
}

/// List the event names and properties seen, with counts, types and last times.
#[utoipa::path(
    get, path = "/v1/schema", tag = "events", security(("secret_key" = ["analytics:read"])),
    params(("project" = Option<String>, Query, description = "The project's slug; with a dashboard session only")),
    responses((status = 200, description = "`{events: [{name, count, last_at, properties}], built_in}`", body = serde_json::Value))
)]
pub async fn show_schema(
    State(app): State<App>,
    Tenant(project): Tenant,
) -> Result<Json<SchemaView>, ApiError> {
    app.blocking(move |app| Ok(Json(app.store.schema(project.id)?.into()))).await
}
