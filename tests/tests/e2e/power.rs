//! Losing power, on a real file system: ext4 is shut down under load, as if the plug were pulled.
//! Reliability test 3.
//!
//! `EXT4_IOC_SHUTDOWN` without a flush of the journal throws away what the kernel had not yet written
//! to the device. Then the collector is killed, the image mounted again (which replays ext4's
//! journal), and the collector recovers.
//!
//! The last group before the shutdown can be lost although its `fdatasync` answered well, when its
//! blocks were set aside (`fallocate`) and never written before. ext4 writes the bytes, fails to note
//! in its journal, which is gone, that the blocks count now, and finds nothing else to wait for: it
//! answers 0. A program of a few lines shows it within ten shutdowns, and not in hundreds with blocks
//! that were written before. A plug that is pulled stops the machine before it can answer; a journal
//! that fails while the machine runs on does what the shutdown does. So the log is written over zeros
//! (`collector/store/src/wal/ahead.rs`), and needs neither.
//!
//! Needs root and a loop device; `cargo xtask test power` says so where they are missing.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tallymark_tests::launch::{compile, make_image, wait_until_unmounted};
use tallymark_tests::load::{End, Load, Shape, marks};
use tallymark_tests::rounds::{Rounds, figure};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Launch, TestCollector};

use crate::people::crowd::Crowd;

/// How often one file system loses power before a new one is made: recovery of what was recovered
/// is the harder case, but a store that grows for ever makes the rounds slow.
const ROUNDS_OF_ONE_DISK: usize = 10;
/// Flushes, merges and catalog transactions are to be in the middle as well.
const SMALL: [(&str, &str); 2] =
    [("TALLYMARK_MEMTABLE_BYTES", "1048576"), ("TALLYMARK_FLUSH_INTERVAL_MS", "1000")];

#[test]
fn what_was_acknowledged_survives_a_loss_of_power_and_nothing_is_invented() {
    let (seed, mut random) = seeded("power");
    let mut rounds = Rounds::of("losses of power", "TALLYMARK_TEST_POWER_ROUNDS", 20);
    let (mut acknowledged, mut cut, mut said) = (0, 0, 0);
    while let Some(round) = rounds.next() {
        let mut plug = Plug::new();
        let more = std::iter::once(round).chain(rounds.by_ref().take(ROUNDS_OF_ONE_DISK - 1));
        let crowd = Crowd::new(&plug.collector);
        crowd.run(seed ^ round as u64, || {
            for round in more {
                plug.pull(seed ^ round as u64, &mut random);
                plug.collector.restart();
                plug.load.moved_to(plug.collector.address());
                plug.assert_exact();
                crowd.check(&plug.collector);
            }
        });
        said += crowd.said();
        acknowledged += plug.load.acknowledged();
        cut += plug.load.unanswered() + plug.load.ledger().refusals.len();
        plug.collector.kill();
        wait_until_unmounted(&plug.image);
    }
    assert!(cut > 0, "no request met the loss of power: nothing was tested");
    figure(&format!(
        "{}, {acknowledged} events acknowledged, {cut} requests cut off or refused, 0 events lost, \
         0 invented, {said} logins, merges and erasures in force after every loss",
        rounds.made()
    ));
}

/// The test of the test: what a disk that only says it has synced loses must be missed. A flush may have
/// made ext4 write everything a moment before, so one loss of power in some loses nothing.
#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    const TRIES: u64 = 10;
    let (seed, mut random) = seeded("power");
    let mut plug = Plug::new();
    let honest = plug.launch.clone();
    let trace = plug.collector.scratch().join("trace");
    let lie = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:retval=0"];
    let lying = honest.traced(&trace, &lie);
    let is_found_out = (0..TRIES).any(|round| {
        plug.collector.stop();
        wait_until_unmounted(&plug.image);
        plug.collector.restart_as(lying.clone()).unwrap_or_else(|end| panic!("{end}"));
        plug.load.moved_to(plug.collector.address());
        plug.pull(seed ^ round, &mut random);
        plug.collector.restart_as(honest.clone()).unwrap_or_else(|end| panic!("{end}"));
        let stored = plug.load.stored(&plug.collector).ids;
        plug.load.ledger().acknowledged.iter().any(|id| !stored.contains_key(id))
    });
    let count = plug.load.acknowledged();
    assert!(is_found_out, "all {count} are there without a sync, after {TRIES} losses of power");
}

