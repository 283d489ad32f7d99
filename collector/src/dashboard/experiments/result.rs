//! A result beyond its verdict: all metrics, the effect over time, slices, and what is still to come.
//!
//! In: the answer. Out: rows and drawings. Intervals are those that hold at every look, because this page is looked at
//! every day.

use tallymark_analysis::answer::{
    Bounds, CheckStatus, Effect, ExperimentAnswer, MetricResult, SliceResult,
};

use super::super::format;
use super::super::markup::Markup;
use super::super::svg::effect::{self, Day};
use super::super::svg::interval::{self, Estimate, Scale};
use super::super::view::experiments::{Check, Unit};
use super::super::view::{Table, date_of, tables};
use super::super::words::{say, t};

/// Effects that share a scale.
pub struct Effects {
    pub rows: Vec<Row>,
    pub axis: Markup,
}

/// One variant's effect on one metric.
pub struct Row {
    pub name: String,
    pub badge: &'static str,
    pub variant: String,
    pub control: String,
    pub value: String,
    pub lift: String,
    /// The interval in numbers: its drawing may be cut.
    pub between: String,
    pub whisker: Markup,
    pub chance: String,
}

/// One variant's effect over time.
pub struct Timeline {
    pub variant: String,
    pub svg: Markup,
    pub table: Table,
}

/// One variant's way to a decision.
pub struct Ahead {
    pub variant: String,
    pub worth: Option<String>,
    pub power: String,
    pub smallest: String,
    pub people: String,
    pub days: String,
}

/// The same question by the values of a property.
pub struct Slices {
    pub by: String,
    pub effects: Effects,
    pub hidden: usize,
}

/// Effects on all metrics.
pub fn metrics(answer: &ExperimentAnswer) -> Effects {
    let all = answer.metrics.iter().enumerate().flat_map(|(place, metric)| {
        let badge = match (place, metric.role.as_str()) {
            (0, _) => t("decides"),
            (_, "guardrail") => t("guardrail"),
            _ => "",
        };
        metric.effects.iter().map(move |effect| (metric.name.clone(), badge, metric, effect))
    });
    on_one_scale(all.collect(), &main(answer))
}

/// The lifts of the deciding metric, of everybody.
fn main(answer: &ExperimentAnswer) -> Vec<Estimate> {
    let deciding = answer.metrics.first();
    deciding.iter().flat_map(|metric| metric.effects.iter().filter_map(lift_of)).collect()
}

/// A slice, of the deciding metric.
pub fn slices(answer: &ExperimentAnswer) -> Option<Slices> {
    let first = answer.slices.first()?;
    let all = answer.slices.iter().filter_map(|slice| Some((slice, slice.metrics.first()?)));
    let all = all.flat_map(|(slice, metric)| {
        metric.effects.iter().map(move |effect| (value_of(slice), "", metric, effect))
    });
    Some(Slices {
        by: first.slice.join(", "),
        effects: on_one_scale(all.collect(), &main(answer)),
        hidden: first.values_not_listed,
    })
}

