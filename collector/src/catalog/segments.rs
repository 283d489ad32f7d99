//! The list of segments that are real, and up to which frame of the log they hold everything.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite};
use tallymark_store::{CatalogChange, SegmentId, SegmentMeta};

use super::{Tx, unsigned};

/// Put new segments in, and take replaced ones out.
pub(super) async fn write(tx: &mut Tx, change: &CatalogChange) -> Result<(), sqlx::Error> {
    for id in &change.remove {
        sqlx::query("DELETE FROM segment WHERE id = $1")
            .bind(id.0.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    for segment in &change.add {
        sqlx::query(
            "INSERT INTO segment (id, week, level, rows, bytes, project_min, project_max, ts_min_ms, \
             ts_max_ms, person_min, person_max, id_day_min, id_day_max, odd_ids, has_ids, link_epoch, \
             sums) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(segment.id.0.cast_signed())
        .bind(&segment.week)
        .bind(segment.level)
        .bind(segment.rows.cast_signed())
        .bind(segment.bytes.cast_signed())
        .bind(segment.project_min)
        .bind(segment.project_max)
        .bind(segment.ts_min_ms)
        .bind(segment.ts_max_ms)
        .bind(segment.person_min.cast_signed())
        .bind(segment.person_max.cast_signed())
        .bind(segment.id_day_min)
        .bind(segment.id_day_max)
        .bind(segment.odd_ids.cast_signed())
        .bind(i64::from(segment.has_ids))
        .bind(segment.link_epoch.cast_signed())
        .bind(&segment.sums[..])
        .execute(&mut **tx)
        .await?;
    }
    for (id, epoch) in &change.link_epochs {
        sqlx::query("UPDATE segment SET link_epoch = $1 WHERE id = $2")
            .bind(epoch.cast_signed())
            .bind(id.0.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    sqlx::query("UPDATE state SET flushed_seq = MAX(flushed_seq, $1)")
        .bind(change.flushed_seq.cast_signed())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// All of them, in the order of their numbers.
pub(super) async fn read<'e>(
    from: impl sqlx::Executor<'e, Database = Sqlite>,
) -> Result<Vec<SegmentMeta>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM segment ORDER BY id").fetch_all(from).await?;
    rows.iter().map(read_one).collect()
}

fn read_one(row: &SqliteRow) -> Result<SegmentMeta, sqlx::Error> {
    /// Columns of the names of the fields.
    macro_rules! meta {
        (as_is: $($as_is:ident)*; unsigned: $($unsigned:ident)*; $($field:ident: $value:expr),*) => {
            SegmentMeta {
                $($as_is: row.try_get(stringify!($as_is))?,)*
                $($unsigned: unsigned(row, stringify!($unsigned))?,)*
                $($field: $value,)*
            }
        };
    }
    Ok(meta!(
        as_is: week level project_min project_max ts_min_ms ts_max_ms id_day_min id_day_max;
        unsigned: rows bytes person_min person_max odd_ids link_epoch;
        id: SegmentId(unsigned(row, "id")?),
        has_ids: row.try_get::<i64, _>("has_ids")? != 0,
        sums: row.try_get::<&[u8], _>("sums")?.into()
    ))
}
