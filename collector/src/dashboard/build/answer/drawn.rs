//! Answers that are lists and tables on a page, as drawings: for a picture to keep and for paper.
//!
//! In: a [`Block`]. Out: a drawing of it that reads at any width, like those of `svg`; nothing for blocks that are texts.

use super::super::super::markup::{Markup, Num, Pct, Writer};
use super::super::super::words::{say, t};
use super::{Block, Cell, Grid, Step};

/// Height of a step with what is said of it.
const STEP: f64 = 66.0;
/// Height of a row of a grid, and the most rows and columns that can be read in one picture.
const ROW: f64 = 26.0;
const ROWS_MAX: usize = 40;
const COLUMNS_MAX: usize = 14;
/// Where a grid's cells begin, and where its sizes end, in percent.
const CELLS: f64 = 22.0;
const SIZES: f64 = 20.5;

/// A block as a drawing.
pub fn drawn(block: &Block) -> Option<Markup> {
    match block {
        Block::Chart(drawing) => Some(drawing.svg.clone()),
        Block::Funnel(steps) => Some(funnel(steps)),
        Block::Grid(shown) => Some(grid(shown)),
        _ => None,
    }
}

fn open(title: &str, height: f64) -> Writer {
    let mut w = Writer::new();
    w.open(
        "svg",
        &[
            ("class", &"drawn"),
            ("role", &"img"),
            ("aria-label", &title),
            ("width", &"100%"),
            ("height", &Num(height)),
        ],
    );
    w
}

/// Steps below each other: a name, a bar, and what happened before the next one.
fn funnel(steps: &[Step]) -> Markup {
    let mut w = open(t("People by step"), STEP * steps.len() as f64);
    for (index, step) in steps.iter().enumerate() {
        let y = STEP * index as f64;
        let at = |down: f64| Num(y + down);
        let name = format!("{}. {}", step.number, short(&step.name, 48));
        w.element("text", &[("class", &"name"), ("x", &"0"), ("y", &at(14.0))], name);
        w.element(
            "text",
            &[("x", &"100%"), ("y", &at(14.0)), ("text-anchor", &"end")],
            format!("{} · {}", step.people, step.share),
        );
        let share = match step.share {
            Cell::Share(Some(share)) if share.is_finite() => share.clamp(0.0, 1.0),
            _ => 0.0,
        };
        w.empty(
            "rect",
            &[
                ("class", &"track"),
                ("width", &"100%"),
                ("y", &at(22.0)),
                ("height", &"14"),
                ("rx", &"3"),
            ],
        );
        if share > 0.0 {
            w.empty(
                "rect",
                &[
                    ("class", &"reached"),
                    ("width", &Pct(share * 100.0)),
                    ("y", &at(22.0)),
                    ("height", &"14"),
                    ("rx", &"3"),
                ],
            );
        }
        if let Some((on, left, time)) = &step.next {
            let said = format!("{on} {} · {time} · {left} {}", t("went on"), t("left"));
            w.element("text", &[("class", &"quiet"), ("x", &"0"), ("y", &at(52.0))], said);
        }
    }
    w.close();
    w.finish()
}

