//! What of an answer strangers may see: no group of fewer than [`K`] people, nor what is left of a total without
//! it, and no single people.
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
use crate::privacy::threshold::{K, hidden};

/// Ask for strangers.
///
/// # Errors
/// What asking says, and for lists of people that they are not shown.
pub async fn ask(
    app: &App,
    project: &Arc<Project>,
    kind: &str,
    body: Value,
) -> Result<Answered, ApiError> {
    if matches!(kind, "persons" | "person" | "explain") {
        return Err(ApiError::RoleMissing(crate::access::Role::Viewer));
    }
    let shown = match kind == "trend" && body.get("breakdown").is_some_and(|by| !by.is_null()) {
        true => Some(large_groups(app, project, &body).await?),
        false => None,
    };
    let mut answered = app.ask(project, kind, body).await?;
    hide_small(&mut answered.body, shown.as_ref());
    Ok(answered)
}

/// Names of groups, by series.
type Shown = BTreeMap<usize, BTreeSet<String>>;

/// The values of a trend's breakdown that are of enough people.
async fn large_groups(app: &App, project: &Arc<Project>, body: &Value) -> Result<Shown, ApiError> {
    let mut of_people = body.clone();
    for field in ["formula", "compare", "form"] {
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
        shown.insert(index, own.iter().map(name).collect());
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
            trend.series.retain(|series| match series.measure == "formula" {
                true => shown.values().all(|own| own.contains(&name(series))),
                false => shown.get(&series.index).is_some_and(|own| own.contains(&name(series))),
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
