//! Who events belong to, and what of it is kept on the device.
//!
//! Raw ids come in and are hashed at once; only hashes are held, stored or sent. What is kept
//! depends on the *grip*: everything (`Full`), nothing on the device (`Cookieless`), or nothing
//! at all (`Off`). The text in the browser's storage is this module's own, versioned format.

use crate::json::push_whole;
use crate::random::Random;
use crate::session::Session;
use crate::settings::{Mode, Settings};
use tallymark_protocol::hashing::{self, Namespace, from_hex, to_hex};
use tallymark_protocol::limits::DEVICE_ID_AGE_MS_MAX;
use tallymark_protocol::uuid7;

/// What the visitor said. Remembered, also when it was no.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub enum Consent {
    /// Nothing yet: the page's `mode` decides.
    #[default]
    Unasked,
    /// Yes.
    Granted,
    /// No.
    Denied,
}

/// What may be done right now: the page's mode, the visitor's word and the browser's signal.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub enum Grip {
    /// Lasting hashed ids and a session shared by tabs.
    Full,
    /// No id, nothing on the device.
    Cookieless,
    /// Nothing is recorded or sent.
    Off,
}

/// Ids, session and consent of this browser.
pub struct Identity {
    salt: String,
    mode: Mode,
    asks_for_privacy: bool,
    /// What the visitor said.
    pub consent: Consent,
    /// Hash of the device id and when it was made, Unix milliseconds.
    device: Option<(String, u64)>,
    /// Hash of the user id.
    user: Option<String>,
    /// The current visit.
    pub session: Option<Session>,
}

impl Identity {
    /// Nobody yet.
    pub fn new(settings: &Settings) -> Identity {
        Identity {
            salt: settings.salt.clone(),
            mode: settings.mode,
            asks_for_privacy: settings.asks_for_privacy,
            consent: Consent::Unasked,
            device: None,
            user: None,
            session: None,
        }
    }

    /// What may be done now. A browser that asks for privacy never gets more than `Cookieless`.
    pub fn grip(&self) -> Grip {
        let grip = match (self.consent, self.mode) {
            (Consent::Denied, _) | (Consent::Unasked, Mode::None) => Grip::Off,
            (Consent::Granted, _) | (Consent::Unasked, Mode::Full) => Grip::Full,
            (Consent::Unasked, Mode::Cookieless) => Grip::Cookieless,
        };
        if grip == Grip::Full && self.asks_for_privacy { Grip::Cookieless } else { grip }
    }

    /// The device's hash as it may be sent: only with a full grip.
    pub fn device(&self) -> Option<&str> {
        let held = self.device.as_ref().map(|(hash, _)| hash.as_str());
        held.filter(|_| self.grip() == Grip::Full)
    }

