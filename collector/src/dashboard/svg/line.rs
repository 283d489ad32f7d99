//! Lines over time, with an axis and a cursor that follows the pointer without a script.
//!
//! In: one label per point and some lines. Out: one drawing. The cursor is a transparent column
//! per point whose note shows while the pointer is over it (`.hit:hover` in the style sheet).

use super::super::format;
use super::super::markup::{Markup, Num, Pct, Writer};
use super::ticks;

/// A point in time, the same for all lines.
pub struct Point {
    /// Text under the axis, if this point has one.
    pub tick: Option<String>,
    /// Heading of the note.
    pub label: String,
    /// What happened then, if somebody wrote it down.
    pub mark: Option<String>,
}

/// One line.
pub struct Line {
    /// Its name in the note.
    pub name: String,
    /// Its class: colour and stroke.
    pub class: &'static str,
    /// One value per point; `None` leaves a gap.
    pub values: Vec<Option<f64>>,
    /// Whether the space below is tinted.
    pub area: bool,
}

/// What to draw.
pub struct LineChart {
    /// What a screen reader says in its place; the table says the rest.
    pub title: String,
    /// The points, in order.
    pub points: Vec<Point>,
    /// The lines, the most important last: it is drawn on top.
    pub lines: Vec<Line>,
    /// Whether the last point is not over yet; its part of each line is dashed.
    pub unfinished: bool,
    /// How a value reads in the note.
    pub format: fn(f64) -> String,
}

/// Height of the drawing in pixels, and of the parts above and below the plot.
const HEIGHT: f64 = 268.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 30.0;
const PLOT: f64 = HEIGHT - TOP - BOTTOM;
/// Room left and right of the plot, in percent, so that end points are not cut.
const MARGIN: f64 = 0.8;
const NOTE_WIDTH: f64 = 176.0;

/// Draw it. Without points there is an empty plot.
pub fn draw(chart: &LineChart) -> Markup {
    let values = || {
        let all = chart.lines.iter().flat_map(|line| &line.values);
        all.copied().flatten().filter(|value| value.is_finite())
    };
    let max = values().fold(0.0, f64::max);
    let mut steps = ticks(max);
    // Nobody counts half a person: where all values are whole, so are the numbers of the axis.
    if values().all(|value| value.fract() == 0.0) {
        steps.retain(|step| step.fract() == 0.0);
    }
    let top = steps.last().copied().unwrap_or(1.0);
    let mut w = Writer::new();
    w.open(
        "svg",
        &[
            ("class", &"line"),
            ("role", &"img"),
            ("aria-label", &chart.title),
            ("width", &"100%"),
            ("height", &Num(HEIGHT)),
        ],
    );
    rules(&mut w, &steps, top);
    x_labels(&mut w, &chart.points);
    plot(&mut w, chart, top);
    y_labels(&mut w, &steps, top);
    for index in 0..chart.points.len() {
        hit(&mut w, chart, index, top);
    }
    // Over the columns of the cursor, which would catch the pointer.
    for (index, point) in chart.points.iter().enumerate() {
        if let Some(text) = &point.mark {
            mark(&mut w, x(index, chart.points.len()), text);
        }
    }
    w.close();
    w.finish()
}

/// A small line without axis, for a card. `values` may be of any length.
pub fn spark(values: &[f64]) -> Markup {
    let max = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let mut w = Writer::new();
    w.open(
        "svg",
        &[
            ("class", &"spark"),
            ("aria-hidden", &"true"),
            ("viewBox", &"0 0 1000 32"),
            ("preserveAspectRatio", &"none"),
        ],
    );
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .map(|(index, value)| (x(index, values.len()) * 10.0, 30.0 - 28.0 * share(*value, max)))
        .collect();
    if points.len() > 1 {
        w.empty("path", &[("class", &"fill"), ("d", &area(&points, 32.0))]);
        w.empty("path", &[("class", &"stroke"), ("d", &polyline(&points))]);
    }
    w.close();
    w.finish()
}