/// A collector on a disk whose power can be cut, and a load for it.
struct Plug {
    collector: TestCollector,
    load: Load,
    image: PathBuf,
    launch: Launch,
    shutdown: PathBuf,
}

impl Plug {
    fn new() -> Plug {
        let mut collector = TestCollector::start_with(&SMALL);
        let project = collector.project("power");
        collector.stop();
        let folder = collector.scratch().to_owned();
        let (content, image) = (folder.join("content"), folder.join("disk"));
        std::fs::create_dir(&content).expect("a folder can be made");
        std::fs::rename(collector.data(), content.join("data")).expect("a folder can be moved");
        make_image(&image, 1024, &content);
        let launch = Launch::with(&SMALL).on_image(&folder, &image);
        collector.restart_as(launch.clone()).unwrap_or_else(|end| panic!("{end}"));
        let load = Load::new(&collector, &project);
        let shutdown = compile("shutdown.c", &folder, &[]);
        Plug { collector, load, image, launch, shutdown }
    }

    /// What was acknowledged is there; if not, say where it was last seen.
    fn assert_exact(&self) {
        let Plug { load, collector, image, .. } = self;
        // The ledger is locked while it is compared, so its order is taken before.
        let receipts = load.ledger().acknowledged.clone();
        load.assert_exact_or(collector, &|lost| last_seen(lost, &receipts, image));
    }

    /// Write for a moment, then lose power; the disk is what was on the device.
    fn pull(&mut self, seed: u64, random: &mut StdRng) {
        let Plug { collector, load, image, shutdown, .. } = self;
        let shape = Shape { end: End::Leave, ..Shape::default() };
        load.run(seed, &shape, || {
            let least = load.acknowledged() + 1;
            load.wait_until("a first answer", Duration::from_secs(20), |ledger| {
                ledger.acknowledged.len() >= least
            });
            thread::sleep(Duration::from_millis(random.random_range(0..=600)));
            let disk = collector.data_inside();
            let disk = disk.parent().expect("the data folder is on the disk");
            let pulled = Command::new(&*shutdown).arg(disk).status();
            assert!(pulled.expect("the helper starts").success(), "ext4 takes no shutdown");
            // For a moment the collector meets a disk that fails; then it is gone too.
            thread::sleep(Duration::from_millis(random.random_range(0..=30)));
            collector.kill();
        });
        wait_until_unmounted(image);
    }
}

/// Of lost events: which receipts they had, and whether their bytes are on the device all the same.
/// The last receipts and bytes on the device mean that a sync answered well while ext4 forgot that it
/// had written; receipts before others mean a hole, and no bytes mean that nothing was synced.
fn last_seen(lost: &[&String], receipts: &[String], image: &Path) -> String {
    let is_lost = |id: &&String| lost.contains(id);
    let after = receipts.iter().rev().take_while(|id| !is_lost(id)).count();
    let first = receipts.iter().position(|id| lost.contains(&id)).unwrap_or_default();
    let there = receipts[first..].len() - after - lost.len();
    let wanted: HashMap<[u8; 16], &String> = lost
        .iter()
        .flat_map(|id| marks(id).map(|mark| (mark.into_bytes().try_into().expect("16"), *id)))
        .collect();
    let begins: HashSet<[u8; 2]> = wanted.keys().map(|mark| [mark[0], mark[1]]).collect();
    let (mut found, mut places) = (HashSet::new(), Vec::new());
    let bytes = std::fs::read(image).expect("the image can be read");
    for (at, window) in bytes.windows(16).enumerate().filter(|(_, window)| window[0] != 0) {
        if begins.contains(&window[..2])
            && let Some(id) = wanted.get(window)
        {
            found.insert(id);
            places.push(at);
        }
    }
    format!(
        " (receipts {} to {} of {}, {there} between them and {after} behind are there; the bytes of {} \
         are on the device, from {:?} to {:?})",
        first + 1,
        receipts.len() - after,
        receipts.len(),
        found.len(),
        places.first(),
        places.last(),
    )
}
