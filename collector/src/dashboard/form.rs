//! What pages with forms have in common: fields in, and what became of them out.
//!
//! Forms come from our own pages only; the table of rules sees to that (`access`). A refusal that the reader can do
//! something about goes back into their page, anything else is a page of its own ([`Trouble`]).

use axum::Form;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::failure;
use super::format;
use super::words::{n, t, told};
use crate::error::ApiError;

/// The fields of a form.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

/// The fields as axum hands them over.
pub type Filled = Form<Vec<(String, String)>>;

impl From<Filled> for Fields {
    fn from(Form(fields): Filled) -> Self {
        Self(fields)
    }
}

impl From<Vec<(String, String)>> for Fields {
    fn from(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }
}

impl Fields {
    /// A field's text without the space around it; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// A field's text, if it was sent and not left empty.
    pub fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text.trim()).filter(|text| !text.is_empty())
    }

    /// A field exactly as it was typed: passwords may begin with a space.
    pub fn raw(&self, name: &str) -> String {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text.clone()).unwrap_or_default()
    }

    /// All texts of a field that may be there several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, text)| text.trim())
    }
}

/// What a page says of the form that led to it.
#[derive(Debug, Default)]
pub struct Said {
    /// What was done.
    pub done: Option<String>,
    /// Why it was not.
    pub refused: Option<String>,
}

/// What forms can have done, by the word in the address.
const DONE: &[(&str, &str)] = &[
    ("saved", n("Saved.")),
    ("revoked", n("The key no longer works.")),
    ("changed", n("The member's role is changed.")),
    ("removed", n("They have no part in this organisation any more.")),
    (
        "second-factor",
        n("They sign in with their password alone now, until they set up a second step again."),
    ),
    ("elsewhere", n("Whoever signs in next with their address elsewhere is bound to the account.")),
    ("withdrawn", n("The link no longer works.")),
    ("password", n("The password is changed. Other sessions are over.")),
    ("dropped", n("The second step is off.")),
    ("ended", n("All other sessions are over.")),
    ("state", n("Done. It is in the decision log below.")),
    ("report", n("It goes out at the time below, and you can send one now to see it.")),
    ("report-asked", n("It is being sent. Reload this page in a moment to see what became of it.")),
    ("report-removed", n("It is not sent any more.")),
];

/// A page's parameter that says what was done before.
#[derive(Debug, Default, Deserialize)]
pub struct After {
    /// The word.
    pub done: Option<String>,
}

impl From<After> for Said {
    fn from(after: After) -> Self {
        let word = after.done.unwrap_or_default();
        let known = DONE.iter().find(|(name, _)| *name == word);
        Self { done: known.map(|(_, text)| t(text).to_owned()), refused: None }
    }
}

impl Said {
    /// The reason of a refusal, and the status that goes with it; what is no refusal but our fault, or was never to
    /// be seen by the reader, is a page of its own.
    ///
    /// # Errors
    /// The error as it came.
    pub fn refusal(error: impl Into<ApiError>) -> Result<(StatusCode, Self), Trouble> {
        let error = error.into();
        let status = error.problem().status;
        match StatusCode::from_u16(status) {
            Ok(status) if matches!(status.as_u16(), 400 | 403 | 409 | 422) => {
                Ok((status, Self { done: None, refused: Some(told(&error.to_string())) }))
            }
            _ => Err(Trouble(error)),
        }
    }
}

/// What went wrong, as a page.
#[derive(Debug)]
pub struct Trouble(pub ApiError);

impl<E: Into<ApiError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        failure(&self.0)
    }
}

/// A moment in a time zone: day and minute.
pub fn moment(at_ms: i64, tz: &str) -> String {
    let zone = jiff::tz::TimeZone::get(tz).unwrap_or(jiff::tz::TimeZone::UTC);
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(zone);
    let day = format::day(at.date());
    format!("{day} {}, {:02}:{:02}", at.year(), at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_without_the_space_around_them_and_passwords_with_it() {
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let fields = Fields(vec![pair("a", " x "), pair("b", " "), pair("a", "y")]);
        assert_eq!((fields.get("a"), fields.find("b"), fields.get("c")), ("x", None, ""));
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(fields.raw("a"), " x ");
    }

    #[test]
    fn what_was_done_is_said_in_words_of_ours_only() {
        let said = |word: &str| Said::from(After { done: Some(word.to_owned()) }).done;
        assert_eq!(said("saved").as_deref(), Some("Saved."));
        assert_eq!(said("<script>"), None);
    }

    #[test]
    fn a_moment_is_in_the_zone_of_its_project() {
        assert_eq!(moment(1_795_350_600_000, "Europe/Berlin"), "22\u{a0}Nov 2026, 13:30");
    }
}
