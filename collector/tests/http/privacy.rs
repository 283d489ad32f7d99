//! What a project knows of people: presets, the sheet, and everything that is stored of one of them.

use super::*;

impl Service {
    async fn set(&self, settings: Value) -> Reply {
        let bearer = format!("Bearer {}", self.secret_key);
        let body = json!({ "settings": settings }).to_string();
        let request = Request::patch("/v1/project").header("authorization", bearer);
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn as_owner(&self, path: &str, body: Value) -> Reply {
        let bearer = format!("Bearer {}", self.secret_key);
        self.post(path, &[("authorization", &bearer)], body.to_string()).await
    }

    async fn evidence(&self) -> Value {
        self.get("/v1/privacy/evidence", Some(&self.secret_key)).await.json()
    }

    async fn listed(&self) -> Vec<Value> {
        let page = self.get("/v1/events", Some(&self.secret_key)).await.json();
        page["events"].as_array().unwrap().clone()
    }
}

fn broken(sheet: &Value) -> Vec<&str> {
    let lines = sheet["lines"].as_array().unwrap().iter();
    lines
        .filter(|line| line["holds"] == false)
        .map(|line| line["about"].as_str().unwrap())
        .collect()
}

#[rstest]
#[case::no_origins(json!({ "preset": "cnil" }), "origins: the preset cnil needs")]
#[case::two_sites(json!({ "preset": "cnil", "origins": ["https://a.example", "https://b.example"] }), "origins: the preset cnil needs")]
#[case::lasting_ids(json!({ "preset": "cnil", "origins": ["https://a.example"], "mode": "full" }), "mode: the preset cnil needs")]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_preset_forbids_cannot_be_set_beside_it(
    #[case] settings: Value,
    #[case] detail: &str,
) {
    let service = service().await;
    let refused = service.set(settings).await;
    assert_eq!(refused.problem(), (422, "setting_invalid".into()));
    assert!(refused.json()["detail"].as_str().unwrap().starts_with(detail), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_preset_nobody_is_known_the_next_day_and_the_sheet_holds() {
    let config = Config { property_guard: false, ..Config::default() };
    let service = service_with(config).await;
    let settings = json!({ "preset": "cnil", "origins": ["https://shop.example"] });
    assert_eq!(service.set(settings).await.status, 200);
    let sheet = service.evidence().await;
    assert_eq!((&sheet["preset"], &sheet["holds"]), (&json!("cnil"), &json!(true)), "{sheet}");

    let user = with(event(1), "user", "cd".repeat(32));
    service.batch(json!([with(user, "props", json!({ "to": "ann@example.org" }))])).await;
    service.as_server(&service.secret_key, json!([with(event(2), "user_id", "ann")])).await;
    service.app.clock.advance(86_400_000);
    service.batch(json!([with(event(3), "user", "cd".repeat(32))])).await;
    let events = service.listed().await;
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events.iter().all(|event| event["identified"] == false), "{events:?}");
    let persons: std::collections::BTreeSet<_> =
        events.iter().map(|event| event["person"].as_str()).collect();
    assert_eq!(
        persons.len(),
        3,
        "page, server and the next day have nothing in common: {events:?}"
    );
    assert!(!json!(events).to_string().contains("ann@"), "the guard is on: {events:?}");

    let ids = json!({ "from": { "user_id": "ann" }, "to": { "user_id": "bob" } });
    assert_eq!(service.as_owner("/v1/alias", ids).await.problem(), (409, "ids_for_a_day".into()));
    assert_eq!(service.app.meta.directory().keep(service.project.id).days, Some(760));
    let sheet = service.evidence().await;
    assert_eq!(sheet["holds"], true, "{sheet}");
    let text = service.get("/v1/privacy/evidence?format=text", Some(&service.secret_key)).await;
    let text = String::from_utf8(text.bytes).unwrap();
    assert!(text.contains("preset: cnil") && text.contains("Every line holds."), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sheet_of_any_project_says_what_is_so_and_what_does_not_hold() {
    let service = service().await;
    let open = ["whose pages", "how long people are known", "how long events are kept"];
    assert_eq!(broken(&service.evidence().await), open);
    service.batch(json!([event(1), event(2)])).await;
    // What came before a preset stays, and is said.
    let settings = json!({ "preset": "cnil", "origins": ["https://shop.example"] });
    assert_eq!(service.set(settings).await.status, 200);
    let sheet = service.evidence().await;
    assert_eq!(broken(&sheet), ["what is stored already"]);
    assert_eq!(sheet["lines"][3]["found"], "2 events with an id that lasts");
}

/// Shows S4-02.
#[tokio::test(flavor = "multi_thread")]
async fn where_people_are_not_to_be_known_no_project_knows_them() {
    let config = Config { user_tracking: false, ..Config::default() };
    let service = service_with(config).await;
    service.batch(json!([with(event(1), "user", "cd".repeat(32))])).await;
    let sheet = service.evidence().await;
    assert_eq!(sheet["lines"][3]["found"], "0 events with an id that lasts");
    assert_eq!(service.listed().await[0]["identified"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_everything_of_a_person_and_nothing_of_others() {
    let service = service().await;
    let bearer = service.secret_key.clone();
    let of = |number, user: &str| {
        let mut event = with(event(number), "user_id", user);
        event.as_object_mut().unwrap().remove("device");
        event
    };
    let events = json!([of(1, "ann"), of(2, "ann"), of(3, "bob"), with(of(4, "ann"), "name", "")]);
    let receipt = service.as_server(&bearer, events).await.json();
    assert_eq!(receipt["ok"], 3, "{receipt}");
    let same = json!({ "from": { "user_id": "anna" }, "to": { "user_id": "ann" } });
    assert_eq!(service.as_owner("/v1/alias", same).await.status, 200);
    assert_eq!(service.as_server(&bearer, json!([of(5, "anna")])).await.json()["ok"], 1);

    let asked = json!({ "user_id": "ann" });
    let report = service.as_owner("/v1/persons/report", asked.clone()).await;
    assert_eq!(
        (report.status.as_u16(), &report.headers["content-type"]),
        (200, &"application/x-ndjson".parse().unwrap())
    );
    let text = String::from_utf8(report.bytes).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = &lines[0];
    assert_eq!((&summary["events"], &summary["ids"]), (&json!(3), &json!(2)), "{summary}");
    assert_eq!(summary["merges"].as_array().unwrap().len(), 1, "{summary}");
    assert_eq!(summary["refused"][0]["code"], "event_name_invalid", "{summary}");
    assert_eq!(lines.len(), 4, "{text}");
    let ids: Vec<_> = lines[1..].iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| !id.ends_with('3')), "{ids:?}");
    assert!(!text.contains("\"ann\"") && !text.contains("bob"), "ids are hashed: {text}");

    // What is erased is in no report.
    assert_eq!(service.as_owner("/v1/erase", asked.clone()).await.status, 200);
    let after = service.as_owner("/v1/persons/report", asked).await;
    let after = String::from_utf8(after.bytes).unwrap();
    assert_eq!(after.lines().count(), 1, "{after}");
    let trail = service.app.meta.check_audit().await;
    assert!(trail.is_ok(), "{trail:?}");
}
