//! How drawings look on paper: the style sheet of the pages, as far as drawings need it.
//!
//! In: the classes of an element and of those around it. Out: its [`Look`], with the colours of the light theme. So there is
//! one place that says how a drawing looks, for the screen and for paper.
//!
//! What of the style sheet is read: rules outside of `@` whose selectors are tags and classes, one in another (` `, `>`);
//! the variables of the first `:root`; the properties of [`Look`]. The rest is for screens.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::sheet::Colour;

/// The style sheet without its comments.
static SHEET: LazyLock<String> = LazyLock::new(|| {
    let mut parts = include_str!("../../../assets/dashboard.css").split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |sheet, part| sheet + part.split_once("*/").map_or("", |(_, after)| after))
});

/// What the style sheet says of an element and what it has of those around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub fill: Option<Colour>,
    pub stroke: Option<Colour>,
    pub stroke_width: f64,
    pub dash: Vec<f32>,
    pub size: f64,
    pub bold: bool,
    /// Of this element alone.
    pub opacity: f64,
    /// Whether strokes stay as wide as they are where a drawing is stretched.
    pub keeps_width: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            fill: Some([0; 3]),
            stroke: None,
            stroke_width: 1.0,
            dash: Vec::new(),
            size: 16.0,
            bold: false,
            opacity: 1.0,
            keeps_width: false,
        }
    }
}

/// An element, as selectors see it.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    pub tag: &'a str,
    pub classes: Vec<&'a str>,
}

/// A tag and classes; whether the element before it in the selector is right around this one.
#[derive(Debug)]
struct Part {
    tag: Option<&'static str>,
    classes: Vec<&'static str>,
    is_child: bool,
}

struct Rule {
    selector: Vec<Part>,
    properties: Vec<(&'static str, &'static str)>,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let mut rules: Vec<Rule> = blocks(&SHEET)
        .filter(|(selectors, _)| !selectors.starts_with('@'))
        .flat_map(|(selectors, body)| selectors.split(',').map(move |one| (one.trim(), body)))
        .filter_map(|(selector, body)| {
            let properties = body.split(';').filter_map(|line| line.split_once(':'));
            let properties: Vec<_> = properties
                .map(|(name, value)| (name.trim(), value.trim()))
                .filter(|(name, _)| PROPERTIES.contains(name))
                .collect();
            Some(Rule { selector: parse(selector)?, properties })
        })
        .filter(|rule| !rule.properties.is_empty())
        .collect();
    // Of rules that say as much the later one holds, as in browsers.
    rules.sort_by_key(Rule::weight);
    rules
});

static VARIABLES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let root = blocks(&SHEET).find(|(selectors, _)| *selectors == ":root");
    let lines = root.map_or("", |(_, body)| body).split(';');
    let lines = lines.filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.trim(), value.trim())).collect()
});

const PROPERTIES: [&str; 9] = [
    "fill",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "font-size",
    "font-weight",
    "opacity",
    "vector-effect",
    "paint-order",
];

impl Rule {
    fn weight(&self) -> (usize, usize) {
        let classes = self.selector.iter().map(|part| part.classes.len()).sum();
        (classes, self.selector.iter().filter(|part| part.tag.is_some()).count())
    }

