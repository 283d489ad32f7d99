//! The SDK: bytes of what a page loads, and the cost of one `track()` in Chromium.

use crate::shell::{command, quiet, step};
use crate::{build, root, setup};

/// Measure; the lines to print.
///
/// # Errors
/// When Chromium or a package is missing, or the page fails.
pub(super) fn sdk() -> anyhow::Result<Vec<String>> {
    setup::npm("tests/browser", &build::packages()?)?;
    let chromium = setup::chromium()?;
    let mut script = command(&root(), "node", &["bench/sdk.mjs"]);
    let printed = step("the SDK in Chromium", || quiet(script.env("CHROMIUM", chromium)))?;
    Ok(printed.lines().map(str::to_owned).collect())
}
