//! Files that are not as they were written: every changed bit is found, every torn write is cut or
//! refused, and what is beside the damage can be had.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::random::{Random, each_seed};
use super::sim_disk::SimDisk;
use super::source::Source;
use super::world::{World, small_options};
use crate::catalog::SegmentMeta;
use crate::error::{OpenError, ScanError};
use crate::options::StoreOptions;
use crate::segment::{ColumnCache, Segment, SegmentRows};

/// A stopped store with a log of so many bytes in one file: the file, the ends of its groups, and
/// how many rows are in the log up to each.
fn with_log(bytes: usize) -> (World, PathBuf, Vec<(usize, usize)>) {
    let (mut random, source) = (Random::new(1), Source::default());
    let options = StoreOptions { wal_file_bytes: 2 * bytes as u64, ..small_options() };
    let mut world = World::with(options);
    let file = world.data().join("wal/00000000000000000001.wal");
    let mut ends = vec![(32, 0)];
    while ends.last().is_some_and(|last| last.0 < bytes) {
        world.append(source.rows(&mut random, 40)).unwrap();
        let bytes = world.disk.bytes(&file).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        ends.push((end, world.ledger().sent.len()));
    }
    world.kill();
    (world, file, ends)
}

/// Of 64 KiB of log, every bit, and of a small one always every bit: damage before the last group
/// stops the start and is named; in the last group it is cut like an unfinished write, and counted.
#[test]
fn every_changed_bit_of_a_log_of_64_kib_is_found() {
    let (world, file, ends) = with_log(64 << 10);
    let whole = world.disk.bytes(&file).unwrap();
    each_bit("log-bits", ends[ends.len() - 1].0, 100, |bit| {
        change_bit(&world, &file, &ends, &whole, bit);
    });
}

#[test]
fn every_changed_bit_of_a_small_log_is_found() {
    let (world, file, ends) = with_log(1 << 10);
    let whole = world.disk.bytes(&file).unwrap();
    (0..8 * ends[ends.len() - 1].0).for_each(|bit| change_bit(&world, &file, &ends, &whole, bit));
}

fn change_bit(world: &World, file: &Path, ends: &[(usize, usize)], whole: &[u8], bit: usize) {
    let (end, _) = ends[ends.len() - 1];
    let (last_group, rows_before) = ends[ends.len() - 2];
    let mut changed = whole.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    world.disk.put(file, changed);
    let mut rows = 0;
    match world.read_log(&mut |entry| rows += entry) {
        Ok(read) => {
            assert!(bit / 8 >= last_group, "bit {bit} is not noticed");
            assert_eq!((read.offset, rows), (last_group as u64, rows_before));
            assert!(read.torn_bytes > 0 && read.torn_bytes <= (end - last_group) as u64);
        }
        Err(OpenError::CorruptLog { file: named, offset, .. }) => {
            assert!(bit / 8 < last_group, "bit {bit}: a torn tail is not damage");
            assert_eq!(named, file);
            // What is before the damage was given out; the place is where it begins.
            let before = ends.iter().rev().find(|(end, _)| *end <= bit / 8);
            let found = (offset as usize, rows);
            let in_header = bit / 8 < ends[0].0 && rows == 0;
            assert!(in_header || Some(&found) == before, "bit {bit}: {found:?}");
        }
        Err(OpenError::NewerVersion { .. }) => panic!("bit {bit}: the header has a checksum"),
        Err(other) => panic!("bit {bit}: {other}"),
    }
}

/// The last groups of the log end at any byte, with zeros or nothing behind: the groups before are
/// there, and the store takes what is sent again.
#[test]
fn a_log_torn_at_any_byte_of_its_last_groups_gives_the_groups_before() {
    let (mut world, file, ends) = with_log(4 << 10);
    let whole = world.disk.bytes(&file).unwrap();
    let (end, _) = ends[ends.len() - 1];
    for cut in ends[ends.len() - 4].0..=end {
        for len in [cut, whole.len()] {
            let mut torn = whole[..cut].to_vec();
            torn.resize(len, 0);
            world.disk.put(&file, torn);
            let mut rows = 0;
            let read = world.read_log(&mut |entry| rows += entry).unwrap();
            let before = ends.iter().rev().find(|(end, _)| *end <= cut).unwrap();
            assert_eq!((read.offset as usize, rows), *before, "cut at {cut}, {len} bytes");
        }
    }
    // A whole start of some of them.
    for cut in (ends[ends.len() - 4].0..=end).step_by(97) {
        let mut torn = whole[..cut].to_vec();
        torn.resize(whole.len(), 0);
        world.disk.put(&file, torn);
        world.ledger().acknowledged.clear();
        world.start().unwrap();
        world.check_after_resending();
        let (fresh, _, _) = with_log(4 << 10);
        world = fresh;
    }
}

/// A stopped store with segments, and one of about so many bytes.
fn with_segments(bytes: u64) -> (World, SegmentMeta) {
    let (mut random, source) = (Random::new(2), Source::default());
    let options = StoreOptions { group_rows: 400, dedupe_ids: 1_000_000, ..small_options() };
    let mut world = World::with(options);
    let largest = loop {
        for _ in 0..10 {
            world.append((0..40).map(|_| source.row(&mut random)).collect()).unwrap();
        }
        world.flush().unwrap();
        world.merge(true).unwrap();
        let segments = world.segments();
        let largest = segments.into_iter().max_by_key(|meta| meta.bytes).unwrap();
        if largest.bytes >= bytes {
            break largest;
        }
    };
    world.append(source.rows(&mut random, 9)).unwrap();
    world.flush().unwrap();
    world.kill();
    assert!(world.segments().len() > 1, "there must be a neighbour");
    (world, largest)
}

