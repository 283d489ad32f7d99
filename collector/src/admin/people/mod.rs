//! Who is in an organisation: invited, given roles, let go, helped back in when a password is lost.
//!
//! In: what somebody wants, from HTTP, a page or the command line. Out: what is so then, or [`Refused`].
//!
//! Invariants: nobody gives a role above their own, or helps into an account that may more than they do; an
//! organisation keeps an owner; a link is shown once and works once.
//!
//! Deliberately elsewhere: the tables (`meta`), the forms behind the links (`signin`).

pub mod handler;
pub mod post;

use std::sync::Arc;

use crate::access::{Principal, Role};
use crate::folder::Pepper;
use crate::meta::accounts::{self, Account, Changed, Member};
use crate::meta::audit::Deed;
use crate::meta::invitations::Invitation;
use crate::meta::organisations::Organisation;
use crate::meta::{Meta, MetaError};
use crate::signin::links::{INVITATION_MS, Purpose, RESET_MS, new_link};

/// Why a member or an invitation is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such member.
    #[error("there is no such member")]
    NoMember,
    /// They are its only owner.
    #[error("an organisation keeps an owner: make somebody else one first")]
    LastOwner,
    /// More than the caller has.
    #[error("only an owner can make or unmake an owner")]
    AboveOwn,
    /// They may more than the caller, here or elsewhere.
    #[error(
        "this account may more than you do, here or in another organisation: whoever runs the server can help"
    )]
    MayMore,
    /// No such invitation.
    #[error("there is no such invitation")]
    NoInvitation,
    /// They are a member.
    #[error("{0} is a member already: change their role instead")]
    Member(String),
    /// Not an address.
    #[error("{0:?} is not an e-mail address")]
    Email(String),
    /// No randomness.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// The database failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Refused {
    /// Status and permanent code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::NoMember => (404, "member_unknown"),
            Self::LastOwner => (409, "last_owner"),
            Self::AboveOwn | Self::MayMore => (403, "role_missing"),
            Self::NoInvitation => (404, "invitation_unknown"),
            Self::Member(_) => (409, "member_already"),
            Self::Email(_) => (422, "email_invalid"),
            Self::Random(_) | Self::Meta(_) => (500, "internal"),
        }
    }
}

/// An invitation that was just made, and the token of its link, for the only time.
#[derive(Debug)]
pub struct Invited {
    /// What is kept of it.
    pub invitation: Invitation,
    token: String,
}

impl Invited {
    /// The path of its link.
    pub fn path(&self) -> String {
        format!("/invitation?token={}", self.token)
    }
}

/// A link to another password.
#[derive(Debug)]
pub struct Reset {
    /// Whose.
    pub email: String,
    /// Until when it works, Unix milliseconds.
    pub expires_ms: i64,
    token: String,
}

impl Reset {
    /// The path of the link.
    pub fn path(&self) -> String {
        format!("/password?token={}", self.token)
    }
}

/// Somebody at work on the members of an organisation.
#[derive(Debug)]
pub struct Desk<'a> {
    /// Where they are kept.
    pub meta: &'a Meta,
    /// What hashes of links are made with.
    pub pepper: &'a Pepper,
    /// Whose members they are.
    pub organisation: Arc<Organisation>,
    /// Who it is.
    pub principal: &'a Principal,
    /// Their name in the audit trail.
    pub actor: &'a str,
    /// Unix milliseconds.
    pub now_ms: i64,
}

