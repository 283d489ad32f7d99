//! Every fixed limit of the protocol, with where its number comes from.
//!
//! A *limit* is fixed by us; quotas and rates are agreed per project and live in the collector.
//! All limits are inclusive: the value itself is still allowed.

/// Bytes in a KiB, to keep the constants below readable.
const KIB: usize = 1024;

// What the collector accepts.

/// Events in one batch. 500 events of a usual 300 bytes are 150 KB: one group commit, one answer.
pub const BATCH_EVENTS_MAX: usize = 500;

/// Bytes of a request body after decompression: twice [`BATCH_EVENTS_MAX`] rich events of 1 KiB.
pub const BODY_BYTES_MAX: usize = 1024 * KIB;

/// Bytes of one event's JSON. A long product page with 64 texts of 400 bytes fits.
pub const EVENT_BYTES_MAX: usize = 32 * KIB;

/// Characters (Unicode scalar values) of an event name.
pub const EVENT_NAME_CHARS_MAX: usize = 200;

/// Characters of a property name, as for event names.
pub const PROPERTY_NAME_CHARS_MAX: usize = 200;

/// Top-level property keys of one event at the collector: four times the SDK's own limit, so that
/// a server or an import with wide rows still gets in.
pub const PROPERTY_KEYS_MAX: usize = 256;

/// Levels of nesting inside `props`: `{"a":{"b":1}}` has two.
pub const NESTING_MAX: usize = 16;

/// Characters of a raw `user_id` or `device_id` sent by a server, before hashing.
pub const RAW_ID_CHARS_MAX: usize = 1_000;

/// How old an event may be on arrival, in milliseconds: 30 days, one less than deduplication
/// remembers, so that a late resend can never be counted twice.
pub const EVENT_AGE_MS_MAX: i64 = 30 * 24 * 60 * 60 * 1_000;

/// How far in the future an event may lie after clock correction, in milliseconds: 5 minutes.
pub const EVENT_FUTURE_MS_MAX: i64 = 5 * 60 * 1_000;

/// How long the collector remembers event ids, in milliseconds: 31 days.
pub const DEDUPE_WINDOW_MS: i64 = 31 * 24 * 60 * 60 * 1_000;

/// Wall clock and monotonic clock of one page may disagree by this much, in milliseconds, before
/// the event is marked as coming from a suspect clock.
pub const CLOCK_DISAGREEMENT_MS_MAX: i64 = 5_000;

// What the SDK does. Each lies well inside what the collector accepts.

/// Property keys of one event in the browser; more are dropped and reported.
pub const SDK_PROPERTY_KEYS_MAX: usize = 64;

/// Waiting events that start a send.
pub const SDK_FLUSH_EVENTS: usize = 20;

/// Waiting bytes that start a send: half of what keepalive requests may have in flight together.
pub const SDK_FLUSH_BYTES: usize = 30 * KIB;

/// Longest wait of an event before a send starts, in milliseconds.
pub const SDK_FLUSH_MS: u64 = 2_000;

/// Events in one batch of the SDK.
pub const SDK_BATCH_EVENTS_MAX: usize = 100;

/// Bytes of one body of the SDK: with its envelope it stays under the 64 KiB of keepalive.
pub const SDK_BATCH_BYTES_MAX: usize = 48 * KIB;

/// Bytes sent while the page is being hidden. Browsers let keepalive requests and beacons have
/// 64 KiB in flight together; the rest is for headers and for other scripts of the page.
pub const SDK_HIDE_BYTES_MAX: usize = 60 * KIB;

/// Events the SDK keeps while nothing can be sent.
pub const SDK_QUEUE_EVENTS_MAX: usize = 1_000;

/// Bytes the SDK keeps while nothing can be sent.
pub const SDK_QUEUE_BYTES_MAX: usize = 2 * 1024 * KIB;

/// A session ends after this silence, in milliseconds. Exactly 30 minutes still belong to it.
pub const SESSION_GAP_MS: u64 = 30 * 60 * 1_000;

/// A session of this age, in milliseconds, is over: 24 hours.
pub const SESSION_AGE_MS: u64 = 24 * 60 * 60 * 1_000;

/// First upper bound of the random wait after a failed send, in milliseconds; doubles each time.
pub const RETRY_FIRST_MS: u64 = 1_000;

/// Last upper bound of the random wait after a failed send, in milliseconds: 5 minutes.
pub const RETRY_MS_MAX: u64 = 5 * 60 * 1_000;

/// Longest `Retry-After` that is obeyed, and the pause after 401 and 403, in milliseconds: 1 hour.
pub const RETRY_AFTER_MS_MAX: u64 = 60 * 60 * 1_000;

/// A request without an answer is given up after this time, in milliseconds.
pub const SEND_TIMEOUT_MS: u32 = 15_000;

/// A random device id is replaced after this age, in milliseconds: 13 months of 30 days, the
/// longest life a tracker may have under the CNIL's exemption.
pub const DEVICE_ID_AGE_MS_MAX: u64 = 13 * 30 * 24 * 60 * 60 * 1_000;