/// Where point `index` of `len` lies, in percent.
fn x(index: usize, len: usize) -> f64 {
    if len < 2 {
        return 50.0;
    }
    MARGIN + (100.0 - 2.0 * MARGIN) * index as f64 / (len - 1) as f64
}

/// Where a value lies, in pixels from the top of the plot.
fn y(value: f64, top: f64) -> f64 {
    PLOT * (1.0 - share(value, top))
}

fn share(value: f64, top: f64) -> f64 {
    let share = value / top;
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
}

fn rules(w: &mut Writer, steps: &[f64], top: f64) {
    w.open("g", &[("class", &"grid")]);
    for step in steps {
        let at = Num(TOP + y(*step, top));
        let class = if *step == 0.0 { "base" } else { "rule" };
        w.empty(
            "line",
            &[("class", &class), ("x1", &"0"), ("x2", &"100%"), ("y1", &at), ("y2", &at)],
        );
    }
    w.close();
}

/// The numbers stand on their rules, inside the plot: no column is lost to them. They are drawn
/// over the lines, with a halo.
fn y_labels(w: &mut Writer, steps: &[f64], top: f64) {
    w.open("g", &[("class", &"steps")]);
    for step in steps.iter().filter(|step| **step > 0.0) {
        let at = Num(TOP + y(*step, top) - 5.0);
        w.element("text", &[("x", &"0"), ("y", &at)], format::short(*step));
    }
    w.close();
}

fn x_labels(w: &mut Writer, points: &[Point]) {
    w.open("g", &[("class", &"axis")]);
    let labelled: Vec<usize> =
        (0..points.len()).filter(|index| points[*index].tick.is_some()).collect();
    for (nth, index) in labelled.iter().enumerate() {
        let at = x(*index, points.len());
        let anchor = match at {
            at if at < 4.0 => "start",
            at if at > 96.0 => "end",
            _ => "middle",
        };
        // On a phone there is room for every other label only.
        let class = if nth % 2 == 1 { "minor" } else { "major" };
        w.element(
            "text",
            &[
                ("class", &class),
                ("x", &Pct(at)),
                ("y", &Num(HEIGHT - 8.0)),
                ("text-anchor", &anchor),
            ],
            points[*index].tick.as_deref().unwrap_or_default(),
        );
    }
    w.close();
}

/// The lines themselves: stretched across, so strokes must not scale (style sheet).
fn plot(w: &mut Writer, chart: &LineChart, top: f64) {
    let view = format!("0 0 1000 {}", Num(PLOT));
    w.open(
        "svg",
        &[
            ("x", &"0"),
            ("y", &Num(TOP)),
            ("width", &"100%"),
            ("height", &Num(PLOT)),
            ("viewBox", &view),
            ("preserveAspectRatio", &"none"),
            ("overflow", &"visible"),
        ],
    );
    let len = chart.points.len();
    for line in &chart.lines {
        w.open("g", &[("class", &line.class)]);
        for run in runs(&line.values) {
            let points: Vec<(f64, f64)> =
                run.iter().map(|(index, value)| (x(*index, len) * 10.0, y(*value, top))).collect();
            if line.area {
                w.empty("path", &[("class", &"fill"), ("d", &area(&points, PLOT))]);
            }
            let ends_open = chart.unfinished
                && points.len() > 1
                && run.last().is_some_and(|(i, _)| i + 1 == len);
            let sure = if ends_open { &points[..points.len() - 1] } else { &points[..] };
            w.empty("path", &[("class", &"stroke"), ("d", &polyline(sure))]);
            if ends_open {
                let open = &points[points.len() - 2..];
                w.empty("path", &[("class", &"stroke open"), ("d", &polyline(open))]);
            }
        }
        w.close();
    }
    w.close();
}

