use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::testing::{Event, Memory, Scan};

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;
const HOUR: i64 = 3_600_000;

fn context() -> Context {
    Context::utc(T0 + 2 * DAY_MS)
}

/// Event `n` of a page load.
fn event(person: u64, at_ms: i64, writer: u64, n: u32) -> Event {
    let event = Event::new(person, T0 + at_ms, "viewed").seq(n);
    event.with("$writer", writer).with("$n", n).with("browser", "Firefox")
}

fn ask_by(events: Vec<Event>, question: Value, scan: Scan) -> CompletenessAnswer {
    match Memory::new(events).answer_by("completeness", question, &context(), scan).unwrap().body {
        AnswerBody::Completeness(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(events: Vec<Event>) -> CompletenessAnswer {
    ask_by(events, json!({ "from": "2026-09-01", "to": "2026-09-03" }), Scan::default())
}

/// Page loads, issued, received, missing, unexplained.
fn figures(all: &Completeness) -> [u64; 5] {
    [all.page_loads, all.issued, all.received, all.missing, all.unexplained]
}

#[rstest]
#[case::nothing_lost(&[0, 1, 2], [1, 3, 3, 0, 0])]
#[case::the_first_lost(&[1, 2], [1, 3, 2, 1, 1])]
#[case::in_the_middle(&[0, 3], [1, 4, 2, 2, 2])]
#[case::out_of_order(&[2, 0, 1], [1, 3, 3, 0, 0])]
#[case::the_largest_number(&[u32::MAX], [1, 1 << 32, 1, (1 << 32) - 1, (1 << 32) - 1])]
fn a_page_load_misses_the_numbers_that_are_not_here(
    #[case] numbers: &[u32],
    #[case] want: [u64; 5],
) {
    let at = |(place, n): (usize, &u32)| event(1, place as i64, 7, *n);
    let answer = ask(numbers.iter().enumerate().map(at).collect());
    assert_eq!(figures(&answer.total), want);
    assert_eq!(answer.total.page_loads_with_gaps, u64::from(want[3] > 0));
}

#[test]
fn a_page_load_that_several_people_used_is_one() {
    let events = vec![event(1, 0, 7, 0), event(1, 1, 7, 1), event(2, 2, 7, 2), event(2, 3, 7, 4)];
    for kernels in [1, 2] {
        let question = json!({ "from": "2026-09-01", "to": "2026-09-03" });
        let scan = Scan { kernels, reverse_codes: true };
        let answer = ask_by(events.clone(), question, scan);
        assert_eq!(figures(&answer.total), [1, 5, 4, 1, 1]);
    }
}

#[test]
fn tabs_of_one_person_are_told_apart() {
    let events = vec![event(1, 0, 7, 0), event(1, 0, 8, 0), event(1, 1, 7, 1), event(1, 2, 8, 2)];
    assert_eq!(figures(&ask(events).total), [2, 5, 4, 1, 1]);
}

#[test]
fn what_a_page_knows_to_be_lost_is_explained_by_its_last_word() {
    let events = vec![
        event(1, 0, 7, 0).with("$lost", "queue_full=1"),
        event(1, 1, 7, 3).with("$lost", "queue_full=2,refused=1"),
        event(1, 2, 7, 4).with("$lost", "queue_full=2"),
        event(1, 3, 7, 9),
    ];
    let total = ask(events).total;
    assert_eq!(figures(&total), [1, 10, 4, 6, 3]);
    let lost: Vec<_> = total.lost.iter().map(|(reason, count)| (&**reason, *count)).collect();
    assert_eq!(lost, [("queue_full", 2), ("refused", 1)]);
}

#[test]
fn a_page_load_belongs_to_the_day_and_browser_of_its_first_event() {
    let events = vec![
        event(1, DAY_MS - 1, 7, 0),
        event(1, DAY_MS + HOUR, 7, 2).with("browser", "Chrome"),
        event(2, DAY_MS, 8, 0).with("browser", "Chrome"),
        // Began the day before.
        event(3, -1, 9, 0),
        event(3, 0, 9, 5),
        // From a server.
        Event::new(4, T0, "viewed"),
    ];
    let answer = ask(events);
    let days: Vec<_> = answer.days.iter().map(|day| (&*day.day, figures(&day.all))).collect();
    assert_eq!(days, [("2026-09-01", [1, 3, 2, 1, 1]), ("2026-09-02", [1, 1, 1, 0, 0])]);
    let browsers: Vec<_> =
        answer.browsers.iter().map(|one| (one.browser.as_deref(), figures(&one.all))).collect();
    assert_eq!(browsers, [(Some("Chrome"), [1, 1, 1, 0, 0]), (Some("Firefox"), [1, 3, 2, 1, 1])]);
    assert_eq!(answer.days[0].browsers[0].browser.as_deref(), Some("Firefox"));
}

#[rstest]
#[case::the_last_known_day("2026-08-04", 1)]
#[case::a_day_before("2026-08-03", 1)]
#[case::all_of_the_past("2020-01-01", 1)]
fn days_whose_writers_are_forgotten_are_not_answered(#[case] from: &str, #[case] known: usize) {
    let question = json!({ "from": from, "to": "2026-08-05" });
    let answer = ask_by(vec![event(1, 0, 7, 0)], question, Scan::default());
    assert_eq!((answer.days.len(), &*answer.known_from), (known, "2026-08-04T00:00:00+00:00"));
    assert_eq!(answer.total.completeness_ratio, None);
}

#[test]
fn a_range_that_is_forgotten_as_a_whole_has_no_days() {
    let question = json!({ "from": "2026-01-01", "to": "2026-02-01" });
    assert_eq!(ask_by(Vec::new(), question, Scan::default()).days, []);
}

#[test]
fn a_part_of_a_page_load_is_not_asked_for() {
    let question = json!({ "where": [{ "prop": "plan", "op": "eq", "value": "team" }] });
    let error = Memory::default().answer("completeness", question, &context()).unwrap_err();
    assert_eq!(error.code(), "unsupported");
}

#[test]
fn variants_are_compared_by_the_people_who_met_them() {
    let met = |person, variant: &str, writer| {
        let exposure = Event { name: "$exposure".into(), ..event(person, 0, writer, 0) };
        exposure.with("experiment", "button").with("variant", variant)
    };
    let events = vec![met(1, "a", 7), event(1, 1, 7, 1), met(2, "b", 8), event(2, 1, 8, 4)];
    let of = |variant| {
        let question = of_variant("button", variant, "2026-09-01", "2026-09-03");
        figures(&ask_by(events.clone(), question, Scan::default()).total)
    };
    assert_eq!((of("a"), of("b")), ([1, 2, 2, 0, 0], [1, 5, 2, 3, 3]));
}

#[test]
fn a_report_reads_as_it_was_written() {
    let lost = [(DropReason::QueueFull, 3), (DropReason::Closed, 0), (DropReason::Refused, 1)];
    let text = report(lost).unwrap();
    assert_eq!(text, "queue_full=3,refused=1");
    assert_eq!(reports(&text).collect::<Vec<_>>(), [("queue_full", 3), ("refused", 1)]);
    assert_eq!(report([]), None);
}

proptest! {
    /// Whatever is lost of page loads that several people share: exactly that is missing, up to the last
    /// event that is there.
    #[test]
    fn exactly_what_was_lost_is_missing(
        loads in prop::collection::vec(prop::collection::vec((0u64..3, prop::bool::weighted(0.8)), 1..12), 1..12),
        kernels in 1usize..4,
    ) {
        let (mut events, mut missing) = (Vec::new(), 0);
        for (writer, load) in (1..).zip(&loads) {
            let last = load.iter().rposition(|(_, is_here)| *is_here);
            let Some(last) = last else { continue };
            for (n, (person, is_here)) in load[..=last].iter().enumerate() {
                missing += u64::from(!is_here);
                if *is_here {
                    events.push(event(*person, n as i64, writer, n as u32));
                }
            }
        }
        let received = events.len() as u64;
        let question = json!({ "from": "2026-09-01", "to": "2026-09-03" });
        let scan = Scan { kernels, reverse_codes: kernels > 1 };
        let total = ask_by(events, question, scan).total;
        prop_assert_eq!((total.received, total.missing), (received, missing));
    }
}
