//! How much of its quotas a project has used today, and what follows.
//!
//! Asked with every batch of a project that has quotas, from memory. Others pay nothing.
//!
//! Batches that are on their way when a quota is reached go through: what is stored beyond a quota that
//! throttles is at most one batch of each sender.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use serde::Serialize;

use super::quotas::Policy;
use super::{Amounts, EVENT_BYTES, EVENTS, amounts, counted, day_of, start_of};
use crate::app::App;
use crate::error::ApiError;
use crate::meta::daily_usage::Exceeded;
use crate::meta::projects::Project;
use crate::telemetry::Metered;

/// Where a quota stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Of what.
    pub metric: String,
    /// Used today.
    pub current: u64,
    /// The most that is agreed, included; none where nothing is.
    pub limit: Option<u64>,
    /// Whether more than that was used.
    pub exceeded: bool,
    /// What happens beyond it.
    pub policy: Policy,
    /// Whether one more is allowed: always, unless the policy throttles.
    pub allowed: bool,
}

impl Standing {
    fn new(metric: &str, current: u64, quota: Option<(u64, Policy)>) -> Self {
        let (limit, policy) = quota.map_or((None, Policy::Soft), |(limit, p)| (Some(limit), p));
        let is_full = limit.is_some_and(|limit| current >= limit);
        Self {
            metric: metric.to_owned(),
            current,
            limit,
            exceeded: limit.is_some_and(|limit| current > limit),
            policy,
            allowed: !(is_full && policy == Policy::Throttle),
        }
    }
}

/// What was told already: project, metric, day and quota.
#[derive(Debug, Default)]
pub struct Told(Mutex<HashSet<(u32, String, i32, u64)>>);

impl Told {
    /// Whether this is new. What is of other days is forgotten.
    fn is_new(&self, project: u32, standing: &Standing, day: i32) -> bool {
        let mut told = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (project, standing.metric.clone(), day, standing.limit.unwrap_or_default());
        if !told.insert(key) {
            return false;
        }
        told.retain(|(_, _, of, _)| (*of - day).abs() <= 1);
        true
    }
}

/// What a project used today.
fn today(app: &App, project: u32) -> (i32, Amounts) {
    let day = day_of(app.clock.now_ms());
    (day, amounts(&app.store.used_since(project, start_of(day))))
}

/// Events that all projects stored today.
pub fn events_today(app: &App) -> u64 {
    let projects = app.meta.directory().projects();
    let events = |id| today(app, id).1.get(EVENTS).copied().unwrap_or(0);
    projects.iter().map(|project| events(project.id)).sum()
}

/// Where the quotas of a project stand, and what it uses without one.
pub fn standings(app: &App, project: &Project) -> (i32, Vec<Standing>) {
    let (day, mut used) = today(app, project.id);
    let quotas = app.quotas(project);
    let mut all: Vec<_> = quotas
        .iter()
        .map(|(metric, quota)| {
            Standing::new(metric, used.remove(*metric).unwrap_or(0), Some(*quota))
        })
        .collect();
    all.extend(used.iter().map(|(metric, current)| Standing::new(metric, *current, None)));
    all.sort_by(|a, b| a.metric.cmp(&b.metric));
    (day, all)
}

/// Bytes that projects stored before today, by project, each with the day.
#[derive(Debug, Default)]
pub struct Stored(Mutex<HashMap<u32, (i32, u64)>>);

/// Bytes that a project stored in all, those of today from memory.
async fn stored_bytes(app: &App, project: u32) -> Result<u64, ApiError> {
    let (day, used) = today(app, project);
    let known = {
        let stored = app.stored.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        stored.get(&project).copied().filter(|(of, _)| *of == day)
    };
    let before = match known {
        Some((_, bytes)) => bytes,
        None => {
            let days = app.blocking(move |app| counted(app, project, i32::MIN..day)).await?;
            let bytes = days.iter().filter(|day| day.metric == EVENT_BYTES).map(|day| day.amount);
            let bytes = bytes.fold(0, u64::saturating_add);
            let mut stored = app.stored.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            stored.insert(project, (day, bytes));
            bytes
        }
    };
    Ok(before.saturating_add(used.get(EVENT_BYTES).copied().unwrap_or(0)))
}

