//! Dashboards: saved questions as tiles, over one range of time.
//!
//! A dashboard is kept as other saved things are (`saved`), with versions and an audit trail. Whoever may save
//! questions arranges it, by forms that need no script. It can be shared by a link that shows it to anybody, read-only:
//! the link holds a keyed hash over a number that the dashboard keeps, so a new number ends the old link. What
//! strangers see shows no group of fewer than [`K`](crate::privacy::threshold::K) people, and never single people.
//!
//! Deliberately elsewhere: how an answer looks (`build::answer`), which groups are too small ([`threshold`]).

mod change;
mod printed;
pub mod reports;
mod shared;
mod threshold;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

pub use change::{change_board, pin, place_of, share};
pub use printed::{Printed, print_days, show_printed};
pub use shared::show_shared;

use super::ask::{Several, sentence};
use super::build::answer::kinds::{Around, blocks};
use super::build::answer::{Block, Blocks};
use super::build::question::{self, Fields};
use super::build::wait::waiting;
use super::build::{self, form};
use super::format;
use super::notes::{self, Note};
use super::page::{Offer, send, show};
use super::period::{Asked, Period, Range};
use super::shell::{Place, Shell, failure};
use super::view::Words;
use super::words::{filters, t};
use crate::access::{Caller, Role, Tenant};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::meta::saved::Saved;
use crate::saved::Kind;
use crate::saved::board::Board;
use crate::saved::desk::Desk;

/// Who looks at a dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Somebody of the project.
    Member,
    /// Anybody who has the link.
    Stranger,
}

/// A tile with its answer.
struct Shown {
    index: usize,
    wide: bool,
    title: String,
    /// The question itself, for those who may change it.
    href: String,
    blocks: Vec<Block>,
    /// Whether there may be an answer a little later.
    is_late: bool,
}

#[derive(Template)]
#[template(path = "tiles.html")]
struct Tiles {
    tiles: Vec<Shown>,
    may_change: bool,
    here: String,
    updated: String,
}

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage<'a> {
    shell: Shell,
    name: &'a str,
    here: String,
    pdf: String,
    reports: String,
    poll: String,
    offers: Vec<Offer>,
    period_words: String,
    tz: String,
    tiles: String,
    is_empty: bool,
    notes: Vec<Note>,
    may_change: bool,
    /// Of the saved questions: keys and names.
    questions: Vec<(String, String)>,
    shared: Option<String>,
    version: u32,
    embedded: bool,
}

#[derive(Template)]
#[template(path = "boards.html")]
struct ListPage<'a> {
    shell: Shell,
    slug: &'a str,
    boards: Vec<(String, String, String)>,
    questions: Vec<(String, String, String)>,
    may_change: bool,
}

fn desk<'a>(app: &'a App, project: &'a Project, kind: Kind) -> Desk<'a> {
    Desk { meta: &app.meta, project, kind, now_ms: app.clock.now_ms() }
}

/// The name people gave to something that is saved, or its key.
pub fn name_of(saved: &Saved) -> String {
    let name = saved.body.get("name").and_then(Value::as_str).map(str::trim);
    name.filter(|name| !name.is_empty()).unwrap_or(&saved.key).to_owned()
}

/// The address of a saved question in its builder.
pub fn address_of(slug: &str, saved: &Saved, schema: &tallymark_store::Schema) -> Option<String> {
    let kind = form::find(saved.body.get("kind")?.as_str()?)?;
    let question = saved.body.get("question")?;
    let query = question::fields(kind, question, schema).with(&[("saved", &saved.key)]);
    Some(format!("/p/{slug}/ask/{}{query}", kind.name))
}

/// `GET /p/{slug}/boards`: the dashboards and the saved questions.
pub async fn list_boards(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
) -> Response {
    list(&app, &caller, &project).await.unwrap_or_else(|error| failure(&error))
}

async fn list(app: &App, caller: &Caller, project: &Arc<Project>) -> Result<Response, ApiError> {
    let boards = desk(app, project, Kind::Dashboard).list(None).await?;
    let questions = desk(app, project, Kind::Question).list(None).await?;
    let schema = build::schema(app, project).await?;
    let board = |saved: &Saved| {
        let tiles = Board::of(saved).map_or(0, |board| board.tiles.len());
        let href = format!("/p/{}/boards/{}", project.slug, saved.key);
        (href, name_of(saved), format::counted(tiles as u64, "tile", "tiles"))
    };
    let question = |saved: &Saved| {
        let kind = form::find(saved.body.get("kind")?.as_str()?)?;
        Some((address_of(&project.slug, saved, &schema)?, name_of(saved), t(kind.title).to_owned()))
    };
    let page = ListPage {
        shell: Shell::within(app, caller, project, Place::Boards),
        slug: &project.slug,
        boards: boards.iter().map(board).collect(),
        questions: questions.iter().filter_map(question).collect(),
        may_change: caller.role >= Role::Analyst,
    };
    Ok(show(StatusCode::OK, &page))
}

