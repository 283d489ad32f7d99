//! A question that shows everything a kernel sees, and rows of a small world.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tallymark_analysis::answer::{Answer, Facts};
use tallymark_analysis::events::{
    ABSENT, Actors, Dictionaries, EventSet, NO_SESSION, Run, ScanPlan, UNNAMED_SESSION,
};
use tallymark_analysis::kernel::{Analysis, ByRun, Kernel, Key, Partial, RunKernel};
use tallymark_protocol::uuid7;
use tallymark_store::row::flags;
use tallymark_store::{
    Append, AppendError, Appended, Catalog, Dim, Row, RowRange, Store, StoreOptions,
};

/// Every wanted row becomes a row of the table: person, place in the run, and all it carries.
pub struct ShowAll(pub ScanPlan);

impl ShowAll {
    pub fn new(events: EventSet, from_ms: i64, to_ms: i64) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        Self(ScanPlan {
            from_ms,
            to_ms,
            events,
            needs: Vec::new(),
            only: None,
            texts: names(&["event", "session", "path", "plan", "seats", "ok", "nobody"]),
            numbers: names(&["seats", "plan", "country"]),
            actors: Actors::Always,
            sessions: true,
        })
    }

    pub fn everything() -> Self {
        Self::new(EventSet::All, i64::MIN, i64::MAX)
    }

    /// What the store must answer, computed from plain rows.
    pub fn of_rows<'a>(&self, project: u32, rows: impl IntoIterator<Item = &'a Row>) -> Partial {
        let plan = &self.0;
        let mut rows: Vec<&Row> = rows
            .into_iter()
            .filter(|row| row.project == project && plan.events.contains(&row.event))
            .filter(|row| plan.from_ms <= row.ts_ms && row.ts_ms < plan.to_ms)
            .collect();
        rows.sort_by_key(|row| (row.person, row.ts_ms, row.seq, row.event_id));
        let mut partial = Partial::default();
        for of_person in rows.chunk_by(|a, b| a.person == b.person) {
            for (at, row) in of_person.iter().enumerate() {
                let texts = plan.texts.iter().map(|name| text(row, name));
                let numbers = plan.numbers.iter().map(|name| number(row, name));
                let session = match row.session {
                    0 if row.flags & (flags::SERVER | flags::IMPORTED) == flags::SERVER => {
                        Err("none")
                    }
                    0 => Err("unnamed"),
                    id => Ok(of_person.iter().position(|row| row.session == id)),
                };
                let shown = show(row.ts_ms, row.actor, Some(&row.event), texts, numbers);
                let shown = format!("{shown} {session:?}");
                partial.add(key(row.person, at, shown), &[1.0]);
            }
        }
        partial
    }
}

fn key(person: u64, at: usize, shown: String) -> Vec<Key> {
    vec![Key::Int(person as i64), Key::Int(at as i64), Key::Text(shown.into())]
}

fn show(
    ts: i64,
    actor: u64,
    event: Option<&str>,
    texts: impl Iterator<Item = Option<String>>,
    numbers: impl Iterator<Item = f64>,
) -> String {
    let (texts, numbers): (Vec<_>, Vec<_>) = (texts.collect(), numbers.collect());
    format!("{ts} {actor} {event:?} {texts:?} {numbers:?}")
}

fn text(row: &Row, name: &str) -> Option<String> {
    if name == "event" {
        return Some(row.event.to_string());
    }
    if name == "session" {
        return (row.session != 0).then(|| uuid7::format(row.session));
    }
    if let Some(dim) = Dim::find(name) {
        return row.dims[dim as usize].as_deref().map(Into::into);
    }
    let raw = raw_value(row, name)?;
    match raw.as_bytes()[0] {
        b'"' => Some(serde_json::from_str(&raw).unwrap()),
        b't' | b'f' => Some(raw),
        b'-' | b'0'..=b'9' => {
            let float: f64 = raw.parse().unwrap();
            let is_whole = float.fract() == 0.0 && float.abs() < 9e15;
            Some(if is_whole { (float as i64).to_string() } else { shortest(&raw, float) })
        }
        _ => None,
    }
}

