//! Changing a dashboard: one form per change, all decided by a pure function.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::super::shell::failure;
use super::super::words::t;
use super::{desk, name_of};
use crate::access::{Caller, Tenant};
use crate::admin::Act;
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::meta::saved::Saved;
use crate::reports::desk as reports;
use crate::saved::board::{Board, TILES_MAX, Tile};
use crate::saved::desk::Desk;
use crate::saved::{Kind, Refused};

/// A change.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Change {
    /// What: one of the names in [`changed`], `remove_board` or `note`.
    what: String,
    /// The version that was seen.
    #[serde(default)]
    version: u32,
    /// Which tile.
    #[serde(default)]
    tile: usize,
    /// Where it goes.
    #[serde(default)]
    to: usize,
    /// A question to add.
    #[serde(default)]
    question: String,
    /// A name, or the text of a note.
    #[serde(default)]
    text: String,
    /// The day of a note.
    #[serde(default)]
    day: String,
}

/// The dashboard after a change; nothing where the change makes no sense any more. `number` is for a new link.
fn changed(mut board: Board, change: &Change, number: u64) -> Option<Board> {
    match change.what.as_str() {
        "add" if board.tiles.len() < TILES_MAX && !change.question.is_empty() => {
            board.tiles.push(Tile { question: change.question.clone(), wide: false });
        }
        "remove" if change.tile < board.tiles.len() => {
            board.tiles.remove(change.tile);
        }
        "move" if change.tile < board.tiles.len() => {
            let tile = board.tiles.remove(change.tile);
            board.tiles.insert(change.to.min(board.tiles.len()), tile);
        }
        "width" => {
            let tile = board.tiles.get_mut(change.tile)?;
            tile.wide = !tile.wide;
        }
        "rename" if !change.text.trim().is_empty() => {
            change.text.trim().clone_into(&mut board.name)
        }
        "share" => board.shared = Some(number),
        "unshare" => board.shared = None,
        _ => return None,
    }
    Some(board)
}

/// `POST /p/{slug}/boards/{key}`: change a dashboard.
pub async fn change_board(
    State(app): State<App>,
    caller: Caller,
    Tenant(project): Tenant,
    Path((_, key)): Path<(String, String)>,
    axum::Form(change): axum::Form<Change>,
) -> Response {
    let done = carry_out(&app, &caller, &project, &key, &change).await;
    let back = match change.what.as_str() {
        "remove_board" => format!("/p/{}/boards", project.slug),
        _ => format!("/p/{}/boards/{key}", project.slug),
    };
    match done {
        Ok(()) => Redirect::to(&back).into_response(),
        Err(error) => failure(&error),
    }
}

async fn carry_out(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    key: &str,
    change: &Change,
) -> Result<(), ApiError> {
    let boards = desk(app, project, Kind::Dashboard);
    match change.what.as_str() {
        "remove_board" => {
            boards.remove(key, change.version, &caller.name()).await?;
            let act = Act::of(app, caller);
            reports::Desk { app, project, board: key }.remove_all(act.deed("remove")).await?;
        }
        "note" => {
            let desk = desk(app, project, Kind::Annotation);
            let body = json!({ "text": change.text.trim(), "at": change.day });
            let key = format!("note-{}", app.clock.now_ms());
            let body = body.as_object().cloned().unwrap_or_default();
            desk.save(&key, None, body, (&caller.name(), "")).await?;
        }
        _ => {
            let saved = boards.load(key).await?;
            // A tile is named by its place: of a dashboard that changed meanwhile, it may be another one.
            if change.version != 0 && change.version != saved.version {
                return Err(Refused::Changed(Kind::Dashboard, key.to_owned(), saved.version).into());
            }
            let number = getrandom::u64().map_err(|error| ApiError::Internal(error.into()))?;
            let after = changed(Board::of(&saved)?, change, number);
            let after = after.ok_or_else(|| {
                ApiError::parameter("what", t("this cannot be done with this dashboard"))
            })?;
            boards.save(key, Some(saved.version), after.body(), (&caller.name(), "")).await?;
        }
    }
    Ok(())
}

/// Put a saved question on a dashboard.
///
/// # Errors
/// When there is no such dashboard, or it is full.
pub async fn pin(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    board: &str,
    question: &str,
) -> Result<(), ApiError> {
    let change = Change { what: "add".into(), question: question.to_owned(), ..Change::default() };
    carry_out(app, caller, project, board, &change).await
}

