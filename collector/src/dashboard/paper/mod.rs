//! A dashboard on paper: the PDF that reports carry.
//!
//! In: what stands on a dashboard, as blocks. Out: the bytes of a PDF of A4 pages. A page is a screen of 960 pixels on which
//! the same drawings are laid out as in a browser ([`svg`] reads them, [`looks`] reads the style sheet), so a chart looks
//! the same in both. There is no browser on the server, no font in the file and nothing in it that acts.
//!
//! Deliberately elsewhere: asking the questions (`boards`), when reports go (`reports`).

mod looks;
mod sheet;
mod svg;
mod text;

use super::build::answer::drawn::drawn;
use super::build::answer::{Block, Cell, Headline, Moment, Ranked};
use super::words::{Lang, say, t};
use looks::named;
use sheet::{About, Anchor, HEIGHT, Letters, Paint, Sheet, WIDTH};
use text::Weight;

/// Around a page, between tiles, and inside of them.
const MARGIN: f64 = 48.0;
const GAP: f64 = 18.0;
const PADDING: f64 = 18.0;
/// Rows of a table, and moments of a list, that are shown of it.
const ROWS_MAX: usize = 12;
/// Notes of the team above the tiles.
const NOTES_MAX: usize = 6;
/// The least width of a figure, and of a column of figures.
const FIGURE: f64 = 150.0;
const COLUMN: f64 = 84.0;

/// What is on the paper.
pub struct Paper<'a> {
    /// The dashboard's name.
    pub title: &'a str,
    /// Whose it is and of when.
    pub under: String,
    /// When it was made.
    pub made: String,
    /// What the team noted of the time.
    pub notes: Vec<String>,
    /// The tiles in order.
    pub tiles: Vec<Tile<'a>>,
}

/// A tile.
pub struct Tile<'a> {
    pub title: &'a str,
    pub wide: bool,
    pub blocks: &'a [Block],
}

/// A tile that is drawn, with its size.
struct Drawn {
    sheet: Sheet,
    width: f64,
    height: f64,
}

/// Pages, from above to below.
struct Pages {
    done: Vec<Sheet>,
    page: Sheet,
    y: f64,
}

impl Pages {
    /// Room of this height: on this page, or on the next one.
    fn room(&mut self, height: f64) {
        if self.y + height > HEIGHT - MARGIN && self.y > MARGIN {
            self.done.push(std::mem::take(&mut self.page));
            self.y = MARGIN;
        }
    }
}

/// The file.
pub fn write(paper: &Paper<'_>) -> Vec<u8> {
    let mut pages = Pages { done: Vec::new(), page: Sheet::default(), y: MARGIN };
    head(&mut pages, paper);
    let full = WIDTH - 2.0 * MARGIN;
    let half = (full - GAP) / 2.0;
    let mut tiles = paper.tiles.iter().peekable();
    while let Some(tile) = tiles.next() {
        let mut row = Vec::new();
        match tiles.next_if(|next| !tile.wide && !next.wide) {
            Some(next) => row.extend([drawn_tile(tile, half), drawn_tile(next, half)]),
            None => row.push(drawn_tile(tile, if tile.wide { full } else { half })),
        }
        let height = row.iter().map(|tile| tile.height).fold(0.0, f64::max);
        pages.room(height);
        let mut x = MARGIN;
        for tile in row {
            let at = [x, pages.y, tile.width, height];
            let frame = Paint {
                stroke: Some(named("--line")),
                width: 1.0,
                ..Paint::filled(named("--card"))
            };
            pages.page.block(at, 12.0, &frame);
            x += tile.width + GAP;
            pages.page.place(tile.sheet, at);
        }
        pages.y += height + GAP;
    }
    let Pages { mut done, page, .. } = pages;
    done.push(page);
    let all = done.len();
    for (index, page) in done.iter_mut().enumerate() {
        let said =
            say("Page {n} of {all}", &[("n", &(index + 1).to_string()), ("all", &all.to_string())]);
        let y = HEIGHT - MARGIN / 2.0;
        page.text((MARGIN, y), &paper.made, quiet(12.0));
        page.text((WIDTH - MARGIN, y), &said, Letters { anchor: Anchor::End, ..quiet(12.0) });
    }
    let about = About { title: paper.title, language: Lang::current().ways().code };
    sheet::file(&about, done)
}

