//! Making a data folder of a backup.
//!
//! Invariant: the folder gets its files only when all of them are there and are what they were; a
//! restore that fails leaves it as it was.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::make::sync_folders;
use super::manifest::{self, Entry, Facts};
use crate::folder::Folder;

/// Where files wait until all are there.
const WAITING: &str = "restore.tmp";

/// Make the data folder of the backup in `from`. `pepper` names a copy of the pepper that was kept
/// apart.
///
/// # Errors
/// When the folder is in use, the backup is damaged, or the pepper is another one.
pub fn restore(from: &Path, folder: &Folder, pepper: Option<&Path>) -> anyhow::Result<Facts> {
    let (facts, entries) = manifest::read(from)?;
    let root = folder.root();
    let shown = root.display();
    match fs::read_dir(root) {
        Ok(mut files) => ensure!(
            files.next().is_none(),
            "{shown} is not empty: restore into a new folder (--data names it), and put it in the place \
             of the old one when it is as you want it"
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| shown.to_string()),
    }
    if !facts.has_pepper && pepper.is_none() {
        bail!(
            "this backup was made without the pepper; --pepper FILE names the copy that was kept apart. \
             Without it no key works and no known person is met again"
        );
    }
    folder.create()?;
    let waiting = root.join(WAITING);
    let made = fill(from, &entries, &waiting, pepper).and_then(|()| {
        let found = manifest::pepper_check(&Folder::at(&waiting).pepper()?);
        ensure!(
            found == facts.pepper_check,
            "the pepper is not the one that this backup was made with; --pepper names another file"
        );
        take(&waiting, root)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&waiting);
    }
    made.map(|()| facts)
}

/// Read the whole backup, and give up at the first file that is not what it was.
///
/// # Errors
/// When it is damaged.
pub fn check(from: &Path) -> anyhow::Result<Facts> {
    let (facts, entries) = manifest::read(from)?;
    for entry in &entries {
        manifest::pass(from, entry, &mut io::sink())?;
    }
    Ok(facts)
}

fn fill(
    from: &Path,
    entries: &[Entry],
    waiting: &Path,
    pepper: Option<&Path>,
) -> anyhow::Result<()> {
    fs::create_dir(waiting)?;
    for entry in entries {
        let target = waiting.join(&entry.name);
        fs::create_dir_all(target.parent().context("a file is in a folder")?)?;
        let mut file = create(&target).with_context(|| target.display().to_string())?;
        manifest::pass(from, entry, &mut file)?;
        file.sync_all()?;
    }
    if let Some(pepper) = pepper {
        let target: PathBuf = Folder::at(waiting).pepper_file();
        let _ = fs::remove_file(&target);
        let mut file = create(&target)?;
        let mut copy = File::open(pepper).with_context(|| pepper.display().to_string())?;
        io::copy(&mut copy, &mut file)?;
        file.sync_all()?;
    }
    Ok(sync_folders(waiting)?)
}

/// Everything one folder up; the catalog last, because with it the segments become real.
fn take(waiting: &Path, root: &Path) -> anyhow::Result<()> {
    let files = fs::read_dir(waiting)?.collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<_> = files.into_iter().map(|file| file.file_name()).collect();
    let catalog = Folder::at(root).catalog_db();
    names.sort_by_key(|name| Some(name.as_os_str()) == catalog.file_name());
    for name in names {
        fs::rename(waiting.join(&name), root.join(&name))?;
    }
    fs::remove_dir(waiting)?;
    Ok(File::open(root)?.sync_all()?)
}

/// For its owner only, like everything in a data folder.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
