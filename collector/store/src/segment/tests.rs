//! Columns decoded from a file are those that were written.

use std::path::Path;
use std::sync::Arc;

use super::{ColumnCache, NewSegment, PromotedKind, Segment, SegmentWriter};
use crate::block::{Column, ColumnKey, Having, Property, Runs, session_number};
use crate::catalog::{SegmentId, SegmentMeta};
use crate::columns::{Coded, Columns, PropertyColumn, Values};
use crate::disk::Disk;
use crate::error::ScanError;
use crate::faults::{Random, SimDisk};
use crate::open::Folders;
use crate::row::{Dim, flags};

/// Pages end after 20,000 rows, groups are longer, and the last one is short.
const GROUP_ROWS: usize = 41_000;
const ROWS: usize = 2 * GROUP_ROWS + 707;

/// Which rows are null.
type Nulls = fn(usize, &mut Random) -> bool;
const NULLS: [Nulls; 6] = [
    |_, _| false,
    |_, _| true,
    |_, random| random.below(3) == 0,
    |row, _| row / 700 % 2 == 0,
    |row, _| row != 20_001,
    |_, random| random.below(40) != 0,
];

/// Texts of which so many are distinct; often the one before again, so that there are runs.
fn texts(distinct: u64, is_null: Nulls, random: &mut Random) -> Coded {
    let mut last = 0;
    let mut code = |row| {
        if random.below(50) < 20 || row % 5_000 > 4_000 {
            last = random.below(distinct) as u32;
        }
        if is_null(row, random) { 0 } else { 1 + last }
    };
    let codes = (0..ROWS).map(&mut code).collect();
    let values = (0..distinct).map(|n| format!("ä{n}").into()).collect();
    Coded { codes, values }
}

fn columns(random: &mut Random) -> Columns {
    let mut columns = Columns::default();
    let (mut project, mut person, mut ts) = (1, 0, 0);
    for row in 0..ROWS {
        let changes = if row / 10_000 % 2 == 0 { random.below(100) < 2 } else { true };
        if changes {
            (project, person) = match random.below(5_000) {
                0 => (project + 1 + random.below(3) as u32, 0),
                1 => (project + 1, person), // The same one in the next project.
                _ => (project, person + 1 + random.below(1 << 40)),
            };
            // Farther apart than offsets can be, in the second group.
            let span = if row < GROUP_ROWS { 2_000_000_000 } else { 20_000_000_000 };
            ts = 1_700_000_000_000 + random.below(span) as i64;
        }
        let far = 1 << random.below(16);
        ts += random.below(far) as i64;
        columns.project.push(project);
        columns.person.push(person);
        columns.actor.push(person);
        columns.ts.push(ts);
        columns.claimed.push(ts);
        columns.received.push(ts + 5);
        columns.seq.push(row as u32);
        columns.event_id.push(0);
        columns.flags.push(if row % 7 == 0 { flags::SERVER } else { 0 });
        let session = if row < GROUP_ROWS { 1 + random.below(9) } else { random.below(3_000) };
        columns.session.push(u128::from(session) << 64);
        if random.below(100) == 0 {
            let n = random.below(9);
            columns.rest.set(row, |out| out.push_str(&format!("{{\"rare\":{n}}}")));
        }
    }
    columns.event = texts(9, NULLS[0], random);
    let distinct = [1, 2, 255, 256, 300, 70_000];
    let kinds = distinct.into_iter().flat_map(|distinct| NULLS.map(|nulls| (distinct, nulls)));
    let mut kinds = kinds.cycle();
    let mut next = |random: &mut Random| {
        let (distinct, nulls) = kinds.next().expect("a cycle has no end");
        texts(distinct, nulls, random)
    };
    columns.dims = Dim::ALL.iter().map(|_| next(random)).collect();
    for n in 0..20 {
        let values = Values::Texts(next(random));
        columns.properties.push(PropertyColumn { key: format!("t{n}").into(), values });
    }
    for (n, is_null) in NULLS.into_iter().enumerate() {
        let mut number = |row| match is_null(row, random) {
            true => f64::NAN,
            false => random.below(5_000) as f64 / 8.0,
        };
        let values = Values::Numbers((0..ROWS).map(&mut number).collect());
        columns.properties.push(PropertyColumn { key: format!("n{n}").into(), values });
    }
    columns
}

fn write(columns: &Columns) -> Segment {
    write_cached(columns, 0)
}

fn write_cached(columns: &Columns, cache_bytes: usize) -> Segment {
    let (folders, meta) = written(columns, 0);
    Segment::open(&folders, meta, &Arc::new(ColumnCache::new(cache_bytes))).unwrap()
}

