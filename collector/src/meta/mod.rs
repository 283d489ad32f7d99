//! Who may send and who may ask: organisations, people and their roles, projects, keys and dashboard
//! sessions; what is defined in projects: retention, experiments and flags, saved cohorts and questions,
//! and what pages load; and who did what. In SQLite.
//!
//! In: the database file of a data folder. Out: typed look-ups; one file per table.
//!
//! Requests are answered from a copy in memory ([`Directory`]). Another process may write to the
//! database (`project create` beside a running server), so the copy is checked against SQLite's
//! `data_version`: on every miss, and twice a second by [`Meta::watch`]. A new key therefore works
//! at once and a revoked one stops working within a second.
//!
//! Invariant: no usable secret is in the database (see `keys`).
//!
//! Deliberately elsewhere: what segments there are (`catalog`).

pub mod access_keys;
pub mod accounts;
pub mod audit;
pub mod daily_usage;
pub mod definitions;
mod directory;
pub mod elsewhere;
pub mod invitations;
pub mod organisations;
pub mod projects;
pub mod reports;
pub mod retention;
pub mod saved;
pub mod sdk_files;
pub mod second_factors;
pub mod sessions;

pub use directory::Directory;

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tallymark_protocol::hashing::to_hex;

use crate::anchors::Anchor;
use crate::database::{self, MigrateFailed};
use crate::experiments::served::Served;
use access_keys::AccessKey;
use audit::{Deed, Whose};
use projects::Project;

/// When keys were used is written down this often, and when a server stops.
const USES_EVERY: Duration = Duration::from_secs(30);

/// Why the metadata database failed.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// SQLite failed.
    #[error("the metadata database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the metadata database {0}")]
    Migrate(#[from] MigrateFailed),
    /// A row that this version cannot have written.
    #[error("the metadata database has a row that cannot be: {0}")]
    Corrupt(String),
    /// The audit trail was altered.
    #[error(
        "the audit trail is not as it was written, from its row {row} on: somebody changed the \
         database by hand; a backup has it as it was"
    )]
    AuditBroken {
        /// The first row that is not.
        row: i64,
    },
}

/// The metadata database.
#[derive(Debug, Clone)]
pub struct Meta {
    pool: SqlitePool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// `data_version` only tells of changes by *other* connections, so it needs one of its own
    /// that never writes.
    observer: tokio::sync::Mutex<Observer>,
    directory: RwLock<Arc<Directory>>,
}

#[derive(Debug)]
struct Observer {
    connection: sqlx::SqliteConnection,
    seen_version: Option<i64>,
}

