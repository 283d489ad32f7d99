//! One step of a funnel: a bar, and the slope down to the next step.
//!
//! The steps are separate drawings in a list, so that names and figures around them are text.
//! Each drawing holds the step twice: standing (wide screens) and lying (phones); the style
//! sheet shows one of them.

use super::super::markup::{Markup, Num, Writer};

/// How wide the bar is within its column of 100; the rest is the slope.
const BAR: f64 = 62.0;

/// Draw a step that `ratio` (0..=1 of those who entered) reached, before one that `next` reached.
pub fn step(ratio: f64, next: Option<f64>) -> Markup {
    let ratio = share(ratio);
    let top = 100.0 - 100.0 * ratio;
    let mut w = Writer::new();
    w.open(
        "svg",
        &[
            ("class", &"step"),
            ("aria-hidden", &"true"),
            ("viewBox", &"0 0 100 100"),
            ("preserveAspectRatio", &"none"),
        ],
    );
    w.open("g", &[("class", &"standing")]);
    w.empty("rect", &[("class", &"track"), ("width", &Num(BAR)), ("height", &"100")]);
    if let Some(next) = next.map(share) {
        let below = 100.0 - 100.0 * next;
        let slope = format!("M{BAR} {}L100 {}V100H{BAR}Z", Num(top), Num(below));
        w.empty("path", &[("class", &"slope"), ("d", &slope)]);
    }
    let width = Num(BAR);
    w.empty(
        "rect",
        &[
            ("class", &"reached"),
            ("y", &Num(top)),
            ("width", &width),
            ("height", &Num(100.0 * ratio)),
        ],
    );
    w.close();
    w.open("g", &[("class", &"lying")]);
    w.empty("rect", &[("class", &"track"), ("width", &"100"), ("height", &"100")]);
    w.empty("rect", &[("class", &"reached"), ("width", &Num(100.0 * ratio)), ("height", &"100")]);
    w.close();
    w.close();
    w.finish()
}

fn share(ratio: f64) -> f64 {
    if ratio.is_finite() { ratio.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_leads_from_this_step_to_the_next() {
        let svg = step(0.5, Some(0.25)).to_string();
        assert!(svg.contains("d=\"M62 50L100 75V100H62Z\""), "{svg}");
        assert!(!step(0.5, None).to_string().contains("slope"), "the last step has no slope");
    }

    #[test]
    fn a_step_that_nobody_reached_is_flat_and_finite() {
        for ratio in [0.0, f64::NAN, -1.0] {
            let svg = step(ratio, Some(f64::NAN)).to_string();
            assert!(svg.contains("class=\"reached\" y=\"100\" width=\"62\" height=\"0\""), "{svg}");
        }
        assert!(step(7.0, None).to_string().contains("y=\"0\" width=\"62\" height=\"100\""));
    }
}
