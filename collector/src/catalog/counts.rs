//! What adds up with every flush: names and properties of events, usage by hour, days that changed after
//! they were called complete.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlx::{Row, SqlitePool};
use tallymark_store::{
    AMOUNT_MAX, CatalogChange, RestatedDay, Schema, SchemaDelta, TypeCounts, UsageDelta, UsageKind,
};

use super::{Tx, unsigned};

/// Add what a flush or a merge brings.
pub(super) async fn write(tx: &mut Tx, change: &CatalogChange) -> Result<(), sqlx::Error> {
    write_schema(tx, &change.schema).await?;
    write_usage(tx, change).await?;
    write_restated(tx, &change.restated).await
}

async fn write_schema(tx: &mut Tx, schema: &[SchemaDelta]) -> Result<(), sqlx::Error> {
    for delta in schema {
        sqlx::query(
            "INSERT INTO event_schema \
             (project, event, property, count, texts, numbers, bools, others, last_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (project, event, COALESCE(property, char(0))) DO UPDATE SET \
             count = count + excluded.count, texts = texts + excluded.texts, \
             numbers = numbers + excluded.numbers, bools = bools + excluded.bools, \
             others = others + excluded.others, last_ms = MAX(last_ms, excluded.last_ms)",
        )
        .bind(delta.project)
        .bind(&delta.event)
        .bind(&delta.property)
        .bind(delta.count.cast_signed())
        .bind(delta.types.texts.cast_signed())
        .bind(delta.types.numbers.cast_signed())
        .bind(delta.types.bools.cast_signed())
        .bind(delta.types.others.cast_signed())
        .bind(delta.last_ms)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_usage(tx: &mut Tx, change: &CatalogChange) -> Result<(), sqlx::Error> {
    for delta in &change.usage {
        sqlx::query(
            "INSERT INTO usage (project, hour_ms, kind, count, bytes) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (project, hour_ms, kind) DO UPDATE SET \
             count = MIN(count + excluded.count, $6), bytes = MIN(bytes + excluded.bytes, $6)",
        )
        .bind(delta.project)
        .bind(delta.hour_ms)
        .bind(delta.kind.name())
        .bind(delta.count.cast_signed())
        .bind(delta.bytes.cast_signed())
        .bind(AMOUNT_MAX.cast_signed())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_restated(tx: &mut Tx, days: &[RestatedDay]) -> Result<(), sqlx::Error> {
    for day in days {
        sqlx::query("INSERT INTO restated (project, day) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(day.project)
            .bind(day.day)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The usage of a project, or of all, in hours that begin in `hours`.
pub(super) async fn used(
    pool: &SqlitePool,
    project: Option<u32>,
    hours: Range<i64>,
) -> Result<Vec<UsageDelta>, sqlx::Error> {
    // One plan for one project, where the key leads to its hours, and one for all.
    let sql = match project {
        Some(_) => "SELECT * FROM usage WHERE project = $1 AND hour_ms >= $2 AND hour_ms < $3",
        None => "SELECT * FROM usage WHERE $1 IS NULL AND hour_ms >= $2 AND hour_ms < $3",
    };
    let rows =
        sqlx::query(sql).bind(project).bind(hours.start).bind(hours.end).fetch_all(pool).await?;
    let mut used = Vec::with_capacity(rows.len());
    for row in rows {
        let kind: String = row.try_get("kind")?;
        // There are kinds that only the collector counts.
        let Some(kind) = UsageKind::of(&kind) else { continue };
        used.push(UsageDelta {
            project: row.try_get("project")?,
            hour_ms: row.try_get("hour_ms")?,
            kind,
            count: unsigned(&row, "count")?,
            bytes: unsigned(&row, "bytes")?,
        });
    }
    Ok(used)
}

/// The names and properties of a project.
pub(super) async fn schema(pool: &SqlitePool, project: u32) -> Result<Schema, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM event_schema WHERE project = $1")
        .bind(project)
        .fetch_all(pool)
        .await?;
    let mut schema = Schema::default();
    for row in rows {
        schema.add(&SchemaDelta {
            project,
            event: row.try_get("event")?,
            property: row.try_get("property")?,
            count: unsigned(&row, "count")?,
            types: TypeCounts {
                texts: unsigned(&row, "texts")?,
                numbers: unsigned(&row, "numbers")?,
                bools: unsigned(&row, "bools")?,
                others: unsigned(&row, "others")?,
            },
            last_ms: row.try_get("last_ms")?,
        });
    }
    Ok(schema)
}

/// Those of the days of a project that were changed.
pub(super) async fn restated(
    pool: &SqlitePool,
    project: u32,
    days: Range<i32>,
) -> Result<BTreeSet<i32>, sqlx::Error> {
    let days: Vec<i32> = sqlx::query_scalar(
        "SELECT day FROM restated WHERE project = $1 AND day >= $2 AND day < $3",
    )
    .bind(project)
    .bind(days.start)
    .bind(days.end)
    .fetch_all(pool)
    .await?;
    Ok(days.into_iter().collect())
}
