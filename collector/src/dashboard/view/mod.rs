//! From answers to what a template prints: texts, drawings and tables, nothing left to decide.
//!
//! In: typed answers of the analyses. Out: one struct per section of the page. Pure, so that
//! every state of a page can be looked at in a test.

pub mod content;
pub mod experiments;
pub mod funnel;
pub mod install;
pub mod overview;
pub mod retention;
pub mod tables;
pub mod today;

use tallymark_analysis::answer::{AnswerBody, ExperimentAnswer, TrendAnswer};

use super::markup::Markup;
use super::words::t;

/// An answer as a page gets it: the figures and whether they may still change, or a sentence that
/// says why there are none.
pub type Reply = Result<(AnswerBody, Completeness), String>;

/// Whether late events may still change an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// They may.
    Open,
    /// They may not.
    Complete,
}

/// A part of the page in one of its states.
#[derive(Debug, Clone)]
pub enum Section<T> {
    /// There are figures.
    Ready(T),
    /// There is nothing to show yet, and what would change that.
    Empty(Words),
    /// The question could not be answered.
    Failed(Words),
}

/// What a part says when it has no figures.
#[derive(Debug, Clone)]
pub struct Words {
    /// One line.
    pub title: String,
    /// A sentence or two.
    pub text: String,
}

impl<T> Section<T> {
    /// Nothing to show yet.
    pub fn empty(title: &str, text: impl Into<String>) -> Self {
        Self::Empty(Words { title: title.into(), text: text.into() })
    }

    /// No answer.
    pub fn failed(why: &str) -> Self {
        Self::Failed(Words {
            title: t("There is no answer to this just now").into(),
            text: why.into(),
        })
    }
}

/// A drawing with everything around it.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The drawing.
    pub svg: Markup,
    /// What its colours mean.
    pub legend: Vec<Legend>,
    /// The same figures as text.
    pub table: Table,
    /// What keeps figures from being drawn.
    pub remark: Option<&'static str>,
}

/// What a colour means.
#[derive(Debug, Clone)]
pub struct Legend {
    /// `a`, `b`, `c` or `past`.
    pub class: &'static str,
    /// In words.
    pub name: &'static str,
}

/// The figures behind a drawing.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Headings; the first column holds texts, the others figures.
    pub head: Vec<String>,
    /// Rows of equal length.
    pub rows: Vec<Vec<String>>,
}

macro_rules! expect_body {
    ($($name:ident $variant:ident $answer:ty;)*) => { $(
        /// The figures of this kind, or the section that says that there are none.
        ///
        /// # Errors
        /// The sentence to show.
        pub fn $name(reply: &Reply) -> Result<&$answer, String> {
            match reply {
                Ok((AnswerBody::$variant(answer), _)) => Ok(answer),
                Ok(_) => Err("the answer is of another kind than the question".into()),
                Err(why) => Err(why.clone()),
            }
        }
    )* };
}

expect_body! {
    trend_of Trend TrendAnswer;
    active_of Active tallymark_analysis::answer::ActiveAnswer;
    funnel_of Funnel tallymark_analysis::answer::FunnelAnswer;
    retention_of Retention tallymark_analysis::answer::RetentionAnswer;
    experiment_of Experiment ExperimentAnswer;
    content_of Content tallymark_analysis::answer::ContentAnswer;
    pwa_of Pwa tallymark_analysis::answer::PwaAnswer;
    sessions_of Sessions tallymark_analysis::answer::SessionsAnswer;
    completeness_of Completeness tallymark_analysis::answer::CompletenessAnswer;
}

/// A day of an answer (`2026-09-01`) as a date; answers never give another form.
pub(crate) fn date_of(day: &str) -> Option<jiff::civil::Date> {
    day.get(..10).and_then(|day| day.parse().ok())
}
