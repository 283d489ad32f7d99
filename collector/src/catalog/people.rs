//! Links and erasures in the catalog.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use tallymark_store::{Ends, Erasure, Link, LinkBy, PeopleDelta, PeopleState, Undone};

use super::unsigned;

/// Everything about people.
pub(super) async fn read(
    tx: &mut Transaction<'static, Sqlite>,
) -> Result<PeopleState, sqlx::Error> {
    let links = sqlx::query("SELECT * FROM link ORDER BY id").fetch_all(&mut **tx).await?;
    let erasures = sqlx::query("SELECT * FROM erasure ORDER BY id").fetch_all(&mut **tx).await?;
    let erasing = sqlx::query("SELECT * FROM erasing").fetch_all(&mut **tx).await?;
    let tombstones = sqlx::query("SELECT * FROM tombstone").fetch_all(&mut **tx).await?;
    let erasing = erasing
        .iter()
        .map(|row| Ok((row.try_get("project")?, unsigned(row, "id")?, unsigned(row, "erasure")?)));
    let tombstones =
        tombstones.iter().map(|row| Ok((row.try_get("project")?, unsigned(row, "print")?)));
    Ok(PeopleState {
        links: links.iter().map(read_link).collect::<Result<_, _>>()?,
        erasures: erasures.iter().map(read_erasure).collect::<Result<_, _>>()?,
        erasing: erasing.collect::<Result<_, sqlx::Error>>()?,
        tombstones: tombstones.collect::<Result<_, sqlx::Error>>()?,
    })
}

fn read_link(row: &SqliteRow) -> Result<Link, sqlx::Error> {
    let source: Option<i64> = row.try_get("source")?;
    let target: Option<i64> = row.try_get("target")?;
    let undone_ms: Option<i64> = row.try_get("undone_ms")?;
    let undone_epoch: Option<i64> = row.try_get("undone_epoch")?;
    let by: String = row.try_get("made_by")?;
    let by = LinkBy::parse(&by).ok_or_else(|| {
        sqlx::Error::Decode(format!("the catalog has a link made by {by:?}").into())
    })?;
    Ok(Link {
        id: unsigned(row, "id")?,
        project: row.try_get("project")?,
        at_ms: row.try_get("at_ms")?,
        by,
        ends: source.zip(target).map(|(source, target)| Ends {
            source: source.cast_unsigned(),
            target: target.cast_unsigned(),
        }),
        epoch: unsigned(row, "epoch")?,
        undone: undone_ms
            .zip(undone_epoch)
            .map(|(at_ms, epoch)| Undone { at_ms, epoch: epoch.cast_unsigned() }),
    })
}

fn read_erasure(row: &SqliteRow) -> Result<Erasure, sqlx::Error> {
    let rewritten: String = row.try_get("rewritten")?;
    Ok(Erasure {
        id: unsigned(row, "id")?,
        project: row.try_get("project")?,
        at_ms: row.try_get("at_ms")?,
        ids: unsigned(row, "ids")?,
        links: unsigned(row, "links")?,
        rows: unsigned(row, "rows")?,
        rewritten: serde_json::from_str(&rewritten)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        done_ms: row.try_get("done_ms")?,
    })
}

/// Add what a flush or a merge brings.
pub(super) async fn write(
    tx: &mut Transaction<'static, Sqlite>,
    delta: &PeopleDelta,
) -> Result<(), sqlx::Error> {
    for link in &delta.links {
        sqlx::query(
            "INSERT OR REPLACE INTO link \
             (id, project, at_ms, made_by, source, target, epoch, undone_ms, undone_epoch) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(link.id.cast_signed())
        .bind(link.project)
        .bind(link.at_ms)
        .bind(link.by.as_str())
        .bind(link.ends.map(|ends| ends.source.cast_signed()))
        .bind(link.ends.map(|ends| ends.target.cast_signed()))
        .bind(link.epoch.cast_signed())
        .bind(link.undone.map(|undone| undone.at_ms))
        .bind(link.undone.map(|undone| undone.epoch.cast_signed()))
        .execute(&mut **tx)
        .await?;
    }
    for erasure in &delta.erasures {
        let rewritten = serde_json::to_string(&erasure.rewritten)
            .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        sqlx::query(
            "INSERT OR REPLACE INTO erasure \
             (id, project, at_ms, ids, links, rows, rewritten, done_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(erasure.id.cast_signed())
        .bind(erasure.project)
        .bind(erasure.at_ms)
        .bind(erasure.ids.cast_signed())
        .bind(erasure.links.cast_signed())
        .bind(erasure.rows.cast_signed())
        .bind(rewritten)
        .bind(erasure.done_ms)
        .execute(&mut **tx)
        .await?;
    }
    for (project, id, erasure) in &delta.erasing {
        sqlx::query("INSERT OR REPLACE INTO erasing (project, id, erasure) VALUES ($1, $2, $3)")
            .bind(project)
            .bind(id.cast_signed())
            .bind(erasure.cast_signed())
            .execute(&mut **tx)
            .await?;
        sqlx::query("DELETE FROM refused WHERE project = $1 AND instr(raw, $2) > 0")
            .bind(project)
            .bind(format!("\"{id:016x}\""))
            .execute(&mut **tx)
            .await?;
    }
    for (project, print) in &delta.tombstones {
        sqlx::query("INSERT OR IGNORE INTO tombstone (project, print) VALUES ($1, $2)")
            .bind(project)
            .bind(print.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    for erasure in &delta.erased {
        sqlx::query("DELETE FROM erasing WHERE erasure = $1")
            .bind(erasure.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
