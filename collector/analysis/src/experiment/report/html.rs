//! The page: the verdict first, then what it rests on.

use std::fmt::Write;

use serde_json::Value;

use super::super::answer::{
    Bounds, CheckStatus, DayResult, ExperimentAnswer, MetricResult, SliceResult, SrmStatus,
};
use super::{called, loss};

/// What is known of the experiment beside its answer.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The question in full.
    pub question: &'a Value,
    /// What is expected, and why, if that is known.
    pub hypothesis: &'a str,
    /// Where in its life it is, if that is known.
    pub state: &'a str,
}

const STYLE: &str = "body{font:11pt/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}caption{text-align:left;font-weight:600}\
th,td{text-align:left;padding:.25em .6em;border-bottom:1px solid #bbb}\
td+td,th+th{text-align:right}.verdict{font-size:14pt;padding:.6em;border:2px solid #333}\
@media print{body{margin:0;max-width:none}table{break-inside:avoid}}";

/// The page.
pub fn html(answer: &ExperimentAnswer, about: &About<'_>) -> String {
    let title = escaped(&answer.experiment);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style><h1>{title}</h1><p class=\"verdict\">{}</p>",
        escaped(&answer.verdict.text)
    );
    if !about.hypothesis.is_empty() {
        paragraph(&mut page, about.hypothesis);
    }
    paragraph(&mut page, &setting(about));
    page += "<ul>";
    for line in checks(answer) {
        // Writing to a text cannot fail.
        let _ = write!(page, "<li>{}</li>", escaped(&line));
    }
    page += "</ul>";
    arms(&mut page, answer);
    outlook(&mut page, answer);
    page += "<h2>Everybody</h2>";
    answer.metrics.iter().for_each(|metric| effects(&mut page, metric));
    for slice in &answer.slices {
        let _ = write!(page, "<h2>{}</h2>", escaped(&called(slice)));
        slice.metrics.iter().for_each(|metric| effects(&mut page, metric));
        slice_days(&mut page, slice);
    }
    days(&mut page, &answer.days);
    page += "<p>Intervals of differences hold at every look; those in brackets are what the verdict goes \
             by. A p-value is adjusted for all goals and variants.</p></html>\n";
    page
}

/// Which people, by which method.
fn setting(about: &About<'_>) -> String {
    let text = |field: &str| about.question[field].as_str().unwrap_or("").to_owned();
    let mut words =
        format!("From {} to {}, decided by: {}", text("from"), text("to"), text("method"));
    if let Some(end) = about.question["plan"]["ends"].as_str() {
        let _ = write!(words, ", planned to end {end}");
    }
    if !about.state.is_empty() {
        let _ = write!(words, ". It is {}", about.state);
    }
    words + "."
}

fn checks(answer: &ExperimentAnswer) -> Vec<String> {
    let with_p = |words: &str, p: Option<f64>| match p {
        Some(p) => format!("{words} (p = {p:.4})"),
        None => words.to_owned(),
    };
    let sizes = match answer.srm.status {
        SrmStatus::Ok => "The arms have the sizes they should have",
        SrmStatus::Mismatch => "The arms do not have the sizes they should have",
        SrmStatus::NotEnoughData => "There are too few people to check the sizes of the arms",
    };
    let mut lines = vec![with_p(sizes, answer.srm.p_value)];
    if answer.srm.alarm {
        lines.push("The alarm of the sizes, which may be watched, has gone off".into());
    }
    let excluded = &answer.excluded;
    lines.push(format!(
        "{} people met several variants, {} only one that is not listed; {} conversions named another \
         variant; {} people are left out because they are in progress",
        excluded.multi_variant,
        excluded.unknown_variant,
        excluded.variant_mismatch,
        excluded.in_progress
    ));
    if let Some(joined) = answer.checks.multiple_exposure.joined {
        lines.push(format!("{joined} of them met the variants under identities that were joined"));
    }
    if answer.checks.multiple_exposure.is_biased {
        lines.push("Leaving them out is biased, because the split is uneven".into());
    }
    for own in &answer.checks.multiple_exposure.bias {
        let (moved, kept) = (shown(own.bias), shown(own.absolute_first_seen));
        lines.push(format!("It moves the difference of {} by {moved}, from {kept}", own.variant));
    }
    for other in &answer.checks.interactions {
        let words = match other.status {
            CheckStatus::Warning | CheckStatus::Failed => {
                "changes the difference: read both together"
            }
            CheckStatus::Ok => "was met at the same time, and changes nothing that can be seen",
            CheckStatus::NotEnoughData => "was met at the same time by too few",
        };
        lines.push(with_p(&format!("{} {words}", other.experiment), other.adjusted_p_value));
    }
    for check in &answer.checks.before {
        let words = match check.status {
            CheckStatus::Failed => "differed before anybody met a variant",
            CheckStatus::Ok | CheckStatus::Warning => "was alike before anybody met a variant",
            CheckStatus::NotEnoughData => "cannot be compared before the exposure",
        };
        lines
            .push(with_p(&format!("{} of {} {words}", check.metric, check.variant), check.p_value));
    }
    if let Some(loss) = &answer.checks.loss {
        let words = match loss.status {
            CheckStatus::Failed => "The arms lost different shares of their events on the way",
            CheckStatus::Ok | CheckStatus::Warning => "The arms lost alike on the way",
            CheckStatus::NotEnoughData => "There is too little to compare what the arms lost",
        };
        lines.push(with_p(words, loss.p_value));
    }
    lines
}

