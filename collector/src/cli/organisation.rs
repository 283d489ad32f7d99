//! `tallymark organisation …` and `tallymark member …`: who projects belong to, and who is in there.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use super::deed;
use super::snippet::endpoint;
use crate::access::Role;
use crate::clock::Clock;
use crate::config::Config;
use crate::folder::Folder;
use crate::meta::Meta;
use crate::meta::accounts::{self, Changed};
use crate::meta::organisations::Organisation;
use crate::signin::handler::INVITATION_MS;
use crate::signin::links::{invitation_mac, random_token};

/// What to do with organisations.
#[derive(Debug, Subcommand)]
pub enum OrganisationCommand {
    /// Make an organisation.
    Create {
        /// Its name, for people.
        name: String,
        /// Its name in commands and addresses: lower case letters, digits and dashes.
        #[arg(long)]
        slug: String,
    },
    /// List the organisations.
    List,
}

/// What to do with members.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Invite somebody: prints a link that works once, within a week.
    Invite {
        /// Their e-mail address, which they sign in with.
        email: String,
        /// What they are going to be: owner, admin, analyst or viewer.
        #[arg(long, value_parser = Role::parse)]
        role: Role,
        /// In which organisation: its slug.
        #[arg(long, default_value = "main")]
        organisation: String,
    },
    /// List the members of an organisation.
    List {
        /// Its slug.
        #[arg(long, default_value = "main")]
        organisation: String,
    },
    /// Give a member another role.
    Role {
        /// Their e-mail address.
        email: String,
        /// What they are going to be: owner, admin, analyst or viewer.
        #[arg(value_parser = Role::parse)]
        role: Role,
        /// In which organisation: its slug.
        #[arg(long, default_value = "main")]
        organisation: String,
    },
    /// Somebody is a member no more.
    Remove {
        /// Their e-mail address.
        email: String,
        /// Of which organisation: its slug.
        #[arg(long, default_value = "main")]
        organisation: String,
    },
}

/// An organisation by its slug.
pub fn named(meta: &Meta, slug: &str) -> anyhow::Result<Arc<Organisation>> {
    meta.directory().organisation(slug).ok_or_else(|| {
        anyhow::anyhow!(
            "there is no organisation {slug:?}; `tallymark organisation list` shows those there are"
        )
    })
}

/// Run a command on organisations.
pub async fn run(
    command: OrganisationCommand,
    folder: &Folder,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    folder.create()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    let show = |organisation: &Organisation| {
        if as_json {
            println!("{}", organisation.json());
        } else {
            println!("{:<24} {}", organisation.slug, organisation.name);
        }
    };
    match command {
        OrganisationCommand::Create { name, slug } => {
            show(&meta.organisations().create(&slug, &name, deed("create")).await?);
        }
        OrganisationCommand::List => {
            for organisation in meta.directory().organisations() {
                show(&organisation);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Run a command on members.
pub async fn run_member(
    command: MemberCommand,
    folder: &Folder,
    config: &Config,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    folder.must_exist()?;
    let meta = Meta::open(&folder.meta_db()).await?;
    match command {
        MemberCommand::Invite { email, role, organisation } => {
            let organisation = named(&meta, &organisation)?;
            let email = accounts::email(&email)
                .ok_or_else(|| anyhow::anyhow!("{email:?} is not an e-mail address"))?;
            let members = meta.accounts().members(organisation.id).await?;
            anyhow::ensure!(
                members.iter().all(|member| member.account.email != email),
                "{email} is a member already; `tallymark member role` changes what they are"
            );
            let token = random_token()?;
            let mac = invitation_mac(&folder.pepper()?, &token);
            let expires_ms = Clock::System.now_ms() + INVITATION_MS;
            let made = meta.invitations();
            let deed = deed("invite");
            let made = made.create(&mac, organisation.id, &email, role, expires_ms, deed).await?;
            let link = format!("{}/invitation?token={token}", endpoint(config));
            if as_json {
                let mut line = made.json();
                line["link"] = json!(link);
                println!("{line}");
            } else {
                println!("{link}\n\nfor {email}, as {}; works once, within a week", role.as_str());
            }
        }
        MemberCommand::List { organisation } => {
            let organisation = named(&meta, &organisation)?;
            for member in meta.accounts().members(organisation.id).await? {
                if as_json {
                    println!("{}", member.json());
                } else {
                    let (role, account) = (member.role.as_str(), &member.account);
                    println!("{role:<8} {:<32} {}", account.email, account.name);
                }
            }
        }
        MemberCommand::Role { email, role, organisation } => {
            change(&meta, &organisation, &email, Some(role)).await?;
        }
        MemberCommand::Remove { email, organisation } => {
            change(&meta, &organisation, &email, None).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn change(
    meta: &Meta,
    organisation: &str,
    email: &str,
    role: Option<Role>,
) -> anyhow::Result<()> {
    let organisation = named(meta, organisation)?;
    let members = meta.accounts().members(organisation.id).await?;
    let wanted = accounts::email(email);
    let member = members.iter().find(|member| Some(&member.account.email) == wanted.as_ref());
    let member = member.ok_or_else(|| {
        anyhow::anyhow!("{email} is no member; `tallymark member list` shows who is")
    })?;
    let deed = deed(if role.is_some() { "update" } else { "remove" });
    match meta.accounts().set_role(organisation.id, member.account.id, role, deed).await? {
        Changed::Done(_) => Ok(()),
        Changed::NoMember => anyhow::bail!("{email} is no member any more"),
        Changed::LastOwner => {
            anyhow::bail!("an organisation keeps an owner: make somebody else one first")
        }
    }
}
