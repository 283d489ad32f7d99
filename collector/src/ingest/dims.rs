//! Built-in dimensions of an event: from its page's address, its request and its client.
//!
//! Invariant: of an address only host, path and `utm_*` are kept. The rest of the query string and
//! the fragment may hold anything, tokens and names included, and are dropped here. What is kept went
//! through the `guard`.
//!
//! Reading a User-Agent and an address costs more than storing an event, and a page sends many batches: what was
//! worked out not long ago is remembered, and rows of several batches share it.
//!
//! Deliberately elsewhere: what an address or a User-Agent says (`country`, `agent`).

use std::net::IpAddr;
use std::sync::Arc;

use tallymark_protocol::batch::Context;
use tallymark_store::{Dim, Dims};
use url::Url;

use super::agent::Agent;
use super::bots::{Bot, Bots};
use super::channel::{Arrival, channel};
use super::country::{Countries, Country};
use super::guard::Guard;
use super::remembered::Remembered;
use crate::extract::{Client, clip};

/// Kinds of clients that are remembered: more than a site meets in an hour. At most 2 MiB when all are made up.
const AGENTS: usize = 1024;
const AGENT_BYTES_MAX: usize = 2 * 1024;
/// Pages with their clients that are remembered: those that send now. At most 10 MiB when all are made up.
const PAGES: usize = 4096;
const PAGE_BYTES_MAX: usize = 1024;

/// Says what events have in common.
#[derive(Debug)]
pub struct Describer {
    countries: Countries,
    bots: Bots,
    agents: Remembered<Agent>,
    pages: Remembered<Arc<Dims>>,
}

impl Describer {
    /// By these data.
    pub fn new(countries: Countries, bots: Bots) -> Self {
        let agents = Remembered::new(AGENTS, AGENT_BYTES_MAX);
        Self { countries, bots, agents, pages: Remembered::new(PAGES, PAGE_BYTES_MAX) }
    }

    /// The dimensions of a batch's events, when a page sent it.
    pub fn of_page(
        &self,
        context: &Context<'_>,
        sdk: Option<&str>,
        client: &Client<'_>,
        guard: Guard,
    ) -> Arc<Dims> {
        let (v4, v6);
        let network: &[u8] = match client.prefix {
            IpAddr::V4(address) => {
                v4 = address.octets();
                &v4
            }
            IpAddr::V6(address) => {
                v6 = address.octets();
                &v6
            }
        };
        let said = client.said.texts();
        let texts = [
            said[0],
            said[1],
            said[2],
            said[3],
            network,
            bytes(context.url.as_deref()),
            bytes(context.referrer.as_deref()),
            bytes(context.language.as_deref()),
            bytes(context.display_mode.as_deref()),
            bytes(sdk),
            if guard.is_on { b"guarded" } else { b"" },
        ];
        self.pages.of(&texts, || {
            let agent = self.agents.of(&said, || Agent::of(&client.said, &self.bots));
            let country = self.countries.of(client.prefix);
            Arc::new(dims(context, &agent, country, sdk, guard))
        })
    }
}

fn bytes(text: Option<&str>) -> &[u8] {
    text.unwrap_or_default().as_bytes()
}

/// The same when a server sent it, whose own agent and network say nothing about the person.
pub fn of_server(context: &Context<'_>, sdk: Option<&str>, guard: Guard) -> Arc<Dims> {
    Arc::new(dims(context, &Agent::default(), None, sdk, guard))
}

/// Bytes kept of a path; longer ones are cut.
const PATH_BYTES_MAX: usize = 1024;
/// Bytes kept of any other dimension.
const VALUE_BYTES_MAX: usize = 200;

/// Fill the dimensions from the context of a batch, which all its events share.
fn dims(
    context: &Context<'_>,
    agent: &Agent,
    country: Option<Country>,
    sdk: Option<&str>,
    guard: Guard,
) -> Dims {
    let mut dims: Dims = std::array::from_fn(|_| None);
    let mut put = |dim: Dim, text: Option<&str>| {
        let limit = if dim == Dim::Path { PATH_BYTES_MAX } else { VALUE_BYTES_MAX };
        let text = text.map(|text| guard.text(text.trim()));
        let text = text.as_deref().map(|text| clip(text, limit)).filter(|text| !text.is_empty());
        dims[dim as usize] = text.filter(|text| !text.contains(char::is_control)).map(Into::into);
    };
    put(Dim::Country, country.as_ref().map(Country::as_str));
    put(Dim::DeviceType, agent.device_type);
    put(Dim::Browser, agent.browser);
    put(Dim::Os, agent.os);
    if let Some(Bot { reason, score }) = &agent.bot {
        put(Dim::Bot, Some(reason));
        put(Dim::BotScore, Some(&score.to_string()));
    }
    put(Dim::Sdk, sdk);
    put(Dim::Language, context.language.as_deref());
    put(Dim::DisplayMode, context.display_mode.as_deref());

    let url = context.url.as_deref().and_then(web_address);
    let Some(url) = url else { return dims };
    put(Dim::Host, url.host_str());
    put(Dim::Path, Some(url.path()));
    let mut medium = None;
    let mut source = None;
    for (name, value) in url.query_pairs() {
        match &*name {
            "utm_source" => source = source.or(Some(value.into_owned())),
            "utm_medium" => medium = medium.or(Some(value.into_owned())),
            "utm_campaign" => put(Dim::UtmCampaign, Some(&value)),
            "utm_term" => put(Dim::UtmTerm, Some(&value)),
            "utm_content" => put(Dim::UtmContent, Some(&value)),
            _ => {}
        }
    }
    put(Dim::UtmSource, source.as_deref());
    put(Dim::UtmMedium, medium.as_deref());

    let referrer = context.referrer.as_deref().and_then(web_address);
    let elsewhere =
        referrer.as_ref().and_then(Url::host_str).filter(|host| Some(*host) != url.host_str());
    put(Dim::ReferrerHost, elsewhere);
    let arrival =
        Arrival { medium: medium.as_deref(), source: source.as_deref(), referrer_host: elsewhere };
    put(Dim::Channel, Some(channel(&arrival)));
    dims
}

