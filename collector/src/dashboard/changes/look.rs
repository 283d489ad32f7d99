//! Looking at a day: the questions, asked, and their answers as figures.
//!
//! In: a project and a day that is over there. Out: [`Looked`], which knows no language, so that it can be kept for
//! everybody who opens the page.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use serde_json::{Value, json};
use tallymark_analysis::unusual::DAYS;

use super::figures::{
    self, Delivery, Figure, Share, Subject, by_value, counts, figure, known_days, most, share,
    strongest, unusual_of,
};
use crate::app::App;
use crate::dashboard::ask::{Several, ask_all, ask_watched, sentence};
use crate::dashboard::period::plus;
use crate::dashboard::questions::{Question, looking};
use crate::dashboard::view::{Reply, completeness_of, sessions_of, trend_of};
use crate::error::ApiError;
use crate::meta::projects::Project;

/// What a day was like.
#[derive(Debug)]
pub struct Looked {
    pub day: Date,
    /// Days of history there are.
    pub known_days: usize,
    /// Everything that was looked at.
    pub figures: Vec<Figure>,
    /// The strongest changes, with what makes most of each.
    pub changes: Vec<(Figure, Option<Share>)>,
    /// How complete the day is, if that is unusual.
    pub incomplete: Option<f64>,
}

/// Names and pages, and people by a value, that are looked at.
const NAMES: usize = 12;
const VALUES: usize = 8;
/// Properties that may make most of a change.
const PROPS: [&str; 3] = ["country", "device_type", "channel"];

/// The answers of a look.
const TOTALS: usize = 0;
const SESSIONS: usize = 1;
const EVENTS: usize = 2;
const CHANNELS: usize = 3;
const COUNTRIES: usize = 4;
const DELIVERY: usize = 5;
const PAGES: usize = 6;
/// So many at most are asked at first.
pub const QUESTIONS: usize = PAGES + 1;

/// Look at a day, no longer than a question may take.
///
/// # Errors
/// The sentence to show.
pub async fn look(
    app: &App,
    project: &Arc<Project>,
    day: Date,
    progress: &Several,
) -> Result<Looked, String> {
    let limit = Duration::from_millis(app.config.query_timeout_ms);
    let looked = tokio::time::timeout(limit, at(app, project, day, progress)).await;
    looked.unwrap_or_else(|_| Err(sentence(&ApiError::QuestionTooSlow)))
}

async fn at(
    app: &App,
    project: &Arc<Project>,
    day: Date,
    progress: &Several,
) -> Result<Looked, String> {
    let id = project.id;
    let schema = app.blocking(move |app| Ok(app.store.schema(id)?)).await;
    let schema = schema.map_err(|error| sentence(&error))?;
    let views = looking(&schema);
    let is_seen = |name: &str| schema.events.contains_key(name);
    let over = Over { day, tz: &project.tz };
    let mut totals = vec![json!({ "measure": "persons" }), json!({ "measure": "count" })];
    let mut subjects = vec![Subject::People, Subject::Events];
    for (name, subject) in [("$pageview", Subject::Views), ("$pwa_install", Subject::Installs)] {
        if is_seen(name) {
            totals.push(json!({ "event": name, "measure": "count" }));
            subjects.push(subject);
        }
    }
    let people = json!([{ "measure": "persons" }]);
    let mut questions = vec![
        over.trend(totals.into(), None),
        over.asked("sessions", DAYS as i64, json!({ "bucket": "day" })),
        over.trend(json!([{ "measure": "count" }]), Some(("event", NAMES))),
        over.trend(people.clone(), Some(("channel", VALUES))),
        over.trend(people, Some(("country", VALUES))),
        // Page loads are known for thirty days: four weeks before yesterday.
        over.asked("completeness", 28, json!({})),
    ];
    if let Some(event) = views {
        let series = json!([{ "event": event, "measure": "count" }]);
        questions.push(over.trend(series, Some(("path", NAMES))));
    }
    let replies = ask_watched(app, project, questions, progress).await.replies;
    let (figures, known_days, delivery) = judged(&replies, &subjects)?;
    let unusual = unusual_of(&figures);
    let incomplete = unusual.iter().any(|figure| {
        figure.subject == Subject::Missing && figure.judged.is_some_and(|judged| judged.z > 0.0)
    });
    let incomplete = delivery.filter(|_| incomplete).map(|delivery| delivery.ratio);
    let chosen: Vec<Figure> = strongest(&unusual).into_iter().cloned().collect();
    let asked: Vec<Vec<(&'static str, Question)>> =
        chosen.iter().map(|figure| over.parts(&figure.subject)).collect();
    let flat = asked.iter().flatten().map(|(_, question)| question.clone()).collect();
    let mut replies = ask_all(app, project, flat).await.replies.into_iter();
    let mut changes = Vec::new();
    for (figure, asked) in chosen.into_iter().zip(asked) {
        let mut shares = Vec::new();
        for ((prop, _), reply) in asked.iter().zip(&mut replies) {
            let Ok(trend) = trend_of(&reply) else { continue };
            let each = by_value(trend);
            shares.extend(each.iter().filter_map(|(v, counts)| share(&figure, prop, v, counts)));
        }
        changes.push((figure, most(shares)));
    }
    Ok(Looked { day, known_days, figures, changes, incomplete })
}

/// The figures of the answers to the questions above.
fn judged(
    replies: &[Reply],
    subjects: &[Subject],
) -> Result<(Vec<Figure>, usize, Option<Delivery>), String> {
    let totals = trend_of(&replies[TOTALS])?;
    let known = known_days(&counts(totals, 1));
    let mut figures = Vec::new();
    for (index, subject) in subjects.iter().enumerate() {
        figures.extend(figure(subject.clone(), &counts(totals, index), known));
    }
    let sessions = figures::sessions(sessions_of(&replies[SESSIONS])?);
    figures.extend(figure(Subject::Sessions, &sessions, known));
    let mut each = |reply: &Reply, subject: &dyn Fn(String) -> Subject| -> Result<(), String> {
        for (value, counts) in by_value(trend_of(reply)?) {
            figures.extend(figure(subject(value), &counts, known));
        }
        Ok(())
    };
    // Those of the totals are there already.
    let is_total = |name: &str| matches!(name, "$pageview" | "$pwa_install");
    each(&replies[EVENTS], &Subject::Event)?;
    each(&replies[CHANNELS], &|value| Subject::PeopleOf("channel", value))?;
    each(&replies[COUNTRIES], &|value| Subject::PeopleOf("country", value))?;
    if let Some(pages) = replies.get(PAGES) {
        each(pages, &Subject::Page)?;
    }
    figures.retain(|one| !matches!(&one.subject, Subject::Event(name) if is_total(name)));
    // A question of many page loads may be given up; the others hold without it.
    let delivery = completeness_of(&replies[DELIVERY]).ok().and_then(figures::delivery);
    figures.extend(delivery.iter().map(|delivery| delivery.figure.clone()));
    Ok((figures, known, delivery))
}

/// The days that are asked about.
struct Over<'a> {
    day: Date,
    tz: &'a str,
}

