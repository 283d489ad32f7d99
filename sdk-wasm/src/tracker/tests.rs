//! The tracker's rules, driven as a browser would: inputs at times, effects out.

use super::*;
use crate::retry::{Receipt, Reply};
use crate::settings::{Experiment, Mode, Unit};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;
use tallymark_protocol::hashing::{Namespace, h1, to_hex};
use tallymark_protocol::limits::{SDK_BATCH_BYTES_MAX, SDK_HIDE_BYTES_MAX, SDK_QUEUE_EVENTS_MAX};
use tallymark_protocol::uuid7;

const START_MS: u64 = 1_795_331_400_000;

/// A page: a tracker, its clock, and what it sent.
struct Page {
    tracker: Tracker,
    now_ms: f64,
    sent: Vec<(u32, Value)>,
    effects: Vec<Effect>,
}

impl Page {
    fn open(mode: Mode) -> Page {
        Page::with(mode, false, None)
    }

    fn with(mode: Mode, asks_for_privacy: bool, stored: Option<String>) -> Page {
        let settings = Settings {
            key: "tm_pk_test_x".into(),
            salt: "salt".into(),
            mode,
            experiments: vec![Experiment {
                key: "buy-button".into(),
                variants: vec!["control".into(), "green".into()],
                weights: None,
                coverage: None,
                namespace: None,
                seed: None,
                unit: Unit::Device,
            }],
            asks_for_privacy,
            sdk: "web/test".into(),
        };
        // Another page load, another seed.
        let seed = if stored.is_some() { [10; 32] } else { [9; 32] };
        let tracker = Tracker::new(settings, seed, stored);
        let mut page = Page { tracker, now_ms: 100.0, sent: Vec::new(), effects: Vec::new() };
        page.step(Input::Started);
        page
    }

    fn step(&mut self, input: Input<'_>) {
        let now = Moment { wall_ms: START_MS + self.now_ms as u64, mono_ms: self.now_ms };
        for effect in self.tracker.step(input, now) {
            if let Effect::Send { request, body } = &effect {
                let batch = serde_json::from_str(body).expect("a batch is JSON");
                self.sent.push((*request, batch));
            }
            self.effects.push(effect);
        }
    }

    fn track(&mut self, name: &str) {
        self.step(Input::Tracked { name, props_json: "" });
    }

    fn track_many(&mut self, count: usize) {
        (0..count).for_each(|_| self.track("step_done"));
    }

    /// Time passes; alarms ring when they are due.
    fn wait(&mut self, ms: f64) {
        let until = self.now_ms + ms;
        while let Some(alarm) = self.tracker.alarm.filter(|alarm| *alarm <= until) {
            self.now_ms = self.now_ms.max(alarm);
            self.step(Input::Woken);
        }
        self.now_ms = until;
    }

    fn answer(&mut self, request: u32, reply: Reply) {
        self.step(Input::Answered { request, reply });
    }

    fn status(&mut self, request: u32, status: u16) {
        self.answer(request, Reply { status, ..Reply::default() });
    }

    /// The collector stores a batch.
    fn accept(&mut self, request: u32) {
        let (_, batch) = self.sent.iter().find(|(number, _)| *number == request).expect("sent");
        let nonce = batch["nonce"].as_str().expect("a nonce").to_owned();
        let receipt = Some(Receipt { nonce, rejected: Vec::new() });
        self.answer(request, Reply { status: 200, receipt, ..Reply::default() });
    }

    fn accept_all(&mut self) {
        while let Some(request) = self.tracker.on_the_way.first().map(|request| request.number) {
            self.accept(request);
        }
    }

    /// All events sent so far, repeats included.
    fn events(&self) -> Vec<&Value> {
        self.sent
            .iter()
            .flat_map(|(_, batch)| batch["events"].as_array().expect("a list"))
            .collect()
    }

    fn names(&self) -> Vec<&str> {
        self.events().iter().map(|event| event["name"].as_str().expect("a name")).collect()
    }

