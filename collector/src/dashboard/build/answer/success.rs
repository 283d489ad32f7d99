//! What leads to success, and what it brings: attribution and revenue.

use serde_json::Value;
use tallymark_analysis::answer::*;

use super::super::super::svg::line::Line;
use super::super::super::view::Words;
use super::super::super::words::{say, t};
use super::kinds::{Around, figures, heads, nothing, ranked, text};
use super::over_time::drawing;
use super::{Block, Cell, Data};

pub fn attribution(answer: &AttributionAnswer, around: &Around<'_>) -> Vec<Block> {
    if answer.touches.is_empty() {
        return no_success(around.definition);
    }
    let models: Vec<String> = answer.touches[0]
        .models
        .iter()
        .map(|model| {
            serde_json::to_value(model.model)
                .ok()
                .and_then(|name| Some(name.as_str()?.to_owned()))
                .unwrap_or_default()
        })
        .collect();
    let rows = answer.touches.iter().map(|touch| {
        let name = match (touch.group, &touch.value) {
            (TouchGroup::Value, Some(value)) => value.clone(),
            (TouchGroup::Direct, _) => t("direct").to_owned(),
            (TouchGroup::Other, _) => t("all others").to_owned(),
            _ => t("not known").to_owned(),
        };
        let shares = touch.models.iter().map(|model| Cell::Figure(Some(model.conversions)));
        std::iter::once(text(name)).chain(shares).collect()
    });
    let mut head = vec![t("Credit").to_owned()];
    head.extend(models);
    vec![
        figures(&[
            (t("Successes"), Cell::Count(answer.conversions), ""),
            (t("People"), Cell::Count(answer.persons), ""),
        ]),
        ranked(t("Who gets the credit, by model"), Data { head, rows: rows.collect() }, |_| {
            String::new()
        }),
    ]
}

pub fn revenue(answer: &RevenueAnswer, around: &Around<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    for money in &answer.currencies {
        let currency = money.currency.as_deref().unwrap_or("");
        let titled = |title: &str| {
            if currency.is_empty() { title.to_owned() } else { format!("{title}, {currency}") }
        };
        let last = money.recurring.last();
        let figure = |value: Option<f64>| Cell::Figure(value);
        blocks.push(figures(&[
            (t("Recurring by the month"), figure(last.map(|r| r.end)), currency),
            (t("By the year"), figure(last.map(|r| r.arr)), currency),
            (t("Customers"), figure(last.map(|r| r.customers.end as f64)), ""),
            (
                t("Customers lost"),
                Cell::Share(last.and_then(|r| r.customer_churn_ratio)),
                t("in the last period"),
            ),
        ]));
        let value =
            |read: fn(&Recurring) -> f64| money.recurring.iter().map(|r| Some(read(r))).collect();
        let line =
            Line { name: titled(t("Recurring")), class: "a", values: value(|r| r.end), area: true };
        let rows = answer.buckets.iter().zip(&money.recurring).map(|(bucket, r)| {
            let parts =
                [r.start, r.new, r.reactivation, r.expansion, -r.contraction, -r.churn, r.end];
            std::iter::once(text(bucket.clone()))
                .chain(parts.map(|part| Cell::Figure(Some(part))))
                .collect()
        });
        let head = [
            t("Time"),
            t("Start"),
            t("new"),
            t("reactivated"),
            t("more"),
            t("less"),
            t("lost"),
            t("End"),
        ];
        let data = Data { head: heads(&head), rows: rows.collect() };
        blocks.push(drawing(
            &titled(t("Recurring by the month")),
            &answer.buckets,
            vec![line],
            Vec::new(),
            data,
            around,
        ));
        let rows = answer.buckets.iter().zip(&money.taken).map(|(bucket, taken)| {
            vec![
                text(bucket.clone()),
                Cell::Figure(Some(taken.net)),
                Cell::Figure(Some(taken.gross)),
                Cell::Figure(Some(taken.refunded)),
                Cell::Count(taken.payers),
                Cell::Figure(taken.arppu),
                Cell::Figure(taken.ltv),
            ]
        });
        let head = [
            t("Time"),
            t("Net"),
            t("Paid"),
            t("Given back"),
            t("Who paid"),
            t("Each who paid"),
            t("A customer's worth"),
        ];
        blocks.push(ranked(
            &titled(t("Taken")),
            Data { head: heads(&head), rows: rows.collect() },
            |_| String::new(),
        ));
    }
    if blocks.is_empty() { no_money(around.definition) } else { blocks }
}

/// What the question follows, where nothing of it came.
fn no_money(definition: &Value) -> Vec<Block> {
    let followed = ["started", "renewed", "changed", "ended", "paid", "refunded"];
    let names = followed.iter().filter_map(|role| definition["events"][*role].as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    vec![Block::Nothing(Words {
        title: t("No subscriptions and no payments in this time").to_owned(),
        text: say(
            "Revenue follows the events {events}, with amount and currency as their properties. Send them from your \
             server, or name your own as events of the question, as JSON.",
            &[("events", &names)],
        ),
    })]
}

/// Nobody did what counts as success.
fn no_success(definition: &Value) -> Vec<Block> {
    match definition["conversion"]["event"].as_str() {
        None => nothing(),
        Some(event) => vec![Block::Nothing(Words {
            title: say("Nobody did {event} in this time", &[("event", event)]),
            text: t("Choose a longer range, another event, or fewer filters.").to_owned(),
        })],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_money_names_the_events_of_the_question() {
        let events = json!({ "started": "began", "paid": "<paid>" });
        let blocks = no_money(&json!({ "events": events }));
        let [Block::Nothing(words)] = &blocks[..] else { panic!("{blocks:?}") };
        assert!(words.text.contains("the events began, <paid>, with amount"), "{}", words.text);
    }

    #[test]
    fn no_success_names_what_counts_as_one() {
        let blocks = no_success(&json!({ "conversion": { "event": "bought" } }));
        let [Block::Nothing(words)] = &blocks[..] else { panic!("{blocks:?}") };
        assert_eq!(words.title, "Nobody did bought in this time");
    }
}
