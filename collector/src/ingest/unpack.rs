//! Unpacking gzip bodies, within a limit and within constant memory beyond it.

use std::io::{ErrorKind, Read};

use flate2::read::MultiGzDecoder;

use crate::error::ApiError;

/// Unpack a gzip body of one or several members.
///
/// Stops reading as soon as more than `limit` bytes have come out (`limit` itself is allowed), so a
/// bomb costs what `limit` bytes cost.
///
/// # Errors
/// [`ApiError::BodyTooLarge`], or [`ApiError::GzipInvalid`] for a broken, truncated or empty stream
/// and for bytes behind it that are no further member.
pub fn gunzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::with_capacity(packed.len().saturating_mul(4).min(limit + 1));
    let mut decoder = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    decoder.read_to_end(&mut bytes).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            ApiError::GzipInvalid
        }
        _ => ApiError::Internal(error.into()),
    })?;
    if bytes.len() > limit { Err(ApiError::BodyTooLarge { limit }) } else { Ok(bytes) }
}

/// Whether the first part of a body is enough to know that the whole is too large. Nothing of it is kept.
pub fn is_bomb(part: &[u8], limit: usize) -> bool {
    let mut decoder = MultiGzDecoder::new(part).take(limit as u64 + 1);
    // Where the part ends there is an error, and what came out before it counts.
    let mut unpacked = 0;
    let mut piece = [0; 8192];
    while let Ok(read @ 1..) = decoder.read(&mut piece) {
        unpacked += read;
    }
    unpacked > limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn code(result: Result<Vec<u8>, ApiError>) -> &'static str {
        result.map_or_else(|error| error.status_and_code().1, |_| "ok")
    }

    #[test]
    fn the_limit_itself_is_allowed_and_one_byte_more_is_not() {
        assert_eq!(code(gunzip(&gzip(&[b'x'; 100]), 100)), "ok");
        assert_eq!(code(gunzip(&gzip(&[b'x'; 101]), 100)), "body_too_large");
    }

    #[test]
    fn members_are_joined_and_their_sum_counts() {
        let two = [gzip(b"hello "), gzip(b"world")].concat();
        assert_eq!(gunzip(&two, 11).unwrap(), b"hello world");
        assert_eq!(code(gunzip(&two, 10)), "body_too_large");
    }

    #[test]
    fn a_bomb_is_refused_without_being_unpacked() {
        let bomb = gzip(&vec![0; 64 << 20]);
        let began = std::time::Instant::now();
        assert_eq!(code(gunzip(&bomb, 1 << 20)), "body_too_large");
        assert!(began.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn a_bomb_is_known_by_its_beginning_and_nothing_else_is_taken_for_one() {
        let limit = 1 << 20;
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(is_bomb(&bomb[..4096], limit));
        let whole = gzip(&vec![b'x'; limit]);
        for end in (0..=whole.len()).step_by(7) {
            assert!(!is_bomb(&whole[..end], limit), "cut at {end}");
        }
        assert!(!is_bomb(b"no gzip at all", limit));
    }

    #[test]
    fn what_is_not_whole_gzip_is_refused() {
        let whole = gzip(b"hello");
        for end in 0..whole.len() {
            assert_eq!(code(gunzip(&whole[..end], 100)), "gzip_invalid", "cut at {end}");
        }
        assert_eq!(code(gunzip(b"{\"events\":[]}", 100)), "gzip_invalid");
        assert_eq!(code(gunzip(&[whole, b"tail".to_vec()].concat(), 100)), "gzip_invalid");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = gunzip(&bytes, 100);
            let _ = gunzip(&[vec![0x1f, 0x8b, 8, 0], bytes.clone()].concat(), 100);
            let _ = is_bomb(&[vec![0x1f, 0x8b, 8, 0], bytes].concat(), 100);
        }
    }
}
