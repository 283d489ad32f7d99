//! What a page's address says about experiments: a variant asked for in the query string, whether a
//! page is a target, and where a redirect leads.
//!
//! Addresses are absolute, as `location.href` has them, so their parts are found by their
//! separators; nothing is decoded or put in order.

use super::value::cut;
use super::{Host, Value};
use alloc::string::String;

/// The parts of an address that targets compare.
struct Parts<'a> {
    /// Everything behind the host.
    after_host: &'a str,
    host: &'a str,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
}

fn parts(url: &str) -> Parts<'_> {
    let after_scheme = after_scheme(url).unwrap_or(url);
    let host = up_to(after_scheme, b"/?#");
    let after_host = after_scheme.get(host.len()..).unwrap_or_default();
    let (rest, fragment) = cut(after_host, b'#');
    let (path, query) = cut(rest, b'?');
    let [query, fragment] = [query, fragment].map(Option::unwrap_or_default);
    Parts { after_host, host, path, query, fragment }
}

/// What follows `https://`; `None` when there is nothing like it.
fn after_scheme(url: &str) -> Option<&str> {
    cut(url, b':').1?.strip_prefix("//")
}

/// The text before the first of these bytes.
fn up_to<'a>(text: &'a str, ends: &[u8]) -> &'a str {
    let end = text.bytes().position(|byte| ends.contains(&byte));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Names and values of a query string.
struct Pairs<'a>(Option<&'a str>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let (pair, rest) = cut(self.0?, b'&');
        self.0 = rest;
        let (name, value) = cut(pair, b'=');
        Some((name, value.unwrap_or_default()))
    }
}

/// The value of a parameter; empty when there is none of this name.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    Pairs(Some(query)).find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// The variation that `?<key>=<number>` asks for, if there is one with that number.
pub fn forced_variation(key: &str, url: &str, count: usize) -> Option<usize> {
    let query = cut(cut(url, b'#').0, b'?').1?;
    let mut number = None;
    for byte in parameter(query, key)?.bytes() {
        if !byte.is_ascii_digit() {
            break;
        }
        let digit = usize::from(byte - b'0');
        number = Some(number.unwrap_or(0_usize).saturating_mul(10).saturating_add(digit));
    }
    number.filter(|number| *number < count)
}

/// Whether a page is one of the targets: no excluded one, and an included one if there are any.
pub(super) fn is_target(host: &impl Host, url: &str, targets: &[Value]) -> bool {
    let mut included = None;
    for target in targets {
        let hit = is_hit(host, url, target);
        match target.get("include") {
            Value::Bool(false) if hit => return false,
            Value::Bool(false) => {}
            _ => included = Some(hit || included == Some(true)),
        }
    }
    included.unwrap_or(!targets.is_empty())
}

fn is_hit(host: &impl Host, url: &str, target: &Value) -> bool {
    let Some(pattern) = target.get("pattern").text() else { return false };
    let actual = parts(url);
    match target.get("type").text() {
        Some("regex") => {
            host.matches(pattern, false, url) || host.matches(pattern, false, actual.after_host)
        }
        Some("simple") => is_like(&actual, pattern),
        _ => false,
    }
}

/// Whether an address is like a pattern with `*` for anything. Only the parts that the pattern has
/// are compared; a pattern without a host is for any host.
fn is_like(actual: &Parts<'_>, pattern: &str) -> bool {
    let has_host = after_scheme(pattern).is_some() || up_to(pattern, b"/?#").contains('.');
    let mut wanted = parts(pattern);
    if !has_host {
        // What looks like a host is the beginning of the path.
        wanted.path = up_to(pattern, b"?#");
    }
    (!has_host || glob(wanted.host, actual.host))
        && glob(without_slashes(wanted.path), without_slashes(actual.path))
        && (wanted.fragment.is_empty() || glob(wanted.fragment, actual.fragment))
        && (wanted.query.is_empty()
            || Pairs(Some(wanted.query)).all(|(name, value)| {
                glob(value, parameter(actual.query, name).unwrap_or_default())
            }))
}

fn without_slashes(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path)
}

/// Whether `text` is `pattern`, whose `*` stand for any text; letters of both cases are the same.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.bytes(), text.bytes());
    // What follows the last star, and the text it may still grow over.
    let mut star = None;
    loop {
        let (mut next, mut rest) = (pattern.clone(), text.clone());
        match (next.next(), rest.next()) {
            (Some(b'*'), _) => {
                star = Some((next.clone(), text.clone()));
                pattern = next;
            }
            (None, None) => return true,
            (Some(a), Some(b)) if a.eq_ignore_ascii_case(&b) => (pattern, text) = (next, rest),
            _ => {
                let Some((after, mut from)) = star else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, text) = (after.clone(), from.clone());
                star = Some((after, from));
            }
        }
    }
}

/// The address of a redirect with the parameters of the page that it does not have itself.
pub fn with_parameters(page: &str, redirect: &str) -> String {
    let (before, fragment) = cut(redirect, b'#');
    let own = cut(before, b'?').1;
    let mut between = if own.is_some() { '&' } else { '?' };
    let mut url = String::from(before);
    for (name, value) in Pairs(Some(parts(page).query)) {
        if !name.is_empty() && parameter(own.unwrap_or_default(), name).is_none() {
            url.push(between);
            url.push_str(name);
            url.push('=');
            url.push_str(value);
            between = '&';
        }
    }
    if let Some(fragment) = fragment {
        url.push('#');
        url.push_str(fragment);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::any_path("*", "https://a.example/x/y", true)]
    #[case::path_alone("/shop/*", "https://a.example/shop/shoes", true)]
    #[case::path_without_slash("shop", "https://a.example/shop/", true)]
    #[case::other_path("/shop", "https://a.example/shopping", false)]
    #[case::host_without_scheme("*.example/x", "https://a.example/x", true)]
    #[case::other_host("https://b.example/x", "https://a.example/x", false)]
    #[case::scheme_is_free("http://a.example/x", "https://a.example/x", true)]
    #[case::case_is_free("/Shop", "https://a.example/sHOP", true)]
    #[case::parameter("/x?a=1", "https://a.example/x?b=2&a=1", true)]
    #[case::other_parameter("/x?a=1", "https://a.example/x?a=2", false)]
    #[case::fragment("/x#top", "https://a.example/x#top", true)]
    #[case::other_fragment("/x#top", "https://a.example/x", false)]
    #[case::two_stars("/*/b/*", "https://a.example/a/b/c/b/d", true)]
    fn a_simple_pattern(#[case] pattern: &str, #[case] url: &str, #[case] want: bool) {
        assert_eq!(is_like(&parts(url), pattern), want);
    }

    #[test]
    fn a_pattern_of_stars_takes_no_exponential_time() {
        assert!(!glob(&"*a".repeat(50), &("a".repeat(49) + &"b".repeat(10_000))));
    }

    #[test]
    fn a_redirect_keeps_its_fragment_last() {
        let url = with_parameters("https://a.example/?x=1&y=2#here", "/new?y=3#there");
        assert_eq!(url, "/new?y=3&x=1#there");
    }

    #[rstest]
    #[case::at_most("t=1", Some(1))]
    #[case::too_many("t=2", None)]
    #[case::with_a_rest("t=1.9", Some(1))]
    #[case::no_digits("t=", None)]
    #[case::huge("t=99999999999999999999999999", None)]
    fn a_variation_is_asked_for(#[case] query: &str, #[case] want: Option<usize>) {
        assert_eq!(forced_variation("t", &format!("https://a.example/?{query}#x"), 2), want);
    }
}
