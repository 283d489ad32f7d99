//! Words in the reader's language.
//!
//! In: an English text as the code has it. Out: the same in the language of whoever reads ([`t`], [`say`],
//! [`counted`], in templates the filter `t`), and how numbers look there ([`Lang`]). The language comes from the cookie
//! that the language menu sets, else from `Accept-Language`; [`layer`] holds it for as long as a request is worked on,
//! so nobody hands it through.
//!
//! The English text is the key: a template reads like its page. A language is a file of lines, `English<TAB>translated`,
//! a line in [`Lang::ALL`] and its [`Ways`]; tests hold every catalogue against the texts in templates and code. A text without a
//! line shows in English.
//!
//! Sentences that come with their values filled in are told by their form ([`heard()`]).
//!
//! Deliberately elsewhere: dates and numbers (`format`), which write them by [`Ways`]. Tasks that a handler spawns know no language: words are for
//! pages, and pages are made by their handler.

mod heard;

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::extract::cookie;

pub use heard::{heard, told};

/// Holds the language somebody chose.
pub const COOKIE: &str = "tallymark_language";

/// A language of the dashboard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lang {
    /// English, in which the code is written.
    #[default]
    English,
    /// German.
    German,
}

/// What a language writes its own way.
#[derive(Debug)]
pub struct Ways {
    /// As in `lang="…"`, cookies and `Accept-Language`.
    pub code: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// Between thousands.
    pub thousands: char,
    /// Before decimals.
    pub decimal: char,
    /// After the number of a day.
    pub after_day: &'static str,
    /// January first.
    pub months: [&'static str; 12],
    /// Monday first.
    pub weekdays: [&'static str; 7],
}

const ENGLISH_WAYS: Ways = Ways {
    code: "en",
    name: "English",
    thousands: ',',
    decimal: '.',
    after_day: "",
    months: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    weekdays: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
};

const GERMAN_WAYS: Ways = Ways {
    code: "de",
    name: "Deutsch",
    thousands: '.',
    decimal: ',',
    after_day: ".",
    months: [
        "Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.",
        "Dez.",
    ],
    weekdays: ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"],
};

tokio::task_local! {
    static CURRENT: Lang;
}

static GERMAN: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| catalogue(include_str!("de.tsv")));

fn catalogue(file: &'static str) -> HashMap<&'static str, &'static str> {
    file.lines().filter_map(|line| line.split_once('\t')).collect()
}

impl Lang {
    /// All of them, as menus list them.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// The language of whoever the page is made for.
    pub fn current() -> Self {
        CURRENT.try_with(|lang| *lang).unwrap_or_default()
    }

    /// How it is named and how it writes numbers and days.
    pub const fn ways(self) -> &'static Ways {
        match self {
            Self::English => &ENGLISH_WAYS,
            Self::German => &GERMAN_WAYS,
        }
    }

    /// The language of this code, if there is one.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.ways().code == code)
    }

    /// The language of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, COOKIE).and_then(Self::of_code);
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        chosen.or_else(|| accepted.and_then(accepts)).unwrap_or_default()
    }

    /// Make something in this language, later and elsewhere than its request.
    pub fn within<T>(self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        CURRENT.scope(self, work)
    }

    fn find(self, text: &str) -> Option<&'static str> {
        match self {
            Self::English => None,
            Self::German => GERMAN.get(text).copied(),
        }
    }
}

/// The language that `Accept-Language` likes best among ours.
fn accepts(header: &str) -> Option<Lang> {
    let each = header.split(',').filter_map(|part| {
        let (range, weight) = part.split_once(';').unwrap_or((part, "q=1"));
        let primary = range.trim().split('-').next()?.to_ascii_lowercase();
        let weight: f64 = weight.trim().strip_prefix("q=")?.trim().parse().ok()?;
        Some((Lang::of_code(&primary)?, weight))
    });
    // The first of equals: the order is a wish too.
    each.filter(|(_, weight)| *weight > 0.0)
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(lang, _)| lang)
}

/// The layer that holds a request's language.
pub async fn layer(request: Request, next: Next) -> Response {
    let lang = Lang::of(request.headers());
    CURRENT.scope(lang, next.run(request)).await
}

