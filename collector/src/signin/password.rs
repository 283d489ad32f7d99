//! Passwords: argon2id with a secret, 19 MiB and two passes each, a few at a time.
//!
//! Parameters: OWASP Password Storage Cheat Sheet (m = 19 MiB, t = 2, p = 1). The secret comes from the
//! pepper, so a stolen database alone is no use for trying passwords.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::dashboard::words::{say, t};
use crate::error::ApiError;
use crate::folder::Pepper;

/// Passwords looked at at one time: 19 MiB each.
static PLACES: Semaphore = Semaphore::const_new(4);

/// Shortest password, in characters; NIST SP 800-63B-4 asks for 15 where it is the only factor.
pub const CHARS_MIN: usize = 15;
/// Longest, in bytes: hashing must not be a lever.
const BYTES_MAX: usize = 1024;

/// Whether a text can be a password.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check(password: &str) -> Result<(), String> {
    if password.chars().count() < CHARS_MIN {
        let n = CHARS_MIN.to_string();
        return Err(say(
            "A password has at least {n} characters: four or five words do.",
            &[("n", &n)],
        ));
    }
    if password.len() > BYTES_MAX {
        return Err(say("A password has at most {n} bytes.", &[("n", &BYTES_MAX.to_string())]));
    }
    let mut chars = password.chars();
    let first = chars.next();
    if chars.all(|char| Some(char) == first) {
        return Err(t("A password is not one character again and again.").to_owned());
    }
    Ok(())
}

/// What is kept of a password.
///
/// # Errors
/// When the system has no randomness or no memory for it.
pub async fn hash(app: &App, password: String) -> Result<String, ApiError> {
    let _place = PLACES.acquire().await.map_err(|_| ApiError::Busy)?;
    app.blocking(move |app| {
        let secret = secret(&app.pepper);
        let hash = hasher(&secret)?.hash_password(password.as_bytes());
        Ok(hash.map_err(|error| ApiError::Internal(anyhow::anyhow!("{error}")))?.to_string())
    })
    .await
}

/// Whether a password is the one whose hash this is. Without a hash it takes as long and is not, so
/// that nobody learns who has an account.
///
/// # Errors
/// When too many are being looked at.
pub async fn is_right(
    app: &App,
    password: String,
    stored: Option<String>,
) -> Result<bool, ApiError> {
    if password.len() > BYTES_MAX {
        return Ok(false);
    }
    let _place = PLACES.acquire().await.map_err(|_| ApiError::Busy)?;
    app.blocking(move |app| {
        let secret = secret(&app.pepper);
        let hasher = hasher(&secret)?;
        let Some(stored) = stored else {
            let _ = hasher.hash_password(password.as_bytes());
            return Ok(false);
        };
        let Ok(stored) = PasswordHash::new(&stored) else { return Ok(false) };
        Ok(hasher.verify_password(password.as_bytes(), &stored).is_ok())
    })
    .await
}

fn secret(pepper: &Pepper) -> [u8; 32] {
    pepper.mac("passwords", b"")
}

fn hasher(secret: &[u8; 32]) -> Result<Argon2<'_>, ApiError> {
    let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
    let made = Params::new(19 * 1024, 2, 1, None)
        .and_then(|params| Argon2::new_with_secret(secret, algorithm, version, params));
    made.map_err(|error| ApiError::Internal(anyhow::anyhow!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_sentence("correct horse battery", true)]
    #[case::shortest("fifteen letters", true)]
    #[case::one_less("fourteen chars", false)]
    #[case::one_character_again_and_again("aaaaaaaaaaaaaaaaaaaa", false)]
    #[case::longest(&"ab".repeat(512), true)]
    #[case::one_too_long(&"ab".repeat(513), false)]
    fn a_password_is(#[case] text: &str, #[case] allowed: bool) {
        assert_eq!(check(text).is_ok(), allowed);
    }

    #[test]
    fn a_hash_is_of_no_use_with_another_pepper() {
        let (ours, other) = ([1; 32], [2; 32]);
        let stored = hasher(&ours).unwrap().hash_password(b"secret").unwrap().to_string();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let stored = PasswordHash::new(&stored).unwrap();
        let right = |key: &[u8; 32], text: &[u8]| {
            hasher(key).unwrap().verify_password(text, &stored).is_ok()
        };
        assert!(right(&ours, b"secret"));
        assert!(!right(&ours, b"Secret"));
        assert!(!right(&other, b"secret"));
    }
}
