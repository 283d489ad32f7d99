//! The way to the installed app, and how people open it.

use super::super::format;
use super::super::markup::Markup;
use super::super::svg::bars;
use super::super::words::{say, t};
use super::{Reply, Section, Words, pwa_of};

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

/// Said where nobody installed anything.
pub fn none() -> Words {
    Words {
        title: t("No installs in this time").into(),
        text: t("Pages of an installable web app tell by themselves who was asked to install it, who did, and who opens \
                 it from the home screen. watchPwa() of @tallymark/web/pwa adds use without a network and new \
                 versions, promptInstall() asks at a moment of yours, installHint() tells of a hint on iOS.")
        .into(),
    }
}

/// What people did at a stage of the installation.
pub fn stage(name: &str) -> &'static str {
    match name {
        "prompt_shown" => t("were asked to install"),
        "prompt_accepted" => t("said yes"),
        "installed" => t("installed it"),
        "launched_standalone" => t("opened it as an app"),
        _ => t("went on"),
    }
}

/// How a display mode is called.
pub fn mode(name: Option<&str>) -> String {
    match name {
        Some("browser") => t("In a browser tab").into(),
        Some("standalone") => t("As an installed app").into(),
        Some(other) => other.to_owned(),
        None => t("not known").into(),
    }
}

/// The install section.
pub fn install(reply: &Reply) -> Section<Story> {
    let answer = match pwa_of(reply) {
        Ok(answer) => answer,
        Err(why) => return Section::failed(&why),
    };
    if answer.stages.iter().all(|stage| stage.persons == 0) {
        return Section::Empty(none());
    }
    let stages = answer.stages.iter().enumerate().map(|(index, stage)| Stage {
        name: self::stage(&stage.stage),
        people: format::count(stage.persons),
        after_previous: index.checked_sub(1).and_then(|before| answer.stages.get(before)).map(
            |before| {
                say(
                    "{n} of the {before} before: {share}",
                    &[
                        ("n", &format::count(stage.persons_after_previous)),
                        ("before", &format::count(before.persons)),
                        ("share", &format::maybe_percent(stage.from_previous_ratio)),
                    ],
                )
            },
        ),
    });
    let most = answer.display_modes.iter().map(|mode| mode.persons).max().unwrap_or(0) as f64;
    let modes = answer.display_modes.iter().map(|mode| Mode {
        name: self::mode(mode.display_mode.as_deref()),
        people: format::count(mode.persons),
        events: format::count(mode.events),
        bar: bars::behind(mode.persons as f64 / most),
    });
    Section::Ready(Story { stages: stages.collect(), modes: modes.collect() })
}
