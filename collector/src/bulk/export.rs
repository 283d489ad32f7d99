//! `tallymark export` and `GET /v1/export`: the raw events of a time range, as a stream.

use std::io::{self, Write};
use std::ops::{ControlFlow, Range};

use serde::{Deserialize, Serialize};
use tallymark_store::{Row, RowRange};

use super::form::Form;
use super::parquet_out::ParquetOut;
use super::people::realm;
use super::text_out::{push_csv, push_csv_header, push_jsonl};
use crate::app::App;
use crate::meta::projects::Project;

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

/// Write the events of `range` (Unix milliseconds, half open) to `out`, person by person, each
/// person's in order of time. Returns how many there were.
///
/// # Errors
/// When the store cannot be read or `out` cannot be written.
pub fn export(
    app: &App,
    project: &Project,
    range: Range<i64>,
    form: Form,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u64> {
    let realm = realm(&app.hasher(project.id));
    let mut count = 0;
    match form {
        Form::Parquet => {
            let mut file = ParquetOut::new(out)?;
            each(app, project, range, &mut |row| {
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
            each(app, project, range, &mut |row| {
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
    range: Range<i64>,
    row: &mut dyn FnMut(Row) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    app.store.rows(
        project.id,
        RowRange::between(range.start, range.end),
        &mut |next| match row(next) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        },
    )?;
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
