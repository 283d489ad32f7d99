//! The dashboard over HTTP: every builder answers with the API's figures, what is saved can be opened and pinned, and
//! nothing that came with an event, a name or an address becomes markup.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tallymark::access::Role;
use tallymark::dashboard::kinds;
use tallymark::meta::organisations::MAIN;

use super::access::{member, session_of};
use super::{NOW, Reply, Service, service};

const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
const STEPS: [&str; 3] = ["viewed", "carted", "bought"];

pub struct Reader<'a> {
    service: &'a Service,
    cookie: String,
    pub language: &'static str,
}

impl Reader<'_> {
    pub async fn get(&self, path: &str) -> Reply {
        let request = Request::get(path)
            .header("cookie", &self.cookie)
            .header("accept", "text/html")
            .header("accept-language", self.language);
        self.service.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn page(&self, path: &str) -> String {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        String::from_utf8(reply.bytes).unwrap()
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", "same-origin")
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded");
        self.service.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn saves(&self, kind: &str, query: &str, name: &str, board: &str) -> Reply {
        let path = format!("/p/shop/ask/{kind}");
        self.send(&path, &[("query", query), ("name", name), ("board", board)]).await
    }
}

pub async fn reader<'a>(service: &'a Service, role: Role) -> Reader<'a> {
    let account = member(&service.app, MAIN, role, "reader@example.org").await;
    Reader { service, cookie: session_of(&service.app, Some(account)).await, language: "en" }
}

/// Seven people view, five of them cart, three buy; one has hostile names in every place.
async fn visited() -> Service {
    let service = service().await;
    let mut events = Vec::new();
    let mut add = |person: usize, name: &str, props: Value| {
        let number = events.len() as u64;
        events.push(json!({
            "id": format!("01a2020f-5b40-7000-8000-{number:012x}"), "name": name,
            "at": NOW - 3_600_000 + number as i64 * 1_000, "user_id": format!("person-{person}"), "props": props,
        }));
    };
    for person in 0..7 {
        add(person, "$pageview", json!({ "plan": if person < 5 { "team" } else { "free" } }));
        for (step, reach) in STEPS.iter().zip([7, 5, 3]) {
            if person < reach {
                add(person, step, json!({ "value": 2.5, "plan": "team" }));
            }
        }
    }
    add(0, HOSTILE, json!({ HOSTILE: HOSTILE, "plan": HOSTILE }));
    add(0, "$content_view", json!({ "content_id": HOSTILE, "owner": HOSTILE }));
    let receipt = service.as_server(&service.secret_key, events.into()).await.json();
    assert_eq!(receipt["rejected"], json!([]), "{receipt}");
    service
}

fn is_plain(html: &str) -> bool {
    !html.contains("<script>") && !html.contains("<img") && !html.contains("onerror=alert(1)>")
}

