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
    /// Those that few need, which are folded away.
    pub more: &'static [Field],
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
    /// In addresses.
    pub name: &'static str,
    /// Of the body, unless `put` says otherwise.
    pub key: &'static str,
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
    /// One of the events that were seen, and what none of them means.
    Event(&'static str),
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
    /// As a list: commas part it.
    List,
    /// As a list of pairs: `1-7, 8-30`.
    Pairs,
    /// As `{"event": …}`.
    Event,
    /// As a text inside of this object.
    Inside(&'static str, &'static str),
    /// It is about how the answer looks, or `question` knows.
    Otherwise,
}

const fn field(name: &'static str, label: &'static str, look: Look, put: Put) -> Field {
    Field { name, key: name, label, look, put }
}

/// A field that addresses call otherwise than bodies, because of another field there.
const fn keyed(
    name: &'static str,
    key: &'static str,
    label: &'static str,
    look: Look,
    put: Put,
) -> Field {
    Field { key, ..field(name, label, look, put) }
}

const fn inside(
    outer: &'static str,
    inner: &'static str,
    label: &'static str,
    hint: &'static str,
) -> Field {
    field(inner, label, Look::Text(hint), Put::Inside(outer, inner))
}

impl Kind {
    /// All of its fields.
    pub fn all(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().chain(self.more)
    }
}

/// The currency of amounts that name none.
const CURRENCY: Field = field(
    "default_currency",
    n("Currency of amounts that name none"),
    Look::Text("EUR"),
    Put::Text,
);

