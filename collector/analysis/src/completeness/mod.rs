//! Completeness: of the events that pages made, how many are here, by day and browser.
//!
//! A page load numbers what is tracked in it, from 0, whatever becomes of it (`$writer`, `$n`), and says how many
//! it knows to be lost, and why (`$lost`). Each event is stored once, so a page load whose highest number is `n`
//! lacks `n + 1` less the events that are here. What was made after the last event that arrived cannot be known.
//!
//! A page load belongs to the day, and the browser, of its earliest event here. Pages stay open over midnight, so
//! the whole time for which writers are kept is scanned, whatever days are asked for.
//!
//! Memory: nearly every page load is whole in the rows of one person, and is counted at once. Only others are
//! kept, [`OPEN_BYTES`] each; a store gives up a question that would need too many. Where the rows of a person lack
//! the first numbers, somebody else may have them: then a second scan takes back what it counted too early.
//!
//! Deliberately elsewhere: numbers (the SDK), how long writers are kept (the store drops them with the event ids).

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tallymark_protocol::drop_reason::DropReason;

use crate::answer::{Answer, AnswerBody, Facts, LATENESS_MS};
use crate::events::{ABSENT, Dictionaries, EventSet, Run, ScanPlan};
use crate::filter::{Columns, TextColumn};
use crate::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use crate::question::{Common, Compiled, Context, QuestionError, definition, parse};
use crate::time_bucket::{Buckets, DAY_MS, Unit, date_of, start_of};

mod answer;
#[cfg(test)]
mod tests;

use answer::listed;
pub use answer::{Completeness, CompletenessAnswer, CompletenessBrowser, CompletenessDay};

/// Days that are answered; older writers are forgotten.
pub const KNOWN_DAYS: i64 = 30;
/// A page that stayed open over the first midnight began before it.
const BEFORE_MS: i64 = DAY_MS;
/// What a page load that is not whole costs, its row in the table included.
const OPEN_BYTES: usize = 320;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {}

/// The question for the page loads of people who met a variant, to be compared with those of another: a
/// variant that breaks pages loses events, and with them conversions.
pub fn of_variant(experiment: &str, variant: &str, from: &str, to: &str) -> Value {
    let met = json!([
        { "prop": "experiment", "op": "eq", "value": experiment },
        { "prop": "variant", "op": "eq", "value": variant },
    ]);
    json!({ "from": from, "to": to, "cohort": { "did": { "event": "$exposure", "where": met } } })
}

struct Asked {
    plan: ScanPlan,
    columns: Wanted,
    /// Nothing when all days asked for are forgotten.
    days: Option<Buckets>,
    known_from: String,
    to_ms: i64,
    /// In a second scan: the page loads whose first numbers are to be found.
    sought: Option<Arc<HashSet<u64>>>,
}

/// Where the columns are.
#[derive(Clone, Copy)]
struct Wanted {
    writer: usize,
    number: usize,
    browser: TextColumn,
    lost: TextColumn,
}

/// Understand the question.
///
/// # Errors
/// [`QuestionError`] when a field is wrong.
pub(crate) fn compile(
    mut body: Map<String, Value>,
    context: &Context,
) -> Result<Compiled, QuestionError> {
    // A page load that is looked at in part is never whole.
    Common::unsupported(&mut body, &["where"])?;
    let common = Common::take(&mut body, context)?.without_breakdown()?;
    let question: Question = parse(body)?;
    let horizon_ms = context.now_ms - KNOWN_DAYS * DAY_MS;
    let first_whole_day = date_of(horizon_ms - 1, &common.calendar.tz)
        .and_then(|day| day.tomorrow().ok())
        .and_then(|day| start_of(day, &common.calendar.tz));
    let known_ms = first_whole_day.unwrap_or(horizon_ms);
    let from_ms = common.from_ms.max(known_ms);
    let days = (from_ms < common.to_ms)
        .then(|| Buckets::new(Unit::Day, &common.calendar, from_ms, common.to_ms, 0))
        .transpose()?;
    let mut columns = Columns::default();
    let wanted = Wanted {
        writer: columns.number("$writer"),
        number: columns.number("$n"),
        browser: columns.text("browser"),
        lost: columns.text("$lost"),
    };
    let (scan_from_ms, scan_to_ms) = (known_ms - BEFORE_MS, context.now_ms + DAY_MS);
    let asked = Asked {
        plan: ScanPlan::with(columns, scan_from_ms, scan_to_ms, EventSet::All),
        columns: wanted,
        days,
        known_from: common.rfc3339(known_ms),
        to_ms: common.to_ms,
        sought: None,
    };
    Ok(Compiled::new(definition(&common, &question), asked))
}

