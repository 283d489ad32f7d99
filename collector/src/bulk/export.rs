//! `tallymark export` and `GET /v1/export`: the raw events of a time range, as a stream.

use std::io::{self, Write};
use std::ops::{ControlFlow, Range};

use serde::{Deserialize, Serialize};
use tallymark_store::{Progress, Row, RowRange};

use super::form::Form;
use super::parquet_out::ParquetOut;
use super::people::realm;
use super::text_out::{push_csv, push_csv_header, push_jsonl};
use crate::app::App;
use crate::meta::projects::Project;
use crate::query::pick::Pick;

/// What to export and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportTask {
    /// The project's slug.
    pub project: String,
    /// First event time: a date or an instant.
    pub from: Option<String>,
    /// End of event times, excluded.
    pub to: Option<String>,
    /// The form.
    pub form: Form,
}

/// Bytes gathered before they are handed on.
const CHUNK_BYTES: usize = 64 * 1024;

/// Which events leave: of these times (Unix milliseconds, half open), picked, and at most so many.
#[derive(Debug)]
pub struct Wanted {
    /// Event times.
    pub range: Range<i64>,
    /// Which of them.
    pub pick: Pick,
    /// The most.
    pub limit: u64,
}

impl Wanted {
    /// All events of these times.
    pub fn all(range: Range<i64>) -> Self {
        Self { range, pick: Pick::default(), limit: u64::MAX }
    }
}

/// Whether there are more events than the limit.
///
/// # Errors
/// When the store cannot be read.
pub fn is_cut(app: &App, project: &Project, wanted: &Wanted) -> anyhow::Result<bool> {
    let mut count = 0;
    let beyond = wanted.limit.saturating_add(1);
    each(app, project, wanted, beyond, &Progress::default(), &mut |_| {
        count += 1;
        Ok(())
    })?;
    Ok(count == beyond)
}

/// Write events to `out`, person by person, each person's in order of time. Returns how many there were. `progress` says
/// how far it is, and may stop it.
///
/// # Errors
/// When the store cannot be read or `out` cannot be written.
pub fn export(
    app: &App,
    project: &Project,
    wanted: &Wanted,
    form: Form,
    progress: &Progress,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u64> {
    let realm = realm(&app.hasher(project.id));
    let mut count = 0;
    match form {
        Form::Parquet => {
            let mut file = ParquetOut::new(out)?;
            each(app, project, wanted, wanted.limit, progress, &mut |row| {
                count += 1;
                file.push(&row, &realm)
            })?;
            file.finish()?;
        }
        Form::Csv | Form::Jsonl => {
            let mut text = String::with_capacity(CHUNK_BYTES + 4 * 1024);
            if form == Form::Csv {
                push_csv_header(&mut text);
            }
            each(app, project, wanted, wanted.limit, progress, &mut |row| {
                count += 1;
                match form {
                    Form::Csv => push_csv(&mut text, &row, &realm),
                    _ => push_jsonl(&mut text, &row, &realm),
                }
                if text.len() >= CHUNK_BYTES {
                    out.write_all(text.as_bytes())?;
                    text.clear();
                }
                Ok(())
            })?;
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(count)
}

fn each(
    app: &App,
    project: &Project,
    Wanted { range, pick, .. }: &Wanted,
    most: u64,
    progress: &Progress,
    row: &mut dyn FnMut(Row) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut left, mut outcome) = (most, Ok(()));
    let range = RowRange { from_ms: range.start, to_ms: range.end, person: pick.person };
    app.store.rows_watched(project.id, range, progress, &mut |next| {
        if !pick.wants(&next) {
            return ControlFlow::Continue(());
        }
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        match row(next) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    outcome
}

/// A console's standard output as something to write to.
pub struct ConsoleOut<'a>(pub &'a mut dyn crate::console::Console);

impl Write for ConsoleOut<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.out(bytes)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
