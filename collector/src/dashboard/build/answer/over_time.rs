//! Answers over time: trends, active people, lifecycles.

use tallymark_analysis::answer::{
    ActiveAnswer, Group, GroupValue, LifecycleAnswer, TrendAnswer, TrendSeries,
};

use super::super::super::format;
use super::super::super::notes::marks;
use super::super::super::svg::columns::{self, Column};
use super::super::super::svg::line::{self, Line, LineChart, Point};
use super::super::super::view::{Words, date_of};
use super::super::super::words::t;
use super::super::super::world;
use super::super::form::MEASURES;
use super::kinds::{Around, figures, nothing, ranked};
use super::{Block, Cell, Data, Drawing, Headline};

/// Colours of lines, in order; what goes beyond them is in the table only.
const COLOURS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A trend: lines, their totals, and the figures.
pub fn trend(answer: &TrendAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.series.is_empty() {
        return nothing();
    }
    let several = answer.series.iter().any(|series| series.index != answer.series[0].index);
    let mapped = by_country(around);
    let names: Vec<String> =
        answer.series.iter().map(|series| name(series, several, mapped)).collect();
    let values = |series: &TrendSeries| series.data.iter().map(|figure| figure.0).collect();
    let mut lines: Vec<Line> = Vec::new();
    let mut legend: Vec<(&'static str, String)> = Vec::new();
    let alone = answer.series.len() == 1;
    for ((series, name), class) in answer.series.iter().zip(&names).zip(COLOURS) {
        if let Some(previous) = series.previous.as_ref().filter(|_| alone) {
            let then =
                previous.data.iter().map(|figure| figure.0).take(series.data.len()).collect();
            let name = t("The time before").to_owned();
            legend.push(("past", name.clone()));
            lines.push(Line { name, class: "past", values: then, area: false });
        }
        legend.push((class, name.clone()));
        lines.push(Line { name: clipped(name), class, values: values(series), area: alone });
    }
    // The first line is the most important: it is drawn last.
    lines.reverse();
    if alone {
        lines.sort_by_key(|line| line.class != "past");
    }
    let mut head = vec![t("Time").to_owned()];
    for (series, name) in answer.series.iter().zip(&names) {
        head.push(name.clone());
        head.extend(series.previous.as_ref().map(|_| format!("{name}, {}", t("the time before"))));
    }
    let rows = answer.buckets.iter().enumerate().map(|(index, bucket)| {
        let mut row = vec![Cell::Text(bucket.clone())];
        for series in &answer.series {
            row.push(Cell::Figure(series.data.get(index).and_then(|figure| figure.0)));
            let previous = series.previous.as_ref();
            row.extend(
                previous.map(|p| Cell::Figure(p.data.get(index).and_then(|figure| figure.0))),
            );
        }
        row
    });
    let data = Data { head, rows: rows.collect() };
    let drawing = drawing(t("Over time"), &answer.buckets, lines, legend, data, around);
    let totals = answer
        .series
        .iter()
        .zip(&names)
        .map(|(series, name)| vec![Cell::Text(name.clone()), Cell::Figure(series.total.0)]);
    let totals: Vec<Vec<Cell>> = totals.collect();
    if mapped && !several {
        let head = vec![t("Country").to_owned(), t("Total").to_owned()];
        let of = answer.series.iter().map(|series| (series.value.as_ref(), series.total.0));
        let map = map(of, Data { head, rows: totals.clone() });
        return vec![map, drawing, lists(totals)];
    }
    if answer.series.len() > 4 {
        return vec![drawing, lists(totals)];
    }
    let headline = answer.series.iter().zip(names).map(|(series, name)| Headline {
        name,
        value: Cell::Figure(series.total.0),
        note: note(series),
    });
    vec![Block::Figures(headline.collect()), drawing]
}

/// The totals as a table.
fn lists(totals: Vec<Vec<Cell>>) -> Block {
    let head = vec![t("Series").to_owned(), t("Total").to_owned()];
    ranked(t("Totals"), Data { head, rows: totals }, |_| String::new())
}

/// Whether a question is broken down by country.
pub fn by_country(around: &Around<'_>) -> bool {
    around.definition["breakdown"]["prop"] == "country"
}

/// Figures by country on a map.
pub fn map<'a>(
    of: impl Iterator<Item = (Option<&'a GroupValue>, Option<f64>)>,
    data: Data,
) -> Block {
    let figures: Vec<(&str, f64)> =
        of.filter_map(|(value, figure)| Some((value?.text()?, figure?))).collect();
    Block::Chart(Drawing {
        title: t("Map of countries").to_owned(),
        legend: Vec::new(),
        svg: world::draw(&world::title(), &figures, format::figure),
        wide: false,
        data,
    })
}

fn note(series: &TrendSeries) -> String {
    let previous = series.previous.as_ref().and_then(|previous| previous.total.0);
    match (series.total.0, previous) {
        (Some(now), Some(then)) if then > 0.0 => {
            format!(
                "{} · {} {}",
                format::signed_percent(now / then - 1.0),
                t("before:"),
                format::figure(then)
            )
        }
        _ => t("in total").to_owned(),
    }
}

/// What a line is called.
fn name(series: &TrendSeries, several: bool, mapped: bool) -> String {
    let measure = MEASURES.iter().find(|(value, _)| *value == series.measure);
    let measure = measure.map_or(series.measure.as_str(), |(_, words)| t(words));
    let event = series.event.as_deref().unwrap_or(t("any event"));
    let value = match (&series.value, series.group) {
        (_, Group::All) => None,
        (_, Group::Other) => Some(t("all others").to_owned()),
        (Some(value), _) if mapped => Some(place(value)),
        (Some(value), _) => Some(group(value)),
        (None, _) => Some(t("not known").to_owned()),
    };
    match value {
        None if series.measure == "formula" => t("Formula").to_owned(),
        None => format!("{event}: {measure}"),
        Some(value) if several => format!("{event}: {value}"),
        Some(value) => value,
    }
}

/// The value of a breakdown's row.
pub fn group(value: &GroupValue) -> String {
    match value {
        GroupValue::One(text) => text.clone(),
        GroupValue::Two(both) => {
            let part =
                |part: &Option<String>| part.clone().unwrap_or_else(|| t("not known").to_owned());
            format!("{} · {}", part(&both[0]), part(&both[1]))
        }
    }
}

/// The name of a row that is a country.
pub fn place(value: &GroupValue) -> String {
    value.text().map_or_else(|| group(value), |code| world::name(code).to_owned())
}

fn clipped(name: &str) -> String {
    if name.chars().count() <= 16 {
        name.to_owned()
    } else {
        name.chars().take(15).chain(['…']).collect()
    }
}

/// Daily, weekly and monthly active people.
pub fn active(answer: &ActiveAnswer, around: &Around<'_>) -> Vec<Block> {
    let whole = |counts: &[Option<u64>]| counts.iter().map(|n| n.map(|n| n as f64)).collect();
    let daily: Vec<Option<u64>> = answer.dau.iter().copied().map(Some).collect();
    let line =
        |name: &str, class, values, area| Line { name: name.to_owned(), class, values, area };
    let lines = vec![
        line(t("Month"), "c", whole(&answer.mau), false),
        line(t("Week"), "b", whole(&answer.wau), false),
        line(t("Day"), "a", whole(&daily), true),
    ];
    let legend = vec![
        ("a", t("on the day").to_owned()),
        ("b", t("in 7 days up to it").to_owned()),
        ("c", t("in 30 days up to it").to_owned()),
    ];
    let head = [t("Day"), t("People on the day"), t("in 7 days"), t("in 30 days"), t("Stickiness")];
    let rows = (0..answer.days.len()).map(|i| {
        let count = |counts: &[Option<u64>]| {
            Cell::Figure(counts.get(i).copied().flatten().map(|n| n as f64))
        };
        let stickiness = answer.stickiness.get(i).copied().flatten();
        vec![
            Cell::Text(answer.days[i].clone()),
            count(&daily),
            count(&answer.wau),
            count(&answer.mau),
            Cell::Share(stickiness),
        ]
    });
    let data = Data { head: head.map(str::to_owned).into(), rows: rows.collect() };
    let people = answer.persons.map(|n| n as f64);
    let mut blocks = vec![figures(&[
        (t("People"), Cell::Figure(people), t("in all of this time")),
        (
            t("Stickiness"),
            Cell::Share(answer.stickiness_mean),
            t("of a month's people are there on a day"),
        ),
    ])];
    blocks.push(drawing(t("Active people"), &answer.days, lines, legend, data, around));
    if answer.reason.is_some() {
        blocks.push(Block::Nothing(Words {
            title: t("Some figures are not known").to_owned(),
            text: t("Visitors without cookies have another id every day, so nobody knows how many there are in a week or a month.").to_owned(),
        }));
    }
    blocks
}

/// New, returning, resurrected above the line, dormant below.
pub fn lifecycle(answer: &LifecycleAnswer) -> Vec<Block> {
    let groups = [
        ("a", t("new"), &answer.new),
        ("b", t("returning"), &answer.returning),
        ("c", t("resurrected"), &answer.resurrected),
        ("past", t("dormant"), &answer.dormant),
    ];
    let at = |counts: &[Option<u64>], index: usize| counts.get(index).copied().flatten();
    let every = answer.buckets.len().div_ceil(8).max(1);
    let columns: Vec<Column> = answer
        .buckets
        .iter()
        .enumerate()
        .map(|(index, bucket)| {
            let parts = groups.iter().map(|(class, _, counts)| {
                let people = at(counts, index).unwrap_or(0) as f64;
                (*class, if *class == "past" { -people } else { people })
            });
            let words = groups.iter().map(|(_, name, counts)| {
                format!(
                    "{name} {}",
                    at(counts, index).map_or(format::UNKNOWN.to_owned(), format::count)
                )
            });
            Column {
                tick: index.is_multiple_of(every).then(|| short_day(bucket)),
                title: format!("{bucket}: {}", words.collect::<Vec<_>>().join(", ")),
                parts: parts.collect(),
            }
        })
        .collect();
    let mut head = vec![t("Time").to_owned()];
    head.extend(groups.iter().map(|(_, name, _)| (*name).to_owned()));
    let rows = answer.buckets.iter().enumerate().map(|(index, bucket)| {
        let counts =
            groups.iter().map(|(_, _, counts)| Cell::Figure(at(counts, index).map(|n| n as f64)));
        std::iter::once(Cell::Text(bucket.clone())).chain(counts).collect()
    });
    vec![Block::Chart(Drawing {
        title: t("Who comes and who goes").to_owned(),
        legend: groups.iter().map(|(class, name, _)| (*class, (*name).to_owned())).collect(),
        svg: columns::draw(t("New, returning, resurrected and dormant people"), &columns),
        wide: false,
        data: Data { head, rows: rows.collect() },
    })]
}

/// A bucket as a short day, or as it is.
pub fn short_day(bucket: &str) -> String {
    match date_of(bucket) {
        Some(date) if bucket.len() == 10 => format::day(date),
        _ => bucket.to_owned(),
    }
}

/// Lines over buckets, with what the team noted of their time.
pub fn drawing(
    title: &str,
    buckets: &[String],
    lines: Vec<Line>,
    legend: Vec<(&'static str, String)>,
    mut data: Data,
    around: &Around<'_>,
) -> Block {
    let marks = marks(around.notes, buckets, around.tz);
    if !marks.is_empty() {
        data.head.push(t("Notes").to_owned());
        for (row, mark) in data.rows.iter_mut().zip(&marks) {
            row.push(Cell::Text(mark.clone().unwrap_or_default()));
        }
    }
    let every = buckets.len().div_ceil(7).max(1);
    let last = buckets.len().saturating_sub(1);
    let points = buckets.iter().enumerate().map(|(index, bucket)| Point {
        tick: (last - index).is_multiple_of(every).then(|| short_day(bucket)),
        label: match date_of(bucket) {
            Some(date) if bucket.len() == 10 => format::full_day(date),
            _ => bucket.clone(),
        },
        mark: marks.get(index).cloned().flatten(),
    });
    let svg = line::draw(&LineChart {
        title: format!("{title}. {}", t("The table below has the figures.")),
        points: points.collect(),
        lines,
        unfinished: buckets.last().and_then(|bucket| date_of(bucket)) == Some(around.today),
        format: format::figure,
    });
    Block::Chart(Drawing { title: title.to_owned(), legend, svg, wide: false, data })
}
