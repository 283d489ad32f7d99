//! Usage: how much each project stored, and how much it was told to have used, by hour of receipt.
//!
//! In: rows as they become durable. Out: sums that equal the rows, whenever they are asked for: a sum is
//! in memory as long as its rows are, and goes to the catalog in the transaction that makes them a
//! segment. So a kill loses nothing and counts nothing twice, without a journal of its own.
//!
//! A server says what was used with an event `usage_recorded`: `metric` and `amount`, a whole number, 1 if it
//! is left out. Pages cannot: whoever has a public key would use up what others pay for.
//!
//! Deliberately elsewhere: days, limits and what happens beyond them (the collector).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::catalog::{RefusedRow, UsageDelta, UsageKind};
use crate::error::ScanError;
use crate::props;
use crate::row::{Row, flags};
use crate::store::Store;

/// The event by which a server says what was used.
pub const USAGE_EVENT: &str = "usage_recorded";
/// Largest amount and largest sum: what JSON and a double hold exactly.
pub const AMOUNT_MAX: u64 = 1 << 53;
/// Characters of a metric's name.
pub const METRIC_CHARS_MAX: usize = 64;

const HOUR_MS: i64 = 3_600_000;
/// Hours of which the sums are in memory also after a flush: today and yesterday, whatever the clock does.
const RECENT_MS: i64 = 3 * 24 * HOUR_MS;

/// The hour of a time.
pub(crate) fn hour_of(ms: i64) -> i64 {
    ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)
}

/// Hours that are kept in memory at a moment.
pub(crate) fn recent_hours(now_ms: i64) -> Range<i64> {
    hour_of(now_ms.saturating_sub(RECENT_MS))..i64::MAX
}

/// Whether a metric may be called this: lower-case letters, digits, `_`, `.`, `-` and `:`, a letter or digit
/// first, at most [`METRIC_CHARS_MAX`] of them.
pub fn is_metric(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= METRIC_CHARS_MAX
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || b"_.-:".contains(&byte))
}

/// What the properties of a [`USAGE_EVENT`] say: of which metric, and how much. `None` when they say neither
/// in a form that counts.
pub fn metered(props: &str) -> Option<(Arc<str>, u64)> {
    let metric = props::find(props, "metric")?;
    let metric = metric.text().filter(|name| is_metric(name))?;
    let amount = match props::find(props, "amount") {
        None => 1.0,
        Some(amount) => amount.number(),
    };
    let counts = amount.fract() == 0.0 && (0.0..=AMOUNT_MAX as f64).contains(&amount);
    counts.then(|| (metric.as_ref().into(), amount as u64))
}

/// The same of a row, if it counts.
pub(crate) fn metered_by(event: &str, row_flags: u8, props: &str) -> Option<(Arc<str>, u64)> {
    if event != USAGE_EVENT || row_flags & flags::SERVER == 0 {
        return None;
    }
    metered(props)
}

/// Sums by project, hour and kind: counts and bytes.
#[derive(Debug, Default)]
pub(crate) struct UsageTable {
    sums: BTreeMap<(u32, i64, UsageKind), (u64, u64)>,
}

impl UsageTable {
    pub(crate) fn add(&mut self, project: u32, hour_ms: i64, kind: UsageKind, more: (u64, u64)) {
        let sum = self.sums.entry((project, hour_ms, kind)).or_default();
        *sum = (plus(sum.0, more.0), plus(sum.1, more.1));
    }

    /// Rows that are stored. Neighbours are of one batch, and so of one project and hour.
    pub(crate) fn add_rows(&mut self, rows: &[Row]) {
        let at = |row: &Row| (row.project, hour_of(row.received_ms));
        for rows in rows.chunk_by(|a, b| at(a) == at(b)) {
            let (project, hour_ms) = at(&rows[0]);
            let bytes = rows.iter().map(|row| (row.event.len() + row.props.len()) as u64).sum();
            self.add(project, hour_ms, UsageKind::Events, (rows.len() as u64, bytes));
            for row in rows {
                if let Some((metric, amount)) = metered_by(&row.event, row.flags, &row.props) {
                    self.add(project, hour_ms, UsageKind::Metered(metric), (amount, 0));
                }
            }
        }
    }

    /// Rows that were refused.
    pub(crate) fn add_refused(&mut self, rows: &[RefusedRow]) {
        for row in rows {
            let one = (1, row.raw.len() as u64);
            self.add(row.project, hour_of(row.received_ms), UsageKind::Refused, one);
        }
    }

    /// What the catalog has learnt.
    pub(crate) fn add_deltas(&mut self, deltas: &[UsageDelta]) {
        for delta in deltas {
            let more = (delta.count, delta.bytes);
            self.add(delta.project, delta.hour_ms, delta.kind.clone(), more);
        }
    }

    /// Forget what is too old to be asked for of a moment like this one.
    pub(crate) fn forget(&mut self, now_ms: i64) {
        let hours = recent_hours(now_ms);
        self.sums.retain(|(_, hour_ms, _), _| hours.contains(hour_ms));
    }

    /// As the catalog takes them.
    pub(crate) fn deltas(&self) -> Vec<UsageDelta> {
        let all = self.sums.iter();
        all.map(|((project, hour_ms, kind), &(count, bytes))| UsageDelta {
            project: *project,
            hour_ms: *hour_ms,
            kind: kind.clone(),
            count,
            bytes,
        })
        .collect()
    }

