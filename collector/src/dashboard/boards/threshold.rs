//! What of an answer strangers may see: no group of fewer than [`K`] people, nor what is left of a total without
//! it, no answer and no series that is of so few in all, and no single people.
//!
//! A group is a row of a breakdown, a cohort of retention, a content, a page, a way between two. Where an answer does
//! not say how many people a row is of (a trend of sums), that is asked as well; where nobody can say it (what is
//! beyond a limit), the row counts as one of few.
//!
//! Deliberately elsewhere: which groups are too small, and which are hidden with them (`privacy::threshold`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tallymark_analysis::answer::{AnswerBody, TrendSeries};

use crate::app::{Answered, App};
use crate::error::ApiError;
use crate::meta::projects::Project;
use crate::privacy::threshold::{K, hidden, hides_total};

/// Ask for strangers. `None` where all of the answer is of too few people.
///
/// # Errors
/// What asking says, and for lists of people that they are not shown.
pub async fn ask(
    app: &App,
    project: &Arc<Project>,
    kind: &str,
    body: Value,
) -> Result<Option<Answered>, ApiError> {
    if matches!(kind, "persons" | "person" | "explain") {
        return Err(ApiError::RoleMissing(crate::access::Role::Viewer));
    }
    let shown = match kind {
        "trend" => Some(large_groups(app, project, &body).await?),
        _ => None,
    };
    let of_sessions = match kind {
        "sessions" => people_there(app, project, &body).await?,
        _ => None,
    };
    let mut answered = app.ask(project, kind, body).await?;
    if of_sessions.or(people(&answered.body)).is_some_and(|people| hides_total(people, K)) {
        return Ok(None);
    }
    hide_small(&mut answered.body, shown.as_ref());
    let is_empty = matches!(&answered.body, AnswerBody::Trend(trend) if trend.series.is_empty());
    Ok((!is_empty).then_some(answered))
}

/// How many people an answer is of in all, as far as it says so; where it says so by buckets only, those of the
/// largest. Trends and sessions do not: they are asked apart.
fn people(body: &AnswerBody) -> Option<u64> {
    match body {
        AnswerBody::Active(active) => active.persons.or_else(|| active.dau.iter().copied().max()),
        AnswerBody::Funnel(funnel) => funnel.steps.first().map(|step| step.persons),
        AnswerBody::Retention(retention) => {
            Some(retention.cohorts.iter().map(|cohort| cohort.size).sum())
        }
        AnswerBody::Lifecycle(lifecycle) => {
            let of =
                |counts: &[Option<u64>], at: usize| counts.get(at).copied().flatten().unwrap_or(0);
            let there = |at| {
                of(&lifecycle.new, at)
                    + of(&lifecycle.returning, at)
                    + of(&lifecycle.resurrected, at)
            };
            (0..lifecycle.buckets.len()).map(there).max()
        }
        AnswerBody::Stickiness(stickiness) => stickiness.persons,
        AnswerBody::Experiment(experiment) => {
            Some(experiment.arms.iter().map(|arm| arm.persons).sum())
        }
        AnswerBody::Content(content) => Some(content.total.viewers),
        AnswerBody::Pwa(pwa) => Some(pwa.persons),
        AnswerBody::Paths(paths) => paths.depths.iter().map(|depth| depth.persons).max(),
        AnswerBody::Attribution(attribution) => Some(attribution.persons),
        AnswerBody::Revenue(revenue) => revenue.paying.iter().copied().max(),
        AnswerBody::Trend(_)
        | AnswerBody::Sessions(_)
        | AnswerBody::Completeness(_)
        | AnswerBody::Persons(_)
        | AnswerBody::Person(_)
        | AnswerBody::Explain(_) => None,
    }
}

/// How many people there are that a question about sessions is of.
async fn people_there(
    app: &App,
    project: &Arc<Project>,
    body: &Value,
) -> Result<Option<u64>, ApiError> {
    let mut question = json!({ "series": [{ "measure": "persons" }] });
    for field in ["from", "to", "tz", "where", "cohort", "as_of"] {
        if let Some(given) = body.get(field) {
            question[field] = given.clone();
        }
    }
    let answered = app.ask(project, "trend", question).await?;
    let AnswerBody::Trend(trend) = answered.body else { return Ok(None) };
    Ok(trend.series.first().and_then(|series| series.total.0).map(|people| people as u64))
}

/// Names of groups, by series, and whether the period before was of enough people too.
type Shown = BTreeMap<usize, BTreeMap<String, bool>>;

