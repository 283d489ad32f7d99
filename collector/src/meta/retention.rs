//! How long the events of projects are kept.

use hashbrown::HashMap;
use sqlx::{Row, SqliteConnection};
use tallymark_store::Keep;

use super::{Meta, MetaError};

/// In the table, the name of "all events without a rule of their own". No event is named so.
const ALL: &str = "";

/// The table of rules.
#[derive(Debug)]
pub struct RetentionRules<'a> {
    pub(super) meta: &'a Meta,
}

impl RetentionRules<'_> {
    /// Keep events of this name, or all others, for so many days; `None` is for ever.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set(
        &self,
        project: u32,
        event: Option<&str>,
        days: Option<u32>,
    ) -> Result<(), MetaError> {
        sqlx::query(
            "INSERT INTO retention (project, event, days) VALUES ($1, $2, $3) \
             ON CONFLICT (project, event) DO UPDATE SET days = excluded.days",
        )
        .bind(project)
        .bind(event.unwrap_or(ALL))
        .bind(days)
        .execute(&self.meta.pool)
        .await?;
        self.meta.refresh().await
    }

    /// Events of this name have no rule of their own any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, project: u32, event: &str) -> Result<(), MetaError> {
        sqlx::query("DELETE FROM retention WHERE project = $1 AND event = $2")
            .bind(project)
            .bind(event)
            .execute(&self.meta.pool)
            .await?;
        self.meta.refresh().await
    }
}

pub(super) async fn list(
    connection: &mut SqliteConnection,
) -> Result<HashMap<u32, Keep>, MetaError> {
    let rows =
        sqlx::query("SELECT project, event, days FROM retention").fetch_all(connection).await?;
    let mut keeps: HashMap<u32, Keep> = HashMap::new();
    for row in rows {
        let keep = keeps.entry(row.try_get("project")?).or_default();
        let (event, days): (String, Option<u32>) = (row.try_get("event")?, row.try_get("days")?);
        match event.as_str() {
            ALL => keep.days = days,
            _ => drop(keep.events.insert(event, days)),
        }
    }
    Ok(keeps)
}
