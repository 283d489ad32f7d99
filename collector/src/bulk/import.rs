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

use super::at::{AtFormat, AtReader};
use super::csv_in::CsvOptions;
use super::draft::Drafter;
use super::form::Form;
use super::mapping::{MapItem, Mapping};
use super::people::{Ids, People};
use super::table::Rows;
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
    /// The form of the files.
    pub form: Form,
    /// The files, by absolute paths.
    pub paths: Vec<PathBuf>,
    /// `--map`.
    pub map: Vec<MapItem>,
    /// Whether `user` and `device` are hashes already.
    pub hashed: bool,
    /// How times are written.
    pub at_format: AtFormat,
    /// Of CSV files.
    pub csv: CsvOptions,
    /// Whether the summary is printed as JSON.
    pub json: bool,
}

/// An import of this many new rows ends with merging them into what was there.
const SETTLE_ROWS: u64 = 1 << 20;

/// Run an import.
///
/// # Errors
/// When a file cannot be opened or is of another form, or the store cannot write. Then nothing is
/// stored, and importing again is safe.
pub fn import(
    app: &App,
    project: &Project,
    task: &ImportTask,
    console: &mut dyn Console,
) -> anyhow::Result<Summary> {
    needs_lasting_ids(app, project)?;
    let mapping = Mapping::new(&task.map);
    let sizes = task.paths.iter().map(|path| size(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let hasher = app.hasher(project.id);
    let ids = if task.hashed { Ids::Hashed } else { Ids::Raw };
    let people = People::new(&project.salt, &hasher, ids);
    let at = AtReader::new(task.at_format, jiff::tz::TimeZone::get(&project.tz)?);
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
        for (path, size) in task.paths.iter().zip(sizes) {
            let shared: Arc<Path> = Arc::from(path.as_path());
            let mut give = |rows, bytes: u64| {
                give(Batch { path: Arc::clone(&shared), rows, done: before + bytes.min(size) })
            };
            let file = File::open(path).with_context(|| path.display().to_string())?;
            match task.form {
                Form::Csv => csv_in::read(file, &task.csv, &mapping, &mut give),
                Form::Jsonl => jsonl_in::read(file, &mut give),
                Form::Parquet => parquet_in::read(file, &mapping, &mut give),
            }
            .with_context(|| path.display().to_string())?;
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

fn size(path: &Path) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.len())
}
