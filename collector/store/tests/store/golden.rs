//! Files of every disk version that was ever shipped still open, and give the rows they were made of.
//!
//! A new version gets a new folder, made once by
//! `cargo test -p tallymark-store write_golden_files -- --ignored`; the old ones stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rstest::rstest;
use tallymark_protocol::uuid7;
use tallymark_store::{
    Append, Catalog, CatalogChange, Dim, MemoryCatalog, OpenError, RefusedRow, Row, SegmentId,
    SegmentMeta, Store,
};

use crate::support::{all_rows, append, append_rows, open, options, sorted, temp_dir};

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/golden").join(version)
}

/// Rows 0 to 2 are in the segment, row 3 is in the log. Since version 3 they have a writer.
fn golden_rows(version: &str) -> Vec<Row> {
    let row = |n: u8, props: &str| {
        let ts_ms = 1_795_347_900_000 + i64::from(n);
        let mut dims = [const { None }; Dim::ALL.len()];
        dims[Dim::Path as usize] = Some("/größe".into());
        dims[Dim::Country as usize] = n.is_multiple_of(2).then(|| "DE".into());
        Row {
            project: 1,
            person: u64::from(n % 2) + 1,
            actor: u64::from(n) + 1,
            ts_ms,
            seq: u32::from(n),
            writer: if version < "v3" || n == 1 { 0 } else { u64::from(n) + (1 << 52) },
            event_id: uuid7::make(ts_ms as u64, [n; 10]),
            received_ms: ts_ms + 20,
            claimed_ms: ts_ms - 7,
            flags: n,
            event: "checkout_started".into(),
            session: u128::from(n % 3) << 100,
            dims: dims.into(),
            props: props.into(),
        }
    };
    vec![
        row(0, "{\"plan\":\"team\",\"seats\":5,\"trial\":true}"),
        row(1, "{\"plan\":\"\\u00e9\",\"seats\":5.0,\"nested\":{\"a\":[1]}}"),
        row(2, "{}"),
        row(3, "{\"plan\":7,\"seats\":29.99}"),
    ]
}

fn refused() -> RefusedRow {
    RefusedRow { project: 1, received_ms: 9, code: "too_old".into(), raw: "{\"e\":1}".into() }
}

/// What the catalog said when a version was made.
fn segment(version: &str) -> SegmentMeta {
    SegmentMeta {
        id: SegmentId(1),
        week: "2026-W47".into(),
        level: 0,
        rows: 3,
        bytes: fs::metadata(golden(version).join("seg/2026-W47/1.parquet")).unwrap().len(),
        project_min: 1,
        project_max: 1,
        ts_min_ms: 1_795_347_900_000,
        ts_max_ms: 1_795_347_900_002,
        person_min: 1,
        person_max: 2,
        id_day_min: 20_779,
        id_day_max: 20_779,
        odd_ids: 0,
        has_ids: true,
        link_epoch: 0,
        sums: Arc::default(),
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[rstest]
fn every_version_opens_and_gives_its_rows(#[values("v1", "v2", "v3")] version: &str) {
    let dir = temp_dir();
    // The second version has the log of the first one.
    copy_dir(&golden("v1"), dir.path());
    copy_dir(&golden(version), dir.path());
    let catalog = Arc::new(MemoryCatalog::new());
    let change =
        CatalogChange { add: vec![segment(version)], flushed_seq: 1, ..CatalogChange::default() };
    catalog.commit(&change).unwrap();
    let store = open(dir.path(), &catalog);
    assert_eq!(all_rows(&store, 1), sorted(1, &golden_rows(version)));
    assert_eq!(store.refused(1, 9).unwrap(), [refused()]);
    let again = append(&store, Append { rows: golden_rows(version), refused: Vec::new() }).unwrap();
    assert_eq!(again.duplicate, [true; 4]);
}

/// The version of a file, changed in place to a later one, and the sentence that comes of it.
#[rstest]
#[case::segment("seg/2026-W47/1.parquet", b"\"format\":1,", 9, b'9', 2)]
#[case::log("wal/00000000000000000002.wal", b"TMWAL\0\0\0", 8, 9, 1)]
fn a_file_of_a_later_version_is_refused_with_what_to_do(
    #[case] file: &str,
    #[case] before: &[u8],
    #[case] at: usize,
    #[case] version: u8,
    #[case] known: u32,
) {
    let dir = temp_dir();
    copy_dir(&golden("v1"), dir.path());
    let path = dir.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(before.len()).position(|window| window == before).unwrap() + at;
    bytes[place] = version;
    if file.starts_with("wal") {
        // The header's own checksum, behind the version, over the rest of its 32 bytes.
        let header: Vec<u8> = bytes[..12].iter().chain(&bytes[16..32]).copied().collect();
        bytes[12..16].copy_from_slice(&crc32fast::hash(&header).to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
    let catalog = MemoryCatalog::new();
    let change =
        CatalogChange { add: vec![segment("v1")], flushed_seq: 1, ..CatalogChange::default() };
    catalog.commit(&change).unwrap();
    let error = Store::open(options(dir.path()), Arc::new(catalog)).unwrap_err();
    let is_newer = matches!(&error, OpenError::NewerVersion { file, .. } if *file == path);
    assert!(is_newer, "{error}");
    let sentence =
        format!("has format version 9, this program reads up to {known}: use a newer tallymark");
    assert!(error.to_string().contains(&sentence), "{error}");
}

#[test]
#[ignore = "writes the files of the present version"]
fn write_golden_files() {
    let dir = temp_dir();
    let catalog = Arc::new(MemoryCatalog::new());
    let store = open(dir.path(), &catalog);
    let rows = golden_rows("v3");
    append_rows(&store, rows[..3].to_vec());
    store.flush().unwrap();
    append(&store, Append { rows: rows[3..].to_vec(), refused: vec![refused()] }).unwrap();
    println!("{:?}", catalog.load().unwrap());
    for name in ["seg", "wal"] {
        copy_dir(&dir.path().join(name), &golden("v3").join(name));
    }
}
