//! Random histories of events, links and erasures against a plain list of rows and links.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;
use rstest::rstest;
use tallymark_analysis::events::EventSet;
use tallymark_store::row::flags;
use tallymark_store::{
    Catalog, Ends, MemoryCatalog, MergeRefused, PeopleCommand, PeopleDone, PeopleError, Row,
    RowRange, Store, StoreOptions,
};

use crate::support::{
    ShowAll, all_rows, append, append_rows, open, options, row, sorted, temp_dir,
};

const DEVICE: u64 = 100;

#[derive(Debug, Clone)]
enum Step {
    /// Events of a device, each with a user or without.
    Events(u64, Vec<Option<u64>>),
    Alias(u64, u64),
    Undo(u64),
    Erase(u64),
    /// The same, and out of every file now.
    EraseNow(u64),
    Flush,
    Merge,
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    let id = prop_oneof![1..5u64, DEVICE..DEVICE + 4];
    let users = prop::collection::vec(prop::option::of(1..5u64), 1..4);
    prop_oneof![
        8 => (DEVICE..DEVICE + 4, users).prop_map(|(device, users)| Step::Events(device, users)),
        2 => (id.clone(), id.clone()).prop_map(|(a, b)| Step::Alias(a, b)),
        2 => (1u64..6).prop_map(Step::Undo),
        1 => id.clone().prop_map(Step::Erase),
        1 => id.prop_map(Step::EraseNow),
        4 => Just(Step::Flush),
        2 => Just(Step::Merge),
        1 => Just(Step::Reopen),
    ]
}

/// What was sent and not dropped, and the links: everything else is worked out anew each time.
#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    links: Vec<Option<Ends>>,
    /// Ids that events do not link (again).
    named: BTreeSet<u64>,
    erased: BTreeSet<u64>,
}

fn base(row: &Row) -> u64 {
    if row.flags & flags::IDENTIFIED != 0 { row.person } else { row.actor }
}

impl Model {
    fn person(&self, id: u64) -> u64 {
        let mut leader: BTreeMap<u64, u64> = BTreeMap::new();
        for ends in self.links.iter().flatten() {
            let of = |id| *leader.get(&id).unwrap_or(&id);
            let (from, to) = (of(ends.source), of(ends.target));
            for (id, is) in [(from, from), (ends.source, from), (ends.target, to)] {
                leader.entry(id).or_insert(is);
            }
            leader.values_mut().filter(|leader| **leader == from).for_each(|leader| *leader = to);
        }
        *leader.get(&id).unwrap_or(&id)
    }

    fn append(&mut self, row: &Row) {
        if row.actor != row.person
            && !self.named.contains(&row.actor)
            && ![row.actor, row.person].iter().any(|id| self.erased.contains(id))
        {
            self.named.insert(row.actor);
            self.links.push(Some(Ends { source: row.actor, target: row.person }));
        }
        self.rows.push(row.clone());
    }

    fn erase(&mut self, id: u64) {
        let person = self.person(id);
        let all = (1..5).chain(DEVICE..DEVICE + 4);
        let ids: BTreeSet<u64> = all.filter(|id| self.person(*id) == person).collect();
        for link in &mut self.links {
            *link = link.filter(|ends| !ids.contains(&ends.source));
        }
        self.rows.retain(|row| !ids.contains(&base(row)));
        self.erased.extend(ids);
    }

    fn answer(&self) -> Vec<Row> {
        let row = |row: &Row| Row { person: self.person(base(row)), ..row.clone() };
        self.rows.iter().map(row).collect()
    }
}

fn event(device: u64, user: Option<u64>, n: u64) -> Row {
    let mut row =
        row(1, user.unwrap_or(device), 1_700_000_000_000 + (n % 5) as i64 * 200_000_000, n);
    row.actor = device;
    row.event = if n.is_multiple_of(17) { "buy" } else { "view" }.into();
    row.flags = if user.is_some() { flags::IDENTIFIED } else { 0 };
    row
}