/// A text in the reader's language.
pub fn t(text: &'static str) -> &'static str {
    Lang::current().find(text).unwrap_or(text)
}

/// Says that a text in a constant is one of the catalogues; [`t`] translates it where it is shown.
pub const fn n(text: &'static str) -> &'static str {
    text
}

/// A text with `{names}` that are replaced, in the reader's language.
pub fn say(text: &'static str, values: &[(&str, &str)]) -> String {
    let mut rest = t(text);
    let mut out = String::with_capacity(rest.len() + 16);
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(
            values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value),
        );
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Filters of templates.
#[allow(missing_docs, reason = "the macro makes items that nobody can document")]
pub mod filters {
    /// `{{ "Text"|t }}`: the text in the reader's language.
    #[askama::filter_fn]
    pub fn t(text: &'static str, _: &dyn askama::Values) -> askama::Result<&'static str> {
        Ok(super::t(text))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("", None)]
    #[case::german("de-DE,de;q=0.9,en;q=0.8", Some(Lang::German))]
    #[case::heavier("de;q=0.5, en-GB;q=0.7", Some(Lang::English))]
    #[case::first_of_equals("en,de", Some(Lang::English))]
    #[case::not_wanted("de;q=0", None)]
    #[case::another("fr, *;q=0.1", None)]
    #[case::broken(";;q=,,de;q=x", None)]
    fn a_reader_gets_the_language_they_like_best(#[case] header: &str, #[case] want: Option<Lang>) {
        assert_eq!(accepts(header), want);
    }

    #[test]
    fn the_menu_goes_before_the_browser() {
        let mut headers = HeaderMap::new();
        headers.insert("accept-language", "en".parse().unwrap());
        assert_eq!(Lang::of(&headers), Lang::English);
        headers.insert("cookie", format!("a=b; {COOKIE}=de").parse().unwrap());
        assert_eq!(Lang::of(&headers), Lang::German);
    }

    #[tokio::test]
    async fn texts_are_in_the_language_of_the_request() {
        assert_eq!(t("Settings"), "Settings");
        let german =
            async { (t("Settings"), say("{n} of {all}", &[("n", "<1>"), ("all", "{n}")])) };
        assert_eq!(
            CURRENT.scope(Lang::German, german).await,
            ("Einstellungen", "<1> von {n}".to_owned()),
            "a value with braces stays a value"
        );
    }

    /// Every literal that a template or the code asks to be translated.
    fn wanted(text: &str, out: &mut Vec<String>) {
        for (start, end) in
            [("t(\"", '"'), ("n(\"", '"'), ("say(\"", '"'), ("t(\n", '"'), ("say(\n", '"')]
        {
            for (at, _) in text.match_indices(start) {
                let before = text[..at].chars().last();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let rest = text[at + start.len()..].trim_start().trim_start_matches('"');
                out.extend(rest.split(end).next().map(unfolded));
            }
        }
        // The two forms of a noun.
        for (at, _) in text.match_indices("counted(") {
            let call = text[at..].split(['{', ';']).next().unwrap_or_default();
            let literals: Vec<&str> = call.split('"').skip(1).step_by(2).take(2).collect();
            if let [one, many] = literals[..] {
                out.extend([one.to_owned(), many.to_owned()]);
            }
        }
        for (at, _) in text.match_indices("\"|t ") {
            out.extend(text[..at].rsplit('"').next().map(str::to_owned));
        }
    }

    /// A literal over several lines, as the compiler reads it.
    fn unfolded(literal: &str) -> String {
        let mut parts = literal.split("\\\n").map(str::trim_start);
        let first = literal.split("\\\n").next().unwrap_or_default().to_owned();
        parts.next();
        parts.fold(first, |text, part| text + part)
    }

    fn files(folder: &Path, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, out);
            } else if !path.parent().is_some_and(|folder| folder.ends_with("words")) {
                let is_text = path.extension().is_some_and(|end| end == "rs" || end == "html");
                out.extend(is_text.then(|| std::fs::read_to_string(&path).unwrap()));
            }
        }
    }

    #[test]
    fn every_text_has_a_line_in_every_catalogue() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut all = Vec::new();
        for folder in ["templates", "src/dashboard", "src/signin"] {
            files(&root.join(folder), &mut all);
        }
        let mut texts = Vec::new();
        all.iter().for_each(|file| wanted(file, &mut texts));
        assert!(texts.len() > 20, "the search finds texts: {texts:?}");
        for lang in Lang::ALL.into_iter().filter(|lang| *lang != Lang::English) {
            let missing: Vec<_> = texts.iter().filter(|text| lang.find(text).is_none()).collect();
            assert!(missing.is_empty(), "{} has no line for {missing:#?}", lang.ways().name);
        }
    }

    /// The names of what is put into a text, in order.
    pub(super) fn names(text: &str) -> Vec<&str> {
        let parts = text.split('{').skip(1);
        let mut names: Vec<&str> =
            parts.map(|part| part.split('}').next().unwrap_or_default()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn catalogues_have_every_text_once_and_keep_its_names() {
        let lines: Vec<_> = include_str!("de.tsv").lines().collect();
        for line in &lines {
            let (english, german) = line.split_once('\t').unwrap_or_else(|| panic!("{line:?}"));
            assert!(!german.is_empty() && names(english) == names(german), "{line}");
        }
        assert_eq!(GERMAN.len(), lines.len(), "a text stands there twice");
    }
}
