//! The bytes of a segment file, checked whenever they are read.
//!
//! Parquet has a checksum per page, but the library cannot write it, and footers have none. So the
//! catalog keeps a CRC-32 of every [`BLOCK`] of a file, made while the file was written, and every
//! read is of whole blocks and compares them. A changed bit anywhere in a file is found by whoever
//! reads there, and nobody is given what is near it.
//!
//! Files that were written before there were checksums have none, and are read as they are.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::disk::{Appender, DiskFile};

/// Bytes that share a checksum: small, so that reading a page reads little else; large, so that
/// checksums are a few bytes in ten thousand.
const BLOCK: u64 = 16 << 10;

/// A file that several threads read at once: every read names its place.
#[derive(Debug, Clone)]
pub(crate) struct SharedFile {
    file: Arc<dyn DiskFile>,
    len: u64,
    /// CRC-32 of each block, little-endian; empty when there are none.
    sums: Arc<[u8]>,
}

impl SharedFile {
    /// # Errors
    /// When the file has not the length it was written with.
    pub(crate) fn new(file: Arc<dyn DiskFile>, len: u64, sums: Arc<[u8]>) -> io::Result<Self> {
        let found = file.len()?;
        if found != len || !sums.is_empty() && sums.len() as u64 != 4 * len.div_ceil(BLOCK) {
            let what = format!("it has {found} bytes, {len} were written");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Self { file, len, sums })
    }

    /// Whether a changed bit would be noticed.
    pub(crate) fn has_sums(&self) -> bool {
        !self.sums.is_empty()
    }

    /// Read these ranges at once, so that what reads on in them finds them in memory.
    ///
    /// # Errors
    /// When a block is not what was written, or cannot be read.
    pub(crate) fn fetch(&self, ranges: impl Iterator<Item = (u64, u64)>) -> io::Result<Fetched> {
        let part = |(start, len)| Ok((start, self.read(start, len)?));
        Ok(Fetched { file: self.clone(), parts: ranges.map(part).collect::<io::Result<_>>()? })
    }

    /// Read a range by itself.
    ///
    /// # Errors
    /// When a block is not what was written, or cannot be read.
    pub(crate) fn bytes(&self, (start, len): (u64, u64)) -> io::Result<Bytes> {
        self.read(start, len)
    }

    /// These bytes are read soon.
    pub(crate) fn will_read(&self, (start, len): (u64, u64)) {
        // To a disk, no bytes are all that follow.
        if len > 0 {
            self.file.will_read(start, len);
        }
    }

