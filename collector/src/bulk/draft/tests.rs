//! What becomes of a row's cells.

use super::*;
use crate::bulk::at::AtFormat;
use crate::bulk::mapping::Mapping;
use crate::bulk::people::{Ids, realm};
use crate::bulk::table::TableBuilder;
use rstest::rstest;
use tallymark_protocol::hashing::{ServerHasher, h1};

const NOW: i64 = 1_795_331_401_767;

fn drafter(hasher: &ServerHasher, ids: Ids) -> Drafter<'_> {
    let at = AtReader::new(AtFormat::Auto, jiff::tz::TimeZone::UTC);
    Drafter::new(3, People::new("salt", hasher, ids), at, NOW, flags::SERVER | flags::IMPORTED)
}

/// One row of untyped cells.
fn draft(drafter: &mut Drafter<'_>, cells: &[(&str, &str)]) -> Drafted {
    let mapping = Mapping::default();
    let mut table = TableBuilder::new(&mapping);
    table.row();
    for &(name, text) in cells {
        table.put(name.into(), |_| Cell::Untyped(text));
    }
    drafter.draft(&table.finish())
}

/// What is of interest of a row.
#[derive(Debug, PartialEq)]
struct Row {
    event_id: u128,
    ts_ms: i64,
    claimed_ms: i64,
    person: u64,
    actor: u64,
    flags: u8,
    session: u128,
}

fn row(drafter: &mut Drafter<'_>, cells: &[(&str, &str)]) -> Result<Row, EventCode> {
    let Drafted { columns, refused, .. } = draft(drafter, cells);
    match refused.first() {
        Some((_, code)) => Err(*code),
        None => Ok(Row {
            event_id: columns.event_id[0],
            ts_ms: columns.ts[0],
            claimed_ms: columns.claimed[0],
            person: columns.person[0],
            actor: columns.actor[0],
            flags: columns.flags[0],
            session: columns.session[0],
        }),
    }
}

const PURCHASE: [(&str, &str); 4] =
    [("name", "purchase"), ("at", "19970101"), ("user", "00004"), ("amount", "29.33")];

#[test]
fn equal_rows_are_different_events_and_the_same_ones_in_the_next_import() {
    let hasher = ServerHasher::new(&[7; 32], 3);
    let import = || {
        let mut drafter = drafter(&hasher, Ids::Raw);
        let drafted = draft(&mut drafter, &PURCHASE);
        let again = |count| drafter.again(&drafted.contents, 0, count).unwrap();
        [drafted.columns.event_id[0], again(1), again(2), again(3)]
    };
    let ids = import();
    assert_eq!(ids, import());
    assert_eq!(ids[0], ids[1]);
    assert!(ids[1] != ids[2] && ids[2] != ids[3] && ids[1] != ids[3]);
    assert!(ids.iter().all(|id| uuid7::unix_ms(*id) == Some(852_076_800_000)));
}

#[test]
fn a_row_with_an_id_is_not_told_apart_from_another_with_the_same_id() {
    let hasher = ServerHasher::new(&[7; 32], 3);
    let mut drafter = drafter(&hasher, Ids::Raw);
    let drafted = draft(&mut drafter, &[&PURCHASE[..], &[("id", "17")]].concat());
    assert_eq!(drafter.again(&drafted.contents, 0, 2), None);
}

#[rstest]
#[case::now(0, Some(0))]
#[case::as_far_ahead_as_clocks_are(5 * 60_000, Some(0))]
#[case::a_millisecond_more(5 * 60_000 + 1, None)]
#[case::long_ago(-90 * 86_400_000, Some(-90 * 86_400_000))]
fn a_time_counts_as(#[case] at: i64, #[case] want: Option<i64>) {
    let hasher = ServerHasher::new(&[7; 32], 3);
    let at_ms = (NOW + at).to_string();
    let cells = [("name", "a"), ("user", "4"), ("at", at_ms.as_str())];
    let got = row(&mut drafter(&hasher, Ids::Raw), &cells);
    match want {
        Some(want) => {
            let got = got.unwrap();
            assert_eq!((got.ts_ms, got.claimed_ms), (NOW + want, NOW + at));
            assert_eq!(uuid7::unix_ms(got.event_id), Some((NOW + at) as u64), "not clamped");
        }
        None => assert_eq!(got, Err(EventCode::InFuture)),
    }
}

#[test]
fn the_order_of_columns_does_not_make_another_event() {
    let hasher = ServerHasher::new(&[7; 32], 3);
    let turned: Vec<_> = PURCHASE.into_iter().rev().collect();
    let straight = row(&mut drafter(&hasher, Ids::Raw), &PURCHASE).unwrap();
    let turned = row(&mut drafter(&hasher, Ids::Raw), &turned).unwrap();
    assert_eq!(straight.event_id, turned.event_id);
}

