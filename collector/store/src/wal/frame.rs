//! The log's bytes: a file header, then frames.
//!
//! ```text
//! file header, 32 bytes:  "TMWAL\0\0\0" | version u32 | crc32 u32 | first_seq u64 | salt u64
//! frame header, 20 bytes: magic u16 | kind u8 | flags u8 | len u32 | seq u64 | crc32 u32
//! then `len` bytes of payload
//! ```
//!
//! All numbers are little-endian. A frame's checksum covers the file's salt, the frame header
//! without the checksum, and the payload; it is CRC-32 (IEEE), which finds every change of up to
//! 32 bits in a row, as CRC-32C would, and needs no further library. The salt is there so that
//! nobody can put bytes into an event that look like a frame of this file.
//!
//! Flags: 1 = the payload is an LZ4 block behind its length; 2 = the frame is not the first of its
//! group. A group is one write and one sync, so losing power in between may keep any part of it:
//! only the *first* frame of a group proves that everything before it was on the disk.

/// Length of the header of a log file.
pub(crate) const FILE_HEADER_LEN: usize = 32;
/// Length of the header of a frame.
pub(crate) const FRAME_HEADER_LEN: usize = 20;
/// The version of log files that we write, and the newest we read.
pub(crate) const LOG_VERSION: u32 = 1;

const FILE_MAGIC: [u8; 8] = *b"TMWAL\0\0\0";
const FRAME_MAGIC: [u8; 2] = [0xd7, 0x4d];
const LZ4: u8 = 1;
const LATER_IN_GROUP: u8 = 2;

/// What a frame holds. Configuration has number 5 reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Rows.
    Events = 1,
    /// Refused rows.
    Bad = 2,
    /// A link between persons, or one taken back.
    Link = 3,
    /// A person to erase.
    Erase = 4,
}

/// Where a frame stands in the group that is written and synced at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Later,
}

/// The header of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    /// Number of the first frame in it.
    pub first_seq: u64,
    /// Part of every checksum in this file.
    pub salt: u64,
}

/// Why a file header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Written by a later program.
    Newer(u32),
    /// Not a header of ours, or changed.
    Damaged,
}

impl FileHeader {
    pub(crate) fn encode(self) -> [u8; FILE_HEADER_LEN] {
        let mut out = [0; FILE_HEADER_LEN];
        out[..8].copy_from_slice(&FILE_MAGIC);
        out[8..12].copy_from_slice(&LOG_VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        out[24..].copy_from_slice(&self.salt.to_le_bytes());
        let crc = header_crc(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let header: &[u8; FILE_HEADER_LEN] = bytes.first_chunk().ok_or(HeaderError::Damaged)?;
        let crc = u32_at(header, 12);
        if header[..8] != FILE_MAGIC || crc != header_crc(header) {
            return Err(HeaderError::Damaged);
        }
        match u32_at(header, 8) {
            version if version > LOG_VERSION => Err(HeaderError::Newer(version)),
            0 => Err(HeaderError::Damaged),
            _ => Ok(Self { first_seq: u64_at(header, 16), salt: u64_at(header, 24) }),
        }
    }
}

fn header_crc(header: &[u8; FILE_HEADER_LEN]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..12]);
    hasher.update(&header[16..]);
    hasher.finalize()
}

/// A payload, compressed when that is smaller, that still needs a number and a file.
#[derive(Debug)]
pub(crate) struct Frame {
    kind: Kind,
    flags: u8,
    payload: Vec<u8>,
}

impl Frame {
    /// Compress a payload if that makes it smaller.
    pub(crate) fn new(kind: Kind, payload: Vec<u8>) -> Self {
        let compressed = lz4_flex::block::compress_prepend_size(&payload);
        if compressed.len() < payload.len() {
            Self { kind, flags: LZ4, payload: compressed }
        } else {
            Self { kind, flags: 0, payload }
        }
    }

