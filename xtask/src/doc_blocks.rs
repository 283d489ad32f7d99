//! The same words twice in the documentation of the sources: one of them will rot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::root;
use crate::shell::{command, quiet};

/// Lines with words in them. Shorter blocks may well be equal by chance, and headings always are.
const LINES: usize = 4;

/// Find blocks of comment lines that stand in two places.
///
/// # Errors
/// When there are any, naming both places.
pub fn check() -> anyhow::Result<()> {
    let listed = quiet(&mut command(&root(), "git", &["ls-files", "-co", "--exclude-standard"]))?;
    let sources = listed
        .lines()
        .filter(|file| [".rs", ".ts", ".tsx", ".mjs"].iter().any(|ending| file.ends_with(ending)));
    let mut places: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for file in sources {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        for (line, block) in blocks(&text) {
            places.entry(block).or_default().push(format!("{file}:{line}"));
        }
    }
    let twice: Vec<_> =
        places.into_values().filter(|places| places.len() > 1).map(|at| at.join(" and ")).collect();
    ensure!(twice.is_empty(), "the same documentation stands in {}", twice.join("; in "));
    Ok(())
}

/// Blocks of at least [`LINES`] comment lines with their first line's number.
fn blocks(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut blocks = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for (index, line) in text.lines().chain([""]).enumerate() {
        let line = line.trim();
        let comment = ["///", "//!", "//", "*"].iter().find_map(|mark| line.strip_prefix(mark));
        match comment {
            Some(words) => open.push(words.trim().to_owned()),
            None => {
                let block = std::mem::take(&mut open);
                let words = block.iter().filter(|line| !line.is_empty() && !line.starts_with('#'));
                if words.count() >= LINES {
                    blocks.push((index + 1 - block.len(), block));
                }
            }
        }
    }
    blocks
}

/// Every relative link of the root's Markdown files leads somewhere.
///
/// # Errors
/// Naming the links that do not.
pub fn links() -> anyhow::Result<()> {
    let listed =
        quiet(&mut command(&root(), "git", &["ls-files", "-co", "--exclude-standard", "*.md"]))?;
    let mut broken = Vec::new();
    for file in listed.lines() {
        let path = root().join(file);
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let folder = path.parent().map_or_else(root, Path::to_path_buf);
        broken.extend(
            targets(&text).filter(|to| !exists(&folder, to)).map(|to| format!("{file}: {to}")),
        );
    }
    ensure!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    Ok(())
}

/// Targets of `[…](…)` that are no addresses.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).filter(|target| {
        !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:")
    })
}

fn exists(folder: &Path, target: &str) -> bool {
    let file: PathBuf = folder.join(target.split('#').next().unwrap_or_default());
    file.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_four_lines_of_words_without_a_gap() {
        let text = "/// a\n/// b\n/// c\n/// d\nfn x() {}\n// a\n// b\n\n// c\n// d\n\n\
                    /// a\n/// b\n///\n/// # Errors\n/// c\n";
        let four = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(blocks(text), [(1, four)]);
    }

    #[test]
    fn only_links_inside_the_project_are_followed() {
        let text = "[a](b.md#c) [d](https://e.example/f) [g](#h) ![i](docs/j.png)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["b.md#c", "docs/j.png"]);
    }
}
