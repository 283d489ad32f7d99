//! Who comes back: the grid of retention, and on how many days people are there.

use tallymark_analysis::answer::*;

use super::super::super::format;
use super::super::super::svg::line::Line;
use super::super::super::view::Words;
use super::super::super::words::{say, t};
use super::kinds::{Around, figures, heads, histogram, nothing, text};
use super::over_time::{drawing, short_day};
use super::{Block, Cell, Data, Grid};

pub fn retention(answer: &RetentionAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.cohorts.iter().all(|cohort| cohort.size == 0) {
        return nothing();
    }
    let mark = |name: &str, usual: f64| {
        around.fields.get(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(usual) / 100.0
    };
    let (good, fair) = (mark("good", 40.0), mark("fair", 20.0));
    let share = |mark: f64| format!("{}\u{a0}%", format::figure(mark * 100.0));
    let known =
        |ratios: &[Option<f64>]| ratios.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
    let width = answer.cohorts.iter().map(|cohort| known(&cohort.ratio)).max().unwrap_or(0).max(1);
    let cell = |index: usize, ratio: Option<f64>| match ratio {
        None => ("pending", "·".to_owned()),
        Some(ratio) if index == 0 => ("start", format::percent(ratio)),
        Some(ratio) => (marked(ratio, good, fair), format::percent(ratio)),
    };
    let cells = |ratios: &[Option<f64>]| -> Vec<(&'static str, String)> {
        ratios.iter().take(width).enumerate().map(|(index, ratio)| cell(index, *ratio)).collect()
    };
    let size = answer.cohorts.iter().map(|cohort| cohort.size).sum();
    let mut rows = vec![(t("All").to_owned(), format::count(size), cells(&answer.overall))];
    rows.extend(
        answer.cohorts.iter().filter(|cohort| cohort.size > 0).map(|cohort| {
            (short_day(&cohort.from), format::count(cohort.size), cells(&cohort.ratio))
        }),
    );
    let columns: Vec<String> = match &answer.brackets {
        Some(brackets) => brackets.iter().map(|[from, to]| format!("{from}–{to}")).collect(),
        None => (0..width).map(|index| index.to_string()).collect(),
    };
    let mut head = heads(&[t("Start"), t("People")]);
    head.extend(columns.iter().cloned());
    let full = |name: String, size: u64, ratios: &[Option<f64>]| {
        let shares = (0..width).map(|index| Cell::Share(ratios.get(index).copied().flatten()));
        [text(name), Cell::Count(size)].into_iter().chain(shares).collect::<Vec<_>>()
    };
    let mut table = vec![full(t("All").to_owned(), size, &answer.overall)];
    table.extend(answer.cohorts.iter().map(|c| full(c.from.clone(), c.size, &c.ratio)));
    let line = Line {
        name: t("All").to_owned(),
        class: "a",
        values: answer
            .overall
            .iter()
            .take(width)
            .map(|ratio| ratio.map(|ratio| ratio * 100.0))
            .collect(),
        area: true,
    };
    let curve = Data {
        head: heads(&[t("Period"), t("Came back")]),
        rows: columns
            .iter()
            .zip(&answer.overall)
            .map(|(period, ratio)| vec![text(period.clone()), Cell::Share(*ratio)])
            .collect(),
    };
    let legend = vec![("a", t("Came back, in per cent, by periods after the start").to_owned())];
    vec![
        Block::Grid(Grid {
            title: t("By start").to_owned(),
            marks: [
                say("{n} or more", &[("n", &share(good))]),
                say("{n} or more", &[("n", &share(fair))]),
                say("less than {n}", &[("n", &share(fair))]),
            ],
            heads: columns.clone(),
            rows,
            data: Data { head, rows: table },
        }),
        drawing(t("How many stay"), &columns, vec![line], legend, curve, around),
    ]
}

/// The class of a share; a share that is exactly at a mark has reached it.
pub fn marked(ratio: f64, good: f64, fair: f64) -> &'static str {
    match ratio {
        ratio if ratio >= good => "mark-good",
        ratio if ratio >= fair => "mark-fair",
        _ => "mark-low",
    }
}

pub fn stickiness(answer: &StickinessAnswer) -> Vec<Block> {
    let Some(exactly) = &answer.exactly else {
        return vec![Block::Nothing(Words {
            title: t("This is not known").to_owned(),
            text: t("Visitors without cookies have another id every day, so nobody knows on how many days they were there.").to_owned(),
        })];
    };
    let labels = (1..=exactly.len()).map(|n| n.to_string()).collect();
    vec![
        figures(&[
            (t("People"), Cell::Figure(answer.persons.map(|n| n as f64)), t("in all of this time")),
            (t("Mean share"), Cell::Share(answer.ratio_mean), t("of the time they are there")),
        ]),
        histogram(t("People by how often they were there"), labels, exactly, t("Times")),
    ]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.4, "mark-good")]
    #[case(0.399_999, "mark-fair")]
    #[case(0.2, "mark-fair")]
    #[case(0.199_999, "mark-low")]
    #[case(0.0, "mark-low")]
    fn a_share_at_a_mark_has_reached_it(#[case] ratio: f64, #[case] want: &str) {
        assert_eq!(marked(ratio, 0.4, 0.2), want);
    }
}
