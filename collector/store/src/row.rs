//! One stored event, as the collector hands it over and as scans give it back.
//!
//! This is the memory form. The log has its own row encoding (`wal`), segments have columns
//! (`segment`); the conversions are named functions in those files.
//!
//! Invariant: no raw user id and no full address is in a row. `person` and `actor` are keyed
//! hashes made by the collector.

/// An event, validated, hashed and stamped.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The tenant; from the credential, never from the body.
    pub project: u32,
    /// Who we believe stands behind it: the keyed hash of the user id, else equal to `actor`.
    pub person: u64,
    /// The device: the keyed hash of the device id (or of the day's cookieless id).
    pub actor: u64,
    /// Event time in Unix milliseconds, corrected for the client's clock.
    pub ts_ms: i64,
    /// The device's own counter: the order of events within one millisecond.
    pub seq: u32,
    /// UUIDv7 of the event; with `project` the key of deduplication.
    pub event_id: u128,
    /// Our clock when the event arrived, Unix milliseconds.
    pub received_ms: i64,
    /// What the client's wall clock said, Unix milliseconds.
    pub claimed_ms: i64,
    /// See [`flags`].
    pub flags: u8,
    /// Event name.
    pub event: String,
    /// Session id, 0 for none.
    pub session: u128,
    /// Built-in dimensions, by [`Dim`].
    pub dims: [Option<Box<str>>; Dim::ALL.len()],
    /// The caller's properties: a JSON object as text, `{}` for none.
    pub props: Box<str>,
}

/// Bits of [`Row::flags`].
pub mod flags {
    /// `actor` changes every day: weekly and monthly figures over it are not defined.
    pub const DAILY_ACTOR: u8 = 1;
    /// Wall clock and monotonic clock of the client disagreed by more than five seconds.
    pub const CLOCK_SUSPECT: u8 = 2;
    /// The row came from a server (secret key) or an import.
    pub const SERVER: u8 = 4;
    /// `person` comes from a user id, not from the device.
    pub const IDENTIFIED: u8 = 8;
}

macro_rules! dims {
    ($($variant:ident $name:literal),* $(,)?) => {
        /// A built-in dimension: filled at ingest from the request, not by the caller.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names say it; they are listed in the API reference")]
        pub enum Dim { $($variant),* }
        impl Dim {
            /// All of them, in the order of [`Row::dims`]. Append only: the order is on disk.
            pub const ALL: &'static [Dim] = &[$(Dim::$variant),*];
            /// The name in questions and answers.
            pub const fn name(self) -> &'static str {
                match self { $(Dim::$variant => $name),* }
            }
        }
    };
}

dims! {
    Path "path", Host "host", ReferrerHost "referrer_host", Channel "channel",
    Country "country", DeviceType "device_type", Browser "browser", Os "os",
    Language "language", DisplayMode "display_mode",
    UtmSource "utm_source", UtmMedium "utm_medium", UtmCampaign "utm_campaign",
    UtmTerm "utm_term", UtmContent "utm_content", Sdk "sdk",
}

impl Dim {
    /// The dimension of this name, if it is a built-in.
    pub fn find(name: &str) -> Option<Dim> {
        Dim::ALL.iter().copied().find(|dim| dim.name() == name)
    }
}
