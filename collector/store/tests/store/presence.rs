//! Presence: the same answers as from the rows, whatever happens to its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use tallymark_analysis::answer::{Answer, Facts};
use tallymark_analysis::events::ScanPlan;
use tallymark_analysis::kernel::{Analysis, Kernel, Partial};
use tallymark_analysis::presence::Presence;
use tallymark_analysis::{Context, compile};
use tallymark_store::row::flags;
use tallymark_store::{
    Catalog, Ends, MemoryCatalog, PeopleCommand, Row, ScanError, Store, StoreOptions, Zones,
};

use crate::support::{any_row, append_rows, options, row, temp_dir};

const BERLIN: &str = "Europe/Berlin";
/// 2023-11-14T22:13:20Z, where [`any_row`] begins.
const T0: i64 = 1_700_000_000_000;

/// An analysis of which the store may take only one form.
struct Form<'a> {
    analysis: &'a dyn Analysis,
    is_rows: bool,
}

impl Analysis for Form<'_> {
    fn scan(&self) -> &ScanPlan {
        self.analysis.scan()
    }
    fn kernel(&self) -> Box<dyn Kernel> {
        assert!(self.is_rows, "presence can answer this");
        self.analysis.kernel()
    }
    fn presence(&self) -> Option<&dyn Presence> {
        if self.is_rows { None } else { self.analysis.presence() }
    }
    fn answer(&self, partial: &Partial, facts: &Facts) -> Answer {
        self.analysis.answer(partial, facts)
    }
}

fn analysis(kind: &str, question: &Value) -> Box<dyn Analysis> {
    let context = Context { tz: BERLIN.into(), ..Context::utc(T0 + 60 * 86_400_000) };
    compile(kind, question.clone(), &context).unwrap().analysis
}

fn by_rows(store: &Store, project: u32, analysis: &dyn Analysis) -> Partial {
    store.ask(project, &Form { analysis, is_rows: true }).unwrap().partial
}

fn by_days(store: &Store, project: u32, analysis: &dyn Analysis) -> Partial {
    store.ask(project, &Form { analysis, is_rows: false }).unwrap().partial
}

/// The answer about those who saw something more than once.
fn of_cohort(store: &Store, kind: &str, question: &Value, is_rows: bool) -> Answer {
    let mut question = question.clone();
    question["cohort"] = json!({ "did": { "event": "view", "at_least": 2 } });
    let context = Context { tz: BERLIN.into(), ..Context::utc(T0 + 60 * 86_400_000) };
    let compiled = compile(kind, question, &context).unwrap();
    let facts = Facts { now_ms: context.now_ms };
    let scan = |analysis: &dyn Analysis| match is_rows {
        true => Ok::<_, ScanError>(by_rows(store, 1, analysis)),
        false => Ok(store.ask(1, analysis)?.partial),
    };
    compiled.ask(&facts, scan).unwrap()
}

fn open_in(dir: &Path, catalog: &Arc<MemoryCatalog>, zone: &'static str) -> Store {
    let zones = Zones::new(move |_| zone.into());
    let options = StoreOptions { zones, ..options(dir) };
    Store::open(options, Arc::clone(catalog) as Arc<dyn Catalog>).unwrap()
}

