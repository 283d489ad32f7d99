//! Calls that fail while the machine runs on: nothing is acknowledged that is not stored, nothing
//! is stored twice, and the store goes on by the rule of its README.

use rstest::rstest;

use super::random::{Random, each_seed};
use super::source::Source;
use super::world::{World, small_options};
use crate::error::AppendError;
use crate::options::StoreOptions;
use crate::stats::WriteState;

/// The calls of the full form.
const CALLS: u64 = 200;

/// Every call of a history fails once, one history each: writes, syncs, names, folders, cuts and
/// the catalog's transactions, of log, flush and merge. Then the process is killed or power is
/// lost, and what was acknowledged is there.
#[test]
fn one_failure_anywhere_loses_and_doubles_nothing() {
    each_seed("failing-calls", 20, |seed| {
        // Far apart in the short form, and each call once in the full one.
        let call = seed * 73 % CALLS;
        let mut random = Random::new(seed);
        let source = Source::default();
        let mut world = World::new();
        world.disk.fail([world.disk.calls() + 1 + call]);
        let mut failed = 0;
        for round in 0..5 {
            for _ in 0..4 {
                let rows = source.rows(&mut random, 8);
                match world.append(rows.clone()) {
                    Ok(_) => {}
                    Err(AppendError::Io(_)) => {
                        failed += 1;
                        world.check();
                        world.append(rows).expect("one failure does not make it read-only");
                    }
                    Err(other) => panic!("{other}"),
                }
                assert_eq!(world.store().stats().state, WriteState::Open);
            }
            failed += u32::from(world.flush().is_err());
            world.check();
            failed += u32::from(round > 1 && world.merge(true).is_err());
            world.check();
        }
        assert!(failed <= 1, "{failed} operations failed");
        if random.percent(50) {
            world.kill()
        } else {
            world.cut_power(&mut random)
        }
        world.start().expect("nothing fails any more");
        world.check();
        world.check_after_resending();
        world.ledger().sent.len() as u64
    });
}

#[rstest]
#[case::write_and_then_making_a_file(1)]
#[case::sync_and_then_making_a_file(2)]
fn a_second_failure_makes_the_store_read_only_and_questions_go_on(#[case] first: u64) {
    let (mut random, source) = (Random::new(first), Source::default());
    let mut world = World::new();
    world.append(source.rows(&mut random, 8)).unwrap();
    let first = world.disk.calls() + first;
    world.disk.fail(first..first + 5);
    let results: Vec<_> = (0..6).map(|_| world.append(source.rows(&mut random, 8))).collect();
    let failed = results.iter().filter(|result| matches!(result, Err(AppendError::Io(_)))).count();
    assert_eq!(failed, 2, "{results:?}");
    assert!(matches!(results[5], Err(AppendError::ReadOnly)), "{results:?}");
    assert_eq!(world.store().stats().state, WriteState::ReadOnly);
    world.check();
    // A group whose sync failed may be there all the same when cutting it off failed too. It was
    // sent, and it is found as a duplicate when it is sent again.
    world.cut_power(&mut random);
    world.start().unwrap();
    world.check();
    world.check_after_resending();
}

#[test]
fn a_full_disk_is_said_and_appending_works_again_when_there_is_space() {
    let (mut random, source) = (Random::new(1), Source::default());
    let mut world = World::with(StoreOptions { wal_file_bytes: 400, ..small_options() });
    for _ in 0..20 {
        world.append(source.rows(&mut random, 8)).unwrap();
        world.disk.set_full(true);
        let full = (0..100).find_map(|_| world.append(source.rows(&mut random, 8)).err());
        assert!(matches!(full, Some(AppendError::DiskFull)), "{full:?}");
        assert!(world.flush().is_err(), "a flush needs space too");
        assert_eq!(world.store().stats().state, WriteState::DiskFull);
        world.check();
        world.disk.set_full(false);
        world.append(source.rows(&mut random, 8)).unwrap();
        assert_eq!(world.store().stats().state, WriteState::Open);
        world.flush().unwrap();
        world.check();
    }
    world.cut_power(&mut random);
    world.start().unwrap();
    world.check_after_resending();
}

/// Whoever finds memory full is told why it stays full, also where the log still has a file to write.
#[rstest]
#[case::a_full_disk(true, AppendError::DiskFull, WriteState::DiskFull)]
#[case::another_error(false, AppendError::Busy, WriteState::Open)]
fn memory_that_cannot_be_flushed_says_why(
    #[case] is_full: bool,
    #[case] told: AppendError,
    #[case] state: WriteState,
) {
    let (mut random, source) = (Random::new(1), Source::default());
    let options = StoreOptions { memtable_bytes: 1, min_free_bytes: 1, ..small_options() };
    let mut world = World::with(options);
    for _ in 0..2 {
        world.append(source.rows(&mut random, 8)).unwrap();
    }
    if is_full {
        world.disk.set_full(true);
    } else {
        world.disk.fail([world.disk.calls() + 1]);
    }
    world.flush_as_thread();
    world.append(source.rows(&mut random, 8)).expect("there is a log file, and room for one group");
    let error = world.append(source.rows(&mut random, 8)).unwrap_err();
    assert_eq!(format!("{error:?}"), format!("{told:?}"));
    assert_eq!(world.store().stats().state, state);
    world.check();

    world.disk.set_full(false);
    world.flush_as_thread();
    world.append(source.rows(&mut random, 8)).unwrap();
    assert_eq!(world.store().stats().state, WriteState::Open);
    world.kill();
    world.start().unwrap();
    world.check_after_resending();
}

/// What a flush deletes may be there or not after a loss of power, each file for itself. A gap among
/// files that are not needed stopped the start.
#[test]
fn log_files_whose_rows_are_in_segments_may_be_gone_in_any_order() {
    let (mut random, source) = (Random::new(3), Source::default());
    let mut world = World::with(StoreOptions { wal_file_bytes: 400, ..small_options() });
    while world.log_files().len() < 4 {
        world.append(source.rows(&mut random, 8)).unwrap();
    }
    let before = world.log_files();
    world.flush().unwrap();
    world.append(source.rows(&mut random, 8)).unwrap();
    for kept in 0..1 << before.len() {
        world.kill();
        for (at, (path, bytes)) in before.iter().enumerate() {
            if kept & 1 << at != 0 {
                world.disk.put(path, bytes.clone());
            }
        }
        world.start().unwrap();
        world.check();
    }
    world.check_after_resending();
}

/// Replay uses nothing but the files.
#[test]
fn replaying_twice_gives_the_same_state() {
    let (mut random, source) = (Random::new(1), Source::default());
    let mut world = World::new();
    for _ in 0..12 {
        world.append(source.rows(&mut random, 8)).unwrap();
    }
    world.kill();
    let replay = || {
        let mut entries = Vec::new();
        let recovered = world.recover_log(&mut |seq, entry| entries.push((seq, entry)));
        (entries, recovered.next_seq, recovered.files, recovered.cut_bytes)
    };
    let first = replay();
    assert_eq!(first.0.len(), 12);
    assert_eq!(replay(), first);
}
