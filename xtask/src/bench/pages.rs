//! Every page of the dashboard over many events: its bytes, its first paint, how far it moves while it comes.
//!
//! The pages, and what is asked of them, are those of the browser test `pages`; here it has the demo at another size.

use std::path::Path;

use crate::shell::{command, quiet, step};
use crate::{build, root, setup};

/// Open all pages of a demo with so many events; the lines to print.
///
/// # Errors
/// When Chromium is missing, or a page is too large or too slow.
pub(super) fn pages(binary: &Path, events: u64) -> anyhow::Result<Vec<String>> {
    setup::npm("tests/browser", &build::packages()?)?;
    let mut run = command(&root().join("tests/browser"), "node", &["run.mjs", "pages"]);
    run.env("TALLYMARK_BIN", binary).env("CHROMIUM", setup::chromium()?);
    run.env("TALLYMARK_TEST_NAME", "small and quick").env("TALLYMARK_TEST_QUIET", "1");
    run.env("TALLYMARK_TEST_EVENTS", events.to_string()).env("TALLYMARK_TEST_MINUTES", "30");
    let what = format!("every page over {events} events");
    let printed = step(&what, || quiet(&mut run))?;
    let mut lines = vec![
        "| page | KiB at first | KiB after | first paint, ms | after | moved by |".to_owned(),
        "|---|---:|---:|---:|---:|---:|".to_owned(),
    ];
    lines
        .extend(printed.lines().filter_map(|line| Some(line.split_once("figure: ")?.1.to_owned())));
    Ok(lines)
}
