//! Where a visit came from, in one word.
//!
//! Rules from the surest sign to the weakest: what the link's author wrote (`utm_medium`,
//! `utm_source`), then who linked.

/// What is known about an arrival.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrival<'a> {
    /// `utm_medium` of the address.
    pub medium: Option<&'a str>,
    /// `utm_source` of the address.
    pub source: Option<&'a str>,
    /// Host of the referring page, if it is another one than ours.
    pub referrer_host: Option<&'a str>,
}

/// The channel of an arrival: `paid`, `display`, `email`, `affiliate`, `ai`, `social`, `video`,
/// `search`, `campaign`, `referral` or `direct`.
pub fn channel(arrival: &Arrival<'_>) -> &'static str {
    let medium = arrival.medium.map(str::to_ascii_lowercase);
    let by_medium = match medium.as_deref() {
        Some(
            "cpc" | "ppc" | "cpa" | "cpm" | "paid" | "paidsearch" | "paid_search" | "paidsocial"
            | "paid_social",
        ) => Some("paid"),
        Some("display" | "banner" | "interstitial") => Some("display"),
        Some("email" | "e-mail" | "newsletter" | "mail") => Some("email"),
        Some("affiliate" | "partner") => Some("affiliate"),
        Some("social" | "social-network" | "social-media" | "sm") => Some("social"),
        Some("video") => Some("video"),
        Some("organic") => Some("search"),
        Some("referral") => Some("referral"),
        _ => None,
    };
    let by_source = arrival.source.and_then(|source| site(&source.to_ascii_lowercase()));
    let tagged = arrival.medium.is_some() || arrival.source.is_some();
    by_medium.or(by_source).or_else(|| arrival.referrer_host.and_then(site)).unwrap_or(
        match (tagged, arrival.referrer_host) {
            (true, _) => "campaign",
            (false, Some(_)) => "referral",
            (false, None) => "direct",
        },
    )
}

/// The kind of a well-known site, by a label of its host (`google` in `www.google.de`) or by its
/// whole registered host (`t.co`).
fn site(host: &str) -> Option<&'static str> {
    const SITES: &[(&str, &[&str])] = &[
        (
            "ai",
            &[
                "chatgpt",
                "openai",
                "claude.ai",
                "perplexity",
                "gemini.google.com",
                "copilot.microsoft.com",
            ],
        ),
        (
            "email",
            &["mail.google.com", "outlook.live.com", "mail.yahoo.com", "newsletter", "mailchimp"],
        ),
        ("video", &["youtube", "youtu.be", "vimeo", "twitch"]),
        (
            "social",
            &[
                "facebook",
                "instagram",
                "t.co",
                "twitter",
                "x.com",
                "linkedin",
                "lnkd.in",
                "reddit",
                "pinterest",
                "tiktok",
                "bsky.app",
                "mastodon",
                "threads",
                "news.ycombinator.com",
            ],
        ),
        (
            "search",
            &[
                "google",
                "bing",
                "duckduckgo",
                "yahoo",
                "ecosia",
                "qwant",
                "startpage",
                "yandex",
                "baidu",
                "naver",
                "search.brave.com",
                "kagi",
            ],
        ),
    ];
    let is_below = |name: &str| {
        host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
    };
    let is_named = |names: &&[&str]| {
        let mut hosts = names.iter().filter(|name| name.contains('.'));
        hosts.any(|name| is_below(name)) || host.split('.').any(|label| names.contains(&label))
    };
    SITES.iter().find(|(_, names)| is_named(names)).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing_known(None, None, None, "direct")]
    #[case::a_link_somewhere(None, None, Some("blog.example"), "referral")]
    #[case::search(None, None, Some("www.google.de"), "search")]
    #[case::mail_on_the_web(None, None, Some("mail.google.com"), "email")]
    #[case::assistant_on_a_search_site(None, None, Some("gemini.google.com"), "ai")]
    #[case::short_link_of_a_network(None, None, Some("t.co"), "social")]
    #[case::a_host_that_only_ends_alike(None, None, Some("most.co"), "referral")]
    #[case::paid_beats_the_site(Some("cpc"), Some("google"), Some("www.google.com"), "paid")]
    #[case::newsletter(Some("Email"), Some("november"), None, "email")]
    #[case::only_a_source(None, Some("facebook"), None, "social")]
    #[case::unknown_tags(Some("poster"), Some("station"), None, "campaign")]
    fn a_channel_is(
        #[case] medium: Option<&str>,
        #[case] source: Option<&str>,
        #[case] referrer_host: Option<&str>,
        #[case] want: &str,
    ) {
        assert_eq!(channel(&Arrival { medium, source, referrer_host }), want);
    }
}