/// The groups of a trend that are of enough people: values of its breakdown, or everybody.
async fn large_groups(app: &App, project: &Arc<Project>, body: &Value) -> Result<Shown, ApiError> {
    let mut of_people = body.clone();
    for field in ["formula", "form"] {
        of_people.as_object_mut().map(|fields| fields.remove(field));
    }
    for row in of_people["series"].as_array_mut().into_iter().flatten() {
        row["measure"] = "persons".into();
        row.as_object_mut().map(|fields| fields.remove("prop"));
    }
    if of_people["series"].as_array().is_none_or(Vec::is_empty) {
        of_people["series"] = json!([{ "measure": "persons" }]);
    }
    let answered = app.ask(project, "trend", of_people).await?;
    let AnswerBody::Trend(mut trend) = answered.body else { return Ok(Shown::new()) };
    let mut shown = Shown::new();
    let series: BTreeSet<usize> = trend.series.iter().map(|series| series.index).collect();
    for index in series {
        let mut own: Vec<TrendSeries> =
            trend.series.extract_if(.., |series| series.index == index).collect();
        keep_large(&mut own, |series| series.total.0.map(|people| people as u64));
        let before = |series: &TrendSeries| {
            let people = series.previous.as_ref().and_then(|previous| previous.total.0);
            !hides_total(people.unwrap_or(0.0) as u64, K)
        };
        shown.insert(index, own.iter().map(|series| (name(series), before(series))).collect());
    }
    Ok(shown)
}

fn name(series: &TrendSeries) -> String {
    serde_json::to_string(&(series.group, &series.value)).unwrap_or_default()
}

/// Take rows of too few people away, and those that have to go with them.
fn keep_large<T>(rows: &mut Vec<T>, people: impl Fn(&T) -> Option<u64>) {
    let people: Vec<u64> = rows.iter().map(|row| people(row).unwrap_or(1)).collect();
    let mut hide = hidden(&people, K).into_iter();
    rows.retain(|_| hide.next() == Some(false));
}

/// Take away what is of too few people. `shown` names the groups of a trend that are not.
fn hide_small(body: &mut AnswerBody, shown: Option<&Shown>) {
    match body {
        AnswerBody::Trend(trend) => {
            let Some(shown) = shown else { return };
            trend.series.retain_mut(|series| {
                let name = name(series);
                // A formula is made of all the others.
                let found: Option<Vec<bool>> = match series.measure == "formula" {
                    true => shown.values().map(|own| own.get(&name).copied()).collect(),
                    false => {
                        shown.get(&series.index).and_then(|own| own.get(&name)).map(|b| vec![*b])
                    }
                };
                if found.as_ref().is_some_and(|before| before.contains(&false)) {
                    series.previous = None;
                }
                found.is_some()
            });
        }
        AnswerBody::Funnel(funnel) => {
            keep_large(&mut funnel.breakdown, |row| row.steps.first().map(|step| step.persons));
        }
        AnswerBody::Retention(retention) => {
            keep_large(&mut retention.cohorts, |cohort| Some(cohort.size));
            retention.breakdown.clear();
        }
        AnswerBody::Sessions(sessions) => {
            keep_large(&mut sessions.breakdown, |row| row.persons);
            keep_large(&mut sessions.entry_pages, |page| Some(page.sessions));
            keep_large(&mut sessions.exit_pages, |page| Some(page.sessions));
        }
        AnswerBody::Content(content) => keep_large(&mut content.items, |item| Some(item.viewers)),
        AnswerBody::Pwa(pwa) => keep_large(&mut pwa.display_modes, |mode| Some(mode.persons)),
        AnswerBody::Paths(paths) => keep_large(&mut paths.edges, |edge| Some(edge.persons)),
        AnswerBody::Attribution(attribution) => {
            keep_large(&mut attribution.touches, |touch| touch.conversions);
        }
        AnswerBody::Persons(_) | AnswerBody::Person(_) | AnswerBody::Explain(_) => {
            unreachable!("nobody asks for single people here")
        }
        AnswerBody::Active(_)
        | AnswerBody::Lifecycle(_)
        | AnswerBody::Stickiness(_)
        | AnswerBody::Revenue(_)
        | AnswerBody::Completeness(_)
        | AnswerBody::Experiment(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use tallymark_analysis::answer::{AnswerBody, PathEdge, PathsAnswer};

    use super::*;

    /// Shows the second half of no. 60 where strangers look.
    #[test]
    fn small_groups_are_hidden_with_those_that_subtraction_would_need() {
        let edge = |persons| PathEdge {
            depth: 1,
            from: "/".into(),
            to: format!("/{persons}"),
            count: 100,
            persons,
        };
        for (people, want) in [
            (&[K, 50][..], &[K, 50][..]),
            (&[K - 1, 30, 50], &[50]),
            (&[6, 5, 30], &[30]),
            (&[2, 3, 30, 40], &[40]),
        ] {
            let edges = people.iter().map(|persons| edge(*persons)).collect();
            let mut body = AnswerBody::Paths(PathsAnswer { edges, depths: Vec::new() });
            hide_small(&mut body, None);
            let AnswerBody::Paths(paths) = body else { panic!() };
            let left: Vec<u64> = paths.edges.iter().map(|edge| edge.persons).collect();
            assert_eq!(left, want, "{people:?}");
        }
    }
}
