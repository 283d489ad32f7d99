//! The SDK beside others: bytes of what a page loads, the cost of a call and of an event, what arrives.

use crate::shell::{command, quiet, step};
use crate::{build, root, setup};

/// Measure; the lines to print.
///
/// # Errors
/// When Chromium or a package is missing, or the page fails.
pub(super) fn sdk() -> anyhow::Result<Vec<String>> {
    setup::npm("tests/browser", &build::packages()?)?;
    setup::npm("bench/sdk", &[])?;
    let chromium = setup::chromium()?;
    let mut script = command(&root(), "node", &["bench/sdk/sdk.mjs"]);
    let printed =
        step("SDKs in Chromium, one after the other", || quiet(script.env("CHROMIUM", chromium)))?;
    Ok(printed.lines().map(str::to_owned).collect())
}