/// An `http` or `https` address of believable length.
fn web_address(text: &str) -> Option<Url> {
    (text.len() <= 8 * 1024)
        .then(|| Url::parse(text).ok())
        .flatten()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::said::Said;
    use rstest::rstest;

    const GUARD: Guard = Guard { is_on: true };

    fn of(url: &str, referrer: &str) -> Dims {
        let context = Context {
            url: Some(url.into()),
            referrer: Some(referrer.into()),
            language: Some("de-DE".into()),
            ..Context::default()
        };
        dims(&context, &Agent::default(), None, Some("web/1.0.0"), GUARD)
    }

    fn get(dims: &Dims, dim: Dim) -> Option<&str> {
        dims[dim as usize].as_deref()
    }

    #[test]
    fn an_address_gives_host_path_and_campaign_and_nothing_else() {
        let url = "https://Shop.example/p/1?utm_source=news&utm_medium=email&token=SECRET#frag";
        let dims = of(url, "https://t.co/abc");
        assert_eq!(get(&dims, Dim::Host), Some("shop.example"));
        assert_eq!(get(&dims, Dim::Path), Some("/p/1"));
        assert_eq!(get(&dims, Dim::UtmSource), Some("news"));
        assert_eq!(get(&dims, Dim::Channel), Some("email"));
        assert_eq!(get(&dims, Dim::ReferrerHost), Some("t.co"));
        assert_eq!(get(&dims, Dim::Sdk), Some("web/1.0.0"));
        assert!(!format!("{dims:?}").contains("SECRET") && !format!("{dims:?}").contains("frag"));
    }

    #[test]
    fn a_click_within_the_site_is_no_referral() {
        let dims = of("https://shop.example/b", "https://shop.example/a");
        assert_eq!(
            (get(&dims, Dim::ReferrerHost), get(&dims, Dim::Channel)),
            (None, Some("direct"))
        );
    }

    #[rstest]
    #[case::not_an_address("shop")]
    #[case::a_script("javascript:alert(1)")]
    #[case::a_file("file:///etc/passwd")]
    #[case::empty("")]
    fn what_is_no_web_address_gives_nothing(#[case] url: &str) {
        let dims = of(url, "");
        assert_eq!((get(&dims, Dim::Host), get(&dims, Dim::Channel)), (None, None));
    }

    #[test]
    fn robots_are_marked_and_people_are_not() {
        let marks = |user_agent| {
            let said = Said { user_agent, ..Said::default() };
            let client = Client { prefix: "203.0.113.0".parse().unwrap(), said };
            let describer = Describer::new(Countries::default(), Bots::default());
            let dims = describer.of_page(&Context::default(), None, &client, GUARD);
            (dims[Dim::Bot as usize].clone(), dims[Dim::BotScore as usize].clone())
        };
        assert_eq!(marks("curl/8.0"), (Some("script".into()), Some("0.95".into())));
        assert_eq!(marks("Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"), (None, None));
        assert_eq!(*of_server(&Context::default(), None, GUARD), Dims::default());
    }

    #[test]
    fn what_is_remembered_is_of_this_page_this_client_and_this_network() {
        let describer = Describer::new(Countries::default(), Bots::default());
        let of = |url: &'static str, user_agent, network: &str| {
            let context = Context { url: Some(url.into()), ..Context::default() };
            let said = Said { user_agent, ..Said::default() };
            let client = Client { prefix: network.parse().unwrap(), said };
            describer.of_page(&context, None, &client, GUARD)
        };
        let one = of("https://a.example/1", "Firefox/140.0", "8.8.8.0");
        assert!(Arc::ptr_eq(&one, &of("https://a.example/1", "Firefox/140.0", "8.8.8.0")));
        let differ = |dim: Dim, other: &Dims| one[dim as usize] != other[dim as usize];
        assert!(differ(Dim::Path, &of("https://a.example/2", "Firefox/140.0", "8.8.8.0")));
        assert!(differ(Dim::Bot, &of("https://a.example/1", "curl/8.0", "8.8.8.0")));
        assert!(differ(Dim::Country, &of("https://a.example/1", "Firefox/140.0", "91.0.0.0")));
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let dims = of(&format!("https://a.example/?utm_term={}", "é".repeat(150)), "");
        assert_eq!(get(&dims, Dim::UtmTerm).map(str::len), Some(200));
    }
}
