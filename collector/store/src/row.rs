//! One stored event, as the collector hands it over and as scans give it back.
//!
//! This is the memory form. The log has its own row encoding (`wal`), segments have columns
//! (`segment`); the conversions are named functions in those files.
//!
//! Invariant: no raw user id and no full address is in a row. `person` and `actor` are keyed
//! hashes made by the collector.

use std::borrow::Cow;
use std::sync::Arc;

use tallymark_analysis::filter::Properties;
use tallymark_protocol::uuid7;

use crate::block::Property;
use crate::props;

/// Built-in dimensions, by [`Dim`].
pub type Dims = [Option<Box<str>>; Dim::ALL.len()];

/// An event, validated, hashed and stamped. What the events of a batch have in common they share.
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
    /// The page load that counted it, as a number below 2^53; 0 for none. Goes with the event ids.
    pub writer: u64,
    /// UUIDv7 of the event; with `project` the key of deduplication.
    pub event_id: u128,
    /// Our clock when the event arrived, Unix milliseconds.
    pub received_ms: i64,
    /// What the client's wall clock said, Unix milliseconds.
    pub claimed_ms: i64,
    /// See [`flags`].
    pub flags: u8,
    /// Event name.
    pub event: Arc<str>,
    /// Session id, 0 for none.
    pub session: u128,
    /// Built-in dimensions.
    pub dims: Arc<Dims>,
    /// The caller's properties: a JSON object as text, `{}` for none.
    pub props: Box<str>,
}

/// What the columns of a segment or a memtable say of the row.
impl Properties for Row {
    fn text(&self, prop: &str) -> Option<Cow<'_, str>> {
        match Property::of_name(prop) {
            Property::Event => Some(Cow::Borrowed(&self.event)),
            Property::Session => {
                (self.session != 0).then(|| Cow::Owned(uuid7::format(self.session)))
            }
            Property::Identity => Some(Cow::Borrowed(identity(self.flags))),
            Property::Writer | Property::Seq => None,
            Property::Dim(dim) => self.dims[dim as usize].as_deref().map(Cow::Borrowed),
            Property::Key(key) => props::find(&self.props, &key)?.text(),
        }
    }

    fn number(&self, prop: &str) -> f64 {
        match Property::of_name(prop) {
            Property::Event => props::number_of_text(&self.event),
            Property::Session | Property::Identity => f64::NAN,
            Property::Writer => writer_number(self.writer),
            Property::Seq => f64::from(self.seq),
            Property::Dim(dim) => {
                self.dims[dim as usize].as_deref().map_or(f64::NAN, props::number_of_text)
            }
            Property::Key(key) => {
                props::find(&self.props, &key).map_or(f64::NAN, |entry| entry.number())
            }
        }
    }
}

/// The id that an event came with, before anybody was joined: the device of an anonymous one, the user
/// of an identified one. `origin` is that user where it is not the person any more, else 0.
pub(crate) fn base(person: u64, actor: u64, flags: u8, origin: u64) -> u64 {
    match (flags & flags::IDENTIFIED, origin) {
        (0, _) => actor,
        (_, 0) => person,
        (_, origin) => origin,
    }
}

/// A writer as questions see it.
pub(crate) fn writer_number(writer: u64) -> f64 {
    if writer == 0 { f64::NAN } else { writer as f64 }
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
    /// The row came from an import: without a session id it belongs to the session around it, which
    /// a server's row does not.
    pub const IMPORTED: u8 = 16;
    /// The row came from an export: its person is the one that was believed there, so only an
    /// anonymous one joins its device to its person.
    pub const STATED: u8 = 32;
    /// The row came when there was no room for another link: it does not join its device to its
    /// person.
    pub const UNJOINED: u8 = 64;
}

/// Whose id the person of a row is: `user`, `device`, or `day` for one that is made anew every day.
pub fn identity(flags: u8) -> &'static str {
    IDENTITIES[usize::from(identity_code(flags)) - 1]
}

/// The same as the code of a text column with the values [`IDENTITIES`].
pub(crate) fn identity_code(flags: u8) -> u8 {
    match flags {
        _ if flags & flags::IDENTIFIED != 0 => 1,
        _ if flags & flags::DAILY_ACTOR != 0 => 3,
        _ => 2,
    }
}

/// What [`identity`] can say.
pub(crate) const IDENTITIES: [&str; 3] = ["user", "device", "day"];

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
    UtmTerm "utm_term", UtmContent "utm_content", Sdk "sdk", Lost "$lost",
    Bot "$bot", BotScore "$bot_score",
    Guarded "$guarded",
}

impl Dim {
    /// The dimension of this name, if it is a built-in.
    pub fn find(name: &str) -> Option<Dim> {
        Dim::ALL.iter().copied().find(|dim| dim.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::{Block, ColumnKey};
    use crate::memtable::MemRun;
    use crate::testing::any_row;

    proptest! {
        /// A filter means the same in a list of events as in a question only if this holds.
        #[test]
        fn a_row_tells_what_its_columns_tell(
            rows in prop::collection::vec(any_row(), 1..12),
            digits in "[0-9]{1,3}",
        ) {
            let mut rows = rows;
            Arc::make_mut(&mut rows[0].dims)[Dim::UtmTerm as usize] = Some(digits.into());
            let run = MemRun::sort(&[Arc::new(rows)]);
            let dims = Dim::ALL.iter().map(|dim| dim.name());
            for prop in dims.chain(["event", "session", "identity", "$writer", "$n", "plan", "seats", "ok", "é", "a.b", "none"]) {
                let texts = run.column(&ColumnKey::Text(Property::of_name(prop))).unwrap();
                let numbers = run.column(&ColumnKey::Number(Property::of_name(prop))).unwrap();
                for at in 0..run.len() {
                    let row = run.row(at).to_row();
                    let text = row.text(prop);
                    prop_assert_eq!(text.as_deref(), texts.texts().get(at), "{}", prop);
                    let (got, want) = (row.number(prop), numbers.numbers().get(at));
                    prop_assert_eq!(got.to_bits(), want.to_bits(), "{}", prop);
                }
            }
        }
    }
}
