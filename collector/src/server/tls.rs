//! TLS of our own, for those who have no proxy in front.
//!
//! In: a file of certificates and one of a key, both PEM. Out: [`Tls`], which takes connections by what is in the files
//! now: they are looked at every few seconds, so a renewed certificate needs no restart. Files that cannot be used
//! are logged and change nothing.
//!
//! Deliberately elsewhere: getting and renewing certificates.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::config::Config;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Takes connections over TLS.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    cert: PathBuf,
    key: PathBuf,
    now: RwLock<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    stamps: Stamps,
}

/// By what a changed file is told: when it was written, and its length.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// By the settings; `None` where they name no certificate.
    ///
    /// # Errors
    /// When only one of both is named, or the files cannot be used.
    pub fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let (cert, key) = (config.tls_cert.as_str(), config.tls_key.as_str());
        if cert.is_empty() && key.is_empty() {
            return Ok(None);
        }
        ensure!(!cert.is_empty() && !key.is_empty(), "tls_cert and tls_key go together");
        let (cert, key) = (PathBuf::from(cert), PathBuf::from(key));
        let stamps = stamps(&cert, &key);
        let now = RwLock::new(Loaded { config: load(&cert, &key)?, stamps });
        Ok(Some(Self(Arc::new(Shared { cert, key, now }))))
    }

    /// Greet a client.
    ///
    /// # Errors
    /// When it speaks no TLS, or none that we do.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config();
        TlsAcceptor::from(config).accept(stream).await
    }

    fn config(&self) -> Arc<ServerConfig> {
        let now = self.0.now.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Arc::clone(&now.config)
    }

    /// Look at the files every few seconds. Runs until it is dropped.
    pub async fn watch(self) {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tick.tick().await;
            match self.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the new certificate cannot be used; the one before stays"
                ),
            }
        }
    }

    /// Read the files if they changed; whether they did.
    fn reload(&self) -> anyhow::Result<bool> {
        let Shared { cert, key, now } = &*self.0;
        let stamps = stamps(cert, key);
        if now.read().unwrap_or_else(|poisoned| poisoned.into_inner()).stamps == stamps {
            return Ok(false);
        }
        let loaded = load(cert, key);
        let mut now = now.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        // What cannot be used is tried again when it changes, not every time.
        now.stamps = stamps;
        now.config = loaded?;
        Ok(true)
    }
}

fn stamps(cert: &Path, key: &Path) -> Stamps {
    [cert, key].map(|path| {
        let file = fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    })
}

fn load(cert: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let of = |path: &Path| path.display().to_string();
    let pem = fs::read(cert).with_context(|| of(cert))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.with_context(|| format!("{} is not PEM", of(cert)))?;
    ensure!(!chain.is_empty(), "{} has no certificate", of(cert));
    let pem = fs::read(key).with_context(|| of(key))?;
    // What is wrong with a key file is said without any of it.
    let key_der = PrivateKeyDer::from_pem_slice(&pem).ok();
    let key_der = key_der.with_context(|| format!("{} has no private key", of(key)))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .with_context(|| format!("{} and {} do not fit", of(cert), of(key)))?;
    let mut config = config;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::clock::Clock;
    use crate::folder::Folder;
    use crate::front::Front;
    use crate::server::{Limits, serve};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    /// A certificate for `localhost` in the two files; a client that trusts no other.
    fn issue(config: &Config) -> TlsConnector {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&config.tls_cert, made.cert.pem()).unwrap();
        fs::write(&config.tls_key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(client))
    }

    async fn health(connector: &TlsConnector, address: std::net::SocketAddr) -> io::Result<String> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, stream).await?;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        // Ends without a goodbye where the connection is simply closed.
        let _ = stream.read_to_string(&mut answer).await;
        Ok(answer)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn requests_come_over_tls_and_a_new_certificate_needs_no_restart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let config =
            Config { tls_cert: at("cert.pem"), tls_key: at("key.pem"), ..Config::default() };
        let first = issue(&config);
        let tls = Tls::of(&config).unwrap().unwrap();
        let limits = Limits { header_timeout: Duration::from_millis(300), ..Limits::from(&config) };
        let app = App::open(Folder::at(dir.path().join("data")), config.clone(), Clock::System);
        let app = app.await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let telemetry = app.telemetry.clone();
        let serving =
            serve(listener, Some(tls.clone()), Front::new(app), limits, telemetry, async {
                drop(stopped.await);
            });
        let serving = tokio::spawn(serving);

        let answer = health(&first, address).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(!tls.reload().unwrap(), "nothing changed");

        // Who says nothing is let go, and speaks for nobody else.
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").await.unwrap();
        let mut left = Vec::new();
        let both = async {
            (silent.read_to_end(&mut left).await, plain.read_to_end(&mut Vec::new()).await)
        };
        tokio::time::timeout(Duration::from_secs(5), both)
            .await
            .expect("both are closed")
            .0
            .unwrap();
        assert!(left.is_empty());

        let second = issue(&config);
        assert!(tls.reload().unwrap());
        assert!(health(&second, address).await.unwrap().starts_with("HTTP/1.1 200"));
        assert!(
            health(&first, address).await.is_err(),
            "the old certificate is not shown any more"
        );

        // Half a renewal: a key that does not fit, then nonsense. What was there before stays.
        let old_key = fs::read(&config.tls_key).unwrap();
        let third = issue(&config);
        fs::write(&config.tls_key, old_key).unwrap();
        let error = format!("{:#}", tls.reload().unwrap_err());
        assert!(error.contains("do not fit"), "{error}");
        assert!(health(&second, address).await.unwrap().starts_with("HTTP/1.1 200"));
        assert!(health(&third, address).await.is_err());
        fs::write(&config.tls_key, "secret nonsense").unwrap();
        let error = format!("{:#}", tls.reload().unwrap_err());
        assert!(error.contains("has no private key") && !error.contains("nonsense"), "{error}");
        drop(stop);
        serving.await.unwrap();
    }

    #[test]
    fn both_files_are_named_and_can_be_read() {
        let of = |cert: &str, key: &str| {
            let config = Config { tls_cert: cert.into(), tls_key: key.into(), ..Config::default() };
            Tls::of(&config).map(|tls| tls.is_some()).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(of("", ""), Ok(false));
        assert_eq!(of("a.pem", ""), Err("tls_cert and tls_key go together".into()));
        assert!(of("no/such.pem", "no/such.key").unwrap_err().starts_with("no/such.pem"));
    }
}
