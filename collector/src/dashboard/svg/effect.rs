//! An effect over time: for each day a band where the difference lies, and the estimate in it, around zero.

use super::super::markup::{Markup, Num, Pct, Writer};
use super::interval::Estimate;
use super::ticks;

/// One day.
#[derive(Debug, Clone)]
pub struct Day {
    /// Its name.
    pub label: String,
    /// What was known up to it, if anything was.
    pub effect: Option<Estimate>,
}

/// Height of the drawing in pixels, of the part above the plot, and of the part below for the days.
const HEIGHT: f64 = 220.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;
const PLOT: f64 = HEIGHT - TOP - BOTTOM;
/// Left part of the width for the numbers, in percent, and how many days get a name.
const LEFT: f64 = 9.0;
const NAMES_MAX: usize = 5;

/// Draw it. The first days of an experiment know next to nothing: what reaches far beyond the later ones is cut at
/// the edge, so that the end can be read.
pub fn draw(days: &[Day], title: &str, format: fn(f64) -> String) -> Markup {
    let most = reach(days);
    let y = |value: f64| {
        let share = if value.is_finite() { (value / most).clamp(-1.0, 1.0) } else { 0.0 };
        TOP + PLOT / 2.0 * (1.0 - share)
    };
    let mut w = Writer::new();
    w.open(
        "svg",
        &[
            ("class", &"effect"),
            ("role", &"img"),
            ("aria-label", &title),
            ("width", &"100%"),
            ("height", &Num(HEIGHT)),
        ],
    );
    for value in rules(most) {
        let at = Num(y(value));
        let class = if value == 0.0 { "zero" } else { "rule" };
        w.empty(
            "line",
            &[("class", &class), ("x1", &Pct(LEFT)), ("x2", &"100%"), ("y1", &at), ("y2", &at)],
        );
        w.element("text", &[("x", &"0"), ("y", &Num(y(value) + 4.0))], format(value));
    }
    let wide = (100.0 - LEFT) / days.len().max(1) as f64;
    let middle = |index: usize| LEFT + wide * (index as f64 + 0.5);
    let every = days.len().div_ceil(NAMES_MAX).max(1);
    for (index, day) in days.iter().enumerate() {
        if index % every == 0 {
            w.element(
                "text",
                &[
                    ("x", &Pct(middle(index))),
                    ("y", &Num(HEIGHT - 6.0)),
                    ("text-anchor", &"middle"),
                ],
                &day.label,
            );
        }
        let Some(effect) = day.effect else { continue };
        let (high, low) = (y(effect.high), y(effect.low));
        let class = match () {
            () if effect.low > 0.0 => "band good",
            () if effect.high < 0.0 => "band bad",
            () => "band",
        };
        w.open("g", &[("class", &class)]);
        w.element(
            "title",
            &[],
            format!(
                "{}: {} ({} – {})",
                day.label,
                format(effect.mid),
                format(effect.low),
                format(effect.high)
            ),
        );
        w.empty(
            "rect",
            &[
                ("x", &Pct(LEFT + wide * index as f64)),
                ("y", &Num(high)),
                ("width", &Pct(wide * 0.94)),
                ("height", &Num((low - high).max(1.0))),
                ("rx", &"2"),
            ],
        );
        let next = days.get(index + 1).and_then(|next| next.effect);
        if let Some(next) = next {
            w.empty(
                "line",
                &[
                    ("class", &"mid"),
                    ("x1", &Pct(middle(index))),
                    ("x2", &Pct(middle(index + 1))),
                    ("y1", &Num(y(effect.mid))),
                    ("y2", &Num(y(next.mid))),
                ],
            );
        }
        w.empty("circle", &[("cx", &Pct(middle(index))), ("cy", &Num(y(effect.mid))), ("r", &"3")]);
        w.close();
    }
    w.close();
    w.finish()
}

