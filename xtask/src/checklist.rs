//! `tests/CHECKLIST.md`: which test shows which row of the product's checklist.
//!
//! In: the rows (`tests/vectors/checklist.tsv`) and all sources. Out: the page, written by
//! `cargo xtask checklist`. A test claims a row by naming it, in its own name (`s3_14_…`), in its title
//! (`"S3-14: …"`) or in the comment right above it; `tests/README.md` shows each.
//!
//! A row without a test, or whose test is gone, fails the check. A claim that the page does not show yet is only said, so
//! that tests of several people do not meet in one generated file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, ensure};

use crate::root;
use crate::shell::{command, quiet};

const PAGE: &str = "tests/CHECKLIST.md";
const ROWS: &str = "tests/vectors/checklist.tsv";

/// Row → the tests that claim it, each with its file.
type Claims = BTreeMap<String, BTreeSet<(String, String)>>;

/// Write the page.
///
/// # Errors
/// When the rows cannot be read or the page cannot be written.
pub fn write() -> anyhow::Result<()> {
    let (rows, claims) = (rows()?, claims()?);
    std::fs::write(root().join(PAGE), page(&rows, &claims))?;
    let open = rows.iter().filter(|(row, _)| !claims.contains_key(row)).count();
    println!("{PAGE}: {} rows, {open} open", rows.len());
    Ok(())
}

/// Every row has a test, and every test that the page names is there.
///
/// # Errors
/// Naming the rows that have none, or whose test is gone.
pub fn check() -> anyhow::Result<()> {
    let (rows, claims) = (rows()?, claims()?);
    let open = rows.iter().map(|(row, _)| row.as_str()).filter(|row| !claims.contains_key(*row));
    let open: Vec<&str> = open.collect();
    ensure!(open.is_empty(), "rows that no test claims: {}", open.join(", "));
    let text = std::fs::read_to_string(root().join(PAGE)).context(PAGE)?;
    let gone = gone(&text, &claims);
    ensure!(
        gone.is_empty(),
        "rows whose test is gone; if it has another name now, `cargo xtask checklist` writes it down:\n{}",
        gone.join("\n")
    );
    if text != page(&rows, &claims) {
        println!("  {PAGE} does not show every claim yet: `cargo xtask checklist` writes it");
    }
    Ok(())
}

/// Rows and what each asks for.
fn rows() -> anyhow::Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(root().join(ROWS)).context(ROWS)?;
    let row = |line: &str| line.split_once('\t').map(|(row, words)| (row.into(), words.into()));
    let rows: Option<Vec<_>> = text.lines().skip(1).map(row).collect();
    rows.with_context(|| format!("{ROWS}: a line is not a row, a tab and words"))
}

fn claims() -> anyhow::Result<Claims> {
    let listed = quiet(&mut command(&root(), "git", &["ls-files", "-co", "--exclude-standard"]))?;
    let mut claims = Claims::new();
    for file in listed.lines() {
        let find = match file.rsplit_once('.') {
            // This file's own tests are examples of claims.
            _ if file == "xtask/src/checklist.rs" => continue,
            Some((_, "rs")) => in_rust,
            Some((_, "ts" | "mjs")) => in_script,
            _ => continue,
        };
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        for (row, test) in find(&text) {
            claims.entry(row).or_default().insert((test, file.to_owned()));
        }
    }
    Ok(claims)
}

/// Rows and test names of a Rust source: the paragraph that ends in a test's first line.
fn in_rust(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut paragraph = String::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line == "}" {
            paragraph.clear();
            is_test = false;
        }
        is_test |=
            ["#[test]", "#[rstest]", "#[tokio::test"].iter().any(|mark| line.starts_with(mark));
        if line.starts_with("//") {
            paragraph.push_str(line);
            paragraph.push(' ');
        }
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        if let Some(name) =
            function.and_then(|rest| rest.split(['(', '<']).next()).filter(|_| is_test)
        {
            found.extend(rows_in(&format!("{paragraph}{name}")).map(|row| (row, name.to_owned())));
            paragraph.clear();
            is_test = false;
        }
    }
    found
}

/// The same of TypeScript and JavaScript: titles of `test(…)` and the comments above them.
fn in_script(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment = String::new();
    for line in text.lines().map(str::trim) {
        if ["//", "/*", "*"].iter().any(|mark| line.starts_with(mark)) {
            comment.push_str(line);
            comment.push(' ');
            continue;
        }
        let title = line.strip_prefix("test(").and_then(|rest| {
            let quote = rest.chars().next().filter(|quote| "\"'`".contains(*quote))?;
            rest[1..].split(quote).next()
        });
        if let Some(title) = title {
            found.extend(rows_in(&format!("{comment}{title}")).map(|row| (row, title.to_owned())));
        }
        comment.clear();
    }
    found
}

