//! The stream of live figures.

use std::time::{Duration, Instant};

use super::*;

impl Service {
    /// An open stream, to be read frame by frame.
    async fn look(&self, query: &str) -> Body {
        let request = Request::get(format!("/v1/live{query}"))
            .header("authorization", format!("Bearer {}", self.secret_key))
            .body(Body::empty());
        let response = self.front.answer(([127, 0, 0, 1], 1).into(), request.unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body()
    }
}

/// The next message of a stream.
async fn message(stream: &mut Body) -> Value {
    loop {
        let frame = stream.frame().await.expect("it goes on").unwrap().into_data().unwrap();
        let text = String::from_utf8(frame.to_vec()).unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        if let Some(data) = data {
            return serde_json::from_str(data).unwrap();
        }
    }
}

fn page(number: u64, device: &str, ago_ms: i64) -> Value {
    let event = with(with(event(number), "name", "$pageview"), "at", NOW - ago_ms);
    with(event, "device", device.repeat(32))
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_79_a_message_comes_within_two_seconds_of_an_event() {
    let service = service().await;
    service
        .batch(json!([page(1, "ab", 0), page(2, "cd", 29 * 60_000), page(3, "ef", 31 * 60_000)]))
        .await;
    let mut streams = [service.look("").await, service.look("").await];
    let first = message(&mut streams[0]).await;
    assert_eq!((&first["events"]["total"], &first["persons"]["total"]), (&json!(2), &json!(2)));
    let minutes = first["minutes"].as_array().unwrap();
    assert_eq!((minutes.len(), &minutes[29]), (30, &json!("2026-11-22T12:30:00+00:00")));
    assert_eq!(first["events"]["data"][29], 1, "the minute that goes on");
    assert_eq!(first["top_events"], json!([{ "value": "$pageview", "count": 2 }]));
    assert_eq!(message(&mut streams[1]).await, first);

    let sent = Instant::now();
    service.batch(json!([event(9)])).await;
    for stream in &mut streams {
        let next = message(stream).await;
        assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
        assert_eq!(next["events"]["total"], 3);
        assert_eq!(next["top_events"][1], json!({ "value": "opened", "count": 1 }));
        let text = next.to_string();
        assert!(!text.contains("abab") && !text.contains("person\""), "nobody is named: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_end_when_the_server_stops() {
    let mut config = Config::default();
    config.set("live_streams", "2").unwrap();
    let service = service_with(config).await;
    let mut one = service.look("").await;
    let two = service.look("").await;
    let refused = service.get("/v1/live", Some(&service.secret_key)).await;
    assert_eq!(refused.problem(), (503, "busy".into()));
    assert_eq!(refused.headers["retry-after"], "1");
    drop(two);
    // A stream that asks for one message gives its place back.
    for _ in 0..2 {
        let mut once = service.look("?once=true").await;
        assert_eq!(message(&mut once).await["events"]["total"], 0);
        assert!(once.frame().await.is_none());
    }
    message(&mut one).await;
    service.app.live.stop();
    assert!(one.frame().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_looks_at_another_project() {
    let service = service().await;
    service.batch(json!([event(1)])).await;
    let other = project(&service.app, "other").await;
    let theirs = key(&service.app, &other, KeyKind::Secret, Scopes::all()).await;
    let reply = service.get("/v1/live?once=true", Some(&theirs)).await;
    let text = String::from_utf8(reply.bytes).unwrap();
    assert!(text.contains(r#""events":{"data":[0"#) && !text.contains("opened"), "{text}");
}