fn shortest(raw: &str, float: f64) -> String {
    if raw.contains(['.', 'e']) { serde_json::to_string(&float).unwrap() } else { raw.to_owned() }
}

fn number(row: &Row, name: &str) -> f64 {
    let is_bool = |raw: String| raw == "true" || raw == "false";
    if Dim::find(name).is_none() && raw_value(row, name).is_some_and(is_bool) {
        return f64::NAN;
    }
    let text = text(row, name);
    text.and_then(|text| text.trim().parse().ok())
        .filter(|n: &f64| n.is_finite())
        .unwrap_or(f64::NAN)
}

/// The text of a value as it was sent.
fn raw_value(row: &Row, name: &str) -> Option<String> {
    let entries: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(&row.props).unwrap();
    entries.get(name).map(|raw| raw.get().to_owned())
}

impl Analysis for ShowAll {
    fn scan(&self) -> &ScanPlan {
        &self.0
    }
    fn kernel(&self) -> Box<dyn Kernel> {
        Box::new(ByRun::new(&self.0, ShowKernel(Partial::default())))
    }
    fn answer(&self, _: &Partial, _: &Facts) -> Answer {
        unreachable!("the store never reads answers")
    }
}

struct ShowKernel(Partial);

impl RunKernel for ShowKernel {
    fn person(&mut self, run: &Run<'_>, dictionaries: &Dictionaries) {
        assert!(!run.is_empty());
        for at in 0..run.len() {
            let texts = run.texts.iter().zip(&dictionaries.texts).map(|(column, dictionary)| {
                (column[at] != ABSENT).then(|| dictionary.text(column[at]).unwrap().to_owned())
            });
            let numbers = run.numbers.iter().map(|column| column[at]);
            let event = dictionaries.events.text(run.event[at]);
            let session = match run.sessions[at] {
                NO_SESSION => Err("none"),
                UNNAMED_SESSION => Err("unnamed"),
                number => Ok(run.sessions.iter().position(|session| *session == number)),
            };
            let shown = show(run.ts[at], run.actor[at], event, texts, numbers);
            let shown = format!("{shown} {session:?}");
            self.0.add(key(run.person, at, shown), &[1.0]);
        }
    }
    fn finish(self: Box<Self>, _: &Dictionaries) -> Partial {
        self.0
    }
}

/// A folder on a file system in memory, where there is one: these tests open thousands of stores,
/// and each open waits for several syncs.
pub fn temp_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// Small bounds, so that small tests meet them.
pub fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        wal_file_bytes: 16 << 10,
        min_free_bytes: 0,
        group_rows: 4,
        merge_fan_in: 3,
        cache_bytes: 2000,
        moved_bytes: 500,
        dedupe_ids: 20,
        query_threads: 2,
        // Long ago: no row is old enough to lose its id or to be moved to a month.
        now_ms: Arc::new(|| i64::MIN),
        ..StoreOptions::new(dir)
    }
}

pub fn open(dir: &Path, catalog: &Arc<impl Catalog + 'static>) -> Store {
    Store::open(options(dir), Arc::clone(catalog) as Arc<dyn Catalog>).unwrap()
}

