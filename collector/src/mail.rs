//! Mails, by the mail server that the operator names.
//!
//! In: a [`Mail`]. Out: the server has taken it, or [`MailError`]. One connection per mail; whoever has many to send, or
//! wants one sent again later, sees to that: [`MailError::is_worth_another_try`] says whether it makes sense.
//!
//! Invariants: no password leaves over a connection that is not encrypted, unless the operator chose the scheme `smtp-plain`; what
//! people typed ends in encoded headers and can add none.
//!
//! Deliberately elsewhere: what mails say (`admin::people::post`, and whoever else sends some).

use std::fmt;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment as Part, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use url::Url;

use crate::config::{Config, SettingValue};
use crate::signin::links::random_token;

/// For each step of the conversation.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What is sent.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    /// One address, without a name.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The mail for readers of text.
    pub text: String,
    /// The same for readers of HTML.
    pub html: Option<String>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// What names this mail, so that the same one sent again is known; a random text where nothing is said.
    pub id: Option<String>,
}

/// A file in a mail.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// `text/csv`, `image/png`, …
    pub content_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Why a mail is not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// There is no server.
    #[error("no mail server is set (setting mail_server)")]
    NoServer,
    /// The address, a content type, or the system's randomness.
    #[error("this mail cannot be written: {0}")]
    Unwritable(String),
    /// The server says never.
    #[error("the mail server refuses it: {0}")]
    Refused(String),
    /// The server says later, or nothing.
    #[error("the mail server cannot be used at the moment: {0}")]
    Unavailable(String),
}

impl MailError {
    /// Whether the same mail may be taken later.
    pub const fn is_worth_another_try(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Sends mails, or says that there is no server.
#[derive(Clone, Default)]
pub struct Mailer(Option<Sender>);

#[derive(Clone)]
struct Sender {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why the settings of mails do not go together.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// Nobody would know whom mails are from.
    #[error("mail_server needs mail_from: the address that mails are from")]
    NoFrom,
    /// Links in mails would lead nowhere.
    #[error("mail_server needs public_url: links in mails begin with it")]
    NoAddress,
    /// A user without a password, or the other way round.
    #[error("mail_user and mail_password go together")]
    HalfACredential,
    /// The certificates of the system.
    #[error("the mail server's certificate could not be checked: {0}")]
    Tls(String),
}

impl Mailer {
    /// By the settings; without `mail_server` it sends nothing.
    ///
    /// # Errors
    /// When they do not go together.
    pub fn of(config: &Config) -> Result<Self, MailerError> {
        let Some(MailServer { scheme, host, port }) = &config.mail_server.0 else {
            return Ok(Self::default());
        };
        let from = config.mail_from.0.clone().ok_or(MailerError::NoFrom)?;
        if config.public_url.is_empty() {
            return Err(MailerError::NoAddress);
        }
        let checked = || {
            let made = TlsParameters::builder(host.clone()).build_rustls();
            made.map_err(|error| MailerError::Tls(all_causes(&error)))
        };
        let tls = match scheme {
            Scheme::Smtps => Tls::Wrapper(checked()?),
            Scheme::Smtp => Tls::Required(checked()?),
            Scheme::Plain => Tls::None,
        };
        let hello = ClientId::Domain(from.email.domain().to_owned());
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.as_str())
            .port(*port)
            .tls(tls)
            .timeout(Some(TIMEOUT))
            .hello_name(hello);
        match (config.mail_user.as_str(), config.mail_password.reveal()) {
            ("", None) => {}
            ("", Some(_)) | (_, None) => return Err(MailerError::HalfACredential),
            (user, Some(password)) => {
                let credentials = Credentials::new(user.to_owned(), password.to_owned());
                transport = transport.credentials(credentials);
            }
        }
        Ok(Self(Some(Sender { transport: transport.build(), from })))
    }

    /// Whether there is a server to send by.
    pub const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Send a mail, once.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let Sender { transport, from } = self.0.as_ref().ok_or(MailError::NoServer)?;
        let message = write(from, mail)?;
        transport.send(message).await.map_err(|error| {
            let said = all_causes(&error);
            match error.is_permanent() || error.is_client() {
                true => MailError::Refused(said),
                false => MailError::Unavailable(said),
            }
        })?;
        Ok(())
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mailer").field(&self.is_set()).finish()
    }
}

