//! The table: one row per effect. Empty cells are not known.

use super::super::answer::{Bounds, Effect, ExperimentAnswer, MetricResult};
use super::{called, loss};

/// The columns. Those of the outlook are of the deciding metric of everybody, the last ones of the whole
/// experiment.
const COLUMNS: [&str; 39] = [
    "experiment",
    "part",
    "metric",
    "kind",
    "role",
    "variant",
    "control",
    "persons",
    "control_persons",
    "value",
    "control_value",
    "status",
    "absolute",
    "absolute_low",
    "absolute_high",
    "lift",
    "lift_low",
    "lift_high",
    "p_value",
    "always_valid_low",
    "always_valid_high",
    "chance_to_win",
    "adjusted_p_value",
    "adjusted_low",
    "adjusted_high",
    "deciding_p_value",
    "deciding_low",
    "deciding_high",
    "loss_of_shipping",
    "is_non_inferior",
    "power",
    "smallest_lift",
    "persons_more",
    "days_more",
    "suggested_ratio",
    "completeness_ratio",
    "srm_p_value",
    "verdict",
    "reason",
];

/// Parts of the people with their metrics: everybody, slices, days, everybody up to a day.
fn parts(answer: &ExperimentAnswer) -> Vec<(String, &[MetricResult])> {
    let mut parts = vec![("all".to_owned(), &answer.metrics[..])];
    for slice in &answer.slices {
        parts.push((called(slice), &slice.metrics));
    }
    for day in &answer.days {
        parts.push((day.day.clone(), &day.metrics));
        parts.push((format!("until {}", day.day), &day.cumulative));
    }
    parts
}

/// The table.
pub fn csv(answer: &ExperimentAnswer) -> String {
    let mut table = COLUMNS.join(",") + "\r\n";
    for (at, (part, metrics)) in parts(answer).into_iter().enumerate() {
        for (place, metric) in metrics.iter().enumerate() {
            let decides = at == 0 && place == 0;
            for effect in &metric.effects {
                let row = row(answer, (&part, decides), metric, effect);
                table += &row.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",");
                table += "\r\n";
            }
        }
    }
    table
}

fn row(
    answer: &ExperimentAnswer,
    (part, decides): (&str, bool),
    metric: &MetricResult,
    effect: &Effect,
) -> [String; COLUMNS.len()] {
    fn shown(value: Option<impl ToString>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let arm = |name: &str| metric.arms.iter().find(|arm| arm.variant == name);
    let persons = |name| shown(arm(name).map(|arm| arm.persons));
    let value = |name| shown(arm(name).and_then(|arm| arm.value));
    let low = |bounds: Option<Bounds>| shown(bounds.map(|bounds| bounds.low));
    let high = |bounds: Option<Bounds>| shown(bounds.map(|bounds| bounds.high));
    let always = effect.always_valid.as_ref().and_then(|found| found.absolute_interval);
    let deciding = effect.deciding.as_ref();
    let deciding_interval = deciding.and_then(|found| found.absolute_interval);
    let outlook = answer.outlook.iter().find(|one| decides && one.variant == effect.variant);
    let own = answer.arms.iter().find(|arm| arm.variant == effect.variant);
    let name = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    [
        answer.experiment.clone(),
        part.to_owned(),
        metric.name.clone(),
        metric.kind.clone(),
        metric.role.clone(),
        effect.variant.clone(),
        effect.control.clone(),
        persons(&effect.variant),
        persons(&effect.control),
        value(&effect.variant),
        value(&effect.control),
        effect.status.clone(),
        shown(effect.absolute),
        low(effect.absolute_interval),
        high(effect.absolute_interval),
        shown(effect.lift),
        low(effect.lift_interval),
        high(effect.lift_interval),
        shown(effect.p_value),
        low(always),
        high(always),
        shown(effect.chance_to_win),
        shown(effect.adjusted_p_value),
        low(effect.adjusted_interval),
        high(effect.adjusted_interval),
        shown(deciding.map(|found| found.p_value)),
        low(deciding_interval),
        high(deciding_interval),
        shown(effect.loss_of_shipping),
        shown(effect.guardrail.as_ref().map(|found| found.is_non_inferior)),
        shown(outlook.and_then(|one| one.power)),
        shown(outlook.and_then(|one| one.smallest_lift)),
        shown(outlook.and_then(|one| one.persons_more)),
        shown(outlook.and_then(|one| one.days_more)),
        shown(own.and_then(|arm| arm.suggested_ratio)),
        shown(loss(answer, &effect.variant).and_then(|arm| arm.completeness_ratio)),
        shown(answer.srm.p_value),
        name(serde_json::to_value(answer.verdict.code)),
        name(serde_json::to_value(answer.verdict.reason)),
    ]
}

/// A cell in quotes where it has to be. A text that a spreadsheet would take for a formula gets an
/// apostrophe; numbers stay what they are.
pub(super) fn cell(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let is_formula = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}