/// Wait for something that a thread of the store does by itself.
#[track_caller]
pub fn within_seconds(is_done: impl Fn() -> bool) {
    let from = Instant::now();
    while !is_done() {
        assert!(from.elapsed() < Duration::from_secs(20), "not within 20 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Append and wait.
pub fn append(store: &Store, batch: Append) -> Result<Appended, AppendError> {
    let (sender, receiver) = mpsc::channel();
    store.append(batch, move |result| sender.send(result).unwrap());
    receiver.recv().unwrap()
}

pub fn append_rows(store: &Store, rows: Vec<Row>) -> Vec<bool> {
    append(store, Append { rows, refused: Vec::new() }).unwrap().duplicate
}

/// All rows of a project, props with sorted keys.
pub fn all_rows(store: &Store, project: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    let range = RowRange::between(i64::MIN, i64::MAX);
    store
        .rows(project, range, &mut |row| {
            rows.push(normal(row));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

/// What [`all_rows`] must give.
pub fn sorted(project: u32, rows: &[Row]) -> Vec<Row> {
    let mut rows: Vec<Row> =
        rows.iter().filter(|row| row.project == project).cloned().map(normal).collect();
    rows.sort_by_key(|row| (row.person, row.ts_ms, row.seq, row.event_id));
    rows
}

/// Keys of the properties may come back in another order; values must be the same text.
fn normal(mut row: Row) -> Row {
    let entries: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(&row.props).unwrap();
    row.props = serde_json::to_string(&entries).unwrap().into();
    row
}

/// A row of a small world. `n` makes its id.
pub fn row(project: u32, person: u64, ts_ms: i64, n: u64) -> Row {
    Row {
        project,
        person,
        actor: person,
        ts_ms,
        seq: n as u32,
        writer: 0,
        event_id: uuid7::make(ts_ms as u64, id_random(n)),
        received_ms: ts_ms + 5,
        claimed_ms: ts_ms,
        flags: 0,
        event: ["view", "add", "buy"][(n % 3) as usize].into(),
        session: u128::from(person) + 1,
        dims: Arc::default(),
        props: format!("{{\"plan\":\"p{}\",\"seats\":{}}}", n % 4, n % 7).into(),
    }
}

fn id_random(n: u64) -> [u8; 10] {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&(n & (u64::MAX >> 2)).to_be_bytes());
    random
}

/// Properties with the awkward cases in: several types per key, numbers as people write them.
fn any_props() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["plan", "seats", "ok", "é", "p.x", "rare"]);
    let value = prop_oneof![
        "[a-c]{0,2}".prop_map(|text| format!("\"{text}\"")),
        Just("\"\\u00e9\\n\"".to_owned()),
        any::<i16>().prop_map(|n| n.to_string()),
        (-1e9..1e9f64).prop_map(|n| n.to_string()),
        prop::sample::select(vec!["5.0", "1e3", "29.990", "123456789012345678"])
            .prop_map(Into::into),
        any::<bool>().prop_map(|b| b.to_string()),
        Just("null".to_owned()),
        Just("{\"x\":[1, \"}\"]}".to_owned()),
    ];
    prop::collection::btree_map(key, value, 0..4).prop_map(|entries| {
        let entries: Vec<_> =
            entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", entries.join(","))
    })
}

prop_compose! {
    /// Rows whose persons, times and ids meet again.
    pub fn any_row()(
        project in 1u32..3,
        person in prop_oneof![3 => 0u64..6, 1 => any::<u64>()],
        // Devices that nobody uses unnamed: linking them joins nobody.
        device in prop::option::weighted(0.2, 1_000_000u64..1_000_003),
        // A few weeks, a few milliseconds.
        ts_ms in (0i64..3, 0i64..6).prop_map(|(week, ms)| 1_700_000_000_000 + week * 604_800_000 + ms),
        seq in 0u32..3,
        writer in 0u64..3,
        (id_day, n) in (prop_oneof![0u64..3, 10_000u64..10_003, 19_675u64..19_700], 0u64..40),
        event in prop::sample::select(vec!["view", "add", "buy", "größer"]),
        session in prop_oneof![Just(0u128), 1u128..3],
        path in prop::option::of("/[ab]?"),
        country in prop::option::of(prop::sample::select(vec!["DE", "FR", "12"])),
        props in any_props(),
    ) -> Row {
        let mut dims = [const { None }; Dim::ALL.len()];
        dims[Dim::Path as usize] = path.map(Into::into);
        dims[Dim::Country as usize] = country.map(Into::into);
        Row {
            project, person, ts_ms, seq, writer, session,
            dims: Arc::new(dims),
            actor: device.unwrap_or(person),
            event_id: if n == 0 { u128::from(id_day) } else { uuid7::make(id_day * 86_400_000, id_random(n)) },
            received_ms: ts_ms + 9,
            claimed_ms: ts_ms - 3,
            flags: (n % 32) as u8 | if device.is_some() { flags::IDENTIFIED } else { 0 },
            event: event.into(),
            props: props.into(),
        }
    }
}
