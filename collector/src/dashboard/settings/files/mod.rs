//! Imports and exports of a project: what goes on, how it ended, and forms that begin more.
//!
//! In: files and choices of people. Out: a page that says how far the work is while it comes, whoever began it: this
//! page, a command, a program or the schedule. Work goes on when its page is closed; who wants no more of it says so.
//!
//! An export is a download, for which the page has a frame that nobody sees, so that the page stays and shows how far
//! it is.
//!
//! Deliberately elsewhere: what the work is (`bulk`), how files are received (`upload`).

mod upload;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::runtime::Handle;
use tokio::time::timeout;
use url::form_urlencoded;

use super::{Frame, Tab, frame};
use crate::access::{Caller, Role, Tenant};
use crate::app::App;
use crate::bulk::import::import_seen;
use crate::bulk::under_way::{Outcome, What, Work};
use crate::dashboard::build::question::Fields as Wanted;
use crate::dashboard::build::wait::{HowFar, Wait};
use crate::dashboard::form::{Fields, Said, Trouble, moment};
use crate::dashboard::page::PAGE_POLICY;
use crate::dashboard::words::{filters, say, t};
use crate::dashboard::{Shell, format};
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::query::range::parse_days;

/// The forms of files.
const FORMS: &[&str] = &["csv", "jsonl", "parquet"];
/// Ended ones on the page.
const ROWS: usize = 20;
/// An export that has not begun after this time does not begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "settings/files.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    running: Vec<Row>,
    answer: String,
    may_import: bool,
    import: Fields,
    export: Typed,
    /// Address of what is being exported.
    download: Option<String>,
}

/// What an export was asked with.
#[derive(Default)]
struct Typed {
    from: String,
    to: String,
    event: String,
    format: String,
}

/// Work on the page.
struct Row {
    number: u64,
    what: &'static str,
    name: String,
    who: String,
    since: String,
    /// What became of it.
    said: String,
    is_bad: bool,
    /// Refused rows.
    notes: Vec<String>,
    may_stop: bool,
}

/// What ended.
#[derive(Template)]
#[template(path = "settings/files_ended.html")]
struct Ended {
    rows: Vec<Row>,
    /// Why what was asked for did not begin.
    missing: bool,
    trail: Option<String>,
}

/// `GET /p/{slug}/settings/files`; with `export` one of `from`, `to`, `event` and `format` begins.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let wanted = Wanted::read(query.as_deref().unwrap_or(""));
    let text = |name| wanted.get(name).unwrap_or_default().to_owned();
    let typed =
        Typed { from: text("from"), to: text("to"), event: text("event"), format: text("format") };
    let (download, said) = match wanted.get("export").map(|_| address(&project, &typed)) {
        None => (None, (StatusCode::OK, Said::default())),
        Some(Ok(address)) => (Some(address), (StatusCode::OK, Said::default())),
        Some(Err(refused)) => (None, Said::refusal(refused)?),
    };
    let forms = Forms { import: Fields::default(), export: typed, download };
    Ok(page(&app, &caller, &project, forms, said).await)
}

/// Where the events of an export are.
fn address(project: &Project, typed: &Typed) -> Result<String, ApiError> {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (from, to) = (given(&typed.from), given(&typed.to));
    let range = parse_days(from.as_deref(), to.as_deref(), &project.tz)?;
    let instant = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
    let all = [
        ("project", Some(project.slug.clone())),
        ("format", given(&typed.format)),
        ("event", given(&typed.event)),
        ("from", from.map(|_| instant(range.start))),
        ("to", to.map(|_| instant(range.end))),
    ];
    let all = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let mut out = form_urlencoded::Serializer::for_suffix("/v1/export?".to_owned(), 11);
    Ok(out.extend_pairs(all).finish())
}

/// What stands in the forms.
struct Forms {
    import: Fields,
    export: Typed,
    download: Option<String>,
}

