//! Dashboards that are sent on a schedule, and what became of them.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::audit::{self, Deed, Whose};
use super::{Meta, MetaError};
use crate::reports::{Every, Plan, Report, State, Way};

/// The table.
#[derive(Debug)]
pub struct Reports<'a> {
    pub(super) meta: &'a Meta,
}

const COLUMNS: &str = "id, project, board, every, hour, way, recipients, language, paused, created_by, \
                       due_ms, asked_ms, occasion_ms, tries, retry_ms, done, trouble, ended_ms";

/// As the audit trail shows it.
fn json(board: &str, plan: &Plan, paused: bool) -> Value {
    json!({
        "dashboard": board, "every": plan.every.as_str(), "hour": plan.hour,
        "way": plan.way.as_str(), "recipients": plan.recipients, "paused": paused,
    })
}

impl Reports<'_> {
    /// Set one up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(
        &self,
        project: u32,
        board: &str,
        plan: &Plan,
        due_ms: i64,
        deed: Deed<'_>,
    ) -> Result<u32, MetaError> {
        let mut change = self.meta.change().await?;
        let id: u32 = sqlx::query_scalar(
            "INSERT INTO report (project, board, every, hour, way, recipients, language, created_by, \
             created_ms, due_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
        )
        .bind(project)
        .bind(board)
        .bind(plan.every.as_str())
        .bind(i64::from(plan.hour))
        .bind(plan.way.as_str())
        .bind(plan.recipients.join("\n"))
        .bind(&plan.language)
        .bind(deed.actor)
        .bind(deed.at_ms)
        .bind(due_ms)
        .fetch_one(&mut *change)
        .await?;
        let (whose, subject) = (Whose::Project(project), format!("report/{id}"));
        let after = json(board, plan, false);
        audit::note(&mut change, whose, &subject, deed, None, Some(after)).await?;
        self.meta.commit(change).await?;
        Ok(id)
    }

    /// Those of a project, by number; of one dashboard where one is named.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, project: u32, board: Option<&str>) -> Result<Vec<Report>, MetaError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM report WHERE project = $1 AND ($2 IS NULL OR board = $2) ORDER BY id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .bind(board)
            .fetch_all(&self.meta.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// All that may be due at a time; [`Report::is_due`] says which are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self, now_ms: i64) -> Result<Vec<Report>, MetaError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM report WHERE asked_ms IS NOT NULL OR (paused = 0 AND due_ms <= $1) \
             ORDER BY due_ms, id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql));
        rows.bind(now_ms).fetch_all(&self.meta.pool).await?.iter().map(read).collect()
    }

    /// Let one wait, or go on from `due_ms`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pause(
        &self,
        report: &Report,
        paused: bool,
        due_ms: i64,
        deed: Deed<'_>,
    ) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        sqlx::query("UPDATE report SET paused = $2, due_ms = $3 WHERE id = $1")
            .bind(report.id)
            .bind(paused)
            .bind(due_ms)
            .execute(&mut *change)
            .await?;
        let of = |paused| Some(json(&report.board, &report.plan, paused));
        let (whose, subject) = (Whose::Project(report.project), format!("report/{}", report.id));
        audit::note(&mut change, whose, &subject, deed, of(report.paused), of(paused)).await?;
        self.meta.commit(change).await
    }

    /// Somebody wants one now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ask_for(&self, report: &Report, deed: Deed<'_>) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        sqlx::query("UPDATE report SET asked_ms = $2, retry_ms = 0 WHERE id = $1")
            .bind(report.id)
            .bind(deed.at_ms)
            .execute(&mut *change)
            .await?;
        let after = json(&report.board, &report.plan, report.paused);
        let (whose, subject) = (Whose::Project(report.project), format!("report/{}", report.id));
        audit::note(&mut change, whose, &subject, deed, None, Some(after)).await?;
        self.meta.commit(change).await
    }

    /// Take one away.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, report: &Report, deed: Deed<'_>) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        sqlx::query("DELETE FROM report WHERE id = $1")
            .bind(report.id)
            .execute(&mut *change)
            .await?;
        let before = json(&report.board, &report.plan, report.paused);
        let (whose, subject) = (Whose::Project(report.project), format!("report/{}", report.id));
        audit::note(&mut change, whose, &subject, deed, Some(before), None).await?;
        self.meta.commit(change).await
    }

    /// Write down how far one on its way is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep(&self, id: u32, state: &State) -> Result<(), MetaError> {
        sqlx::query(
            "UPDATE report SET occasion_ms = $2, tries = $3, retry_ms = $4, done = $5, trouble = $6 \
             WHERE id = $1",
        )
        .bind(id)
        .bind(state.occasion_ms)
        .bind(state.tries)
        .bind(state.retry_ms)
        .bind(state.done.join("\n"))
        .bind(state.trouble.join("\n"))
        .execute(&self.meta.pool)
        .await?;
        Ok(())
    }

    /// One on its way is done with, whatever became of it; the next by the schedule is at `due_ms`. Who asked for it
    /// meanwhile, after it began, still waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end(&self, report: &Report, due_ms: i64, at_ms: i64) -> Result<(), MetaError> {
        sqlx::query(
            "UPDATE report SET occasion_ms = 0, tries = 0, retry_ms = 0, done = '', due_ms = $2, \
             ended_ms = $3, asked_ms = CASE WHEN asked_ms IS $4 THEN NULL ELSE asked_ms END WHERE id = $1",
        )
        .bind(report.id)
        .bind(due_ms)
        .bind(at_ms)
        .bind(report.asked_ms)
        .execute(&self.meta.pool)
        .await?;
        Ok(())
    }
}

fn read(row: &SqliteRow) -> Result<Report, MetaError> {
    let id: u32 = row.try_get("id")?;
    let corrupt = |what: &str| MetaError::Corrupt(format!("report {id}: {what}"));
    let (every, way): (String, String) = (row.try_get("every")?, row.try_get("way")?);
    let lines = |name: &str| -> Result<Vec<String>, MetaError> {
        let text: String = row.try_get(name)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    Ok(Report {
        id,
        project: row.try_get("project")?,
        board: row.try_get("board")?,
        plan: Plan {
            every: Every::parse(&every).ok_or_else(|| corrupt("how often"))?,
            hour: row.try_get("hour")?,
            way: Way::parse(&way).ok_or_else(|| corrupt("its way"))?,
            recipients: lines("recipients")?,
            language: row.try_get("language")?,
        },
        paused: row.try_get("paused")?,
        created_by: row.try_get("created_by")?,
        due_ms: row.try_get("due_ms")?,
        asked_ms: row.try_get("asked_ms")?,
        state: State {
            occasion_ms: row.try_get("occasion_ms")?,
            tries: row.try_get("tries")?,
            retry_ms: row.try_get("retry_ms")?,
            done: lines("done")?,
            trouble: lines("trouble")?,
        },
        ended_ms: row.try_get("ended_ms")?,
    })
}
