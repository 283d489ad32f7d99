//! Random histories against a plain list of rows.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;
use tallymark_analysis::events::EventSet;
use tallymark_store::{MemoryCatalog, Row};

use crate::load::import;
use crate::support::{ShowAll, all_rows, any_row, append_rows, open, sorted, temp_dir};

/// One thing that can happen to a store.
#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Row>),
    /// Send rows again that were sent before, starting at a place in the history.
    Resend(prop::sample::Index, usize),
    /// Import rows of one project, some at a time.
    Import(Vec<Row>, u32, usize),
    Flush,
    Merge,
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(any_row(), 1..12).prop_map(Step::Append),
        2 => (any::<prop::sample::Index>(), 1usize..8).prop_map(|(at, n)| Step::Resend(at, n)),
        2 => (prop::collection::vec(any_row(), 1..12), 1u32..3, 1usize..6)
            .prop_map(|(rows, project, batch)| Step::Import(rows, project, batch)),
        3 => Just(Step::Flush),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
    ]
}

/// What must be stored, and everything that was ever sent.
#[derive(Default)]
struct Model {
    stored: Vec<Row>,
    sent: Vec<Row>,
}

impl Model {
    /// Which of these are duplicates; the rest is stored.
    fn append(&mut self, rows: &[Row]) -> Vec<bool> {
        let is_stored = |stored: &[Row], row: &Row| {
            stored
                .iter()
                .any(|other| (other.project, other.event_id) == (row.project, row.event_id))
        };
        let duplicates = rows.iter().map(|row| {
            let duplicate = is_stored(&self.stored, row);
            if !duplicate {
                self.stored.push(row.clone());
            }
            duplicate
        });
        let duplicates = duplicates.collect();
        self.sent.extend_from_slice(rows);
        duplicates
    }
}

proptest! {
    #![proptest_config(Config { cases: 60, ..Config::default() })]

    #[test]
    fn any_history_leaves_what_a_plain_list_would(
        steps in prop::collection::vec(any_step(), 1..24),
        from_ms in prop_oneof![Just(i64::MIN), 1_700_000_000_000i64..1_700_000_000_006],
        to_ms in prop_oneof![Just(i64::MAX), 1_700_604_800_000i64..1_700_604_800_006],
        events in prop_oneof![
            Just(EventSet::All),
            Just(EventSet::Only(vec!["buy".into(), "größer".into()])),
            Just(EventSet::Except(vec!["view".into()])),
        ],
    ) {
        let dir = temp_dir();
        let catalog = Arc::new(MemoryCatalog::new());
        let mut store = open(dir.path(), &catalog);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(rows) => {
                    prop_assert_eq!(append_rows(&store, rows.clone()), model.append(&rows));
                }
                Step::Resend(at, count) if !model.sent.is_empty() => {
                    let at = at.index(model.sent.len());
                    let rows: Vec<Row> = model.sent.iter().skip(at).take(count).cloned().collect();
                    let want = model.append(&rows);
                    prop_assert_eq!(append_rows(&store, rows), want);
                }
                Step::Resend(..) => {}
                Step::Import(rows, project, batch) => {
                    let rows: Vec<Row> =
                        rows.into_iter().filter(|row| row.project == project).collect();
                    let loaded = import(&store, project, &rows, batch, &mut || ());
                    let duplicates = model.append(&rows).into_iter().filter(|dup| *dup).count();
                    prop_assert_eq!(loaded.duplicate, duplicates as u64);
                    prop_assert_eq!(loaded.stored, (rows.len() - duplicates) as u64);
                }
                Step::Flush => store.flush().unwrap(),
                Step::Merge => store.merge().unwrap(),
                Step::Reopen => {
                    drop(store);
                    store = open(dir.path(), &catalog);
                }
            }
            let question = ShowAll::new(events.clone(), from_ms, to_ms);
            for project in [1, 2] {
                let asked = store.ask(project, &question).unwrap();
                prop_assert_eq!(asked.partial, question.of_rows(project, &model.stored));
            }
        }
        for project in [1, 2] {
            prop_assert_eq!(all_rows(&store, project), sorted(project, &model.stored));
            let schema = store.schema(project).unwrap();
            let counted: u64 = schema.events.values().map(|event| event.count).sum();
            let stored = model.stored.iter().filter(|row| row.project == project).count();
            prop_assert_eq!(counted, stored as u64);
        }
        prop_assert_eq!(store.stats().rows, model.stored.len() as u64);
    }
}
