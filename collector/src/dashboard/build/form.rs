//! Which fields a question has in its builder: one table, a line per field.
//!
//! In: nothing. Out: [`KINDS`]. A field says how it looks and where in the question's body it goes, so forms, addresses
//! and bodies of all kinds are made by the same code (`question`).

use super::super::words::n;

/// A kind of question.
#[derive(Debug)]
pub struct Kind {
    /// Last part of its path: `trend`, `funnel`, …
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it answers.
    pub lead: &'static str,
    /// Rows of events at the top.
    pub rows: Rows,
    /// The other fields.
    pub fields: &'static [Field],
    /// Whether it takes a breakdown.
    pub breakdown: bool,
}

/// Rows of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// There are none.
    None,
    /// An event, what is counted of it, and a property.
    Series,
    /// An event.
    Steps,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// In addresses, and of the body unless `put` says otherwise.
    pub name: &'static str,
    /// For people.
    pub label: &'static str,
    /// How it looks.
    pub look: Look,
    /// Where it goes.
    pub put: Put,
}

/// How a field looks.
#[derive(Debug, Clone, Copy)]
pub enum Look {
    /// One of the events that were seen.
    Event,
    /// One of the properties that were seen.
    Prop,
    /// Anything, with an example.
    Text(&'static str),
    /// One of these; the first is what a question without the field means.
    Pick(&'static [(&'static str, &'static str)]),
}

/// Where in a body a field goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// As a text.
    Text,
    /// As a number.
    Number,
    /// As a list of this one.
    List,
    /// As `{"event": …}`.
    Event,
    /// As a text inside of this object.
    Inside(&'static str, &'static str),
    /// It is about how the answer looks, or `question` knows.
    Otherwise,
}

const fn field(name: &'static str, label: &'static str, look: Look, put: Put) -> Field {
    Field { name, label, look, put }
}

const BUCKETS: Look = Look::Pick(&[("", n("Day")), ("week", n("Week")), ("month", n("Month"))]);
const EVENT: Field = field("event", n("Event"), Look::Event, Put::Text);
const BUCKET: Field = field("bucket", n("Per"), BUCKETS, Put::Text);

/// What is counted of an event.
pub const MEASURES: &[(&str, &str)] = &[
    ("count", n("times")),
    ("persons", n("people")),
    ("per_person", n("times per person")),
    ("sum", n("sum of")),
    ("avg", n("mean of")),
    ("p50", n("median of")),
    ("p90", n("90th percentile of")),
    ("p95", n("95th percentile of")),
    ("p99", n("99th percentile of")),
    ("min", n("least of")),
    ("max", n("most of")),
];

/// How a filter compares.
pub const OPERATORS: &[(&str, &str)] = &[
    ("eq", n("is")),
    ("ne", n("is not")),
    ("in", n("is one of")),
    ("not_in", n("is none of")),
    ("contains", n("contains")),
    ("not_contains", n("does not contain")),
    ("starts_with", n("starts with")),
    ("regex", n("matches")),
    ("lt", n("is less than")),
    ("lte", n("is at most")),
    ("gt", n("is more than")),
    ("gte", n("is at least")),
    ("set", n("is known")),
    ("not_set", n("is not known")),
];

/// What every event may say about where it comes from.
pub const BUILT_IN: [&str; 19] = [
    "country",
    "device_type",
    "browser",
    "os",
    "path",
    "host",
    "referrer_host",
    "channel",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "language",
    "display_mode",
    "session",
    "identity",
    "$bot",
    "$bot_score",
];

/// Every kind there is.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "trend",
        title: n("Trends"),
        lead: n("How often something happens, over time"),
        rows: Rows::Series,
        fields: &[
            field(
                "bucket",
                n("Per"),
                Look::Pick(&[
                    ("", n("Day")),
                    ("hour", n("Hour")),
                    ("week", n("Week")),
                    ("month", n("Month")),
                ]),
                Put::Text,
            ),
            field(
                "compare",
                n("Compare with"),
                Look::Pick(&[("", n("nothing")), ("previous", n("the time before"))]),
                Put::Text,
            ),
            field(
                "form",
                n("Each point counts"),
                Look::Pick(&[
                    ("", n("its own time")),
                    ("cumulative", n("all since the start")),
                    ("rolling:7", n("seven in a row")),
                ]),
                Put::Text,
            ),
            field("formula", n("Formula"), Look::Text("A / B"), Put::Text),
        ],
        breakdown: true,
    },
    Kind {
        name: "active",
        title: n("Active people"),
        lead: n("How many people are there by day, week and month"),
        rows: Rows::None,
        fields: &[EVENT],
        breakdown: false,
    },
    Kind {
        name: "lifecycle",
        title: n("Lifecycle"),
        lead: n("Who is new, who stays, who comes back and who is gone"),
        rows: Rows::None,
        fields: &[EVENT, BUCKET],
        breakdown: false,
    },
    Kind {
        name: "stickiness",
        title: n("Stickiness"),
        lead: n("On how many days people are there"),
        rows: Rows::None,
        fields: &[EVENT, BUCKET],
        breakdown: false,
    },
    Kind {
        name: "funnel",
        title: n("Funnels"),
        lead: n("How many people go all the way, and where they stop"),
        rows: Rows::Steps,
        fields: &[
            field(
                "window",
                n("All within"),
                Look::Pick(&[
                    ("", n("7 days")),
                    ("30m", n("30 minutes")),
                    ("1h", n("one hour")),
                    ("1d", n("one day")),
                    ("14d", n("14 days")),
                    ("30d", n("30 days")),
                ]),
                Put::Text,
            ),
            field(
                "order",
                n("Order"),
                Look::Pick(&[
                    ("", n("in this order")),
                    ("strict", n("nothing in between")),
                    ("any_after_first", n("the first one first")),
                    ("any", n("any order")),
                ]),
                Put::Text,
            ),
            field(
                "count",
                n("Count"),
                Look::Pick(&[
                    ("", n("people")),
                    ("sessions", n("sessions")),
                    ("totals", n("attempts")),
                ]),
                Put::Text,
            ),
            field(
                "compat",
                n("By the rules of"),
                Look::Pick(&[
                    ("", "Tallymark"),
                    ("posthog", "PostHog"),
                    ("mixpanel", "Mixpanel"),
                    ("amplitude", "Amplitude"),
                    ("clickhouse", "ClickHouse"),
                ]),
                Put::Text,
            ),
        ],
        breakdown: true,
    },
    Kind {
        name: "retention",
        title: n("Retention"),
        lead: n("How many people come back"),
        rows: Rows::None,
        fields: &[
            field("start", n("People who first did"), Look::Event, Put::Event),
            field("return", n("and then did"), Look::Event, Put::Event),
            field(
                "bucket",
                n("Per"),
                Look::Pick(&[("", n("Day")), ("week", n("Week")), ("month", n("Month"))]),
                Put::Text,
            ),
            field("periods", n("Periods after the start"), Look::Text("7"), Put::Number),
            field(
                "mode",
                n("A return counts"),
                Look::Pick(&[
                    ("", n("in its period")),
                    ("on_or_after", n("in its period or later")),
                    ("on_or_before", n("in its period or before")),
                ]),
                Put::Text,
            ),
            field(
                "cohort_by",
                n("Start"),
                Look::Pick(&[("", n("first ever")), ("recurring", n("in each period"))]),
                Put::Text,
            ),
            field(
                "clock",
                n("Clock"),
                Look::Pick(&[("", n("calendar")), ("rolling24h", n("24 hours from the start"))]),
                Put::Text,
            ),
            field("good", n("Good from (%)"), Look::Text("40"), Put::Otherwise),
            field("fair", n("Fair from (%)"), Look::Text("20"), Put::Otherwise),
        ],
        breakdown: false,
    },
    Kind {
        name: "paths",
        title: n("Paths"),
        lead: n("Where people go from here, and how they came"),
        rows: Rows::None,
        fields: &[
            field(
                "way",
                n("Way"),
                Look::Pick(&[("", n("from here on")), ("to", n("up to here"))]),
                Put::Otherwise,
            ),
            field("anchor", n("Event"), Look::Event, Put::Otherwise),
            field("at", n("on the page"), Look::Text("/pricing"), Put::Otherwise),
            field(
                "by",
                n("Steps are"),
                Look::Pick(&[("", n("pages")), ("event", n("events"))]),
                Put::Text,
            ),
            field("depth", n("Steps to show"), Look::Text("4"), Put::Number),
        ],
        breakdown: false,
    },
    Kind {
        name: "sessions",
        title: n("Sessions"),
        lead: n("How long people stay and where they come in"),
        rows: Rows::None,
        fields: &[BUCKET, field("conversions", n("Success is"), Look::Event, Put::List)],
        breakdown: true,
    },
    Kind {
        name: "content",
        title: n("Content"),
        lead: n("What is read, for how long and how far"),
        rows: Rows::None,
        fields: &[
            field(
                "by",
                n("Put together by"),
                Look::Pick(&[
                    ("", n("content")),
                    ("content_type", n("type")),
                    ("owner", n("owner")),
                    ("tier", n("tier")),
                ]),
                Put::Text,
            ),
            field("content_type", n("Only of type"), Look::Text("article"), Put::Text),
            field("owner", n("Only of owner"), Look::Text(""), Put::Text),
        ],
        breakdown: false,
    },
    Kind {
        name: "pwa",
        title: n("Installs"),
        lead: n("From the browser's question to the home screen"),
        rows: Rows::None,
        fields: &[],
        breakdown: false,
    },
    Kind {
        name: "attribution",
        title: n("Attribution"),
        lead: n("Which visits led to success"),
        rows: Rows::None,
        fields: &[
            field("conversion", n("Success is"), Look::Event, Put::Inside("conversion", "event")),
            field("by", n("Credit goes to"), Look::Prop, Put::Text),
            field(
                "lookback",
                n("Look back"),
                Look::Pick(&[
                    ("", n("30 days")),
                    ("7d", n("7 days")),
                    ("1d", n("one day")),
                    ("90d", n("90 days")),
                ]),
                Put::Text,
            ),
        ],
        breakdown: false,
    },
    Kind {
        name: "revenue",
        title: n("Revenue"),
        lead: n("What recurs, what is lost, what is paid"),
        rows: Rows::None,
        fields: &[
            field(
                "bucket",
                n("Per"),
                Look::Pick(&[("", n("Month")), ("week", n("Week")), ("day", n("Day"))]),
                Put::Text,
            ),
            field("margin", n("Margin (0 to 1)"), Look::Text("0.8"), Put::Number),
        ],
        breakdown: false,
    },
    Kind {
        name: "persons",
        title: n("People"),
        lead: n("Who was there"),
        rows: Rows::None,
        fields: &[
            EVENT,
            field(
                "sort",
                n("Order by"),
                Look::Pick(&[
                    ("", n("last seen")),
                    ("first_seen", n("first seen")),
                    ("events", n("events")),
                ]),
                Put::Text,
            ),
            field("after", n("Continue after"), Look::Text(""), Put::Text),
        ],
        breakdown: false,
    },
    Kind {
        name: "person",
        title: n("One person"),
        lead: n("What one person did, newest first"),
        rows: Rows::None,
        fields: &[
            field("person", n("Person"), Look::Text("00f3a1b2c4d5e6f7"), Put::Text),
            EVENT,
            field("after", n("Continue after"), Look::Text(""), Put::Text),
        ],
        breakdown: false,
    },
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