    /// The user's hash as it may be sent: only with a full grip.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref().filter(|_| self.grip() == Grip::Full)
    }

    /// Makes a device id where one is due: with a full grip, when there is none or it is older
    /// than 13 months. Its raw form exists only inside this call.
    pub fn ensure_device(&mut self, now_ms: u64, random: &mut Random) {
        let fresh =
            |(_, since): &(String, u64)| now_ms < since.saturating_add(DEVICE_ID_AGE_MS_MAX);
        if self.grip() == Grip::Full && !self.device.as_ref().is_some_and(fresh) {
            let raw = to_hex(&random.bytes());
            self.device = Some((self.hash(Namespace::Device, &raw), now_ms));
        }
    }

    /// Someone signed in. Gives whether somebody else was signed in before, which ends the session.
    /// The hash is held with any grip but `Off`, so that a later consent finds it.
    pub fn sign_in(&mut self, user_id: &str) -> bool {
        let hash = self.hash(Namespace::User, user_id);
        let changed = self.user.as_ref().is_some_and(|user| *user != hash);
        if changed {
            self.session = None;
        }
        self.user = Some(hash);
        changed
    }

    /// The next event belongs to somebody new.
    pub fn forget(&mut self) {
        self.device = None;
        self.user = None;
        self.session = None;
    }

    fn hash(&self, namespace: Namespace, id: &str) -> String {
        to_hex(&hashing::h1(self.salt.as_bytes(), namespace, id))
    }

    /// The text to store, or `None` when nothing may be: without a word of the visitor, only a
    /// full grip stores anything. A word is stored with any grip.
    pub fn stored(&self) -> Option<String> {
        let full = self.grip() == Grip::Full;
        if !full && self.consent == Consent::Unasked {
            return None;
        }
        let mut text = String::from(VERSION);
        text.push(match self.consent {
            Consent::Unasked => '-',
            Consent::Granted => 'g',
            Consent::Denied => 'd',
        });
        if full {
            let (device, since) = self.device.as_ref().map_or(("", 0), |(h, at)| (h.as_str(), *at));
            text.push('|');
            text.push_str(device);
            text.push('|');
            push_whole(&mut text, since);
            text.push('|');
            text.push_str(self.user.as_deref().unwrap_or_default());
            if let Some(session) = self.session {
                text.push('|');
                text.push_str(&uuid7::format(session.id));
                text.push('|');
                push_whole(&mut text, session.started_ms);
                text.push('|');
                push_whole(&mut text, session.last_ms);
            }
        }
        Some(text)
    }

    /// Takes over what the storage holds: at the start, and when another tab wrote it. Foreign or
    /// damaged text is ignored. Anybody with the developer tools can write it, so nothing of it is
    /// sent unless it is a hash or a UUID.
    pub fn adopt(&mut self, text: &str) {
        let Some(fields) = text.strip_prefix(VERSION) else { return };
        let mut fields = fields.split('|');
        self.consent = match fields.next() {
            Some("-") => Consent::Unasked,
            Some("g") => Consent::Granted,
            Some("d") => Consent::Denied,
            _ => return,
        };
        if self.grip() != Grip::Full {
            return;
        }
        let hash = |text: Option<&str>| text.filter(|t| from_hex(t).is_some()).map(str::to_owned);
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<u64>().ok());
        let device = hash(fields.next());
        let since = number(fields.next());
        if let (Some(device), Some(since)) = (device, since) {
            self.device = Some((device, since));
        }
        self.user = hash(fields.next());
        let id = fields.next().and_then(uuid7::parse);
        let (started, last) = (number(fields.next()), number(fields.next()));
        if let (Some(id), Some(started_ms), Some(last_ms)) = (id, started, last) {
            let theirs = Session { id, started_ms, last_ms };
            self.session = Some(self.session.map_or(theirs, |ours| ours.agree(theirs)));
        }
    }
}

