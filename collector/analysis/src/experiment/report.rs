//! The result of an experiment as a table and as a page for a printer.
//!
//! In: an answer. Out: CSV (RFC 4180), one row per effect of everybody, of each slice and of each day; or one
//! HTML page without scripts or anything from elsewhere. What people named themselves is escaped in both.
//!
//! Deliberately elsewhere: JSON, which is the answer itself.

use std::fmt::Write;

use super::answer::{Effect, ExperimentAnswer, MetricResult, SrmStatus};

/// The columns of the table.
const COLUMNS: [&str; 22] = [
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
];

/// Parts of the people with their metrics: everybody, slices, days, everybody up to a day.
fn parts(answer: &ExperimentAnswer) -> Vec<(String, &[MetricResult])> {
    let mut parts = vec![("all".to_owned(), &answer.metrics[..])];
    for slice in &answer.slices {
        let pairs = slice
            .slice
            .iter()
            .zip(&slice.value)
            .map(|(prop, value)| format!("{prop}={}", value.as_deref().unwrap_or("(none)")));
        parts.push((pairs.collect::<Vec<_>>().join(", "), &slice.metrics));
    }
    for day in &answer.days {
        parts.push((day.day.clone(), &day.metrics));
        parts.push((format!("until {}", day.day), &day.cumulative));
    }
    parts
}

/// The table. Empty cells are not known.
pub fn csv(answer: &ExperimentAnswer) -> String {
    let mut table = COLUMNS.join(",") + "\r\n";
    for (part, metrics) in parts(answer) {
        for metric in metrics {
            for effect in &metric.effects {
                let row = csv_row(answer, &part, metric, effect);
                table += &row.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",");
                table += "\r\n";
            }
        }
    }
    table
}

fn csv_row(
    answer: &ExperimentAnswer,
    part: &str,
    metric: &MetricResult,
    effect: &Effect,
) -> [String; COLUMNS.len()] {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let arm = |name: &str| metric.arms.iter().find(|arm| arm.variant == name);
    let persons = |name| arm(name).map_or_else(String::new, |arm| arm.persons.to_string());
    let value = |name| number(arm(name).and_then(|arm| arm.value));
    let (absolute, lift) = (effect.absolute_interval, effect.lift_interval);
    let always = effect.always_valid.as_ref().and_then(|found| found.absolute_interval);
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
        number(effect.absolute),
        number(absolute.map(|bounds| bounds.low)),
        number(absolute.map(|bounds| bounds.high)),
        number(effect.lift),
        number(lift.map(|bounds| bounds.low)),
        number(lift.map(|bounds| bounds.high)),
        number(effect.p_value),
        number(always.map(|bounds| bounds.low)),
        number(always.map(|bounds| bounds.high)),
        number(effect.chance_to_win),
    ]
}

/// A cell in quotes where it has to be. A text that a spreadsheet would take for a formula gets an
/// apostrophe; numbers stay what they are.
fn csv_cell(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let is_formula = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

const STYLE: &str = "body{font:11pt/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}\
th,td{text-align:left;padding:.25em .6em;border-bottom:1px solid #bbb}\
td+td+td,th+th+th{text-align:right}.verdict{font-size:14pt;padding:.6em;border:2px solid #333}\
@media print{body{margin:0;max-width:none}table{break-inside:avoid}}";

/// The page.
pub fn html(answer: &ExperimentAnswer) -> String {
    let title = escaped(&answer.experiment);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style><h1>{title}</h1><p class=\"verdict\">{}</p>",
        escaped(&answer.verdict.text)
    );
    let sizes = match answer.srm.status {
        SrmStatus::Ok => "The arms have the sizes they should have",
        SrmStatus::Mismatch => "The arms do not have the sizes they should have",
        SrmStatus::NotEnoughData => "There are too few people to check the sizes of the arms",
    };
    let p = answer.srm.p_value.map_or_else(String::new, |p| format!(" (p = {p:.4})"));
    // Writing to a text cannot fail.
    let _ = write!(
        page,
        "<p>{sizes}{p}. {} people met several variants, {} one that is not listed.</p>",
        answer.excluded.multi_variant, answer.excluded.unknown_variant
    );
    for (part, metrics) in parts(answer) {
        let _ = write!(
            page,
            "<h2>{}</h2>",
            if part == "all" { "Everybody".into() } else { escaped(&part) }
        );
        for metric in metrics {
            html_metric(&mut page, metric);
        }
    }
    page +=
        "<p>Intervals hold at every look, at 95 % unless another level was asked for.</p></html>\n";
    page
}

