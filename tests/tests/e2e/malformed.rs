//! Hostile bytes: every one gets a 4xx or a per-event refusal with a stable code, none a 5xx.
//!
//! After each of them the next honest batch is stored, and memory stays bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use rand::{Rng, RngExt};
use rstest::rstest;
use serde_json::{Value, json};
use tallymark_tests::http::Reply;
use tallymark_tests::seed::{amount, seeded};
use tallymark_tests::{Event, TestCollector, TestProject, batch};

const TEXT: [(&str, &str); 1] = [("content-type", "text/plain")];
const MIB: u64 = 1 << 20;

#[test]
fn a_gzip_bomb_is_refused_without_taking_memory() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    assert_survives(&mut collector, &project);
    let bomb = gzip_zeros(1 << 30);
    assert!(bomb.len() < 1_100_000, "1 GiB of zeros is about a mebibyte: {}", bomb.len());
    let before = collector.peak_memory_bytes();

    let one = collector.post("/v1/batch?z=gzip", &TEXT, &bomb);
    let after_one = collector.peak_memory_bytes();
    thread::scope(|scope| {
        let (collector, bomb) = (&collector, &bomb);
        let sent: Vec<_> = (0..100)
            .map(|_| scope.spawn(move || collector.post("/v1/batch?z=gzip", &TEXT, bomb).status))
            .collect();
        for status in sent {
            assert_eq!(status.join().expect("a sender does not panic"), 413);
        }
    });
    let after_all = collector.peak_memory_bytes();

    assert_eq!(one.status, 413, "{}", one.text);
    assert!(!one.code().is_empty(), "{}", one.text);
    assert!(after_one - before <= 8 * MIB, "one bomb took {} MiB", (after_one - before) / MIB);
    // A bomb is known by its first 64 KiB, and nothing else of it is kept.
    assert!(after_all - before <= 64 * MIB, "100 bombs took {} MiB", (after_all - before) / MIB);
    assert_survives(&mut collector, &project);
}

#[rstest]
#[case::empty(b"".to_vec())]
#[case::white_space(b" \n\t ".to_vec())]
#[case::nul_bytes(vec![0; 100])]
#[case::not_utf8(b"{\"key\":\"\xff\xfe\"}".to_vec())]
#[case::an_array(b"[]".to_vec())]
#[case::a_number(b"1e400".to_vec())]
#[case::cut_off(b"{\"key\":\"tm_pk_live_x\",\"events\":[{\"id\":".to_vec())]
#[case::trailing_rubbish(b"{} {}".to_vec())]
#[case::deep_arrays("[".repeat(100_000).into_bytes())]
#[case::deep_objects("{\"a\":".repeat(100_000).into_bytes())]
#[case::deep_events(format!("{{\"events\":{}", "[".repeat(100_000)).into_bytes())]
fn a_body_that_is_no_batch_gets_a_clear_refusal(#[case] body: Vec<u8>) {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");

    let reply = collector.post("/v1/batch", &TEXT, &body);

    assert_refused(&reply);
    assert_survives(&mut collector, &project);
}

/// The answer must be readable although most of the body was never read: a client that only sees
/// a broken connection would send the same again.
#[rstest]
#[case::megabytes_of_text(format!("{{\"key\":\"{}\"}}", "x".repeat(16 << 20)))]
#[case::a_million_keys(format!("{{{}\"z\":0}}", (0..1_000_000).map(|k| format!("\"{k}\":0,")).collect::<String>()))]
fn a_body_far_too_large_gets_a_readable_refusal(#[case] body: String) {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let length = body.len();
    let head = format!("POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = TcpStream::connect(collector.address()).expect("the port is open");
    let mut sending = stream.try_clone().expect("a stream can be shared");
    // The server stops reading when it pleases; what it says meanwhile is what counts.
    let sender = thread::spawn(move || {
        let _ =
            sending.write_all(head.as_bytes()).and_then(|()| sending.write_all(body.as_bytes()));
    });
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    let mut piece = [0; 4096];
    while let Ok(1..) = stream.read(&mut piece).inspect(|read| answer.extend(&piece[..*read])) {}
    drop(stream);
    sender.join().expect("the sender does not panic");

    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("\"code\""), "{answer}");
    assert_survives(&mut collector, &project);
}

