//! People against a plain list of links, and files of every age against both.

use std::collections::BTreeSet;
use std::convert::Infallible;

use proptest::prelude::*;

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

/// Links that stand, in order, and what was erased: everything else is worked out anew each time.
#[derive(Default)]
struct Naive {
    links: Vec<(u64, Ends)>,
    was_source: BTreeSet<u64>,
    by_hand: BTreeSet<u64>,
    erased: BTreeSet<u64>,
}

impl Naive {
    /// Everybody in the same group has the same leader: that of the last target.
    fn person(&self, id: u64) -> u64 {
        let mut leader: BTreeMap<u64, u64> = BTreeMap::new();
        for (_, ends) in &self.links {
            let of = |id| *leader.get(&id).unwrap_or(&id);
            let (from, to) = (of(ends.source), of(ends.target));
            leader.entry(from).or_insert(from);
            leader.entry(ends.source).or_insert(from);
            leader.entry(ends.target).or_insert(to);
            leader.values_mut().filter(|leader| **leader == from).for_each(|leader| *leader = to);
        }
        *leader.get(&id).unwrap_or(&id)
    }

    fn is_same(&self, a: u64, b: u64) -> bool {
        self.person(a) == self.person(b)
    }
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
                    let is_dropped = naive.erased.contains(&user.unwrap_or(device));
                    prop_assert_eq!(people.drops(&row), is_dropped);
                    if is_dropped {
                        continue;
                    }
                    people.observe(seq, &mut row);
                    if let Some(user) = user
                        && ![&naive.was_source, &naive.by_hand, &naive.erased].iter().any(|ids| ids.contains(&device))
                        && !naive.erased.contains(&user)
                    {
                        naive.was_source.insert(device);
                        let id = people.links.len() as u64;
                        naive.links.push((id, Ends { source: device, target: user }));
                    }
                    open.rows.push((row.person, user.unwrap_or(device)));
                }
                Step::Alias(source, target) => {
                    let ends = Ends { source, target };
                    let want = if naive.erased.contains(&source) || naive.erased.contains(&target) {
                        Err(MergeRefused::Erased)
                    } else if naive.is_same(source, target) {
                        Err(MergeRefused::SamePerson)
                    } else {
                        let (a, b) = (naive.person(source), naive.person(target));
                        prop_assert_eq!(people.try_alias(1, ends), Ok(Merge { from: a, to: b }));
                        naive.by_hand.extend([source, target]);
                        let id = people.links.len() as u64 + 1;
                        naive.links.push((id, ends));
                        Ok(id)
                    };
                    prop_assert_eq!(people.alias(seq, 1, ends, 9), want);
                }
                Step::Undo(at) => {
                    let id = at.index(people.links.len() + 1) as u64 + 1;
                    let place = naive.links.iter().position(|(link, _)| *link == id);
                    prop_assert_eq!(people.try_undo(1, id).is_ok(), place.is_some());
                    let split = people.try_undo(1, id);
                    prop_assert_eq!(people.undo(seq, 1, id, 9).is_ok(), place.is_some());
                    if let Some(place) = place {
                        let ends = naive.links.remove(place).1;
                        prop_assert!(!naive.is_same(ends.source, ends.target));
                        let parts = [ends.source, ends.target].map(|id| naive.person(id));
                        prop_assert!(parts.contains(&split.unwrap().to));
                    }
                    prop_assert_eq!(people.undo(seq, 2, id, 9), Err(MergeRefused::Unknown));
                }
                Step::Erase(id) => {
                    let ids: BTreeSet<u64> = (0..4).chain(DEVICE..DEVICE + 4).chain([id])
                        .filter(|other| naive.is_same(id, *other)).collect();
                    prop_assert_eq!(people.erase(seq, 1, id, 9).ids, ids.len() as u64);
                    naive.links.retain(|(_, ends)| !ids.contains(&ends.source));
                    naive.erased.extend(ids);
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
            for id in (0..4).chain(DEVICE..DEVICE + 4).filter(|id| !naive.erased.contains(id)) {
                prop_assert_eq!(people.person(1, id), naive.person(id), "id {}", id);
            }
            for (stored, base) in files.iter().flat_map(|file| &file.rows).chain(&open.rows) {
                let got = apart.of(1).map_or(Some(*stored), |apart| {
                    apart.person(*stored, || Ok::<_, Infallible>(*base)).unwrap()
                });
                let want = (!naive.erased.contains(base)).then(|| naive.person(*base));
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
