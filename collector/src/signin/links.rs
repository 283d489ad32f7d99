//! One-time links: those that the server prints, and the random tokens in all links and cookies.

use std::sync::Mutex;

use subtle::ConstantTimeEq;
use tallymark_protocol::hashing::to_hex;

use crate::folder::Pepper;

/// Links that wait to be used. More than one, for people who ask twice.
const LINKS_MAX: usize = 16;

/// The links that were printed and not used yet. In memory only: a restart ends them.
#[derive(Debug, Default)]
pub struct SignInTokens(Mutex<Vec<String>>);

impl SignInTokens {
    /// The token of a new link.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn issue(&self) -> Result<String, getrandom::Error> {
        let token = random_token()?;
        let mut waiting = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if waiting.len() == LINKS_MAX {
            waiting.remove(0);
        }
        waiting.push(token.clone());
        Ok(token)
    }

    /// Whether this token was issued; from now on it was not.
    pub(super) fn redeem(&self, token: &str) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let place =
            waiting.iter().position(|known| known.as_bytes().ct_eq(token.as_bytes()).into());
        place.map(|place| waiting.remove(place)).is_some()
    }
}

/// How long an invitation can be used.
pub const INVITATION_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long a link to another password can be used.
pub const RESET_MS: i64 = 24 * 60 * 60 * 1000;

/// What a link is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Becoming a member.
    Invitation,
    /// Setting another password.
    Password,
}

/// A new link's token, and its keyed hash, which is what is stored of it.
///
/// # Errors
/// When the system has no randomness.
pub fn new_link(pepper: &Pepper, purpose: Purpose) -> Result<(String, [u8; 32]), getrandom::Error> {
    let token = random_token()?;
    let mac = link_mac(pepper, purpose, &token);
    Ok((token, mac))
}

/// The keyed hash of a link's token.
pub fn link_mac(pepper: &Pepper, purpose: Purpose, token: &str) -> [u8; 32] {
    let purpose = match purpose {
        Purpose::Invitation => "invitation",
        Purpose::Password => "password-link",
    };
    pepper.mac(purpose, token.as_bytes())
}

/// 256 random bits, in hexadecimal.
///
/// # Errors
/// When the system has no randomness.
pub fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(to_hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once() {
        let tokens = SignInTokens::default();
        let token = tokens.issue().unwrap();
        assert!(!tokens.redeem("something else"));
        assert!(tokens.redeem(&token));
        assert!(!tokens.redeem(&token));
    }

    #[test]
    fn links_that_nobody_uses_do_not_pile_up() {
        let tokens = SignInTokens::default();
        let first = tokens.issue().unwrap();
        for _ in 0..LINKS_MAX {
            tokens.issue().unwrap();
        }
        assert!(!tokens.redeem(&first));
    }
}
