//! Usage by day, the last rollup, and quotas that were exceeded.

use std::ops::Range;

use sqlx::Row;

use super::{Meta, MetaError};

/// One day's figure of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayAmount {
    /// Whose.
    pub project: u32,
    /// Of what.
    pub metric: String,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// How much.
    pub amount: u64,
}

/// What the last rollup did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollup {
    /// Days before this one (since 1970-01-01, UTC) are written for good.
    pub day: i32,
    /// When it ended, Unix milliseconds.
    pub ended_ms: i64,
    /// How long it took.
    pub took_ms: i64,
    /// Figures that it wrote.
    pub written: u64,
}

/// A quota that was exceeded on some day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// Whose.
    pub project: u32,
    /// Of what.
    pub metric: String,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// The quota.
    pub quota: u64,
    /// When it was noticed, Unix milliseconds.
    pub at_ms: i64,
}

/// The tables.
#[derive(Debug)]
pub struct DailyUsage<'a> {
    pub(super) meta: &'a Meta,
}

impl DailyUsage<'_> {
    /// Write days, over what is there, and what the rollup did, in one step.
    ///
    /// # Errors
    /// When the database fails; then nothing is changed.
    pub async fn write(&self, days: &[DayAmount], rollup: Rollup) -> Result<(), MetaError> {
        let mut change = self.meta.change().await?;
        for day in days {
            sqlx::query(
                "INSERT INTO daily_usage (project, metric, day, amount) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (project, metric, day) DO UPDATE SET amount = excluded.amount",
            )
            .bind(day.project)
            .bind(&day.metric)
            .bind(day.day)
            .bind(day.amount.cast_signed())
            .execute(&mut *change)
            .await?;
        }
        sqlx::query(
            "INSERT INTO rollup (id, day, ended_ms, took_ms, written) VALUES (1, $1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET day = MAX(day, excluded.day), \
             ended_ms = excluded.ended_ms, took_ms = excluded.took_ms, written = excluded.written",
        )
        .bind(rollup.day)
        .bind(rollup.ended_ms)
        .bind(rollup.took_ms)
        .bind(rollup.written.cast_signed())
        .execute(&mut *change)
        .await?;
        self.meta.commit(change).await
    }

    /// The last rollup, if there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last(&self) -> Result<Option<Rollup>, MetaError> {
        let row = sqlx::query("SELECT day, ended_ms, took_ms, written FROM rollup")
            .fetch_optional(&self.meta.pool)
            .await?;
        let rollup = |row: sqlx::sqlite::SqliteRow| {
            Ok(Rollup {
                day: row.try_get("day")?,
                ended_ms: row.try_get("ended_ms")?,
                took_ms: row.try_get("took_ms")?,
                written: row.try_get::<i64, _>("written")?.cast_unsigned(),
            })
        };
        row.map(rollup).transpose()
    }

    /// What is written of some days of a project, by metric and day.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, project: u32, days: Range<i32>) -> Result<Vec<DayAmount>, MetaError> {
        let rows = sqlx::query(
            "SELECT metric, day, amount FROM daily_usage \
             WHERE project = $1 AND day >= $2 AND day < $3 ORDER BY metric, day",
        )
        .bind(project)
        .bind(days.start)
        .bind(days.end)
        .fetch_all(&self.meta.pool)
        .await?;
        let amount = |row: sqlx::sqlite::SqliteRow| {
            Ok(DayAmount {
                project,
                metric: row.try_get("metric")?,
                day: row.try_get("day")?,
                amount: row.try_get::<i64, _>("amount")?.cast_unsigned(),
            })
        };
        rows.into_iter().map(amount).collect()
    }

    /// Write down that a quota was exceeded; whether nobody had said so before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn exceed(&self, what: &Exceeded) -> Result<bool, MetaError> {
        let done = sqlx::query(
            "INSERT INTO quota_exceeded (project, metric, day, quota, at_ms) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(what.project)
        .bind(&what.metric)
        .bind(what.day)
        .bind(what.quota.cast_signed())
        .bind(what.at_ms)
        .execute(&self.meta.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
