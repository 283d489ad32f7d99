//! Usage: what each project used by day, and quotas on it.
//!
//! In: what the store counted ([`Store::usage`](tallymark_store::Store::usage)): events that were stored and what
//! servers told with `usage_recorded`, by hour of receipt. Out: figures by UTC day, a daily rollup, and
//! whether a quota is exceeded.
//!
//! A day's usage is of receipt, not of event time: what was agreed for a day is not spent by an event that
//! comes late, and a day that is over stays as it is.
//!
//! Invariant: a figure equals the events behind it, also after a kill: there is no counter of its own to
//! be lost (see the store's `usage`).
//!
//! Here: metrics and days; in `quotas` what was agreed, in `spent` how much of it is used, in `rollup` what
//! happens at ten past midnight, in `record` and `handler` the way in and out over HTTP.
//!
//! Deliberately elsewhere: how fast somebody may send (`ingest::rate`), tables (`meta::daily_usage`).

pub mod handler;
pub mod quotas;
pub mod record;
pub mod rollup;
pub mod spent;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use tallymark_store::{UsageKind, Used};

use crate::app::App;
use crate::error::ApiError;
use crate::meta::daily_usage::DayAmount;

/// Events stored.
pub const EVENTS: &str = "events_daily";
/// Their bytes, as text.
pub const EVENT_BYTES: &str = "event_bytes_daily";
/// Events refused.
pub const REFUSED: &str = "refused_daily";
/// What every project has figures of. Servers cannot tell of them.
pub const BUILT_IN: [&str; 3] = [EVENTS, EVENT_BYTES, REFUSED];

const DAY_MS: i64 = 86_400_000;

/// The UTC day of a moment, since 1970-01-01.
pub fn day_of(ms: i64) -> i32 {
    let day = ms.div_euclid(DAY_MS);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// When a day begins, Unix milliseconds.
pub fn start_of(day: i32) -> i64 {
    i64::from(day) * DAY_MS
}

/// A day as people write it.
pub fn date_of(day: i32) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    let date = epoch.checked_add(jiff::Span::new().days(i64::from(day).clamp(-700_000, 2_900_000)));
    date.map_or_else(|_| day.to_string(), |date| date.to_string())
}

/// Whether servers may tell of a metric by this name.
pub fn may_tell(metric: &str) -> bool {
    tallymark_store::is_metric(metric) && !BUILT_IN.contains(&metric)
}

/// Figures by metric.
pub type Amounts = BTreeMap<Cow<'static, str>, u64>;

/// What the store counted, as metrics.
pub fn amounts(used: &Used) -> Amounts {
    let mut amounts = Amounts::new();
    for (kind, (count, bytes)) in &used.0 {
        match kind {
            UsageKind::Events => {
                amounts.insert(EVENTS.into(), *count);
                amounts.insert(EVENT_BYTES.into(), *bytes);
            }
            UsageKind::Refused => drop(amounts.insert(REFUSED.into(), *count)),
            // What went was not used.
            UsageKind::Expired => {}
            UsageKind::Metered(metric) if may_tell(metric) => {
                amounts.insert(metric.to_string().into(), *count);
            }
            UsageKind::Metered(_) => {}
        }
    }
    amounts
}

/// What a project used on each of these days, as the store counts it now.
///
/// # Errors
/// When the catalog cannot be read.
pub fn counted(app: &App, project: u32, days: Range<i32>) -> Result<Vec<DayAmount>, ApiError> {
    let hours = start_of(days.start)..start_of(days.end.max(days.start));
    let mut by_day: BTreeMap<(i32, String), u64> = BTreeMap::new();
    for (hour_ms, used) in app.store.usage(project, hours)? {
        for (metric, amount) in amounts(&used) {
            let sum = by_day.entry((day_of(hour_ms), metric.into_owned())).or_default();
            *sum = sum.saturating_add(amount).min(tallymark_store::AMOUNT_MAX);
        }
    }
    let days = by_day.into_iter();
    Ok(days.map(|((day, metric), amount)| DayAmount { project, metric, day, amount }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::first(0, 0, "1970-01-01")]
    #[case::last_moment(DAY_MS - 1, 0, "1970-01-01")]
    #[case::next(DAY_MS, 1, "1970-01-02")]
    #[case::before(-1, -1, "1969-12-31")]
    #[case::now(1_795_350_600_000, 20_779, "2026-11-22")]
    fn a_day_is_of_utc(#[case] ms: i64, #[case] day: i32, #[case] date: &str) {
        assert_eq!((day_of(ms), date_of(day).as_str()), (day, date));
        assert!(start_of(day) <= ms && ms < start_of(day + 1));
    }

    #[test]
    fn a_server_cannot_tell_of_what_is_counted_here() {
        assert!(BUILT_IN.iter().all(|metric| !may_tell(metric)));
        let told = UsageKind::Metered(EVENTS.into());
        let used = Used([(UsageKind::Events, (2, 50)), (told, (9, 0))].into());
        let want = [(EVENT_BYTES.into(), 50), (EVENTS.into(), 2)].into();
        assert_eq!(amounts(&used), want);
    }
}
