//! `tallymark backup`, `restore` and `verify`.
//!
//! A backup is a data folder of one moment, and two files that describe it: `backup.json` says what it
//! is, `SHA256SUMS` what every file must be; `sha256sum -c` reads it too. It is written last, so a
//! backup that was broken off is none.
//!
//! In it: the catalog and the metadata database (`VACUUM INTO`), the segments (hard links where the
//! disk is the same), the log up to one frame, the settings file and the pepper. Not in it: the salts
//! of the day, which must be gone when the day is over, and whatever can be made again.
//!
//! A backup keeps what is erased after it was made: keep backups for 35 days, not for ever.
//!
//! Deliberately elsewhere: which files make a store at one moment (`tallymark_store`).

pub mod make;
pub mod manifest;
pub mod restore;
pub mod verify;
