//! Who may do what: every operation for every kind of caller, and nothing of another tenant for anybody.

use std::collections::BTreeSet;

use axum::response::IntoResponse;
use tallymark::access::Role;
use tallymark::access::rules::{Needs, RULES, Rule};
use tallymark::router::openapi_document;
use tallymark::signin::session;

use super::*;

/// Somebody, and what they send.
struct Caller {
    name: String,
    headers: Vec<(&'static str, String)>,
}

impl Caller {
    fn key(name: &str, key: &str) -> Self {
        Self { name: name.into(), headers: vec![("authorization", format!("Bearer {key}"))] }
    }

    fn session(name: &str, cookie: String) -> Self {
        let headers = vec![("cookie", cookie), ("sec-fetch-site", "same-origin".to_owned())];
        Self { name: name.into(), headers }
    }
}

/// The cookie of a new session.
pub async fn session_of(app: &App, account: Option<u32>) -> String {
    let mut response = ().into_response();
    session::start(app, account, &HeaderMap::new(), &mut response).await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// A new member of an organisation.
pub async fn member(app: &App, organisation: u32, role: Role, email: &str) -> u32 {
    let table = app.meta.invitations();
    let mac = app.pepper.mac("test", email.as_bytes());
    table.create(&mac, organisation, email, role, NOW + 1, DEED).await.unwrap();
    table.accept(&mac, email, NOW).await.unwrap().unwrap()
}

impl Service {
    /// What an operation answers somebody, with an empty body.
    async fn try_as(&self, caller: &Caller, method: &str, path: &str) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &caller.headers {
            request = request.header(*name, value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

/// The route of an operation with something in place of its parameters.
pub fn filled(path: &str, project: &str, organisation: &str) -> String {
    let path = path
        .replace("{organisation}", organisation)
        .replace("{kind}", if path.contains("saved") { "cohorts" } else { "trend" })
        .replace("{slug}", project)
        .replace("{fn}", "welch")
        .replace("{account}", "4000000000");
    let mut parts: Vec<&str> = path.split('/').collect();
    for part in &mut parts {
        if part.starts_with('{') {
            *part = "4000000000";
        }
    }
    let path = parts.join("/");
    // It would go on for a minute.
    let once = if path == "/v1/live" { "&once=true" } else { "" };
    format!("{path}?project={project}{once}")
}

/// Whether an answer is a refusal of who asks, and not of what they ask for.
fn refused(reply: &Reply) -> bool {
    const CODES: [&str; 9] = [
        "sign_in_needed",
        "key_missing",
        "key_unknown",
        "scope_missing",
        "role_missing",
        "operator_needed",
        "organisation_unknown",
        "project_unknown",
        "cross_site",
    ];
    let to_sign_in = reply.headers.get("location").is_some_and(|to| to == "/signin");
    let problem = serde_json::from_slice::<Value>(&reply.bytes).ok();
    let code = problem.and_then(|problem| problem["code"].as_str().map(str::to_owned));
    let page = reply.status == 401;
    to_sign_in || page || code.is_some_and(|code| CODES.contains(&code.as_str()))
}

#[test]
fn the_table_is_the_one_that_was_reviewed() {
    let reviewed = include_str!("../../../tests/vectors/access.tsv");
    let table: String = RULES
        .iter()
        .map(|Rule { method, path, needs }| format!("{method}\t{path}\t{needs}\n"))
        .collect();
    assert_eq!(table, reviewed, "review the change, then write it into tests/vectors/access.tsv");
}

#[test]
fn every_operation_has_a_rule_and_every_rule_an_operation() {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            documented.insert((method.to_uppercase(), path.clone()));
        }
    }
    let rules: BTreeSet<_> =
        RULES.iter().map(|rule| (rule.method.to_owned(), rule.path.to_owned())).collect();
    assert_eq!(rules.len(), RULES.len(), "a rule stands twice");
    let without: Vec<_> = documented.difference(&rules).collect();
    assert!(without.is_empty(), "nobody may use {without:?}");
    // Pages are for people, and described nowhere.
    let pages = rules.difference(&documented).filter(|(method, path)| {
        method != "OPTIONS" && (path.starts_with("/v1/") || path.starts_with("/api/"))
    });
    assert_eq!(pages.collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

/// Shows S3-46 and S3-47.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_does_for_every_caller_what_the_table_says() {
    let service = service().await;
    let app = &service.app;
    let mut callers = vec![
        (Caller { name: "nobody".into(), headers: vec![] }, None, None, false),
        (Caller::key("write key", &service.write_key), Some(Scopes::default()), None, false),
    ];
    for scope in Scope::ALL {
        let scopes: Scopes = [scope].into_iter().collect();
        let key = key(app, &service.project, KeyKind::Secret, scopes).await;
        callers.push((Caller::key(scope.as_str(), &key), Some(scopes), None, false));
    }
    for role in Role::ALL {
        let account = member(app, MAIN, role, &format!("{}@a.example", role.as_str())).await;
        let cookie = session_of(app, Some(account)).await;
        callers.push((Caller::session(role.as_str(), cookie), None, Some(role), false));
    }
    let other = app.meta.organisations().create("other", "Other", DEED).await.unwrap();
    let stranger = member(app, other.id, Role::Owner, "owner@b.example").await;
    let cookie = session_of(app, Some(stranger)).await;
    callers.push((Caller::session("owner of another", cookie), None, None, true));
    let operator = session_of(app, None).await;
    callers.push((Caller::session("operator", operator), None, Some(Role::Owner), true));

    let mut asked = 0;
    for rule in RULES {
        for (caller, scopes, role, other_rights) in &callers {
            let operator = caller.name == "operator";
            let signed_in = role.is_some() || *other_rights;
            let allowed = match rule.needs {
                Needs::Nothing | Needs::WriteKey | Needs::Depends => continue,
                Needs::SignedIn => signed_in,
                Needs::Operator => operator,
                Needs::Project(scope, least) => {
                    scopes.is_some_and(|scopes| scopes.allows(scope))
                        || role.is_some_and(|role| role >= least)
                }
                Needs::Member(least) | Needs::Organisation(least) => {
                    role.is_some_and(|role| role >= least)
                }
            };
            let path = filled(rule.path, "shop", "main");
            let reply = service.try_as(caller, rule.method, &path).await;
            let what = format!("{} {path} by {}", rule.method, caller.name);
            assert_eq!(!refused(&reply), allowed, "{what}: {:?}", reply);
            assert!(reply.status.as_u16() < 500, "{what}: {:?}", reply);
            asked += 1;
        }
    }
    assert!(asked > 500, "only {asked} were asked");
}

/// Operations without a session that foreign pages may ask for: one computes, one needs a key in its body.
const FOR_ANYBODY: [&str; 2] = ["/v1/stats/{fn}", "/v1/keys/leaked"];

/// What the forms of those who are not signed in hold.
const SIGNING_IN: &str = "email=a%40a.example&password=four+or+five+words&token=t&ticket=t&code=123456&name=A&to=de&back=%2F";

/// Every row of every table.
async fn all_that_is_kept(service: &Service) -> Vec<String> {
    use sqlx::{Column, Row, SqlitePool};
    let file = service._folder.path().join("data").join("tallymark.sqlite");
    let pool = SqlitePool::connect(&format!("sqlite:{}?mode=ro", file.display())).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut kept = Vec::new();
    for table in tables {
        let query = format!("SELECT * FROM \"{table}\"");
        for row in sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&pool).await.unwrap() {
            let cells = row.columns().iter().map(|column| {
                let value = row.try_get_raw(column.ordinal()).unwrap();
                let bytes = <&[u8] as sqlx::Decode<sqlx::Sqlite>>::decode(value);
                format!("{}={bytes:?}", column.name())
            });
            kept.push(format!("{table}: {}", cells.collect::<Vec<_>>().join(" ")));
        }
    }
    kept.sort();
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_must_come_from_our_own_pages_and_else_changes_nothing() {
    let service = service().await;
    let cookie = session_of(&service.app, None).await;
    let foreign: [&[(&'static str, &str)]; 6] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example"), ("host", "stats.example")],
        &[("origin", "null"), ("host", "stats.example")],
        &[],
    ];
    let own: [&[(&'static str, &str)]; 2] = [
        &[("sec-fetch-site", "same-origin")],
        &[("origin", "http://stats.example"), ("host", "stats.example")],
    ];
    let ask = async |rule: &Rule, headers: &[(&'static str, &str)]| {
        let mut request =
            Request::builder().method(rule.method).uri(filled(rule.path, "shop", "main"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (kind, body) = match rule.needs {
            Needs::Nothing => ("application/x-www-form-urlencoded", SIGNING_IN),
            _ => ("text/plain", ""),
        };
        let request = request.header("cookie", &cookie).header("content-type", kind);
        service.send(request.body(Body::from(body)).unwrap()).await
    };
    let changing: Vec<&Rule> = RULES
        .iter()
        .filter(|rule| !["GET", "OPTIONS"].contains(&rule.method))
        .filter(|rule| rule.needs != Needs::WriteKey && !FOR_ANYBODY.contains(&rule.path))
        .collect();
    let before = all_that_is_kept(&service).await;
    let mut tried = 0;
    for rule in &changing {
        for headers in foreign {
            let reply = ask(rule, headers).await;
            assert_eq!(reply.problem(), (403, "cross_site".into()), "{rule:?} with {headers:?}");
            tried += 1;
        }
    }
    assert!(tried > 80, "only {tried} were tried");
    assert_eq!(all_that_is_kept(&service).await, before);
    for rule in changing {
        // Whoever has signed out is somebody else afterwards.
        let last = rule.path == "/signout";
        for headers in own.iter().filter(|_| !last) {
            let reply = ask(rule, headers).await;
            let refused = reply.status == 403 && reply.problem().1 == "cross_site";
            assert!(!refused, "{rule:?} with {headers:?}");
        }
    }
    assert_ne!(all_that_is_kept(&service).await, before, "what is ours does change things");
    let signed_out = RULES.iter().find(|rule| rule.path == "/signout").unwrap();
    assert_eq!(ask(signed_out, own[0]).await.status, 303);
}

/// In all that the other tenant has; their slugs and keys are other words, which callers may try.
const CANARY: &str = "canary-of-b";

/// Shows S3-45.
#[tokio::test(flavor = "multi_thread")]
async fn no_operation_shows_anything_of_another_tenant() {
    let service = service().await;
    let app = &service.app;
    let b = app.meta.organisations().create("theirs", CANARY, DEED).await.unwrap();
    let (name, slug) = (CANARY.to_owned(), "their-shop".to_owned());
    let new = NewProject { organisation: b.id, name, slug, tz: "UTC".into() };
    let theirs = app.meta.projects().create(&new, DEED).await.unwrap();
    member(app, b.id, Role::Owner, "canary-of-b@b.example").await;
    let their_key = key(app, &theirs, KeyKind::Secret, Scopes::all()).await;
    let sender = key(app, &theirs, KeyKind::Public, [Scope::Ingest].into_iter().collect()).await;
    let event = with(with(event(1), "name", CANARY), "props", json!({ CANARY: CANARY }));
    let body = json!({ "key": sender, "nonce": "n", "sent_at": NOW, "events": [event] });
    assert_eq!(service.post("/v1/batch", &[], body.to_string()).await.json()["ok"], 1);
    let rule = json!({ "did": { "event": CANARY, "at_least": 1 } });
    let cohort = json!({ "name": CANARY, "cohort": rule });
    let saved = service.saved_as(&their_key, Method::PUT, "cohorts/their-cohort", cohort).await;
    assert_eq!(saved.status, 201, "{saved:?}");
    for path in ["/v1/schema", "/v1/events", "/v1/saved/cohorts/their-cohort"] {
        let own = service.get(path, Some(&their_key)).await;
        assert!(String::from_utf8_lossy(&own.bytes).contains(CANARY), "its owner sees it");
    }

    let secret = service.secret_key.clone();
    let mut callers = vec![
        Caller { name: "nobody".into(), headers: vec![] },
        Caller::key("write key", &service.write_key),
        Caller::key("secret key", &secret),
    ];
    let mut posing = Caller::key("secret key with their slug", &secret);
    posing.headers.push(("x-tenant-slug", "their-shop".into()));
    callers.push(posing);
    for role in Role::ALL {
        let account = member(app, MAIN, role, &format!("{}@a.example", role.as_str())).await;
        callers.push(Caller::session(role.as_str(), session_of(app, Some(account)).await));
    }
    let mut calls = 0;
    for rule in RULES {
        let theirs = filled(rule.path, "their-shop", "theirs");
        let named = theirs.replace("4000000000", "their-cohort");
        let first = theirs.replace("4000000000", "1");
        let mine = filled(rule.path, "shop", "main");
        let mine = [mine.replace("4000000000", "their-cohort"), mine.replace("4000000000", "4")];
        for path in [theirs, named, first].into_iter().chain(mine) {
            for caller in &callers {
                let reply = service.try_as(caller, rule.method, &path).await;
                let text = String::from_utf8_lossy(&reply.bytes);
                assert!(
                    !text.contains(CANARY),
                    "{} {path} by {}: {text}",
                    rule.method,
                    caller.name
                );
                calls += 1;
            }
        }
    }
    assert!(calls > 2_000, "only {calls} calls");
    let own = service.get("/v1/events", Some(&their_key)).await;
    assert!(String::from_utf8_lossy(&own.bytes).contains(CANARY), "and it is all still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_somebody_elses_answer_alike() {
    let service = service().await;
    let app = &service.app;
    let b = app.meta.organisations().create("theirs", "Theirs", DEED).await.unwrap();
    let (name, slug) = ("B".to_owned(), "b".to_owned());
    let new = NewProject { organisation: b.id, name, slug, tz: "UTC".into() };
    app.meta.projects().create(&new, DEED).await.unwrap();
    let account = member(app, MAIN, Role::Owner, "owner@a.example").await;
    let caller = Caller::session("owner", session_of(app, Some(account)).await);
    for (theirs, missing) in [
        ("/v1/schema?project=b", "/v1/schema?project=none"),
        ("/v1/organisations/theirs/members", "/v1/organisations/none/members"),
        ("/v1/organisations/main/audit?project=b", "/v1/organisations/main/audit?project=none"),
    ] {
        let replies = [theirs, missing].map(|path| service.try_as(&caller, "GET", path));
        let [theirs, missing] = replies;
        let (theirs, missing) = (theirs.await, missing.await);
        assert_eq!(theirs.problem().0, 404);
        assert_eq!(theirs.bytes, missing.bytes);
    }
}

/// Shows S3-48.
#[rstest]
#[case::right("shop", 200)]
#[case::another("other", 404)]
#[case::unknown("nothing", 404)]
#[case::no_text("\u{e9}", 404)]
#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_header_is_only_held_against_the_credential(
    #[case] slug: &str,
    #[case] status: u16,
) {
    let service = service().await;
    project(&service.app, "other").await;
    let mut caller = Caller::key("secret key", &service.secret_key);
    caller.headers.push(("x-tenant-slug", slug.to_owned()));
    assert_eq!(service.try_as(&caller, "GET", "/v1/schema").await.status, status);
}
