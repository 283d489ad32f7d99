//! Columns in stacks, upwards from a line and downwards from it.
//!
//! In: one label and some parts per column. Out: one drawing that reads at any width, with a note per column as its
//! title.

use super::super::format;
use super::super::markup::{Markup, Num, Pct, Writer};
use super::ticks;

/// One column.
#[derive(Debug, Clone, Default)]
pub struct Column {
    /// Text under it, if there is room for one.
    pub tick: Option<String>,
    /// What it shows, in words.
    pub title: String,
    /// Class and height, from the line outwards; negative parts go down.
    pub parts: Vec<(&'static str, f64)>,
}

const HEIGHT: f64 = 240.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 28.0;
/// Room at the left for what the axis says, in percent.
const GUTTER: f64 = 8.0;
const PLOT: f64 = HEIGHT - TOP - BOTTOM;

/// Draw them. `title` is what a screen reader says in its place.
pub fn draw(title: &str, columns: &[Column]) -> Markup {
    let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
    let sum = |column: &Column, up: bool| -> f64 {
        let parts = column.parts.iter().map(|(_, value)| finite(*value));
        parts.filter(|value| (*value > 0.0) == up).sum()
    };
    let most = columns.iter().map(|column| sum(column, true)).fold(0.0, f64::max);
    let least = columns.iter().map(|column| -sum(column, false)).fold(0.0, f64::max);
    let steps = ticks(most.max(least));
    let step = steps.get(1).copied().unwrap_or(1.0);
    let (up, down) = ((most / step).ceil().max(1.0), (least / step).ceil());
    let unit = PLOT / ((up + down) * step);
    let zero = TOP + up * step * unit;
    let mut w = Writer::new();
    let height = Num(HEIGHT);
    w.open(
        "svg",
        &[
            ("class", &"line columns"),
            ("role", &"img"),
            ("aria-label", &title),
            ("width", &"100%"),
            ("height", &height),
        ],
    );
    for index in -(down as i64)..=(up as i64) {
        let at = Num(zero - index as f64 * step * unit);
        let class = if index == 0 { "base" } else { "rule" };
        w.empty(
            "line",
            &[("class", &class), ("x1", &"0"), ("x2", &"100%"), ("y1", &at), ("y2", &at)],
        );
    }
    let width = (100.0 - GUTTER) / columns.len().max(1) as f64;
    let bar = (width * 0.72).min(9.0);
    for (index, column) in columns.iter().enumerate() {
        let middle = GUTTER + width * (index as f64 + 0.5);
        w.open("g", &[("class", &"column")]);
        w.element("title", &[], &column.title);
        w.empty(
            "rect",
            &[
                ("class", &"room"),
                ("x", &Pct(GUTTER + width * index as f64)),
                ("width", &Pct(width)),
                ("height", &height),
            ],
        );
        let (mut above, mut below) = (zero, zero);
        for (class, value) in &column.parts {
            let size = finite(*value).abs() * unit;
            let y = if *value > 0.0 { above - size } else { below };
            w.empty(
                "rect",
                &[
                    ("class", class),
                    ("x", &Pct(middle - bar / 2.0)),
                    ("width", &Pct(bar)),
                    ("y", &Num(y)),
                    ("height", &Num(size)),
                    ("rx", &"1.5"),
                ],
            );
            if *value > 0.0 { above -= size } else { below += size }
        }
        w.close();
    }
    w.open("g", &[("class", &"axis")]);
    for (nth, (index, tick)) in
        columns.iter().enumerate().filter_map(|(i, c)| Some((i, c.tick.as_ref()?))).enumerate()
    {
        let class = if nth % 2 == 1 { "minor" } else { "major" };
        w.element(
            "text",
            &[
                ("class", &class),
                ("x", &Pct(GUTTER + width * (index as f64 + 0.5))),
                ("y", &Num(HEIGHT - 8.0)),
                ("text-anchor", &"middle"),
            ],
            tick,
        );
    }
    w.close();
    w.open("g", &[("class", &"steps")]);
    for index in (-(down as i64)..=(up as i64)).filter(|index| *index != 0) {
        let value = index as f64 * step;
        w.element(
            "text",
            &[("x", &"0"), ("y", &Num(zero - value * unit - 5.0))],
            format::short(value.abs()),
        );
    }
    w.close();
    w.close();
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(parts: &[(&'static str, f64)]) -> Column {
        Column { tick: Some("1".into()), title: "<b>".into(), parts: parts.to_vec() }
    }

    #[test]
    fn parts_stand_on_each_other_and_hang_below_the_line() {
        let svg = draw("x", &[column(&[("a", 2.0), ("b", 1.0), ("bad", -1.0)])]).to_string();
        let at = |class: &str| {
            let rest = &svg[svg.find(&format!("<rect class=\"{class}\"")).expect(class)..];
            let read = |name: &str| -> f64 {
                let text = rest.split(&format!(" {name}=\"")).nth(1).expect(name);
                text.split('"').next().expect(name).parse().expect(name)
            };
            (read("y"), read("height"))
        };
        let ((a, a_size), (b, b_size), (bad, _)) = (at("a"), at("b"), at("bad"));
        assert!((b + b_size - a).abs() < 0.02 && (a + a_size - bad).abs() < 0.02, "{svg}");
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>"));
    }

    #[test]
    fn nothing_and_unknown_figures_are_drawn_flat() {
        for columns in [vec![], vec![column(&[("a", f64::NAN)])], vec![column(&[("a", 0.0)])]] {
            let svg = draw("x", &columns).to_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