fn arms(page: &mut String, answer: &ExperimentAnswer) {
    *page += "<table><caption>Variants</caption><tr><th>variant<th>people<th>share planned\
              <th>share suggested<th>events arrived</tr>";
    for arm in &answer.arms {
        let arrived = loss(answer, &arm.variant).and_then(|loss| loss.completeness_ratio);
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escaped(&arm.variant),
            arm.persons,
            percent(arm.expected_ratio),
            percent(arm.suggested_ratio),
            percent(arrived)
        );
    }
    *page += "</table>";
}

fn outlook(page: &mut String, answer: &ExperimentAnswer) {
    *page += "<table><caption>What the deciding metric can show</caption><tr><th>variant\
              <th>smallest lift found<th>lift looked for<th>power<th>people more<th>days more</tr>";
    let count =
        |value: Option<u64>| value.map_or_else(|| UNKNOWN.into(), |value| value.to_string());
    for one in &answer.outlook {
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escaped(&one.variant),
            percent(one.smallest_lift),
            percent(one.lift),
            percent(one.power),
            count(one.persons_more),
            count(one.days_more)
        );
    }
    *page += "</table>";
}

fn effects(page: &mut String, metric: &MetricResult) {
    let _ = write!(
        page,
        "<table><caption>{} ({}, {})</caption><tr><th>variant<th>against<th>people<th>value\
         <th>difference<th>at every look<th>deciding<th>lift<th>p<th>chance to win</tr>",
        escaped(&metric.name),
        escaped(&metric.kind),
        escaped(&metric.role)
    );
    for arm in &metric.arms {
        let effect = metric.effects.iter().find(|effect| effect.variant == arm.variant);
        let always = effect.and_then(|effect| effect.always_valid.as_ref()?.absolute_interval);
        let deciding = effect.and_then(|effect| effect.deciding.as_ref()?.absolute_interval);
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escaped(&arm.variant),
            effect.map_or_else(|| UNKNOWN.into(), |effect| escaped(&effect.control)),
            arm.persons,
            shown(arm.value),
            shown(effect.and_then(|effect| effect.absolute)),
            range(always),
            deciding.map_or_else(|| UNKNOWN.into(), |bounds| format!("[{}]", range(Some(bounds)))),
            percent(effect.and_then(|effect| effect.lift)),
            shown(effect.and_then(|effect| effect.adjusted_p_value.or(effect.p_value))),
            percent(effect.and_then(|effect| effect.chance_to_win)),
        );
    }
    *page += "</table>";
}

/// The deciding metric of some people over time: one table for each variant.
fn slice_days(page: &mut String, slice: &SliceResult) {
    let Some(first) = slice.days.first() else { return };
    for (at, effect) in first.effects.iter().enumerate() {
        let _ = write!(
            page,
            "<table><caption>{} up to each day</caption><tr><th>day<th>people until then\
             <th>difference<th>at every look</tr>",
            escaped(&effect.variant)
        );
        for day in &slice.days {
            let _ = write!(
                page,
                "<tr><td>{}<td>{}<td>{}<td>{}</tr>",
                escaped(&day.day),
                day.persons.iter().sum::<u64>(),
                shown(day.effects[at].absolute),
                range(day.effects[at].always_valid_interval)
            );
        }
        *page += "</table>";
    }
}

/// The effect over time: one table for each metric and variant.
fn days(page: &mut String, days: &[DayResult]) {
    let Some(first) = days.first() else { return };
    *page += "<h2>By day of the first exposure</h2>";
    for (place, metric) in first.metrics.iter().enumerate() {
        for (at, effect) in metric.effects.iter().enumerate() {
            let _ = write!(
                page,
                "<table><caption>{}, {} against {}</caption><tr><th>day<th>people of the day\
                 <th>difference<th>people until then<th>difference<th>at every look</tr>",
                escaped(&metric.name),
                escaped(&effect.variant),
                escaped(&effect.control)
            );
            for day in days {
                let (own, all) = (&day.metrics[place], &day.cumulative[place]);
                let people =
                    |metric: &MetricResult| metric.arms.iter().map(|arm| arm.persons).sum::<u64>();
                let always = all.effects[at].always_valid.as_ref();
                let _ = write!(
                    page,
                    "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                    escaped(&day.day),
                    people(own),
                    shown(own.effects[at].absolute),
                    people(all),
                    shown(all.effects[at].absolute),
                    range(always.and_then(|found| found.absolute_interval))
                );
            }
            *page += "</table>";
        }
    }
}

/// What stands for nothing known.
const UNKNOWN: &str = "–";

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.into(), |value| format!("{value:.4}"))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| UNKNOWN.into(), |ratio| format!("{:.1} %", 100.0 * ratio))
}

fn range(bounds: Option<Bounds>) -> String {
    let ends = |bounds: Bounds| format!("{:.4} to {:.4}", bounds.low, bounds.high);
    bounds.map_or_else(|| UNKNOWN.into(), ends)
}

fn paragraph(page: &mut String, text: &str) {
    let _ = write!(page, "<p>{}</p>", escaped(text));
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            other => safe.push(other),
        }
    }
    safe
}