const BUCKETS: Look = Look::Pick(&[("", n("Day")), ("week", n("Week")), ("month", n("Month"))]);
const EVENT: Field = field("event", n("Event"), Look::Event(n("any event")), Put::Text);
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
        more: &[],
        breakdown: true,
    },
    Kind {
        name: "active",
        title: n("Active people"),
        lead: n("How many people are there by day, week and month"),
        rows: Rows::None,
        fields: &[EVENT],
        more: &[],
        breakdown: false,
    },
    Kind {
        name: "lifecycle",
        title: n("Lifecycle"),
        lead: n("Who is new, who stays, who comes back and who is gone"),
        rows: Rows::None,
        fields: &[EVENT, BUCKET],
        more: &[],
        breakdown: false,
    },
    Kind {
        name: "stickiness",
        title: n("Stickiness"),
        lead: n("On how many days people are there"),
        rows: Rows::None,
        fields: &[EVENT, BUCKET],
        more: &[],
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
        more: &[
            field(
                "attribution",
                n("A breakdown reads"),
                Look::Pick(&[
                    ("", n("the first event")),
                    ("last", n("the last event")),
                    ("step:1", n("that of step 1")),
                    ("step:2", n("that of step 2")),
                    ("step:3", n("that of step 3")),
                ]),
                Put::Text,
            ),
            field("hold", n("Must stay the same"), Look::Text("shop, plan"), Put::List),
            field(
                "bucket",
                n("Conversion per"),
                Look::Pick(&[
                    ("", n("all of this time")),
                    ("day", n("Day")),
                    ("week", n("Week")),
                    ("month", n("Month")),
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
            field("start", n("People who first did"), Look::Event(n("any event")), Put::Event),
            field("return", n("and then did"), Look::Event(n("any event")), Put::Event),
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
        more: &[
            field("brackets", n("Periods together"), Look::Text("1-7, 8-30"), Put::Pairs),
            field("minimum", n("Returns at least"), Look::Text("1"), Put::Number),
            field("sum", n("Add up of the returns"), Look::Prop, Put::Text),
            field(
                "compat",
                n("By the rules of"),
                Look::Pick(&[
                    ("", "Tallymark"),
                    ("posthog", "PostHog"),
                    ("mixpanel", "Mixpanel"),
                    ("amplitude", "Amplitude"),
                ]),
                Put::Text,
            ),
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
            field("anchor", n("Event"), Look::Event("$pageview"), Put::Otherwise),
            field("at", n("on the page"), Look::Text("/pricing"), Put::Otherwise),
            field(
                "by",
                n("Steps are"),
                Look::Pick(&[("", n("pages")), ("event", n("events"))]),
                Put::Text,
            ),
            field("depth", n("Steps to show"), Look::Text("4"), Put::Number),
        ],
        more: &[
            field("event", n("Only steps of"), Look::Event(n("any event")), Put::Text),
            field("limit", n("Ways to show"), Look::Text("9"), Put::Number),
            field(
                "repeats",
                n("The same step again"),
                Look::Pick(&[("", n("is no step")), ("count", n("is a step"))]),
                Put::Text,
            ),
        ],
        breakdown: false,
    },
    Kind {
        name: "sessions",
        title: n("Sessions"),
        lead: n("How long people stay and where they come in"),
        rows: Rows::None,
        fields: &[
            BUCKET,
            field("conversions", n("Success is"), Look::Event(n("nothing")), Put::List),
        ],
        more: &[
            field("event", n("A page is seen with"), Look::Event("$pageview"), Put::Text),
            keyed("rows", "limit", n("Pages to list"), Look::Text("20"), Put::Number),
            field(
                "compat",
                n("By the rules of"),
                Look::Pick(&[("", "Tallymark"), ("matomo", "Matomo")]),
                Put::Text,
            ),
        ],
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
        more: &[
            field("tier", n("Only of tier"), Look::Text("free"), Put::Text),
            field("id", n("Only this one"), Look::Text("essay-1"), Put::Text),
            keyed("rows", "limit", n("To list"), Look::Text("20"), Put::Number),
            BUCKET,
        ],
        breakdown: false,
    },
    Kind {
        name: "pwa",
        title: n("Installs"),
        lead: n("From the browser's question to the home screen"),
        rows: Rows::None,
        fields: &[],
        more: &[],
        breakdown: false,
    },
    Kind {
        name: "attribution",
        title: n("Attribution"),
        lead: n("Which visits led to success"),
        rows: Rows::None,
        fields: &[
            field(
                "conversion",
                n("Success is"),
                Look::Event("$conversion"),
                Put::Inside("conversion", "event"),
            ),
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
        more: &[
            inside("conversion", "value", n("What it is worth is in"), "value"),
            inside("conversion", "currency", n("Its currency is in"), "currency"),
            CURRENCY,
            field("models", n("Models"), Look::Text("last, first, linear"), Put::List),
            field("half_life", n("Half-life of decay"), Look::Text("7d"), Put::Text),
            field("ignore_hosts", n("Not a source"), Look::Text("pay.example"), Put::List),
            keyed("rows", "limit", n("To list"), Look::Text("50"), Put::Number),
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
        more: &[
            inside("events", "started", n("A subscription begins with"), "subscription.created"),
            inside("events", "renewed", n("is renewed with"), "subscription.renewed"),
            inside("events", "changed", n("changes with"), "subscription.changed"),
            inside("events", "ended", n("ends with"), "subscription.cancelled"),
            inside("events", "paid", n("Money comes with"), "payment.completed"),
            inside("events", "refunded", n("and is given back with"), "payment.refunded"),
            CURRENCY,
            field("digits", n("Digits after the point"), Look::Text("2"), Put::Number),
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
        more: &[
            field("columns", n("Columns"), Look::Text("country, plan"), Put::List),
            keyed("rows", "limit", n("To list"), Look::Text("100"), Put::Number),
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
        more: &[
            field("columns", n("Columns"), Look::Text("path, plan"), Put::List),
            keyed("rows", "limit", n("To list"), Look::Text("100"), Put::Number),
        ],
        breakdown: false,
    },
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tallymark_analysis::question::{Context, QuestionError};
    use tallymark_analysis::registry;

    use super::*;

    /// Fields that no form of their own has, and why.
    const ELSEWHERE: [(&str, &str, &str); 3] =
        [("trend", "series", "rows"), ("funnel", "steps", "rows"), ("funnel", "exclude", "rows")];

    /// The fields of a kind, as its question lists them when it meets one that it does not know.
    fn known(kind: &str) -> Vec<String> {
        let mut body = json!({ "nobody_knows_this": 1 });
        if kind == "funnel" {
            body["steps"] = json!([{ "event": "a" }, { "event": "b" }]);
        }
        let context = Context::utc(1_700_000_000_000);
        match registry::compile(kind, body, &context) {
            Err(QuestionError::Malformed { detail }) => {
                let listed = detail.split("expected").nth(1).unwrap_or_default();
                listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
            }
            Err(other) => panic!("{kind}: {other}"),
            Ok(_) => panic!("{kind} takes a field that nobody knows"),
        }
    }

    #[test]
    fn every_field_of_every_question_is_in_its_form() {
        let mut seen = 0;
        for kind in KINDS {
            let own: Vec<&str> = kind
                .all()
                .map(|field| match field.put {
                    Put::Inside(outer, _) => outer,
                    // Both ends of a path are one field with a direction.
                    _ if field.name == "anchor" => "from_event",
                    _ if field.name == "way" => "to_event",
                    _ => field.key,
                })
                .collect();
            for field in known(kind.name) {
                seen += 1;
                let rows =
                    ELSEWHERE.iter().any(|(of, name, _)| (*of, *name) == (kind.name, &field));
                assert!(
                    rows || own.contains(&&*field),
                    "{} has the field `{field}`, and its form has not: {own:?}",
                    kind.name
                );
            }
        }
        assert!(seen > 60, "questions list their fields: {seen}");
    }

    #[test]
    fn no_two_fields_of_a_form_have_the_same_name() {
        for kind in KINDS {
            let mut names: Vec<&str> = kind.all().map(|field| field.name).collect();
            names.extend(kind.breakdown.then_some("limit"));
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", kind.name);
        }
    }
}
