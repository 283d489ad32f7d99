//! The only source of time in the collector.
//!
//! Out: Unix milliseconds. Everything that needs the time takes it from a [`Clock`] or as an
//! argument, so that a test can stand at any moment and a jump of the wall clock can be tried.
//!
//! Deliberately elsewhere: time-outs of connections, which are durations and belong to tokio.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where "now" comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// A clock that stands until it is moved.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock for tests, standing at `now_ms`.
    pub fn manual(now_ms: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Now, in milliseconds since the Unix epoch; negative before 1970.
    #[expect(clippy::disallowed_methods, reason = "everybody else asks this clock")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
            },
            Self::Manual(now_ms) => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Move a manual clock by `by_ms`. The machine's clock is not ours to move: nothing happens.
    pub fn advance(&self, by_ms: i64) {
        if let Self::Manual(now_ms) = self {
            now_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let clock = Clock::manual(1_000);
        assert_eq!((clock.now_ms(), clock.now_ms()), (1_000, 1_000));
        clock.clone().advance(-250);
        assert_eq!(clock.now_ms(), 750);
    }
}