fn location(reply: &Reply) -> &str {
    assert_eq!(reply.status, 303, "{reply:?}");
    reply.headers["location"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_has_a_builder_that_answers_in_both_languages() {
    let service = visited().await;
    for (language, words) in [("en", "Download CSV"), ("de-DE", "CSV herunterladen")] {
        let reader = Reader { language, ..reader(&service, Role::Viewer).await };
        for kind in kinds() {
            let html = reader.page(&format!("/p/shop/ask/{kind}")).await;
            assert!(
                html.contains(words) && html.contains(&format!("lang=\"{}\"", &language[..2])),
                "{kind}"
            );
            assert!(!html.contains("There is no answer to this"), "{kind}: {html}");
            assert!(is_plain(&html), "{kind}: {html}");
        }
        if language != "en" {
            continue;
        }
        assert_eq!(reader.get("/p/shop/ask/nonsense").await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_a_page_is_that_of_the_api() {
    let service = visited().await;
    let reader = reader(&service, Role::Viewer).await;
    let query = "step=viewed&step=carted&step=bought&part=csv";
    let csv = reader.get(&format!("/p/shop/ask/funnel?{query}")).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    let csv = String::from_utf8(csv.bytes).unwrap();
    let table = csv.split("\r\n\r\n").last().unwrap();
    let people: Vec<&str> =
        table.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(people, ["7", "5", "3"], "{csv}");
    // A filter of one step and what ends the way, of which only those who paid enough are left.
    let only = "fp=value&fo=gt&fv=100&fs=3";
    let csv = reader.get(&format!("/p/shop/ask/funnel?{query}&{only}&xe=left&xa=&xb=")).await;
    let csv = String::from_utf8(csv.bytes).unwrap();
    let table = csv.split("\r\n\r\n").last().unwrap();
    let people: Vec<&str> =
        table.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(people, ["7", "5", "0"], "{csv}");
    // A filter, a sum and a breakdown, all by the form's fields.
    let query = "event=bought&measure=sum&prop=value&fp=plan&fo=eq&fv=team&by1=plan&part=csv";
    let csv =
        String::from_utf8(reader.get(&format!("/p/shop/ask/trend?{query}")).await.bytes).unwrap();
    let sum: f64 =
        csv.lines().skip(1).filter_map(|line| line.split(',').nth(1)?.parse::<f64>().ok()).sum();
    assert!((sum - 7.5).abs() < 1e-9, "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_form_cannot_say_is_asked_as_json_and_what_is_wrong_is_said() {
    let service = visited().await;
    let reader = reader(&service, Role::Viewer).await;
    let json = r#"{"steps":[{"event":"viewed"},{"event":"bought","where":[{"prop":"value","op":"gt","value":100}]}]}"#;
    let query: String = url::form_urlencoded::byte_serialize(json.as_bytes()).collect();
    let html = reader.page(&format!("/p/shop/ask/funnel?json={query}&part=answer")).await;
    assert!(html.contains("0\u{a0}%") && !html.contains("<html"), "{html}");
    for (query, words) in [
        ("trend?json=%7B", "This question cannot be read"),
        ("trend?event=viewed&measure=sum", "There is no answer to this"),
        ("trend?fp=plan&fo=gt&fv=x", "this is not a number"),
        ("trend?tz=Mars%2FOlympus", "is not a time zone"),
        ("funnel?step=viewed&step=bought&fp=plan&fs=9", "A filter is about Step 9"),
        ("funnel?step=viewed", "A funnel takes two steps or more."),
    ] {
        let html = reader.page(&format!("/p/shop/ask/{query}")).await;
        assert!(html.contains(words), "{query}: {html}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_stay_names_on_every_page() {
    let service = visited().await;
    let reader = reader(&service, Role::Analyst).await;
    let evil: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let fields = format!(
        "event={evil}&measure=count&step={evil}&step=viewed&fp={evil}&fv={evil}&by1={evil}&anchor={evil}&at={evil}&tz={evil}&json=&cohort={evil}&saved={evil}"
    );
    for kind in kinds() {
        for query in [String::new(), format!("by1=plan&event={evil}&measure=count"), fields.clone()]
        {
            let html = reader.page(&format!("/p/shop/ask/{kind}?{query}")).await;
            assert!(is_plain(&html), "{kind} {query}: {html}");
        }
    }
    let board = reader.send("/p/shop/boards", &[("name", HOSTILE)]).await;
    let board = location(&board).to_owned();
    let key = board.rsplit('/').next().unwrap().to_owned();
    reader.saves("trend", &format!("by1=plan&event={evil}&measure=count"), HOSTILE, &key).await;
    reader.send(&board, &[("what", "note"), ("text", HOSTILE), ("day", "2026-11-20")]).await;
    for path in [board.as_str(), "/p/shop", "/p/shop/boards", "/p/shop/find", "/p/shop/now"] {
        let html = reader.page(path).await;
        assert!(is_plain(&html), "{path}: {html}");
        assert!(
            path.ends_with("now")
                || html.contains("&lt;script&gt;")
                || html.contains("&#60;script"),
            "{path} shows it: {html}"
        );
    }
}

/// Shows S3-23.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_with_the_columns_that_were_seen_and_pages_survive_inserts() {
    let service = visited().await;
    let reader = reader(&service, Role::Viewer).await;
    let html = reader.page("/p/shop/events").await;
    assert!(is_plain(&html), "{html}");
    assert!(html.contains("<th scope=\"col\">plan</th>"), "a property that was seen: {html}");
    assert!(html.contains("/p/shop/ask/person?person="), "{html}");
    assert!(!html.contains("/v1/export"), "who may not take events out is not offered it");
    assert!(html.contains("curl -G") && html.contains("/v1/events"), "{html}");

    let rows = |html: &str| html.matches("<time>").count();
    let bought = reader.page("/p/shop/events?event=bought&col=value&part=answer").await;
    assert_eq!(rows(&bought), 3, "{bought}");
    assert!(
        bought.contains("<th scope=\"col\">value</th>") && bought.contains(">2.5<"),
        "{bought}"
    );
    let filtered = "/p/shop/events?event=%24pageview&fp=plan&fo=eq&fv=free&part=answer";
    assert_eq!(rows(&reader.page(filtered).await), 2);
    let none = reader.page("/p/shop/events?event=never&part=answer").await;
    assert!(none.contains("No events here") && rows(&none) == 0, "{none}");
    let cancelled = reader.page("/p/shop/events?event=bought&part=form").await;
    assert!(cancelled.contains("The question was cancelled") && rows(&cancelled) == 0);
    let wrong = reader.page("/p/shop/events?person=nobody&part=answer").await;
    assert!(wrong.contains("This question cannot be read"), "{wrong}");

    more_viewers(&service).await;
    let third: Vec<Value> = (0..140)
        .map(|n| {
            json!({ "id": format!("01a2020f-5b40-7000-8002-{n:012x}"), "name": "viewed",
            "at": NOW - 120_000, "user_id": "one", "props": {} })
        })
        .collect();
    service.as_server(&service.secret_key, third.into()).await;
    let way = |html: &str, words: &str| {
        let (before, _) = html.split_once(&format!("\">{words}</a>"))?;
        let link = before.rsplit("href=\"").next().unwrap();
        Some(format!("/p/shop/events{}", link.replace("&#38;", "&")))
    };
    let first = reader.page("/p/shop/events").await;
    assert_eq!(rows(&first), 50);
    assert_eq!((way(&first, "Newest"), way(&first, "Newer")), (None, None));
    let next = way(&first, "Older").unwrap();
    let second = reader.page(&next).await;
    let late = json!([{ "id": "01a2020f-5b40-7000-8003-000000000001", "name": "late",
        "at": NOW - 1_000, "user_id": "one", "props": {} }]);
    service.as_server(&service.secret_key, late).await;
    let again = reader.page(&next).await;
    let table = |html: &str| {
        html.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap().to_owned()
    };
    assert_eq!(table(&second), table(&again), "what arrived meanwhile moved nothing");
    assert!(reader.page("/p/shop/events").await.contains(">late<"));

    // On to the last page, and back by the pages that led there.
    let mut there = vec![second];
    while let Some(older) = way(there.last().unwrap(), "Older") {
        there.push(reader.page(&older).await);
    }
    assert!(there.len() > 1, "more than two pages");
    let mut html = there.pop().unwrap();
    for before in there.into_iter().rev() {
        html = reader.page(&way(&html, "Newer").unwrap()).await;
        assert_eq!(table(&html), table(&before));
    }
    html = reader.page(&way(&html, "Newer").unwrap()).await;
    assert!(html.contains(">late<") && way(&html, "Newer").is_none(), "the first page");
}

/// Twenty-five people who only look, beside those who were there.
async fn more_viewers(service: &Service) {
    let more = (0..25).map(|person| {
        let plan = if person < 12 { "large" } else { "huge" };
        json!({ "id": format!("01a2020f-5b40-7000-8001-{person:012x}"), "name": "viewed", "at": NOW - 60_000,
                "user_id": format!("more-{person}"), "props": { "plan": plan } })
    });
    service.as_server(&service.secret_key, more.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_fewer_than_ten_people_in_all_is_for_members_only() {
    let service = visited().await;
    more_viewers(&service).await;
    let analyst = reader(&service, Role::Analyst).await;
    let board = location(&analyst.send("/p/shop/boards", &[("name", "Few")]).await).to_owned();
    let pinned = [
        ("trend", "event=viewed", "Looked", true),
        (
            "trend",
            "event=viewed&event=bought&measure=count&measure=count&prop=&prop=",
            "Both",
            true,
        ),
        ("trend", "event=bought", "Bought", false),
        ("funnel", "step=viewed&step=bought", "Led on", true),
        ("funnel", "step=bought&step=viewed", "Led back", false),
        ("active", "event=bought", "Active buyers", false),
        ("retention", "start=bought&return=viewed", "Came back", false),
    ];
    for (kind, query, name, _) in pinned {
        let kept = analyst.saves(kind, query, name, "few").await;
        assert_eq!(kept.status, 303, "{name}: {kept:?}");
    }
    let tile = |html: &str, name: &str| {
        let of = html.split(&format!("aria-label=\"{name}\"")).nth(1).expect("a tile").to_owned();
        of.split("</section>").next().unwrap_or_default().to_owned()
    };
    analyst.send(&board, &[("what", "share")]).await;
    let html = analyst.page(&board).await;
    let link = html.split("value=\"/share/").nth(1).expect("a link").split('"').next().unwrap();
    let stranger = Reader { service: &service, cookie: String::new(), language: "en" };
    let shown = stranger.page(&format!("/share/{link}")).await;
    for (_, _, name, is_shown) in pinned {
        let (own, shared) = (tile(&html, name), tile(&shown, name));
        assert!(!own.contains("fewer than ten"), "a member sees {name}: {own}");
        assert_eq!(!shared.contains("Of fewer than ten people"), is_shown, "{name}: {shared}");
    }
    let both = tile(&shown, "Both");
    assert!(both.contains("viewed") && !both.contains("bought"), "one line of two: {both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_shared_on_a_page_of_its_own_with_one_link_however_often() {
    let service = visited().await;
    let analyst = reader(&service, Role::Analyst).await;
    let fields = [("query", "series=%24pageview"), ("name", "Growth"), ("share", "yes")];
    let reply = analyst.send("/p/shop/ask/trend", &fields).await;
    // A dashboard of this name that shows other things stays as it is.
    let own = "/p/shop/boards/growth";
    assert_eq!(reply.status, 303);
    assert_eq!(reply.headers["location"], own);
    let link = |html: &str| {
        let link = html.split("value=\"/share/").nth(1).expect("a link");
        format!("/share/{}", link.split('"').next().unwrap())
    };
    let first = link(&analyst.page(own).await);
    let stranger = Reader { service: &service, cookie: String::new(), language: "en" };
    let shown = stranger.page(&first).await;
    assert!(shown.contains("Growth") && !shown.contains("/p/shop/"), "{shown}");

    analyst.send("/p/shop/boards", &[("name", "Money")]).await;
    analyst.send("/p/shop/ask/trend", &fields).await;
    assert_eq!(link(&analyst.page(own).await), first, "the same link");
    let fields = [("query", "series=step_1"), ("name", "Money"), ("share", "yes")];
    let reply = analyst.send("/p/shop/ask/trend", &fields).await;
    assert_eq!(reply.headers["location"], "/p/shop/boards/money-2", "the empty one is not shared");
    assert!(!analyst.page("/p/shop/boards/money").await.contains("value=\"/share/"));

    let viewer = member(&service.app, MAIN, Role::Viewer, "viewer@example.org").await;
    let viewer = Reader {
        service: &service,
        cookie: session_of(&service.app, Some(viewer)).await,
        language: "en",
    };
    assert!(!viewer.page("/p/shop/ask/trend").await.contains("name=\"share\""));
    assert_eq!(viewer.send("/p/shop/ask/trend", &fields).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_saved_pinned_arranged_shared_and_taken_back() {
    let service = visited().await;
    more_viewers(&service).await;
    let analyst = reader(&service, Role::Analyst).await;
    let board =
        location(&analyst.send("/p/shop/boards", &[("name", "Growth, 2026")]).await).to_owned();
    assert_eq!(board, "/p/shop/boards/growth-2026");
    let query = "event=bought&measure=persons&by1=plan";
    assert_eq!(location(&analyst.saves("trend", query, "Buyers", "growth-2026").await), board);
    analyst.saves("persons", "", "Everybody", "growth-2026").await;
    analyst
        .saves(
            "trend",
            "event=viewed&measure=persons&by1=plan&bucket=week",
            "Viewers",
            "growth-2026",
        )
        .await;
    let titles = |html: &str| -> Vec<String> {
        let parts = html.split("<section class=\"tile").skip(1);
        parts
            .map(|part| {
                part.split("aria-label=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
            })
            .collect()
    };
    assert_eq!(titles(&analyst.page(&board).await), ["Buyers", "Everybody", "Viewers"]);
    analyst.send(&board, &[("what", "move"), ("tile", "2"), ("to", "0")]).await;
    let html = analyst.page(&board).await;
    assert_eq!(titles(&html), ["Viewers", "Buyers", "Everybody"]);
    // The saved question opens in its builder as it was saved.
    let href = html.split("<h2><a href=\"").nth(1).unwrap().split('"').next().unwrap();
    let href = href.replace("&#38;", "&").replace("&amp;", "&");
    let builder = analyst.page(&href).await;
    assert!(
        builder.contains("value=\"viewed\"")
            && builder.contains("<option value=\"week\" selected>"),
        "{builder}"
    );

    let stale = analyst.send(&board, &[("what", "remove"), ("tile", "0"), ("version", "1")]).await;
    assert_eq!(stale.status, 409, "{stale:?}");

    analyst.send(&board, &[("what", "share")]).await;
    let html = analyst.page(&board).await;
    let link = html.split("value=\"/share/").nth(1).expect("a link").split('"').next().unwrap();
    let link = format!("/share/{link}");
    let stranger = Reader { service: &service, cookie: String::new(), language: "en" };
    let shown = stranger.page(&link).await;
    // Of "huge" there are thirteen viewers, of "large" twelve, of "team" seven: whoever saw the twelve would know the
    // seven. Buyers are three; people are nobody's business.
    let viewers =
        shown.split("aria-label=\"Viewers\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(viewers.contains("huge"), "{viewers}");
    assert!(!viewers.contains("large") && !viewers.contains("team"), "{viewers}");
    let buyers =
        shown.split("aria-label=\"Buyers\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(!buyers.contains("team"), "{buyers}");
    assert!(
        !shown.contains("/p/shop") && !shown.contains("method=\"post\" action=\"/p/"),
        "{shown}"
    );
    let called_off = stranger.page(&format!("{link}?embed&part=form")).await;
    assert!(called_off.contains("href=\"?embed=1\""), "it stays in its frame: {called_off}");
    let embedded = stranger.get(&format!("{link}?embed")).await;
    let policy = embedded.headers["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.ends_with("frame-ancestors *") && policy.contains("script-src 'self'"),
        "{policy}"
    );
    let own = stranger.get(&link).await;
    assert!(
        own.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'")
    );

    for wrong in [format!("{link}0"), link.replace("growth-2026", "growth-2025")] {
        assert_eq!(stranger.get(&wrong).await.status, 404);
    }
    analyst.send(&board, &[("what", "unshare")]).await;
    assert_eq!(stranger.get(&link).await.status, 404);
    analyst.send(&board, &[("what", "share")]).await;
    assert_eq!(stranger.get(&link).await.status, 404, "a new link is another one");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_only_look_sees_no_buttons_and_gets_a_page_that_says_so() {
    let service = visited().await;
    let viewer = reader(&service, Role::Viewer).await;
    let html = viewer.page("/p/shop/ask/trend").await;
    assert!(!html.contains("name=\"board\""), "{html}");
    let refused = viewer.saves("trend", "", "x", "").await;
    assert_eq!(refused.status, 403);
    let html = String::from_utf8(refused.bytes).unwrap();
    assert!(html.contains("This is not open to you") && html.contains("<html"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_is_remembered_and_leads_back_to_our_pages_only() {
    let service = visited().await;
    let reader = reader(&service, Role::Viewer).await;
    for (back, want) in [
        ("/p/shop?range=7d", "/p/shop?range=7d"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
    ] {
        let reply = reader.send("/language", &[("to", "de"), ("back", back)]).await;
        assert_eq!(location(&reply), want);
        assert!(
            reply.headers["set-cookie"].to_str().unwrap().starts_with("tallymark_language=de;")
        );
    }
    assert_eq!(reader.send("/language", &[("to", "xx"), ("back", "/")]).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_light() {
    let service = visited().await;
    let reader = reader(&service, Role::Analyst).await;
    let packed = |bytes: &[u8]| super::gzip(bytes).len();
    let html = reader.get("/p/shop").await.bytes;
    let text = String::from_utf8_lossy(&html).into_owned();
    let mut assets = 0;
    for part in text.split("\"/assets/").skip(1) {
        let path = format!("/assets/{}", part.split('"').next().unwrap());
        assets += packed(&reader.get(&path).await.bytes);
    }
    let first = packed(&html) + assets;
    assert!(first <= 150 * 1024, "the first page weighs {first} bytes");
    for path in [
        "/p/shop",
        "/p/shop/ask/trend",
        "/p/shop/ask/funnel",
        "/p/shop/ask/paths",
        "/p/shop/ask/persons",
        "/p/shop/boards",
    ] {
        let bytes = packed(&reader.get(path).await.bytes);
        assert!(bytes <= 60 * 1024, "{path} weighs {bytes} bytes");
    }
}
