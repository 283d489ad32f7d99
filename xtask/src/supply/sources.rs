//! What holds of our own sources as text: no unsafe code but what is listed, no rules of the compiler switched off for it, and nothing that
//! panics without saying why it cannot happen.
//!
//! Tests are left out: they may panic as they like. A panic of a handler is answered 500 and counted all the same.

use anyhow::ensure;

use crate::root;
use crate::shell::{command, quiet};

/// Crates that ship, whose sources must not panic.
const SHIPPED: [&str; 5] = [
    "protocol/src/",
    "sdk-wasm/src/",
    "collector/src/",
    "collector/store/src/",
    "collector/analysis/src/",
];

/// Files that may have unsafe code, each with its reason: how many heaps the C library keeps is told to a function of it,
/// which takes two numbers.
const UNSAFE: [&str; 1] = ["collector/src/heaps.rs"];

/// Files of a shipped crate that are compiled for tests or for the proofs only.
const FOR_TESTS: [&str; 6] =
    ["/tests", "/testing.rs", "/faults/", "/laws.rs", "/limits.rs", "/naive.rs"];

/// # Errors
/// Naming every line that is not so.
pub fn check() -> anyhow::Result<()> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    ensure!(manifest.contains("unsafe_code = \"deny\""), "Cargo.toml does not deny unsafe code");
    let listed = quiet(&mut command(&root(), "git", &["ls-files", "-co", "--exclude-standard"]))?;
    let mut wrong = Vec::new();
    for file in listed.lines() {
        // Files that are gone and not yet committed have nothing to say.
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        if file.ends_with("Cargo.toml")
            && file != "Cargo.toml"
            && !text.contains("[lints]\nworkspace = true")
        {
            wrong.push(format!("{file}: takes no lints of the workspace"));
        }
        if !file.ends_with(".rs") || file.starts_with("xtask/src/supply/") {
            continue;
        }
        if !UNSAFE.contains(&file) {
            wrong.extend(found(
                &text,
                &["unsafe {", "unsafe fn", "unsafe impl", "#[unsafe(", "(unsafe_code"],
                file,
            ));
        }
        let ships = SHIPPED.iter().any(|folder| file.starts_with(folder));
        let is_for_tests =
            FOR_TESTS.iter().any(|part| file.contains(part)) || file == "protocol/src/vectors.rs";
        if ships && !is_for_tests {
            let mut words = vec![".unwrap()", "panic!(", "todo!(", "unimplemented!("];
            words.extend([".expect(\"\")", ".unwrap_err()", "unreachable!()"]);
            wrong.extend(found(shipped(&text), &words, file));
        }
    }
    ensure!(
        wrong.is_empty(),
        "say with `expect` why it cannot happen, or handle it:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// A source up to the tests at its end.
fn shipped(text: &str) -> &str {
    let tests = ["\n#[cfg(test)]\nmod tests {", "\nmod tests {"];
    let end = tests.iter().filter_map(|mark| text.find(mark)).min();
    &text[..end.unwrap_or(text.len())]
}

/// Lines that have one of these words outside of comments.
fn found<'a>(text: &'a str, words: &'a [&str], file: &'a str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let code =
        lines.map(|(at, line)| (at + 1, line.split_once("//").map_or(line, |(code, _)| code)));
    let bad = code.filter(|(_, line)| words.iter().any(|word| line.contains(word)));
    bad.map(|(at, line)| format!("{file}:{at}: {}", line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_in_shipped_lines_is_found_and_in_tests_and_comments_is_not() {
        let text = "let a = b.unwrap(); // x\n// c.unwrap()\nlet d = e.expect(\"why\");\n\n#[cfg(test)]\nmod tests {\n a.unwrap() }";
        assert_eq!(found(shipped(text), &[".unwrap()"], "a.rs"), ["a.rs:1: let a = b.unwrap();"]);
    }
}
