//! `tallymark import`, `export`, `query` and `demo`: arguments, and where the work is done.
//!
//! When a server owns the data folder the task is handed to it, else the store is opened here.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tallymark_store::OpenError;
use tokio::runtime::Handle;

use crate::app::{App, AppError};
use crate::bulk::at::AtFormat;
use crate::bulk::csv_in::{CsvOptions, Delimiter};
use crate::bulk::demo::DemoTask;
use crate::bulk::export::ExportTask;
use crate::bulk::form::Form;
use crate::bulk::import::{How, ImportTask};
use crate::bulk::mapping::MapItem;
use crate::clock::Clock;
use crate::config::Config;
use crate::console::Terminal;
use crate::control;
use crate::folder::Folder;
use crate::task::{QueryTask, Task};

/// Arguments of `import`.
///
/// Columns go by their names: id, name, at, user, device, session and seq are fields of the event,
/// built-in properties such as path or browser are themselves, every other column becomes a
/// property.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Into which project: its slug.
    #[arg(long)]
    project: String,
    /// The form of the files.
    #[arg(long, value_enum)]
    format: Form,
    /// field=column takes a field from another column, field==text gives every row the same:
    /// --map user=customer,name==purchase
    #[arg(long, value_delimiter = ',', value_name = "FIELD=COLUMN")]
    map: Vec<MapItem>,
    /// user and device hold the hashes a browser makes, 64 hexadecimal digits, not raw ids.
    #[arg(long)]
    hashed: bool,
    /// How times are written. auto: numbers by their size as s, ms, µs or ns, eight digits such as
    /// 19970101 as a date, texts as RFC 3339 or ISO dates, in the project's zone if they name none.
    #[arg(long, value_enum, default_value = "auto")]
    at_format: AtFormat,
    /// csv: what parts the columns: one character, tab or whitespace.
    #[arg(long, default_value = ",")]
    delimiter: Delimiter,
    /// csv: the first line is a row, not the names of the columns.
    #[arg(long, requires = "columns")]
    no_header: bool,
    /// csv: the names of the columns.
    #[arg(long, value_delimiter = ',')]
    columns: Vec<String>,
    /// The files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl ImportArgs {
    /// The task.
    pub fn task(self, json: bool) -> anyhow::Result<Task> {
        // A server has another working directory.
        let absolute =
            |path: PathBuf| path.canonicalize().with_context(|| path.display().to_string());
        Ok(Task::Import(ImportTask {
            project: self.project,
            paths: self.paths.into_iter().map(absolute).collect::<Result<_, _>>()?,
            how: How {
                form: self.format,
                map: self.map,
                hashed: self.hashed,
                at_format: self.at_format,
                csv: CsvOptions {
                    delimiter: self.delimiter,
                    header: !self.no_header,
                    columns: self.columns,
                },
            },
            json,
        }))
    }
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Of which project: its slug.
    #[arg(long)]
    project: String,
    /// First event time: a date (its midnight in the project's zone) or an RFC 3339 instant.
    #[arg(long)]
    from: Option<String>,
    /// End of event times, not included.
    #[arg(long)]
    to: Option<String>,
    /// The form.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Form,
}

impl ExportArgs {
    /// The task.
    pub fn task(self) -> Task {
        let Self { project, from, to, format } = self;
        Task::Export(ExportTask { project, from, to, form: format })
    }
}

/// Arguments of `query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The kind of question: trend, active, funnel, retention, lifecycle, stickiness, experiment,
    /// content, pwa, paths, sessions, attribution, persons, person or explain.
    kind: String,
    /// About which project: its slug.
    #[arg(long)]
    project: String,
    /// A file with the question as JSON, as POST /v1/query takes it; - reads standard input.
    file: PathBuf,
}

impl QueryArgs {
    /// The task.
    pub fn task(self) -> anyhow::Result<Task> {
        let question = if self.file.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            text
        } else {
            std::fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?
        };
        Ok(Task::Query(QueryTask { project: self.project, kind: self.kind, question }))
    }
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// About how many events; 300,000 if not said.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    events: Option<u64>,
    /// The project's slug; it is made if it is not there.
    #[arg(long, default_value = "demo")]
    slug: String,
}

impl DemoArgs {
    /// The task.
    pub fn task(self, json: bool) -> Task {
        Task::Demo(DemoTask { events: self.events, slug: self.slug, json })
    }
}

/// A server that is starting or stopping holds the folder without taking commands. This long, in
/// steps of [`TRY_AGAIN`].
const TRIES: u32 = 100;
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Run a task, here or in the server that owns the folder.
pub async fn run(task: Task, folder: Folder, config: Config) -> anyhow::Result<ExitCode> {
    if !matches!(task, Task::Demo(_)) {
        folder.must_exist()?;
    }
    let handle = Handle::current();
    for _ in 0..TRIES {
        let (handed, socket) = (task.clone(), folder.control_socket());
        let handed = tokio::task::spawn_blocking(move || {
            let mut terminal = Terminal::default();
            let code = control::hand_over(&socket, &handed, &mut terminal);
            terminal.close()?;
            code
        });
        if let Some(code) = handed.await?? {
            return Ok(code);
        }
        match App::open(folder.clone(), config.clone(), Clock::System).await {
            Ok(app) => {
                return tokio::task::spawn_blocking(move || here(&task, &app, &handle)).await?;
            }
            Err(AppError::Store(OpenError::Locked { .. })) => tokio::time::sleep(TRY_AGAIN).await,
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!(
        "{} is in use by a process that takes no commands; stop it, or wait until it has started",
        folder.root().display()
    )
}

fn here(task: &Task, app: &App, handle: &Handle) -> anyhow::Result<ExitCode> {
    let mut terminal = Terminal::default();
    let outcome = task.run(app, handle, &mut terminal);
    app.store.close();
    terminal.close()?;
    outcome.map(|()| ExitCode::SUCCESS)
}
