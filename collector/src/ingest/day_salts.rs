//! The salt of the cookieless mode: random, new each day, gone after it.
//!
//! In: a day. Out: its salt. The salt is in memory and, so that a restart does not split a day's
//! visitors in two, in one file, encrypted with a key that comes from the pepper.
//!
//! Invariant: when a day is over its salt is overwritten, at the latest at the next request or
//! hourly tick, so it never lives longer than 48 hours; days cannot be linked after that, by anyone.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use subtle::ConstantTimeEq;

use crate::folder::Pepper;

const DAY_MS: i64 = 86_400_000;
const NONCE: usize = 16;
/// Day (8) + nonce + encrypted salt (32) + tag (32).
const FILE_BYTES: usize = 8 + NONCE + 32 + 32;

/// Keeps the salt of the day.
#[derive(Debug)]
pub struct DaySalts {
    file: PathBuf,
    pepper: Pepper,
    today: Mutex<Option<Today>>,
}

#[derive(Clone, Copy)]
struct Today {
    /// Days since 1970-01-01, UTC.
    day: i64,
    salt: [u8; 32],
}

impl std::fmt::Debug for Today {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Today({}, secret)", self.day)
    }
}

impl DaySalts {
    /// Salts kept in `file`.
    pub fn new(file: PathBuf, pepper: Pepper) -> Self {
        Self { file, pepper, today: Mutex::new(None) }
    }

    /// The salt of the UTC day of `now_ms`. A clock that went back keeps the later day's salt: the
    /// earlier one is gone for good.
    ///
    /// # Errors
    /// When the system has no randomness. That the file cannot be written is only logged: the salt
    /// then lives as long as the process.
    pub fn salt(&self, now_ms: i64) -> Result<[u8; 32], getrandom::Error> {
        let day = now_ms.div_euclid(DAY_MS);
        let mut today = self.today.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let known = today.or_else(|| self.read());
        if let Some(known) = known.filter(|known| known.day >= day) {
            *today = Some(known);
            return Ok(known.salt);
        }
        let mut salt = [0u8; 32];
        getrandom::fill(&mut salt)?;
        let fresh = Today { day, salt };
        if let Err(error) = self.write(fresh)? {
            tracing::warn!(%error, "the salt of the day cannot be written; a restart makes a new one");
        }
        *today = Some(fresh);
        Ok(salt)
    }

    fn read(&self) -> Option<Today> {
        let bytes: [u8; FILE_BYTES] = fs::read(&self.file).ok()?.try_into().ok()?;
        let (sealed, tag) = bytes.split_at(FILE_BYTES - 32);
        if !bool::from(self.pepper.mac("day-salt-tag", sealed).ct_eq(tag)) {
            tracing::warn!(
                "the file of the day's salt does not fit the pepper; a new salt is made"
            );
            return None;
        }
        let day = i64::from_be_bytes(sealed[..8].try_into().ok()?);
        let mut salt: [u8; 32] = sealed[8 + NONCE..].try_into().ok()?;
        self.mask(&sealed[..8 + NONCE], &mut salt);
        Some(Today { day, salt })
    }

    fn write(&self, today: Today) -> Result<Result<(), std::io::Error>, getrandom::Error> {
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        bytes.extend_from_slice(&today.day.to_be_bytes());
        let mut nonce = [0u8; NONCE];
        getrandom::fill(&mut nonce)?;
        bytes.extend_from_slice(&nonce);
        let mut salt = today.salt;
        self.mask(&bytes, &mut salt);
        bytes.extend_from_slice(&salt);
        let tag = self.pepper.mac("day-salt-tag", &bytes);
        bytes.extend_from_slice(&tag);
        Ok(overwrite(&self.file, &bytes))
    }

    /// One block of keystream: 32 bytes are all there is to hide, and the nonce is new each time.
    fn mask(&self, day_and_nonce: &[u8], salt: &mut [u8; 32]) {
        let stream = self.pepper.mac("day-salt-stream", day_and_nonce);
        salt.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// Written in place, not renamed over: the old bytes shall not stay behind in a freed block. A torn
/// write fails its tag and costs one day's continuity.
fn overwrite(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)?;
    file.write_all(bytes)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salts(dir: &tempfile::TempDir) -> DaySalts {
        DaySalts::new(dir.path().join("day-salts"), Pepper::from_bytes([3; 32]))
    }

    #[test]
    fn a_day_has_one_salt_restarts_included() {
        let dir = tempfile::tempdir().unwrap();
        let first = salts(&dir).salt(5 * DAY_MS).unwrap();
        let restarted = salts(&dir);
        assert_eq!(restarted.salt(6 * DAY_MS - 1).unwrap(), first);
        assert_ne!(restarted.salt(6 * DAY_MS).unwrap(), first);
    }

    #[test]
    fn a_past_salt_cannot_be_had_again() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = salts(&dir);
        let first = keeper.salt(0).unwrap();
        let second = keeper.salt(DAY_MS).unwrap();
        assert_eq!(keeper.salt(0).unwrap(), second, "the clock went back");
        assert_ne!(first, second);
        assert_eq!(salts(&dir).salt(0).unwrap(), second);
    }

    #[test]
    fn the_file_does_not_show_the_salt_and_needs_the_pepper() {
        let dir = tempfile::tempdir().unwrap();
        let salt = salts(&dir).salt(0).unwrap();
        let bytes = fs::read(dir.path().join("day-salts")).unwrap();
        assert!(!bytes.windows(32).any(|window| window == salt));
        let thief = DaySalts::new(dir.path().join("day-salts"), Pepper::from_bytes([4; 32]));
        assert_ne!(thief.salt(0).unwrap(), salt);
    }
}
