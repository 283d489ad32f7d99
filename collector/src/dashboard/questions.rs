//! What the results page asks: every question as the JSON body that the HTTP contract takes.
//!
//! In: a period, what was seen in the project, the reader's choices. Out: kinds and bodies. There
//! is no second way to a figure: whatever a page shows can be asked for over HTTP with the body
//! written here.

use serde_json::{Value, json};
use tallymark_store::Schema;

use super::address::Address;
use super::period::{Period, plus};

/// A question of the contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Last part of its path: `trend`, `funnel`, …
    pub kind: &'static str,
    /// Its body.
    pub body: Value,
}

/// Rows of the small tables.
pub const TABLE_ROWS: usize = 8;
/// Countries of the map.
const COUNTRIES: usize = 100;
/// Experiments on the page.
pub const EXPERIMENTS: usize = 6;

/// The checkout ladders that people name their events by: one row per step, best name first.
const LADDER: &[&[&str]] = &[
    &["view_product", "product_viewed", "viewed_product", "view_item", "Product Viewed"],
    &["add_to_cart", "product_added", "added_to_cart", "Product Added", "cart_updated"],
    &["checkout_started", "begin_checkout", "started_checkout", "Checkout Started"],
    &["purchase", "order_completed", "purchased", "payment_succeeded", "Order Completed"],
];

/// The ladder into an account, for products that sell no goods.
const SIGN_UP_LADDER: &[&[&str]] = &[
    &["$pageview"],
    &["signup_started", "sign_up_started", "register_started"],
    &["signup", "sign_up", "signup_completed", "user_signed_up", "registered", "account_created"],
    &["activated", "onboarding_completed", "first_project_created"],
    &["subscription_started", "trial_started", "subscribed", "upgraded"],
];

/// The events of a funnel: the reader's, else the most plausible ladder of what was seen.
pub fn funnel_steps(address: &Address, schema: &Schema) -> Vec<String> {
    if address.steps.is_empty() { ladder(schema) } else { address.steps.clone() }
}

/// The most plausible ladder of what was seen.
pub fn ladder(schema: &Schema) -> Vec<String> {
    let climb = |ladder: &[&[&str]]| -> Vec<String> {
        let found = ladder.iter().filter_map(|names| {
            names.iter().find(|name| schema.events.contains_key(**name)).map(|name| (*name).into())
        });
        found.collect()
    };
    let best = [climb(LADDER), climb(SIGN_UP_LADDER)].into_iter().find(|steps| steps.len() > 1);
    best.unwrap_or_else(|| {
        // No known names: from a page view to what people do most, rarer and rarer.
        let mut own: Vec<(&String, u64)> = schema
            .events
            .iter()
            .filter(|(name, _)| !name.starts_with('$'))
            .map(|(name, event)| (name, event.count))
            .collect();
        own.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let first =
            ["$pageview", "$content_view"].into_iter().find(|n| schema.events.contains_key(*n));
        let first = first.map(str::to_owned).into_iter();
        first.chain(own.into_iter().take(3).map(|(name, _)| name.clone())).collect()
    })
}

/// The event that counts as success: the reader's, else the last step of the funnel.
pub fn goal(address: &Address, steps: &[String], schema: &Schema) -> Option<String> {
    let chosen = address.metric.clone();
    chosen
        .or_else(|| steps.last().cloned())
        .or_else(|| schema.events.contains_key("$conversion").then(|| "$conversion".to_owned()))
}

/// Whether an event of this name carried numbers as `value`.
pub fn has_value(schema: &Schema, event: &str) -> bool {
    let event = schema.events.get(event);
    event.and_then(|e| e.properties.get("value")).is_some_and(|p| p.types.numbers > 0)
}

/// The event that stands for looking around: page views, else any event.
pub fn looking(schema: &Schema) -> Option<&'static str> {
    schema.events.contains_key("$pageview").then_some("$pageview")
}

/// People of the last half hour.
pub fn now(period: &Period) -> Question {
    let instant = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
    let mut question = trend(period, json!([{ "measure": "persons" }]));
    question.body["from"] = instant(period.now_ms - 30 * 60_000).into();
    question.body["to"] = instant(period.now_ms + 1).into();
    question.body["bucket"] = "hour".into();
    question
}

/// Today up to now (`weeks` 0), or the same hours of the same weekday before.
pub fn today(period: &Period, schema: &Schema, weeks: i64) -> Question {
    let event = looking(schema);
    let views = event.map_or(json!({ "measure": "count" }), |event| json!({ "event": event }));
    let mut question = trend(period, json!([{ "measure": "persons" }, views]));
    let now_ms = period.now_ms + 1 - weeks * 7 * 86_400_000;
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    question.body["from"] = plus(period.today, -7 * weeks).to_string().into();
    question.body["to"] = now.to_string().into();
    question
}

/// How much of what pages tracked is here.
pub fn delivery(period: &Period) -> Question {
    Question { kind: "completeness", body: ranged(period) }
}

/// The headline figures per day, with the period before: people, page views, the goal, its value.
pub fn headline(period: &Period, schema: &Schema, goal: Option<&str>) -> Question {
    let mut series = vec![json!({ "measure": "persons" })];
    series.push(match looking(schema) {
        Some(event) => json!({ "event": event, "measure": "count" }),
        None => json!({ "measure": "count" }),
    });
    if let Some(goal) = goal {
        series.push(json!({ "event": goal, "measure": "count" }));
        if has_value(schema, goal) {
            series.push(json!({ "event": goal, "measure": "sum", "prop": "value" }));
        }
    }
    let mut question = trend(period, series.into());
    question.body["compare"] = "previous".into();
    question
}