impl Analysis for Asked {
    fn scan(&self) -> &ScanPlan {
        &self.plan
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        let counter = Counter {
            columns: self.columns,
            days: self.days.clone(),
            sought: self.sought.clone(),
            whole: HashMap::new(),
            open: Vec::new(),
            told: Vec::new(),
            loads: HashMap::new(),
        };
        Box::new(ByRun::new(&self.plan, counter))
    }

    fn looks(&self) -> u32 {
        2
    }

    fn refine(&self, partial: &Partial) -> Option<Box<dyn Analysis>> {
        if self.sought.is_some() {
            return None;
        }
        let open = partial.starting_with(&[Key::Int(1)]);
        let headless = open.filter(|(_, row)| row[1] > 0.0);
        let sought: HashSet<u64> =
            headless.filter_map(|(key, _)| key[0].int().map(i64::cast_unsigned)).collect();
        (!sought.is_empty()).then(|| {
            Box::new(Self {
                plan: self.plan.clone(),
                days: self.days.clone(),
                known_from: self.known_from.clone(),
                sought: Some(Arc::new(sought)),
                ..*self
            }) as Box<dyn Analysis>
        })
    }

    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        let cells = cells(partial);
        let labels = self.days.as_ref().map_or(&[][..], |days| &days.labels);
        let mut total = Completeness::default();
        let mut days: Vec<CompletenessDay> = Vec::new();
        let mut all_browsers: BTreeMap<&Option<String>, Completeness> = BTreeMap::new();
        for (day, label) in labels.iter().enumerate() {
            let mut all = Completeness::default();
            let mut browsers: BTreeMap<&Option<String>, Completeness> = BTreeMap::new();
            for ((_, browser), cell) in cells.iter().filter(|((of, _), _)| *of == day as i64) {
                all.add(cell);
                all_browsers.entry(browser).or_default().add(cell);
                browsers.insert(browser, cell.clone());
            }
            total.add(&all);
            days.push(CompletenessDay {
                day: label.clone(),
                all: all.finish(),
                browsers: listed(browsers),
            });
        }
        let body = CompletenessAnswer {
            known_from: self.known_from.clone(),
            total: total.finish(),
            days,
            browsers: listed(all_browsers),
        };
        Answer {
            complete: facts.now_ms >= self.to_ms + LATENESS_MS,
            body: AnswerBody::Completeness(body),
        }
    }
}

/// Day and browser.
type Place = (i64, Option<String>);

/// The table by day and browser, page loads put together.
fn cells(partial: &Partial) -> BTreeMap<Place, Completeness> {
    let place = |key: &[Key]| (key[0].int().unwrap_or(-1), key[1].text().map(str::to_owned));
    let mut cells: BTreeMap<Place, Completeness> = BTreeMap::new();
    for (key, row) in partial.starting_with(&[Key::Int(0)]).filter(|(_, row)| row[0] > 0.0) {
        let cell = cells.entry(place(key)).or_default();
        cell.page_loads += row[0] as u64;
        cell.issued += row[1] as u64;
        cell.received += row[1] as u64;
    }
    let mut loads: BTreeMap<i64, (Place, u64, u64)> = BTreeMap::new();
    for (key, row) in partial.starting_with(&[Key::Int(1)]) {
        let (writer, issued, received) = (key[0].int(), key[3].int(), row[0] as u64);
        let issued = issued.unwrap_or(0).cast_unsigned();
        // Keys of a writer come in the order of their days.
        let (_, most, sum) =
            loads.entry(writer.unwrap_or(0)).or_insert_with(|| (place(&key[1..]), 0, 0));
        *most = issued.max(*most);
        *sum += received;
    }
    let mut lost: BTreeMap<i64, BTreeMap<&str, u64>> = BTreeMap::new();
    for (key, _) in partial.starting_with(&[Key::Int(2)]) {
        let of_load = lost.entry(key[0].int().unwrap_or(0)).or_default();
        for (reason, count) in reports(key[1].text().unwrap_or("")) {
            let most = of_load.entry(reason).or_default();
            *most = count.max(*most);
        }
    }
    for (writer, (place, issued, received)) in loads {
        let cell = cells.entry(place).or_default();
        // Two events of one number: a client that cannot count misses nothing for it.
        let issued = issued.max(received);
        cell.page_loads += 1;
        cell.page_loads_with_gaps += u64::from(issued > received);
        cell.issued += issued;
        cell.received += received;
        for (reason, count) in lost.remove(&writer).unwrap_or_default() {
            *cell.lost.entry(reason.to_owned()).or_default() += count;
        }
    }
    cells
}

