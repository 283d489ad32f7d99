//! The service over HTTP semantics, in process, on a manual clock: what the contract promises about
//! receipts, refusals, keys, limits and problems.
//!
//! Connections, time-outs, kills and restarts are tested against the binary (`tests/`).

mod access;
mod activity;
mod aliases;
mod bucket;
mod changes;
mod checklist;
mod dashboard;
mod deploy;
mod events;
mod every;
mod files;

mod experiment_pages;
mod growth;
mod live;
mod mail;
mod oidc;
mod privacy;
mod reports;
mod rows;
mod saved;
mod sdk;
mod settings;
mod signin;
mod start;
mod surface;
mod usage;

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use rstest::rstest;
use serde_json::{Value, json};
use tallymark::app::App;
use tallymark::clock::Clock;
use tallymark::config::Config;
use tallymark::folder::Folder;
use tallymark::front::Front;
use tallymark::keys::{Key, KeyKind, Scope, Scopes};
use tallymark::meta::access_keys::NewKey;
use tallymark::meta::audit::Deed;
use tallymark::meta::organisations::MAIN;
use tallymark::meta::projects::{NewProject, Project};
use tallymark_store::RefusedRow;

/// 2026-11-22T12:30:00Z.
const NOW: i64 = 1_795_350_600_000;

struct Service {
    app: App,
    front: Front,
    project: Project,
    write_key: String,
    secret_key: String,
    _folder: tempfile::TempDir,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.bytes))
    }
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.bytes)))
    }

    /// Status and code of a problem, which must be in the form of all problems.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }
}

async fn service() -> Service {
    service_with(Config::default()).await
}

async fn service_with(config: Config) -> Service {
    let folder = tempfile::tempdir().unwrap();
    let app = App::open(Folder::at(folder.path().join("data")), config, Clock::manual(NOW));
    let app = app.await.unwrap();
    let project = project(&app, "shop").await;
    let write_key =
        key(&app, &project, KeyKind::Public, [Scope::Ingest].into_iter().collect()).await;
    let secret_key = key(&app, &project, KeyKind::Secret, Scopes::all()).await;
    Service { front: Front::new(app.clone()), app, project, write_key, secret_key, _folder: folder }
}

/// What tests do.
const DEED: Deed<'static> = Deed { actor: "test", action: "create", note: "", at_ms: NOW };

async fn project(app: &App, slug: &str) -> Project {
    let (name, slug, tz) = (slug.to_owned(), slug.to_owned(), "UTC".to_owned());
    let new = NewProject { organisation: MAIN, name, slug, tz };
    app.meta.projects().create(&new, DEED).await.unwrap()
}

async fn key(app: &App, project: &Project, kind: KeyKind, scopes: Scopes) -> String {
    let key = Key::generate(kind).unwrap();
    let new = NewKey { name: "", scopes, expires_ms: None };
    app.meta.access_keys().create(project, &key, &app.pepper, new, DEED).await.unwrap();
    key.reveal().to_owned()
}

