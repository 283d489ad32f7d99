//! `tallymark alias` and `tallymark erase`.

use clap::Args;

use crate::query::people::Who;
use crate::task::{AliasTask, EraseTask, Task};

/// Arguments of `alias`.
#[derive(Debug, Args)]
pub struct AliasArgs {
    /// In which project: its slug.
    #[arg(long)]
    project: String,
    /// The user id that is given up.
    #[arg(long, value_name = "RAW_ID")]
    from: String,
    /// The user id that stays.
    #[arg(long, value_name = "RAW_ID")]
    to: String,
    /// Only say how many events would change hands.
    #[arg(long)]
    dry_run: bool,
}

impl AliasArgs {
    /// The task.
    pub fn task(self) -> Task {
        let Self { project, from, to, dry_run } = self;
        let user = |id| Who { user_id: Some(id), ..Who::default() };
        Task::Alias(AliasTask { project, from: user(from), to: user(to), dry_run })
    }
}

/// Arguments of `erase`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("who").required(true))]
pub struct EraseArgs {
    /// In which project: its slug.
    #[arg(long)]
    project: String,
    /// A user id of the person; all devices linked to it go too.
    #[arg(long, value_name = "RAW_ID", group = "who")]
    user: Option<String>,
    /// A device id of the person.
    #[arg(long, value_name = "RAW_ID", group = "who")]
    device: Option<String>,
    /// The person as answers name it.
    #[arg(long, value_name = "HEX", group = "who")]
    person: Option<String>,
    /// Write every file that holds the person again before this ends.
    #[arg(long)]
    now: bool,
    /// Only say how many events would go.
    #[arg(long)]
    dry_run: bool,
}

impl EraseArgs {
    /// The task.
    pub fn task(self) -> Task {
        let Self { project, user, device, person, now, dry_run } = self;
        let who = Who { user_id: user, device_id: device, person };
        Task::Erase(EraseTask { project, who, now, dry_run })
    }
}
