//! What a batch becomes: stored once, refused with a reason, or not at all with a status.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use rstest::rstest;
use serde_json::{Value, json};
use tallymark_tests::seed::seeded;
use tallymark_tests::{Event, TestCollector, TestProject, batch, event};

const TEXT: [(&str, &str); 1] = [("content-type", "text/plain")];

#[test]
fn a_resent_batch_is_acknowledged_again_and_counted_once() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let events: Vec<_> = (0..17).map(|_| Event::new("viewed", &mut random)).collect();

    let first = collector.send(&project, &events);
    let second = collector.send(&project, &events);

    assert_eq!((first.status, counts(&first.json())), (200, (17, 0, 0)), "{}", first.text);
    assert_eq!((second.status, counts(&second.json())), (200, (0, 17, 0)), "{}", second.text);
    assert_eq!(total(&collector, &project, "viewed"), 17);
}

#[test]
fn an_event_twice_in_one_batch_is_stored_once() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let event = Event::new("viewed", &mut random);

    let receipt = collector.send(&project, &[event.clone(), event]).json();

    assert_eq!(counts(&receipt), (1, 1, 0), "{receipt}");
    assert_eq!(total(&collector, &project, "viewed"), 1);
}

#[test]
fn the_receipt_repeats_the_nonce_and_names_every_refused_event() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let mut good = || Event::new("viewed", &mut random);
    let events = [
        good(),
        good().with("name", ""),
        good().with("id", "not-an-id"),
        good().with("device", "marie@example.org"),
        good(),
        good().with("props", json!([1, 2])),
    ];
    let sent = batch(&project.write_key, &events);

    let reply = collector.post("/v1/batch", &TEXT, sent.to_string().as_bytes());
    let receipt = reply.json();

    assert_eq!(counts(&receipt), (2, 0, 4), "{receipt}");
    assert_eq!(receipt["nonce"], sent["nonce"]);
    let refused: Vec<_> = receipt["rejected"].as_array().expect("a list").iter().collect();
    let places: Vec<_> = refused.iter().filter_map(|refusal| refusal["i"].as_u64()).collect();
    assert_eq!(places, [1, 2, 3, 5]);
    for refusal in refused {
        let words = (refusal["code"].as_str(), refusal["detail"].as_str());
        assert!(
            matches!(words, (Some(code), Some(detail)) if !code.is_empty() && !detail.is_empty())
        );
    }
    assert_eq!(total(&collector, &project, "viewed"), 2, "the good ones of the batch are stored");
}

#[rstest]
#[case::by_header("/v1/batch", &[("content-type", "text/plain"), ("content-encoding", "gzip")])]
#[case::by_query("/v1/batch?z=gzip", &[("content-type", "text/plain")])]
fn a_gzipped_batch_is_stored(#[case] path: &str, #[case] headers: &[(&str, &str)]) {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let events: Vec<_> = (0..50).map(|_| Event::new("viewed", &mut random)).collect();
    let body = gzip(batch(&project.write_key, &events).to_string().as_bytes());

    let reply = collector.post(path, headers, &body);

    assert_eq!(counts(&reply.json()), (50, 0, 0), "{}", reply.text);
}

#[rstest]
#[case::exactly_500_events(500, 200)]
#[case::one_more_than_500_events(501, 413)]
fn a_batch_holds_500_events(#[case] count: usize, #[case] status: u16) {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let events: Vec<_> = (0..count).map(|_| Event::new("viewed", &mut random)).collect();

    let reply = collector.send(&project, &events);

    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(reply.code().is_empty(), status == 200, "a refusal has a code: {}", reply.text);
}

#[rstest]
#[case::exactly_one_mebibyte(1 << 20, 200)]
#[case::one_byte_more(1 + (1 << 20), 413)]
fn a_body_holds_one_mebibyte_before_compression(#[case] size: usize, #[case] status: u16) {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let mut body = batch(&project.write_key, &[Event::new("viewed", &mut random)]).to_string();
    body.push_str(&" ".repeat(size - body.len()));

    let plain = collector.post("/v1/batch", &TEXT, body.as_bytes());
    let packed = collector.post("/v1/batch?z=gzip", &TEXT, &gzip(body.as_bytes()));

    assert_eq!((plain.status, packed.status), (status, status), "{} {}", plain.text, packed.text);
}

#[rstest]
#[case::none(json!(null))]
#[case::empty(json!(""))]
#[case::unknown(json!("tm_pk_live_0000000000000000000000abcdef"))]
#[case::not_text(json!(7))]
fn a_batch_without_a_known_key_is_refused_and_stores_nothing(#[case] key: Value) {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let mut body = batch("", &[Event::new("viewed", &mut random)]);
    body["key"] = key;

    let reply = collector.post("/v1/batch", &TEXT, body.to_string().as_bytes());

    assert!([400, 401].contains(&reply.status), "{} {}", reply.status, reply.text);
    assert!(!reply.code().is_empty(), "{}", reply.text);
    assert!(reply.content_type.starts_with("application/problem+json"), "{}", reply.content_type);
    assert_eq!(total(&collector, &project, "viewed"), 0);
}