/// Stretches of known values, with their places.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut last = None;
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value.filter(|v| v.is_finite()) else { continue };
        if last != index.checked_sub(1) || runs.is_empty() {
            runs.push(Vec::new());
        }
        if let Some(run) = runs.last_mut() {
            run.push((index, value));
        }
        last = Some(index);
    }
    runs
}

fn polyline(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        d.push_str(&format!("{command}{} {}", Num(*x), Num(*y)));
    }
    // A single point is a dot: a line of no length with round ends.
    if let [(x, y)] = points {
        d.push_str(&format!("L{} {}", Num(*x), Num(*y)));
    }
    d
}

fn area(points: &[(f64, f64)], floor: f64) -> String {
    match (points.first(), points.last()) {
        (Some((first, _)), Some((last, _))) => format!(
            "{}L{} {}L{} {}Z",
            polyline(points),
            Num(*last),
            Num(floor),
            Num(*first),
            Num(floor)
        ),
        _ => String::new(),
    }
}

/// The column of one point: what shows while the pointer is over it.
fn hit(w: &mut Writer, chart: &LineChart, index: usize, top: f64) {
    let len = chart.points.len();
    let (at, width) = (x(index, len), 100.0 / len as f64);
    let left = (at - width / 2.0).max(0.0);
    w.open("g", &[("class", &"hit")]);
    w.empty(
        "rect",
        &[("x", &Pct(left)), ("y", &"0"), ("width", &Pct(width)), ("height", &Num(HEIGHT))],
    );
    w.open("g", &[("class", &"at")]);
    w.empty(
        "line",
        &[("x1", &Pct(at)), ("x2", &Pct(at)), ("y1", &Num(TOP)), ("y2", &Num(TOP + PLOT))],
    );
    let shown: Vec<(&Line, f64)> = chart
        .lines
        .iter()
        .filter_map(|line| line.values.get(index).copied().flatten().map(|value| (line, value)))
        .collect();
    for (line, value) in &shown {
        let class = format!("dot {}", line.class);
        w.empty(
            "circle",
            &[
                ("class", &class),
                ("cx", &Pct(at)),
                ("cy", &Num(TOP + y(*value, top))),
                ("r", &"3.5"),
            ],
        );
    }
    w.open("svg", &[("x", &Pct(at)), ("y", &"8"), ("overflow", &"visible")]);
    // The note stands on the side of the cursor that has more room.
    let shift = if at <= 50.0 { 12.0 } else { -12.0 - NOTE_WIDTH };
    w.open("g", &[("transform", &format!("translate({} 0)", Num(shift)))]);
    let height = 30.0 + 19.0 * shown.len() as f64;
    w.empty(
        "rect",
        &[("class", &"note"), ("width", &Num(NOTE_WIDTH)), ("height", &Num(height)), ("rx", &"7")],
    );
    w.element(
        "text",
        &[("class", &"head"), ("x", &"12"), ("y", &"19")],
        &chart.points[index].label,
    );
    for (row, (line, value)) in shown.iter().rev().enumerate() {
        let row_y = 38.0 + 19.0 * row as f64;
        let class = format!("dot {}", line.class);
        w.empty(
            "circle",
            &[("class", &class), ("cx", &"16"), ("cy", &Num(row_y - 4.0)), ("r", &"3.5")],
        );
        w.element("text", &[("x", &"26"), ("y", &Num(row_y))], &line.name);
        w.element(
            "text",
            &[
                ("class", &"value"),
                ("x", &Num(NOTE_WIDTH - 12.0)),
                ("y", &Num(row_y)),
                ("text-anchor", &"end"),
            ],
            (chart.format)(*value),
        );
    }
    w.close();
    w.close();
    w.close();
    w.close();
}