impl Desk<'_> {
    /// The members, by address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn members(&self) -> Result<Vec<Member>, Refused> {
        Ok(self.meta.accounts().members(self.organisation.id).await?)
    }

    /// The account of the member who signs in with this address.
    ///
    /// # Errors
    /// [`Refused::NoMember`].
    pub async fn account_of(&self, email: &str) -> Result<u32, Refused> {
        let wanted = accounts::email(email).ok_or_else(|| Refused::Email(email.to_owned()))?;
        let members = self.members().await?;
        let found = members.iter().find(|member| member.account.email == wanted);
        found.map(|member| member.account.id).ok_or(Refused::NoMember)
    }

    /// Give a member another role, or with `None` no part in it any more.
    ///
    /// # Errors
    /// When they are none, or the role is not one to give or take.
    pub async fn set_role(
        &self,
        account: u32,
        role: Option<Role>,
    ) -> Result<Option<Member>, Refused> {
        let before = self.member(account).await?.role;
        if self.role() < Some(Role::Owner) && (before == Role::Owner || role == Some(Role::Owner)) {
            return Err(Refused::AboveOwn);
        }
        let deed = self.deed(if role.is_some() { "update" } else { "remove" });
        match self.meta.accounts().set_role(self.organisation.id, account, role, deed).await? {
            Changed::Done(member) => Ok(member),
            Changed::NoMember => Err(Refused::NoMember),
            Changed::LastOwner => Err(Refused::LastOwner),
        }
    }

    /// Invitations that nobody has used yet, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, Refused> {
        Ok(self.meta.invitations().list(self.organisation.id, self.now_ms).await?)
    }

    /// Invite somebody.
    ///
    /// # Errors
    /// When they are a member, or the role is above the own.
    pub async fn invite(&self, email: &str, role: Role) -> Result<Invited, Refused> {
        let email = accounts::email(email).ok_or_else(|| Refused::Email(email.to_owned()))?;
        if Some(role) > self.role() {
            return Err(Refused::AboveOwn);
        }
        if self.members().await?.iter().any(|member| member.account.email == email) {
            return Err(Refused::Member(email));
        }
        let (token, mac) = new_link(self.pepper, Purpose::Invitation)?;
        let (organisation, deed) = (self.organisation.id, self.deed("invite"));
        let expires_ms = self.now_ms + INVITATION_MS;
        let table = self.meta.invitations();
        let invitation = table.create(&mac, organisation, &email, role, expires_ms, deed).await?;
        Ok(Invited { invitation, token })
    }

    /// Take an invitation back.
    ///
    /// # Errors
    /// When there is none.
    pub async fn withdraw(&self, id: u32) -> Result<(), Refused> {
        let table = self.meta.invitations();
        let found = table.withdraw(self.organisation.id, id, self.deed("withdraw")).await?;
        if found { Ok(()) } else { Err(Refused::NoInvitation) }
    }

    /// A link by which a member can set another password; an earlier one no longer works.
    ///
    /// # Errors
    /// When they are no member, or may more than whoever asks.
    pub async fn reset(&self, account: u32) -> Result<Reset, Refused> {
        let member = self.helped(account).await?;
        reset(self.meta, self.pepper, &member.account, &[self.organisation.id], self.deed("reset"))
            .await
    }

    /// Somebody who has lost their phone signs in with the password alone, until they set up another.
    ///
    /// # Errors
    /// When they are no member, or may more than whoever asks.
    pub async fn drop_second_factor(&self, account: u32) -> Result<(), Refused> {
        self.helped(account).await?;
        let (whose, deed) = (self.organisation.id, self.deed("drop_second_factor"));
        Ok(self.meta.second_factors().remove(account, &[whose], deed).await?)
    }

    /// Let go of whom a member is at a provider of sign-in: the next one there with their address is bound instead.
    ///
    /// # Errors
    /// When they are no member, or may more than whoever asks.
    pub async fn unbind(&self, account: u32) -> Result<(), Refused> {
        self.helped(account).await?;
        let deed = self.deed("unbind");
        Ok(self.meta.elsewhere().unbind(account, self.organisation.id, deed).await?)
    }

    async fn member(&self, account: u32) -> Result<Member, Refused> {
        let found = self.members().await?.into_iter().find(|member| member.account.id == account);
        found.ok_or(Refused::NoMember)
    }

    /// A member whose account whoever asks may help into: who gets in has all that it may, everywhere.
    async fn helped(&self, account: u32) -> Result<Member, Refused> {
        let member = self.member(account).await?;
        let directory = self.meta.directory();
        let theirs = Principal::Person(Arc::new(member.account.clone()));
        let may_less = directory.organisations().iter().all(|organisation| {
            let role = directory.role(&theirs, organisation.id);
            role.is_none() || directory.role(self.principal, organisation.id) >= role
        });
        if may_less { Ok(member) } else { Err(Refused::MayMore) }
    }

    fn role(&self) -> Option<Role> {
        self.meta.directory().role(self.principal, self.organisation.id)
    }

    fn deed<'d>(&'d self, action: &'d str) -> Deed<'d> {
        Deed { actor: self.actor, action, note: "", at_ms: self.now_ms }
    }
}

/// A link by which an account gets another password, written down in these organisations; an earlier one no longer works.
///
/// # Errors
/// When the database fails or the system has no randomness.
pub async fn reset(
    meta: &Meta,
    pepper: &Pepper,
    account: &Account,
    organisations: &[u32],
    deed: Deed<'_>,
) -> Result<Reset, Refused> {
    let (token, mac) = new_link(pepper, Purpose::Password)?;
    let expires_ms = deed.at_ms + RESET_MS;
    meta.password_links().create(&mac, organisations, account.id, expires_ms, deed).await?;
    Ok(Reset { email: account.email.clone(), expires_ms, token })
}
