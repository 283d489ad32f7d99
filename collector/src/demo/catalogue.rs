//! What the demo's site sells, who writes for it, and where its visitors come from.
//!
//! Tables only. The shop is invented; shares are chosen to look like a small European shop with a
//! magazine, not measured anywhere.

/// Something for sale, seen under `/shop/<id>`.
pub struct Product {
    /// Last part of the path and `content_id`.
    pub id: &'static str,
    /// Who makes it: the `owner` of its content views.
    pub maker: &'static str,
    /// Shelf it stands on.
    pub category: &'static str,
    /// Price in euros.
    pub price: f64,
}

/// Something to read, seen under `/journal/<id>`.
pub struct Article {
    /// Last part of the path and `content_id`.
    pub id: &'static str,
    /// Who wrote it: the `owner` of its content views.
    pub author: &'static str,
    /// Median time a reader spends on it, in seconds.
    pub read_s: f64,
}

/// Where a visit came from.
pub struct Source {
    /// `channel`, by the collector's names.
    pub channel: &'static str,
    /// What its links lead to.
    pub lands: Landing,
    /// `referrer_host`, if the browser tells.
    pub referrer_host: Option<&'static str>,
    /// `utm_source`, `utm_medium`, `utm_campaign` of the link, if it carries them.
    pub utm: Option<(&'static str, &'static str, &'static str)>,
    /// How much likelier than average its visitors are to buy.
    pub intent: f64,
}

/// What the links of a source lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// Anywhere: people know the address.
    Anywhere,
    /// Something to buy.
    Goods,
    /// Something to read, mostly.
    Reading,
    /// What was searched for.
    Answers,
    /// What the letter of the week is about.
    Letter,
}

/// A country: ISO code, hours ahead of UTC, language.
pub struct Country(pub &'static str, pub i64, pub &'static str);

