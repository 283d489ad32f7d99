//! Intervals: an estimate with its whiskers on a scale that several rows share.

use super::super::markup::{Markup, Num, Pct, Writer};
use super::ticks;

/// An estimate and the ends of its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub low: f64,
    pub mid: f64,
    pub high: f64,
}

/// What part of the numbers a row shows. `low < high`, both finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// A scale with round ends that shows all of these, zero included when `with_zero`.
    pub fn over(estimates: &[Estimate], with_zero: bool) -> Self {
        let ends = estimates.iter().flat_map(|e| [e.low, e.mid, e.high]).filter(|v| v.is_finite());
        let (mut low, mut high) = ends
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if with_zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if low > high || !(high - low).is_finite() {
            return Self { low: 0.0, high: 1.0, step: 0.25 };
        }
        let spread = (high - low).max(high.abs().max(low.abs()) * 1e-6).max(1e-12);
        let steps = ticks(spread);
        let step = steps[1];
        let (low, high) = ((low / step - 0.15).floor() * step, (high / step + 0.15).ceil() * step);
        Self { low, high, step }
    }

    /// A scale around zero for intervals of which some may know next to nothing: it reaches three times as far as
    /// `main`, or as the middle one of all where that is further. What reaches half beyond that is cut, together with
    /// what is between.
    pub fn around(main: &[Estimate], all: &[Estimate]) -> Self {
        let far = |estimates: &[Estimate]| -> Vec<f64> {
            let ends = estimates.iter().map(|e| e.low.abs().max(e.high.abs()));
            let mut ends: Vec<f64> = ends.filter(|end| end.is_finite()).collect();
            ends.sort_by(f64::total_cmp);
            ends
        };
        let (of_main, of_all) = (far(main), far(all));
        let last = |ends: &[f64]| ends.last().copied().unwrap_or(0.0);
        let middle = of_all.get(of_all.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
        let reach = middle.max(3.0 * last(&of_main));
        let reach = if last(&of_all) > 1.5 * reach { reach } else { f64::INFINITY };
        let cut = |e: &Estimate| Estimate {
            low: e.low.max(-reach),
            mid: e.mid.clamp(-reach, reach),
            high: e.high.min(reach),
        };
        Self::over(&all.iter().map(cut).collect::<Vec<_>>(), true)
    }

    /// Whether a number lies outside.
    fn is_beyond(self, value: f64) -> bool {
        value < self.low || value > self.high
    }

    /// The part of this scale between two numbers: a rate has no place above 100 %.
    ///
    /// Left as it is where nothing would remain.
    pub fn within(self, least: f64, most: f64) -> Self {
        let (low, high) = (self.low.max(least), self.high.min(most));
        if low < high { Self { low, high, ..self } } else { self }
    }

    /// Where a number lies, in percent of the width.
    fn at(self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        if share.is_finite() { (share * 100.0).clamp(0.0, 100.0) } else { 0.0 }
    }

    fn steps(self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round().clamp(1.0, 24.0) as usize;
        (0..=count).map(|index| self.low + index as f64 * self.step).collect()
    }
}

/// Half the height of a row.
const MIDDLE: f64 = 15.0;

/// An arrow at an edge: it goes on there.
fn arrow(w: &mut Writer, at: &Pct, to_the_left: bool) {
    // A drawing of its own, because a place in percent cannot be moved by pixels otherwise.
    w.open("svg", &[("class", &"beyond"), ("x", at), ("overflow", &"visible")]);
    let back = if to_the_left { 7.0 } else { -7.0 };
    for side in [-6.0, 6.0] {
        w.empty(
            "line",
            &[
                ("class", &"end"),
                ("x1", &"0"),
                ("x2", &Num(back)),
                ("y1", &Num(MIDDLE)),
                ("y2", &Num(MIDDLE + side)),
            ],
        );
    }
    w.close();
}

/// One row: the interval as a line with a dot. What reaches beyond the scale ends in an arrow, and a dot that would lie
/// there is not drawn. `class` gives the colour, `title` the words.
pub fn whisker(scale: Scale, estimate: Estimate, class: &'static str, title: &str) -> Markup {
    let mut w = Writer::new();
    let class = format!("whisker {class}");
    w.open(
        "svg",
        &[
            ("class", &class),
            ("role", &"img"),
            ("aria-label", &title),
            ("width", &"100%"),
            ("height", &"30"),
        ],
    );
    w.element("title", &[], title);
    for step in scale.steps() {
        let zero = step.abs() < scale.step * 1e-6;
        let class = if zero { "zero" } else { "rule" };
        let at = Pct(scale.at(step));
        w.empty(
            "line",
            &[("class", &class), ("x1", &at), ("x2", &at), ("y1", &"0"), ("y2", &"30")],
        );
    }
    let (low, high) = (Pct(scale.at(estimate.low)), Pct(scale.at(estimate.high)));
    let middle = Num(MIDDLE);
    w.empty(
        "line",
        &[("class", &"span"), ("x1", &low), ("x2", &high), ("y1", &middle), ("y2", &middle)],
    );
    for (value, at) in [(estimate.low, &low), (estimate.high, &high)] {
        if scale.is_beyond(value) {
            arrow(&mut w, at, value < scale.low);
            continue;
        }
        w.empty(
            "line",
            &[
                ("class", &"end"),
                ("x1", at),
                ("x2", at),
                ("y1", &Num(MIDDLE - 5.0)),
                ("y2", &Num(MIDDLE + 5.0)),
            ],
        );
    }
    if !scale.is_beyond(estimate.mid) {
        w.empty("circle", &[("cx", &Pct(scale.at(estimate.mid))), ("cy", &middle), ("r", &"5")]);
    }
    w.close();
    w.finish()
}

