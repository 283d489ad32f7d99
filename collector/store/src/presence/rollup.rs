//! Presence in memory: persons, and for each event on which local days they did it.
//!
//! In: sorted rows ([`Rows`]). Out: one [`Part`] per project, with lists of (person, mask of days).
//!
//! Days are counted from the first local day of the rows. A mask holds 64 of them; a list belongs to
//! one such *stretch* of days, so any span of time can be told, and a week or a month is one stretch.
//! What people did under an id that changes daily has lists of its own.
//!
//! Invariant: a list names each person once, in order; a person without a bit is not in it.
//!
//! Deliberately elsewhere: files (`file`), questions (`ask`).

use std::sync::Arc;

use hashbrown::HashMap;
use tallymark_analysis::presence::PASSIVE;
use tallymark_analysis::time_bucket::{Buckets, Unit, time_zone};

use crate::options::Zones;
use crate::row::flags;

/// Lists of one project, at most: beyond that only "any active event" is told.
const LISTS_MAX: usize = 64 * 1024;
/// Days in a mask.
pub(super) const STRETCH: usize = 64;

/// Sorted rows, as columns of equal length.
pub(crate) struct Rows<'a> {
    pub projects: &'a [u32],
    pub persons: &'a [u64],
    pub ts_ms: &'a [i64],
    /// Places in `names`.
    pub events: &'a [u32],
    pub names: &'a [&'a str],
    pub flags: &'a [u8],
}

/// What is known of one project.
#[derive(Debug)]
pub(crate) struct Part {
    pub project: u32,
    /// Name of the time zone of the days.
    pub zone: String,
    /// Starts of the days, and the end of the last one. Empty when the calendar cannot tell them:
    /// then there are no lists.
    pub bounds_ms: Vec<i64>,
    /// Whether every event has its lists.
    pub is_complete: bool,
    pub lists: Vec<ListKey>,
}

/// What a list is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct ListKey {
    /// An event; `None` is any active one.
    pub event: Option<Box<str>>,
    /// Only what people did under an id that changes daily; what others did is not in it.
    pub is_daily: bool,
    /// The first bit is day `64 * stretch`.
    pub stretch: u32,
}

/// Who, and on which days of the stretch.
#[derive(Debug, PartialEq)]
pub(crate) struct DayList {
    /// Places in the part's persons; `None` when it is all of them.
    pub at: Option<Vec<u32>>,
    pub masks: Masks,
}

/// Masks in as few bytes as they need.
#[derive(Debug, PartialEq)]
pub(crate) enum Masks {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
}

impl DayList {
    pub(crate) fn len(&self) -> usize {
        match &self.masks {
            Masks::U8(masks) => masks.len(),
            Masks::U16(masks) => masks.len(),
            Masks::U32(masks) => masks.len(),
            Masks::U64(masks) => masks.len(),
        }
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> usize {
        let width = match &self.masks {
            Masks::U8(_) => 1,
            Masks::U16(_) => 2,
            Masks::U32(_) => 4,
            Masks::U64(_) => 8,
        };
        self.len() * (width + if self.at.is_some() { 4 } else { 0 }) + 64
    }
}

impl Masks {
    /// The same masks, narrow.
    pub(super) fn narrow(masks: Vec<u64>) -> Self {
        match masks.iter().fold(0, |all, mask| all | mask) {
            all if all <= u64::from(u8::MAX) => {
                Self::U8(masks.into_iter().map(|mask| mask as u8).collect())
            }
            all if all <= u64::from(u16::MAX) => {
                Self::U16(masks.into_iter().map(|mask| mask as u16).collect())
            }
            all if all <= u64::from(u32::MAX) => {
                Self::U32(masks.into_iter().map(|mask| mask as u32).collect())
            }
            _ => Self::U64(masks),
        }
    }
}

/// Presence of sorted rows that are in memory.
#[derive(Debug, Default)]
pub(crate) struct Rollup {
    pub parts: Vec<BuiltPart>,
}

/// A part and what its lists hold.
#[derive(Debug)]
pub(crate) struct BuiltPart {
    pub part: Part,
    pub persons: Arc<Vec<u64>>,
    pub lists: Vec<Arc<DayList>>,
}

/// Makes a [`Rollup`] from rows in order.
pub(crate) struct Builder {
    zones: Zones,
    /// First and last time of all rows to come.
    ts_ms: (i64, i64),
    parts: Vec<BuiltPart>,
    open: Option<PartBuilder>,
}

impl Builder {
    /// For rows whose times lie within `ts_ms`, both ends included.
    pub(crate) fn new(ts_ms: (i64, i64), zones: &Zones) -> Self {
        Self { zones: zones.clone(), ts_ms, parts: Vec::new(), open: None }
    }

    /// Add rows that come after those added before.
    pub(crate) fn add(&mut self, rows: &Rows<'_>) {
        let mut from = 0;
        for of_project in rows.projects.chunk_by(|a, b| a == b) {
            let (project, to) = (of_project[0], from + of_project.len());
            if self.open.as_ref().is_none_or(|open| open.project != project) {
                self.close();
                self.open = Some(PartBuilder::new(project, self.zones.of(project), self.ts_ms));
            }
            if let Some(open) = &mut self.open {
                open.add(rows, from..to);
            }
            from = to;
        }
    }