#[rstest]
#[case::not_gzip_at_all(b"{\"key\":1}".to_vec())]
#[case::empty(Vec::new())]
#[case::header_only(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])]
#[case::wrong_checksum(flip(gzip(b"{\"key\":\"x\",\"events\":[]}"), 6))]
#[case::truncated({ let mut packed = gzip(&vec![b' '; 100_000]); packed.truncate(60); packed })]
#[case::rubbish_after({ let mut packed = gzip(b"{}"); packed.extend(b"rubbish"); packed })]
fn a_body_that_does_not_unpack_gets_a_clear_refusal(#[case] body: Vec<u8>) {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");

    let reply = collector.post("/v1/batch?z=gzip", &TEXT, &body);

    assert_refused(&reply);
    assert_survives(&mut collector, &project);
}

#[test]
fn two_gzip_members_are_read_as_one_body_or_refused_and_never_cut_silently() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("malformed");
    let body = batch(&project.write_key, &[Event::new("viewed", &mut random)]).to_string();
    let (head, tail) = body.as_bytes().split_at(body.len() / 2);
    let mut members = gzip(head);
    members.extend(gzip(tail));

    let reply = collector.post("/v1/batch?z=gzip", &TEXT, &members);

    match reply.status {
        200 => assert_eq!(reply.json()["ok"], json!(1), "{}", reply.text),
        _ => assert_refused(&reply),
    }
    assert_survives(&mut collector, &project);
}

/// Text that stands in place of the props of one event, between two good events.
#[rstest]
#[case::too_large_a_number(r#"{"n":1e400}"#)]
#[case::a_lone_surrogate(r#"{"s":"\ud800"}"#)]
#[case::a_lone_low_surrogate(r#"{"\udfff":1}"#)]
#[case::a_duplicate_key(r#"{"a":1,"a":2}"#)]
#[case::a_nul(r#"{"s":"\u0000"}"#)]
#[case::proto(r#"{"__proto__":{"admin":true},"constructor":1}"#)]
#[case::a_number(r#"7"#)]
#[case::text(r#""x""#)]
#[case::null(r#"null"#)]
#[case::too_deep("DEEP")]
#[case::too_many("MANY")]
#[case::too_large("LARGE")]
fn odd_properties_cost_at_most_their_own_event(#[case] props: &str) {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("malformed");
    let props = match props {
        "DEEP" => format!("{{\"a\":{}1{}}}", "[".repeat(90), "]".repeat(90)),
        "MANY" => {
            format!("{{{}\"z\":0}}", (0..5_000).map(|k| format!("\"{k}\":0,")).collect::<String>())
        }
        "LARGE" => format!("{{\"s\":\"{}\"}}", "x".repeat(40_000)),
        plain => plain.to_owned(),
    };
    let event = |random: &mut _, props: &str| {
        Event::new("viewed", random).with("props", props.to_owned()).json().to_string()
    };
    let marker = event(&mut random, "PROPS").replace("\"PROPS\"", &props);
    let (first, last) = (
        event(&mut random, "").replace("\"props\":\"\"", "\"props\":{}"),
        event(&mut random, "").replace("\"props\":\"\"", "\"props\":{}"),
    );
    let body = format!(
        r#"{{"key":"{}","nonce":"n","events":[{first},{marker},{last}]}}"#,
        project.write_key
    );

    let reply = collector.post("/v1/batch", &TEXT, body.as_bytes());
    let receipt = reply.json();

    assert_eq!(reply.status, 200, "{}", reply.text);
    let (ok, rejected) =
        (receipt["ok"].as_u64(), receipt["rejected"].as_array().map_or(0, Vec::len));
    assert!(matches!((ok, rejected), (Some(3), 0) | (Some(2), 1)), "{receipt}");
    if rejected == 1 {
        assert_eq!(receipt["rejected"][0]["i"], json!(1), "{receipt}");
        assert!(receipt["rejected"][0]["code"].as_str().is_some_and(|code| !code.is_empty()));
    }
    let listed = collector.get(&project, "/v1/events");
    assert_eq!(listed.status, 200, "what was stored can be listed: {}", listed.text);
    serde_json::from_str::<Value>(&listed.text).expect("and is JSON");
    assert_survives(&mut collector, &project);
}