    /// Whether it is of the last of these elements.
    fn is_of(&self, elements: &[Seen<'_>]) -> bool {
        let Some((last, before)) = self.selector.split_last() else { return false };
        let Some((own, around)) = elements.split_last() else { return false };
        last.is(own) && within(before, around, last.is_child)
    }
}

impl Part {
    fn is(&self, element: &Seen<'_>) -> bool {
        self.tag.is_none_or(|tag| tag == element.tag)
            && self.classes.iter().all(|class| element.classes.contains(class))
    }
}

fn within(selector: &[Part], elements: &[Seen<'_>], is_child: bool) -> bool {
    let Some((last, before)) = selector.split_last() else { return true };
    let mut around = elements;
    while let Some((own, rest)) = around.split_last() {
        if last.is(own) && within(before, rest, last.is_child) {
            return true;
        }
        if is_child {
            return false;
        }
        around = rest;
    }
    false
}

/// The look of the last of these elements, whose parent looks like `parent`.
pub fn look(elements: &[Seen<'_>], parent: &Look) -> Look {
    let mut look = Look { opacity: 1.0, keeps_width: false, ..parent.clone() };
    // A halo around letters would be a line through them.
    let mut halo = false;
    for rule in RULES.iter().filter(|rule| rule.is_of(elements)) {
        for (name, value) in &rule.properties {
            match *name {
                "fill" => look.fill = colour(value),
                "stroke" => look.stroke = colour(value),
                "stroke-width" => look.stroke_width = length(value).unwrap_or(look.stroke_width),
                "stroke-dasharray" => {
                    let each = value.split_whitespace();
                    look.dash = each.filter_map(|part| part.parse().ok()).collect();
                }
                "font-size" => look.size = length(value).unwrap_or(look.size),
                "font-weight" => look.bold = value.parse().is_ok_and(|weight: u32| weight >= 550),
                "opacity" => look.opacity = value.parse().unwrap_or(1.0),
                "vector-effect" => look.keeps_width = *value == "non-scaling-stroke",
                _ => halo = *value == "stroke",
            }
        }
    }
    if halo {
        look.stroke = None;
    }
    look
}

/// A colour of the style sheet by the name of its variable.
pub fn named(variable: &str) -> Colour {
    colour(&format!("var({variable})")).unwrap_or_default()
}

fn colour(value: &str) -> Option<Colour> {
    let value = match value.strip_prefix("var(").and_then(|rest| rest.strip_suffix(')')) {
        Some(name) => VARIABLES.get(name)?,
        None => value,
    };
    let number = u32::from_str_radix(value.strip_prefix('#')?, 16).ok()?;
    let [_, r, g, b] = number.to_be_bytes();
    (value.len() == 7).then_some([r, g, b])
}

fn length(value: &str) -> Option<f64> {
    if let Some(rems) = value.strip_suffix("rem") {
        return rems.parse().ok().map(|rems: f64| rems * 16.0);
    }
    value.strip_suffix("px").unwrap_or(value).parse().ok()
}

/// Selectors and bodies of a style sheet; what an `@` holds is its body.
fn blocks(sheet: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut rest = sheet;
    std::iter::from_fn(move || {
        let open = rest.find('{')?;
        let selectors = rest[..open].trim();
        let mut depth = 1;
        let end = rest[open + 1..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        })?;
        let body = &rest[open + 1..open + 1 + end];
        rest = &rest[open + 2 + end..];
        Some((selectors, body))
    })
}

fn parse(selector: &'static str) -> Option<Vec<Part>> {
    if selector.contains([':', '[', '+', '~', '*', '#']) {
        return None;
    }
    let mut parts = Vec::new();
    let mut is_child = false;
    for word in selector.split_whitespace() {
        if word == ">" {
            is_child = true;
            continue;
        }
        let mut names = word.split('.');
        let tag = names.next().filter(|tag| !tag.is_empty());
        parts.push(Part { tag, classes: names.collect(), is_child });
        is_child = false;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<'a>(elements: &[(&'a str, &'a str)]) -> Vec<Seen<'a>> {
        let each = elements.iter();
        each.map(|(tag, classes)| Seen { tag, classes: classes.split_whitespace().collect() })
            .collect()
    }

    #[test]
    fn a_drawing_looks_on_paper_as_the_style_sheet_says() {
        let blank = Look::default();
        let line = seen(&[("svg", "line"), ("svg", ""), ("g", "a"), ("path", "stroke")]);
        let stroke = look(&line, &blank);
        assert_eq!(stroke.stroke, Some(named("--a")), "{stroke:?}");
        assert_eq!((stroke.fill, stroke.stroke_width, stroke.keeps_width), (None, 2.4, true));
        let past = seen(&[("svg", "line"), ("svg", ""), ("g", "past"), ("path", "stroke")]);
        assert_eq!(look(&past, &blank).dash, [5.0, 4.0]);
        let fill = seen(&[("svg", "line"), ("svg", ""), ("g", "a"), ("path", "fill")]);
        assert_eq!(
            (look(&fill, &blank).fill, look(&fill, &blank).opacity),
            (Some(named("--a")), 0.09)
        );
        let text = seen(&[("svg", "line"), ("g", "steps"), ("text", "")]);
        let text = look(&text, &blank);
        assert_eq!((text.fill, text.stroke, text.size), (Some(named("--soft")), None, 12.0));
        let country = seen(&[("svg", "world"), ("path", "s9")]);
        assert_eq!(look(&country, &blank).fill, Some(named("--s9")));
        assert_eq!(named("--card"), [255, 255, 255], "the light theme");
    }

    #[test]
    fn a_class_elsewhere_or_a_pointer_over_it_changes_nothing() {
        let blank = Look::default();
        assert_eq!(look(&seen(&[("path", "stroke")]), &blank).stroke, None);
        let ribbon = seen(&[("svg", "sankey"), ("path", "ribbon")]);
        assert_eq!(look(&ribbon, &blank).opacity, 0.18);
    }
}
