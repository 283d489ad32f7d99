//! What stands beside a question: its answer as blocks, each drawn as fits it, each with its figures as a table.
//!
//! In: an answer and what is needed to lead on from it. Out: [`Block`]s, which one template prints, and the same
//! figures as CSV. Pure.
//!
//! Deliberately elsewhere: one function per kind of answer ([`kinds`] knows them), the drawings (`svg`).

mod content;
pub mod drawn;
mod funnel;
mod journeys;
pub mod kinds;
mod over_time;
mod people;
mod returns;
mod success;

use std::fmt::{self, Display};

use askama::Template;

use super::super::format;
use super::super::markup::Markup;
use super::super::view::{Table, Words};
use super::super::words::filters;

/// A part of an answer.
#[derive(Debug, Clone)]
pub enum Block {
    /// Figures in a row.
    Figures(Vec<Headline>),
    /// A drawing.
    Chart(Drawing),
    /// A table with a bar behind each row, and where rows lead.
    Ranked(Ranked),
    /// A funnel.
    Funnel(Vec<Step>),
    /// A grid of shares.
    Grid(Grid),
    /// What somebody did, in order.
    Timeline(Vec<Moment>),
    /// Where more of the same is.
    More(String, String),
    /// What is to be known about the block before it.
    Note(String),
    /// There is nothing to show, and why.
    Nothing(Words),
}

/// A figure with its name.
#[derive(Debug, Clone)]
pub struct Headline {
    /// What it is.
    pub name: String,
    /// The figure.
    pub value: Cell,
    /// What it is of, or compared to.
    pub note: String,
}

/// A drawing with its legend and its figures.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// Its heading.
    pub title: String,
    /// Class and name of every colour.
    pub legend: Vec<(&'static str, String)>,
    /// The drawing.
    pub svg: Markup,
    /// Whether it is too wide for a phone and scrolls there.
    pub wide: bool,
    /// What it shows.
    pub data: Data,
}

/// A table with bars.
#[derive(Debug, Clone)]
pub struct Ranked {
    /// Its heading.
    pub title: String,
    /// The figures; the first column is the name.
    pub data: Data,
    /// The bar of each row.
    pub bars: Vec<Markup>,
    /// Where each row leads, or nowhere.
    pub links: Vec<String>,
}

impl Ranked {
    /// Bar, link and figures of each row.
    fn lines(&self) -> impl Iterator<Item = (&Markup, &String, &Vec<Cell>)> {
        let rows = self.bars.iter().zip(&self.links).zip(&self.data.rows);
        rows.map(|((bar, link), cells)| (bar, link, cells))
    }
}

/// A step of a funnel.
#[derive(Debug, Clone)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// Its event.
    pub name: String,
    /// Who came so far.
    pub people: Cell,
    /// Of those who entered.
    pub share: Cell,
    /// The bar.
    pub svg: Markup,
    /// Share that went on, people who did not, median time; nothing after the last step.
    pub next: Option<(Cell, Cell, Cell)>,
    /// Who did all steps up to it, and who did not do the next.
    pub links: (String, String),
}

/// A grid of shares.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Its heading.
    pub title: String,
    /// From which share on cells are good and fair, in words.
    pub marks: [String; 3],
    /// The columns after name and size.
    pub heads: Vec<String>,
    /// Them, the one of all first.
    pub rows: Vec<GridRow>,
    /// The same figures.
    pub data: Data,
}

/// A row of a grid: name, size, cells with class and text.
pub type GridRow = (String, String, Vec<(&'static str, String)>);

/// Something that somebody did.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The day, where it is the first of it.
    pub day: Option<String>,
    /// The time of day.
    pub time: String,
    /// What.
    pub event: String,
    /// Properties: names and values.
    pub props: Vec<(String, String)>,
    /// Whether a session begins with it.
    pub session: bool,
}

/// A table of figures.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// Headings.
    pub head: Vec<String>,
    /// Rows of equal length.
    pub rows: Vec<Vec<Cell>>,
}

