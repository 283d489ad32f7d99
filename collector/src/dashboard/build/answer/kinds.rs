//! Which function makes the blocks of which answer, and what these functions share.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;
use tallymark_analysis::answer::AnswerBody;

use super::super::super::address::builder;
use super::super::super::format;
use super::super::super::notes::Note;
use super::super::super::svg::bars;
use super::super::super::svg::columns::{self, Column};
use super::super::super::view::Words;
use super::super::super::words::t;
use super::super::question::Fields;
use super::content::{content, pwa};
use super::funnel::funnel;
use super::journeys::{paths, sessions};
use super::over_time;
use super::people::{person, persons};
use super::returns::{retention, stickiness};
use super::success::{attribution, revenue};
use super::{Block, Cell, Data, Drawing, Headline, Ranked};

/// What is needed to lead on from an answer.
pub struct Around<'a> {
    /// The project's part of addresses.
    pub slug: &'a str,
    /// The fields of the question.
    pub fields: &'a Fields,
    /// The question in full.
    pub definition: &'a Value,
    /// Where the days are.
    pub tz: &'a TimeZone,
    /// Today, there.
    pub today: Date,
    /// What the team noted of the time.
    pub notes: &'a [Note],
}

impl Around<'_> {
    /// The address of another question over the same time.
    pub fn ask(&self, kind: &str, fields: &[(&str, &str)]) -> String {
        let time = ["range", "from", "to", "tz"];
        let time = time.into_iter().filter_map(|name| Some((name, self.fields.get(name)?)));
        builder(self.slug, kind, time, fields)
    }

    /// A moment by the days of the question.
    pub fn moment(&self, ms: i64) -> Cell {
        let zoned = Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(self.tz.clone());
        let date = zoned.date();
        let day = match date.year() == self.today.year() {
            true => format::day(date),
            false => format!("{} {}", format::day(date), date.year()),
        };
        Cell::Moment(ms, format!("{day}, {}", zoned.strftime("%H:%M")))
    }
}

/// The blocks of an answer.
pub fn blocks(answer: &AnswerBody, around: &Around<'_>) -> Vec<Block> {
    match answer {
        AnswerBody::Trend(answer) => over_time::trend(answer, around),
        AnswerBody::Active(answer) => over_time::active(answer, around),
        AnswerBody::Lifecycle(answer) => over_time::lifecycle(answer),
        AnswerBody::Stickiness(answer) => stickiness(answer),
        AnswerBody::Funnel(answer) => funnel(answer, around),
        AnswerBody::Retention(answer) => retention(answer, around),
        AnswerBody::Paths(answer) => paths(answer, around),
        AnswerBody::Sessions(answer) => sessions(answer, around),
        AnswerBody::Content(answer) => content(answer),
        AnswerBody::Pwa(answer) => pwa(answer),
        AnswerBody::Attribution(answer) => attribution(answer, around),
        AnswerBody::Revenue(answer) => revenue(answer, around),
        AnswerBody::Persons(answer) => persons(answer, around),
        AnswerBody::Person(answer) => person(answer, around),
        AnswerBody::Completeness(_) | AnswerBody::Experiment(_) | AnswerBody::Explain(_) => {
            nothing()
        }
    }
}

/// Nothing in this time.
pub fn nothing() -> Vec<Block> {
    vec![Block::Nothing(Words {
        title: t("Nothing in this time").to_owned(),
        text: t("Choose a longer range, another event, or fewer filters.").to_owned(),
    })]
}

/// Figures with their names and notes.
pub fn figures(all: &[(&str, Cell, &str)]) -> Block {
    let headline = |(name, value, note): &(&str, Cell, &str)| Headline {
        name: (*name).to_owned(),
        value: value.clone(),
        note: (*note).to_owned(),
    };
    Block::Figures(all.iter().map(headline).collect())
}

/// A table with bars of its second column; `link` gives the address of a row by its number.
pub fn ranked(title: &str, data: Data, link: impl Fn(usize) -> String) -> Block {
    let size = |row: &[Cell]| row.get(1).and_then(Cell::size).unwrap_or(0.0);
    let most = data.rows.iter().map(|row| size(row)).fold(0.0, f64::max);
    let bars = data.rows.iter().map(|row| bars::behind(size(row) / most)).collect();
    let links = (0..data.rows.len()).map(link).collect();
    Block::Ranked(Ranked { title: title.to_owned(), data, bars, links })
}

/// Headings.
pub fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A cell of text.
pub fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// How many people by something, as columns.
pub fn histogram(title: &str, labels: Vec<String>, counts: &[u64], name: &str) -> Block {
    let every = counts.len().div_ceil(12).max(1);
    let columns: Vec<Column> = labels
        .iter()
        .zip(counts)
        .enumerate()
        .map(|(index, (label, count))| Column {
            tick: index.is_multiple_of(every).then(|| label.clone()),
            title: format!("{label}: {}", format::count(*count)),
            parts: vec![("a", *count as f64)],
        })
        .collect();
    let rows =
        labels.into_iter().zip(counts).map(|(label, count)| vec![text(label), Cell::Count(*count)]);
    let data = Data { head: heads(&[name, t("People")]), rows: rows.collect() };
    Block::Chart(Drawing {
        title: title.to_owned(),
        legend: Vec::new(),
        svg: columns::draw(title, &columns),
        wide: false,
        data,
    })
}
