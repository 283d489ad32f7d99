//! A funnel: its steps, how long they took, and who is behind each.

use serde_json::{Value, json};
use tallymark_analysis::answer::*;

use super::super::super::format;
use super::super::super::svg::funnel as funnel_svg;
use super::super::super::view::Words;
use super::super::super::words::{say, t};
use super::kinds::{Around, figures, heads, histogram, nothing, ranked, text};
use super::over_time::group;
use super::{Block, Cell, Data, Step};

pub fn funnel(answer: &FunnelAnswer, around: &Around<'_>) -> Vec<Block> {
    let all = &answer.steps;
    let name = |step: &FunnelStep| step.event.clone().unwrap_or_else(|| t("any event").to_owned());
    let Some(first) = all.first() else { return nothing() };
    if first.persons == 0 {
        return vec![Block::Nothing(Words {
            title: t("Nobody entered this funnel").to_owned(),
            text: say(
                "No one did “{event}” in this time. Pick other steps or a longer range.",
                &[("event", &name(first))],
            ),
        })];
    }
    let share = |step: &FunnelStep| step.conversion_ratio.unwrap_or(0.0);
    let steps = all.iter().enumerate().map(|(index, step)| {
        let after = all.get(index + 1);
        Step {
            number: step.step,
            name: name(step),
            people: Cell::Count(step.persons),
            share: Cell::Share(step.conversion_ratio),
            svg: funnel_svg::step(share(step), after.map(share)),
            next: after.map(|next| {
                let left = step.persons.saturating_sub(next.persons);
                (
                    Cell::Share(next.from_previous_ratio),
                    Cell::Count(left),
                    Cell::Length(next.median_ms),
                )
            }),
            links: (behind(around, all, index, None), behind(around, all, index, after)),
        }
    });
    let converted = all.last().map_or(0, |step| step.persons);
    let mut blocks = vec![
        figures(&[
            (
                t("Came through"),
                Cell::Share(all.last().and_then(|step| step.conversion_ratio)),
                t("of those who did the first step"),
            ),
            (t("People"), Cell::Count(converted), t("did all steps")),
            (
                t("Median time"),
                Cell::Length(answer.time_to_convert.median_ms),
                t("from the first step to the last"),
            ),
            (
                t("90 % within"),
                Cell::Length(answer.time_to_convert.p90_ms),
                t("from the first step to the last"),
            ),
        ]),
        Block::Funnel(steps.collect()),
        Block::Note(
            t("The list behind a figure is of those who did its events in this time, in any order and within any \
               window: it may be longer than the figure says.")
            .to_owned(),
        ),
    ];
    let counts: Vec<u64> = answer.time_to_convert.histogram.iter().map(|bar| bar.persons).collect();
    if counts.iter().any(|count| *count > 0) {
        let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
        let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        let label = |bar: &tallymark_analysis::funnel::answer::Duration| match bar.to_ms {
            Some(to) => format!("< {}", format::duration(to as f64)),
            None => format!("≥ {}", format::duration(bar.from_ms as f64)),
        };
        let labels = answer.time_to_convert.histogram[first..=last].iter().map(label).collect();
        blocks.push(histogram(
            t("Time from the first step to the last"),
            labels,
            &counts[first..=last],
            t("Time"),
        ));
    }
    let head = [
        t("Step"),
        t("People"),
        t("Of those who entered"),
        t("Of the step before"),
        t("Median time"),
        t("90 % within"),
    ];
    let row = |of: Option<String>, step: &FunnelStep| {
        let called = format!("{}. {}", step.step, name(step));
        vec![
            text(of.map_or(called.clone(), |of| format!("{of}: {called}"))),
            Cell::Count(step.persons),
            Cell::Share(step.conversion_ratio),
            Cell::Share(step.from_previous_ratio),
            Cell::Length(step.median_ms),
            Cell::Length(step.p90_ms),
        ]
    };
    let rows = all.iter().map(|step| row(None, step));
    blocks.push(ranked(
        t("Step by step"),
        Data { head: heads(&head), rows: rows.collect() },
        |_| String::new(),
    ));
    if !answer.breakdown.is_empty() {
        let of = |row: &FunnelGroup| match (&row.value, row.group) {
            (Some(value), _) => group(value),
            (None, Group::Other) => t("all others").to_owned(),
            (None, _) => t("not known").to_owned(),
        };
        let rows = answer.breakdown.iter().map(|row| {
            let mut cells = vec![text(of(row))];
            cells.push(Cell::Count(row.steps.first().map_or(0, |step| step.persons)));
            cells.push(Cell::Share(row.steps.last().and_then(|step| step.conversion_ratio)));
            cells.extend(row.steps.iter().skip(1).map(|step| Cell::Count(step.persons)));
            cells
        });
        let mut head = heads(&[t("Value"), t("People"), t("Came through")]);
        head.extend(all.iter().skip(1).map(|step| format!("{}. {}", step.step, name(step))));
        blocks.push(ranked(t("By value"), Data { head, rows: rows.collect() }, |_| String::new()));
    }
    blocks
}

/// The people who did all events up to a step; with `not`, those of them who did not do the next.
///
/// By cohort rules, which know no order and no window: their list may be longer than the step.
fn behind(
    around: &Around<'_>,
    steps: &[FunnelStep],
    index: usize,
    not: Option<&FunnelStep>,
) -> String {
    let (from, to) = (&around.definition["from"], &around.definition["to"]);
    let did = |step: &FunnelStep| match &step.event {
        Some(event) => json!({ "did": { "event": event, "from": from, "to": to } }),
        None => json!({ "did": { "from": from, "to": to } }),
    };
    let mut rules: Vec<Value> =
        steps[..=index].iter().filter(|step| !step.optional).map(did).collect();
    rules.extend(not.map(|step| json!({ "not": did(step) })));
    let question = json!({ "cohort": rules });
    around.ask("persons", &[("json", &question.to_string())])
}
