//! `tallymark key create`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use crate::clock::Clock;
use crate::folder::Folder;
use crate::keys::{Key, KeyKind, Scopes};
use crate::meta::Meta;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a secret key and print it, once.
    Create {
        /// Whose: the project's slug.
        #[arg(long)]
        project: String,
        /// What it may do, comma separated: ingest, analytics:read, analytics:export, admin,
        /// metrics:read.
        #[arg(long, value_parser = Scopes::parse)]
        scope: Scopes,
    },
}

/// Run the command.
pub async fn run(command: KeyCommand, folder: &Folder, as_json: bool) -> anyhow::Result<ExitCode> {
    let KeyCommand::Create { project, scope } = command;
    anyhow::ensure!(
        scope != Scopes::default(),
        "a key needs at least one scope: --scope analytics:read"
    );
    folder.must_exist()?;
    let pepper = folder.pepper()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    let project = meta.find_project(&project).await?.with_context(|| {
        format!("there is no project {project:?}; `tallymark project list` shows those there are")
    })?;
    let key = Key::generate(KeyKind::Secret)?;
    let now_ms = Clock::System.now_ms();
    let id = meta.access_keys().create(&project, &key, &pepper, scope, now_ms).await?;
    if as_json {
        let line = json!({ "id": id, "project": project.slug, "secret_key": key.reveal(),
            "scopes": scope.to_string() });
        println!("{line}");
    } else {
        println!("{}   {} · shown only now", key.reveal(), scope);
    }
    Ok(ExitCode::SUCCESS)
}
