//! A segment's presence: from the file beside it, else made from its rows.
//!
//! Invariant: what is wrong with the file never shows; only a segment that cannot be read does.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type};

use super::Segment;
use crate::error::ScanError;
use crate::options::Zones;
use crate::presence::{Builder, Origin, Rollup, Rows, Stored};

/// What a segment knows of its presence.
#[derive(Debug, Default)]
pub(super) struct Slot {
    stored: Mutex<Option<Arc<Stored>>>,
}

impl Segment {
    /// Its presence; a second thread that wants it waits for the first. `None` when it would have to
    /// be made and `stop` says that there is no time for it.
    ///
    /// # Errors
    /// [`ScanError`] when the segment itself cannot be read.
    pub(crate) fn presence(
        &self,
        zones: &Zones,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Arc<Stored>>, ScanError> {
        let mut slot = self.presence.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stored) = &*slot {
            return Ok(Some(Arc::clone(stored)));
        }
        let path = self.path.with_extension("presence");
        let origin = self.origin();
        let stored = match Stored::open(&*self.disk, &path, &origin, zones) {
            Some(stored) => stored,
            None => {
                let mut builder = Builder::new(origin.ts_ms, zones);
                for group in 0..self.info.groups.len() as u32 {
                    if stop() {
                        return Ok(None);
                    }
                    self.with_rows(group, |rows| builder.add(rows))?;
                }
                let made = builder.finish();
                Stored::keep(&*self.disk, made, &origin, &self.unfinished_presence, &path, zones)
            }
        };
        let stored = Arc::new(stored);
        *slot = Some(Arc::clone(&stored));
        Ok(Some(stored))
    }

    /// Keep what was made of its rows while they were written.
    pub(crate) fn keep_presence(&self, made: Rollup, zones: &Zones) {
        let path = self.path.with_extension("presence");
        let (disk, unfinished) = (&*self.disk, &self.unfinished_presence);
        let stored = Stored::keep(disk, made, &self.origin(), unfinished, &path, zones);
        let mut slot = self.presence.stored.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Arc::new(stored));
    }

    /// Whether it is there without work.
    pub(crate) fn has_presence(&self) -> bool {
        self.presence.stored.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What was read is damaged: make it anew the next time.
    pub(crate) fn forget_presence(&self) {
        tracing::warn!(segment = self.meta.id.0, "a presence file is damaged; it is made anew");
        let mut slot = self.presence.stored.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        self.remove_presence();
        self.cache.forget(self.meta.id);
    }

    /// Remove the file, if there is one.
    pub(super) fn remove_presence(&self) {
        let path = self.path.with_extension("presence");
        // What cannot be removed does not fit any other segment, and goes at the next start.
        let _ = self.disk.remove(&path);
    }

    fn origin(&self) -> Origin {
        Origin {
            segment: self.meta.id.0,
            rows: self.meta.rows,
            bytes: self.meta.bytes,
            ts_ms: (self.meta.ts_min_ms, self.meta.ts_max_ms),
        }
    }

    /// The rows of a row group.
    fn with_rows(&self, group: u32, look: impl FnOnce(&Rows<'_>)) -> Result<(), ScanError> {
        let columns = self.columns(group, &["project", "person", "ts", "event", "flags"])?;
        let events =
            columns[3].as_dictionary_opt::<Int32Type>().ok_or_else(|| self.wrong_type())?;
        if events.keys().null_count() > 0 {
            return Err(self.damaged("an event has no name"));
        }
        let names = events.values().as_string_opt::<i32>().ok_or_else(|| self.wrong_type())?;
        look(&Rows {
            projects: self.primitive::<UInt32Type>(&columns[0])?,
            persons: self.primitive::<UInt64Type>(&columns[1])?,
            ts_ms: self.primitive::<TimestampMillisecondType>(&columns[2])?,
            events: &events.keys().values().iter().map(|key| *key as u32).collect::<Vec<_>>(),
            names: &names.iter().map(|name| name.unwrap_or("")).collect::<Vec<_>>(),
            flags: self.primitive::<UInt8Type>(&columns[4])?,
        });
        Ok(())
    }
}
