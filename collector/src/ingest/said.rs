//! What a client says of itself in its headers, word for word. What it means: `agent`, `bots`.

use axum::http::{HeaderMap, HeaderName, header};

use crate::extract::clip;

/// Bytes of a User-Agent that are looked at.
const AGENT_BYTES_MAX: usize = 512;
/// Bytes of a hint. Longer ones are not a browser's, and say nothing.
const HINT_BYTES_MAX: usize = 512;

const BRANDS: HeaderName = HeaderName::from_static("sec-ch-ua");
const PLATFORM: HeaderName = HeaderName::from_static("sec-ch-ua-platform");
const MOBILE: HeaderName = HeaderName::from_static("sec-ch-ua-mobile");

/// Headers as they were sent; empty where there is none, or none of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said<'a> {
    /// User-Agent, at most 512 bytes of it.
    pub user_agent: &'a str,
    /// Sec-CH-UA.
    pub brands: &'a str,
    /// Sec-CH-UA-Platform.
    pub platform: &'a str,
    /// Sec-CH-UA-Mobile.
    pub mobile: &'a str,
}

impl<'a> Said<'a> {
    /// What these headers say.
    pub fn of(headers: &'a HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let hint = |name| Some(text(name)).filter(|hint| hint.len() <= HINT_BYTES_MAX);
        Self {
            user_agent: clip(text(header::USER_AGENT), AGENT_BYTES_MAX),
            brands: hint(BRANDS).unwrap_or(""),
            platform: hint(PLATFORM).unwrap_or(""),
            mobile: hint(MOBILE).unwrap_or(""),
        }
    }

    /// All of it.
    pub fn texts(&self) -> [&'a [u8]; 4] {
        [self.user_agent, self.brands, self.platform, self.mobile].map(str::as_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_no_text_or_too_long_say_nothing() {
        let mut headers = HeaderMap::new();
        assert_eq!(Said::of(&headers), Said::default());
        headers.insert(header::USER_AGENT, "é".as_bytes().try_into().unwrap());
        headers.insert(BRANDS, "x".repeat(HINT_BYTES_MAX + 1).parse().unwrap());
        headers.insert(PLATFORM, "x".repeat(HINT_BYTES_MAX).parse().unwrap());
        let said = Said::of(&headers);
        assert_eq!((said.user_agent, said.brands, said.platform.len()), ("", "", HINT_BYTES_MAX));
        headers.insert(header::USER_AGENT, "x".repeat(9_000).parse().unwrap());
        assert_eq!(Said::of(&headers).user_agent.len(), AGENT_BYTES_MAX);
    }
}
