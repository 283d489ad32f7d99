//! The two stages that stand between an id and the disk.
//!
//! 1. In the browser: [`h1`], an HMAC with the project's public salt. It keeps raw ids off the
//!    network and projects apart. It does not stop guessing: the salt is public.
//! 2. On arrival: [`ServerHasher`], an HMAC with a key derived from the collector's pepper. Only
//!    its result is stored, `h1` never is.
//!
//! The result is pseudonymous, not anonymous: who holds the pepper can recognise a known id.
//!
//! Elsewhere: which ids are hashed when (`npm`: core), where the pepper lives (collector).

use alloc::string::String;
#[cfg(not(target_arch = "wasm32"))]
pub use server::ServerHasher;

#[cfg(target_arch = "wasm32")]
use crate::sha256::hmac;
#[cfg(not(target_arch = "wasm32"))]
use server::hmac;

/// What an id names. It is part of the hashed text, so a user and a device of the same id differ.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(Debug))]
pub enum Namespace {
    /// Someone who logs in.
    User,
    /// An installation: one browser profile.
    Device,
}

impl Namespace {
    /// The word in the hashed text. Frozen: a change would part every person from their past.
    pub const fn name(self) -> &'static str {
        match self {
            Namespace::User => "user",
            Namespace::Device => "device",
        }
    }
}

/// First stage: `HMAC-SHA256(salt, "v1|" + namespace + "|" + normalise(id))`.
///
/// `salt` is the text that `tallymark project create` printed, as bytes; it is not decoded. The id may
/// be a text or its UTF-8, which is what a page has.
pub fn h1(salt: &[u8], namespace: Namespace, id: impl AsRef<[u8]>) -> [u8; 32] {
    // As `normalise` says: bytes and texts have the same white space around them.
    let id = id.as_ref().trim_ascii();
    hmac(salt, &[b"v1|", namespace.name().as_bytes(), b"|", id])
}

/// An id without the ASCII white space around it (space, tab, line feed, form feed, carriage
/// return). Nothing else is touched: case and Unicode forms are the caller's to choose, because
/// what counts as the same id differs from one login system to the next.
pub fn normalise(id: &str) -> &str {
    id.trim_ascii()
}

/// 64 lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    bytes.iter().for_each(|byte| push_hex(&mut text, *byte));
    text
}

/// Reads exactly 64 hexadecimal digits of either case; `None` for anything else.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    // Wrong digits are noticed at the end: a branch for each would take longer than the reading.
    let mut seen = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (HEX_VALUES[usize::from(*high)], HEX_VALUES[usize::from(*low)]);
        seen |= high | low;
        *byte = high << 4 | low & 0xF;
    }
    (seen != NO_HEX_DIGIT).then_some(bytes)
}

/// Appends a byte as two lower-case hexadecimal digits, without the formatting machinery.
pub fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.push(DIGITS[usize::from(byte >> 4)] as char);
    text.push(DIGITS[usize::from(byte & 0xF)] as char);
}

/// What [`HEX_VALUES`] says of a byte that is no digit. All bits set, so that it survives `|`.
pub(crate) const NO_HEX_DIGIT: u8 = 0xFF;

