//! `tallymark backup`, `restore` and `verify`: arguments, and where the work is done.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::events;
use crate::backup::make::BackupTask;
use crate::backup::restore::restore;
use crate::backup::verify::{VerifyTask, verify_backup, verify_closed};
use crate::config::Config;
use crate::console::Terminal;
use crate::folder::Folder;
use crate::task::Task;

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The folder to make; it must not be there yet, or be empty.
    to: PathBuf,
    /// Leave the pepper out: keep a copy of it apart. A backup with it can tell who is who by raw ids.
    #[arg(long)]
    without_pepper: bool,
}

impl BackupArgs {
    /// The task.
    pub fn task(self, json: bool) -> anyhow::Result<Task> {
        // A server has another working directory.
        let to = std::path::absolute(&self.to).with_context(|| self.to.display().to_string())?;
        Ok(Task::Backup(BackupTask { to, without_pepper: self.without_pepper, json }))
    }
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The folder of the backup.
    from: PathBuf,
    /// A copy of the pepper, for a backup that was made without it.
    #[arg(long, value_name = "FILE")]
    pepper: Option<PathBuf>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The folder of a backup; the data folder if none is named.
    backup: Option<PathBuf>,
}

/// Make a data folder of a backup.
pub fn run_restore(args: &RestoreArgs, folder: &Folder, as_json: bool) -> anyhow::Result<ExitCode> {
    let facts = restore(&args.from, folder, args.pepper.as_deref())?;
    let to = folder.root();
    if as_json {
        println!("{}", json!({ "data": to, "seq": facts.seq, "files": facts.files }));
    } else {
        println!(
            "{} holds {} files: all that was acknowledged up to log frame {}.\nStart it: tallymark \
             serve --data {}",
            to.display(),
            facts.files,
            facts.seq,
            to.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Read everything, here or in the server that owns the folder.
pub async fn run_verify(
    args: VerifyArgs,
    folder: Folder,
    config: Config,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut terminal = Terminal::default();
    let outcome = match &args.backup {
        Some(backup) => verify_backup(backup, as_json, &mut terminal).map(Some),
        None => verify_closed(&folder, as_json, &mut terminal).await,
    };
    terminal.close()?;
    match outcome? {
        Some(()) => Ok(ExitCode::SUCCESS),
        None => events::run(Task::Verify(VerifyTask { json: as_json }), folder, config).await,
    }
}