/// Daily, weekly and monthly active people.
pub fn active(period: &Period) -> Question {
    Question { kind: "active", body: ranged(period) }
}

/// People by the values of a property, most first.
pub fn top(period: &Period, schema: &Schema, prop: &str) -> Question {
    let series = match looking(schema) {
        Some(event) => json!([{ "event": event, "measure": "persons" }]),
        None => json!([{ "measure": "persons" }]),
    };
    let mut question = trend(period, series);
    question.body["bucket"] = "month".into();
    // A map has room for them all.
    let limit = if prop == "country" { COUNTRIES } else { TABLE_ROWS };
    question.body["breakdown"] = json!({ "prop": prop, "limit": limit });
    question
}

/// The funnel.
pub fn funnel(period: &Period, steps: &[String], window: &str) -> Question {
    let mut body = ranged(period);
    body["steps"] = steps.iter().map(|step| json!({ "event": step })).collect();
    body["window"] = window.into();
    Question { kind: "funnel", body }
}

/// Weekly retention of the weeks that [`Period::weeks`] gives.
pub fn retention(period: &Period) -> Question {
    let (from, to, weeks) = period.weeks();
    let mut body = ranged(period);
    body["from"] = from.to_string().into();
    body["to"] = to.to_string().into();
    body["bucket"] = "week".into();
    body["periods"] = (weeks - 1).into();
    Question { kind: "retention", body }
}

/// The experiments that people were exposed to, by people.
pub fn experiment_keys(period: &Period) -> Question {
    let mut question = trend(period, json!([{ "event": "$exposure", "measure": "persons" }]));
    question.body["from"] = period.experiments_from().to_string().into();
    question.body["bucket"] = "month".into();
    question.body["breakdown"] = json!({ "prop": "experiment", "limit": EXPERIMENTS });
    question
}

/// An experiment that is defined: its definition says the rest.
pub fn defined_experiment(period: &Period, key: &str) -> Question {
    // The page asks for several at once; what each has lost takes a look at all events, and others that people
    // met at the same time take the slower kernel.
    let body =
        json!({ "experiment": key, "tz": period.tz_name, "loss": false, "interactions": [] });
    Question { kind: "experiment", body }
}

/// One that is assigned elsewhere.
pub fn experiment(period: &Period, key: &str, goal: &str) -> Question {
    let mut body = ranged(period);
    body["from"] = period.experiments_from().to_string().into();
    body["experiment"] = key.into();
    body["metrics"] = json!([{ "name": goal, "event": goal }]);
    Question { kind: "experiment", body }
}

/// What was read and looked at.
pub fn content(period: &Period) -> Question {
    Question { kind: "content", body: ranged(period) }
}

/// The way to the installed app.
pub fn pwa(period: &Period) -> Question {
    Question { kind: "pwa", body: ranged(period) }
}

fn trend(period: &Period, series: Value) -> Question {
    let mut body = ranged(period);
    body["series"] = series;
    body["bucket"] = "day".into();
    Question { kind: "trend", body }
}

fn ranged(period: &Period) -> Value {
    json!({
        "from": period.from.to_string(), "to": period.to.to_string(), "tz": period.tz_name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use tallymark_analysis::time_bucket::WeekStart;
    use tallymark_analysis::{Context, compile};
    use tallymark_store::EventSchema;

    use super::super::period::Asked;
    use super::*;

    fn schema(names: &[(&str, u64)]) -> Schema {
        let event = |count| EventSchema { count, last_ms: 0, properties: BTreeMap::new() };
        Schema { events: names.iter().map(|(n, count)| ((*n).to_owned(), event(*count))).collect() }
    }

    #[rstest]
    #[case::a_shop(&[("$pageview", 9), ("purchase", 1), ("add_to_cart", 2), ("view_product", 3)],
        &["view_product", "add_to_cart", "purchase"])]
    #[case::an_app(&[("$pageview", 9), ("signup", 4), ("activated", 2)],
        &["$pageview", "signup", "activated"])]
    #[case::anything(&[("$pageview", 9), ("x", 1), ("y", 5), ("$exposure", 7)], &["$pageview", "y", "x"])]
    #[case::one_event(&[("x", 1)], &["x"])]
    #[case::nothing(&[], &[])]
    fn the_funnel_of_a_project_is(#[case] seen: &[(&str, u64)], #[case] want: &[&str]) {
        assert_eq!(funnel_steps(&Address::default(), &schema(seen)), want);
    }

    #[test]
    fn the_readers_steps_come_first() {
        let address = Address::read("steps=b,a");
        assert_eq!(
            funnel_steps(&address, &schema(&[("view_product", 1), ("purchase", 1)])),
            ["b", "a"]
        );
    }

    #[test]
    fn every_question_of_the_page_is_understood() {
        let (period, _) =
            Period::read(&Asked::default(), "Europe/Berlin", WeekStart::Monday, 1_795_390_200_000);
        let schema = schema(&[("$pageview", 1), ("purchase", 1)]);
        let questions = [
            now(&period),
            today(&period, &schema, 0),
            today(&period, &schema, 1),
            delivery(&period),
            headline(&period, &schema, Some("purchase")),
            active(&period),
            top(&period, &schema, "path"),
            funnel(&period, &["a".into(), "b".into()], "7d"),
            retention(&period),
            experiment_keys(&period),
            experiment(&period, "buy-button", "purchase"),
            defined_experiment(&period, "buy-button"),
            content(&period),
            pwa(&period),
        ];
        let context = Context::utc(period.now_ms);
        for question in questions {
            let compiled = compile(question.kind, question.body.clone(), &context);
            assert!(compiled.is_ok(), "{question:?}: {compiled:?}");
        }
    }
}