fn any_question() -> impl Strategy<Value = (&'static str, Value)> {
    let event = prop::sample::select(vec![None, Some("view"), Some("buy"), Some("$error")]);
    let week = prop::sample::select(vec![
        ("day", "monday"),
        ("week", "monday"),
        ("week", "saturday"),
        ("week", "sunday"),
        ("month", "monday"),
    ]);
    let kind =
        prop::sample::select(vec!["active", "lifecycle", "stickiness", "retention", "retention"]);
    let zone = prop::sample::select(vec![BERLIN, BERLIN, BERLIN, "UTC", "Asia/Kolkata"]);
    (
        (kind, zone, week, event.clone(), event),
        (-40i64..20, 1i64..90, prop::option::weighted(0.2, 0i64..24)),
        (any::<bool>(), any::<bool>(), 1usize..40),
    )
        .prop_map(
            |(
                (kind, tz, (bucket, week_starts), event, back),
                (from, length, hour),
                (after, again, periods),
            )| {
                let date = |days: i64| {
                    let first = jiff::civil::date(2023, 11, 14);
                    first.checked_add(jiff::Span::new().days(days)).unwrap().to_string()
                };
                let to = match hour {
                    Some(hour) => format!("{}T{hour:02}:00:00.003Z", date(from + length)),
                    None => date(from + length),
                };
                let mut question =
                    json!({ "tz": tz, "week_starts": week_starts, "from": date(from), "to": to });
                match kind {
                    "retention" => {
                        let more = json!({ "start": { "event": event }, "return": { "event": back },
                        "bucket": bucket, "periods": periods,
                        "mode": if after { "on_or_after" } else { "on" },
                        "cohort_by": if again { "recurring" } else { "first_ever" } });
                        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                    }
                    "active" => question["event"] = event.into(),
                    _ => {
                        question["event"] = event.into();
                        question["bucket"] = bucket.into();
                    }
                }
                (kind, question)
            },
        )
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Row>),
    People(PeopleCommand),
    Flush,
    Merge,
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    // Days are of more interest here than milliseconds; and some events make nobody active.
    // Of devices on which people sign in later, or before: few, so that they meet again.
    let device = prop::option::weighted(0.4, (10u64..14, prop::option::weighted(0.3, 0u64..6)));
    let row = (any_row(), -30i64..30, prop::bool::weighted(0.1), device).prop_map(
        |(mut row, day, passive, device)| {
            row.ts_ms += day * 86_400_000 + day * 3_599_999;
            if passive {
                row.event = "$error".into();
            }
            if let Some((device, user)) = device {
                (row.person, row.actor) = (user.unwrap_or(device), device);
                row.flags &= !flags::IDENTIFIED;
                row.flags |= if user.is_some() { flags::IDENTIFIED } else { 0 };
            }
            row
        },
    );
    let id = prop_oneof![0u64..6, 10u64..14];
    let command = (id.clone(), id, 1u64..6, 0..5).prop_map(|(source, target, link, what)| {
        let (project, at_ms) = (1, 0);
        match what {
            0..=2 => PeopleCommand::Alias { project, ends: Ends { source, target }, at_ms },
            3 => PeopleCommand::Undo { project, link, at_ms },
            _ => PeopleCommand::Erase { project, id: source, at_ms },
        }
    });
    prop_oneof![
        2 => command.prop_map(Step::People),
        4 => prop::collection::vec(row, 1..25).prop_map(Step::Append),
        2 => Just(Step::Flush),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn days_give_the_table_that_rows_give(
        steps in prop::collection::vec(any_step(), 1..12),
        questions in prop::collection::vec(any_question(), 4),
    ) {
        let dir = temp_dir();
        let catalog = Arc::new(MemoryCatalog::new());
        let mut store = open_in(dir.path(), &catalog, BERLIN);
        let questions: Vec<_> =
            questions.iter().map(|(kind, question)| (kind, question, analysis(kind, question))).collect();
        for step in steps {
            match step {
                Step::Append(rows) => drop(append_rows(&store, rows)),
                // Some make no sense, and change nothing.
                Step::People(command) => drop(store.people(command)),
                Step::Flush => store.flush().unwrap(),
                Step::Merge => store.settle().unwrap(),
                Step::Reopen => {
                    drop(store);
                    store = open_in(dir.path(), &catalog, BERLIN);
                }
            }
            for (kind, question, analysis) in &questions {
                let of_some = [true, false].map(|is_rows| of_cohort(&store, kind, question, is_rows));
                prop_assert!(of_some[0] == of_some[1], "{question}\n{of_some:?}");
                let want = by_rows(&store, 1, &**analysis);
                // Twice: the second time from the cache.
                for _ in 0..2 {
                    let got = store.ask(1, &**analysis).unwrap().partial;
                    prop_assert!(got == want, "{question}\n{got:?}\n{want:?}");
                }
            }
        }
    }
}

/// Two projects, forty days, people with ids of all kinds, some in memory.
fn filled(dir: &Path, catalog: &Arc<MemoryCatalog>) -> Store {
    let store = open_in(dir, catalog, BERLIN);
    for part in 0..4 {
        append_rows(&store, rows(part * 100..part * 100 + 100));
        if part < 3 {
            store.flush().unwrap();
        }
    }
    store
}

fn rows(numbers: std::ops::Range<u64>) -> Vec<Row> {
    let of = |n: u64| {
        let mut row = row(1 + (n % 5 / 4) as u32, n % 23, T0 + (n * 7 % 40) as i64 * 86_400_000, n);
        row.flags = if n % 23 < 3 { 1 } else { 8 };
        row
    };
    numbers.map(of).collect()
}

const QUESTIONS: [(&str, &str); 4] = [
    ("active", r#"{"from": "2023-11-20", "to": "2023-12-20"}"#),
    (
        "lifecycle",
        r#"{"from": "2023-11-20", "to": "2023-12-20", "bucket": "week", "event": "buy"}"#,
    ),
    ("stickiness", r#"{"from": "2023-11-20", "to": "2023-12-20"}"#),
    ("retention", r#"{"from": "2023-11-14", "to": "2023-12-20", "mode": "on_or_after"}"#),
];

fn check_all(store: &Store) {
    for (kind, question) in QUESTIONS {
        let analysis = analysis(kind, &serde_json::from_str(question).unwrap());
        for project in [1, 2, 3] {
            assert!(by_days(store, project, &*analysis) == by_rows(store, project, &*analysis));
        }
    }
}

fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let weeks = fs::read_dir(dir.join("seg")).unwrap().map(|week| week.unwrap().path());
    let files = weeks.flat_map(|week| fs::read_dir(week).unwrap().map(|file| file.unwrap().path()));
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|e| e == kind)).collect();
    files.sort();
    files
}

