//! `tallymark import`: files of events into a project.
//!
//! In: files and how to read them. Out: stored rows and a [`Summary`].
//!
//! Invariant: everything is stored, or nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tallymark_store::row::flags;
use tokio::runtime::Handle;

use super::at::{AtFormat, AtReader};
use super::csv_in::CsvOptions;
use super::draft::Drafter;
use super::form::Form;
use super::mapping::{MapItem, Mapping};
use super::people::{Ids, People};
use super::table::Rows;
use super::under_way::{Outcome, Seen, What};
use super::work::{self, Batch, Job, Summary};
use super::{csv_in, jsonl_in, parquet_in};
use crate::app::App;
use crate::console::Console;
use crate::meta::projects::Project;
use crate::query::people::needs_lasting_ids;

/// What to import and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportTask {
    /// The project's slug.
    pub project: String,
    /// The files, by absolute paths.
    pub paths: Vec<PathBuf>,
    /// How to read them.
    pub how: How,
    /// Whether the summary is printed as JSON.
    pub json: bool,
}

/// How files are read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct How {
    /// The form of the files.
    pub form: Form,
    /// `--map`.
    pub map: Vec<MapItem>,
    /// Whether `user` and `device` are hashes already.
    pub hashed: bool,
    /// How times are written.
    pub at_format: AtFormat,
    /// Of CSV files.
    pub csv: CsvOptions,
}

/// A file to read.
#[derive(Debug)]
pub struct Source {
    /// What it is called.
    pub name: Arc<Path>,
    /// Its content.
    pub file: File,
}

impl Source {
    /// The file at a path.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        Ok(Self { name: Arc::from(path), file })
    }
}

/// An import of this many new rows ends with merging them into what was there.
const SETTLE_ROWS: u64 = 1 << 20;

/// Run an import that can be seen and stopped, and write down in the trail what it did.
///
/// # Errors
/// As [`import`], and when the trail cannot be written.
pub fn import_seen(
    app: &App,
    handle: &Handle,
    (project, who): (&Project, &str),
    how: &How,
    sources: Vec<Source>,
    console: Option<&mut dyn Console>,
) -> anyhow::Result<Summary> {
    let file_name = |source: &Source| {
        let name = source.name.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let names: Vec<String> = sources.iter().map(file_name).collect();
    let now_ms = app.clock.now_ms();
    let work = app.works.begin(project.id, What::Import, who, &names.join(", "), now_ms);
    let mut seen = Seen { console, work: &work };
    let done = import(app, project, how, sources, &mut seen).and_then(|summary| {
        let what = serde_json::to_value(&summary)?;
        handle.block_on(app.note(project.id, who, ("import", "events"), what))?;
        Ok(summary)
    });
    work.end(&done, |summary| Outcome::Imported(summary.clone()));
    done
}

/// Run an import.
///
/// # Errors
/// When a file cannot be opened or is of another form, or the store cannot write. Then nothing is
/// stored, and importing again is safe.
pub fn import(
    app: &App,
    project: &Project,
    how: &How,
    sources: Vec<Source>,
    console: &mut dyn Console,
) -> anyhow::Result<Summary> {
    needs_lasting_ids(app, project)?;
    let mapping = Mapping::new(&how.map);
    let sizes = sources.iter().map(size).collect::<anyhow::Result<Vec<_>>>()?;
    let hasher = app.hasher(project.id);
    let ids = if how.hashed { Ids::Hashed } else { Ids::Raw };
    let people = People::new(&project.salt, &hasher, ids);
    let at = AtReader::new(how.at_format, jiff::tz::TimeZone::get(&project.tz)?);
    let flags = flags::SERVER | flags::IMPORTED;
    let job = Job {
        store: &app.store,
        project: project.id,
        drafter: Drafter::new(project.id, people, at, app.clock.now_ms(), flags),
        mapping: &mapping,
        total: sizes.iter().sum(),
    };
    let summary = work::run(&job, console, |give| {
        let mut before = 0;
        for (Source { name, file }, size) in sources.into_iter().zip(sizes) {
            let mut give = |rows, bytes: u64| {
                give(Batch { path: Arc::clone(&name), rows, done: before + bytes.min(size) })
            };
            match how.form {
                Form::Csv => csv_in::read(file, &how.csv, &mapping, &mut give),
                Form::Jsonl => jsonl_in::read(file, &mut give),
                Form::Parquet => parquet_in::read(file, &mapping, &mut give),
            }
            .with_context(|| name.display().to_string())?;
            before += size;
        }
        Ok(())
    })?;
    if summary.stored >= SETTLE_ROWS
        && let Err(error) = app.store.settle()
    {
        // What was imported is on disk; questions are only slower until it is merged.
        tracing::warn!(%error, "the imported events could not be merged yet");
    }
    Ok(summary)
}

/// Takes rows from a reader, and how many bytes of the file are behind us with them.
pub type GiveRows<'a> = &'a mut dyn FnMut(Box<dyn Rows>, u64) -> anyhow::Result<()>;

/// Print a summary.
///
/// # Errors
/// When it cannot be written.
pub fn print(summary: &Summary, json: bool, console: &mut dyn Console) -> anyhow::Result<()> {
    if json {
        let mut line = serde_json::to_string(summary)?;
        line.push('\n');
        return Ok(console.out(line.as_bytes())?);
    }
    let Summary { read, stored, duplicate, refused, refused_by, elapsed_ms } = summary;
    let seconds = *elapsed_ms as f64 / 1e3;
    let mut text = format!(
        "read       {read}\nstored     {stored}\nduplicate  {duplicate}\nrefused    {refused}\n"
    );
    for (code, count) in refused_by {
        text.push_str(&format!("           {count} {code}\n"));
    }
    text.push_str(&format!("in {seconds:.1} s\n"));
    Ok(console.out(text.as_bytes())?)
}

fn size(Source { name, file }: &Source) -> anyhow::Result<u64> {
    Ok(file.metadata().with_context(|| name.display().to_string())?.len())
}
