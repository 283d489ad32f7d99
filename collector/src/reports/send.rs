//! Sending reports in their time.
//!
//! A report goes to one recipient after the other, and each is written down when it is done. What is asked is asked once
//! for all of one kind of readers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Report, State, TRIES_MAX, Way, after_try, desk, webhook};
use crate::app::App;
use crate::dashboard::printed::{Printed, Reader, print_days};
use crate::dashboard::words::{Lang, say, t};
use crate::error::ApiError;
use crate::mail::{Attachment, Mail};
use crate::meta::audit::Deed;
use crate::meta::projects::Project;
use crate::saved::board::Board;
use crate::saved::desk::Desk as SavedDesk;
use crate::saved::{Kind, Refused};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Before the table is looked at again when that failed.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Reports on their way at one time.
const AT_ONCE: usize = 4;
/// As the audit trail names who removes a report whose dashboard is gone.
const SCHEDULE: &str = "schedule";

/// Send every report in its time. Runs until it is dropped.
pub async fn keep_running(app: App) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = run_due(&app).await {
            let error = anyhow::Error::from(error);
            tracing::error!(error = format!("{error:#}"), "reports could not be sent");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Send what is due. Says how many were worked on.
///
/// # Errors
/// When a database cannot be read or written. What goes wrong with one report is kept with it.
pub async fn run_due(app: &App) -> Result<usize, ApiError> {
    let now_ms = app.clock.now_ms();
    let mut due = app.meta.reports().waiting(now_ms).await?;
    due.retain(|report| report.is_due(now_ms));
    let count = due.len();
    let mut work = JoinSet::new();
    for report in due {
        if work.len() >= AT_ONCE
            && let Some(done) = work.join_next().await
        {
            done??;
        }
        let app = app.clone();
        work.spawn(async move {
            let lang = Lang::of_code(&report.plan.language).unwrap_or_default();
            lang.within(one(&app, &report)).await
        });
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    Ok(count)
}

/// Try one report, once.
async fn one(app: &App, report: &Report) -> Result<(), ApiError> {
    let table = app.meta.reports();
    let directory = app.meta.directory();
    let project = directory.projects().into_iter().find(|project| project.id == report.project);
    let Some(project) = project else { return Ok(()) };
    let now_ms = app.clock.now_ms();
    let saved = SavedDesk { meta: &app.meta, project: &project, kind: Kind::Dashboard, now_ms };
    let board = match saved.load(&report.board).await {
        Ok(saved) => Board::of(&saved)?,
        Err(Refused::Unknown(..)) => {
            let note = "its dashboard was removed";
            let deed = Deed { actor: SCHEDULE, action: "remove", note, at_ms: now_ms };
            return Ok(table.remove(report, deed).await?);
        }
        Err(error) => return Err(error.into()),
    };
    let mut state = report.begun();
    // Written before anything leaves, so that a server that dies of a report does not die of it for ever.
    state.tries += 1;
    state.retry_ms = after_try(&state, true, now_ms).unwrap_or(now_ms);
    table.keep(report.id, &state).await?;
    let mut trip = Trip { app, project: &project, board: &board, report, printed: BTreeMap::new() };
    let mut last_trouble = Vec::new();
    for recipient in &report.plan.recipients {
        if state.done.contains(recipient) {
            continue;
        }
        match trip.send(recipient, &state).await {
            Ok(()) => state.done.push(recipient.clone()),
            Err(Trouble { why, is_worth_another_try: true }) => {
                last_trouble.push(format!("{recipient}: {why}"));
                continue;
            }
            Err(Trouble { why, .. }) => {
                state.trouble.push(format!("{recipient}: {why}"));
                state.done.push(recipient.clone());
            }
        }
        table.keep(report.id, &state).await?;
    }
    let ended_ms = app.clock.now_ms();
    let again = after_try(&state, !last_trouble.is_empty(), ended_ms);
    if let Some(retry_ms) = again {
        tracing::warn!(report = report.id, tries = state.tries, "a report is tried again");
        let state = State { retry_ms, ..state };
        return Ok(table.keep(report.id, &state).await?);
    }
    state.trouble.extend(last_trouble);
    table.keep(report.id, &state).await?;
    // From now and not from when it was due: times that were missed are made up for once.
    let due_ms = match report.due_ms <= ended_ms {
        true => report.plan.every.next(report.plan.hour, &project.calendar(), ended_ms),
        false => report.due_ms,
    };
    Ok(table.end(report, due_ms, ended_ms).await?)
}

/// Why somebody has not got it.
struct Trouble {
    why: String,
    is_worth_another_try: bool,
}

/// A report on its way.
struct Trip<'a> {
    app: &'a App,
    project: &'a Arc<Project>,
    board: &'a Board,
    report: &'a Report,
    /// For members, and for others.
    printed: BTreeMap<bool, Printed>,
}

impl Trip<'_> {
    async fn send(&mut self, recipient: &str, state: &State) -> Result<(), Trouble> {
        let (report, app) = (self.report, self.app);
        let is_member = report.plan.way == Way::Mail
            && app.meta.directory().is_member(recipient, self.project.organisation);
        let printed = self.print(is_member, state).await?;
        let id = format!("report-{}-{}", report.id, state.occasion_ms);
        match report.plan.way {
            Way::Mail => {
                let at = report.plan.recipients.iter().position(|own| own == recipient);
                let id = format!("{id}-{}", at.unwrap_or_default());
                let mail = self.mail(recipient, is_member, printed, id);
                app.mailer.send(mail).await.map_err(|error| Trouble {
                    why: error.to_string(),
                    is_worth_another_try: error.is_worth_another_try(),
                })
            }
            Way::Webhook => {
                let (body, at_s) = (self.body(&printed, &id), app.clock.now_ms() / 1000);
                let (report, to) = (report.clone(), recipient.to_owned());
                let sent = app.blocking(move |app| {
                    let private = desk::private(app);
                    Ok(webhook::post(&to, private, &app.pepper, &report, (&id, at_s, body)))
                });
                let sent = sent.await.map_err(failed)?;
                sent.map_err(|error| Trouble {
                    why: error.why,
                    is_worth_another_try: error.is_worth_another_try,
                })
            }
        }
    }

    /// The dashboard as these readers see it, asked once.
    async fn print(&mut self, is_member: bool, state: &State) -> Result<Printed, Trouble> {
        if let Some(printed) = self.printed.get(&is_member) {
            return Ok(printed.clone());
        }
        let tz = TimeZone::get(&self.project.tz).unwrap_or(TimeZone::UTC);
        let days = self.report.days(self.app.clock.now_ms(), &tz);
        let reader = if is_member { Reader::Member } else { Reader::Stranger };
        let printed = print_days(self.app, self.project, self.board, days, reader).await;
        let printed = printed.map_err(failed)?;
        // The last try goes with what there is: it says on the tile that there was no answer.
        if printed.is_late && state.tries < TRIES_MAX {
            let why = "a question of the dashboard was not answered in time".to_owned();
            return Err(Trouble { why, is_worth_another_try: true });
        }
        self.printed.insert(is_member, printed.clone());
        Ok(printed)
    }

    fn file_name(&self) -> String {
        format!("{}.pdf", self.report.board)
    }

    fn mail(&self, to: &str, is_member: bool, printed: Printed, id: String) -> Mail {
        let mut text = format!("{}\n{} · {}\n", printed.name, self.project.name, printed.period);
        for (title, figures) in &printed.figures {
            text.push_str(&format!("\n{title}\n"));
            for (name, value) in figures {
                text.push_str(format!("  {name} {value}").trim_end());
                text.push('\n');
            }
        }
        let said = t("The dashboard is attached as a PDF.");
        text.push_str(&format!("\n{said}\n"));
        if is_member {
            let home = self.app.config.public_url.trim_end_matches('/');
            let (slug, key) = (&self.project.slug, &self.report.board);
            text.push_str(&format!("{home}/p/{slug}/boards/{key}\n"));
        }
        let whose = [("who", self.report.created_by.as_str()), ("project", &self.project.name)];
        let why = say(
            "You get this because {who} set it up. Whoever looks after {project} can stop it.",
            &whose,
        );
        text.push_str(&format!("\n{why}\n"));
        let attachments = vec![Attachment {
            name: self.file_name(),
            content_type: "application/pdf".into(),
            bytes: printed.file,
        }];
        let subject = format!("{} · {}", printed.name, printed.period);
        Mail { to: to.to_owned(), subject, text, html: None, attachments, id: Some(id) }
    }

    fn body(&self, printed: &Printed, id: &str) -> String {
        let at = Timestamp::from_millisecond(self.app.clock.now_ms()).unwrap_or_default();
        let tile = |(title, figures): &(String, Vec<(String, String)>)| {
            let figures =
                figures.iter().map(|(name, value)| json!({ "name": name, "value": value }));
            json!({ "title": title, "figures": figures.collect::<Vec<_>>() })
        };
        json!({
            "type": "dashboard.report",
            "timestamp": at.to_string(),
            "data": {
                "id": id,
                "project": self.project.slug,
                "dashboard": { "key": self.report.board, "name": printed.name },
                "period": printed.period,
                "tiles": printed.figures.iter().map(tile).collect::<Vec<_>>(),
                "file": {
                    "name": self.file_name(),
                    "content_type": "application/pdf",
                    "base64": STANDARD.encode(&printed.file),
                },
            },
        })
        .to_string()
    }
}

/// What is our fault, for the log; those who wait read that it is.
fn failed(error: ApiError) -> Trouble {
    let error = anyhow::Error::from(error);
    tracing::error!(error = format!("{error:#}"), "a report could not be made");
    Trouble { why: "the report could not be made".into(), is_worth_another_try: true }
}
