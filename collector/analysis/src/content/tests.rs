//! Views of contents, one named test each rule.

use super::*;
use crate::testing::{Event, Memory, Scan};
use proptest::prelude::*;
use serde_json::json;

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn ask(events: Vec<Event>, question: Value, scan: Scan) -> ContentAnswer {
    let mut full = json!({ "from": "2026-09-01", "to": "2026-09-04" });
    full.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    let context = Context::utc(T0 + 30 * DAY);
    match Memory::new(events).answer_by("content", full, &context, scan).unwrap().body {
        AnswerBody::Content(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn view(person: u64, at: i64, id: &str) -> Event {
    Event::new(person, T0 + at, "$content_view")
        .with("content_id", id)
        .with("content_type", "article")
        .with("owner", if id == "a" { "ines" } else { "tobias" })
}

fn some_views() -> Vec<Event> {
    vec![
        view(1, 0, "a").with("engaged_ms", 1000).with("completion", 0.2),
        view(1, DAY, "a").with("engaged_ms", 3000).with("completion", 0.5),
        view(2, 5, "a").with("completion", 1),
        view(2, 6, "b").with("engaged_ms", 500),
        Event::new(3, T0 + 2 * DAY, "$content_view").with("content_type", "video"),
        Event::new(3, T0 + 2 * DAY, "$pageview").with("content_id", "a"),
    ]
}

#[test]
fn a_content_has_views_viewers_time_and_how_far_people_came() {
    let answer = ask(some_views(), json!({}), Scan::default());
    assert_eq!(answer.contents, 2);
    let a = &answer.items[0];
    assert_eq!((a.id.as_deref(), a.owner.as_deref()), (Some("a"), Some("ines")));
    assert_eq!((a.views, a.viewers), (3, 2));
    assert_eq!((a.engaged_ms, a.engaged_ms_mean), (Figure(Some(4000.0)), Figure(Some(2000.0))));
    assert_eq!(a.reached, [2, 2, 1, 1]);
    assert_eq!((answer.total.views, answer.total.viewers), (5, 3));
    let days: Vec<_> = answer.buckets.iter().map(|day| (day.views, day.viewers)).collect();
    assert_eq!(days, [(3, 2), (1, 1), (1, 1)]);
}

#[test]
fn views_can_be_asked_by_type_owner_and_id() {
    let of = |question| ask(some_views(), question, Scan::default()).total.views;
    assert_eq!(of(json!({ "content_type": "article" })), 4);
    assert_eq!(of(json!({ "owner": "tobias" })), 1);
    assert_eq!(
        of(json!({ "id": "a", "where": [{ "prop": "completion", "op": "gte", "value": 0.5 }] })),
        2
    );
    assert_eq!(of(json!({ "id": "nobody saw it" })), 0);
}

#[test]
fn contents_are_put_together_by_owner_and_by_tier() {
    let views = |question: Value| {
        let mut events = some_views();
        events[3].props.insert("tier".into(), "gold".into());
        let answer = ask(events, question, Scan::default());
        let line = |item: ContentItem| (item.id.unwrap(), item.views, item.viewers);
        (answer.total.views, answer.items.into_iter().map(line).collect::<Vec<_>>())
    };
    let of = |id: &str, views: u64, viewers: u64| (id.to_owned(), views, viewers);
    assert_eq!(views(json!({ "by": "owner" })), (5, vec![of("ines", 3, 2), of("tobias", 1, 1)]));
    assert_eq!(views(json!({ "by": "tier" })), (5, vec![of("gold", 1, 1)]));
    let by_type = vec![of("article", 4, 2), of("video", 1, 1)];
    assert_eq!(views(json!({ "by": "content_type" })), (5, by_type));
    assert_eq!(views(json!({ "tier": "gold" })), (1, vec![of("b", 1, 1)]));
}

#[test]
fn time_nobody_reported_is_not_known() {
    let answer = ask(vec![view(1, 0, "a")], json!({}), Scan::default());
    assert_eq!(answer.items[0].engaged_ms, Figure(None));
}

#[test]
fn contents_beyond_the_limit_stay_in_the_total() {
    let answer = ask(some_views(), json!({ "limit": 1 }), Scan::default());
    assert_eq!((answer.items.len(), answer.contents, answer.total.views), (1, 2, 5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn how_it_was_scanned_does_not_show(
        views in prop::collection::vec((0u64..9, 0i64..3 * DAY, 0u8..6, 0f64..1.2), 0..60),
        kernels in 1usize..5,
    ) {
        let events: Vec<Event> = views.into_iter().map(|(person, at, id, completion)| {
            view(person, at, &format!("c{id}")).with("completion", completion)
                .with("engaged_ms", completion * 1e4)
        }).collect();
        let scan = Scan { kernels, reverse_codes: true };
        let answer = ask(events.clone(), json!({}), Scan::default());
        prop_assert_eq!(ask(events, json!({}), scan), answer);
    }
}
