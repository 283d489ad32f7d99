//! The table of refused events.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row, Sqlite};

use crate::catalog::{DROPPED, SqliteCatalog};

/// A refused event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number; larger for later ones.
    pub number: i64,
    /// Our clock when it arrived, Unix milliseconds.
    pub received_ms: i64,
    /// Why.
    pub code: String,
    /// What is kept of it.
    pub raw: String,
}

/// How many there are and were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Kept now, by code.
    pub kept: BTreeMap<String, i64>,
    /// Refused ever.
    pub refused: i64,
    /// Of these, gone for newer ones.
    pub dropped: i64,
}

/// Which refused events.
#[derive(Debug, Clone, Default)]
pub struct Which<'a> {
    /// Only these numbers.
    pub numbers: Option<&'a [i64]>,
    /// Only of this code.
    pub code: Option<&'a str>,
    /// Only with larger numbers.
    pub after: i64,
}

/// Refused events of a project, oldest first.
pub async fn list(
    catalog: &SqliteCatalog,
    project: u32,
    which: &Which<'_>,
    limit: usize,
) -> Result<Vec<Refused>, sqlx::Error> {
    let mut query: QueryBuilder<Sqlite> =
        QueryBuilder::new("SELECT id, received_ms, code, raw FROM refused WHERE project = ");
    query.push_bind(project).push(" AND id > ").push_bind(which.after);
    if let Some(code) = which.code {
        query.push(" AND code = ").push_bind(code);
    }
    if let Some(numbers) = which.numbers {
        query.push(" AND id IN (");
        let mut list = query.separated(", ");
        for number in numbers {
            list.push_bind(number);
        }
        query.push(")");
    }
    query.push(" ORDER BY id LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = query.build().fetch_all(catalog.pool()).await?;
    let refused = |row: sqlx::sqlite::SqliteRow| {
        Ok(Refused {
            number: row.try_get("id")?,
            received_ms: row.try_get("received_ms")?,
            code: row.try_get("code")?,
            raw: row.try_get("raw")?,
        })
    };
    rows.into_iter().map(refused).collect()
}

/// How many refused events there are and were.
pub async fn totals(catalog: &SqliteCatalog, project: u32) -> Result<Totals, sqlx::Error> {
    let mut totals = Totals::default();
    let kept =
        sqlx::query("SELECT code, COUNT(*) AS n FROM refused WHERE project = $1 GROUP BY code");
    for row in kept.bind(project).fetch_all(catalog.pool()).await? {
        totals.kept.insert(row.try_get("code")?, row.try_get("n")?);
    }
    let ever = "SELECT COALESCE(SUM(count), 0) FROM usage WHERE project = $1 AND kind = $2";
    let sum = |kind: &'static str| {
        sqlx::query_scalar::<_, i64>(ever).bind(project).bind(kind).fetch_one(catalog.pool())
    };
    totals.refused = sum("refused").await?;
    totals.dropped = sum(DROPPED).await?;
    Ok(totals)
}

/// Forget refused events: they are stored now.
pub async fn forget(
    catalog: &SqliteCatalog,
    project: u32,
    numbers: &[i64],
) -> Result<(), sqlx::Error> {
    if numbers.is_empty() {
        return Ok(());
    }
    let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("DELETE FROM refused WHERE project = ");
    query.push_bind(project).push(" AND id IN (");
    let mut list = query.separated(", ");
    for number in numbers {
        list.push_bind(number);
    }
    query.push(")");
    query.build().execute(catalog.pool()).await.map(drop)
}
