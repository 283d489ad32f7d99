//! Numbers as bytes: packed, compressed where it helps, checked.
//!
//! Invariant: what is read back is what was written, or it is called damaged.

/// Numbers packed with the same width.
const RUN: usize = 128;

/// What [`decode`] and the unpacking functions say of bytes that nobody wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// Where a block of bytes is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Place {
    /// From the first byte after the header.
    pub at: u64,
    pub len: u32,
    /// Length when unpacked; equal to `len` when it is not compressed.
    pub raw: u32,
    pub crc: u32,
}

/// Append a block, LZ4 where it is shorter so.
pub(super) fn encode(raw: &[u8], out: &mut Vec<u8>) -> Place {
    let at = out.len() as u64;
    let packed = lz4_flex::block::compress(raw);
    let bytes = if packed.len() < raw.len() { &packed[..] } else { raw };
    out.extend_from_slice(bytes);
    let (len, raw) = (bytes.len() as u32, raw.len() as u32);
    Place { at, len, raw, crc: crc32fast::hash(bytes) }
}

/// Take a block apart.
pub(super) fn decode(place: &Place, bytes: Vec<u8>) -> Result<Vec<u8>, Damaged> {
    if crc32fast::hash(&bytes) != place.crc {
        return Err(Damaged);
    }
    if place.raw == place.len {
        return Ok(bytes);
    }
    lz4_flex::block::decompress(&bytes, place.raw as usize).map_err(|_| Damaged)
}

/// Rising numbers as differences, each run of them in as many bits as its largest needs.
pub(super) fn pack_rising(numbers: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(numbers.len() * 2);
    let mut run = Vec::with_capacity(RUN);
    let mut last = 0u64;
    let mut left = numbers.len();
    for number in numbers {
        run.push(number - last);
        last = number;
        left -= 1;
        if run.len() == RUN || left == 0 {
            let width = run.iter().map(|n| u64::BITS - n.leading_zeros()).max().unwrap_or(0);
            out.push(width as u8);
            let (mut held, mut bits) = (0u128, 0);
            for number in run.drain(..) {
                held |= u128::from(number) << bits;
                bits += width;
                while bits >= 8 {
                    out.push(held as u8);
                    held >>= 8;
                    bits -= 8;
                }
            }
            if bits > 0 {
                out.push(held as u8);
            }
        }
    }
    out
}

/// The numbers again.
pub(super) fn unpack_rising(bytes: &[u8], count: usize) -> Result<Vec<u64>, Damaged> {
    let mut numbers = Vec::with_capacity(count.min(bytes.len().saturating_mul(RUN)));
    let mut rest = bytes;
    let mut last = 0u64;
    while numbers.len() < count {
        let of_run = RUN.min(count - numbers.len());
        let (&width, after) = rest.split_first().ok_or(Damaged)?;
        let width = u32::from(width);
        let len = (of_run * width as usize).div_ceil(8);
        if width > u64::BITS || after.len() < len {
            return Err(Damaged);
        }
        let (packed, after) = after.split_at(len);
        rest = after;
        let mask = if width == u64::BITS { u64::MAX } else { (1 << width) - 1 };
        let mut packed = packed.iter();
        let (mut held, mut bits) = (0u128, 0);
        for _ in 0..of_run {
            while bits < width {
                held |= u128::from(*packed.next().ok_or(Damaged)?) << bits;
                bits += 8;
            }
            last = last.checked_add(held as u64 & mask).ok_or(Damaged)?;
            numbers.push(last);
            held >>= width;
            bits -= width;
        }
    }
    if rest.is_empty() { Ok(numbers) } else { Err(Damaged) }
}

/// The lowest `width` bytes of each number: all lowest ones first, so that empty ones are neighbours.
pub(super) fn pack_planes(numbers: &[u64], width: usize) -> Vec<u8> {
    (0..width).flat_map(|byte| numbers.iter().map(move |n| (n >> (8 * byte)) as u8)).collect()
}

/// The numbers again.
pub(super) fn unpack_planes<T>(bytes: &[u8], count: usize) -> Result<Vec<T>, Damaged>
where
    T: Copy + Default + From<u8> + std::ops::Shl<u32, Output = T> + std::ops::BitOrAssign,
{
    if count == 0 || !bytes.len().is_multiple_of(count) || bytes.len() / count > size_of::<T>() {
        return Err(Damaged);
    }
    let mut numbers = vec![T::default(); count];
    for (plane, bytes) in bytes.chunks_exact(count).enumerate() {
        for (number, byte) in numbers.iter_mut().zip(bytes) {
            *number |= T::from(*byte) << (8 * plane as u32);
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoding_undoes_encoding(
            numbers in prop::collection::btree_set(prop_oneof![0u64..500, any::<u64>()], 1..400),
        ) {
            let numbers: Vec<u64> = numbers.into_iter().collect();
            let packed = pack_rising(numbers.iter().copied());
            prop_assert_eq!(unpack_rising(&packed, numbers.len()).unwrap(), numbers.clone());
            let planes = pack_planes(&numbers, 8);
            prop_assert_eq!(unpack_planes::<u64>(&planes, numbers.len()).unwrap(), numbers.clone());
            let low: Vec<u32> = numbers.iter().map(|n| *n as u32 & 0xff_ffff).collect();
            let planes = pack_planes(&numbers, 3);
            prop_assert_eq!(unpack_planes::<u32>(&planes, numbers.len()).unwrap(), low);
            let mut file = vec![9];
            let place = encode(&packed, &mut file);
            let bytes = file[place.at as usize..][..place.len as usize].to_vec();
            prop_assert_eq!(decode(&place, bytes.clone()).unwrap(), packed);
            let mut flipped = bytes;
            flipped[0] ^= 1;
            prop_assert_eq!(decode(&place, flipped), Err(Damaged));
        }

        #[test]
        fn bytes_that_nobody_wrote_are_damaged_or_numbers_but_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            count in 0usize..500,
        ) {
            if let Ok(numbers) = unpack_rising(&bytes, count) {
                prop_assert_eq!(numbers.len(), count);
                prop_assert!(numbers.is_sorted());
            }
            if let Ok(numbers) = unpack_planes::<u16>(&bytes, count) {
                prop_assert_eq!(numbers.len(), count);
            }
        }
    }

    #[test]
    fn an_empty_list_takes_no_bytes() {
        assert!(pack_rising([].into_iter()).is_empty());
        assert_eq!(unpack_rising(&[], 0), Ok(Vec::new()));
    }
}