/// Whether a project may send events.
///
/// # Errors
/// [`ApiError::QuotaExceeded`] when a quota that throttles is used up, [`ApiError::StoredBytesFull`].
pub async fn may_send(app: &App, project: &Project) -> Result<(), ApiError> {
    if let Some(most) = project.settings.stored_bytes
        && stored_bytes(app, project.id).await? >= most
    {
        return Err(ApiError::StoredBytesFull);
    }
    let quotas = app.quotas(project);
    let throttles = |metric: &&str| matches!(quotas.get(metric), Some((_, Policy::Throttle)));
    if ![EVENTS, EVENT_BYTES].iter().any(throttles) {
        return Ok(());
    }
    let (day, used) = today(app, project.id);
    for metric in [EVENTS, EVENT_BYTES] {
        let quota = quotas.get(metric).copied();
        if !Standing::new(metric, used.get(metric).copied().unwrap_or(0), quota).allowed {
            // Until the next day, but not so long that nobody notices a quota that was raised.
            let left_ms = start_of(day.saturating_add(1)) - app.clock.now_ms();
            let retry_after_s = left_ms.div_euclid(1000).clamp(1, RETRY_WITHIN_S).cast_unsigned();
            return Err(ApiError::QuotaExceeded { metric, retry_after_s });
        }
    }
    Ok(())
}

const RETRY_WITHIN_S: i64 = 300;

/// Say once a day of each quota that it was exceeded: in the log, the metrics and the database.
pub fn look(app: &App, project: &Project) {
    if app.quotas(project).is_empty() {
        return;
    }
    let (day, all) = standings(app, project);
    for standing in all.into_iter().filter(|standing| standing.exceeded) {
        if app.told.is_new(project.id, &standing, day) {
            let exceeded = Exceeded {
                project: project.id,
                metric: standing.metric,
                day,
                quota: standing.limit.unwrap_or_default(),
                at_ms: app.clock.now_ms(),
            };
            tokio::spawn(tell(app.clone(), project.slug.clone(), exceeded));
        }
    }
}

async fn tell(app: App, tenant: String, exceeded: Exceeded) {
    match app.meta.daily_usage().exceed(&exceeded).await {
        // A start before this one said so.
        Ok(false) => {}
        Ok(true) => {
            let Exceeded { metric, quota, .. } = exceeded;
            tracing::warn!(project = tenant, metric, quota, "a quota is exceeded");
            let tenant = if app.config.metrics_by_project { tenant } else { String::new() };
            app.telemetry.quota_exceeded.of(Metered { tenant, metric }).inc();
        }
        Err(error) => tracing::error!(%error, "that a quota is exceeded cannot be written down"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::below(9, Some((10, Policy::Throttle)), (false, true))]
    #[case::at_it(10, Some((10, Policy::Throttle)), (false, false))]
    #[case::beyond(11, Some((10, Policy::Throttle)), (true, false))]
    #[case::soft_at_it(10, Some((10, Policy::Soft)), (false, true))]
    #[case::soft_beyond(11, Some((10, Policy::Soft)), (true, true))]
    #[case::of_nothing(0, Some((0, Policy::Throttle)), (false, false))]
    #[case::without(11, None, (false, true))]
    fn a_quota_is(
        #[case] current: u64,
        #[case] quota: Option<(u64, Policy)>,
        #[case] (exceeded, allowed): (bool, bool),
    ) {
        let standing = Standing::new("a", current, quota);
        assert_eq!((standing.exceeded, standing.allowed), (exceeded, allowed));
    }

    #[test]
    fn it_is_told_once_a_day_and_again_when_the_quota_is_another() {
        let told = Told::default();
        let of = |limit| Standing::new("a", 99, Some((limit, Policy::Soft)));
        assert!(told.is_new(1, &of(10), 5));
        assert!(!told.is_new(1, &of(10), 5));
        assert!(told.is_new(1, &of(20), 5) && told.is_new(2, &of(10), 5));
        assert!(told.is_new(1, &of(10), 6));
        assert!(!told.is_new(1, &of(10), 5), "a clock that goes back tells nothing twice");
    }
}
