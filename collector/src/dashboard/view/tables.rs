//! Small tables: people by page, source, country, device.

use tallymark_analysis::answer::{Group, GroupValue, TrendSeries};

use super::super::format;
use super::super::markup::Markup;
use super::super::questions::TABLE_ROWS;
use super::super::svg::bars;
use super::super::words::{n, t};
use super::super::world;
use super::{Reply, Section, trend_of};

/// The values that were asked for, those without one, and the rest.
const ROWS_MAX: usize = TABLE_ROWS + 2;

/// One row with a bar behind it.
#[derive(Debug, Clone)]
pub struct Row {
    /// What is counted.
    pub name: String,
    /// How many.
    pub figure: String,
    /// The bar.
    pub bar: Markup,
    /// The same people over time; nowhere where the row is many values.
    pub href: Option<String>,
}

/// A table of the page.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// Heading.
    pub title: &'static str,
    /// Heading of the names.
    pub column: &'static str,
    /// The table over time.
    pub href: String,
    /// The rows.
    pub rows: Section<Vec<Row>>,
    /// Where they are, if they are countries.
    pub map: Option<Markup>,
}

/// What a table counts people by.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Heading.
    pub title: &'static str,
    /// Heading of the names.
    pub column: &'static str,
    /// The property.
    pub prop: &'static str,
    /// What the row of those without a value is called.
    pub absent: &'static str,
    /// How a value is written.
    words: fn(&str) -> String,
}

/// The tables, in order.
pub const TABLES: [Kind; 6] = [
    kind(n("Pages"), n("Path"), "path", n("No path"), str::to_owned),
    kind(n("Sources"), n("Referrer"), "referrer_host", n("Direct or unknown"), str::to_owned),
    kind(n("Channels"), n("Channel"), "channel", n("Unknown"), words),
    kind(n("Countries"), n("Country"), "country", n("Unknown"), country),
    kind(n("Devices"), n("Device"), "device_type", n("Unknown"), words),
    kind(n("Browsers"), n("Browser"), "browser", n("Unknown"), str::to_owned),
];

const fn kind(
    title: &'static str,
    column: &'static str,
    prop: &'static str,
    absent: &'static str,
    words: fn(&str) -> String,
) -> Kind {
    Kind { title, column, prop, absent, words }
}

/// One table. `lead` gives the address of a trend with these fields: without an event it is about the same people as
/// the table.
pub fn ranking(kind: &Kind, reply: &Reply, lead: impl Fn(&[(&str, &str)]) -> String) -> Ranking {
    let rows = match trend_of(reply) {
        Err(why) => Section::failed(&why),
        Ok(trend) => {
            let people = |series: &TrendSeries| series.total.0.unwrap_or(0.0);
            let mut seen: Vec<&TrendSeries> =
                trend.series.iter().filter(|series| people(series) > 0.0).collect();
            // Those without a value rank among the others; the rest of all values comes last.
            seen.sort_by(|a, b| {
                let rest = |series: &TrendSeries| series.group == Group::Other;
                rest(a).cmp(&rest(b)).then(people(b).total_cmp(&people(a)))
            });
            // The rest is many values: its bar would tell nothing and dwarf theirs.
            let own = |series: &&&TrendSeries| series.group != Group::Other;
            let most = seen.iter().filter(own).map(|series| people(series)).fold(0.0, f64::max);
            let row = |series: &&TrendSeries| Row {
                name: name(kind, series),
                figure: format::figure(people(series)),
                bar: bars::behind(if own(&series) { people(series) / most } else { 0.0 }),
                href: condition(series)
                    .map(|(op, value)| lead(&[("fp", kind.prop), ("fo", op), ("fv", value)])),
            };
            match seen.is_empty() {
                true => Section::empty(t("Nothing in this time"), t("Choose a longer range.")),
                false => Section::Ready(seen.iter().take(ROWS_MAX).map(row).collect()),
            }
        }
    };
    Ranking {
        map: (kind.prop == "country").then(|| map(reply)).flatten(),
        title: t(kind.title),
        column: t(kind.column),
        href: lead(&[("by1", kind.prop)]),
        rows,
    }
}

/// People by country on a map, where a country is known of some.
fn map(reply: &Reply) -> Option<Markup> {
    let trend = trend_of(reply).ok()?;
    let known = trend.series.iter().filter(|series| series.group == Group::Value);
    let figures: Vec<(&str, f64)> = known
        .filter_map(|series| Some((series.value.as_ref()?.text()?, series.total.0?)))
        .filter(|(_, people)| *people > 0.0)
        .collect();
    let words = |people: f64| format::counted(people as u64, "person", "people");
    (!figures.is_empty()).then(|| world::draw(&world::title(), &figures, words))
}

/// What is asked of the property of a row's people: operator and value.
fn condition(series: &TrendSeries) -> Option<(&'static str, &str)> {
    match (series.group, series.value.as_ref().and_then(GroupValue::text)) {
        (Group::Value, Some(value)) => Some(("eq", value)),
        (Group::Absent, _) => Some(("not_set", "")),
        _ => None,
    }
}

fn name(kind: &Kind, series: &TrendSeries) -> String {
    match (series.group, series.value.as_ref().and_then(GroupValue::text)) {
        (Group::Other, _) => t("All others").into(),
        (Group::Absent | Group::All, _) | (_, None) => t(kind.absent).into(),
        (Group::Value, Some(value)) => (kind.words)(value),
    }
}

/// A property's value as the tables here write it: a country by its name.
pub fn in_words(prop: &str, value: &str) -> String {
    let kind = TABLES.iter().find(|kind| kind.prop == prop);
    kind.map_or_else(|| value.to_owned(), |kind| (kind.words)(value))
}

/// Channels and kinds of devices.
const KNOWN: [(&str, &str); 14] = [
    ("affiliate", n("Affiliate")),
    ("ai", n("AI assistants")),
    ("campaign", n("Campaign")),
    ("desktop", n("Desktop")),
    ("direct", n("Direct")),
    ("display", n("Display")),
    ("email", n("Email")),
    ("mobile", n("Mobile")),
    ("paid", n("Paid")),
    ("referral", n("Referral")),
    ("search", n("Search")),
    ("social", n("Social")),
    ("tablet", n("Tablet")),
    ("video", n("Video")),
];

/// `paid` → `Paid`, `paid_search` → `Paid search`.
fn words(value: &str) -> String {
    if let Some((_, known)) = KNOWN.iter().find(|(known, _)| *known == value) {
        return t(known).to_owned();
    }
    let mut letters = value.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str().replace('_', " "))
}

fn country(code: &str) -> String {
    world::name(code).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_code_calls_something_reads_like_words() {
        assert_eq!((words("paid_search"), words("")), ("Paid search".into(), String::new()));
        let got = [("country", "DE"), ("channel", "paid_search"), ("plan", "DE")];
        let got = got.map(|(prop, value)| in_words(prop, value));
        assert_eq!(got, ["Germany", "Paid search", "DE"]);
    }
}
