//! The sheet for the records: what a project keeps of people, line by line, and whether a preset holds.
//!
//! In: the settings, the rules that follow from them, and what is stored. Out: [`Sheet`], as JSON or to be printed.
//!
//! A sheet helps to decide and decides nothing: what a law asks depends on what the figures are used for.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::{CNIL_DAYS_MAX, Mode, Preset, Rules, one_site};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::projects::Project;

/// What a project keeps of people.
#[derive(Debug, Serialize)]
pub struct Sheet {
    /// Its slug.
    pub project: String,
    /// Of this program.
    pub version: &'static str,
    /// RFC 3339.
    pub made_at: String,
    /// Its preset.
    pub preset: Option<Preset>,
    /// Whether every line holds.
    pub holds: bool,
    /// Line by line.
    pub lines: Vec<Line>,
    /// What the sheet is not.
    pub note: &'static str,
}

/// One thing.
#[derive(Debug, Serialize)]
pub struct Line {
    /// What it is about.
    pub about: &'static str,
    /// What the preset `cnil` asks.
    pub asked: String,
    /// What is so.
    pub found: String,
    /// Whether that is what is asked.
    pub holds: bool,
}

const NOTE: &str = "Ids that last are pseudonyms, not anonymous: whoever has the secret of this installation can \
    recognise an id they know. Whether consent is needed depends on the country and on what the figures are used for.";

/// Look at a project.
///
/// # Errors
/// When what is stored cannot be read.
pub async fn sheet(app: &App, project: &Project) -> Result<Sheet, ApiError> {
    let rules = Rules::of(&project.settings, &app.config);
    let lasting = lasting_events(app, project).await?;
    let project_id = project.id;
    let merges =
        app.blocking(move |app| Ok(app.store.merges(project_id, u64::MAX, 1).len())).await?;
    let keep = app.meta.directory().keep(project.id);
    let longest = keep
        .events
        .values()
        .copied()
        .chain([keep.days])
        .max_by_key(|days| days.unwrap_or(u32::MAX));
    let longest = longest.flatten();
    let origins = &project.settings.origins;
    let line = |about, asked: &str, found: String, holds| Line {
        about,
        asked: asked.to_owned(),
        found,
        holds,
    };
    let lines = vec![
        line(
            "whose pages",
            "the pages of one site",
            match origins.as_slice() {
                [] => "pages of any site may send".to_owned(),
                listed => format!("only {}", listed.join(", ")),
            },
            one_site(origins),
        ),
        line(
            "other projects",
            "no joining with other data",
            "every project has a salt and a key of its own: ids of two cannot be joined".to_owned(),
            true,
        ),
        line(
            "how long people are known",
            "not from one day to the next",
            match rules.mode {
                Mode::Full => "as long as the ids of pages and servers last".to_owned(),
                Mode::Cookieless => {
                    "for a day, by a random salt that is gone within 48 hours".to_owned()
                }
            },
            !rules.lasting(),
        ),
        line(
            "what is stored already",
            "no event with an id that lasts",
            format!("{lasting} events with an id that lasts"),
            lasting == 0,
        ),
        line(
            "who is who",
            "nobody is joined to somebody",
            if merges == 0 { "no merges".to_owned() } else { "there are merges".to_owned() },
            merges == 0,
        ),
        line(
            "network addresses",
            "no whole address",
            "cut to /24 and /48 before anything else is done with them; never stored".to_owned(),
            true,
        ),
        line(
            "texts",
            "no personal data in properties",
            match rules.guard {
                true => "e-mail addresses, numbers and tokens are hidden on arrival".to_owned(),
                false => "the property guard is off".to_owned(),
            },
            rules.guard,
        ),
        line(
            "how long events are kept",
            &format!("at most 25 months ({CNIL_DAYS_MAX} days)"),
            longest.map_or("for ever".to_owned(), |days| format!("{days} days at most")),
            longest.is_some_and(|days| days <= CNIL_DAYS_MAX),
        ),
    ];
    Ok(Sheet {
        project: project.slug.clone(),
        version: env!("CARGO_PKG_VERSION"),
        made_at: jiff::Timestamp::from_millisecond(app.clock.now_ms())
            .map(|now| now.to_string())
            .unwrap_or_default(),
        preset: project.settings.preset,
        holds: lines.iter().all(|line| line.holds),
        lines,
        note: NOTE,
    })
}

/// Stored events of people who are known for longer than a day.
async fn lasting_events(app: &App, project: &Project) -> Result<u64, ApiError> {
    let now = jiff::Timestamp::from_millisecond(app.clock.now_ms()).unwrap_or_default();
    let tomorrow = now + jiff::SignedDuration::from_hours(48);
    let question = json!({
        "from": "2000-01-01T00:00:00Z", "to": tomorrow.to_string(), "bucket": "month",
        "series": [{ "measure": "count", "where": [{ "prop": "identity", "op": "ne", "value": "day" }] }],
    });
    let answer = app.ask(project, "trend", question).await?;
    let answer = serde_json::to_value(answer).map_err(|error| ApiError::Internal(error.into()))?;
    answer["series"][0]["total"].as_u64().ok_or_else(|| {
        ApiError::Internal(anyhow::anyhow!("a count without a total: {}", answer["series"]))
    })
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { project, version, made_at, preset, holds, lines, note } = self;
        let preset = serde_json::to_value(preset).unwrap_or(Value::Null);
        let preset = preset.as_str().unwrap_or("none");
        writeln!(f, "What {project} keeps of people\n")?;
        writeln!(f, "Tallymark {version}, {made_at}, preset: {preset}\n")?;
        for Line { about, asked, found, holds } in lines {
            let mark = if *holds { "holds" } else { "DOES NOT HOLD" };
            writeln!(f, "{about}\n  asked   {asked}\n  found   {found}\n  {mark}\n")?;
        }
        let all = if *holds { "Every line holds." } else { "Not every line holds." };
        writeln!(f, "{all} {note}")
    }
}
