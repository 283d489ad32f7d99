//! What the page passes to `init`. Crosses the boundary once, through serde-wasm-bindgen.

use serde::Deserialize;

/// Settings of one page load.
#[derive(Deserialize)]
pub struct Settings {
    /// The project's write key.
    pub key: String,
    /// The project's public salt, as printed by `project create`; used as text.
    pub salt: String,
    /// What may be stored and sent before the visitor says anything.
    #[serde(default)]
    pub mode: Mode,
    /// Running experiments.
    #[serde(default)]
    pub experiments: Vec<Experiment>,
    /// The visitor's browser asks not to be tracked (Global Privacy Control, Do Not Track).
    /// Not a setting of the page: `browser::signals` fills it.
    #[serde(skip)]
    pub asks_for_privacy: bool,
    /// Name and version of the client, as sent in batches.
    pub sdk: String,
}

/// How much is remembered about a visitor.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Hashed user id and a random device id that lasts.
    Full,
    /// Nothing on the device, no id: the collector derives one for the day.
    #[default]
    Cookieless,
    /// Nothing is recorded.
    None,
}

/// A running experiment, as the page knows it.
#[derive(Deserialize)]
pub struct Experiment {
    /// Its key; also the seed of its allocation unless `seed` says otherwise.
    pub key: String,
    /// Names of the variants, the control first.
    pub variants: Vec<String>,
    /// Share of each variant; equal when absent.
    #[serde(default)]
    pub weights: Option<Vec<f64>>,
    /// Share of the units that take part, 0..=1.
    #[serde(default)]
    pub coverage: Option<f64>,
    /// Name, start and end of the part of a namespace it occupies.
    #[serde(default)]
    pub namespace: Option<(String, f64, f64)>,
    /// Seed of the allocation.
    #[serde(default)]
    pub seed: Option<String>,
    /// What is allocated.
    #[serde(default)]
    pub unit: Unit,
}

/// What an experiment gives its variants to.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// The hashed device id: the same before and after signing in.
    #[default]
    Device,
    /// The hashed user id: the same on all devices of someone signed in.
    User,
}
