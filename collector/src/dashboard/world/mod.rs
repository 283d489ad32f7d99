//! Countries: their names in the reader's language, and a map of them.
//!
//! In: ISO 3166-1 codes with figures. Out: names ([`name`]), and a drawing that is darker where a figure is larger
//! ([`draw`]). What it is made of is `world.tsv`, a line for each country; `make_world.mjs` beside it made that of
//! Natural Earth's outlines, which are in the public domain.
//!
//! Deliberately elsewhere: the table behind the map (`build::answer`), colours (the style sheet).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::markup::{Markup, Writer};
use super::words::{Lang, t};

/// The ground that outlines are drawn on.
const GROUND: &str = "0 0 1000 460";
/// Shades that the style sheet has, `s1` to `s9`.
const SHADES: f64 = 9.0;

struct Country {
    english: &'static str,
    german: &'static str,
    shape: Shape,
}

enum Shape {
    /// A path.
    Outline(&'static str),
    /// Too small for an outline: where it is.
    Place(&'static str, &'static str),
}

static COUNTRIES: LazyLock<BTreeMap<&'static str, Country>> = LazyLock::new(|| {
    let lines = include_str!("world.tsv").lines();
    lines.filter_map(|line| country(line.split('\t').collect())).collect()
});

fn country(fields: Vec<&'static str>) -> Option<(&'static str, Country)> {
    let [code, english, german, shape] = fields[..] else { return None };
    let shape = shape.split_once(',').map_or(Shape::Outline(shape), |(x, y)| Shape::Place(x, y));
    Some((code, Country { english, german, shape }))
}

/// The name of a country, or the code where there is none of it.
pub fn name(code: &str) -> &str {
    match (COUNTRIES.get(code), Lang::current()) {
        (Some(country), Lang::English) => country.english,
        (Some(country), Lang::German) => country.german,
        (None, _) => code,
    }
}

/// A map of figures by country: each is dark by its share of the largest. Countries without a figure have an outline,
/// and small ones a dot where they have one. `words` says what a figure is.
pub fn draw(title: &str, figures: &[(&str, f64)], words: impl Fn(f64) -> String) -> Markup {
    let figures: BTreeMap<&str, f64> =
        figures.iter().filter(|(_, n)| n.is_finite() && *n > 0.0).copied().collect();
    let most = figures.values().copied().fold(0.0, f64::max);
    let mut w = Writer::new();
    w.open(
        "svg",
        &[("class", &"world"), ("role", &"img"), ("aria-label", &title), ("viewBox", &GROUND)],
    );
    let mut rest = String::new();
    for (code, country) in COUNTRIES.iter() {
        let Some(figure) = figures.get(code) else {
            if let Shape::Outline(outline) = country.shape {
                rest.push_str(outline);
            }
            continue;
        };
        // By the root: one large country would leave all others alike.
        let shade = format!("s{}", ((figure / most).sqrt() * SHADES).ceil().clamp(1.0, SHADES));
        let class = ("class", &shade as &dyn std::fmt::Display);
        match country.shape {
            Shape::Outline(outline) => w.open("path", &[class, ("d", &outline)]),
            Shape::Place(x, y) => w.open("circle", &[class, ("cx", &x), ("cy", &y), ("r", &"5")]),
        }
        w.element("title", &[], format!("{}: {}", name(code), words(*figure)));
        w.close();
    }
    w.empty("path", &[("class", &"rest"), ("d", &rest)]);
    w.close();
    w.finish()
}

/// What stands for a map where nothing can be seen.
pub fn title() -> String {
    format!("{}. {}", t("Map of countries"), t("The table below has the figures."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_country_with_a_shape() {
        let lines = include_str!("world.tsv").lines().count();
        assert_eq!(COUNTRIES.len(), lines, "a line is broken, or a code stands there twice");
        assert!(lines > 230, "{lines}");
        for (code, country) in COUNTRIES.iter() {
            assert!(code.len() == 2 && code.bytes().all(|c| c.is_ascii_uppercase()), "{code}");
            assert!(!country.english.is_empty() && !country.german.is_empty(), "{code}");
            match country.shape {
                Shape::Outline(path) => {
                    let known = |c: char| c.is_ascii_digit() || "Mlz -".contains(c);
                    assert!(path.starts_with('M') && path.chars().all(known), "{code}: {path}");
                }
                Shape::Place(x, y) => {
                    assert!((0..=1000).contains(&x.parse::<i32>().unwrap()), "{code}");
                    assert!((0..=460).contains(&y.parse::<i32>().unwrap()), "{code}");
                }
            }
        }
        // Not the codes of countries that are no more: DD, CS, BU, VD, YD, RH.
        for code in ["DE", "RS", "MM", "VN", "YE", "ZW"] {
            assert!(COUNTRIES.contains_key(code), "{code}");
        }
        let size = include_str!("world.tsv").len();
        assert!(size <= 40_000, "{size} bytes are too many for a page");
    }

    #[test]
    fn the_largest_is_darkest_and_who_has_no_figure_has_no_shade() {
        let figures = [("DE", 400.0), ("FR", 4.0), ("SG", 100.0), ("XX", 9.0), ("US", f64::NAN)];
        let svg = draw("map", &figures, |n| n.to_string()).to_string();
        assert!(svg.contains("Germany: 400</title>"), "{svg}");
        let class = |name: &str| {
            let before = svg.split(name).next().unwrap_or_default();
            before.rsplit("class=\"").next().unwrap_or_default()[..2].to_owned()
        };
        assert_eq!([class("Germany:"), class("France:"), class("Singapore:")], ["s9", "s1", "s5"]);
        assert!(svg.contains("<circle"), "a country without an outline has a dot");
        assert!(!svg.contains("XX") && !svg.contains("United States:"));
    }

    #[test]
    fn a_code_that_is_none_is_its_own_name() {
        assert_eq!(
            ["DE", "ZA", "AE"].map(name),
            ["Germany", "South Africa", "United Arab Emirates"]
        );
        assert_eq!(name("<b>"), "<b>");
    }
}
