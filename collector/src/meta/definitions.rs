//! Definitions of experiments, flags and holdouts, and the audit trail of their changes.

use hashbrown::HashMap;
use serde_json::{Map, Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

pub use super::audit::Deed;
use super::audit::Whose;
use super::{Meta, MetaError, audit};
use crate::experiments::definition::Definition;
use crate::experiments::life::State;

/// A definition and where in its life it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// What is defined.
    pub definition: Definition,
    /// Where in its life it is.
    pub state: State,
    /// Counts changes from 1.
    pub version: u32,
    /// Unix milliseconds.
    pub created_ms: i64,
    /// Unix milliseconds.
    pub changed_ms: i64,
    /// When it ran first, Unix milliseconds.
    pub started_ms: Option<i64>,
    /// Unix milliseconds.
    pub concluded_ms: Option<i64>,
}

impl Stored {
    /// As answers and the audit trail show it.
    pub fn json(&self) -> Value {
        json!({
            "key": self.definition.key(), "kind": self.definition.kind(), "state": self.state,
            "version": self.version, "created_at": self.created_ms, "changed_at": self.changed_ms,
            "started_at": self.started_ms, "concluded_at": self.concluded_ms,
            "definition": self.definition.json(),
        })
    }
}

/// The table of definitions.
#[derive(Debug)]
pub struct Definitions<'a> {
    pub(super) meta: &'a Meta,
}

const COLUMNS: &str = "key, state, version, body, created_ms, changed_ms, started_ms, concluded_ms";

impl Definitions<'_> {
    /// All definitions of a project, by key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, project: u32) -> Result<Vec<Stored>, MetaError> {
        let sql = format!("SELECT {COLUMNS} FROM definition WHERE project = $1 ORDER BY key");
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(project).fetch_all(&self.meta.pool).await?;
        rows.iter().map(read).collect()
    }

    /// The definition of this key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, project: u32, key: &str) -> Result<Option<Stored>, MetaError> {
        let sql = format!("SELECT {COLUMNS} FROM definition WHERE project = $1 AND key = $2");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .bind(key)
            .fetch_optional(&self.meta.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Keep a new one. Says whether its key was free.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        project: u32,
        new: &Stored,
        deed: Deed<'_>,
    ) -> Result<bool, MetaError> {
        let mut transaction = self.meta.change().await?;
        let done = sqlx::query(
            "INSERT INTO definition (project, key, state, version, body, created_ms, changed_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (project, key) DO NOTHING",
        )
        .bind(project)
        .bind(new.definition.key())
        .bind(new.state.as_str())
        .bind(new.version)
        .bind(Value::Object(new.definition.json()).to_string())
        .bind(new.created_ms)
        .bind(new.changed_ms)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut transaction, project, None, new, deed).await?;
        self.meta.commit(transaction).await?;
        Ok(true)
    }

    /// Replace one by its next version. Says whether it still was what the caller saw.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace(
        &self,
        project: u32,
        before: &Stored,
        after: &Stored,
        deed: Deed<'_>,
    ) -> Result<bool, MetaError> {
        let mut transaction = self.meta.change().await?;
        let done = sqlx::query(
            "UPDATE definition SET state = $4, version = $5, body = $6, changed_ms = $7, \
             started_ms = $8, concluded_ms = $9 WHERE project = $1 AND key = $2 AND version = $3",
        )
        .bind(project)
        .bind(before.definition.key())
        .bind(before.version)
        .bind(after.state.as_str())
        .bind(after.version)
        .bind(Value::Object(after.definition.json()).to_string())
        .bind(after.changed_ms)
        .bind(after.started_ms)
        .bind(after.concluded_ms)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut transaction, project, Some(before), after, deed).await?;
        self.meta.commit(transaction).await?;
        Ok(true)
    }

    /// What was done to a definition, newest first: at most `limit` changes with smaller numbers
    /// than `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit(
        &self,
        project: u32,
        key: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Map<String, Value>>, MetaError> {
        audit::list(&self.meta.pool, project, &subject(key), before, limit).await
    }
}

fn subject(key: &str) -> String {
    format!("definition/{key}")
}

async fn note(
    connection: &mut SqliteConnection,
    project: u32,
    before: Option<&Stored>,
    after: &Stored,
    deed: Deed<'_>,
) -> Result<(), MetaError> {
    let subject = subject(after.definition.key());
    let before = before.map(Stored::json);
    let whose = Whose::Project(project);
    audit::note(connection, whose, &subject, deed, before, Some(after.json())).await
}

/// What is running, by project.
pub(super) async fn list_running(
    connection: &mut SqliteConnection,
) -> Result<HashMap<u32, Vec<Stored>>, MetaError> {
    let sql =
        format!("SELECT project, {COLUMNS} FROM definition WHERE state = 'running' ORDER BY key");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?;
    let mut running: HashMap<u32, Vec<Stored>> = HashMap::new();
    for row in &rows {
        running.entry(row.try_get("project")?).or_default().push(read(row)?);
    }
    Ok(running)
}

fn read(row: &SqliteRow) -> Result<Stored, MetaError> {
    let (key, state, body): (String, String, String) =
        (row.try_get("key")?, row.try_get("state")?, row.try_get("body")?);
    let corrupt = |what: &str| MetaError::Corrupt(format!("definition {key:?}: {what}"));
    Ok(Stored {
        definition: serde_json::from_str(&body).map_err(|error| corrupt(&error.to_string()))?,
        state: State::parse(&state).ok_or_else(|| corrupt("its state"))?,
        version: row.try_get("version")?,
        created_ms: row.try_get("created_ms")?,
        changed_ms: row.try_get("changed_ms")?,
        started_ms: row.try_get("started_ms")?,
        concluded_ms: row.try_get("concluded_ms")?,
    })
}
