//! What is read, and the way to the installed app.

use tallymark_analysis::answer::*;

use super::super::super::svg::funnel as funnel_svg;
use super::super::super::view;
use super::super::super::words::t;
use super::kinds::{figures, heads, ranked, text};
use super::{Block, Cell, Data, Step};

pub fn content(answer: &ContentAnswer) -> Vec<Block> {
    if answer.items.is_empty() {
        return vec![Block::Nothing(view::content::none())];
    }
    let rows = answer.items.iter().map(|item| {
        let name = item.id.as_ref().or(item.owner.as_ref()).or(item.content_type.as_ref());
        let share =
            |n: u64| Cell::Share((item.viewers > 0).then(|| n as f64 / item.viewers as f64));
        let mut row = vec![
            text(name.cloned().unwrap_or_else(|| t("not known").to_owned())),
            Cell::Count(item.views),
            Cell::Count(item.viewers),
            Cell::Length(item.engaged_ms_mean.0),
        ];
        row.extend(item.reached.map(share));
        row
    });
    let head = [
        t("Content"),
        t("Views"),
        t("People"),
        t("Mean time"),
        "25 %",
        "50 %",
        "75 %",
        t("To the end"),
    ];
    vec![
        figures(&[
            (t("Views"), Cell::Count(answer.total.views), ""),
            (t("People"), Cell::Count(answer.total.viewers), ""),
            (t("Mean time"), Cell::Length(answer.total.engaged_ms_mean.0), t("in sight")),
        ]),
        ranked(t("Content"), Data { head: heads(&head), rows: rows.collect() }, |_| String::new()),
    ]
}

pub fn pwa(answer: &PwaAnswer) -> Vec<Block> {
    if answer.stages.iter().all(|stage| stage.persons == 0) {
        return vec![Block::Nothing(view::install::none())];
    }
    let most = answer.stages.first().map_or(0, |stage| stage.persons);
    let share = |n: u64| if most == 0 { 0.0 } else { n as f64 / most as f64 };
    let steps = answer.stages.iter().enumerate().map(|(index, at)| {
        let after = answer.stages.get(index + 1);
        Step {
            number: index + 1,
            name: view::install::stage(&at.stage).to_owned(),
            people: Cell::Count(at.persons),
            share: Cell::Share((most > 0).then(|| share(at.persons))),
            svg: funnel_svg::step(share(at.persons), after.map(|next| share(next.persons))),
            next: after.map(|next| {
                let left = at.persons.saturating_sub(next.persons_after_previous);
                (Cell::Share(next.from_previous_ratio), Cell::Count(left), Cell::Length(None))
            }),
            links: Default::default(),
        }
    });
    let rows = answer.display_modes.iter().map(|mode| {
        vec![
            text(view::install::mode(mode.display_mode.as_deref())),
            Cell::Count(mode.persons),
            Cell::Count(mode.events),
            Cell::Share(mode.returned_ratio),
        ]
    });
    let head = [t("How it is opened"), t("People"), t("Events"), t("Came back")];
    vec![
        Block::Funnel(steps.collect()),
        figures(&[(
            t("Without a network"),
            Cell::Share(answer.offline_ratio),
            t("of the people used it so"),
        )]),
        ranked(t("How it is opened"), Data { head: heads(&head), rows: rows.collect() }, |_| {
            String::new()
        }),
    ]
}
