//! `tallymark privacy`: what is stored of a person, and what a project knows of people.

use clap::{Args, Subcommand};

use crate::query::people::Who;
use crate::task::{EvidenceTask, PersonTask, Task};

/// What to say of what is stored.
#[derive(Debug, Subcommand)]
pub enum PrivacyCommand {
    /// Everything that is stored of a person, one JSON object a line: a summary, then the events.
    Person(PersonArgs),
    /// A sheet for the records: what the project keeps of people, and whether its preset holds.
    Evidence {
        /// The project's slug.
        #[arg(long)]
        project: String,
    },
}

/// Arguments of `privacy person`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub struct PersonArgs {
    /// In which project: its slug.
    #[arg(long)]
    project: String,
    /// A user id of the person; what its devices did is shown too.
    #[arg(long, value_name = "RAW_ID", group = "whom")]
    user: Option<String>,
    /// A device id of the person.
    #[arg(long, value_name = "RAW_ID", group = "whom")]
    device: Option<String>,
    /// The person as answers name it.
    #[arg(long, value_name = "HEX", group = "whom")]
    person: Option<String>,
}

impl PrivacyCommand {
    /// The task.
    pub fn task(self, json: bool) -> Task {
        match self {
            Self::Person(PersonArgs { project, user, device, person }) => {
                let who = Who { user_id: user, device_id: device, person };
                Task::Person(PersonTask { project, who })
            }
            Self::Evidence { project } => Task::Evidence(EvidenceTask { project, json }),
        }
    }
}
