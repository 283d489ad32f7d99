//! Sheets: what is drawn, as the operations of a PDF, and the file that holds them.
//!
//! In: shapes and texts in pixels of a page that is [`WIDTH`] of them wide, from the top left. Out: the bytes of a PDF.
//! Fonts are two of those that every reader has; colours are opaque or one of [`OPACITIES`].
//!
//! Invariant: a text is a string of a PDF, which shows it and does nothing else: there are no scripts, links, forms or
//! files in what is written here.
//!
//! Deliberately elsewhere: which letters there are (`text`).

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{LineCapStyle, LineJoinStyle};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use super::text::{self, Weight};

/// A page of A4 in pixels, as drawings count them.
pub const WIDTH: f64 = 960.0;
/// Its height.
pub const HEIGHT: f64 = WIDTH * 842.0 / 595.0;
/// Points of a pixel.
const SCALE: f64 = 595.0 / WIDTH;

/// Opacities that there are, in percent.
const OPACITIES: [u8; 20] =
    [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100];

/// Red, green, blue.
pub type Colour = [u8; 3];

/// How a shape looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Paint {
    pub fill: Option<Colour>,
    pub stroke: Option<Colour>,
    /// Of the stroke, in pixels.
    pub width: f64,
    pub dash: Vec<f32>,
    /// 0 to 1.
    pub opacity: f64,
}

impl Paint {
    /// Filled, without a line.
    pub const fn filled(colour: Colour) -> Self {
        Self { fill: Some(colour), stroke: None, width: 0.0, dash: Vec::new(), opacity: 1.0 }
    }
}

/// A part of an outline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    Move(f64, f64),
    Line(f64, f64),
    Curve([f64; 6]),
    Close,
}

/// Which point of a text its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub struct Letters {
    pub size: f64,
    pub weight: Weight,
    pub colour: Colour,
    pub anchor: Anchor,
}

/// What is drawn, from a corner of its own.
#[derive(Debug, Default)]
pub struct Sheet {
    operations: Vec<u8>,
}

impl Sheet {
    fn write(&mut self, work: impl FnOnce(&mut Content)) {
        let mut content = Content::new();
        work(&mut content);
        self.operations.extend(content.finish().as_slice());
        self.operations.push(b'\n');
    }

    /// An outline.
    pub fn outline(&mut self, parts: &[Part], paint: &Paint) {
        let closed = parts.iter().any(|part| matches!(part, Part::Line(..) | Part::Curve(_)));
        if !closed || (paint.fill.is_none() && paint.stroke.is_none()) {
            return;
        }
        self.write(|to| {
            to.save_state();
            let opacity = (paint.opacity.clamp(0.05, 1.0) * 20.0).round() as u8 * 5;
            if opacity < 100 {
                to.set_parameters(Name(format!("o{opacity}").as_bytes()));
            }
            if let Some([r, g, b]) = paint.fill.map(rgb) {
                to.set_fill_rgb(r, g, b);
            }
            if let Some([r, g, b]) = paint.stroke.map(rgb) {
                to.set_stroke_rgb(r, g, b);
                to.set_line_width(num(paint.width));
                to.set_line_join(LineJoinStyle::RoundJoin);
                to.set_line_cap(LineCapStyle::RoundCap);
                if !paint.dash.is_empty() {
                    to.set_dash_pattern(paint.dash.iter().copied(), 0.0);
                }
            }
            for part in parts {
                match *part {
                    Part::Move(x, y) => to.move_to(num(x), num(y)),
                    Part::Line(x, y) => to.line_to(num(x), num(y)),
                    Part::Curve(c) => {
                        let [a, b, c, d, e, f] = c.map(num);
                        to.cubic_to(a, b, c, d, e, f)
                    }
                    Part::Close => to.close_path(),
                };
            }
            match (paint.fill, paint.stroke) {
                (Some(_), Some(_)) => to.fill_nonzero_and_stroke(),
                (Some(_), None) => to.fill_nonzero(),
                _ => to.stroke(),
            };
            to.restore_state();
        });
    }

    /// A rectangle with round corners.
    pub fn block(&mut self, [x, y, width, height]: [f64; 4], radius: f64, paint: &Paint) {
        if width > 0.0 && height > 0.0 {
            self.outline(&rounded([x, y, width, height], radius), paint);
        }
    }

    /// A text on a line at `y`.
    pub fn text(&mut self, (x, y): (f64, f64), said: &str, letters: Letters) {
        let encoded = text::encode(said);
        if encoded.bytes.is_empty() {
            return;
        }
        let width = text::width(&encoded.bytes, letters.size, letters.weight);
        let x = match letters.anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        self.write(|to| {
            if encoded.is_told {
                let mut span = to.begin_marked_content_with_properties(Name(b"Span"));
                span.properties().actual_text(TextStr(said));
            }
            let [r, g, b] = rgb(letters.colour);
            to.begin_text();
            to.set_fill_rgb(r, g, b);
            to.set_font(font(letters.weight), num(letters.size));
            // The page counts downwards, letters stand upright.
            to.set_text_matrix([1.0, 0.0, 0.0, -1.0, num(x), num(y)]);
            to.show(Str(&encoded.bytes));
            to.end_text();
            if encoded.is_told {
                to.end_marked_content();
            }
        });
    }