#[test]
fn presence_alone_answers_in_the_zone_of_the_project() {
    let dir = temp_dir();
    let store = filled(dir.path(), &Arc::new(MemoryCatalog::new()));
    assert!(store.stats().segments > 3 && store.stats().memtable_rows == 100);
    check_all(&store);
    let everybody = analysis("active", &json!({ "from": "2023-11-14", "to": "2023-12-25" }));
    assert!(by_days(&store, 1, &*everybody) != Partial::default());
}

#[rstest]
#[case::missing(|file: &Path| fs::remove_file(file).unwrap())]
#[case::empty(|file: &Path| fs::write(file, "").unwrap())]
#[case::cut(|file: &Path| change(file, |bytes| bytes.truncate(bytes.len() * 2 / 3)))]
#[case::damaged_at_the_front(|file: &Path| change(file, |bytes| bytes[30] ^= 1))]
#[case::damaged_persons(|file: &Path| flip(file, 0))]
#[case::damaged_days(|file: &Path| flip(file, 8))]
#[case::newer(|file: &Path| change(file, |bytes| bytes[4] += 1))]
#[case::foreign(|file: &Path| fs::copy(other(file), file).map(drop).unwrap())]
fn a_file_that_cannot_be_used_is_made_anew(#[case] spoil: fn(&Path)) {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = filled(dir.path(), &catalog);
    check_all(&store);
    // What a start flushes it may also merge, and then the files are others.
    store.flush().unwrap();
    store.merge().unwrap();
    drop(store);
    let files = files(dir.path(), "presence");
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    spoil(&files[0]);
    let store = open_in(dir.path(), &catalog, BERLIN);
    // A list may be found damaged only when it is read; then the rows answer.
    for (kind, question) in QUESTIONS {
        let analysis = analysis(kind, &serde_json::from_str(question).unwrap());
        let want = by_rows(&store, 1, &*analysis);
        assert!(store.ask(1, &*analysis).unwrap().partial == want);
        assert!(store.ask(1, &*analysis).unwrap().partial == want);
    }
    check_all(&store);
    assert!(fs::read(&files[0]).unwrap() == whole[0]);
}

/// Flip a bit of the blocks: first come the persons of a project, then their days.
fn flip(file: &Path, at: usize) {
    change(file, |bytes| {
        let header = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        bytes[16 + header + at] ^= 1;
    });
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

/// The file of another segment.
fn other(file: &Path) -> PathBuf {
    let dir = file.ancestors().nth(3).unwrap();
    files(dir, "presence").into_iter().find(|other| other != file).unwrap()
}

#[test]
fn days_follow_the_project_into_another_zone() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    drop(filled(dir.path(), &catalog));
    let store = open_in(dir.path(), &catalog, "Asia/Kolkata");
    store.flush().unwrap();
    for (kind, question) in QUESTIONS {
        let mut question: Value = serde_json::from_str(question).unwrap();
        question["tz"] = "Asia/Kolkata".into();
        let analysis = analysis(kind, &question);
        assert!(by_days(&store, 1, &*analysis) == by_rows(&store, 1, &*analysis));
    }
}

#[test]
fn presence_goes_with_its_segment_and_leftovers_go_at_the_start() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = filled(dir.path(), &catalog);
    check_all(&store);
    let before = files(dir.path(), "presence");
    store.flush().unwrap();
    store.settle().unwrap();
    check_all(&store);
    let paired = |dir: &Path| {
        let with = |file: &PathBuf| file.with_extension("presence");
        let of_segments: Vec<PathBuf> = files(dir, "parquet").iter().map(with).collect();
        assert_eq!(files(dir, "presence"), of_segments);
    };
    paired(dir.path());
    assert!(before.iter().any(|file| !file.exists()));
    drop(store);
    fs::write(before[0].with_file_name("9999.presence"), "left over").unwrap();
    let store = open_in(dir.path(), &catalog, BERLIN);
    check_all(&store);
    paired(dir.path());
}

#[test]
fn an_event_far_from_all_others_is_told_too() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = filled(dir.path(), &catalog);
    let mut far = row(1, 7, T0 - 3_000 * 86_400_000, 5_000);
    far.event = "buy".into();
    append_rows(&store, vec![far]);
    check_all(&store);
    // So far that the calendar of one list does not reach: the rows answer.
    append_rows(&store, vec![row(1, 7, T0 - 12_000 * 86_400_000, 5_001)]);
    for (kind, question) in QUESTIONS {
        let analysis = analysis(kind, &serde_json::from_str(question).unwrap());
        let want = by_rows(&store, 1, &*analysis);
        assert!(store.ask(1, &*analysis).unwrap().partial == want);
    }
    store.flush().unwrap();
    check_all(&store);
}