fn check(store: &Store, model: &Model) -> Result<(), TestCaseError> {
    let want = model.answer();
    let question = ShowAll::everything();
    prop_assert_eq!(store.ask(1, &question).unwrap().partial, question.of_rows(1, &want));
    let rare = ShowAll::new(EventSet::Only(vec!["buy".into()]), i64::MIN, i64::MAX);
    prop_assert_eq!(store.ask(1, &rare).unwrap().partial, rare.of_rows(1, &want));
    prop_assert_eq!(all_rows(store, 1), sorted(1, &want));
    for id in [1, 2, DEVICE] {
        let mut got = 0;
        let range = RowRange { person: Some(id), ..RowRange::between(i64::MIN, i64::MAX) };
        store
            .rows(1, range, &mut |_| {
                got += 1;
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        let theirs = |row: &&Row| row.person == model.person(id);
        prop_assert_eq!(got, want.iter().filter(theirs).count(), "events of {}", id);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 40, ..Config::default() })]

    #[test]
    fn any_history_of_links_and_erasures_leaves_what_a_plain_list_would(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let dir = temp_dir();
        let catalog = Arc::new(MemoryCatalog::new());
        let mut store = open(dir.path(), &catalog);
        let mut model = Model::default();
        let mut n = 0;
        for step in steps {
            match step {
                Step::Events(device, users) => {
                    let event = |user| { n += 1; event(device, user, n) };
                    let rows: Vec<Row> = users.into_iter().map(event).collect();
                    let (gone, kept): (Vec<usize>, Vec<usize>) =
                        (0..rows.len()).partition(|at| model.erased.contains(&base(&rows[*at])));
                    let batch = tallymark_store::Append { rows: rows.clone(), refused: Vec::new() };
                    prop_assert_eq!(append(&store, batch).unwrap().erased, gone);
                    kept.iter().for_each(|at| model.append(&rows[*at]));
                }
                Step::Alias(source, target) => {
                    let ends = Ends { source, target };
                    let alias = PeopleCommand::Alias { project: 1, ends, at_ms: 9 };
                    let tried = store.try_people(&alias).unwrap();
                    let got = store.people(alias);
                    if model.erased.contains(&source) || model.erased.contains(&target) {
                        prop_assert!(matches!(got, Err(PeopleError::Refused(MergeRefused::Erased))));
                    } else if model.person(source) == model.person(target) {
                        prop_assert_eq!(tried.refused, Some(MergeRefused::SamePerson));
                        prop_assert!(matches!(got, Err(PeopleError::Refused(MergeRefused::SamePerson))));
                    } else {
                        let moves = model.answer().iter().filter(|row| row.person == model.person(source)).count();
                        prop_assert_eq!(tried.events, moves as u64);
                        model.links.push(Some(ends));
                        model.named.extend([source, target]);
                        prop_assert_eq!(got.unwrap(), PeopleDone::Linked(model.links.len() as u64));
                    }
                }
                Step::Undo(id) => {
                    let link = model.links.get_mut(id as usize - 1).and_then(Option::take);
                    let undo = PeopleCommand::Undo { project: 1, link: id, at_ms: 9 };
                    let tried = store.try_people(&undo).unwrap();
                    prop_assert_eq!(tried.refused.is_none(), link.is_some());
                    prop_assert_eq!(store.people(undo).is_ok(), link.is_some());
                }
                Step::Erase(id) | Step::EraseNow(id) => {
                    store.people(PeopleCommand::Erase { project: 1, id, at_ms: 9 }).unwrap();
                    model.erase(id);
                    if matches!(step, Step::EraseNow(_)) {
                        store.erase_files().unwrap();
                        prop_assert_eq!(store.stats().rows, model.rows.len() as u64);
                    }
                }
                Step::Flush => store.flush().unwrap(),
                Step::Merge => store.merge().unwrap(),
                Step::Reopen => {
                    drop(store);
                    store = open(dir.path(), &catalog);
                }
            }
            check(&store, &model)?;
        }
    }
}