fn ink(size: f64, weight: Weight) -> Letters {
    Letters { size, weight, colour: named("--ink"), anchor: Anchor::Start }
}

fn quiet(size: f64) -> Letters {
    Letters { colour: named("--soft"), ..ink(size, Weight::Plain) }
}

/// The name of the dashboard, and what is to be known before looking at it.
fn head(pages: &mut Pages, paper: &Paper<'_>) {
    let room = WIDTH - 2.0 * MARGIN;
    let title = text::fitted(paper.title, room, 28.0, Weight::Bold);
    pages.page.text((MARGIN, pages.y + 26.0), &title, ink(28.0, Weight::Bold));
    let under = text::fitted(&paper.under, room, 15.0, Weight::Plain);
    pages.page.text((MARGIN, pages.y + 50.0), &under, quiet(15.0));
    pages.y += 70.0;
    for note in paper.notes.iter().take(NOTES_MAX) {
        let note = text::fitted(note, room, 13.0, Weight::Plain);
        pages.page.text((MARGIN, pages.y + 10.0), &note, quiet(13.0));
        pages.y += 19.0;
    }
    if paper.tiles.is_empty() {
        let said = t("Nothing is pinned yet");
        pages.page.text((MARGIN, pages.y + 20.0), said, ink(15.0, Weight::Plain));
    }
    pages.y += 8.0;
}

fn drawn_tile(tile: &Tile<'_>, width: f64) -> Drawn {
    let mut sheet = Sheet::default();
    let room = width - 2.0 * PADDING;
    let title = text::fitted(tile.title, room, 16.0, Weight::Bold);
    sheet.text((PADDING, PADDING + 14.0), &title, ink(16.0, Weight::Bold));
    let mut y = PADDING + 30.0;
    for block in tile.blocks {
        let (drawn, height) = drawn_block(block, room);
        sheet.place(drawn, [PADDING, y, room, height]);
        y += height + 10.0;
    }
    Drawn { sheet, width, height: y + PADDING - 10.0 }
}

/// A block and its height.
fn drawn_block(block: &Block, room: f64) -> (Sheet, f64) {
    let mut sheet = Sheet::default();
    let mut y = 0.0;
    match block {
        Block::Figures(all) => y = figures(&mut sheet, all, room),
        Block::Ranked(table) => y = ranked(&mut sheet, table, room),
        Block::Timeline(moments) => y = timeline(&mut sheet, moments, room),
        Block::Nothing(words) => {
            let title = text::fitted(&words.title, room, 14.0, Weight::Bold);
            sheet.text((0.0, 14.0), &title, ink(14.0, Weight::Bold));
            y = 22.0;
            for line in text::lines(&words.text, room, 13.0, 6) {
                sheet.text((0.0, y + 12.0), &line, quiet(13.0));
                y += 18.0;
            }
        }
        Block::Note(note) => {
            for line in text::lines(note, room, 12.0, 6) {
                sheet.text((0.0, y + 11.0), &line, quiet(12.0));
                y += 16.0;
            }
        }
        Block::More(..) => {}
        Block::Chart(_) | Block::Funnel(_) | Block::Grid(_) => {
            if let Block::Chart(chart) = block {
                y = legend(&mut sheet, &chart.title, &chart.legend, room);
            }
            if let Some(drawing) = drawn(block) {
                let mut own = Sheet::default();
                let height = svg::draw(&mut own, &drawing, room);
                sheet.place(own, [0.0, y, room, height]);
                y += height;
            }
        }
    }
    (sheet, y)
}

/// Figures beside each other, in as many rows as they need.
fn figures(sheet: &mut Sheet, all: &[Headline], room: f64) -> f64 {
    let columns = ((room / FIGURE).floor() as usize).clamp(1, all.len().max(1));
    let wide = room / columns as f64;
    for (index, one) in all.iter().enumerate() {
        let (x, y) = ((index % columns) as f64 * wide, (index / columns) as f64 * 74.0);
        let fitted = |text: &str, size: f64, weight| text::fitted(text, wide - 10.0, size, weight);
        sheet.text((x, y + 12.0), &fitted(&one.name, 13.0, Weight::Plain), quiet(13.0));
        let value = fitted(&one.value.to_string(), 24.0, Weight::Bold);
        sheet.text((x, y + 38.0), &value, ink(24.0, Weight::Bold));
        sheet.text((x, y + 56.0), &fitted(&one.note, 12.0, Weight::Plain), quiet(12.0));
    }
    all.len().div_ceil(columns) as f64 * 74.0
}

