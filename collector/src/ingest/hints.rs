//! User-Agent Client Hints: what Chromium's browsers say of themselves in headers of their own.
//!
//! In: the three headers that are sent without being asked for. Out: browser, system, and whether it is a
//! phone. Where they say nothing, the User-Agent does. Versions are left out, as there.

use axum::http::HeaderMap;

/// What the headers say; `None` where they say nothing known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// `Chrome`, `Edge`, …
    pub browser: Option<&'static str>,
    /// `Windows`, `Android`, …
    pub os: Option<&'static str>,
    /// Whether a page for small screens is wanted.
    pub mobile: Option<bool>,
}

/// Brands by their names in the header, the more special first: all of them name Chromium, too.
const BROWSERS: [(&str, &str); 9] = [
    ("Microsoft Edge", "Edge"),
    ("Opera", "Opera"),
    ("Brave", "Brave"),
    ("Samsung Internet", "Samsung Internet"),
    ("Vivaldi", "Vivaldi"),
    ("YaBrowser", "Yandex"),
    ("Yandex", "Yandex"),
    ("Google Chrome", "Chrome"),
    ("HeadlessChrome", "Chrome"),
];

const SYSTEMS: [(&str, &str); 7] = [
    ("Windows", "Windows"),
    ("macOS", "macOS"),
    ("Android", "Android"),
    ("iOS", "iOS"),
    ("Linux", "Linux"),
    ("Chrome OS", "ChromeOS"),
    ("Chromium OS", "ChromeOS"),
];

impl Hints {
    /// Read them. Long headers are not ours.
    pub fn of(headers: &HeaderMap) -> Self {
        const LONGEST: usize = 512;
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.filter(|text| text.len() <= LONGEST)
        };
        let browser = header("sec-ch-ua").and_then(|brands| {
            // "Chromium";v="140", "Google Chrome";v="140", "Not?A_Brand";v="24"
            let named = |name: &str| brands.split('"').any(|part| part == name);
            BROWSERS.iter().find(|(name, _)| named(name)).map(|(_, browser)| *browser)
        });
        let os = header("sec-ch-ua-platform").and_then(|platform| {
            let platform = platform.trim().trim_matches('"');
            SYSTEMS.iter().find(|(name, _)| *name == platform).map(|(_, os)| *os)
        });
        let mobile = match header("sec-ch-ua-mobile").map(str::trim) {
            Some("?1") => Some(true),
            Some("?0") => Some(false),
            _ => None,
        };
        Self { browser, os, mobile }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::chrome(
        r#""Chromium";v="140", "Google Chrome";v="140", "Not?A_Brand";v="24""#, "\"Windows\"", "?0",
        (Some("Chrome"), Some("Windows"), Some(false))
    )]
    #[case::edge(
        r#""Microsoft Edge";v="140", "Chromium";v="140""#, "\"macOS\"", "?0",
        (Some("Edge"), Some("macOS"), Some(false))
    )]
    #[case::brave_on_a_phone(
        r#""Brave";v="140", "Chromium";v="140""#, "\"Android\"", "?1",
        (Some("Brave"), Some("Android"), Some(true))
    )]
    #[case::chromium_alone(r#""Chromium";v="140""#, "\"Linux\"", "?0", (None, Some("Linux"), Some(false)))]
    #[case::a_brand_that_only_begins_alike(r#""Opera Mini Pro";v="1""#, "\"Windows 11\"", "1", (None, None, None))]
    #[case::nonsense("\"\"\";;,", "", "?2", (None, None, None))]
    fn headers_say(
        #[case] brands: &str,
        #[case] platform: &str,
        #[case] mobile: &str,
        #[case] want: (Option<&'static str>, Option<&'static str>, Option<bool>),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("sec-ch-ua", brands), ("sec-ch-ua-platform", platform), ("sec-ch-ua-mobile", mobile)]
        {
            headers.insert(name, value.parse().unwrap());
        }
        let Hints { browser, os, mobile } = Hints::of(&headers);
        assert_eq!((browser, os, mobile), want);
    }

    #[test]
    fn nothing_and_too_much_say_nothing() {
        let mut headers = HeaderMap::new();
        assert_eq!(Hints::of(&headers), Hints::default());
        let long = format!("\"Google Chrome\";{}", "x".repeat(512));
        headers.insert("sec-ch-ua", long.parse().unwrap());
        assert_eq!(Hints::of(&headers), Hints::default());
    }
}
