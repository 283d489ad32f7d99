//! The script tag for pages without a bundler.

use std::fmt::Write as _;

use super::{BUILD, SCRIPT, find, integrity};

/// What a tag needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Snippet<'a> {
    /// The collector's address as browsers know it.
    pub endpoint: &'a str,
    /// The project's write key.
    pub write_key: &'a str,
    /// The project's salt.
    pub salt: &'a str,
}

impl Snippet<'_> {
    /// The tag; `None` where the binary was built without the SDK.
    pub fn html(&self) -> Option<String> {
        let script = find(SCRIPT)?;
        let address = format!("{}/sdk/{}/{SCRIPT}", self.endpoint.trim_end_matches('/'), *BUILD);
        Some(tag(&address, &integrity(script.bytes), self))
    }
}

fn tag(address: &str, integrity: &str, snippet: &Snippet<'_>) -> String {
    let mut html = String::from("<script async");
    let mut attribute = |name: &str, value: &str| {
        let value = value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        write!(html, " {name}=\"{value}\"").expect("a text takes everything");
    };
    attribute("src", address);
    attribute("integrity", integrity);
    attribute("crossorigin", "anonymous");
    attribute("data-key", snippet.write_key);
    attribute("data-salt", snippet.salt);
    html + "></script>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_attribute_ends_it() {
        let snippet = Snippet { endpoint: "", write_key: "k\"><script>", salt: "s" };
        assert_eq!(
            tag("https://a.example/?a&b", "sha384-x", &snippet),
            "<script async src=\"https://a.example/?a&amp;b\" integrity=\"sha384-x\" \
             crossorigin=\"anonymous\" data-key=\"k&quot;>&lt;script>\" data-salt=\"s\"></script>"
        );
    }
}
