//! The bar behind a row of a table.

use super::super::markup::{Markup, Pct, Writer};

/// A bar as long as `ratio` (0..=1) of its row, to lie behind the text. Out of range is clipped,
/// and what is not a number has no bar.
pub fn behind(ratio: f64) -> Markup {
    let ratio = if ratio.is_finite() { ratio.clamp(0.0, 1.0) } else { 0.0 };
    let mut w = Writer::new();
    w.open(
        "svg",
        &[("class", &"bar"), ("aria-hidden", &"true"), ("width", &"100%"), ("height", &"100%")],
    );
    if ratio > 0.0 {
        w.empty("rect", &[("width", &Pct(ratio * 100.0)), ("height", &"100%"), ("rx", &"4")]);
    }
    w.close();
    w.finish()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::half(0.5, Some("width=\"50%\""))]
    #[case::too_much(3.0, Some("width=\"100%\""))]
    #[case::nothing(0.0, None)]
    #[case::negative(-1.0, None)]
    #[case::unknown(f64::NAN, None)]
    fn a_bar_is_as_long_as_its_share(#[case] ratio: f64, #[case] want: Option<&str>) {
        let svg = behind(ratio).to_string();
        match want {
            Some(width) => assert!(svg.contains(&format!("<rect {width}")), "{svg}"),
            None => assert!(!svg.contains("<rect"), "{svg}"),
        }
    }
}
