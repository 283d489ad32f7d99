//! Events of several devices in one millisecond: the order that gets furthest counts.
//!
//! In: the rows of one instant, with their device and the steps they match. Out: chains extended
//! as if the best interleaving had happened. Within a device the order stays as it is; each event
//! serves one step.
//!
//! The search walks over positions in each device's list. Real ties are two or three events; to
//! keep an attacker's thousand events in one millisecond bounded, a search that would take more
//! than [`MAX_STATES`] states falls back to the order of the rows.
//!
//! Deliberately elsewhere: everything that has an order (`chain`).

use super::chain::Chains;

/// States of one search.
const MAX_STATES: usize = 20_000;

/// One row of the instant.
#[derive(Debug, Clone, Copy)]
pub struct Tied {
    /// Its device.
    pub actor: u64,
    /// Its row in the run.
    pub row: u32,
    /// The steps it matches.
    pub mask: u64,
}

/// Take the rows of one instant in the best order. Only rows that match a step need be given.
pub fn take(chains: &mut Chains, steps: usize, at_ms: i64, rows: &mut [Tied]) {
    rows.sort_by_key(|tied| (tied.actor, tied.row));
    let devices: Vec<&[Tied]> = rows.chunk_by(|a, b| a.actor == b.actor).collect();
    let states = devices
        .iter()
        .try_fold(steps, |states, device| states.checked_mul(device.len() + 1))
        .unwrap_or(usize::MAX);
    if states > MAX_STATES || devices.len() == 1 {
        rows.sort_by_key(|tied| tied.row);
        for tied in rows.iter() {
            chains.take(at_ms, tied.row, tied.mask);
        }
        return;
    }
    // The chains as they were before the instant.
    let bases: Vec<Option<(usize, u32)>> =
        (0..steps).map(|step| chains.open_chain(step, at_ms).map(|index| (step, index))).collect();
    // The latest start first: a chain is only replaced by one that started later.
    let latest_start = rows.iter().filter(|tied| tied.mask & 1 == 1).map(|tied| tied.row).max();
    if let (Some(row), Some(step)) = (latest_start, furthest(&devices, 0, steps)) {
        for reached in 0..=step {
            chains.jump(None, reached, at_ms, row);
        }
    }
    for base in bases.into_iter().flatten() {
        if let Some(step) = furthest(&devices, base.0 + 1, steps) {
            for reached in base.0 + 1..=step {
                chains.jump(Some(base), reached, at_ms, 0);
            }
        }
    }
}

/// The last step that the events of one instant can serve, beginning with step `first`, each step
/// by another event, in an order that respects each device. `None` when they cannot serve `first`.
fn furthest(devices: &[&[Tied]], first: usize, steps: usize) -> Option<usize> {
    // Breadth first: all positions reachable with `step` steps served.
    let mut reachable = vec![vec![0usize; devices.len()]];
    let mut last = None;
    for step in first..steps {
        let mut next: Vec<Vec<usize>> = Vec::new();
        for positions in &reachable {
            for (device, rows) in devices.iter().enumerate() {
                // The earliest event that serves leaves the most for later steps.
                let serving =
                    rows[positions[device]..].iter().position(|tied| tied.mask >> step & 1 == 1);
                if let Some(skip) = serving {
                    let mut moved = positions.clone();
                    moved[device] += skip + 1;
                    next.push(moved);
                }
            }
        }
        if next.is_empty() {
            break;
        }
        next.sort_unstable();
        next.dedup();
        reachable = next;
        last = Some(step);
    }
    last
}
