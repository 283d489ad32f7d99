//! What a table and a page say, and that neither runs anything.

use super::csv::{cell, csv};
use super::html::{About, html};
use crate::experiment::answer::ExperimentAnswer;
use crate::testing::{Event, Memory};
use crate::{AnswerBody, Context};
use rstest::rstest;
use serde_json::json;

/// 2026-09-01T00:00:00Z.
const T0: i64 = 1_788_220_800_000;

fn answer(variant: &str) -> ExperimentAnswer {
    let mut events = Vec::new();
    for person in 0..400u64 {
        let variant = if person % 2 == 0 { "control" } else { variant };
        events.push(
            Event::new(person, T0, "$exposure").with("experiment", "a").with("variant", variant),
        );
        events.push(Event::new(person, T0 + 1, "bought").with("value", (person % 9) as f64));
    }
    let question = json!({ "experiment": "a", "from": "2026-09-01", "to": "2026-09-15",
        "daily": true, "slices": ["plan"], "interactions": ["<b>"],
        "metrics": [{ "event": "bought" }, { "event": "bought", "kind": "mean" }] });
    let context = Context::utc(T0 + 86_400_000);
    match Memory::new(events).answer("experiment", question, &context).unwrap().body {
        AnswerBody::Experiment(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_table_has_a_row_for_each_effect_of_each_part() {
    let table = csv(&answer("b"));
    let rows: Vec<&str> = table.trim_end().split("\r\n").collect();
    // Two metrics of everybody, one slice, one day and everybody up to it.
    assert_eq!(rows.len(), 1 + 2 * 4, "{table}");
    assert!(rows.iter().all(|row| row.split(',').count() == 39), "{table}");
    assert!(rows[2].starts_with("a,all,bought,mean,goal,b,control,200,200,"), "{table}");
}

#[rstest]
#[case("plain", "plain")]
#[case("a,b", "\"a,b\"")]
#[case("say \"hi\"", "\"say \"\"hi\"\"\"")]
#[case("=cmd()", "'=cmd()")]
#[case("-1.5", "-1.5")]
fn a_cell_is_safe_in_a_spreadsheet(#[case] text: &str, #[case] want: &str) {
    assert_eq!(cell(text), want);
}

#[test]
fn a_page_runs_nothing_that_somebody_called_a_variant() {
    let evil = "<script>alert(1)</script>";
    let question = json!({ "from": evil, "to": evil, "method": evil, "plan": { "ends": evil } });
    let about = About { question: &question, hypothesis: evil, state: evil };
    let page = html(&answer(evil), &about);
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("There is not enough data yet"));
    assert!(page.contains("&lt;b&gt; was met at the same time by too few"), "{page}");
    assert!(page.contains("up to each day"), "{page}");
}
