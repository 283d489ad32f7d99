//! The collector as a value: everything a request or a command needs, opened once.
//!
//! In: a data folder and settings. Out: [`App`], cheap to clone.
//!
//! Invariant: one process has one `App` per data folder; the store's lock sees to it.
//!
//! Deliberately elsewhere: HTTP (`router`, `server`), commands (`cli`).

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use serde::Serialize;
use serde_json::Value;
use tallymark_analysis::answer::{AnswerBody, Facts};
use tallymark_analysis::compile;
use tallymark_analysis::experiment::loss;
use tallymark_analysis::question::Compiled;
use tallymark_protocol::hashing::ServerHasher;
use tallymark_store::{OpenError, Progress, Retention, Store, StoreOptions, TRACE, Zones};
use tokio::sync::Semaphore;
use tracing::field::Empty;

use crate::bounds;
use crate::bulk::under_way::Works;
use crate::catalog::{CatalogOpenError, SqliteCatalog};
use crate::clock::Clock;
use crate::config::{Config, machine_bytes};
use crate::dashboard::Looks;
use crate::error::ApiError;
use crate::experiments::asked::{self, Defined};
use crate::experiments::losses;
use crate::folder::{Folder, FolderError, Pepper};
use crate::ingest::bots::{BotFileError, Bots};
use crate::ingest::country::{Countries, CountryFileError};
use crate::ingest::day_salts::DaySalts;
use crate::ingest::dims::Describer;
use crate::ingest::rate::Rates;
use crate::live::Live;
use crate::mail::{Mailer, MailerError};
use crate::meta::audit::{Deed, Whose};
use crate::meta::projects::Project;
use crate::meta::{Meta, MetaError};
use crate::saved::resolve::resolve;
use crate::signin::links::SignInTokens;
use crate::signin::oidc::{Oidc, OidcError};
use crate::signin::throttle::Throttle;
use crate::telemetry::Telemetry;
use crate::usage::quotas::Policy;
use crate::usage::spent::{Stored, Told};

/// Everything, shared.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
pub struct Parts {
    /// The only source of time.
    pub clock: Clock,
    /// The settings in force.
    pub config: Config,
    /// Where the files are.
    pub folder: Folder,
    /// The secret of this installation.
    pub pepper: Pepper,
    /// Projects, keys, sessions.
    pub meta: Meta,
    /// The events.
    pub store: Arc<Store>,
    /// Which segments there are.
    pub(crate) catalog: Arc<SqliteCatalog>,
    /// Every metric.
    pub telemetry: Arc<Telemetry>,
    pub(crate) salts: DaySalts,
    /// What events have in common: where they come from, and from what.
    pub(crate) describer: Describer,
    pub(crate) rates: Rates,
    pub(crate) ingest_slots: Semaphore,
    /// Files that go out over HTTP or come in at one time.
    pub(crate) exports: Arc<Semaphore>,
    /// Imports and exports that are going on.
    pub works: Arc<Works>,
    /// Bodies beyond 64 KiB that may be in memory at one time.
    pub(crate) large_bodies: Arc<Semaphore>,
    pub(crate) sign_in: SignInTokens,
    pub(crate) throttle: Throttle,
    /// Quotas of which was said that they are exceeded.
    pub(crate) told: Told,
    pub(crate) stored: Stored,
    /// Who looks at what goes on.
    pub live: Live,
    /// Sends mails, where a server is set.
    pub mailer: Mailer,
    /// Signing in with accounts of elsewhere, where it is set.
    pub oidc: Option<Oidc>,
    /// Questions being answered or waiting.
    questions_admitted: Arc<Semaphore>,
    /// Questions being answered.
    questions_running: Arc<Semaphore>,
    hashers: Mutex<HashMap<u32, Arc<ServerHasher>>>,
    /// What changed in projects, as it was looked at last.
    pub(crate) looks: Looks,
}

