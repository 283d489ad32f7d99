//! A writer of markup in which nothing a visitor sent can become markup.
//!
//! In: tag and attribute names from our code (`&'static str`), values and texts from anywhere.
//! Out: [`Markup`], which templates print as it is. Invariant: a value or text leaves this file
//! escaped; the only way into a [`Markup`] is through [`Writer`].

use std::fmt::{self, Display, Write as _};

/// Finished markup. Templates print it without escaping it again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markup(String);

impl Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Markup {}

/// Writes elements one after the other.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    open: Vec<&'static str>,
}

/// Names and values of attributes. Names come from our code, values from anywhere.
pub type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

impl Writer {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// `<tag …>`, to be closed by [`Self::close`].
    pub fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.tag(tag, attributes, ">");
        self.open.push(tag);
    }

    /// `<tag …/>`
    pub fn empty(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.tag(tag, attributes, "/>");
    }

    /// Text, escaped.
    pub fn text(&mut self, text: impl Display) {
        write!(Escaping(&mut self.out), "{text}").expect("a String takes any text");
    }

    /// `<tag …>text</tag>`
    pub fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, text: impl Display) {
        self.open(tag, attributes);
        self.text(text);
        self.close();
    }

    /// Close the element opened last.
    pub fn close(&mut self) {
        let tag = self.open.pop().expect("every close() follows its open()");
        write!(self.out, "</{tag}>").expect("a String takes any text");
    }

    /// What was written.
    pub fn finish(self) -> Markup {
        debug_assert!(self.open.is_empty(), "still open: {:?}", self.open);
        Markup(self.out)
    }

    fn tag(&mut self, tag: &'static str, attributes: Attributes<'_>, end: &str) {
        self.out.push('<');
        self.out.push_str(tag);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            write!(Escaping(&mut self.out), "{value}").expect("a String takes any text");
            self.out.push('"');
        }
        self.out.push_str(end);
    }
}

/// Escapes what is special in text or in a double-quoted attribute, and drops what XML forbids.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                c if c.is_control() => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// A coordinate: two decimals at most, no trailing zeros, and 0 for what is not a number.
pub struct Num(pub f64);

impl Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = if self.0.is_finite() { (self.0 * 100.0).round() / 100.0 } else { 0.0 };
        // `-0` is a number that nobody wants to read.
        write!(f, "{}", if rounded == 0.0 { 0.0 } else { rounded })
    }
}

/// A coordinate in percent of the drawing.
pub struct Pct(pub f64);

impl Display for Pct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", Num(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_stays_a_text() {
        let mut writer = Writer::new();
        let evil = "\"><script>alert('x')</script>&\u{0}";
        writer.open("g", &[("data-name", &evil)]);
        writer.element("text", &[], evil);
        writer.close();
        let markup = writer.finish().to_string();
        let safe = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;\u{fffd}";
        assert_eq!(markup, format!("<g data-name=\"{safe}\"><text>{safe}</text></g>"));
    }

    #[test]
    fn coordinates_are_short_and_always_numbers() {
        let shown =
            [1.0, 1.005, -0.001, f64::NAN, f64::INFINITY, 33.333_33].map(|x| Num(x).to_string());
        assert_eq!(shown, ["1", "1", "0", "0", "0", "33.33"]);
        assert_eq!(Pct(12.5).to_string(), "12.5%");
    }
}
