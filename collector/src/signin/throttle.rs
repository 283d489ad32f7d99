//! How often somebody may try: a few times from one network at once, then slowly; and how long an
//! account is shut after wrong passwords.

use std::net::IpAddr;
use std::sync::Mutex;

use hashbrown::HashMap;

/// Attempts from one network at once, and the time after which there is one more.
const ATTEMPTS: f64 = 20.0;
const REFILL_MS: f64 = 30_000.0;
/// Networks that are remembered. When there are more, those that have all their attempts are forgotten,
/// and then nobody new may try for a while.
const NETWORKS_MAX: usize = 10_000;

/// Wrong passwords in a row that change nothing.
const FREE_FAILURES: u32 = 4;
/// After the next one, an account is shut for this long; then for twice that, and so on.
const FIRST_LOCK_MS: i64 = 60_000;
const LONGEST_LOCK_MS: i64 = 60 * 60_000;

/// Attempts by network.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<IpAddr, (f64, i64)>>);

impl Throttle {
    /// Take one attempt of a network. `Err` says after how many seconds there is one.
    ///
    /// # Errors
    /// When there were too many.
    pub fn take(&self, network: IpAddr, now_ms: i64) -> Result<(), u64> {
        let mut known = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let filled = |(left, at_ms): (f64, i64)| {
            let passed = now_ms.saturating_sub(at_ms).max(0) as f64;
            (left + passed / REFILL_MS).min(ATTEMPTS)
        };
        if known.len() >= NETWORKS_MAX && !known.contains_key(&network) {
            known.retain(|_, state| filled(*state) < ATTEMPTS);
            if known.len() >= NETWORKS_MAX {
                return Err((REFILL_MS / 1e3) as u64);
            }
        }
        let left = known.get(&network).map_or(ATTEMPTS, |state| filled(*state));
        if left < 1.0 {
            return Err(((1.0 - left) * REFILL_MS / 1e3).ceil() as u64);
        }
        known.insert(network, (left - 1.0, now_ms));
        Ok(())
    }
}

/// Until when an account is shut after so many wrong passwords in a row, the last of them now.
pub fn locked_until_ms(failures: u32, now_ms: i64) -> i64 {
    let Some(beyond) = failures.checked_sub(FREE_FAILURES + 1) else { return 0 };
    now_ms + FIRST_LOCK_MS.saturating_mul(1 << beyond.min(10)).min(LONGEST_LOCK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::net::Ipv4Addr;

    fn network(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(number << 8))
    }

    #[test]
    fn twenty_attempts_at_once_then_one_every_half_minute() {
        let throttle = Throttle::default();
        for _ in 0..20 {
            assert_eq!(throttle.take(network(1), 0), Ok(()));
        }
        assert_eq!(throttle.take(network(1), 0), Err(30));
        assert_eq!(throttle.take(network(1), 29_999), Err(1));
        assert_eq!(throttle.take(network(2), 0), Ok(()), "another network");
        assert_eq!(throttle.take(network(1), 30_000), Ok(()));
        assert_eq!(throttle.take(network(1), 30_000), Err(30));
    }

    #[test]
    fn memory_for_networks_is_bounded_and_comes_back() {
        let throttle = Throttle::default();
        for number in 0..NETWORKS_MAX as u32 {
            assert_eq!(throttle.take(network(number), 0), Ok(()));
        }
        assert_eq!(throttle.take(network(1 << 20), 0), Err(30));
        assert_eq!(throttle.take(network(1 << 20), 30_000), Ok(()));
    }

    #[rstest]
    #[case::four_are_free(4, 0)]
    #[case::the_fifth(5, 1_060_000)]
    #[case::the_sixth(6, 1_120_000)]
    #[case::never_above_an_hour(40, 4_600_000)]
    fn an_account_is_shut_after(#[case] failures: u32, #[case] until_ms: i64) {
        assert_eq!(locked_until_ms(failures, 1_000_000), until_ms);
    }
}
