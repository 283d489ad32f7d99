//! Fingerprints that do not fit into memory: sorted runs in a file without a name.
//!
//! In: some fingerprints at a time. Out: whether one is among them, exactly.
//!
//! A run is sorted, and its fingerprints are spread evenly (they are hashes), so the place of one is
//! known to within a page: a look-up is one read, seldom two. A small filter in memory says of nearly
//! all new ids that they are not in a run, without a read. When filters take too much memory, the
//! oldest are dropped; then each look-up reads, and stays exact.
//!
//! The file is not durable and needs not be: what is in it can be read again from the segments. Its
//! name is removed as soon as it is made, so that it is gone with the process. Runs that were merged
//! stay in it unused; with the merges of `ids` it is seldom longer than three times what it holds.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{Disk, DiskFile};

/// Fingerprints read at once.
const PAGE: usize = 512;
const PRINT_BYTES: usize = size_of::<u64>();
/// Fingerprints per word of a filter: 8 bits for each, 3 of them set.
const PER_WORD: usize = 8;

/// The file of one bucket, or of several.
#[derive(Debug, Clone)]
pub(crate) struct Spill {
    file: Arc<dyn DiskFile>,
    end: Arc<AtomicU64>,
}

/// A part of the file: sorted, no fingerprint twice.
#[derive(Debug)]
pub(super) struct Run {
    offset: u64,
    len: usize,
    filter: Option<Filter>,
}

impl Spill {
    /// An empty file in the folder for unfinished ones.
    pub(super) fn create(disk: &dyn Disk, tmp: &Path, name: &str) -> io::Result<Self> {
        let path = tmp.join(name);
        let file = disk.create(&path)?;
        disk.remove(&path)?;
        Ok(Self { file, end: Arc::default() })
    }

    /// Write a run.
    ///
    /// # Errors
    /// Those of the disk; what was written before is as it was.
    pub(super) fn append(&self, mut prints: Vec<u64>) -> io::Result<Run> {
        prints.sort_unstable();
        let bytes: Vec<u8> = prints.iter().flat_map(|print| print.to_le_bytes()).collect();
        let offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(&bytes, offset)?;
        Ok(Run { offset, len: prints.len(), filter: Some(Filter::new(&prints)) })
    }

    /// All fingerprints of a run.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn read(&self, run: &Run) -> io::Result<Vec<u64>> {
        let mut bytes = vec![0; run.len * PRINT_BYTES];
        self.file.read_exact_at(&mut bytes, run.offset)?;
        let (prints, _) = bytes.as_chunks::<PRINT_BYTES>();
        Ok(prints.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
    }

    /// Whether a run holds the fingerprint.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn contains(&self, run: &Run, within: Range, print: u64) -> io::Result<bool> {
        if run.filter.as_ref().is_some_and(|filter| !filter.may_hold(print)) {
            return Ok(false);
        }
        // Where it is if the run is spread evenly; from there page by page, to either side.
        let (mut low, mut high) = (0, run.len);
        let mut first = within.place(print, run.len).saturating_sub(PAGE / 2);
        let mut page = [0; PAGE * PRINT_BYTES];
        while low < high {
            first = first.clamp(low, high - 1);
            let end = high.min(first + PAGE);
            let bytes = &mut page[..(end - first) * PRINT_BYTES];
            self.file.read_exact_at(bytes, run.offset + (first * PRINT_BYTES) as u64)?;
            let (prints, _) = bytes.as_chunks::<PRINT_BYTES>();
            match prints.binary_search_by_key(&print, |bytes| u64::from_le_bytes(*bytes)) {
                Ok(_) => return Ok(true),
                Err(0) => {
                    high = first;
                    first = first.saturating_sub(PAGE);
                }
                Err(at) if at == prints.len() => {
                    low = end;
                    first = end;
                }
                Err(_) => return Ok(false),
            }
        }
        Ok(false)
    }
}

impl Run {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    pub(super) fn drop_filter(&mut self) {
        self.filter = None;
    }
}

/// The fingerprints that can be in a run: those with the same highest bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    /// How many of the highest bits are the same.
    pub bits: u32,
}

impl Range {
    /// Where a fingerprint is among `len` of this range that are spread evenly.
    fn place(self, print: u64, len: usize) -> usize {
        let rest = u128::from(print << self.bits);
        ((rest * len as u128) >> 64) as usize
    }
}

/// Says "no" or "perhaps". Each fingerprint has one word and three bits in it.
#[derive(Debug)]
struct Filter {
    words: Box<[u64]>,
}

impl Filter {
    fn new(prints: &[u64]) -> Self {
        let mut words = vec![0; prints.len().div_ceil(PER_WORD).max(1)].into_boxed_slice();
        for &print in prints {
            let (word, bits) = Self::place(print, words.len());
            words[word] |= bits;
        }
        Self { words }
    }

    fn may_hold(&self, print: u64) -> bool {
        let (word, bits) = Self::place(print, self.words.len());
        self.words[word] & bits == bits
    }

    /// The lower half of a fingerprint chooses the word, bits above that the bits.
    fn place(print: u64, words: usize) -> (usize, u64) {
        let word = (u64::from(print as u32) * words as u64) >> 32;
        let bit = |shift: u32| 1u64 << (print >> shift & 63);
        (word as usize, bit(32) | bit(38) | bit(44))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedupe::fingerprint;
    use crate::disk::RealDisk;
    use proptest::prelude::*;

    const BITS: u32 = 2;

    fn spill(dir: &tempfile::TempDir) -> Spill {
        Spill::create(&RealDisk, dir.path(), "spill").unwrap()
    }

    fn prints(count: u128) -> Vec<u64> {
        let all = (0..).map(|id| fingerprint(1, id)).filter(|print| print >> (64 - BITS) == 1);
        all.take(count as usize).collect()
    }

    #[test]
    fn a_run_holds_what_was_written_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let spill = spill(&dir);
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "the file has no name");
        let all = prints(20_000);
        let (first, rest) = all.split_at(1);
        let (second, others) = rest.split_at(9_000);
        for mut run in
            [spill.append(first.to_vec()).unwrap(), spill.append(second.to_vec()).unwrap()]
        {
            for filtered in [true, false] {
                if !filtered {
                    run.drop_filter();
                }
                let holds = |print| spill.contains(&run, Range { bits: BITS }, print).unwrap();
                let inside = if run.len() == 1 { first } else { second };
                assert!(inside.iter().all(|&print| holds(print)));
                assert!(!others.iter().any(|&print| holds(print)));
            }
        }
    }

    #[test]
    fn a_filter_answers_for_nearly_all_that_is_not_there() {
        let all = prints(40_000);
        let filter = Filter::new(&all[..20_000]);
        let perhaps = all[20_000..].iter().filter(|&&print| filter.may_hold(print)).count();
        assert!(perhaps < 2_000, "{perhaps} of 20,000");
    }

    proptest! {
        /// However unevenly they lie.
        #[test]
        fn any_fingerprints_are_found(
            inside in prop::collection::btree_set(prop_oneof![0u64..3_000, any::<u64>()], 1..1_500),
            others in prop::collection::vec(prop_oneof![0u64..3_000, any::<u64>()], 0..50),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let spill = spill(&dir);
            let mut run = spill.append(inside.iter().copied().collect()).unwrap();
            run.drop_filter();
            for print in inside.iter().chain(&others) {
                let found = spill.contains(&run, Range { bits: 0 }, *print).unwrap();
                prop_assert_eq!(found, inside.contains(print));
            }
        }
    }
}
