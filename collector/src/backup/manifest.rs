//! What describes a backup: `backup.json` and `SHA256SUMS`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::folder::Pepper;

/// The version of backups that we write, and the newest we read.
pub const FORMAT: u32 = 1;
/// What the backup is.
pub const FACTS: &str = "backup.json";
/// A line per file, as `sha256sum` writes them.
pub const SUMS: &str = "SHA256SUMS";

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of this description.
    pub format: u32,
    /// The program that made it.
    pub version: String,
    /// When, Unix milliseconds.
    pub made_at: i64,
    /// The last log frame in it: all that was acknowledged before.
    pub seq: u64,
    /// Files in it, without the two that describe it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the pepper is in it.
    pub has_pepper: bool,
    /// Tells the pepper from another one, and nothing about it.
    pub pepper_check: String,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name below the folder, with `/` between folders.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// What tells a pepper from another one.
pub fn pepper_check(pepper: &Pepper) -> String {
    hex(&pepper.mac("backup", b"which pepper is this?")[..8])
}

/// Hashes what passes through.
pub struct Hashing<W> {
    out: W,
    hasher: Sha256,
}

impl<W: Write> Hashing<W> {
    /// Everything goes on to `out`.
    pub fn new(out: W) -> Self {
        Self { out, hasher: Sha256::new() }
    }

    /// The hash, and where the bytes went.
    pub fn finish(self) -> (String, W) {
        (hex(&self.hasher.finalize()), self.out)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Write the two files, durably, the sums last.
///
/// # Errors
/// When the system refuses.
pub fn write(folder: &Path, facts: &Facts, mut entries: Vec<Entry>) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(facts)? + "\n";
    entries.push(Entry { name: FACTS.into(), sha256: hex(&Sha256::digest(text.as_bytes())) });
    let sums: String =
        entries.iter().map(|entry| format!("{}  {}\n", entry.sha256, entry.name)).collect();
    for (name, text) in [(FACTS, &text), (SUMS, &sums)] {
        let path = folder.join(name);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.with_context(|| path.display().to_string())?;
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Read the two files.
///
/// # Errors
/// When the folder is no backup, is unfinished, damaged, or of a newer version.
pub fn read(folder: &Path) -> anyhow::Result<(Facts, Vec<Entry>)> {
    let shown = folder.display();
    let sums = match fs::read_to_string(folder.join(SUMS)) {
        Ok(sums) => sums,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "{shown} is no finished backup: it has no {SUMS}, which is written last; name the folder \
             that `tallymark backup` was given, or another backup"
        ),
        Err(error) => {
            let what = format!("{shown} is damaged: {SUMS} cannot be read; take another backup");
            return Err(error).context(what);
        }
    };
    let damaged = |what: &str| format!("{shown} is damaged: {what}; take another backup");
    let mut entries = Vec::new();
    for line in sums.lines() {
        let entry =
            parse(line).with_context(|| damaged(&format!("{SUMS} has the line {line:?}")))?;
        entries.push(entry);
    }
    let at = entries.iter().position(|entry| entry.name == FACTS);
    let of_facts = entries.remove(at.with_context(|| damaged(&format!("{SUMS} is cut short")))?);
    let text = fs::read_to_string(folder.join(FACTS)).with_context(|| damaged(FACTS))?;
    ensure!(
        hex(&Sha256::digest(text.as_bytes())) == of_facts.sha256,
        damaged(&format!("{FACTS} was changed"))
    );
    #[derive(Deserialize)]
    struct Version {
        format: u32,
        version: String,
    }
    let Version { format, version } =
        serde_json::from_str(&text).with_context(|| damaged(FACTS))?;
    ensure!(
        format <= FORMAT,
        "{shown} was made by tallymark {version} and has format {format}; this program reads up to \
         {FORMAT}: use a newer tallymark"
    );
    let facts: Facts = serde_json::from_str(&text).with_context(|| damaged(FACTS))?;
    ensure!(facts.files == entries.len() as u64, damaged(&format!("{SUMS} is not whole")));
    Ok((facts, entries))
}

fn parse(line: &str) -> Option<Entry> {
    let (sha256, name) = line.split_once("  ")?;
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A name that leads out of the folder is not one of ours.
    let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    (is_hash && is_inside && !name.is_empty())
        .then(|| Entry { name: name.to_owned(), sha256: sha256.to_owned() })
}

/// Pass a file of a backup on to `out`; its bytes, if they are those that were written.
///
/// # Errors
/// When it is missing or damaged, or `out` takes no more.
pub fn pass(folder: &Path, entry: &Entry, out: &mut dyn Write) -> anyhow::Result<u64> {
    let path: PathBuf = folder.join(&entry.name);
    let damaged = || format!("{} is missing or damaged; take another backup", path.display());
    let mut file = File::open(&path).with_context(damaged)?;
    let mut hashing = Hashing::new(out);
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer).with_context(damaged)?;
        if count == 0 {
            break;
        }
        hashing.write_all(&buffer[..count])?;
        bytes += count as u64;
    }
    let (sha256, _) = hashing.finish();
    ensure!(sha256 == entry.sha256, damaged());
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            format: FORMAT,
            version: "1".into(),
            made_at: 5,
            seq: 7,
            files: 1,
            bytes: 3,
            has_pepper: false,
            pepper_check: "00".into(),
        }
    }

    fn made() -> (tempfile::TempDir, Entry) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "abc").unwrap();
        let entry = Entry { name: "a".into(), sha256: hex(&Sha256::digest(b"abc")) };
        write(folder.path(), &facts(), vec![entry.clone()]).unwrap();
        (folder, entry)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (folder, entry) = made();
        assert_eq!(read(folder.path()).unwrap(), (facts(), vec![entry.clone()]));
        assert_eq!(pass(folder.path(), &entry, &mut io::sink()).unwrap(), 3);
    }

    #[test]
    fn every_changed_byte_of_a_backup_is_noticed() {
        let (folder, entry) = made();
        for name in ["a", FACTS, SUMS] {
            let path = folder.path().join(name);
            let whole = fs::read(&path).unwrap();
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 1;
                fs::write(&path, changed).unwrap();
                let noticed = read(folder.path())
                    .and_then(|(_, entries)| {
                        ensure!(entries == [entry.clone()], "another list");
                        pass(folder.path(), &entries[0], &mut io::sink())
                    })
                    .is_err();
                assert!(noticed, "byte {at} of {name}");
            }
            for length in 0..whole.len() {
                fs::write(&path, &whole[..length]).unwrap();
                let read = read(folder.path());
                let passed =
                    read.and_then(|(_, all)| pass(folder.path(), &all[0], &mut io::sink()));
                // A last line without its line feed says the same.
                assert!(passed.is_err() || name == SUMS && length + 1 == whole.len(), "{name}");
            }
            fs::write(&path, whole).unwrap();
        }
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        let hash = "0".repeat(64);
        assert!(parse(&format!("{hash}  seg/2026-W47/1.parquet")).is_some());
        for name in ["../a", "/etc/passwd", "a/../../b", ""] {
            assert!(parse(&format!("{hash}  {name}")).is_none(), "{name}");
        }
    }

    #[test]
    fn a_newer_backup_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &Facts { format: FORMAT + 1, files: 0, ..facts() }, vec![]).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("use a newer tallymark"), "{error}");
    }
}
