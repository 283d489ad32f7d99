//! Traces at a receiver of OpenTelemetry: what took how long, and nothing of anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector};

/// A receiver that keeps the spans it is sent; it answers as it is told.
fn receiver(status: &'static str) -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, spans) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let keeps = Arc::clone(&spans);
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let keeps = Arc::clone(&keeps);
            thread::spawn(move || {
                let (mut reader, mut writer) = (BufReader::new(&stream), &stream);
                let (mut head, mut length) = (String::new(), 0);
                while reader.read_line(&mut head).is_ok_and(|count| count > 0) {
                    let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if !line.is_empty() {
                        continue;
                    }
                    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
                    assert!(head.to_ascii_lowercase().contains("content-type: application/json"));
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let sent: Value = serde_json::from_slice(&body).expect("OTLP as JSON");
                    let resource = &sent["resourceSpans"][0];
                    assert_eq!(
                        resource["resource"]["attributes"][0],
                        json!({ "key": "service.name", "value": { "stringValue": "tallymark" } })
                    );
                    let found = resource["scopeSpans"][0]["spans"].as_array().unwrap();
                    keeps.lock().unwrap().extend(found.iter().cloned());
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                    writer.write_all(answer.as_bytes()).unwrap();
                    head.clear();
                }
            });
        }
    });
    (address, spans)
}

fn attributes(span: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        let value = value.as_object().unwrap().values().next().unwrap();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    let all = span["attributes"].as_array().unwrap().iter();
    all.map(|one| (one["key"].as_str().unwrap().to_owned(), text(&one["value"]))).collect()
}

#[test]
fn requests_questions_flushes_and_merges_are_traced_and_name_nobody() {
    const MAIL: &str = "marie.curie@example.org";
    let (address, spans) = receiver("200 OK");
    let url = format!("http://{address}/v1/traces");
    let mut collector = TestCollector::start_with(&[
        ("TALLYMARK_TRACES_URL", &url),
        ("TALLYMARK_TRACES_PER_S", "1000000"),
        ("TALLYMARK_MERGE_SEGMENTS", "2"),
        ("TALLYMARK_LOG", "debug"),
        ("TALLYMARK_LOG_FORMAT", "json"),
    ]);
    let project = collector.project("the-shop");
    let (_, mut random) = seeded("traces");
    for _ in 0..3 {
        let event = Event::new("signed_up", &mut random).without("device").with("user_id", MAIL);
        assert_eq!(collector.send_as_server(&project, &[event]).json()["ok"], 1);
        // Each stop is a flush.
        collector.stop();
        collector.restart();
    }
    let question = json!({ "series": [{ "event": "signed_up", "where": [{ "prop": "mail", "op": "eq", "value": MAIL }] }] });
    collector.query(&project, "trend", &question);
    collector.get(&project, &format!("/v1/events?user={MAIL}"));
    collector.get(&project, &format!("/{MAIL}"));
    let word = [("x-forwarded-for", "203.0.113.77")];
    let _ = collector.client().send("CURIE", collector.address(), "/v1/batch", &word, b"");
    let until = Instant::now() + Duration::from_secs(20);
    let seen = |name: &str| spans.lock().unwrap().iter().any(|span| span["name"] == name);
    while !(seen("merge") && seen("question") && seen("GET /v1/events")) {
        assert!(Instant::now() < until, "{:?}", spans.lock().unwrap());
        thread::sleep(Duration::from_millis(50));
    }
    collector.stop();

    let spans = std::mem::take(&mut *spans.lock().unwrap());
    let all = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    assert_eq!(all("POST /v1/batch").len(), 3);
    let flushed: u64 = all("flush")
        .iter()
        .map(|span| attributes(span)["flush.rows"].parse::<u64>().unwrap())
        .sum();
    assert_eq!(flushed, 3, "also what was flushed at a stop");
    assert!(attributes(all("merge")[0])["merge.segments"].parse::<u64>().unwrap() >= 2);
    let (asked, answered) = (all("POST /v1/query/{kind}")[0], all("question")[0]);
    assert_eq!(answered["parentSpanId"], asked["spanId"]);
    assert_eq!(answered["traceId"], asked["traceId"]);
    assert_eq!(attributes(answered)["question.kind"], "trend");
    assert_eq!(attributes(asked)["http.response.status_code"], "200");
    let ns = |span: &Value, field: &str| span[field].as_str().unwrap().parse::<u128>().unwrap();
    for span in &spans {
        assert!(ns(span, "startTimeUnixNano") <= ns(span, "endTimeUnixNano"), "{span}");
    }

    // The list of all that a span says. Whatever is added to it has to be looked at.
    let known: BTreeSet<&str> = [
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "question.kind",
        "question.rows_scanned",
        "flush.rows",
        "merge.segments",
        "merge.rows",
        "merge.level",
    ]
    .into();
    let text = Value::from(spans.clone()).to_string();
    let said: BTreeSet<String> =
        spans.iter().flat_map(|span| attributes(span).into_keys()).collect();
    let unknown: Vec<_> = said.iter().filter(|key| !known.contains(key.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for secret in [
        MAIL,
        "curie",
        "CURIE",
        "203.0.113",
        "the-shop",
        &project.write_key,
        &project.secret_key,
        "signed_up",
    ] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    // Logs are as they are without traces.
    assert!(collector.log().lines().filter(|line| !line.is_empty()).all(|line| {
        serde_json::from_str::<Value>(line).is_ok_and(|line| line["spans"].is_null())
    }));
}

#[test]
fn a_receiver_that_fails_is_said_in_the_log_and_slows_nobody() {
    let (address, _) = receiver("503 Service Unavailable");
    let url = format!("http://{address}/v1/traces");
    let mut collector = TestCollector::start_with(&[("TALLYMARK_TRACES_URL", &url)]);
    let project = collector.project("shop");
    let (_, mut random) = seeded("traces");
    assert_eq!(collector.send(&project, &[Event::new("viewed", &mut random)]).json()["ok"], 1);
    collector.stop();
    assert!(collector.log().contains("spans of traces are lost"), "{}", collector.log());
}
