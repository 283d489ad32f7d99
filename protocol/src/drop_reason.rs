//! Why an event was lost before the collector had it. Every loss is counted under one of these.
//!
//! Events the collector refuses have an `EventCode` instead, and are kept in quarantine.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident $name:literal),* $(,)?) => {
        /// A loss in the SDK.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
        #[repr(u8)]
        pub enum DropReason { $($(#[$doc])* $variant),* }

        impl DropReason {
            /// All of them, in the order of their counters. Append only.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant),*];

            /// The permanent name: snake case.
            pub const fn as_str(self) -> &'static str {
                match self { $(DropReason::$variant => $name),* }
            }
        }
    };
}

drop_reasons! {
    /// The queue was full: the oldest event made room for a new one.
    QueueFull "queue_full",
    /// One event larger than the collector takes.
    EventTooLarge "event_too_large",
    /// A name the collector would refuse.
    NameInvalid "name_invalid",
    /// Properties that cannot be written as JSON.
    PropsInvalid "props_invalid",
    /// The visitor opted out while the event waited.
    OptedOut "opted_out",
    /// The collector refused this event, see its code.
    Refused "refused",
    /// The collector could not read even a batch of this one event.
    Unreadable "unreadable",
    /// The collector has closed this project's intake (410).
    Closed "closed",
    /// A fault of ours.
    SdkError "sdk_error",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn reasons_are_distinct_and_count_in_their_own_place() {
        let names: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
        for (place, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
    }
}
