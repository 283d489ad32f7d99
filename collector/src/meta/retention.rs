//! How long the events of projects are kept.

use hashbrown::HashMap;
use serde_json::{Value, json};
use sqlx::{Row, SqliteConnection};
use tallymark_store::Keep;

use super::audit::{self, Deed, Whose};
use super::{Meta, MetaError};

/// In the table, the name of "all events without a rule of their own". No event is named so.
const ALL: &str = "";

/// The table of rules.
#[derive(Debug)]
pub struct RetentionRules<'a> {
    pub(super) meta: &'a Meta,
}

impl RetentionRules<'_> {
    /// Let these rules hold instead of those before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace(
        &self,
        project: u32,
        keep: &Keep,
        deed: Deed<'_>,
    ) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        let mut before = list(&mut change).await?;
        let before = before.remove(&project).unwrap_or_default();
        if before == *keep {
            return Ok(());
        }
        sqlx::query("DELETE FROM retention WHERE project = $1")
            .bind(project)
            .execute(&mut *change)
            .await?;
        let others = keep.events.iter().map(|(event, days)| (event.as_str(), *days));
        for (event, days) in others.chain([(ALL, keep.days)]) {
            sqlx::query("INSERT INTO retention (project, event, days) VALUES ($1, $2, $3)")
                .bind(project)
                .bind(event)
                .bind(days)
                .execute(&mut *change)
                .await?;
        }
        let (whose, was, is) = (Whose::Project(project), Some(json(&before)), Some(json(keep)));
        audit::note(&mut change, whose, "retention", deed, was, is).await?;
        self.meta.commit(change).await
    }
}

/// As the audit trail shows it.
fn json(keep: &Keep) -> Value {
    json!({ "days": keep.days, "events": keep.events })
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