    /// Put another drawing at a place; nothing of it leaves its width and height.
    pub fn place(&mut self, other: Sheet, [x, y, width, height]: [f64; 4]) {
        self.write(|to| {
            to.save_state();
            to.transform([1.0, 0.0, 0.0, 1.0, num(x), num(y)]);
            to.rect(0.0, 0.0, num(width), num(height)).clip_nonzero().end_path();
        });
        self.operations.extend(other.operations);
        self.write(|to| {
            to.restore_state();
        });
    }
}

/// The outline of a rectangle with round corners.
pub fn rounded([x, y, width, height]: [f64; 4], radius: f64) -> Vec<Part> {
    let r = radius.min(width / 2.0).min(height / 2.0).max(0.0);
    let (right, bottom) = (x + width, y + height);
    if r == 0.0 {
        let corners = [(x, y), (right, y), (right, bottom), (x, bottom)];
        let mut parts: Vec<Part> = corners.map(|(x, y)| Part::Line(x, y)).into();
        parts[0] = Part::Move(x, y);
        parts.push(Part::Close);
        return parts;
    }
    let k = r * 0.447_715; // What a circle's quarter leaves of its corner.
    vec![
        Part::Move(x + r, y),
        Part::Line(right - r, y),
        Part::Curve([right - k, y, right, y + k, right, y + r]),
        Part::Line(right, bottom - r),
        Part::Curve([right, bottom - k, right - k, bottom, right - r, bottom]),
        Part::Line(x + r, bottom),
        Part::Curve([x + k, bottom, x, bottom - k, x, bottom - r]),
        Part::Line(x, y + r),
        Part::Curve([x, y + k, x + k, y, x + r, y]),
        Part::Close,
    ]
}

/// What a file says of itself.
pub struct About<'a> {
    pub title: &'a str,
    pub language: &'a str,
}

/// The file of these pages.
pub fn file(about: &About<'_>, pages: Vec<Sheet>) -> Vec<u8> {
    let mut pdf = Pdf::new();
    let mut next = 0;
    let mut new = || {
        next += 1;
        Ref::new(next)
    };
    let (catalog, tree, plain, bold, info) = (new(), new(), new(), new(), new());
    pdf.catalog(catalog).pages(tree).lang(TextStr(about.language));
    pdf.document_info(info).title(TextStr(about.title)).producer(TextStr("Tallymark"));
    for (id, name) in [(plain, &b"Helvetica"[..]), (bold, b"Helvetica-Bold")] {
        pdf.type1_font(id).base_font(Name(name)).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    let mut kids = Vec::new();
    for sheet in pages {
        let (id, stream) = (new(), new());
        kids.push(id);
        let mut page = pdf.page(id);
        page.parent(tree).contents(stream);
        page.media_box(Rect::new(0.0, 0.0, num(WIDTH * SCALE), num(HEIGHT * SCALE)));
        let mut resources = page.resources();
        resources.fonts().pair(font(Weight::Plain), plain).pair(font(Weight::Bold), bold);
        let mut states = resources.ext_g_states();
        for opacity in OPACITIES {
            let alpha = f32::from(opacity) / 100.0;
            let mut state = states
                .insert(Name(format!("o{opacity}").as_bytes()))
                .start::<pdf_writer::writers::ExtGraphicsState<'_>>();
            state.stroking_alpha(alpha).non_stroking_alpha(alpha);
        }
        states.finish();
        resources.finish();
        page.finish();
        let mut turned = Sheet::default();
        turned.write(|to| {
            to.transform([num(SCALE), 0.0, 0.0, -num(SCALE), 0.0, num(HEIGHT * SCALE)]);
        });
        turned.place(sheet, [0.0, 0.0, WIDTH, HEIGHT]);
        let packed = packed(&turned.operations);
        pdf.stream(stream, &packed).filter(Filter::FlateDecode);
    }
    pdf.pages(tree).count(kids.len() as i32).kids(kids);
    pdf.finish()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all")
}

fn font(weight: Weight) -> Name<'static> {
    match weight {
        Weight::Plain => Name(b"plain"),
        Weight::Bold => Name(b"bold"),
    }
}

fn rgb(colour: Colour) -> [f32; 3] {
    colour.map(|part| f32::from(part) / 255.0)
}

/// A number as files have it: two decimals, and never what is none.
fn num(value: f64) -> f32 {
    let rounded = if value.is_finite() { (value * 1_000.0).round() / 1_000.0 } else { 0.0 };
    rounded.clamp(-1e6, 1e6) as f32
}
