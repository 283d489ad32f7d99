//! What a tracker wants done.

/// Something to do, carried out by `browser/`.
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug, PartialEq, Eq))]
pub enum Effect {
    /// POST this body; the request may outlive the page. Its end comes back as `Answered`.
    Send {
        /// Names the request.
        request: u32,
        /// A batch.
        body: String,
    },
    /// Come back after this time, in milliseconds. Replaces an earlier alarm.
    Wake {
        /// From now.
        after_ms: u32,
    },
    /// Keep this text for the next page.
    Store {
        /// Hashes, session and consent.
        text: String,
    },
    /// Keep nothing.
    Erase,
    /// Tell the page's developer.
    Report {
        /// For software: snake case, permanent.
        code: String,
        /// For people.
        detail: &'static str,
    },
    /// Everything that waited at `Flush` is settled, or cannot be for now.
    Flushed {
        /// Whether all of it was.
        delivered: bool,
    },
}

impl Effect {
    /// A report.
    pub fn report(code: &str, detail: &'static str) -> Effect {
        Effect::Report { code: code.to_owned(), detail }
    }
}
