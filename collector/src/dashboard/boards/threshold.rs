//! What of an answer strangers may see: no group of fewer than [`PERSONS_MIN`] people, and no single people.
//!
//! A group is a row of a breakdown, a cohort of retention, a content, a page, a way between two. Where an answer does
//! not say how many people a row is of (a trend of sums), that is asked as well.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tallymark_analysis::answer::{AnswerBody, Group, GroupValue, TouchGroup};

use crate::app::{Answered, App};
use crate::error::ApiError;
use crate::meta::projects::Project;

/// A group that strangers may see has so many people at least.
pub const PERSONS_MIN: u64 = 5;

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
    let large = match kind == "trend" && body.get("breakdown").is_some_and(|by| !by.is_null()) {
        true => Some(large_groups(app, project, &body).await?),
        false => None,
    };
    let mut answered = app.ask(project, kind, body).await?;
    hide_small(&mut answered.body, large.as_ref());
    Ok(answered)
}

/// The values of a trend's breakdown that are of enough people.
async fn large_groups(
    app: &App,
    project: &Arc<Project>,
    body: &Value,
) -> Result<BTreeSet<String>, ApiError> {
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
    let AnswerBody::Trend(trend) = answered.body else { return Ok(BTreeSet::new()) };
    let is_large = |total: Option<f64>| total.is_some_and(|people| people >= PERSONS_MIN as f64);
    let mut large = BTreeSet::new();
    for series in trend.series.iter().filter(|series| is_large(series.total.0)) {
        large.extend(series.value.as_ref().map(|value| name(series.index, value)));
    }
    Ok(large)
}

fn name(index: usize, value: &GroupValue) -> String {
    format!("{index} {}", serde_json::to_string(value).unwrap_or_default())
}

/// Take away what is of too few people. `large` names the values of a trend that are not.
fn hide_small(body: &mut AnswerBody, large: Option<&BTreeSet<String>>) {
    let enough = |persons: u64| persons >= PERSONS_MIN;
    match body {
        AnswerBody::Trend(trend) => {
            let is_formula = trend.series.iter().any(|series| series.measure == "formula");
            trend.series.retain(|series| match (&series.value, series.group, large) {
                (Some(value), Group::Value, Some(large)) if is_formula => {
                    large.iter().any(|own| own.ends_with(&name(0, value)[1..]))
                }
                (Some(value), Group::Value, Some(large)) => {
                    large.contains(&name(series.index, value))
                }
                (_, Group::Value, _) => false,
                _ => true,
            });
        }
        AnswerBody::Funnel(funnel) => {
            let first = |row: &tallymark_analysis::answer::FunnelGroup| {
                row.steps.first().map_or(0, |step| step.persons)
            };
            funnel.breakdown.retain(|row| row.group != Group::Value || enough(first(row)));
        }
        AnswerBody::Retention(retention) => {
            retention.cohorts.retain(|cohort| enough(cohort.size));
            retention.breakdown.clear();
        }
        AnswerBody::Sessions(sessions) => {
            sessions
                .breakdown
                .retain(|row| row.group != Group::Value || row.persons.is_some_and(enough));
            sessions.entry_pages.retain(|page| enough(page.sessions));
            sessions.exit_pages.retain(|page| enough(page.sessions));
        }
        AnswerBody::Content(content) => content.items.retain(|item| enough(item.viewers)),
        AnswerBody::Pwa(pwa) => pwa.display_modes.retain(|mode| enough(mode.persons)),
        AnswerBody::Paths(paths) => paths.edges.retain(|edge| enough(edge.persons)),
        AnswerBody::Attribution(attribution) => attribution.touches.retain(|touch| {
            touch.group != TouchGroup::Value || touch.conversions.is_some_and(enough)
        }),
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
    use tallymark_analysis::answer::{PathEdge, PathsAnswer};

    use super::*;

    #[test]
    fn a_group_of_five_is_shown_and_one_of_four_is_not() {
        let edge = |persons| PathEdge {
            depth: 1,
            from: "/".into(),
            to: format!("/{persons}"),
            count: 100,
            persons,
        };
        let mut body =
            AnswerBody::Paths(PathsAnswer { edges: vec![edge(5), edge(4)], depths: Vec::new() });
        hide_small(&mut body, None);
        let AnswerBody::Paths(paths) = body else { panic!() };
        assert_eq!(paths.edges, [edge(5)]);
    }
}
