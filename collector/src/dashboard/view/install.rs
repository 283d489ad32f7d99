//! The way to the installed app, and how people open it.

use super::super::format;
use super::super::markup::Markup;
use super::super::svg::bars;
use super::{Reply, Section, pwa_of};

/// The story.
#[derive(Debug, Clone)]
pub struct Story {
    /// Shown, accepted, installed, opened.
    pub stages: Vec<Stage>,
    /// How events were sent: browser, standalone, …
    pub modes: Vec<Mode>,
}

/// One stage.
#[derive(Debug, Clone)]
pub struct Stage {
    /// In words.
    pub name: &'static str,
    /// People.
    pub people: String,
    /// How many of the people of the stage before went on to this one.
    pub after_previous: Option<String>,
}

/// One display mode.
#[derive(Debug, Clone)]
pub struct Mode {
    /// In words.
    pub name: String,
    /// People.
    pub people: String,
    /// Events.
    pub events: String,
    /// The bar behind.
    pub bar: Markup,
}

/// The install section.
pub fn install(reply: &Reply) -> Section<Story> {
    let answer = match pwa_of(reply) {
        Ok(answer) => answer,
        Err(why) => return Section::failed(&why),
    };
    if answer.stages.iter().all(|stage| stage.persons == 0) {
        return Section::empty(
            "No installs in this time",
            "When your site is an installable web app, the SDK tells here who was asked to install it, \
             who did, and who opens it from the home screen.",
        );
    }
    let stages = answer.stages.iter().enumerate().map(|(index, stage)| Stage {
        name: match &*stage.stage {
            "prompt_shown" => "were asked to install",
            "prompt_accepted" => "said yes",
            "installed" => "installed it",
            "launched_standalone" => "opened it as an app",
            _ => "went on",
        },
        people: format::count(stage.persons),
        after_previous: index.checked_sub(1).and_then(|before| answer.stages.get(before)).map(
            |before| {
                format!(
                    "{} of the {} before: {}",
                    format::count(stage.persons_after_previous),
                    format::count(before.persons),
                    format::maybe_percent(stage.from_previous_ratio)
                )
            },
        ),
    });
    let most = answer.display_modes.iter().map(|mode| mode.persons).max().unwrap_or(0) as f64;
    let modes = answer.display_modes.iter().map(|mode| Mode {
        name: match mode.display_mode.as_deref() {
            Some("browser") => "In a browser tab".into(),
            Some("standalone") => "As an installed app".into(),
            Some(other) => other.to_owned(),
            None => "Unknown".into(),
        },
        people: format::count(mode.persons),
        events: format::count(mode.events),
        bar: bars::behind(mode.persons as f64 / most),
    });
    Section::Ready(Story { stages: stages.collect(), modes: modes.collect() })
}
