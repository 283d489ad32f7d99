//! Device type, browser and operating system out of a User-Agent header, and out of Client Hints where there
//! are some: browsers freeze the former and say the truth in the latter. And whether it is a robot.
//!
//! Deliberately elsewhere: what is said (`said`, which remembers what it means), which names are robots' (`bots`).

use woothee::parser::Parser;

use super::bots::{Bot, Bots};
use super::hints::Hints;
use super::said::Said;

/// What a client is by its own words; `None` where they say nothing known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Agent {
    /// `desktop`, `mobile`, `tablet`, `bot` or `other`.
    pub device_type: Option<&'static str>,
    /// `Chrome`, `Safari`, …
    pub browser: Option<&'static str>,
    /// `Windows`, `macOS`, `Android`, `iOS`, `Linux`, …
    pub os: Option<&'static str>,
    /// What makes it a robot, if something does.
    pub bot: Option<Bot>,
}

/// Read a User-Agent; robots are told elsewhere.
fn parse(user_agent: &str) -> Agent {
    let Some(found) = Parser::new().parse(user_agent) else { return Agent::default() };
    let device_type = match found.category {
        "pc" => Some("desktop"),
        "smartphone" | "mobilephone" => Some("mobile"),
        "crawler" => Some("bot"),
        "appliance" | "misc" => Some("other"),
        _ => None,
    };
    Agent { device_type, browser: browser(found.name), os: os(found.os), bot: None }
}

impl Agent {
    /// What a client says in both ways. Who says to be a crawler is one, whatever the hints say.
    pub fn of(said: &Said<'_>, bots: &Bots) -> Self {
        let hints = Hints::of(said);
        let agent = parse(said.user_agent);
        let crawler = agent.device_type == Some("bot");
        let bot = bots.of(said.user_agent, hints.headless, crawler);
        if crawler {
            return Self { bot, ..agent };
        }
        let os = hints.os.or(agent.os);
        let by_hints = match (hints.mobile, os) {
            (Some(true), _) => Some("mobile"),
            // Tablets want the large page, and nothing else runs Android on a desk.
            (Some(false), Some("Android")) => Some("tablet"),
            (Some(false), _) => Some("desktop"),
            (None, _) => None,
        };
        let by_agent = match said.user_agent.contains("iPad") {
            true => Some("tablet"),
            false => agent.device_type,
        };
        let browser = hints.browser.or(agent.browser);
        Self { device_type: by_hints.or(by_agent), browser, os, bot }
    }
}

fn browser(name: &str) -> Option<&'static str> {
    Some(match name {
        "Chrome" => "Chrome",
        "Firefox" => "Firefox",
        "Safari" => "Safari",
        "Edge" => "Edge",
        "Opera" => "Opera",
        "Samsung Browser" | "SamsungBrowser" => "Samsung Internet",
        "Internet Explorer" => "Internet Explorer",
        "Vivaldi" => "Vivaldi",
        "Yandex Browser" => "Yandex",
        "UNKNOWN" | "" => return None,
        _ => "Other",
    })
}

/// Versions are left out: there is no telling what a browser's frozen User-Agent means by them.
fn os(name: &str) -> Option<&'static str> {
    Some(match name {
        "Mac OSX" => "macOS",
        "Android" => "Android",
        "iPhone" | "iPad" | "iPod" | "iOS" => "iOS",
        "Linux" => "Linux",
        "ChromeOS" => "ChromeOS",
        name if name.starts_with("Windows") => "Windows",
        "UNKNOWN" | "" => return None,
        _ => "Other",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::chrome_on_windows(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        (Some("desktop"), Some("Chrome"), Some("Windows"))
    )]
    #[case::safari_on_iphone(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
        (Some("mobile"), Some("Safari"), Some("iOS"))
    )]
    #[case::firefox_on_mac(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
        (Some("desktop"), Some("Firefox"), Some("macOS"))
    )]
    #[case::chrome_on_android(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
        (Some("mobile"), Some("Chrome"), Some("Android"))
    )]
    #[case::edge(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
        (Some("desktop"), Some("Edge"), Some("Windows"))
    )]
    #[case::a_search_engine(
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        (Some("bot"), Some("Other"), None)
    )]
    #[case::nothing("", (None, None, None))]
    #[case::nonsense("\u{fffd}\u{202e}x", (None, None, None))]
    fn an_agent_is(
        #[case] header: &str,
        #[case] want: (Option<&'static str>, Option<&'static str>, Option<&'static str>),
    ) {
        let agent = parse(header);
        assert_eq!((agent.device_type, agent.browser, agent.os), want);
    }

    #[rstest]
    #[case::hints_go_first(
        Said {
            user_agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            brands: "\"Brave\"", platform: "\"Windows\"", mobile: "?0",
        },
        (Some("desktop"), Some("Brave"), Some("Windows")), None
    )]
    #[case::a_tablet_of_android(
        Said {
            user_agent: "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            brands: "\"Google Chrome\"", platform: "\"Android\"", mobile: "?0",
        },
        (Some("tablet"), Some("Chrome"), Some("Android")), None
    )]
    #[case::a_tablet_without_hints(
        Said {
            user_agent: "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Mobile/15E148 Safari/604.1",
            ..Said::default()
        },
        (Some("tablet"), Some("Safari"), Some("iOS")), None
    )]
    #[case::a_robot_stays_one(
        Said {
            user_agent: "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            brands: "\"Google Chrome\"", platform: "\"Android\"", mobile: "?1",
        },
        (Some("bot"), Some("Other"), None), Some("search_engine")
    )]
    #[case::a_browser_without_eyes(
        Said {
            user_agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
            ..Said::default()
        },
        (Some("desktop"), Some("Chrome"), Some("Linux")), Some("headless")
    )]
    fn both_ways_say(
        #[case] said: Said<'_>,
        #[case] want: (Option<&'static str>, Option<&'static str>, Option<&'static str>),
        #[case] robot: Option<&str>,
    ) {
        let Agent { device_type, browser, os, bot } = Agent::of(&said, &Bots::default());
        assert_eq!((device_type, browser, os), want);
        assert_eq!(bot.as_ref().map(|bot| &*bot.reason), robot);
    }
}
