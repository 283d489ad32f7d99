//! The retention grid: who came back, week by week.

use super::super::format;
use super::super::svg::grid::{SHADES, shade};
use super::super::words::{say, t};
use super::{Reply, Section, date_of, retention_of};

/// The grid.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Headings of the weeks: `Week 0`, …
    pub weeks: Vec<String>,
    /// Everybody together, complete cells only.
    pub overall: Vec<Cell>,
    /// One row per week in which somebody started.
    pub rows: Vec<Row>,
    /// The shades for the legend.
    pub shades: Vec<u8>,
    /// The share that has the darkest shade.
    pub most: String,
}

/// The people of one week.
#[derive(Debug, Clone)]
pub struct Row {
    /// First day of the week.
    pub from: String,
    /// How many started.
    pub size: String,
    /// One per week since.
    pub cells: Vec<Cell>,
}

/// One cell.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its class: a shade, `start` for the week they started in, `pending` while not known.
    pub class: String,
    /// The share.
    pub text: String,
    /// In words, on hover.
    pub title: String,
}

/// The retention section.
pub fn retention(reply: &Reply) -> Section<Grid> {
    let answer = match retention_of(reply) {
        Ok(answer) => answer,
        Err(why) => return Section::failed(&why),
    };
    if answer.cohorts.iter().all(|cohort| cohort.size == 0) {
        return Section::empty(
            t("Nobody started in these weeks"),
            t("People appear here in the week of their first event."),
        );
    }
    // Weeks before anybody came say nothing.
    let first = answer.cohorts.iter().position(|cohort| cohort.size > 0).unwrap_or(0);
    let cohorts = &answer.cohorts[first..];
    if cohorts.iter().all(|cohort| cohort.ratio.iter().skip(1).all(Option::is_none)) {
        let people = cohorts.iter().map(|cohort| cohort.size).sum();
        let text = say(
            "{people} were seen for the first time so far. Whether they come back shows when their next week is over, \
             and 72 hours for events that arrive late.",
            &[("people", &format::counted(people, "person", "people"))],
        );
        return Section::empty(t("It is too early to tell"), text);
    }
    // Week 0 is everybody: its 100 % would leave no shades for the rest.
    let most = cohorts.iter().flat_map(|c| c.ratio.iter().skip(1)).flatten();
    let most = most.copied().fold(0.0, f64::max);
    // Columns in which nothing is known yet are left away.
    let known =
        |ratios: &[Option<f64>]| ratios.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
    let weeks = cohorts.iter().map(|cohort| known(&cohort.ratio)).max().unwrap_or(0).max(1);
    let cell = |index: usize, ratio: Option<f64>, returned: Option<(u64, u64)>| match ratio {
        None => Cell {
            class: "pending".into(),
            text: "·".into(),
            title: t("not known yet: the week is not over, or events may still arrive").into(),
        },
        Some(ratio) => Cell {
            class: match index {
                0 => "start".into(),
                _ => format!("s{}", shade(ratio, most)),
            },
            text: format::percent(ratio),
            title: match returned {
                Some((back, of)) => say(
                    "{n} of {all} came back after {weeks}",
                    &[
                        ("n", &format::count(back)),
                        ("all", &format::count(of)),
                        ("weeks", &format::counted(index as u64, "week", "weeks")),
                    ],
                ),
                None => say("{share} of all", &[("share", &format::percent(ratio))]),
            },
        },
    };
    let rows = cohorts.iter().map(|cohort| Row {
        from: date_of(&cohort.from).map_or_else(|| cohort.from.clone(), format::day),
        size: format::count(cohort.size),
        cells: cohort
            .ratio
            .iter()
            .take(weeks)
            .enumerate()
            .map(|(i, ratio)| {
                cell(i, *ratio, cohort.returned.get(i).map(|back| (*back, cohort.size)))
            })
            .collect(),
    });
    Section::Ready(Grid {
        weeks: (0..weeks).map(|week| week.to_string()).collect(),
        overall: answer
            .overall
            .iter()
            .take(weeks)
            .enumerate()
            .map(|(i, r)| cell(i, *r, None))
            .collect(),
        rows: rows.collect(),
        shades: (0..SHADES).collect(),
        most: format::percent(most),
    })
}
