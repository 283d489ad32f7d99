//! The end of an import: what the store has is left out, the rest becomes segments.
//!
//! Order: find the ids that are stored; write segments without them; look once more, while the writer
//! stands still; commit. When live events brought an id of the import in between, the segments are
//! written again. That ends, because each time ids leave the import that never come back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::ids::IdSet;
use super::tally::{Tally, add_presence};
use super::{Load, Loaded, Place, Places, by_place, promoted, span};
use crate::catalog::{CatalogChange, RestatedDay, SegmentId, SegmentMeta, day_of};
use crate::columns::Columns;
use crate::dedupe::Bucket;
use crate::error::FlushError;
use crate::keeper::ordered::damaged;
use crate::keeper::rewrite::Rewrite;
use crate::keeper::write::Output;
use crate::presence::Builder;
use crate::segment::PromotedKind;
use crate::shared::{Counters, View};

/// Told how many rows are written, of how many. Breaking ends the import.
pub type OnProgress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Row groups that are encoded at once, at most: by then the thread that brings the rows is the slowest.
const ENCODERS_MAX: usize = 4;

/// Where the ids of an import were looked for.
struct Search {
    /// The ids of the import.
    ids: IdSet,
    days: BTreeSet<Bucket>,
    segments: BTreeSet<SegmentId>,
    found: Arc<IdSet>,
}

/// Segments that are written and not real yet.
struct Written {
    add: Vec<SegmentMeta>,
    tally: Tally,
}

