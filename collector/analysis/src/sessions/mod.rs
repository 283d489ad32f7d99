//! Sessions: how many visits, how long, how deep, where they begin and end.
//!
//! What a session is: [`cut`]. It counts in the bucket its first event lies in, all of it, also what
//! lies behind the end of the range; so the scan begins a day before the range, where sessions
//! that are older than the range show, and ends a day behind it.
//!
//! - *Views* are events named by `event`. Entry and exit page are the `path` of the first and last view.
//! - *Duration* is from the first event to the last. A session of one event lasts 0 ms.
//! - A *bounce* has one view, no event of `conversions`, and less than ten seconds of engaged time
//!   (`engaged_ms` of its events, added up; what is not reported is none).
//!
//! With a `breakdown` sessions are told apart by where they came from: by the value of their first event. A later page of a
//! visit knows no more where it came from.
//!
//! What `where` leaves out belongs to no session, but it still breaks the silence between two.
//!
//! With `compat: "matomo"` they also end where Matomo ends a visit ([`matomo`]).
//!
//! Invariant: the median is exact, in bounded memory: durations are listed while they are few enough; where they
//! are not, the first scan finds out between which two numbers it lies, and a second one takes what lies there.
//!
//! Not here: transitions between pages (`paths`), people by activity (`active`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{
    Answer, AnswerBody, Facts, Figure, Group, GroupValue, LATENESS_MS, Ranked, ranked, ratio,
};
use crate::events::{Actors, EventSet, ScanPlan};
use crate::filter::{Columns, Matcher, TextColumn};
use crate::kernel::{Analysis, Kernel, Key, Partial};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, Unit};

mod counter;
pub(crate) mod cut;
mod durations;
mod matomo;
#[cfg(test)]
mod tests;

use counter::{Counter, Row, Source};
use durations::Zone;

/// Pages of one answer.
const LIMIT_MAX: usize = 1000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default = "day")]
    bucket: Unit,
    #[serde(default = "view")]
    event: String,
    #[serde(default = "conversion")]
    conversions: Vec<String>,
    #[serde(default = "twenty")]
    limit: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compat: Option<Compat>,
}

/// Another product's rules.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Compat {
    Matomo,
}

fn day() -> Unit {
    Unit::Day
}
fn view() -> String {
    "$pageview".into()
}
fn conversion() -> Vec<String> {
    vec!["$conversion".into()]
}
fn twenty() -> usize {
    20
}

/// Visits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionsAnswer {
    /// Over time.
    pub buckets: Vec<SessionsBucket>,
    /// The whole range.
    pub total: SessionsBucket,
    /// Pages that sessions begin with, by falling number.
    pub entry_pages: Vec<EntryPage>,
    /// Pages that sessions end with, by falling number.
    pub exit_pages: Vec<ExitPage>,
    /// By the value of the breakdown property in a session's first event: values by falling number of sessions, then
    /// the rest. Empty without a breakdown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breakdown: Vec<SessionsGroup>,
}

/// Sessions that came from somewhere.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionsGroup {
    /// What `value` stands for.
    pub group: Group,
    /// The value.
    pub value: Option<GroupValue>,
    /// Sessions.
    pub sessions: u64,
    /// People of these sessions; not known of `other`, where somebody may be of several values.
    pub persons: Option<u64>,
    /// Sessions that bounced.
    pub bounces: u64,
    /// Bounces of all these sessions.
    pub bounce_ratio: Option<f64>,
    /// Views of all of them.
    pub views: u64,
    /// Views of a session, on average.
    pub pages_per_session: Option<f64>,
    /// Sessions with an event of `conversions`.
    pub converted: u64,
    /// These of all of them.
    pub conversion_ratio: Option<f64>,
}

/// Sessions that began in a bucket of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SessionsBucket {
    /// First day of the bucket; `null` for the whole range.
    pub bucket: Option<String>,
    /// Sessions.
    pub sessions: u64,
    /// Of these, bounces.
    pub bounces: u64,
    /// Bounces of all sessions; `null` when there is none.
    pub bounce_ratio: Option<f64>,
    /// Half of the sessions are shorter.
    pub median_duration_ms: Figure,
    /// Views of all of them.
    pub views: u64,
    /// Views of a session, on average.
    pub pages_per_session: Option<f64>,
}