    fn last(&self) -> &Value {
        self.events().last().copied().expect("an event was sent")
    }

    fn reports(&self) -> Vec<&str> {
        let codes = self.effects.iter().filter_map(|effect| match effect {
            Effect::Report { code, .. } => Some(code.as_str()),
            _ => None,
        });
        codes.collect()
    }

    /// What the storage holds after all effects.
    fn stored(&self) -> Option<&str> {
        self.effects.iter().fold(None, |stored, effect| match effect {
            Effect::Store { text } => Some(text.as_str()),
            Effect::Erase => None,
            _ => stored,
        })
    }

    /// A page whose first event was accepted, so that waiting rules apply.
    fn warm(mode: Mode) -> Page {
        let mut page = Page::open(mode);
        page.track("opened");
        page.accept(0);
        page
    }
}

#[test]
fn the_first_event_leaves_at_once_and_as_the_contract_says() {
    let mut page = Page::open(Mode::Full);
    page.step(Input::Moved { context_json: r#"{"url":"https://shop.example/p/1"}"# });
    page.step(Input::Tracked { name: "checkout_started", props_json: r#"{"seats":5}"# });
    let (_, batch) = &page.sent[0];
    assert_eq!(batch["key"], "tm_pk_test_x");
    assert_eq!(batch["sdk"], "web/test");
    assert_eq!(batch["sent_at"], START_MS + 100);
    assert_eq!(batch["sent_mono"], 100.0);
    assert_eq!(batch["context"]["url"], "https://shop.example/p/1");
    let event = &batch["events"][0];
    assert_eq!(event["name"], "checkout_started");
    assert_eq!((&event["at"], &event["mono"]), (&(START_MS + 100).into(), &100.0.into()));
    assert_eq!((&event["n"], &event["props"]["seats"]), (&0.into(), &5.into()));
    let id = uuid7::parse(event["id"].as_str().expect("text")).expect("a UUID");
    assert_eq!(uuid7::unix_ms(id), Some(START_MS + 100));
    assert!(uuid7::parse(event["session"].as_str().expect("text")).is_some());
    assert_eq!(event["writer"].as_str().map(str::len), Some(32));
    assert_eq!(event["device"].as_str().map(str::len), Some(64));
    assert!(event.get("user").is_none());
}

#[rstest]
#[case::nineteen_wait(19, 10, 1_999.0, 0)]
#[case::nineteen_leave_after_two_seconds(19, 10, 2_000.0, 19)]
#[case::twenty_leave_at_once(20, 10, 0.0, 20)]
#[case::thirty_kib_leave_at_once(4, 9_000, 0.0, 4)]
#[case::less_than_thirty_kib_waits(3, 9_000, 0.0, 0)]
fn later_events(
    #[case] count: usize,
    #[case] bytes: usize,
    #[case] wait: f64,
    #[case] want: usize,
) {
    let mut page = Page::warm(Mode::Full);
    let props_json = format!("{{\"text\":\"{}\"}}", "x".repeat(bytes));
    for _ in 0..count {
        page.step(Input::Tracked { name: "step_done", props_json: &props_json });
    }
    page.wait(wait);
    page.accept_all();
    assert_eq!(page.events().len() - 1, want);
}

#[test]
fn no_batch_is_larger_than_its_limits() {
    let mut page = Page::warm(Mode::Full);
    page.status(0, 500);
    let props_json = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000));
    for _ in 0..300 {
        page.step(Input::Tracked { name: "step_done", props_json: &props_json });
    }
    page.accept_all();
    assert_eq!(page.events().len(), 301);
    for effect in &page.effects {
        if let Effect::Send { body, .. } = effect {
            assert!(body.len() <= SDK_BATCH_BYTES_MAX, "{}", body.len());
        }
    }
    page.track_many(250);
    page.accept_all();
    let most = page.sent.iter().filter_map(|(_, batch)| batch["events"].as_array().map(Vec::len));
    assert!(most.max() <= Some(SDK_BATCH_EVENTS_MAX));
}

#[test]
fn one_batch_is_on_its_way_at_a_time() {
    let mut page = Page::open(Mode::Full);
    page.track_many(60);
    page.wait(10_000.0);
    assert_eq!(page.sent.len(), 1);
    page.accept(0);
    assert_eq!(page.sent.len(), 2);
}

#[test]
fn what_is_not_acknowledged_is_sent_again_with_the_same_ids() {
    let mut page = Page::open(Mode::Full);
    page.track("opened");
    page.status(0, 500);
    page.wait(1_000.0);
    page.status(1, 0);
    page.wait(2_000.0);
    page.accept(2);
    let ids: Vec<_> = page.events().iter().map(|event| event["id"].clone()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(page.tracker.pending(), 0);
    let nonces: std::collections::HashSet<_> =
        page.sent.iter().map(|(_, batch)| batch["nonce"].to_string()).collect();
    assert_eq!(nonces.len(), 3, "each attempt has its own nonce");
}

#[test]
fn the_answer_of_an_earlier_attempt_settles_nothing() {
    let mut page = Page::open(Mode::Full);
    page.track("opened");
    page.status(0, 500);
    page.accept(0);
    assert_eq!(page.tracker.pending(), 1);
}

#[test]
fn a_retry_after_is_obeyed_even_when_the_network_comes_back() {
    let mut page = Page::open(Mode::Full);
    page.track("opened");
    page.answer(0, Reply { status: 429, retry_after_ms: Some(3_000), ..Reply::default() });
    page.step(Input::Online);
    page.wait(2_999.0);
    assert_eq!(page.sent.len(), 1);
    page.wait(1.0);
    assert_eq!(page.sent.len(), 2);
}

#[test]
fn a_network_that_comes_back_ends_a_wait_of_our_own() {
    let mut page = Page::open(Mode::Full);
    page.track("opened");
    for request in 0..8 {
        page.status(request, 0);
        page.step(Input::Online);
    }
    assert_eq!(page.sent.len(), 9);
}

#[test]
fn an_unreadable_batch_is_halved_until_the_culprit_is_alone() {
    let mut page = Page::warm(Mode::Full);
    page.track_many(20);
    let unreadable =
        || Reply { problem_code: Some("bad_json".into()), status: 400, ..Reply::default() };
    // 20 → 10 → 5 → 2 → 1, which is dropped; the other 19 arrive.
    for request in 1..=5 {
        page.answer(request, unreadable());
    }
    while page.tracker.pending() > 0 {
        page.wait(2_000.0);
        page.accept_all();
    }
    assert_eq!(page.tracker.pending(), 0);
    assert_eq!(page.tracker.lost(DropReason::Unreadable), 1);
    assert_eq!(page.reports(), ["batch_unreadable"]);
    let ids: std::collections::HashSet<_> =
        page.events().iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 21);
}

#[test]
fn a_body_that_was_too_long_is_never_that_long_again() {
    let mut page = Page::warm(Mode::Full);
    page.track_many(20);
    page.status(1, 413);
    page.accept_all();
    page.track_many(40);
    page.accept_all();
    let counts: Vec<_> = page
        .sent
        .iter()
        .skip(2)
        .map(|(_, batch)| batch["events"].as_array().map_or(0, Vec::len))
        .collect();
    assert!(counts.iter().all(|count| *count <= 10), "{counts:?}");
}

#[test]
fn refused_events_are_counted_and_reported() {
    let mut page = Page::open(Mode::Full);
    page.track("opened");
    let nonce = page.sent[0].1["nonce"].as_str().expect("text").to_owned();
    let rejected = vec![(0, "too_old".to_owned())];
    let receipt = Some(Receipt { nonce, rejected });
    page.answer(0, Reply { status: 200, receipt, ..Reply::default() });
    assert_eq!(page.tracker.lost(DropReason::Refused), 1);
    assert_eq!(page.reports(), ["too_old"]);
    assert_eq!(page.tracker.lost_json(), r#"{"refused":1}"#);
}

#[test]
fn a_closed_project_stops_this_page() {
    let mut page = Page::open(Mode::Full);
    page.track_many(3);
    page.status(0, 410);
    page.track("afterwards");
    page.wait(100_000.0);
    assert_eq!(page.sent.len(), 1);
    assert_eq!(page.tracker.lost(DropReason::Closed), 4);
}

#[test]
fn hiding_sends_what_waits_though_another_batch_is_on_its_way() {
    let mut page = Page::open(Mode::Full);
    page.track("opened");
    page.track("checkout_started");
    page.step(Input::Hidden);
    assert_eq!(page.names(), ["opened", "checkout_started"]);
    page.track("tracked_while_hidden");
    assert_eq!(page.names().last(), Some(&"tracked_while_hidden"));
    page.accept_all();
    assert_eq!(page.tracker.pending(), 0);
    assert_eq!(page.events().len(), 3, "nothing was sent twice");
}

#[test]
fn hiding_sends_even_while_it_waits_after_a_failure() {
    let mut page = Page::open(Mode::Full);
    page.track("opened");
    page.status(0, 500);
    page.track("checkout_started");
    page.step(Input::Hidden);
    assert_eq!(page.names(), ["opened", "opened", "checkout_started"]);
    page.status(1, 0);
    assert_eq!(page.sent.len(), 2, "a failed attempt of a hidden page waits as any other");
}

#[test]
fn what_is_sent_while_hiding_fits_into_what_browsers_let_be_in_flight() {
    let mut page = Page::warm(Mode::Full);
    let props_json = format!("{{\"text\":\"{}\"}}", "x".repeat(4_000));
    for _ in 0..40 {
        page.step(Input::Tracked { name: "step_done", props_json: &props_json });
    }
    page.step(Input::Hidden);
    let unanswered: usize = page.tracker.on_the_way.iter().map(|request| request.bytes).sum();
    assert!(unanswered <= SDK_HIDE_BYTES_MAX, "{unanswered}");
    assert_eq!(page.last()["n"], 40, "the newest are among them");
    assert!(page.tracker.pending() > 20, "the rest is kept");
}

#[test]
fn a_page_that_moved_sends_each_address_with_its_events() {
    let mut page = Page::warm(Mode::Full);
    for address in ["/a", "/b"] {
        let context_json = format!(r#"{{"url":"{address}"}}"#);
        page.step(Input::Moved { context_json: &context_json });
        page.track("$pageview");
    }
    page.step(Input::Hidden);
    let mut urls: Vec<_> =
        page.sent[1..].iter().map(|(_, b)| b["context"]["url"].to_string()).collect();
    urls.sort();
    assert_eq!(urls, ["\"/a\"", "\"/b\""]);
}

#[test]
fn an_event_from_before_the_module_was_loaded_keeps_its_time() {
    let mut page = Page::open(Mode::Full);
    let happened = Moment { wall_ms: START_MS + 20, mono_ms: 20.0 };
    let now = Moment { wall_ms: START_MS + 900, mono_ms: 900.0 };
    let input = Input::Tracked { name: "opened", props_json: "" };
    let effects = page.tracker.step_late(input, happened, now);
    let Some(Effect::Send { body, .. }) = effects.last() else { panic!("it is sent at once") };
    let batch: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&batch["events"][0]["mono"], &batch["sent_mono"]), (&20.0.into(), &900.0.into()));
    assert_eq!(batch["events"][0]["at"], START_MS + 20);
}

#[test]
fn a_full_queue_drops_the_oldest_and_says_so_once() {
    let mut page = Page::warm(Mode::Full);
    page.track("first");
    page.wait(2_000.0);
    page.answer(1, Reply { status: 429, retry_after_ms: Some(3_600_000), ..Reply::default() });
    page.track_many(SDK_QUEUE_EVENTS_MAX + 9);
    assert_eq!(page.tracker.pending(), SDK_QUEUE_EVENTS_MAX);
    assert_eq!(page.tracker.lost(DropReason::QueueFull), 10);
    assert_eq!(page.reports(), ["paused", "queue_full"]);
}

#[rstest]
#[case::empty("", "event_name_invalid")]
#[case::unknown_reserved("$checkout", "reserved_name_unknown")]
fn a_bad_name_is_reported_and_counted(#[case] name: &str, #[case] code: &str) {
    let mut page = Page::open(Mode::Full);
    page.track(name);
    assert_eq!((page.sent.len(), page.reports()), (0, vec![code]));
    assert_eq!(page.tracker.lost(DropReason::NameInvalid), 1);
}

#[test]
fn an_event_too_large_is_reported_and_the_next_one_arrives() {
    let mut page = Page::open(Mode::Full);
    let props_json = format!("{{\"text\":\"{}\"}}", "x".repeat(33_000));
    page.step(Input::Tracked { name: "opened", props_json: &props_json });
    page.track("next");
    assert_eq!(page.names(), ["next"]);
    assert_eq!(page.tracker.lost(DropReason::EventTooLarge), 1);
}

#[test]
fn a_user_is_sent_and_stored_only_as_a_hash() {
    let mut page = Page::warm(Mode::Full);
    page.step(Input::Identified { user_id: " ada@example.org", traits_json: r#"{"plan":"team"}"# });
    page.step(Input::Flush);
    let want = to_hex(&h1(b"salt", Namespace::User, "ada@example.org"));
    assert_eq!(page.last()["name"], "$identify");
    assert_eq!(page.last()["user"], want.as_str());
    assert_eq!(page.last()["props"]["plan"], "team");
    assert!(page.stored().is_some_and(|text| text.contains(&want)));
    assert!(page.effects.iter().all(|effect| !format!("{effect:?}").contains("ada@")));
}

#[test]
fn a_user_signed_in_without_a_full_grip_is_held_back_until_consent() {
    let mut page = Page::open(Mode::Cookieless);
    page.step(Input::Identified { user_id: "ada", traits_json: "" });
    page.track("before");
    assert_eq!(page.reports(), ["identify_needs_consent"]);
    assert!(page.last().get("user").is_none() && page.last().get("device").is_none());
    assert_eq!(page.stored(), None);
    page.accept(0);
    page.step(Input::OptedIn);
    page.track("after");
    page.step(Input::Flush);
    assert!(page.last().get("user").is_some() && page.last().get("device").is_some());
}

#[rstest]
#[case::signal(Mode::Full, true)]
#[case::cookieless(Mode::Cookieless, false)]
fn without_a_full_grip_no_id_leaves_and_nothing_is_stored(
    #[case] mode: Mode,
    #[case] signal: bool,
) {
    let mut page = Page::with(mode, signal, None);
    page.track("opened");
    page.step(Input::Hidden);
    assert!(page.last().get("device").is_none());
    assert!(page.last().get("session").is_some(), "a session in memory is no id of a person");
    assert_eq!(page.stored(), None);
    assert_eq!(page.tracker.variant("buy-button"), None);
}

#[test]
fn a_site_that_became_cookieless_cleans_up_what_it_stored_before() {
    let mut before = Page::open(Mode::Full);
    before.track("opened");
    let stored = before.stored().map(str::to_owned);
    let page = Page::with(Mode::Cookieless, false, stored);
    assert!(page.effects.contains(&Effect::Erase));
}

#[test]
fn in_mode_none_nothing_happens_until_consent() {
    let mut page = Page::open(Mode::None);
    page.track("before");
    page.step(Input::Identified { user_id: "ada", traits_json: "" });
    page.step(Input::Exposed { experiment: "buy-button", variant: Some("green") });
    page.wait(10_000.0);
    assert!(page.effects.is_empty());
    page.step(Input::OptedIn);
    page.track("after");
    assert_eq!(page.names(), ["after"]);
}

#[test]
fn opting_out_empties_the_queue_and_lasts() {
    let mut page = Page::open(Mode::Full);
    page.track_many(3);
    page.step(Input::OptedOut);
    page.track("afterwards");
    page.accept(0);
    page.step(Input::Hidden);
    page.wait(100_000.0);
    assert_eq!((page.sent.len(), page.tracker.pending()), (1, 0));
    assert_eq!(page.tracker.lost(DropReason::OptedOut), 4);
    assert_eq!(page.stored(), Some("1|d"));

    let mut next = Page::with(Mode::Full, false, page.stored().map(str::to_owned));
    next.track("on_the_next_page");
    assert_eq!(next.sent.len(), 0);
    next.step(Input::OptedIn);
    next.track("after_a_yes");
    assert_eq!(next.names(), ["after_a_yes"]);
    assert_ne!(next.last()["device"], page.events()[0]["device"], "a new device id");
}

#[test]
fn opting_out_in_another_tab_stops_this_one() {
    let mut page = Page::open(Mode::Full);
    page.track_many(3);
    page.step(Input::Stored { text: "1|d" });
    page.track("afterwards");
    page.wait(10_000.0);
    assert_eq!((page.sent.len(), page.tracker.pending()), (1, 0));
}

#[test]
fn tabs_and_pages_share_device_user_and_session() {
    let mut first = Page::open(Mode::Full);
    first.step(Input::Identified { user_id: "ada", traits_json: "" });
    first.step(Input::Hidden);
    let mut second = Page::with(Mode::Full, false, first.stored().map(str::to_owned));
    second.track("opened");
    for field in ["device", "user", "session"] {
        assert_eq!(first.last()[field], second.last()[field], "{field}");
    }
    assert_ne!(first.last()["writer"], Value::Null);
}

#[rstest]
#[case::exactly_thirty_minutes(1_800_000.0, true)]
#[case::one_millisecond_more(1_800_001.0, false)]
fn after_silence_the_session_is_the_same(#[case] gap_ms: f64, #[case] same: bool) {
    let mut page = Page::warm(Mode::Full);
    let before = page.last()["session"].clone();
    page.wait(gap_ms);
    page.track("back");
    page.step(Input::Flush);
    assert_eq!(page.last()["session"] == before, same);
}

#[test]
fn a_reset_makes_somebody_new() {
    let mut page = Page::warm(Mode::Full);
    page.step(Input::Identified { user_id: "ada", traits_json: "" });
    page.step(Input::Flush);
    page.accept_all();
    let before = page.last().clone();
    page.step(Input::Reset);
    page.track("after");
    page.step(Input::Flush);
    assert!(page.last().get("user").is_none());
    assert_ne!(page.last()["device"], before["device"]);
    assert_ne!(page.last()["session"], before["session"]);
}

#[test]
fn an_exposure_is_recorded_once_with_the_variant_that_was_given() {
    let mut page = Page::open(Mode::Full);
    let variant = page.tracker.variant("buy-button").map(str::to_owned).expect("full coverage");
    for _ in 0..3 {
        page.step(Input::Exposed { experiment: "buy-button", variant: None });
    }
    assert_eq!(page.names(), ["$exposure"]);
    assert_eq!(page.last()["props"]["variant"], variant.as_str());
    page.accept(0);
    page.wait(1_800_001.0);
    page.step(Input::Exposed { experiment: "buy-button", variant: None });
    page.step(Input::Flush);
    assert_eq!(page.names(), ["$exposure", "$exposure"], "again in the next session");
    page.step(Input::Exposed { experiment: "no-such", variant: None });
    assert_eq!(page.reports(), ["not_in_experiment"]);
}

#[test]
fn names_with_quotes_survive_the_exposure() {
    let mut page = Page::open(Mode::Full);
    page.step(Input::Exposed { experiment: "a\"b\\c", variant: Some("ü\n") });
    assert_eq!(page.last()["props"]["experiment"], "a\"b\\c");
    assert_eq!(page.last()["props"]["variant"], "ü\n");
}

#[test]
fn a_flush_tells_whether_all_arrived() {
    let mut page = Page::warm(Mode::Full);
    page.step(Input::Flush);
    assert_eq!(page.effects.last(), Some(&Effect::Flushed { delivered: true }), "nothing waits");
    page.track("opened");
    page.step(Input::Flush);
    page.accept_all();
    assert_eq!(page.effects.last(), Some(&Effect::Flushed { delivered: true }));
    page.track("next");
    page.step(Input::Flush);
    page.status(2, 500);
    assert!(page.effects.contains(&Effect::Flushed { delivered: false }));
}

/// What a page and its network may do.
#[derive(Debug, Clone)]
enum Move {
    Track,
    Wait(u32),
    Accept,
    Fail,
    LoseAnswer,
    Refuse,
    Hide,
    Show,
    Online,
    Flush,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => Just(Move::Track),
        3 => (0u32..5_000).prop_map(Move::Wait),
        3 => Just(Move::Accept),
        2 => Just(Move::Fail),
        2 => Just(Move::LoseAnswer),
        1 => Just(Move::Refuse),
        1 => Just(Move::Hide),
        1 => Just(Move::Show),
        1 => Just(Move::Online),
        1 => Just(Move::Flush),
    ];
    prop::collection::vec(one, 1..120)
}

proptest! {
    /// Whatever the network does: once it works, each event is stored exactly once, and none
    /// that was stored is missing an attempt. The collector here deduplicates by id, as ours does.
    #[test]
    fn every_event_arrives_exactly_once_in_the_end(moves in moves()) {
        let mut page = Page::open(Mode::Full);
        let mut tracked = 0usize;
        let mut stored = std::collections::HashSet::new();
        let mut store = |page: &Page, request: u32| {
            let (_, batch) = page.sent.iter().find(|(number, _)| *number == request).expect("sent");
            for event in batch["events"].as_array().expect("a list") {
                stored.insert(event["id"].to_string());
            }
        };
        let oldest = |page: &Page| page.tracker.on_the_way.first().map(|request| request.number);
        for action in moves {
            match action {
                Move::Track => {
                    page.track("step_done");
                    tracked += 1;
                }
                Move::Wait(ms) => page.wait(f64::from(ms)),
                Move::Hide => page.step(Input::Hidden),
                Move::Show => page.step(Input::Shown),
                Move::Online => page.step(Input::Online),
                Move::Flush => page.step(Input::Flush),
                Move::Accept => {
                    if let Some(request) = oldest(&page) {
                        store(&page, request);
                        page.accept(request);
                    }
                }
                Move::LoseAnswer => {
                    if let Some(request) = oldest(&page) {
                        store(&page, request);
                        page.status(request, 0);
                    }
                }
                Move::Fail | Move::Refuse => {
                    let status = if matches!(action, Move::Fail) { 500 } else { 413 };
                    // A 413 for a single event drops it, which is another test.
                    let alone = page.tracker.on_the_way.first().is_some_and(|r| r.count < 2);
                    if let Some(request) = oldest(&page) {
                        page.status(request, if alone { 500 } else { status });
                    }
                }
            }
        }
        page.step(Input::Flush);
        for _ in 0..10_000 {
            match oldest(&page) {
                Some(request) => {
                    store(&page, request);
                    page.accept(request);
                }
                None if page.tracker.pending() == 0 => break,
                None => page.wait(300_000.0),
            }
        }
        prop_assert_eq!(page.tracker.pending(), 0);
        prop_assert_eq!(stored.len(), tracked);
    }
}