/// Something that happened: a rule through the plot and a dot above it that says what.
fn mark(w: &mut Writer, at: f64, text: &str) {
    w.open("g", &[("class", &"mark")]);
    w.element("title", &[], text);
    w.empty(
        "line",
        &[("x1", &Pct(at)), ("x2", &Pct(at)), ("y1", &Num(TOP - 8.0)), ("y2", &Num(TOP + PLOT))],
    );
    w.empty("circle", &[("cx", &Pct(at)), ("cy", &Num(TOP - 12.0)), ("r", &"5")]);
    w.close();
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn chart(values: &[Option<f64>]) -> LineChart {
        LineChart {
            title: "People".into(),
            points: values
                .iter()
                .enumerate()
                .map(|(i, _)| Point {
                    tick: Some(format!("t{i}")),
                    label: format!("day {i}"),
                    mark: (i == 1).then(|| "</title><script>".to_owned()),
                })
                .collect(),
            lines: vec![Line {
                name: "</text><script>".into(),
                class: "a",
                values: values.to_vec(),
                area: true,
            }],
            unfinished: true,
            format: |v| v.to_string(),
        }
    }

    #[rstest]
    #[case::empty(&[])]
    #[case::one_point(&[Some(3.0)])]
    #[case::zeros(&[Some(0.0), Some(0.0)])]
    #[case::huge(&[Some(0.0), Some(f64::MAX)])]
    #[case::not_numbers(&[Some(f64::NAN), Some(f64::INFINITY), Some(1.0)])]
    #[case::negative(&[Some(-5.0), Some(5.0)])]
    #[case::only_gaps(&[None, None])]
    fn any_figures_make_a_drawing_of_finite_coordinates(#[case] values: &[Option<f64>]) {
        let svg = draw(&chart(values)).to_string();
        let drawn: String = svg
            .split("class=\"value\"")
            .map(|part| {
                // The note prints the figure itself, whatever it is.
                part.split_once("</text>").map_or(part, |(_, rest)| rest)
            })
            .collect();
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{svg}");
        assert_eq!(svg.matches("class=\"hit\"").count(), values.len());
        let marks = svg.matches("<title>&lt;/title&gt;&lt;script&gt;</title>").count();
        assert_eq!(marks, usize::from(values.len() > 1));
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn names_of_lines_are_escaped() {
        let svg = draw(&chart(&[Some(1.0), Some(2.0)])).to_string();
        assert!(!svg.contains("<script>"));
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt;"));
    }

    #[rstest]
    #[case::one_person(&[Some(1.0)], &["1"])]
    #[case::nine_people(&[Some(9.0)], &["5", "10"])]
    #[case::a_fraction(&[Some(0.9)], &["0.25", "0.5", "0.75", "1"])]
    fn whole_values_have_a_whole_axis(#[case] values: &[Option<f64>], #[case] want: &[&str]) {
        let svg = draw(&chart(values)).to_string();
        let steps = svg.split_once("class=\"steps\">").expect("an axis").1;
        let steps = steps.split_once("</g>").expect("its end").0;
        let texts: Vec<&str> = steps
            .split("</text>")
            .filter_map(|text| text.rsplit_once('>'))
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts, want);
    }

    #[test]
    fn a_gap_breaks_the_line_and_the_unfinished_end_is_its_own_stroke() {
        let svg = draw(&chart(&[Some(1.0), Some(2.0), None, Some(3.0), Some(4.0)])).to_string();
        assert_eq!(svg.matches("class=\"stroke\"").count(), 2);
        assert_eq!(svg.matches("class=\"stroke open\"").count(), 1);
    }

    #[test]
    fn the_largest_value_stays_inside_the_plot() {
        assert_eq!((y(100.0, 100.0), y(0.0, 100.0)), (0.0, PLOT));
        assert_eq!((x(0, 3), x(2, 3), x(0, 1)), (MARGIN, 100.0 - MARGIN, 50.0));
    }

    #[test]
    fn a_spark_of_fewer_than_two_points_is_empty() {
        assert!(!spark(&[1.0]).to_string().contains("path"));
        assert_eq!(spark(&[0.0, f64::NAN, 2.0]).to_string().matches("<path").count(), 2);
    }
}
