//! Keys: their form, their checksum, what they allow.
//!
//! `tm_pk_live_<22 base62><6 checksum>` may only send events and may be public.
//! `tm_sk_live_…` belongs on servers. The 22 characters carry 131 random bits; the checksum is the
//! CRC-32 of everything before it, so that a typo is told from an unknown key without a look-up
//! and scanners for leaked keys have no false hits.
//!
//! Invariant: a key is kept only as `HMAC-SHA256(pepper, key)`. A slow hash would add nothing:
//! nobody guesses 131 bits, and it would be a lever for flooding us.
//!
//! Deliberately elsewhere: the table of keys (`meta::access_keys`), requests (`access`).

use std::fmt;

use crate::folder::Pepper;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_CHARS: usize = 22;
/// 62^6 > 2^32: six characters hold any CRC-32.
const CHECKSUM_CHARS: usize = 6;

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Write-only; ships in pages.
    Public,
    /// For servers; refused when a browser sends it.
    Secret,
}

impl KeyKind {
    /// The first characters of such a key.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Public => "tm_pk_live_",
            Self::Secret => "tm_sk_live_",
        }
    }

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Secret => "secret",
        }
    }
}

/// One thing a secret key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Send events, raw ids allowed.
    Ingest,
    /// Ask questions.
    AnalyticsRead,
    /// Take raw events out.
    AnalyticsExport,
    /// Change the project.
    Admin,
    /// Read the metrics of the service.
    MetricsRead,
    /// Say who is who, and take it back.
    DataMerge,
    /// Erase persons.
    DataErase,
    /// Define experiments and flags, start and stop them.
    ExperimentsWrite,
    /// Save cohorts, questions and annotations.
    AnalyticsWrite,
    /// Tell what was used, and roll usage up.
    UsageWrite,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 10] = [
        Self::Ingest,
        Self::AnalyticsRead,
        Self::AnalyticsExport,
        Self::Admin,
        Self::MetricsRead,
        Self::DataMerge,
        Self::DataErase,
        Self::ExperimentsWrite,
        Self::AnalyticsWrite,
        Self::UsageWrite,
    ];

    /// Its name on the command line, in the database and in problems.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::AnalyticsRead => "analytics:read",
            Self::AnalyticsExport => "analytics:export",
            Self::Admin => "admin",
            Self::MetricsRead => "metrics:read",
            Self::DataMerge => "data:merge",
            Self::DataErase => "data:erase",
            Self::ExperimentsWrite => "experiments:write",
            Self::AnalyticsWrite => "analytics:write",
            Self::UsageWrite => "usage:write",
        }
    }

    /// The scope of this name.
    ///
    /// # Errors
    /// A sentence that lists the scopes there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name.trim()).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|scope| scope.as_str()).collect();
            format!("{name:?} is not a scope; there are {}", known.join(", "))
        })
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u16);

impl Scopes {
    /// Every scope: the secret key that `project create` prints.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether the set has the scope.
    pub const fn allows(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// From the stored, comma-separated form.
    ///
    /// # Errors
    /// As [`Scope::parse`].
    pub fn parse(list: &str) -> Result<Self, String> {
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Scope::parse).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
}

impl Scopes {
    /// The names of those in the set.
    pub fn names(self) -> Vec<&'static str> {
        Scope::ALL.iter().filter(|scope| self.allows(**scope)).map(|s| s.as_str()).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// A well-formed key: right prefix, right length, right checksum. Whether it is known is another
/// question. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    kind: KeyKind,
    text: String,
}

impl Key {
    /// A new key from `random`, which must be uniformly random bytes; `None` when so many had to
    /// be thrown away (1 in 32) that the rest does not suffice.
    pub fn from_random(kind: KeyKind, random: &[u8]) -> Option<Self> {
        // 248 = 4 × 62: bytes from 248 on would make the first characters likelier than the rest.
        let chars = random.iter().filter(|byte| **byte < 248);
        let body: String = chars
            .take(RANDOM_CHARS)
            .map(|byte| char::from(ALPHABET[usize::from(byte % 62)]))
            .collect();
        if body.len() < RANDOM_CHARS {
            return None;
        }
        let text = format!("{}{body}", kind.prefix());
        let checksum = checksum(&text).map(char::from);
        Some(Self { kind, text: text + &String::from_iter(checksum) })
    }

    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// When the system has none.
    pub fn generate(kind: KeyKind) -> Result<Self, getrandom::Error> {
        loop {
            let mut random = [0u8; 64];
            getrandom::fill(&mut random)?;
            if let Some(key) = Self::from_random(kind, &random) {
                return Ok(key);
            }
        }
    }

