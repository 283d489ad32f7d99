//! Requests that we make ourselves: to a provider of sign-ins, to a bucket, to webhooks.
//!
//! Out: one agent for addresses that the operator chose ([`agent`]), and one for those that members of a project type
//! ([`to_strangers`]), which reaches nothing inside the operator's network: names are looked up by it, and what they stand
//! for is looked at before anything connects, so a name cannot mean one address when it is checked and another one after.
//!
//! An agent is one for the process. It trusts the certificates that the system trusts (`SSL_CERT_FILE` names others), follows no
//! redirects, and takes any status for an answer. It blocks, so it belongs on threads that may.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use url::{Host, Url};

static AGENT: LazyLock<Agent> = LazyLock::new(|| Agent::new_with_config(config(None)));

static TO_PUBLIC: LazyLock<Agent> = LazyLock::new(|| {
    Agent::with_parts(config(Some(PATIENCE)), DefaultConnector::default(), PublicOnly::default())
});

static TO_ANY: LazyLock<Agent> = LazyLock::new(|| Agent::new_with_config(config(Some(PATIENCE))));

/// How long a stranger may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether addresses that members type may be inside the operator's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Private {
    /// They may not.
    Refused,
    /// They may, and need no https.
    Allowed,
}

fn config(patience: Option<Duration>) -> Config {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some certificates of the system cannot be read");
    }
    let roots = found.certs.iter().map(|cert| Certificate::from_der(cert).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .user_agent("Tallymark")
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_global(patience)
        .build()
}

/// What sends requests.
pub fn agent() -> &'static Agent {
    &AGENT
}

/// What sends requests to addresses that members typed.
pub fn to_strangers(private: Private) -> &'static Agent {
    match private {
        Private::Refused => &TO_PUBLIC,
        Private::Allowed => &TO_ANY,
    }
}

/// Looks names up, and forgets what is not on the internet.
#[derive(Debug, Default)]
struct PublicOnly(DefaultResolver);

impl Resolver for PublicOnly {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.0.resolve(uri, config, timeout)?;
        let mut kept = self.empty();
        for address in found.iter().filter(|address| is_public(address.ip())) {
            kept.push(*address);
        }
        if kept.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(kept) }
    }
}

/// Whether an address is one of the internet: none of this machine, of a private network, of a link, or set aside for
/// something else.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let set_aside = a == 0 || a >= 224 || (a == 192 && b == 0 && c == 0);
            let benchmark = a == 198 && (b == 18 || b == 19);
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_documentation()
                || shared
                || set_aside
                || benchmark)
        }
        IpAddr::V6(address) => match inside(address) {
            Some(inside) => is_public(IpAddr::V4(inside)),
            // What is given out so far, without the examples of documentation.
            None => {
                let [first, second, ..] = address.segments();
                first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0x0db8)
            }
        },
    }
}

/// The IPv4 address that one of IPv6 leads to.
fn inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // Mapped, and translated by a gateway.
        (0, 0) if [c, d, e] == [0; 3] && f == 0xffff => Some(of(g, h)),
        (0x64, 0xff9b) => Some(of(g, h)),
        // 6to4.
        (0x2002, _) => Some(of(b, c)),
        _ => None,
    }
}

/// An address of a webhook: over https, or over http too where private networks are allowed.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn webhook_url(text: &str, private: Private) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| {
        let scheme =
            url.scheme() == "https" || (url.scheme() == "http" && private == Private::Allowed);
        let bare = url.username().is_empty() && url.password().is_none();
        let fits = match url.host() {
            Some(Host::Ipv4(address)) => private == Private::Allowed || is_public(address.into()),
            Some(Host::Ipv6(address)) => private == Private::Allowed || is_public(address.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        scheme && bare && fits
    });
    url.ok_or_else(|| {
        format!("{text:?} is not an address on the internet that begins with https://")
    })
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
    #[case("1.1.1.1", true)]
    #[case("127.0.0.1", false)]
    #[case("0.0.0.0", false)]
    #[case("10.0.0.1", false)]
    #[case("172.16.0.1", false)]
    #[case("172.32.0.1", true)]
    #[case("192.168.0.1", false)]
    #[case("169.254.169.254", false)]
    #[case("100.63.255.255", true)]
    #[case("100.64.0.0", false)]
    #[case("100.127.255.255", false)]
    #[case("100.128.0.0", true)]
    #[case("198.18.0.1", false)]
    #[case("224.0.0.1", false)]
    #[case("255.255.255.255", false)]
    #[case("::1", false)]
    #[case("::", false)]
    #[case("fe80::1", false)]
    #[case("fc00::1", false)]
    #[case("ff02::1", false)]
    #[case("2606:4700:4700::1111", true)]
    #[case("2001:db8::1", false)]
    #[case("::ffff:10.0.0.1", false)]
    #[case("::ffff:1.1.1.1", true)]
    #[case("64:ff9b::10.0.0.1", false)]
    #[case("2002:7f00:1::", false)]
    fn what_members_type_reaches_the_internet_only(#[case] address: &str, #[case] want: bool) {
        assert_eq!(is_public(address.parse().unwrap()), want, "{address}");
    }

    #[rstest]
    #[case("https://hooks.example.org/a?b=c", true, true)]
    #[case("http://hooks.example.org/", false, true)]
    #[case("https://127.0.0.1/", false, true)]
    #[case("https://0x7f.1/", false, true)]
    #[case("https://2130706433/", false, true)]
    #[case("https://[::1]/", false, true)]
    #[case("https://ann:geheim@hooks.example.org/", false, false)]
    #[case("file:///etc/passwd", false, false)]
    #[case("hooks.example.org", false, false)]
    fn an_address_of_a_webhook_is(#[case] text: &str, #[case] public: bool, #[case] private: bool) {
        assert_eq!(webhook_url(text, Private::Refused).is_ok(), public, "{text}");
        assert_eq!(webhook_url(text, Private::Allowed).is_ok(), private, "{text}");
    }

    #[test]
    fn a_name_that_leads_inside_leads_nowhere() {
        let refused = to_strangers(Private::Refused).get("https://localhost:1/").call();
        assert!(matches!(refused, Err(ureq::Error::HostNotFound)), "{refused:?}");
    }

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
