//! Making a backup of a folder whose store is open, here or in a server that goes on taking events.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tallymark_store::StoreFile;
use tokio::runtime::Handle;

use super::manifest::{self, Entry, FORMAT, Facts, Hashing};
use crate::app::App;
use crate::console::Console;

/// A backup to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BackupTask {
    /// The folder to make; it must not be there, or be empty.
    pub to: PathBuf,
    /// Whether the pepper stays out.
    pub without_pepper: bool,
    /// Whether the outcome is printed as JSON.
    pub json: bool,
}

/// Make it, and say what is in it.
///
/// # Errors
/// When the place cannot be used, or a file cannot be read or written. What was made until then is
/// no backup, because it has no sums.
pub fn backup(
    app: &App,
    handle: &Handle,
    task: &BackupTask,
    console: &mut dyn Console,
) -> anyhow::Result<()> {
    let mut copy = Copy::begin(&task.to, app.folder.root())?;
    let (catalog_db, meta_db) = (app.folder.catalog_db(), app.folder.meta_db());

    let held = app.store.hold_catalog();
    handle.block_on(app.catalog.copy_to(&copy.place(&catalog_db)?))?;
    let files = held.files()?;
    // After the events: a project is there before its events are.
    handle.block_on(app.meta.copy_to(&copy.place(&meta_db)?))?;
    for database in [&catalog_db, &meta_db] {
        copy.made(&copy.place(database)?)?;
    }
    for file in &files.files {
        copy.part(file)?;
    }
    if app.folder.settings_file().exists() {
        copy.whole(&app.folder.settings_file(), 0o644)?;
    }
    if !task.without_pepper {
        copy.whole(&app.folder.pepper_file(), 0o600)?;
    }
    let facts = Facts {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: app.clock.now_ms(),
        seq: files.seq,
        files: copy.entries.len() as u64,
        bytes: copy.bytes,
        has_pepper: !task.without_pepper,
        pepper_check: manifest::pepper_check(&app.pepper),
    };
    let linked = copy.linked;
    copy.end(&facts)?;

    if task.json {
        let mut all = json!({ "to": task.to, "linked_bytes": linked });
        if let (Some(all), Some(facts)) =
            (all.as_object_mut(), serde_json::to_value(&facts)?.as_object())
        {
            all.extend(facts.clone());
        }
        return Ok(console.out(format!("{all}\n").as_bytes())?);
    }
    let shown = task.to.display();
    let pepper = if facts.has_pepper {
        "The pepper is in it: whoever has this folder can tell who is who by raw ids. Keep it encrypted,\n\
         or use --without-pepper and keep the pepper apart."
    } else {
        "The pepper is not in it: keep a copy of it apart. Without it no key works and no known person\n\
         is met again."
    };
    let text = format!(
        "{shown}: {} files, {} bytes ({linked} of them linked, not copied)\nall that was acknowledged \
         up to log frame {}\n\n{pepper}\nIt keeps what is erased from now on: keep backups for 35 days, \
         not for ever.\n",
        facts.files, facts.bytes, facts.seq
    );
    Ok(console.out(text.as_bytes())?)
}

/// A backup that is being made.
struct Copy {
    to: PathBuf,
    entries: Vec<Entry>,
    bytes: u64,
    linked: u64,
}

impl Copy {
    fn begin(to: &Path, data: &Path) -> anyhow::Result<Copy> {
        let shown = to.display();
        fs::create_dir_all(to).with_context(|| format!("{shown} cannot be made"))?;
        let to = to.canonicalize().with_context(|| shown.to_string())?;
        let data = data.canonicalize()?;
        ensure!(
            !to.starts_with(&data),
            "{shown} is inside the data folder, and would be lost with it; name another place"
        );
        let is_empty = fs::read_dir(&to).with_context(|| shown.to_string())?.next().is_none();
        ensure!(is_empty, "{shown} is not empty; name a new folder for each backup");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o700))?;
        Ok(Copy { to, entries: Vec::new(), bytes: 0, linked: 0 })
    }

    /// Where a file of the data folder goes.
    fn place(&self, file: &Path) -> anyhow::Result<PathBuf> {
        Ok(self.to.join(file.file_name().context("a file has a name")?))
    }

    /// Take a file into the list that was made in the backup by somebody else.
    fn made(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut hashing = Hashing::new(io::sink());
        let mut file = File::open(path)?;
        let bytes = io::copy(&mut file, &mut hashing)?;
        file.sync_all()?;
        let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        self.list(name, hashing.finish().0, bytes);
        Ok(())
    }

    /// A file of the store: linked if it never changes again and the disk is the same.
    fn part(&mut self, file: &StoreFile) -> anyhow::Result<()> {
        let target = self.to.join(&file.name);
        let context = || target.display().to_string();
        fs::create_dir_all(target.parent().context("a file is in a folder")?)?;
        if file.is_final && fs::hard_link(&file.path, &target).is_ok() {
            let mut hashing = Hashing::new(io::sink());
            file.copy_to(&mut hashing).with_context(context)?;
            self.linked += file.bytes;
            self.list(file.name.clone(), hashing.finish().0, file.bytes);
            return Ok(());
        }
        let mut hashing = Hashing::new(create(&target, 0o600).with_context(context)?);
        file.copy_to(&mut hashing).with_context(context)?;
        let (sha256, out) = hashing.finish();
        out.sync_all().with_context(context)?;
        self.list(file.name.clone(), sha256, file.bytes);
        Ok(())
    }

    /// A small file of the data folder.
    fn whole(&mut self, file: &Path, mode: u32) -> anyhow::Result<()> {
        let target = self.place(file)?;
        let bytes = fs::read(file).with_context(|| file.display().to_string())?;
        let mut out = create(&target, mode).with_context(|| target.display().to_string())?;
        out.write_all(&bytes)?;
        drop(out);
        self.made(&target)
    }

    fn list(&mut self, name: String, sha256: String, bytes: u64) {
        self.bytes += bytes;
        self.entries.push(Entry { name, sha256 });
    }

    fn end(self, facts: &Facts) -> anyhow::Result<()> {
        sync_folders(&self.to)?;
        manifest::write(&self.to, facts, self.entries)
    }
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Make the names in a folder and in those below it durable.
pub(super) fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    File::open(folder)?.sync_all()
}
