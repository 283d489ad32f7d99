//! The data folder: where its files are, and the one secret in it.
//!
//! In: a path. Out: paths of what lives there, and the [`Pepper`], made on first use.
//!
//! Invariant: the pepper is never in a database, a log or an answer; its file is readable by its
//! owner only, and a pepper file that others can read is refused rather than used.
//!
//! Deliberately elsewhere: what the store keeps under `wal/`, `seg/` and `tmp/`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A data folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder is not there, and this command does not make one.
    #[error(
        "there is no data folder at {0}; `tallymark project create` or `tallymark serve` makes one, \
         --data names another"
    )]
    Missing(PathBuf),
    /// A file system error.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Someone else can read the pepper.
    #[error("{path} has mode {mode:o}, so others may read the secret in it; run: chmod 600 {path}")]
    PepperExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The pepper is not 32 bytes.
    #[error(
        "{path} holds {got} bytes instead of 32; restore it from a backup: with another pepper no key \
         is recognised and no known person is met again"
    )]
    PepperDamaged {
        /// The file.
        path: PathBuf,
        /// Its length.
        got: usize,
    },
}

impl Folder {
    /// A folder that may not exist yet; nothing is touched.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Make the folder if it is not there, for its owner only.
    ///
    /// # Errors
    /// [`FolderError::Io`] when the system refuses.
    pub fn create(&self) -> Result<(), FolderError> {
        if self.root.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.root).map_err(|e| self.io("cannot make", &self.root, e))?;
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o700))
            .map_err(|e| self.io("cannot set the mode of", &self.root, e))
    }

    /// # Errors
    /// [`FolderError::Missing`] when the folder is not there.
    pub fn must_exist(&self) -> Result<(), FolderError> {
        if self.root.is_dir() { Ok(()) } else { Err(FolderError::Missing(self.root.clone())) }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Projects, keys and sessions.
    pub fn meta_db(&self) -> PathBuf {
        self.root.join("tallymark.sqlite")
    }

    /// The segments of the event store.
    pub fn catalog_db(&self) -> PathBuf {
        self.root.join("catalog.sqlite")
    }

    /// Where a running server listens for commands.
    pub fn control_socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// The settings file that is read when no other is named.
    pub fn settings_file(&self) -> PathBuf {
        self.root.join("tallymark.toml")
    }

    /// Where the chains of the audit trail ended, day by day, unless another file is named.
    pub fn audit_anchors(&self) -> PathBuf {
        self.root.join("audit-anchors.jsonl")
    }

    /// The salts of the cookieless mode, encrypted.
    pub fn day_salts(&self) -> PathBuf {
        self.root.join("day-salts")
    }

    /// The secret of this installation.
    pub fn pepper_file(&self) -> PathBuf {
        self.root.join("pepper")
    }

    /// The pepper, made of the system's randomness if there is none yet.
    ///
    /// # Errors
    /// When it cannot be read or written, has the wrong length, or is readable by others.
    pub fn pepper(&self) -> Result<Pepper, FolderError> {
        let path = self.pepper_file();
        let mut fresh = [0u8; 32];
        getrandom::fill(&mut fresh)
            .map_err(|e| self.io("cannot get randomness for", &path, io::Error::other(e)))?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                file.write_all(&fresh)
                    .and_then(|()| file.sync_all())
                    .map_err(|e| self.io("cannot write", &path, e))?;
                Ok(Pepper(fresh))
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.read_pepper(&path),
            Err(e) => Err(self.io("cannot make", &path, e)),
        }
    }

    fn read_pepper(&self, path: &Path) -> Result<Pepper, FolderError> {
        let mode = fs::metadata(path)
            .map_err(|e| self.io("cannot look at", path, e))?
            .permissions()
            .mode()
            & 0o777;
        if mode & 0o077 != 0 {
            return Err(FolderError::PepperExposed { path: path.to_path_buf(), mode });
        }
        let bytes = fs::read(path).map_err(|e| self.io("cannot read", path, e))?;
        let got = bytes.len();
        <[u8; 32]>::try_from(bytes)
            .map(Pepper)
            .map_err(|_| FolderError::PepperDamaged { path: path.to_path_buf(), got })
    }

    fn io(&self, what: &'static str, path: &Path, source: io::Error) -> FolderError {
        FolderError::Io { what, path: path.to_path_buf(), source }
    }
}

/// The secret of this installation: 32 random bytes.
#[derive(Clone)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// A pepper of known bytes, for tests.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the keyed hash of ids.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA256 under the pepper, kept apart by `purpose`.
    pub fn mac(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(data);
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Pepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pepper(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pepper_is_made_once_for_its_owner_only_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        let first = folder.pepper().unwrap();
        assert_eq!(folder.pepper().unwrap().bytes(), first.bytes());
        let mode = fs::metadata(folder.pepper_file()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn a_pepper_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        folder.pepper().unwrap();
        fs::set_permissions(folder.pepper_file(), fs::Permissions::from_mode(0o644)).unwrap();
        let error = folder.pepper().unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_pepper_of_the_wrong_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        folder.pepper().unwrap();
        fs::write(folder.pepper_file(), b"short").unwrap();
        assert!(matches!(folder.pepper(), Err(FolderError::PepperDamaged { got: 5, .. })));
    }
}