/// A name for a new dashboard.
#[derive(Debug, Deserialize)]
pub struct Named {
    name: String,
}

/// `POST /p/{slug}/boards`: a new dashboard.
pub async fn create_board(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    axum::Form(Named { name }): axum::Form<Named>,
) -> Response {
    let made = async {
        let desk = desk(&app, &project, Kind::Dashboard);
        let (key, version) = place_of(&desk, &name).await?;
        if version.is_none() {
            let board = Board { name: name.trim().to_owned(), ..Board::default() };
            desk.save(&key, None, board.body(), (&caller.name(), "")).await?;
        }
        Ok::<_, ApiError>(
            Redirect::to(&format!("/p/{}/boards/{key}", project.slug)).into_response(),
        )
    };
    made.await.unwrap_or_else(|error| failure(&error))
}

/// `GET /p/{slug}/boards/{key}`: a dashboard, or its tiles alone with `part=tiles`.
pub async fn show_board(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_, key)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::read(query.as_deref().unwrap_or(""));
    let shown = async {
        let saved = desk(&app, &project, Kind::Dashboard).load(&key).await?;
        let board = Board::of(&saved)?;
        let shell = Shell::within(&app, &caller, &project, Place::Boards);
        let here = format!("/p/{}/boards/{key}", project.slug);
        let may_change = caller.role >= Role::Analyst;
        let shared = board.shared.map(|number| shared::link(&app, &project, &key, number));
        let questions = match may_change {
            true => desk(&app, &project, Kind::Question).list(None).await?,
            false => Vec::new(),
        };
        let questions = questions.iter().map(|saved| (saved.key.clone(), name_of(saved))).collect();
        let frame = Frame {
            shell,
            here,
            may_change,
            shared,
            questions,
            version: saved.version,
            embedded: false,
        };
        render(&app, &project, &board, &fields, Reader::Member, frame).await
    };
    shown.await.unwrap_or_else(|error: ApiError| failure(&error))
}

/// What stands around the tiles.
struct Frame {
    shell: Shell,
    here: String,
    may_change: bool,
    shared: Option<String>,
    questions: Vec<(String, String)>,
    version: u32,
    embedded: bool,
}

/// The time that these fields name, and what was noted in it.
async fn when(
    app: &App,
    project: &Project,
    fields: &Fields,
    reader: Reader,
) -> Result<(Period, Vec<Note>), ApiError> {
    let asked = Asked {
        range: fields.get("range"),
        from: fields.get("from"),
        to: fields.get("to"),
        tz: fields.get("tz"),
    };
    let (period, _) =
        Period::read(&asked, &project.tz, project.settings.week_starts, app.clock.now_ms());
    // They are for the team.
    let notes = match reader {
        Reader::Member => notes::of(app, project, &period).await?,
        Reader::Stranger => Vec::new(),
    };
    Ok((period, notes))
}

async fn render(
    app: &App,
    project: &Arc<Project>,
    board: &Board,
    fields: &Fields,
    reader: Reader,
    frame: Frame,
) -> Result<Response, ApiError> {
    let (period, notes) = when(app, project, fields, reader).await?;
    let Frame { shell, here, may_change, shared, questions, version, embedded } = frame;
    let progress = Arc::new(Several::of(board.tiles.len()));
    let asking = {
        let (app, project, board) = (app.clone(), Arc::clone(project), board.clone());
        let (fields, here, progress) = (fields.clone(), here.clone(), Arc::clone(&progress));
        let (period, notes) = (period.clone(), notes.clone());
        async move {
            let over = (&period, &*notes, &*progress);
            match tiles(&app, &project, &board, &fields, over, reader).await {
                Ok(tiles) => Tiles { tiles, may_change, here, updated: clock(&period) }.to_string(),
                Err(error) => {
                    let title = t("There is no answer to this just now").to_owned();
                    let words = Words { title, text: sentence(&error) };
                    Blocks { blocks: &[Block::Nothing(words)] }.to_string()
                }
            }
        }
    };
    if fields.get("part") == Some("tiles") {
        return Ok(send(StatusCode::OK, asking.await));
    }
    let offers = Period::OFFERED.iter().map(|days| Offer {
        days: *days,
        href: fields.with(&[
            ("range", &format!("{days}d")),
            ("from", ""),
            ("to", ""),
            ("part", ""),
        ]),
        current: period.range == Range::Days(*days),
    });
    let page = |tiles: String| BoardPage {
        shell,
        name: &board.name,
        pdf: format!("{here}/pdf{}", fields.with(&[])),
        reports: format!("{here}/reports"),
        poll: format!("{here}{}", fields.with(&[("part", "tiles")])),
        here,
        offers: offers.collect(),
        period_words: period.words(),
        tz: period.tz_name.clone(),
        is_empty: board.tiles.is_empty(),
        tiles,
        notes,
        may_change,
        questions,
        shared,
        version,
        embedded,
    };
    Ok(waiting(("", fields), progress, asking).within(page).await)
}

