//! Built-in dimensions of an event: from its page's address, its request and its client.
//!
//! Invariant: of an address only host, path and `utm_*` are kept. The rest of the query string and
//! the fragment may hold anything, tokens and names included, and are dropped here.
//!
//! Deliberately elsewhere: what an address or a User-Agent says (`country`, `agent`).

use tallymark_protocol::batch::Context;
use tallymark_store::{Dim, Dims};
use url::Url;

use super::agent::Agent;
use super::channel::{Arrival, channel};
use super::country::Country;
use crate::extract::clip;

/// Bytes kept of a path; longer ones are cut.
const PATH_BYTES_MAX: usize = 1024;
/// Bytes kept of any other dimension.
const VALUE_BYTES_MAX: usize = 200;

/// Fill the dimensions from the context of a batch, which all its events share.
pub fn dims(
    context: &Context<'_>,
    agent: &Agent,
    country: Option<Country>,
    sdk: Option<&str>,
) -> Dims {
    let mut dims: Dims = std::array::from_fn(|_| None);
    let mut put = |dim: Dim, text: Option<&str>| {
        let limit = if dim == Dim::Path { PATH_BYTES_MAX } else { VALUE_BYTES_MAX };
        let text = text.map(|text| clip(text.trim(), limit)).filter(|text| !text.is_empty());
        dims[dim as usize] = text.filter(|text| !text.contains(char::is_control)).map(Into::into);
    };
    put(Dim::Country, country.as_ref().map(Country::as_str));
    put(Dim::DeviceType, agent.device_type);
    put(Dim::Browser, agent.browser);
    put(Dim::Os, agent.os);
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
    use rstest::rstest;

    fn of(url: &str, referrer: &str) -> Dims {
        let context = Context {
            url: Some(url.into()),
            referrer: Some(referrer.into()),
            language: Some("de-DE".into()),
            ..Context::default()
        };
        dims(&context, &Agent::default(), None, Some("web/1.0.0"))
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
    fn long_values_are_cut_at_a_character() {
        let dims = of(&format!("https://a.example/?utm_term={}", "é".repeat(150)), "");
        assert_eq!(get(&dims, Dim::UtmTerm).map(str::len), Some(200));
    }
}
