//! The second step of signing in: who has proved their password, and whether their code is right.
//!
//! Between the steps there is no session, only a ticket: who has taken the first step, and until when that counts,
//! under a keyed hash. It opens nothing without a code, and codes work once.

use subtle::ConstantTimeEq;
use tallymark_protocol::hashing::{from_hex, to_hex};

use super::totp::{self, Secret};
use crate::app::App;
use crate::error::ApiError;
use crate::folder::Pepper;
use crate::meta::accounts::Account;
use crate::meta::audit::Deed;

/// Time to find the phone.
const TICKET_MS: i64 = 5 * 60 * 1000;

/// Who has taken the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Half {
    /// Whose account it is.
    pub account: u32,
    /// Whom a provider of sign-in means by them, where it was that way: the account is bound to them when they are in.
    pub elsewhere: Option<[u8; 32]>,
}

/// A ticket for somebody whose password was right, or whom a provider sent.
pub fn ticket(pepper: &Pepper, half: Half, now_ms: i64) -> String {
    let elsewhere = half.elsewhere.map(|mac| to_hex(&mac)).unwrap_or_default();
    let said = format!("{}.{}.{elsewhere}", half.account, now_ms + TICKET_MS);
    format!("{said}.{}", seal(pepper, &said))
}

/// Whose ticket this is, if it still counts.
pub fn whose(pepper: &Pepper, ticket: &str, now_ms: i64) -> Option<Half> {
    let (said, sealed) = ticket.rsplit_once('.')?;
    let same: bool = seal(pepper, said).as_bytes().ct_eq(sealed.as_bytes()).into();
    let mut parts = said.split('.');
    let (account, expires_ms) = (parts.next()?.parse().ok()?, parts.next()?.parse::<i64>().ok()?);
    let elsewhere = match parts.next()? {
        "" => None,
        mac => Some(from_hex(mac)?),
    };
    (same && now_ms < expires_ms).then_some(Half { account, elsewhere })
}

fn seal(pepper: &Pepper, said: &str) -> String {
    to_hex(&pepper.mac("second-step", said.as_bytes()))
}

/// Whether an account needs a code.
///
/// # Errors
/// When the database fails.
pub async fn is_in_force(app: &App, account: u32) -> Result<bool, ApiError> {
    Ok(app.meta.second_factors().find(account).await?.is_some_and(|factor| factor.in_force))
}

/// Take a code of the app, or one to get back in. Each works once.
///
/// # Errors
/// When the database fails.
pub async fn take(app: &App, account: u32, code: &str) -> Result<bool, ApiError> {
    let table = app.meta.second_factors();
    let Some(factor) = table.find(account).await?.filter(|factor| factor.in_force) else {
        return Ok(false);
    };
    let secret = Secret::derive(&app.pepper, account, &factor.nonce);
    if let Some(step) = secret.step_of(code, app.clock.now_ms(), factor.last_step) {
        return Ok(table.take_step(account, step).await?);
    }
    let mac = totp::recovery_mac(&app.pepper, account, code);
    Ok(table.take_recovery(account, &mac).await?)
}

/// What to put into an app, of a second factor that is not in force yet.
///
/// # Errors
/// When the database fails, or the system has no randomness.
pub async fn begin(app: &App, account: u32) -> Result<Secret, ApiError> {
    let table = app.meta.second_factors();
    // Whoever opens the page again has the code in their app already.
    if let Some(begun) = table.find(account).await?.filter(|factor| !factor.in_force) {
        return Ok(Secret::derive(&app.pepper, account, &begun.nonce));
    }
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| ApiError::Internal(error.into()))?;
    table.begin(account, &nonce, app.clock.now_ms()).await?;
    Ok(Secret::derive(&app.pepper, account, &nonce))
}

/// Put it in force with a right code. Gives the codes to get back in, for the only time; nothing when the code
/// is wrong, or one is in force already.
///
/// # Errors
/// When the database fails, or the system has no randomness.
pub async fn confirm(
    app: &App,
    account: &Account,
    code: &str,
) -> Result<Option<Vec<String>>, ApiError> {
    let (table, now_ms) = (app.meta.second_factors(), app.clock.now_ms());
    let Some(factor) = table.find(account.id).await?.filter(|factor| !factor.in_force) else {
        return Ok(None);
    };
    let secret = Secret::derive(&app.pepper, account.id, &factor.nonce);
    let Some(step) = secret.step_of(code, now_ms, factor.last_step) else { return Ok(None) };
    let codes: Result<Vec<_>, _> =
        (0..totp::RECOVERY_CODES).map(|_| totp::recovery_code()).collect();
    let codes = codes.map_err(|error| ApiError::Internal(error.into()))?;
    let macs = codes.iter().map(|code| totp::recovery_mac(&app.pepper, account.id, code));
    let macs: Vec<_> = macs.collect();
    let deed = Deed { actor: &account.email, action: "second_factor", note: "", at_ms: now_ms };
    let organisations = app.meta.directory().organisations_of(account.id);
    let done = table.confirm(account.id, step, &macs, &organisations, deed).await?;
    Ok(done.then_some(codes))
}

/// Do without one again.
///
/// # Errors
/// When the database fails.
pub async fn remove(app: &App, account: &Account) -> Result<(), ApiError> {
    let deed = Deed {
        actor: &account.email,
        action: "drop_second_factor",
        note: "",
        at_ms: app.clock.now_ms(),
    };
    let organisations = app.meta.directory().organisations_of(account.id);
    Ok(app.meta.second_factors().remove(account.id, &organisations, deed).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_counts_for_five_minutes_and_for_whom_it_was_made() {
        let pepper = Pepper::from_bytes([1; 32]);
        for elsewhere in [None, Some([7; 32])] {
            let half = Half { account: 7, elsewhere };
            let made = ticket(&pepper, half, 1_000);
            assert_eq!(whose(&pepper, &made, 1_000), Some(half));
            assert_eq!(whose(&pepper, &made, 1_000 + TICKET_MS - 1), Some(half));
            assert_eq!(whose(&pepper, &made, 1_000 + TICKET_MS), None);
            assert_eq!(whose(&pepper, &made.replacen('7', "8", 1), 1_000), None, "another account");
            let bound = made.replacen("..", &format!(".{}.", "07".repeat(32)), 1);
            assert_eq!(whose(&pepper, &bound, 1_000).is_some(), elsewhere.is_some(), "{bound}");
            assert_eq!(whose(&pepper, &format!("{made}.x"), 1_000), None);
            assert_eq!(whose(&Pepper::from_bytes([2; 32]), &made, 1_000), None);
        }
        assert_eq!(whose(&pepper, "", 1_000), None);
    }
}
