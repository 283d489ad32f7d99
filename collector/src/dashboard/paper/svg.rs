//! Our drawings on paper.
//!
//! In: a drawing as `svg` makes it, for any width and without a size of its own. Out: its shapes and texts on a [`Sheet`], laid out at
//! one width. Only what our drawings use is read: shapes, paths, texts, drawings in drawings; anything else is left out.
//!
//! Invariant: whatever stands in a drawing, every coordinate that leaves here is a finite number, and a text is a text.

use super::looks::{Look, Seen, look};
use super::sheet::{Anchor, Letters, Paint, Part, Sheet, rounded};
use super::text::Weight;
use crate::dashboard::markup::Markup;

/// Drawings in drawings, beyond which nothing is read.
const DEPTH_MAX: usize = 32;

/// Where a drawing lies: its size in its own units, and how these become places on the sheet.
#[derive(Debug, Clone, Copy)]
struct Ground {
    width: f64,
    height: f64,
    scale: (f64, f64),
    at: (f64, f64),
}

/// An element that was opened.
struct Open<'a> {
    seen: Seen<'a>,
    look: Look,
    ground: Ground,
    /// Whether nothing of it is drawn.
    hidden: bool,
    /// Of a text: where it stands.
    text: Option<((f64, f64), Anchor)>,
}

type Attributes<'a> = Vec<(&'a str, &'a str)>;

/// Draw it from the sheet's corner on, this wide. Says how high it is.
pub fn draw(sheet: &mut Sheet, drawing: &Markup, width: f64) -> f64 {
    let source = drawing.to_string();
    let mut height = 0.0;
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut rest = source.as_str();
    while let Some((before, after)) = rest.split_once('<') {
        write(sheet, &open, before);
        let Some((tag, after)) = after.split_once('>') else { break };
        rest = after;
        if tag.starts_with('/') {
            open.pop();
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = read(tag);
        let element = match open.last() {
            None => {
                let ground = whole(&attributes, width);
                height = ground.height * ground.scale.1;
                entered(name, &attributes, ground, &open)
            }
            Some(around) => {
                let ground =
                    if name == "svg" { inner(&attributes, around.ground) } else { around.ground };
                entered(name, &attributes, ground, &open)
            }
        };
        if !element.hidden {
            shape(sheet, name, &attributes, &element);
        }
        if !is_empty {
            open.push(element);
        }
    }
    height
}

fn entered<'a>(
    tag: &'a str,
    attributes: &Attributes<'a>,
    ground: Ground,
    open: &[Open<'a>],
) -> Open<'a> {
    let class = get(attributes, "class").unwrap_or_default();
    let seen = Seen { tag, classes: class.split_whitespace().collect() };
    let mut elements: Vec<Seen<'a>> = open.iter().map(|open| open.seen.clone()).collect();
    elements.push(seen.clone());
    let blank = Look::default();
    let look = look(&elements, open.last().map_or(&blank, |open| &open.look));
    // What follows the pointer, and what is said of a shape, has no place on paper.
    let hidden = open.last().is_some_and(|around| around.hidden)
        || matches!(tag, "title")
        || seen.classes.iter().any(|class| ["hit", "room"].contains(class))
        || open.len() >= DEPTH_MAX;
    let text = (tag == "text").then(|| {
        let anchor = match get(attributes, "text-anchor") {
            Some("middle") => Anchor::Middle,
            Some("end") => Anchor::End,
            _ => Anchor::Start,
        };
        (ground.place(across(attributes, "x", ground), down(attributes, "y", ground)), anchor)
    });
    Open { seen, look, ground, hidden, text }
}

/// A text, where one is open.
fn write(sheet: &mut Sheet, open: &[Open<'_>], text: &str) {
    let Some(Open { look, text: Some((at, anchor)), hidden: false, .. }) = open.last() else {
        return;
    };
    let Some(colour) = look.fill.filter(|_| !text.is_empty()) else { return };
    let weight = if look.bold { Weight::Bold } else { Weight::Plain };
    let letters = Letters { size: look.size, weight, colour, anchor: *anchor };
    sheet.text(*at, &unescaped(text), letters);
}

impl Ground {
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (self.at.0 + x * self.scale.0, self.at.1 + y * self.scale.1)
    }

    fn point(&self, x: f64, y: f64) -> [f64; 2] {
        let (x, y) = self.place(x, y);
        [x, y]
    }
}

/// The ground of a drawing by itself: as high as it says, or as its `viewBox` is.
fn whole(attributes: &Attributes<'_>, width: f64) -> Ground {
    let height = get(attributes, "height").and_then(|height| height.parse::<f64>().ok());
    match (boxed(attributes), height) {
        (Some((wide, high)), None) => {
            let scale = width / wide;
            Ground { width: wide, height: high, scale: (scale, scale), at: (0.0, 0.0) }
        }
        (_, height) => {
            Ground { width, height: height.unwrap_or(0.0), scale: (1.0, 1.0), at: (0.0, 0.0) }
        }
    }
}

/// The ground of a drawing in another one: stretched over its place.
fn inner(attributes: &Attributes<'_>, around: Ground) -> Ground {
    let at = around.place(across(attributes, "x", around), down(attributes, "y", around));
    let size = |name, whole| {
        let given = get(attributes, name).map(|text| portion(text, whole));
        given.unwrap_or(whole)
    };
    let (width, height) = (size("width", around.width), size("height", around.height));
    match boxed(attributes) {
        Some((wide, high)) => {
            let scale = (around.scale.0 * width / wide, around.scale.1 * height / high);
            Ground { width: wide, height: high, scale, at }
        }
        None => Ground { width, height, scale: around.scale, at },
    }
}

