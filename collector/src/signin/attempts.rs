//! Attempts at passwords and codes: whether they are right, and when an account is shut.
//!
//! Invariant: an attempt counts as a wrong one from before it is looked at until it has turned out right, so
//! many at once are as many.

use super::{password, second, throttle};
use crate::app::App;
use crate::error::ApiError;

/// What came of an address and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// They do not belong together, or the account is shut.
    Wrong,
    /// Right, and that is enough.
    Right(u32),
    /// Right, and a code is needed.
    CodeNeeded(u32),
}

/// Look at an address and a password.
///
/// # Errors
/// When too many are being looked at, or the database fails.
pub async fn with_password(app: &App, email: &str, text: String) -> Result<Tried, ApiError> {
    let accounts = app.meta.accounts();
    let known = accounts.credentials(email).await?;
    let counted = match &known {
        Some(known) => accounts.count_attempt(known.account, app.clock.now_ms()).await?,
        None => None,
    };
    let stored =
        known.as_ref().filter(|_| counted.is_some()).and_then(|known| known.password.clone());
    let right = password::is_right(app, text, stored).await?;
    let Some((account, failures)) = known.map(|known| known.account).zip(counted) else {
        return Ok(Tried::Wrong);
    };
    if !right {
        shut(app, account, failures).await?;
        return Ok(Tried::Wrong);
    }
    if second::is_in_force(app, account).await? {
        // Wrong codes must not be forgotten by typing the password again.
        accounts.excuse(account).await?;
        return Ok(Tried::CodeNeeded(account));
    }
    accounts.forgive(account).await?;
    Ok(Tried::Right(account))
}

/// Look at a code of somebody whose password was right.
///
/// # Errors
/// When the database fails.
pub async fn with_code(app: &App, account: u32, code: &str) -> Result<bool, ApiError> {
    let accounts = app.meta.accounts();
    let Some(failures) = accounts.count_attempt(account, app.clock.now_ms()).await? else {
        return Ok(false);
    };
    let right = second::take(app, account, code).await?;
    if right {
        accounts.forgive(account).await?;
    } else {
        shut(app, account, failures).await?;
    }
    Ok(right)
}

async fn shut(app: &App, account: u32, failures: u32) -> Result<(), ApiError> {
    let until_ms = throttle::locked_until_ms(failures, app.clock.now_ms());
    Ok(app.meta.accounts().shut(account, until_ms).await?)
}