/// A figure, before anybody decides how it looks.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// How many.
    Count(u64),
    /// Any figure; nothing where it is not known.
    Figure(Option<f64>),
    /// A share from 0 to 1.
    Share(Option<f64>),
    /// A length of time in milliseconds.
    Length(Option<f64>),
    /// A moment, Unix milliseconds, as text and as number.
    Moment(i64, String),
}

impl Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Moment(_, text) => f.write_str(text),
            Self::Count(count) => f.write_str(&format::count(*count)),
            Self::Figure(value) => f.write_str(&format::maybe(*value)),
            Self::Share(ratio) => f.write_str(&format::maybe_percent(*ratio)),
            Self::Length(ms) => f.write_str(&format::maybe_duration(*ms)),
        }
    }
}

impl Cell {
    /// How long its bar is, beside others of its column.
    pub fn size(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(*count as f64),
            Self::Figure(value) | Self::Share(value) | Self::Length(value) => *value,
            Self::Text(_) | Self::Moment(..) => None,
        }
    }

    /// For programs: numbers as they are, nothing where a figure is not known.
    fn csv(&self) -> String {
        match self {
            // Spreadsheets would calculate what begins like a formula.
            Self::Text(text) => {
                let safe =
                    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
                format!("\"{safe}{}\"", text.replace('"', "\"\""))
            }
            Self::Count(count) => count.to_string(),
            Self::Figure(value) | Self::Share(value) | Self::Length(value) => value
                .filter(|value| value.is_finite())
                .map(|value| value.to_string())
                .unwrap_or_default(),
            Self::Moment(ms, _) => {
                jiff::Timestamp::from_millisecond(*ms).map(|at| at.to_string()).unwrap_or_default()
            }
        }
    }
}

impl From<&Data> for Table {
    fn from(data: &Data) -> Self {
        let rows = data.rows.iter().map(|row| row.iter().map(Cell::to_string).collect());
        Self { head: data.head.clone(), rows: rows.collect() }
    }
}

impl Data {
    /// As a table to open.
    pub fn table(&self) -> Table {
        self.into()
    }

    fn csv(&self, out: &mut String) {
        let line = |cells: Vec<String>| cells.join(",") + "\r\n";
        out.push_str(&line(self.head.iter().map(|head| Cell::Text(head.clone()).csv()).collect()));
        for row in &self.rows {
            out.push_str(&line(row.iter().map(Cell::csv).collect()));
        }
    }
}

/// All figures of an answer, one table after the other with an empty line between.
pub fn csv(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        let data = match block {
            Block::Chart(drawing) => &drawing.data,
            Block::Ranked(ranked) => &ranked.data,
            Block::Grid(grid) => &grid.data,
            Block::Figures(_)
            | Block::Funnel(_)
            | Block::Timeline(_)
            | Block::More(..)
            | Block::Note(_)
            | Block::Nothing(_) => continue,
        };
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        data.csv(&mut out);
    }
    out
}

/// The blocks as markup.
#[derive(Template)]
#[template(path = "blocks.html")]
pub struct Blocks<'a> {
    /// Them.
    pub blocks: &'a [Block],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_numbers_and_never_a_formula() {
        let data = Data {
            head: vec!["Name".into(), "People".into(), "Share".into()],
            rows: vec![
                vec![Cell::Text("=1+\"x\"".into()), Cell::Count(1_234), Cell::Share(Some(0.25))],
                vec![Cell::Text("a,b".into()), Cell::Figure(None), Cell::Length(Some(2.5))],
            ],
        };
        let mut out = String::new();
        data.csv(&mut out);
        assert_eq!(
            out,
            "\"Name\",\"People\",\"Share\"\r\n\"'=1+\"\"x\"\"\",1234,0.25\r\n\"a,b\",,2.5\r\n"
        );
        assert_eq!(data.table().rows[0][1..], ["1,234", "25.0\u{a0}%"]);
    }
}