/// How far the plot reaches to both sides of zero: a bit beyond the median day's farther end, and beyond all of
/// the newest day.
fn reach(days: &[Day]) -> f64 {
    let far = |effect: &Estimate| effect.low.abs().max(effect.high.abs());
    let mut ends: Vec<f64> = days.iter().filter_map(|day| day.effect.as_ref().map(far)).collect();
    ends.retain(|end| end.is_finite());
    let newest = ends.last().copied().unwrap_or(0.0);
    ends.sort_by(f64::total_cmp);
    let median = ends.get(ends.len() / 2).copied().unwrap_or(0.0);
    let most = median.max(newest) * 1.15;
    if most > 0.0 && most.is_finite() { most } else { 1.0 }
}

/// Round numbers on both sides of zero: one or two of each, the largest first.
fn rules(most: f64) -> Vec<f64> {
    let step = ticks(most)[1];
    let step = if most / step >= 3.0 { step * 2.0 } else { step };
    let sides = (most / step).floor().clamp(1.0, 2.0) as i32;
    (-sides..=sides).rev().map(|count| f64::from(count) * step).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::dashboard::format;

    #[rstest]
    #[case(1.388, &[1.0, 0.5, 0.0, -0.5, -1.0])]
    #[case(0.023, &[0.02, 0.01, 0.0, -0.01, -0.02])]
    #[case(0.05, &[0.04, 0.02, 0.0, -0.02, -0.04])]
    #[case(1.0, &[1.0, 0.5, 0.0, -0.5, -1.0])]
    #[case(0.9, &[0.5, 0.0, -0.5])]
    fn the_axis_of_an_effect_has_round_numbers(#[case] most: f64, #[case] want: &[f64]) {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
        let got = rules(most);
        assert!(got.len() == want.len() && got.iter().zip(want).all(near), "{got:?}");
        assert!(got[0] <= most * (1.0 + 1e-9), "inside the plot: {got:?}");
    }

    #[test]
    fn the_axis_lies_inside_the_plot_whatever_its_reach() {
        for power in -9..9 {
            for tenth in 10..100 {
                let most = f64::from(tenth) * 10_f64.powi(power);
                let got = rules(most);
                assert!(
                    (3..=5).contains(&got.len()) && got[0] <= most * (1.0 + 1e-9),
                    "{most}: {got:?}"
                );
            }
        }
    }

    fn day(label: &str, ends: Option<(f64, f64, f64)>) -> Day {
        let effect = ends.map(|(low, mid, high)| Estimate { low, mid, high });
        Day { label: label.into(), effect }
    }

    #[test]
    fn a_band_says_by_its_class_on_which_side_of_zero_it_lies() {
        let days = [
            day("a", None),
            day("b", Some((-0.1, 0.0, 0.1))),
            day("c", Some((0.01, 0.02, 0.03))),
            day("d", Some((-0.03, -0.02, -0.01))),
        ];
        let svg = draw(&days, "t", format::signed_percent).to_string();
        for class in ["\"band\"", "\"band good\"", "\"band bad\""] {
            assert_eq!(svg.matches(class).count(), 1, "{class}");
        }
    }

    #[test]
    fn whatever_the_figures_coordinates_are_numbers_and_texts_escaped() {
        let nan = Some((f64::NAN, f64::INFINITY, -f64::INFINITY));
        let days = [day("<script>", nan), day("z", Some((0.0, 0.0, 0.0)))];
        for days in [&days[..], &days[..1], &[]] {
            let svg = draw(days, "\"><b>", format::signed_percent).to_string();
            assert!(!svg.contains("<script>") && !svg.contains("<b>"));
            assert!(!svg.contains("=\"NaN") && !svg.contains("=\"inf"), "{svg}");
        }
    }

    #[test]
    fn a_first_day_that_knows_nothing_does_not_flatten_the_rest() {
        let mut days = vec![day("a", Some((-9.0, 0.0, 9.0)))];
        days.extend((0..5).map(|_| day("b", Some((0.0, 0.01, 0.02)))));
        assert!((reach(&days) - 0.023).abs() < 1e-9);
    }
}