#[rstest]
#[case::id("id", json!(7))]
#[case::id_of_another_version("id", json!("6ba7b810-9dad-41d1-80b4-00c04fd430c8"))]
#[case::name("name", json!(["x"]))]
#[case::long_name("name", json!("x".repeat(201)))]
#[case::unknown_reserved_name("name", json!("$made_up"))]
#[case::control_character_in_name("name", json!("a\u{0}b"))]
#[case::at("at", json!("yesterday"))]
#[case::at_before_time("at", json!(-1))]
#[case::at_huge("at", json!(1e300))]
#[case::device("device", json!({ "$ne": "" }))]
#[case::short_device("device", json!("abc"))]
#[case::user("user", json!(true))]
#[case::session("session", json!("x"))]
#[case::props("props", json!("x"))]
fn a_field_of_the_wrong_kind_costs_only_its_event(#[case] field: &str, #[case] value: Value) {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("malformed");
    let events =
        [Event::new("viewed", &mut random), Event::new("viewed", &mut random).with(field, value)];

    let reply = collector.send(&project, &events);
    let receipt = reply.json();

    assert_eq!(receipt["ok"], json!(1), "{}", reply.text);
    assert_eq!(receipt["rejected"][0]["i"], json!(1), "{}", reply.text);
    assert!(receipt["rejected"][0]["code"].as_str().is_some_and(|code| !code.is_empty()));
    assert_survives(&mut collector, &project);
}

#[test]
fn a_connection_serves_on_after_a_refusal_that_came_before_the_body() {
    let collector = TestCollector::start();
    let mut stream = TcpStream::connect(collector.address()).expect("the port is open");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a time-out");
    let body = "x".repeat(50_000);
    let head =
        format!("POST /v1/erase HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).expect("the head is taken");
    std::thread::sleep(Duration::from_millis(100));
    stream.write_all(body.as_bytes()).expect("the body is taken");
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .expect("the next request is taken");

    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("the server answers and closes");

    let statuses: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.lines().next()).collect();
    assert_eq!(statuses, ["401 Unauthorized", "200 OK"], "{answers}");
}

#[rstest]
#[case::nothing("funnel", "")]
#[case::no_object("funnel", "[]")]
#[case::deep("trend", "DEEP")]
#[case::wrong_types("funnel", r#"{"from":1,"to":[],"steps":"x","window":{}}"#)]
#[case::impossible_date(
    "trend",
    r#"{"from":"2026-02-30","to":"2026-03-01","series":[{"event":"a"}]}"#
)]
#[case::backwards("active", r#"{"from":"2026-03-02","to":"2026-03-01"}"#)]
#[case::unknown_zone("active", r#"{"from":"2026-03-01","to":"2026-03-02","tz":"Mars/Olympus"}"#)]
#[case::no_steps("funnel", r#"{"from":"2026-03-01","to":"2026-03-02","steps":[]}"#)]
#[case::bad_regex("trend", r#"{"from":"2026-03-01","to":"2026-03-02","series":[{"event":"a","measure":"count"}],"where":[{"prop":"a","op":"regex","value":"("}]}"#)]
#[case::misspelt_field("active", r#"{"from":"2026-03-01","to":"2026-03-02","evnet":"a"}"#)]
#[case::unknown_kind("horoscope", r#"{"from":"2026-03-01","to":"2026-03-02"}"#)]
#[case::endless_buckets("trend", r#"{"from":"0001-01-01","to":"9999-01-01","bucket":"hour","series":[{"event":"a","measure":"count"}]}"#)]
fn a_question_nobody_can_answer_gets_a_code(#[case] kind: &str, #[case] question: &str) {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let question = if question == "DEEP" { "[".repeat(100_000) } else { question.to_owned() };
    let bearer = format!("Bearer {}", project.secret_key);
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];

    let reply = collector.post(&format!("/v1/query/{kind}"), &headers, question.as_bytes());

    assert_refused(&reply);
    assert_survives(&mut collector, &project);
}