/// A page that sessions begin with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryPage {
    /// The page.
    pub path: String,
    /// Sessions whose first view it is.
    pub sessions: u64,
    /// Of these, bounces.
    pub bounces: u64,
    /// Bounces of these sessions.
    pub bounce_ratio: Option<f64>,
}

/// A page that sessions end with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExitPage {
    /// The page.
    pub path: String,
    /// Sessions whose last view it is.
    pub sessions: u64,
}

/// Everything but the scan.
struct Shape {
    /// See [`counter::COUNTS`].
    matcher: Matcher,
    path: TextColumn,
    engaged: usize,
    breakdown: Option<TextColumn>,
    matomo: Option<Arc<matomo::Rules>>,
    /// Values of an answer.
    values: usize,
    buckets: Buckets,
    from_ms: i64,
    to_ms: i64,
    limit: usize,
    /// Per bucket, and for the whole range at the end: durations that the second scan takes.
    zones: Vec<Zone>,
}

struct Sessions {
    plan: ScanPlan,
    shape: Arc<Shape>,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    let common = Common::take(&mut body, context)?;
    let question: Question = parse(body)?;
    for (what, got, min, max) in [
        ("pages of an answer (`limit`)", question.limit, 1, LIMIT_MAX),
        ("events that convert (`conversions`)", question.conversions.len(), 0, 50),
    ] {
        if !(min..=max).contains(&got) {
            return Err(QuestionError::Count { what, got, min, max });
        }
    }
    let mut columns = Columns::default();
    let names = std::iter::once(&question.event).chain(&question.conversions);
    let always = crate::filter::Condition::always().bind(&mut columns);
    let names = names.map(|name| (Some(name.clone()), always.clone()));
    let counts = common.filter.bind(&mut columns);
    let patterns = [(None, counts), (None, always.clone())].into_iter().chain(names).collect();
    let (from_ms, to_ms) = (common.from_ms - cut::AGE_MS, common.to_ms + cut::AGE_MS);
    let matomo = match question.compat {
        None => None,
        Some(Compat::Matomo) => Some(Arc::new(matomo::Rules {
            days: Buckets::new(Unit::Day, &common.calendar, from_ms, to_ms, 0)?,
            campaign: ["utm_source", "utm_campaign"].map(|name| columns.text(name)),
        })),
    };
    let shape = Shape {
        matcher: Matcher::new(patterns),
        path: columns.text("path"),
        engaged: columns.number("engaged_ms"),
        breakdown: common.breakdown.as_ref().map(|breakdown| breakdown.column(&mut columns)),
        matomo,
        values: common.breakdown.as_ref().map_or(0, |breakdown| breakdown.limit),
        buckets: Buckets::new(question.bucket, &common.calendar, common.from_ms, common.to_ms, 0)?,
        from_ms: common.from_ms,
        to_ms: common.to_ms,
        limit: question.limit,
        zones: Vec::new(),
    };
    let mut plan = ScanPlan::with(columns, from_ms, to_ms, EventSet::All);
    plan.sessions = true;
    plan.actors = Actors::Always;
    let definition = definition(&common, &question);
    Ok(Compiled::new(definition, Sessions { plan, shape: Arc::new(shape) }))
}

impl Sessions {
    /// The figures of a bucket, or of the whole range behind the last one.
    fn bucket(&self, partial: &Partial, at: usize, is_listed: bool) -> SessionsBucket {
        let key = [Key::Int(counter::BUCKET), at.into()];
        let row = partial.rows.get(&key[..]).map(|row| Row::of(row)).unwrap_or_default();
        SessionsBucket {
            bucket: self.shape.buckets.labels.get(at).cloned(),
            sessions: row.sessions,
            bounces: row.bounces,
            bounce_ratio: ratio(row.bounces, row.sessions),
            median_duration_ms: Figure(self.median(partial, at, is_listed)),
            views: row.views,
            pages_per_session: ratio(row.views, row.sessions),
        }
    }
}

