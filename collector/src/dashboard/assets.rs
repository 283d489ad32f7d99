//! The style sheet and the script, inside the binary, under addresses that change with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

const STYLE: &str =
    concat!(include_str!("../../assets/dashboard.css"), include_str!("../../assets/forms.css"));
const SCRIPT: &str =
    concat!(include_str!("../../assets/dashboard.js"), include_str!("../../assets/forms.js"));

static STYLE_FILE: LazyLock<String> = LazyLock::new(|| name(STYLE, "css"));
static SCRIPT_FILE: LazyLock<String> = LazyLock::new(|| name(SCRIPT, "js"));

fn name(content: &str, end: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("dashboard.{hash}.{end}")
}

/// The address of the style sheet.
pub fn style_href() -> String {
    format!("/assets/{}", *STYLE_FILE)
}

/// The address of the script.
pub fn script_href() -> String {
    format!("/assets/{}", *SCRIPT_FILE)
}

/// `GET /assets/{file}`: a file of this build. Kept by browsers for a year: another build has
/// another address. Needs no session, the sign-in page wants it too.
pub async fn show_asset(Path(file): Path<String>) -> Response {
    let (kind, content) = match file {
        file if file == *STYLE_FILE => ("text/css; charset=utf-8", STYLE),
        file if file == *SCRIPT_FILE => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance by WCAG 2.2 of `#rrggbb`.
    fn luminance(colour: &str) -> f64 {
        let channel = |from: usize| {
            let byte = u8::from_str_radix(&colour[from..from + 2], 16).expect("#rrggbb");
            let c = f64::from(byte) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The value of a variable in the light set (first) or the dark one (second).
    fn colour(theme: usize, name: &str) -> &'static str {
        let set = STYLE.split(":root {").nth(theme + 1).expect("two sets of colours");
        let set = set.split_once('}').expect("a set ends").0;
        let value = set.split_once(&format!("--{name}: ")).expect(name).1;
        value.split_once(';').expect("a value ends").0
    }

    #[test]
    fn every_pair_of_text_and_ground_has_the_contrast_of_wcag_aa_in_both_themes() {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for ground in ["page", "card", "sunk"] {
            pairs.extend([("ink".into(), ground.into()), ("soft".into(), ground.into())]);
        }
        for (text, ground) in [
            ("accent", "page"),
            ("accent", "card"),
            ("accent", "accent-soft"),
            ("accent-ink", "accent"),
            ("good", "card"),
            ("good", "good-soft"),
            ("bad", "card"),
            ("bad", "bad-soft"),
            ("warn", "card"),
            ("warn", "warn-soft"),
            ("ink", "bar"),
            ("soft", "bar"),
            ("ink", "good-soft"),
            ("ink", "bad-soft"),
            ("ink", "warn-soft"),
            ("card", "ink"),
        ] {
            pairs.push((text.into(), ground.into()));
        }
        pairs.extend((0..10).map(|shade| (format!("t{shade}"), format!("s{shade}"))));
        for theme in [0, 1] {
            for (text, ground) in &pairs {
                let ratio = contrast(colour(theme, text), colour(theme, ground));
                assert!(ratio >= 4.5, "theme {theme}: {text} on {ground} has {ratio:.2}");
            }
        }
    }

    #[test]
    fn lines_and_bars_stand_out_from_the_card() {
        for theme in [0, 1] {
            for line in ["a", "b", "c", "d", "e", "f", "past", "good", "bad"] {
                let ratio = contrast(colour(theme, line), colour(theme, "card"));
                assert!(ratio >= 3.0, "theme {theme}: {line} has {ratio:.2}");
            }
        }
    }

    #[test]
    fn the_shades_of_the_grid_differ_in_lightness_alone() {
        for (theme, order) in [(0, -1.0), (1, 1.0)] {
            let shades: Vec<f64> = (0..10)
                .map(|shade| order * luminance(colour(theme, &format!("s{shade}"))))
                .collect();
            assert!(shades.windows(2).all(|pair| pair[0] < pair[1]), "theme {theme}: {shades:?}");
        }
    }

    #[test]
    fn the_script_asks_nobody_else_and_runs_nothing_it_was_sent() {
        for word in ["http:", "https:", "eval", "Function(", "import", "document.write"] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
    }

    #[test]
    fn the_style_sheet_asks_nobody_for_anything() {
        for word in ["url(", "@import", "http:", "https:", "//"] {
            assert!(!STYLE.contains(word), "{word}");
        }
    }
}
