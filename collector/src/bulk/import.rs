//! `tallymark import`: files of events into a project.
//!
//! In: files and how to read them. Out: stored rows and a [`Summary`].
//!
//! Invariant: `read = stored + duplicate + refused`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tallymark_protocol::codes::EventCode;
use tallymark_store::Row;

use super::at::{AtFormat, AtReader};
use super::cell::Cell;
use super::csv_in::CsvOptions;
use super::draft::{Draft, Drafter};
use super::form::Form;
use super::mapping::{MapItem, Mapping, Target};
use super::people::{Ids, People};
use super::sink::{Sink, Stored};
use super::{csv_in, jsonl_in, parquet_in};
use crate::app::App;
use crate::console::{Console, Progress};
use crate::meta::projects::Project;

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

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows in the files.
    pub read: u64,
    /// Rows that are new.
    pub stored: u64,
    /// Rows that were there.
    pub duplicate: u64,
    /// Rows that are no events.
    pub refused: u64,
    /// The same, by code.
    pub refused_by: BTreeMap<&'static str, u64>,
    /// From the first byte to the last row on disk.
    pub elapsed_ms: u64,
}

/// Refused rows that are named one by one; the rest is only counted.
const NAMED: u64 = 20;
/// Rows between two signs of progress.
const PROGRESS_ROWS: u64 = 8_192;
/// An import of this many new rows, about one memtable, ends with merging what it wrote.
const SETTLE_ROWS: u64 = 1 << 20;

/// Run an import.
///
/// # Errors
/// When a file cannot be opened or is of another form, or the store cannot write. What was stored
/// until then stays, and importing again is safe.
pub fn import(
    app: &App,
    project: &Project,
    task: &ImportTask,
    console: &mut dyn Console,
) -> anyhow::Result<Summary> {
    let began = Instant::now();
    let mapping = Mapping::new(&task.map);
    let total = task.paths.iter().map(|path| size(path)).sum::<anyhow::Result<u64>>()?;
    let hasher = app.hasher(project.id);
    let zone = jiff::tz::TimeZone::get(&project.tz)?;
    let ids = if task.hashed { Ids::Hashed } else { Ids::Raw };
    let at = AtReader::new(task.at_format, zone);
    let drafter =
        Drafter::new(project.id, People::new(&project.salt, &hasher, ids), at, app.clock.now_ms());
    let mut importer = Importer {
        drafter,
        sink: Sink::new(&app.store),
        summary: Summary::default(),
        console,
        path: PathBuf::new(),
        done_before: 0,
        total,
    };
    for path in &task.paths {
        importer.path.clone_from(path);
        let file = File::open(path).with_context(|| path.display().to_string())?;
        match task.form {
            Form::Csv => csv_in::read(file, &task.csv, &mapping, &mut importer),
            Form::Jsonl => jsonl_in::read(file, &mapping, &mut importer),
            Form::Parquet => parquet_in::read(file, &mapping, &mut importer),
        }
        .with_context(|| path.display().to_string())?;
        importer.done_before += size(path)?;
    }
    let mut summary = importer.finish()?;
    if summary.stored >= SETTLE_ROWS
        && let Err(error) = app.store.flush().and_then(|()| app.store.settle())
    {
        // What was imported is on disk; questions are only slower until it is merged.
        tracing::warn!(%error, "the imported events could not be merged yet");
    }
    summary.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(summary)
}

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

/// What readers hand their rows to.
pub struct Importer<'a> {
    drafter: Drafter<'a>,
    sink: Sink<'a>,
    summary: Summary,
    console: &'a mut dyn Console,
    path: PathBuf,
    done_before: u64,
    total: u64,
}

impl Importer<'_> {
    /// A new row with the constants of the mapping in it.
    pub fn draft<'c>(&self, mapping: &'c Mapping) -> Draft<'c> {
        let mut draft = self.drafter.draft();
        for (field, text) in &mapping.constants {
            self.drafter.put(&mut draft, &Target::Field(*field), Cell::Untyped(text));
        }
        draft
    }

    /// Put a cell into a row.
    pub fn put<'c>(&self, draft: &mut Draft<'c>, target: &Target, cell: Cell<'c>) {
        self.drafter.put(draft, target, cell);
    }

    /// A row is whole. `place` is its line or its number, from 1; `file_bytes` how much of the file
    /// is behind us.
    ///
    /// # Errors
    /// When the store cannot write or nobody reads what we print.
    pub fn row(&mut self, place: u64, file_bytes: u64, draft: Draft<'_>) -> anyhow::Result<()> {
        let row = self.drafter.finish(draft);
        self.take(place, file_bytes, row)
    }

    /// A row cannot even be read.
    ///
    /// # Errors
    /// As [`Importer::row`].
    pub fn unreadable(
        &mut self,
        place: u64,
        file_bytes: u64,
        why: EventCode,
    ) -> anyhow::Result<()> {
        self.take(place, file_bytes, Err(why))
    }

    fn take(
        &mut self,
        place: u64,
        file_bytes: u64,
        row: Result<Row, EventCode>,
    ) -> anyhow::Result<()> {
        self.summary.read += 1;
        match row {
            Ok(row) => self.sink.push(row)?,
            Err(code) => {
                self.summary.refused += 1;
                *self.summary.refused_by.entry(code.as_str()).or_default() += 1;
                if self.summary.refused <= NAMED {
                    let (path, detail) = (self.path.display(), code.detail());
                    self.console.note(&format!("{path}:{place}: {}: {detail}", code.as_str()))?;
                } else if self.summary.refused == NAMED + 1 {
                    self.console.note("more rows are refused; the summary counts them")?;
                }
            }
        }
        if self.summary.read.is_multiple_of(PROGRESS_ROWS) {
            let done = (self.done_before + file_bytes).min(self.total);
            self.console.progress(Progress { done, total: self.total, rows: self.summary.read })?;
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Summary> {
        let Stored { new, duplicate, erased } = self.sink.finish()?;
        let mut summary = Summary { stored: new, duplicate, ..self.summary };
        if erased > 0 {
            summary.refused += erased;
            summary.refused_by.insert(EventCode::PersonErased.as_str(), erased);
        }
        Ok(summary)
    }
}
