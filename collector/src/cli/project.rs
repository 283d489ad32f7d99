//! `tallymark project create` and `tallymark project list`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use tallymark_store::Keep;

use crate::admin::projects::{self, Created};
use crate::config::Config;
use crate::folder::Folder;
use crate::meta::Meta;
use crate::meta::projects::NewProject;
use crate::sdk;
use crate::sdk::snippet::Snippet;

use super::deed;
use super::snippet::endpoint;

/// What to do with projects.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Make a project and print its keys, once.
    Create {
        /// Its name, for people.
        name: String,
        /// Its name in commands and addresses: lower case letters, digits and dashes.
        #[arg(long)]
        slug: String,
        /// The time zone whose calendar its days follow.
        #[arg(long, default_value = "UTC")]
        tz: String,
        /// In which organisation: its slug.
        #[arg(long, default_value = "main")]
        organisation: String,
    },
    /// List the projects.
    List,
    /// Say how long events are kept, or show it.
    Keep(KeepArgs),
}

/// Arguments of `project keep`.
#[derive(Debug, Args)]
pub struct KeepArgs {
    /// The project's slug.
    slug: String,
    /// Days after they happened that events are kept, or `ever`.
    #[arg(long, value_name = "DAYS", value_parser = parse_days)]
    days: Option<Days>,
    /// The same for events of one name; `NAME=` takes that rule away. May be given several times.
    #[arg(long, value_name = "NAME=DAYS", value_parser = parse_event)]
    event: Vec<(String, Option<Days>)>,
}

/// How long: days, or for ever.
type Days = Option<u32>;

/// 100 years: more is a mistake.
const DAYS_MAX: u32 = 36_500;

fn parse_days(text: &str) -> Result<Days, String> {
    if text == "ever" {
        return Ok(None);
    }
    let days = text.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
    days.map(Some).ok_or_else(|| format!("1 to {DAYS_MAX} days, or `ever`"))
}

fn parse_event(text: &str) -> Result<(String, Option<Days>), String> {
    let (name, days) = text.split_once('=').ok_or("a name, `=` and days")?;
    tallymark_protocol::event_name::check(name).map_err(|code| code.detail().to_owned())?;
    let days = (!days.is_empty()).then(|| parse_days(days)).transpose()?;
    Ok((name.to_owned(), days))
}

/// The script tag of a new project's pages; `None` where the binary was built without the SDK.
fn snippet(created: &Created, config: &Config) -> Option<String> {
    let write_key = created.write_key.reveal();
    Snippet { endpoint: &endpoint(config), write_key, salt: &created.project.salt }.html()
}

/// Run the command.
pub async fn run(
    command: ProjectCommand,
    folder: &Folder,
    config: &Config,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        ProjectCommand::Create { name, slug, tz, organisation } => {
            folder.create()?;
            let pepper = folder.pepper()?;
            let meta = Meta::open(&folder.meta_db()).await?;
            let organisation = super::organisation::named(&meta, &organisation)?.id;
            let new = NewProject { organisation, name, slug, tz };
            let created = projects::create(&meta, &pepper, &new, deed("create")).await?;
            sdk::keep(&meta).await?;
            let snippet = snippet(&created, config);
            if as_json {
                let mut line = created.json();
                line["snippet"] = json!(snippet);
                println!("{line}");
            } else {
                print_created(&created, snippet.as_deref());
            }
        }
        ProjectCommand::List => {
            folder.must_exist()?;
            let meta = Meta::open(&folder.meta_db()).await?;
            for project in meta.directory().projects() {
                if as_json {
                    let line = json!({ "project": project.name, "slug": project.slug,
                        "tz": project.tz, "salt": project.salt, "created_at": project.created_ms });
                    println!("{line}");
                } else {
                    println!("{:<24} {:<20} {}", project.slug, project.tz, project.name);
                }
            }
        }
        ProjectCommand::Keep(args) => keep(args, folder, as_json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Change the rules, and print those that hold.
async fn keep(args: KeepArgs, folder: &Folder, as_json: bool) -> anyhow::Result<()> {
    let KeepArgs { slug, days, event } = args;
    folder.must_exist()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    let project = projects::named(&meta, &slug).await?.id;
    let rules = meta.retention();
    if let Some(days) = days {
        rules.set(project, None, days).await?;
    }
    for (name, days) in &event {
        match days {
            Some(days) => rules.set(project, Some(name), *days).await?,
            None => rules.remove(project, name).await?,
        }
    }
    let Keep { days, events } = meta.directory().keep(project);
    if as_json {
        println!("{}", json!({ "slug": slug, "days": days, "events": events }));
        return Ok(());
    }
    let show = |days: Days| days.map_or("for ever".to_owned(), |days| format!("{days} days"));
    for (name, days) in &events {
        println!("{name:<32} {}", show(*days));
    }
    println!("{:<32} {}", "everything else", show(days));
    Ok(())
}

fn print_created(created: &Created, snippet: Option<&str>) {
    let Created { project, write_key, secret_key } = created;
    println!("project     {} ({})", project.name, project.slug);
    println!("write key   {}   goes into pages", write_key.reveal());
    println!("salt        {}   goes beside it", project.salt);
    println!("secret key  {}   for servers; shown only now", secret_key.reveal());
    if let Some(snippet) = snippet {
        println!("\nfor pages without a bundler, in <head>:\n{snippet}");
    }
}