#[rstest]
#[case::now(0, None)]
#[case::twenty_nine_days_ago(-29 * 86_400_000, None)]
#[case::two_months_ago(-61 * 86_400_000, Some("too_old"))]
fn an_event_may_be_a_month_late(#[case] shift_ms: i64, #[case] code: Option<&str>) {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let at_ms = i64::try_from(event::now_ms()).expect("now fits") + shift_ms;
    let id = event::uuid7(u64::try_from(at_ms).expect("after 1970"), &mut random);
    let event = Event::new("viewed", &mut random).with("at", at_ms).with("id", id);

    let receipt = collector.send(&project, &[event]).json();

    assert_eq!(receipt["rejected"][0]["code"].as_str(), code, "{receipt}");
}

#[test]
fn an_event_from_the_future_is_refused_and_kept_in_the_quarantine() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let event = Event::new("viewed", &mut random).with("at", 9_999_999_999_999_u64);

    let receipt = collector.send(&project, &[event]).json();

    assert_eq!(counts(&receipt), (0, 0, 1), "{receipt}");
    assert_eq!(receipt["rejected"][0]["code"], "in_future");
    let metrics = collector.get(&project, "/metrics").text;
    let counted = "tallymark_events_refused_total{code=\"in_future\"} 1";
    assert!(metrics.contains(counted), "every loss is counted: {metrics}");
}

#[test]
fn a_client_that_sends_its_header_slowly_is_closed_within_ten_seconds() {
    let collector = TestCollector::start();
    let mut slow = TcpStream::connect(collector.address()).expect("the port is open");
    slow.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout can be set");
    slow.write_all(b"POST /v1/batch HTTP/1.1\r\nhost: x\r\n").expect("the first line goes out");
    let from = Instant::now();
    // One more header byte every half second: never idle, never done.
    let closed = is_closed_within(Duration::from_secs(11), &mut slow, b"x", || ());
    assert!(closed, "still open after {:?}", from.elapsed());
}

#[rstest]
#[case::as_many_as_are_read(100, "HTTP/1.1 200")]
#[case::one_more(101, "HTTP/1.1 431")]
fn header_lines_have_a_limit(#[case] lines: usize, #[case] want: &str) {
    let collector = TestCollector::start();
    let mut client = TcpStream::connect(collector.address()).expect("the port is open");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    let more: String = (1..lines).map(|line| format!("x-{line}: 1\r\n")).collect();
    let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{more}\r\n");
    client.write_all(request.as_bytes()).expect("the request goes out");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).expect("there is an answer");
    assert_eq!(String::from_utf8_lossy(&answer), want);
}

#[test]
fn a_client_that_sends_its_body_slowly_is_closed_and_others_are_served() {
    let collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("delivery");
    let mut slow = TcpStream::connect(collector.address()).expect("the port is open");
    let head = b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{";
    slow.write_all(head).expect("the header goes out");
    slow.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout can be set");
    let from = Instant::now();
    // The answer is 408 and its words, then the end.
    let closed = is_closed_within(Duration::from_secs(60), &mut slow, b" ", || {
        let good = collector.send(&project, &[Event::new("viewed", &mut random)]);
        assert_eq!(good.status, 200, "{}", good.text);
    });
    assert!(closed, "a body of two bytes a second was read for {:?}", from.elapsed());
}

/// Whether the other side closes the connection while it gets `byte` again and again, each time
/// after `between` and as often as its read timeout passes.
fn is_closed_within(
    limit: Duration,
    slow: &mut TcpStream,
    byte: &[u8],
    mut between: impl FnMut(),
) -> bool {
    let from = Instant::now();
    while from.elapsed() <= limit {
        between();
        let sent = slow.write_all(byte);
        let mut answer = [0; 512];
        match slow.read(&mut answer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error)
                if sent.is_ok()
                    && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return true,
        }
    }
    false
}

/// `(ok, dup, rejected)` of a receipt.
fn counts(receipt: &Value) -> (u64, u64, usize) {
    let number = |field: &str| receipt[field].as_u64().unwrap_or_else(|| panic!("{receipt}"));
    (number("ok"), number("dup"), receipt["rejected"].as_array().map_or(0, Vec::len))
}

/// Events of this name, over all time.
fn total(collector: &TestCollector, project: &TestProject, event: &str) -> u64 {
    let question = json!({
        "from": "2020-01-01", "to": "2035-01-01", "bucket": "month",
        "series": [{ "event": event, "measure": "count" }],
    });
    let answer = collector.query(project, "trend", &question);
    answer["series"][0]["total"].as_f64().unwrap_or_else(|| panic!("{answer}")) as u64
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}
