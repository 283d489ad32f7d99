//! User-Agent Client Hints: what Chromium's browsers say of themselves in headers of their own.
//!
//! In: the three headers that are sent without being asked for, as text. Out: browser, system, and whether it is a
//! phone. Where they say nothing, the User-Agent does. Versions are left out, as there.

use super::said::Said;

/// What the headers say; `None` where they say nothing known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// `Chrome`, `Edge`, …
    pub browser: Option<&'static str>,
    /// `Windows`, `Android`, …
    pub os: Option<&'static str>,
    /// Whether a page for small screens is wanted.
    pub mobile: Option<bool>,
    /// Whether a brand says that nobody looks at the page.
    pub headless: bool,
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
    /// Read them.
    pub fn of(said: &Said<'_>) -> Self {
        // "Chromium";v="140", "Google Chrome";v="140", "Not?A_Brand";v="24"
        let named = |name: &str| said.brands.split('"').any(|part| part == name);
        let browser = BROWSERS.iter().find(|(name, _)| named(name)).map(|(_, browser)| *browser);
        let platform = said.platform.trim().trim_matches('"');
        let os = SYSTEMS.iter().find(|(name, _)| *name == platform).map(|(_, os)| *os);
        let mobile = match said.mobile.trim() {
            "?1" => Some(true),
            "?0" => Some(false),
            _ => None,
        };
        let headless = said.brands.contains("Headless");
        Self { browser, os, mobile, headless }
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
        let said = Said { brands, platform, mobile, ..Said::default() };
        let Hints { browser, os, mobile, .. } = Hints::of(&said);
        assert_eq!((browser, os, mobile), want);
    }

    #[test]
    fn nothing_says_nothing() {
        assert_eq!(Hints::of(&Said::default()), Hints::default());
    }

    #[test]
    fn a_brand_says_that_nobody_looks() {
        let brands = r#""HeadlessChrome";v="140", "Chromium";v="140""#;
        let said = Said { brands, ..Said::default() };
        let hints = Hints::of(&said);
        assert!(hints.headless && hints.browser == Some("Chrome"));
    }
}
