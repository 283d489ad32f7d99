//! The audit trail: who changed what, when and why. The database refuses to alter it, and each row has a
//! hash of itself and of the one before it in its organisation, so that whoever alters it all the same
//! must alter every later row too: [`check`] and the anchors of every day (`anchors`) tell.

use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use tallymark_protocol::hashing::to_hex;

use super::MetaError;

/// As the trail names whoever uses the command line: they have the files anyhow.
pub const COMMAND_LINE: &str = "command line";

/// Who does what, when and why.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    /// Who.
    pub actor: &'a str,
    /// What: `create`, `update`, `remove`, or the state it goes to.
    pub action: &'a str,
    /// Why.
    pub note: &'a str,
    /// When, Unix milliseconds.
    pub at_ms: i64,
}

/// Whom a change concerns.
#[derive(Debug, Clone, Copy)]
pub enum Whose {
    /// A project, and with it its organisation.
    Project(u32),
    /// An organisation as such.
    Organisation(u32),
}

/// Write a change down, in the transaction that makes it.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    whose: Whose,
    subject: &str,
    deed: Deed<'_>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<(), MetaError> {
    let (organisation, project) = match whose {
        Whose::Organisation(organisation) => (organisation, None),
        Whose::Project(project) => {
            let sql = "SELECT organisation FROM project WHERE id = $1";
            let found = sqlx::query_scalar(sql).bind(project).fetch_one(&mut *connection).await?;
            (found, Some(project))
        }
    };
    let row = ChainRow {
        organisation,
        project,
        subject: subject.to_owned(),
        action: deed.action.to_owned(),
        actor: deed.actor.to_owned(),
        at_ms: deed.at_ms,
        note: deed.note.to_owned(),
        before: before.map(|before| before.to_string()),
        after: after.map(|after| after.to_string()),
    };
    let last: Option<Option<Vec<u8>>> = sqlx::query_scalar(
        "SELECT hash FROM audit WHERE organisation = $1 ORDER BY id DESC LIMIT 1",
    )
    .bind(organisation)
    .fetch_optional(&mut *connection)
    .await?;
    let hash = row.hash(&last.flatten().unwrap_or_default());
    sqlx::query(
        "INSERT INTO audit \
         (organisation, project, subject, action, actor, at_ms, note, before, after, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(row.organisation)
    .bind(row.project)
    .bind(row.subject)
    .bind(row.action)
    .bind(row.actor)
    .bind(row.at_ms)
    .bind(row.note)
    .bind(row.before)
    .bind(row.after)
    .bind(hash.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

/// What the hash of a row is made of.
#[derive(Debug)]
struct ChainRow {
    organisation: u32,
    project: Option<u32>,
    subject: String,
    action: String,
    actor: String,
    at_ms: i64,
    note: String,
    before: Option<String>,
    after: Option<String>,
}

impl ChainRow {
    fn read(row: &SqliteRow) -> Result<Self, MetaError> {
        Ok(Self {
            organisation: row.try_get("organisation")?,
            project: row.try_get("project")?,
            subject: row.try_get("subject")?,
            action: row.try_get("action")?,
            actor: row.try_get("actor")?,
            at_ms: row.try_get("at_ms")?,
            note: row.try_get("note")?,
            before: row.try_get("before")?,
            after: row.try_get("after")?,
        })
    }

    /// SHA-256 of the hash before and of the fields in order, each as `length:text,`, numbers in decimal
    /// and what is missing as `-`.
    fn hash(&self, before: &[u8]) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(before);
        let mut field = |text: Option<&str>| match text {
            Some(text) => sha.update(format!("{}:{text},", text.len())),
            None => sha.update("-"),
        };
        field(Some(&self.organisation.to_string()));
        field(self.project.map(|project| project.to_string()).as_deref());
        let texts = [&self.subject, &self.action, &self.actor];
        texts.into_iter().for_each(|text| field(Some(text)));
        field(Some(&self.at_ms.to_string()));
        field(Some(&self.note));
        field(self.before.as_deref());
        field(self.after.as_deref());
        sha.finalize().into()
    }
}

const CHAIN: &str = "SELECT id, organisation, project, subject, action, actor, at_ms, note, before, \
     after, hash FROM audit ORDER BY organisation, id";

/// Where a chain ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose.
    pub organisation: u32,
    /// Rows in it.
    pub rows: u64,
    /// The hash of its last row.
    pub hash: [u8; 32],
}

/// Follow all chains: where each ends. `visit` sees each of them grow.
///
/// # Errors
/// [`MetaError::AuditBroken`] names the first row that is not what was written.
pub(super) async fn check(
    pool: &SqlitePool,
    visit: &mut (dyn FnMut(&Head) + Send),
) -> Result<Vec<Head>, MetaError> {
    let mut heads: Vec<Head> = Vec::new();
    let mut rows = sqlx::query(CHAIN).fetch(pool);
    while let Some(row) = rows.try_next().await? {
        let (id, chained) = (row.try_get("id")?, ChainRow::read(&row)?);
        let stored: Option<Vec<u8>> = row.try_get("hash")?;
        let head = heads.last_mut().filter(|head| head.organisation == chained.organisation);
        let hash = chained.hash(head.as_ref().map_or(&[], |head| &head.hash[..]));
        if stored.as_deref() != Some(&hash[..]) {
            return Err(MetaError::AuditBroken { row: id });
        }
        match head {
            Some(head) => (head.rows, head.hash) = (head.rows + 1, hash),
            None => heads.push(Head { organisation: chained.organisation, rows: 1, hash }),
        }
        heads.last().into_iter().for_each(&mut *visit);
    }
    Ok(heads)
}