fn write(from: &Mailbox, mail: Mail) -> Result<Message, MailError> {
    let unwritable = |what: String| MailError::Unwritable(what);
    let Mail { to, subject, text, html, attachments, id } = mail;
    let to: Address = to.parse().map_err(|error| unwritable(format!("{to:?}: {error}")))?;
    let id = match id {
        Some(id) => id,
        None => random_token().map_err(|error| unwritable(error.to_string()))?,
    };
    let message = Message::builder()
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject);
    let built = if attachments.is_empty() {
        match html {
            None => message.singlepart(SinglePart::plain(text)),
            Some(html) => message.multipart(MultiPart::alternative_plain_html(text, html)),
        }
    } else {
        let body = match html {
            None => MultiPart::mixed().singlepart(SinglePart::plain(text)),
            Some(html) => {
                MultiPart::mixed().multipart(MultiPart::alternative_plain_html(text, html))
            }
        };
        let all = attachments.into_iter().try_fold(body, |body, file| {
            let kind = ContentType::parse(&file.content_type)
                .map_err(|error| unwritable(format!("{:?}: {error}", file.content_type)))?;
            Ok::<_, MailError>(body.singlepart(Part::new(file.name).body(file.bytes, kind)))
        });
        message.multipart(all?)
    };
    built.map_err(|error| unwritable(error.to_string()))
}

/// An error and what it comes from, on one line.
pub fn all_causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        next = cause.source();
    }
    said
}

/// How to speak to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// Encrypted from the first byte.
    Smtps,
    /// Encrypted from `STARTTLS` on, without which nothing is sent.
    Smtp,
    /// Not at all.
    Plain,
}

/// A mail server: `smtps://host`, `smtp://host` or `smtp-plain://host`, each with a port if it is not the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MailServer {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// The setting of a mail server, which may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServerSetting(Option<MailServer>);

impl SettingValue for MailServerSetting {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(None));
        }
        // The text may have a password in it by mistake, so it is not repeated.
        let wrong = || {
            "a mail server is smtps://host, smtp://host (encrypted by STARTTLS) or smtp-plain://host (not encrypted), each \
             with :port where it is not 465, 587 or 25; name and password have settings of their own"
                .to_owned()
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let (scheme, usual) = match url.scheme() {
            "smtps" => (Scheme::Smtps, 465),
            "smtp" => (Scheme::Smtp, 587),
            "smtp-plain" => (Scheme::Plain, 25),
            _ => return Err(wrong()),
        };
        let bare = url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none();
        match url.host_str() {
            Some(host) if bare && !host.is_empty() => {
                let (host, port) = (host.to_owned(), url.port().unwrap_or(usual));
                Ok(Self(Some(MailServer { scheme, host, port })))
            }
            _ => Err(wrong()),
        }
    }

    fn show(&self) -> String {
        let Some(MailServer { scheme, host, port }) = &self.0 else { return String::new() };
        let scheme = match scheme {
            Scheme::Smtps => "smtps",
            Scheme::Smtp => "smtp",
            Scheme::Plain => "smtp-plain",
        };
        format!("{scheme}://{host}:{port}")
    }
}

/// Whether somebody can be written to by it, as far as its form says.
pub fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

/// The setting of an address with or without a name, which may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFrom(Option<Mailbox>);

