//! Invitations and links to another password by mail, sent to a mail server that writes down what it hears.

use std::sync::{Arc, Mutex};

use tallymark::access::Role;
use tallymark::config::Config;
use tallymark::mail::{Attachment, Mail, Mailer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::access::{member, session_of};
use super::*;

/// A mail server: its address, and what was sent to it.
pub struct MailServer {
    address: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// One mail as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// What was signed in with, in Base64.
    auth: String,
    from: String,
    pub to: String,
    /// Headers and body, dots undone.
    pub data: String,
}

/// What a server says to `RCPT TO`.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    Takes,
    Never,
    Later,
}

impl MailServer {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mails = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, mood, Arc::clone(&mails)));
            }
        });
        Self { address, heard }
    }

    pub fn settings(&self) -> Config {
        let server = format!("smtp-plain://{}", self.address);
        let mut config = Config::default();
        for (key, value) in [
            ("mail_server", server.as_str()),
            ("mail_from", "Figures <stats@example.org>"),
            ("mail_user", "tallymark"),
            ("mail_password", "kurz"),
            ("public_url", "https://stats.example.org/"),
        ] {
            config.set(key, value).unwrap();
        }
        config
    }

    pub fn mails(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The mails, once there are so many.
    async fn wait_for(&self, count: usize) -> Vec<Heard> {
        for _ in 0..500 {
            if self.mails().len() >= count {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        self.mails()
    }
}

/// SMTP, as much as senders need of it.
async fn converse(stream: TcpStream, mood: Mood, mails: Arc<Mutex<Vec<Heard>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 mail.test\r\n").await.unwrap();
    let mut mail = Heard::default();
    while let Ok(Some(line)) = lines.next_line().await {
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
        let said = match verb {
            "EHLO" => "250-mail.test\r\n250 AUTH PLAIN",
            "AUTH" => {
                mail.auth = rest.to_owned();
                "235 in"
            }
            "MAIL" => {
                mail.from = rest.to_owned();
                "250 ok"
            }
            "RCPT" => {
                mail.to = rest.to_owned();
                match mood {
                    Mood::Takes => "250 ok",
                    Mood::Never => "550 nobody here by this name",
                    Mood::Later => "451 come back later",
                }
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    mail.data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.data.push('\n');
                }
                mails.lock().unwrap().push(mail.clone());
                "250 taken"
            }
            "QUIT" => {
                write.write_all(b"221 bye\r\n").await.unwrap();
                return;
            }
            _ => "250 ok",
        };
        write.write_all(format!("{said}\r\n").as_bytes()).await.unwrap();
    }
}

/// The path of the only link in a mail.
fn link(mail: &Heard, begins: &str) -> String {
    let text = mail.data.replace("=\n", "").replace("=3D", "=");
    let begins = format!("https://stats.example.org{begins}");
    let (_, rest) = text.split_once(&begins).unwrap_or_else(|| panic!("no {begins} in {text}"));
    let token = rest.split_whitespace().next().unwrap();
    format!("{}{token}", begins.strip_prefix("https://stats.example.org").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_goes_to_who_is_invited_and_to_nobody_else() {
    let server = MailServer::start(Mood::Takes).await;
    let service = service_with(server.settings()).await;
    let operator = session_of(&service.app, None).await;
    let path = "/v1/organisations/main/invitations";
    let body = json!({ "email": "Ann@shop.example", "role": "analyst" });
    let invited = service.by(&operator, Method::POST, path, body).await;
    assert_eq!(invited.status, 201, "{invited:?}");
    assert_eq!(invited.json()["mailed"], true);
    let token_in_answer = String::from_utf8_lossy(&invited.bytes).contains("token=");
    assert!(!token_in_answer, "{invited:?}");

    let mails = server.mails();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert!(mail.from.contains("<stats@example.org>"), "{mail:?}");
    assert!(mail.to.contains("<ann@shop.example>"), "{mail:?}");
    assert!(mail.auth.ends_with("AHRhbGx5bWFyawBrdXJ6"), "tallymark and kurz, in Base64: {mail:?}");
    assert!(mail.data.contains("From: Figures <stats@example.org>"), "{mail:?}");
    let path = link(mail, "/invitation?token=");
    assert_eq!(service.get(&path, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_mail_can_be_sent_the_link_is_shown_with_the_reason() {
    let cases = [(Some(Mood::Never), Some("550")), (Some(Mood::Later), Some("451")), (None, None)];
    for (mood, reason) in cases {
        let config = match mood {
            Some(mood) => MailServer::start(mood).await.settings(),
            None => Config::default(),
        };
        let service = service_with(config).await;
        let operator = session_of(&service.app, None).await;
        let path = "/v1/organisations/main/invitations";
        let body = json!({ "email": "ann@shop.example", "role": "viewer" });
        let invited = service.by(&operator, Method::POST, path, body).await.json();
        assert_eq!(invited["mailed"], false);
        let path = invited["path"].as_str().unwrap();
        assert_eq!(service.get(path, None).await.status, 200);
        let said = invited["mail_error"].as_str();
        assert_eq!(said.is_some(), reason.is_some(), "{invited}");
        assert!(said.unwrap_or_default().contains(reason.unwrap_or_default()), "{invited}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_forgot_their_password_gets_a_link_and_strangers_learn_nothing() {
    let server = MailServer::start(Mood::Takes).await;
    let service = service_with(server.settings()).await;
    member(&service.app, MAIN, Role::Viewer, "ann@shop.example").await;
    let signin = service.get("/signin", None).await;
    assert!(String::from_utf8_lossy(&signin.bytes).contains("/forgot"));

    let known = service.form("/forgot", &[("email", " Ann@shop.example")]).await;
    let unknown = service.form("/forgot", &[("email", "eve@shop.example")]).await;
    let nonsense = service.form("/forgot", &[("email", "no address")]).await;
    assert_eq!(known.status, 200);
    assert_eq!((&known.bytes, &known.bytes), (&unknown.bytes, &nonsense.bytes));

    let mails = server.wait_for(1).await;
    assert!(mails[0].to.contains("<ann@shop.example>"), "{mails:?}");
    let path = link(&mails[0], "/password?token=");
    let page = service.get(&path, None).await;
    assert!(String::from_utf8_lossy(&page.bytes).contains("ann@shop.example"));

    // Asked again at once: no second mail; after five minutes there is another link, and the first is void.
    service.form("/forgot", &[("email", "ann@shop.example")]).await;
    service.app.clock.advance(5 * 60 * 1000 - 1);
    service.form("/forgot", &[("email", "ann@shop.example")]).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(server.mails().len(), 1);
    service.app.clock.advance(1);
    service.form("/forgot", &[("email", "ann@shop.example")]).await;
    let mails = server.wait_for(2).await;
    assert_eq!(mails.len(), 2);
    assert_eq!(service.get(&path, None).await.status, 404);
    let (_, token) = path.split_once("token=").unwrap();
    let password = [("token", token), ("password", "correct horse battery staple")];
    assert_eq!(service.form("/password", &password).await.status, 404);
    let newer = link(&mails[1], "/password?token=");
    let (_, token) = newer.split_once("token=").unwrap();
    let password = [("token", token), ("password", "correct horse battery staple")];
    assert_eq!(service.form("/password", &password).await.status, 200);
    let elsewhere = [("content-type", "application/x-www-form-urlencoded")];
    let forged = service.post("/forgot", &elsewhere, "email=ann%40shop.example").await;
    assert_eq!(forged.problem(), (403, "cross_site".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_carries_text_html_and_files() {
    let server = MailServer::start(Mood::Takes).await;
    let mailer = Mailer::of(&server.settings()).unwrap();
    let file = Attachment {
        name: "täglich.csv".into(),
        content_type: "text/csv".into(),
        bytes: b"day,people\n2026-11-21,3\n".to_vec(),
    };
    let mail = Mail {
        to: "ann@shop.example".into(),
        subject: "Figures of the day: Größe".into(),
        text: "Three people\n.\nand a dot\n".into(),
        html: Some("<p>Three people</p>".into()),
        attachments: vec![file],
        id: None,
    };
    mailer.send(mail).await.unwrap();
    let data = &server.mails()[0].data;
    for part in ["multipart/mixed", "multipart/alternative", "text/plain", "<p>Three people</p>"] {
        assert!(data.contains(part), "{part} is not in {data}");
    }
    assert!(data.contains("\n.\nand a dot"), "a line of one dot ends no mail: {data}");
    assert!(data.contains("text/csv") && data.contains("attachment"), "{data}");
    assert!(!data.contains("Größe"), "headers are encoded: {data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_sent_where_encryption_was_asked_for_and_is_not_there() {
    let server = MailServer::start(Mood::Takes).await;
    let mut config = server.settings();
    config.set("mail_server", &format!("smtp://{}", server.address)).unwrap();
    let mail = Mail { to: "ann@shop.example".into(), ..Mail::default() };
    let refused = Mailer::of(&config).unwrap().send(mail).await.unwrap_err();
    assert!(refused.to_string().to_lowercase().contains("starttls"), "{refused}");
    assert!(server.mails().is_empty());
}
