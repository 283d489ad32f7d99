//! Anchors of the audit trail: where each chain ended, once a day, in a file that only grows.
//!
//! In: the ends of the chains. Out: lines `{"at", "organisation", "acts", "head"}`. Whoever can rewrite the database can rewrite a whole
//! chain with right hashes; an anchor on a disk that they cannot reach tells. So the setting `audit_anchors` names a file
//! elsewhere, and every anchor is logged too.
//!
//! Deliberately elsewhere: the chains (`meta::audit`), when (`usage::rollup`).

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use tallymark_protocol::hashing::to_hex;

use crate::app::App;
use crate::config::Config;
use crate::folder::Folder;
use crate::meta::audit::Head;

/// Where a chain ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// When that was, Unix milliseconds.
    pub at: i64,
    /// Whose: its number.
    pub organisation: u32,
    /// Acts in it.
    pub acts: u64,
    /// The hash of the last one, in hexadecimal.
    pub head: String,
}

/// The file of anchors.
pub fn file(config: &Config, folder: &Folder) -> PathBuf {
    match config.audit_anchors.as_str() {
        "" => folder.audit_anchors(),
        named => PathBuf::from(named),
    }
}

/// Write down where the chains end that grew since the last anchor. Says how many did.
///
/// # Errors
/// When the trail is not as it was written, or the file cannot be written.
pub async fn drop_now(app: &App) -> anyhow::Result<usize> {
    let (heads, at) = (app.meta.check_audit().await?, app.clock.now_ms());
    let path = file(&app.config, &app.folder);
    let grown = tokio::task::spawn_blocking(move || append(&path, &heads, at)).await??;
    for Anchor { organisation, acts, head, .. } in &grown {
        tracing::info!(organisation, acts, head, "the audit trail was anchored");
    }
    Ok(grown.len())
}

fn append(path: &Path, heads: &[Head], at: i64) -> anyhow::Result<Vec<Anchor>> {
    let at_path = || format!("{} (setting audit_anchors)", path.display());
    let known = read(path).with_context(at_path)?;
    let last: HashMap<u32, u64> =
        known.iter().map(|anchor| (anchor.organisation, anchor.acts)).collect();
    let grown = heads.iter().filter(|head| last.get(&head.organisation) != Some(&head.rows));
    let grown: Vec<Anchor> = grown
        .map(|head| Anchor {
            at,
            organisation: head.organisation,
            acts: head.rows,
            head: to_hex(&head.hash),
        })
        .collect();
    let mut lines = String::new();
    for anchor in &grown {
        lines.push_str(&serde_json::to_string(anchor)?);
        lines.push('\n');
    }
    if !lines.is_empty() {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| {
            file.write_all(lines.as_bytes())?;
            file.sync_all()
        });
        written.with_context(at_path)?;
    }
    Ok(grown)
}

/// The anchors of a file; none when there is no file. A last line that was not written to its end is no anchor.
///
/// # Errors
/// When it cannot be read, or another line is none of ours.
pub fn read(path: &Path) -> io::Result<Vec<Anchor>> {
    let file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut lines = BufReader::new(file).lines().enumerate().peekable();
    let mut anchors = Vec::new();
    while let Some((index, line)) = lines.next() {
        match serde_json::from_str(&line?) {
            Ok(anchor) => anchors.push(anchor),
            Err(_) if lines.peek().is_none() => break,
            Err(error) => {
                let said = format!("line {} is no anchor: {error}", index + 1);
                return Err(io::Error::new(io::ErrorKind::InvalidData, said));
            }
        }
    }
    Ok(anchors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(organisation: u32, rows: u64) -> Head {
        Head { organisation, rows, hash: [organisation as u8; 32] }
    }

    #[test]
    fn what_grew_is_anchored_and_what_was_torn_is_no_anchor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchors");
        assert_eq!(read(&path).unwrap(), []);
        assert_eq!(append(&path, &[head(1, 3), head(2, 1)], 10).unwrap().len(), 2);
        assert_eq!(append(&path, &[head(1, 3), head(2, 1)], 20).unwrap(), []);
        let grown = append(&path, &[head(1, 3), head(2, 2)], 30).unwrap();
        let hash = "02".repeat(32);
        assert_eq!(grown, [Anchor { at: 30, organisation: 2, acts: 2, head: hash }]);
        assert_eq!(read(&path).unwrap().len(), 3);

        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        std::fs::write(&path, format!("{}\nnonsense\n{whole}", "")).unwrap();
        let said = read(&path).unwrap_err().to_string();
        assert!(said.contains("line 1 is no anchor"), "{said}");
    }
}