/// What a page says it lost, as stored: `queue_full=3,refused=1`; counts since the page began.
pub fn report(lost: impl IntoIterator<Item = (DropReason, u32)>) -> Option<String> {
    let told: Vec<String> = lost
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{}={count}", reason.as_str()))
        .collect();
    (!told.is_empty()).then(|| told.join(","))
}

fn reports(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.split(',').filter_map(|one| {
        let (reason, count) = one.split_once('=')?;
        Some((reason, count.parse().ok()?))
    })
}

/// Table: `(0, day, browser)` → page loads, events, of those that are whole; `(1, writer, day, browser, issued)` →
/// events, parts without the first number, of others; `(2, writer, report)` → 1. Days that are not asked for are -1.
/// A second scan moves what it sought from the first kind of row to the second.
struct Counter {
    columns: Wanted,
    days: Option<Buckets>,
    sought: Option<Arc<HashSet<u64>>>,
    /// By day and code of the browser: page loads, events.
    whole: HashMap<(i64, u32), (i64, i64)>,
    open: Vec<(u64, Load)>,
    /// Writers and codes of what they told.
    told: Vec<(u64, u32)>,
    /// Of one person.
    loads: HashMap<u64, Load>,
}

/// Page loads of one person for which room is kept.
const ROOM_KEPT: usize = 64;

#[derive(Clone, Copy)]
struct Load {
    first_ms: i64,
    browser: u32,
    first: u64,
    issued: u64,
    received: u64,
    lost: u32,
}

impl Counter {
    fn day(&self, at_ms: i64) -> i64 {
        let days = self.days.as_ref();
        let within =
            days.filter(|days| days.bounds_ms[0] <= at_ms && at_ms < days.bounds_ms[days.len()]);
        within.map_or(-1, |days| days.index(at_ms) as i64)
    }
}

impl RunKernel for Counter {
    fn person(&mut self, run: &Run<'_>, _: &Dictionaries) {
        let Wanted { writer, number, browser, lost } = self.columns;
        let (browsers, lost) = (browser.of(run), lost.of(run));
        for row in 0..run.len() {
            let writer = run.numbers[writer][row];
            if writer.is_nan() {
                continue;
            }
            let writer = writer as u64;
            let load = self.loads.entry(writer).or_insert(Load {
                first_ms: run.ts[row],
                browser: browsers[row],
                first: u64::MAX,
                issued: 0,
                received: 0,
                lost: ABSENT,
            });
            let number = run.numbers[number][row] as u64;
            load.first = load.first.min(number);
            load.issued = load.issued.max(number + 1);
            load.received += 1;
            if lost[row] != load.lost && lost[row] != ABSENT {
                load.lost = lost[row];
                if self.sought.is_none() {
                    self.told.push((writer, lost[row]));
                }
            }
        }
        let mut loads = std::mem::take(&mut self.loads);
        for (writer, load) in loads.drain() {
            let is_whole = load.issued == load.received && load.lost == ABSENT;
            let sign = match &self.sought {
                None if is_whole => 1,
                Some(sought) if is_whole && sought.contains(&writer) => -1,
                None => 0,
                Some(_) => continue,
            };
            if sign != 0 {
                let cell = (self.day(load.first_ms), load.browser);
                let (page_loads, events) = self.whole.entry(cell).or_default();
                *page_loads += sign;
                *events += sign * load.received.cast_signed();
            }
            if sign <= 0 {
                self.open.push((writer, load));
            }
        }
        // Emptying a map costs its room, not its content: one person of many page loads must not make
        // all others cost as much.
        if loads.capacity() <= ROOM_KEPT {
            self.loads = loads;
        }
    }

    fn bytes(&self) -> usize {
        (self.open.len() + self.told.len()) * OPEN_BYTES
    }

    fn finish(self: Box<Self>, dictionaries: &Dictionaries) -> Partial {
        let mut partial = Partial::default();
        let browser =
            |code| Key::from_text(self.columns.browser.dictionary(dictionaries).text(code));
        let writer = |writer: u64| Key::Int(writer.cast_signed());
        for ((day, code), (page_loads, events)) in &self.whole {
            let key = vec![Key::Int(0), Key::Int(*day), browser(*code)];
            partial.add(key, &[*page_loads as f64, *events as f64]);
        }
        for (id, load) in &self.open {
            let (day, issued) = (Key::Int(self.day(load.first_ms)), load.issued as usize);
            let key = vec![Key::Int(1), writer(*id), day, browser(load.browser), issued.into()];
            partial.add(key, &[load.received as f64, f64::from(u8::from(load.first > 0))]);
        }
        for (id, code) in &self.told {
            let told = Key::from_text(self.columns.lost.dictionary(dictionaries).text(*code));
            partial.add(vec![Key::Int(2), writer(*id), told], &[1.0]);
        }
        partial
    }
}