/// A heading and what the colours of the drawing below mean.
fn legend(sheet: &mut Sheet, title: &str, colours: &[(&str, String)], room: f64) -> f64 {
    let title = text::fitted(title, room, 14.0, Weight::Plain);
    sheet.text((0.0, 13.0), &title, quiet(14.0));
    let (mut x, mut y) = (0.0, 20.0);
    for (class, name) in colours {
        let name = text::fitted(name, room - 20.0, 12.0, Weight::Plain);
        let wide = 26.0 + text::width(&text::encode(&name).bytes, 12.0, Weight::Plain);
        if x > 0.0 && x + wide > room {
            (x, y) = (0.0, y + 18.0);
        }
        sheet.block([x, y + 3.0, 9.0, 9.0], 4.5, &Paint::filled(named(&format!("--{class}"))));
        sheet.text((x + 14.0, y + 12.0), &name, quiet(12.0));
        x += wide;
    }
    if colours.is_empty() { y + 4.0 } else { y + 24.0 }
}

/// The first rows of a table, each with its bar.
fn ranked(sheet: &mut Sheet, table: &Ranked, room: f64) -> f64 {
    let heads = &table.data.head;
    // Names need half of the room; the first figures say most.
    let columns = ((room / 2.0 / COLUMN).floor() as usize).clamp(1, heads.len().max(2) - 1);
    let names = room - columns as f64 * COLUMN;
    let right = |column: usize| names + COLUMN * (column + 1) as f64;
    let end = |letters| Letters { anchor: Anchor::End, ..letters };
    let title = text::fitted(&table.title, names - 8.0, 14.0, Weight::Plain);
    sheet.text((0.0, 13.0), &title, quiet(14.0));
    for (column, head) in heads.iter().skip(1).take(columns).enumerate() {
        let head = text::fitted(head, COLUMN - 8.0, 12.0, Weight::Plain);
        sheet.text((right(column), 13.0), &head, end(quiet(12.0)));
    }
    let size = |row: &Vec<Cell>| row.get(1).and_then(Cell::size).unwrap_or(0.0).max(0.0);
    let most = table.data.rows.iter().map(size).fold(0.0, f64::max);
    let mut y = 20.0;
    for row in table.data.rows.iter().take(ROWS_MAX) {
        let bar = if most > 0.0 { size(row) / most * names } else { 0.0 };
        sheet.block([0.0, y + 1.0, bar, 22.0], 4.0, &Paint::filled(named("--bar")));
        let name = row.first().map(Cell::to_string).unwrap_or_default();
        let name = text::fitted(&name, names - 14.0, 13.0, Weight::Plain);
        sheet.text((7.0, y + 16.0), &name, ink(13.0, Weight::Plain));
        for (column, cell) in row.iter().skip(1).take(columns).enumerate() {
            let cell = text::fitted(&cell.to_string(), COLUMN - 8.0, 13.0, Weight::Plain);
            sheet.text((right(column), y + 16.0), &cell, end(ink(13.0, Weight::Plain)));
        }
        y += 24.0;
    }
    let more = table.data.rows.len().saturating_sub(ROWS_MAX);
    y + more_of(sheet, more, y)
}

/// The first moments of a list.
fn timeline(sheet: &mut Sheet, moments: &[Moment], room: f64) -> f64 {
    let mut y = 0.0;
    for moment in moments.iter().take(ROWS_MAX) {
        if let Some(day) = &moment.day {
            sheet.text((0.0, y + 16.0), day, ink(13.0, Weight::Bold));
            y += 22.0;
        }
        sheet.text((0.0, y + 14.0), &moment.time, quiet(13.0));
        let event = text::fitted(&moment.event, room - 70.0, 13.0, Weight::Plain);
        sheet.text((70.0, y + 14.0), &event, ink(13.0, Weight::Plain));
        y += 20.0;
    }
    y + more_of(sheet, moments.len().saturating_sub(ROWS_MAX), y)
}

