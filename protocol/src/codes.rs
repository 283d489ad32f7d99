//! Why the collector refuses one event of a batch.
//!
//! A code is permanent: software may decide on it. The detail beside it is for people and may
//! change. Refusals of a whole request are `problem`s, losses in the browser `drop_reason`s.

macro_rules! event_codes {
    ($($(#[$doc:meta])* $variant:ident $code:literal $detail:literal),* $(,)?) => {
        /// A refusal of one event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum EventCode { $($(#[$doc])* $variant),* }

        impl EventCode {
            /// All of them. Append only.
            pub const ALL: &'static [EventCode] = &[$(EventCode::$variant),*];

            /// The permanent name: snake case.
            pub const fn as_str(self) -> &'static str {
                match self { $(EventCode::$variant => $code),* }
            }

            /// What is wrong and what to do, for whoever reads the receipt.
            pub const fn detail(self) -> &'static str {
                match self { $(EventCode::$variant => $detail),* }
            }
        }
    };
}

event_codes! {
    /// Not a JSON object, or a field twice.
    EventUnreadable "event_unreadable"
        "an event is a JSON object with each field at most once",
    /// `name` is missing, empty, too long, padded or has control characters.
    EventNameInvalid "event_name_invalid"
        "name is 1 to 200 characters without control characters or white space around it",
    /// `name` begins with `$` and is none of ours.
    ReservedNameUnknown "reserved_name_unknown"
        "names that begin with $ are reserved; use one of the documented ones or drop the $",
    /// `id` is missing or not a UUIDv7.
    EventIdInvalid "event_id_invalid"
        "id is a UUIDv7, made once per event and kept when the event is sent again",
    /// The event's JSON is longer than the limit.
    EventTooLarge "event_too_large"
        "one event is at most 32 KiB of JSON; send large texts somewhere else and refer to them",
    /// `props` is not an object, or holds text or numbers that JSON cannot carry.
    PropsInvalid "props_invalid"
        "props is an object of valid texts, finite numbers, booleans, null, lists and objects",
    /// `props` has too many keys.
    TooManyProps "too_many_props"
        "props has at most 256 keys",
    /// `props` is nested too deeply.
    TooDeep "too_deep"
        "props is nested at most 16 levels deep",
    /// `device` is not a hash.
    DeviceInvalid "device_invalid"
        "device is the HMAC-SHA256 of the device id as 64 hexadecimal digits, never the id itself",
    /// `user` is not a hash.
    UserInvalid "user_invalid"
        "user is the HMAC-SHA256 of the user id as 64 hexadecimal digits, never the id itself",
    /// `user_id` or `device_id` came with a write key.
    RawIdRefused "raw_id_refused"
        "user_id and device_id are for servers with a secret key; browsers send user and device, hashed",
    /// `user_id` or `device_id` of a server is empty, too long or not text.
    RawIdInvalid "raw_id_invalid"
        "user_id and device_id are texts of 1 to 1,000 characters",
    /// `session` is not a UUID.
    SessionInvalid "session_invalid"
        "session is a UUID",
    /// `at` is missing or not a time.
    AtInvalid "at_invalid"
        "at is the time of the event in Unix milliseconds",
    /// `mono` is not a number.
    MonoInvalid "mono_invalid"
        "mono is the page's monotonic clock in milliseconds",
    /// `writer` is not 128 bits in hexadecimal.
    WriterInvalid "writer_invalid"
        "writer is 32 hexadecimal digits, new for each page load",
    /// `n` is not a counter.
    NInvalid "n_invalid"
        "n counts the events of a writer from 0, below 4,294,967,296",
    /// Older than the collector accepts.
    TooOld "too_old"
        "the event is older than 30 days; load older events with tallymark import",
    /// Later than the collector's clock, beyond what clocks differ.
    InFuture "in_future"
        "the event lies more than 5 minutes in the future; check the sender's clock, or send sent_at",
    /// Nobody to count: no user, no device, and no request it could be derived from.
    NobodyKnown "nobody_known"
        "an event from a server names its user or its device",
    /// The person was erased.
    PersonErased "person_erased"
        "this person was erased; events of an erased person are not stored",
}

impl EventCode {
    /// The code of this name.
    pub fn find(code: &str) -> Option<EventCode> {
        EventCode::ALL.iter().copied().find(|known| known.as_str() == code)
    }
}

#[cfg(feature = "wire")]
impl serde::Serialize for EventCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "wire")]
impl<'de> serde::Deserialize<'de> for EventCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<str>::deserialize(deserializer)?;
        EventCode::find(&code).ok_or_else(|| serde::de::Error::custom("an unknown event code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_snake_case_and_found_again() {
        let mut seen = HashSet::new();
        for code in EventCode::ALL {
            let name = code.as_str();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(EventCode::find(name), Some(*code));
            assert!(!code.detail().is_empty());
        }
        assert_eq!(EventCode::find("no_such_code"), None);
    }
}
