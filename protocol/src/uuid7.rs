//! UUIDv7: ids that carry their own time, so that an index by day needs no look-up.
//!
//! Layout (RFC 9562, section 5.7), most significant first: 48 bits of Unix milliseconds, the
//! version 7, 12 random bits, the variant `10`, 62 random bits.
//!
//! The clock and the random bytes are arguments: the browser has both, this crate has neither.

use crate::hashing::{HEX_VALUES, NO_HEX_DIGIT};
use alloc::string::String;

/// Largest time that fits the 48 bits: the year 10889.
const UNIX_MS_MAX: u64 = (1 << 48) - 1;

/// The id of something that happened at `now_ms` (Unix milliseconds). Six of the 80 random bits
/// are unused, they make room for version and variant. Times beyond 48 bits are clamped.
pub const fn make(now_ms: u64, random: [u8; 10]) -> u128 {
    let ms = if now_ms > UNIX_MS_MAX { UNIX_MS_MAX } else { now_ms };
    let [a0, a1, b0, b1, b2, b3, b4, b5, b6, b7] = random;
    let rand_a = u16::from_be_bytes([a0, a1]) & 0x0FFF;
    let rand_b = u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]) & (u64::MAX >> 2);
    (ms as u128) << 80 | 0x7 << 76 | (rand_a as u128) << 64 | 0b10 << 62 | rand_b as u128
}

/// The time inside an id in Unix milliseconds, or `None` when it is not a UUIDv7.
pub const fn unix_ms(id: u128) -> Option<u64> {
    let is_v7 = (id >> 76) & 0xF == 7 && (id >> 62) & 0b11 == 0b10;
    if is_v7 { Some((id >> 80) as u64) } else { None }
}

/// Reads the hyphenated form of a UUID of any version, upper or lower case. `None` for all else.
pub fn parse(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let dashes = [8, 13, 18, 23].iter().all(|place| bytes[*place] == b'-');
    let mut seen = 0;
    // Two halves of 16 digits: numbers of 64 bits are shifted in one step.
    let mut half = |parts: &[&[u8]]| {
        let digits = parts.iter().copied().flatten();
        digits.fold(0u64, |half, digit| {
            let value = HEX_VALUES[usize::from(*digit)];
            seen |= value;
            half << 4 | u64::from(value & 0xF)
        })
    };
    let high = half(&[&bytes[..8], &bytes[9..13], &bytes[14..18]]);
    let low = half(&[&bytes[19..23], &bytes[24..]]);
    (dashes && seen != NO_HEX_DIGIT).then_some(u128::from(high) << 64 | u128::from(low))
}

/// The hyphenated form, lower case, 36 characters.
pub fn format(id: u128) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in id.to_be_bytes().into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        crate::hashing::push_hex(&mut text, byte);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, hex};
    use proptest::prelude::*;
    use rstest::rstest;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
        not_uuids: Vec<String>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        unix_ms: u64,
        random: String,
        uuid: String,
    }

    #[test]
    fn ids_have_the_bits_of_rfc_9562() {
        let file: File = vectors::load("uuid7.json");
        for case in file.cases {
            let id = make(case.unix_ms, hex(&case.random).try_into().expect("ten bytes"));
            assert_eq!(format(id), case.uuid, "{}", case.name);
            assert_eq!(parse(&case.uuid), Some(id), "{}", case.name);
            assert_eq!(parse(&case.uuid.to_uppercase()), Some(id), "{}", case.name);
            assert_eq!(unix_ms(id), Some(case.unix_ms), "{}", case.name);
        }
    }

    #[test]
    fn what_is_not_a_uuid_is_refused() {
        let file: File = vectors::load("uuid7.json");
        for text in file.not_uuids {
            assert_eq!(parse(&text), None, "{text:?}");
        }
    }

    #[rstest]
    #[case::version_4("550e8400-e29b-41d4-a716-446655440000")]
    #[case::nil("00000000-0000-0000-0000-000000000000")]
    #[case::version_7_of_another_variant("017f22e2-79b0-7cc3-d8c4-dc0c0c07398f")]
    fn other_uuids_parse_but_carry_no_time(#[case] text: &str) {
        assert_eq!(unix_ms(parse(text).expect("a UUID")), None);
    }

    #[test]
    fn a_time_beyond_48_bits_is_clamped() {
        assert_eq!(unix_ms(make(u64::MAX, [0xFF; 10])), Some(UNIX_MS_MAX));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(ms in 0..=UNIX_MS_MAX, random in any::<[u8; 10]>()) {
            let id = make(ms, random);
            prop_assert_eq!(unix_ms(id), Some(ms));
            prop_assert_eq!(parse(&format(id)), Some(id));
        }

        #[test]
        fn later_ids_sort_after_earlier_ones(
            ms in 0..UNIX_MS_MAX, first in any::<[u8; 10]>(), second in any::<[u8; 10]>()
        ) {
            prop_assert!(make(ms, first) < make(ms + 1, second));
            prop_assert!(format(make(ms, first)) < format(make(ms + 1, second)));
        }

        #[test]
        fn parsing_any_text_never_panics(text in ".{0,40}") {
            parse(&text);
        }
    }
}