/// Why an app cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The data folder or the pepper.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The file of countries.
    #[error(transparent)]
    Countries(#[from] CountryFileError),
    /// The file of robots.
    #[error(transparent)]
    Bots(#[from] BotFileError),
    /// The settings of mails.
    #[error(transparent)]
    Mailer(#[from] MailerError),
    /// The settings of signing in elsewhere.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// The metadata database.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The catalog database.
    #[error(transparent)]
    Catalog(#[from] CatalogOpenError),
    /// The store; among others, that another process has it.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The opening thread was stopped.
    #[error("opening the store was interrupted")]
    Interrupted,
}

/// The answer to a question, with what the collector knows about it.
#[derive(Debug, Serialize)]
pub struct Answered {
    /// The question in full, defaults filled in.
    pub definition: Value,
    /// Whether late events may no longer change it.
    pub complete: bool,
    /// Days (UTC) of the range that got events more than 72 hours after they had ended: what was
    /// said of them before may have been less.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restated: Vec<String>,
    /// Rows looked at, before any filter.
    pub rows_scanned: u64,
    /// From the question to the answer, waiting included.
    pub elapsed_ms: f64,
    /// Of an experiment that is defined here: the definition behind the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defined: Option<Defined>,
    /// The figures.
    #[serde(flatten)]
    pub body: AnswerBody,
}

/// Somebody waits for an answer, as long as this lives.
pub struct Waiting(Arc<Progress>);

impl Waiting {
    /// Whoever waits for what this progress is of.
    pub fn on(progress: Arc<Progress>) -> Self {
        Self(progress)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// With 1 MiB on the wire and 1 MiB unpacked each: 64 MiB.
const LARGE_BODIES_MAX: usize = 32;
/// Exports and imports over HTTP at one time: each holds a thread, an export as long as its reader likes.
const EXPORTS_MAX: usize = 4;

impl App {
    /// Open a data folder, making and migrating what is missing.
    ///
    /// # Errors
    /// [`AppError`]; [`OpenError::Locked`] inside it when another process has the folder.
    pub async fn open(folder: Folder, config: Config, clock: Clock) -> Result<Self, AppError> {
        folder.create()?;
        let countries = Countries::open(&config.country_file)?;
        let describer = Describer::new(countries, Bots::open(&config.bot_file)?);
        let pepper = folder.pepper()?;
        let meta = Meta::open(&folder.meta_db()).await?;
        let catalog = SqliteCatalog::open(&folder.catalog_db()).await?;
        let catalog = Arc::new(catalog.keep_refused(config.quarantine_events));
        let zones = {
            let meta = meta.clone();
            // A project that nobody knows any more has no days that anybody asks for.
            let zone = move |id| meta.directory().zone(id).unwrap_or("UTC").to_owned();
            Zones::new(zone)
        };
        let retention = {
            let meta = meta.clone();
            Retention::new(move |id| meta.directory().keep(id))
        };
        let options = StoreOptions {
            zones,
            retention,
            now_ms: {
                let clock = clock.clone();
                Arc::new(move || clock.now_ms())
            },
            ..bounds::of_store(&config, machine_bytes(), folder.root())
        };
        let of_store = Arc::clone(&catalog);
        // Replay reads files and asks the catalog, which blocks: not on a thread of the runtime.
        let store = tokio::task::spawn_blocking(move || Store::open(options, of_store))
            .await
            .map_err(|_| AppError::Interrupted)??;
        let running = config.query_concurrency as usize;
        let telemetry = Arc::new(Telemetry::with_prefix(&config.metrics_prefix.0));
        telemetry.last_event.set(clock.now_ms() / 1000);
        Ok(Self(Arc::new(Parts {
            describer,
            salts: DaySalts::new(folder.day_salts(), pepper.clone()),
            rates: Rates::default(),
            stored: Stored::default(),
            ingest_slots: Semaphore::new(config.ingest_concurrency as usize),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES_MAX)),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            works: Arc::default(),
            sign_in: SignInTokens::default(),
            throttle: Throttle::default(),
            questions_admitted: Arc::new(Semaphore::new(running + config.query_waiting as usize)),
            questions_running: Arc::new(Semaphore::new(running)),
            hashers: Mutex::default(),
            looks: Looks::default(),
            telemetry,
            told: Told::default(),
            live: Live::new(config.live_streams),
            mailer: Mailer::of(&config)?,
            oidc: Oidc::of(&config)?,
            store: Arc::new(store),
            catalog,
            clock,
            config,
            folder,
            pepper,
            meta,
        })))
    }

    /// Answer a question about a project.
    ///
    /// # Errors
    /// [`ApiError::Question`] when it makes no sense, [`ApiError::Busy`] when too many are waiting.
    pub async fn ask(
        &self,
        project: &Project,
        kind: &str,
        body: Value,
    ) -> Result<Answered, ApiError> {
        self.ask_watched(project, kind, body, Arc::default()).await
    }

    /// The same for somebody who watches how far it is. Dropping the future, as a server does when a client
    /// goes away, stops the work; so does [`query_timeout_ms`](Config::query_timeout_ms).
    ///
    /// # Errors
    /// As [`ask`](Self::ask); [`ApiError::QuestionTooSlow`] after that time.
    pub async fn ask_watched(
        &self,
        project: &Project,
        kind: &str,
        body: Value,
        progress: Arc<Progress>,
    ) -> Result<Answered, ApiError> {
        let began = Instant::now();
        let context = project.context(self.clock.now_ms());
        let (mut body, defined) = match kind {
            "experiment" => self.defined(project.id, body, context.now_ms).await?,
            _ => (body, None),
        };
        resolve(&self.meta, project.id, &mut body, Vec::new()).await?;
        let question = compile(kind, body, &context)?;
        let project_id = project.id;
        let facts = Facts { now_ms: context.now_ms };
        progress.expect(question.looks());
        let waiting = Waiting::on(Arc::clone(&progress));
        let span = tracing::info_span!(target: TRACE, "question", question.kind = kind, question.rows_scanned = Empty);
        let work = self.in_turn(move |app| {
            let span = span.entered();
            let mut rows_scanned = 0;
            let snapshot = app.store.snapshot();
            let restated = restated(&app.store, project_id, &question.definition)?;
            let mut ask = |question: &Compiled| {
                question.ask(&facts, |analysis| {
                    let asked = snapshot.ask_watched(project_id, analysis, &progress)?;
                    rows_scanned += asked.rows_scanned;
                    Ok::<_, ApiError>(asked.partial)
                })
            };
            let mut answer = ask(&question)?;
            if let AnswerBody::Experiment(result) = &mut answer.body
                && question.definition["loss"] == true
                && let Some(losses) = losses::of_arms(result, &question.definition, &context, ask)?
            {
                loss::judge(result, losses);
            }
            span.record("question.rows_scanned", rows_scanned);
            progress.end();
            Ok::<_, ApiError>((answer, restated, rows_scanned, question.definition))
        });
        let (answer, restated, rows_scanned, definition) = work.await?;
        drop(waiting);
        let elapsed = began.elapsed();
        self.telemetry.questions.inc();
        self.telemetry.question_seconds.observe(elapsed.as_secs_f64());
        Ok(Answered {
            definition,
            complete: answer.complete,
            restated,
            rows_scanned,
            elapsed_ms: elapsed.as_secs_f64() * 1e3,
            defined,
            body: answer.body,
        })
    }

    /// Work that reads many events, on a thread that may block: it takes its turn among the questions, and has as much
    /// time as one. Whoever drops the future stops the work by other means.
    ///
    /// # Errors
    /// [`ApiError::Busy`] when too many wait, [`ApiError::QuestionTooSlow`], and what the work gives.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&App) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let admitted =
            Arc::clone(&self.questions_admitted).try_acquire_owned().map_err(|_| ApiError::Busy)?;
        let running = Arc::clone(&self.questions_running)
            .acquire_owned()
            .await
            .map_err(|_| ApiError::Busy)?;
        let work = self.blocking(move |app| {
            // The permits live as long as the work does, also the moment that it takes to stop.
            let _permits = (admitted, running);
            work(app)
        });
        let patience = Duration::from_millis(self.config.query_timeout_ms);
        tokio::time::timeout(patience, work).await.map_err(|_| ApiError::QuestionTooSlow)?
    }

    /// Fill in a question about an experiment that is defined here.
    async fn defined(
        &self,
        project: u32,
        body: Value,
        now_ms: i64,
    ) -> Result<(Value, Option<Defined>), ApiError> {
        let Some(key) = body.get("experiment").and_then(Value::as_str) else {
            return Ok((body, None));
        };
        let Some(stored) = self.meta.definitions().find(project, key).await? else {
            return Ok((body, None));
        };
        let neighbours = match body.get("interactions") {
            None => {
                asked::neighbours(&stored, &self.meta.definitions().list(project).await?, now_ms)
            }
            Some(_) => Vec::new(),
        };
        Ok(asked::complete(body, &stored, &neighbours, now_ms))
    }

    /// The token of a new one-time link: `/signin?token=…`.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn sign_in_token(&self) -> Result<String, getrandom::Error> {
        self.sign_in.issue()
    }

    /// Write down in the audit trail what somebody did with a project's data: what changes no definition and
    /// no setting. `subject` names no person.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note(
        &self,
        project: u32,
        who: &str,
        (action, subject): (&str, &str),
        what: Value,
    ) -> Result<(), ApiError> {
        let deed = Deed { actor: who, action, note: "", at_ms: self.clock.now_ms() };
        Ok(self.meta.note(Whose::Project(project), subject, deed, what).await?)
    }

    /// Run something that reads files on a thread that may block.
    ///
    /// # Errors
    /// What `work` says; [`ApiError::Internal`] when it panicked.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&App) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = self.clone();
        tokio::task::spawn_blocking(move || work(&app)).await?
    }

    /// The quotas in force in a project: metric, limit and policy.
    pub fn quotas<'a>(&'a self, project: &'a Project) -> BTreeMap<&'a str, (u64, Policy)> {
        if !self.config.quotas_enabled {
            return BTreeMap::new();
        }
        self.config.quota_defaults.with(&project.settings.quotas)
    }

    /// The keyed hash of a project's ids; its key is derived once.
    pub fn hasher(&self, project: u32) -> Arc<ServerHasher> {
        let mut hashers = self.hashers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let make = || Arc::new(ServerHasher::new(self.pepper.bytes(), project));
        Arc::clone(hashers.entry(project).or_insert_with(make))
    }
}

/// The restated days of a question's range, as its definition says it.
fn restated(store: &Store, project: u32, definition: &Value) -> Result<Vec<String>, ApiError> {
    let instant = |field: &str| definition[field].as_str()?.parse::<jiff::Timestamp>().ok();
    let (Some(from), Some(to)) = (instant("from"), instant("to")) else { return Ok(Vec::new()) };
    let days = store.restated(project, from.as_millisecond(), to.as_millisecond())?;
    let epoch = jiff::civil::date(1970, 1, 1);
    let date = |day: i32| epoch.checked_add(jiff::Span::new().try_days(day).ok()?).ok();
    Ok(days.into_iter().filter_map(date).map(|date| date.to_string()).collect())
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("folder", &self.folder).finish_non_exhaustive()
    }
}
