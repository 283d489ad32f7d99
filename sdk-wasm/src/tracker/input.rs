//! What can happen to a tracker.

use crate::retry::Reply;

/// One moment on both of the browser's clocks.
#[derive(Clone, Copy)]
pub struct Moment {
    /// Wall clock, Unix milliseconds. May jump.
    pub wall_ms: u64,
    /// `performance.now()`, milliseconds since the page began. Never goes back.
    pub mono_ms: f64,
}

/// Something that happened.
pub enum Input<'a> {
    /// The page was set up.
    Started,
    /// The page shows another address from now on; its context as a JSON object.
    Moved {
        /// `{}` or the members of the batch's context.
        context_json: &'a str,
    },
    /// An event. Properties are a JSON object, or empty for none.
    Tracked {
        /// Event name.
        name: &'a str,
        /// Encoded once, by the browser.
        props_json: &'a str,
    },
    /// Someone signed in.
    Identified {
        /// Raw; hashed before this step returns.
        user_id: &'a str,
        /// A JSON object, or empty for none.
        traits_json: &'a str,
    },
    /// The visitor met a variant: this one, or the one assigned.
    Exposed {
        /// Key of the experiment.
        experiment: &'a str,
        /// The variant, when the page knows better than the assignment.
        variant: Option<&'a str>,
    },
    /// The next event belongs to somebody new.
    Reset,
    /// The visitor agreed.
    OptedIn,
    /// The visitor declined: everything that waits is dropped.
    OptedOut,
    /// The storage was written by another tab, or read again.
    Stored {
        /// What it holds.
        text: &'a str,
    },
    /// The page is hidden and may never come back.
    Hidden,
    /// The page is visible again.
    Shown,
    /// The network is back.
    Online,
    /// The alarm rang.
    Woken,
    /// The page wants everything sent now.
    Flush,
    /// A request ended.
    Answered {
        /// Its number.
        request: u32,
        /// How.
        reply: Reply,
    },
}
