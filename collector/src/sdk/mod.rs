//! The browser SDK, inside the binary and served to pages that have no bundler.
//!
//! In: the files that `cargo xtask build` made (`collector/sdk`). Out: `/sdk/<build>/<file>`, which
//! never changes, so that pages may name its hash and browsers may keep it; and the script tag that
//! does so ([`snippet`]).
//!
//! Invariant: what a page names stays. A tag with a hash outlives the collector that wrote it, so
//! every build that was served, or was printed in a tag, is kept in the metadata database and goes on
//! being served by later versions.
//!
//! Deliberately elsewhere: how the files are made (`xtask`), what they do (`npm`).

pub mod handler;
pub mod snippet;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha384};

use crate::meta::{Meta, MetaError};

/// The script that a tag names.
pub const SCRIPT: &str = "tallymark.js";

/// A file of the SDK.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
    /// The same, packed, where that makes it smaller.
    pub brotli: Option<&'static [u8]>,
}

/// The files of this build by name; none where the binary was built without the SDK.
pub static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

/// The name of this build: it changes with any byte of any file.
pub static BUILD: LazyLock<String> = LazyLock::new(|| build_of(FILES));

fn build_of(files: &[File]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        digest.update((file.name.len() as u64).to_be_bytes());
        digest.update(file.name);
        digest.update((file.bytes.len() as u64).to_be_bytes());
        digest.update(file.bytes);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A file of this build.
pub fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

/// What a tag says about a script's content, for browsers to check (Subresource Integrity).
pub fn integrity(bytes: &[u8]) -> String {
    format!("sha384-{}", STANDARD.encode(Sha384::digest(bytes)))
}

/// Keep this build for pages that will name it after it was replaced.
///
/// # Errors
/// When the database fails.
pub async fn keep(meta: &Meta) -> Result<(), MetaError> {
    meta.sdk_files().keep(&BUILD, FILES).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_by_every_byte_and_name_of_it() {
        const ONE: File = File { name: "a.js", bytes: b"bc", brotli: None };
        let name = build_of(&[ONE]);
        assert_eq!(name.len(), 16);
        assert_eq!(name, build_of(&[File { brotli: Some(b"x"), ..ONE }]));
        for other in
            [File { bytes: b"bd", ..ONE }, File { name: "a.jsb", bytes: b"c", brotli: None }]
        {
            assert_ne!(name, build_of(&[other]));
        }
        assert_ne!(name, build_of(&[ONE, ONE]));
    }

    #[test]
    fn integrity_is_what_browsers_check() {
        // openssl dgst -sha384 -binary </dev/null | base64
        let empty = "sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb";
        assert_eq!(integrity(b""), empty);
    }
}
