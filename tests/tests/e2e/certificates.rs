//! Connections of ours trust the authority that the operator names (`SSL_CERT_FILE`), and no other: to a provider of sign-ins
//! (and so to a bucket and a receiver of traces, which are asked by the same client) and to a mail server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use tallymark_tests::TestCollector;

type Tls = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// An authority, and a certificate of it for this machine.
struct Authority {
    /// The file that names it.
    file: PathBuf,
    server: Arc<ServerConfig>,
    _folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate: CertificateDer<'static> =
            params.signed_by(&key, &authority).unwrap().into();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, authority.as_ref().pem()).unwrap();
        Self { file, server: Arc::new(server), _folder: folder }
    }

    /// A server with its certificate; gives the port. `speak` is called for each connection whose other end trusts it.
    fn serve(&self, speak: impl Fn(u16, Tls) + Send + Sync + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (server, speak) = (Arc::clone(&self.server), Arc::new(speak));
        thread::spawn(move || {
            for mut stream in listener.incoming().filter_map(Result::ok) {
                let (server, speak) = (Arc::clone(&server), Arc::clone(&speak));
                thread::spawn(move || {
                    let mut connection = ServerConnection::new(server).unwrap();
                    while connection.is_handshaking() {
                        if connection.complete_io(&mut stream).is_err() {
                            return;
                        }
                    }
                    speak(port, BufReader::new(StreamOwned::new(connection, stream)));
                });
            }
        });
        port
    }
}

fn line(stream: &mut Tls) -> String {
    let mut line = String::new();
    let _ = stream.read_line(&mut line);
    line.trim_end().to_owned()
}

/// What a provider says of itself.
fn describe(port: u16, mut stream: Tls) {
    while !line(&mut stream).is_empty() {}
    let issuer = format!("https://localhost:{port}");
    let said = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
    })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{said}", said.len());
    let _ = stream.get_mut().write_all(answer.as_bytes());
    let _ = stream.get_mut().flush();
    let _ = stream.read(&mut [0]);
}

#[test]
fn a_provider_is_asked_when_its_certificate_is_of_the_named_authority() {
    let (named, other) = (Authority::new(), Authority::new());
    let issuer = format!("https://localhost:{}", named.serve(describe));
    for (authority, is_trusted) in [(&named, true), (&other, false)] {
        let collector = TestCollector::start_with(&[
            ("SSL_CERT_FILE", authority.file.to_str().unwrap()),
            ("TALLYMARK_PUBLIC_URL", "https://stats.example.org"),
            ("TALLYMARK_OIDC_ISSUER", &issuer),
            ("TALLYMARK_OIDC_CLIENT_ID", "tallymark"),
        ]);
        let mut client = TcpStream::connect(collector.address()).unwrap();
        let ask = "GET /signin/oidc HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
        client.write_all(ask.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let (log, sent_on) = (collector.log(), format!("location: {issuer}/authorize?"));
        assert_eq!(answer.contains(&sent_on), is_trusted, "{answer} {log}");
        assert_eq!(log.contains("invalid peer certificate"), !is_trusted, "{log}");
    }
}

#[test]
fn a_mail_leaves_when_the_servers_certificate_is_of_the_named_authority() {
    let (named, other) = (Authority::new(), Authority::new());
    let heard = Arc::new(Mutex::new(String::new()));
    let keeps = Arc::clone(&heard);
    let port = named.serve(move |_, mut stream| {
        let say = |stream: &mut Tls, words: &str| {
            let _ = stream.get_mut().write_all(format!("{words}\r\n").as_bytes());
            let _ = stream.get_mut().flush();
        };
        say(&mut stream, "220 here");
        loop {
            let command = line(&mut stream);
            let answer = match command.get(..4).unwrap_or_default() {
                "EHLO" => "250-here\r\n250 AUTH PLAIN",
                "AUTH" => "235 in",
                "DATA" => {
                    say(&mut stream, "354 go on");
                    loop {
                        let line = line(&mut stream);
                        if line == "." {
                            break;
                        }
                        keeps.lock().unwrap().push_str(&line);
                    }
                    "250 taken"
                }
                "QUIT" | "" => return,
                _ => "250 yes",
            };
            say(&mut stream, answer);
        }
    });
    let server = format!("smtps://localhost:{port}");
    for (authority, is_trusted) in [(&named, true), (&other, false)] {
        let collector = TestCollector::start_with(&[
            ("SSL_CERT_FILE", authority.file.to_str().unwrap()),
            ("TALLYMARK_PUBLIC_URL", "https://stats.example.org"),
            ("TALLYMARK_MAIL_SERVER", &server),
            ("TALLYMARK_MAIL_USER", "stats"),
            ("TALLYMARK_MAIL_PASSWORD", "geheim"),
            ("TALLYMARK_MAIL_FROM", "stats@example.org"),
        ]);
        let told = collector.command_ok(&["member", "invite", "ann@a.example", "--role", "viewer"]);
        assert_eq!(told.contains("/invitation?token="), !is_trusted, "{told}");
        let mail = std::mem::take(&mut *heard.lock().unwrap());
        assert_eq!(mail.contains("ann@a.example"), is_trusted, "{mail}");
    }
}
