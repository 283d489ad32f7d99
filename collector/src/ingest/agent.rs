//! Device type, browser and operating system out of a User-Agent header, and out of Client Hints where there
//! are some: browsers freeze the former and say the truth in the latter.

use woothee::parser::Parser;

use super::hints::Hints;

/// What a User-Agent says; `None` where it says nothing known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Agent {
    /// `desktop`, `mobile`, `tablet`, `bot` or `other`.
    pub device_type: Option<&'static str>,
    /// `Chrome`, `Safari`, …
    pub browser: Option<&'static str>,
    /// `Windows`, `macOS`, `Android`, `iOS`, `Linux`, …
    pub os: Option<&'static str>,
}

/// Read a User-Agent.
fn parse(user_agent: &str) -> Agent {
    let Some(found) = Parser::new().parse(user_agent) else { return Agent::default() };
    let device_type = match found.category {
        "pc" => Some("desktop"),
        "smartphone" | "mobilephone" => Some("mobile"),
        "crawler" => Some("bot"),
        "appliance" | "misc" => Some("other"),
        _ => None,
    };
    Agent { device_type, browser: browser(found.name), os: os(found.os) }
}

impl Agent {
    /// What a client says in both ways. Who says to be a robot is one, whatever the hints say.
    pub fn of(user_agent: &str, hints: &Hints) -> Self {
        let agent = parse(user_agent);
        if agent.device_type == Some("bot") {
            return agent;
        }
        let os = hints.os.or(agent.os);
        let by_hints = match (hints.mobile, os) {
            (Some(true), _) => Some("mobile"),
            // Tablets want the large page, and nothing else runs Android on a desk.
            (Some(false), Some("Android")) => Some("tablet"),
            (Some(false), _) => Some("desktop"),
            (None, _) => None,
        };
        let by_agent = match user_agent.contains("iPad") {
            true => Some("tablet"),
            false => agent.device_type,
        };
        let browser = hints.browser.or(agent.browser);
        Self { device_type: by_hints.or(by_agent), browser, os }
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
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        Hints { browser: Some("Brave"), os: Some("Windows"), mobile: Some(false) },
        (Some("desktop"), Some("Brave"), Some("Windows"))
    )]
    #[case::a_tablet_of_android(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        Hints { browser: Some("Chrome"), os: Some("Android"), mobile: Some(false) },
        (Some("tablet"), Some("Chrome"), Some("Android"))
    )]
    #[case::a_tablet_without_hints(
        "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Mobile/15E148 Safari/604.1",
        Hints::default(),
        (Some("tablet"), Some("Safari"), Some("iOS"))
    )]
    #[case::a_robot_stays_one(
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        Hints { browser: Some("Chrome"), os: Some("Android"), mobile: Some(true) },
        (Some("bot"), Some("Other"), None)
    )]
    fn both_ways_say(
        #[case] header: &str,
        #[case] hints: Hints,
        #[case] want: (Option<&'static str>, Option<&'static str>, Option<&'static str>),
    ) {
        let Agent { device_type, browser, os } = Agent::of(header, &hints);
        assert_eq!((device_type, browser, os), want);
    }
}
