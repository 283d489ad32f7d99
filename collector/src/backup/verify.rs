//! `tallymark verify`: read everything that is stored and say what is not as it was written.
//!
//! Changes nothing. Works beside a server, on a folder in which no store starts, and on a backup.

use std::path::Path;

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tallymark_store::{OpenError, Store, Verified};
use tokio::runtime::Handle;

use crate::app::App;
use crate::catalog::SqliteCatalog;
use crate::console::Console;
use crate::folder::Folder;
use crate::meta::Meta;

/// Look at everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyTask {
    /// Whether the outcome is printed as JSON.
    pub json: bool,
}

/// Verify the store that is open here, and its databases.
///
/// # Errors
/// When something is wrong; it has been printed then.
pub fn verify(
    app: &App,
    handle: &Handle,
    task: &VerifyTask,
    console: &mut dyn Console,
) -> anyhow::Result<()> {
    let databases = handle.block_on(databases(&app.meta, &app.catalog));
    report(databases, app.store.verify(), task.json, console)
}

/// Verify a folder that no store has open. `None` when one has.
///
/// # Errors
/// When something is wrong, or the folder cannot be read.
pub async fn verify_closed(
    folder: &Folder,
    as_json: bool,
    console: &mut dyn Console,
) -> anyhow::Result<Option<()>> {
    folder.must_exist()?;
    // Opening would make them. A folder in which no store was ever opened has no catalog.
    let has_store = folder.root().join("seg").exists();
    for (database, belongs) in [(folder.meta_db(), true), (folder.catalog_db(), has_store)] {
        ensure!(
            database.exists() || !belongs,
            "{} is missing; restore a backup: tallymark restore",
            database.display()
        );
    }
    let meta = Meta::open(&folder.meta_db()).await?;
    let catalog = SqliteCatalog::open(&folder.catalog_db()).await?;
    let databases = databases(&meta, &catalog).await;
    let root = folder.root().to_owned();
    let verified =
        tokio::task::spawn_blocking(move || Store::verify_closed(&root, &catalog)).await?;
    match verified {
        Err(OpenError::Locked { .. }) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(verified) => report(databases, verified, as_json, console).map(Some),
    }
}

/// Verify a backup.
///
/// # Errors
/// When it is damaged.
pub fn verify_backup(from: &Path, as_json: bool, console: &mut dyn Console) -> anyhow::Result<()> {
    let facts = super::restore::check(from)?;
    let text = if as_json {
        serde_json::to_string(&json!({ "problems": [], "backup": facts }))?
    } else {
        format!("{} files, {} bytes: all as they were written", facts.files, facts.bytes)
    };
    Ok(console.out(format!("{text}\n").as_bytes())?)
}

/// What SQLite says about its two databases: file and complaint.
async fn databases(meta: &Meta, catalog: &SqliteCatalog) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    match meta.check().await {
        Ok(faults) => problems.extend(faults.into_iter().map(|fault| ("tallymark.sqlite", fault))),
        Err(error) => problems.push(("tallymark.sqlite", error.to_string())),
    }
    match catalog.check().await {
        Ok(faults) => problems.extend(faults.into_iter().map(|fault| ("catalog.sqlite", fault))),
        Err(error) => problems.push(("catalog.sqlite", error.to_string())),
    }
    problems
}

fn report(
    databases: Vec<(&'static str, String)>,
    verified: Verified,
    as_json: bool,
    console: &mut dyn Console,
) -> anyhow::Result<()> {
    let of_databases = databases.into_iter().map(|(file, fault)| {
        (file.to_owned(), format!("{fault}; restore it from a backup: tallymark restore"))
    });
    let of_store = verified
        .problems
        .iter()
        .map(|problem| (problem.file.display().to_string(), problem.what.clone()));
    let problems: Vec<_> = of_databases.chain(of_store).collect();
    if as_json {
        let problems: Vec<_> =
            problems.iter().map(|(file, what)| json!({ "file": file, "what": what })).collect();
        let line = json!({
            "problems": problems,
            "segments": verified.segments,
            "segment_rows": verified.segment_rows,
            "segment_bytes": verified.segment_bytes,
            "segments_without_checksums": verified.segments_without_checksums,
            "segments_aside": verified.segments_aside,
            "log_files": verified.log_files,
            "log_frames": verified.log_frames,
            "log_bytes": verified.log_bytes,
        });
        console.out(format!("{line}\n").as_bytes())?;
    } else {
        for (file, what) in &problems {
            console.out(format!("WRONG  {file}: {what}\n").as_bytes())?;
        }
        for file in &verified.segments_aside {
            console.out(
                format!("aside  {}: its rows are in no answer\n", file.display()).as_bytes(),
            )?;
        }
        let Verified { segments, segment_rows, log_files, log_frames, .. } = verified;
        let text = format!(
            "{segments} segments with {segment_rows} events, {log_files} log files with {log_frames} \
             frames, both databases: {}\n",
            if problems.is_empty() { "all as they were written" } else { "not all is well" }
        );
        console.out(text.as_bytes())?;
    }
    match problems.len() {
        0 => Ok(()),
        1 => bail!("1 problem; `tallymark doctor` looks at the rest of the installation"),
        count => {
            bail!("{count} problems; `tallymark doctor` looks at the rest of the installation")
        }
    }
}