fn written(columns: &Columns, encoders: usize) -> (Folders, SegmentMeta) {
    let disk = Arc::new(SimDisk::new());
    let folders = Folders::new(Path::new("/disk"), Arc::clone(&disk) as Arc<dyn Disk>);
    for folder in [&folders.data, &folders.seg, &folders.tmp] {
        disk.create_dir(folder).unwrap();
    }
    let kind = |property: &PropertyColumn| match &property.values {
        Values::Texts(_) => PromotedKind::Text,
        Values::Numbers(_) => PromotedKind::Number,
        Values::Bools(_) => PromotedKind::Bool,
    };
    let promoted = columns.properties.iter().map(|p| (p.key.to_string(), kind(p)));
    let mut promoted: Vec<_> = promoted.collect();
    promoted.sort_by(|a, b| a.0.cmp(&b.0));
    let new = NewSegment {
        id: SegmentId(1),
        week: "2023-W46",
        level: 0,
        promoted,
        group_rows: GROUP_ROWS,
        has_ids: false,
        watch: None,
        encoders,
    };
    let mut writer = SegmentWriter::create(&folders, new).unwrap();
    let order: Vec<(u32, u32)> = (0..columns.len() as u32).map(|row| (0, row)).collect();
    writer.push(&order, &[columns]).unwrap();
    let meta = writer.finish(&folders).unwrap();
    (folders, meta)
}

/// Compare the texts of a column, group by group.
fn check_texts(segment: &Segment, key: &ColumnKey, want: &Coded) {
    let mut row = 0;
    for group in 0..segment.info.groups.len() as u32 {
        let column = segment.decode(group, key).unwrap().column();
        let texts = column.texts();
        let mut values = vec![None];
        texts.values.each(0, |value| values.push(Some(value.to_owned())));
        for at in 0..segment.group_rows(group) {
            let found = values[texts.codes.get(at) as usize].as_deref();
            assert_eq!(found, want.get(row), "{key:?}, row {row}");
            row += 1;
        }
    }
    assert_eq!(row, want.codes.len());
}

#[test]
fn a_file_is_the_same_on_however_many_threads_it_is_encoded() {
    let columns = columns(&mut Random::new(11));
    let file = |encoders| {
        let (_, meta) = written(&columns, encoders);
        (meta.bytes, meta.sums)
    };
    let here = file(0);
    for encoders in 1..=5 {
        assert_eq!(file(encoders), here, "{encoders} threads");
    }
}

#[test]
fn columns_are_decoded_as_they_were_written() {
    let columns = columns(&mut Random::new(7));
    let segment = write(&columns);
    assert_eq!(segment.info.groups.len(), 3);
    check_texts(&segment, &ColumnKey::Event, &columns.event);
    for (dim, want) in Dim::ALL.iter().zip(&columns.dims) {
        check_texts(&segment, &ColumnKey::Text(Property::Dim(*dim)), want);
    }
    let mut first = 0;
    for group in 0..3 {
        let rows = first..first + segment.group_rows(group);
        let decode = |key| segment.decode(group, &key).unwrap().column();
        let (runs, times) = (decode(ColumnKey::Runs), decode(ColumnKey::Ts));
        let who = columns.project[rows.clone()].iter().zip(&columns.person[rows.clone()]);
        assert_eq!(*runs.runs(), Runs::collect(who.map(|(a, b)| (*a, *b))));
        assert_eq!(
            **times.times(),
            tallymark_analysis::columns::Times::new(&columns.ts[rows.clone()])
        );
        for PropertyColumn { key, values } in &columns.properties {
            let Values::Numbers(want) = values else { continue };
            let column = decode(ColumnKey::Number(Property::Key(key.clone())));
            for (at, want) in want[rows.clone()].iter().enumerate() {
                assert_eq!(column.numbers().get(at).to_bits(), want.to_bits(), "{key}, row {at}");
            }
        }
        assert!(matches!(&*decode(ColumnKey::Actor), Column::Actors(None)));
        let (sessions, identities) =
            (decode(ColumnKey::Session), decode(ColumnKey::Text(Property::Identity)));
        let rare = decode(ColumnKey::Number(Property::Key("rare".into())));
        for (at, row) in rows.clone().enumerate() {
            let want = session_number(columns.session[row], columns.flags[row]);
            assert_eq!(sessions.sessions()[at], want, "row {row}");
            let want = crate::memtable::identity_texts(&columns.flags[row..=row]);
            let Column::Texts(texts) = &*identities else { unreachable!("asked for texts") };
            assert_eq!(texts.codes.get(at), want.codes[0]);
            let rest = columns.rest.get(row);
            let want = rest.split([':', '}']).nth(1).map_or(f64::NAN, |n| n.parse().unwrap());
            assert_eq!(rare.numbers().get(at).to_bits(), want.to_bits(), "row {row}");
        }
        first = rows.end;
    }
    for PropertyColumn { key, values } in &columns.properties {
        let Values::Texts(want) = values else { continue };
        check_texts(&segment, &ColumnKey::Text(Property::Key(key.clone())), want);
    }
}