    /// Bytes it takes in a file.
    pub(crate) fn len(&self) -> usize {
        FRAME_HEADER_LEN + self.payload.len()
    }

    /// Append it to `out` as frame `seq` of a file with this salt.
    pub(crate) fn write(&self, seq: u64, salt: u64, place: Place, out: &mut Vec<u8>) {
        let len =
            u32::try_from(self.payload.len()).expect("the writer splits groups far below 4 GiB");
        let start = out.len();
        out.extend_from_slice(&FRAME_MAGIC);
        out.push(self.kind as u8);
        out.push(match place {
            Place::First => self.flags,
            Place::Later => self.flags | LATER_IN_GROUP,
        });
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&seq.to_le_bytes());
        let crc = frame_crc(salt, &out[start..], &self.payload);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&self.payload);
    }
}

/// A frame found in a file, its checksum verified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub kind: u8,
    pub seq: u64,
    flags: u8,
    payload: &'a [u8],
}

impl<'a> Found<'a> {
    /// The frame at the start of `bytes`, if there is a whole and unchanged one.
    pub(crate) fn parse(bytes: &'a [u8], salt: u64) -> Option<Self> {
        if !bytes.starts_with(&FRAME_MAGIC) {
            return None;
        }
        let (header, rest) = bytes.split_at_checked(FRAME_HEADER_LEN)?;
        let payload = rest.get(..u32_at(header, 4) as usize)?;
        if u32_at(header, 16) != frame_crc(salt, &header[..16], payload) {
            return None;
        }
        Some(Self { kind: header[2], flags: header[3], seq: u64_at(header, 8), payload })
    }

    /// Bytes it takes in the file.
    pub(crate) fn len(&self) -> usize {
        FRAME_HEADER_LEN + self.payload.len()
    }

    /// Where it stood in its group.
    pub(crate) fn place(&self) -> Place {
        if self.flags & LATER_IN_GROUP == 0 { Place::First } else { Place::Later }
    }

    /// The payload as it was given to [`Frame::new`]; `None` if it does not decompress.
    pub(crate) fn payload(&self) -> Option<Vec<u8>> {
        match self.flags & !LATER_IN_GROUP {
            0 => Some(self.payload.to_vec()),
            LZ4 => lz4_flex::block::decompress_size_prepended(self.payload).ok(),
            _ => None,
        }
    }
}

fn frame_crc(salt: u64, header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_again_only_with_its_salt() {
        let frame =
            Frame::new(Kind::Events, b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec());
        let mut bytes = Vec::new();
        frame.write(9, 77, Place::First, &mut bytes);
        assert_eq!(bytes.len(), frame.len());
        let found = Found::parse(&bytes, 77).expect("whole frame");
        assert_eq!((found.kind, found.seq, found.len()), (1, 9, bytes.len()));
        assert_eq!(found.payload().as_deref(), Some(&[b'a'; 42][..]));
        assert_eq!(Found::parse(&bytes, 78), None);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let header = FileHeader { first_seq: 3, salt: 5 };
        let mut bytes = header.encode().to_vec();
        Frame::new(Kind::Bad, b"some payload".to_vec()).write(3, 5, Place::Later, &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let header_ok = FileHeader::decode(&flipped) == Ok(header);
            let frame_ok = Found::parse(&flipped[FILE_HEADER_LEN..], 5).is_some();
            assert!(!header_ok || !frame_ok, "bit {bit}");
        }
        for len in FILE_HEADER_LEN..bytes.len() {
            assert_eq!(Found::parse(&bytes[FILE_HEADER_LEN..len], 5), None);
        }
    }

    #[test]
    fn a_file_of_a_later_version_is_named_as_such() {
        let mut bytes = FileHeader { first_seq: 1, salt: 2 }.encode();
        bytes[8..12].copy_from_slice(&(LOG_VERSION + 1).to_le_bytes());
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(FileHeader::decode(&bytes), Err(HeaderError::Newer(LOG_VERSION + 1)));
    }
}
