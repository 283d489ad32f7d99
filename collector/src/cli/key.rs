//! `tallymark key …`: make, list, replace and take back keys.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::deed;
use crate::admin::keys::{Made, Ring};
use crate::admin::projects;
use crate::clock::Clock;
use crate::folder::Folder;
use crate::keys::{KeyKind, Scope, Scopes};
use crate::meta::Meta;
use crate::meta::access_keys::NewKey;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it, once.
    Create {
        /// Whose: the project's slug.
        #[arg(long)]
        project: String,
        /// What it may do, comma separated: ingest, analytics:read, analytics:export,
        /// analytics:write, experiments:write, usage:write, data:merge, data:erase, admin,
        /// metrics:read.
        #[arg(long, value_parser = Scopes::parse, required_unless_present = "public")]
        scope: Option<Scopes>,
        /// A write key for pages instead, which can only send.
        #[arg(long, conflicts_with = "scope")]
        public: bool,
        /// What it is for, for people.
        #[arg(long, default_value = "")]
        name: String,
        /// Days after which it stops working.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires: Option<u32>,
    },
    /// List the keys of a project that work.
    List {
        /// Whose: the project's slug.
        #[arg(long)]
        project: String,
    },
    /// Make the successor of a key and print it, once. The old one works beside it for a while.
    Rotate {
        /// The old key's number.
        id: u32,
        /// Whose: the project's slug.
        #[arg(long)]
        project: String,
        /// Hours for which the old key still works.
        #[arg(long, default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(0..=2_160))]
        overlap: u32,
    },
    /// Stop a key from working.
    Revoke {
        /// The key's number.
        id: u32,
        /// Whose: the project's slug.
        #[arg(long)]
        project: String,
    },
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// Run the command.
pub async fn run(command: KeyCommand, folder: &Folder, as_json: bool) -> anyhow::Result<ExitCode> {
    folder.must_exist()?;
    let pepper = folder.pepper()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    let (KeyCommand::Create { project, .. }
    | KeyCommand::List { project }
    | KeyCommand::Rotate { project, .. }
    | KeyCommand::Revoke { project, .. }) = &command;
    let project = projects::named(&meta, project).await?;
    let ring = Ring { meta: &meta, pepper: &pepper, project: &project };
    match command {
        KeyCommand::Create { scope, public, name, expires, .. } => {
            let kind = if public { KeyKind::Public } else { KeyKind::Secret };
            let scopes = scope.unwrap_or_else(|| [Scope::Ingest].into_iter().collect());
            let now_ms = Clock::System.now_ms();
            let expires_ms = expires.map(|days| now_ms + i64::from(days) * DAY_MS);
            let new = NewKey { name: &name, scopes, expires_ms };
            print(&project.slug, &ring.make(kind, new, deed("create")).await?, as_json);
        }
        KeyCommand::Rotate { id, overlap, .. } => {
            let old = ring.find(id).await?;
            let made = ring.rotate(&old, i64::from(overlap) * HOUR_MS, deed("rotate")).await?;
            print(&project.slug, &made, as_json);
        }
        KeyCommand::List { .. } => {
            for key in meta.access_keys().list(project.id).await? {
                if as_json {
                    println!("{}", key.json());
                } else {
                    let (kind, hint) = (key.kind.as_str(), &key.hint);
                    println!("{:>6}  {kind:<6}  …{hint}  {:<20} {}", key.id, key.name, key.scopes);
                }
            }
        }
        KeyCommand::Revoke { id, .. } => {
            let gone = ring.revoke(id, deed("revoke")).await?;
            if as_json {
                println!("{}", gone.json());
            } else {
                println!("key {id} (…{}) no longer works", gone.hint);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(project: &str, made: &Made, as_json: bool) {
    let Made { key, listed } = made;
    if !as_json {
        println!("{}   {} · shown only now", key.reveal(), listed.scopes);
        return;
    }
    let field = match listed.kind {
        KeyKind::Public => "write_key",
        KeyKind::Secret => "secret_key",
    };
    let line = json!({ "id": listed.id, "project": project, field: key.reveal(),
        "scopes": listed.scopes.to_string(), "expires_at": listed.expires_ms });
    println!("{line}");
}
