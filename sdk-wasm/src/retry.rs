//! What to do with a reply, and how long to wait after a failure. Pure; carried out by the page's
//! scripts (`npm/src/deliver.ts`).

use tallymark_protocol::limits::{RETRY_AFTER_MS_MAX, RETRY_FIRST_MS, RETRY_MS_MAX};

/// A reply as the browser saw it.
#[derive(Default)]
pub struct Reply {
    /// HTTP status; 0 when there was none: offline, blocked, timed out.
    pub status: u16,
    /// The body is a receipt, and for this batch: it repeats its nonce.
    pub has_receipt: bool,
    /// The body is a problem with a code, so the collector itself spoke.
    pub is_ours: bool,
    /// The `Retry-After` header in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// What a reply means for the events of its batch.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub enum Verdict {
    /// All are settled: stored, stored before, or refused one by one.
    Settled,
    /// The batch could not be read: send half of it.
    Halve,
    /// The batch was too long: send half of it, and never that many again.
    TooLong,
    /// Keep, and wait as long as the collector says.
    Pause {
        /// Milliseconds.
        ms: u64,
    },
    /// Keep, and wait a random time.
    Backoff,
    /// The project takes no more events: drop all and stop for this page.
    Closed,
}

impl Verdict {
    /// As JavaScript gets it: a pause is its milliseconds, everything else is negative.
    pub fn number(self) -> f64 {
        match self {
            Verdict::Pause { ms } => ms as f64,
            Verdict::Settled => -1.0,
            Verdict::Halve => -2.0,
            Verdict::TooLong => -3.0,
            Verdict::Backoff => -4.0,
            Verdict::Closed => -5.0,
        }
    }
}

/// Reads a reply.
///
/// Only our own JSON with the batch's nonce settles anything: a captive portal answers 200 too.
/// Likewise a 400 counts as unreadable only when the collector itself said so.
pub fn judge(reply: &Reply) -> Verdict {
    let asked = reply.retry_after_ms.map(|ms| ms.min(RETRY_AFTER_MS_MAX));
    match reply.status {
        200 if reply.has_receipt => Verdict::Settled,
        400 if reply.is_ours => Verdict::Halve,
        413 => Verdict::TooLong,
        // A key mix-up must not cost events, and a page can do nothing about it.
        401 | 403 => Verdict::Pause { ms: RETRY_AFTER_MS_MAX },
        402 | 429 | 503 => asked.map_or(Verdict::Backoff, |ms| Verdict::Pause { ms }),
        410 => Verdict::Closed,
        _ => Verdict::Backoff,
    }
}

/// Wait in milliseconds after `failures` failed sends in a row, at least 1: U(0, min(5 min,
/// 1 s · 2^k)), k counting from 0. `ratio` is the random number in [0, 1). Full jitter: pages
/// that failed together must not come back together.
pub fn backoff_ms(failures: u32, ratio: f64) -> u64 {
    let doublings = failures.saturating_sub(1).min(20);
    let bound = (RETRY_FIRST_MS << doublings).min(RETRY_MS_MAX);
    (bound as f64 * ratio) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn reply(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    #[rstest]
    #[case::our_receipt(Reply { has_receipt: true, ..reply(200) }, Verdict::Settled)]
    #[case::captive_portal(reply(200), Verdict::Backoff)]
    #[case::no_content(reply(204), Verdict::Backoff)]
    #[case::receipt_with_another_status(Reply { has_receipt: true, ..reply(202) }, Verdict::Backoff)]
    #[case::unreadable(Reply { is_ours: true, ..reply(400) }, Verdict::Halve)]
    #[case::a_proxys_400(reply(400), Verdict::Backoff)]
    #[case::too_long(reply(413), Verdict::TooLong)]
    #[case::key_unknown(reply(401), Verdict::Pause { ms: 3_600_000 })]
    #[case::key_forbidden(reply(403), Verdict::Pause { ms: 3_600_000 })]
    #[case::over_quota(Reply { retry_after_ms: Some(9_000), ..reply(402) }, Verdict::Pause { ms: 9_000 })]
    #[case::too_fast(Reply { retry_after_ms: Some(1_000), ..reply(429) }, Verdict::Pause { ms: 1_000 })]
    #[case::too_fast_for_a_day(Reply { retry_after_ms: Some(86_400_000), ..reply(429) }, Verdict::Pause { ms: 3_600_000 })]
    #[case::overloaded(Reply { retry_after_ms: Some(0), ..reply(503) }, Verdict::Pause { ms: 0 })]
    #[case::overloaded_without_a_time(reply(503), Verdict::Backoff)]
    #[case::timeout(reply(408), Verdict::Backoff)]
    #[case::fault(reply(500), Verdict::Backoff)]
    #[case::no_network(reply(0), Verdict::Backoff)]
    #[case::not_found(reply(404), Verdict::Backoff)]
    #[case::kill_switch(reply(410), Verdict::Closed)]
    fn a_reply_means(#[case] reply: Reply, #[case] want: Verdict) {
        assert_eq!(judge(&reply), want);
    }

    #[rstest]
    #[case::first(1, 1_000)]
    #[case::second(2, 2_000)]
    #[case::fifth(5, 16_000)]
    #[case::ninth(9, 256_000)]
    #[case::tenth(10, 300_000)]
    #[case::thousandth(1_000, 300_000)]
    fn the_longest_wait_doubles_up_to_five_minutes(#[case] failures: u32, #[case] bound_ms: u64) {
        assert_eq!(backoff_ms(failures, 0.0), 0);
        assert_eq!(backoff_ms(failures, 0.5), bound_ms / 2);
        assert_eq!(backoff_ms(failures, 0.999_999_999), bound_ms - 1);
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_five_minutes(failures in any::<u32>(), ratio in 0.0..1.0f64) {
            prop_assert!(backoff_ms(failures, ratio) <= RETRY_MS_MAX);
        }
    }
}