/// The numbers under the rows.
pub fn axis(scale: Scale, format: fn(f64) -> String) -> Markup {
    let mut w = Writer::new();
    w.open(
        "svg",
        &[("class", &"scale"), ("aria-hidden", &"true"), ("width", &"100%"), ("height", &"20")],
    );
    let steps = scale.steps();
    // At most five numbers fit under a narrow column, and three long ones.
    let longest = steps.iter().map(|step| format(*step).chars().count()).max().unwrap_or(0);
    let every = steps.len().div_ceil(if longest > 7 { 3 } else { 5 });
    for step in steps.into_iter().step_by(every) {
        let at = scale.at(step);
        let anchor = match at {
            at if at < 5.0 => "start",
            at if at > 95.0 => "end",
            _ => "middle",
        };
        // A sum of steps that should be zero is zero.
        let value = if step.abs() < scale.step * 1e-6 { 0.0 } else { step };
        w.element(
            "text",
            &[("x", &Pct(at)), ("y", &"15"), ("text-anchor", &anchor)],
            format(value),
        );
    }
    w.close();
    w.finish()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn estimate(low: f64, mid: f64, high: f64) -> Estimate {
        Estimate { low, mid, high }
    }

    #[rstest]
    #[case::nothing(&[])]
    #[case::one_point(&[estimate(0.2, 0.2, 0.2)])]
    #[case::zeros(&[estimate(0.0, 0.0, 0.0)])]
    #[case::unbounded(&[estimate(f64::NEG_INFINITY, 0.1, f64::INFINITY)])]
    #[case::not_numbers(&[estimate(f64::NAN, f64::NAN, f64::NAN)])]
    #[case::huge(&[estimate(-1e300, 0.0, 1e300)])]
    fn any_estimates_make_a_drawing_of_finite_coordinates(#[case] estimates: &[Estimate]) {
        let scale = Scale::over(estimates, true);
        assert!(scale.low < scale.high, "{scale:?}");
        let around = Scale::around(estimates, estimates);
        assert!(around.low < around.high, "{around:?}");
        let mut svg = axis(scale, |v| v.to_string()).to_string();
        for estimate in estimates {
            svg.push_str(&whisker(scale, *estimate, "x", "").to_string());
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn the_scale_shows_every_interval_and_zero_when_asked() {
        let estimates = [estimate(0.51, 0.6, 0.71), estimate(0.45, 0.5, 0.55)];
        let scale = Scale::over(&estimates, true);
        assert!(scale.low <= 0.0 && scale.high >= 0.71);
        let scale = Scale::over(&estimates, false);
        assert!(scale.low > 0.2 && scale.low <= 0.45);
    }

    #[test]
    fn one_wide_interval_is_cut_and_does_not_flatten_the_others() {
        let main = [estimate(-0.05, 0.1, 0.25)];
        let wide = estimate(-38.0, 0.4, 41.0);
        let all = [estimate(-0.2, 0.1, 0.4), estimate(-0.3, 0.0, 0.3), wide];
        let scale = Scale::around(&main, &all);
        assert!(scale.low >= -1.0 && scale.high <= 1.0, "{scale:?}");
        assert!(scale.high >= 0.4 && scale.low <= -0.3, "what is not wide is whole: {scale:?}");
        let arrows = |e| whisker(scale, e, "x", "").to_string().matches("beyond").count();
        assert_eq!((arrows(wide), arrows(all[0])), (2, 0));
        let dots = |e| whisker(scale, e, "x", "").to_string().matches("<circle").count();
        assert_eq!((dots(wide), dots(estimate(1.5, 2.0, 9.0))), (1, 0), "a dot lies where it is");
    }

    #[rstest]
    #[case::all_are_wide(&[estimate(-38.0, 0.4, 41.0), estimate(-30.0, 0.2, 35.0), estimate(-33.0, 0.2, 39.0)])]
    #[case::none_is(&[estimate(-0.2, 0.1, 0.4), estimate(-0.3, 0.0, 0.3)])]
    fn intervals_that_are_alike_are_shown_whole(#[case] all: &[Estimate]) {
        assert_eq!(Scale::around(&[], all), Scale::over(all, true));
        assert_eq!(Scale::around(&[estimate(-0.1, 0.0, 0.1)], all), Scale::over(all, true));
    }

    #[test]
    fn a_scale_of_rates_ends_where_rates_end() {
        let scale = Scale::over(&[estimate(0.0, 1.0, 1.0)], false).within(0.0, 1.0);
        assert_eq!((scale.low, scale.high), (0.0, 1.0));
        let outside = Scale::over(&[estimate(2.0, 2.5, 3.0)], false);
        assert_eq!(outside.within(0.0, 1.0), outside);
    }

    #[test]
    fn a_hostile_title_is_escaped() {
        let scale = Scale::over(&[], false);
        let svg =
            whisker(scale, estimate(0.1, 0.2, 0.3), "x", "\" onload=\"alert(1)<b>").to_string();
        assert!(!svg.contains("\" onload") && !svg.contains("<b>"), "{svg}");
    }
}