impl Service {
    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.front.answer(([127, 0, 0, 1], 1).into(), request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, bytes }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str, key: Option<&str>) -> Reply {
        let mut request = Request::get(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn batch(&self, events: Value) -> Reply {
        let body =
            json!({ "key": self.write_key, "nonce": "n1", "sent_at": NOW, "events": events });
        self.post("/v1/batch", &[("content-type", "text/plain")], body.to_string()).await
    }

    async fn as_server(&self, key: &str, events: Value) -> Reply {
        let bearer = format!("Bearer {key}");
        let body = json!({ "nonce": "n1", "events": events });
        self.post("/v1/batch", &[("authorization", &bearer)], body.to_string()).await
    }

    async fn refused(&self) -> Vec<RefusedRow> {
        let project = self.project.id;
        self.app.blocking(move |app| Ok(app.store.refused(project, 10)?)).await.unwrap()
    }

    async fn count(&self, event: &str) -> Value {
        let bearer = format!("Bearer {}", self.secret_key);
        let question =
            json!({ "from": "2026-11-01", "to": "2026-12-01", "series": [{ "event": event }] });
        let reply =
            self.post("/v1/query/trend", &[("authorization", &bearer)], question.to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()["series"][0]["total"].clone()
    }
}

fn event(number: u64) -> Value {
    json!({ "id": format!("01a2020f-5b40-7000-8000-{number:012x}"), "name": "opened", "at": NOW,
        "device": "ab".repeat(32) })
}

fn with(mut event: Value, field: &str, value: impl Into<Value>) -> Value {
    event[field] = value.into();
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sent_again_is_counted_once_and_says_so() {
    let service = service().await;
    let events = json!([event(1), event(2)]);
    let first = service.batch(events.clone()).await;
    assert_eq!(first.json(), json!({ "nonce": "n1", "ok": 2, "dup": 0, "rejected": [] }));
    let again = service.batch(json!([event(2), event(1), event(3)])).await;
    assert_eq!(again.json(), json!({ "nonce": "n1", "ok": 1, "dup": 2, "rejected": [] }));
    assert_eq!(service.count("opened").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_is_named_and_the_others_are_stored() {
    let service = service().await;
    let reply = service.batch(json!([event(1), with(event(2), "name", ""), event(3)])).await;
    let receipt = reply.json();
    assert_eq!((receipt["ok"].as_u64(), receipt["rejected"][0]["i"].as_u64()), (Some(2), Some(1)));
    assert_eq!(receipt["rejected"][0]["code"], "event_name_invalid");
    assert_eq!(service.count("opened").await, 2);
    let refused = service.refused().await;
    assert_eq!(refused[0].code, "event_name_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_is_fine() {
    let receipt = service().await.batch(json!([])).await.json();
    assert_eq!(receipt, json!({ "nonce": "n1", "ok": 0, "dup": 0, "rejected": [] }));
}

#[rstest]
#[case::five_hundred(500, 200)]
#[case::one_more(501, 413)]
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_at_most_500_events(#[case] count: u64, #[case] status: u16) {
    let service = service().await;
    let events: Vec<_> = (0..count).map(event).collect();
    assert_eq!(service.batch(events.into()).await.status, status);
}

/// Shows S1-28.
#[tokio::test(flavor = "multi_thread")]
async fn a_raw_id_from_a_page_is_refused_and_kept_nowhere() {
    let service = service().await;
    let raw = with(event(1), "user_id", "ann@example.org");
    let misplaced = with(event(2), "user", "ann@example.org");
    let receipt = service.batch(json!([raw, misplaced])).await.json();
    let codes: Vec<_> =
        receipt["rejected"].as_array().unwrap().iter().map(|r| &r["code"]).collect();
    assert_eq!(codes, ["raw_id_refused", "user_invalid"]);
    for refused in service.refused().await {
        assert!(!refused.raw.contains("ann@"), "{}", refused.raw);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_and_server_events_of_one_person_meet() {
    let service = service().await;
    let salt = service.project.salt.as_bytes();
    let hash = tallymark_protocol::hashing::h1(
        salt,
        tallymark_protocol::hashing::Namespace::User,
        "ann@example.org",
    );
    let hash = tallymark_protocol::hashing::to_hex(&hash);
    assert_eq!(service.batch(json!([with(event(1), "user", hash)])).await.json()["ok"], 1);
    let mut server = with(event(2), "user_id", " ann@example.org ");
    server.as_object_mut().unwrap().remove("device");
    assert_eq!(service.as_server(&service.secret_key, json!([server])).await.json()["ok"], 1);
    let listed = service.get("/v1/events", Some(&service.secret_key)).await;
    let listed = listed.json();
    assert_eq!(listed["events"][0]["person"], listed["events"][1]["person"]);
    assert!(!listed.to_string().contains("ann@"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_refused_by_what_is_wrong_with_them() {
    let service = service().await;
    let body = |key: Option<&str>| json!({ "key": key, "events": [] }).to_string();
    let unknown = Key::generate(KeyKind::Public).unwrap();
    let cases = [
        (body(None), vec![], (401, "key_missing")),
        (body(Some("nonsense")), vec![], (401, "key_malformed")),
        (body(Some(unknown.reveal())), vec![], (401, "key_unknown")),
        (body(Some(&service.secret_key)), vec![], (403, "secret_key_in_browser")),
        (
            body(None),
            vec![("authorization", "Basic abc".to_owned())],
            (401, "authorization_invalid"),
        ),
        (
            body(None),
            vec![
                ("authorization", format!("Bearer {}", service.secret_key)),
                ("origin", "https://shop.example".to_owned()),
            ],
            (403, "secret_key_in_browser"),
        ),
    ];
    for (body, headers, (status, code)) in cases {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = service.post("/v1/batch", &headers, body).await;
        assert_eq!(reply.problem(), (status, code.to_owned()));
    }
}

/// Reliability test 31: whoever tries keys is soon answered slowly, and those who have one notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_tries_ten_thousand_keys_is_slowed_and_a_known_key_works_beside() {
    let service = service().await;
    let mut heard = BTreeMap::new();
    for guess in 0..10_000_u32 {
        let random = [guess.to_le_bytes(); 16].concat();
        let Some(key) = Key::from_random(KeyKind::Public, &random) else { continue };
        let body = json!({ "key": key.reveal(), "events": [] }).to_string();
        let problem = service.post("/v1/batch", &[], body).await.problem();
        *heard.entry(problem).or_insert(0) += 1;
    }
    let slowed = heard[&(429, "rate_limited".to_owned())];
    assert!(slowed > 8_000, "{heard:?}");
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[&(401, "key_unknown".to_owned())] >= 1_000, "{heard:?}");
    assert_eq!(service.batch(json!([])).await.status, 200);
    assert_eq!(service.get("/v1/schema", Some(&service.secret_key)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let service = service().await;
    let reads = [Scope::AnalyticsRead].into_iter().collect();
    let reader = key(&service.app, &service.project, KeyKind::Secret, reads).await;
    assert_eq!(service.get("/v1/schema", Some(&reader)).await.status, 200);
    assert_eq!(service.get("/v1/export", Some(&reader)).await.problem().1, "scope_missing");
    assert_eq!(service.as_server(&reader, json!([])).await.problem().1, "scope_missing");
    for path in ["/v1/schema", "/v1/events", "/v1/export"] {
        let write_key = service.write_key.as_str();
        assert_eq!(
            service.get(path, Some(write_key)).await.problem(),
            (403, "scope_missing".into())
        );
        assert_eq!(service.get(path, None).await.problem(), (401, "sign_in_needed".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_stops_working() {
    let service = service().await;
    let key = Key::generate(KeyKind::Public).unwrap();
    let new = NewKey { name: "", scopes: [Scope::Ingest].into_iter().collect(), expires_ms: None };
    let keys = service.app.meta.access_keys();
    let (project, pepper) = (&service.project, &service.app.pepper);
    let id = keys.create(project, &key, pepper, new, DEED).await.unwrap().id;
    let body = json!({ "key": key.reveal(), "events": [] }).to_string();
    assert_eq!(service.post("/v1/batch", &[], body.clone()).await.status, 200);
    keys.end(project.id, id, NOW, DEED).await.unwrap().unwrap();
    assert_eq!(service.post("/v1/batch", &[], body).await.problem().1, "key_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_sends_too_fast_is_told_when_to_come_again() {
    let config = Config { ingest_rate_per_s: 1, ingest_burst: 2, ..Config::default() };
    let service = service_with(config).await;
    for _ in 0..2 {
        assert_eq!(service.batch(json!([])).await.status, 200);
    }
    let reply = service.batch(json!([])).await;
    assert_eq!(reply.problem(), (429, "rate_limited".into()));
    assert_eq!(reply.headers["retry-after"], "1");
    assert_eq!(
        reply.headers["access-control-allow-origin"], "*",
        "the page must be able to read it"
    );
    service.app.clock.advance(1_000);
    assert_eq!(service.batch(json!([])).await.status, 200);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_bodies_are_read_by_header_and_by_parameter() {
    let service = service().await;
    let body = json!({ "key": service.write_key, "events": [event(1)] }).to_string();
    let packed = gzip(body.as_bytes());
    let by_header =
        service.post("/v1/batch", &[("content-encoding", "gzip")], packed.clone()).await;
    assert_eq!(by_header.json()["ok"], 1);
    let by_parameter = service.post("/v1/batch?z=gzip", &[], packed).await;
    assert_eq!(by_parameter.json()["dup"], 1);
}

#[rstest]
#[case::not_json("hello", "", (400, "envelope_unreadable"))]
#[case::empty("", "", (400, "envelope_unreadable"))]
#[case::byte_order_mark("\u{feff}{\"events\":[]}", "", (400, "envelope_unreadable"))]
#[case::deep(&"[".repeat(100_000), "", (400, "envelope_unreadable"))]
#[case::deep_inside_events(&format!("{{\"events\":{}", "[".repeat(100_000)), "", (400, "envelope_unreadable"))]
#[case::field_twice("{\"events\":[],\"events\":[]}", "", (400, "envelope_unreadable"))]
#[case::not_gzip("{\"events\":[]}", "?z=gzip", (400, "gzip_invalid"))]
#[case::unknown_packing("{\"events\":[]}", "?z=zstd", (422, "parameter_invalid"))]
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_body_is_a_problem(
    #[case] body: &str,
    #[case] parameters: &str,
    #[case] want: (u16, &str),
) {
    let service = service().await;
    let reply = service.post(&format!("/v1/batch{parameters}"), &[], body.to_owned()).await;
    assert_eq!(reply.problem(), (want.0, want.1.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_a_mebibyte_is_too_large_packed_or_not() {
    let service = service().await;
    let plain = service.post("/v1/batch", &[], vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(plain.problem(), (413, "body_too_large".into()));
    let bomb = gzip(&vec![b' '; 32 << 20]);
    let packed = service.post("/v1/batch?z=gzip", &[], bomb).await;
    assert_eq!(packed.problem(), (413, "body_too_large".into()));
    let odd = service.post("/v1/batch", &[("content-encoding", "br")], "x").await;
    assert_eq!(odd.problem(), (415, "encoding_unsupported".into()));
}

/// Short form of the table of hostile events: each has a code, none is a 5xx, the good one stays.
#[rstest]
#[case::nul_in_the_name(r#"{"name":"a\u0000b"}"#, "event_name_invalid")]
#[case::half_a_surrogate(r#"{"name":"\ud800"}"#, "event_name_invalid")]
#[case::infinite_number(r#"{"props":{"a":1e400}}"#, "props_invalid")]
#[case::deep_props("DEEP", "too_deep")]
#[case::many_props("MANY", "too_many_props")]
#[case::large("LARGE", "event_too_large")]
#[case::field_twice(r#"{"name":"a","name":"b"}"#, "event_unreadable")]
#[case::negative_counter(r#"{"n":-1}"#, "n_invalid")]
#[case::time_beyond_floats(r#"{"at":1e400}"#, "at_invalid")]
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_event_is_refused_by_name(#[case] fields: &str, #[case] code: &str) {
    let service = service().await;
    let many = || (0..257).map(|i| format!("\"k{i}\":1")).collect::<Vec<_>>().join(",");
    let fields = match fields {
        "DEEP" => format!(r#"{{"props":{}1{}}}"#, "{\"a\":".repeat(5_000), "}".repeat(5_000)),
        "MANY" => format!(r#"{{"props":{{{}}}}}"#, many()),
        "LARGE" => format!(r#"{{"props":{{"a":"{}"}}}}"#, "x".repeat(40_000)),
        fields => fields.to_owned(),
    };
    let mut base = event(1);
    let named = |name: &str| fields.contains(&format!("{{\"{name}\":"));
    for name in ["name", "at"] {
        if named(name) {
            base.as_object_mut().unwrap().remove(name);
        }
    }
    let base = base.to_string();
    let hostile = format!("{},{}", &base[..base.len() - 1], &fields[1..]);
    let body = format!(r#"{{"key":"{}","events":[{hostile},{}]}}"#, service.write_key, event(2));
    let reply = service.post("/v1/batch", &[], body).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.bytes));
    let receipt = reply.json();
    assert_eq!(
        (receipt["ok"].as_u64(), receipt["rejected"][0]["code"].as_str()),
        (Some(1), Some(code))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mangled_bodies_never_make_the_service_fail() {
    let service = service().await;
    let good = json!({ "key": service.write_key, "sent_at": NOW, "context": { "url": "https://a.example/?q" },
        "events": [event(1), with(event(2), "props", json!({ "a": [1, { "b": "ü" }] }))] })
    .to_string()
    .into_bytes();
    // A linear congruential generator: the same bytes on every machine.
    let mut state = 2_026u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..2_000 {
        let mut body = good.clone();
        for _ in 0..=random(4) {
            let at = random(body.len());
            match random(4) {
                0 => body[at] = random(256) as u8,
                1 => body.truncate(at + 1),
                2 => body.insert(at, random(256) as u8),
                _ => drop(body.remove(at.min(body.len() - 1))),
            }
            if body.is_empty() {
                body.push(b'{');
            }
        }
        let reply = service.post("/v1/batch", &[], body.clone()).await;
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(reply.status.as_u16() < 500, "round {round}: {} for {text}", reply.status);
        if reply.status != 200 {
            reply.problem();
        }
    }
    assert_eq!(service.app.telemetry.panics.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_problem_document() {
    let service = service().await;
    let unknown = service.get("/nothing", None).await;
    assert_eq!(unknown.problem(), (404, "not_found".into()));
    let wrong_method = Request::delete("/v1/batch").body(Body::empty()).unwrap();
    let wrong_method = service.send(wrong_method).await;
    assert_eq!(wrong_method.problem(), (405, "method_not_allowed".into()));
    assert!(wrong_method.headers.contains_key("allow"));
    let key = Some(service.secret_key.as_str());
    for (path, code) in [
        ("/v1/events?limit=0", "parameter_invalid"),
        ("/v1/events?limit=x", "parameter_invalid"),
        ("/v1/events?cursor=x", "parameter_invalid"),
        ("/v1/events?from=yesterday", "parameter_invalid"),
        ("/v1/export?format=xlsx", "parameter_invalid"),
        ("/metrics?format=xml", "parameter_invalid"),
    ] {
        assert_eq!(service.get(path, key).await.problem(), (422, code.into()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_makes_no_sense_says_which_kinds_there_are() {
    let service = service().await;
    let bearer = format!("Bearer {}", service.secret_key);
    let headers = [("authorization", bearer.as_str())];
    let reply = service.post("/v1/query/magic", &headers, "{}").await;
    assert_eq!(reply.problem(), (404, "unknown_kind".into()));
    assert!(reply.json()["detail"].as_str().unwrap().contains("funnel"));
    let reply = service.post("/v1/query/trend", &headers, "{").await;
    assert_eq!(reply.problem(), (400, "json_invalid".into()));
    let reply = service.post("/v1/query/trend", &headers, r#"{"serie":[]}"#).await;
    assert_eq!(reply.status, 422);
    reply.problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_page_by_page_newest_first() {
    let service = service().await;
    let events: Vec<_> = (0..5u64).map(|i| with(event(i), "at", NOW - 1_000 * i as i64)).collect();
    assert_eq!(service.batch(events.into()).await.json()["ok"], 5);
    let key = Some(service.secret_key.as_str());
    let mut path = "/v1/events?limit=2".to_owned();
    let mut times = Vec::new();
    loop {
        let page = service.get(&path, key).await.json();
        times.extend(page["events"].as_array().unwrap().iter().map(|e| e["at"].as_i64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/events?limit=2&cursor={next}");
    }
    assert_eq!(times, (0..5).map(|i| NOW - 1_000 * i).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_link_works_once_and_opens_the_dashboard() {
    let service = service().await;
    let closed = service.get("/", None).await;
    assert_eq!(
        (closed.status.as_u16(), &closed.headers["location"]),
        (303, &"/signin".parse().unwrap())
    );
    let token = service.app.sign_in_token().unwrap();
    let link = format!("/signin?token={token}");
    let first = service.get(&link, None).await;
    let cookie = first.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert_eq!(service.get(&link, None).await.status, 401);

    let cookie = cookie.split(';').next().unwrap().to_owned();
    let signed_in =
        |path: &str| Request::get(path).header("cookie", &cookie).body(Body::empty()).unwrap();
    let schema = service.send(signed_in("/v1/schema?project=shop")).await;
    assert_eq!(schema.status, 200);
    assert_eq!(
        service.send(signed_in("/v1/schema?project=none")).await.problem().1,
        "project_unknown"
    );
    assert_eq!(service.send(signed_in("/v1/schema")).await.problem().1, "parameter_invalid");
    service.app.clock.advance(31 * 86_400_000);
    assert_eq!(
        service.send(signed_in("/v1/schema?project=shop")).await.problem().1,
        "sign_in_needed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_carry_the_security_headers_and_only_ingest_is_open_to_other_origins() {
    let service = service().await;
    for path in ["/healthz", "/nothing", "/v1/schema", "/openapi.json"] {
        let reply = service.get(path, None).await;
        for name in ["x-content-type-options", "content-security-policy", "x-request-id"] {
            assert!(reply.headers.contains_key(name), "{path} lacks {name}");
        }
        assert!(!reply.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let preflight = Request::builder().method(Method::OPTIONS).uri("/v1/batch").body(Body::empty());
    let preflight = service.send(preflight.unwrap()).await;
    assert_eq!(preflight.headers["access-control-allow-origin"], "*");
    assert!(!preflight.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_has_every_documented_route() {
    let document = service().await.get("/openapi.json", None).await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    for path in
        ["/v1/batch", "/v1/query/{kind}", "/v1/events", "/v1/export", "/v1/schema", "/metrics"]
    {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_events_and_name_no_tenant() {
    let service = service().await;
    service.batch(json!([event(1), with(event(2), "name", "")])).await;
    let text = String::from_utf8(service.get("/metrics", None).await.bytes).unwrap();
    assert!(text.contains("tallymark_events_accepted_total 1\n"), "{text}");
    assert!(
        text.contains("tallymark_events_refused_total{code=\"event_name_invalid\"} 1"),
        "{text}"
    );
    assert!(!text.contains("shop"), "{text}");
    let json = service.get("/metrics?format=json", None).await.json();
    assert_eq!(json["tallymark_store_rows"], 1.0);
}

#[tokio::test]
async fn an_answer_names_the_days_that_late_events_changed() {
    const DAY_MS: i64 = 86_400_000;
    let service = service().await;
    let event = |n: u32, at: i64| json!({ "id": format!("01a20217-218f-7da0-9d12-{n:012x}"), "name": "late", "at": at });
    let ask = async || {
        let bearer = format!("Bearer {}", service.secret_key);
        let question =
            json!({ "from": "2026-11-01", "to": "2026-11-20", "series": [{ "event": "late" }] });
        let headers = [("authorization", bearer.as_str())];
        service.post("/v1/query/trend", &headers, question.to_string()).await.json()
    };
    // 2026-11-17 ended two and a half days ago and is open; 2026-11-12 is closed.
    let receipt = service.batch(json!([event(1, NOW - 3 * DAY_MS - DAY_MS / 2)])).await.json();
    assert_eq!(receipt["ok"], 1, "{receipt}");
    let answer = ask().await;
    assert_eq!(
        (&answer["restated"], &answer["complete"]),
        (&Value::Null, &json!(false)),
        "{answer}"
    );

    service.batch(json!([event(2, NOW - 10 * DAY_MS)])).await;
    assert_eq!(ask().await["restated"], json!(["2026-11-12"]));
    service.app.blocking(|app| Ok(app.store.flush())).await.unwrap().unwrap();
    assert_eq!(ask().await["restated"], json!(["2026-11-12"]), "and from the catalog");
}
