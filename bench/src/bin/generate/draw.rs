//! What people do: which event, on which page, from where, for how much.

use std::sync::Arc;

use arrow_array::{Array, StringArray};
use rand::{Rng, RngExt};

use crate::people::Alias;

/// Names with their share in ten thousand; twelve more, `custom_0` to `custom_11`, share the rest.
const NAMED: [(&str, u32); 13] = [
    ("page_view", 3_400),
    ("$content_view", 1_200),
    ("click", 1_200),
    ("scroll", 800),
    ("session_start", 600),
    ("search", 400),
    ("add_to_cart", 300),
    ("signup", 120),
    ("checkout", 180),
    ("purchase", 100),
    ("experiment_exposure", 300),
    ("$pwa_install", 40),
    ("$pwa_launch", 160),
];
const CUSTOM: u32 = 12;
/// What carries a content, how long it was looked at and how far.
pub const CONTENT: usize = 1;
/// What carries revenue.
pub const PURCHASE: usize = 9;
/// What carries an experiment and a variant.
pub const EXPOSURE: usize = 10;
/// The first so many names are done on all pages, the others on the first page alone.
const BROWSING: usize = 4;
/// Pages, the first by far the most visited: share `1 / rank^1.4`.
const PAGES: usize = 20_000;
const PAGES_TAIL: f64 = 1.4;
const COUNTRIES: usize = 60;
/// Contents, likewise.
const CONTENTS: usize = 2_000;
const CONTENTS_TAIL: f64 = 1.2;

/// The distributions, ready to draw from, and the texts behind the codes.
pub struct Draw {
    pub names: Arc<StringArray>,
    pub paths: Arc<StringArray>,
    pub countries: Arc<StringArray>,
    pub devices: Arc<StringArray>,
    pub sources: Arc<StringArray>,
    pub experiments: Arc<StringArray>,
    pub variants: Arc<StringArray>,
    pub contents: Arc<StringArray>,
    pub modes: Arc<StringArray>,
    name: Alias,
    path: Alias,
    content: Alias,
    source: Alias,
}

/// All names, in the order of their codes.
fn names() -> impl Iterator<Item = (String, u32)> {
    let named: u32 = NAMED.iter().map(|(_, share)| share).sum();
    let custom = (0..CUSTOM).map(move |i| (format!("custom_{i}"), (10_000 - named) / CUSTOM));
    NAMED.iter().map(|(name, share)| ((*name).to_owned(), *share)).chain(custom)
}

impl Draw {
    pub fn new() -> Draw {
        let texts = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec()));
        Draw {
            names: Arc::new(StringArray::from_iter_values(names().map(|(name, _)| name))),
            paths: Arc::new(StringArray::from_iter_values(
                (0..PAGES).map(|page| format!("/p/{page:05}")),
            )),
            countries: Arc::new(StringArray::from_iter_values(
                (0..COUNTRIES).map(|country| format!("C{country:02}")),
            )),
            devices: texts(&["desktop", "mobile", "tablet"]),
            sources: texts(&["google", "newsletter", "twitter", "partner"]),
            experiments: texts(&["button"]),
            variants: texts(&["control", "treatment"]),
            contents: Arc::new(StringArray::from_iter_values(
                (0..CONTENTS).map(|content| format!("c{content:04}")),
            )),
            modes: texts(&["browser", "standalone"]),
            name: Alias::new(names().map(|(_, share)| share.into())),
            path: Alias::new((1..=PAGES).map(|rank| (rank as f64).powf(-PAGES_TAIL))),
            content: Alias::new((1..=CONTENTS).map(|rank| (rank as f64).powf(-CONTENTS_TAIL))),
            // Half of all events come from nowhere in particular.
            source: Alias::new([0.25, 0.1, 0.1, 0.05, 0.5].into_iter()),
        }
    }

    pub fn name(&self, random: &mut impl Rng) -> usize {
        self.name.pick(random)
    }

    pub fn path(&self, name: usize, random: &mut impl Rng) -> i32 {
        if name < BROWSING { self.path.pick(random) as i32 } else { 0 }
    }

    pub fn source(&self, random: &mut impl Rng) -> Option<i32> {
        let source = self.source.pick(random);
        (source < self.sources.len()).then_some(source as i32)
    }

    pub fn content(&self, random: &mut impl Rng) -> i32 {
        self.content.pick(random) as i32
    }

    /// Exponentially distributed with mean 20 s, in whole milliseconds.
    pub fn engaged_ms(&self, random: &mut impl Rng) -> f64 {
        (-f64::ln(1.0 - random.random::<f64>()) * 20_000.0).round()
    }

    /// In whole percents; one in six sees all of it.
    pub fn completion(&self, random: &mut impl Rng) -> f64 {
        f64::from(random.random_range(0..120).min(100)) / 100.0
    }

    /// Gamma distributed with shape 2 and scale 20, in whole cents: the sum of two exponentials.
    pub fn revenue(&self, random: &mut impl Rng) -> f64 {
        let mut exponential = || -f64::ln(1.0 - random.random::<f64>()) * 20.0;
        ((exponential() + exponential()) * 100.0).round() / 100.0
    }
}