fn value_of(slice: &SliceResult) -> String {
    let people: u64 = slice.persons.iter().sum();
    let values = slice.slice.iter().zip(&slice.value).map(|(prop, value)| match value {
        Some(value) => tables::in_words(prop, value),
        None => t("not known").to_owned(),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    format!("{values} ({})", format::count(people))
}

fn on_one_scale(
    all: Vec<(String, &'static str, &MetricResult, &Effect)>,
    main: &[Estimate],
) -> Effects {
    let known: Vec<Estimate> = all.iter().filter_map(|(.., effect)| lift_of(effect)).collect();
    let scale = Scale::around(main, &known);
    let rows = all.into_iter().map(|(name, badge, metric, effect)| {
        let unit = Unit::of(metric);
        let value = |variant: &str| {
            let arm = metric.arms.iter().find(|arm| arm.variant == variant);
            arm.map_or_else(|| format::UNKNOWN.into(), |arm| unit.value(arm))
        };
        let lift = lift_of(effect);
        let whisker = lift.map(|lift| {
            let (mid, all) = (format::signed_percent(lift.mid), between(lift));
            let title = format!("{}: {mid} ({all})", effect.variant);
            interval::whisker(scale, lift, look(effect, lift), &title)
        });
        Row {
            name,
            badge,
            control: value(&effect.control),
            value: value(&effect.variant),
            lift: effect.lift.map_or_else(|| format::UNKNOWN.into(), format::signed_percent),
            between: lift.map(between).unwrap_or_default(),
            whisker: whisker.unwrap_or_default(),
            chance: format::maybe_percent(effect.chance_to_win),
            variant: effect.variant.clone(),
        }
    });
    let axis = match known.is_empty() {
        true => Markup::default(),
        false => interval::axis(scale, format::signed_percent),
    };
    Effects { rows: rows.collect(), axis }
}

/// The lift with the interval that holds at every look.
fn lift_of(effect: &Effect) -> Option<Estimate> {
    let Bounds { low, high } = effect.always_valid.as_ref()?.lift_interval?;
    Some(Estimate { low, mid: effect.lift?, high })
}

/// Both ends.
fn between(lift: Estimate) -> String {
    format!("{} – {}", format::signed_percent(lift.low), format::signed_percent(lift.high))
}

/// Better or worse, if the interval leaves no doubt; what is better the metric knows.
fn look(effect: &Effect, lift: Estimate) -> &'static str {
    if lift.low <= 0.0 && lift.high >= 0.0 {
        return "arm";
    }
    if effect.chance_to_win.is_some_and(|chance| chance > 0.5) { "good" } else { "bad" }
}

/// The deciding metric's effect of each variant, of everybody up to each day.
pub fn timelines(answer: &ExperimentAnswer) -> Vec<Timeline> {
    let Some(now) = answer.metrics.first() else { return Vec::new() };
    let of = |variant: &str| -> Vec<Day> {
        let days = answer.days.iter().map(|day| {
            let metric = day.cumulative.first();
            let effect = metric
                .and_then(|metric| metric.effects.iter().find(|effect| effect.variant == variant));
            let label = date_of(&day.day).map_or_else(|| day.day.clone(), format::day);
            Day { label, effect: effect.and_then(lift_of) }
        });
        days.collect()
    };
    let lines = now.effects.iter().map(|effect| {
        let days = of(&effect.variant);
        let title = say(
            "Effect of {variant} on {metric}, of everybody up to each day",
            &[("variant", &effect.variant), ("metric", &now.name)],
        );
        Timeline {
            variant: effect.variant.clone(),
            svg: effect::draw(&days, &title, format::signed_percent),
            table: table(&days),
        }
    });
    lines.filter(|line| line.table.rows.len() > 1).collect()
}

fn table(days: &[Day]) -> Table {
    let head = [t("Day"), t("Difference"), t("at least"), t("at most")].map(str::to_owned);
    let rows = days.iter().filter_map(|day| {
        let Estimate { low, mid, high } = day.effect?;
        let [mid, low, high] = [mid, low, high].map(format::signed_percent);
        Some(vec![day.label.clone(), mid, low, high])
    });
    Table { head: head.to_vec(), rows: rows.collect() }
}

/// What each variant still needs.
pub fn ahead(answer: &ExperimentAnswer) -> Vec<Ahead> {
    let count = |n: Option<u64>| n.map_or_else(|| format::UNKNOWN.into(), format::count);
    let rows = answer.outlook.iter().map(|outlook| Ahead {
        variant: outlook.variant.clone(),
        worth: outlook.lift.map(format::signed_percent),
        power: format::maybe_percent(outlook.power),
        smallest: outlook
            .smallest_lift
            .map_or_else(|| format::UNKNOWN.into(), format::signed_percent),
        people: count(outlook.persons_more),
        days: count(outlook.days_more),
    });
    rows.collect()
}

/// Checks that the short list does not have: several variants, the time before, other experiments.
pub fn more_checks(answer: &ExperimentAnswer) -> Vec<Check> {
    let look = |status: CheckStatus| match status {
        CheckStatus::Ok => "good",
        CheckStatus::Warning => "warn",
        CheckStatus::Failed => "bad",
        CheckStatus::NotEnoughData => "",
    };
    let multiple = &answer.checks.multiple_exposure;
    let mut checks = vec![Check {
        class: look(multiple.status),
        text: match multiple.status {
            CheckStatus::Ok => t("Hardly anybody saw several variants"),
            CheckStatus::NotEnoughData => t("Several variants: too few people to check"),
            CheckStatus::Warning | CheckStatus::Failed => t("Many people saw several variants"),
        }
        .to_owned(),
        title: say(
            "{share} of the people exposed met more than one variant; a warning from 1 % on, and from 10 % on no verdict.",
            &[("share", &format::maybe_percent(multiple.ratio))],
        ),
    }];
    checks.extend(answer.checks.before.iter().map(|bias| Check {
        class: look(bias.status),
        text: match bias.status {
            CheckStatus::Failed => t("The arms differed before").to_owned(),
            _ => t("The arms were alike before").to_owned(),
        },
        title: format!(
            "{}, {}: p {}",
            bias.variant,
            bias.metric,
            bias.p_value.map_or_else(|| format::UNKNOWN.into(), format::p_value)
        ),
    }));
    checks.extend(answer.checks.interactions.iter().map(|other| {
        let values = [("key", other.experiment.as_str())];
        Check {
            class: look(other.status),
            text: match other.status {
                CheckStatus::Warning | CheckStatus::Failed => {
                    say("{key} changes its effect", &values)
                }
                _ => say("{key} does not disturb it", &values),
            },
            title: say(
                "{n} people met exactly one variant of the other experiment.",
                &[("n", &format::count(other.persons))],
            ),
        }
    }));
    checks
}