/// A grid of shares, as its table has it.
fn grid(grid: &Grid) -> Markup {
    let columns = grid.heads.len().min(COLUMNS_MAX);
    let rows = grid.rows.len().min(ROWS_MAX);
    let cut = columns < grid.heads.len() || rows < grid.rows.len();
    let mut w = open(&grid.title, ROW * (rows + 1 + usize::from(cut)) as f64);
    let wide = (100.0 - CELLS) / columns.max(1) as f64;
    let middle = |column: usize| Pct(CELLS + wide * (column as f64 + 0.5));
    let mut said = |x: &dyn std::fmt::Display, y: f64, class: &str, anchor: &str, text: &str| {
        w.element(
            "text",
            &[("class", &class), ("x", x), ("y", &Num(y + 17.0)), ("text-anchor", &anchor)],
            text,
        );
    };
    said(&"0", 0.0, "quiet", "start", t("Start"));
    said(&Pct(SIZES), 0.0, "quiet", "end", t("People"));
    for (column, head) in grid.heads.iter().take(columns).enumerate() {
        said(&middle(column), 0.0, "quiet", "middle", head);
    }
    for (row, (name, size, _)) in grid.rows.iter().take(rows).enumerate() {
        let y = ROW * (row + 1) as f64;
        said(&"0", y, if row == 0 { "name" } else { "" }, "start", &short(name, 14));
        said(&Pct(SIZES), y, "quiet", "end", size);
    }
    for (row, (.., cells)) in grid.rows.iter().take(rows).enumerate() {
        let y = ROW * (row + 1) as f64;
        for (column, (class, text)) in cells.iter().take(columns).enumerate() {
            w.empty(
                "rect",
                &[
                    ("class", class),
                    ("x", &Pct(CELLS + wide * column as f64 + 0.15)),
                    ("width", &Pct(wide - 0.3)),
                    ("y", &Num(y + 1.0)),
                    ("height", &Num(ROW - 2.0)),
                    ("rx", &"3"),
                ],
            );
            w.element(
                "text",
                &[
                    ("class", class),
                    ("x", &middle(column)),
                    ("y", &Num(y + 17.0)),
                    ("text-anchor", &"middle"),
                ],
                text,
            );
        }
    }
    if cut {
        let of = |part: usize, all: usize| {
            say("{n} of {all}", &[("n", &part.to_string()), ("all", &all.to_string())])
        };
        let text = say(
            "{rows} rows and {columns} columns are shown.",
            &[("rows", &of(rows, grid.rows.len())), ("columns", &of(columns, grid.heads.len()))],
        );
        let y = Num(ROW * (rows + 1) as f64 + 17.0);
        w.element("text", &[("class", &"quiet"), ("x", &"0"), ("y", &y)], text);
    }
    w.close();
    w.finish()
}

/// A name of at most so many letters.
fn short(name: &str, most: usize) -> String {
    match name.chars().count() {
        count if count <= most => name.to_owned(),
        _ => name.chars().take(most - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: usize, share: Option<f64>) -> Step {
        Step {
            number,
            name: "</text><script>".into(),
            people: Cell::Count(1_200),
            share: Cell::Share(share),
            svg: Markup::default(),
            next: (number == 1).then_some((
                Cell::Share(Some(0.5)),
                Cell::Count(600),
                Cell::Length(None),
            )),
            links: Default::default(),
        }
    }

    #[test]
    fn a_funnel_is_drawn_with_its_figures_whatever_they_are() {
        for share in [Some(0.5), Some(7.0), Some(f64::NAN), None] {
            let steps = [step(1, Some(1.0)), step(2, share)];
            let svg = drawn(&Block::Funnel(steps.into())).unwrap().to_string();
            assert!(
                !svg.contains("<script>") && !svg.contains("NaN") && !svg.contains("700%"),
                "{svg}"
            );
            assert!(svg.contains("1,200") && svg.contains("600 left"), "{svg}");
        }
    }

    #[test]
    fn a_grid_that_is_too_large_says_what_is_left_out() {
        let cells = |count: usize| vec![("mark-good", "41\u{a0}%".to_owned()); count];
        let grid = |rows: usize, columns: usize| {
            let shown = Grid {
                title: "<b>".into(),
                marks: Default::default(),
                heads: (0..columns).map(|n| n.to_string()).collect(),
                rows: (0..rows).map(|n| (n.to_string(), "9".into(), cells(columns))).collect(),
                data: super::super::Data::default(),
            };
            drawn(&Block::Grid(shown)).unwrap().to_string()
        };
        let fits = grid(ROWS_MAX, COLUMNS_MAX);
        assert_eq!(fits.matches("<rect class=\"mark-good\"").count(), ROWS_MAX * COLUMNS_MAX);
        assert!(!fits.contains("are shown") && !fits.contains("<b>"));
        let cut = grid(ROWS_MAX, COLUMNS_MAX + 1);
        assert!(cut.contains("40 of 40 rows and 14 of 15 columns are shown."), "{cut}");
        assert!(grid(0, 0).starts_with("<svg"));
    }
}
