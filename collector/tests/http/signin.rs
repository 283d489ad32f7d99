//! Signing in with a password, invitations, keys and organisations over HTTP, and the trail they leave.

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tallymark::access::Role;
use tallymark::anchors;
use tallymark::meta::Meta;
use tallymark::signin::second;
use url::form_urlencoded;

use super::access::{member, session_of};
use super::*;

const PASSWORD: &str = "correct horse battery staple";

impl Service {
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.post(path, &headers, body).await
    }

    /// An operation by somebody who is signed in.
    pub async fn by(&self, cookie: &str, method: Method, path: &str, body: Value) -> Reply {
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let request = request.header("sec-fetch-site", "same-origin");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

fn cookie(reply: &Reply) -> String {
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

fn location(reply: &Reply) -> &str {
    reply.headers["location"].to_str().unwrap()
}

/// Invite somebody as the operator, and let them join.
async fn joined(service: &Service, email: &str, role: &str) -> String {
    let operator = session_of(&service.app, None).await;
    let body = json!({ "email": email, "role": role });
    let path = "/v1/organisations/main/invitations";
    let invited = service.by(&operator, Method::POST, path, body).await;
    assert_eq!(invited.status, 201, "{invited:?}");
    let path = invited.json()["path"].as_str().unwrap().to_owned();
    let (_, token) = path.split_once("token=").unwrap();
    let page = service.get(&path, None).await;
    assert!(String::from_utf8_lossy(&page.bytes).contains(&email.to_lowercase()));
    let fields = [("token", token), ("name", "Ann"), ("password", PASSWORD)];
    let reply = service.form("/invitation", &fields).await;
    assert_eq!((reply.status.as_u16(), location(&reply)), (303, "/"), "{reply:?}");
    let again = service.form("/invitation", &fields).await;
    assert_eq!(again.status, 404, "a link works once");
    cookie(&reply)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_joins_signs_in_and_out() {
    let service = service().await;
    let cookie_of_joining = joined(&service, "Ann@Shop.example", "analyst").await;
    let mine = service.by(&cookie_of_joining, Method::GET, "/v1/organisations", Value::Null).await;
    assert_eq!(mine.json()["organisations"][0]["role"], "analyst");

    let fields = [("email", " ann@shop.EXAMPLE "), ("password", PASSWORD)];
    let reply = service.form("/signin", &fields).await;
    assert_eq!((reply.status.as_u16(), location(&reply)), (303, "/"));
    let cookie = cookie(&reply);
    assert_ne!(cookie, cookie_of_joining);
    let schema = service.by(&cookie, Method::GET, "/v1/schema?project=shop", Value::Null).await;
    assert_eq!(schema.status, 200);
    let keys = service.by(&cookie, Method::GET, "/v1/keys?project=shop", Value::Null).await;
    assert_eq!(keys.problem(), (403, "role_missing".into()));

    assert_eq!(service.by(&cookie, Method::POST, "/signout", Value::Null).await.status, 303);
    let gone = service.by(&cookie, Method::GET, "/v1/schema?project=shop", Value::Null).await;
    assert_eq!(gone.problem(), (401, "sign_in_needed".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_signing_in_are_in_the_language_of_whoever_reads() {
    let service = service().await;
    let ask = async |path: &str, body: &str| {
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let request = Request::builder().method(method).uri(path).header("accept-language", "de");
        let request = request
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        let reply = service.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        String::from_utf8(reply.bytes).unwrap()
    };
    for (path, body, words) in [
        ("/signin", "", "<button>Anmelden</button>"),
        ("/signin?token=used", "", "Dieser Link wurde schon benutzt"),
        ("/signin", "email=ann@a.example&password=x", "gehören nicht zusammen"),
        ("/signin/code", "ticket=1&code=2", "länger als fünf Minuten"),
        ("/forgot", "", "Passwort vergessen?"),
        ("/invitation?token=used", "", "Diese Einladung wurde benutzt"),
        ("/password?token=used", "", "Dieser Link wurde benutzt"),
    ] {
        let html = ask(path, body).await;
        assert!(html.contains("lang=\"de\"") && html.contains(words), "{path}: {html}");
    }
}

/// Registering is an invitation that is followed: 201 for it, `join` in the trail; the sign-up of a tenant's own user is an
/// event that its host reports, and a figure of the tenant alone.
#[tokio::test(flavor = "multi_thread")]
async fn s3_67_people_register_in_a_tenant_and_a_signup_is_an_event_of_it() {
    let service = service().await;
    let operator = session_of(&service.app, None).await;
    let cookie = joined(&service, "ann@shop.example", "admin").await;
    let members = "/v1/organisations/main/members";
    let members = service.by(&cookie, Method::GET, members, Value::Null).await.json();
    let ann = members["members"].as_array().unwrap().iter();
    assert_eq!(ann.filter(|member| member["email"] == "ann@shop.example").count(), 1, "{members}");
    let trail = "/v1/organisations/main/audit";
    let trail = service.by(&operator, Method::GET, trail, Value::Null).await.json();
    let joins = trail["acts"].as_array().unwrap().iter().filter(|act| act["action"] == "join");
    let who: Vec<&Value> = joins.map(|act| &act["by"]).collect();
    assert_eq!(who, ["ann@shop.example"], "{trail}");

    let signed_up = json!([{ "id": event(1)["id"], "name": "auth.user.registered", "at": NOW, "user_id": "bob" }]);
    let receipt = service.as_server(&service.secret_key, signed_up).await.json();
    assert_eq!(receipt["ok"], 1, "{receipt}");
    let figures = async |project: &str| {
        let path = format!("/api/analytics/metrics?project={project}");
        service.by(&cookie, Method::GET, &path, Value::Null).await.json()["signups"].clone()
    };
    project(&service.app, "other").await;
    assert_eq!((figures("shop").await, figures("other").await), (json!(1), json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_attempts_answer_alike_and_shut_an_account_for_a_while() {
    let service = service().await;
    joined(&service, "ann@shop.example", "viewer").await;
    let attempt = async |email: &str, password: &str| {
        service.form("/signin", &[("email", email), ("password", password)]).await
    };
    let unknown = attempt("bob@shop.example", "wrong wrong wrong").await;
    for _ in 0..5 {
        let wrong = attempt("ann@shop.example", "wrong wrong wrong").await;
        assert_eq!(wrong.status, 401);
        let text = |reply: &Reply, email| String::from_utf8_lossy(&reply.bytes).replace(email, "");
        assert_eq!(text(&wrong, "ann@shop.example"), text(&unknown, "bob@shop.example"));
    }
    assert_eq!(attempt("ann@shop.example", PASSWORD).await.status, 401, "it is shut");
    service.app.clock.advance(60_000);
    assert_eq!(attempt("ann@shop.example", PASSWORD).await.status, 303, "and open again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_tries_too_often_is_told_when_to_come_again() {
    let service = service().await;
    let attempt =
        async || service.form("/signin", &[("email", "not an address"), ("password", "x")]).await;
    for _ in 0..20 {
        assert_eq!(attempt().await.status, 401);
    }
    let reply = attempt().await;
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["retry-after"]),
        (429, &"30".parse().unwrap())
    );
}

/// The value of a hidden field of a page.
fn hidden(reply: &Reply, name: &str) -> String {
    let page = String::from_utf8_lossy(&reply.bytes).into_owned();
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect("the field");
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_second_factor_needs_its_code_and_each_code_works_once() {
    let service = service().await;
    joined(&service, "ann@shop.example", "admin").await;
    let app = &service.app;
    let account = app.meta.accounts().credentials("ann@shop.example").await.unwrap().unwrap();
    let account = app.meta.directory().account(account.account).unwrap();
    let secret = second::begin(app, account.id).await.unwrap();
    let begun = second::begin(app, account.id).await.unwrap();
    assert_eq!(begun.words(), secret.words(), "a page that is opened again shows the same");
    let now_code = || secret.code_at(app.clock.now_ms());
    let wrong = if now_code() == "000000" { "000001" } else { "000000" };
    assert_eq!(second::confirm(app, &account, wrong).await.unwrap(), None);
    let fields = [("email", "ann@shop.example"), ("password", PASSWORD)];
    assert_eq!(service.form("/signin", &fields).await.status, 303, "it is not in force yet");
    let recovery = second::confirm(app, &account, &now_code()).await.unwrap().unwrap();
    assert_eq!(recovery.len(), 10);

    let step = service.form("/signin", &fields).await;
    assert_eq!(
        (step.status.as_u16(), step.headers.get("set-cookie")),
        (200, None),
        "no session yet"
    );
    let ticket = hidden(&step, "ticket");
    let attempt = async |ticket: &str, code: &str| {
        service.form("/signin/code", &[("ticket", ticket), ("code", code)]).await
    };
    assert_eq!(attempt(&ticket, &now_code()).await.status, 401, "it was used to set it up");
    app.clock.advance(30_000);
    let code = now_code();
    assert_eq!(attempt("1.9999999999999.00", &code).await.status, 401, "nobody's ticket");
    let reply = attempt(&ticket, &code).await;
    assert_eq!(reply.status, 303);
    let mine = service.by(&cookie(&reply), Method::GET, "/v1/organisations", Value::Null).await;
    assert_eq!(mine.json()["organisations"][0]["role"], "admin");
    assert_eq!(attempt(&ticket, &code).await.status, 401, "a code works once");
    assert_eq!(attempt(&ticket, &recovery[0].to_uppercase()).await.status, 303);
    assert_eq!(attempt(&ticket, &recovery[0]).await.status, 401, "and so do those to get back in");

    // Wrong codes shut the account, and a right password between them does not open it.
    for _ in 0..4 {
        assert_eq!(attempt(&ticket, wrong).await.status, 401);
        service.form("/signin", &fields).await;
    }
    assert_eq!(attempt(&ticket, &recovery[1]).await.status, 401, "it is shut");
    app.clock.advance(60_000);
    assert_eq!(attempt(&ticket, &recovery[1]).await.status, 303, "and open again");
    app.clock.advance(300_000);
    let late = attempt(&ticket, &now_code()).await;
    assert!(String::from_utf8_lossy(&late.bytes).contains("five minutes"), "{late:?}");

    // An admin takes it off.
    let operator = session_of(app, None).await;
    let path = format!("/v1/organisations/main/members/{}/second-factor", account.id);
    assert_eq!(service.by(&operator, Method::DELETE, &path, Value::Null).await.status, 204);
    assert_eq!(service.form("/signin", &fields).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_lets_somebody_set_another_password_once_within_a_day() {
    let service = service().await;
    let old = joined(&service, "ann@shop.example", "analyst").await;
    let app = &service.app;
    let account =
        app.meta.accounts().credentials("ann@shop.example").await.unwrap().unwrap().account;
    let admin = member(app, MAIN, Role::Admin, "admin@a.example").await;
    let admin = session_of(app, Some(admin)).await;
    let path = format!("/v1/organisations/main/members/{account}/reset");
    let link = async || {
        let made = service.by(&admin, Method::POST, &path, Value::Null).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["path"].as_str().unwrap().to_owned()
    };
    let first = link().await;
    let second = link().await;
    assert_eq!(service.get(&first, None).await.status, 404, "the newest one only");
    let page = service.get(&second, None).await;
    assert!(String::from_utf8_lossy(&page.bytes).contains("ann@shop.example"));
    let token = second.split_once("token=").unwrap().1;
    let set = async |password: &str| {
        service.form("/password", &[("token", token), ("password", password)]).await
    };
    assert_eq!(set("too short").await.status, 422);
    let another = "another correct horse";
    assert_eq!(set(another).await.status, 200);
    assert_eq!(set(another).await.status, 404, "it works once");
    let gone = service.by(&old, Method::GET, "/v1/organisations", Value::Null).await;
    assert_eq!(gone.problem().0, 401, "sessions of the old password are over");
    let sign_in = async |password: &str| {
        service.form("/signin", &[("email", "ann@shop.example"), ("password", password)]).await
    };
    assert_eq!(sign_in(PASSWORD).await.status, 401);
    assert_eq!(sign_in(another).await.status, 303);

    let third = link().await;
    app.clock.advance(24 * 60 * 60_000);
    assert_eq!(service.get(&third, None).await.status, 404, "a day later");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_helps_nobody_into_an_account_that_may_more() {
    let service = service().await;
    let app = &service.app;
    let other = app.meta.organisations().create("other", "Other", DEED).await.unwrap();
    let admin = member(app, MAIN, Role::Admin, "admin@a.example").await;
    let owner = member(app, MAIN, Role::Owner, "owner@a.example").await;
    // A viewer here, and the owner of something else.
    let guest = member(app, MAIN, Role::Viewer, "guest@a.example").await;
    assert_eq!(member(app, other.id, Role::Owner, "guest@a.example").await, guest);
    let admin = session_of(app, Some(admin)).await;
    let operator = session_of(app, None).await;
    for account in [owner, guest] {
        for (method, what) in [(Method::POST, "reset"), (Method::DELETE, "second-factor")] {
            let path = format!("/v1/organisations/main/members/{account}/{what}");
            let reply = service.by(&admin, method.clone(), &path, Value::Null).await;
            assert_eq!(reply.problem(), (403, "role_missing".into()), "{path}");
            let reply = service.by(&operator, method, &path, Value::Null).await;
            assert!(reply.status.is_success(), "{reply:?}");
        }
    }
    let path = "/v1/organisations/main/members/999/reset";
    let reply = service.by(&admin, Method::POST, path, Value::Null).await;
    assert_eq!(reply.problem(), (404, "member_unknown".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_the_cookie_is_bound_to_the_host() {
    let public_url = "https://stats.example".to_owned();
    let service = service_with(Config { public_url, ..Config::default() }).await;
    let token = service.app.sign_in_token().unwrap();
    let reply = service.get(&format!("/signin?token={token}"), None).await;
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-tm_session="), "{cookie}");
    for part in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_more_of_others_than_they_are_and_an_owner_stays() {
    let service = service().await;
    let app = &service.app;
    let owner = member(app, MAIN, Role::Owner, "owner@a.example").await;
    let admin = member(app, MAIN, Role::Admin, "admin@a.example").await;
    let (as_owner, as_admin) =
        (session_of(app, Some(owner)).await, session_of(app, Some(admin)).await);
    let path = |account: u32| format!("/v1/organisations/main/members/{account}");
    let role = |role: &str| json!({ "role": role });
    for (who, method, account, body, want) in [
        (&as_admin, Method::PATCH, owner, role("viewer"), (403, "role_missing")),
        (&as_admin, Method::DELETE, owner, Value::Null, (403, "role_missing")),
        (&as_admin, Method::PATCH, admin, role("owner"), (403, "role_missing")),
        (&as_owner, Method::PATCH, owner, role("admin"), (409, "last_owner")),
        (&as_owner, Method::DELETE, owner, Value::Null, (409, "last_owner")),
        (&as_owner, Method::PATCH, 999, role("admin"), (404, "member_unknown")),
        (&as_owner, Method::PATCH, admin, role("king"), (400, "json_invalid")),
    ] {
        let reply = service.by(who, method, &path(account), body).await;
        assert_eq!(reply.problem(), (want.0, want.1.to_owned()));
    }
    let invite = json!({ "email": "new@a.example", "role": "owner" });
    let invitations = "/v1/organisations/main/invitations";
    let reply = service.by(&as_admin, Method::POST, invitations, invite).await;
    assert_eq!(reply.problem(), (403, "role_missing".into()));
    let again = json!({ "email": "owner@a.example", "role": "viewer" });
    let reply = service.by(&as_admin, Method::POST, invitations, again).await;
    assert_eq!(reply.problem(), (409, "member_already".into()));

    let reply = service.by(&as_owner, Method::PATCH, &path(admin), role("owner")).await;
    assert_eq!(reply.json()["role"], "owner");
    assert_eq!(service.by(&as_owner, Method::DELETE, &path(owner), Value::Null).await.status, 204);
    let out = service.by(&as_owner, Method::GET, "/v1/schema?project=shop", Value::Null).await;
    assert_eq!(out.problem(), (404, "project_unknown".into()), "no part in it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_listed_replaced_with_an_overlap_and_taken_back() {
    let service = service().await;
    let secret = service.secret_key.clone();
    let ask = async |method: Method, path: &str, body: Value| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {secret}"));
        service.send(request.body(Body::from(body.to_string())).unwrap()).await
    };
    let works = async |key: &str| service.get("/v1/schema", Some(key)).await.status == 200;
    let body = json!({ "name": "reports", "scopes": ["analytics:read"], "expires_at": NOW + 1_000_000_000 });
    let made = ask(Method::POST, "/v1/keys", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (first, id) = (made.json()["key"].as_str().unwrap().to_owned(), made.json()["id"].clone());
    assert!(works(&first).await);
    let list = ask(Method::GET, "/v1/keys", Value::Null).await;
    assert!(!String::from_utf8_lossy(&list.bytes).contains(&first), "it is shown once");
    let list = list.json();
    let listed = list["keys"].as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
    assert_eq!((&listed["name"], &listed["used_at"]), (&json!("reports"), &Value::Null));
    service.app.meta.write_uses().await.unwrap();
    let list = ask(Method::GET, "/v1/keys", Value::Null).await.json();
    let listed = list["keys"].as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
    assert_eq!(listed["used_at"], NOW / 60_000 * 60_000);

    let rotate = format!("/v1/keys/{id}/rotate");
    let second = ask(Method::POST, &rotate, json!({ "overlap_ms": 5_000 })).await;
    assert_eq!(second.status, 201, "{second:?}");
    let second = second.json();
    let next = second["key"].as_str().unwrap();
    assert_eq!(second["scopes"], json!(["analytics:read"]));
    assert!(works(&first).await && works(next).await, "both for a while");
    service.app.clock.advance(5_000);
    assert!(!works(&first).await && works(next).await, "then the new one");
    let revoke = format!("/v1/keys/{}", second["id"]);
    assert_eq!(ask(Method::DELETE, &revoke, Value::Null).await.status, 200);
    assert!(!works(next).await);
    assert_eq!(ask(Method::DELETE, &revoke, Value::Null).await.problem().1, "key_not_found");
}

#[rstest]
#[case::no_scope(json!({}), "key_invalid")]
#[case::unknown_scope(json!({ "scopes": ["root"] }), "key_invalid")]
#[case::public_that_reads(json!({ "kind": "public", "scopes": ["analytics:read"] }), "key_invalid")]
#[case::over_before_it_begins(json!({ "scopes": ["ingest"], "expires_at": NOW }), "key_invalid")]
#[case::unknown_field(json!({ "scopes": ["ingest"], "project": "other" }), "json_invalid")]
#[case::more_than_it_has(json!({ "scopes": ["data:erase"] }), "scope_missing")]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_made_with(#[case] body: Value, #[case] code: &str) {
    let service = service().await;
    let scopes: Scopes = Scope::ALL.into_iter().filter(|s| *s != Scope::DataErase).collect();
    let admin = key(&service.app, &service.project, KeyKind::Secret, scopes).await;
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", bearer.as_str())];
    let reply = service.post("/v1/keys", &headers, body.to_string()).await;
    assert_eq!(reply.problem().1, code);
    let left = service.app.meta.access_keys().list(service.project.id).await.unwrap().len();
    assert_eq!(left, 3, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_key_that_is_reported_stops_and_what_is_none_answers_the_same() {
    let service = service().await;
    let report = async |key: &str| {
        service.post("/v1/keys/leaked", &[], json!({ "key": key }).to_string()).await
    };
    let none = report("tm_sk_live_made_up").await;
    let write = report(&service.write_key).await;
    let known = report(&service.secret_key).await;
    assert_eq!(none.status, 202);
    assert_eq!([&none.bytes, &write.bytes], [&known.bytes; 2]);
    let reply = service.get("/v1/schema", Some(&service.secret_key)).await;
    assert_eq!(reply.problem(), (401, "key_unknown".into()));
    assert_eq!(service.batch(json!([])).await.status, 200, "the write key is public anyhow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_settings_change_and_pages_of_other_origins_are_refused() {
    let service = service().await;
    let operator = session_of(&service.app, None).await;
    let patch = async |body: Value| {
        service.by(&operator, Method::PATCH, "/v1/project?project=shop", body).await
    };
    for (wrong, code) in [
        (json!({ "settings": { "origins": ["shop.example"] } }), "setting_invalid"),
        (json!({ "settings": { "colour": "red" } }), "json_invalid"),
        (json!({ "tz": "Mars/Olympus" }), "time_zone_unknown"),
        (json!({ "name": "" }), "name_invalid"),
        (json!({ "slug": "other" }), "json_invalid"),
    ] {
        assert_eq!(patch(wrong).await.problem().1, code);
    }
    let from = async |origin: &str| {
        let body = json!({ "key": service.write_key, "nonce": "n", "events": [] }).to_string();
        service.post("/v1/batch", &[("origin", origin)], body).await
    };
    assert_eq!(from("https://any.example").await.status, 200);
    let settings = json!({ "origins": ["https://shop.example"], "quotas": {},
        "batches_per_s": null, "stored_bytes": null });
    let changed = patch(json!({ "tz": "Europe/Zurich", "settings": settings })).await.json();
    assert_eq!((&changed["tz"], &changed["settings"]), (&json!("Europe/Zurich"), &settings));
    assert_eq!(from("https://shop.example").await.status, 200);
    assert_eq!(from("https://any.example").await.problem(), (403, "origin_refused".into()));
    assert_eq!(service.batch(json!([])).await.status, 200, "servers have no origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_is_in_the_trail_and_an_altered_row_is_found() {
    let service = service().await;
    let operator = session_of(&service.app, None).await;
    let act = async |method: Method, path: &str, body: Value| {
        let reply = service.by(&operator, method, path, body).await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
        reply.json()
    };
    let organisation = "/v1/organisations/main";
    act(Method::PATCH, organisation, json!({ "name": "Renamed" })).await;
    let new = json!({ "name": "Blog", "slug": "blog" });
    act(Method::POST, &format!("{organisation}/projects"), new).await;
    act(Method::PATCH, "/v1/project?project=blog", json!({ "name": "Our blog" })).await;
    let scopes = json!({ "scopes": ["analytics:read"] });
    let key = act(Method::POST, "/v1/keys?project=blog", scopes).await;
    act(Method::DELETE, &format!("/v1/keys/{}?project=blog", key["id"]), Value::Null).await;
    let invite = json!({ "email": "ann@a.example", "role": "viewer" });
    act(Method::POST, &format!("{organisation}/invitations"), invite).await;

    let page = act(Method::GET, &format!("{organisation}/audit"), Value::Null).await;
    let acts = page["acts"].as_array().unwrap();
    let told: Vec<_> = acts
        .iter()
        .map(|act| {
            let text = |field: &str| act[field].as_str().unwrap_or("-").to_owned();
            let subject = text("subject").split('/').next().unwrap().to_owned();
            (text("by"), text("action"), subject, text("project"))
        })
        .collect();
    let want = [
        ("invite", "invitation", "-"),
        ("revoke", "key", "blog"),
        ("create", "key", "blog"),
        ("update", "project", "blog"),
        ("create", "key", "blog"),
        ("create", "key", "blog"),
        ("create", "project", "blog"),
        ("update", "organisation", "-"),
    ]
    .map(|(action, subject, project)| {
        ("console".to_owned(), action.to_owned(), subject.to_owned(), project.to_owned())
    });
    assert_eq!(told[..want.len()], want);
    let only = act(Method::GET, &format!("{organisation}/audit?project=blog"), Value::Null).await;
    assert_eq!(only["acts"].as_array().unwrap().len(), 6);

    let heads = service.app.meta.check_audit().await.unwrap();
    assert_eq!(heads[0].rows, acts.len() as u64);
    let folder = tempfile::tempdir().unwrap();
    let forgeries = [
        "UPDATE audit SET actor = 'nobody' WHERE id = 3",
        "UPDATE audit SET at_ms = at_ms + 1 WHERE id = 3",
        "UPDATE audit SET after = NULL WHERE id = 3",
        "UPDATE audit SET id = 1000 WHERE id = 3",
        "DELETE FROM audit WHERE id = 3",
    ];
    for (number, forgery) in forgeries.into_iter().enumerate() {
        let copy = folder.path().join(format!("{number}.sqlite"));
        service.app.meta.copy_to(&copy).await.unwrap();
        let options = SqliteConnectOptions::new().filename(&copy);
        let mut database = options.connect().await.unwrap();
        assert!(sqlx::query(forgery).execute(&mut database).await.is_err(), "it is refused");
        for sql in
            ["DROP TRIGGER audit_is_not_changed", "DROP TRIGGER audit_is_not_shortened", forgery]
        {
            sqlx::query(sql).execute(&mut database).await.unwrap();
        }
        let broken = Meta::open(&copy).await.unwrap().check_audit().await.unwrap_err().to_string();
        assert!(broken.contains("not as it was written"), "{forgery}: {broken}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_was_written_anew_or_cut_off_passes_its_own_check_and_not_its_anchors() {
    let service = service().await;
    let app = &service.app;
    member(app, MAIN, Role::Viewer, "ann@a.example").await;
    assert_eq!(anchors::drop_now(app).await.unwrap(), 1);
    assert_eq!(anchors::drop_now(app).await.unwrap(), 0, "nothing was done since");
    member(app, MAIN, Role::Viewer, "bob@a.example").await;
    app.clock.advance(86_400_000);
    assert_eq!(anchors::drop_now(app).await.unwrap(), 1);
    let known = anchors::read(&anchors::file(&app.config, &app.folder)).unwrap();
    assert_eq!(known.len(), 2);
    assert_eq!(known[1].at, NOW + 86_400_000);
    let (heads, missed) = app.meta.check_anchors(known.clone()).await.unwrap();
    assert_eq!((heads[0].rows, missed.len()), (known[1].acts, 0));
    member(app, MAIN, Role::Viewer, "cy@a.example").await;
    assert_eq!(app.meta.check_anchors(known.clone()).await.unwrap().1.len(), 0, "it has grown");

    let folder = tempfile::tempdir().unwrap();
    let cut = format!("DELETE FROM audit WHERE id > {}", known[0].acts + 1);
    // Every hash is made anew when the database is opened, as a thief who knows how would do.
    let anew = "UPDATE audit SET actor = 'nobody', hash = NULL";
    for (forgery, missing) in [(cut.as_str(), 1), (anew, 2)] {
        let copy = folder.path().join(format!("{missing}.sqlite"));
        app.meta.copy_to(&copy).await.unwrap();
        let mut database = SqliteConnectOptions::new().filename(&copy).connect().await.unwrap();
        for sql in
            ["DROP TRIGGER audit_is_not_changed", "DROP TRIGGER audit_is_not_shortened", forgery]
        {
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut database).await.unwrap();
        }
        let altered = Meta::open(&copy).await.unwrap();
        altered.check_audit().await.unwrap();
        let (_, missed) = altered.check_anchors(known.clone()).await.unwrap();
        assert_eq!(missed, known[2 - missing..], "{forgery}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_data_is_in_the_trail_without_a_name_of_a_person() {
    let service = service().await;
    service.batch(json!([event(1), event(2)])).await;
    let bearer = format!("Bearer {}", service.secret_key);
    let post = async |path: &str, body: Value| {
        let headers = [("authorization", bearer.as_str())];
        let reply = service.post(path, &headers, body.to_string()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let ends = json!({ "from": { "user_id": "ann" }, "to": { "user_id": "bob" } });
    let merge = post("/v1/alias", ends.clone()).await["merge"].clone();
    post(
        "/v1/alias",
        json!({ "from": { "user_id": "ann" }, "to": { "user_id": "eve" }, "dry_run": true }),
    )
    .await;
    post(&format!("/v1/merges/{merge}/undo"), json!({})).await;
    post("/v1/erase", json!({ "user_id": "ann" })).await;
    let export = service.get("/v1/export?from=2026-11-01&to=2026-12-01", Some(&service.secret_key));
    assert_eq!(export.await.status, 200);

    let acts = service.app.meta.audit(MAIN, Some(service.project.id), None, 4).await.unwrap();
    let told: Vec<_> = acts.iter().map(|act| (act["action"].clone(), act["by"].clone())).collect();
    let by = told[0].1.clone();
    assert!(by.as_str().unwrap().starts_with("key "), "{by}");
    assert_eq!(
        told,
        ["export", "erase", "undo", "alias"].map(|action| (json!(action), by.clone()))
    );
    assert_eq!(acts[0]["after"]["events"], 2);
    let text = serde_json::to_string(&acts).unwrap();
    assert!(!text.contains("ann") && !text.contains("bob"), "{text}");
}