impl Over<'_> {
    fn asked(&self, kind: &'static str, days: i64, mut body: Value) -> Question {
        body["from"] = plus(self.day, -days).to_string().into();
        body["to"] = plus(self.day, 1).to_string().into();
        body["tz"] = self.tz.into();
        Question { kind, body }
    }

    fn trend(&self, series: Value, by: Option<(&str, usize)>) -> Question {
        let mut body = json!({ "series": series, "bucket": "day" });
        if let Some((prop, limit)) = by {
            body["breakdown"] = json!({ "prop": prop, "limit": limit });
        }
        self.asked("trend", DAYS as i64, body)
    }

    /// The same count by each property that may make most of its change.
    fn parts(&self, subject: &Subject) -> Vec<(&'static str, Question)> {
        let Some(series) = series(subject) else { return Vec::new() };
        let own = match subject {
            Subject::PeopleOf(prop, _) => *prop,
            _ => "",
        };
        let props = PROPS.into_iter().filter(|prop| *prop != own);
        props.map(|prop| (prop, self.trend(json!([series]), Some((prop, VALUES))))).collect()
    }
}

/// A subject as a series of a trend, if it is one.
fn series(subject: &Subject) -> Option<Value> {
    let only = |prop: &str, value: &str| json!([{ "prop": prop, "op": "eq", "value": value }]);
    Some(match subject {
        Subject::People => json!({ "measure": "persons" }),
        Subject::Events => json!({ "measure": "count" }),
        Subject::Views => json!({ "event": "$pageview", "measure": "count" }),
        Subject::Installs => json!({ "event": "$pwa_install", "measure": "count" }),
        Subject::Event(name) => json!({ "event": name, "measure": "count" }),
        Subject::Page(path) => {
            json!({ "event": "$pageview", "measure": "count", "where": only("path", path) })
        }
        Subject::PeopleOf(prop, value) => {
            json!({ "measure": "persons", "where": only(prop, value) })
        }
        Subject::Sessions | Subject::Missing => return None,
    })
}

#[cfg(test)]
mod tests {
    use tallymark_analysis::{Context, compile};

    use super::*;

    #[test]
    fn every_question_about_a_change_is_understood() {
        let over = Over { day: jiff::civil::date(2026, 9, 15), tz: "Europe/Berlin" };
        let text = || "a".to_owned();
        let subjects = [
            (Subject::People, 3),
            (Subject::Events, 3),
            (Subject::Views, 3),
            (Subject::Installs, 3),
            (Subject::Event(text()), 3),
            (Subject::Page(text()), 3),
            (Subject::PeopleOf("country", text()), 2),
            (Subject::Sessions, 0),
            (Subject::Missing, 0),
        ];
        let context = Context::utc(1_795_390_200_000);
        for (subject, want) in subjects {
            let parts = over.parts(&subject);
            assert_eq!(parts.len(), want, "{subject:?}");
            for (_, question) in parts {
                let compiled = compile(question.kind, question.body.clone(), &context);
                assert!(compiled.is_ok(), "{question:?}: {compiled:?}");
            }
        }
    }
}