/// Width and height of a `viewBox`, which begins at nothing in all drawings of ours.
fn boxed(attributes: &Attributes<'_>) -> Option<(f64, f64)> {
    let mut parts = get(attributes, "viewBox")?.split(' ').skip(2).map(str::parse);
    let (width, height): (f64, f64) = (parts.next()?.ok()?, parts.next()?.ok()?);
    (width > 0.0 && height > 0.0).then_some((width, height))
}

fn shape(sheet: &mut Sheet, name: &str, attributes: &Attributes<'_>, element: &Open<'_>) {
    let ground = element.ground;
    let (x, y) = (|name| across(attributes, name, ground), |name| down(attributes, name, ground));
    let parts = match name {
        "rect" => {
            let [left, top] = ground.point(x("x"), y("y"));
            let size = [x("width") * ground.scale.0, y("height") * ground.scale.1];
            if size[0] <= 0.0 || size[1] <= 0.0 {
                return;
            }
            rounded([left, top, size[0], size[1]], x("rx"))
        }
        "line" => {
            let ([x1, y1], [x2, y2]) =
                (ground.point(x("x1"), y("y1")), ground.point(x("x2"), y("y2")));
            vec![Part::Move(x1, y1), Part::Line(x2, y2)]
        }
        "circle" => {
            let [cx, cy] = ground.point(x("cx"), y("cy"));
            let r = y("r") * if get(attributes, "r").is_some() { ground.scale.1 } else { 0.0 };
            rounded([cx - r, cy - r, 2.0 * r, 2.0 * r], r)
        }
        "path" => outline(get(attributes, "d").unwrap_or_default(), ground),
        _ => return,
    };
    let Look { fill, stroke, stroke_width, dash, opacity, keeps_width, .. } = &element.look;
    let scale = if *keeps_width { 1.0 } else { (ground.scale.0 * ground.scale.1).abs().sqrt() };
    let fill = fill.filter(|_| name != "line");
    let (width, dash) = (stroke_width * scale, dash.clone());
    sheet.outline(&parts, &Paint { fill, stroke: *stroke, width, dash, opacity: *opacity });
}

/// The parts of a path: `M L H V C Z`, and `l` and `z`, which the outlines of countries have.
fn outline(path: &str, ground: Ground) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut at, mut began) = ((0.0, 0.0), (0.0, 0.0));
    let mut rest = path;
    while let Some(command) = rest.chars().next() {
        let body = rest.get(command.len_utf8()..).unwrap_or_default();
        let end = body.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(body.len());
        let numbers = numbers(&body[..end]);
        rest = &body[end..];
        let pairs = || numbers.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match command {
            'M' | 'L' | 'l' => {
                for (index, (x, y)) in pairs().enumerate() {
                    at = if command == 'l' { (at.0 + x, at.1 + y) } else { (x, y) };
                    let (x, y) = ground.place(at.0, at.1);
                    if command == 'M' && index == 0 {
                        began = at;
                        parts.push(Part::Move(x, y));
                    } else {
                        parts.push(Part::Line(x, y));
                    }
                }
            }
            'H' | 'V' => {
                for number in numbers {
                    at = if command == 'H' { (number, at.1) } else { (at.0, number) };
                    let (x, y) = ground.place(at.0, at.1);
                    parts.push(Part::Line(x, y));
                }
            }
            'C' => {
                for six in numbers.chunks_exact(6) {
                    let [a, b] = ground.point(six[0], six[1]);
                    let [c, d] = ground.point(six[2], six[3]);
                    let [e, f] = ground.point(six[4], six[5]);
                    at = (six[4], six[5]);
                    parts.push(Part::Curve([a, b, c, d, e, f]));
                }
            }
            'Z' | 'z' => {
                at = began;
                parts.push(Part::Close);
            }
            _ => {}
        }
    }
    // A path begins with a move, or it is none.
    if matches!(parts.first(), Some(Part::Move(..))) { parts } else { Vec::new() }
}

/// Numbers with spaces, commas or a sign between them.
fn numbers(text: &str) -> Vec<f64> {
    let mut all = Vec::new();
    for part in text.split([' ', ',']) {
        let mut from = 0;
        let signs = part.match_indices('-').map(|(at, _)| at).filter(|at| *at > 0);
        for at in signs.chain([part.len()]).collect::<Vec<_>>() {
            all.extend(part[from..at].parse::<f64>().ok().filter(|number| number.is_finite()));
            from = at;
        }
    }
    all
}

fn across(attributes: &Attributes<'_>, name: &str, ground: Ground) -> f64 {
    get(attributes, name).map_or(0.0, |text| portion(text, ground.width))
}

fn down(attributes: &Attributes<'_>, name: &str, ground: Ground) -> f64 {
    get(attributes, name).map_or(0.0, |text| portion(text, ground.height))
}

/// A number, or a part of the whole in percent.
fn portion(text: &str, whole: f64) -> f64 {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0 * whole),
        None => text.parse(),
    };
    value.ok().filter(|value| value.is_finite()).unwrap_or(0.0)
}

fn get<'a>(attributes: &Attributes<'a>, name: &str) -> Option<&'a str> {
    attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
}

/// Name and attributes of a tag.
fn read(tag: &str) -> (&str, Attributes<'_>) {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    while let Some((name, after)) = rest.split_once("=\"") {
        let Some((value, after)) = after.split_once('"') else { break };
        attributes.push((name.trim_start(), value));
        rest = after;
    }
    (name, attributes)
}

fn unescaped(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (escaped, own)| text.replace(escaped, own))
}
