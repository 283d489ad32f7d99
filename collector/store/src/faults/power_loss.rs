//! Power is lost at any moment: what was acknowledged is there, what was not sent is not.

use super::random::{Random, each_seed};
use super::source::Source;
use super::world::World;

/// Seeds that CI has time for.
const SHORT: u64 = 30;

#[test]
fn after_any_loss_of_power_the_store_holds_what_it_acknowledged_and_invents_nothing() {
    each_seed("power-loss", SHORT, |seed| {
        let mut random = Random::new(seed);
        let source = Source::default();
        let mut world = World::new();
        for _ in 0..random.within(1..4) {
            live_until_stopped(&mut world, &mut random, &source);
            lose(&mut world, &mut random);
            world.check();
        }
        world.check_after_resending();
        world.ledger().sent.len() as u64
    });
}

/// The kernel had the bytes, the disk had not: the start after the kill must see to it, because it
/// will call a resend a duplicate.
#[test]
fn what_a_kill_left_unsynced_is_durable_before_a_resend_of_it_is_a_duplicate() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut world = World::new();
        let rows = Source::default().rows(&mut random, 8);
        world.disk.stop_at_point("log: group written", 1);
        assert!(world.append(rows.clone()).is_err());
        world.kill();
        world.start().unwrap();
        let appended = world.append(rows).unwrap();
        assert!(appended.duplicate.iter().all(|duplicate| *duplicate), "it was there");
        world.cut_power(&mut random);
        world.start().unwrap();
        world.check();
    }
}

/// Some steps of a store's life, of which power or process may see the end or not.
fn live_until_stopped(world: &mut World, random: &mut Random, source: &Source) {
    let calls = random.within(1..160);
    world.disk.stop_at_call(world.disk.calls() + calls);
    world.append_at_points(Random::new(random.next()), source.clone());
    for _ in 0..random.within(4..14) {
        if world.disk.is_stopped() {
            break;
        }
        match random.below(10) {
            0..=5 => drop(world.append(source.rows(random, 8))),
            6 => {
                let again = random.below(world.ledger().sent.len() as u64 + 1) as usize;
                let rows = world.ledger().sent.values().skip(again).take(4).cloned().collect();
                drop(world.append(rows));
            }
            7 | 8 => drop(world.flush()),
            _ => drop(world.merge(random.percent(50))),
        }
    }
}

/// The end of power or of the process; starts may be cut short in the same way.
fn lose(world: &mut World, random: &mut Random) {
    loop {
        if random.percent(30) {
            world.kill()
        } else {
            world.cut_power(random)
        }
        if random.percent(20) {
            assert_eq!(world.verify().problems, [], "a loss of power damages nothing");
        }
        let is_cut_short = random.percent(40);
        if is_cut_short {
            world.disk.stop_at_call(world.disk.calls() + random.within(1..12));
        }
        match world.start() {
            Ok(()) if !world.disk.is_stopped() => return world.disk.run_on(),
            Ok(()) => {}
            Err(error) => assert!(world.disk.is_stopped(), "the store does not start: {error}"),
        }
    }
}
