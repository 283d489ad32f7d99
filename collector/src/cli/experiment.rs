//! `tallymark experiment …`: experiments, flags and holdouts from the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::experiments::desk::Desk;
use crate::experiments::life::State;
use crate::folder::Folder;
use crate::meta::Meta;
use crate::meta::audit::COMMAND_LINE;

/// What to do with definitions.
#[derive(Debug, Args)]
pub struct ExperimentArgs {
    /// In which project: its slug.
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    project: String,
    #[command(subcommand)]
    command: ExperimentCommand,
}

#[derive(Debug, Subcommand)]
enum ExperimentCommand {
    /// List experiments, flags and holdouts.
    List,
    /// Show one of them.
    Show {
        /// Its key.
        key: String,
    },
    /// Make a draft of the definition in a JSON file.
    Create {
        /// The file; `-` for standard input.
        file: PathBuf,
    },
    /// Replace a definition by the one in a JSON file.
    Update {
        /// Its key.
        key: String,
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Why, for the audit trail.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Start a draft, or go on after a pause.
    Start(Moved),
    /// Take it out of the pages for a while.
    Pause(Moved),
    /// End it for good.
    Conclude(Moved),
    /// Who changed it, when, and why; newest first.
    Audit {
        /// Its key.
        key: String,
    },
}

#[derive(Debug, Args)]
struct Moved {
    /// Its key.
    key: String,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    note: String,
}

/// Run the command.
pub async fn run(args: ExperimentArgs, folder: &Folder, as_json: bool) -> anyhow::Result<ExitCode> {
    let ExperimentArgs { project: slug, command } = args;
    anyhow::ensure!(!slug.is_empty(), "say in which project: --project SLUG");
    folder.must_exist()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    let project = meta.find_project(&slug).await?;
    let project = project.with_context(|| format!("there is no project {slug:?}"))?.id;
    let now_ms = Clock::System.now_ms();
    let desk = Desk { meta: &meta, project, actor: COMMAND_LINE, now_ms };
    let go = async |moved: Moved, to| desk.transition(&moved.key, to, &moved.note).await;
    let stored = match command {
        ExperimentCommand::List => {
            for stored in desk.list().await? {
                print(&stored.json(), as_json);
            }
            return Ok(ExitCode::SUCCESS);
        }
        ExperimentCommand::Audit { key } => {
            for change in desk.audit(&key, None).await? {
                print_change(&change, as_json);
            }
            return Ok(ExitCode::SUCCESS);
        }
        ExperimentCommand::Show { key } => {
            println!("{:#}", desk.load(&key).await?.json());
            return Ok(ExitCode::SUCCESS);
        }
        ExperimentCommand::Create { file } => desk.create(read(&file)?).await?,
        ExperimentCommand::Update { key, file, note } => {
            let version = desk.load(&key).await?.version;
            desk.update(&key, version, read(&file)?, &note).await?
        }
        ExperimentCommand::Start(moved) => go(moved, State::Running).await?,
        ExperimentCommand::Pause(moved) => go(moved, State::Paused).await?,
        ExperimentCommand::Conclude(moved) => go(moved, State::Concluded).await?,
    };
    print(&stored.json(), as_json);
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = text.with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

fn print(stored: &Value, as_json: bool) {
    if as_json {
        println!("{stored}");
        return;
    }
    let field = |name: &str| stored[name].as_str().unwrap_or_default().to_owned();
    println!(
        "{:<32} {:<10} {:<9} version {}",
        field("key"),
        field("kind"),
        field("state"),
        stored["version"]
    );
}

fn print_change(change: &Map<String, Value>, as_json: bool) {
    if as_json {
        println!("{}", Value::Object(change.clone()));
        return;
    }
    let field = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
    let at = change["at"].as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.map(|at| at.to_string()).unwrap_or_default();
    println!("{at:<26} {:<14} {:<10} {}", field("by"), field("action"), field("note"));
}
