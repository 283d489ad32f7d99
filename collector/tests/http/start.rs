//! The first run, from no project to its first event; and one's own account.

use tallymark::access::Role;
use tallymark::signin::second;

use super::access::{member, session_of};
use super::settings::{HOSTILE, between};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_made_with_its_code_and_shows_its_first_event() {
    let service = service().await;
    let admin = member(&service.app, MAIN, Role::Admin, "admin@a.example").await;
    let cookie = session_of(&service.app, Some(admin)).await;
    let path = "/organisations/main/new";
    assert_eq!(service.page(&cookie, path).await.0, 200);
    let fields = |slug| [("name", HOSTILE), ("slug", slug), ("tz", "Europe/Berlin")];
    for (slug, want) in [("shop", 409), ("No Slug", 422)] {
        let (status, _, page) = service.fill(&cookie, path, &fields(slug)).await;
        assert_eq!((status, page.contains("role=\"alert\"")), (want, true), "{slug}");
        assert!(!page.contains("<script>alert"));
    }
    let (status, _, page) = service.fill(&cookie, path, &fields("blog")).await;
    assert_eq!(status, 201);
    assert!(!page.contains("<script>alert") && page.contains("data-poll=\"/p/blog/arrived\""));
    let key = between(&page, "key: &#34;", "&#34;").to_owned();
    assert!(key.starts_with("tm_pk_") && page.contains("tm_sk_"), "{page}");

    let (_, part) = service.page(&cookie, "/p/blog/arrived").await;
    assert!(part.contains("Waiting for your first event"), "{part}");
    let (_, page) = service.page(&cookie, "/p/blog").await;
    assert!(page.contains("/p/blog/start") && !page.contains(&key), "a key is shown once");
    let (status, _, page) = service.fill(&cookie, "/p/blog/start", &[]).await;
    assert_eq!(status, 201);
    assert_ne!(between(&page, "key: &#34;", "&#34;"), key);

    let mut event = event(1);
    event["name"] = HOSTILE.into();
    let body = json!({ "key": key, "nonce": "n1", "sent_at": NOW, "events": [event] });
    let sent = service.post("/v1/batch", &[("content-type", "text/plain")], body.to_string()).await;
    assert_eq!(sent.json()["ok"], 1, "{sent:?}");
    let (_, part) = service.page(&cookie, "/p/blog/arrived").await;
    assert!(part.contains("1\u{a0}event") && part.contains("href=\"/p/blog\""), "{part}");
    assert!(!part.contains("<script>alert"), "{part}");
    let (_, page) = service.page(&cookie, "/?all").await;
    assert!(page.contains("/organisations/main/new"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_make_nothing_is_told_who_may() {
    let service = service().await;
    let viewer = member(&service.app, MAIN, Role::Viewer, "v@a.example").await;
    let cookie = session_of(&service.app, Some(viewer)).await;
    let (_, page) = service.page(&cookie, "/p/shop").await;
    assert!(page.contains("An admin of the project can make one") && !page.contains("/start\""));
    let (status, page) = service.page(&cookie, "/organisations/main/new").await;
    assert_eq!((status, page.contains("This is not open to you")), (403, true));
    let (_, page) = service.page(&session_of(&service.app, None).await, "/account").await;
    assert!(page.contains("Signed in by the server"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_sets_up_a_second_step_another_password_and_ends_other_sessions() {
    const PASSWORD: &str = "correct horse battery";
    let service = service().await;
    let app = &service.app;
    let account = member(app, MAIN, Role::Viewer, "ann@a.example").await;
    let hash = tallymark::signin::password::hash(app, PASSWORD.into()).await.unwrap();
    app.meta.accounts().set_password(account, &hash).await.unwrap();
    let (cookie, other) =
        (session_of(app, Some(account)).await, session_of(app, Some(account)).await);
    let (_, page) = service.page(&cookie, "/account/second-step").await;
    assert!(page.contains("<svg class=\"qr\"") && !page.contains(" style="), "{page}");
    let secret = second::begin(app, account).await.unwrap();
    assert!(page.contains(&secret.words()));
    let code = secret.code_at(app.clock.now_ms());
    let step = "/account/second-step";
    for (current, code) in [("wrong wrong wrong", &*code), (PASSWORD, "12")] {
        let (status, _, page) =
            service.fill(&cookie, step, &[("current", current), ("code", code)]).await;
        assert_eq!((status, page.contains("role=\"alert\"")), (422, true));
    }
    let (status, _, page) =
        service.fill(&cookie, step, &[("current", PASSWORD), ("code", &code)]).await;
    assert_eq!((status, page.matches("<li>").count()), (201, 10), "{page}");
    assert!(second::is_in_force(app, account).await.unwrap());
    let (_, page) = service.page(&cookie, "/account").await;
    assert!(page.contains("Switch it off") && page.contains("End all others"), "{page}");

    let end = service.fill(&cookie, "/account/sessions/end", &[]).await;
    assert_eq!((end.0, &*end.1), (303, "/account?done=ended"));
    assert_eq!(service.page(&other, "/account").await.0, 303, "to the page of signing in");
    let off = |current| [("current", current)];
    let path = "/account/second-step/off";
    assert_eq!(service.fill(&cookie, path, &off("wrong wrong wrong")).await.0, 422);
    assert_eq!(service.fill(&cookie, path, &off(PASSWORD)).await.0, 303);
    assert!(!second::is_in_force(app, account).await.unwrap());

    let change = |current, password| [("current", current), ("password", password)];
    let path = "/account/password";
    for fields in [change("wrong wrong wrong", PASSWORD), change(PASSWORD, "short")] {
        assert_eq!(service.fill(&cookie, path, &fields).await.0, 422);
    }
    let changed = service.fill(&cookie, path, &change(PASSWORD, "another correct horse")).await;
    assert_eq!((changed.0, &*changed.1), (303, "/account?done=password"));
    assert_eq!(service.page(&cookie, "/account").await.0, 303, "sessions of the old one are over");
}