    fn close(&mut self) {
        self.parts.extend(self.open.take().map(PartBuilder::finish));
    }

    pub(crate) fn finish(mut self) -> Rollup {
        self.close();
        Rollup { parts: self.parts }
    }
}

/// The local days of a span of time: their starts, and the end of the last one; nothing when the
/// calendar cannot tell them.
pub(super) fn local_days(zone: &str, (first, last): (i64, i64)) -> Option<Buckets> {
    let tz = time_zone(zone).ok()?;
    Buckets::new(Unit::Day, &tz.into(), first, last.checked_add(1)?, 0).ok()
}

struct PartBuilder {
    project: u32,
    zone: String,
    days: Option<Buckets>,
    stretches: usize,
    persons: Vec<u64>,
    events: HashMap<Box<str>, usize>,
    is_complete: bool,
    /// `(event × 2 + is daily) × stretches + stretch`; event 0 is any active one.
    lists: Vec<ListBuilder>,
}

#[derive(Default)]
struct ListBuilder {
    at: Vec<u32>,
    masks: Vec<u64>,
}

impl ListBuilder {
    #[inline]
    fn add(&mut self, person: u32, bit: u32) {
        if self.at.last() == Some(&person) {
            if let Some(mask) = self.masks.last_mut() {
                *mask |= 1 << bit;
            }
        } else {
            self.at.push(person);
            self.masks.push(1 << bit);
        }
    }
}

impl PartBuilder {
    fn new(project: u32, zone: String, ts_ms: (i64, i64)) -> Self {
        let days = local_days(&zone, ts_ms);
        let stretches = days.as_ref().map_or(0, |days| days.len().div_ceil(STRETCH));
        let mut lists = Vec::new();
        lists.resize_with(2 * stretches, ListBuilder::default);
        Self {
            project,
            zone,
            days,
            stretches,
            persons: Vec::new(),
            events: HashMap::new(),
            is_complete: true,
            lists,
        }
    }

    /// The list of an event's first stretch, `None` when there are too many events.
    fn event(&mut self, name: &str) -> Option<usize> {
        let next = self.events.len() + 1;
        let event = match self.events.get(name) {
            Some(event) => *event,
            None if (next + 1) * 2 * self.stretches > LISTS_MAX => {
                self.is_complete = false;
                return None;
            }
            None => {
                self.events.insert(name.into(), next);
                self.lists.resize_with((next + 1) * 2 * self.stretches, ListBuilder::default);
                next
            }
        };
        Some(event * 2 * self.stretches)
    }

    fn add(&mut self, rows: &Rows<'_>, range: std::ops::Range<usize>) {
        let Some(days) = self.days.take() else { return };
        // Per name of these rows, found when a row has it: its list, and whether it is passive.
        let mut known: Vec<Option<(Option<usize>, bool)>> = vec![None; rows.names.len()];
        let (mut day, mut day_end) = (0, i64::MIN);
        for row in range {
            let person = rows.persons[row];
            if self.persons.last() != Some(&person) {
                self.persons.push(person);
                day_end = i64::MIN;
            }
            let at = self.persons.len() as u32 - 1;
            let ts_ms = rows.ts_ms[row];
            if ts_ms >= day_end {
                day = days.index(ts_ms);
                day_end = days.end_ms(day);
            }
            let event = rows.events[row] as usize;
            let (list, is_passive) = match known[event] {
                Some(known) => known,
                None => {
                    let name = rows.names[event];
                    *known[event].insert((self.event(name), PASSIVE.contains(&name)))
                }
            };
            let is_daily = rows.flags[row] & (flags::DAILY_ACTOR | flags::IDENTIFIED);
            let of_ids = if is_daily == flags::DAILY_ACTOR { self.stretches } else { 0 };
            let stretch = of_ids + day / STRETCH;
            let bit = (day % STRETCH) as u32;
            if let Some(list) = list {
                self.lists[list + stretch].add(at, bit);
            }
            if !is_passive {
                self.lists[stretch].add(at, bit);
            }
        }
        self.days = Some(days);
    }

    fn finish(self) -> BuiltPart {
        let mut names: Vec<Option<Box<str>>> = vec![None; self.events.len() + 1];
        for (name, event) in self.events {
            names[event] = Some(name);
        }
        let persons = self.persons.len();
        let stretches = self.stretches.max(1);
        let mut lists: Vec<(ListKey, Arc<DayList>)> = Vec::new();
        for (place, list) in self.lists.into_iter().enumerate() {
            if list.at.is_empty() {
                continue;
            }
            let key = ListKey {
                event: names[place / stretches / 2].clone(),
                is_daily: place / stretches % 2 == 1,
                stretch: (place % stretches) as u32,
            };
            let at = (list.at.len() < persons).then_some(list.at);
            lists.push((key, Arc::new(DayList { at, masks: Masks::narrow(list.masks) })));
        }
        lists.sort_by(|a, b| a.0.cmp(&b.0));
        let (keys, lists) = lists.into_iter().unzip();
        let part = Part {
            project: self.project,
            zone: self.zone,
            bounds_ms: self.days.map(|days| days.bounds_ms).unwrap_or_default(),
            is_complete: self.is_complete,
            lists: keys,
        };
        BuiltPart { part, persons: Arc::new(self.persons), lists }
    }
}