/// The value of each hexadecimal digit of either case.
pub(crate) static HEX_VALUES: [u8; 256] = {
    let mut values = [NO_HEX_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        values[digit as usize] = value as u8;
        values[digit.to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    values
};

/// What the collector does with a hash that arrives, on a library's HMAC.
#[cfg(not(target_arch = "wasm32"))]
mod server {
    use alloc::string::ToString;
    use hmac::{Hmac, KeyInit, Mac};

    type HmacSha256 = Hmac<sha2::Sha256>;

    /// Second stage, for one project. Deriving the key costs two hashes, so keep it.
    #[derive(Clone)]
    pub struct ServerHasher {
        keyed: HmacSha256,
    }

    impl ServerHasher {
        /// The hasher of `project`: its key is HKDF-SHA256 of the pepper, without salt, with the info
        /// `tallymark|project|<project in decimal>` and 32 bytes of output (RFC 5869).
        pub fn new(pepper: &[u8; 32], project: u32) -> ServerHasher {
            // RFC 5869, 2.2: without a salt, extract with as many zeros as the hash is long.
            let extracted = hmac(&[0; 32], &[pepper]);
            let info = project.to_string();
            // RFC 5869, 2.3: 32 bytes are one block, so the counter is the single byte 1.
            let key = hmac(&extracted, &[b"tallymark|project|", info.as_bytes(), &[1]]);
            ServerHasher { keyed: keyed(&key) }
        }

        /// What may be stored of an id whose first stage is `h1`.
        pub fn stored(&self, h1: &[u8; 32]) -> [u8; 32] {
            let mut mac = self.keyed.clone();
            mac.update(h1);
            mac.finalize().into_bytes().into()
        }

        /// The number a person or device has in the store: the first eight bytes of [`Self::stored`],
        /// big endian. Never 0, which means "nobody" there.
        pub fn person(&self, h1: &[u8; 32]) -> u64 {
            let [a, b, c, d, e, f, g, h, ..] = self.stored(h1);
            u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
        }
    }

    pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = keyed(key);
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    fn keyed(key: &[u8]) -> HmacSha256 {
        HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, hex};
    use proptest::prelude::*;
    use rstest::rstest;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
        server: Vec<ServerCase>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        salt: String,
        namespace: String,
        id: String,
        /// The id is `id` written this many times, to keep very long ids out of the file.
        #[serde(default = "one")]
        repeat: usize,
        h1: String,
    }

    fn one() -> usize {
        1
    }

    #[derive(Deserialize)]
    struct ServerCase {
        pepper: String,
        project: u32,
        h1: String,
        stored: String,
        person: String,
    }

    #[test]
    fn browser_hashes_equal_those_of_the_outside_program() {
        let file: File = vectors::load("hashing.json");
        for case in file.cases {
            let namespace = match case.namespace.as_str() {
                "user" => Namespace::User,
                "device" => Namespace::Device,
                other => panic!("namespace {other} in hashing.json"),
            };
            let got = h1(case.salt.as_bytes(), namespace, case.id.repeat(case.repeat));
            assert_eq!(to_hex(&got), case.h1, "{}", case.name);
        }
    }

    #[test]
    fn stored_hashes_equal_those_of_the_outside_program() {
        let file: File = vectors::load("hashing.json");
        for case in file.server {
            let pepper: [u8; 32] = hex(&case.pepper).try_into().expect("32 bytes");
            let hasher = ServerHasher::new(&pepper, case.project);
            let h1 = from_hex(&case.h1).expect("64 digits");
            assert_eq!(to_hex(&hasher.stored(&h1)), case.stored, "project {}", case.project);
            assert_eq!(hasher.person(&h1).to_string(), case.person, "project {}", case.project);
        }
    }

    #[rstest]
    #[case::empty("")]
    #[case::one_short(&"a".repeat(63))]
    #[case::one_long(&"a".repeat(65))]
    #[case::not_hexadecimal(&"g".repeat(64))]
    #[case::sixty_four_bytes_but_not_ascii(&"é".repeat(32))]
    #[case::an_address("ada@example.org")]
    fn only_64_hexadecimal_digits_are_a_hash(#[case] text: &str) {
        assert_eq!(from_hex(text), None);
    }

    proptest! {
        #[test]
        fn hexadecimal_decoding_undoes_encoding(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
            prop_assert_eq!(from_hex(&to_hex(&bytes).to_uppercase()), Some(bytes));
        }

        #[test]
        fn white_space_around_an_id_does_not_make_another_person(id in ".{0,20}") {
            let padded = format!("\t {id}\r\n");
            prop_assert_eq!(
                h1(b"salt", Namespace::User, &padded),
                h1(b"salt", Namespace::User, &id)
            );
        }

        #[test]
        fn projects_namespaces_and_salts_are_kept_apart(id in ".{0,20}", pepper in any::<[u8; 32]>()) {
            let user = h1(b"salt", Namespace::User, &id);
            prop_assert_ne!(user, h1(b"salt", Namespace::Device, &id));
            prop_assert_ne!(user, h1(b"tlas", Namespace::User, &id));
            let stored = ServerHasher::new(&pepper, 1).stored(&user);
            prop_assert_ne!(stored, ServerHasher::new(&pepper, 2).stored(&user));
        }
    }
}