/// Take the rows into the chain that were written before there was one.
pub(super) async fn take_in(pool: &SqlitePool) -> Result<(), MetaError> {
    let mut change = pool.begin_with("BEGIN IMMEDIATE").await?;
    let sql = "SELECT EXISTS (SELECT 1 FROM audit WHERE hash IS NULL)";
    let missing: bool = sqlx::query_scalar(sql).fetch_one(&mut *change).await?;
    if !missing {
        return Ok(());
    }
    let rows = sqlx::query(CHAIN).fetch_all(&mut *change).await?;
    let mut last: (u32, Vec<u8>) = (0, Vec::new());
    for row in &rows {
        let chained = ChainRow::read(row)?;
        if last.0 != chained.organisation {
            last = (chained.organisation, Vec::new());
        }
        last.1 = match row.try_get::<Option<Vec<u8>>, _>("hash")? {
            Some(hash) => hash,
            None => {
                let hash = chained.hash(&last.1).to_vec();
                sqlx::query("UPDATE audit SET hash = $2 WHERE id = $1")
                    .bind(row.try_get::<i64, _>("id")?)
                    .bind(&hash)
                    .execute(&mut *change)
                    .await?;
                hash
            }
        };
    }
    change.commit().await?;
    Ok(())
}

/// What was done in an organisation, newest first: at most `limit` acts with smaller numbers than
/// `before`, of one project only if it is named.
pub(super) async fn list_all(
    pool: &SqlitePool,
    organisation: u32,
    project: Option<u32>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Map<String, Value>>, MetaError> {
    let rows = sqlx::query(
        "SELECT a.id, a.subject, a.action, a.actor, a.at_ms, a.note, a.before, a.after, a.hash, \
         p.slug FROM audit a LEFT JOIN project p ON p.id = a.project \
         WHERE a.organisation = $1 AND ($2 IS NULL OR a.project = $2) AND a.id < $3 \
         ORDER BY a.id DESC LIMIT $4",
    )
    .bind(organisation)
    .bind(project)
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let mut act = read(row)?;
            act.insert("project".into(), row.try_get::<Option<String>, _>("slug")?.into());
            act.insert("subject".into(), row.try_get::<String, _>("subject")?.into());
            let hash: Option<Vec<u8>> = row.try_get("hash")?;
            let hash = hash.and_then(|hash| <[u8; 32]>::try_from(hash).ok());
            act.insert("hash".into(), hash.map(|hash| to_hex(&hash)).into());
            Ok(act)
        })
        .collect()
}

/// What was done to something, newest first: at most `limit` changes with smaller numbers than `before`.
pub(super) async fn list(
    pool: &SqlitePool,
    project: u32,
    subject: &str,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Map<String, Value>>, MetaError> {
    let rows = sqlx::query(
        "SELECT id, action, actor, at_ms, note, before, after FROM audit \
         WHERE project = $1 AND subject = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
    )
    .bind(project)
    .bind(subject)
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}

/// What something was after the change to this version.
pub(super) async fn version(
    pool: &SqlitePool,
    project: u32,
    subject: &str,
    version: u32,
) -> Result<Option<Value>, MetaError> {
    let after: Option<String> = sqlx::query_scalar(
        "SELECT after FROM audit WHERE project = $1 AND subject = $2 \
         AND json_extract(after, '$.version') = $3",
    )
    .bind(project)
    .bind(subject)
    .bind(version)
    .fetch_optional(pool)
    .await?;
    let parsed = after.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|error| MetaError::Corrupt(format!("audit of {subject}: {error}")))
}

fn read(row: &SqliteRow) -> Result<Map<String, Value>, MetaError> {
    let id: i64 = row.try_get("id")?;
    let json = |text: Option<String>| {
        let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
        parsed
            .map(Option::unwrap_or_default)
            .map_err(|e| MetaError::Corrupt(format!("audit {id}: {e}")))
    };
    let mut change = Map::new();
    change.insert("id".into(), id.into());
    change.insert("at".into(), row.try_get::<i64, _>("at_ms")?.into());
    change.insert("by".into(), row.try_get::<String, _>("actor")?.into());
    change.insert("action".into(), row.try_get::<String, _>("action")?.into());
    change.insert("note".into(), row.try_get::<String, _>("note")?.into());
    change.insert("before".into(), json(row.try_get("before")?)?);
    change.insert("after".into(), json(row.try_get("after")?)?);
    Ok(change)
}
