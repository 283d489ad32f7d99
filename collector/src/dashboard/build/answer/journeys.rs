//! Where people go: paths and sessions.

use tallymark_analysis::answer::*;

use super::super::super::format;
use super::super::super::svg::line::Line;
use super::super::super::svg::sankey::{self, Flow};
use super::super::super::words::t;
use super::kinds::{Around, figures, heads, nothing, ranked, text};
use super::over_time::{by_country, drawing, group, map, place};
use super::{Block, Cell, Data, Drawing};

pub fn paths(answer: &PathsAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.edges.is_empty() {
        return nothing();
    }
    let backwards = around.definition.get("to_event").is_some_and(|anchor| !anchor.is_null());
    let deepest = answer.edges.iter().map(|edge| edge.depth).max().unwrap_or(1);
    let flows: Vec<Flow> = answer
        .edges
        .iter()
        .map(|edge| Flow {
            column: if backwards { deepest - edge.depth } else { edge.depth - 1 },
            from: edge.from.clone(),
            to: edge.to.clone(),
            size: edge.count as f64,
        })
        .collect();
    let by_event = around.definition["by"] == "event";
    let href = |name: &str| {
        let (anchor, at) =
            if by_event { (name, "") } else { (around.fields.get("anchor").unwrap_or(""), name) };
        let query = around.fields.with(&[("anchor", anchor), ("at", at), ("json", "")]);
        format!("/p/{}/ask/paths{query}", around.slug)
    };
    let title = t("Where people go, step by step: every step is a link that goes on from there");
    let svg = sankey::draw(title, &flows, href, format::figure);
    let rows = answer.edges.iter().map(|edge| {
        vec![
            text(format!("{} → {}", edge.from, edge.to)),
            Cell::Count(edge.count),
            Cell::Count(edge.persons),
            Cell::Count(edge.depth as u64),
        ]
    });
    let head = heads(&[t("From and to"), t("Times"), t("People"), t("Step")]);
    vec![Block::Chart(Drawing {
        title: t("Choose a step to go on from there").to_owned(),
        legend: Vec::new(),
        svg,
        wide: true,
        data: Data { head, rows: rows.collect() },
    })]
}

pub fn sessions(answer: &SessionsAnswer, around: &Around<'_>) -> Vec<Block> {
    let total = &answer.total;
    if total.sessions == 0 {
        return nothing();
    }
    let buckets: Vec<String> =
        answer.buckets.iter().filter_map(|bucket| bucket.bucket.clone()).collect();
    let values = answer.buckets.iter().map(|bucket| Some(bucket.sessions as f64)).collect();
    let rows = answer.buckets.iter().map(|bucket| {
        vec![
            text(bucket.bucket.clone().unwrap_or_default()),
            Cell::Count(bucket.sessions),
            Cell::Share(bucket.bounce_ratio),
            Cell::Length(bucket.median_duration_ms.0),
            Cell::Figure(bucket.pages_per_session),
        ]
    });
    let head = [t("Time"), t("Sessions"), t("Bounced"), t("Median length"), t("Pages per session")];
    let data = Data { head: heads(&head), rows: rows.collect() };
    let line = Line { name: t("Sessions").to_owned(), class: "a", values, area: true };
    let mut blocks = vec![
        figures(&[
            (t("Sessions"), Cell::Count(total.sessions), ""),
            (t("Bounced"), Cell::Share(total.bounce_ratio), t("one page, under ten seconds")),
            (t("Median length"), Cell::Length(total.median_duration_ms.0), ""),
            (t("Pages per session"), Cell::Figure(total.pages_per_session), ""),
        ]),
        drawing(t("Sessions"), &buckets, vec![line], Vec::new(), data, around),
    ];
    if !answer.breakdown.is_empty() {
        let mapped = by_country(around);
        let head = [t("Value"), t("Sessions"), t("People"), t("Bounced"), t("Success")];
        let rows = answer.breakdown.iter().map(|row| {
            let name = match (&row.value, row.group) {
                (Some(value), _) if mapped => place(value),
                (Some(value), _) => group(value),
                (None, Group::Other) => t("all others").to_owned(),
                (None, _) => t("not known").to_owned(),
            };
            let people = Cell::Figure(row.persons.map(|n| n as f64));
            vec![
                text(name),
                Cell::Count(row.sessions),
                people,
                Cell::Share(row.bounce_ratio),
                Cell::Share(row.conversion_ratio),
            ]
        });
        let data = Data { head: heads(&head), rows: rows.collect() };
        if mapped {
            let of = answer.breakdown.iter();
            blocks.push(map(
                of.map(|row| (row.value.as_ref(), Some(row.sessions as f64))),
                data.clone(),
            ));
        }
        blocks.push(ranked(t("By value"), data, |_| String::new()));
    }
    let pages = |path: &str| around.ask("paths", &[("at", path)]);
    let rows = answer.entry_pages.iter().map(|page| {
        vec![text(page.path.clone()), Cell::Count(page.sessions), Cell::Share(page.bounce_ratio)]
    });
    let data =
        Data { head: heads(&[t("Page"), t("Sessions"), t("Bounced")]), rows: rows.collect() };
    blocks.push(ranked(t("Where they come in"), data, |row| pages(&answer.entry_pages[row].path)));
    let rows = answer
        .exit_pages
        .iter()
        .map(|page| vec![text(page.path.clone()), Cell::Count(page.sessions)]);
    let data = Data { head: heads(&[t("Page"), t("Sessions")]), rows: rows.collect() };
    blocks.push(ranked(t("Where they leave"), data, |row| pages(&answer.exit_pages[row].path)));
    blocks
}
