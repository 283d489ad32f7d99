//! The command line.
//!
//! In: arguments, environment, the settings file. Out: what the command prints, and its exit code:
//! 0 for done, 1 for an error, 2 for arguments that make no sense (clap's).
//!
//! Answers go to standard output, everything else to standard error, so that output can be piped.
//!
//! Deliberately elsewhere: what commands do. One file per command parses arguments and prints.

mod audit;
mod backup;
mod config;
mod doctor;
mod events;
mod experiment;
mod key;
mod monitoring;
mod organisation;
mod people;
mod privacy;
pub mod project;
mod serve;
mod settings;
mod snippet;
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::Clock;
use crate::config::{Loaded, Sources, load};
use crate::folder::Folder;
use crate::meta::audit::{COMMAND_LINE, Deed};
use settings::SettingFlags;

/// Product analytics that a team runs itself.
#[derive(Debug, Parser)]
#[command(name = "tallymark", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Global {
    /// The data folder.
    #[arg(
        long,
        global = true,
        env = "TALLYMARK_DATA",
        default_value = "./tallymark-data",
        value_name = "DIR"
    )]
    data: PathBuf,
    /// The settings file; `tallymark.toml` in the data folder if there is one.
    #[arg(long, global = true, env = "TALLYMARK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector.
    Serve,
    /// Make and list projects.
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// Print the script tag that puts the SDK into a page without a bundler.
    Snippet(snippet::SnippetArgs),
    /// Make, list, replace and take back keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Make and list organisations.
    #[command(subcommand)]
    Organisation(organisation::OrganisationCommand),
    /// Invite people, and say what they are.
    #[command(subcommand)]
    Member(organisation::MemberCommand),
    /// Who did what, and whether the trail is as it was written.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Define experiments, flags and holdouts, start and stop them.
    Experiment(experiment::ExperimentArgs),
    /// Load files of events into a project. Safe to repeat.
    Import(events::ImportArgs),
    /// Write the raw events of a project to standard output.
    Export(events::ExportArgs),
    /// Ask one question about a project.
    Query(events::QueryArgs),
    /// Say that two ids are one person.
    Alias(people::AliasArgs),
    /// Erase a person: out of answers at once, out of files within 24 hours or now. Prints the receipt.
    Erase(people::EraseArgs),
    /// What is stored of people: of one of them, or in general.
    #[command(subcommand)]
    Privacy(privacy::PrivacyCommand),
    /// Fill a project with realistic data, made on the spot.
    Demo(events::DemoArgs),
    /// Copy everything of one moment into a new folder, beside a running server too.
    Backup(backup::BackupArgs),
    /// Make a data folder of a backup.
    Restore(backup::RestoreArgs),
    /// Read everything that is stored and say what is not as it was written.
    Verify(backup::VerifyArgs),
    /// Compute statistics: JSON lines {"id", "fn", "input"} in, {"id", "got"} out.
    Stats,
    /// Say what is wrong and what to do.
    Doctor(doctor::DoctorArgs),
    /// Print the scrape, the alert rules or Grafana's dashboard for the names that metrics have here.
    Monitoring {
        /// Which of them.
        file: monitoring::MonitoringFile,
    },
    /// Print the settings in force and where each came from.
    Config,
}

/// Run the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = run(cli);
    outcome.unwrap_or_else(|error| {
        if reader_has_enough(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("tallymark: {error:#}");
        ExitCode::FAILURE
    })
}

/// What somebody does who has the files of the data folder.
fn deed(action: &str) -> Deed<'_> {
    Deed { actor: COMMAND_LINE, action, note: "", at_ms: Clock::System.now_ms() }
}

/// `tallymark export | head`: whoever reads our output has left. Other broken pipes have a context.
fn reader_has_enough(error: &anyhow::Error) -> bool {
    let outermost = error.chain().next().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    outermost.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { global, command } = cli;
    let loaded = global.load()?;
    let _started = crate::telemetry::start_logging(&loaded.config).map_err(anyhow::Error::msg)?;
    let folder = Folder::at(&global.data);
    // These two must work where nothing else does.
    match command {
        Command::Config => return config::print(&loaded, global.json),
        Command::Stats => return stats::run(),
        _ => {}
    }
    crate::heaps::limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match command {
            Command::Serve => serve::serve(folder, loaded.config, global.json).await,
            Command::Project(command) => {
                project::run(command, &folder, &loaded.config, global.json).await
            }
            Command::Snippet(args) => {
                snippet::run(args, &folder, &loaded.config, global.json).await
            }
            Command::Key(command) => key::run(command, &folder, global.json).await,
            Command::Organisation(command) => {
                organisation::run(command, &folder, global.json).await
            }
            Command::Member(command) => {
                organisation::run_member(command, &folder, &loaded.config, global.json).await
            }
            Command::Audit(command) => {
                audit::run(command, &folder, &loaded.config, global.json).await
            }
            Command::Experiment(args) => experiment::run(args, &folder, global.json).await,
            Command::Import(args) => {
                events::run(args.task(global.json)?, folder, loaded.config).await
            }
            Command::Export(args) => events::run(args.task(), folder, loaded.config).await,
            Command::Query(args) => events::run(args.task()?, folder, loaded.config).await,
            Command::Alias(args) => events::run(args.task(), folder, loaded.config).await,
            Command::Erase(args) => events::run(args.task(), folder, loaded.config).await,
            Command::Privacy(command) => {
                events::run(command.task(global.json), folder, loaded.config).await
            }
            Command::Demo(args) => events::run(args.task(global.json), folder, loaded.config).await,
            Command::Backup(args) => {
                events::run(args.task(global.json)?, folder, loaded.config).await
            }
            Command::Restore(args) => backup::run_restore(&args, &folder, global.json),
            Command::Verify(args) => {
                backup::run_verify(args, folder, loaded.config, global.json).await
            }
            Command::Doctor(args) => doctor::run(args, &folder, &loaded.config, global.json).await,
            Command::Stats => stats::run(),
            Command::Config => config::print(&loaded, global.json),
            Command::Monitoring { file } => Ok(monitoring::print(file, &loaded.config)),
        }
    });
    // Whatever still reads a file at this point has nobody to give it to.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

impl Global {
    fn load(&self) -> anyhow::Result<Loaded> {
        let named = self.config.clone();
        let path = named.clone().unwrap_or_else(|| Folder::at(&self.data).settings_file());
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => anyhow::bail!("{}: {error}", path.display()),
        };
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("TALLYMARK_"))
            .collect();
        Ok(load(&Sources { flags: self.settings.0.clone(), env, file })?)
    }
}