fn html_metric(page: &mut String, metric: &MetricResult) {
    let shown =
        |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.4}"));
    let _ = write!(
        page,
        "<table><caption>{} ({}, {})</caption><tr><th>variant<th>against<th>people<th>value\
         <th>difference<th>from<th>to<th>lift<th>chance to win</tr>",
        escaped(&metric.name),
        escaped(&metric.kind),
        escaped(&metric.role)
    );
    for arm in &metric.arms {
        let effect = metric.effects.iter().find(|effect| effect.variant == arm.variant);
        let always = effect.and_then(|effect| effect.always_valid.as_ref()?.absolute_interval);
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escaped(&arm.variant),
            effect.map_or_else(|| "–".into(), |effect| escaped(&effect.control)),
            arm.persons,
            shown(arm.value),
            shown(effect.and_then(|effect| effect.absolute)),
            shown(always.map(|bounds| bounds.low)),
            shown(always.map(|bounds| bounds.high)),
            shown(effect.and_then(|effect| effect.lift)),
            shown(effect.and_then(|effect| effect.chance_to_win)),
        );
    }
    *page += "</table>";
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Event, Memory};
    use crate::{AnswerBody, Context};
    use rstest::rstest;
    use serde_json::json;

    /// 2026-09-01T00:00:00Z.
    const T0: i64 = 1_788_220_800_000;

    fn answer(variant: &str) -> ExperimentAnswer {
        let mut events = Vec::new();
        for person in 0..400u64 {
            let variant = if person % 2 == 0 { "control" } else { variant };
            events.push(
                Event::new(person, T0, "$exposure")
                    .with("experiment", "a")
                    .with("variant", variant),
            );
            events.push(Event::new(person, T0 + 1, "bought").with("value", (person % 9) as f64));
        }
        let question = json!({ "experiment": "a", "from": "2026-09-01", "to": "2026-09-15",
            "daily": true, "slices": ["plan"],
            "metrics": [{ "event": "bought" }, { "event": "bought", "kind": "mean" }] });
        let context = Context { tz: "UTC".into(), now_ms: T0 + 86_400_000 };
        match Memory::new(events).answer("experiment", question, &context).unwrap().body {
            AnswerBody::Experiment(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_effect_of_each_part() {
        let table = csv(&answer("b"));
        let rows: Vec<&str> = table.trim_end().split("\r\n").collect();
        // Two metrics of everybody, one slice, one day and everybody up to it.
        assert_eq!(rows.len(), 1 + 2 * 4, "{table}");
        assert!(rows.iter().all(|row| row.split(',').count() == COLUMNS.len()), "{table}");
        assert!(rows[2].starts_with("a,all,bought,mean,goal,b,control,200,200,"), "{table}");
    }

    #[rstest]
    #[case("plain", "plain")]
    #[case("a,b", "\"a,b\"")]
    #[case("say \"hi\"", "\"say \"\"hi\"\"\"")]
    #[case("=cmd()", "'=cmd()")]
    #[case("-1.5", "-1.5")]
    fn a_cell_is_safe_in_a_spreadsheet(#[case] cell: &str, #[case] want: &str) {
        assert_eq!(csv_cell(cell), want);
    }

    #[test]
    fn a_page_runs_nothing_that_somebody_called_a_variant() {
        let page = html(&answer("<script>alert(1)</script>"));
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("There is not enough data yet"));
    }
}
