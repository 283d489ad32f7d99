//! What changed yesterday, over HTTP: the sentence of a planted change, its reasons, and who sees it.

use tallymark::access::Role;

use super::dashboard::reader;
use super::*;

const DAY: i64 = 86_400_000;
const PART: &str = "/p/shop/changes?part=answer";

/// So many days up to yesterday of thirty times each of two events; yesterday the second hardly happened.
async fn visited(days: i64) -> Service {
    let service = service().await;
    let mut number = 0;
    for days_ago in 1..=days {
        let mut events = Vec::new();
        for (name, count) in [("opened", 30), ("saved", if days_ago == 1 { 2 } else { 30 })] {
            for person in 0..count {
                number += 1;
                let at = NOW - days_ago * DAY + person * 1_000;
                events.push(json!({
                    "id": format!("{:08x}-{:04x}-7000-8000-{number:012x}", at >> 16, at & 0xffff),
                    "name": name, "at": at, "user_id": format!("person-{person}"),
                }));
            }
        }
        let receipt = service.as_server(&service.secret_key, events.into()).await.json();
        assert_eq!(receipt["rejected"], json!([]), "{receipt}");
    }
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_said_with_its_numbers_and_what_happened_at_the_time() {
    let service = visited(29).await;
    let of_viewer = reader(&service, Role::Viewer).await;
    let html = of_viewer.page(PART).await;
    assert!(html.contains("saved: 2") && html.contains("usually about 30"), "{html}");
    assert!(html.contains("event=saved&#38;measure=count"), "it leads to its question: {html}");
    assert!(!html.contains("opened: "), "what did not change: {html}");
    assert!(!html.contains("<html"), "it is a part of a page");
    assert!(!html.contains("At that time"), "{html}");

    // What the team notes afterwards shows although the look is kept; what was earlier does not.
    for (key, text, before_ms) in [("a", "Release <9>", DAY), ("b", "Old news", 4 * DAY)] {
        let at = jiff::Timestamp::from_millisecond(NOW - before_ms).unwrap().to_string();
        let note = json!({ "text": text, "at": at });
        let path = format!("annotations/{key}");
        let made = service.saved_as(&service.secret_key, Method::PUT, &path, note).await;
        assert_eq!(made.status, 201);
    }
    let html = of_viewer.page(PART).await;
    assert!(html.contains("At that time") && html.contains("Release &#60;9&#62;"), "{html}");
    assert!(!html.contains("Old news"), "{html}");

    let page = of_viewer.page("/p/shop/changes").await;
    assert!(page.contains("<html") && page.contains("as usual"), "everything is listed: {page}");
    let mut german = of_viewer;
    german.language = "de-DE";
    let html = german.page(PART).await;
    assert!(html.contains("sonst etwa 30") && html.contains("Zu dieser Zeit:"), "{html}");

    let home = german.page("/p/shop").await;
    assert!(home.contains(&format!("data-load=\"{PART}\"")), "the home fetches it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_somebody_left_is_looked_at_again_by_the_next_one() {
    let service = visited(29).await;
    let of_viewer = reader(&service, Role::Viewer).await;
    // Ever later, until somebody has the answer before leaving: one of those before left in the middle of it.
    for step in 1.. {
        let patience = std::time::Duration::from_micros(step * 200);
        if tokio::time::timeout(patience, of_viewer.page(PART)).await.is_ok() {
            break;
        }
    }
    let html = of_viewer.page(PART).await;
    assert!(html.contains("saved: 2"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_four_weeks_nothing_is_said_to_be_usual() {
    let service = visited(28).await;
    let html = reader(&service, Role::Viewer).await.page(PART).await;
    assert!(html.contains("Not enough history yet") && html.contains("27"), "{html}");
    assert!(!html.contains("usually"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_from_outside_sees_what_changed() {
    let service = visited(1).await;
    let request = Request::get(PART).header("accept", "text/html");
    let reply = service.send(request.body(Body::empty()).unwrap()).await;
    assert_ne!(reply.status, 200);
    assert!(!String::from_utf8_lossy(&reply.bytes).contains("yesterday"), "{reply:?}");
}
