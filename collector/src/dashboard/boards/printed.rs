//! A dashboard as a PDF: to take along, and for reports.
//!
//! In: a dashboard, a time, and who is going to read it. Out: [`Printed`]. Strangers get what they see by a link.
//!
//! Deliberately elsewhere: how it is laid out (`paper`), when reports go and to whom (`reports`).

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;

use super::super::ask::Several;
use super::super::build::answer::Block;
use super::super::build::question::Fields;
use super::super::form::{Trouble, moment};
use super::super::paper::{self, Paper, Tile};
use super::super::words::say;
use super::{Reader, Shown, desk, tiles, when};
use crate::access::Tenant;
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::saved::Kind;
use crate::saved::board::Board;

/// A dashboard as a file, and what it says in words.
#[derive(Debug, Clone)]
pub struct Printed {
    /// Its name.
    pub name: String,
    /// The time it is of, in words.
    pub period: String,
    /// The PDF.
    pub file: Vec<u8>,
    /// Tiles with their figures: names and values.
    pub figures: Vec<(String, Vec<(String, String)>)>,
    /// Whether a tile had no answer that may be there a little later.
    pub is_late: bool,
}

/// Print a dashboard over some days, first and last.
///
/// # Errors
/// When what is saved cannot be read. A question without an answer says so on its tile.
pub async fn print_days(
    app: &App,
    project: &Arc<Project>,
    board: &Board,
    (from, to): (Date, Date),
    reader: Reader,
) -> Result<Printed, ApiError> {
    let days = [("range", "custom".to_owned()), ("from", from.to_string()), ("to", to.to_string())];
    let fields = Fields(days.map(|(name, value)| (name.to_owned(), value)).into());
    print(app, project, board, &fields, reader).await
}

/// Print a dashboard over the time that these fields name.
///
/// # Errors
/// When what is saved cannot be read. A question without an answer says so on its tile.
async fn print(
    app: &App,
    project: &Arc<Project>,
    board: &Board,
    fields: &Fields,
    reader: Reader,
) -> Result<Printed, ApiError> {
    let (period, noted) = when(app, project, fields, reader).await?;
    let over = (&period, &*noted, &Several::of(0));
    let shown = tiles(app, project, board, fields, over, reader).await?;
    let at = moment(period.now_ms, &period.tz_name);
    let paper = Paper {
        title: &board.name,
        under: format!("{} · {} · {}", project.name, period.words(), period.tz_name),
        made: say("Made by Tallymark on {at}", &[("at", &at)]),
        notes: noted.iter().map(|note| format!("{}: {}", note.at, note.text)).collect(),
        tiles: shown.iter().map(on_paper).collect(),
    };
    Ok(Printed {
        name: board.name.clone(),
        period: period.words(),
        file: paper::write(&paper),
        figures: shown.iter().map(figures).collect(),
        is_late: shown.iter().any(|shown| shown.is_late),
    })
}

fn on_paper(shown: &Shown) -> Tile<'_> {
    Tile { title: &shown.title, wide: shown.wide, blocks: &shown.blocks }
}

/// The figures of a tile as they stand on it.
fn figures(shown: &Shown) -> (String, Vec<(String, String)>) {
    let of = |block: &Block| match block {
        Block::Figures(all) => {
            all.iter().map(|one| (one.name.clone(), one.value.to_string())).collect()
        }
        Block::Nothing(words) => vec![(words.title.clone(), String::new())],
        _ => Vec::new(),
    };
    (shown.title.clone(), shown.blocks.iter().flat_map(of).collect())
}

/// `GET /p/{slug}/boards/{key}/pdf`: a dashboard as a file, over the time that its page shows.
pub async fn show_printed(
    State(app): State<App>,
    Tenant(project): Tenant,
    Path((_, key)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let board = Board::of(&desk(&app, &project, Kind::Dashboard).load(&key).await?)?;
    let fields = Fields::read(query.as_deref().unwrap_or(""));
    let printed = print(&app, &project, &board, &fields, Reader::Member).await?;
    let named = format!("attachment; filename=\"{key}.pdf\"");
    let named = HeaderValue::try_from(named).map_err(|error| ApiError::Internal(error.into()))?;
    let kind = HeaderValue::from_static("application/pdf");
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, named)];
    Ok((headers, printed.file).into_response())
}