impl Sessions {
    fn median(&self, partial: &Partial, at: usize, is_listed: bool) -> Option<f64> {
        let all = self.shape.buckets.len();
        if is_listed {
            return durations::median_of_lists(partial, if at < all { at..at + 1 } else { 0..all });
        }
        durations::median(partial, at, self.shape.zones.get(at).copied())
    }

    fn groups(&self, partial: &Partial) -> Vec<SessionsGroup> {
        let start = [Key::Int(counter::GROUP)];
        let found = partial.starting_with(&start);
        let found = found.map(|(key, row)| (&key[0], Source::of(row)));
        let Ranked { values, absent, beyond } =
            ranked(found, |source| source.row.sessions as f64, self.shape.values);
        let group = |group, value, source: &Source| {
            let Source { row: Row { sessions, bounces, views }, converted, persons } = *source;
            SessionsGroup {
                group,
                value,
                sessions,
                persons: (group != Group::Other).then_some(persons),
                bounces,
                bounce_ratio: ratio(bounces, sessions),
                views,
                pages_per_session: ratio(views, sessions),
                converted,
                conversion_ratio: ratio(converted, sessions),
            }
        };
        let mut all: Vec<SessionsGroup> = values
            .iter()
            .map(|(key, source)| group(Group::Value, GroupValue::of(key), source))
            .collect();
        all.extend(absent.map(|source| group(Group::Absent, None, &source)));
        if !beyond.is_empty() {
            let mut other = Source::default();
            beyond.iter().for_each(|source| other.absorb(source));
            all.push(group(Group::Other, None, &other));
        }
        all
    }
}

impl Analysis for Sessions {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(Counter::new(&self.shape, self.plan.from_ms..self.plan.to_ms))
    }

    fn looks(&self) -> u32 {
        2
    }

    fn refine(&self, partial: &Partial) -> Option<Box<dyn Analysis>> {
        if !self.shape.zones.is_empty() {
            return None;
        }
        let all = self.shape.buckets.len();
        if durations::is_all_listed(partial, all) {
            return None;
        }
        let zones: Vec<Zone> = (0..=all).map(|at| Zone::of_median(partial, at)).collect();
        if zones.iter().all(|zone| zone.is_known()) {
            return None;
        }
        let Shape { matcher, buckets, matomo, .. } = &*self.shape;
        let (matcher, buckets, matomo) = (matcher.clone(), buckets.clone(), matomo.clone());
        let shape = Shape { matcher, buckets, matomo, zones, ..*self.shape };
        Some(Box::new(Self { plan: self.plan.clone(), shape: Arc::new(shape) }))
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let all = self.shape.buckets.len();
        let mut entry_pages = Vec::new();
        let mut exit_pages = Vec::new();
        for (key, row) in partial.starting_with(&[Key::Int(counter::PAGE)]) {
            let path = key[0].text().unwrap_or_default().to_owned();
            let [entries, bounces, exits] = [row[0], row[1], row[2]].map(|count| count as u64);
            if exits > 0 {
                exit_pages.push(ExitPage { path: path.clone(), sessions: exits });
            }
            if entries > 0 {
                let bounce_ratio = ratio(bounces, entries);
                entry_pages.push(EntryPage { path, sessions: entries, bounces, bounce_ratio });
            }
        }
        // Rows come in the order of their paths, which stays that of equals.
        entry_pages.sort_by_key(|page| std::cmp::Reverse(page.sessions));
        exit_pages.sort_by_key(|page| std::cmp::Reverse(page.sessions));
        entry_pages.truncate(self.shape.limit);
        exit_pages.truncate(self.shape.limit);
        let is_listed = self.shape.zones.is_empty() && durations::is_all_listed(partial, all);
        let body = SessionsAnswer {
            buckets: (0..all).map(|at| self.bucket(partial, at, is_listed)).collect(),
            total: self.bucket(partial, all, is_listed),
            entry_pages,
            exit_pages,
            breakdown: self.groups(partial),
        };
        // A session that began in the range may go on behind it.
        let complete = facts.now_ms >= self.shape.to_ms + cut::AGE_MS + LATENESS_MS;
        Answer { complete, body: AnswerBody::Sessions(body) }
    }
}
