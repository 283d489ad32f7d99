//! Requests that we make ourselves: to a provider of sign-ins, to a bucket.
//!
//! Out: one agent for the process. It trusts the certificates that the system trusts (`SSL_CERT_FILE` names others), follows no
//! redirects, and takes any status for an answer. It blocks, so it belongs on threads that may.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use url::{Host, Url};

static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some certificates of the system cannot be read");
    }
    let roots = found.certs.iter().map(|cert| Certificate::from_der(cert).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .user_agent("Tallymark")
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build();
    Agent::new_with_config(config)
});

/// What sends requests.
pub fn agent() -> &'static Agent {
    &AGENT
}

/// An address to which secrets may be sent: over https, or on this machine.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn trusted_url(text: &str) -> Result<Url, String> {
    let wrong = || {
        format!(
            "{text:?} is not an address that begins with https:// (or with http:// on this machine)"
        )
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(wrong()),
    };
    let bare = url.username().is_empty() && url.password().is_none();
    match url.scheme() {
        "https" if bare => Ok(url),
        "http" if bare && local => Ok(url),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://login.example.org/realms/main", true)]
    #[case("http://localhost:8080", true)]
    #[case("http://127.0.0.1:8080/", true)]
    #[case("http://[::1]/", true)]
    #[case("http://login.example.org", false)]
    #[case("http://localhost.example.org", false)]
    #[case("https://ann:geheim@login.example.org", false)]
    #[case("file:///etc/passwd", false)]
    #[case("login.example.org", false)]
    fn secrets_leave_encrypted_or_stay_on_this_machine(#[case] text: &str, #[case] want: bool) {
        assert_eq!(trusted_url(text).is_ok(), want, "{text}");
    }
}