    /// Sums of a project over hours that begin in `hours`.
    fn sum_into(&self, project: u32, hours: &Range<i64>, sums: &mut Used) {
        if hours.is_empty() {
            return;
        }
        let from = (project, hours.start, UsageKind::FIRST);
        let of_project = self.sums.range(from..(project, hours.end, UsageKind::FIRST));
        of_project.for_each(|((_, _, kind), more)| sums.add(kind, *more));
    }
}

fn plus(a: u64, b: u64) -> u64 {
    a.saturating_add(b).min(AMOUNT_MAX)
}

/// What a project used in some time, by kind: counts and bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used(pub BTreeMap<UsageKind, (u64, u64)>);

impl Used {
    fn add(&mut self, kind: &UsageKind, more: (u64, u64)) {
        match self.0.get_mut(kind) {
            Some(sum) => *sum = (plus(sum.0, more.0), plus(sum.1, more.1)),
            None => drop(self.0.insert(kind.clone(), more)),
        }
    }

    /// Count and bytes of a kind.
    pub fn of(&self, kind: &UsageKind) -> (u64, u64) {
        self.0.get(kind).copied().unwrap_or_default()
    }
}

impl Store {
    /// What a project used in the hours of receipt that begin in `hours` (Unix milliseconds, end excluded),
    /// hour by hour, the newest rows included.
    ///
    /// # Errors
    /// [`ScanError`] when the catalog cannot be read.
    pub fn usage(&self, project: u32, hours: Range<i64>) -> Result<BTreeMap<i64, Used>, ScanError> {
        let held = self.shared.hold_catalog();
        let mut by_hour: BTreeMap<i64, Used> = BTreeMap::new();
        for delta in self.shared.catalog.used(Some(project), hours.clone())? {
            let hour = by_hour.entry(delta.hour_ms).or_default();
            hour.add(&delta.kind, (delta.count, delta.bytes));
        }
        let live = self.shared.live();
        let frozen = live.frozen.as_ref().map(|frozen| &*frozen.usage);
        for table in frozen.into_iter().chain([live.active.usage()]) {
            let from = (project, hours.start, UsageKind::FIRST);
            let to = (project, hours.end.max(hours.start), UsageKind::FIRST);
            for ((_, hour_ms, kind), more) in table.sums.range(from..to) {
                by_hour.entry(*hour_ms).or_default().add(kind, *more);
            }
        }
        drop(live);
        drop(held);
        Ok(by_hour)
    }

    /// What a project used since `from_ms`, the beginning of an hour at most a day ago, from memory: quick
    /// enough to ask with every batch.
    pub fn used_since(&self, project: u32, from_ms: i64) -> Used {
        let hours = from_ms..i64::MAX;
        let live = self.shared.live();
        let mut sums = Used::default();
        live.recent_usage.sum_into(project, &hours, &mut sums);
        if let Some(frozen) = &live.frozen {
            frozen.usage.sum_into(project, &hours, &mut sums);
        }
        live.active.usage().sum_into(project, &hours, &mut sums);
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("api_requests_daily", true)]
    #[case::one_character("a", true)]
    #[case::all_kinds("a9_.-:", true)]
    #[case::longest(&"a".repeat(64), true)]
    #[case::one_too_long(&"a".repeat(65), false)]
    #[case::empty("", false)]
    #[case::upper_case("Api", false)]
    #[case::not_a_letter_first("_api", false)]
    #[case::space("a b", false)]
    #[case::quote("a\"b", false)]
    fn a_metric_may_be_called(#[case] name: &str, #[case] may: bool) {
        assert_eq!(is_metric(name), may);
    }

    #[rstest]
    #[case::amount(r#"{"metric":"a","amount":3}"#, Some(3))]
    #[case::one_by_default(r#"{"metric":"a"}"#, Some(1))]
    #[case::nothing(r#"{"metric":"a","amount":0}"#, Some(0))]
    #[case::largest(r#"{"metric":"a","amount":9007199254740992}"#, Some(AMOUNT_MAX))]
    #[case::beyond(r#"{"metric":"a","amount":9007199254740994}"#, None)]
    #[case::negative(r#"{"metric":"a","amount":-1}"#, None)]
    #[case::part(r#"{"metric":"a","amount":0.5}"#, None)]
    #[case::no_number(r#"{"metric":"a","amount":"many"}"#, None)]
    #[case::null(r#"{"metric":"a","amount":null}"#, None)]
    #[case::no_metric(r#"{"amount":3}"#, None)]
    #[case::no_name(r#"{"metric":"A b"}"#, None)]
    #[case::no_object("[]", None)]
    fn properties_say(#[case] props: &str, #[case] amount: Option<u64>) {
        assert_eq!(metered(props), amount.map(|amount| ("a".into(), amount)));
    }

    #[rstest]
    #[case::a_server(USAGE_EVENT, flags::SERVER, true)]
    #[case::a_page(USAGE_EVENT, 0, false)]
    #[case::another_event("opened", flags::SERVER, false)]
    fn usage_is_told_by(#[case] event: &str, #[case] flags: u8, #[case] counts: bool) {
        assert_eq!(metered_by(event, flags, r#"{"metric":"a"}"#).is_some(), counts);
    }

    #[test]
    fn sums_stop_where_they_would_not_be_exact() {
        let mut table = UsageTable::default();
        let kind = UsageKind::Metered("a".into());
        table.add(1, 0, kind.clone(), (AMOUNT_MAX, 0));
        table.add(1, 0, kind, (AMOUNT_MAX, 0));
        assert_eq!(table.deltas()[0].count, AMOUNT_MAX);
    }
}