/// The writer leaves the dictionary when it is too large, and goes on in another encoding.
#[test]
fn a_column_whose_dictionary_was_too_large_is_read_all_the_same() {
    let mut columns = columns(&mut Random::new(8));
    let long = "x".repeat(1_000);
    let values = (0..20_000).map(|n| format!("{n}{long}").into()).collect();
    let codes = (0..ROWS as u32).map(|row| row % 20_001).collect();
    columns.dims[0] = Coded { codes, values };
    columns.properties.clear();
    let segment = write(&columns);
    let chunk = segment.arrow.metadata().row_group(0);
    let path = segment.arrow.schema().index_of(Dim::Path.name()).unwrap();
    assert!(
        chunk.column(path).encodings().any(|e| e == parquet::basic::Encoding::DELTA_BYTE_ARRAY)
    );
    check_texts(&segment, &ColumnKey::Text(Property::Dim(Dim::Path)), &columns.dims[0]);
    let path = Property::Dim(Dim::Path);
    assert!(
        segment.bloom_range(0, &path).is_some() && !segment.has_table(0, &path),
        "it lacks some"
    );
}

#[test]
fn a_group_says_which_texts_it_surely_has_not() {
    let mut columns = columns(&mut Random::new(10));
    // Every hundred rows have a text of their own, in a column, and once in the rest.
    let codes = (0..ROWS as u32).map(|row| 1 + row / 100).collect();
    let values: Arc<[Box<str>]> = (0..=ROWS / 100).map(|n| format!("/{n}").into()).collect();
    let own = Coded { codes, values };
    columns.dims[Dim::Path as usize] = own.clone();
    columns.dims[Dim::Country as usize] = texts(9, NULLS[0], &mut Random::new(11));
    for key in ["sole", "both"] {
        let values = Values::Texts(own.clone());
        columns.properties.push(PropertyColumn { key: key.into(), values });
    }
    columns.rest.set(ROWS - 1, |out| out.push_str("{\"both\":\"/0\"}"));
    let segment = Arc::new(write_cached(&columns, 1 << 24));
    let (mut first, mut wrong) = (0, 0);
    let blocks = segment.source(segment.cache().reading()).blocks;
    for (group, block) in blocks.iter().enumerate() {
        let rows = first..first + segment.group_rows(group as u32);
        let may_have = |property: Property, texts: &[&str]| {
            let texts = texts.iter().map(|text| (*text).into()).collect();
            block.may_have(&Having { property, texts }).unwrap()
        };
        for (n, text) in own.values.iter().enumerate() {
            let is_there = n * 100 < rows.end && rows.start < (n + 1) * 100;
            for property in [Property::Dim(Dim::Path), Property::Key("sole".into())] {
                if is_there {
                    assert!(may_have(property, &["nowhere", text]), "{text} is in group {group}");
                } else {
                    wrong += usize::from(may_have(property, &[text]));
                }
            }
        }
        for property in [Property::Dim(Dim::Country), Property::Key("both".into())] {
            assert!(may_have(property, &["nowhere"]), "few texts, or others in the rest");
        }
        assert!(may_have(Property::Key("nobody".into()), &["nowhere"]), "nobody has this");
        // What its codes stand for is known then, and a filter is asked no more.
        for property in [Property::Dim(Dim::Path), Property::Key("sole".into())] {
            block.column(&ColumnKey::Table(property.clone())).unwrap();
            for (n, text) in own.values.iter().enumerate() {
                let is_there = n * 100 < rows.end && rows.start < (n + 1) * 100;
                assert_eq!(may_have(property.clone(), &["nowhere", text]), is_there, "{text}");
            }
        }
        first = rows.end;
    }
    // Twice as many texts were not there, in three groups.
    assert!(wrong < 2 * 2 * own.values.len() / 20, "{wrong}");
}

/// The columns of most questions.
fn usual_keys() -> impl Iterator<Item = ColumnKey> {
    let number = |name: &str| ColumnKey::Number(Property::Key(name.into()));
    let texts = ["t0", "t7", "t13"].map(|name| ColumnKey::Text(Property::Key(name.into())));
    [ColumnKey::Runs, ColumnKey::Ts, ColumnKey::Event, ColumnKey::Session, number("n2")]
        .into_iter()
        .chain(texts)
        .chain(Dim::ALL.iter().map(|dim| ColumnKey::Text(Property::Dim(*dim))))
}

#[test]
fn a_group_of_fewer_rows_or_another_type_is_an_error_with_the_name_of_the_file() {
    let mut segment = write(&columns(&mut Random::new(9)));
    let is_named = |error: ScanError| error.to_string().contains("1.parquet");
    let other = arrow_schema::DataType::UInt32;
    assert!(segment.pages(0, "ts", &other).is_err_and(is_named));
    assert!(segment.pages(0, "no such column", &other).is_err_and(is_named));
    for more in [1, -1i32] {
        segment.info.groups[0].rows = segment.info.groups[0].rows.strict_add_signed(more);
        for key in usual_keys() {
            assert!(segment.decode(0, &key).is_err_and(is_named), "{key:?}, {more}");
        }
        segment.info.groups[0].rows = segment.info.groups[0].rows.strict_sub_signed(more);
    }
}
