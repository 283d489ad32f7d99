//! People against a plain list of links, and files of every age against both.

use std::convert::Infallible;

use proptest::prelude::*;

use super::naive::Naive;
use super::*;
use crate::row::Dim;

/// What can happen. Small numbers are users, those from [`DEVICE`] on devices.
#[derive(Debug, Clone)]
enum Step {
    /// An event of a device, with a user or without.
    Event(u64, Option<u64>),
    Alias(u64, u64),
    /// Take back the link of this place in the log.
    Undo(prop::sample::Index),
    Erase(u64),
    /// The newest file is closed, the next event begins another.
    Close,
    /// A file is written again.
    Rewrite(prop::sample::Index),
    /// Look which changes every file knows.
    Settle,
    /// Stop and start: what is known comes from the catalog.
    Reload,
}

const DEVICE: u64 = 100;

fn any_step() -> impl Strategy<Value = Step> {
    let id = prop_oneof![0..4u64, DEVICE..DEVICE + 4];
    prop_oneof![
        8 => (DEVICE..DEVICE + 4, prop::option::of(0..4u64)).prop_map(|(d, u)| Step::Event(d, u)),
        3 => (id.clone(), id.clone()).prop_map(|(a, b)| Step::Alias(a, b)),
        3 => any::<prop::sample::Index>().prop_map(Step::Undo),
        1 => id.prop_map(Step::Erase),
        3 => Just(Step::Close),
        3 => any::<prop::sample::Index>().prop_map(Step::Rewrite),
        2 => Just(Step::Settle),
        1 => Just(Step::Reload),
    ]
}

/// A file: what it knew when it was written, and its rows as stored person and base.
struct Old {
    epoch: u64,
    rows: Vec<(u64, u64)>,
}

fn event(device: u64, user: Option<u64>) -> Row {
    Row {
        project: 1,
        person: user.unwrap_or(device),
        actor: device,
        ts_ms: 0,
        seq: 0,
        writer: 0,
        event_id: 0,
        received_ms: 7,
        claimed_ms: 0,
        flags: if user.is_some() { flags::IDENTIFIED } else { 0 },
        event: "seen".into(),
        session: 0,
        dims: [const { None }; Dim::ALL.len()].into(),
        props: "{}".into(),
    }
}

/// Write down what is known.
fn rewrite(apart: &Apart, rows: &mut Vec<(u64, u64)>) {
    let Some(apart) = apart.of(1) else { return };
    rows.retain_mut(|(stored, base)| {
        let Ok(person) = apart.person(*stored, || Ok::<_, Infallible>(*base));
        *stored = person.unwrap_or(0);
        person.is_some()
    });
}