impl Meta {
    /// Open the database, making and migrating it as needed.
    ///
    /// # Errors
    /// When SQLite cannot open it, or it was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, MetaError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool =
            SqlitePoolOptions::new().max_connections(4).connect_with(options.clone()).await?;
        database::migrate(&pool, path, &sqlx::migrate!("migrations/meta")).await?;
        let connection = sqlx::ConnectOptions::connect(&options).await?;
        let observer = tokio::sync::Mutex::new(Observer { connection, seen_version: None });
        let shared = Shared { observer, directory: RwLock::default() };
        let meta = Self { pool, shared: Arc::new(shared) };
        audit::take_in(&meta.pool).await?;
        meta.refresh().await?;
        Ok(meta)
    }

    /// The copy in memory, which may be half a second old.
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The key with this keyed hash and its project, if it is known, not revoked and not over.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find_key(
        &self,
        mac: &[u8; 32],
        now_ms: i64,
    ) -> Result<Option<(Arc<Project>, AccessKey)>, MetaError> {
        if let Some(found) = self.directory().key(mac, now_ms) {
            return Ok(Some(found));
        }
        self.refresh().await?;
        Ok(self.directory().key(mac, now_ms))
    }

    /// The project of this slug.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find_project(&self, slug: &str) -> Result<Option<Arc<Project>>, MetaError> {
        if let Some(found) = self.directory().project(slug) {
            return Ok(Some(found));
        }
        self.refresh().await?;
        Ok(self.directory().project(slug))
    }

    /// Notice what other processes changed, and write down when keys were used. Runs until it is
    /// dropped.
    pub async fn watch(self) {
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut written = Instant::now();
        loop {
            tick.tick().await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "the metadata database cannot be read; keys are as they were");
            }
            if written.elapsed() < USES_EVERY {
                continue;
            }
            written = Instant::now();
            if let Err(error) = self.write_uses().await {
                tracing::warn!(%error, "when keys were used cannot be written down");
            }
        }
    }

    /// Write down when keys were used last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_uses(&self) -> Result<(), MetaError> {
        let directory = self.directory();
        let used = |key: &AccessKey| Some((key.id, key.used.take()?));
        let uses: Vec<_> = directory.keys.values().filter_map(used).collect();
        if uses.is_empty() { Ok(()) } else { self.access_keys().write_uses(&uses).await }
    }

    /// Begin a change that nobody else's comes between.
    async fn change(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, MetaError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Finish a change, and see it.
    async fn commit(
        &self,
        change: sqlx::Transaction<'static, sqlx::Sqlite>,
    ) -> Result<(), MetaError> {
        change.commit().await?;
        self.refresh().await
    }

    /// Read everything again if the database changed since it was last read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn refresh(&self) -> Result<(), MetaError> {
        let mut observer = self.shared.observer.lock().await;
        let version: i64 =
            sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut observer.connection).await?;
        if observer.seen_version == Some(version) {
            return Ok(());
        }
        let mut directory = Directory::default();
        for organisation in organisations::list(&mut observer.connection).await? {
            directory.organisations.insert(organisation.id, Arc::new(organisation));
        }
        for account in accounts::list(&mut observer.connection).await? {
            directory.accounts.insert(account.id, Arc::new(account));
        }
        directory.roles = accounts::list_roles(&mut observer.connection).await?;
        for project in projects::list(&mut observer.connection).await? {
            directory.slugs.insert(project.slug.clone(), project.id);
            directory.projects.insert(project.id, Arc::new(project));
        }
        let before = self.directory();
        for mut key in access_keys::list_live(&mut observer.connection).await? {
            if let Some(known) = before.keys.get(&key.mac) {
                key.used = Arc::clone(&known.used);
            }
            directory.keys.insert(key.mac, key);
        }
        directory.keeps = retention::list(&mut observer.connection).await?;
        for (project, running) in definitions::list_running(&mut observer.connection).await? {
            directory.served.insert(project, Arc::new(Served::new(&running)));
        }
        *self.shared.directory.write().unwrap_or_else(|poisoned| poisoned.into_inner()) =
            Arc::new(directory);
        observer.seen_version = Some(version);
        Ok(())
    }

    /// Where the chains of the audit trail end, after following them from their beginnings.
    ///
    /// # Errors
    /// [`MetaError::AuditBroken`] when a row is not as it was written.
    pub async fn check_audit(&self) -> Result<Vec<audit::Head>, MetaError> {
        audit::check(&self.pool, &mut |_| {}).await
    }

    /// Where the chains end, and which of these anchors they did not pass through: their acts were changed or taken away.
    ///
    /// # Errors
    /// [`MetaError::AuditBroken`] when a row is not as it was written.
    pub async fn check_anchors(
        &self,
        anchors: Vec<Anchor>,
    ) -> Result<(Vec<audit::Head>, Vec<Anchor>), MetaError> {
        let mut left = anchors;
        let mut pass = |head: &audit::Head| {
            let was = |anchor: &Anchor| {
                (anchor.organisation, anchor.acts) == (head.organisation, head.rows)
            };
            if left.iter().any(was) {
                let hash = to_hex(&head.hash);
                left.retain(|anchor| !(was(anchor) && anchor.head == hash));
            }
        };
        let heads = audit::check(&self.pool, &mut pass).await?;
        Ok((heads, left))
    }

    /// What was done in an organisation, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit(
        &self,
        organisation: u32,
        project: Option<u32>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Map<String, Value>>, MetaError> {
        audit::list_all(&self.pool, organisation, project, before, limit).await
    }

    /// Write down what was done without a change of this database: an export, an erasure, a sign-in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note(
        &self,
        whose: Whose,
        subject: &str,
        deed: Deed<'_>,
        what: Value,
    ) -> Result<(), MetaError> {
        let mut change = self.change().await?;
        audit::note(&mut change, whose, subject, deed, None, Some(what)).await?;
        Ok(change.commit().await?)
    }

    /// The table of organisations.
    pub fn organisations(&self) -> organisations::Organisations<'_> {
        organisations::Organisations { meta: self }
    }

    /// The tables of accounts and members.
    pub fn accounts(&self) -> accounts::Accounts<'_> {
        accounts::Accounts { meta: self }
    }

    /// The table of invitations.
    pub fn invitations(&self) -> invitations::Invitations<'_> {
        invitations::Invitations { meta: self }
    }

    /// The tables of second factors.
    pub fn second_factors(&self) -> second_factors::SecondFactors<'_> {
        second_factors::SecondFactors { meta: self }
    }

    /// The table of links to another password.
    pub fn password_links(&self) -> second_factors::PasswordLinks<'_> {
        second_factors::PasswordLinks { meta: self }
    }

    /// The table of accounts that are bound to somebody elsewhere.
    pub fn elsewhere(&self) -> elsewhere::Elsewhere<'_> {
        elsewhere::Elsewhere { meta: self }
    }

    /// The table of projects.
    pub fn projects(&self) -> projects::Projects<'_> {
        projects::Projects { meta: self }
    }

    /// The table of rules about how long events are kept.
    pub fn retention(&self) -> retention::RetentionRules<'_> {
        retention::RetentionRules { meta: self }
    }

    /// The tables of usage by day.
    pub fn daily_usage(&self) -> daily_usage::DailyUsage<'_> {
        daily_usage::DailyUsage { meta: self }
    }

    /// The table of experiments, flags and holdouts.
    pub fn definitions(&self) -> definitions::Definitions<'_> {
        definitions::Definitions { meta: self }
    }

    /// The table of saved cohorts, questions and annotations.
    pub fn saved(&self) -> saved::SavedTable<'_> {
        saved::SavedTable { meta: self }
    }

    /// The table of dashboards that are sent on a schedule.
    pub fn reports(&self) -> reports::Reports<'_> {
        reports::Reports { meta: self }
    }

    /// The table of files of the browser SDK.
    pub fn sdk_files(&self) -> sdk_files::SdkFiles<'_> {
        sdk_files::SdkFiles { meta: self }
    }

    /// The table of keys.
    pub fn access_keys(&self) -> access_keys::AccessKeys<'_> {
        access_keys::AccessKeys { meta: self }
    }

    /// The table of dashboard sessions.
    pub fn sessions(&self) -> sessions::Sessions<'_> {
        sessions::Sessions { pool: &self.pool }
    }

    /// Write a copy of the database to a new file.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn copy_to(&self, path: &Path) -> Result<(), MetaError> {
        Ok(database::copy_to(&self.pool, path).await?)
    }

    /// Whether SQLite finds the database whole; what it complains about otherwise.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, MetaError> {
        Ok(database::check(&self.pool).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Pepper;
    use crate::keys::{Key, KeyKind, Scope, Scopes};
    use crate::sdk::File;
    use access_keys::NewKey;
    use projects::NewProject;
    use tallymark_store::Keep;

    fn shop() -> NewProject {
        let (name, slug, tz) = ("Shop".into(), "shop".into(), "Europe/Berlin".into());
        NewProject { organisation: organisations::MAIN, name, slug, tz }
    }

    const DEED: Deed<'static> = Deed { actor: "test", action: "create", note: "", at_ms: 5 };

    #[tokio::test]
    async fn a_key_made_by_another_process_works_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.sqlite");
        let server = Meta::open(&path).await.unwrap();
        let command = Meta::open(&path).await.unwrap();

        let project = command.projects().create(&shop(), DEED).await.unwrap();
        let key = Key::generate(KeyKind::Secret).unwrap();
        let pepper = Pepper::from_bytes([1; 32]);
        let scopes: Scopes = [Scope::Ingest].into_iter().collect();
        let new = NewKey { name: "servers", scopes, expires_ms: None };
        let made = command.access_keys().create(&project, &key, &pepper, new, DEED).await.unwrap();

        let (found, found_key) = server.find_key(&key.mac(&pepper), 6).await.unwrap().unwrap();
        assert_eq!((found.slug.as_str(), found_key.scopes), ("shop", scopes));
        assert!(server.find_key(&[9; 32], 6).await.unwrap().is_none());

        command.access_keys().end(project.id, made.id, 5, DEED).await.unwrap().unwrap();
        server.refresh().await.unwrap();
        assert!(server.find_key(&key.mac(&pepper), 6).await.unwrap().is_none());
    }

    /// Reliability test 31: how long a wrong key takes says nothing about which of its bytes are right. Student's t of two
    /// classes in random order, the slowest tenth apart, as `dudect` does it; noise may look like a difference once, not
    /// three times. A class is of many keys, because a single one is a little quicker or slower by where chance puts it in a
    /// table.
    #[tokio::test]
    async fn a_wrong_key_takes_equally_long_whichever_byte_is_wrong() {
        const EACH: usize = 100_000;
        let dir = tempfile::tempdir().unwrap();
        let meta = Meta::open(&dir.path().join("meta.sqlite")).await.unwrap();
        let project = meta.projects().create(&shop(), DEED).await.unwrap();
        let random = [7; 32];
        let right = Key::from_random(KeyKind::Secret, &random).unwrap();
        let pepper = Pepper::from_bytes([1; 32]);
        let new = NewKey { name: "servers", scopes: Scopes::all(), expires_ms: None };
        meta.access_keys().create(&project, &right, &pepper, new, DEED).await.unwrap();
        let directory = meta.directory();
        let look = |text: &str| {
            Key::parse(text).and_then(|key| directory.key(&key.mac(&pepper), 6)).is_some()
        };
        assert!(look(right.reveal()));
        // Two letters of 62 are wrong: that makes a thousand keys.
        let but = |at: usize| -> Vec<String> {
            let other = |n: u8, letter: u8| {
                let mut random = random;
                [random[at], random[at + 1]] = [n, letter];
                Key::from_random(KeyKind::Secret, &random).unwrap().reveal().to_owned()
            };
            (8..62).flat_map(|n| (8..27).map(move |letter| other(n, letter))).collect()
        };
        let (first, last) = (but(0), but(20));
        // What is no key at all is known sooner, and has nothing to tell: it shows that the measure sees what there is.
        let broken: Vec<String> =
            first.iter().map(|key| format!("{}x", &key[..key.len() - 1])).collect();
        let differs = |a: &[String], b: &[String]| {
            let mut order = 0x9e37_79b9_7f4a_7c15_u64;
            let mut times = [Vec::with_capacity(EACH), Vec::with_capacity(EACH)];
            // All are read from one place: where chance put the keys of a class in memory tells nothing.
            let mut text = String::new();
            while times.iter().any(|times| times.len() < EACH) {
                order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let class = (order >> 63) as usize;
                let key = &[a, b][class][(order >> 32) as usize % a.len()];
                text.clone_from(key);
                let from = std::time::Instant::now();
                assert!(!look(&text));
                times[class].push(from.elapsed().as_nanos() as f64);
            }
            let mut all: Vec<f64> = times.concat();
            all.sort_by(f64::total_cmp);
            let slow = all[all.len() * 9 / 10];
            let [a, b] = times.map(|times| {
                let times: Vec<f64> = times.into_iter().filter(|time| *time <= slow).collect();
                let n = times.len() as f64;
                let mean = times.iter().sum::<f64>() / n;
                let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
                (mean, squares / (n - 1.0) / n)
            });
            (a.0 - b.0).abs() / (a.1 + b.1).sqrt()
        };
        let seen = differs(&first, &broken);
        assert!(seen > 4.5, "a difference that is there gives t = {seen}");
        let t: Vec<f64> = (0..3).map(|_| differs(&first, &last)).collect();
        assert!(t.iter().any(|t| *t < 4.5), "{t:?}");
    }

    #[tokio::test]
    async fn what_this_process_writes_is_seen_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let meta = Meta::open(&dir.path().join("meta.sqlite")).await.unwrap();
        meta.projects().create(&shop(), DEED).await.unwrap();
        assert!(meta.find_project("shop").await.unwrap().is_some());
        assert!(meta.check().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn rules_of_retention_are_set_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let meta = Meta::open(&dir.path().join("meta.sqlite")).await.unwrap();
        let project = meta.projects().create(&shop(), DEED).await.unwrap().id;
        let rules = meta.retention();
        assert_eq!(meta.directory().keep(project), Keep::default());
        let events = [("seen".to_owned(), Some(30)), ("paid".to_owned(), None)].into();
        for keep in [Keep { days: Some(400), events }, Keep { days: Some(400), ..Keep::default() }]
        {
            rules.replace(project, &keep, DEED).await.unwrap();
            rules.replace(project, &keep, DEED).await.unwrap();
            assert_eq!(meta.directory().keep(project), keep);
        }
        let acts = meta.audit(organisations::MAIN, Some(project), None, 10).await.unwrap();
        let acts: Vec<_> = acts.iter().filter(|act| act["subject"] == "retention").collect();
        assert_eq!(acts.len(), 2, "what changes nothing is no act");
        assert_eq!(acts[1]["after"]["events"]["seen"], 30);
        assert_eq!(meta.directory().keep(project + 1), Keep::default());
    }

    #[tokio::test]
    async fn a_build_of_the_sdk_stays_as_it_was_first_kept() {
        let dir = tempfile::tempdir().unwrap();
        let meta = Meta::open(&dir.path().join("meta.sqlite")).await.unwrap();
        let first = File { name: "a.js", bytes: b"first", brotli: None };
        let second = File { bytes: b"second", ..first };
        for (build, file) in [("one", first), ("one", second), ("two", second)] {
            meta.sdk_files().keep(build, &[file]).await.unwrap();
        }
        let find = async |build, name| meta.sdk_files().find(build, name).await.unwrap();
        assert_eq!(find("one", "a.js").await.as_deref(), Some(&b"first"[..]));
        assert_eq!(find("two", "a.js").await.as_deref(), Some(&b"second"[..]));
        assert_eq!(find("two", "b.js").await, None);
        assert_eq!(find("three", "a.js").await, None);
    }

    #[tokio::test]
    async fn a_slug_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let meta = Meta::open(&dir.path().join("meta.sqlite")).await.unwrap();
        meta.projects().create(&shop(), DEED).await.unwrap();
        let again = meta.projects().create(&shop(), DEED).await.unwrap_err();
        assert!(matches!(again, projects::Refused::SlugTaken(slug) if slug == "shop"));
    }
}