/// Rows that a text names, as `S3-14`: also written `s3_14`, and only as whole words.
fn rows_in(text: &str) -> impl Iterator<Item = String> + '_ {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter_map(move |at| {
        let word = bytes.get(at..at + 5)?;
        let shaped =
            matches!(word, [b's' | b'S', b'0'..=b'9', b'-' | b'_', b'0'..=b'9', b'0'..=b'9']);
        let before = at.checked_sub(1).is_some_and(|at| bytes[at].is_ascii_alphanumeric());
        let after = bytes.get(at + 5).is_some_and(u8::is_ascii_alphanumeric);
        (shaped && !before && !after).then(|| {
            let digit = |at: usize| char::from(word[at]);
            format!("S{}-{}{}", digit(1), digit(3), digit(4))
        })
    })
}

fn page(rows: &[(String, String)], claims: &Claims) -> String {
    let shown = rows.iter().filter(|(row, _)| claims.contains_key(row)).count();
    let mut page = format!(
        "# Checklist\n\nWhich test shows which row of the product's checklist: {shown} of {} have one. Written by \
         `cargo xtask checklist`;\na row whose test is gone fails `cargo xtask test text`. How a test claims a row: \
         [README.md](README.md).\n\n| row | asks for | shown by |\n|---|---|---|\n",
        rows.len()
    );
    for (row, words) in rows {
        let tests = claims.get(row).map(|tests| {
            let link = |(test, file): &(String, String)| {
                format!("[`{}`](../{file})", test.replace('|', "/"))
            };
            tests.iter().map(link).collect::<Vec<_>>().join(", ")
        });
        let tests = tests.unwrap_or_else(|| "open".to_owned());
        writeln!(page, "| {row} | {words} | {tests} |").expect("a text takes text");
    }
    page
}

/// Rows of the page and tests they name that nobody claims any more.
fn gone(page: &str, claims: &Claims) -> Vec<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| S")?.split_once(" | "));
    let named = lines.flat_map(|(row, rest)| {
        rest.split('`').skip(1).step_by(2).map(move |test| (format!("S{row}"), test))
    });
    let claimed = |row: &str, test: &str| {
        claims
            .get(row)
            .is_some_and(|tests| tests.iter().any(|(name, _)| name.replace('|', "/") == test))
    };
    named
        .filter(|(row, test)| !claimed(row, test))
        .map(|(row, test)| format!("{row}: {test}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUST: &str = "/// Not of a test: S1-09.\nfn helper() {}\n\n/// Shows S3-14 and s3_15.\n#[rstest]\n#[case::a(\n    1,\n)]\nfn is_cut(#[case] a: u8) {\n    // S1-02\n}\n#[tokio::test]\nasync fn s1_05_is_counted() {}\nfn s1_06_is_no_test() {}\n";

    #[test]
    fn a_test_claims_rows_by_its_name_and_the_comment_above_it() {
        let claim = |row: &str, test: &str| (row.to_owned(), test.to_owned());
        let want = [
            claim("S3-14", "is_cut"),
            claim("S3-15", "is_cut"),
            claim("S1-05", "s1_05_is_counted"),
        ];
        assert_eq!(in_rust(RUST), want);
    }

    #[test]
    fn a_script_claims_rows_by_titles_and_the_comment_above_them() {
        let script = "// S1-09\nconst x = 1;\n/** S1-31. */\ntest(\"S3-20: opens\", () => {});\n  test(`no row`, () => {});\n";
        let claim = |row: &str| (row.to_owned(), "S3-20: opens".to_owned());
        assert_eq!(in_script(script), [claim("S1-31"), claim("S3-20")]);
    }

    #[test]
    fn only_whole_words_are_rows() {
        let rows: Vec<_> = rows_in("xs1_05 S1-051 (S1-06) s4_76_and_S1-1").collect();
        assert_eq!(rows, ["S1-06", "S4-76"]);
    }

    #[test]
    fn a_row_is_open_until_claimed_and_fails_when_its_test_goes() {
        let rows = [("S1-01".to_owned(), "a".to_owned()), ("S1-02".to_owned(), "b".to_owned())];
        let test = ("is | so".to_owned(), "x.rs".to_owned());
        let claims = Claims::from([("S1-01".to_owned(), BTreeSet::from([test]))]);
        let page = page(&rows, &claims);
        assert!(
            page.contains("| S1-01 | a | [`is / so`](../x.rs) |\n| S1-02 | b | open |\n"),
            "{page}"
        );
        assert_eq!(gone(&page, &claims), [""; 0]);
        assert_eq!(gone(&page, &Claims::new()), ["S1-01: is / so"]);
    }
}
