//! What a results page shows, as its address says it: readable, writable, shareable.
//!
//! In: a query string. Out: an [`Address`], and query strings of neighbouring pages. Invariant:
//! reading what was written gives the same; unknown fields are ignored, so old links keep working.

use url::form_urlencoded;

/// Most steps a funnel takes from an address.
const MAX_STEPS: usize = 20;

/// Everything of a results page that is chosen by its reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// `range`, as written.
    pub range: Option<String>,
    /// `from`, as written.
    pub from: Option<String>,
    /// `to`, as written.
    pub to: Option<String>,
    /// `tz`, as written.
    pub tz: Option<String>,
    /// Events of the funnel, in order; empty for the page's own choice.
    pub steps: Vec<String>,
    /// `window` of the funnel, as written.
    pub window: Option<String>,
    /// Event that counts as success in experiments, as written.
    pub metric: Option<String>,
}

impl Address {
    /// Read a query string: `steps=a,b,c` or `step=a&step=b&step=c`, the latter for names that
    /// contain commas.
    pub fn read(query: &str) -> Self {
        let mut address = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let given = || Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match &*name {
                "range" => address.range = given(),
                "from" => address.from = given(),
                "to" => address.to = given(),
                "tz" => address.tz = given(),
                "window" => address.window = given(),
                "metric" => address.metric = given(),
                "steps" => address.steps.extend(
                    value
                        .split(',')
                        .map(str::trim)
                        .filter(|step| !step.is_empty())
                        .map(str::to_owned),
                ),
                "step" => address.steps.extend(given()),
                _ => {}
            }
        }
        address.steps.truncate(MAX_STEPS);
        address
    }

    /// The query string, with its question mark; `?` alone for an address without any choice, so
    /// that a link with it drops the choices of the page it is on.
    pub fn query(&self) -> String {
        let mut out = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
        for (name, value) in self.fields() {
            out.append_pair(name, value);
        }
        out.finish()
    }

    /// The fields, one pair each: what a form carries along.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        let single = [
            ("range", &self.range),
            ("from", &self.from),
            ("to", &self.to),
            ("tz", &self.tz),
            ("window", &self.window),
            ("metric", &self.metric),
        ];
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        single.chain(self.steps.iter().map(|step| ("step", step.as_str()))).collect()
    }

    /// The fields without those that a form sets itself.
    pub fn fields_without(&self, own: &[&str]) -> Vec<(&'static str, &str)> {
        self.fields().into_iter().filter(|(name, _)| !own.contains(name)).collect()
    }

    /// The address of a builder over the same time.
    pub fn ask(&self, slug: &str, kind: &str, asked: &[(&str, &str)]) -> String {
        builder(slug, kind, self.fields_without(&["step", "window", "metric"]), asked)
    }

    /// The same page for another of the offered ranges.
    pub fn with_range(&self, days: i64) -> String {
        Self { range: Some(format!("{days}d")), from: None, to: None, ..self.clone() }.query()
    }
}

/// The address of a builder: what it asks about, over which time, and the question.
pub fn builder<'a>(
    slug: &str,
    kind: &str,
    time: impl IntoIterator<Item = (&'a str, &'a str)>,
    asked: &[(&str, &str)],
) -> String {
    let mut query = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
    query.extend_pairs(time).extend_pairs(asked);
    format!("/p/{slug}/ask/{kind}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("")]
    #[case::plain("range=7d&tz=Europe%2FBerlin&steps=a,b,c")]
    #[case::hostile(
        "range=%22%3E%3Cscript%3E&step=a%2Cb&step=%3C%2Fa%3E&window=1d&metric=%26x%3D1"
    )]
    #[case::broken("%&=&&steps=,,&step=&%ff=%ff")]
    fn what_is_read_can_be_written_and_read_again(#[case] query: &str) {
        let address = Address::read(query);
        let written = address.query();
        assert_eq!(Address::read(written.trim_start_matches('?')), address);
        assert!(!written.contains(['<', '>', '"', '\'', ' ']), "{written}");
    }

    #[test]
    fn steps_come_by_comma_or_one_by_one() {
        assert_eq!(Address::read("steps=a, b").steps, ["a", "b"]);
        assert_eq!(Address::read("step=a%2C+b&step=c").steps, ["a, b", "c"]);
        assert_eq!(Address::read(&"step=a&".repeat(50)).steps.len(), MAX_STEPS);
    }

    #[test]
    fn a_builder_is_asked_over_the_time_of_the_page_alone() {
        let address = Address::read("range=7d&tz=UTC&step=a&window=1d&metric=m");
        let asked = [("fp", "path"), ("fv", "/a&b=\"<")];
        assert_eq!(
            address.ask("shop", "trend", &asked),
            "/p/shop/ask/trend?range=7d&tz=UTC&fp=path&fv=%2Fa%26b%3D%22%3C"
        );
    }

    #[test]
    fn another_range_keeps_everything_else() {
        let address = Address::read("range=custom&from=2026-01-01&to=2026-01-02&step=a&tz=UTC");
        assert_eq!(address.with_range(7), "?range=7d&tz=UTC&step=a");
    }
}