/// A device: `device_type`, `os`, `browser`, and whether it can install web apps.
pub struct Device(pub &'static str, pub &'static str, pub &'static str, pub bool);

const fn product(
    id: &'static str,
    maker: &'static str,
    category: &'static str,
    price: f64,
) -> Product {
    Product { id, maker, category, price }
}

const fn article(id: &'static str, author: &'static str, read_s: f64) -> Article {
    Article { id, author, read_s }
}

/// Products, the most wanted first; the weight is how often one is looked at.
pub const PRODUCTS: &[(f64, Product)] = &[
    (14.0, product("morning-kettle", "Halden Works", "kettles", 64.0)),
    (11.0, product("first-flush-2026", "Sunil Estate", "tea", 18.5)),
    (9.0, product("stoneware-cup", "Atelier Ost", "cups", 24.0)),
    (8.0, product("travel-flask", "Halden Works", "flasks", 39.0)),
    (7.0, product("genmaicha", "Kumo Garden", "tea", 12.9)),
    (6.0, product("pour-over-set", "Atelier Ost", "brewing", 52.0)),
    (5.0, product("earl-grey-blue", "Sunil Estate", "tea", 11.5)),
    (4.5, product("cast-iron-pot", "Kumo Garden", "pots", 89.0)),
    (4.0, product("sampler-box", "Tallow and Leaf", "tea", 29.0)),
    (3.5, product("mint-and-verbena", "Tallow and Leaf", "tea", 9.8)),
    (3.0, product("glass-teapot", "Atelier Ost", "pots", 47.0)),
    (2.5, product("bamboo-whisk", "Kumo Garden", "brewing", 21.0)),
    (2.0, product("matcha-ceremonial", "Kumo Garden", "tea", 34.0)),
    (1.5, product("linen-towel", "Tallow and Leaf", "home", 16.0)),
    (1.0, product("gooseneck-kettle", "Halden Works", "kettles", 118.0)),
];

/// Articles, the most read first; the weight is how often one is opened.
pub const ARTICLES: &[(f64, Article)] = &[
    (16.0, article("how-hot-is-hot-enough", "Mara Lindqvist", 150.0)),
    (12.0, article("a-week-in-darjeeling", "Jonas Weber", 260.0)),
    (9.0, article("water-is-an-ingredient", "Mara Lindqvist", 120.0)),
    (8.0, article("descaling-without-tears", "Priya Raman", 75.0)),
    (7.0, article("the-two-minute-gongfu", "Kenji Mori", 95.0)),
    (6.0, article("why-your-tea-is-bitter", "Priya Raman", 110.0)),
    (5.0, article("cups-that-keep-their-heat", "Jonas Weber", 90.0)),
    (4.0, article("reading-a-tea-label", "Mara Lindqvist", 130.0)),
    (3.0, article("cold-brew-by-numbers", "Kenji Mori", 85.0)),
    (2.5, article("a-short-history-of-milk-first", "Jonas Weber", 210.0)),
    (2.0, article("storing-leaves", "Priya Raman", 70.0)),
    (1.5, article("interview-with-a-potter", "Kenji Mori", 280.0)),
];

/// Sources of first visits.
pub const SOURCES: &[(f64, Source)] = &[
    (
        30.0,
        Source {
            channel: "search",
            lands: Landing::Answers,
            referrer_host: Some("www.google.com"),
            utm: None,
            intent: 1.0,
        },
    ),
    (
        24.0,
        Source {
            channel: "direct",
            lands: Landing::Anywhere,
            referrer_host: None,
            utm: None,
            intent: 1.25,
        },
    ),
    (
        11.0,
        Source {
            channel: "email",
            lands: Landing::Letter,
            referrer_host: None,
            utm: Some(("newsletter", "email", "autumn-harvest")),
            intent: 1.5,
        },
    ),
    (
        10.0,
        Source {
            channel: "paid",
            lands: Landing::Goods,
            referrer_host: Some("www.google.com"),
            utm: Some(("google", "cpc", "kettles")),
            intent: 1.2,
        },
    ),
    (
        8.0,
        Source {
            channel: "paid",
            lands: Landing::Reading,
            referrer_host: Some("l.instagram.com"),
            utm: Some(("instagram", "paid_social", "slow-mornings")),
            intent: 0.55,
        },
    ),
    (
        5.0,
        Source {
            channel: "search",
            lands: Landing::Answers,
            referrer_host: Some("duckduckgo.com"),
            utm: None,
            intent: 1.0,
        },
    ),
    (
        4.0,
        Source {
            channel: "search",
            lands: Landing::Answers,
            referrer_host: Some("www.bing.com"),
            utm: None,
            intent: 0.95,
        },
    ),
    (
        4.0,
        Source {
            channel: "referral",
            lands: Landing::Anywhere,
            referrer_host: Some("news.ycombinator.com"),
            utm: None,
            intent: 0.35,
        },
    ),
    (
        2.5,
        Source {
            channel: "referral",
            lands: Landing::Anywhere,
            referrer_host: Some("teaforum.example"),
            utm: None,
            intent: 1.6,
        },
    ),
    (
        1.5,
        Source {
            channel: "social",
            lands: Landing::Reading,
            referrer_host: Some("t.co"),
            utm: None,
            intent: 0.5,
        },
    ),
];

/// Countries of visitors.
pub const COUNTRIES: &[(f64, Country)] = &[
    (34.0, Country("DE", 1, "de-DE")),
    (14.0, Country("US", -5, "en-US")),
    (10.0, Country("GB", 0, "en-GB")),
    (8.0, Country("FR", 1, "fr-FR")),
    (7.0, Country("NL", 1, "nl-NL")),
    (6.0, Country("AT", 1, "de-AT")),
    (5.5, Country("CH", 1, "de-CH")),
    (4.0, Country("IT", 1, "it-IT")),
    (3.5, Country("ES", 1, "es-ES")),
    (3.0, Country("PL", 1, "pl-PL")),
    (2.5, Country("SE", 1, "sv-SE")),
    (2.5, Country("JP", 9, "ja-JP")),
];

/// Devices of visitors.
pub const DEVICES: &[(f64, Device)] = &[
    (29.0, Device("mobile", "iOS", "Safari", false)),
    (25.0, Device("mobile", "Android", "Chrome", true)),
    (3.0, Device("mobile", "Android", "Samsung Internet", true)),
    (14.0, Device("desktop", "Windows", "Chrome", true)),
    (6.0, Device("desktop", "Windows", "Edge", true)),
    (4.0, Device("desktop", "Windows", "Firefox", false)),
    (7.0, Device("desktop", "macOS", "Safari", false)),
    (5.0, Device("desktop", "macOS", "Chrome", true)),
    (2.0, Device("desktop", "Linux", "Firefox", false)),
    (4.0, Device("tablet", "iPadOS", "Safari", false)),
    (1.0, Device("tablet", "Android", "Chrome", true)),
];
