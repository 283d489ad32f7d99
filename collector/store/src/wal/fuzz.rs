//! Pages of the log that nobody wrote: whatever stands in a payload, its reader says what is wrong and does not panic, take
//! long or ask for memory that the bytes do not account for.
//!
//! A frame's checksum keeps damage from payloads, so here payloads are changed behind it; what damage to whole files does is
//! `faults::damage`. `TALLYMARK_TEST_INPUTS`, `TALLYMARK_TEST_SEED` and `TALLYMARK_TEST_MINUTES` are those of
//! `collector/tests/fuzz`.

#[path = "../../../../tests/src/mutate.rs"]
mod mutate;

use std::time::{Duration, Instant};

use mutate::Mutator;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::frame::{Found, Frame, Kind, Place};
use super::payload::{decode_refused, decode_rows, encode_refused, encode_rows};
use crate::RefusedRow;
use crate::row::Row;
use crate::testing::any_row;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Payloads as they are written.
fn corpus() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let mut row = || any_row().new_tree(&mut runner).expect("a row can be made").current();
    let rows: Vec<Row> = (0..20).map(|_| row()).collect();
    let refused =
        |raw: &str| RefusedRow { project: 1, received_ms: 2, code: "a".into(), raw: raw.into() };
    vec![
        encode_rows(&[]),
        encode_rows(&rows[..1]),
        encode_rows(&rows),
        encode_refused(&[refused("{}"), refused("é\u{0}")]),
    ]
}

#[test]
fn whatever_stands_in_a_page_of_the_log_is_read_or_refused() {
    let seed = number("TALLYMARK_TEST_SEED").unwrap_or(7);
    println!("fuzz log_pages: TALLYMARK_TEST_SEED={seed} plays this run again");
    let inputs = number("TALLYMARK_TEST_INPUTS").unwrap_or(20_000);
    let minutes = number("TALLYMARK_TEST_MINUTES").unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let corpus = corpus();
    let mut mutator = Mutator::new(seed);
    let (mut given, mut read, mut slowest) = (0, 0, Duration::ZERO);
    while given < inputs && Instant::now() < end {
        let (one, other) = (mutator.below(corpus.len()), mutator.below(corpus.len()));
        let page = mutator.mutate(&corpus[one], &corpus[other], &["\u{ff}\u{ff}\u{ff}\u{ff}"]);
        let began = Instant::now();
        read += u64::from(decode_rows(&page).is_ok()) + u64::from(decode_refused(&page).is_ok());
        // The same behind a right checksum comes back as it is.
        let mut framed = Vec::new();
        Frame::new(Kind::Events, page.clone()).write(given, seed, Place::First, &mut framed);
        let found = Found::parse(&framed, seed).and_then(|frame| frame.payload());
        assert_eq!(found.as_ref(), Some(&page));
        slowest = slowest.max(began.elapsed());
        given += 1;
    }
    println!("figure: {given} log_pages, {read} of them readable, the slowest took {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(read > 0, "nothing was readable: the inputs are too far from pages");
}
