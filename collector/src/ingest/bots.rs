//! Robots among the clients: why it is one, and how sure that is. Their events are kept; which of them a question
//! leaves out is the question's business (`{"prop": "$bot", "op": "not_set"}`).
//!
//! In: the User-Agent, Client Hints, and whether the reader of User-Agents calls it a crawler. Out: [`Bot`], or nothing
//! for what looks like a person.
//!
//! The list of names is ours and short, because what runs the script of a page and sends events is of few kinds. A longer
//! one, in the form of the npm package crawler-user-agents, is read from the file that `bot_file` names. All of them are
//! one automaton, so a longer list does not take longer to look through.

use std::path::Path;
use std::sync::Arc;

use regex::{RegexSet, RegexSetBuilder};
use serde::Deserialize;

/// What makes a client a robot.
#[derive(Debug, Clone, PartialEq)]
pub struct Bot {
    /// Why, in snake case.
    pub reason: Arc<str>,
    /// How sure it is, up to 1.
    pub score: f64,
}

impl Bot {
    fn of((reason, score): (&str, f64)) -> Self {
        Self { reason: reason.into(), score }
    }
}

/// Of a browser without a screen.
const HEADLESS: (&str, f64) = ("headless", 0.95);
/// Of a client that says nothing of itself: every browser does.
const SILENT: (&str, f64) = ("no_agent", 0.8);
/// Of a client that only a list of others names.
const LISTED: (&str, f64) = ("listed", 0.9);

/// Reasons, the more telling first, how sure they are, and what of a User-Agent shows them.
const SIGNS: [(&str, f64, &str); 6] = [
    (
        "ai_crawler",
        1.0,
        "gptbot|chatgpt-user|oai-searchbot|claude(bot|-user|-searchbot)|anthropic-ai|perplexity(bot|-user)|ccbot/\
         |bytespider|amazonbot|applebot-extended|meta-external(agent|fetcher)|google-extended|cohere-ai|diffbot",
    ),
    (
        "search_engine",
        1.0,
        "googlebot|bingbot|duckduckbot|yandex\\w*bot|baiduspider|applebot|yahoo! slurp",
    ),
    (HEADLESS.0, HEADLESS.1, "headless|phantomjs|slimerjs|puppeteer|playwright|selenium|jsdom"),
    (
        "monitor",
        0.95,
        "pingdom|uptimerobot|statuscake|lighthouse|pagespeed|gtmetrix|datadogsynthetics",
    ),
    (
        "script",
        0.95,
        "^(curl|wget|axios|java|node-fetch|libwww-perl)/|^(undici|ruby)\\b|^python-|aiohttp/|go-http-client\
         |postmanruntime",
    ),
    // Telephones of the make Cubot are none.
    ("says_so", 0.9, "(^|[^u]|[^c]u)bot\\b|crawler|spider|\\+https?://"),
];

/// An entry of the list that crawler-user-agents keeps; its other fields do not matter.
#[derive(Debug, Deserialize)]
struct Entry {
    pattern: String,
    #[serde(default)]
    tags: Vec<String>,
}

