//! Installs.
use serde::Serialize;

/// How people came to install the app, and how they open it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PwaAnswer {
    /// `prompt_shown`, `prompt_accepted`, `installed`, `launched_standalone`.
    pub stages: Vec<PwaStage>,
    /// By display mode, by falling number of people.
    pub display_modes: Vec<PwaMode>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PwaStage {
    /// Its name.
    pub stage: String,
    /// Events.
    pub count: u64,
    /// People who did it.
    pub persons: u64,
    /// People who did it after the stage before; for the first stage, all of them.
    pub persons_after_previous: u64,
    /// `persons_after_previous` as a share of the people of the stage before.
    pub from_previous_ratio: Option<f64>,
}

/// One display mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PwaMode {
    /// `browser`, `standalone`, …; `null` when events do not say.
    pub display_mode: Option<String>,
    /// Events.
    pub events: u64,
    /// People.
    pub persons: u64,
}