/// How many are left out, where some are.
fn more_of(sheet: &mut Sheet, more: usize, y: f64) -> f64 {
    if more == 0 {
        return 0.0;
    }
    let said = say("and {n} more", &[("n", &more.to_string())]);
    sheet.text((7.0, y + 14.0), &said, quiet(12.0));
    20.0
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::ZlibDecoder;

    use super::super::build::answer::{Data, Drawing};
    use super::super::svg::line::{self, Line, LineChart, Point};
    use super::*;

    const EVIL: &str = "(]>>)Tj ET /JS (app.alert(1)) \\) endstream endobj <script>";

    fn chart(values: &[Option<f64>]) -> Block {
        let point = |n: usize| Point { tick: Some(EVIL.into()), label: n.to_string(), mark: None };
        let line = Line { name: EVIL.into(), class: "a", values: values.to_vec(), area: true };
        let svg = line::draw(&LineChart {
            title: EVIL.into(),
            points: (0..values.len()).map(point).collect(),
            lines: vec![line],
            unfinished: true,
            format: |value| value.to_string(),
        });
        let legend = vec![("a", EVIL.to_owned())];
        Block::Chart(Drawing {
            title: EVIL.into(),
            legend,
            svg,
            wide: false,
            data: Data::default(),
        })
    }

    fn paper(blocks: &[Block], tiles: usize) -> Vec<u8> {
        let tile = |n: usize| Tile { title: EVIL, wide: n.is_multiple_of(3), blocks };
        write(&Paper {
            title: EVIL,
            under: "Привет".into(),
            made: "now".into(),
            notes: vec![EVIL.into()],
            tiles: (0..tiles).map(tile).collect(),
        })
    }

    /// The operations of all pages.
    fn operations(file: &[u8]) -> Vec<String> {
        let find = |from: usize, what: &[u8]| {
            file[from..].windows(what.len()).position(|part| part == what).map(|at| from + at)
        };
        let mut all = Vec::new();
        let mut from = 0;
        while let Some(at) = find(from, b"\nstream\n") {
            let end = find(at, b"\nendstream").unwrap();
            let mut page = Vec::new();
            ZlibDecoder::new(&file[at + 8..end]).read_to_end(&mut page).unwrap();
            all.push(page.iter().map(|byte| char::from(*byte)).collect());
            from = end;
        }
        all
    }

    #[test]
    fn whatever_is_on_a_dashboard_its_paper_is_pages_of_shapes_and_strings() {
        let figures = [Some(1.0), Some(f64::NAN), None, Some(f64::MAX), Some(-3.0)];
        let headline = Headline { name: EVIL.into(), value: Cell::Figure(None), note: EVIL.into() };
        let row = vec![Cell::Text(EVIL.into()), Cell::Count(7), Cell::Share(Some(f64::INFINITY))];
        let head = vec![EVIL.to_owned(); 3];
        let data = Data { head, rows: vec![row; 30] };
        let table = Ranked { title: EVIL.into(), data, bars: Vec::new(), links: Vec::new() };
        let blocks = [Block::Figures(vec![headline; 5]), chart(&figures), Block::Ranked(table)];
        for tiles in [0, 1, 7] {
            let file = paper(&blocks, tiles);
            assert!(file.starts_with(b"%PDF-") && file.ends_with(b"%%EOF"));
            let pages = operations(&file);
            assert_eq!(pages.len() > 1, tiles == 7, "{} pages", pages.len());
            for page in &pages {
                assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
                // A bracket that is not the string's own is written with a backslash.
                for (at, _) in page.match_indices("Tj ET") {
                    assert!(
                        page[..at].ends_with("\\)") || page[..at].ends_with(")\n"),
                        "{}",
                        &page[..at]
                    );
                }
                let lines = |of: &str| page.lines().filter(|line| *line == of).count();
                assert_eq!(lines("q"), lines("Q"), "{page}");
            }
            let plain = String::from_utf8_lossy(&file);
            for acts in ["/JavaScript", "/OpenAction", "/URI", "/Launch", "/EmbeddedFile"] {
                assert!(!plain.contains(acts), "{acts}");
            }
        }
    }

    #[test]
    fn letters_without_a_font_are_told_and_carried_along() {
        let [page] = &operations(&paper(&[], 1))[..] else { panic!() };
        assert!(page.contains("(Privet)"), "{page}");
        assert!(page.contains("/ActualText"), "{page}");
    }
}