#[test]
fn thousands_of_mutated_bodies_on_every_post_route_give_no_server_error() {
    let mut collector = TestCollector::start();
    let project = collector.project("shop");
    let (_, mut random) = seeded("mutations");
    let count = amount("TALLYMARK_TEST_MUTATIONS", 2_000);
    let routes = post_routes(&collector, &project);
    assert!(routes.len() >= 8, "the API description lists its POST routes: {routes:?}");
    let before = collector.peak_memory_bytes();

    for round in 0..count {
        let route = &routes[round % routes.len()];
        let valid = valid_body(route, &project, &mut random);
        let mutated = mutate(valid.to_string().into_bytes(), &mut random);
        let bearer = format!("Bearer {}", project.secret_key);
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        let headers = if route == "/v1/batch" { &headers[..1] } else { &headers[..] };
        let reply = collector.post(route, headers, &mutated);
        let body = String::from_utf8_lossy(&mutated);
        assert!(reply.status < 500, "{route} {}: {}\n{body}", reply.status, reply.text);
        if reply.status >= 400 {
            assert!(!reply.code().is_empty(), "{route} {}: {}\n{body}", reply.status, reply.text);
        }
    }

    let grown = collector.peak_memory_bytes().saturating_sub(before);
    assert!(grown <= 128 * MIB, "memory grew by {} MiB", grown / MIB);
    assert_survives(&mut collector, &project);
}

/// POST routes of the OpenAPI document, with path parameters filled in.
fn post_routes(collector: &TestCollector, project: &TestProject) -> Vec<String> {
    let document = collector.get(project, "/openapi.json").json();
    let paths = document["paths"].as_object().expect("the API description has paths");
    let mut routes = Vec::new();
    for (path, operations) in paths.iter().filter(|(_, operations)| operations["post"].is_object())
    {
        debug_assert!(operations.is_object());
        if path.contains("{kind}") {
            let kinds = [
                "trend",
                "active",
                "funnel",
                "retention",
                "lifecycle",
                "stickiness",
                "experiment",
                "content",
                "pwa",
                "attribution",
                "revenue",
                "persons",
                "person",
            ];
            routes.extend(kinds.map(|kind| path.replace("{kind}", kind)));
        } else {
            routes.push(path.replace(['{', '}'], ""));
        }
    }
    routes
}