/// Read everything a segment holds.
fn read_all(world: &World, meta: &SegmentMeta) -> Result<u64, String> {
    let cache = Arc::new(ColumnCache::new(0));
    let segment = Segment::open(&world.folders(), meta.clone(), &cache);
    let segment = Arc::new(segment.map_err(|error| error.to_string())?);
    let mut rows = SegmentRows::all(&segment).map_err(|error: ScanError| error.to_string())?;
    let mut count = 0;
    while rows.row().is_some() {
        count += 1;
        rows.advance().map_err(|error| error.to_string())?;
    }
    Ok(count)
}

/// Of a segment of 64 KiB, every bit, in columns and footer alike: whoever reads there is refused
/// with the file's name, and its neighbours are read.
#[test]
fn every_changed_bit_of_a_segment_of_64_kib_is_found() {
    let (world, meta) = with_segments(64 << 10);
    let file = world.data().join(meta.path());
    let others = world.segments().into_iter().filter(|other| other.id != meta.id);
    let neighbour = others.min_by_key(|other| other.bytes).unwrap();
    let whole = world.disk.bytes(&file).unwrap();
    assert_eq!(read_all(&world, &meta), Ok(meta.rows));
    each_bit("segment-bits", whole.len(), 100, |bit| {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        world.disk.put(&file, changed);
        let refused = read_all(&world, &meta).expect_err("not noticed");
        let name = file.display().to_string();
        assert!(refused.contains(&name) && refused.contains(".aside"), "{refused}");
        assert_eq!(read_all(&world, &neighbour), Ok(neighbour.rows));
    });
}

/// What the operator does about it: verifying names the file, the file gets another name, and the
/// store answers from the rest, with the loss counted; the file's return undoes it.
#[test]
fn a_damaged_segment_is_named_and_can_be_set_aside() {
    let (mut world, meta) = with_segments(20 << 10);
    let file = world.data().join(meta.path());
    let whole = world.disk.bytes(&file).unwrap();
    assert_eq!(world.verify().problems, []);
    let all = world.segments().iter().map(|meta| meta.rows).sum::<u64>();

    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    world.disk.put(&file, changed.clone());
    let verified = world.verify();
    assert_eq!(verified.problems.len(), 1, "{verified:?}");
    assert_eq!(verified.problems[0].file, file);

    // Started with it, the store refuses the questions that need it, and verifies while it runs.
    world.start().unwrap();
    assert_eq!(world.store().verify().problems, verified.problems);
    world.kill();

    let aside = PathBuf::from(format!("{}.aside", file.display()));
    world.disk.put(&aside, changed);
    world.disk.take_away(&file);
    world.start().unwrap();
    let stats = world.store().stats();
    assert_eq!((stats.segments_aside, stats.rows_aside), (1, meta.rows));
    assert_eq!(world.stored().len() as u64, all - meta.rows);
    world.kill();
    assert_eq!(world.verify().segments_aside, std::slice::from_ref(&file));

    world.disk.put(&file, whole);
    world.disk.take_away(&aside);
    world.start().unwrap();
    world.check();
    assert_eq!(world.store().stats().rows_aside, 0);
}

/// A segment, or the rest of one that no catalog names, cut at any byte of its footer and at some
/// of its pages: refused by name, or removed.
#[test]
fn a_segment_cut_at_any_byte_is_refused_and_a_leftover_is_removed() {
    let (mut world, meta) = with_segments(1);
    let file = world.data().join(meta.path());
    let whole = world.disk.bytes(&file).unwrap();
    let footer = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap()) as usize;
    let footer = whole.len() - 8 - footer;
    let leftover = file.with_file_name("999.parquet");
    for cut in (0..footer).step_by(101).chain(footer..whole.len()) {
        world.disk.put(&file, whole[..cut].to_vec());
        let refused = read_all(&world, &meta).expect_err("not noticed");
        assert!(refused.contains(&file.display().to_string()), "{refused}");
        if cut % 50 == 0 {
            world.disk.put(&file, whole.clone());
            world.disk.put(&leftover, whole[..cut].to_vec());
            world.start().unwrap();
            world.check();
            world.kill();
            assert_eq!(world.disk.bytes(&leftover), None);
        }
    }
}

/// Every bit of so many bytes in the full form; in the short one, some, chosen by the seed.
fn each_bit(proof: &str, bytes: usize, short: u64, mut each: impl FnMut(usize)) {
    let bits = bytes * 8;
    each_seed(proof, short, |seed| {
        let is_full = std::env::var_os("TALLYMARK_TEST_SEEDS").is_some();
        let bit = if is_full { seed } else { Random::new(seed).below(bits as u64) };
        if (bit as usize) < bits {
            each(bit as usize);
        }
        1
    });
}

impl World {
    fn data(&self) -> &'static Path {
        Path::new(super::world::DATA)
    }
}

impl SimDisk {
    /// What `mv` leaves of a file under its old name.
    fn take_away(&self, path: &Path) {
        crate::disk::Disk::remove(self, path).expect("the file is there");
    }
}