proptest! {
    #[test]
    fn rows_of_files_of_any_age_belong_to_whom_a_plain_list_of_links_says(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut people = People::default();
        let mut catalog = PeopleState::default();
        let mut naive = Naive::default();
        let mut files: Vec<Old> = Vec::new();
        let mut open = Old { epoch: 0, rows: Vec::new() };
        let mut seq = 0;
        for step in steps {
            seq += 1;
            match step {
                Step::Event(device, user) => {
                    let mut row = event(device, user);
                    prop_assert_eq!(people.drops(&row), naive.drops(&row));
                    if naive.drops(&row) {
                        continue;
                    }
                    naive.observe(&row);
                    people.observe(seq, &mut row);
                    open.rows.push((row.person, user.unwrap_or(device)));
                }
                Step::Alias(source, target) => {
                    let ends = Ends { source, target };
                    let merge = Merge { from: naive.person(1, source), to: naive.person(1, target) };
                    let tried = people.try_alias(1, ends);
                    let want = naive.run(&PeopleCommand::Alias { project: 1, ends, at_ms: 9 });
                    prop_assert_eq!(tried, want.map(|_| merge));
                    prop_assert_eq!(people.alias(seq, 1, ends, 9).map(Some), want);
                }
                Step::Undo(at) => {
                    let link = at.index(people.links.len() + 1) as u64 + 1;
                    let ends = people.links.get(link as usize - 1).and_then(|link| link.ends);
                    let want = naive.run(&PeopleCommand::Undo { project: 1, link, at_ms: 9 });
                    let split = people.try_undo(1, link);
                    prop_assert_eq!(split.is_ok(), want.is_ok());
                    prop_assert_eq!(people.undo(seq, 1, link, 9).is_ok(), want.is_ok());
                    if let (Ok(split), Some(ends)) = (split, ends) {
                        let parts = [ends.source, ends.target].map(|id| naive.person(1, id));
                        prop_assert!(parts[0] != parts[1] && parts.contains(&split.to));
                    }
                    prop_assert_eq!(people.undo(seq, 2, link, 9), Err(MergeRefused::Unknown));
                }
                Step::Erase(id) => {
                    let ids = naive.ids_of(1, id).len() as u64;
                    naive.run(&PeopleCommand::Erase { project: 1, id, at_ms: 9 }).unwrap();
                    prop_assert_eq!(people.erase(seq, 1, id, 9).ids, ids);
                }
                Step::Close | Step::Reload => {
                    let apart = people.apart();
                    catalog.add(&people.take_delta());
                    rewrite(&apart, &mut open.rows);
                    files.push(std::mem::replace(&mut open, Old { epoch: seq, rows: Vec::new() }));
                    let newest = files.last_mut().unwrap();
                    newest.epoch = seq;
                    if matches!(step, Step::Reload) {
                        let oldest = files.iter().map(|file| file.epoch).min().unwrap_or(0);
                        let numbers = people.links.clone();
                        people = People::new(catalog.clone(), oldest);
                        prop_assert_eq!(&people.links, &numbers);
                    }
                }
                Step::Rewrite(at) if !files.is_empty() => {
                    let at = at.index(files.len());
                    rewrite(&people.apart(), &mut files[at].rows);
                    files[at].epoch = seq;
                }
                Step::Rewrite(_) => {}
                Step::Settle => {
                    let epochs = files.iter().map(|file| file.epoch);
                    let known = epochs.chain([open.epoch]).min().unwrap_or(0);
                    let settled = people.settled(known, u64::MAX);
                    let delta = people.delta_of(&settled, 11);
                    catalog.add(&delta);
                    people.settle(&settled, &delta);
                }
            }
            let apart = people.apart();
            for id in (0..4).chain(DEVICE..DEVICE + 4).filter(|id| !naive.is_erased(1, *id)) {
                prop_assert_eq!(people.person(1, id), naive.person(1, id), "id {}", id);
            }
            for (stored, base) in files.iter().flat_map(|file| &file.rows).chain(&open.rows) {
                let got = apart.of(1).map_or(Some(*stored), |apart| {
                    apart.person(*stored, || Ok::<_, Infallible>(*base)).unwrap()
                });
                let want = (!naive.is_erased(1, *base)).then(|| naive.person(1, *base));
                prop_assert_eq!(got, want, "stored {} base {}", stored, base);
            }
        }
    }
}

#[test]
fn the_first_user_of_a_device_wins_and_later_ones_keep_their_own_events() {
    let mut people = People::default();
    let mut person = |device, user| {
        let mut row = event(device, user);
        people.observe(1, &mut row);
        row.person
    };
    assert_eq!(person(100, None), 100);
    assert_eq!(person(100, Some(1)), 1);
    assert_eq!(person(100, Some(2)), 2, "somebody else on the same device");
    assert_eq!(person(100, None), 1, "nobody is signed in: the first one's");
    assert_eq!(person(101, Some(2)), 2, "after reset it is another device");
    assert_eq!(person(101, None), 2);
}

#[test]
fn a_device_whose_link_was_taken_back_is_not_linked_by_events_again() {
    let mut people = People::default();
    people.observe(1, &mut event(100, Some(1)));
    assert_eq!(people.undo(2, 1, 1, 0), Ok(1));
    people.observe(3, &mut event(100, Some(1)));
    assert_eq!(people.person(1, 100), 100);
    assert_eq!(people.undo(4, 1, 1, 0), Err(MergeRefused::UndoneBefore));
    assert_eq!(people.alias(5, 1, Ends { source: 100, target: 1 }, 0), Ok(2));
    assert_eq!(people.person(1, 100), 1);
}

#[test]
fn joining_a_person_to_itself_is_refused() {
    let mut people = People::default();
    let ends = |source, target| Ends { source, target };
    people.alias(1, 1, ends(1, 2), 0).unwrap();
    people.alias(2, 1, ends(2, 3), 0).unwrap();
    assert_eq!(people.alias(3, 1, ends(3, 1), 0), Err(MergeRefused::SamePerson));
    assert_eq!(people.alias(3, 1, ends(1, 1), 0), Err(MergeRefused::SamePerson));
    assert_eq!(people.alias(3, 2, ends(3, 1), 0), Ok(3), "another project knows nothing of it");
}
