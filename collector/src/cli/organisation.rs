//! `tallymark organisation …` and `tallymark member …`: who projects belong to, and who is in there.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use serde_json::{Value, json};

use super::deed;
use super::snippet::endpoint;
use crate::access::{Principal, Role};
use crate::admin::people::post::{Post, Posted};
use crate::admin::people::{Desk, Refused};
use crate::config::Config;
use crate::folder::{Folder, Pepper};
use crate::mail::Mailer;
use crate::meta::Meta;
use crate::meta::audit::Deed;
use crate::meta::organisations::Organisation;

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
    /// Invite somebody: mails a link that works once, within a week, or prints it where there is no mail server.
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
    /// Let a member set another password: mails a link that works once, within a day, or prints it.
    Reset {
        /// Their e-mail address.
        email: String,
        /// Take their second factor off, too.
        #[arg(long)]
        second_factor: bool,
        /// Let go of whom they are at the provider of sign-in, too.
        #[arg(long)]
        elsewhere: bool,
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
    let pepper = folder.pepper()?;
    let mailer = Mailer::of(config)?;
    let post = Post { mailer: &mailer, public_url: &config.public_url };
    match command {
        MemberCommand::Invite { email, role, organisation } => {
            let desk = desk(&meta, &pepper, &organisation)?;
            let made = desk.invite(&email, role).await?;
            let posted = post.invitation(&made, &desk.organisation.name).await;
            if as_json {
                println!("{}", described(made.invitation.json(), &posted, &made.path(), config));
            } else {
                let (email, role) = (&made.invitation.email, role.as_str());
                let words = format!("for {email}, as {role}; works once, within a week");
                println!("{}", told(&posted, &made.path(), config, &words));
            }
        }
        MemberCommand::List { organisation } => {
            for member in desk(&meta, &pepper, &organisation)?.members().await? {
                if as_json {
                    println!("{}", member.json());
                } else {
                    let (role, account) = (member.role.as_str(), &member.account);
                    println!("{role:<8} {:<32} {}", account.email, account.name);
                }
            }
        }
        MemberCommand::Role { email, role, organisation } => {
            let desk = desk(&meta, &pepper, &organisation)?;
            desk.set_role(member(&desk, &email).await?, Some(role)).await?;
        }
        MemberCommand::Remove { email, organisation } => {
            let desk = desk(&meta, &pepper, &organisation)?;
            desk.set_role(member(&desk, &email).await?, None).await?;
        }
        MemberCommand::Reset { email, second_factor, elsewhere, organisation } => {
            let desk = desk(&meta, &pepper, &organisation)?;
            let account = member(&desk, &email).await?;
            let made = desk.reset(account).await?;
            if second_factor {
                desk.drop_second_factor(account).await?;
            }
            if elsewhere {
                desk.unbind(account).await?;
            }
            let posted = post.password(&made).await;
            if as_json {
                let line = json!({ "email": made.email });
                println!("{}", described(line, &posted, &made.path(), config));
            } else {
                let words = format!("for {}; works once, within a day", made.email);
                println!("{}", told(&posted, &made.path(), config, &words));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of a link, as JSON.
fn described(mut line: Value, posted: &Posted, path: &str, config: &Config) -> Value {
    posted.describe(&mut line, path);
    if let Some(line) = line.as_object_mut()
        && line.remove("path").is_some()
    {
        line.insert("link".to_owned(), json!(format!("{}{path}", endpoint(config))));
    }
    line
}

/// What became of a link, for people. `words` say whom it is for.
fn told(posted: &Posted, path: &str, config: &Config, words: &str) -> String {
    match posted {
        Posted::Sent => format!("A mail with the link is sent, {words}"),
        Posted::Show(why) => {
            let why = why.as_ref().map(|why| format!("{why}\n\n")).unwrap_or_default();
            format!("{why}{}{path}\n\n{words}", endpoint(config))
        }
    }
}

/// Whoever has the files of the data folder, at work on the members of an organisation.
fn desk<'a>(meta: &'a Meta, pepper: &'a Pepper, organisation: &str) -> anyhow::Result<Desk<'a>> {
    let organisation = named(meta, organisation)?;
    let Deed { actor, at_ms: now_ms, .. } = deed("");
    Ok(Desk { meta, pepper, organisation, principal: &Principal::Operator, actor, now_ms })
}

/// The account of a member.
async fn member(desk: &Desk<'_>, email: &str) -> anyhow::Result<u32> {
    desk.account_of(email).await.map_err(|refused| match refused {
        Refused::NoMember => {
            anyhow::anyhow!("{email} is no member; `tallymark member list` shows who is")
        }
        refused => refused.into(),
    })
}
