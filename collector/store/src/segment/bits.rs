//! The two ways in which Parquet packs whole numbers: *runs*, of one number or of bit-packed ones
//! (codes of dictionaries, and where nulls are), and *differences* (times).
//!
//! In: bytes of a page. Out: numbers, in parts small enough to stay in the nearest cache.
//!
//! Invariant: as many numbers as were asked for, or `None`: bytes that end too early or contradict
//! themselves are never a panic and never a number less.
//!
//! Source: `Encodings.md` of apache/parquet-format.
//!
//! Deliberately elsewhere: what the numbers mean (`pages`), other encodings (the `parquet` crate).

/// Numbers that follow each other.
pub(super) enum Part<'a> {
    /// One number, so many times.
    Same(u32, usize),
    /// One after the other; at most [`PART`].
    Each(&'a [u32]),
}

/// Numbers unpacked at once: what writers put between two headers.
const PART: usize = 512;

/// Gives `count` numbers of `width` bits.
pub(super) fn runs(
    mut bytes: &[u8],
    width: u8,
    count: usize,
    mut each: impl FnMut(Part<'_>) -> Option<()>,
) -> Option<()> {
    let width = usize::from(width);
    if width > 32 {
        return None;
    }
    let mut part = [0; PART];
    let mut left = count;
    while left > 0 {
        let header = varint(&mut bytes)?;
        let length = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 || width == 0 {
            let mut number = [0; 4];
            let same = take(&mut bytes, width.div_ceil(8))?;
            number[..same.len()].copy_from_slice(same);
            let groups_of = if header & 1 == 0 { 1 } else { 8 };
            let times = length.saturating_mul(groups_of).min(left);
            each(Part::Same(u32::from_le_bytes(number), times))?;
            left -= times;
            continue;
        }
        let end = bytes.len().checked_sub(length.checked_mul(width)?)?;
        while bytes.len() > end && left > 0 {
            let count = ((bytes.len() - end) / width * 8).min(PART);
            unpack(bytes, width, &mut part[..count], |word| word as u32);
            bytes = &bytes[count / 8 * width..];
            let wanted = count.min(left);
            each(Part::Each(&part[..wanted]))?;
            left -= wanted;
        }
        bytes = &bytes[bytes.len() - end..];
    }
    Some(())
}

/// Adds the places of those of `count` runs of single bits that are 1; the first bit has the place
/// `first`. Where few are, it looks at few.
pub(super) fn ones(
    mut bytes: &[u8],
    first: u32,
    count: usize,
    places: &mut Vec<u32>,
) -> Option<()> {
    let (mut at, mut left) = (first, count);
    while left > 0 {
        let header = varint(&mut bytes)?;
        let length = usize::try_from(header >> 1).ok()?;
        let taken = if header & 1 == 0 {
            let times = length.min(left);
            if take(&mut bytes, 1)? != [0] {
                places.extend(at..at + times as u32);
            }
            times
        } else {
            let packed = take(&mut bytes, length)?;
            let wanted = length.saturating_mul(8).min(left);
            for (from, eight) in (0..wanted).step_by(64).zip(packed.chunks(8)) {
                let mut word = [0; 8];
                word[..eight.len()].copy_from_slice(eight);
                let mut ones = u64::from_le_bytes(word);
                if wanted - from < 64 {
                    ones &= (1 << (wanted - from)) - 1;
                }
                while ones != 0 {
                    places.push(at + from as u32 + ones.trailing_zeros());
                    ones &= ones - 1;
                }
            }
            wanted
        };
        at += taken as u32;
        left -= taken;
    }
    Some(())
}

/// Differences unpacked at once: what the `parquet` crate gives one width.
const DIFFERENCES: usize = 64;

/// Gives `count` numbers of which the differences are packed.
pub(super) fn differences(
    mut bytes: &[u8],
    count: usize,
    mut each: impl FnMut(&[i64]),
) -> Option<()> {
    let block = usize::try_from(varint(&mut bytes)?).ok()?;
    let blocklets = usize::try_from(varint(&mut bytes)?).ok()?;
    if varint(&mut bytes)? != count as u64 {
        return None;
    }
    let mut last = zigzag(varint(&mut bytes)?);
    // Of one width are as many as a block has by its number of widths: a multiple of 32.
    let same_width = block.checked_div(blocklets).filter(|count| *count > 0 && count % 32 == 0)?;
    let mut left = count;
    if left > 0 {
        each(&[last]);
        left -= 1;
    }
    let mut part = [0; DIFFERENCES];
    while left > 0 {
        let smallest = zigzag(varint(&mut bytes)?);
        let widths = take(&mut bytes, blocklets)?;
        for width in widths.iter().map(|width| usize::from(*width)) {
            if left == 0 {
                break; // Widths without numbers fill the last block.
            }
            let end = bytes.len().checked_sub((same_width / 8).checked_mul(width)?)?;
            if width > 64 {
                return None;
            }
            for from in (0..same_width.min(left)).step_by(DIFFERENCES) {
                let count = (same_width - from).min(DIFFERENCES);
                // Each waits for the sum before it, so whatever can be done before is.
                let difference = |word| smallest.wrapping_add(word as i64);
                unpack(bytes, width, &mut part[..count], difference);
                bytes = &bytes[count / 8 * width..];
                let wanted = &mut part[..count.min(left)];
                for number in &mut *wanted {
                    last = last.wrapping_add(*number);
                    *number = last;
                }
                each(wanted);
                left -= wanted.len();
            }
            bytes = &bytes[bytes.len() - end..];
        }
    }
    Some(())
}

/// Bytes of which eight numbers of any width are made: 64, and as many as are read with the last.
const WINDOW: usize = 64 + 16;

/// Unpack numbers of `width` bits, a multiple of 8. There are enough bytes.
fn unpack<T>(bytes: &[u8], width: usize, numbers: &mut [T], of: impl Fn(u64) -> T) {
    /// A number of bits that the compiler knows: shifts and places are constants then.
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                0 => numbers.iter_mut().for_each(|number| *number = of(0)),
                $($width => unpack_eights::<$width, T>(bytes, numbers, of),)*
                _ => unreachable!("whoever asks has looked at the width"),
            }
        };
    }
    by_width!(
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62
        63 64
    );
}

