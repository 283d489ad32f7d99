//! Who stands in a file: from ids to the numbers that are stored.
//!
//! In: raw ids, hashes or the pseudonyms of an export. Out: persons of one project.
//!
//! Invariant: nothing that leaves could be made without the project's key.

use hashbrown::HashMap;
use tallymark_protocol::codes::EventCode;
use tallymark_protocol::hashing::{Namespace, ServerHasher, h1, normalise};
use tallymark_protocol::limits::RAW_ID_CHARS_MAX;

use crate::ingest::identity::parse_hash;

/// Hashes the ids of one project, and remembers them.
#[derive(Clone)]
pub struct People<'a> {
    salt: &'a str,
    hasher: &'a ServerHasher,
    realm: String,
    ids: Ids,
    session_seed: u64,
    seen_seed: u64,
    users: Seen,
    devices: Seen,
    last_moved: Option<(u64, u64)>,
}

/// What `user` and `device` hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Raw values, to be hashed.
    Raw,
    /// Hashes made in a browser or by a customer: 64 hexadecimal digits.
    Hashed,
}

/// Numbers by 128 bits of a hash of the id, so that a person's second event costs one look-up. Nobody without the
/// project's key can look for two ids that have the same. As two numbers, which take a quarter less room here than one of 128 bits.
type Seen = HashMap<[u64; 2], u64>;

/// Of these at most, about 50 MB for users and as much for devices.
const SEEN_MAX: usize = 1_800_000;

impl<'a> People<'a> {
    /// People of the project with this salt and key.
    pub fn new(salt: &'a str, hasher: &'a ServerHasher, ids: Ids) -> Self {
        let (users, devices) = (Seen::new(), Seen::new());
        let session_seed = hasher.person(&tagged(Purpose::Session, 0, 0));
        let seen_seed = hasher.person(&tagged(Purpose::Seen, 0, 0));
        let realm = realm(hasher);
        Self { salt, hasher, realm, ids, session_seed, seen_seed, users, devices, last_moved: None }
    }

    /// See [`realm`].
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The pseudonym here of one from another realm. Exports come person by person, so the last one
    /// is mostly the next one.
    pub fn moved(&mut self, stored: u64) -> u64 {
        match self.last_moved {
            Some((from, to)) if from == stored => to,
            _ => {
                let here = self.hasher.person(&tagged(Purpose::Moved, stored.into(), 0));
                self.last_moved = Some((stored, here));
                here
            }
        }
    }

    /// The number of a user or device.
    ///
    /// # Errors
    /// The code for what is wrong with the id.
    pub fn find(&mut self, namespace: Namespace, id: &str) -> Result<u64, EventCode> {
        let id = normalise(id);
        let (seen, invalid) = match namespace {
            Namespace::User => (&mut self.users, EventCode::UserInvalid),
            Namespace::Device => (&mut self.devices, EventCode::DeviceInvalid),
        };
        let hash = xxhash_rust::xxh3::xxh3_128_with_seed(id.as_bytes(), self.seen_seed);
        let hash = [hash as u64, (hash >> 64) as u64];
        if let Some(person) = seen.get(&hash) {
            return Ok(*person);
        }
        let first = match self.ids {
            Ids::Hashed => parse_hash(id).ok_or(invalid)?,
            Ids::Raw if id.is_empty() || id.chars().count() > RAW_ID_CHARS_MAX => {
                return Err(EventCode::RawIdInvalid);
            }
            Ids::Raw => h1(self.salt.as_bytes(), namespace, id),
        };
        let person = self.hasher.person(&first);
        if seen.len() >= SEEN_MAX {
            seen.clear();
        }
        seen.insert(hash, person);
        Ok(person)
    }

    /// The UUID of a session that has another id: version 8 (RFC 9562), 62 bits of a hash. The upper
    /// half is the same for all, so that it costs nothing on disk.
    pub fn session(&self, id: &str) -> u128 {
        const HEAD: u128 = 0x8000 << 64 | 0x2 << 62;
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(id.as_bytes(), self.session_seed);
        HEAD | u128::from(hash >> 2)
    }

    /// The random part of the id of an event that has none.
    pub fn event_random(&self, content: u128, occurrence: u32) -> [u8; 10] {
        let [a, b, c, d, e, f, g, h, i, j, ..] =
            self.hasher.stored(&tagged(Purpose::EventId, content, occurrence));
        [a, b, c, d, e, f, g, h, i, j]
    }
}

/// The fingerprint of the pseudonyms of a project; says nothing about the key it is made with.
pub fn realm(hasher: &ServerHasher) -> String {
    format!("{:016x}", hasher.person(&tagged(Purpose::Realm, 0, 0)))
}

/// What the project's key is used for beside the second stage of ids. On disk: never renumber.
#[derive(Clone, Copy)]
enum Purpose {
    Realm = 1,
    Moved = 2,
    EventId = 3,
    Session = 4,
    /// Of nothing that is stored.
    Seen = 5,
}

/// The text to be keyed. First-stage hashes are 32 random bytes; these begin with twelve equal ones.
fn tagged(purpose: Purpose, number: u128, count: u32) -> [u8; 32] {
    let mut bytes = [purpose as u8; 32];
    bytes[12..28].copy_from_slice(&number.to_be_bytes());
    bytes[28..].copy_from_slice(&count.to_be_bytes());
    bytes
}