#[test]
fn an_id_cannot_be_made_again_without_the_pepper() {
    let id = |pepper: u8| {
        let hasher = ServerHasher::new(&[pepper; 32], 3);
        row(&mut drafter(&hasher, Ids::Raw), &PURCHASE).unwrap().event_id
    };
    assert_ne!(id(7), id(8));
}

#[test]
fn any_text_may_be_an_id_and_a_uuid7_stays_itself() {
    let hasher = ServerHasher::new(&[7; 32], 3);
    let mut drafter = drafter(&hasher, Ids::Raw);
    let mut with_id = |id| row(&mut drafter, &[&PURCHASE[..], &[("id", id)]].concat()).unwrap();
    let uuid = "01a20217-218f-7da0-9d12-b3f82d8397c8";
    assert_eq!(with_id(uuid).event_id, uuid7::parse(uuid).unwrap());
    assert_eq!(with_id("order-17").event_id, with_id("order-17").event_id);
    assert_ne!(with_id("order-17").event_id, with_id("order-18").event_id);
}

#[test]
fn any_text_may_name_a_session_and_a_uuid_stays_itself() {
    let hasher = ServerHasher::new(&[7; 32], 3);
    let mut drafter = drafter(&hasher, Ids::Raw);
    let mut of = |session| {
        row(&mut drafter, &[&PURCHASE[..], &[("session", session)]].concat()).unwrap().session
    };
    let uuid = "01a20217-218f-4da0-9d12-b3f82d8397c8";
    assert_eq!(of(uuid), uuid7::parse(uuid).unwrap());
    assert_eq!(of("17"), of("17"));
    assert_ne!(of("17"), of("18"));
    assert_eq!(uuid7::parse(&uuid7::format(of("17"))), Some(of("17")));
    assert_eq!(of("17") >> 76 & 0xf, 8, "a UUID of version 8");
}

#[test]
fn pseudonyms_stay_here_and_are_new_elsewhere_but_keep_persons_apart_and_together() {
    let home = ServerHasher::new(&[7; 32], 3);
    let here = realm(&home);
    let away = ServerHasher::new(&[7; 32], 4);
    let export = |person: &'static str| {
        [
            ("name", "a"),
            ("at", "2026-09-01"),
            ("stored_person", person),
            ("stored_actor", person),
            ("flags", "8"),
        ]
    };
    let people = |hasher: &ServerHasher, person| {
        let cells = [&export(person)[..], &[("stored_realm", here.as_str())]].concat();
        let row = row(&mut drafter(hasher, Ids::Raw), &cells).unwrap();
        (row.person, row.actor, row.flags)
    };
    let (ann, bob) = ("00000000000000aa", "00000000000000bb");
    assert_eq!(people(&home, ann), (0xaa, 0xaa, flags::IDENTIFIED | flags::STATED));
    let moved = people(&away, ann);
    assert_ne!(moved.0, 0xaa);
    assert_eq!(moved.0, moved.1);
    assert_eq!(moved, people(&away, ann));
    assert_ne!(moved.0, people(&away, bob).0);
}

#[rstest]
#[case::no_name(&[("at", "19970101"), ("user", "4")], EventCode::EventNameInvalid)]
#[case::no_time(&[("name", "a"), ("user", "4")], EventCode::AtInvalid)]
#[case::no_such_time(&[("name", "a"), ("at", "soon"), ("user", "4")], EventCode::AtInvalid)]
#[case::nobody(&[("name", "a"), ("at", "19970101")], EventCode::NobodyKnown)]
#[case::future(&[("name", "a"), ("at", "20270101"), ("user", "4")], EventCode::InFuture)]
#[case::props(&[("name", "a"), ("at", "19970101"), ("user", "4"), ("props", "[]")], EventCode::PropsInvalid)]
fn a_row_is_refused(#[case] cells: &[(&str, &str)], #[case] code: EventCode) {
    let hasher = ServerHasher::new(&[7; 32], 3);
    assert_eq!(row(&mut drafter(&hasher, Ids::Raw), cells), Err(code));
}

#[test]
fn hashed_ids_are_taken_as_hashes_only() {
    let hasher = ServerHasher::new(&[7; 32], 3);
    let hash = tallymark_protocol::hashing::to_hex(&h1(b"salt", Namespace::User, "00004"));
    let cells = [("name", "purchase"), ("at", "19970101"), ("user", hash.as_str())];
    let hashed = row(&mut drafter(&hasher, Ids::Hashed), &cells).unwrap();
    let raw = row(&mut drafter(&hasher, Ids::Raw), &PURCHASE).unwrap();
    assert_eq!(hashed.person, raw.person);
    assert_eq!(row(&mut drafter(&hasher, Ids::Hashed), &PURCHASE), Err(EventCode::UserInvalid));
}