/// The time of day at which a dashboard is shown.
fn clock(period: &Period) -> String {
    let now = jiff::Timestamp::from_millisecond(period.now_ms).unwrap_or_default();
    let now = now.to_zoned(TimeZone::get(&period.tz_name).unwrap_or(TimeZone::UTC));
    now.strftime("%H:%M").to_string()
}

/// Ask every question of a dashboard.
async fn tiles(
    app: &App,
    project: &Arc<Project>,
    board: &Board,
    fields: &Fields,
    (period, notes, progress): (&Period, &[Note], &Several),
    reader: Reader,
) -> Result<Vec<Shown>, ApiError> {
    let schema = build::schema(app, project).await?;
    let all = desk(app, project, Kind::Question).list(None).await?;
    let tz = TimeZone::get(&period.tz_name).unwrap_or(TimeZone::UTC);
    let mut shown = Vec::new();
    for (index, tile) in board.tiles.iter().enumerate() {
        let said = |title: &str, text: String| {
            vec![Block::Nothing(Words { title: title.to_owned(), text })]
        };
        let Some(saved) = all.iter().find(|saved| saved.key == tile.question) else {
            shown.push(Shown {
                index,
                wide: tile.wide,
                title: tile.question.clone(),
                href: String::new(),
                blocks: said(
                    t("This question was removed"),
                    t("Remove the tile, or save a question under this name again.").to_owned(),
                ),
                is_late: false,
            });
            continue;
        };
        let kind = saved.body.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let body =
            question::ranged(saved.body.get("question").cloned().unwrap_or_default(), period);
        let answered = match reader {
            Reader::Member => {
                app.ask_watched(project, &kind, body, progress.of_one(index)).await.map(Some)
            }
            Reader::Stranger => threshold::ask(app, project, &kind, body).await,
        };
        progress.of_one(index).end();
        let is_late = matches!(
            &answered,
            Err(ApiError::Busy | ApiError::QuestionTooSlow | ApiError::Internal(_))
        );
        let blocks = match answered {
            Err(error) => said(t("There is no answer to this just now"), sentence(&error)),
            Ok(None) => said(
                t("Of fewer than ten people"),
                t("What is of so few is shown to members only.").to_owned(),
            ),
            Ok(Some(answered)) => {
                let around = Around {
                    slug: &project.slug,
                    fields,
                    definition: &answered.definition,
                    tz: &tz,
                    today: period.today,
                    notes,
                };
                blocks(&answered.body, &around)
            }
        };
        let mut blocks = fitting(blocks);
        let mut href = address_of(&project.slug, saved, &schema).unwrap_or_default();
        if reader == Reader::Stranger {
            blocks.iter_mut().for_each(without_links);
            href.clear();
        }
        shown.push(Shown { index, wide: tile.wide, title: name_of(saved), href, blocks, is_late });
    }
    Ok(shown)
}

/// What of an answer fits on a tile: the figures and the first drawing; the rest is one click away.
fn fitting(blocks: Vec<Block>) -> Vec<Block> {
    let mut drawn = false;
    let keep = |block: &Block| match block {
        Block::Figures(_) => true,
        Block::More(..) | Block::Note(_) => false,
        _ => !std::mem::replace(&mut drawn, true),
    };
    let mut keep = keep;
    blocks.into_iter().filter(|block| keep(block)).collect()
}

/// Strangers have nowhere to go.
fn without_links(block: &mut Block) {
    match block {
        Block::Ranked(ranked) => ranked.links.iter_mut().for_each(String::clear),
        Block::Funnel(steps) => steps.iter_mut().for_each(|step| step.links = Default::default()),
        _ => {}
    }
}

impl Shown {
    /// The place before its own.
    fn before(&self) -> usize {
        self.index.saturating_sub(1)
    }

    fn drawn(&self) -> String {
        let blocks = Blocks { blocks: &self.blocks };
        blocks.render().unwrap_or_default()
    }
}
