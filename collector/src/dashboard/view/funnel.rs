//! The funnel: how far people came, where they left, how long it took.

use tallymark_analysis::answer::FunnelAnswer;

use super::super::format;
use super::super::markup::Markup;
use super::super::svg::funnel as draw;
use super::super::words::{say, t};
use super::{Reply, Section, Table, funnel_of};

/// The funnel as a list of steps.
#[derive(Debug, Clone)]
pub struct Funnel {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Share of those who entered that came through.
    pub conversion: String,
    /// Who came through, of whom.
    pub completed: String,
    /// From the first step to the last.
    pub median: String,
    /// 90 % were faster.
    pub p90: String,
    /// The step with the largest loss, in words.
    pub largest_loss: Option<String>,
    /// The same figures as text.
    pub table: Table,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Counted from 1.
    pub number: usize,
    /// Event name.
    pub name: String,
    /// People who came this far.
    pub persons: String,
    /// Share of those who entered.
    pub ratio: String,
    /// The bar.
    pub svg: Markup,
    /// What happens before the next step; nothing after the last.
    pub next: Option<Leaving>,
}

/// Between two steps.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// Share that went on.
    pub went_on: String,
    /// People who did not.
    pub left: String,
    /// Median time to the next step.
    pub median: String,
}

/// The funnel's section. `steps` are the events asked for.
pub fn funnel(reply: Option<&Reply>, steps: &[String]) -> Section<Funnel> {
    let Some(reply) = reply else {
        return Section::empty(
            t("A funnel needs two steps"),
            t(
                "Pick two events or more above, or add them to the address: ?steps=first,second. So far the project \
               has seen too few to suggest one.",
            ),
        );
    };
    let answer = match funnel_of(reply) {
        Ok(answer) => answer,
        Err(why) => return Section::failed(&why),
    };
    if answer.steps.first().is_none_or(|step| step.persons == 0) {
        let first = steps.first().map_or(t("the first event"), String::as_str);
        let text = say(
            "No one did “{event}” in this time. Pick other steps or a longer range.",
            &[("event", first)],
        );
        return Section::empty(t("Nobody entered this funnel"), text);
    }
    Section::Ready(build(answer))
}

fn build(answer: &FunnelAnswer) -> Funnel {
    let all = &answer.steps;
    let steps = all.iter().enumerate().map(|(index, step)| {
        let after = all.get(index + 1);
        Step {
            number: step.step,
            name: step.event.clone().unwrap_or_else(|| t("any event").into()),
            persons: format::count(step.persons),
            ratio: format::maybe_percent(step.conversion_ratio),
            svg: draw::step(
                step.conversion_ratio.unwrap_or(0.0),
                after.map(|next| next.conversion_ratio.unwrap_or(0.0)),
            ),
            next: after.map(|next| Leaving {
                went_on: format::maybe_percent(next.from_previous_ratio),
                left: format::counted(
                    step.persons.saturating_sub(next.persons),
                    "person",
                    "people",
                ),
                median: format::maybe_duration(next.median_ms),
            }),
        }
    });
    let largest_loss = all
        .windows(2)
        .filter_map(|pair| Some((&pair[0], &pair[1], pair[1].from_previous_ratio?)))
        .min_by(|a, b| a.2.total_cmp(&b.2))
        .filter(|(_, _, ratio)| *ratio < 1.0)
        .map(|(before, after, ratio)| {
            let name =
                |event: &Option<String>| event.clone().unwrap_or_else(|| t("any event").into());
            say(
                "{from} → {to}: {share} leave",
                &[
                    ("from", &name(&before.event)),
                    ("to", &name(&after.event)),
                    ("share", &format::percent(1.0 - ratio)),
                ],
            )
        });
    let (entered, last) = (all.first(), all.last());
    Funnel {
        steps: steps.collect(),
        conversion: format::maybe_percent(last.and_then(|step| step.conversion_ratio)),
        completed: say(
            "{n} of {all}",
            &[
                ("n", &format::count(last.map_or(0, |step| step.persons))),
                (
                    "all",
                    &format::counted(entered.map_or(0, |step| step.persons), "person", "people"),
                ),
            ],
        ),
        median: format::maybe_duration(answer.time_to_convert.median_ms),
        p90: format::maybe_duration(answer.time_to_convert.p90_ms),
        largest_loss,
        table: table(answer),
    }
}

fn table(answer: &FunnelAnswer) -> Table {
    let head = [
        t("Step"),
        t("People"),
        t("Of those who entered"),
        t("Of the step before"),
        t("Median time"),
        t("90 % within"),
    ];
    let rows = answer.steps.iter().map(|step| {
        vec![
            format!("{}. {}", step.step, step.event.as_deref().unwrap_or(t("any event"))),
            format::count(step.persons),
            format::maybe_percent(step.conversion_ratio),
            format::maybe_percent(step.from_previous_ratio),
            format::maybe_duration(step.median_ms),
            format::maybe_duration(step.p90_ms),
        ]
    });
    Table { head: head.map(str::to_owned).into(), rows: rows.collect() }
}
