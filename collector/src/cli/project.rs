//! `tallymark project create` and `tallymark project list`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use tallymark_analysis::currency::Currency;
use tallymark_analysis::time_bucket::WeekStart;
use tallymark_store::Keep;

use crate::admin::projects::{self, Created};
use crate::admin::retention::{Days, changed, parse_days, parse_event};
use crate::config::Config;
use crate::folder::Folder;
use crate::meta::Meta;
use crate::meta::projects::{Change, NewProject};
use crate::privacy::{Mode, Preset};
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
    /// Change what pages may send, how long people are known, when weeks start and what money is in, or show it.
    Set(SetArgs),
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

/// Arguments of `project set`; what is left out stays.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The project's slug.
    slug: String,
    /// The origins whose pages may send, with commas between them; an empty text for any.
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    origins: Option<Vec<String>>,
    /// How long people are known: as long as their ids last, or for a day; `default` for what the preset says.
    #[arg(long, value_parser = ["full", "cookieless", "default"])]
    mode: Option<String>,
    /// Settings that hold together.
    #[arg(long, value_parser = ["cnil", "none"])]
    preset: Option<String>,
    /// The day on which weeks start, such as `monday` or `sunday`.
    #[arg(long, value_name = "DAY", value_parser = week_start)]
    week_starts: Option<WeekStart>,
    /// The currency of amounts whose events name none, such as `EUR`; `none` where they stand by themselves.
    #[arg(long, value_name = "CODE", value_parser = currency)]
    currency: Option<Named>,
}

/// A currency, or none.
#[derive(Debug, Clone, Copy)]
struct Named(Option<Currency>);

fn currency(code: &str) -> Result<Named, String> {
    if code == "none" {
        return Ok(Named(None));
    }
    Currency::try_from(code.to_owned()).map(|currency| Named(Some(currency)))
}

fn week_start(name: &str) -> Result<WeekStart, String> {
    WeekStart::parse(name).ok_or_else(|| "it is a day of the week, such as monday or sunday".into())
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
        ProjectCommand::Set(args) => set(args, folder, as_json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Change the settings, and print them.
async fn set(args: SetArgs, folder: &Folder, as_json: bool) -> anyhow::Result<()> {
    let SetArgs { slug, origins, mode, preset, week_starts, currency } = args;
    folder.must_exist()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    let mut project = projects::named(&meta, &slug).await?;
    let mut settings = project.settings.clone();
    if let Some(origins) = origins {
        settings.origins = origins.into_iter().filter(|origin| !origin.is_empty()).collect();
    }
    if let Some(mode) = mode {
        settings.mode = match mode.as_str() {
            "full" => Some(Mode::Full),
            "cookieless" => Some(Mode::Cookieless),
            _ => None,
        };
    }
    if let Some(preset) = preset {
        settings.preset = (preset == "cnil").then_some(Preset::Cnil);
    }
    if let Some(week_starts) = week_starts {
        settings.week_starts = week_starts;
    }
    if let Some(Named(currency)) = currency {
        settings.currency = currency;
    }
    if settings != project.settings {
        let change = Change { settings: Some(settings), ..Change::default() };
        project = meta.projects().update(&project, change, deed("update")).await?.into();
    }
    if as_json {
        println!("{}", json!({ "slug": slug, "settings": project.settings }));
        return Ok(());
    }
    let settings = serde_json::to_value(&project.settings)?;
    for (name, value) in settings.as_object().into_iter().flatten() {
        println!("{name:<12} {value}");
    }
    Ok(())
}

/// Change the rules, and print those that hold.
async fn keep(args: KeepArgs, folder: &Folder, as_json: bool) -> anyhow::Result<()> {
    let KeepArgs { slug, days, event } = args;
    folder.must_exist()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    let project = projects::named(&meta, &slug).await?;
    let (settings, project) = (project.settings.clone(), project.id);
    let keep = changed(meta.directory().keep(project), &settings, days, &event);
    let keep = keep.map_err(anyhow::Error::msg)?;
    meta.retention().replace(project, &keep, deed("update")).await?;
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