fn valid_body(route: &str, project: &TestProject, random: &mut impl Rng) -> Value {
    let range = json!({ "from": "2026-09-01", "to": "2026-09-08", "tz": "Europe/Berlin",
        "where": [{ "prop": "plan", "op": "in", "value": ["team", 5] }] });
    let extra = match route.rsplit('/').next().unwrap_or_default() {
        "batch" => {
            let events = [
                Event::new("viewed", random)
                    .with("props", json!({ "plan": "team", "n": [1.5, null] })),
                Event::new("$pageview", random)
                    .with("session", "01a20217-218f-7da0-9d12-b3f82d8397c8"),
            ];
            return batch(&project.write_key, &events);
        }
        "trend" => json!({ "bucket": "day", "formula": "A/B", "series": [
            { "event": "viewed", "measure": "count" }, { "event": "viewed", "measure": "sum", "prop": "n" },
        ] }),
        "funnel" => {
            json!({ "window": "1d", "order": "ordered", "breakdown": { "prop": "plan", "limit": 3 },
            "steps": [{ "event": "a" }, { "event": "b", "where": [] }] })
        }
        "retention" => json!({ "bucket": "day", "periods": 7, "mode": "on",
            "start": { "event": "a" }, "return": { "event": "b" } }),
        "experiment" => {
            json!({ "experiment": "button", "metrics": [{ "event": "$conversion", "window": "7d" }] })
        }
        "content" => json!({ "content_type": "article" }),
        _ => json!({}),
    };
    let mut question = range;
    let fields = question.as_object_mut().expect("an object");
    fields.extend(extra.as_object().expect("an object").clone());
    question
}

/// One to four small wounds: flipped, cut, doubled, swapped or foreign bytes.
fn mutate(mut body: Vec<u8>, random: &mut impl Rng) -> Vec<u8> {
    const FOREIGN: &[&str] = &[
        "null",
        "true",
        "-1",
        "1e400",
        "\"\"",
        "[]",
        "{}",
        "\\ud800",
        "\\u0000",
        "\u{feff}",
        "__proto__",
        "99999999999999999999",
        "'; DROP TABLE events; --",
        "{{7*7}}",
        "\u{202e}",
        "0.1e-400",
        "$",
        "..",
    ];
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=body.len().saturating_sub(1));
        if body.is_empty() {
            return body;
        }
        match random.random_range(0..6) {
            0 => body[at] ^= 1 << random.random_range(0..8),
            1 => body.truncate(at),
            2 => drop(body.drain(at..body.len().min(at + random.random_range(1..20)))),
            3 => {
                let end = body.len().min(at + random.random_range(1..200));
                let copy = body[at..end].to_vec();
                body.splice(at..at, copy);
            }
            4 => {
                let foreign = FOREIGN[random.random_range(0..FOREIGN.len())];
                body.splice(at..at, foreign.bytes());
            }
            // A value in the place of another: from one separator to the next.
            _ => {
                let foreign = FOREIGN[random.random_range(0..FOREIGN.len())];
                let from =
                    body[..at].iter().rposition(|byte| b":,[".contains(byte)).map_or(at, |p| p + 1);
                let to =
                    body[at..].iter().position(|byte| b",]}".contains(byte)).map_or(at, |p| p + at);
                body.splice(from..to.max(from), foreign.bytes());
            }
        }
    }
    body
}

fn assert_refused(reply: &Reply) {
    assert!((400..500).contains(&reply.status), "{} {}", reply.status, reply.text);
    assert!(!reply.code().is_empty(), "a refusal has a code: {}", reply.text);
    assert!(!reply.json()["detail"].as_str().unwrap_or_default().is_empty(), "and says what to do");
    assert!(reply.content_type.starts_with("application/problem+json"), "{}", reply.content_type);
}

/// The process lives, did not panic, and stores the next honest batch.
fn assert_survives(collector: &mut TestCollector, project: &TestProject) {
    assert!(collector.is_alive());
    assert!(!collector.log().contains("panicked"), "{}", collector.log());
    let (_, mut random) = seeded("malformed");
    let reply = collector.send(project, &[Event::new("still_here", &mut random)]);
    assert_eq!(reply.json()["ok"], json!(1), "{}", reply.text);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// That many zeros, never held in memory.
fn gzip_zeros(size: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    (0..size / block.len()).for_each(|_| encoder.write_all(&block).expect("memory takes it"));
    encoder.finish().expect("memory takes it")
}

/// One bit turned, this many bytes before the end.
fn flip(mut bytes: Vec<u8>, from_end: usize) -> Vec<u8> {
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    bytes
}
