//! Signing in with an account of elsewhere, at a provider that signs with its own key and does what a test asks of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use sha2::{Digest, Sha256};
use tallymark::access::Role;
use tallymark::signin::second;
use url::Url;

use super::access::{member, session_of};
use super::*;

const SECRET: &str = "s3cret/with+signs";

/// A provider, and what it is asked to do wrong.
#[derive(Clone)]
struct Provider(Arc<Shared>);

struct Shared {
    issuer: String,
    key: Mutex<EcdsaKeyPair>,
    published: Mutex<Value>,
    /// What goes over the claims.
    claims: Mutex<Value>,
    /// What goes over what it says of itself.
    described: Mutex<Value>,
    /// Codes that were given and not used: challenge and nonce.
    codes: Mutex<HashMap<String, (String, String)>>,
    keys_asked: Mutex<u32>,
}

fn key() -> EcdsaKeyPair {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap()
}

fn published(key: &EcdsaKeyPair, kid: &str) -> Value {
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": kid, "x": text(x), "y": text(y) }] })
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = key();
        let provider = Self(Arc::new(Shared {
            issuer,
            published: Mutex::new(published(&key, "one")),
            key: Mutex::new(key),
            claims: Mutex::new(json!({})),
            described: Mutex::new(json!({})),
            codes: Mutex::default(),
            keys_asked: Mutex::default(),
        }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        provider
    }

    fn settings(&self) -> Config {
        let mut config = Config::default();
        for (key, value) in [
            ("public_url", "https://stats.example.org"),
            ("oidc_issuer", self.0.issuer.as_str()),
            ("oidc_client_id", "tally mark"),
            ("oidc_client_secret", SECRET),
            ("oidc_name", "Example Login"),
        ] {
            config.set(key, value).unwrap();
        }
        config
    }

    fn claim(&self, changed: Value) {
        *self.0.claims.lock().unwrap() = changed;
    }

    /// Somebody has signed in here, whom we were asked for by this address: where they are sent back to.
    fn sends_back(&self, way: &str) -> String {
        let url = Url::parse(way).unwrap();
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert!(way.starts_with(&format!("{}/authorize?", self.0.issuer)), "{way}");
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], "tally mark");
        assert_eq!(asked["redirect_uri"], "https://stats.example.org/signin/oidc/back");
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let mut codes = self.0.codes.lock().unwrap();
        let code = format!("code-{}", codes.len());
        codes.insert(code.clone(), (asked["code_challenge"].clone(), asked["nonce"].clone()));
        format!("/signin/oidc/back?code={code}&state={}", asked["state"])
    }
}

async fn describe(State(Provider(shared)): State<Provider>) -> Json<Value> {
    let issuer = &shared.issuer;
    let mut said = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
    });
    let changed = shared.described.lock().unwrap().clone();
    said.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    Json(said)
}

async fn keys(State(Provider(shared)): State<Provider>) -> Json<Value> {
    *shared.keys_asked.lock().unwrap() += 1;
    Json(shared.published.lock().unwrap().clone())
}

async fn token(
    State(Provider(shared)): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refuse =
        |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let basic = STANDARD.encode("tally+mark:s3cret%2Fwith%2Bsigns");
    if headers["authorization"] != format!("Basic {basic}") {
        return refuse("invalid_client");
    }
    let Some((challenge, nonce)) = shared.codes.lock().unwrap().remove(&form["code"]) else {
        return refuse("invalid_grant");
    };
    if URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes())) != challenge
        || form["redirect_uri"] != "https://stats.example.org/signin/oidc/back"
        || form["grant_type"] != "authorization_code"
    {
        return refuse("invalid_grant");
    }
    let now_s = NOW / 1000;
    let mut claims = json!({
        "iss": shared.issuer, "sub": "7", "aud": "tally mark", "exp": now_s + 3600, "iat": now_s, "nonce": nonce,
        "email": "Ann@Shop.example", "email_verified": true, "name": "Ann",
    });
    let changed = shared.claims.lock().unwrap().clone();
    claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    let header =
        json!({ "alg": "ES256", "kid": shared.published.lock().unwrap()["keys"][0]["kid"] });
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = shared.key.lock().unwrap().sign(&SystemRandom::new(), signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.unwrap());
    Json(json!({ "access_token": "unused", "id_token": format!("{signed}.{signature}") }))
        .into_response()
}

