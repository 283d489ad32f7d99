//! Links by mail: an invitation, another password.
//!
//! In: a link that was just made. Out: whether its mail is sent. A link that was sent is shown to nobody else: who opens it
//! reads the mail of its address. Where there is no mail server, or it did not take the mail, whoever made the link sees it.

use serde_json::Value;

use super::{Invited, Reset};
use crate::mail::{Mail, MailError, Mailer};

/// What became of the mail with a link.
#[derive(Debug)]
pub enum Posted {
    /// It is on its way, so nobody else needs the link.
    Sent,
    /// The link is to be shown, and why, if there is something to say.
    Show(Option<String>),
}

impl Posted {
    /// Put it into an answer: `mailed`, and the link's `path` unless it was sent.
    pub fn describe(&self, answer: &mut Value, path: &str) {
        answer["mailed"] = matches!(self, Self::Sent).into();
        if let Self::Show(why) = self {
            answer["path"] = path.into();
            if let Some(why) = why {
                answer["mail_error"] = why.as_str().into();
            }
        }
    }
}

/// Send links by this server, to this address of ours.
#[derive(Debug)]
pub struct Post<'a> {
    /// The mail server, if one is set.
    pub mailer: &'a Mailer,
    /// The setting `public_url`.
    pub public_url: &'a str,
}

impl Post<'_> {
    /// Send an invitation.
    pub async fn invitation(&self, made: &Invited, organisation: &str) -> Posted {
        let (role, link) = (made.invitation.role.as_str(), self.address(&made.path()));
        let text = format!(
            "You are invited to {organisation} on Tallymark, as {role}.\n\nTo join, open this link within a week. It works \
             once:\n\n{link}\n\nIf you do not know what this is about, do nothing.\n"
        );
        let subject = format!("Invitation to {organisation}");
        self.send(&made.invitation.email, subject, text).await
    }

    /// Send a link to another password.
    pub async fn password(&self, made: &Reset) -> Posted {
        let link = self.address(&made.path());
        let text = format!(
            "Somebody, probably you, asked for another password of {} on Tallymark.\n\nTo choose one, open this link within a \
             day. It works once:\n\n{link}\n\nIf it was not you, do nothing: the password stays as it is.\n",
            made.email
        );
        self.send(&made.email, "Another password".to_owned(), text).await
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.trim_end_matches('/'))
    }

    async fn send(&self, to: &str, subject: String, text: String) -> Posted {
        match self.mailer.send(Mail { to: to.to_owned(), subject, text, ..Mail::default() }).await {
            Ok(()) => Posted::Sent,
            Err(MailError::NoServer) => Posted::Show(None),
            Err(error) => {
                tracing::warn!(%error, "a link could not be sent by mail");
                Posted::Show(Some(error.to_string()))
            }
        }
    }
}