#[test]
fn what_was_stored_before_signing_in_belongs_to_the_user_also_in_the_files() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    append_rows(&store, vec![event(DEVICE, None, 5)]);
    store.flush().unwrap();
    append_rows(&store, vec![event(DEVICE, Some(1), 10)]);
    let persons =
        |store: &Store| all_rows(store, 1).iter().map(|row| row.person).collect::<Vec<_>>();
    assert_eq!(persons(&store), [1, 1]);
    store.flush().unwrap();
    store.merge().unwrap();
    let link = &store.merges(1, u64::MAX, 10)[0];
    assert_eq!(link.ends, Some(Ends { source: DEVICE, target: 1 }));
    store.people(PeopleCommand::Undo { project: 1, link: link.id, at_ms: 3 }).unwrap();
    assert_eq!(persons(&store), [1, DEVICE]);
    drop(store);
    assert_eq!(persons(&open(dir.path(), &catalog)), [1, DEVICE]);
}

#[test]
fn a_device_that_events_must_not_link_stays_so_when_its_user_is_erased() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    append_rows(&store, vec![event(DEVICE, Some(1), 5)]);
    store.people(PeopleCommand::Undo { project: 1, link: 1, at_ms: 3 }).unwrap();
    store.people(PeopleCommand::Erase { project: 1, id: 1, at_ms: 9 }).unwrap();
    store.erase_files().unwrap();
    drop(store);
    let store = open(dir.path(), &catalog);
    append_rows(&store, vec![event(DEVICE, None, 10), event(DEVICE, Some(2), 11)]);
    let persons: Vec<_> = all_rows(&store, 1).iter().map(|row| row.person).collect();
    assert_eq!(persons, [2, DEVICE]);
    let ends = store.merges(1, u64::MAX, 10)[0].ends;
    assert_eq!(ends, Some(Ends { source: DEVICE, target: DEVICE }));
}

#[rstest]
#[case::none_fits_any_more(0)]
#[case::one_more_fits(3)]
#[case::all_fit(100)]
fn beyond_the_links_that_there_is_room_for_events_are_stored_and_join_nobody(
    #[case] next_links_max: usize,
) {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let open = |links_max| {
        let options = StoreOptions { links_max, ..options(dir.path()) };
        Store::open(options, Arc::clone(&catalog) as Arc<dyn Catalog>).unwrap()
    };
    let persons =
        |store: &Store| all_rows(store, 1).iter().map(|row| row.person).collect::<Vec<_>>();
    let alias = |source, target| PeopleCommand::Alias {
        project: 1,
        ends: Ends { source, target },
        at_ms: 9,
    };
    let store = open(2);
    let signed_in =
        |n: u64| [event(DEVICE + n, None, 2 * n), event(DEVICE + n, Some(n), 2 * n + 1)];
    append_rows(&store, [signed_in(1), signed_in(2), signed_in(3)].concat());
    let want = [1, 1, 2, 2, 3, DEVICE + 3];
    assert_eq!(persons(&store), want);
    assert_eq!((store.stats().links, store.stats().unjoined), (2, 1));
    assert_eq!(store.try_people(&alias(1, 2)).unwrap().refused, Some(MergeRefused::NoRoom));
    let refused = store.people(alias(1, 2)).unwrap_err();
    assert!(matches!(refused, PeopleError::Refused(MergeRefused::NoRoom)), "{refused}");
    // Devices that are joined stay so, and links can be taken back.
    append_rows(&store, vec![event(DEVICE + 1, None, 20)]);
    let want = [&[1][..], &want].concat();
    assert_eq!(persons(&store), want);

    // What the log has means the same whatever the bound is now.
    drop(store);
    let store = open(next_links_max);
    assert_eq!(persons(&store), want);
    assert_eq!(store.stats().links, 2);
    append_rows(&store, vec![event(DEVICE + 3, Some(3), 30)]);
    let joined = store.stats().links == 3;
    assert_eq!(joined, next_links_max > 2);
    assert_eq!(persons(&store).contains(&(DEVICE + 3)), !joined);
    assert_eq!(store.people(alias(1, 2)).is_ok(), next_links_max > 3);
}