/// Begin in a browser: its cookie, and where it is sent.
async fn begin(service: &Service) -> (String, String) {
    let reply = service.get("/signin/oidc", None).await;
    assert_eq!(reply.status, 303, "{reply:?}");
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-tm_oidc=") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    (cookie, reply.headers["location"].to_str().unwrap().to_owned())
}

/// All of it: what comes back at the end.
async fn sign_in(service: &Service, provider: &Provider) -> Reply {
    let (cookie, way) = begin(service).await;
    service.by(&cookie, Method::GET, &provider.sends_back(&way), Value::Null).await
}

/// The session that a reply starts, if it does.
fn session(reply: &Reply) -> Option<String> {
    let cookies = reply.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let mut found = cookies.filter(|cookie| cookie.starts_with("__Host-tm_session="));
    found.next().map(|cookie| cookie.split(';').next().unwrap().to_owned())
}

/// Status and text of a reply that signs nobody in.
fn refusal(reply: &Reply) -> (u16, String) {
    assert_eq!(session(reply), None, "{reply:?}");
    (reply.status.as_u16(), String::from_utf8_lossy(&reply.bytes).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_signs_in_with_the_address_that_a_provider_has_checked() {
    let provider = Provider::start().await;
    let service = service_with(provider.settings()).await;
    let ann = member(&service.app, MAIN, Role::Analyst, "ann@shop.example").await;
    let page = service.get("/signin", None).await;
    assert!(String::from_utf8_lossy(&page.bytes).contains("Sign in with Example Login"));

    let reply = sign_in(&service, &provider).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["location"]), (303, &"/".parse().unwrap()));
    let cookie = session(&reply).unwrap();
    let mine = service.by(&cookie, Method::GET, "/v1/organisations", Value::Null).await;
    assert_eq!(mine.json()["organisations"][0]["role"], "analyst");
    let trail = session_of(&service.app, None).await;
    let trail = service.by(&trail, Method::GET, "/v1/organisations/main/audit", Value::Null).await;
    let text = String::from_utf8_lossy(&trail.bytes).into_owned();
    assert!(text.contains("another account") && text.contains("ann@shop.example"), "{text}");

    // Who has a second step takes it here too.
    let account = service.app.meta.directory().account(ann).unwrap();
    let secret = second::begin(&service.app, ann).await.unwrap();
    let code = || secret.code_at(service.app.clock.now_ms());
    second::confirm(&service.app, &account, &code()).await.unwrap().unwrap();
    let step = sign_in(&service, &provider).await;
    assert_eq!(refusal(&step).0, 200);
    let page = String::from_utf8_lossy(&step.bytes).into_owned();
    let (_, ticket) = page.split_once("name=\"ticket\" value=\"").unwrap();
    let ticket = ticket.split('"').next().unwrap();
    service.app.clock.advance(30_000);
    let fields = [("ticket", ticket), ("code", &code())];
    assert!(session(&service.form("/signin/code", &fields).await).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_of_somebody_is_refused_when_it_is_not_for_us_or_not_true() {
    let provider = Provider::start().await;
    // One for each: a network may not try as often as this.
    let begun = async || {
        let service = service_with(provider.settings()).await;
        member(&service.app, MAIN, Role::Analyst, "ann@shop.example").await;
        service
    };
    let now_s = NOW / 1000;
    for (changed, status, words) in [
        (json!({ "iss": "https://login.evil.example" }), 401, "another provider issued it"),
        (json!({ "aud": "shop" }), 401, "it is for another application"),
        (json!({ "nonce": "0123" }), 401, "another attempt"),
        (json!({ "exp": now_s - 60 }), 401, "not valid now"),
        (json!({ "iat": now_s + 61 }), 401, "not valid now"),
        (json!({ "email_verified": false }), 401, "email_verified"),
        (json!({ "email": null }), 401, "names no e-mail address"),
        (json!({ "sub": null }), 401, "does not say whom it means"),
        (json!({ "sub": "" }), 401, "does not say whom it means"),
        (json!({ "email": "eve@shop.example" }), 403, "ask an admin for an invitation"),
        (json!({ "email": "<script>@x" }), 403, "&#60;script&#62;@x"),
    ] {
        provider.claim(changed.clone());
        let (got, page) = refusal(&sign_in(&begun().await, &provider).await);
        assert_eq!(got, status, "{changed}");
        assert!(page.contains(words), "{changed}: {words:?} is not in {page}");
    }
    provider.claim(json!({}));
    let service = begun().await;
    assert!(session(&sign_in(&service, &provider).await).is_some());

    // Somebody else signs, under the name of the provider's key.
    *provider.0.key.lock().unwrap() = key();
    let (status, page) = refusal(&sign_in(&service, &provider).await);
    assert_eq!(status, 401);
    assert!(page.contains("signature is wrong"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_in_the_browser_that_asked_once_and_for_ten_minutes() {
    let provider = Provider::start().await;
    let service = service_with(provider.settings()).await;
    member(&service.app, MAIN, Role::Analyst, "ann@shop.example").await;
    let back =
        async |cookie: &str, path: &str| service.by(cookie, Method::GET, path, Value::Null).await;

    // Another browser: somebody is made to sign in as the attacker.
    let (mine, way) = begin(&service).await;
    let (theirs, _) = begin(&service).await;
    let path = provider.sends_back(&way);
    for cookie in ["", "__Host-tm_oidc=", "__Host-tm_oidc=a.b", theirs.as_str()] {
        assert_eq!(refusal(&back(cookie, &path).await).0, 401, "{cookie}");
    }
    let (code, _) = path.split_once("&state=").unwrap();
    for state in ["", "&state=", "&state=0123"] {
        assert_eq!(refusal(&back(&mine, &format!("{code}{state}")).await).0, 401, "{state}");
    }
    // The attempt's time cannot be made longer by whoever has the cookie.
    let (token, _) = mine.split_once('.').unwrap();
    let longer = format!("{token}.{}", NOW + 1_000_000_000);
    assert_eq!(refusal(&back(&longer, &path).await).0, 401);

    // The code of another attempt: the verifier does not fit.
    let (other, way) = begin(&service).await;
    let (_, state) = way.split_once("&state=").unwrap();
    let state = state.split('&').next().unwrap();
    let mixed = format!("{code}&state={state}");
    assert_eq!(refusal(&back(&other, &mixed).await).0, 502);

    let (mine, way) = begin(&service).await;
    let path = provider.sends_back(&way);
    let reply = back(&mine, &path).await;
    assert!(session(&reply).is_some(), "{reply:?}");
    let cleared = reply.headers.get_all("set-cookie").iter();
    assert!(
        cleared
            .filter_map(|cookie| cookie.to_str().ok())
            .any(|cookie| cookie.starts_with("__Host-tm_oidc=; Max-Age=0")),
        "{reply:?}"
    );
    assert_eq!(refusal(&back(&mine, &path).await).0, 502, "a code is used once");

    let (mine, way) = begin(&service).await;
    let path = provider.sends_back(&way);
    service.app.clock.advance(10 * 60 * 1000);
    let (status, page) = refusal(&back(&mine, &path).await);
    assert_eq!(status, 401);
    assert!(page.contains("ten minutes"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_back_at_the_provider_is_told_so() {
    let provider = Provider::start().await;
    let service = service_with(provider.settings()).await;
    for (error, words) in [("access_denied", "access_denied"), ("%3Cb%3Ehi", "without a reason")] {
        let (cookie, way) = begin(&service).await;
        let (_, state) = way.split_once("&state=").unwrap();
        let state = state.split('&').next().unwrap();
        let path = format!("/signin/oidc/back?error={error}&state={state}");
        let (status, page) = refusal(&service.by(&cookie, Method::GET, &path, Value::Null).await);
        assert_eq!(status, 401);
        assert!(page.contains(words), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_becomes_a_member_by_signing_in_unless_that_is_set() {
    let provider = Provider::start().await;
    let mut config = provider.settings();
    config.set("oidc_new_members", "viewer").unwrap();
    config.set("oidc_domains", "shop.example, Other.example").unwrap();
    let service = service_with(config).await;
    for (email, is_let_in) in [
        ("ann@shop.example", true),
        ("bob@other.example", true),
        ("eve@evil.example", false),
        ("eve@sub.shop.example", false),
        ("eve@evilshop.example", false),
    ] {
        provider.claim(json!({ "email": email, "sub": email }));
        let reply = sign_in(&service, &provider).await;
        assert_eq!(session(&reply).is_some(), is_let_in, "{email}");
        if let Some(cookie) = session(&reply) {
            let mine = service.by(&cookie, Method::GET, "/v1/organisations", Value::Null).await;
            assert_eq!(mine.json()["organisations"][0]["role"], "viewer");
        }
    }
    // A member keeps what they are.
    member(&service.app, MAIN, Role::Admin, "cy@shop.example").await;
    provider.claim(json!({ "email": "cy@shop.example", "sub": "cy" }));
    let cookie = session(&sign_in(&service, &provider).await).unwrap();
    let mine = service.by(&cookie, Method::GET, "/v1/organisations", Value::Null).await;
    assert_eq!(mine.json()["organisations"][0]["role"], "admin");
}

/// The address `ann@shop.example` at the provider was Ann's (`7`), is Bob's (`8`) and Ann has another one now.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_provider_gives_to_somebody_else_lets_nobody_into_the_account_of_the_one_before()
 {
    let provider = Provider::start().await;
    let mut config = provider.settings();
    config.set("oidc_new_members", "viewer").unwrap();
    config.set("oidc_domains", "shop.example").unwrap();
    let service = service_with(config).await;
    let ann = member(&service.app, MAIN, Role::Analyst, "ann@shop.example").await;
    assert!(session(&sign_in(&service, &provider).await).is_some());

    let bob = json!({ "sub": "8", "email": "ann@shop.example", "name": "Bob" });
    provider.claim(bob.clone());
    let (status, page) = refusal(&sign_in(&service, &provider).await);
    assert_eq!(status, 403);
    assert!(page.contains("belongs to somebody else") && page.contains("ask an owner"), "{page}");

    // Ann is known by her number, also with an address that nobody here has, or that is somebody else's here.
    member(&service.app, MAIN, Role::Admin, "cy@shop.example").await;
    for email in ["ann.lee@elsewhere.example", "cy@shop.example"] {
        provider.claim(json!({ "email": email }));
        let cookie = session(&sign_in(&service, &provider).await).unwrap();
        let mine = service.by(&cookie, Method::GET, "/v1/organisations", Value::Null).await;
        assert_eq!(mine.json()["organisations"][0]["role"], "analyst", "{email}");
    }

    // Who is no member any more is not let in by the number either, nor is the next one by the address.
    let operator = session_of(&service.app, None).await;
    let own = format!("/v1/organisations/main/members/{ann}");
    assert_eq!(service.by(&operator, Method::DELETE, &own, Value::Null).await.status, 204);
    provider.claim(bob.clone());
    assert_eq!(refusal(&sign_in(&service, &provider).await).0, 403);
    member(&service.app, MAIN, Role::Analyst, "ann@shop.example").await;

    // An owner lets go of Ann: the next one is bound, and Ann is a stranger.
    let bound = format!("{own}/elsewhere");
    let analyst = session_of(&service.app, Some(ann)).await;
    let refused = service.by(&analyst, Method::DELETE, &bound, Value::Null).await;
    assert_eq!(refused.problem(), (403, "role_missing".into()));
    assert_eq!(service.by(&operator, Method::DELETE, &bound, Value::Null).await.status, 204);
    assert!(session(&sign_in(&service, &provider).await).is_some());
    provider.claim(json!({ "email": "ann@shop.example" }));
    assert_eq!(refusal(&sign_in(&service, &provider).await).0, 403);
    let trail = "/v1/organisations/main/audit";
    let trail = service.by(&operator, Method::GET, trail, Value::Null).await.json();
    let acts = trail["acts"].as_array().unwrap().iter().rev();
    let bonds: Vec<&str> =
        acts.filter_map(|act| act["action"].as_str()).filter(|act| act.ends_with("bind")).collect();
    assert_eq!(bonds, ["bind", "unbind", "bind"], "{trail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_code_of_the_second_step_is_not_bound_to_the_account() {
    let provider = Provider::start().await;
    let service = service_with(provider.settings()).await;
    let ann = member(&service.app, MAIN, Role::Analyst, "ann@shop.example").await;
    let account = service.app.meta.directory().account(ann).unwrap();
    let secret = second::begin(&service.app, ann).await.unwrap();
    let code = || secret.code_at(service.app.clock.now_ms());
    second::confirm(&service.app, &account, &code()).await.unwrap().unwrap();
    let ticket = async || {
        let page = refusal(&sign_in(&service, &provider).await).1;
        let (_, ticket) = page.split_once("name=\"ticket\" value=\"").unwrap();
        ticket.split('"').next().unwrap().to_owned()
    };
    provider.claim(json!({ "sub": "8" }));
    let theirs = ticket().await;
    let wrong = service.form("/signin/code", &[("ticket", &theirs), ("code", "000000")]).await;
    assert_eq!(refusal(&wrong).0, 401);
    provider.claim(json!({}));
    let mine = ticket().await;
    service.app.clock.advance(30_000);
    assert!(
        session(&service.form("/signin/code", &[("ticket", &mine), ("code", &code())]).await)
            .is_some()
    );
    // The other's ticket is still good for five minutes, but the account is not theirs any more.
    service.app.clock.advance(30_000);
    let late = service.form("/signin/code", &[("ticket", &theirs), ("code", &code())]).await;
    assert_eq!(refusal(&late).0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_changes_its_key_is_asked_for_the_new_one() {
    let provider = Provider::start().await;
    let service = service_with(provider.settings()).await;
    member(&service.app, MAIN, Role::Viewer, "ann@shop.example").await;
    assert!(session(&sign_in(&service, &provider).await).is_some());
    assert!(session(&sign_in(&service, &provider).await).is_some());
    assert_eq!(*provider.0.keys_asked.lock().unwrap(), 1, "keys are kept");

    let newer = key();
    *provider.0.published.lock().unwrap() = published(&newer, "two");
    *provider.0.key.lock().unwrap() = newer;
    // Within a minute keys are not asked for again, whoever shows what token.
    let (status, page) = refusal(&sign_in(&service, &provider).await);
    assert!(status == 401 && page.contains("no key of the provider fits"), "{page}");
    service.app.clock.advance(60_000);
    assert!(session(&sign_in(&service, &provider).await).is_some());
    assert_eq!(*provider.0.keys_asked.lock().unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_what_was_set_is_not_used() {
    let provider = Provider::start().await;
    for changed in [
        json!({ "issuer": "https://login.evil.example" }),
        json!({ "token_endpoint": "http://login.evil.example/token" }),
        json!({ "authorization_endpoint": "javascript:alert(1)" }),
        json!({ "jwks_uri": null }),
    ] {
        *provider.0.described.lock().unwrap() = changed.clone();
        let service = service_with(provider.settings()).await;
        let (status, page) = refusal(&service.get("/signin/oidc", None).await);
        assert_eq!(status, 502, "{changed}");
        assert!(page.contains("finds the reason in its log"), "{page}");
    }
    // RFC 9207: who says that they name themselves has to, and rightly.
    *provider.0.described.lock().unwrap() =
        json!({ "authorization_response_iss_parameter_supported": true });
    let service = service_with(provider.settings()).await;
    member(&service.app, MAIN, Role::Viewer, "ann@shop.example").await;
    let issuer = provider.0.issuer.clone();
    for (iss, is_let_in) in
        [("", false), ("&iss=https://login.evil.example", false), (&format!("&iss={issuer}"), true)]
    {
        let (cookie, way) = begin(&service).await;
        let path = format!("{}{iss}", provider.sends_back(&way));
        let reply = service.by(&cookie, Method::GET, &path, Value::Null).await;
        assert_eq!(session(&reply).is_some(), is_let_in, "{iss}");
    }
    let mut config = provider.settings();
    config.set("oidc_issuer", "http://127.0.0.1:9").unwrap();
    let service = service_with(config).await;
    assert_eq!(refusal(&service.get("/signin/oidc", None).await).0, 502, "nobody is there");
}