impl Entry {
    /// What its first tag says: `ai-crawler` is the reason `ai_crawler`.
    fn bot(&self) -> Bot {
        let tag = self.tags.first().map(|tag| tag.replace(['-', ' '], "_").to_lowercase());
        Bot::of((tag.as_deref().unwrap_or(LISTED.0), LISTED.1))
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the setting bot_file: {path}: {cause}")]
pub struct BotFileError {
    path: String,
    cause: String,
}

/// Who is a robot.
#[derive(Debug)]
pub struct Bots {
    patterns: RegexSet,
    /// What each pattern shows.
    shown: Vec<Bot>,
    silent: Bot,
    headless: Bot,
    listed: Bot,
}

impl Default for Bots {
    fn default() -> Self {
        Self::of_patterns(&[]).expect("a test reads the built-in patterns")
    }
}

impl Bots {
    /// By our own list, and by this file if it has a name.
    ///
    /// # Errors
    /// When there is no such file, or it is no list of patterns.
    pub fn open(file: &str) -> Result<Self, BotFileError> {
        if file.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |cause: String| BotFileError { path: file.to_owned(), cause };
        let text = std::fs::read_to_string(Path::new(file)).map_err(|e| wrong(e.to_string()))?;
        let entries: Vec<Entry> = serde_json::from_str(&text)
            .map_err(|e| wrong(format!("must be a list of {{\"pattern\", \"tags\"}}: {e}")))?;
        Self::of_patterns(&entries).map_err(|e| wrong(e.to_string()))
    }

    fn of_patterns(entries: &[Entry]) -> Result<Self, regex::Error> {
        /// Room for thousands of patterns.
        const BYTES_MAX: usize = 64 << 20;
        let ours = SIGNS.iter().map(|(.., pattern)| format!("(?i){pattern}"));
        let patterns = ours.chain(entries.iter().map(|entry| entry.pattern.clone()));
        let shown = SIGNS.iter().map(|(reason, score, _)| Bot::of((reason, *score)));
        let shown: Vec<Bot> = shown.chain(entries.iter().map(Entry::bot)).collect();
        Ok(Self {
            patterns: RegexSetBuilder::new(patterns).size_limit(BYTES_MAX).build()?,
            shown,
            silent: Bot::of(SILENT),
            headless: Bot::of(HEADLESS),
            listed: Bot::of(LISTED),
        })
    }

    /// What makes this client a robot, if something does. `headless` and `crawler` are what its hints say, and what the
    /// reader of User-Agents calls it.
    pub fn of(&self, user_agent: &str, headless: bool, crawler: bool) -> Option<Bot> {
        if user_agent.trim().is_empty() {
            return Some(self.silent.clone());
        }
        let named = self.patterns.matches(user_agent).iter().next().map(|at| &self.shown[at]);
        let by_hints = headless.then_some(&self.headless);
        named.or(by_hints).or(crawler.then_some(&self.listed)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

    #[rstest]
    #[case::a_person(CHROME, None)]
    #[case::a_person_by_telephone(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
        None
    )]
    #[case::of_the_make_cubot(
        "Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0 Mobile Safari/537.36",
        None
    )]
    #[case::an_app("Shop/3.1 (Android 15) okhttp/4.12", None)]
    #[case::silence("", Some("no_agent"))]
    #[case::blank(" \t", Some("no_agent"))]
    #[case::search(
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        Some("search_engine")
    )]
    #[case::an_assistant(
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        Some("ai_crawler")
    )]
    #[case::headless(
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
        Some("headless")
    )]
    #[case::a_script("python-requests/2.32", Some("script"))]
    #[case::some_other("Mozilla/5.0 (compatible; FooBot/1.0)", Some("says_so"))]
    #[case::a_tabot("Tubot/1.0", Some("says_so"))]
    fn a_client_is_a_robot_because(#[case] agent: &str, #[case] want: Option<&str>) {
        let bot = Bots::default().of(agent, false, false);
        assert_eq!(bot.as_ref().map(|bot| &*bot.reason), want);
        assert!(bot.is_none_or(|bot| bot.score > 0.5 && bot.score <= 1.0));
    }

    #[test]
    fn hints_and_the_reader_of_agents_are_asked_where_no_name_is_known() {
        let why = |agent: &str, headless, crawler| {
            Bots::default().of(agent, headless, crawler).map(|bot| bot.reason.to_string())
        };
        assert_eq!(why(CHROME, true, false).as_deref(), Some("headless"));
        assert_eq!(why(CHROME, false, true).as_deref(), Some("listed"));
        assert_eq!(why("Googlebot", true, true).as_deref(), Some("search_engine"));
    }

    #[test]
    fn a_file_adds_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("crawlers.json");
        let list = r#"[{ "pattern": "FancyFetcher\\/", "url": "https://fancy.example", "instances": [] },
                       { "pattern": "[Rr]eader$", "tags": ["feed-reader", "other"] }]"#;
        std::fs::write(&file, list).unwrap();
        let bots = Bots::open(&file.to_string_lossy()).unwrap();
        let why = |agent: &str| bots.of(agent, false, false).map(|bot| bot.reason.to_string());
        assert_eq!(why("FancyFetcher/7").as_deref(), Some("listed"));
        assert_eq!(why("NewsReader").as_deref(), Some("feed_reader"));
        assert_eq!(why("Googlebot FancyFetcher/7").as_deref(), Some("search_engine"));
        assert_eq!(why(CHROME), None);
        for (text, says) in [(r#"[{ "pattern": "(" }]"#, "unclosed"), ("{}", "a list")] {
            std::fs::write(&file, text).unwrap();
            let error = Bots::open(&file.to_string_lossy()).unwrap_err().to_string();
            assert!(error.contains("bot_file") && error.contains("crawlers.json"), "{error}");
            assert!(error.contains(says), "{error}");
        }
        assert!(Bots::open("/nowhere/at/all").is_err());
    }
}