fn unpack_eights<const WIDTH: usize, T>(
    mut bytes: &[u8],
    numbers: &mut [T],
    of: impl Fn(u64) -> T,
) {
    let mut padded = [0; WINDOW];
    for eight in numbers.as_chunks_mut::<8>().0 {
        // Near the end of the page there is less than a window.
        let window: &[u8; WINDOW] = bytes.first_chunk().unwrap_or_else(|| {
            padded[..bytes.len()].copy_from_slice(bytes);
            &padded
        });
        for (i, number) in eight.iter_mut().enumerate() {
            let (at, shift) = (i * WIDTH / 8, i * WIDTH % 8);
            let word = if WIDTH + 7 <= 64 {
                let word: [u8; 8] = window[at..at + 8].try_into().expect("8 bytes");
                u64::from_le_bytes(word) >> shift
            } else {
                let word: [u8; 16] = window[at..at + 16].try_into().expect("16 bytes");
                (u128::from_le_bytes(word) >> shift) as u64
            };
            *number = of(word & (u64::MAX >> (64 - WIDTH)));
        }
        bytes = &bytes[WIDTH..];
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// A number of as many bytes as it needs, seven bits in each.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Numbers near zero, of either sign, are small.
fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bits as the format lays them: the lowest first.
    fn pack(numbers: &[u64], width: usize, bytes: &mut Vec<u8>) {
        let bit = |place: usize| numbers[place / width] >> (place % width) & 1;
        let byte = |first: usize| (0..8).map(|i| (bit(first + i) as u8) << i).sum::<u8>();
        bytes.extend((0..numbers.len() * width).step_by(8).map(byte));
    }

    fn put(mut number: u64, bytes: &mut Vec<u8>) {
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }

    /// Numbers of a width, and how they are put together: runs of one, or groups of eight.
    fn pieces() -> impl Strategy<Value = (u8, Vec<(u32, usize, bool)>)> {
        let piece = (any::<u32>(), 1..1200usize, any::<bool>());
        let width = prop_oneof![0..=32u8, Just(1u8)];
        (width, proptest::collection::vec(piece, 0..6))
    }

    fn collect(bytes: &[u8], width: u8, count: usize) -> Option<Vec<u32>> {
        let mut numbers = Vec::new();
        runs(bytes, width, count, |part| {
            match part {
                Part::Same(number, times) => numbers.extend(std::iter::repeat_n(number, times)),
                Part::Each(each) => numbers.extend(each),
            }
            Some(())
        })?;
        Some(numbers)
    }

    fn put_differences(numbers: &[i64], bytes: &mut Vec<u8>) {
        const BLOCKLETS: usize = 4;
        const SAME_WIDTH: usize = 96; // Not the size that is unpacked at once.
        put((BLOCKLETS * SAME_WIDTH) as u64, bytes);
        put(BLOCKLETS as u64, bytes);
        put(numbers.len() as u64, bytes);
        let zigzag = |number: i64| (number << 1 ^ number >> 63) as u64;
        put(zigzag(numbers.first().copied().unwrap_or(0)), bytes);
        let differences: Vec<i64> =
            numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        for block in differences.chunks(BLOCKLETS * SAME_WIDTH) {
            let smallest = block.iter().copied().min().unwrap_or(0);
            put(zigzag(smallest), bytes);
            let over = |at: usize| block.get(at).map_or(0, |d| d.wrapping_sub(smallest) as u64);
            let blocklet = |n: usize| -> Vec<u64> {
                (n * SAME_WIDTH..(n + 1) * SAME_WIDTH).map(over).collect()
            };
            let width = |n: usize| {
                blocklet(n).iter().map(|over| 64 - over.leading_zeros()).max().unwrap_or(0) as usize
            };
            bytes.extend((0..BLOCKLETS).map(|n| width(n) as u8));
            for n in (0..BLOCKLETS).filter(|n| n * SAME_WIDTH < block.len() && width(*n) > 0) {
                pack(&blocklet(n), width(n), bytes);
            }
        }
    }

    fn sum_up(bytes: &[u8], count: usize) -> Option<Vec<i64>> {
        let mut numbers = Vec::new();
        differences(bytes, count, |some| numbers.extend_from_slice(some))?;
        Some(numbers)
    }

    proptest! {
        #[test]
        fn runs_give_back_what_was_packed_and_notice_when_an_end_is_missing(
            (width, pieces) in pieces(),
        ) {
            let (mut bytes, mut want) = (Vec::new(), Vec::new());
            let mask = (1u64 << width) - 1;
            for (seed, count, is_packed) in pieces {
                let mixed = |i: usize| u64::from(seed).wrapping_mul(2 * i as u64 + 1) >> 7 & mask;
                if is_packed && width > 0 {
                    let numbers: Vec<u64> = (0..count.next_multiple_of(8)).map(mixed).collect();
                    put((numbers.len() as u64 / 8) << 1 | 1, &mut bytes);
                    pack(&numbers, usize::from(width), &mut bytes);
                    want.extend(numbers.iter().map(|number| *number as u32));
                } else {
                    put((count as u64) << 1, &mut bytes);
                    let number = u64::from(seed) & mask;
                    bytes.extend(&number.to_le_bytes()[..usize::from(width).div_ceil(8)]);
                    want.extend(std::iter::repeat_n(number as u32, count));
                }
            }
            prop_assert_eq!(collect(&bytes, width, want.len()), Some(want.clone()));
            if width == 1 {
                let places = |count: usize| {
                    let mut places = vec![7];
                    ones(&bytes, 3, count, &mut places).map(|()| places)
                };
                let ones = |count: usize| {
                    let rows = (3u32..).zip(&want[..count]).filter(|(_, bit)| **bit == 1);
                    [7].into_iter().chain(rows.map(|(row, _)| row)).collect::<Vec<u32>>()
                };
                for some in [want.len(), want.len() / 2, want.len().saturating_sub(3)] {
                    prop_assert_eq!(places(some), Some(ones(some)));
                }
                prop_assert_eq!(places(want.len() + 1), None);
            }
            for fewer in [1, 7, 8, 9].into_iter().filter(|fewer| *fewer < want.len()) {
                let some = want.len() - fewer;
                prop_assert_eq!(collect(&bytes, width, some), Some(want[..some].to_vec()));
            }
            prop_assert_eq!(collect(&bytes, width, want.len() + 1), None);
            if let Some((_, cut)) = bytes.split_last() {
                prop_assert_eq!(collect(cut, width, want.len()), None);
            }
        }

        #[test]
        fn differences_give_back_what_was_packed_and_notice_when_an_end_is_missing(
            times in proptest::collection::vec((any::<i64>(), 0..64u32), 1..1500),
        ) {
            let times: Vec<i64> = times.into_iter().map(|(time, shift)| time >> shift).collect();
            let mut bytes = Vec::new();
            put_differences(&times, &mut bytes);
            prop_assert_eq!(sum_up(&bytes, times.len()), Some(times.clone()));
            prop_assert_eq!(sum_up(&bytes, times.len() + 1), None);
            prop_assert_eq!(sum_up(&bytes[..bytes.len() - 1], times.len()), None);
        }

        #[test]
        fn any_bytes_are_so_many_numbers_or_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            width in any::<u8>(),
            count in 0..3000usize,
        ) {
            let packed = collect(&bytes, width, count);
            prop_assert!(packed.is_none_or(|numbers| numbers.len() == count));
            let mut places = Vec::new();
            let _ = ones(&bytes, 5, count, &mut places);
            prop_assert!(places.is_sorted() && places.iter().all(|at| (5..5 + count as u32).contains(at)));
            let summed = sum_up(&bytes, count);
            prop_assert!(summed.is_none_or(|numbers| numbers.len() == count));
        }
    }
}