async fn page(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    forms: Forms,
    (status, said): (StatusCode, Said),
) -> Response {
    let (shell, frame) = frame(app, caller, project, Tab::Files, said);
    let may_import = caller.role >= Role::Admin;
    let works = app.works.running(project.id);
    let row = |work: &Arc<Work>| row(work, caller, project);
    let Forms { import, export, download } = forms;
    let is_download = download.is_some();
    let page = |answer| Page {
        shell,
        frame,
        running: works.iter().map(row).collect(),
        answer,
        may_import,
        import,
        export,
        download,
    };
    let together = Arc::new(Together(Mutex::new(works.clone())));
    let asking = {
        let (app, caller, project) = (app.clone(), caller.clone(), Arc::clone(project));
        let together = Arc::clone(&together);
        async move {
            let missing = is_download && !begins(&app, &project, &together).await;
            together.end(&app).await;
            let works = app.works.ended(project.id);
            let rows = works.iter().take(ROWS).map(|work| self::row(work, &caller, &project));
            let trail = (caller.role >= Role::Admin).then(|| Tab::Audit.address(&project, ""));
            Ended { rows: rows.collect(), missing, trail }.to_string()
        }
    };
    let wait = Wait { asking, progress: together, cancel: String::new() };
    let mut response = wait.within_as(status, page).await;
    if is_download
        && let Ok(policy) = HeaderValue::try_from(format!("{PAGE_POLICY}; frame-src 'self'"))
    {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Work that a page waits for.
struct Together(Mutex<Vec<Arc<Work>>>);

impl Together {
    fn works(&self) -> Vec<Arc<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, work: Arc<Work>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(work);
    }

    /// Until all of it has ended.
    async fn end(&self, app: &App) {
        let mut changes = app.works.changes();
        while self.works().iter().any(|work| work.outcome().is_none()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl HowFar for Together {
    fn share(&self) -> f64 {
        let works = self.works();
        works.iter().map(|work| work.share()).sum::<f64>() / works.len().max(1) as f64
    }

    fn read(&self) -> u64 {
        self.works().iter().map(|work| work.rows()).sum()
    }
}

/// Wait for the export that the page's frame asks for; gives whether it has begun.
async fn begins(app: &App, project: &Project, together: &Together) -> bool {
    let mut changes = app.works.changes();
    let before = app.works.begun();
    let is_it = |work: &Arc<Work>| work.number > before && work.what == What::Export;
    let begun = async {
        loop {
            let works = app.works.running(project.id).into_iter();
            if let Some(work) = works.chain(app.works.ended(project.id)).find(is_it) {
                return together.add(work);
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    timeout(BEGINS_WITHIN, begun).await.is_ok()
}

fn row(work: &Arc<Work>, caller: &Caller, project: &Project) -> Row {
    let (said, is_bad) = match work.outcome() {
        None => (String::new(), false),
        Some(Outcome::Imported(summary)) => {
            let [stored, there, refused] =
                [summary.stored, summary.duplicate, summary.refused].map(format::count);
            let values = [("stored", &*stored), ("there", &*there), ("refused", &*refused)];
            let said =
                say("{stored} stored, {there} were stored before, {refused} refused", &values);
            (said, summary.refused > 0)
        }
        Some(Outcome::Exported(events)) => (format::counted(*events, "event", "events"), false),
        Some(Outcome::Stopped) if work.what == What::Import => {
            (t("Stopped; nothing of it is stored").to_owned(), false)
        }
        Some(Outcome::Stopped) => (t("Stopped; the file is not whole").to_owned(), false),
        Some(Outcome::Failed(why)) => (why.clone(), true),
    };
    let what = match work.what {
        What::Import => t("Import"),
        What::Export => t("Export"),
    };
    Row {
        number: work.number,
        what,
        name: work.name.clone(),
        who: work.who.clone(),
        since: moment(work.since_ms, &project.tz),
        said,
        is_bad,
        notes: work.notes(),
        may_stop: may_stop(work, caller),
    }
}

/// Whoever began it, and whoever looks after the project.
fn may_stop(work: &Work, caller: &Caller) -> bool {
    caller.role >= Role::Admin || work.who == caller.name()
}

/// `POST /p/{slug}/settings/files`: files into the project.
pub async fn import(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Trouble> {
    let form = form.map_err(|_| ApiError::BodyBroken)?;
    let place = app.exports.clone().try_acquire_owned().map_err(|_| ApiError::Busy)?;
    let upload = upload::receive(&app, form).await;
    let (import, ready) = match upload {
        Ok(upload::Received { fields, sources }) => {
            let how = upload::how(&fields, &sources);
            (fields, how.map(|how| (how, sources)))
        }
        Err(refused) => (Fields::default(), Err(refused)),
    };
    match ready {
        Err(refused) => {
            let said = Said::refusal(refused)?;
            let forms = Forms { import, export: Typed::default(), download: None };
            Ok(page(&app, &caller, &project, forms, said).await)
        }
        Ok((how, sources)) => {
            let mut changes = app.works.changes();
            let (of, to, handle) = (app.clone(), Arc::clone(&project), Handle::current());
            tokio::task::spawn_blocking(move || {
                let _place = place;
                let by = (&*to, &*caller.name());
                if let Err(error) = import_seen(&of, &handle, by, &how, sources, None) {
                    tracing::info!(
                        error = format!("{error:#}"),
                        "an import ended without being stored"
                    );
                }
            });
            // The page that is led to shows it.
            let _ = changes.changed().await;
            Ok(Tab::Files.back(&project, ""))
        }
    }
}

/// `POST /p/{slug}/settings/files/{number}/stop`: no more of it.
pub async fn stop(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_, number)): Path<(String, u64)>,
) -> Result<Response, Trouble> {
    let running = app.works.running(project.id);
    if let Some(work) = running.iter().find(|work| work.number == number) {
        if !may_stop(work, &caller) {
            return Err(ApiError::RoleMissing(Role::Admin).into());
        }
        work.stop();
    }
    // What has ended meanwhile is on the page with what became of it.
    Ok(Tab::Files.back(&project, ""))
}
