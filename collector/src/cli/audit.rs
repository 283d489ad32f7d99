//! `tallymark audit …`: who did what, and whether the trail is as it was written.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use tallymark_protocol::hashing::to_hex;

use super::organisation::named;
use crate::anchors;
use crate::config::Config;
use crate::folder::Folder;
use crate::meta::Meta;

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Print what was done in an organisation, the newest first.
    List {
        /// Its slug.
        #[arg(long, default_value = "main")]
        organisation: String,
    },
    /// Follow the hashes of all acts from the first to the last, and hold them against the anchors of every day.
    Verify {
        /// A file of anchors, if it is not the one that is set.
        #[arg(long)]
        anchors: Option<PathBuf>,
    },
}

/// Acts that are read at one time.
const PAGE: u32 = 500;

/// Run the command.
pub async fn run(
    command: AuditCommand,
    folder: &Folder,
    config: &Config,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    folder.must_exist()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    match command {
        AuditCommand::List { organisation } => {
            let organisation = named(&meta, &organisation)?.id;
            let mut before = None;
            loop {
                let acts = meta.audit(organisation, None, before, PAGE).await?;
                let Some(last) = acts.last() else { break };
                before = last["id"].as_i64();
                for act in acts {
                    print(&Value::Object(act), as_json)?;
                }
            }
        }
        AuditCommand::Verify { anchors } => {
            let path = anchors.unwrap_or_else(|| anchors::file(config, folder));
            let known = anchors::read(&path).with_context(|| path.display().to_string())?;
            let count = known.len();
            let (heads, missed) = meta.check_anchors(known).await?;
            let names = meta.directory().organisations();
            for head in heads {
                let known = names.iter().find(|organisation| organisation.id == head.organisation);
                let slug = known.map_or("?", |organisation| &organisation.slug);
                let hash = to_hex(&head.hash);
                if as_json {
                    println!(
                        "{}",
                        json!({ "organisation": slug, "acts": head.rows, "head": hash })
                    );
                } else {
                    println!("{slug:<24} {} acts, unbroken up to {hash}", head.rows);
                }
            }
            if let Some(anchor) = missed.first() {
                bail!(
                    "the audit trail is not the one of {:.0}: organisation {} had {} acts ending in {}, by {}; a backup of before has them",
                    jiff::Timestamp::from_millisecond(anchor.at)?,
                    anchor.organisation,
                    anchor.acts,
                    anchor.head,
                    path.display()
                );
            }
            if !as_json {
                println!("{count} anchors of {} agree", path.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(act: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        println!("{act}");
        return Ok(());
    }
    let text = |field: &str| act[field].as_str().unwrap_or("-").to_owned();
    let at = jiff::Timestamp::from_millisecond(act["at"].as_i64().unwrap_or_default())?;
    println!(
        "{at:.0}  {:<24} {:<16} {:<10} {}",
        text("by"),
        text("project"),
        text("action"),
        text("subject")
    );
    Ok(())
}
