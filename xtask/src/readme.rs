//! The command blocks of the README, run as they stand.
//!
//! A block is fenced with `sh`. All blocks of a file run in one shell, in order, in the project's
//! folder, with `set -e`. Three things differ from a reader's terminal, so that a run disturbs
//! nobody: `TALLYMARK_DATA` names a new folder and `shop.json` lies beside it, port 8787 becomes a
//! free one, and a block below a comment `<!-- ci: <command> -->` is replaced by that command (what would never end, and what
//! would call us again).

use std::net::TcpListener;

use anyhow::{Context, ensure};

use crate::root;
use crate::shell::{command, seconds};

/// Run the blocks of `README.md`; gives how many there were.
///
/// # Errors
/// When a block fails, with the block and what it said.
pub fn run() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string(root().join("README.md"))?;
    let blocks = blocks(&text);
    ensure!(!blocks.is_empty(), "README.md has no command blocks");
    let folder = std::env::temp_dir().join(format!("tallymark-readme-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let keys = folder.join("shop.json").to_string_lossy().into_owned();
    let script = script(&blocks).replace("8787", &port.to_string()).replace("shop.json", &keys);
    let from = std::time::Instant::now();
    let output = command(&root(), "bash", &["-c", &script])
        .env("TALLYMARK_DATA", folder.join("data"))
        .env("TALLYMARK_README", &folder)
        .output()
        .context("bash does not start")?;
    let _ = std::fs::remove_dir_all(&folder);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "a command block of README.md failed; the run said:\n{said}");
    println!("  {} blocks in {}", blocks.len(), seconds(from.elapsed()));
    Ok(blocks.len())
}

/// One script of all blocks: what was started in the background ends with it.
fn script(blocks: &[String]) -> String {
    let head = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";
    let parts = blocks.iter().map(|block| {
        let told = block.replace('\'', "'\\''");
        format!("printf '%s\\n' '$ {told}'\n{block}\n")
    });
    head.to_owned() + &parts.collect::<String>()
}

/// The `sh` blocks of a Markdown text, or what stands for them.
fn blocks(text: &str) -> Vec<String> {
    let (mut blocks, mut instead, mut open) = (Vec::new(), None, None::<String>);
    for line in text.lines() {
        let bare = line.trim();
        match &mut open {
            Some(block) if bare == "```" => {
                blocks.push(instead.take().unwrap_or_else(|| std::mem::take(block)));
                open = None;
            }
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
            None if bare == "```sh" => open = Some(String::new()),
            None => {
                let comment =
                    bare.strip_prefix("<!-- ci: ").and_then(|rest| rest.strip_suffix(" -->"));
                if comment.is_some() {
                    instead = comment.map(str::to_owned);
                }
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_runs_as_it_stands_unless_a_comment_replaces_it() {
        let text = "a\n```sh\none\ntwo\n```\n```js\nno\n```\n<!-- ci: three -->\n```sh\nno\n```\n```sh\nfour\n```\n";
        assert_eq!(blocks(text), ["one\ntwo\n", "three", "four\n"]);
    }
}
