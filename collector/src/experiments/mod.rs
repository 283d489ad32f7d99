//! Experiments, flags and holdouts: what a team defines, how it lives, and what browsers get of it.
//!
//! ```text
//! HTTP, command line ─▶ desk: checks ─▶ meta::definitions: row and audit trail in one transaction
//!                              page ◀─ served ◀─ document: the public part of what is running
//! ```
//!
//! Invariants: a change that would move people between variants of a running experiment is refused;
//! the document of a page holds nothing but what evaluation needs.
//!
//! Deliberately elsewhere: evaluation (`tallymark_protocol::flags`), results (`tallymark_analysis`).

pub mod asked;
pub mod definition;
pub mod desk;
pub mod document;
pub mod handler;
pub mod life;
pub mod losses;
pub mod served;
pub mod targeting;

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tallymark_analysis::question::Context;
    use tallymark_analysis::{compile, stats};

    use super::definition::Definition;

    /// Whether every number that the page shows is what was computed, as far as it is shown.
    fn shows(shown: &Value, got: &Value) -> bool {
        match (shown, got) {
            (Value::Object(shown), got) => shown.iter().all(|(field, own)| shows(own, &got[field])),
            (Value::Array(shown), Value::Array(got)) => {
                shown.len() == got.len() && shown.iter().zip(got).all(|(a, b)| shows(a, b))
            }
            (Value::Number(shown), got) => {
                let (shown, got) = (shown.as_f64(), got.as_f64());
                shown.zip(got).is_some_and(|(shown, got)| (shown - got).abs() <= 1e-4)
            }
            (shown, got) => shown == got,
        }
    }

    #[test]
    fn every_block_of_the_page_of_experiments_is_understood_or_computed_again() {
        let page = include_str!("../../../docs/experiments.md");
        let mut kinds = std::collections::BTreeSet::new();
        for block in page.split("```json ").skip(1) {
            let (kind, rest) = block.split_once('\n').expect("a line");
            let (body, _) = rest.split_once("```").expect("an end");
            let body: Value = serde_json::from_str(body).expect(kind);
            match kind.split_once(' ') {
                Some(("stats", function)) => {
                    let got = stats::calculate(function, &body["input"]).expect(kind);
                    assert!(shows(&body["got"], &got), "{kind}: {got}");
                    kinds.insert("stats");
                }
                _ if kind == "definition" => {
                    Definition::parse(body).expect("a definition");
                    kinds.insert("definition");
                }
                _ => {
                    let context = Context::utc(1_795_000_000_000);
                    compile(kind, body, &context).unwrap_or_else(|error| panic!("{kind}: {error}"));
                    kinds.insert("question");
                }
            }
        }
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["definition", "question", "stats"]);
    }

    #[test]
    fn every_rule_of_the_verdict_is_on_the_page() {
        let page = include_str!("../../../docs/experiments.md");
        let rules = include_str!("../../analysis/src/stats/decision/mod.rs");
        let (_, reasons) = rules.split_once("pub enum Reason {").expect("the reasons");
        let (reasons, _) = reasons.split_once("\n}").expect("their end");
        let mut count = 0;
        for line in reasons.lines().filter(|line| line.ends_with(',') && !line.contains("//")) {
            let mut name = String::new();
            for letter in line.trim().trim_end_matches(',').chars() {
                if letter.is_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.extend(letter.to_lowercase());
            }
            assert!(page.contains(&format!("`{name}`")), "{name}");
            count += 1;
        }
        assert_eq!(count, 16);
    }
}