    /// Read a key. `None` for anything that no tallymark ever printed.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = [KeyKind::Public, KeyKind::Secret]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))?;
        let whole = kind.prefix().len() + RANDOM_CHARS + CHECKSUM_CHARS;
        if text.len() != whole || !text.is_ascii() {
            return None;
        }
        let (body, sum) = text.split_at(whole - CHECKSUM_CHARS);
        (checksum(body) == sum.as_bytes()).then(|| Self { kind, text: text.to_owned() })
    }

    /// Public or secret.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Its last four characters before the checksum, to tell keys apart.
    pub fn hint(&self) -> &str {
        let end = self.text.len() - CHECKSUM_CHARS;
        &self.text[end - 4..end]
    }

    /// What the database keeps.
    pub fn mac(&self, pepper: &Pepper) -> [u8; 32] {
        pepper.mac("access-key", self.text.as_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, …{})", self.kind, self.hint())
    }
}

fn checksum(body: &str) -> [u8; CHECKSUM_CHARS] {
    let mut crc = crc32fast::hash(body.as_bytes());
    let mut chars = [0u8; CHECKSUM_CHARS];
    for char in chars.iter_mut().rev() {
        *char = ALPHABET[(crc % 62) as usize];
        crc /= 62;
    }
    chars
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_has_the_documented_form() {
        let key = Key::from_random(KeyKind::Public, &[7; 32]).unwrap();
        assert_eq!(key.reveal().len(), "tm_pk_live_".len() + 22 + 6);
        assert!(key.reveal().starts_with("tm_pk_live_7777777777777777777777"));
        assert_eq!(Key::parse(key.reveal()), Some(key));
    }

    #[test]
    fn a_key_is_not_made_of_too_little_randomness() {
        assert_eq!(Key::from_random(KeyKind::Secret, &[255; 64]), None);
    }

    /// Reliability test 63: what looks like a key and was never made is none, so a scan of a repository finds keys only.
    #[test]
    fn of_a_million_made_up_texts_of_the_right_form_none_is_a_key() {
        let made = Key::generate(KeyKind::Secret).unwrap();
        assert!(Key::parse(made.reveal()).is_some());
        let body = made.reveal().len() - KeyKind::Secret.prefix().len();
        // xorshift64: as good as any for texts, and the same every time.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(ALPHABET[(state % ALPHABET.len() as u64) as usize])
        };
        for _ in 0..1_000_000 {
            let text: String = (0..body).map(|_| next()).collect();
            let text = format!("{}{text}", KeyKind::Secret.prefix());
            assert!(Key::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_does_not_show_a_key() {
        let key = Key::generate(KeyKind::Secret).unwrap();
        assert!(!format!("{key:?}").contains(key.reveal()));
    }

    proptest! {
        #[test]
        fn one_changed_character_is_noticed(
            random in prop::collection::vec(0u8..248, 22),
            at in 11usize..39,
            to in prop::sample::select(ALPHABET.to_vec()),
        ) {
            let key = Key::from_random(KeyKind::Secret, &random).unwrap();
            let mut text = key.reveal().as_bytes().to_vec();
            prop_assume!(text[at] != to);
            text[at] = to;
            prop_assert_eq!(Key::parse(std::str::from_utf8(&text).unwrap()), None);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(tm_[ps]k_live_)?.{0,40}") {
            let _ = Key::parse(&text);
        }
    }

    #[test]
    fn scopes_survive_the_database() {
        let some: Scopes = [Scope::Ingest, Scope::AnalyticsExport].into_iter().collect();
        assert_eq!(some.to_string(), "ingest,analytics:export");
        assert_eq!(Scopes::parse(&some.to_string()), Ok(some));
        assert!(some.allows(Scope::Ingest) && !some.allows(Scope::Admin));
        assert!(Scopes::parse("ingest,root").unwrap_err().contains("analytics:read"));
    }
}
