//! The pages of settings: what their forms do, what they show once, and what they do with hostile names.

use tallymark::access::Role;
use url::form_urlencoded;

use super::access::{member, session_of};
use super::*;

/// What somebody may try to be called.
pub const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&{{7*7}}";

impl Service {
    pub async fn page(&self, cookie: &str, path: &str) -> (u16, String) {
        let request = Request::get(path).header("cookie", cookie).header("accept", "text/html");
        text(self.send(request.body(Body::empty()).unwrap()).await)
    }

    /// A form of a page; gives the status, where it leads, and the page.
    pub async fn fill(
        &self,
        cookie: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (u16, String, String) {
        let body: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header("cookie", cookie)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        let reply = self.send(request.body(body.into()).unwrap()).await;
        let to = reply.headers.get("location").map_or("", |to| to.to_str().unwrap()).to_owned();
        let (status, page) = text(reply);
        (status, to, page)
    }
}

fn text(reply: Reply) -> (u16, String) {
    (reply.status.as_u16(), String::from_utf8(reply.bytes).unwrap())
}

/// What stands between two texts of a page.
pub fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("no {before} in {page}"));
    rest.split_once(after).expect("an end").0
}

async fn admin(service: &Service) -> String {
    let account = member(&service.app, MAIN, Role::Admin, "admin@a.example").await;
    session_of(&service.app, Some(account)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_changed_and_what_cannot_be_used_comes_back_as_it_was_typed() {
    let service = service().await;
    let cookie = admin(&service).await;
    let path = "/p/shop/settings";
    let form = |origins| {
        [
            ("name", HOSTILE),
            ("tz", "Europe/Berlin"),
            ("origins", origins),
            ("week_starts", "sunday"),
            ("currency", "chf"),
        ]
    };
    let (status, to, _) =
        service.fill(&cookie, path, &form("https://shop.example\r\n\r\nhttps://b.example")).await;
    assert_eq!((status, &*to), (303, "/p/shop/settings?done=saved"));
    let changed = service.app.meta.find_project("shop").await.unwrap().unwrap();
    assert_eq!((&*changed.name, &*changed.tz), (HOSTILE, "Europe/Berlin"));
    assert_eq!(changed.settings.origins, ["https://shop.example", "https://b.example"]);
    assert_eq!(changed.settings.week_starts.name(), "sunday");
    assert_eq!(changed.settings.currency.map(String::from).as_deref(), Some("CHF"));
    let (_, page) = service.page(&cookie, &to).await;
    assert!(page.contains("<option value=\"sunday\" selected>Sunday"), "{page}");
    assert!(
        page.contains("role=\"status\">Saved.") && page.contains("https://b.example</textarea>")
    );
    assert!(page.contains("name=\"currency\" value=\"CHF\""), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("<img src=x"), "{page}");

    let (status, _, page) = service.fill(&cookie, path, &form("shop.example")).await;
    assert_eq!(status, 422);
    assert!(page.contains("role=\"alert\"") && page.contains("shop.example</textarea>"), "{page}");
    let mut typed = form("https://shop.example").to_vec();
    typed.last_mut().unwrap().1 = "euros";
    let (status, _, page) = service.fill(&cookie, path, &typed).await;
    assert_eq!(status, 422);
    assert!(page.contains("three capital letters") && page.contains("value=\"euros\""), "{page}");
    assert_eq!(*service.app.meta.find_project("shop").await.unwrap().unwrap(), *changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_names_no_currency_is_in_the_one_of_the_project() {
    let service = service().await;
    let token = format!("Bearer {}", service.secret_key);
    let key = [("authorization", &*token), ("content-type", "application/json")];
    let event = with(
        with(event(1), "name", "payment.completed"),
        "props",
        serde_json::json!({ "amount": 12.5 }),
    );
    let sent = service.as_server(&service.secret_key, serde_json::json!([event])).await;
    assert_eq!(sent.json()["ok"], 1, "{}", sent.json());
    let set = |settings: &'static str| {
        let request = Request::patch("/v1/project").header("authorization", &token);
        let request = request.header("content-type", "application/json");
        service.send(request.body(settings.into()).unwrap())
    };
    let paid = || async {
        let answer = service.post("/v1/query/revenue", &key, "{}").await.json();
        let taken = answer["currencies"][0]["taken"].as_array().unwrap().last().unwrap().clone();
        (answer["currencies"][0]["currency"].clone(), taken["gross"].clone())
    };
    assert_eq!(paid().await, (serde_json::Value::Null, 12.5.into()));
    assert_eq!(
        set(r#"{"settings":{"currency":"EUR"}}"#).await.json()["settings"]["currency"],
        "EUR"
    );
    assert_eq!(paid().await, ("EUR".into(), 12.5.into()));
    let wrong = set(r#"{"settings":{"currency":"eur"}}"#).await;
    assert!(wrong.status == 422 || wrong.status == 400, "{}", wrong.status);
    assert!(wrong.json()["detail"].as_str().unwrap().contains("three capital letters"));
    assert_eq!(paid().await.0, "EUR", "as it was");
    set(r#"{"settings":{}}"#).await;
    assert_eq!(paid().await.0, serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn weeks_start_on_the_day_that_the_project_says_unless_the_question_says_another() {
    let service = service().await;
    // 2026-09-02 is a Wednesday.
    let asked = |week_starts: Option<&'static str>| {
        let mut question =
            serde_json::json!({ "from": "2026-09-02", "to": "2026-09-09", "bucket": "week" });
        if let Some(day) = week_starts {
            question["week_starts"] = day.into();
        }
        let service = &service;
        async move {
            let key = [("authorization", &*format!("Bearer {}", service.secret_key))];
            let reply = service.post("/v1/query/trend", &key, question.to_string()).await;
            let answer = reply.json();
            (answer["buckets"].clone(), answer["definition"]["week_starts"].clone())
        }
    };
    let want = |days: [&str; 2], first: &str| (serde_json::json!(days), first.into());
    assert_eq!(asked(None).await, want(["2026-08-31", "2026-09-07"], "monday"));
    let body = serde_json::json!({ "settings": { "week_starts": "saturday" } }).to_string();
    let request = Request::patch("/v1/project")
        .header("authorization", format!("Bearer {}", service.secret_key))
        .header("content-type", "application/json");
    let changed = service.send(request.body(body.into()).unwrap()).await;
    assert_eq!(changed.json()["settings"]["week_starts"], "saturday");
    assert_eq!(asked(None).await, want(["2026-08-29", "2026-09-05"], "saturday"));
    assert_eq!(asked(Some("sunday")).await, want(["2026-08-30", "2026-09-06"], "sunday"));
    let key = [("authorization", &*format!("Bearer {}", service.secret_key))];
    let wrong = service.post("/v1/query/trend", &key, r#"{"week_starts":"someday"}"#).await;
    assert_eq!(wrong.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_replaced_with_an_overlap_and_taken_back() {
    let service = service().await;
    let cookie = admin(&service).await;
    let path = "/p/shop/settings/keys";
    let fields =
        [("name", HOSTILE), ("kind", "secret"), ("scope", "analytics:read"), ("days", "30")];
    let (status, _, page) = service.fill(&cookie, path, &fields).await;
    assert_eq!(status, 201);
    assert!(!page.contains("<script>alert"));
    let first = between(&page, "<code id=\"key\">", "</code>").to_owned();
    assert_eq!(service.get("/v1/schema", Some(&first)).await.status, 200);
    let (_, page) = service.page(&cookie, path).await;
    assert!(!page.contains(&first), "never again");

    let all = service.app.meta.access_keys().list(service.project.id).await.unwrap();
    let made = all.iter().find(|key| key.name == HOSTILE).unwrap();
    assert_eq!(made.expires_ms, Some(NOW + 30 * 86_400_000));
    let rotate = format!("{path}/{}/rotate", made.id);
    let (status, _, page) = service.fill(&cookie, &rotate, &[("hours", "1")]).await;
    assert_eq!(status, 201);
    let second = between(&page, "<code id=\"key\">", "</code>").to_owned();
    for key in [&first, &second] {
        assert_eq!(service.get("/v1/schema", Some(key)).await.status, 200);
    }
    service.app.clock.advance(3_600_000);
    assert_eq!(service.get("/v1/schema", Some(&first)).await.status, 401);
    assert_eq!(service.get("/v1/schema", Some(&second)).await.status, 200);

    let all = service.app.meta.access_keys().list(service.project.id).await.unwrap();
    let newest = all.iter().map(|key| key.id).max().unwrap();
    let revoke = format!("{path}/{newest}/revoke");
    let (status, to, _) = service.fill(&cookie, &revoke, &[]).await;
    assert_eq!((status, &*to), (303, "/p/shop/settings/keys?done=revoked"));
    assert_eq!(service.get("/v1/schema", Some(&second)).await.status, 401);
    let (status, _, page) =
        service.fill(&cookie, &revoke.replace(&newest.to_string(), "9999"), &[]).await;
    assert_eq!((status, page.contains("There is nothing here")), (404, true));

    for fields in [[("kind", "secret"), ("days", "")], [("kind", "public"), ("days", "soon")]] {
        let (status, _, page) = service.fill(&cookie, path, &fields).await;
        assert_eq!((status, page.contains("role=\"alert\"")), (422, true), "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_invited_given_roles_helped_back_in_and_let_go() {
    let service = service().await;
    let cookie = admin(&service).await;
    let path = "/p/shop/settings/members";
    let invite = |role| [("email", "bob@a.example"), ("role", role)];
    let (status, _, page) = service.fill(&cookie, path, &invite("owner")).await;
    assert_eq!((status, page.contains("Only an owner can")), (403, true));
    let (status, _, page) = service.fill(&cookie, path, &invite("viewer")).await;
    assert_eq!(status, 201);
    let link = between(&page, "<code id=\"link\">", "</code>").to_owned();
    assert_eq!(service.get(&link, None).await.status, 200);
    assert!(page.contains("Invited, not there yet"));
    let waiting = service.app.meta.invitations().list(MAIN, NOW).await.unwrap();
    let withdraw = format!("/p/shop/settings/invitations/{}/withdraw", waiting[0].id);
    for _ in 0..2 {
        assert_eq!(service.fill(&cookie, &withdraw, &[]).await.0, 303);
    }
    assert_eq!(service.get(&link, None).await.status, 404);

    let bob = member(&service.app, MAIN, Role::Viewer, "bob@a.example").await;
    let of_bob = format!("{path}/{bob}");
    let fields = [("act", "role"), ("role", "analyst")];
    assert_eq!(service.fill(&cookie, &of_bob, &fields).await.0, 303);
    let members = service.app.meta.accounts().members(MAIN).await.unwrap();
    assert!(members.iter().any(|m| m.account.id == bob && m.role == Role::Analyst));
    let (status, _, page) = service.fill(&cookie, &of_bob, &[("act", "reset")]).await;
    assert_eq!(status, 201);
    let link = between(&page, "<code id=\"link\">", "</code>");
    assert!(link.starts_with("/password?token="), "{link}");
    assert_eq!(service.get(link, None).await.status, 200);
    assert_eq!(service.fill(&cookie, &of_bob, &[("act", "remove")]).await.0, 303);
    let (status, _, page) = service.fill(&cookie, &of_bob, &[("act", "remove")]).await;
    assert_eq!((status, page.contains("There is nothing here")), (404, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_events_are_kept_is_set_for_all_and_for_some() {
    let service = service().await;
    let cookie = admin(&service).await;
    let path = "/p/shop/settings/retention";
    let keep = || service.app.meta.directory().keep(service.project.id);
    for (fields, want) in [
        ([("act", "all"), ("days", "400"), ("event", "")], (Some(400), vec![])),
        ([("act", "event"), ("days", "30"), ("event", "seen")], (Some(400), vec![Some(30)])),
        ([("act", "event"), ("days", ""), ("event", "seen")], (Some(400), vec![None])),
        ([("act", "remove"), ("days", ""), ("event", "seen")], (Some(400), vec![])),
        ([("act", "all"), ("days", ""), ("event", "")], (None, vec![])),
    ] {
        let (status, to, _) = service.fill(&cookie, path, &fields).await;
        assert_eq!((status, &*to), (303, "/p/shop/settings/retention?done=saved"));
        let kept = keep();
        let events: Vec<_> = kept.events.values().copied().collect();
        assert_eq!((kept.days, events), want, "{fields:?}");
    }
    for days in ["0", "36501", "soon"] {
        let fields = [("act", "all"), ("days", days)];
        let (status, _, page) = service.fill(&cookie, path, &fields).await;
        assert_eq!((status, page.contains("role=\"alert\"")), (422, true), "{days}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_looked_at_then_erased_and_the_receipt_stays() {
    let service = service().await;
    let cookie = admin(&service).await;
    let events = json!([{ "id": "01a2020f-5b40-7000-8000-000000000001", "name": "bought", "user_id": "anna", "at": NOW }]);
    assert_eq!(service.as_server(&service.secret_key, events).await.status, 200);
    let path = "/p/shop/settings/privacy";
    let look = [("act", "look"), ("kind", "user_id"), ("id", "anna")];
    let (status, _, page) = service.fill(&cookie, path, &look).await;
    assert_eq!(status, 200);
    assert!(page.contains("This would go, for good"), "{page}");
    assert!(page.contains("<dt>Events</dt><dd>1</dd>"), "{page}");
    assert!(!page.contains("anna"), "what was typed is not handed around");
    let person = between(&page, "name=\"id\" value=\"", "\"").to_owned();
    let erase = [("act", "erase"), ("kind", "person"), ("id", &*person)];
    let (status, to, _) = service.fill(&cookie, path, &erase).await;
    assert_eq!(status, 303);
    let (status, page) = service.page(&cookie, &to).await;
    assert_eq!(status, 200);
    assert!(page.contains("Receipt of erasure"), "{page}");
    assert_eq!(service.count("bought").await, 0);
    let (_, trail) = service.page(&cookie, "/p/shop/settings/audit").await;
    assert!(trail.contains("<b>erase</b>") && trail.contains("admin@a.example"), "{trail}");

    let (status, page) = service.page(&cookie, &format!("{path}?receipt=99")).await;
    assert_eq!((status, page.contains("There is no erasure of this number")), (404, true));
    let (status, _, page) =
        service.fill(&cookie, path, &[("act", "look"), ("kind", "person"), ("id", HOSTILE)]).await;
    assert_eq!((status, page.contains("role=\"alert\"")), (422, true));
    assert!(!page.contains("<script>alert"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_events_are_shown_with_their_reason_and_sent_again() {
    let service = service().await;
    let cookie = admin(&service).await;
    let path = "/p/shop/settings/delivery";
    let (status, page) = service.page(&cookie, path).await;
    assert_eq!((status, page.contains("Nothing waits here")), (200, true));
    let bad = json!([
        { "id": "01a2020f-5b40-7000-8000-000000000001", "name": "", "at": NOW, "user_id": "anna", "props": { "text": HOSTILE } },
        { "id": "01a2020f-5b40-7000-8000-000000000002", "name": "fine", "at": NOW, "user_id": "anna", "props": 7 },
    ]);
    service.as_server(&service.secret_key, bad).await;
    let (_, page) = service.page(&cookie, path).await;
    assert!(page.contains("2\u{a0}events refused so far"), "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
    let code = between(&page, "name=\"code\" value=\"", "\"").to_owned();
    let (_, _, page) = service.fill(&cookie, path, &[("code", &code)]).await;
    assert!(page.contains("0 stored now, 0 were stored before, 1 are still refused."), "{page}");

    let mended = [("code", "event_name_invalid"), ("field", "name"), ("value", "mended")];
    let (_, _, page) = service.fill(&cookie, path, &mended).await;
    assert!(page.contains("1 stored now"), "{page}");
    assert_eq!(service.count("mended").await, 1);
    let mended = [("code", "props_invalid"), ("field", "props"), ("value", "{\"a\": 1}")];
    let (_, _, page) = service.fill(&cookie, path, &mended).await;
    assert!(page.contains("Nothing waits here"), "{page}");
    assert_eq!(service.count("fine").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_shown_in_pages_and_checked() {
    let service = service().await;
    let cookie = admin(&service).await;
    for number in 0..60 {
        let name = format!("name {number}");
        let fields = [("name", &*name), ("tz", "UTC"), ("origins", "")];
        service.fill(&cookie, "/p/shop/settings", &fields).await;
    }
    let (_, page) = service.page(&cookie, "/p/shop/settings/audit?own=1").await;
    assert_eq!(page.matches("<tr><td>").count(), 50);
    let next = between(&page, "?before=", "&").to_owned();
    let (_, older) =
        service.page(&cookie, &format!("/p/shop/settings/audit?own=1&before={next}")).await;
    assert!(older.matches("<tr><td>").count() >= 10 && !older.contains("?before="));
    let (_, page) = service.page(&cookie, "/p/shop/settings/audit?verify=1").await;
    assert!(page.contains("in an unbroken chain") && page.contains("It ends in"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_change_settings_sees_what_they_may_see() {
    let service = service().await;
    let account = member(&service.app, MAIN, Role::Viewer, "viewer@a.example").await;
    let cookie = session_of(&service.app, Some(account)).await;
    let (status, to, _) = {
        let request = Request::get("/p/shop/settings").header("cookie", &cookie);
        let reply = service.send(request.body(Body::empty()).unwrap()).await;
        (reply.status.as_u16(), reply.headers["location"].to_str().unwrap().to_owned(), ())
    };
    assert_eq!((status, &*to), (303, "/p/shop/settings/delivery"));
    let (_, page) = service.page(&cookie, &to).await;
    assert!(page.contains("/p/shop/settings/limits") && !page.contains("/p/shop/settings/keys"));
    let (status, page) = service.page(&cookie, "/p/shop/settings/keys").await;
    assert_eq!((status, page.contains("This is not open to you")), (403, true));
    let (status, page) = service.page(&cookie, "/p/shop/settings/limits").await;
    assert_eq!((status, page.contains("32 KiB")), (200, true));
    // A key is no person.
    assert_eq!(service.get("/p/shop/settings/limits", Some(&service.secret_key)).await.status, 303);
}