const VERSION: &str = "1|";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const SALT: &str = "salt";

    fn identity(mode: Mode, asks_for_privacy: bool) -> Identity {
        Identity::new(&Settings {
            key: "tm_pk_test".into(),
            salt: SALT.into(),
            mode,
            experiments: Vec::new(),
            asks_for_privacy,
            sdk: "web/test".into(),
        })
    }

    fn full() -> Identity {
        let mut identity = identity(Mode::Full, false);
        identity.ensure_device(1_000, &mut Random::new([1; 32]));
        identity
    }

    #[rstest]
    #[case::full(Mode::Full, Consent::Unasked, false, Grip::Full)]
    #[case::cookieless(Mode::Cookieless, Consent::Unasked, false, Grip::Cookieless)]
    #[case::none(Mode::None, Consent::Unasked, false, Grip::Off)]
    #[case::yes_in_cookieless(Mode::Cookieless, Consent::Granted, false, Grip::Full)]
    #[case::yes_in_none(Mode::None, Consent::Granted, false, Grip::Full)]
    #[case::no_in_full(Mode::Full, Consent::Denied, false, Grip::Off)]
    #[case::signal_in_full(Mode::Full, Consent::Unasked, true, Grip::Cookieless)]
    #[case::signal_after_yes(Mode::Full, Consent::Granted, true, Grip::Cookieless)]
    #[case::signal_after_no(Mode::Full, Consent::Denied, true, Grip::Off)]
    fn what_may_be_done(
        #[case] mode: Mode,
        #[case] consent: Consent,
        #[case] signal: bool,
        #[case] want: Grip,
    ) {
        let mut identity = identity(mode, signal);
        identity.consent = consent;
        assert_eq!(identity.grip(), want);
    }

    #[test]
    fn only_hashes_are_held_stored_and_sent() {
        let mut identity = full();
        identity.sign_in(" ada@example.org ");
        let want = to_hex(&hashing::h1(SALT.as_bytes(), Namespace::User, "ada@example.org"));
        assert_eq!(identity.user(), Some(want.as_str()));
        assert!(identity.device().is_some_and(|device| from_hex(device).is_some()));
        let stored = identity.stored().expect("a full grip stores");
        assert!(stored.contains(&want) && !stored.contains("ada"));
    }

    #[test]
    fn without_a_full_grip_no_id_is_given_out_or_stored() {
        let mut identity = identity(Mode::Cookieless, false);
        identity.ensure_device(1_000, &mut Random::new([1; 32]));
        identity.sign_in("ada");
        identity.session = Some(Session::begin(1, 5));
        assert_eq!((identity.device(), identity.user(), identity.stored()), (None, None, None));
        identity.consent = Consent::Denied;
        assert_eq!(identity.stored().as_deref(), Some("1|d"));
        identity.consent = Consent::Granted;
        assert!(identity.user().is_some(), "the user of before is found after a yes");
    }

    #[rstest]
    #[case::a_day_old(86_400_000, true)]
    #[case::one_millisecond_before_13_months(DEVICE_ID_AGE_MS_MAX - 1, true)]
    #[case::at_13_months(DEVICE_ID_AGE_MS_MAX, false)]
    fn a_device_id_is_kept(#[case] age_ms: u64, #[case] kept: bool) {
        let mut identity = full();
        let before = identity.device().map(str::to_owned);
        identity.ensure_device(1_000 + age_ms, &mut Random::new([2; 32]));
        assert_eq!(identity.device().map(str::to_owned) == before, kept);
    }

    #[test]
    fn another_user_ends_the_session_the_same_user_does_not() {
        let mut identity = full();
        identity.session = Some(Session::begin(1, 5));
        assert!(!identity.sign_in("ada"));
        assert!(!identity.sign_in("ada"));
        assert!(identity.session.is_some());
        assert!(identity.sign_in("grace"));
        assert!(identity.session.is_none());
    }

    #[test]
    fn the_next_page_takes_over_what_was_stored() {
        let mut before = full();
        before.sign_in("ada");
        let id = uuid7::make(7, [3; 10]);
        before.session = Some(Session { id, started_ms: 7, last_ms: 9 });
        let stored = before.stored().expect("a full grip stores");
        let mut after = identity(Mode::Full, false);
        after.adopt(&stored);
        assert_eq!(after.stored(), Some(stored));
        assert_eq!((after.device(), after.user()), (before.device(), before.user()));
        assert_eq!(after.session, before.session);
    }

    #[rstest]
    #[case::empty("")]
    #[case::another_version("2|g|x")]
    #[case::not_ours("{\"a\":1}")]
    #[case::unknown_word("1|x")]
    fn foreign_text_in_the_storage_is_ignored(#[case] text: &str) {
        let mut identity = full();
        let before = identity.stored();
        identity.adopt(text);
        assert_eq!(identity.stored(), before);
    }

    #[test]
    fn a_raw_id_planted_in_the_storage_is_not_sent() {
        let mut identity = identity(Mode::Full, false);
        identity.adopt("1|-|ada@example.org|5|ada@example.org");
        assert_eq!((identity.device(), identity.user()), (None, None));
    }

    proptest! {
        #[test]
        fn no_stored_text_makes_it_panic(text in "(1\\|)?[-gd]?[|0-9a-f-]{0,200}") {
            let mut identity = identity(Mode::Full, false);
            identity.adopt(&text);
            identity.adopt(&identity.stored().unwrap_or_default());
        }
    }
}