impl Load<'_> {
    /// Store all rows that the store does not have.
    ///
    /// # Errors
    /// [`FlushError`]; then nothing is stored, unless the log failed after the segments were real. Doing
    /// it again is right in any case.
    pub fn finish(self, progress: OnProgress<'_>) -> Result<Loaded, FlushError> {
        let loaded =
            if self.sorted().rows > 0 { self.store_runs(progress)? } else { Loaded::default() };
        // After the segments: until they are real, nothing of the import is.
        let newcomers = std::mem::take(&mut self.claimed().people);
        let joined = newcomers
            .append(self.store, &self.taken)
            .map_err(|error| self.in_tmp()(error.into_io()))?;
        Ok(Loaded {
            stored: loaded.stored + joined.stored,
            duplicate: loaded.duplicate + joined.duplicate,
            erased: joined.erased,
        })
    }

    fn store_runs(&self, progress: OnProgress<'_>) -> Result<Loaded, FlushError> {
        let runs = std::mem::take(&mut self.sorted().runs);
        let ids = std::mem::replace(&mut self.claimed().ids, self.no_ids()?);
        let days = ids.days();
        let found = Arc::new(self.no_ids()?);
        let mut search = Search { ids, days, segments: BTreeSet::new(), found };
        self.search(&mut search, &self.store.shared.view())?;
        loop {
            let without = Arc::clone(&search.found);
            let known = without.len();
            let written = self.write(&runs, without, progress)?;
            // Most of what came meanwhile is looked at while the writer goes on.
            let flushed = self.store.flush();
            let last = flushed.and_then(|()| {
                self.search(&mut search, &self.store.shared.view())?;
                let gate = self.store.shared.ids_gate();
                self.search(&mut search, &self.store.shared.view())?;
                Ok(gate)
            });
            match last {
                Ok(mut gate) if search.found.len() == known => {
                    let stored = written.add.iter().map(|meta| meta.rows).sum();
                    // Not all that is known was to be written: rows that join a device come later.
                    let duplicate = self.sorted().rows - stored;
                    self.commit(written)?;
                    gate.extend(&search.days);
                    drop(gate);
                    let counters = &self.store.shared.counters;
                    Counters::add(&counters.appended, stored);
                    Counters::add(&counters.duplicates, duplicate);
                    return Ok(Loaded { stored, duplicate, erased: 0 });
                }
                Ok(_) => self.discard(&written.add),
                Err(error) => {
                    self.discard(&written.add);
                    return Err(error);
                }
            }
        }
    }

    fn no_ids(&self) -> Result<IdSet, FlushError> {
        Ok(IdSet::new(self.project, self.store.room_for_ids()?))
    }

    /// Look for ids of the import in what was not looked at before.
    fn search(&self, search: &mut Search, view: &View) -> Result<(), FlushError> {
        let Search { ids, days, segments, found } = search;
        // The segments that were written without it are done with it.
        let found = Arc::get_mut(found).ok_or(FlushError::Closed)?;
        let mut looked = Ok(());
        let mut look = |project: u32, id: u128| {
            if project == self.project && looked.is_ok() {
                looked = ids
                    .contains(id)
                    .and_then(|is_ours| if is_ours { found.insert(id).map(drop) } else { Ok(()) });
            }
        };
        for segment in view.segments.iter() {
            if segments.insert(segment.meta().id) && segment.may_hold_ids(days) {
                segment.ids(&mut look).map_err(damaged)?;
            }
        }
        if let Some(frozen) = &view.frozen {
            frozen.rows.ids(&mut look);
        }
        view.active.ids(&mut look);
        looked.map_err(self.in_tmp())
    }

    fn write(
        &self,
        runs: &[Places],
        without: Arc<IdSet>,
        progress: OnProgress<'_>,
    ) -> Result<Written, FlushError> {
        let (promoted, total) = {
            let sorted = self.sorted();
            (promoted(&sorted.keys, sorted.rows), sorted.rows)
        };
        let without = (without.len() > 0).then_some(without);
        let mut tally = Tally::default();
        let mut add = Vec::new();
        let mut before = 0;
        for (name, places) in by_place(runs.to_vec()) {
            let written =
                self.write_place(&name, places, &promoted, &without, &mut tally, &mut |rows| {
                    progress(before + rows, total)
                });
            match written {
                Ok((meta, rows)) => {
                    add.extend(meta);
                    before += rows;
                }
                Err(error) => {
                    self.discard(&add);
                    return Err(error);
                }
            }
        }
        Ok(Written { add, tally })
    }

    /// One segment, if any row is left. Also how many rows there were.
    fn write_place(
        &self,
        name: &str,
        places: Vec<Place>,
        promoted: &[(String, PromotedKind)],
        without: &Option<Arc<IdSet>>,
        tally: &mut Tally,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(Option<SegmentMeta>, u64), FlushError> {
        let (keeper, zones) = (&self.store.keeper, &self.store.shared.options.zones);
        let rows = places.iter().map(|place| place.run.rows).sum();
        // Presence is told beforehand which times to expect; with rows left out they may be others.
        let mut presence = without.is_none().then(|| Builder::new(span(&places), zones));
        let done = Cell::new(0);
        let mut watch = |columns: &Columns| {
            tally.add(self.project, columns);
            if let Some(presence) = &mut presence {
                add_presence(presence, columns);
            }
            done.set(done.get() + columns.len() as u64);
        };
        let output = Output {
            week: name,
            level: self.level(rows),
            promoted: promoted.to_vec(),
            has_ids: true,
            link_epoch: self.epoch,
            watch: Some(&mut watch),
            // One more than processors, because they are appended in order and the next may not be ready.
            encoders: (self.threads + 1).min(ENCODERS_MAX),
        };
        let cursors = places.into_iter().map(|place| self.cursor(place, without.clone())).collect();
        let progress = RefCell::new(progress);
        let each = || {
            keeper.give_way()?;
            self.check_room()?;
            let told = progress.borrow_mut()(done.get());
            if told.is_break() { Err(FlushError::Closed) } else { Ok(()) }
        };
        let meta = keeper.write_segment(output, cursors, &Rewrite::default(), &each)?;
        if let (Some(meta), Some(made)) = (&meta, presence.map(Builder::finish)) {
            keeper.open(meta)?.keep_presence(made, zones);
        }
        Ok((meta, rows))
    }

    /// The level that merging would have brought a segment of this size to.
    fn level(&self, rows: u64) -> u8 {
        let options = &self.store.shared.options;
        let fan_in = options.merge_fan_in.max(2) as u64;
        let mut size = (options.memtable_rows as u64).saturating_mul(fan_in);
        let mut level = 0;
        while rows >= size && level < u8::MAX {
            (size, level) = (size.saturating_mul(fan_in), level + 1);
        }
        level
    }

    fn commit(&self, written: Written) -> Result<(), FlushError> {
        let Written { add, tally } = written;
        let (project, shared) = (self.project, &self.store.shared);
        // Days before the first event were never told to anyone.
        let first_ms = self.first_ms();
        let late = tally.late.iter().filter(|&&day| first_ms.is_some_and(|ms| day >= day_of(ms)));
        let change = CatalogChange {
            schema: tally.schema.deltas(),
            usage: tally.usage(),
            restated: late.map(|&day| RestatedDay { project, day }).collect(),
            add,
            ..CatalogChange::default()
        };
        self.store.keeper.commit(change, |live| live.merge_wanted += 1)?;
        shared.signal();
        Ok(())
    }

    /// A time not after the project's first event that is stored.
    fn first_ms(&self) -> Option<i64> {
        let mut view = self.store.shared.view();
        let runs = self.store.shared.runs(&mut view);
        let in_memory = runs.iter().filter_map(|run| run.first_ms(self.project));
        let in_segments = view.segments.iter().filter_map(|segment| segment.first_ms(self.project));
        in_segments.chain(in_memory).min()
    }

    /// Remove segments that do not become real.
    fn discard(&self, add: &[SegmentMeta]) {
        let folders = &self.store.folders;
        for meta in add {
            let path = folders.data.join(meta.path());
            for path in [path.with_extension("presence"), path] {
                if let Err(error) = folders.disk.remove(&path) {
                    // The next start removes it.
                    tracing::debug!(file = %path.display(), %error, "cannot remove a file");
                }
            }
        }
    }
}
