//! `GET /v1/events`: its filters mean what they mean in questions, its pages are the whole list.

use proptest::prelude::*;
use url::form_urlencoded;

use super::*;

impl Service {
    /// One page; the parameters as they are, before encoding.
    async fn list(&self, parameters: &[(&str, &str)]) -> Reply {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let path = format!("/v1/events?{}", query.extend_pairs(parameters).finish());
        self.get(&path, Some(&self.secret_key)).await
    }

    /// The names of the events on one page, in order of the alphabet.
    pub async fn names(&self, parameters: &[(&str, &str)]) -> Vec<String> {
        let reply = self.list(parameters).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        let page = reply.json();
        let name = |event: &Value| event["name"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = page["events"].as_array().unwrap().iter().map(name).collect();
        names.sort_unstable();
        names
    }

    /// How many events pass a filter, asked as a question.
    async fn count_where(&self, filter: &Value) -> u64 {
        let bearer = format!("Bearer {}", self.secret_key);
        let question = json!({ "from": "2026-11-01", "to": "2026-12-01", "where": filter });
        let headers = [("authorization", bearer.as_str())];
        let answer = self.post("/v1/query/trend", &headers, question.to_string()).await.json();
        answer["series"][0]["total"].as_f64().unwrap_or_else(|| panic!("{answer}")) as u64
    }

    async fn flush(&self) {
        self.app.blocking(|app| Ok(app.store.flush())).await.unwrap().unwrap();
    }
}

/// Five events whose names say what is in them.
fn plans() -> Value {
    let with_props = |number, name: &str, props: Value| {
        let event = with(with(event(number), "name", name), "props", props);
        with(event, "session", "01a2020f-5b40-7000-8000-00000000abcd")
    };
    json!([
        with_props(1, "team_5", json!({ "plan": "team", "seats": 5, "trial": true })),
        with_props(2, "team_text_5", json!({ "plan": "team", "seats": " 5 " })),
        with_props(3, "free_1", json!({ "plan": "free", "seats": 1.0, "trial": false })),
        with_props(4, "größe", json!({ "plan": "Größe", "seats": { "a": 1 }, "trial": null })),
        with(event(5), "name", "none"),
    ])
}

#[rstest]
#[case::eq(json!([{ "prop": "plan", "op": "eq", "value": "team" }]), &["team_5", "team_text_5"])]
#[case::eq_is_what_no_op_means(json!({ "prop": "plan", "value": "free" }), &["free_1"])]
#[case::a_number_equals_its_text(json!([{ "prop": "seats", "op": "eq", "value": 5 }]), &["team_5", "team_text_5"])]
#[case::a_text_compares_as_written(json!([{ "prop": "seats", "op": "eq", "value": "5" }]), &["team_5"])]
#[case::a_whole_number_has_no_point(json!([{ "prop": "seats", "op": "eq", "value": "1" }]), &["free_1"])]
#[case::a_boolean(json!([{ "prop": "trial", "op": "eq", "value": false }]), &["free_1"])]
#[case::ne_takes_the_absent(json!([{ "prop": "plan", "op": "ne", "value": "team" }]), &["free_1", "größe", "none"])]
#[case::one_of(json!([{ "prop": "plan", "op": "in", "value": ["free", "Größe"] }]), &["free_1", "größe"])]
#[case::none_of(json!([{ "prop": "seats", "op": "not_in", "value": [1, 2] }]), &["größe", "none", "team_5", "team_text_5"])]
#[case::less(json!([{ "prop": "seats", "op": "lt", "value": 5 }]), &["free_1"])]
#[case::at_most(json!([{ "prop": "seats", "op": "lte", "value": 5 }]), &["free_1", "team_5", "team_text_5"])]
#[case::more(json!([{ "prop": "seats", "op": "gt", "value": 1 }]), &["team_5", "team_text_5"])]
#[case::at_least(json!([{ "prop": "seats", "op": "gte", "value": 1 }]), &["free_1", "team_5", "team_text_5"])]
#[case::contains(json!([{ "prop": "plan", "op": "contains", "value": "öß" }]), &["größe"])]
#[case::contains_not(json!([{ "prop": "plan", "op": "not_contains", "value": "e" }]), &["none"])]
#[case::starts(json!([{ "prop": "plan", "op": "starts_with", "value": "te" }]), &["team_5", "team_text_5"])]
#[case::regex(json!([{ "prop": "plan", "op": "regex", "value": "^(free|Gr.+)$" }]), &["free_1", "größe"])]
#[case::set(json!([{ "prop": "seats", "op": "set" }]), &["free_1", "team_5", "team_text_5"])]
#[case::not_set(json!([{ "prop": "trial", "op": "not_set" }]), &["größe", "none", "team_text_5"])]
#[case::the_name(json!([{ "prop": "event", "op": "starts_with", "value": "team" }]), &["team_5", "team_text_5"])]
#[case::the_session(json!([{ "prop": "session", "op": "not_set" }]), &["none"])]
#[case::a_built_in(json!([{ "prop": "path", "op": "set" }]), &[])]
#[case::all(json!([{ "prop": "plan", "value": "team" }, { "prop": "trial", "value": true }]), &["team_5"])]
#[case::any(json!({ "any": [{ "prop": "plan", "value": "free" }, { "prop": "trial", "value": true }] }), &["free_1", "team_5"])]
#[case::any_among_all(json!([{ "prop": "plan", "op": "set" }, { "any": [{ "prop": "seats", "value": 1 }, { "prop": "seats", "op": "not_set" }] }]), &["free_1", "größe"])]
#[case::nothing(json!([]), &["free_1", "größe", "none", "team_5", "team_text_5"])]
#[tokio::test(flavor = "multi_thread")]
async fn where_lists_the_events_that_a_question_counts(
    #[case] filter: Value,
    #[case] want: &[&str],
) {
    let service = service().await;
    assert_eq!(service.batch(plans()).await.json()["ok"], 5);
    let text = filter.to_string();
    for place in ["memory", "a segment"] {
        assert_eq!(service.names(&[("where", &text)]).await, want, "in {place}");
        assert_eq!(service.count_where(&filter).await, want.len() as u64, "in {place}");
        service.flush().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn source_tells_pages_from_servers() {
    let service = service().await;
    assert_eq!(service.batch(json!([with(event(1), "name", "seen")])).await.json()["ok"], 1);
    let paid = json!([with(event(2), "name", "paid")]);
    assert_eq!(service.as_server(&service.secret_key, paid).await.json()["ok"], 1);
    assert_eq!(service.names(&[("source", "web")]).await, ["seen"]);
    assert_eq!(service.names(&[("source", "server")]).await, ["paid"]);
    let listed = service.list(&[("source", "server")]).await.json();
    assert_eq!(listed["events"][0]["source"], "server", "it asks for what the answer shows");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_one_another() {
    let service = service().await;
    assert_eq!(service.batch(plans()).await.json()["ok"], 5);
    let other = with(with(event(6), "name", "team_5"), "device", "cd".repeat(32));
    let other = with(with(other, "props", json!({ "plan": "team" })), "at", NOW - 60_000);
    assert_eq!(service.batch(json!([other])).await.json()["ok"], 1);
    let team = r#"[{"prop":"plan","value":"team"}]"#;
    assert_eq!(service.names(&[("event", "team_5"), ("where", team)]).await.len(), 2);
    let newer = [("event", "team_5"), ("where", team), ("from", "2026-11-22T12:30:00Z")];
    assert_eq!(service.names(&newer).await.len(), 1);
    let older = [("where", team), ("to", "2026-11-22T12:30:00Z")];
    let older = service.list(&older).await.json();
    assert_eq!(older["events"].as_array().unwrap().len(), 1, "`to` is excluded");
    let person = older["events"][0]["person"].as_str().unwrap();
    assert_eq!(service.names(&[("person", person)]).await, ["team_5"]);
    assert_eq!(service.names(&[("person", person), ("source", "server")]).await.len(), 0);
}

#[rstest]
#[case::no_json("where", "plan = team", "[{\"prop\":\"plan\",\"op\":\"eq\",\"value\":\"team\"}]")]
#[case::empty("where", "", "[{\"prop\":\"plan\"")]
#[case::a_text("where", "\"team\"", "{\"any\":[…]}")]
#[case::no_such_op("where", r#"[{"prop":"plan","op":"like","value":"t"}]"#, "starts_with")]
#[case::no_prop("where", r#"[{"op":"eq","value":1}]"#, "`prop`")]
#[case::broken_regex(
    "where",
    r#"[{"prop":"plan","op":"regex","value":"("}]"#,
    "regular expression"
)]
#[case::deep("where", &"[".repeat(5_000), "not JSON")]
#[case::source("source", "app", "`web` or `server`")]
#[case::person("person", "ann", "16 hexadecimal digits")]
#[case::from("from", "yesterday", "2026-09-01")]
#[case::cursor("cursor", "5", "`next`")]
#[case::limit("limit", "1001", "1 to 1000")]
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_parameter_is_named_with_what_to_write(
    #[case] name: &str,
    #[case] value: &str,
    #[case] says: &str,
) {
    let reply = service().await.list(&[(name, value)]).await;
    assert_eq!(reply.problem(), (422, "parameter_invalid".into()));
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!("{name}: ")) && detail.contains(says), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_names_every_parameter() {
    let document = service().await.get("/openapi.json", None).await.json();
    let parameters = document["paths"]["/v1/events"]["get"]["parameters"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().map(|p| p["name"].as_str().unwrap()).collect();
    for name in ["event", "source", "person", "from", "to", "where", "limit", "cursor"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
}

/// Time of an event in seconds before now, and whether it passes the filter of the list.
type Made = (i64, bool);

fn made(number: u64, (ago_s, keep): Made) -> Value {
    with(with(event(number), "at", NOW - 1_000 * ago_s), "props", json!({ "keep": keep }))
}

/// What a reader of all pages sees: times and ids, in the order of the pages. Before each page
/// after the first, the next batch of `arriving` is stored.
async fn pages(service: &Service, limit: usize, arriving: Vec<Vec<Value>>) -> Vec<(i64, String)> {
    let limit = limit.to_string();
    let filter = r#"[{"prop":"keep","op":"eq","value":true}]"#;
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    let mut arriving = arriving.into_iter();
    for _page in 0..100 {
        let mut parameters = vec![("limit", &*limit), ("where", filter)];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = service.list(&parameters).await.json();
        let events = page["events"].as_array().unwrap();
        seen.extend(events.iter().map(|event| {
            (event["at"].as_i64().unwrap(), event["id"].as_str().unwrap().to_owned())
        }));
        let Some(next) = page["next"].as_str() else { return seen };
        cursor = Some(next.to_owned());
        if let Some(batch) = arriving.next() {
            service.batch(batch.into()).await;
        }
    }
    panic!("these pages have no end: {seen:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Equal times, events that do not pass, rows in memory and in segments, and arrivals newer
    /// and older than where the reader is: none of it may show twice or be missed.
    #[test]
    fn pages_together_are_the_whole_list_also_while_events_arrive(
        flushed in prop::collection::vec((0i64..6, prop::bool::weighted(0.7)), 0..12),
        fresh in prop::collection::vec((0i64..6, prop::bool::weighted(0.7)), 0..12),
        arriving in prop::collection::vec((0i64..6, any::<bool>()), 0..8),
        limit in 1usize..6,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let service = service().await;
            let number = |batch: &[Made], first: u64| -> Vec<Value> {
                batch.iter().zip(first..).map(|(&event, number)| made(number, event)).collect()
            };
            let (flushed, fresh) = (number(&flushed, 0), number(&fresh, 100));
            service.batch(flushed.clone().into()).await;
            service.flush().await;
            service.batch(fresh.clone().into()).await;
            let mut want: Vec<(i64, String)> = flushed
                .iter()
                .chain(&fresh)
                .filter(|event| event["props"]["keep"] == true)
                .map(|event| (event["at"].as_i64().unwrap(), event["id"].as_str().unwrap().into()))
                .collect();
            want.sort_unstable_by(|a, b| b.cmp(a));
            assert_eq!(pages(&service, limit, Vec::new()).await, want);

            let arriving = number(&arriving, 200).into_iter().map(|event| vec![event]).collect();
            let seen = pages(&service, limit, arriving).await;
            assert!(seen.is_sorted_by(|a, b| a > b), "newest first, nothing twice: {seen:?}");
            let were_there: Vec<_> = seen.into_iter().filter(|place| want.contains(place)).collect();
            assert_eq!(were_there, want);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_are_kept_and_left_out_where_a_question_says_so() {
    let service = service().await;
    let agents = [
        (
            "person",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        ("robot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ("script", "curl/8.11.1"),
        ("silent", ""),
    ];
    for (number, (name, agent)) in (1..).zip(agents) {
        // Nobody takes the mark away by claiming not to be one.
        let claim = with(with(event(number), "name", name), "props", json!({ "$bot": null }));
        let body = json!({ "key": service.write_key, "sent_at": NOW, "events": [claim] });
        let headers = [("content-type", "text/plain"), ("user-agent", agent)];
        let receipt = service.post("/v1/batch", &headers, body.to_string()).await.json();
        assert_eq!(receipt["ok"], 1);
    }
    let paid = json!([with(event(9), "name", "server")]);
    assert_eq!(service.as_server(&service.secret_key, paid).await.json()["ok"], 1);
    let cases = [
        (json!([]), vec!["person", "robot", "script", "server", "silent"]),
        (json!([{ "prop": "$bot", "op": "not_set" }]), vec!["person", "server"]),
        (json!([{ "prop": "$bot", "value": "no_agent" }]), vec!["silent"]),
        (json!([{ "prop": "$bot_score", "op": "gt", "value": 0.8 }]), vec!["robot", "script"]),
    ];
    for place in ["memory", "a segment"] {
        for (filter, want) in &cases {
            let text = filter.to_string();
            assert_eq!(service.names(&[("where", &text)]).await, *want, "in {place}");
            assert_eq!(service.count_where(filter).await, want.len() as u64, "in {place}");
        }
        service.flush().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_exported_to_a_folder_when_they_are_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.set("export_folder", folder.path().to_str().unwrap()).unwrap();
    config.set("export_format", "jsonl").unwrap();
    let service = service_with(config).await;
    let export = async || tallymark::bulk::schedule::run(&service.app).await.unwrap();
    let lines = |day: &str| {
        let text = std::fs::read_to_string(folder.path().join(format!("shop/{day}.jsonl")));
        text.map(|text| text.lines().count()).ok()
    };
    service.batch(json!([event(1), event(2)])).await;
    assert_eq!(export().await, 0, "the day goes on");
    service.app.clock.advance(86_400_000);
    assert_eq!((export().await, lines("2026-11-22")), (1, Some(2)));
    // A late one: the day is written again until nothing can change it.
    assert_eq!(service.as_server(&service.secret_key, json!([event(3)])).await.json()["ok"], 1);
    assert_eq!((export().await, lines("2026-11-22")), (1, Some(3)));
    service.app.clock.advance(4 * 86_400_000);
    assert_eq!(
        export().await,
        5,
        "those that were missed, and the first a last time: it is settled now"
    );
    assert_eq!(export().await, 3, "days that are settled and written since then not again");
    assert_eq!(
        (lines("2026-11-22"), lines("2026-11-26"), lines("2026-11-27")),
        (Some(3), Some(0), None)
    );
    let names = std::fs::read_dir(folder.path().join("shop")).unwrap();
    let part = |file: std::io::Result<std::fs::DirEntry>| {
        file.unwrap().path().extension() == Some("part".as_ref())
    };
    assert!(!names.into_iter().any(part), "nothing unfinished is left");
    let cookie = access::session_of(&service.app, None).await;
    let request = Request::get("/v1/organisations/main/audit").header("cookie", cookie);
    let trail = service.send(request.body(Body::empty()).unwrap()).await.json();
    assert_eq!(
        (&trail["acts"][0]["action"], &trail["acts"][0]["by"]),
        (&json!("export"), &json!("schedule"))
    );
}