/// Give a saved question a page that anybody with its link can read: a dashboard of its own, the one it has
/// already if there is one. Gives the dashboard's key.
///
/// # Errors
/// When it cannot be saved.
pub async fn share(
    app: &App,
    caller: &Caller,
    project: &Arc<Project>,
    name: &str,
    question: &str,
) -> Result<String, ApiError> {
    let desk = desk(app, project, Kind::Dashboard);
    let alone = [Tile { question: question.to_owned(), wide: true }];
    let all = desk.list(None).await?;
    let own = all.iter().find_map(|saved| {
        let board = Board::of(saved).ok()?;
        (board.tiles == alone).then(|| (saved.key.clone(), Some(saved.version), board))
    });
    let (key, version, mut board) = own.unwrap_or_else(|| {
        let board = Board { name: name.to_owned(), tiles: alone.into(), shared: None };
        (free_key(&all, name), None, board)
    });
    if board.shared.is_none() {
        let number = getrandom::u64().map_err(|error| ApiError::Internal(error.into()))?;
        board.shared = Some(number);
        desk.save(&key, version, board.body(), (&caller.name(), "")).await?;
    }
    Ok(key)
}

/// The key of what people call `name`: that of what has this name already, with its version, else a new one.
///
/// # Errors
/// When the name is empty, or what is saved cannot be read.
pub async fn place_of(desk: &Desk<'_>, name: &str) -> Result<(String, Option<u32>), ApiError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(ApiError::parameter("name", t("a name says what it is")));
    }
    let all = desk.list(None).await?;
    if let Some(own) = all.iter().find(|saved| name_of(saved) == name) {
        return Ok((own.key.clone(), Some(own.version)));
    }
    Ok((free_key(&all, name), None))
}

/// A key for what people call `name` that none of these has.
fn free_key(all: &[Saved], name: &str) -> String {
    let plain = slug(name);
    let taken = |key: &str| all.iter().any(|saved| saved.key == key);
    let mut key = plain.clone();
    let mut number = 2;
    while taken(&key) {
        key = format!("{plain}-{number}");
        number += 1;
    }
    key
}

/// A name as a key: `Sign-ups, by week` → `sign-ups-by-week`.
fn slug(name: &str) -> String {
    let mut key = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_ascii_alphanumeric() => key.push(c),
            _ if key.is_empty() || key.ends_with('-') => {}
            _ => key.push('-'),
        }
        if key.len() == 48 {
            break;
        }
    }
    let key = key.trim_end_matches('-');
    if key.is_empty() { "untitled".to_owned() } else { key.to_owned() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn board(tiles: &[&str]) -> Board {
        let tile = |question: &&str| Tile { question: (*question).to_owned(), wide: false };
        Board { name: "x".into(), tiles: tiles.iter().map(tile).collect(), shared: None }
    }

    fn change(what: &str, tile: usize, to: usize) -> Change {
        Change { what: what.into(), tile, to, question: "d".into(), ..Change::default() }
    }

    #[rstest]
    #[case::to_the_front("move", 2, 0, Some("cab"))]
    #[case::to_the_end("move", 0, 9, Some("bca"))]
    #[case::of_a_tile_that_is_not_there("move", 3, 0, None)]
    #[case::away("remove", 1, 0, Some("ac"))]
    #[case::away_that_is_not_there("remove", 3, 0, None)]
    #[case::another("add", 0, 0, Some("abcd"))]
    #[case::wider("width", 2, 0, Some("abc"))]
    #[case::what_nobody_knows("explode", 0, 0, None)]
    fn a_change_of_a_dashboard(
        #[case] what: &str,
        #[case] tile: usize,
        #[case] to: usize,
        #[case] want: Option<&str>,
    ) {
        let after = changed(board(&["a", "b", "c"]), &change(what, tile, to), 7);
        let names = after
            .map(|board| board.tiles.iter().map(|tile| tile.question.as_str()).collect::<String>());
        assert_eq!(names.as_deref(), want);
    }

    #[test]
    fn a_full_dashboard_takes_no_more_and_a_new_link_ends_the_old_one() {
        assert!(changed(board(&["a"; TILES_MAX]), &change("add", 0, 0), 7).is_none());
        assert!(changed(board(&["a"; TILES_MAX - 1]), &change("add", 0, 0), 7).is_some());
        let shared = changed(board(&[]), &change("share", 0, 0), 7).unwrap();
        assert_eq!(changed(shared.clone(), &change("share", 0, 0), 8).unwrap().shared, Some(8));
        assert_eq!(changed(shared, &change("unshare", 0, 0), 8).unwrap().shared, None);
    }

    #[rstest]
    #[case("Sign-ups, by week!", "sign-ups-by-week")]
    #[case("  <script>  ", "script")]
    #[case("Übersicht", "bersicht")]
    #[case("日本", "untitled")]
    fn a_name_becomes_a_key(#[case] name: &str, #[case] want: &str) {
        assert_eq!(slug(name), want);
        assert!(crate::saved::body::key(&slug(name)).is_ok());
    }
}
