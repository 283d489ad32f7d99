//! The question of an address, and its answer with everything that belongs to it.
//!
//! In: what a builder's address says. Out: an [`Answer`] to print, and its figures as CSV.

use std::sync::Arc;

use askama::Template;
use jiff::tz::TimeZone;
use serde_json::Value;
use tallymark_store::{Progress, Schema};

use super::answer::drawn::drawn;
use super::answer::kinds::{Around, blocks};
use super::answer::{self, Block, Blocks};
use super::form::Kind;
use super::question::{self, Fields};
use crate::app::App;
use crate::dashboard::markup::Markup;
use crate::dashboard::period::Period;
use crate::dashboard::view::{Words, date_of};
use crate::dashboard::words::{filters, say, t};
use crate::dashboard::{ask, format, notes};
use crate::meta::projects::Project;

/// The answer with everything that belongs to it.
#[derive(Template)]
#[template(path = "answer.html")]
pub struct Answer {
    blocks: Vec<Block>,
    /// What is to be known about the answer as a whole.
    notes: Vec<String>,
    complaint: Option<String>,
    csv: String,
    curl: String,
    cost: String,
}

impl Answer {
    /// What is a list or a table on the page, as a drawing.
    pub fn drawn(&self) -> Option<Markup> {
        let table = |block: &&Block| matches!(block, Block::Funnel(_) | Block::Grid(_));
        self.blocks.iter().find(table).and_then(drawn)
    }

    fn shown(&self) -> String {
        Blocks { blocks: &self.blocks }.render().unwrap_or_default()
    }
}

/// A question that can be asked, or the reason why it cannot.
pub struct Asking {
    pub app: App,
    pub project: Arc<Project>,
    pub kind: &'static Kind,
    pub fields: Fields,
    pub period: Period,
    /// What is wrong with the period.
    pub complaint: Option<String>,
}

impl Asking {
    /// What stands in place of an answer that nobody waits for any more.
    pub fn cancelled(&self) -> Answer {
        let text = t("Change the question or show it again.").to_owned();
        Answer { blocks: nothing(t("The question was cancelled"), text), ..self.blank() }
    }

    fn blank(&self) -> Answer {
        let Self { project, kind, fields, complaint, .. } = self;
        let csv =
            format!("/p/{}/ask/{}{}", project.slug, kind.name, fields.with(&[("part", "csv")]));
        Answer {
            blocks: Vec::new(),
            notes: Vec::new(),
            complaint: complaint.clone(),
            csv,
            curl: String::new(),
            cost: String::new(),
        }
    }

    /// Ask it. Gives the answer, and its figures as CSV.
    pub async fn ask(self, schema: Arc<Schema>, progress: Arc<Progress>) -> (Answer, String) {
        let mut answer = self.blank();
        let Self { app, project, kind, fields, period, .. } = self;
        let body = match question::body(kind, &fields, &schema) {
            Ok(body) => question::ranged(body, &period),
            Err(why) => {
                answer.blocks = nothing(t("This question cannot be read"), why);
                return (answer, String::new());
            }
        };
        answer.curl = curl(&app, kind.name, &body);
        if let Some(wanted) = wanted(kind, &body) {
            answer.blocks = nothing(t("The question is not complete yet"), wanted.to_owned());
            return (answer, String::new());
        }
        let answered = match app.ask_watched(&project, kind.name, body, progress).await {
            Ok(answered) => answered,
            Err(error) => {
                answer.blocks = nothing(t("There is no answer to this"), ask::sentence(&error));
                return (answer, String::new());
            }
        };
        let tz = TimeZone::get(&period.tz_name).unwrap_or(TimeZone::UTC);
        // An answer is worth more than the notes on it.
        let notes = notes::of(&app, &project, &period).await.unwrap_or_default();
        let around = Around {
            slug: &project.slug,
            fields: &fields,
            definition: &answered.definition,
            tz: &tz,
            today: period.today,
            notes: &notes,
        };
        answer.blocks = blocks(&answered.body, &around);
        let csv = answer::csv(&answer.blocks);
        if !answered.complete {
            let day = format::full_day(period.settled_on());
            answer
                .notes
                .push(say("Not complete until {day}: events may arrive late.", &[("day", &day)]));
        }
        if let [first, ..] = &answered.restated[..] {
            let count = answered.restated.len().to_string();
            let first = date_of(first).map_or_else(|| first.clone(), format::full_day);
            let values = [("n", count.as_str()), ("first", first.as_str())];
            answer.notes.push(say(
                "Events came for {n} days after these were called complete, the first of them {first}.",
                &values,
            ));
        }
        answer.cost = format!(
            "{} · {}",
            format::counted(answered.rows_scanned, "row", "rows"),
            format::duration(answered.elapsed_ms)
        );
        (answer, csv)
    }
}

fn nothing(title: &'static str, text: String) -> Vec<Block> {
    vec![Block::Nothing(Words { title: title.to_owned(), text })]
}

/// What a question still needs before it can be asked.
fn wanted(kind: &Kind, body: &Value) -> Option<&'static str> {
    match kind.name {
        "funnel" if body["steps"].as_array().is_none_or(|steps| steps.len() < 2) => {
            Some(t("A funnel takes two steps or more."))
        }
        "person" if body.get("person").is_none() => {
            Some(t("Choose somebody from the list of people."))
        }
        _ => None,
    }
}

/// The collector's address for a shell.
pub fn host(app: &App) -> &str {
    match app.config.public_url.trim_end_matches('/') {
        "" => "http://127.0.0.1:8787",
        url => url,
    }
}

/// A text for a shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The same question for a shell.
fn curl(app: &App, kind: &str, body: &Value) -> String {
    let host = host(app);
    let body = quoted(&serde_json::to_string_pretty(body).unwrap_or_default());
    format!(
        "curl {host}/v1/query/{kind} \\\n  -H \"Authorization: Bearer $TALLYMARK_SECRET_KEY\" \\\n  -d {body}"
    )
}
