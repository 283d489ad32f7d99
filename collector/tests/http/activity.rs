//! Questions about days over HTTP: lifecycle, stickiness, and what cookieless visitors do to them.

use super::*;

const DAY: i64 = 86_400_000;

impl Service {
    pub(super) async fn ask(&self, kind: &str, question: Value) -> Value {
        let bearer = format!("Bearer {}", self.secret_key);
        let path = format!("/v1/query/{kind}");
        let reply = self.post(&path, &[("authorization", &bearer)], question.to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()
    }
}

/// Two people on days before the last one; `device` 0 is nobody known.
pub(super) fn days(events: &[(u8, i64)]) -> Value {
    let event = |(number, (device, days_ago)): (usize, &(u8, i64))| {
        let mut event = with(event(number as u64 + 1), "at", NOW - days_ago * DAY);
        match device {
            0 => drop(event.as_object_mut().unwrap().remove("device")),
            device => event["device"] = format!("{device:02x}").repeat(32).into(),
        }
        event
    };
    events.iter().enumerate().map(event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifecycle_tells_new_from_returning_and_who_stays_away() {
    let service = service().await;
    service.batch(days(&[(1, 20), (1, 2), (2, 2), (2, 1), (1, 0)])).await;
    let question = json!({ "from": "2026-11-20", "to": "2026-11-23" });
    for _ in 0..2 {
        let answer = service.ask("lifecycle", question.clone()).await;
        assert_eq!(answer["buckets"], json!(["2026-11-20", "2026-11-21", "2026-11-22"]));
        assert_eq!(answer["new"], json!([1, 0, 0]));
        assert_eq!(answer["returning"], json!([0, 1, 0]));
        assert_eq!(answer["resurrected"], json!([1, 0, 1]));
        assert_eq!(answer["dormant"], json!([0, 1, 1]));
        assert_eq!(answer["reason"], Value::Null);
        assert_eq!(answer["definition"]["bucket"], "day");
        // The second time from a segment.
        service.app.blocking(|app| Ok(app.store.flush())).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stickiness_counts_people_by_their_active_days() {
    let service = service().await;
    service.batch(days(&[(1, 2), (1, 1), (1, 0), (2, 1)])).await;
    let question = json!({ "from": "2026-11-20", "to": "2026-11-23" });
    for _ in 0..2 {
        let answer = service.ask("stickiness", question.clone()).await;
        assert_eq!(answer["exactly"], json!([1, 0, 1]));
        assert_eq!(answer["at_least"], json!([2, 1, 1]));
        assert_eq!((&answer["persons"], &answer["buckets"]), (&json!(2), &json!(3)));
        let mean = answer["ratio_mean"].as_f64().unwrap();
        assert!((mean - (1.0 + 1.0 + 0.5) / 3.0).abs() < 1e-12, "{mean}");
        service.app.blocking(|app| Ok(app.store.flush())).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookieless_visitors_have_daily_figures_and_no_monthly_ones() {
    let service = service().await;
    service.batch(days(&[(1, 1), (1, 0), (0, 0)])).await;
    let question = json!({ "from": "2026-11-21", "to": "2026-11-23" });
    for _ in 0..2 {
        let answer = service.ask("active", question.clone()).await;
        assert_eq!(answer["dau"], json!([1, 2]));
        assert_eq!((&answer["wau"], &answer["mau"]), (&json!([1, null]), &json!([1, null])));
        assert_eq!(answer["stickiness"], json!([1.0, null]));
        assert_eq!((&answer["persons"], &answer["active_days"]), (&Value::Null, &Value::Null));
        assert_eq!(answer["reason"]["code"], "daily_ids");
        let known = json!([{ "prop": "identity", "op": "ne", "value": "day" }]);
        let mut without = question.clone();
        without["where"] = known;
        let answer = service.ask("active", without).await;
        assert_eq!((&answer["mau"], &answer["reason"]), (&json!([1, 1]), &Value::Null));
        let answer = service.ask("lifecycle", question.clone()).await;
        assert_eq!(answer["new"], json!([1, null]));
        service.app.blocking(|app| Ok(app.store.flush())).await.unwrap().unwrap();
    }
}