    /// Read everything and give the places of blocks that are not what was written.
    ///
    /// # Errors
    /// When a block cannot be read.
    pub(crate) fn damaged_blocks(&self) -> io::Result<Vec<u64>> {
        /// What the disk reads at once, while the bytes before are checked.
        const AHEAD: u64 = 4 << 20;
        let mut damaged = Vec::new();
        for start in (0..self.len).step_by(BLOCK as usize) {
            if start.is_multiple_of(AHEAD) {
                self.will_read((start, 2 * AHEAD));
            }
            match self.read(start, BLOCK.min(self.len - start)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => damaged.push(start),
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    fn read(&self, start: u64, len: u64) -> io::Result<Bytes> {
        let end = start.saturating_add(len);
        if end > self.len {
            return Err(invalid("the file is shorter than its metadata says".into()));
        }
        if self.sums.is_empty() {
            return self.read_as_it_is(start, len);
        }
        let first = start / BLOCK * BLOCK;
        let last = (end.div_ceil(BLOCK) * BLOCK).min(self.len);
        let bytes = self.read_as_it_is(first, last - first)?;
        let sums = self.sums[4 * (first / BLOCK) as usize..].chunks_exact(4);
        for (i, (block, sum)) in (0..).zip(bytes.chunks(BLOCK as usize).zip(sums)) {
            if crc32fast::hash(block).to_le_bytes() != sum {
                let at = first + i * BLOCK;
                let end = at + block.len() as u64;
                return Err(invalid(format!("bytes {at} to {end} are not what was written")));
            }
        }
        let before = (start - first) as usize;
        Ok(bytes.slice(before..before + len as usize))
    }

    fn read_as_it_is(&self, start: u64, len: u64) -> io::Result<Bytes> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut buffer = Buffer::of(len);
        self.file.read_exact_at(&mut buffer.0[..len], start)?;
        Ok(Bytes::from_owner(buffer).slice(..len))
    }
}

/// Memory that is read into, as long as what is wanted or longer. Memory that is new to a process costs
/// about as much as what is read into it, so large ones are used again.
#[derive(Debug)]
struct Buffer(Vec<u8>);

/// Those that nobody uses now.
static UNUSED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

impl Buffer {
    /// Below this the allocator has some at hand.
    const LARGE: usize = 64 << 10;
    /// Above this it is better given back.
    const HUGE: usize = 8 << 20;
    const UNUSED_MAX: usize = 4;

    fn of(len: usize) -> Self {
        if len < Self::LARGE {
            return Self(vec![0; len]);
        }
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |bytes: &Vec<u8>| bytes.len() >= len;
        let found = unused.iter().position(fits).map(|place| unused.swap_remove(place));
        drop(unused);
        Self(found.unwrap_or_else(|| vec![0; len]))
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !(Self::LARGE..=Self::HUGE).contains(&self.0.len()) {
            return;
        }
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        unused.push(std::mem::take(&mut self.0));
        if unused.len() > Self::UNUSED_MAX {
            // The smallest helps least.
            let smallest = (0..unused.len()).min_by_key(|at| unused[*at].len());
            smallest.map(|at| unused.swap_remove(at));
        }
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for SharedFile {
    type T = ReadOn;

    fn get_read(&self, start: u64) -> ParquetResult<ReadOn> {
        Ok(ReadOn { file: self.clone(), at: start, block: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.read(start, length as u64).map_err(ParquetError::from)
    }
}

/// Reads on from a place, a block at a time.
#[derive(Debug)]
pub(crate) struct ReadOn {
    file: SharedFile,
    at: u64,
    block: Bytes,
}

impl Read for ReadOn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() {
            let rest = self.file.len.saturating_sub(self.at);
            self.block = self.file.read(self.at, rest.min(BLOCK - self.at % BLOCK))?;
            self.at += self.block.len() as u64;
        }
        let len = buffer.len().min(self.block.len());
        self.block.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

/// A file of which some ranges are in memory.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    file: SharedFile,
    parts: Vec<(u64, Bytes)>,
}

impl Fetched {
    fn part(&self, start: u64, len: u64) -> Option<Bytes> {
        self.parts.iter().find_map(|(from, bytes)| {
            let before = usize::try_from(start.checked_sub(*from)?).ok()?;
            let len = usize::try_from(len).ok()?;
            (before + len <= bytes.len()).then(|| bytes.slice(before..before + len))
        })
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.file.len
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    /// Only headers of pages are read so, and those are in a range that was fetched.
    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let part = self.parts.iter().find_map(|(from, bytes)| {
            let before = usize::try_from(start.checked_sub(*from)?).ok()?;
            (before < bytes.len()).then(|| bytes.slice(before..))
        });
        let part = part.ok_or_else(|| ParquetError::EOF("a page outside of its column".into()))?;
        Ok(part.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self.part(start, length as u64) {
            Some(bytes) => Ok(bytes),
            None => self.file.get_bytes(start, length),
        }
    }
}

/// Writes a file and makes the checksums of its blocks.
#[derive(Debug)]
pub(crate) struct Summing {
    out: Appender,
    block: crc32fast::Hasher,
    sums: Vec<u8>,
}

impl Summing {
    pub(crate) fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { out: Appender::new(file), block: crc32fast::Hasher::new(), sums: Vec::new() }
    }

    /// The file, its length and its checksums.
    pub(crate) fn finish(mut self) -> (Arc<dyn DiskFile>, u64, Arc<[u8]>) {
        if !self.out.at.is_multiple_of(BLOCK) {
            self.end_block();
        }
        (self.out.file, self.out.at, self.sums.into())
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        self.sums.extend_from_slice(&block.finalize().to_le_bytes());
    }
}

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut at = self.out.at;
        self.out.write_all(bytes)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = BLOCK - at % BLOCK;
            let (head, tail) = rest.split_at(rest.len().min(room as usize));
            self.block.update(head);
            at += head.len() as u64;
            if at.is_multiple_of(BLOCK) {
                self.end_block();
            }
            rest = tail;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use crate::faults::SimDisk;
    use std::path::Path;

    #[test]
    fn every_changed_bit_is_found_by_whoever_reads_its_block_and_by_nobody_else() {
        let disk = SimDisk::new();
        let path = Path::new("/disk/file");
        let len = 2 * BLOCK + 100;
        let mut out = Summing::new(disk.create(path).unwrap());
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        for part in bytes.chunks(7_001) {
            out.write_all(part).unwrap();
        }
        let (file, written, sums) = out.finish();
        assert_eq!((written, sums.len()), (len, 12));
        let file = SharedFile::new(file, len, sums).unwrap();
        assert_eq!(file.read(5, BLOCK).unwrap(), bytes[5..5 + BLOCK as usize]);
        assert_eq!(file.damaged_blocks().unwrap(), [0; 0]);
        for at in (0..len).step_by(1 + 4_099) {
            file.file.write_all_at(&[bytes[at as usize] ^ 8], at).unwrap();
            assert_eq!(file.damaged_blocks().unwrap(), [at / BLOCK * BLOCK]);
            let (before, after) = (at / BLOCK * BLOCK, (at / BLOCK + 1) * BLOCK);
            assert!(file.read(at.saturating_sub(1), 1).is_ok() == (at == before && at > 0));
            assert!(before == 0 || file.read(0, before).is_ok());
            assert!(after >= len || file.read(after, len - after).is_ok());
            file.file.write_all_at(&[bytes[at as usize]], at).unwrap();
        }
    }
}