impl SettingValue for MailFrom {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|from| Self(Some(from))).map_err(|_| {
            format!("{text:?} is not an address, like stats@example.org or Our figures <stats@example.org>")
        })
    }

    fn show(&self) -> String {
        self.0.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing("", Ok(""))]
    #[case::encrypted("smtps://mail.example.org", Ok("smtps://mail.example.org:465"))]
    #[case::starttls(" smtp://mail.example.org/ ", Ok("smtp://mail.example.org:587"))]
    #[case::own_port("smtp://10.0.0.1:2525", Ok("smtp://10.0.0.1:2525"))]
    #[case::plain("smtp-plain://localhost", Ok("smtp-plain://localhost:25"))]
    #[case::a_web_page("https://mail.example.org", Err(()))]
    #[case::no_scheme("mail.example.org:25", Err(()))]
    #[case::no_host("smtp://", Err(()))]
    #[case::a_password("smtp://ann:geheim@mail.example.org", Err(()))]
    #[case::a_choice("smtp://mail.example.org?tls=none", Err(()))]
    fn a_mail_server_is(#[case] text: &str, #[case] want: Result<&str, ()>) {
        match (MailServerSetting::parse(text), want) {
            (Ok(got), Ok(want)) => assert_eq!(got.show(), want),
            (Err(said), Err(())) => {
                assert!(said.contains("smtps://host") && !said.contains("geheim"))
            }
            (got, want) => panic!("{got:?} instead of {want:?}"),
        }
    }

    fn settings(all: &[(&str, &str)]) -> Config {
        let mut config = Config::default();
        for (key, value) in all {
            config.set(key, value).unwrap();
        }
        config
    }

    const SERVER: (&str, &str) = ("mail_server", "smtps://mail.example.org");
    const FROM: (&str, &str) = ("mail_from", "stats@example.org");
    const URL: (&str, &str) = ("public_url", "https://stats.example.org");

    #[rstest]
    #[case::no_server(&[FROM], Ok(false))]
    #[case::all(&[SERVER, FROM, URL], Ok(true))]
    #[case::with_a_name(&[SERVER, FROM, URL, ("mail_user", "ann"), ("mail_password", "kurz")], Ok(true))]
    #[case::no_from(&[SERVER, URL], Err("mail_from"))]
    #[case::no_url(&[SERVER, FROM], Err("public_url"))]
    #[case::no_password(&[SERVER, FROM, URL, ("mail_user", "ann")], Err("go together"))]
    #[case::no_user(&[SERVER, FROM, URL, ("mail_password", "kurz")], Err("go together"))]
    fn settings_of_mails_go_together_or_say_what_is_missing(
        #[case] all: &[(&str, &str)],
        #[case] want: Result<bool, &str>,
    ) {
        match (Mailer::of(&settings(all)), want) {
            (Ok(mailer), Ok(is_set)) => assert_eq!(mailer.is_set(), is_set),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, want) => panic!("{got:?} instead of {want:?}"),
        }
    }

    #[test]
    fn what_people_typed_adds_no_header() {
        let from = "Our figures <stats@example.org>".parse().unwrap();
        let mail = Mail {
            to: "ann@shop.example".into(),
            subject: "Hello\r\nBcc: eve@evil.example".into(),
            text: "One line\n.\nÄ\n".into(),
            ..Mail::default()
        };
        let sent = String::from_utf8(write(&from, mail.clone()).unwrap().formatted()).unwrap();
        let (head, _) = sent.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        for to in ["ann", "ann@shop.example\r\nRCPT TO:<eve@evil.example>", "a@b, c@d"] {
            let refused = write(&from, Mail { to: to.into(), ..mail.clone() }).unwrap_err();
            assert!(!refused.is_worth_another_try(), "{refused}");
        }
    }

    #[tokio::test]
    async fn without_a_server_a_mail_says_so() {
        let refused = Mailer::default().send(Mail::default()).await.unwrap_err();
        assert!(refused.to_string().contains("mail_server"));
    }
}
