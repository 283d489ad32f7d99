//! `tallymark project create` and `tallymark project list`.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use crate::clock::Clock;
use crate::folder::{Folder, Pepper};
use crate::keys::{Key, KeyKind, Scope, Scopes};
use crate::meta::Meta;
use crate::meta::projects::{NewProject, Project};

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
    },
    /// List the projects.
    List,
}

/// A new project with its keys in clear: the only time they are.
#[derive(Debug)]
pub struct Created {
    /// The project.
    pub project: Project,
    /// For pages.
    pub write_key: Key,
    /// For servers and commands; every scope.
    pub secret_key: Key,
}

impl Created {
    /// What `--json` prints.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "project": self.project.name,
            "slug": self.project.slug,
            "tz": self.project.tz,
            "write_key": self.write_key.reveal(),
            "secret_key": self.secret_key.reveal(),
            "salt": self.project.salt,
        })
    }
}

/// Make a project with a write key and a secret key.
pub async fn create(
    meta: &Meta,
    pepper: &Pepper,
    new: &NewProject,
    now_ms: i64,
) -> anyhow::Result<Created> {
    let write_key = Key::generate(KeyKind::Public)?;
    let secret_key = Key::generate(KeyKind::Secret)?;
    let project = meta.projects().create(new, now_ms).await?;
    let keys = meta.access_keys();
    let may_send: Scopes = [Scope::Ingest].into_iter().collect();
    keys.create(&project, &write_key, pepper, may_send, now_ms).await?;
    keys.create(&project, &secret_key, pepper, Scopes::all(), now_ms).await?;
    Ok(Created { project, write_key, secret_key })
}

/// Run the command.
pub async fn run(
    command: ProjectCommand,
    folder: &Folder,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        ProjectCommand::Create { name, slug, tz } => {
            folder.create()?;
            let pepper = folder.pepper()?;
            let meta = Meta::open(&folder.meta_db()).await?;
            let new = NewProject { name, slug, tz };
            let created = create(&meta, &pepper, &new, Clock::System.now_ms()).await?;
            if as_json {
                println!("{}", created.json());
            } else {
                print_created(&created);
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
    }
    Ok(ExitCode::SUCCESS)
}

fn print_created(created: &Created) {
    let Created { project, write_key, secret_key } = created;
    println!("project     {} ({})", project.name, project.slug);
    println!("write key   {}   goes into pages", write_key.reveal());
    println!("salt        {}   goes beside it", project.salt);
    println!("secret key  {}   for servers; shown only now", secret_key.reveal());
}
